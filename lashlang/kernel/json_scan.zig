//! Reading JSON text: a strict RFC 8259 scanner (`json_parse`, chapter 10). The other way is json_write.zig.
//!
//! `Scanner` is a pull scanner: each call of `next` gives one token and has by then checked everything up to its end:
//! grammar, escapes, surrogate pairs, depth. The caller builds the values and needs no checks of its own. There is no
//! recursion; which of the open containers are objects is kept as one bit each, so depth costs nothing but that.
//! Strings are given as they stand in the text; most hold no escape and are taken by copying, the others are decoded by
//! `decodeInto`. The inside of strings is skipped sixteen bytes at a time.

const std = @import("std");
const number = @import("number.zig");
const decimal = @import("decimal.zig");
const utf8 = @import("utf8.zig");
const cleanRun = @import("json_write.zig").cleanRun;

/// The depth `json_parse` accepts (chapter 16).
pub const default_depth = 128;

/// The depth limit a caller passes is clamped to this.
pub const max_depth = 1024;

/// What can be wrong with a text. `Scanner.offset` says where.
pub const Error = error{
    UnexpectedEnd,
    UnexpectedByte,
    ControlCharacter,
    BadEscape,
    LoneSurrogate,
    NumberOverflow,
    TooDeep,
};

/// A few words on an error, for messages.
pub fn reason(err: Error) []const u8 {
    return switch (err) {
        error.UnexpectedEnd => "the text ends too early",
        error.UnexpectedByte => "unexpected character",
        error.ControlCharacter => "control character in a string",
        error.BadEscape => "unknown escape",
        error.LoneSurrogate => "lone surrogate",
        error.NumberOverflow => "number out of range",
        error.TooDeep => "nested too deeply",
    };
}

/// A string token: what stands between the quotes, and whether it holds escapes.
pub const Text = struct { raw: []const u8, escaped: bool };

/// A number token: its value, and whether it has neither fraction nor exponent.
pub const Number = struct { value: number.Num, integer_form: bool };

/// A piece of JSON. The colon after a key and the commas are checked and not reported.
pub const Token = union(enum) {
    object_begin,
    object_end,
    array_begin,
    array_end,
    key: Text,
    string: Text,
    number: Number,
    true,
    false,
    null,
    end,
};

