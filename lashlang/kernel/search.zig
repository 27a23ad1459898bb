//! Searching bytes: substrings, single bytes, lines, words and pieces of a text. UTF-8 needs nothing special here: a
//! well-formed needle can only match at code point boundaries.
//!
//! `find` compares the first and the last byte of the needle at sixteen places at once and looks closer only where both
//! agree. On ordinary text that is as fast as memory; on text made for it, such as a needle of `a`s with one `b` in a
//! haystack of `a`s, looking closer could cost needle times haystack. So it keeps an account: once looking closer has
//! cost more than a few times the bytes passed, the two-way algorithm (Crochemore and Perrin, 1991) takes over, which
//! is linear for every input and needs no memory.

const std = @import("std");
const utf8 = @import("utf8.zig");

const lanes = 16;
const Block = @Vector(lanes, u8);
const BlockMask = u16;

inline fn load(bytes: []const u8, at: usize) Block {
    return bytes[at..][0..lanes].*;
}

inline fn equalLanes(block: Block, byte: Block) BlockMask {
    return @bitCast(block == byte);
}

/// The places of one byte in a text, in order. The text is compared in blocks; where the last one is not whole, the
/// last sixteen bytes are looked at and those seen before left out.
pub const Places = struct {
    text: []const u8,
    wanted: Block,
    /// Places not yet given, relative to `block`.
    hits: BlockMask = 0,
    block: usize = 0,
    /// The offset up to which the text has been compared.
    at: usize,

    pub inline fn init(text: []const u8, byte: u8, from: usize) Places {
        return .{ .text = text, .wanted = @splat(byte), .at = @min(from, text.len) };
    }

    pub inline fn next(self: *Places) ?usize {
        while (self.hits == 0) if (!self.advance()) return null;
        const place = self.block + @ctz(self.hits);
        self.hits &= self.hits - 1;
        return place;
    }

    /// Compare the next block; false at the end of the text.
    inline fn advance(self: *Places) bool {
        if (self.at + lanes <= self.text.len) {
            self.block = self.at;
            self.hits = equalLanes(load(self.text, self.at), self.wanted);
            self.at += lanes;
            return true;
        }
        if (self.at == self.text.len) return false;
        self.block = self.at;
        self.hits = equalInTail(self.text, self.at, self.wanted);
        self.at = self.text.len;
        return true;
    }
};

/// The places of a byte in the less than sixteen bytes from `at` to the end, relative to `at`.
inline fn equalInTail(text: []const u8, at: usize, wanted: Block) BlockMask {
    if (text.len >= lanes) {
        const start = text.len - lanes;
        return equalLanes(load(text, start), wanted) >> @intCast(at - start);
    }
    var hits: BlockMask = 0;
    for (text[at..], 0..) |byte, i| hits |= @as(BlockMask, @intFromBool(byte == wanted[0])) << @intCast(i);
    return hits;
}

/// The offset of the first `byte` at or after `from`, or null.
pub fn findByte(haystack: []const u8, byte: u8, from: usize) ?usize {
    var places: Places = .init(haystack, byte, from);
    return places.next();
}

/// The offset of the last `byte` below the offset `before`, or null.
pub fn findLastByte(haystack: []const u8, byte: u8, before: usize) ?usize {
    const wanted: Block = @splat(byte);
    var end = @min(before, haystack.len);
    while (end >= lanes) : (end -= lanes) {
        const hits = equalLanes(load(haystack, end - lanes), wanted);
        if (hits != 0) return end - 1 - @clz(hits);
    }
    while (end > 0) : (end -= 1) {
        if (haystack[end - 1] == byte) return end - 1;
    }
    return null;
}

/// How many bytes are `byte`.
pub fn countByte(haystack: []const u8, byte: u8) usize {
    const wanted: Block = @splat(byte);
    var total: usize = 0;
    var at: usize = 0;
    while (at + lanes <= haystack.len) : (at += lanes) total += @popCount(equalLanes(load(haystack, at), wanted));
    if (at < haystack.len) total += @popCount(equalInTail(haystack, at, wanted));
    return total;
}

