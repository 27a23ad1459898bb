//! UTF-8 as the kernel needs it: validating what comes in, and counting and walking code points, which is what all
//! lengths, indexes and offsets of the language count (chapter 3). White space of chapter 1 is decided here too.
//!
//! Every byte that is not a continuation byte (10xxxxxx) begins one code point. So counting and walking need no
//! decoding: they count such bytes, sixteen at a time. The functions that expect valid UTF-8 are safe on any bytes;
//! they then give some answer, and never read outside the slice.

const std = @import("std");

const lanes = 16;
const Block = @Vector(lanes, u8);
const SignedBlock = @Vector(lanes, i8);
const BlockMask = u16;

inline fn load(bytes: []const u8, at: usize) Block {
    return bytes[at..][0..lanes].*;
}

inline fn isContinuation(byte: u8) bool {
    return byte & 0xC0 == 0x80;
}

/// One bit per byte of the block that begins a code point. As a signed byte, a continuation is one below -64.
inline fn startsIn(block: Block) BlockMask {
    const signed: SignedBlock = @bitCast(block);
    return @bitCast(signed >= @as(SignedBlock, @splat(-64)));
}

/// The offset of the first byte at or after `from` that is not ASCII, or the length.
pub fn asciiRun(bytes: []const u8, from: usize) usize {
    var at = @min(from, bytes.len);
    while (at + lanes <= bytes.len) : (at += lanes) {
        const high: BlockMask = @bitCast(@as(SignedBlock, @bitCast(load(bytes, at))) < @as(SignedBlock, @splat(0)));
        if (high != 0) return at + @ctz(high);
    }
    while (at < bytes.len and bytes[at] < 0x80) at += 1;
    return at;
}

/// Whether the bytes are well-formed UTF-8 (no overlong forms, no surrogates, nothing above U+10FFFF).
pub fn isValid(bytes: []const u8) bool {
    return firstInvalid(bytes) == null;
}

/// The offset of the first byte that begins no well-formed sequence, or null.
pub fn firstInvalid(bytes: []const u8) ?usize {
    var at: usize = 0;
    while (true) {
        at = asciiRun(bytes, at);
        // Texts in other scripts have few ASCII runs worth a vector: stay here until the next ASCII byte.
        while (at < bytes.len and bytes[at] >= 0x80) {
            const len = wellFormedLength(bytes[at..]);
            if (len == 0) return at;
            at += len;
        }
        if (at >= bytes.len) return null;
    }
}

/// The length of the well-formed sequence (of two to four bytes) at the start of `bytes`, 0 if there is none.
fn wellFormedLength(bytes: []const u8) usize {
    const lead = bytes[0];
    const len: usize = switch (lead) {
        0xC2...0xDF => 2,
        0xE0...0xEF => 3,
        0xF0...0xF4 => 4,
        else => return 0,
    };
    if (bytes.len < len) return 0;
    // Only the second byte is restricted further: against overlong forms, surrogates and what is beyond U+10FFFF.
    const low: u8, const high: u8 = switch (lead) {
        0xE0 => .{ 0xA0, 0xBF },
        0xED => .{ 0x80, 0x9F },
        0xF0 => .{ 0x90, 0xBF },
        0xF4 => .{ 0x80, 0x8F },
        else => .{ 0x80, 0xBF },
    };
    if (bytes[1] < low or bytes[1] > high) return 0;
    for (bytes[2..len]) |byte| if (!isContinuation(byte)) return 0;
    return len;
}

/// The number of code points.
pub fn count(bytes: []const u8) usize {
    var total: usize = 0;
    var at: usize = 0;
    while (at + lanes <= bytes.len) : (at += lanes) total += @popCount(startsIn(load(bytes, at)));
    for (bytes[at..]) |byte| total += @intFromBool(!isContinuation(byte));
    return total;
}

