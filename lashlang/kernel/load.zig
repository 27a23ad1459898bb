//! Reading what dump.zig wrote. The bytes are hostile: anything may stand in them. A machine that is to be restored
//! is a fresh one, and its host throws it away when this fails, so nothing is undone here.
//!
//! References lead to earlier parts only, so no value can contain itself; containers are nested as deep as values may
//! be; texts are UTF-8 and slices of them cut no code point; a record has no key twice.

const std = @import("std");
const heap = @import("heap.zig");
const record_file = @import("record.zig");
const runs = @import("bytes.zig");
const string = @import("string.zig");
const utf8 = @import("utf8.zig");
const value = @import("value.zig");
const text_form = @import("text_form.zig");
const wire = @import("wire.zig");
const dump = @import("dump.zig");
const requests = @import("requests.zig");
const state = @import("state.zig");

const Entry = record_file.Entry;
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
    shared = try allocItems(Value, count);
    charted = try allocItems(Chart, count);
    @memset(charted, .{});
    for (shared) |*slot| {
        slot.* = try read(reader);
        shared_len += 1;
    }
}

/// Read the variables into an empty record.
pub fn readVariables(reader: *Reader, variables: *Record) Error!void {
    for (0..try reader.mapping()) |_| {
        var entry: Entry = undefined;
        try keyOf(reader, &entry);
        const name = entry.key;
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
    for (shared[0..shared_len]) |v| v.release();
    for (charted) |*chart| chart.clear();
    freeItems(Value, shared);
    freeItems(Chart, charted);
    shared = &.{};
    charted = &.{};
    shared_len = 0;
}

fn allocItems(comptime Item: type, count: usize) error{OutOfMemory}![]Item {
    const size = std.math.mul(usize, count, @sizeOf(Item)) catch return error.OutOfMemory;
    const memory: [*]Item = @ptrCast(try heap.allocMessage(size));
    return memory[0..count];
}

fn freeItems(comptime Item: type, items: []Item) void {
    if (items.len > 0) heap.freeMessage(@ptrCast(@alignCast(items.ptr)), items.len * @sizeOf(Item));
}

// Everything down to `rare` is done for every single value. A result together with an error that may come instead goes
// through memory, written in parts and read as a whole, and for that a processor has to wait. So these functions put
// what they make into its place and return errors alone.

/// The containers that are being filled, outermost first, and how many these are; the last place is for one too many.
var open: [text_form.depth_max + 1]Value = undefined;
var depth: usize = 0;

/// The value that follows, owned.
pub fn read(reader: *Reader) Error!Value {
    var outermost: Value = undefined;
    depth = 0;
    try item(reader, &outermost);
    while (depth > 0) {
        const level = depth;
        const innermost = open[level - 1];
        switch (innermost.tag) {
            .list => try fillList(reader, innermost.asList()),
            else => try fillRecord(reader, innermost.asRecord()),
        }
        if (depth > level) continue;
        depth -= 1;
        if (depth == 0) break;
        // It took its place when it was empty; only now is it known how high it is.
        const around = open[depth - 1];
        if (around.tag == .list) around.asList().note(innermost) else around.asRecord().note(innermost);
    }
    return outermost;
}

/// Read items into a list until it is full, or until one is opened that has to be filled first.
fn fillList(reader: *Reader, list: *List) Error!void {
    // A copy, which the compiler keeps in registers.
    var in = reader.*;
    const level = depth;
    while (list.len < list.cap) {
        const slot = &list.items[list.len];
        try item(&in, slot);
        list.len += 1;
        if (isPlain(slot.*)) continue;
        try checkHeight(slot.*, level);
        list.note(slot.*);
        if (depth > level) break;
    }
    reader.at = in.at;
}

/// As `fillList`, for the entries of a record.
fn fillRecord(reader: *Reader, record: *Record) Error!void {
    var in = reader.*;
    const level = depth;
    while (record.len < record.cap) {
        const entry = &record.entries[record.len];
        try keyOf(&in, entry);
        const slot = &entry.value;
        try item(&in, slot);
        if (!record.admit()) return error.Malformed;
        if (isPlain(slot.*)) continue;
        try checkHeight(slot.*, level);
        record.note(slot.*);
        if (depth > level) break;
    }
    reader.at = in.at;
}

/// Whether a value makes no difference to the height of the container around it, nor to whether projections are inside.
inline fn isPlain(v: Value) bool {
    return v.tag.isScalar() or v.tag == .string;
}

/// Check the height of a value in a container of this level: what a reference leads to brings its own.
inline fn checkHeight(v: Value, level: usize) Error!void {
    if (v.height() + level > text_form.depth_max) return error.Malformed;
}

/// Read the key of an entry.
inline fn keyOf(in: *Reader, entry: *Entry) Error!void {
    if (in.at == in.input.len) return error.Malformed;
    const head = in.input[in.at];
    in.at += 1;
    var key: Value = undefined;
    switch (head) {
        0xa0...0xbf => try textOf(in, head & 31, &key),
        0xd4 => try reference(in, u8, &key),
        0xd5 => try reference(in, u16, &key),
        0xd9 => try textOf(in, try number(in, u8), &key),
        else => in.at = try rare(in.*, &key),
    }
    if (key.tag != .string) return error.Malformed;
    entry.key = key.asStr();
    entry.hash = entry.key.hashed();
}

/// Read the value that follows; a container that is not empty is only opened.
inline fn item(in: *Reader, slot: *Value) Error!void {
    if (in.at == in.input.len) return error.Malformed;
    const head = in.input[in.at];
    in.at += 1;
    switch (head) {
        0x00...0x7f, 0xe0...0xff => slot.* = Value.fromInt(@as(i8, @bitCast(head))),
        0x80...0x8f => try openRecord(in, head & 15, slot),
        0x90...0x9f => try openList(in, head & 15, slot),
        0xa0...0xbf => try textOf(in, head & 31, slot),
        0xc0 => slot.* = Value.null,
        0xc2, 0xc3 => slot.* = Value.fromBool(head == 0xc3),
        0xcb => slot.* = wire.float(@bitCast(try number(in, u64))),
        0xd2 => slot.* = Value.fromInt(try number(in, i32)),
        0xd4 => try reference(in, u8, slot),
        0xd5 => try reference(in, u16, slot),
        0xd6 => try reference(in, u32, slot),
        0xd9 => try textOf(in, try number(in, u8), slot),
        0xda => try textOf(in, try number(in, u16), slot),
        0xdb => try textOf(in, try number(in, u32), slot),
        0xdc => try openList(in, try number(in, u16), slot),
        0xdd => try openList(in, try number(in, u32), slot),
        0xde => try openRecord(in, try number(in, u16), slot),
        0xdf => try openRecord(in, try number(in, u32), slot),
        else => in.at = try rare(in.*, slot),
    }
}

inline fn number(in: *Reader, comptime T: type) Error!T {
    const size = @sizeOf(T);
    if (in.input.len - in.at < size) return error.Malformed;
    defer in.at += size;
    return std.mem.readInt(T, in.input[in.at..][0..size], .big);
}

/// Read a text of so many bytes.
inline fn textOf(in: *Reader, size: usize, slot: *Value) Error!void {
    if (in.input.len - in.at < size) return error.Malformed;
    const from = in.input[in.at..].ptr;
    in.at += size;
    if (size > 1) {
        const made = string.take(size) orelse return error.OutOfMemory;
        slot.* = Value.fromStr(made);
        // The text was made with as many code points as bytes.
        if (!runs.copyAscii(made.ptr, from, size)) try made.checkBytes();
    } else if (size == 0) {
        slot.* = Value.fromStr(string.empty());
    } else if (from[0] < 0x80) {
        slot.* = Value.fromStr(string.ascii(from[0]));
    } else return error.Malformed;
}

/// Read an extension whose inside is a number: a reference to a shared part, or nothing that `item` knows.
inline fn reference(in: *Reader, comptime T: type, slot: *Value) Error!void {
    const size = 1 + @sizeOf(T);
    if (in.input.len - in.at < size) return error.Malformed;
    const bytes = in.input[in.at..][0..size];
    if (bytes[0] != dump.ext_reference) {
        in.at = try rare(in.*, slot);
        return;
    }
    in.at += size;
    const which = std.mem.readInt(T, bytes[1..], .big);
    if (which >= shared_len) return error.Malformed;
    slot.* = shared[which].retain();
}

/// Open a list of so many items. No more room is made for it than the bytes that remain can fill.
inline fn openList(in: *const Reader, count: u32, slot: *Value) Error!void {
    if (count > in.input.len - in.at) return error.Malformed;
    slot.* = Value.fromList(try List.create(count));
    if (count > 0) push(slot.*);
}

/// As `openList`, for a record of so many entries.
inline fn openRecord(in: *const Reader, count: u32, slot: *Value) Error!void {
    if (count > (in.input.len - in.at) / 2) return error.Malformed;
    const record = try Record.create(count);
    if (count > record_file.linear_max) try record.reserve(count);
    slot.* = Value.fromRecord(record);
    if (count > 0) push(slot.*);
}

fn push(container: Value) void {
    open[depth] = container;
    depth += 1;
}

/// Read a value of another form, whose first byte `from` is just behind. Gives the place where the next one begins.
noinline fn rare(from: Reader, slot: *Value) Error!usize {
    var reader: Reader = .{ .input = from.input, .at = from.at - 1 };
    const ahead = reader.input[reader.at..];
    if (ahead.len >= 18 and ahead[0] == 0xd8 and ahead[1] == dump.ext_slice) {
        slot.* = Value.fromStr(try slice(ahead[2..18]));
        return reader.at + 18;
    }
    slot.* = try reader.scalar(.unlimited);
    if (slot.tag == .projection and slot.asProjection().ref >= sources) return error.Malformed;
    return reader.at;
}

/// The slice of a shared text that an extension describes.
fn slice(inside: []const u8) Error!*Str {
    var parts: Reader = .{ .input = inside };
    if (try parts.array() != 3) return error.Malformed;
    const which = try parts.small();
    const start = try parts.small();
    const size = try parts.small();
    if (which >= shared_len or shared[which].tag != .string) return error.Malformed;
    const text = shared[which].asStr();
    const all = text.bytes();
    if (start > all.len or size > all.len - start) return error.Malformed;
    const end = start + size;
    if (!startsCodePoint(all, start) or !startsCodePoint(all, end)) return error.Malformed;
    if (text.isAscii()) return text.part(start, end, size);
    const chart = &charted[which];
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
        self.counts = try allocItems(u32, text.len / stride + 1);
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
            const mark = reader.input[reader.at + 2];
            reader.at += 3;
            if (mark == 0xc0) return .{ .tag = .unbound, .aux = dump.unbound_mark };
            return if (mark < state.limit_count) .{ .tag = .unbound, .aux = mark } else error.Malformed;
        },
        0xc9 => if (reader.input.len - reader.at > 6 and reader.input[reader.at + 5] == dump.ext_special) {
            reader.at += 6;
            return requests.failureMark(Value.fromStr(try copied(try reader.text())));
        },
        else => {},
    }
    return read(reader);
}

fn copied(text: []const u8) Error!*Str {
    return if (text.len < 2) string.copy(text) else string.copyUnlimited(text);
}
