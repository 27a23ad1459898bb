//! Text: counted, immutable to everyone who does not hold the only reference.
//!
//! A `Str` knows its bytes and its code points; when the two are equal the text is ASCII and indexing
//! is O(1). Otherwise an index walks from the nearest of start, end and the *crumb*, the place found
//! last, so that a loop over positions stays linear. Bytes either follow in memory of the string's own
//! (`cap` > 0, with room to append) or belong to a parent (`cap` = 0: a view; large slices are views,
//! small ones are copied so that they do not keep a big text alive).

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const utf8 = @import("utf8.zig");

const Error = state.Error;

/// Slices shorter than this are copied.
const view_min = 1024;

/// Mixed into every hash; set by the host so that nobody can prepare colliding keys.
pub var hash_seed: u64 = 0;

pub const Str = extern struct {
    rc: u32 = 1,
    /// UTF-8 bytes.
    len: u32,
    /// Code points.
    chars: u32,
    /// Hash of the bytes, 0 while unknown.
    hash: u32 = 0,
    /// Bytes of own storage, 0 for a view and for static texts.
    cap: u32,
    crumb_byte: u32 = 0,
    crumb_char: u32 = 0,
    parent: ?*Str = null,
    ptr: [*]u8,

    pub inline fn bytes(self: *const Str) []const u8 {
        return self.ptr[0..self.len];
    }

    pub inline fn isAscii(self: *const Str) bool {
        return self.len == self.chars;
    }

    pub inline fn retain(self: *Str) *Str {
        self.rc += 1;
        return self;
    }

    pub inline fn release(self: *Str) void {
        if (self.rc > 1) self.rc -= 1 else self.destroy();
    }

    pub noinline fn destroy(self: *Str) void {
        if (self.parent) |parent| parent.release();
        if (self.cap > 0) heap.free(@alignCast(self.ptr), self.cap);
        heap.free(@ptrCast(@alignCast(self)), @sizeOf(Str));
    }

    /// The hash of the bytes, computed once.
    pub inline fn hashed(self: *Str) u32 {
        if (self.hash == 0) self.hash = hashOf(self.bytes());
        return self.hash;
    }

    pub fn eql(a: *Str, b: *Str) bool {
        if (a == b) return true;
        if (a.len != b.len) return false;
        if (a.hash != 0 and b.hash != 0 and a.hash != b.hash) return false;
        return std.mem.eql(u8, a.bytes(), b.bytes());
    }

    /// Byte offset of a code point index, which must be at most `chars`.
    pub fn offsetOf(self: *Str, index: u32) u32 {
        if (self.isAscii()) return index;
        if (index == 0) return 0;
        if (index >= self.chars) return self.len;
        const text = self.bytes();
        var from_byte: u32 = 0;
        var from_char: u32 = 0;
        var best = index;
        if (self.crumb_char != 0) {
            const distance = if (index > self.crumb_char) index - self.crumb_char else self.crumb_char - index;
            if (distance < best) {
                best = distance;
                from_byte = self.crumb_byte;
                from_char = self.crumb_char;
            }
        }
        if (self.chars - index < best) {
            from_byte = self.len;
            from_char = self.chars;
        }
        const found = if (index >= from_char)
            utf8.advance(text, from_byte, index - from_char)
        else
            utf8.retreat(text, from_byte, from_char - index);
        self.crumb_byte = @intCast(found);
        self.crumb_char = index;
        return @intCast(found);
    }

    /// Code point index of a byte offset that stands at the start of a code point (or at the end).
    pub fn indexOf(self: *Str, offset: u32) u32 {
        if (self.isAscii()) return offset;
        var from_byte: u32 = 0;
        var from_char: u32 = 0;
        if (self.crumb_char != 0 and self.crumb_byte <= offset) {
            from_byte = self.crumb_byte;
            from_char = self.crumb_char;
        }
        const index: u32 = from_char + @as(u32, @intCast(utf8.count(self.ptr[from_byte..offset])));
        if (index != 0) {
            self.crumb_byte = offset;
            self.crumb_char = index;
        }
        return index;
    }

    /// The part between two code point indexes, 0 <= from <= to <= chars.
    pub fn slice(self: *Str, from: u32, to: u32) Error!*Str {
        const first = self.offsetOf(from);
        const last = self.offsetOf(to);
        return self.part(first, last, to - from);
    }

    /// The part between two byte offsets, which holds `chars` code points.
    pub fn part(self: *Str, first: u32, last: u32, chars: u32) Error!*Str {
        const size = last - first;
        if (size == self.len) return self.retain();
        if (size < view_min) return copyKnown(self.ptr[first..last], chars);
        const root = self.parent orelse self;
        const view = try allocHeader();
        view.* = .{ .len = size, .chars = chars, .cap = 0, .parent = root.retain(), .ptr = self.ptr + first };
        return view;
    }

    /// Append to a string nobody else refers to, in place where there is room; otherwise with doubled room.
    /// Checks `string_size`; on failure nothing has changed.
    pub fn appendUnique(self: *Str, more: []const u8, more_chars: u32) Error!void {
        try checkSize(@as(u64, self.len) + more.len);
        try self.extend(more, more_chars);
    }

    /// As `appendUnique`, without the limit.
    fn extend(self: *Str, more: []const u8, more_chars: u32) Error!void {
        const total = @as(u64, self.len) + more.len;
        if (total > 0xefff_0000) return error.OutOfMemory;
        if (total > self.cap) try self.grow(@intCast(total));
        @memcpy(self.ptr[self.len..][0..more.len], more);
        self.len = @intCast(total);
        self.chars += more_chars;
        self.hash = 0;
    }

    fn grow(self: *Str, total: u32) Error!void {
        const room: u32 = @intCast(@min(@as(u64, total) + total / 2 + 32, @max(total, 0xefff_0000)));
        if (self.cap > 0) {
            self.ptr = try heap.realloc(@alignCast(self.ptr), self.cap, room);
        } else {
            const moved = try heap.alloc(room);
            @memcpy(moved[0..self.len], self.bytes());
            if (self.parent) |parent| parent.release();
            self.parent = null;
            self.ptr = moved;
        }
        self.cap = room;
    }
};