/// The offset of the first occurrence of `needle` at or after `from`, or null. The empty needle occurs at `from`, if
/// that is not beyond the end. Time is linear in both lengths for every input.
pub fn find(haystack: []const u8, needle: []const u8, from: usize) ?usize {
    if (from > haystack.len or haystack.len - from < needle.len) return null;
    if (needle.len == 0) return from;
    if (needle.len == 1) return findByte(haystack, needle[0], from);

    const first: Block = @splat(needle[0]);
    const last: Block = @splat(needle[needle.len - 1]);
    const last_offset = needle.len - 1;
    const last_start = haystack.len - needle.len;
    var account: Account = .{};
    var at = from;
    while (at + last_offset + lanes <= haystack.len) : (at += lanes) {
        var candidates = equalLanes(load(haystack, at), first) & equalLanes(load(haystack, at + last_offset), last);
        while (candidates != 0) : (candidates &= candidates - 1) {
            const candidate = at + @ctz(candidates);
            if (account.matches(haystack[candidate..], needle)) return candidate;
            if (account.exceeds(candidate - from)) return findTwoWay(haystack, needle, candidate + 1);
        }
    }
    // The rest has less than sixteen places: the last sixteen are compared once more, if there are that many.
    if (at <= last_start and last_start + 1 >= lanes) {
        const block = last_start + 1 - lanes;
        const seen: std.math.Log2Int(BlockMask) = @intCast(at - block);
        var candidates = equalLanes(load(haystack, block), first) & equalLanes(load(haystack, block + last_offset), last);
        candidates = candidates >> seen << seen;
        while (candidates != 0) : (candidates &= candidates - 1) {
            const candidate = block + @ctz(candidates);
            if (account.matches(haystack[candidate..], needle)) return candidate;
            if (account.exceeds(candidate - from)) return findTwoWay(haystack, needle, candidate + 1);
        }
        return null;
    }
    while (at <= last_start) : (at += 1) {
        if (haystack[at] != needle[0]) continue;
        if (account.matches(haystack[at..], needle)) return at;
        if (account.exceeds(at - from)) return findTwoWay(haystack, needle, at + 1);
    }
    return null;
}

/// What looking closer at candidates has cost so far.
const Account = struct {
    spent: usize = 0,

    /// Whether `text` begins with `needle`, at the cost of the bytes compared.
    inline fn matches(self: *Account, text: []const u8, needle: []const u8) bool {
        const same = commonPrefix(text, needle);
        self.spent += same + 1;
        return same == needle.len;
    }

    inline fn exceeds(self: *const Account, passed: usize) bool {
        return self.spent > 4096 and self.spent / 4 > passed;
    }
};

/// How many leading bytes agree; `text` is at least as long as `needle`.
fn commonPrefix(text: []const u8, needle: []const u8) usize {
    var at: usize = 0;
    while (at + lanes <= needle.len) : (at += lanes) {
        const same = equalLanes(load(text, at), load(needle, at));
        if (same != std.math.maxInt(BlockMask)) return at + @ctz(~same);
    }
    while (at < needle.len and text[at] == needle[at]) at += 1;
    return at;
}

/// `find` by the two-way algorithm, for needles of at least two bytes. The needle is cut at a *critical* position; its
/// right part is compared forwards, then its left part. A mismatch on the right at distance d from the cut allows a
/// shift by d, one on the left a shift by the period, after which a periodic needle need not be compared in full again.
fn findTwoWay(haystack: []const u8, needle: []const u8, from: usize) ?usize {
    const forward = maximalSuffix(needle, .less);
    const backward = maximalSuffix(needle, .greater);
    const cut, const suffix_period = if (forward.start > backward.start)
        .{ forward.start, forward.period }
    else
        .{ backward.start, backward.period };

    const periodic = suffix_period + cut <= needle.len and
        std.mem.eql(u8, needle[0..cut], needle[suffix_period..][0..cut]);
    const period = if (periodic) suffix_period else @max(cut, needle.len - cut) + 1;
    // After a shift by the period of a periodic needle this many of its leading bytes are known to match.
    const known_after_shift = if (periodic) needle.len - period else 0;

    var known: usize = 0;
    var at = from;
    while (at <= haystack.len and haystack.len - at >= needle.len) {
        const window = haystack[at..][0..needle.len];
        var right = @max(cut, known);
        while (right < needle.len and needle[right] == window[right]) right += 1;
        if (right < needle.len) {
            at += right - cut + 1;
            known = 0;
            continue;
        }
        var left = cut;
        while (left > known and needle[left - 1] == window[left - 1]) left -= 1;
        if (left <= known) return at;
        at += period;
        known = known_after_shift;
    }
    return null;
}

const Suffix = struct { start: usize, period: usize };

