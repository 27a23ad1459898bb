//! Lower and upper case (chapter 10.2): Unicode's simple mappings, one code point to one code point, without locale or
//! context. So the number of code points never changes, `ß` has no upper case, and `İ` lowers to `i`. The number of
//! bytes can change (`Ⱥ` has two, its lower case three), hence a text is measured before it is mapped.
//!
//! The table is generated (generate_case.py): one entry per code point for the common alphabets, runs for the rest.
//! ASCII, most of all text, never reaches it: sixteen bytes at a time, a letter differs from its other case by one bit.

const std = @import("std");
const utf8 = @import("utf8.zig");
const table = @import("gen/case.zig");

/// Which mapping.
pub const Direction = enum { lower, upper };

/// Simple_Lowercase_Mapping.
pub fn lower(cp: u21) u21 {
    return map(cp, .lower);
}

/// Simple_Uppercase_Mapping.
pub fn upper(cp: u21) u21 {
    return map(cp, .upper);
}

inline fn map(cp: u21, comptime direction: Direction) u21 {
    const direct = if (direction == .lower) &table.lower_direct else &table.upper_direct;
    if (cp < direct.len) return direct[cp];
    return mapByRuns(cp, if (direction == .lower) &table.lower_runs else &table.upper_runs);
}

fn mapByRuns(cp: u21, runs: []const table.Run) u21 {
    var low: usize = 0;
    var high = runs.len;
    while (low < high) {
        const middle = low + (high - low) / 2;
        const run = runs[middle];
        if (cp < run.first) {
            high = middle;
        } else if (cp > run.last) {
            low = middle + 1;
        } else {
            if ((cp - run.first) % run.step != 0) return cp;
            return @intCast(@as(i32, cp) + run.delta);
        }
    }
    return cp;
}

const lanes = 16;
const Block = @Vector(lanes, u8);

/// Sixteen ASCII bytes mapped, or null if one of them is not ASCII.
inline fn mapBlock(block: Block, comptime direction: Direction) ?Block {
    if (@reduce(.Max, block) >= 0x80) return null;
    const first: u8 = if (direction == .lower) 'A' else 'a';
    const is_letter = block -% @as(Block, @splat(first)) < @as(Block, @splat(26));
    return block ^ @select(u8, is_letter, @as(Block, @splat(0x20)), @as(Block, @splat(0)));
}

inline fn mapAscii(byte: u8, comptime direction: Direction) u8 {
    return if (direction == .lower) std.ascii.toLower(byte) else std.ascii.toUpper(byte);
}

/// The number of bytes of the mapped text.
pub fn mappedLength(bytes: []const u8, comptime direction: Direction) usize {
    var total: usize = 0;
    var at: usize = 0;
    while (true) {
        const run = utf8.asciiRun(bytes, at);
        total += run - at;
        at = run;
        while (at < bytes.len and bytes[at] >= 0x80) {
            const decoded = utf8.decode(bytes, at);
            total += utf8.encodedLength(map(decoded.cp, direction));
            at += decoded.len;
        }
        if (at == bytes.len) return total;
    }
}

/// Map a text into `buf`, which holds at least `mappedLength` bytes. Returns the part written.
pub fn mapInto(buf: []u8, bytes: []const u8, comptime direction: Direction) []u8 {
    var len: usize = 0;
    var at: usize = 0;
    while (at < bytes.len) {
        if (bytes[at] >= 0x80) {
            const decoded = utf8.decode(bytes, at);
            var encoded: [4]u8 = undefined;
            const size = utf8.encode(map(decoded.cp, direction), &encoded);
            @memcpy(buf[len..][0..size], encoded[0..size]);
            len += size;
            at += decoded.len;
            continue;
        }
        if (at + lanes <= bytes.len) if (mapBlock(bytes[at..][0..lanes].*, direction)) |block| {
            buf[len..][0..lanes].* = block;
            len += lanes;
            at += lanes;
            continue;
        };
        buf[len] = mapAscii(bytes[at], direction);
        len += 1;
        at += 1;
    }
    return buf[0..len];
}

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;

fn expectMapped(expected: []const u8, text: []const u8, comptime direction: Direction) !void {
    var buf: [512]u8 = undefined;
    try testing.expectEqual(expected.len, mappedLength(text, direction));
    try testing.expectEqualStrings(expected, mapInto(buf[0..expected.len], text, direction));
}

test "the table is that of Unicode 16.0.0" {
    try testing.expectEqualStrings("16.0.0", table.unicode_version);
    // Cased letters that came with this version.
    try testing.expectEqual(0x10D70, lower(0x10D50));
    try testing.expectEqual(0xA7DC, upper(0x19B));
    try testing.expectEqual(0x1C8A, lower(0x1C89));
    var lowered: usize = 0;
    var raised: usize = 0;
    for (0..0x110000) |cp| {
        lowered += @intFromBool(lower(@intCast(cp)) != cp);
        raised += @intFromBool(upper(@intCast(cp)) != cp);
    }
    try testing.expectEqual(1460, lowered);
    try testing.expectEqual(1477, raised);
}

test "ASCII letters change and nothing else does" {
    for (0..0x80) |byte| {
        try testing.expectEqual(std.ascii.toLower(@intCast(byte)), lower(@intCast(byte)));
        try testing.expectEqual(std.ascii.toUpper(@intCast(byte)), upper(@intCast(byte)));
    }
    var all: [0x80]u8 = undefined;
    for (&all, 0..) |*byte, value| byte.* = @intCast(value);
    var buf: [0x80]u8 = undefined;
    for (mapInto(&buf, &all, .upper), all) |mapped, byte| try testing.expectEqual(std.ascii.toUpper(byte), mapped);
    for (mapInto(&buf, &all, .lower), all) |mapped, byte| try testing.expectEqual(std.ascii.toLower(byte), mapped);
}

test "the mappings are the simple ones" {
    try expectMapped("i", "İ", .lower);
    try expectMapped("ß", "ß", .upper);
    try expectMapped("ß", "ẞ", .lower);
    try expectMapped("ﬁ", "ﬁ", .upper);
    try expectMapped("Ǆ", "ǆ", .upper);
    try expectMapped("ǆ", "Ǆ", .lower);
    try expectMapped("Ǆ", "ǅ", .upper);
    try expectMapped("ᾈ", "ᾀ", .upper);
    try expectMapped("ᾀ", "ᾈ", .lower);
    try expectMapped("σσ", "ΣΣ", .lower);
    try expectMapped("Σ", "ς", .upper);
    try expectMapped("I", "ı", .upper);
    try expectMapped("Μ", "µ", .upper);
    try expectMapped("Ÿ", "ÿ", .upper);
    try expectMapped("k", "\u{212A}", .lower);
    try expectMapped("ŉ", "ŉ", .upper);
}

test "whole texts are mapped, across blocks and scripts" {
    try expectMapped("äbcσ i", "ÄBCΣ İ", .lower);
    try expectMapped("STRAßE É Ǆ ᾈ", "straße é ǆ ᾀ", .upper);
    try expectMapped("THE QUICK BROWN FOX, 12345 TIMES.", "the quick brown fox, 12345 times.", .upper);
    try expectMapped("приве́т 日本語 ა 𐐨", "ПРИВЕ́Т 日本語 ა 𐐀", .lower);
    try expectMapped("ᲐA", "აa", .upper);
    try expectMapped("", "", .lower);
}

test "the mapped text may be longer or shorter" {
    try expectMapped("ⱥ" ** 20, "Ⱥ" ** 20, .lower);
    try expectMapped("I" ** 20 ++ "X", "ı" ** 20 ++ "x", .upper);
}