fn allocHeader() Error!*Str {
    return @ptrCast(try heap.alloc(@sizeOf(Str)));
}

/// Check the limit `string_size` for a text of `size` bytes.
pub inline fn checkSize(size: u64) Error!void {
    if (size > state.limitOf(.string_size)) return state.exceeded(.string_size);
}

/// A new string with room for exactly `size` bytes, which the caller fills; `chars` is preset to `size` (right for ASCII).
/// Checks `string_size`.
pub fn alloc(size: usize) Error!*Str {
    try checkSize(size);
    return allocUnlimited(size);
}

/// As `alloc`, without the limit: for names and constants, which are no results of the program.
pub fn allocUnlimited(size: usize) Error!*Str {
    if (size > 0xefff_0000) return error.OutOfMemory;
    const self = try allocHeader();
    errdefer heap.free(@ptrCast(@alignCast(self)), @sizeOf(Str));
    const storage: u32 = @intCast(@max(size, 1));
    const memory = try heap.alloc(storage);
    self.* = .{ .len = @intCast(size), .chars = @intCast(size), .cap = storage, .ptr = memory };
    return self;
}

/// A new string holding a copy of `text` (valid UTF-8).
pub fn copy(text: []const u8) Error!*Str {
    return copyKnown(text, @intCast(utf8.count(text)));
}

/// As `copy`, when the number of code points is known.
pub fn copyKnown(text: []const u8, chars: u32) Error!*Str {
    if (text.len == 0) return empty();
    if (text.len == 1) return ascii(text[0]);
    const self = try alloc(text.len);
    @memcpy(self.ptr[0..text.len], text);
    self.chars = chars;
    return self;
}

/// As `copy`, without the limit `string_size`.
pub fn copyUnlimited(text: []const u8) Error!*Str {
    const self = try allocUnlimited(text.len);
    @memcpy(self.ptr[0..text.len], text);
    self.chars = @intCast(utf8.count(text));
    return self;
}

/// A string of one text after the other.
pub fn concat(a: *const Str, b: *const Str) Error!*Str {
    const self = try alloc(@as(usize, a.len) + b.len);
    @memcpy(self.ptr[0..a.len], a.bytes());
    @memcpy(self.ptr[a.len..][0..b.len], b.bytes());
    self.chars = a.chars + b.chars;
    return self;
}

// Static texts start with a count so high that balanced use never brings it to zero.
const forever = 1 << 30;
const ascii_bytes: [128]u8 = blk: {
    var table: [128]u8 = undefined;
    for (&table, 0..) |*byte, i| byte.* = i;
    break :blk table;
};
var ascii_strings: [128]Str = blk: {
    var table: [128]Str = undefined;
    for (&table, 0..) |*self, i| self.* = .{ .rc = forever, .len = 1, .chars = 1, .cap = 0, .ptr = @constCast(ascii_bytes[i..].ptr) };
    break :blk table;
};
var empty_string: Str = .{ .rc = forever, .len = 0, .chars = 0, .cap = 0, .ptr = @constCast(ascii_bytes[0..].ptr) };