/// The largest suffix of the needle in the order that `alphabet` gives to bytes, and the period of that suffix.
fn maximalSuffix(needle: []const u8, comptime alphabet: enum { less, greater }) Suffix {
    var start: usize = 0; // best suffix so far
    var rival: usize = 1; // start of the suffix compared with it
    var offset: usize = 0; // bytes in which they agree, within the current period
    var period: usize = 1;
    while (rival + offset < needle.len) {
        const ours = needle[start + offset];
        const theirs = needle[rival + offset];
        const wins = if (alphabet == .less) ours > theirs else ours < theirs;
        if (ours == theirs) {
            offset += 1;
            if (offset == period) {
                rival += period;
                offset = 0;
            }
        } else if (wins) {
            rival += offset + 1;
            offset = 0;
            period = rival - start;
        } else {
            start = rival;
            rival += 1;
            offset = 0;
            period = 1;
        }
    }
    return .{ .start = start, .period = period };
}

/// Whether `needle` occurs.
pub fn contains(haystack: []const u8, needle: []const u8) bool {
    return find(haystack, needle, 0) != null;
}

/// The number of occurrences that do not overlap, taken from the left. An empty needle counts 0.
pub fn count(haystack: []const u8, needle: []const u8) usize {
    if (needle.len == 0) return 0;
    if (needle.len == 1) return countByte(haystack, needle[0]);
    var total: usize = 0;
    var at: usize = 0;
    while (find(haystack, needle, at)) |hit| : (at = hit + needle.len) total += 1;
    return total;
}

/// One line of a text, by offsets into it. `text` is without the ending; `next` is where the next line starts.
pub const Line = struct { text: []const u8, start: usize, end: usize, next: usize };

/// The line that starts at `start`: it ends at LF or the end of the text, and one CR before that LF is dropped.
fn lineAt(text: []const u8, start: usize) Line {
    const feed = findByte(text, '\n', start) orelse
        return .{ .text = text[start..], .start = start, .end = text.len, .next = text.len };
    const end = if (feed > start and text[feed - 1] == '\r') feed - 1 else feed;
    return .{ .text = text[start..end], .start = start, .end = end, .next = feed + 1 };
}

/// Iterates over the lines of a text (`lines`, `grep_text`): no extra empty line after a last LF, none for "".
pub const Lines = struct {
    text: []const u8,
    at: usize = 0,

    pub fn init(text: []const u8) Lines {
        return .{ .text = text };
    }

    pub fn next(self: *Lines) ?Line {
        if (self.at >= self.text.len) return null;
        const line = lineAt(self.text, self.at);
        self.at = line.next;
        return line;
    }
};

/// A line that holds the needle: its 1-based number and the offset of the first match in `line.text`.
pub const Hit = struct { number: usize, line: Line, at: usize };

/// Iterates over the lines holding a needle, which must not be empty. It searches the text as a whole and finds the
/// line only around a match, so lines without one cost no more than a byte search.
pub const Grep = struct {
    text: []const u8,
    needle: []const u8,
    /// The start of the first line not yet looked at, and its number.
    at: usize = 0,
    number: usize = 1,

    pub fn init(text: []const u8, needle: []const u8) Grep {
        return .{ .text = text, .needle = needle };
    }

    pub fn next(self: *Grep) ?Hit {
        if (self.needle.len == 0) return null;
        while (find(self.text, self.needle, self.at)) |match| {
            const passed = self.text[self.at..match];
            const start = if (findLastByte(passed, '\n', passed.len)) |feed| self.at + feed + 1 else self.at;
            const number = self.number + countByte(self.text[self.at..start], '\n');
            const line = lineAt(self.text, start);
            self.at = line.next;
            self.number = number + 1;
            // A match may reach into the line's ending; then no later one in this line can end earlier.
            if (match + self.needle.len <= line.end) return .{ .number = number, .line = line, .at = match - start };
        }
        return null;
    }
};

/// Iterates over the pieces between occurrences of a separator, which must not be empty. Empty pieces are kept.
pub const Pieces = struct {
    text: []const u8,
    separator: []const u8,
    at: ?usize = 0,

    pub fn init(text: []const u8, separator: []const u8) Pieces {
        return .{ .text = text, .separator = separator };
    }

    pub fn next(self: *Pieces) ?[]const u8 {
        const start = self.at orelse return null;
        if (self.separator.len != 0) if (find(self.text, self.separator, start)) |hit| {
            self.at = hit + self.separator.len;
            return self.text[start..hit];
        };
        self.at = null;
        return self.text[start..];
    }
};

