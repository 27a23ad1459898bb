//! Reading what dump.zig wrote. The bytes are hostile: anything may stand in them. A machine that is to be restored
//! is a fresh one, and its host throws it away when this fails, so nothing is undone here.
//!
//! References lead to earlier parts only, so no value can contain itself; containers are nested as deep as values may
//! be; texts are UTF-8 and slices of them cut no code point; a record has no key twice.

const std = @import("std");
const heap = @import("heap.zig");
const string = @import("string.zig");
const utf8 = @import("utf8.zig");
const value = @import("value.zig");
const text_form = @import("text_form.zig");
const wire = @import("wire.zig");
const dump = @import("dump.zig");
const requests = @import("requests.zig");
const state = @import("state.zig");

const List = value.List;
const Record = value.Record;
const Reader = wire.Reader;
const Str = value.Str;
const Value = value.Value;
const Error = wire.ReadError;

/// The shared parts read so far.
var shared: []Value = &.{};
var shared_len: u32 = 0;
/// For each shared text that slices have been cut from: code points before every so many bytes.
var charted: []Chart = &.{};
/// Projections name one of these many sources.
var sources: u32 = 0;

/// Read the shared parts; projections may name one of `source_count` sources.
pub fn readShared(reader: *Reader, source_count: u32) Error!void {
    sources = source_count;
    const count = try reader.array();
    if (count > reader.input.len - reader.at) return error.Malformed;
    shared_len = 0;
    shared = &.{};
    charted = &.{};
    if (count == 0) return;
    const memory: [*]Value = @ptrCast(try heap.allocMessage(count * @sizeOf(Value)));
    shared = memory[0..count];
    const charts: [*]Chart = @ptrCast(try heap.allocMessage(count * @sizeOf(Chart)));
    charted = charts[0..count];
    @memset(charted, .{});
    for (shared) |*slot| {
        slot.* = try read(reader);
        shared_len += 1;
    }
}

/// Read the variables into an empty record.
pub fn readVariables(reader: *Reader, variables: *Record) Error!void {
    for (0..try reader.mapping()) |_| {
        const name = try readKey(reader);
        if (!isName(name.bytes()) or variables.find(name) != null) return error.Malformed;
        try variables.insert(name, try read(reader));
        name.release();
    }
}

/// Whether a program could have a variable of this name, reserved words apart.
fn isName(text: []const u8) bool {
    for (text, 0..) |byte, i| switch (byte) {
        'a'...'z', 'A'...'Z', '_' => {},
        '0'...'9' => if (i == 0) return false,
        else => return false,
    };
    return text.len > 0;
}

/// Let go of the shared parts: what is used of them has its references.
pub fn finish() void {
    for (shared) |v| v.release();
    for (charted) |*chart| chart.clear();
    freeItems(Value, shared);
    freeItems(Chart, charted);
    shared = &.{};
    charted = &.{};
    shared_len = 0;
}

fn freeItems(comptime Item: type, items: []Item) void {
    if (items.len > 0) heap.freeMessage(@ptrCast(@alignCast(items.ptr)), items.len * @sizeOf(Item));
}

const Frame = struct { container: Value, left: u32, key: ?*Str };
var frames: [text_form.depth_max + 1]Frame = undefined;

/// The value that follows, owned.
pub fn read(reader: *Reader) Error!Value {
    var depth: usize = 0;
    while (true) {
        var item: Value = undefined;
        if (try container(reader)) |opened| {
            if (depth == text_form.depth_max) return error.Malformed;
            if (opened.left > 0) {
                frames[depth] = opened;
                depth += 1;
                if (opened.container.tag == .record) frames[depth - 1].key = try readKey(reader);
                continue;
            }
            item = opened.container;
        } else item = try scalar(reader);
        while (depth > 0) {
            const frame = &frames[depth - 1];
            // What a reference leads to brings its own depth.
            if (item.height() + depth > text_form.depth_max) return error.Malformed;
            if (frame.key) |key| {
                if (frame.container.asRecord().find(key) != null) return error.Malformed;
                try frame.container.asRecord().insert(key, item);
                key.release();
            } else frame.container.asList().appendReserved(item);
            frame.left -= 1;
            if (frame.left > 0) {
                if (frame.container.tag == .record) frame.key = try readKey(reader);
                break;
            }
            item = frame.container;
            depth -= 1;
        } else return item;
    }
}

fn container(reader: *Reader) Error!?Frame {
    switch (try reader.peek()) {
        0x90...0x9f, 0xdc, 0xdd => {
            const count = try reader.array();
            if (count > reader.input.len - reader.at) return error.Malformed;
            return .{ .container = Value.fromList(try List.create(count)), .left = count, .key = null };
        },
        0x80...0x8f, 0xde, 0xdf => {
            const count = try reader.mapping();
            if (count > (reader.input.len - reader.at) / 2) return error.Malformed;
            return .{ .container = Value.fromRecord(try Record.create(count)), .left = count, .key = null };
        },
        else => return null,
    }
}