/// The empty text (a shared object).
pub fn empty() *Str {
    return empty_string.retain();
}

/// A text of one ASCII character (a shared object); a byte from 128 on gives U+FFFD's stand-in `?`, which valid UTF-8 never asks for.
pub fn ascii(byte: u8) *Str {
    return ascii_strings[if (byte < 128) byte else '?'].retain();
}

/// A text known at compile time (a shared object).
pub fn static(comptime text: []const u8) *Str {
    const Holder = struct {
        var self: Str = .{ .rc = forever, .len = text.len, .chars = text.len, .cap = 0, .ptr = @constCast(text.ptr) };
    };
    comptime for (text) |byte| std.debug.assert(byte < 128);
    return Holder.self.retain();
}

/// Hash of a text: multiply-and-fold over 8-byte words, as in wyhash (Wang Yi, 2019). Never 0.
pub fn hashOf(text: []const u8) u32 {
    var h: u64 = hash_seed ^ (0x9e3779b97f4a7c15 +% @as(u64, text.len));
    var rest = text;
    while (rest.len >= 8) : (rest = rest[8..]) h = fold(h ^ std.mem.readInt(u64, rest[0..8], .little));
    var tail: u64 = 0;
    if (rest.len >= 4) {
        tail = std.mem.readInt(u32, rest[0..4], .little);
        tail |= @as(u64, std.mem.readInt(u32, rest[rest.len - 4 ..][0..4], .little)) << 32;
    } else if (rest.len > 0) {
        tail = @as(u64, rest[0]) | @as(u64, rest[rest.len >> 1]) << 8 | @as(u64, rest[rest.len - 1]) << 16;
    }
    h = fold(h ^ tail);
    const folded: u32 = @truncate(h ^ (h >> 32));
    return if (folded == 0) 1 else folded;
}

inline fn fold(x: u64) u64 {
    // A full 128-bit product is slow on wasm32, two rounds of xor-shift and 64-bit multiply are not.
    const a = (x ^ (x >> 32)) *% 0xd6e8feb86659fd93;
    return (a ^ (a >> 32)) *% 0xd6e8feb86659fd93;
}

/// A growing byte buffer that becomes a string; for texts whose length is not known beforehand.
/// Its `append` checks `string_size`, so it never grows past what may become a text of the program;
/// what is only shown (a print, a message) is built without that limit.
pub const Builder = struct {
    text: ?*Str = null,
    limited: bool = true,

    pub fn append(self: *Builder, more: []const u8) Error!void {
        if (self.text == null) {
            if (self.limited) try checkSize(more.len);
            self.text = try allocUnlimited(@max(more.len, 24));
            self.text.?.len = 0;
            self.text.?.chars = 0;
        }
        if (self.limited) try self.text.?.appendUnique(more, 0) else try self.text.?.extend(more, 0);
    }

    pub fn length(self: *const Builder) usize {
        return if (self.text) |text| text.len else 0;
    }

    /// The finished text; the builder is empty afterwards.
    pub fn finish(self: *Builder) *Str {
        const text = self.text orelse return empty();
        self.text = null;
        text.chars = @intCast(utf8.count(text.bytes()));
        return text;
    }

    /// Throw away what was built; harmless after `finish`.
    pub fn deinit(self: *Builder) void {
        if (self.text) |text| text.release();
        self.text = null;
    }
};

test "offsets are found from the start, the end and the crumb" {
    heap.reset();
    heap.init(16 << 20);
    const text = try copy("aä€😀" ** 50);
    for ([_]u32{ 0, 1, 2, 3, 4, 199, 200, 100, 101, 99, 50, 150, 150, 151 }) |index| {
        try std.testing.expectEqual(utf8.advance(text.bytes(), 0, index), text.offsetOf(index));
        try std.testing.expectEqual(index, text.indexOf(text.offsetOf(index)));
    }
    text.release();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}

test "views keep their parent alive and appending to one detaches it" {
    heap.reset();
    heap.init(16 << 20);
    const text = try copy("0123456789" ** 1000);
    const view = try text.slice(10, 5010);
    const inner = try view.slice(10, 2010);
    text.release();
    view.release();
    try std.testing.expectEqualStrings("0123456789" ** 200, inner.bytes());
    try inner.appendUnique("é", 1);
    try std.testing.expectEqual(@as(u32, 2001), inner.chars);
    try std.testing.expectEqualStrings("0123456789" ** 200 ++ "é", inner.bytes());
    inner.release();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}