/// The offset `n` code points after the code point boundary `from`; the length if there are fewer.
pub fn advance(bytes: []const u8, from: usize, n: usize) usize {
    var at = @min(from, bytes.len);
    var left = n;
    // Skip whole blocks while the wanted code point surely begins beyond them.
    while (left >= lanes and at + lanes <= bytes.len) : (at += lanes) left -= @popCount(startsIn(load(bytes, at)));
    // A block may have ended inside a code point that is already counted.
    while (at < bytes.len and isContinuation(bytes[at])) at += 1;
    while (left > 0 and at < bytes.len) : (left -= 1) {
        at += 1;
        while (at < bytes.len and isContinuation(bytes[at])) at += 1;
    }
    return at;
}

/// The offset `n` code points before the code point boundary `from`; 0 if there are fewer.
pub fn retreat(bytes: []const u8, from: usize, n: usize) usize {
    var at = @min(from, bytes.len);
    var left = n;
    while (left >= lanes and at >= lanes) {
        at -= lanes;
        left -= @popCount(startsIn(load(bytes, at)));
    }
    while (left > 0 and at > 0) {
        at -= 1;
        left -= @intFromBool(!isContinuation(bytes[at]));
    }
    return at;
}

/// The length of the sequence a lead byte announces; 1 for bytes that lead nothing.
pub inline fn sequenceLength(first: u8) u3 {
    return if (first < 0xC0) 1 else if (first < 0xE0) 2 else if (first < 0xF0) 3 else if (first < 0xF8) 4 else 1;
}

/// A code point and the number of bytes it takes.
pub const Decoded = struct { cp: u21, len: u3 };

const replacement: Decoded = .{ .cp = 0xFFFD, .len = 1 };

/// The code point at offset `at`, which must be below the length. Ill-formed bytes give U+FFFD, one at a time.
pub fn decode(bytes: []const u8, at: usize) Decoded {
    const rest = bytes[at..];
    const lead = rest[0];
    if (lead < 0x80) return .{ .cp = lead, .len = 1 };
    switch (wellFormedLength(rest)) {
        2 => return .{ .cp = @as(u21, lead & 0x1F) << 6 | low6(rest[1]), .len = 2 },
        3 => return .{ .cp = @as(u21, lead & 0x0F) << 12 | low6(rest[1]) << 6 | low6(rest[2]), .len = 3 },
        4 => return .{
            .cp = @as(u21, lead & 0x07) << 18 | low6(rest[1]) << 12 | low6(rest[2]) << 6 | low6(rest[3]),
            .len = 4,
        },
        else => return replacement,
    }
}

inline fn low6(byte: u8) u21 {
    return byte & 0x3F;
}

/// The code point that ends at offset `at`, which must be above 0 and at most the length.
pub fn decodeBefore(bytes: []const u8, at: usize) Decoded {
    var start = at - 1;
    while (start > 0 and at - start < 4 and isContinuation(bytes[start])) start -= 1;
    const decoded = decode(bytes[0..at], start);
    return if (start + decoded.len == at) decoded else replacement;
}

/// Write one code point; returns the number of bytes. What is no scalar value is written as U+FFFD.
pub fn encode(cp: u21, buf: *[4]u8) u3 {
    if (cp < 0x80) {
        buf[0] = @intCast(cp);
        return 1;
    }
    if (cp < 0x800) {
        buf[0] = 0xC0 | @as(u8, @intCast(cp >> 6));
        buf[1] = continuation(cp);
        return 2;
    }
    if (cp < 0x10000) {
        const scalar = if (cp >= 0xD800 and cp < 0xE000) replacement.cp else cp;
        buf[0] = 0xE0 | @as(u8, @intCast(scalar >> 12));
        buf[1] = continuation(scalar >> 6);
        buf[2] = continuation(scalar);
        return 3;
    }
    if (cp > 0x10FFFF) return encodeReplacement(buf);
    buf[0] = 0xF0 | @as(u8, @intCast(cp >> 18));
    buf[1] = continuation(cp >> 12);
    buf[2] = continuation(cp >> 6);
    buf[3] = continuation(cp);
    return 4;
}

inline fn continuation(cp: u21) u8 {
    return 0x80 | @as(u8, @intCast(cp & 0x3F));
}

