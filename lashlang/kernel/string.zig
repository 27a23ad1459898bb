//! Text: counted, immutable to everyone who does not hold the only reference.
//!
//! A `Str` knows its bytes and its code points; when the two are equal the text is ASCII and indexing
//! is O(1). Otherwise an index walks from the nearest of start, end and the *crumb*, the place found
//! last, so that a loop over positions stays linear.
//!
//! A program that builds a text piece by piece, `out = out + line + "\n"`, makes a new text of a long one and a short
//! one again and again. The new text is then a view that goes on in the spare room behind the old one, which
//! keeps showing its own part, so that building stays linear (`continued`).
//!
//! There are four forms, told apart by `cap`, the room for bytes that lies in the text's own block:
//!
//!  - short (up to `short_max`): header and bytes, nothing else. Most texts are words, so this is what counts;
//!    a walk through one is short enough to do without a crumb;
//!  - long (above): header, `Tail`, bytes;
//!  - view (`cap` = 0): header and `Tail`; the bytes belong to the parent named there. Large slices are views,
//!    small ones are copied so that they do not keep a big text alive;
//!  - static (`cap` = 0): a header only, its bytes in the module. Static texts are short, ASCII and never freed,
//!    so nobody ever looks for their tail.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const utf8 = @import("utf8.zig");
const runs = @import("bytes.zig");

const Error = state.Error;

/// Slices shorter than this are copied.
const view_min = 1024;
/// Going through this many bytes is work that counts for the slice.
const long = 1024;

/// Mixed into every hash; set by the host so that nobody can prepare colliding keys.
pub var hash_seed: u64 = 0;

/// Room for bytes up to which a text is short: its block is then one of the heap's small ones.
const short_max = heap.small_max - @sizeOf(Str);

/// What long texts and views have behind the header.
const Tail = extern struct {
    /// The place found last: a byte offset and its code point index; none while that is 0.
    crumb_byte: u32 = 0,
    crumb_char: u32 = 0,
    /// Whose bytes a view shows.
    parent: ?*Str = null,
    /// In a block of its own: how far it is filled, where views go on behind the text (`continued`); 0 while none does.
    used: u32 = 0,
};

