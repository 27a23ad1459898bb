//! Numbers as decimal text, both ways: NUMTEXT (chapter 4), number text (chapter 3) and NUM of a string (chapter 5).
//!
//! Printing a float needs the *shortest* digits that read back as the same float (Ryu, from the standard library); they
//! are laid out in plain positional notation, never with an exponent. Whole floats inside the 64-bit range print all
//! their integer digits instead, since they read back as exactly that integer. The digits as shown are also what
//! `round` works on, so they are available as a `Decimal` (see rounding.zig).
//!
//! Reading takes one pass that checks the grammar and gathers up to 19 significant digits and a decimal exponent. That
//! is the whole answer for integers, and for floats whose digits and power of ten are both binary64 (one correctly
//! rounded operation then gives the nearest float). Everything else is rewritten as `DIGITSe±N` and given to the
//! standard library's correctly rounding parser. Rewriting drops what cannot matter, so a megabyte of digits costs one
//! pass, and exponents that cancel a million zeros still count in full.

const std = @import("std");
const number = @import("number.zig");
const utf8 = @import("utf8.zig");
const Num = number.Num;

/// NUMTEXT never needs more bytes: a sign, `0.`, 323 zeros and 17 digits is the longest.
pub const max_text = 352;

/// The decimal digits NUMTEXT shows of a finite number, without sign and outer zeros: value = 0.d1d2d3… x 10^point.
pub const Decimal = struct {
    negative: bool,
    buffer: [20]u8,
    len: u8,
    point: i32,

    /// The digits, as ASCII; the first and the last are not `0`. Empty for zero.
    pub fn digits(self: *const Decimal) []const u8 {
        return self.buffer[0..self.len];
    }

    /// The digits NUMTEXT shows of `n`, which must be finite.
    pub fn of(n: Num) Decimal {
        if (shownInFull(n)) |whole| return fromDigits(whole < 0, @abs(whole), 0);
        const shortest = std.fmt.float.binaryToDecimal(
            u64,
            @bitCast(n.float),
            std.math.floatMantissaBits(f64),
            std.math.floatExponentBits(f64),
            false,
            &std.fmt.float.Backend64_TablesFull,
        );
        return fromDigits(shortest.sign, shortest.mantissa, shortest.exponent);
    }

    fn fromDigits(negative: bool, mantissa: u64, exponent: i32) Decimal {
        var result: Decimal = .{ .negative = negative, .buffer = undefined, .len = 0, .point = 0 };
        if (mantissa == 0) return result;
        const start = writeDigits(&result.buffer, mantissa);
        const len: u8 = @intCast(result.buffer.len - start);
        std.mem.copyForwards(u8, result.buffer[0..len], result.buffer[start..]);
        result.point = exponent + len;
        result.len = len;
        while (result.buffer[result.len - 1] == '0') result.len -= 1;
        return result;
    }
};

/// The integer whose digits NUMTEXT shows one by one: integers, and whole floats less than 2^63 in size.
pub fn shownInFull(n: Num) ?i64 {
    if (n == .float and @abs(n.float) == 1 << 63) return null;
    return number.toI64(n);
}

/// Write the digits of `value` to the end of `buffer`; returns where they start.
fn writeDigits(buffer: *[20]u8, value: u64) usize {
    var at: usize = buffer.len;
    var rest = value;
    while (rest >= 100) {
        at -= 2;
        buffer[at..][0..2].* = std.fmt.digits2(@intCast(rest % 100));
        rest /= 100;
    }
    if (rest >= 10) {
        at -= 2;
        buffer[at..][0..2].* = std.fmt.digits2(@intCast(rest));
    } else {
        at -= 1;
        buffer[at] = '0' + @as(u8, @intCast(rest));
    }
    return at;
}

/// NUMTEXT of an integer.
pub fn intText(buf: *[max_text]u8, n: i64) []const u8 {
    const tail = buf[1..][0..20];
    var start = 1 + writeDigits(tail, @abs(n));
    if (n < 0) {
        start -= 1;
        buf[start] = '-';
    }
    return buf[start .. 1 + tail.len];
}