fn encodeReplacement(buf: *[4]u8) u3 {
    buf[0..3].* = "\u{FFFD}".*;
    return 3;
}

/// The number of bytes a code point takes.
pub inline fn encodedLength(cp: u21) u3 {
    return if (cp < 0x80) 1 else if (cp < 0x800) 2 else if (cp < 0x10000) 3 else 4;
}

/// Lexicographic by code point, which in UTF-8 is the order of the bytes.
pub fn order(a: []const u8, b: []const u8) std.math.Order {
    return std.mem.order(u8, a, b);
}

/// White space of chapter 1 (the Unicode property White_Space), without the semicolon.
pub fn isWhiteSpace(cp: u21) bool {
    return switch (cp) {
        0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000 => true,
        else => false,
    };
}

/// The length in bytes of the white-space code point at offset `at`; 0 if there is none.
pub inline fn whiteSpaceLength(bytes: []const u8, at: usize) usize {
    if (at >= bytes.len) return 0;
    const byte = bytes[at];
    if (byte < 0x80) return @intFromBool(byte == ' ' or (byte >= 0x09 and byte <= 0x0D));
    return if (maybeLeadsWhiteSpace(byte)) wideWhiteSpaceLength(bytes, at) else 0;
}

/// Whether a byte from 0x80 up can begin a white-space code point.
pub inline fn maybeLeadsWhiteSpace(byte: u8) bool {
    return byte == 0xC2 or (byte >= 0xE1 and byte <= 0xE3);
}

fn wideWhiteSpaceLength(bytes: []const u8, at: usize) usize {
    const decoded = decode(bytes, at);
    return if (isWhiteSpace(decoded.cp)) decoded.len else 0;
}

/// The text without white space at both ends.
pub fn trim(bytes: []const u8) []const u8 {
    var start: usize = 0;
    while (true) {
        const len = whiteSpaceLength(bytes, start);
        if (len == 0) break;
        start += len;
    }
    var end = bytes.len;
    while (end > start) {
        const last = decodeBefore(bytes, end);
        if (!isWhiteSpace(last.cp)) break;
        end -= last.len;
    }
    return bytes[start..end];
}

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;

test "well-formed texts are valid" {
    for ([_][]const u8{
        "",
        "a",
        "plain ascii text that is longer than a block",
        "äöü",
        "日本語",
        "😀",
        "\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}",
    }) |text| {
        try testing.expect(isValid(text));
    }
}

test "ill-formed texts are refused at their first bad byte" {
    const prefix = "0123456789abcdefXYZ"; // longer than a block
    for ([_][]const u8{
        "\x80",         "\xBF",     "\xC0\x80",         "\xC1\xBF",         "\xC2",             "\xC2a", "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xE1\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",  "\xE1\x80a",
        "\xF1\x80\x80",
    }) |bad| {
        try testing.expectEqual(0, firstInvalid(bad).?);
        var buf: [64]u8 = undefined;
        const text = try std.fmt.bufPrint(&buf, "{s}ä{s}tail", .{ prefix, bad });
        try testing.expectEqual(prefix.len + 2, firstInvalid(text).?);
    }
}

test "validation agrees with the standard library on random bytes" {
    var random = std.Random.DefaultPrng.init(7);
    var buf: [40]u8 = undefined;
    for (0..50_000) |_| {
        const len = random.random().uintLessThan(usize, buf.len);
        for (buf[0..len]) |*byte| {
            const interesting = [_]u8{ 'a', 0x80, 0xBF, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0x9F, 0xA0, 0x90, 0x8F };
            byte.* = interesting[random.random().uintLessThan(usize, interesting.len)];
        }
        try testing.expectEqual(std.unicode.utf8ValidateSlice(buf[0..len]), isValid(buf[0..len]));
    }
}

const sample = "a" ** 20 ++ "äß日本😀" ** 9 ++ "end" ++ "\u{10FFFF}" ** 17 ++ "z" ** 33;