pub const Str = extern struct {
    rc: u32 = 1,
    /// UTF-8 bytes.
    len: u32,
    /// Code points.
    chars: u32,
    /// Hash of the bytes, 0 while unknown.
    hash: u32 = 0,
    /// Bytes of room in the text's own block, 0 for a view and for static texts.
    cap: u32,
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

    pub inline fn destroy(self: *Str) void {
        if (self.isShort()) {
            heap.free(@ptrCast(@alignCast(self)), @sizeOf(Str) + self.cap);
        } else self.destroyLong();
    }

    noinline fn destroyLong(self: *Str) void {
        const parent = self.tail().parent;
        heap.free(@ptrCast(@alignCast(self)), @sizeOf(Str) + @sizeOf(Tail) + @as(usize, self.cap));
        if (parent) |whole| whole.release();
    }

    /// Whose block holds the bytes of a view, or of a text that views may show parts of; null for short and static ones.
    pub fn owner(self: *Str) ?*Str {
        if (self.cap == 0) return if (self.len < view_min) null else self.tail().parent;
        return if (self.isShort()) null else self;
    }

    /// The bytes of an owner that texts may show: its own, and those that views have put behind them.
    pub fn shown(self: *Str) []const u8 {
        return self.ptr[0..@max(self.len, self.tail().used)];
    }

    inline fn isShort(self: *const Str) bool {
        return self.cap -% 1 < short_max;
    }

    /// What is behind the header of a long text or a view.
    inline fn tail(self: *Str) *Tail {
        return @ptrFromInt(@intFromPtr(self) + @sizeOf(Str));
    }

    /// The hash of the bytes, computed once.
    pub inline fn hashed(self: *Str) u32 {
        if (self.hash == 0) self.hash = if (self.isWord()) hashOfEnd(hashStart(self.len), self.asWord()) else hashOf(self.bytes());
        return self.hash;
    }

    /// Whether the text is at most eight bytes in a short text's own room, which is never less than eight.
    inline fn isWord(self: *const Str) bool {
        return self.isShort() and self.len <= 8;
    }

    /// The bytes of such a text, followed by zeros.
    inline fn asWord(self: *const Str) u64 {
        const all = std.mem.readInt(u64, @as([*]const u8, @ptrCast(self))[@sizeOf(Str)..][0..8], .little);
        return if (self.len < 8) all & ((@as(u64, 1) << @intCast(self.len * 8)) - 1) else all;
    }

    pub inline fn eql(a: *Str, b: *Str) bool {
        if (a == b) return true;
        if (a.len != b.len) return false;
        if (a.hash != 0 and b.hash != 0 and a.hash != b.hash) return false;
        return a.eqlBytes(b);
    }

    /// As `eql`, for texts of the same length and hash.
    pub inline fn eqlBytes(a: *Str, b: *Str) bool {
        if (a.isWord() and b.isShort()) return a.asWord() == b.asWord();
        return if (a.len < long) std.mem.eql(u8, a.bytes(), b.bytes()) else eqlLong(a, b);
    }

    noinline fn eqlLong(a: *Str, b: *Str) bool {
        state.spend(a.len / 16);
        return std.mem.eql(u8, a.bytes(), b.bytes());
    }

    /// Count the code points of bytes that may be anything; `Malformed` where they are not UTF-8.
    pub noinline fn checkBytes(self: *Str) error{Malformed}!void {
        if (!utf8.isValid(self.bytes())) return error.Malformed;
        self.chars = @intCast(utf8.count(self.bytes()));
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
        const crumbs = if (self.isShort()) null else self.tail();
        if (crumbs) |crumb| if (crumb.crumb_char != 0) {
            const distance = if (index > crumb.crumb_char) index - crumb.crumb_char else crumb.crumb_char - index;
            if (distance < best) {
                best = distance;
                from_byte = crumb.crumb_byte;
                from_char = crumb.crumb_char;
            }
        };
        if (self.chars - index < best) {
            from_byte = self.len;
            from_char = self.chars;
        }
        const found = if (index >= from_char)
            utf8.advance(text, from_byte, index - from_char)
        else
            utf8.retreat(text, from_byte, from_char - index);
        if (best > long) state.spend(best / 16);
        if (crumbs) |crumb| {
            crumb.crumb_byte = @intCast(found);
            crumb.crumb_char = index;
        }
        return @intCast(found);
    }

    /// Code point index of a byte offset that stands at the start of a code point (or at the end).
    pub fn indexOf(self: *Str, offset: u32) u32 {
        if (self.isAscii()) return offset;
        if (self.isShort()) return @intCast(utf8.count(self.ptr[0..offset]));
        const crumb = self.tail();
        var from_byte: u32 = 0;
        var from_char: u32 = 0;
        if (crumb.crumb_char != 0 and crumb.crumb_byte <= offset) {
            from_byte = crumb.crumb_byte;
            from_char = crumb.crumb_char;
        }
        const index: u32 = from_char + @as(u32, @intCast(utf8.count(self.ptr[from_byte..offset])));
        if (offset - from_byte > long) state.spend((offset - from_byte) / 16);
        if (index != 0) {
            crumb.crumb_byte = offset;
            crumb.crumb_char = index;
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
    pub inline fn part(self: *Str, first: u32, last: u32, chars: u32) Error!*Str {
        const size = last - first;
        if (size == self.len) return self.retain();
        if (size < view_min) return copyKnown(self.ptr[first..last], chars);
        return self.view(first, size, chars);
    }

    /// This text and `more` as one text, made without copying this one; null where there is no room right behind it.
    pub fn continued(self: *Str, more: []const u8, more_chars: u32) Error!?*Str {
        const root = self.filledTo(more.len) orelse return null;
        const made = try self.view(0, self.len, self.chars);
        root.goOn(self.len + (self.ptr - root.ptr), more);
        made.len += @intCast(more.len);
        made.chars += more_chars;
        return made;
    }

    /// The owner of this text's bytes, if they end where the owner's room is free for `size` more; else null.
    fn filledTo(self: *Str, size: usize) ?*Str {
        if (self.len < view_min) return null;
        const root = self.tail().parent orelse self;
        const end = (self.ptr - root.ptr) + self.len;
        if (end != @max(root.len, root.tail().used) or size > root.cap - end) return null;
        return root;
    }

    /// Put `more` into the room from `end` on.
    fn goOn(root: *Str, end: usize, more: []const u8) void {
        runs.copy(root.ptr + end, more.ptr, more.len);
        root.tail().used = @intCast(end + more.len);
    }

    fn view(self: *Str, first: u32, size: u32, chars: u32) Error!*Str {
        // A text that has so long a part is no short one, and static ones are: there is a tail.
        const root = self.tail().parent orelse self;
        const made: *Str = @ptrCast(try heap.alloc(@sizeOf(Str) + @sizeOf(Tail)));
        made.* = .{ .len = size, .chars = chars, .cap = 0, .ptr = self.ptr + first };
        made.tail().* = .{ .parent = root.retain() };
        return made;
    }
};

/// Append to the string in `slot`, which nobody else refers to: in place where there is room; otherwise it moves to
/// where there is half as much again. Checks `string_size`; on failure nothing has changed.
pub fn appendTo(slot: **Str, more: []const u8, more_chars: u32) Error!void {
    try checkSize(@as(u64, slot.*.len) + more.len);
    try extend(slot, more, more_chars);
}

/// As `appendTo`, without the limit.
fn extend(slot: **Str, more: []const u8, more_chars: u32) Error!void {
    const total = @as(u64, slot.*.len) + more.len;
    if (total > most_bytes) return error.OutOfMemory;
    if (total > slot.*.cap) {
        if (slot.*.cap == 0) if (slot.*.filledTo(more.len)) |root| {
            root.goOn(slot.*.len + (slot.*.ptr - root.ptr), more);
            return lengthen(slot.*, total, more_chars);
        };
        slot.* = try grow(slot.*, @intCast(total));
    }
    const self = slot.*;
    runs.copy(self.ptr + self.len, more.ptr, more.len);
    // The only reference: no view goes on behind the text any more.
    if (self.cap > short_max) self.tail().used = 0;
    lengthen(self, total, more_chars);
}

inline fn lengthen(self: *Str, total: u64, more_chars: u32) void {
    self.len = @intCast(total);
    self.chars += more_chars;
    self.hash = 0;
}

/// The same text with room for `total` bytes and more; `self` is gone then.
noinline fn grow(self: *Str, total: u32) Error!*Str {
    const room: u32 = @intCast(@min(@as(u64, total) + total / 2 + 32, most_bytes));
    if (self.cap > short_max) {
        const size = @sizeOf(Str) + @sizeOf(Tail);
        const moved: *Str = @ptrCast(try heap.realloc(@ptrCast(@alignCast(self)), size + self.cap, size + room));
        moved.cap = room;
        moved.ptr = @as([*]u8, @ptrCast(moved)) + size;
        return moved;
    }
    const moved = try allocUnlimited(room);
    @memcpy(moved.ptr[0..self.len], self.bytes());
    moved.len = self.len;
    moved.chars = self.chars;
    self.destroy();
    return moved;
}

/// No text has more bytes than this.
const most_bytes = 0xefff_0000;

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
    return take(size) orelse error.OutOfMemory;
}

/// As `allocUnlimited`, null when there is no memory.
pub inline fn take(size: usize) ?*Str {
    if (size > short_max) return takeLong(size);
    const block = std.mem.alignForward(usize, @sizeOf(Str) + @as(usize, @max(size, 8)), 16);
    const memory = heap.allocOrNull(block) orelse return null;
    const self: *Str = @ptrCast(memory);
    self.* = .{
        .len = @intCast(size),
        .chars = @intCast(size),
        .cap = @intCast(block - @sizeOf(Str)),
        .ptr = memory + @sizeOf(Str),
    };
    return self;
}

noinline fn takeLong(size: usize) ?*Str {
    if (size > most_bytes) return null;
    const memory = heap.allocOrNull(@sizeOf(Str) + @sizeOf(Tail) + size) orelse return null;
    const self: *Str = @ptrCast(memory);
    self.* = .{
        .len = @intCast(size),
        .chars = @intCast(size),
        .cap = @intCast(size),
        .ptr = memory + @sizeOf(Str) + @sizeOf(Tail),
    };
    self.tail().* = .{};
    return self;
}

/// A new string holding a copy of `text` (valid UTF-8).
pub fn copy(text: []const u8) Error!*Str {
    return copyKnown(text, @intCast(utf8.count(text)));
}

/// As `copy`, when the number of code points is known.
pub inline fn copyKnown(text: []const u8, chars: u32) Error!*Str {
    if (text.len == 0) return empty();
    if (text.len == 1) return ascii(text[0]);
    try checkSize(text.len);
    return copied(text.ptr, text.len, chars) orelse error.OutOfMemory;
}

/// As `copy`, without the limit `string_size`.
pub fn copyUnlimited(text: []const u8) Error!*Str {
    return copied(text.ptr, text.len, @intCast(utf8.count(text))) orelse error.OutOfMemory;
}

fn copied(from: [*]const u8, size: usize, chars: u32) ?*Str {
    const self = take(size) orelse return null;
    runs.copy(self.ptr, from, size);
    self.chars = chars;
    return self;
}

/// As `Str.part` for an ASCII text, made for cutting it into words: an ordinary one is copied with one load and one
/// store, whatever its length, so that the lengths of words decide no branch.
pub inline fn word(text: *Str, first: u32, last: u32) Error!*Str {
    const size = last - first;
    if (size -% 2 > 6 or text.len - first < 8) return text.part(first, last, size);
    try checkSize(size);
    const self = take(8) orelse return error.OutOfMemory;
    self.len = size;
    self.chars = size;
    @as(*align(1) u64, @ptrCast(self.ptr)).* = @as(*align(1) const u64, @ptrCast(text.ptr + first)).*;
    return self;
}

/// A string of one text after the other; with room to go on where a long text is only lengthened a little.
pub fn concat(a: []const u8, a_chars: u32, b: []const u8, b_chars: u32) Error!*Str {
    const size = a.len + b.len;
    try checkSize(size);
    const spare = if (a.len >= view_min and b.len < a.len / 2) a.len / 2 else 0;
    const self = take(size + spare) orelse take(size) orelse return error.OutOfMemory;
    self.len = @intCast(size);
    runs.copy(self.ptr, a.ptr, a.len);
    runs.copy(self.ptr + a.len, b.ptr, b.len);
    self.chars = a_chars + b_chars;
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
    comptime std.debug.assert(text.len < view_min);
    comptime for (text) |byte| std.debug.assert(byte < 128);
    return Holder.self.retain();
}

/// Hash of a text: multiply-and-fold over 8-byte words, as in wyhash (Wang Yi, 2019); the last word, of one to
/// eight bytes, is filled up with zeros. Never 0.
pub fn hashOf(text: []const u8) u32 {
    var h = hashStart(text.len);
    var rest = text;
    while (rest.len > 8) : (rest = rest[8..]) h = fold(h ^ std.mem.readInt(u64, rest[0..8], .little));
    return hashOfEnd(h, lastWord(rest));
}

inline fn hashStart(len: usize) u64 {
    return hash_seed ^ (0x9e3779b97f4a7c15 +% @as(u64, len));
}

inline fn hashOfEnd(before: u64, end: u64) u32 {
    const h = fold(before ^ end);
    const folded: u32 = @truncate(h ^ (h >> 32));
    return if (folded == 0) 1 else folded;
}

/// Up to eight bytes, followed by zeros. Loads may overlap: what they have in common is the same.
inline fn lastWord(rest: []const u8) u64 {
    const len = rest.len;
    if (len == 8) return std.mem.readInt(u64, rest[0..8], .little);
    if (len >= 4) {
        const end: u64 = std.mem.readInt(u32, rest[len - 4 ..][0..4], .little);
        return std.mem.readInt(u32, rest[0..4], .little) | end << @intCast((len - 4) * 8);
    }
    var bits: u64 = 0;
    for (rest, 0..) |byte, i| bits |= @as(u64, byte) << @intCast(i * 8);
    return bits;
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
        if (self.limited) try appendTo(&self.text.?, more, 0) else try extend(&self.text.?, more, 0);
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

test "a word is the same part of a text wherever it stands in it" {
    heap.reset();
    heap.init(16 << 20);
    const text = try copy("0123456789abcdefghij");
    for (0..text.len + 1) |first| for (first..text.len + 1) |last| {
        const one = try word(text, @intCast(first), @intCast(last));
        try std.testing.expectEqualStrings(text.bytes()[first..last], one.bytes());
        try std.testing.expectEqual(one.len, one.chars);
        one.release();
    };
    text.release();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}

test "a hash depends on the bytes alone, not on the form of the text" {
    heap.reset();
    heap.init(16 << 20);
    const text = "0123456789abcdefghij";
    for (0..text.len + 1) |len| {
        const own = try copyUnlimited(text[0..len]);
        const other = try allocUnlimited(40);
        @memset(other.ptr[0..40], 'x');
        @memcpy(other.ptr[0..len], text[0..len]);
        other.len = @intCast(len);
        other.chars = @intCast(len);
        try std.testing.expectEqual(hashOf(text[0..len]), own.hashed());
        try std.testing.expectEqual(own.hashed(), other.hashed());
        try std.testing.expect(own.eql(other));
        if (len > 0) {
            other.ptr[len - 1] ^= 1;
            other.hash = 0;
            try std.testing.expect(!own.eql(other));
        }
        own.release();
        other.release();
    }
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}

test "a text goes on in the room behind a long one, once, and the old one stays as it was" {
    heap.reset();
    heap.init(16 << 20);
    const old = try concat("0123456789" ** 200, 2000, "é", 1);
    const longer = (try old.continued("abc", 3)).?;
    try std.testing.expectEqual(@as(?*Str, null), try old.continued("xyz", 3));
    var longest = (try longer.continued("€", 1)).?;
    try appendTo(&longest, "!", 1);
    try std.testing.expectEqualStrings("0123456789" ** 200 ++ "é", old.bytes());
    try std.testing.expectEqualStrings("0123456789" ** 200 ++ "éabc", longer.bytes());
    try std.testing.expectEqualStrings("0123456789" ** 200 ++ "éabc€!", longest.bytes());
    try std.testing.expectEqual(@as(u32, 2006), longest.chars);
    try std.testing.expectEqual(old.ptr, longest.ptr);
    longer.release();
    longest.release();
    var own = old;
    try appendTo(&own, "tail", 4);
    try std.testing.expectEqualStrings("0123456789" ** 200 ++ "étail", own.bytes());
    const again = (try own.continued("more", 4)).?;
    try std.testing.expectEqualStrings("0123456789" ** 200 ++ "étailmore", again.bytes());
    own.release();
    again.release();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}

test "views keep their parent alive and appending to one detaches it" {
    heap.reset();
    heap.init(16 << 20);
    const text = try copy("0123456789" ** 1000);
    const view = try text.slice(10, 5010);
    var inner = try view.slice(10, 2010);
    text.release();
    view.release();
    try std.testing.expectEqualStrings("0123456789" ** 200, inner.bytes());
    try appendTo(&inner, "é", 1);
    try std.testing.expectEqual(@as(u32, 2001), inner.chars);
    try std.testing.expectEqualStrings("0123456789" ** 200 ++ "é", inner.bytes());
    inner.release();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}
