//! msgpack, the form in which everything crosses between kernel and host (specification:
//! github.com/msgpack/msgpack/blob/master/spec.md). A `Reader` walks the host's input, a `Writer`
//! (wire_write.zig) grows an output buffer. Values are built and written with an explicit stack, never by recursion.
//!
//! Extension types: 1 is an image, `[id, label, size, width, height]`; 2 is a projection, `[ref, name, path]`.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const list_file = @import("list.zig");
const image_shape = @import("image_shape.zig");
const utf8 = @import("utf8.zig");
const writing = @import("wire_write.zig");

const Str = value.Str;
const List = value.List;
const Record = value.Record;
const Value = value.Value;

pub const ReadError = state.Error || error{Malformed};

pub const ext_image = 1;
pub const ext_projection = 2;
pub const depth_max = 600;

/// Whether values read are results of the program's world, to which the limits apply, or the host's own
/// (names, constants), to which they do not.
pub const Trust = enum { limited, unlimited };

pub const Writer = writing.Writer;
pub const Exactness = writing.Exactness;
pub const head_room = writing.head_room;

const Frame = struct { container: Value, left: u32, key: ?*Str };
var frames: [depth_max]Frame = undefined;

/// Recently seen keys, so that the records of one document share theirs. Several have a place in common: with one to a
/// place, two keys of the same records would often take turns there, and none would be shared.
const key_places = 64;
const keys_in_place = 4;
var key_cache: [key_places][keys_in_place]?*Str = @splat(@splat(null));

/// Forget the shared keys.
pub fn clearKeys() void {
    for (&key_cache) |*place| {
        for (place) |kept| if (kept) |key| key.release();
        place.* = @splat(null);
    }
}

fn sharedKey(bytes: []const u8, trust: Trust) state.Error!*Str {
    if (bytes.len > 64) return newText(bytes, trust);
    const hash = string.hashOf(bytes);
    const place = &key_cache[hash % key_places];
    for (place) |kept| {
        const key = kept orelse break;
        if (key.hashed() == hash and std.mem.eql(u8, key.bytes(), bytes)) return key.retain();
    }
    const key = try newText(bytes, trust);
    _ = key.hashed();
    if (place[keys_in_place - 1]) |oldest| oldest.release();
    std.mem.copyBackwards(?*Str, place[1..], place[0 .. keys_in_place - 1]);
    place[0] = key.retain();
    return key;
}

fn newText(bytes: []const u8, trust: Trust) state.Error!*Str {
    return if (trust == .limited) string.copy(bytes) else string.copyUnlimited(bytes);
}