/// NUMTEXT (chapter 4). The result lies in `buf`.
pub fn numText(buf: *[max_text]u8, n: Num) []const u8 {
    if (shownInFull(n)) |whole| return intText(buf, whole);
    if (nonFiniteText(n)) |text| {
        @memcpy(buf[0..text.len], text);
        return buf[0..text.len];
    }
    const decimal = Decimal.of(n);
    var out: Cursor = .{ .bytes = buf };
    if (decimal.negative) out.byte('-');
    const digits = decimal.digits();
    if (decimal.point <= 0) {
        out.slice("0.");
        out.zeros(@intCast(-decimal.point));
        out.slice(digits);
    } else {
        const whole: usize = @intCast(decimal.point);
        if (whole >= digits.len) {
            out.slice(digits);
            out.zeros(whole - digits.len);
        } else {
            out.slice(digits[0..whole]);
            out.byte('.');
            out.slice(digits[whole..]);
        }
    }
    return out.written();
}

/// The text of NaN and the infinities; null for finite numbers.
pub fn nonFiniteText(n: Num) ?[]const u8 {
    if (number.isFinite(n)) return null;
    if (number.isNan(n)) return "NaN";
    return if (n.float < 0) "-inf" else "inf";
}

/// A write position in a buffer that is known to be large enough.
pub const Cursor = struct {
    bytes: []u8,
    len: usize = 0,

    pub fn byte(self: *Cursor, value: u8) void {
        self.bytes[self.len] = value;
        self.len += 1;
    }

    pub fn slice(self: *Cursor, text: []const u8) void {
        @memcpy(self.bytes[self.len..][0..text.len], text);
        self.len += text.len;
    }

    pub fn zeros(self: *Cursor, count: usize) void {
        @memset(self.bytes[self.len..][0..count], '0');
        self.len += count;
    }

    pub fn written(self: *const Cursor) []const u8 {
        return self.bytes[0..self.len];
    }
};

/// The number a text of digits is made of, gathered while its grammar is checked (here and in json_scan.zig).
pub const Gathered = struct {
    negative: bool = false,
    /// The first 19 digits from the first that is not zero.
    mantissa: u64 = 0,
    significant: u32 = 0,
    /// Further significant digits, which `mantissa` does not hold.
    dropped: usize = 0,
    /// Digits after the point.
    fraction: usize = 0,
    exponent: i64 = 0,
    /// Neither point nor exponent.
    integer_form: bool = true,

    /// Take the next digit, before or after the point.
    pub inline fn digit(self: *Gathered, ascii: u8) void {
        if (self.significant < 19) {
            self.mantissa = self.mantissa * 10 + (ascii - '0');
            self.significant += @intFromBool(self.mantissa != 0);
        } else {
            self.dropped += 1;
        }
    }

    /// Take the next digit of the exponent. It saturates far beyond what any number of zeros in memory could cancel.
    pub inline fn exponentDigit(self: *Gathered, ascii: u8) void {
        if (self.exponent < 1 << 48) self.exponent = self.exponent * 10 + (ascii - '0');
    }

    /// The number: an integer if it was written as one and fits, else the nearest binary64, made canonical.
    /// `text` is the text these digits were gathered from.
    pub fn value(self: *const Gathered, text: []const u8) Num {
        if (self.integer_form and self.dropped == 0) {
            if (self.mantissa <= std.math.maxInt(i64)) {
                const magnitude: i64 = @intCast(self.mantissa);
                return .{ .int = if (self.negative) -magnitude else magnitude };
            }
            if (self.negative and self.mantissa == 1 << 63) return .{ .int = std.math.minInt(i64) };
        }
        const fraction: i64 = @intCast(self.fraction);
        const dropped: i64 = @intCast(self.dropped);
        const power = self.exponent - fraction + dropped;
        const magnitude = if (self.mantissa == 0)
            0
        else if (self.dropped == 0)
            scaled(self.mantissa, power)
        else
            longValue(text, self.significant + self.dropped, self.exponent - fraction);
        return number.canon(if (self.negative) -magnitude else magnitude);
    }
};

