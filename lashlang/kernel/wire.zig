//! msgpack, the form in which everything crosses between kernel and host (specification:
//! github.com/msgpack/msgpack/blob/master/spec.md). A `Reader` walks the host's input, a `Writer` grows
//! an output buffer. Values are built and written with an explicit stack, never by recursion.
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

// --- reading -------------------------------------------------------------------------------------

const Frame = struct { container: Value, left: u32, key: ?*Str };
var frames: [depth_max]Frame = undefined;

/// Recently seen keys, so that the records of one document share theirs.
const cached_keys = 256;
var key_cache: [cached_keys]?*Str = @splat(null);

/// Forget the shared keys.
pub fn clearKeys() void {
    for (&key_cache) |*slot| {
        if (slot.*) |key| key.release();
        slot.* = null;
    }
}

fn sharedKey(bytes: []const u8, trust: Trust) state.Error!*Str {
    if (bytes.len > 64) return newText(bytes, trust);
    const hash = string.hashOf(bytes);
    const slot = &key_cache[hash % cached_keys];
    if (slot.*) |key| if (key.hashed() == hash and std.mem.eql(u8, key.bytes(), bytes)) return key.retain();
    const key = try newText(bytes, trust);
    _ = key.hashed();
    if (slot.*) |old| old.release();
    slot.* = key.retain();
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

    fn scalar(self: *Reader, trust: Trust) ReadError!Value {
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
            const step = try self.scalar(trust);
            errdefer step.release();
            if (step.tag != .string and step.tag != .int) return error.Malformed;
            try steps.append(step);
        }
        return steps;
    }
};