pub const Reader = struct {
    input: []const u8,
    at: usize = 0,

    fn byte(self: *Reader) error{Malformed}!u8 {
        if (self.at >= self.input.len) return error.Malformed;
        defer self.at += 1;
        return self.input[self.at];
    }

    fn number(self: *Reader, comptime T: type) error{Malformed}!T {
        const size = @sizeOf(T);
        if (self.input.len - self.at < size) return error.Malformed;
        defer self.at += size;
        return std.mem.readInt(T, self.input[self.at..][0..size], .big);
    }

    pub fn bytes(self: *Reader, size: usize) error{Malformed}![]const u8 {
        if (self.input.len - self.at < size) return error.Malformed;
        defer self.at += size;
        return self.input[self.at..][0..size];
    }

    /// The first byte of what follows.
    pub fn peek(self: *const Reader) error{Malformed}!u8 {
        return if (self.at < self.input.len) self.input[self.at] else error.Malformed;
    }

    /// The length of the array that follows.
    pub fn array(self: *Reader) error{Malformed}!u32 {
        const head = try self.byte();
        return switch (head) {
            0x90...0x9f => head & 15,
            0xdc => try self.number(u16),
            0xdd => try self.number(u32),
            else => error.Malformed,
        };
    }

    /// The length of the map that follows.
    pub fn mapping(self: *Reader) error{Malformed}!u32 {
        const head = try self.byte();
        return switch (head) {
            0x80...0x8f => head & 15,
            0xde => try self.number(u16),
            0xdf => try self.number(u32),
            else => error.Malformed,
        };
    }

    /// The text that follows, as a slice of the input; valid UTF-8.
    pub fn text(self: *Reader) error{Malformed}![]const u8 {
        const head = try self.byte();
        const size: u32 = switch (head) {
            0xa0...0xbf => head & 31,
            0xd9 => try self.number(u8),
            0xda => try self.number(u16),
            0xdb => try self.number(u32),
            else => return error.Malformed,
        };
        const found = try self.bytes(size);
        return if (utf8.isValid(found)) found else error.Malformed;
    }

    /// The binary that follows, as a slice of the input.
    pub fn binary(self: *Reader) error{Malformed}![]const u8 {
        const size: u32 = switch (try self.byte()) {
            0xc4 => try self.number(u8),
            0xc5 => try self.number(u16),
            0xc6 => try self.number(u32),
            else => return error.Malformed,
        };
        return self.bytes(size);
    }

    /// The unsigned number that follows.
    pub fn unsigned(self: *Reader) error{Malformed}!u64 {
        const head = try self.byte();
        return switch (head) {
            0x00...0x7f => head,
            0xcc => try self.number(u8),
            0xcd => try self.number(u16),
            0xce => try self.number(u32),
            0xcf => try self.number(u64),
            else => error.Malformed,
        };
    }

    /// An unsigned number that fits 32 bits.
    pub fn small(self: *Reader) error{Malformed}!u32 {
        return std.math.cast(u32, try self.unsigned()) orelse error.Malformed;
    }

    /// The boolean that follows.
    pub fn boolean(self: *Reader) error{Malformed}!bool {
        return switch (try self.byte()) {
            0xc2 => false,
            0xc3 => true,
            else => error.Malformed,
        };
    }

    /// Step over the value that follows, whatever it is.
    pub fn skip(self: *Reader) error{Malformed}!void {
        var left: u64 = 1;
        while (left > 0) {
            left -= 1;
            const head = try self.byte();
            switch (head) {
                0x00...0x7f, 0xe0...0xff, 0xc0, 0xc2, 0xc3 => {},
                0x80...0x8f => left += 2 * @as(u64, head & 15),
                0x90...0x9f => left += head & 15,
                0xa0...0xbf => _ = try self.bytes(head & 31),
                0xc4, 0xd9 => _ = try self.bytes(try self.number(u8)),
                0xc5, 0xda => _ = try self.bytes(try self.number(u16)),
                0xc6, 0xdb => _ = try self.bytes(try self.number(u32)),
                0xc7 => _ = try self.bytes(@as(usize, try self.number(u8)) + 1),
                0xc8 => _ = try self.bytes(@as(usize, try self.number(u16)) + 1),
                0xc9 => _ = try self.bytes(@as(usize, try self.number(u32)) +| 1),
                0xcc, 0xd0 => _ = try self.bytes(1),
                0xcd, 0xd1, 0xd4 => _ = try self.bytes(2),
                0xce, 0xd2, 0xca => _ = try self.bytes(4),
                0xcf, 0xd3, 0xcb => _ = try self.bytes(8),
                0xd5 => _ = try self.bytes(3),
                0xd6 => _ = try self.bytes(5),
                0xd7 => _ = try self.bytes(9),
                0xd8 => _ = try self.bytes(17),
                0xdc => left += try self.number(u16),
                0xdd => left += try self.number(u32),
                0xde => left += 2 * @as(u64, try self.number(u16)),
                0xdf => left += 2 * @as(u64, try self.number(u32)),
                else => return error.Malformed,
            }
        }
    }

    /// The value that follows, owned. A map of the image shape becomes an image (chapter 4).
    pub fn val(self: *Reader, trust: Trust) ReadError!Value {
        var depth: usize = 0;
        errdefer for (frames[0..depth]) |frame| {
            frame.container.release();
            if (frame.key) |key| key.release();
        };
        while (true) {
            var item: Value = undefined;
            const head = try self.byte();
            const opened: ?Frame = switch (head) {
                0x90...0x9f => try openList(head & 15, self, trust),
                0xdc => try openList(try self.number(u16), self, trust),
                0xdd => try openList(try self.number(u32), self, trust),
                0x80...0x8f => try openRecord(head & 15, self),
                0xde => try openRecord(try self.number(u16), self),
                0xdf => try openRecord(try self.number(u32), self),
                else => blk: {
                    self.at -= 1;
                    item = try self.scalar(trust);
                    break :blk null;
                },
            };
            if (opened) |frame| {
                if (depth == depth_max) {
                    frame.container.release();
                    return state.exceeded(.value_depth);
                }
                frames[depth] = frame;
                depth += 1;
                if (frame.left > 0) {
                    if (frame.container.tag == .record) frames[depth - 1].key = try sharedKey(try self.text(), trust);
                    continue;
                }
                depth -= 1;
                item = try finished(frame.container, trust);
            }
            // Hand the finished item up, closing every container it completes.
            while (depth > 0) {
                const frame = &frames[depth - 1];
                try attach(frame, item);
                frame.left -= 1;
                if (frame.left > 0) {
                    if (frame.container.tag == .record) frame.key = try sharedKey(try self.text(), trust);
                    break;
                }
                depth -= 1;
                item = try finished(frame.container, trust);
            } else return item;
        }
    }

    /// The value that follows, which is no list and no record; owned.
    pub fn scalar(self: *Reader, trust: Trust) ReadError!Value {
        const head = try self.byte();
        switch (head) {
            0xc0 => return Value.null,
            0xc2 => return Value.false,
            0xc3 => return Value.true,
            0x00...0x7f => return Value.fromInt(head),
            0xe0...0xff => return Value.fromInt(@as(i8, @bitCast(head))),
            0xcc => return Value.fromInt(try self.number(u8)),
            0xcd => return Value.fromInt(try self.number(u16)),
            0xce => return Value.fromInt(try self.number(u32)),
            0xcf => {
                const wide = try self.number(u64);
                if (std.math.cast(i64, wide)) |fits| return Value.fromInt(fits);
                return Value.fromFloatRaw(@floatFromInt(wide));
            },
            0xd0 => return Value.fromInt(try self.number(i8)),
            0xd1 => return Value.fromInt(try self.number(i16)),
            0xd2 => return Value.fromInt(try self.number(i32)),
            0xd3 => return Value.fromInt(try self.number(i64)),
            0xca => return float(@as(f32, @bitCast(try self.number(u32)))),
            0xcb => return float(@bitCast(try self.number(u64))),
            0xa0...0xbf, 0xd9, 0xda, 0xdb => {
                self.at -= 1;
                return Value.fromStr(try newText(try self.text(), trust));
            },
            0xd4 => return self.extension(1, trust),
            0xd5 => return self.extension(2, trust),
            0xd6 => return self.extension(4, trust),
            0xd7 => return self.extension(8, trust),
            0xd8 => return self.extension(16, trust),
            0xc7 => return self.extension(try self.number(u8), trust),
            0xc8 => return self.extension(try self.number(u16), trust),
            0xc9 => return self.extension(try self.number(u32), trust),
            else => return error.Malformed,
        }
    }

    fn extension(self: *Reader, size: u32, trust: Trust) ReadError!Value {
        const kind = try self.byte();
        var inner: Reader = .{ .input = try self.bytes(size) };
        switch (kind) {
            ext_image => {
                if (try inner.array() != 5) return error.Malformed;
                const id = try inner.text();
                const label = try inner.text();
                const image_size = try inner.unsigned();
                const width = try inner.optionalSmall();
                const height = try inner.optionalSmall();
                return makeImage(id, label, image_size, width, height, trust);
            },
            ext_projection => {
                if (try inner.array() != 3) return error.Malformed;
                const ref = try inner.small();
                const name = try newText(try inner.text(), trust);
                const steps = inner.path(trust) catch |err| {
                    name.release();
                    return err;
                };
                return Value.fromProjection(try value.Projection.create(ref, name, steps));
            },
            else => return error.Malformed,
        }
    }

    pub fn optionalSmall(self: *Reader) error{Malformed}!?u32 {
        if (self.at < self.input.len and self.input[self.at] == 0xc0) {
            self.at += 1;
            return null;
        }
        return try self.small();
    }

    /// The steps of a projection: texts and whole numbers.
    fn path(self: *Reader, trust: Trust) ReadError!*List {
        const count = try self.array();
        if (count > self.input.len - self.at) return error.Malformed;
        const steps = try List.create(count);
        errdefer steps.release();
        for (0..count) |_| {
            switch (try self.peek()) {
                0x00...0x7f, 0xe0...0xff, 0xcc...0xcf, 0xd0...0xd3, 0xa0...0xbf, 0xd9...0xdb => {},
                // Not read at all: a projection in a projection's path would nest as deep as somebody likes.
                else => return error.Malformed,
            }
            const step = try self.scalar(trust);
            errdefer step.release();
            if (step.tag == .float) return error.Malformed;
            try steps.append(step);
        }
        return steps;
    }
};

