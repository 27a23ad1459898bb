//! Numbers shortened for people (chapter 10): `round`, `to_fixed`, and `{:.Nf}`, `{:,}`, `{:,.Nf}` of `format`.
//!
//! All of them work on the decimal digits that NUMTEXT shows, not on the binary value behind them, and round half away
//! from zero: 1.005 to two places is 1.01, although the binary64 called 1.005 is a little less. So the steps are: take
//! the digits, cut them at the place, perhaps add one to the last, and either read the result back as a number
//! (`round`) or lay it out as text (the others).

const std = @import("std");
const number = @import("number.zig");
const decimal = @import("decimal.zig");
const Num = number.Num;

/// The most decimals `to_fixed` and `format` give.
pub const max_fixed_digits = 100;

/// No result of `fixedText` or `groupedText` needs more bytes: 309 digits, a comma for every three, 101 for decimals.
pub const max_text = 640;

/// Digits cut at a decimal place: `negative` 0.d1d2d3… x 10^point. An added carry may need one digit more than before.
const Rounded = struct {
    negative: bool,
    buffer: [21]u8,
    len: usize,
    point: i64,

    /// The digits NUMTEXT shows of a finite number, rounded half away from zero to `places` digits after the point
    /// (before it, where negative).
    fn of(n: Num, places: i64) Rounded {
        const shown = decimal.Decimal.of(n);
        var result: Rounded = .{ .negative = shown.negative, .buffer = undefined, .len = 0, .point = shown.point };
        const all = shown.digits();
        const keep = places +| shown.point;
        if (keep < 0) return result;
        if (keep >= all.len) {
            @memcpy(result.buffer[0..all.len], all);
            result.len = all.len;
            return result;
        }
        result.len = @intCast(keep);
        @memcpy(result.buffer[0..result.len], all[0..result.len]);
        if (all[result.len] >= '5') result.increment();
        return result;
    }

    /// Add one to the last digit kept. Digits that become zero leave the end; a carry out of the front becomes a 1.
    fn increment(self: *Rounded) void {
        while (self.len > 0 and self.buffer[self.len - 1] == '9') self.len -= 1;
        if (self.len > 0) {
            self.buffer[self.len - 1] += 1;
        } else {
            self.buffer[0] = '1';
            self.len = 1;
            self.point += 1;
        }
    }

    fn digits(self: *const Rounded) []const u8 {
        return self.buffer[0..self.len];
    }

    fn isZero(self: *const Rounded) bool {
        return std.mem.allEqual(u8, self.digits(), '0');
    }
};

/// `round(x, digits)`: the digits NUMTEXT shows, rounded half away from zero and read back. Non-finite numbers stay.
pub fn round(x: Num, digits: i64) Num {
    if (!number.isFinite(x)) return x;
    if (decimal.shownInFull(x)) |whole| {
        if (digits >= 0) return .{ .int = whole };
    }
    const rounded: Rounded = .of(x, digits);
    var mantissa: u64 = 0;
    for (rounded.digits()) |digit| mantissa = mantissa * 10 + (digit - '0');
    const power = rounded.point - @as(i64, @intCast(rounded.len));
    if (power >= 0) if (shifted(mantissa, power)) |whole| return .{ .int = if (rounded.negative) -whole else whole };
    const magnitude = decimal.scaled(mantissa, power);
    return number.canon(if (rounded.negative) -magnitude else magnitude);
}

/// `mantissa` x 10^`power` if it fits 64 bits with either sign.
fn shifted(mantissa: u64, power: i64) ?i64 {
    if (mantissa == 0) return 0;
    if (power > 18) return null;
    var value: u64 = mantissa;
    for (0..@intCast(power)) |_| value = std.math.mul(u64, value, 10) catch return null;
    return std.math.cast(i64, value);
}

/// `to_fixed(x, digits)`: `x` rounded with exactly `digits` decimals (at most `max_fixed_digits`), no point for 0, no
/// sign on zero. Non-finite numbers give NUMTEXT.
pub fn fixedText(buf: *[max_text]u8, x: Num, digits: u7) []const u8 {
    return layOut(buf, x, digits, false);
}