test "counting and walking agree with decoding one by one" {
    var offsets: [400]usize = undefined;
    var n: usize = 0;
    var at: usize = 0;
    while (at < sample.len) : (n += 1) {
        offsets[n] = at;
        at += decode(sample, at).len;
    }
    offsets[n] = sample.len;
    try testing.expectEqual(n, count(sample));
    for (0..n + 1) |i| {
        for (i..n + 1) |j| {
            try testing.expectEqual(offsets[j], advance(sample, offsets[i], j - i));
            try testing.expectEqual(offsets[i], retreat(sample, offsets[j], j - i));
        }
    }
}

test "walking past either end stops there" {
    try testing.expectEqual(sample.len, advance(sample, 0, 100_000));
    try testing.expectEqual(sample.len, advance(sample, sample.len, 3));
    try testing.expectEqual(0, retreat(sample, sample.len, 100_000));
    try testing.expectEqual(0, retreat("", 0, 1));
}

test "walking over any bytes stays inside the slice" {
    var random = std.Random.DefaultPrng.init(3);
    var buf: [70]u8 = undefined;
    for (0..20_000) |_| {
        random.random().bytes(&buf);
        const text = buf[0..random.random().uintAtMost(usize, buf.len)];
        const n = random.random().uintAtMost(usize, 80);
        const from = random.random().uintAtMost(usize, 80);
        try testing.expect(advance(text, from, n) <= text.len);
        try testing.expect(retreat(text, from, n) <= text.len);
        try testing.expect(count(text) <= text.len);
        if (text.len > 0) try testing.expect(decodeBefore(text, text.len).len <= text.len);
        try testing.expect(trim(text).len <= text.len);
    }
}

test "decoding and encoding are inverse for every scalar value" {
    var buf: [4]u8 = undefined;
    var cp: u21 = 0;
    while (cp <= 0x10FFFF) : (cp += 1) {
        if (cp == 0xD800) cp = 0xE000;
        const len = encode(cp, &buf);
        try testing.expectEqual(encodedLength(cp), len);
        try testing.expectEqual(Decoded{ .cp = cp, .len = len }, decode(buf[0..len], 0));
        try testing.expectEqual(Decoded{ .cp = cp, .len = len }, decodeBefore(buf[0..len], len));
        try testing.expectEqual(len, sequenceLength(buf[0]));
    }
}

test "what is no scalar value is written as the replacement character" {
    var buf: [4]u8 = undefined;
    try testing.expectEqualStrings("\u{FFFD}", buf[0..encode(0xD800, &buf)]);
    try testing.expectEqualStrings("\u{FFFD}", buf[0..encode(0x110000, &buf)]);
}

test "white space is the Unicode property and not the semicolon" {
    var total: usize = 0;
    for (0..0x110000) |cp| total += @intFromBool(isWhiteSpace(@intCast(cp)));
    try testing.expectEqual(25, total);
    try testing.expect(!isWhiteSpace(';') and !isWhiteSpace(0x200B) and !isWhiteSpace(0xFEFF));
    try testing.expectEqual(3, whiteSpaceLength("a\u{2003}", 1));
    try testing.expectEqual(0, whiteSpaceLength("aé", 1));
    try testing.expectEqual(0, whiteSpaceLength("a", 1));
}

test "every white-space code point is recognised in text" {
    var buf: [4]u8 = undefined;
    for (0..0x110000) |cp| {
        if (cp >= 0xD800 and cp < 0xE000) continue;
        const len = encode(@intCast(cp), &buf);
        const expected: usize = if (isWhiteSpace(@intCast(cp))) len else 0;
        try testing.expectEqual(expected, whiteSpaceLength(buf[0..len], 0));
    }
}

test "trim removes white space at both ends only" {
    try testing.expectEqualStrings("a b", trim(" \u{3000}\ta b\u{85}\n"));
    try testing.expectEqualStrings("", trim(" \u{2028} "));
    try testing.expectEqualStrings("", trim(""));
    try testing.expectEqualStrings("日", trim("日"));
    try testing.expectEqualStrings(";x;", trim(" ;x; "));
}