/// Iterates over the non-empty pieces between runs of white space (chapter 1).
pub const Words = struct {
    text: []const u8,
    at: usize = 0,

    pub fn init(text: []const u8) Words {
        return .{ .text = text };
    }

    pub fn next(self: *Words) ?[]const u8 {
        var at = self.at;
        while (true) {
            const len = utf8.whiteSpaceLength(self.text, at);
            if (len == 0) break;
            at += len;
        }
        const start = at;
        while (at < self.text.len) : (at += 1) {
            if (is_plain[self.text[at]]) continue;
            const len = utf8.whiteSpaceLength(self.text, at);
            if (len == 0) continue;
            self.at = at + len;
            return self.text[start..at];
        }
        self.at = at;
        return if (start < at) self.text[start..] else null;
    }

    /// Bytes that can neither be nor begin white space.
    const is_plain = blk: {
        var table: [256]bool = undefined;
        for (&table, 0..) |*plain, byte| {
            const ascii_space = byte == ' ' or (byte >= 0x09 and byte <= 0x0D);
            plain.* = !ascii_space and !utf8.maybeLeadsWhiteSpace(byte);
        }
        break :blk table;
    };
};

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;

test "bytes are found, found last and counted" {
    const text = "0123456789abcdef" ** 3 ++ "x" ++ "0123456789" ++ "x";
    try testing.expectEqual(48, findByte(text, 'x', 0).?);
    try testing.expectEqual(59, findByte(text, 'x', 49).?);
    try testing.expectEqual(null, findByte(text, 'x', 60));
    try testing.expectEqual(null, findByte(text, 'y', 0));
    try testing.expectEqual(null, findByte(text, 'x', std.math.maxInt(usize)));
    try testing.expectEqual(48, findLastByte(text, 'x', 59).?);
    try testing.expectEqual(59, findLastByte(text, 'x', 1000).?);
    try testing.expectEqual(null, findLastByte(text, 'x', 48));
    try testing.expectEqual(0, findLastByte(text, '0', 16).?);
    try testing.expectEqual(2, countByte(text, 'x'));
    try testing.expectEqual(4, countByte(text, '7'));
}

test "the places of a byte are those of the plain search, in texts of every length" {
    const text = "a.bc..def...ghij....klmno.....pqrstu......";
    for (0..text.len + 1) |end| for (0..end + 1) |from| {
        var places: Places = .init(text[0..end], '.', from);
        for (text[from..end], from..) |byte, at| if (byte == '.') try testing.expectEqual(at, places.next().?);
        try testing.expectEqual(null, places.next());
    };
}

test "an empty needle occurs at the start offset" {
    try testing.expectEqual(0, find("", "", 0).?);
    try testing.expectEqual(3, find("abc", "", 3).?);
    try testing.expectEqual(null, find("abc", "", 4));
}

test "searching agrees with the plain search for every small text over two letters" {
    var random = std.Random.DefaultPrng.init(5);
    var haystack: [90]u8 = undefined;
    var needle: [24]u8 = undefined;
    for (0..60_000) |_| {
        const text = haystack[0..random.random().uintAtMost(usize, haystack.len)];
        const wanted = needle[0 .. 1 + random.random().uintLessThan(usize, needle.len)];
        const alphabet = 1 + random.random().uintLessThan(u8, 3);
        for (text) |*byte| byte.* = 'a' + random.random().uintLessThan(u8, alphabet);
        for (wanted) |*byte| byte.* = 'a' + random.random().uintLessThan(u8, alphabet);
        const from = random.random().uintAtMost(usize, text.len);
        const expected = std.mem.findPos(u8, text, from, wanted);
        try testing.expectEqual(expected, find(text, wanted, from));
        if (wanted.len > 1) try testing.expectEqual(expected, findTwoWay(text, wanted, from));
    }
}

test "periodic needles are found by the two-way search" {
    const text = "abaababaabaababaababaabaababaabaab";
    for (2..text.len) |len| for (0..text.len - len) |start| {
        const needle = text[start..][0..len];
        try testing.expectEqual(std.mem.find(u8, text, needle), findTwoWay(text, needle, 0));
    };
}

test "a hostile needle does not make the search quadratic" {
    // 2^18 places times a needle of 2^17 bytes would be 10^10 comparisons.
    const haystack = try testing.allocator.alloc(u8, 1 << 18);
    defer testing.allocator.free(haystack);
    const needle = try testing.allocator.alloc(u8, 1 << 17);
    defer testing.allocator.free(needle);
    @memset(haystack, 'a');
    @memset(needle, 'a');
    for ([_]usize{ 1, needle.len / 2, needle.len - 2 }) |odd| {
        needle[odd] = 'b';
        try testing.expectEqual(null, find(haystack, needle, 0));
        haystack[haystack.len - needle.len + odd] = 'b';
        try testing.expectEqual(haystack.len - needle.len, find(haystack, needle, 0).?);
        haystack[haystack.len - needle.len + odd] = 'a';
        needle[odd] = 'a';
    }
}