/// `{:,}` of `format` for `digits` null, `{:,.Nf}` otherwise: commas between the thousands of the whole part.
pub fn groupedText(buf: *[max_text]u8, x: Num, digits: ?u7) []const u8 {
    if (digits) |places| return layOut(buf, x, places, true);
    if (!number.isFinite(x)) return layOut(buf, x, 0, true);
    const shown = decimal.Decimal.of(x);
    const decimals = @as(i64, shown.len) - shown.point;
    // A float can show more decimals than `to_fixed` gives; none shows more than 345.
    return layOut(buf, x, @intCast(std.math.clamp(decimals, 0, 400)), true);
}

fn layOut(buf: *[max_text]u8, x: Num, places: u9, grouped: bool) []const u8 {
    var out: decimal.Cursor = .{ .bytes = buf };
    if (decimal.nonFiniteText(x)) |text| {
        out.slice(text);
        return out.written();
    }
    const rounded: Rounded = .of(x, places);
    if (rounded.negative and !rounded.isZero()) out.byte('-');
    const digits = rounded.digits();
    const whole: i64 = @max(rounded.point, 0);

    if (whole == 0) out.byte('0');
    for (0..@intCast(whole)) |i| {
        if (grouped and i > 0 and (@as(usize, @intCast(whole)) - i) % 3 == 0) out.byte(',');
        out.byte(if (i < digits.len) digits[i] else '0');
    }
    if (places == 0) return out.written();
    out.byte('.');
    const leading: usize = @intCast(@min(@max(-rounded.point, 0), places));
    out.zeros(leading);
    const fraction = digits[@min(digits.len, @as(usize, @intCast(whole)))..];
    out.slice(fraction);
    out.zeros(places - leading - fraction.len);
    return out.written();
}

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;
const max_int = std.math.maxInt(i64);
const min_int = std.math.minInt(i64);

fn num(text: []const u8) Num {
    return decimal.parseNumberText(text) orelse unreachable;
}

fn expectRound(expected: []const u8, x: []const u8, digits: i64) !void {
    try testing.expectEqual(num(expected), round(num(x), digits));
}

test "round goes half away from zero on the digits shown" {
    try expectRound("3", "2.5", 0);
    try expectRound("-3", "-2.5", 0);
    try expectRound("1.01", "1.005", 2);
    try expectRound("2.68", "2.675", 2);
    try expectRound("-1.3", "-1.25", 1);
    try expectRound("3.142", "3.14159", 3);
    try expectRound("0.3", "0.30000000000000004", 5);
    try expectRound("1", "0.5", 0);
    try expectRound("0", "0.49999999999999994", 0);
    try expectRound("0", "-0.4", 0);
    try expectRound("10", "9.96", 1);
    try expectRound("1000000", "999999.9", 0);
}

test "negative digits round left of the point" {
    try expectRound("1200", "1234", -2);
    try expectRound("1300", "1250", -2);
    try expectRound("-1300", "-1250", -2);
    try expectRound("0", "15", -5);
    try expectRound("100", "50", -2);
    try expectRound("0", "49", -2);
    try expectRound("9007199254740990", "9007199254740993", -1);
    try expectRound("18446744073709550000", "18446744073709552000", -4);
    try expectRound("0", "9223372036854775807", -20);
    try expectRound("10000000000000000000", "9223372036854775807", -19);
}

test "rounding past the 64-bit range gives a float" {
    try testing.expectEqual(Num{ .float = 9223372036854775808.0 }, round(.{ .int = max_int }, -1));
    try testing.expectEqual(Num{ .int = 9223372036854775800 }, round(.{ .int = max_int - 3 }, -1));
    try testing.expectEqual(Num{ .float = -9223372036854775808.0 }, round(.{ .int = min_int }, -1));
}

test "any number of digits is accepted" {
    try expectRound("0", "123.456", min_int);
    try expectRound("123.456", "123.456", max_int);
    try expectRound("7", "7", 2);
    try expectRound("5", "5", max_int);
    const huge: Num = .{ .float = 1e300 };
    try testing.expectEqual(huge, round(huge, 0));
    try testing.expectEqual(Num{ .int = 0 }, round(huge, -302));
    try testing.expectEqual(Num{ .float = 1e301 }, round(.{ .float = 5e300 }, -301));
    try testing.expectEqual(Num{ .float = 5e-324 }, round(.{ .float = 5e-324 }, 324));
    try testing.expectEqual(Num{ .float = 1e-323 }, round(.{ .float = 5e-324 }, 323));
    try testing.expectEqual(Num{ .int = 0 }, round(.{ .float = 5e-324 }, 322));
}

