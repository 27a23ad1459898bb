//! Comparing and copying short runs of bytes. Most texts are words; for those a call (and in WebAssembly both
//! `memcpy` and `memcmp` are calls) costs more than the work. So up to `same_max` or
//! `copy_max` bytes are handled in place, as two blocks of a fixed size that may overlap, one at the start and one at
//! the end.

const std = @import("std");

const same_max = 16;
const copy_max = 32;

/// The largest block that is handled at once.
const Lanes = @Vector(16, u8);

/// Whether two runs of the same length are equal.
pub inline fn same(a: [*]const u8, b: [*]const u8, len: usize) bool {
    if (len > same_max) return std.mem.eql(u8, a[0..len], b[0..len]);
    if (len >= 8) return sameEnds(u64, a, b, len);
    if (len >= 4) return sameEnds(u32, a, b, len);
    if (len >= 2) return sameEnds(u16, a, b, len);
    return len == 0 or a[0] == b[0];
}

inline fn sameEnds(comptime Block: type, a: [*]const u8, b: [*]const u8, len: usize) bool {
    const last = len - @sizeOf(Block);
    return (load(Block, a) ^ load(Block, b)) | (load(Block, a + last) ^ load(Block, b + last)) == 0;
}

/// Copy a run to where it does not overlap.
pub inline fn copy(to: [*]u8, from: [*]const u8, len: usize) void {
    if (len > copy_max) {
        @memcpy(to[0..len], from[0..len]);
    } else if (len >= 16) {
        copyEnds(Lanes, to, from, len);
    } else if (len >= 8) {
        copyEnds(u64, to, from, len);
    } else if (len >= 4) {
        copyEnds(u32, to, from, len);
    } else if (len >= 2) {
        copyEnds(u16, to, from, len);
    } else if (len == 1) to[0] = from[0];
}

inline fn copyEnds(comptime Block: type, to: [*]u8, from: [*]const u8, len: usize) void {
    const last = len - @sizeOf(Block);
    const start = load(Block, from);
    const end = load(Block, from + last);
    store(Block, to, start);
    store(Block, to + last, end);
}

/// As `copy`; whether the whole run is ASCII.
pub inline fn copyAscii(to: [*]u8, from: [*]const u8, len: usize) bool {
    if (len > copy_max) return copyAsciiBlocks(to, from, len);
    if (len >= 16) return copyAsciiEnds(Lanes, to, from, len);
    if (len >= 8) return copyAsciiEnds(u64, to, from, len);
    if (len >= 4) return copyAsciiEnds(u32, to, from, len);
    if (len >= 2) return copyAsciiEnds(u16, to, from, len);
    if (len == 1) to[0] = from[0];
    return len == 0 or from[0] < 0x80;
}

inline fn copyAsciiEnds(comptime Block: type, to: [*]u8, from: [*]const u8, len: usize) bool {
    const last = len - @sizeOf(Block);
    const start = load(Block, from);
    const end = load(Block, from + last);
    store(Block, to, start);
    store(Block, to + last, end);
    return isAscii(Block, start | end);
}

fn copyAsciiBlocks(to: [*]u8, from: [*]const u8, len: usize) bool {
    const last = len - @sizeOf(Lanes);
    const end = load(Lanes, from + last);
    store(Lanes, to + last, end);
    var all = end;
    var at: usize = 0;
    while (at < last) : (at += @sizeOf(Lanes)) {
        const block = load(Lanes, from + at);
        store(Lanes, to + at, block);
        all |= block;
    }
    return isAscii(Lanes, all);
}

inline fn isAscii(comptime Block: type, block: Block) bool {
    if (Block == Lanes) return @as(u16, @bitCast(block >= @as(Lanes, @splat(0x80)))) == 0;
    return block & @as(Block, @truncate(0x8080_8080_8080_8080)) == 0;
}

inline fn load(comptime Block: type, from: [*]const u8) Block {
    return @as(*align(1) const Block, @ptrCast(from)).*;
}

inline fn store(comptime Block: type, to: [*]u8, block: Block) void {
    @as(*align(1) Block, @ptrCast(to)).* = block;
}

test "runs of every short length are copied whole and nothing behind them" {
    var from: [40]u8 = undefined;
    for (&from, 0..) |*byte, i| byte.* = @intCast(i + 1);
    for (0..from.len + 1) |len| {
        var to: [48]u8 = @splat(0);
        copy(to[4..].ptr, &from, len);
        try std.testing.expectEqualSlices(u8, from[0..len], to[4..][0..len]);
        for (to[0..4]) |byte| try std.testing.expectEqual(0, byte);
        for (to[4 + len ..]) |byte| try std.testing.expectEqual(0, byte);
    }
}

test "copying sees every byte that is not ASCII, and copies all the same" {
    var from: [80]u8 = undefined;
    for (&from, 0..) |*byte, i| byte.* = @intCast(i + 1);
    for (0..from.len + 1) |len| {
        var to: [88]u8 = @splat(0);
        try std.testing.expect(copyAscii(to[4..].ptr, &from, len));
        for (0..len) |i| {
            from[i] |= 0x80;
            try std.testing.expect(!copyAscii(to[4..].ptr, &from, len));
            try std.testing.expectEqualSlices(u8, from[0..len], to[4..][0..len]);
            from[i] &= 0x7f;
        }
        for (to[0..4]) |byte| try std.testing.expectEqual(0, byte);
        for (to[4 + len ..]) |byte| try std.testing.expectEqual(0, byte);
    }
}

test "a difference in any one byte is seen" {
    const text = "the quick brown fox jumps over";
    for (0..text.len + 1) |len| {
        var other = text.*;
        try std.testing.expect(same(text, &other, len));
        for (0..len) |i| {
            other[i] ^= 1;
            try std.testing.expect(!same(text, &other, len));
            other[i] ^= 1;
        }
    }
}