/// Reads one JSON text, which must be valid UTF-8, token by token. After an error, `offset` is where it is.
pub const Scanner = struct {
    text: []const u8,
    offset: usize = 0,
    depth_limit: usize,
    open: usize = 0,
    /// Bit i: the i-th open container is an object.
    is_object: [max_depth / 64]u64 = @splat(0),
    state: State = .value,

    const State = enum { value, first_element, first_key, after_value, ended };

    /// A scanner at the start of `text`; more than `depth_limit` containers inside one another are an error.
    pub fn init(text: []const u8, depth_limit: usize) Scanner {
        return .{ .text = text, .depth_limit = @min(depth_limit, max_depth) };
    }

    /// The number of containers that are open.
    pub fn depth(self: *const Scanner) usize {
        return self.open;
    }

    /// The next token; `.end` when the whole text has been read, also when called again.
    pub fn next(self: *Scanner) Error!Token {
        self.skipSpace();
        switch (self.state) {
            .value => return self.readValue(),
            .first_element => {
                if (self.peek() == ']') return self.close();
                return self.readValue();
            },
            .first_key => {
                if (self.peek() == '}') return self.close();
                return self.readKey();
            },
            .after_value => {
                if (self.open == 0) {
                    if (self.offset != self.text.len) return error.UnexpectedByte;
                    self.state = .ended;
                    return .end;
                }
                const byte = self.peek() orelse return error.UnexpectedEnd;
                const in_object = self.inObject();
                if (byte == ',') {
                    self.offset += 1;
                    self.skipSpace();
                    return if (in_object) self.readKey() else self.readValue();
                }
                if (byte == @as(u8, if (in_object) '}' else ']')) return self.close();
                return error.UnexpectedByte;
            },
            .ended => return .end,
        }
    }

    inline fn peek(self: *const Scanner) ?u8 {
        return if (self.offset < self.text.len) self.text[self.offset] else null;
    }

    inline fn skipSpace(self: *Scanner) void {
        while (self.offset < self.text.len) : (self.offset += 1) {
            switch (self.text[self.offset]) {
                ' ', '\t', '\n', '\r' => {},
                else => return,
            }
        }
    }

    fn inObject(self: *const Scanner) bool {
        const top = self.open - 1;
        return self.is_object[top / 64] >> @intCast(top % 64) & 1 == 1;
    }

    fn readValue(self: *Scanner) Error!Token {
        const byte = self.peek() orelse return error.UnexpectedEnd;
        switch (byte) {
            '"' => {
                const text = try self.readString();
                self.state = .after_value;
                return .{ .string = text };
            },
            '-', '0'...'9' => {
                const value = try self.readNumber();
                self.state = .after_value;
                return .{ .number = value };
            },
            '{' => return self.enter(true),
            '[' => return self.enter(false),
            't' => return self.readWord("true", .true),
            'f' => return self.readWord("false", .false),
            'n' => return self.readWord("null", .null),
            else => return error.UnexpectedByte,
        }
    }

    fn enter(self: *Scanner, comptime object: bool) Error!Token {
        if (self.open == self.depth_limit) return error.TooDeep;
        const bit = @as(u64, 1) << @intCast(self.open % 64);
        const word = &self.is_object[self.open / 64];
        word.* = if (object) word.* | bit else word.* & ~bit;
        self.open += 1;
        self.offset += 1;
        self.state = if (object) .first_key else .first_element;
        return if (object) .object_begin else .array_begin;
    }

    fn close(self: *Scanner) Token {
        const token: Token = if (self.inObject()) .object_end else .array_end;
        self.open -= 1;
        self.offset += 1;
        self.state = .after_value;
        return token;
    }

    fn readWord(self: *Scanner, comptime word: []const u8, token: Token) Error!Token {
        for (word) |wanted| {
            const byte = self.peek() orelse return error.UnexpectedEnd;
            if (byte != wanted) return error.UnexpectedByte;
            self.offset += 1;
        }
        self.state = .after_value;
        return token;
    }

    fn readKey(self: *Scanner) Error!Token {
        const byte = self.peek() orelse return error.UnexpectedEnd;
        if (byte != '"') return error.UnexpectedByte;
        const text = try self.readString();
        self.skipSpace();
        const colon = self.peek() orelse return error.UnexpectedEnd;
        if (colon != ':') return error.UnexpectedByte;
        self.offset += 1;
        self.state = .value;
        return .{ .key = text };
    }

    /// Read a string from its opening quote to behind its closing one.
    fn readString(self: *Scanner) Error!Text {
        self.offset += 1;
        const start = self.offset;
        var escaped = false;
        while (true) {
            self.offset = cleanRun(self.text, self.offset);
            const byte = self.peek() orelse return error.UnexpectedEnd;
            if (byte == '"') {
                self.offset += 1;
                return .{ .raw = self.text[start .. self.offset - 1], .escaped = escaped };
            }
            if (byte != '\\') return error.ControlCharacter;
            escaped = true;
            try self.skipEscape();
        }
    }

    /// Check the escape at the offset, a surrogate pair as one, and move behind it.
    fn skipEscape(self: *Scanner) Error!void {
        const rest = self.text[self.offset..];
        if (rest.len < 2) return self.endOfText();
        switch (rest[1]) {
            '"', '\\', '/', 'b', 'f', 'n', 'r', 't' => self.offset += 2,
            'u' => {
                const unit = try self.readUnit(rest);
                if (isLowSurrogate(unit)) return error.LoneSurrogate;
                if (!isHighSurrogate(unit)) {
                    self.offset += 6;
                    return;
                }
                if (rest.len < 8 or rest[6] != '\\' or rest[7] != 'u') return error.LoneSurrogate;
                if (!isLowSurrogate(try self.readUnit(rest[6..]))) return error.LoneSurrogate;
                self.offset += 12;
            },
            else => return error.BadEscape,
        }
    }

    /// The UTF-16 code unit that `\uXXXX` at the start of `escape` stands for.
    fn readUnit(self: *Scanner, escape: []const u8) Error!u16 {
        if (escape.len < 6) {
            for (escape[2..]) |byte| if (!std.ascii.isHex(byte)) return error.BadEscape;
            return self.endOfText();
        }
        return hexUnit(escape[2..6]) orelse error.BadEscape;
    }

    fn endOfText(self: *Scanner) Error {
        self.offset = self.text.len;
        return error.UnexpectedEnd;
    }

    fn readNumber(self: *Scanner) Error!Number {
        const start = self.offset;
        var gathered: decimal.Gathered = .{};
        if (self.text[self.offset] == '-') {
            gathered.negative = true;
            self.offset += 1;
        }
        const first = try self.digitHere();
        if (first == '0') {
            self.offset += 1;
        } else {
            while (self.digitOrNull()) |digit| gathered.digit(digit);
        }
        if (self.peek() == '.') {
            gathered.integer_form = false;
            self.offset += 1;
            _ = try self.digitHere();
            const fraction_start = self.offset;
            while (self.digitOrNull()) |digit| gathered.digit(digit);
            gathered.fraction = self.offset - fraction_start;
        }
        if (self.peek()) |byte| if (byte == 'e' or byte == 'E') {
            gathered.integer_form = false;
            self.offset += 1;
            const sign = self.peek();
            if (sign == '+' or sign == '-') self.offset += 1;
            _ = try self.digitHere();
            while (self.digitOrNull()) |digit| gathered.exponentDigit(digit);
            if (sign == '-') gathered.exponent = -gathered.exponent;
        };
        const value = gathered.value(self.text[start..self.offset]);
        if (!number.isFinite(value)) {
            self.offset = start;
            return error.NumberOverflow;
        }
        return .{ .value = value, .integer_form = gathered.integer_form };
    }

    /// The digit that must stand at the offset; the offset stays.
    fn digitHere(self: *const Scanner) Error!u8 {
        const byte = self.peek() orelse return error.UnexpectedEnd;
        return if (std.ascii.isDigit(byte)) byte else error.UnexpectedByte;
    }

    /// The digit at the offset, which is passed, if there is one.
    inline fn digitOrNull(self: *Scanner) ?u8 {
        const byte = self.peek() orelse return null;
        if (!std.ascii.isDigit(byte)) return null;
        self.offset += 1;
        return byte;
    }
};