test "a whole float beyond 2^53 rounds to the integer it shows" {
    try testing.expectEqual(Num{ .int = 1152921504606846976 }, round(.{ .float = 1152921504606846976.0 }, 0));
}

test "non-finite numbers stay" {
    const inf = std.math.inf(f64);
    try testing.expectEqual(Num{ .float = -inf }, round(.{ .float = -inf }, 2));
    try testing.expect(number.isNan(round(.{ .float = std.math.nan(f64) }, 0)));
}

fn expectFixed(expected: []const u8, x: []const u8, digits: u7) !void {
    var buf: [max_text]u8 = undefined;
    try testing.expectEqualStrings(expected, fixedText(&buf, num(x), digits));
}

test "to_fixed shows exactly so many decimals" {
    try expectFixed("1.01", "1.005", 2);
    try expectFixed("0.00", "-0.001", 2);
    try expectFixed("-0.01", "-0.005", 2);
    try expectFixed("3", "2.5", 0);
    try expectFixed("0", "0.4", 0);
    try expectFixed("1", "0.5", 0);
    try expectFixed("0.0", "0", 1);
    try expectFixed("12.00", "12", 2);
    try expectFixed("1000", "999.5", 0);
    try expectFixed("10.00", "9.999", 2);
    try expectFixed("0.10", "0.0999", 2);
    try expectFixed("0.1", "0.05", 1);
    try expectFixed("0.001", "0.00099", 3);
    try expectFixed("0.000", "0.00001", 3);
    try expectFixed("123456.7890", "123456.789", 4);
    try expectFixed("-9223372036854775808.0", "-9223372036854775808", 1);
    try expectFixed("100000000000000000000.00", "1e20", 2);
    try expectFixed("0." ++ "0" ** 99 ++ "1", "9.9e-101", 100);
    try expectFixed("inf", "1e999", 2);
}

test "the longest fixed text fits" {
    var buf: [max_text]u8 = undefined;
    const huge: Num = .{ .float = -std.math.floatMax(f64) };
    try testing.expectEqual(1 + 309 + 1 + 100, fixedText(&buf, huge, 100).len);
    try testing.expectEqual(1 + 309 + 102 + 1 + 100, groupedText(&buf, huge, 100).len);
}

fn expectGrouped(expected: []const u8, x: []const u8, digits: ?u7) !void {
    var buf: [max_text]u8 = undefined;
    try testing.expectEqualStrings(expected, groupedText(&buf, num(x), digits));
}

test "commas stand between the thousands of the whole part" {
    try expectGrouped("1,234,567", "1234567", null);
    try expectGrouped("-1,234,567.5", "-1234567.5", null);
    try expectGrouped("999", "999", null);
    try expectGrouped("-999", "-999", null);
    try expectGrouped("1,000", "1000", null);
    try expectGrouped("0", "0", null);
    try expectGrouped("0.0001234", "0.0001234", null);
    try expectGrouped("1,234,567.89", "1234567.891", 2);
    try expectGrouped("1,000", "999.5", 0);
    try expectGrouped("-1,000.0", "-1000", 1);
    try expectGrouped("100,000,000,000,000,000,000", "1e20", null);
    try expectGrouped("-9,223,372,036,854,775,808", "-9223372036854775808", null);
    try expectGrouped("-inf", "-1e999", 2);
}

test "grouping without digits shows what NUMTEXT shows" {
    var plain: [decimal.max_text]u8 = undefined;
    var grouped: [max_text]u8 = undefined;
    var random = std.Random.DefaultPrng.init(2);
    for (0..5000) |_| {
        const n = number.canon(@bitCast(random.random().int(u64)));
        var kept: [max_text]u8 = undefined;
        var len: usize = 0;
        for (groupedText(&grouped, n, null)) |byte| if (byte != ',') {
            kept[len] = byte;
            len += 1;
        };
        try testing.expectEqualStrings(decimal.numText(&plain, n), kept[0..len]);
    }
}
