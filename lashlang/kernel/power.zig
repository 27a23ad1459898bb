//! `sqrt`, `log` and `pow` (chapter 10.2).
//!
//! The square root is one correctly rounded instruction. For the others the true result has to be hit exactly where it
//! is a binary64 and within one unit in the last place elsewhere, the same on every machine, and `pow` makes that hard:
//! x^y = e^(y ln x), where an error of one part in 2^53 in y ln x, up to 745, spoils the last ten bits. So both are
//! computed as double-doubles, with some 2^-90 of error, and rounded once at the end:
//!
//!   ln x  x = m 2^e with m near 1; ln x = e ln 2 + ln c + ln(m/c), where c is the multiple of 1/32 nearest to m,
//!         ln c comes from a table, and ln(m/c) = 2 artanh s = 2(s + s^3/3 + s^5/5 + ...) with s = (m-c)/(m+c),
//!         at most 0.0112.
//!   e^p   p = (32k + j) ln2/32 + r; e^p = 2^k 2^(j/32) e^r, where |r| is at most 0.0109, by the exponential series.
//!
//! Only the leading terms of the series need the double precision; the rest is so small that floats do.

const std = @import("std");
const number = @import("number.zig");
const DoubleDouble = @import("double_double.zig").DoubleDouble;
const Num = number.Num;

/// The operand lies outside the function's domain, which is a `value_error`.
pub const Error = error{Domain};

const inf = std.math.inf(f64);

/// The square root, correctly rounded. Below 0: `Domain`.
pub fn sqrt(a: Num) Error!Num {
    const x = number.toFloat(a);
    if (x < 0) return error.Domain;
    return number.canon(@sqrt(x));
}

/// The natural logarithm. 0 and below: `Domain`.
pub fn log(a: Num) Error!Num {
    const x = number.toFloat(a);
    if (x <= 0) return error.Domain;
    if (!std.math.isFinite(x)) return number.canon(x);
    return number.canon(logarithm(x).hi);
}

/// `x` to the power `y`: exact for integers where it fits 64 bits, else IEEE 754 `pow`. 0 to a negative power, and a
/// number below 0 to a finite power that is not whole: `Domain`.
pub fn pow(x: Num, y: Num) Error!Num {
    if (x == .int and y == .int) {
        if (integerPower(x.int, y.int)) |exact| return .{ .int = exact };
    }
    return number.canon(try floatPower(number.toFloat(x), number.toFloat(y)));
}

/// The exact power by repeated squaring, or null for a negative exponent or where it does not fit.
fn integerPower(x: i64, y: i64) ?i64 {
    if (y < 0) return null;
    if (x == 0 or x == 1) return if (y == 0) 1 else x;
    if (x == -1) return if (y & 1 == 0) 1 else -1;
    if (y > 63) return null;
    var result: i64 = 1;
    var base = x;
    var left = y;
    while (true) {
        if (left & 1 == 1) result = std.math.mul(i64, result, base) catch return null;
        left >>= 1;
        if (left == 0) return result;
        base = std.math.mul(i64, base, base) catch return null;
    }
}

/// IEEE 754 `pow`, but for the errors the language defines. There is no negative zero among operands or results.
fn floatPower(x: f64, y: f64) Error!f64 {
    if (y == 0 or x == 1) return 1;
    if (std.math.isNan(x) or std.math.isNan(y)) return std.math.nan(f64);
    if (x == 0) return if (y < 0) error.Domain else 0;
    const size = @abs(x);
    if (std.math.isInf(y)) {
        if (size == 1) return 1;
        return if ((size > 1) == (y > 0)) inf else 0;
    }
    if (x < 0 and @trunc(y) != y) return error.Domain;
    const magnitude = if (std.math.isInf(size)) (if (y > 0) inf else 0) else positivePower(size, y);
    return if (x < 0 and isOdd(y)) -magnitude else magnitude;
}