fn hexUnit(digits: []const u8) ?u16 {
    var unit: u16 = 0;
    for (digits) |digit| unit = unit << 4 | (std.fmt.charToDigit(digit, 16) catch return null);
    return unit;
}

fn isHighSurrogate(unit: u16) bool {
    return unit & 0xFC00 == 0xD800;
}

fn isLowSurrogate(unit: u16) bool {
    return unit & 0xFC00 == 0xDC00;
}

/// The code point of an escape that `Scanner` has checked, and its length in the text.
const Escape = struct {
    cp: u21,
    len: usize,

    fn at(rest: []const u8) Escape {
        const plain: u21 = switch (rest[1]) {
            'b' => 0x08,
            'f' => 0x0C,
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                const unit = hexUnit(rest[2..6]) orelse 0;
                if (!isHighSurrogate(unit)) return .{ .cp = unit, .len = 6 };
                const low = hexUnit(rest[8..12]) orelse 0;
                return .{ .cp = 0x10000 + (@as(u21, unit & 0x3FF) << 10 | (low & 0x3FF)), .len = 12 };
            },
            else => |other| other,
        };
        return .{ .cp = plain, .len = 2 };
    }
};

/// The number of bytes a string token of `Scanner` has once its escapes are decoded.
pub fn decodedLength(text: Text) usize {
    if (!text.escaped) return text.raw.len;
    var total: usize = 0;
    var at: usize = 0;
    while (std.mem.findScalarPos(u8, text.raw, at, '\\')) |backslash| {
        const escape: Escape = .at(text.raw[backslash..]);
        total += backslash - at + utf8.encodedLength(escape.cp);
        at = backslash + escape.len;
    }
    return total + text.raw.len - at;
}