/// A float from outside, made canonical; `aux` remembers that it was written as one (see image_shape.zig).
pub fn float(x: f64) Value {
    var v = Value.fromFloat(x);
    if (v.tag == .int) v.aux = image_shape.not_plain;
    return v;
}

fn openList(count: u32, reader: *const Reader, trust: Trust) ReadError!Frame {
    if (count > reader.input.len - reader.at) return error.Malformed;
    if (trust == .limited) try list_file.checkCount(count);
    return .{ .container = Value.fromList(try List.create(count)), .left = count, .key = null };
}

fn openRecord(count: u32, reader: *const Reader) ReadError!Frame {
    if (count > reader.input.len - reader.at) return error.Malformed;
    return .{ .container = Value.fromRecord(try Record.create(count)), .left = count, .key = null };
}

/// Add an owned item to the open container; consumes it also on failure.
fn attach(frame: *Frame, item: Value) state.Error!void {
    errdefer item.release();
    if (frame.key) |key| {
        try frame.container.asRecord().put(key, item);
        key.release();
        frame.key = null;
    } else try frame.container.asList().append(item);
}

/// What a complete container stands for; consumes it.
fn finished(container: Value, trust: Trust) state.Error!Value {
    errdefer container.release();
    if (container.tag == .record) {
        if (try image_shape.imageFrom(container.asRecord())) |image| {
            container.release();
            return image;
        }
        // Only now: an image has no entries, however many members its map has.
        if (trust == .limited) try list_file.checkCount(container.asRecord().len);
    }
    if (trust == .limited) try value.checkDepth(container);
    return container;
}