/// Whether a whole float is odd. From 2^53 up all are even.
fn isOdd(y: f64) bool {
    return @abs(y) < 1 << 53 and @as(i64, @intFromFloat(y)) & 1 == 1;
}

/// The power for finite `x` > 0 and finite `y`.
fn positivePower(x: f64, y: f64) f64 {
    // |ln x| is 0 or at least 2^-53, so beyond these exponents the result is far over an end of the range, or is 1.
    if (x == 1 or @abs(y) < 0x1p-70) return 1;
    if (@abs(y) > 0x1p66) return if ((x > 1) == (y > 0)) inf else 0;
    return exponential(logarithm(x).scale(y));
}

/// 1/32 of a unit: how finely the tables divide an octave.
const divisions = 32;
const first_center = 22; // of 32: below sqrt(1/2)
const last_center = 46; // of 32: above sqrt(2)

/// 2 artanh(s), to quadruple precision, at compile time.
fn twiceArtanh(comptime s: comptime_float) comptime_float {
    @setEvalBranchQuota(10_000);
    comptime var power = s;
    comptime var total = 0.0;
    comptime var odd = 1.0;
    inline for (0..40) |_| {
        total += power / odd;
        power *= s * s;
        odd += 2.0;
    }
    return 2 * total;
}

const ln2 = twiceArtanh(1.0 / 3.0);
const step_logarithm = ln2 / @as(comptime_float, divisions);

/// ln(c/32) for c from `first_center` on.
const center_logarithms = blk: {
    var table: [last_center - first_center + 1]DoubleDouble = undefined;
    for (&table, first_center..) |*entry, center| {
        const c: comptime_float = @floatFromInt(center);
        entry.* = .constant(twiceArtanh((c - divisions) / (c + divisions)));
    }
    break :blk table;
};

/// 2^(j/32) for j from 0 to 31.
const octave_steps = blk: {
    @setEvalBranchQuota(10_000);
    var table: [divisions]DoubleDouble = undefined;
    for (&table, 0..) |*entry, j| {
        const x = step_logarithm * @as(comptime_float, @floatFromInt(j));
        var term: comptime_float = 1.0;
        var total: comptime_float = 0.0;
        for (1..40) |n| {
            total += term;
            term *= x / @as(comptime_float, @floatFromInt(n));
        }
        entry.* = .constant(total);
    }
    break :blk table;
};

/// ln x for finite x > 0; exactly 0 for 1, and with a small relative error close to it.
fn logarithm(x: f64) DoubleDouble {
    const parts = std.math.frexp(x);
    var m = parts.significand;
    var e = parts.exponent;
    if (m < std.math.sqrt1_2) {
        m *= 2;
        e -= 1;
    }
    const center: usize = @intFromFloat(@round(m * divisions));
    const c = @as(f64, @floatFromInt(center)) / divisions;

    const s = DoubleDouble.of(m - c).div(.sum(m, c));
    const square = s.mul(s);
    const q = square.hi;
    const tail = 1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0 + q * (1.0 / 17.0))));
    var series = DoubleDouble.constant(1.0 / 7.0).add(square.scale(tail));
    inline for (.{ 1.0 / 5.0, 1.0 / 3.0, 1.0 }) |coefficient| {
        series = DoubleDouble.constant(coefficient).add(square.mul(series));
    }
    const near = series.mul(s).scale(2);
    const octaves = DoubleDouble.constant(ln2).scale(@floatFromInt(e));
    return octaves.add(center_logarithms[center - first_center]).add(near);
}

