//! Writing msgpack: the other half of wire.zig.

const std = @import("std");
const heap = @import("heap.zig");
const runs = @import("bytes.zig");
const state = @import("state.zig");
const value = @import("value.zig");
const wire = @import("wire.zig");

const Value = value.Value;

const ext_image = wire.ext_image;
const ext_projection = wire.ext_projection;
const depth_max = wire.depth_max;

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
        try self.leave(head_room);
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

    /// Have room for `more` bytes.
    inline fn reserve(self: *Writer, more: usize) error{OutOfMemory}!void {
        if (self.buffer.len - self.len < more) try self.grow(more);
    }

    noinline fn grow(self: *Writer, more: usize) error{OutOfMemory}!void {
        const size = @max(self.len + more, self.buffer.len + self.buffer.len / 2, 1024);
        const grown = if (self.buffer.len == 0)
            try heap.allocMessage(size)
        else
            try heap.reallocMessage(self.buffer.ptr, self.buffer.len, size);
        self.buffer = grown[0..size];
    }

    /// Step over `size` bytes, which are written later.
    fn leave(self: *Writer, size: usize) error{OutOfMemory}!void {
        try self.reserve(size);
        self.len += size;
    }

    pub inline fn raw(self: *Writer, more: []const u8) error{OutOfMemory}!void {
        try self.reserve(more.len);
        runs.copy(self.buffer.ptr + self.len, more.ptr, more.len);
        self.len += more.len;
    }

    inline fn byte(self: *Writer, b: u8) error{OutOfMemory}!void {
        try self.reserve(1);
        self.buffer[self.len] = b;
        self.len += 1;
    }

    inline fn tagged(self: *Writer, tag: u8, comptime T: type, n: T) error{OutOfMemory}!void {
        try self.reserve(1 + @sizeOf(T));
        const out = self.buffer[self.len..][0 .. 1 + @sizeOf(T)];
        out[0] = tag;
        std.mem.writeInt(T, out[1..], n, .big);
        self.len += 1 + @sizeOf(T);
    }

    pub fn nil(self: *Writer) error{OutOfMemory}!void {
        try self.byte(0xc0);
    }

    pub fn boolean(self: *Writer, b: bool) error{OutOfMemory}!void {
        try self.byte(if (b) 0xc3 else 0xc2);
    }

    pub fn integer(self: *Writer, i: i64) error{OutOfMemory}!void {
        if (i >= -32 and i <= 127) {
            try self.byte(@bitCast(@as(i8, @intCast(i))));
        } else if (i >= std.math.minInt(i32) and i <= std.math.maxInt(i32)) {
            try self.tagged(0xd2, i32, @intCast(i));
        } else try self.tagged(0xd3, i64, i);
    }

    pub fn unsigned(self: *Writer, n: u64) error{OutOfMemory}!void {
        if (n <= 127) {
            try self.byte(@intCast(n));
        } else if (n <= std.math.maxInt(u32)) {
            try self.tagged(0xce, u32, @intCast(n));
        } else try self.tagged(0xcf, u64, n);
    }

    pub fn text(self: *Writer, bytes: []const u8) error{OutOfMemory}!void {
        if (bytes.len < 32) {
            try self.byte(0xa0 | @as(u8, @intCast(bytes.len)));
        } else if (bytes.len < 1 << 8) {
            try self.tagged(0xd9, u8, @intCast(bytes.len));
        } else if (bytes.len < 1 << 16) {
            try self.tagged(0xda, u16, @intCast(bytes.len));
        } else try self.tagged(0xdb, u32, @intCast(bytes.len));
        try self.raw(bytes);
    }

    pub fn array(self: *Writer, count: u32) error{OutOfMemory}!void {
        if (count < 16) {
            try self.byte(0x90 | @as(u8, @intCast(count)));
        } else if (count < 1 << 16) {
            try self.tagged(0xdc, u16, @intCast(count));
        } else try self.tagged(0xdd, u32, count);
    }

    pub fn mapping(self: *Writer, count: u32) error{OutOfMemory}!void {
        if (count < 16) {
            try self.byte(0x80 | @as(u8, @intCast(count)));
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

    /// A value that is no list and no record.
    pub fn scalar(self: *Writer, v: Value, exactness: Exactness) state.Error!void {
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
        try self.leave(6);
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