/// Decode a string token of `Scanner` into `buf`, which holds at least `decodedLength` bytes (`raw.len` are enough).
/// Returns the part written.
pub fn decodeInto(buf: []u8, text: Text) []u8 {
    var out: decimal.Cursor = .{ .bytes = buf };
    var at: usize = 0;
    if (text.escaped) {
        while (std.mem.findScalarPos(u8, text.raw, at, '\\')) |backslash| {
            out.slice(text.raw[at..backslash]);
            const escape: Escape = .at(text.raw[backslash..]);
            var encoded: [4]u8 = undefined;
            out.slice(encoded[0..utf8.encode(escape.cp, &encoded)]);
            at = backslash + escape.len;
        }
    }
    out.slice(text.raw[at..]);
    return buf[0..out.len];
}

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;

/// The text of all tokens in a compact notation, for tests.
fn outline(text: []const u8, buf: []u8, scanner: *Scanner) Error![]const u8 {
    var out: decimal.Cursor = .{ .bytes = buf };
    scanner.* = .init(text, default_depth);
    while (true) {
        switch (try scanner.next()) {
            .object_begin => out.slice("{"),
            .object_end => out.slice("}"),
            .array_begin => out.slice("["),
            .array_end => out.slice("]"),
            .key => |key| {
                out.slice(key.raw);
                out.byte(':');
            },
            .string => |string| {
                out.byte(if (string.escaped) 'e' else 's');
                out.len += decodeInto(out.bytes[out.len..], string).len;
            },
            .number => |n| {
                var digits: [decimal.max_text]u8 = undefined;
                out.byte(if (n.integer_form) 'i' else 'n');
                out.slice(decimal.numText(&digits, n.value));
            },
            .true => out.byte('T'),
            .false => out.byte('F'),
            .null => out.byte('N'),
            .end => return out.written(),
        }
        out.byte(' ');
    }
}

fn expectOutline(expected: []const u8, text: []const u8) !void {
    var buf: [1024]u8 = undefined;
    var scanner: Scanner = undefined;
    try testing.expectEqualStrings(expected, try outline(text, &buf, &scanner));
    try testing.expectEqual(Token.end, try scanner.next());
    try testing.expectEqual(0, scanner.depth());
}

fn expectFailure(expected: Error, offset: usize, text: []const u8) !void {
    var buf: [1024]u8 = undefined;
    var scanner: Scanner = undefined;
    try testing.expectError(expected, outline(text, &buf, &scanner));
    try testing.expectEqual(offset, scanner.offset);
}

test "values of every kind are read" {
    try expectOutline("{ a: [ i1 T F N ] b: { } } ", " {\"a\" : [1, true,false ,null],\r\n\t\"b\":{ }} ");
    try expectOutline("{ c: [ ] } ", "{\"c\":[ ]}");
    try expectOutline("sabc ", "\"abc\"");
    try expectOutline("s ", "\"\"");
    try expectOutline("[ s日本語 s😀 ] ", "[\"日本語\",\"😀\"]");
    try expectOutline("sa string longer than one block of bytes ", "\"a string longer than one block of bytes\"");
}