/// e^p, rounded to a float; inf or 0 where that is out of range.
fn exponential(p: DoubleDouble) f64 {
    if (p.hi > 710) return inf;
    if (p.hi < -746) return 0;
    const steps = @round(p.hi * (1.0 / step_logarithm));
    const r = p.sub(DoubleDouble.constant(step_logarithm).scale(steps));

    const t = r.hi;
    const tail = 1.0 / 720.0 + t * (1.0 / 5040.0 + t * (1.0 / 40320.0 + t * (1.0 / 362880.0 + t * (1.0 / 3628800.0 +
        t * (1.0 / 39916800.0 + t * (1.0 / 479001600.0))))));
    var series = DoubleDouble.constant(1.0 / 120.0).add(r.scale(tail));
    inline for (.{ 1.0 / 24.0, 1.0 / 6.0, 1.0 / 2.0, 1.0, 1.0 }) |coefficient| {
        series = DoubleDouble.constant(coefficient).add(r.mul(series));
    }
    const whole: i32 = @intFromFloat(steps);
    const j: usize = @intCast(@mod(whole, divisions));
    return std.math.ldexp(series.mul(octave_steps[j]).hi, @divFloor(whole, divisions));
}

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;
const max_int = std.math.maxInt(i64);
const min_int = std.math.minInt(i64);
const nan = std.math.nan(f64);

fn expectPow(expected: f64, x: f64, y: f64) !void {
    const actual = number.toFloat(try pow(number.canon(x), number.canon(y)));
    if (std.math.isNan(expected)) return testing.expect(std.math.isNan(actual));
    try testing.expectEqual(expected, actual);
}

test "powers of integers are exact where they fit" {
    try testing.expectEqual(Num{ .int = 4052555153018976267 }, try pow(.{ .int = 3 }, .{ .int = 39 }));
    try testing.expectEqual(Num{ .int = min_int }, try pow(.{ .int = -2 }, .{ .int = 63 }));
    try testing.expectEqual(Num{ .int = -1 }, try pow(.{ .int = -1 }, .{ .int = max_int }));
    try testing.expectEqual(Num{ .int = 1 }, try pow(.{ .int = -1 }, .{ .int = max_int - 1 }));
    try testing.expectEqual(Num{ .int = 0 }, try pow(.{ .int = 0 }, .{ .int = max_int }));
    try testing.expectEqual(Num{ .int = 1 }, try pow(.{ .int = 0 }, .{ .int = 0 }));
    try testing.expectEqual(Num{ .int = max_int }, try pow(.{ .int = max_int }, .{ .int = 1 }));
    try testing.expectEqual(Num{ .int = 9223372030926249001 }, try pow(.{ .int = 3037000499 }, .{ .int = 2 }));
}

test "powers of integers that do not fit are floats" {
    try testing.expectEqual(Num{ .float = 0x1p64 }, try pow(.{ .int = 2 }, .{ .int = 64 }));
    try testing.expectEqual(Num{ .float = 0x1p63 }, try pow(.{ .int = 2 }, .{ .int = 63 }));
    try testing.expectEqual(Num{ .float = -0x1p65 }, try pow(.{ .int = -2 }, .{ .int = 65 }));
    try testing.expectEqual(Num{ .float = inf }, try pow(.{ .int = 10 }, .{ .int = 400 }));
    try testing.expectEqual(Num{ .float = 1e22 }, try pow(.{ .int = 10 }, .{ .int = 22 }));
    try testing.expectEqual(Num{ .float = 0.25 }, try pow(.{ .int = 4 }, .{ .int = -1 }));
}

test "powers are exact where the true result is a float" {
    try expectPow(2, 4, 0.5);
    try expectPow(27, 9, 1.5);
    try expectPow(0.001953125, 0.5, 9);
    try expectPow(1.5 * 1.5 * 1.5 * 1.5 * 1.5, 1.5, 5);
    try expectPow(0x1p-1074, 2, -1074);
    try expectPow(0x1p-1074, 0x1p-537, 2);
    try expectPow(0x1p1023, 2, 1023);
    try expectPow(0x1.8p-1070, 0x1.8p-1070, 1);
    try expectPow(123.456, 123.456, 1);
    try expectPow(1e-300, 1e-300, 1);
}