/// A float from outside, made canonical; `aux` remembers that it was written as one (see image_shape.zig).
fn float(x: f64) Value {
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

// --- writing -------------------------------------------------------------------------------------

/// How numbers that JSON does not have are written: as null (chapter 4, "Value -> JSON") or as they are.
pub const Exactness = enum { json, exact };

/// Bytes of the head `[first, second, [...` that is written by `Writer.head` in front of what was collected before.
pub const head_room = 1 + 9 + 9 + 5;

/// A message buffer up to this size is kept for the next message.
const buffer_kept = 4096;

pub const Writer = struct {
    buffer: []align(16) u8 = &.{},
    len: usize = 0,

    /// Empty the buffer, giving back what a large one has beyond `buffer_kept`; so a writer that once had these
    /// many bytes can always write as many again.
    pub fn clear(self: *Writer) void {
        if (self.buffer.len > buffer_kept) {
            // Shrinking happens in place and cannot fail.
            const kept = heap.reallocMessage(self.buffer.ptr, self.buffer.len, buffer_kept) catch unreachable;
            self.buffer = kept[0..buffer_kept];
        }
        self.len = 0;
    }

    /// Give the whole buffer back.
    pub fn deinit(self: *Writer) void {
        if (self.buffer.len > 0) heap.freeMessage(self.buffer.ptr, self.buffer.len);
        self.* = .{};
    }

    /// Make room for a head in an empty buffer.
    pub fn keepHeadRoom(self: *Writer) error{OutOfMemory}!void {
        _ = try self.room(head_room);
    }

    /// Write the head of a message whose `count` last items were collected behind `keepHeadRoom`; cannot fail.
    pub fn head(self: *Writer, first: u64, second: u64, count: u32) void {
        const out = self.buffer[0..head_room];
        out[0] = 0x93;
        out[1] = 0xcf;
        std.mem.writeInt(u64, out[2..10], first, .big);
        out[10] = 0xcf;
        std.mem.writeInt(u64, out[11..19], second, .big);
        out[19] = 0xdd;
        std.mem.writeInt(u32, out[20..24], count, .big);
    }

    pub fn written(self: *const Writer) []const u8 {
        return self.buffer[0..self.len];
    }

    fn room(self: *Writer, more: usize) error{OutOfMemory}![]u8 {
        const total = self.len + more;
        if (total > self.buffer.len) {
            const size = @max(total, self.buffer.len + self.buffer.len / 2, 1024);
            const grown = if (self.buffer.len == 0)
                try heap.allocMessage(size)
            else
                try heap.reallocMessage(self.buffer.ptr, self.buffer.len, size);
            self.buffer = grown[0..size];
        }
        defer self.len = total;
        return self.buffer[self.len..total];
    }

    pub fn raw(self: *Writer, more: []const u8) error{OutOfMemory}!void {
        @memcpy(try self.room(more.len), more);
    }

    fn tagged(self: *Writer, tag: u8, comptime T: type, n: T) error{OutOfMemory}!void {
        const out = try self.room(1 + @sizeOf(T));
        out[0] = tag;
        std.mem.writeInt(T, out[1..][0..@sizeOf(T)], n, .big);
    }

    pub fn nil(self: *Writer) error{OutOfMemory}!void {
        (try self.room(1))[0] = 0xc0;
    }

    pub fn boolean(self: *Writer, b: bool) error{OutOfMemory}!void {
        (try self.room(1))[0] = if (b) 0xc3 else 0xc2;
    }

    pub fn integer(self: *Writer, i: i64) error{OutOfMemory}!void {
        if (i >= -32 and i <= 127) {
            (try self.room(1))[0] = @bitCast(@as(i8, @intCast(i)));
        } else if (i >= std.math.minInt(i32) and i <= std.math.maxInt(i32)) {
            try self.tagged(0xd2, i32, @intCast(i));
        } else try self.tagged(0xd3, i64, i);
    }

    pub fn unsigned(self: *Writer, n: u64) error{OutOfMemory}!void {
        if (n <= std.math.maxInt(i64)) return self.integer(@intCast(n));
        try self.tagged(0xcf, u64, n);
    }

    pub fn text(self: *Writer, bytes: []const u8) error{OutOfMemory}!void {
        if (bytes.len < 32) {
            (try self.room(1))[0] = 0xa0 | @as(u8, @intCast(bytes.len));
        } else if (bytes.len < 1 << 8) {
            try self.tagged(0xd9, u8, @intCast(bytes.len));
        } else if (bytes.len < 1 << 16) {
            try self.tagged(0xda, u16, @intCast(bytes.len));
        } else try self.tagged(0xdb, u32, @intCast(bytes.len));
        try self.raw(bytes);
    }

    pub fn array(self: *Writer, count: u32) error{OutOfMemory}!void {
        if (count < 16) {
            (try self.room(1))[0] = 0x90 | @as(u8, @intCast(count));
        } else if (count < 1 << 16) {
            try self.tagged(0xdc, u16, @intCast(count));
        } else try self.tagged(0xdd, u32, count);
    }

    fn mapping(self: *Writer, count: u32) error{OutOfMemory}!void {
        if (count < 16) {
            (try self.room(1))[0] = 0x80 | @as(u8, @intCast(count));
        } else if (count < 1 << 16) {
            try self.tagged(0xde, u16, @intCast(count));
        } else try self.tagged(0xdf, u32, count);
    }

    const Open = struct { container: Value, next: u32 };
    var stack: [depth_max]Open = undefined;

    /// A whole value. Its expanded size must have been checked, its depth is bounded.
    pub fn val(self: *Writer, v: Value, exactness: Exactness) state.Error!void {
        var depth: usize = 0;
        var item = v;
        while (true) {
            switch (item.tag) {
                .list, .record => {
                    if (depth == depth_max) return state.exceeded(.value_depth);
                    if (item.tag == .list) try self.array(item.asList().len) else try self.mapping(item.asRecord().len);
                    stack[depth] = .{ .container = item, .next = 0 };
                    depth += 1;
                },
                else => try self.scalar(item, exactness),
            }
            item = while (depth > 0) {
                const open = &stack[depth - 1];
                defer open.next += 1;
                if (open.container.tag == .list) {
                    const list = open.container.asList();
                    if (open.next < list.len) break list.items[open.next];
                } else {
                    const record = open.container.asRecord();
                    if (open.next < record.len) {
                        const entry = &record.entries[open.next];
                        try self.text(entry.key.bytes());
                        break entry.value;
                    }
                }
                depth -= 1;
            } else return;
        }
    }

    fn scalar(self: *Writer, v: Value, exactness: Exactness) state.Error!void {
        switch (v.tag) {
            .bool => try self.boolean(v.asBool()),
            .int => try self.integer(v.asInt()),
            .float => {
                if (exactness == .json and !std.math.isFinite(v.asFloat())) return self.nil();
                try self.tagged(0xcb, u64, v.bits);
            },
            .string => try self.text(v.asStr().bytes()),
            .image => try self.image(v.asImage()),
            .projection => try self.projection(v.asProjection()),
            else => try self.nil(),
        }
    }

    /// Write an extension whose payload is written by `payload`, with a 32-bit length patched in.
    fn extended(self: *Writer, kind: u8, context: anytype, comptime payload: fn (*Writer, @TypeOf(context)) state.Error!void) state.Error!void {
        const start = self.len;
        _ = try self.room(6);
        try payload(self, context);
        const out = self.buffer[start..][0..6];
        out[0] = 0xc9;
        std.mem.writeInt(u32, out[1..5], @intCast(self.len - start - 6), .big);
        out[5] = kind;
    }

    fn image(self: *Writer, picture: *value.Image) state.Error!void {
        try self.extended(ext_image, picture, struct {
            fn write(w: *Writer, i: *value.Image) state.Error!void {
                try w.array(5);
                try w.text(i.id.bytes());
                try w.text(i.label.bytes());
                try w.unsigned(i.size);
                if (i.width < 0) try w.nil() else try w.integer(i.width);
                if (i.height < 0) try w.nil() else try w.integer(i.height);
            }
        }.write);
    }

    pub fn projection(self: *Writer, stand_in: *value.Projection) state.Error!void {
        try self.extended(ext_projection, stand_in, struct {
            fn write(w: *Writer, p: *value.Projection) state.Error!void {
                try w.array(3);
                try w.unsigned(p.ref);
                try w.text(p.name.bytes());
                try w.array(p.path.len);
                for (p.path.slice()) |step| try w.scalar(step, .exact);
            }
        }.write);
    }
};

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