test "occurrences are counted without overlap" {
    try testing.expectEqual(2, count("banana", "an"));
    try testing.expectEqual(2, count("aaaa", "aa"));
    try testing.expectEqual(2, count("aaaaa", "aa"));
    try testing.expectEqual(0, count("aaaa", ""));
    try testing.expectEqual(0, count("", "a"));
    try testing.expectEqual(4, count("aaaa", "a"));
    try testing.expect(contains("日本語", "本") and !contains("日本語", "木"));
}

fn expectLines(text: []const u8, expected: []const []const u8) !void {
    var lines: Lines = .init(text);
    for (expected) |line| try testing.expectEqualStrings(line, lines.next().?.text);
    try testing.expectEqual(null, lines.next());
}

test "lines end at LF, lose one CR before it, and have no extra empty last one" {
    try expectLines("", &.{});
    try expectLines("a", &.{"a"});
    try expectLines("a\n", &.{"a"});
    try expectLines("a\n\n", &.{ "a", "" });
    try expectLines("\n", &.{""});
    try expectLines("a\r\nb\r", &.{ "a", "b\r" });
    try expectLines("a\r\r\n\r\nb", &.{ "a\r", "", "b" });
    try expectLines("a\rb\nc", &.{ "a\rb", "c" });
}

test "a line knows its offsets" {
    var lines: Lines = .init("ab\r\ncd");
    const first = lines.next().?;
    try testing.expectEqual(0, first.start);
    try testing.expectEqual(2, first.end);
    try testing.expectEqual(4, first.next);
    const second = lines.next().?;
    try testing.expectEqual(4, second.start);
    try testing.expectEqual(6, second.end);
}

test "grep gives what searching line by line gives" {
    var random = std.Random.DefaultPrng.init(11);
    var buf: [60]u8 = undefined;
    const letters = "ab\r\n";
    for (0..30_000) |_| {
        const text = buf[0..random.random().uintAtMost(usize, buf.len)];
        for (text) |*byte| byte.* = letters[random.random().uintLessThan(usize, letters.len)];
        const needles = [_][]const u8{ "a", "ab", "b\r", "\r", "a\nb", "\n", "aa", "\r\n", "bb\r" };
        const needle = needles[random.random().uintLessThan(usize, needles.len)];
        var grep: Grep = .init(text, needle);
        var lines: Lines = .init(text);
        var line_number: usize = 0;
        while (lines.next()) |line| {
            line_number += 1;
            const at = std.mem.find(u8, line.text, needle) orelse continue;
            const hit = grep.next().?;
            try testing.expectEqual(line_number, hit.number);
            try testing.expectEqual(at, hit.at);
            try testing.expectEqual(line.start, hit.line.start);
            try testing.expectEqualStrings(line.text, hit.line.text);
        }
        try testing.expectEqual(null, grep.next());
    }
}

test "pieces keep empty ones" {
    var pieces: Pieces = .init("a,,b,", ",");
    for ([_][]const u8{ "a", "", "b", "" }) |piece| try testing.expectEqualStrings(piece, pieces.next().?);
    try testing.expectEqual(null, pieces.next());
    var one: Pieces = .init("", ",");
    try testing.expectEqualStrings("", one.next().?);
    try testing.expectEqual(null, one.next());
    var long: Pieces = .init("a--b---c", "--");
    for ([_][]const u8{ "a", "b", "-c" }) |piece| try testing.expectEqualStrings(piece, long.next().?);
    try testing.expectEqual(null, long.next());
}

fn expectWords(text: []const u8, expected: []const []const u8) !void {
    var words: Words = .init(text);
    for (expected) |word| try testing.expectEqualStrings(word, words.next().?);
    try testing.expectEqual(null, words.next());
    try testing.expectEqual(null, words.next());
}

test "words are what stands between runs of white space" {
    try expectWords(" a  b\n\tc ", &.{ "a", "b", "c" });
    try expectWords("", &.{});
    try expectWords("   ", &.{});
    try expectWords("a;b", &.{"a;b"});
    try expectWords("日\u{3000}本\u{2003}\u{85}語", &.{ "日", "本", "語" });
    try expectWords("\u{200B}x あ", &.{ "\u{200B}x", "あ" });
}