test "powers of extreme operands" {
    try expectPow(inf, 2, 1024);
    try expectPow(0, 2, -1075);
    try expectPow(inf, 1.0000000000000002, 1e20);
    try expectPow(0, 0.9999999999999999, 1e20);
    try expectPow(1, 1.0000000000000002, 1e-20);
    try expectPow(inf, 1e308, 1e308);
    try expectPow(0, 1e308, -1e308);
    try expectPow(1, 1e308, 1e-308);
    try expectPow(0, 5e-324, 5);
}

test "the special cases of IEEE 754 hold" {
    try expectPow(1, nan, 0);
    try expectPow(1, 1, nan);
    try expectPow(nan, nan, 1);
    try expectPow(nan, 2, nan);
    try expectPow(nan, -2, nan);
    try expectPow(0, 0, 3);
    try expectPow(0, 0, inf);
    try expectPow(1, -1, inf);
    try expectPow(1, -1, -inf);
    try expectPow(inf, -2, inf);
    try expectPow(0, -2, -inf);
    try expectPow(0, 0.5, inf);
    try expectPow(inf, 0.5, -inf);
    try expectPow(-inf, -inf, 3);
    try expectPow(inf, -inf, 2);
    try expectPow(0, -inf, -3);
    try expectPow(inf, inf, 0.5);
    try expectPow(0, inf, -0.5);
    try expectPow(-8, -2, 3);
    try expectPow(16, -4, 2);
    try expectPow(-0.125, -2, -3);
}

test "operands outside the domain are errors" {
    try testing.expectError(error.Domain, pow(.{ .int = 0 }, .{ .int = -1 }));
    try testing.expectError(error.Domain, pow(.{ .int = 0 }, .{ .float = -inf }));
    try testing.expectError(error.Domain, pow(.{ .int = -8 }, .{ .float = 1.0 / 3.0 }));
    try testing.expectError(error.Domain, pow(.{ .float = -inf }, .{ .float = 0.5 }));
    try testing.expectError(error.Domain, sqrt(.{ .int = -1 }));
    try testing.expectError(error.Domain, sqrt(.{ .float = -inf }));
    try testing.expectError(error.Domain, log(.{ .int = 0 }));
    try testing.expectError(error.Domain, log(.{ .float = -0.5 }));
}

test "square roots are correctly rounded and canonical" {
    try testing.expectEqual(Num{ .int = 3 }, try sqrt(.{ .int = 9 }));
    try testing.expectEqual(Num{ .float = 1.5 }, try sqrt(.{ .float = 2.25 }));
    try testing.expectEqual(Num{ .float = 1.4142135623730951 }, try sqrt(.{ .int = 2 }));
    try testing.expectEqual(Num{ .float = inf }, try sqrt(.{ .float = inf }));
    try testing.expectEqual(Num{ .int = 0 }, try sqrt(.{ .int = 0 }));
    try testing.expect(number.isNan(try sqrt(.{ .float = nan })));
}

test "logarithms" {
    try testing.expectEqual(Num{ .int = 0 }, try log(.{ .int = 1 }));
    try testing.expectEqual(Num{ .float = 2.302585092994046 }, try log(.{ .int = 10 }));
    try testing.expectEqual(Num{ .float = 0.6931471805599453 }, try log(.{ .int = 2 }));
    try testing.expectEqual(Num{ .float = 0x1p-52 - 0x1p-105 }, try log(.{ .float = 1.0000000000000002 }));
    try testing.expectEqual(Num{ .float = -1.1102230246251565e-16 }, try log(.{ .float = 0.9999999999999999 }));
    try testing.expectEqual(Num{ .float = -744.4400719213812 }, try log(.{ .float = 5e-324 }));
    try testing.expectEqual(Num{ .float = 709.782712893384 }, try log(.{ .float = std.math.floatMax(f64) }));
    try testing.expectEqual(Num{ .float = inf }, try log(.{ .float = inf }));
    try testing.expect(number.isNan(try log(.{ .float = nan })));
}
