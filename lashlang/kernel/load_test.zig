//! Tests of load.zig: values that nobody wrote are refused, and those that dump.zig writes are read.

const std = @import("std");
const heap = @import("heap.zig");
const string = @import("string.zig");
const text_form = @import("text_form.zig");
const load = @import("load.zig");
const wire = @import("wire.zig");

const Value = @import("value.zig").Value;

/// Read `bytes`, all of them, as one value, after the shared parts `shared`, with an empty heap.
fn read(shared: []const u8, bytes: []const u8) !Value {
    heap.reset();
    heap.init(64 << 20);
    var parts: wire.Reader = .{ .input = shared };
    try load.readShared(&parts, 0);
    var reader: wire.Reader = .{ .input = bytes };
    const v = try load.read(&reader);
    try std.testing.expectEqual(bytes.len, reader.at);
    return v;
}

const nothing = "\x90";

fn refused(shared: []const u8, bytes: []const u8) !void {
    try std.testing.expectError(error.Malformed, read(shared, bytes));
}

/// The map `{ k0: 0, k1: 1, … }`, with `count` entries, where the last key has another number.
fn keys(buffer: []u8, count: u16, last: u16) ![]const u8 {
    var out: std.Io.Writer = .fixed(buffer);
    try out.print("\xde{c}{c}", .{ @as(u8, @intCast(count >> 8)), @as(u8, @truncate(count)) });
    for (0..count) |i| try out.print("\xa4k{d:0>3}\x07", .{if (i + 1 == count) last else i});
    return out.buffered();
}

test "a value is refused at every length but its own" {
    const shared = "\x92\xa3key\x91\x05";
    const numbers = "\x05\xff\xd2\x00\x01\x00\x00\xd3\x00\x00\x00\x01" ++ "\x00" ** 4 ++ "\xcb\x3f\xf8" ++ "\x00" ** 6;
    const whole = "\x84\xd4\x03\x00\x98\xc0\xc2\xc3" ++ numbers ++
        "\xa0\x90\xa1k\xd9\x28" ++ "é" ** 20 ++ "\xa2no\xd5\x03\x00\x01";
    for (0..whole.len) |size| try refused(shared, whole[0..size]);
    const v = try read(shared, whole);
    try std.testing.expectEqual(@as(u32, 4), v.asRecord().len);
    try std.testing.expectEqual(@as(u32, 20), v.asRecord().getBytes("k").?.asStr().chars);
    try std.testing.expectEqual(@as(u16, 2), v.height());
    try std.testing.expectEqual(@as(i64, 5), v.asRecord().getBytes("no").?.asList().items[0].asInt());
}

test "a record with a key twice is refused, whatever its size" {
    var buffer: [8192]u8 = undefined;
    for ([_]u16{ 2, 8, 9, 10, 500 }) |count| {
        const v = try read(nothing, try keys(&buffer, count, count - 1));
        try std.testing.expectEqual(@as(u32, count), v.asRecord().len);
        const last = try std.fmt.bufPrint(buffer[8000..], "k{d:0>3}", .{count - 1});
        try std.testing.expectEqual(@as(?u32, count - 1), v.asRecord().findBytes(last));
        for ([_]u16{ 0, count / 2 - 1, count - 2 }) |again| try refused(nothing, try keys(&buffer, count, again));
    }
    // One shared text, and two that are equal.
    try refused("\x91\xa3key", "\x82\xd4\x03\x00\x01\xd4\x03\x00\x02");
    try refused("\x92\xa3key\xa3key", "\x82\xd4\x03\x00\x01\xd4\x03\x01\x02");
    try refused("\x91\xa3key", "\x82\xd4\x03\x00\x01\xa3key\x02");
}

test "text that is not UTF-8 is refused, wherever in it the fault is" {
    var buffer: [102]u8 = undefined;
    for (1..100) |size| {
        const text = buffer[0 .. 2 + size];
        text[0..2].* = .{ 0xd9, @intCast(size) };
        for (2..text.len) |at| {
            @memset(text[2..], 'x');
            try std.testing.expectEqual(size, (try read(nothing, text)).asStr().chars);
            text[at] = 0xc3;
            try refused(nothing, text);
        }
    }
}