/// The nearest binary64 of `mantissa` x 10^`power`.
pub fn scaled(mantissa: u64, power: i64) f64 {
    // Both operands exact: the one rounding of the operation is the right one.
    if (mantissa <= 1 << 53 and power >= -22 and power <= 22) {
        const exact: f64 = @floatFromInt(mantissa);
        return if (power < 0) exact / powers_of_ten[@intCast(-power)] else exact * powers_of_ten[@intCast(power)];
    }
    var buffer: [32]u8 = undefined;
    const start = writeDigits(buffer[0..20], mantissa);
    var out: Cursor = .{ .bytes = &buffer, .len = 20 };
    writeExponent(&out, power);
    return parseWellFormed(out.written()[start..]);
}

const powers_of_ten = blk: {
    var table: [23]f64 = undefined;
    var power: comptime_int = 1;
    for (&table) |*entry| {
        entry.* = power;
        power *= 10;
    }
    break :blk table;
};

/// The halfway points between neighbouring floats have at most 768 significant digits, so of the digits from here on
/// it matters only whether one is not zero.
const decisive_digits = 769;

/// The nearest binary64 of a text with `significant` digits from its first non-zero one, the last of which stands for
/// 10^`last_power`.
fn longValue(text: []const u8, significant: usize, last_power: i64) f64 {
    var buffer: [decisive_digits + 16]u8 = undefined;
    var out: Cursor = .{ .bytes = &buffer };
    var left = significant;
    for (text) |byte| {
        if (!std.ascii.isDigit(byte) or (out.len == 0 and byte == '0')) continue;
        if (out.len < decisive_digits) {
            out.byte(byte);
        } else if (byte != '0') {
            out.bytes[decisive_digits - 1] |= 1;
        }
        left -= 1;
        if (left == 0) break;
    }
    writeExponent(&out, last_power + @as(i64, @intCast(significant - out.len)));
    return parseWellFormed(out.written());
}

/// `eN`. Beyond 20 000 in either direction every mantissa of at most `decisive_digits` gives zero or infinity.
fn writeExponent(out: *Cursor, power: i64) void {
    out.byte('e');
    if (power < 0) out.byte('-');
    var digits: [20]u8 = undefined;
    const start = writeDigits(&digits, @min(@abs(power), 20_000));
    out.slice(digits[start..]);
}

fn parseWellFormed(text: []const u8) f64 {
    return std.fmt.parseFloat(f64, text) catch std.math.nan(f64);
}

/// The number a text is, by the grammar of chapter 5 (no white space); null if it is none. Overflow gives an infinity.
pub fn parseNumberText(text: []const u8) ?Num {
    var gathered: Gathered = .{};
    var at: usize = 0;
    if (at < text.len and (text[at] == '+' or text[at] == '-')) {
        gathered.negative = text[at] == '-';
        at += 1;
    }
    const whole_start = at;
    while (at < text.len and std.ascii.isDigit(text[at])) : (at += 1) gathered.digit(text[at]);
    var digit_count = at - whole_start;
    if (at < text.len and text[at] == '.') {
        at += 1;
        gathered.integer_form = false;
        const fraction_start = at;
        while (at < text.len and std.ascii.isDigit(text[at])) : (at += 1) gathered.digit(text[at]);
        gathered.fraction = at - fraction_start;
        digit_count += gathered.fraction;
    }
    if (digit_count == 0) return null;
    if (at < text.len and (text[at] == 'e' or text[at] == 'E')) {
        at += 1;
        gathered.integer_form = false;
        var negative = false;
        if (at < text.len and (text[at] == '+' or text[at] == '-')) {
            negative = text[at] == '-';
            at += 1;
        }
        const exponent_start = at;
        while (at < text.len and std.ascii.isDigit(text[at])) : (at += 1) gathered.exponentDigit(text[at]);
        if (at == exponent_start) return null;
        if (negative) gathered.exponent = -gathered.exponent;
    }
    if (at != text.len) return null;
    return gathered.value(text);
}

/// NUM of a string (chapter 5): white space at the ends does not count, blank is 0; null if it is no number.
pub fn parseNum(text: []const u8) ?Num {
    const trimmed = utf8.trim(text);
    if (trimmed.len == 0) return .{ .int = 0 };
    return parseNumberText(trimmed);
}

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;