test "numbers are integers by their text where they fit" {
    try expectOutline("[ i0 i0 i-5 i9007199254740993 ] ", "[0,-0,-5,9007199254740993]");
    try expectOutline("i-9223372036854775808 ", "-9223372036854775808");
    try expectOutline("i9223372036854776000 ", "9223372036854775808");
    try expectOutline("[ n1000 n1 n0.5 n-1.5 n0.00001 n0 n100 ] ", "[1e3,1.0,0.5,-15E-1,1e-5,0e999999999999,1E+2]");
}

test "escapes are decoded" {
    try expectOutline("e\"\\/\x08\x0C\n\r\t ", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"");
    try expectOutline("eaé日😀z ", "\"a\\u00e9\\u65E5\\ud83D\\uDe00z\"");
    try expectOutline("e\x00 ", "\"\\u0000\"");
}

test "malformed texts are errors at the offending byte" {
    try expectFailure(error.UnexpectedEnd, 0, "");
    try expectFailure(error.UnexpectedEnd, 2, "  ");
    try expectFailure(error.UnexpectedByte, 2, "1 2");
    try expectFailure(error.UnexpectedByte, 3, "[1,]");
    try expectFailure(error.UnexpectedByte, 7, "{\"a\":1,}");
    try expectFailure(error.UnexpectedByte, 1, "[,1]");
    try expectFailure(error.UnexpectedByte, 3, "[1 2]");
    try expectFailure(error.UnexpectedByte, 2, "[1}");
    try expectFailure(error.UnexpectedByte, 4, "{\"a\"}");
    try expectFailure(error.UnexpectedByte, 5, "{\"a\":}");
    try expectFailure(error.UnexpectedByte, 1, "{a:1}");
    try expectFailure(error.UnexpectedByte, 5, "{\"a\" 1}");
    try expectFailure(error.UnexpectedEnd, 1, "{");
    try expectFailure(error.UnexpectedEnd, 2, "[1");
    try expectFailure(error.UnexpectedEnd, 4, "{\"a\"");
    try expectFailure(error.UnexpectedEnd, 5, "{\"a\":");
    try expectFailure(error.UnexpectedEnd, 7, "{\"a\":1,");
    try expectFailure(error.UnexpectedByte, 0, "]");
    try expectFailure(error.UnexpectedByte, 0, "NaN");
    try expectFailure(error.UnexpectedByte, 1, "-Infinity");
    try expectFailure(error.UnexpectedByte, 0, "Infinity");
    try expectFailure(error.UnexpectedByte, 0, "\u{FEFF}1");
    try expectFailure(error.UnexpectedByte, 0, "'a'");
    try expectFailure(error.UnexpectedByte, 1, "[\u{A0}1]");
    try expectFailure(error.UnexpectedByte, 0, "// x\n1");
    try expectFailure(error.UnexpectedByte, 2, "trie");
    try expectFailure(error.UnexpectedByte, 4, "truex");
    try expectFailure(error.UnexpectedEnd, 3, "nul");
}

test "malformed numbers are errors" {
    try expectFailure(error.UnexpectedByte, 1, "01");
    try expectFailure(error.UnexpectedByte, 2, "-01");
    try expectFailure(error.UnexpectedByte, 0, "+1");
    try expectFailure(error.UnexpectedByte, 0, ".5");
    try expectFailure(error.UnexpectedEnd, 2, "1.");
    try expectFailure(error.UnexpectedByte, 2, "1.e5");
    try expectFailure(error.UnexpectedEnd, 2, "1e");
    try expectFailure(error.UnexpectedEnd, 3, "1e-");
    try expectFailure(error.UnexpectedEnd, 1, "-");
    try expectFailure(error.UnexpectedByte, 1, "1_000");
    try expectFailure(error.UnexpectedByte, 1, "0x10");
    try expectFailure(error.NumberOverflow, 1, "[1e309]");
    try expectFailure(error.NumberOverflow, 1, "[-1e400]");
}