fn readKey(reader: *Reader) Error!*Str {
    const key = try scalar(reader);
    return if (key.tag == .string) key.asStr() else error.Malformed;
}

fn scalar(reader: *Reader) Error!Value {
    switch (try reader.peek()) {
        0xa0...0xbf, 0xd9, 0xda, 0xdb => return Value.fromStr(try copied(try reader.text())),
        0xd4, 0xd5, 0xd6, 0xd8 => |head| {
            if (reader.input.len - reader.at < 2) return error.Malformed;
            switch (reader.input[reader.at + 1]) {
                dump.ext_reference => return (try referred(try payload(reader, head))).retain(),
                dump.ext_slice => return Value.fromStr(try slice(try payload(reader, head))),
                else => {},
            }
        },
        else => {},
    }
    const v = try reader.scalar(.unlimited);
    if (v.tag == .projection and v.asProjection().ref >= sources) return error.Malformed;
    return v;
}

/// The inside of an extension of fixed size, which is stepped over.
fn payload(reader: *Reader, head: u8) error{Malformed}![]const u8 {
    reader.at += 2;
    return reader.bytes(switch (head) {
        0xd4 => 1,
        0xd5 => 2,
        0xd6 => 4,
        else => 16,
    });
}

fn copied(text: []const u8) Error!*Str {
    return if (text.len < 2) string.copy(text) else string.copyUnlimited(text);
}

/// The shared part of a number, borrowed.
fn referred(digits: []const u8) Error!Value {
    var number: u32 = 0;
    if (digits.len > 4) return error.Malformed;
    for (digits) |digit| number = number << 8 | digit;
    return if (number < shared_len) shared[number] else error.Malformed;
}

fn slice(inside: []const u8) Error!*Str {
    var parts: Reader = .{ .input = inside };
    if (try parts.array() != 3) return error.Malformed;
    const number = try parts.small();
    const start = try parts.small();
    const size = try parts.small();
    if (number >= shared_len or shared[number].tag != .string) return error.Malformed;
    const text = shared[number].asStr();
    const all = text.bytes();
    if (start > all.len or size > all.len - start) return error.Malformed;
    const end = start + size;
    if (!startsCodePoint(all, start) or !startsCodePoint(all, end)) return error.Malformed;
    if (text.isAscii()) return text.part(start, end, size);
    const chart = &charted[number];
    try chart.draw(all);
    return text.part(start, end, chart.before(all, end) - chart.before(all, start));
}

fn startsCodePoint(text: []const u8, at: usize) bool {
    return at == text.len or text[at] & 0xc0 != 0x80;
}

/// How many code points a text has before every so many bytes, so that many slices of one text cost no more than
/// reading it.
const Chart = struct {
    const stride = 4096;
    counts: []u32 = &.{},

    fn draw(self: *Chart, text: []const u8) error{OutOfMemory}!void {
        if (self.counts.len > 0) return;
        const size = text.len / stride + 1;
        const memory: [*]u32 = @ptrCast(try heap.allocMessage(size * 4));
        self.counts = memory[0..size];
        var total: u32 = 0;
        for (self.counts, 0..) |*count, i| {
            count.* = total;
            total += @intCast(utf8.count(text[i * stride .. @min((i + 1) * stride, text.len)]));
        }
    }

    fn before(self: *const Chart, text: []const u8, at: usize) u32 {
        const whole = at / stride;
        return self.counts[whole] + @as(u32, @intCast(utf8.count(text[whole * stride .. at])));
    }

    fn clear(self: *Chart) void {
        freeItems(u32, self.counts);
        self.counts = &.{};
    }
};

/// What stands at the top level of a block's values: a value, or one of the marks of `dump.special`.
pub fn readRoot(reader: *Reader) Error!Value {
    switch (try reader.peek()) {
        0xd4 => if (reader.input.len - reader.at > 2 and reader.input[reader.at + 1] == dump.ext_special) {
            const mark = (try payload(reader, 0xd4))[0];
            if (mark == 0xc0) return .{ .tag = .unbound, .aux = dump.unbound_mark };
            return if (mark < state.limit_count) .{ .tag = .unbound, .aux = mark } else error.Malformed;
        },
        0xc9 => if (reader.input.len - reader.at > 6 and reader.input[reader.at + 5] == dump.ext_special) {
            reader.at += 6;
            const text = Value.fromStr(try copied(try reader.text()));
            return requests.failureMark(text);
        },
        else => {},
    }
    return read(reader);
}