fn expectText(expected: []const u8, n: Num) !void {
    var buf: [max_text]u8 = undefined;
    try testing.expectEqualStrings(expected, numText(&buf, n));
}

fn expectFloatText(expected: []const u8, x: f64) !void {
    try expectText(expected, number.canon(x));
}

test "integers print their digits" {
    try expectText("0", .{ .int = 0 });
    try expectText("7", .{ .int = 7 });
    try expectText("-10", .{ .int = -10 });
    try expectText("12345", .{ .int = 12345 });
    try expectText("9223372036854775807", .{ .int = std.math.maxInt(i64) });
    try expectText("-9223372036854775808", .{ .int = std.math.minInt(i64) });
}

test "floats print the shortest digits that round-trip, never an exponent" {
    try expectFloatText("0.1", 0.1);
    try expectFloatText("1.5", 1.5);
    try expectFloatText("-0.5", -0.5);
    try expectFloatText("0.0000001", 1e-7);
    try expectFloatText("0.30000000000000004", 0.30000000000000004);
    try expectFloatText("100000000000000000000", 1e20);
    try expectFloatText("18446744073709552000", 18446744073709551616.0);
    try expectFloatText("123456.789", 123456.789);
    try expectFloatText("-9223372036854776000", -9223372036854775808.0);
}

test "whole floats inside the 64-bit range print all their digits" {
    try expectFloatText("1152921504606846976", 1152921504606846976.0);
    try expectFloatText("-9007199254740994", -9007199254740994.0);
    try expectFloatText("9223372036854774784", 9223372036854774784.0);
    try expectFloatText("9223372036854776000", 9223372036854775808.0);
}

test "non-finite floats have names" {
    try expectFloatText("NaN", std.math.nan(f64));
    try expectFloatText("inf", std.math.inf(f64));
    try expectFloatText("-inf", -std.math.inf(f64));
}

test "the longest texts fit the buffer" {
    var buf: [max_text]u8 = undefined;
    try testing.expectEqual(309, numText(&buf, .{ .float = std.math.floatMax(f64) }).len);
    try testing.expectEqual(326, numText(&buf, .{ .float = std.math.floatTrueMin(f64) }).len);
    try testing.expectEqual(327, numText(&buf, .{ .float = -2.2250738585072014e-308 }).len);
}

fn expectParsed(expected: Num, text: []const u8) !void {
    const actual = parseNumberText(text) orelse return error.NotANumber;
    try testing.expectEqual(expected, actual);
}

test "digits that fit 64 bits are that integer" {
    try expectParsed(.{ .int = 0 }, "0");
    try expectParsed(.{ .int = 0 }, "-0");
    try expectParsed(.{ .int = 7 }, "+007");
    try expectParsed(.{ .int = 9007199254740993 }, "9007199254740993");
    try expectParsed(.{ .int = std.math.maxInt(i64) }, "9223372036854775807");
    try expectParsed(.{ .int = std.math.minInt(i64) }, "-9223372036854775808");
    try expectParsed(.{ .int = 12 }, "0000000000000000000000000000000012");
}

test "digits beyond 64 bits are the nearest binary64" {
    try expectParsed(.{ .float = 9223372036854775808.0 }, "9223372036854775808");
    try expectParsed(.{ .float = -9223372036854775808.0 }, "-9223372036854775809");
    try expectParsed(.{ .float = 1e25 }, "10000000000000000000000000");
}

test "every other form is the nearest binary64, made canonical" {
    try expectParsed(.{ .int = 1000 }, "1e3");
    try expectParsed(.{ .int = 1 }, "1.0");
    try expectParsed(.{ .int = 0 }, "-0.0");
    try expectParsed(.{ .int = 5 }, "5.");
    try expectParsed(.{ .float = 0.5 }, ".5");
    try expectParsed(.{ .float = -0.05 }, "-.5E-1");
    try expectParsed(.{ .int = 9007199254740992 }, "9007199254740993.0");
    try expectParsed(.{ .float = 5e-324 }, "4.9e-324");
    try expectParsed(.{ .int = 0 }, "2e-324");
    try expectParsed(.{ .float = std.math.inf(f64) }, "1e309");
    try expectParsed(.{ .float = -std.math.inf(f64) }, "-1e99999999999999999999999");
    try expectParsed(.{ .int = 0 }, "1e-99999999999999999999999");
    try expectParsed(.{ .int = 0 }, "0e99999999999999999999999");
}