test "a count that the input cannot hold is refused before room is made for it" {
    const lists = [_][]const u8{ "\xdd\xff\xff\xff\xff\x01", "\xdc\x00\x03\x01\x02" };
    const records = [_][]const u8{ "\xdf\x00\xff\xff\xff\xa1k\x01", "\x82\xa1k\x01" };
    for (lists ++ records) |bytes| {
        try refused(nothing, bytes);
        try std.testing.expectEqual(@as(u64, 0), heap.used());
    }
}

test "what is no key, no reference and no value is refused" {
    const bad = [_][]const u8{
        "\x81\x01\x02", // a key that is a number
        "\x81\x90\x02", // a list
        "\x81\xd4\x03\x01\x02", // a shared list
        "\xd4\x03\x02", // a reference to what is not there
        "\xd6\x03\x01\x00\x00\x00",
        "\xc7\x01\x03\x00", // a reference that is written otherwise
        "\xd8\x04\x93\xce\x00\x00\x00\x01\xce\x00\x00\x00\x00\xce\x00\x00\x00\x00", // a slice of a list
        "\xd4\x05\xc0", // what stands only among a block's values
        "\xd4\x07\x00", // an unknown extension
        "\xc4\x01x", // binary
        "\xc1",
    };
    for (bad) |bytes| try refused("\x92\xa3key\x91\x05", bytes);
    _ = try read("\x92\xa3key\x91\x05", "\x81\xd4\x03\x00\xd4\x03\x01");
}

test "values are nested as deep as values may be and no deeper, references included" {
    const most = text_form.depth_max;
    const lists = "\x91" ** most;
    try std.testing.expectEqual(@as(u16, most), (try read(nothing, lists ++ "\x01")).height());
    try std.testing.expectEqual(@as(u16, most), (try read(nothing, lists[1..] ++ "\x90")).height());
    try refused(nothing, lists ++ "\x90");
    try refused(nothing, "\x81\xa1k" ** most ++ "\x80");
    const shared = "\x91\x91\x91\x01";
    try std.testing.expectEqual(@as(u16, most), (try read(shared, lists[2..] ++ "\xd4\x03\x00")).height());
    try refused(shared, lists[1..] ++ "\xd4\x03\x00");
}

test "of shared parts that cannot all be read, those that were are let go" {
    heap.reset();
    heap.init(64 << 20);
    const count = 40;
    // The memory that the parts are given next has something in it.
    const before = try heap.allocMessage(count * @sizeOf(Value));
    @memset(before[0 .. count * @sizeOf(Value)], 0xaa);
    heap.freeMessage(before, count * @sizeOf(Value));
    var reader: wire.Reader = .{ .input = .{ 0xdc, 0, count } ++ "\xa3key\xc1" ++ "\x00" ** count };
    try std.testing.expectError(error.Malformed, load.readShared(&reader, 0));
    load.finish();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}

test "every allocation may fail" {
    const indexed = "\xde\x00\x09\xa2k0\x01\xa2k1\x01\xa2k2\x01\xa2k3\x01\xa2k4\x01" ++
        "\xa2k5\x01\xa2k6\x01\xa2k7\x01\xa2k8\x01";
    const bytes = "\x82\xa3key\x92\xd9\x28" ++ "é" ** 20 ++ "\xa2ab\xa1k" ++ indexed;
    defer heap.fail_after = null;
    var failures: u64 = 0;
    while (true) : (failures += 1) {
        heap.fail_after = null;
        heap.reset();
        heap.init(64 << 20);
        var reader: wire.Reader = .{ .input = bytes };
        heap.fail_after = failures;
        if (load.read(&reader)) |_| break else |err| try std.testing.expectEqual(error.OutOfMemory, err);
    }
    try std.testing.expect(failures > 10);
}
