//! Writing JSON strings (JSONTEXT, chapter 4): the two escapes JSON always needs, the short ones for \b \t \n \f \r,
//! `\u00xx` in lower case for the other control characters, and everything else raw. Runs that need no escape are found
//! sixteen bytes at a time and appended whole.

const std = @import("std");

/// The offset of the first quote, backslash or control character at or after `from`, or the length. (None of them
/// stands raw in a JSON string, so json_scan.zig uses it too.)
pub fn cleanRun(text: []const u8, from: usize) usize {
    const lanes = 16;
    const Block = @Vector(lanes, u8);
    var at = @min(from, text.len);
    while (at + lanes <= text.len) : (at += lanes) {
        const block: Block = text[at..][0..lanes].*;
        const quotes: u16 = @bitCast(block == @as(Block, @splat('"')));
        const backslashes: u16 = @bitCast(block == @as(Block, @splat('\\')));
        const controls: u16 = @bitCast(block < @as(Block, @splat(0x20)));
        const special = quotes | backslashes | controls;
        if (special != 0) return at + @ctz(special);
    }
    while (at < text.len) : (at += 1) {
        const byte = text[at];
        if (byte == '"' or byte == '\\' or byte < 0x20) break;
    }
    return at;
}

/// The escape of a byte that may not stand raw in a JSON string.
fn escapeOf(byte: u8, buf: *[6]u8) []const u8 {
    switch (byte) {
        '"' => return "\\\"",
        '\\' => return "\\\\",
        0x08 => return "\\b",
        '\t' => return "\\t",
        '\n' => return "\\n",
        0x0C => return "\\f",
        '\r' => return "\\r",
        else => {
            const hex = "0123456789abcdef";
            buf.* = .{ '\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15] };
            return buf;
        },
    }
}

/// Append `bytes` as a JSON string, quoted and escaped as JSONTEXT says. `sink` has `append([]const u8) !void`, whose
/// errors pass through.
pub fn writeString(sink: anytype, bytes: []const u8) !void {
    try sink.append("\"");
    var at: usize = 0;
    while (true) {
        const run = cleanRun(bytes, at);
        if (run > at) try sink.append(bytes[at..run]);
        if (run == bytes.len) break;
        var buf: [6]u8 = undefined;
        try sink.append(escapeOf(bytes[run], &buf));
        at = run + 1;
    }
    try sink.append("\"");
}

/// The number of bytes `writeString` appends.
pub fn writtenLength(bytes: []const u8) usize {
    var total: usize = bytes.len + 2;
    var at = cleanRun(bytes, 0);
    while (at < bytes.len) : (at = cleanRun(bytes, at + 1)) {
        var buf: [6]u8 = undefined;
        total += escapeOf(bytes[at], &buf).len - 1;
    }
    return total;
}

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;

const TestSink = struct {
    buf: [256]u8 = undefined,
    len: usize = 0,

    pub fn append(self: *TestSink, bytes: []const u8) error{Full}!void {
        if (self.len + bytes.len > self.buf.len) return error.Full;
        @memcpy(self.buf[self.len..][0..bytes.len], bytes);
        self.len += bytes.len;
    }
};

fn expectWritten(expected: []const u8, bytes: []const u8) !void {
    var sink: TestSink = .{};
    try writeString(&sink, bytes);
    try testing.expectEqualStrings(expected, sink.buf[0..sink.len]);
    try testing.expectEqual(expected.len, writtenLength(bytes));
}

test "strings are written with the escapes JSON needs and no others" {
    try expectWritten("\"\"", "");
    try expectWritten("\"abc/\x7F日😀\u{2028}\"", "abc/\x7F日😀\u{2028}");
    try expectWritten("\"\\\"\\\\\\b\\t\\n\\f\\r\"", "\"\\\x08\t\n\x0C\r");
    try expectWritten("\"\\u0000\\u001f\\u000b\"", "\x00\x1F\x0B");
    try expectWritten("\"a long clean run of text\\nand another one\"", "a long clean run of text\nand another one");
}

test "a sink that is full stops the writing" {
    var sink: TestSink = .{};
    try testing.expectError(error.Full, writeString(&sink, "x" ** 300));
}

test "the clean run ends at the first byte that may not stand raw" {
    const text = "0123456789abcdef0123" ++ "\"" ++ "\\" ++ "\x1F" ++ "x" ** 17;
    try testing.expectEqual(20, cleanRun(text, 0));
    try testing.expectEqual(21, cleanRun(text, 21));
    try testing.expectEqual(22, cleanRun(text, 22));
    try testing.expectEqual(text.len, cleanRun(text, 23));
    try testing.expectEqual(0, cleanRun("", 0));
}