fn makeImage(id: []const u8, label: []const u8, size: u64, width: ?u32, height: ?u32, trust: Trust) state.Error!Value {
    if (size > std.math.maxInt(i64)) return state.fail(.internal_error, .none, "an image of impossible size", .{});
    const id_text = try newText(id, trust);
    const label_text = newText(label, trust) catch |err| {
        id_text.release();
        return err;
    };
    return Value.fromImage(try value.Image.create(id_text, label_text, size, width, height));
}

test "values survive writing and reading" {
    heap.reset();
    heap.init(16 << 20);
    var writer: Writer = .{};
    const list = try List.create(0);
    const inner = try Record.create(0);
    const key = try string.copy("né");
    try inner.put(key, Value.fromFloatRaw(1.5));
    key.release();
    try list.append(Value.fromRecord(inner));
    for ([_]i64{ 0, -1, 127, 128, -32, -33, 1 << 40, std.math.minInt(i64), std.math.maxInt(i64) }) |i| try list.append(Value.fromInt(i));
    try list.append(Value.fromStr(try string.copy("x" ** 300)));
    try list.append(Value.null);
    try list.append(Value.true);
    const v = Value.fromList(list);
    try writer.val(v, .exact);
    var reader: Reader = .{ .input = writer.written() };
    const back = try reader.val(.limited);
    try std.testing.expectEqual(writer.len, reader.at);
    var again: Writer = .{};
    try again.val(back, .exact);
    try std.testing.expectEqualSlices(u8, writer.written(), again.written());
    back.release();
    v.release();
    writer.deinit();
    again.deinit();
    clearKeys();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}

test "keys of records that follow one another are shared, also those whose hashes end alike" {
    heap.reset();
    heap.init(16 << 20);
    var input: [keys_in_place * 8 * 2 + 3]u8 = undefined;
    var out: std.Io.Writer = .fixed(&input);
    try out.writeAll("\x92");
    for (0..2) |_| {
        try out.writeByte(0x80 | keys_in_place);
        var number: u32 = 0;
        var found: usize = 0;
        while (found < keys_in_place) : (number += 1) {
            var buffer: [6]u8 = undefined;
            const key = try std.fmt.bufPrint(&buffer, "k{d:0>5}", .{number});
            if (string.hashOf(key) % (4 * key_places) != 7) continue;
            try out.print("\xa6{s}\x01", .{key});
            found += 1;
        }
    }
    var reader: Reader = .{ .input = out.buffered() };
    const v = try reader.val(.limited);
    const first, const second = .{ v.asList().items[0].asRecord(), v.asList().items[1].asRecord() };
    for (first.slice(), second.slice()) |*one, *other| try std.testing.expectEqual(one.key, other.key);
    v.release();
    clearKeys();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}

test "cut input is refused at every length and leaks nothing" {
    heap.reset();
    heap.init(16 << 20);
    const whole = "\x93\x82\xa1a\x01\xa1b\x92\xc0\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa3xyz\x81\xa1k\x90";
    for (0..whole.len) |size| {
        var reader: Reader = .{ .input = whole[0..size] };
        try std.testing.expectError(error.Malformed, reader.val(.limited));
    }
    clearKeys();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}