test "exponents that cancel many zeros count in full" {
    const zeros = "0" ** 2000;
    try expectParsed(.{ .int = 1 }, "1" ++ zeros ++ "e-2000");
    try expectParsed(.{ .int = 10 }, "0." ++ zeros ++ "1e2002");
    try expectParsed(.{ .float = 1.5e300 }, "0." ++ zeros ++ "15e2301");
}

/// The 768 digits of a number halfway between two subnormal floats; its last digit stands for 10^-1075.
const long_half =
    "111253692925360192670923096178256247353159016078459682792617024425551328137116534961590975502813517353162457" ++
    "395549885499398795569507105737106978208253835040750237902372069648099158804949980313765050370214592651108890" ++
    "077776790015211595409544288312950244526410100774350087842290923172586338562919247138870371779244891717462039" ++
    "589013618588488663214688122719631380652438699903537638145119392922782332749668585411280821362520426997364723" ++
    "012688978539002288983989649593919039920221293434015187773361173963401506372255449656829121407003858360025326" ++
    "172185266083940672485433462208213427475537126033351770775621797711191647094567391663247578327040156712961034" ++
    "676845991046253391832616393829850507874024072480794760374978991708506981069188614130727188467062660492956638" ++
    "336181640625";

test "digits beyond the nineteenth decide ties" {
    // 2^53 + 1 is halfway between two floats: the smallest excess rounds it up.
    try expectParsed(.{ .int = 9007199254740992 }, "9007199254740993.000000000000000000");
    const zeros = "0" ** 1000;
    try expectParsed(.{ .int = 9007199254740992 }, "9007199254740993." ++ zeros);
    try expectParsed(.{ .float = 9007199254740994.0 }, "9007199254740993." ++ zeros ++ "1");
    const lower: Num = .{ .float = 0x0.8000000000002p-1022 };
    const higher: Num = .{ .float = 0x0.8000000000003p-1022 };
    try expectParsed(lower, long_half ++ "e-1075");
    try expectParsed(lower, long_half ++ zeros ++ "e-2075");
    try expectParsed(higher, long_half ++ "1e-1076");
    try expectParsed(higher, long_half ++ zeros ++ "1e-2076");
    try expectParsed(higher, "0." ++ "0" ** 307 ++ long_half ++ zeros ++ "1");
}

test "texts outside the grammar are no numbers" {
    for ([_][]const u8{
        "",     "+",   "-",  ".",   "e5",    ".e5", "1e", "1e+", "--1", "1_000", "0x10", "inf", "nan", "NaN",
        "1.2.", " 1",  "1 ", "1,5",
        "１",
        "1e5.", "+-1", "1-", "5..", "1e1e1", "0b1", "1f",
        "∞",
    }) |text| {
        try testing.expectEqual(null, parseNumberText(text));
    }
}

test "NUM of a string ignores white space at the ends and takes blank as zero" {
    try testing.expectEqual(Num{ .int = 12 }, parseNum(" \t12\r\n").?);
    try testing.expectEqual(Num{ .float = 1.5 }, parseNum("\u{3000}1.5\u{2009}").?);
    try testing.expectEqual(Num{ .int = 0 }, parseNum("").?);
    try testing.expectEqual(Num{ .int = 0 }, parseNum(" \u{85}\u{A0} ").?);
    try testing.expectEqual(null, parseNum("1 2"));
    try testing.expectEqual(null, parseNum("; 1"));
}

test "printing and reading back keeps every float" {
    var random = std.Random.DefaultPrng.init(1);
    var buf: [max_text]u8 = undefined;
    for (0..20_000) |_| {
        const x: f64 = @bitCast(random.random().int(u64));
        if (std.math.isNan(x) or std.math.isInf(x)) continue;
        const n = number.canon(x);
        try testing.expect(number.eql(n, parseNumberText(numText(&buf, n)).?));
    }
}