test "malformed strings are errors" {
    try expectFailure(error.UnexpectedEnd, 4, "\"abc");
    try expectFailure(error.ControlCharacter, 2, "\"a\nb\"");
    try expectFailure(error.ControlCharacter, 1, "\"\x00\"");
    try expectFailure(error.BadEscape, 1, "\"\\x41\"");
    try expectFailure(error.BadEscape, 2, "\"a\\u12g4\"");
    try expectFailure(error.BadEscape, 1, "\"\\u+123\"");
    try expectFailure(error.BadEscape, 1, "\"\\u12_4\"");
    try expectFailure(error.UnexpectedEnd, 2, "\"\\");
    try expectFailure(error.UnexpectedEnd, 5, "\"\\u12");
    try expectFailure(error.BadEscape, 1, "\"\\u12\"");
    try expectFailure(error.LoneSurrogate, 1, "\"\\ud800\"");
    try expectFailure(error.LoneSurrogate, 2, "\"a\\udc00\"");
    try expectFailure(error.LoneSurrogate, 1, "\"\\ud800\\u0041\"");
    try expectFailure(error.LoneSurrogate, 1, "\"\\ud800\\n\"");
    try expectFailure(error.LoneSurrogate, 7, "\"\\u0041\\ud800x\"");
    try expectFailure(error.BadEscape, 1, "\"\\ud83d\\uzzzz\"");
}

test "depth is limited at the bracket that is too deep" {
    try expectOutline("[ " ** 128 ++ "] " ** 128, "[" ** 128 ++ "]" ** 128);
    try expectFailure(error.TooDeep, 128, "[" ** 129 ++ "]" ** 129);
    try expectFailure(error.TooDeep, 5 * 128, "{\"a\":" ** 129);
    var scanner: Scanner = .init("[" ** 2000, 5000);
    for (0..max_depth) |_| _ = try scanner.next();
    try testing.expectError(error.TooDeep, scanner.next());
}

test "mixed nesting closes with the right bracket" {
    try expectOutline("[ { a: [ { b: [ ] } ] } { } ] ", "[{\"a\":[{\"b\":[]}]},{}]");
    try expectFailure(error.UnexpectedByte, 6, "{\"a\":[}");
    try expectFailure(error.UnexpectedByte, 7, "{\"a\":[1}}");
}

test "any bytes end in a token or an error" {
    var random = std.Random.DefaultPrng.init(13);
    const letters = "{}[]:,\"\\u0d8c1eE+-. \n tfnalsrue\x01";
    var text: [40]u8 = undefined;
    var buf: [400]u8 = undefined;
    for (0..200_000) |_| {
        const used = text[0..random.random().uintAtMost(usize, text.len)];
        for (used) |*byte| byte.* = letters[random.random().uintLessThan(usize, letters.len)];
        var scanner: Scanner = .init(used, 8);
        while (scanner.next()) |token| switch (token) {
            .end => break,
            .string, .key => |string| try testing.expectEqual(decodedLength(string), decodeInto(&buf, string).len),
            else => {},
        } else |_| {}
        try testing.expect(scanner.offset <= used.len);
    }
}

test "what json_write writes reads back" {
    const Sink = struct {
        buf: [256]u8 = undefined,
        len: usize = 0,

        pub fn append(self: *@This(), bytes: []const u8) error{}!void {
            @memcpy(self.buf[self.len..][0..bytes.len], bytes);
            self.len += bytes.len;
        }
    };
    var random = std.Random.DefaultPrng.init(17);
    var text: [24]u8 = undefined;
    for (0..20_000) |_| {
        const used = text[0..random.random().uintAtMost(usize, text.len)];
        for (used) |*byte| byte.* = random.random().uintLessThan(u8, 0x80);
        var sink: Sink = .{};
        try @import("json_write.zig").writeString(&sink, used);
        var scanner: Scanner = .init(sink.buf[0..sink.len], 1);
        var buf: [256]u8 = undefined;
        const token = try scanner.next();
        try testing.expectEqualStrings(used, decodeInto(&buf, token.string));
    }
}
