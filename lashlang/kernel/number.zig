//! The number type: one type, held as an exact 64-bit integer or as a binary64 float (chapters 3 and 6).
//!
//! The *canonical rule* ties the two together: a float that is finite, integral and at most 2^53 in size is the
//! integer. So every value up to there has exactly one form, negative zero does not exist, and a float that is still
//! integral stands for a whole number beyond 2^53. All functions expect canonical operands and give canonical results.
//!
//! Integer operations are exact while the result fits; when it does not, both operands are taken as the nearest
//! binary64 and IEEE 754 decides. Comparison never rounds: an integer and a float are ordered by mathematical value.
//!
//! Which of its many bit patterns a computed NaN has differs between machines. Every result here that is NaN has the
//! same one, so that what is stored of a run is the same everywhere.

const std = @import("std");

/// A number. `float` never holds what the canonical rule makes an integer.
pub const Num = union(enum) { int: i64, float: f64 };

/// 2^53: up to this size every whole number is a binary64, and is held as an integer.
const exact_float_limit: f64 = 9007199254740992.0;

/// 2^63, the first whole number above the 64-bit range (its negative is the last one inside).
const two_63: f64 = 9223372036854775808.0;

const nan: Num = .{ .float = std.math.nan(f64) };

/// The number a float stands for, by the canonical rule.
pub inline fn canon(x: f64) Num {
    if (@abs(x) <= exact_float_limit) {
        const whole: i64 = @intFromFloat(x);
        if (@as(f64, @floatFromInt(whole)) == x) return .{ .int = whole };
    }
    return asFloat(x);
}

/// A float that is no integer by the canonical rule.
inline fn asFloat(x: f64) Num {
    return if (std.math.isNan(x)) nan else .{ .float = x };
}

/// The nearest binary64 (ties to even).
pub inline fn toFloat(n: Num) f64 {
    return switch (n) {
        .int => |i| @floatFromInt(i),
        .float => |f| f,
    };
}

/// `a + b`.
pub fn add(a: Num, b: Num) Num {
    if (a == .int and b == .int) {
        const sum, const overflow = @addWithOverflow(a.int, b.int);
        if (overflow == 0) return .{ .int = sum };
    }
    return canon(toFloat(a) + toFloat(b));
}

/// `a - b`.
pub fn sub(a: Num, b: Num) Num {
    if (a == .int and b == .int) {
        const difference, const overflow = @subWithOverflow(a.int, b.int);
        if (overflow == 0) return .{ .int = difference };
    }
    return canon(toFloat(a) - toFloat(b));
}

/// `a * b`.
pub fn mul(a: Num, b: Num) Num {
    if (a == .int and b == .int) {
        // The checked 64-bit product is a 128-bit one on WebAssembly; small factors, nearly all, do not need it.
        if (isSmall(a.int) and isSmall(b.int)) return .{ .int = a.int * b.int };
        const product, const overflow = @mulWithOverflow(a.int, b.int);
        if (overflow == 0) return .{ .int = product };
    }
    return canon(toFloat(a) * toFloat(b));
}

inline fn isSmall(i: i64) bool {
    return i == @as(i32, @truncate(i));
}

/// `a / b`: the integer quotient when the division is exact and fits, else the IEEE quotient.
pub fn div(a: Num, b: Num) Num {
    if (a == .int and b == .int and b.int != 0 and !overflowsQuotient(a.int, b.int)) {
        const quotient = @divTrunc(a.int, b.int);
        if (quotient * b.int == a.int) return .{ .int = quotient };
    }
    return canon(toFloat(a) / toFloat(b));
}

/// The one integer quotient that does not fit: -2^63 / -1.
inline fn overflowsQuotient(a: i64, b: i64) bool {
    return b == -1 and a == std.math.minInt(i64);
}

/// `a % b`: the remainder with the sign of `a`; NaN for `b` = 0.
pub fn mod(a: Num, b: Num) Num {
    if (a == .int and b == .int) {
        if (b.int == 0) return nan;
        if (b.int == -1) return .{ .int = 0 };
        return .{ .int = @rem(a.int, b.int) };
    }
    const x = toFloat(a);
    const y = toFloat(b);
    if (!std.math.isFinite(x) or std.math.isNan(y) or y == 0) return nan;
    if (std.math.isInf(y)) return canon(x);
    return canon(@rem(x, y));
}

/// `-a`; of -2^63, the float 2^63.
pub fn neg(a: Num) Num {
    return switch (a) {
        .int => |i| if (i == std.math.minInt(i64)) .{ .float = two_63 } else .{ .int = -i },
        .float => |f| asFloat(-f),
    };
}

/// Order by exact mathematical value; null if either is NaN.
pub fn order(a: Num, b: Num) ?std.math.Order {
    switch (a) {
        .int => |x| switch (b) {
            .int => |y| return std.math.order(x, y),
            .float => |y| return orderIntFloat(x, y),
        },
        .float => |x| switch (b) {
            .int => |y| return if (orderIntFloat(y, x)) |o| o.invert() else null,
            .float => |y| return if (x < y) .lt else if (x > y) .gt else if (x == y) .eq else null,
        },
    }
}

fn orderIntFloat(i: i64, f: f64) ?std.math.Order {
    if (std.math.isNan(f)) return null;
    if (f >= two_63) return .lt;
    if (f < -two_63) return .gt;
    const whole: i64 = @intFromFloat(f);
    if (i != whole) return std.math.order(i, whole);
    // Floats with a fraction are below 2^53, so their whole part converts back exactly.
    return std.math.order(0.0, f - @as(f64, @floatFromInt(whole)));
}

/// Equal by exact mathematical value. NaN equals nothing.
pub fn eql(a: Num, b: Num) bool {
    if (a == .int and b == .int) return a.int == b.int;
    return order(a, b) == .eq;
}

pub fn isNan(a: Num) bool {
    return a == .float and std.math.isNan(a.float);
}

pub fn isFinite(a: Num) bool {
    return a == .int or std.math.isFinite(a.float);
}

/// Whether the number is finite and integral, which OFFSET (chapter 5) asks for.
pub fn isWhole(a: Num) bool {
    return a == .int or (std.math.isFinite(a.float) and @trunc(a.float) == a.float);
}

/// The exact value of a whole number inside the 64-bit range, else null.
pub fn toI64(a: Num) ?i64 {
    switch (a) {
        .int => |i| return i,
        .float => |f| {
            if (!(f >= -two_63 and f < two_63) or @trunc(f) != f) return null;
            return @intFromFloat(f);
        },
    }
}

/// A whole number of any size clamped into the 64-bit range: as an offset, beyond either end is just out of range.
pub fn clampI64(a: Num) i64 {
    switch (a) {
        .int => |i| return i,
        .float => |f| {
            if (f >= two_63) return std.math.maxInt(i64);
            if (f >= -two_63) return @intFromFloat(f);
            return if (std.math.isNan(f)) 0 else std.math.minInt(i64);
        },
    }
}

/// `to_int`: truncated toward zero; floats outside the 64-bit range, infinities and NaN stay.
pub fn toInt(a: Num) Num {
    return switch (a) {
        .int => a,
        .float => |f| wholeToNum(@trunc(f)),
    };
}

/// `floor`, an integer when it fits.
pub fn floor(a: Num) Num {
    return switch (a) {
        .int => a,
        .float => |f| wholeToNum(@floor(f)),
    };
}

/// `ceil`, an integer when it fits.
pub fn ceil(a: Num) Num {
    return switch (a) {
        .int => a,
        .float => |f| wholeToNum(@ceil(f)),
    };
}

/// The integer an integral float is, also beyond 2^53, where the canonical rule alone would leave it a float.
fn wholeToNum(f: f64) Num {
    if (f >= -two_63 and f < two_63) return .{ .int = @intFromFloat(f) };
    return asFloat(f);
}

/// `abs`; of -2^63, the float 2^63.
pub fn abs(a: Num) Num {
    return switch (a) {
        .int => |i| if (i < 0) neg(a) else a,
        .float => |f| asFloat(@abs(f)),
    };
}

/// `floor_div` of two whole numbers: exact inside the 64-bit range, else the IEEE quotient rounded down.
pub fn floorDiv(a: Num, b: Num) error{DivisionByZero}!Num {
    return roundedQuotient(a, b, .down);
}

/// `ceil_div` of two whole numbers: exact inside the 64-bit range, else the IEEE quotient rounded up.
pub fn ceilDiv(a: Num, b: Num) error{DivisionByZero}!Num {
    return roundedQuotient(a, b, .up);
}

fn roundedQuotient(a: Num, b: Num, comptime direction: enum { down, up }) error{DivisionByZero}!Num {
    if (b == .int and b.int == 0) return error.DivisionByZero;
    if (toI64(a)) |x| if (toI64(b)) |y| {
        if (overflowsQuotient(x, y)) return .{ .float = two_63 };
        const quotient = @divFloor(x, y);
        const inexact = quotient *% y != x;
        return .{ .int = if (direction == .up and inexact) quotient + 1 else quotient };
    };
    const quotient = toFloat(a) / toFloat(b);
    return canon(if (direction == .down) @floor(quotient) else @ceil(quotient));
}

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;
const max_int = std.math.maxInt(i64);
const min_int = std.math.minInt(i64);
const inf = std.math.inf(f64);

fn int(i: i64) Num {
    return .{ .int = i };
}

fn flt(f: f64) Num {
    return .{ .float = f };
}

fn expectNum(expected: Num, actual: Num) !void {
    if (expected == .float and std.math.isNan(expected.float)) return testing.expect(isNan(actual));
    try testing.expectEqual(expected, actual);
}

test "integral floats up to 2^53 are integers and negative zero is zero" {
    try expectNum(int(2), canon(2.0));
    try expectNum(int(0), canon(-0.0));
    try expectNum(int(9007199254740992), canon(9007199254740992.0));
    try expectNum(int(-9007199254740992), canon(-9007199254740992.0));
    try expectNum(flt(9007199254740994.0), canon(9007199254740994.0));
    try expectNum(flt(0.5), canon(0.5));
    try expectNum(nan, canon(std.math.nan(f64)));
    try expectNum(flt(-inf), canon(-inf));
}

test "every NaN has the same bits" {
    var zero: f64 = 0;
    std.mem.doNotOptimizeAway(&zero);
    const bits: u64 = @bitCast(nan.float);
    for ([_]Num{ canon(zero / zero), canon(-(zero / zero)), neg(nan), abs(neg(nan)), mul(nan, nan), toInt(nan) }) |n| {
        try testing.expectEqual(bits, @as(u64, @bitCast(n.float)));
    }
    try testing.expectEqual(bits, @as(u64, @bitCast(sub(flt(inf), flt(inf)).float)));
    try testing.expectEqual(bits, @as(u64, @bitCast(div(int(0), int(0)).float)));
}

test "integer arithmetic is exact while it fits" {
    try expectNum(int(max_int), add(int(max_int - 1), int(1)));
    try expectNum(int(min_int), sub(int(min_int + 1), int(1)));
    try expectNum(int(4611686018427387904), mul(int(2147483648), int(2147483648)));
    try expectNum(int(min_int), mul(int(-4294967296), int(2147483648)));
    try expectNum(int(-6), mul(int(2), int(-3)));
}

test "integer arithmetic that does not fit is IEEE on the nearest binary64" {
    try expectNum(flt(two_63), add(int(max_int), int(1)));
    try expectNum(flt(-two_63), sub(int(min_int), int(1)));
    try expectNum(flt(two_63), mul(int(-1), int(min_int)));
    try expectNum(flt(two_63), neg(int(min_int)));
    try expectNum(flt(two_63), abs(int(min_int)));
}

test "an integer and a float add as binary64" {
    try expectNum(int(9007199254740992), add(int(9007199254740993), flt(0.5)));
    try expectNum(flt(13510798882111488.0), mul(int(9007199254740993), flt(1.5)));
    try expectNum(int(1), add(flt(0.5), flt(0.5)));
}

test "division is exact for integers that divide and IEEE otherwise" {
    try expectNum(int(3002399751580331), div(int(9007199254740993), int(3)));
    try expectNum(flt(3.5), div(int(7), int(2)));
    try expectNum(flt(inf), div(int(1), int(0)));
    try expectNum(flt(-inf), div(int(-1), int(0)));
    try expectNum(nan, div(int(0), int(0)));
    try expectNum(flt(two_63), div(int(min_int), int(-1)));
    try expectNum(int(0), div(int(0), int(-5)));
}

test "remainder takes the sign of the dividend" {
    try expectNum(int(-1), mod(int(-7), int(3)));
    try expectNum(int(1), mod(int(7), int(-3)));
    try expectNum(int(0), mod(int(min_int), int(-1)));
    try expectNum(flt(1.5), mod(flt(5.5), int(2)));
    try expectNum(flt(-1.5), mod(flt(-5.5), int(2)));
    try expectNum(int(0), mod(flt(-4.5), flt(1.5)));
}

test "remainder by zero or of infinity is NaN and by infinity is the dividend" {
    try expectNum(nan, mod(int(5), int(0)));
    try expectNum(nan, mod(flt(5.5), int(0)));
    try expectNum(nan, mod(flt(inf), int(2)));
    try expectNum(nan, mod(int(2), nan));
    try expectNum(int(5), mod(int(5), flt(inf)));
    try expectNum(int(-5), mod(int(-5), flt(-inf)));
    try expectNum(flt(1e300), mod(flt(1e300), flt(inf)));
}

test "remainder of floats with far apart exponents is exact" {
    try expectNum(int(1), mod(flt(1e300), int(7)));
    try expectNum(flt(4.450147717014403e-308), mod(flt(1.7976931348623157e308), flt(4.450147717014403e-308 * 1.5)));
    try expectNum(flt(-5e-324), mod(flt(-1.5e-323), flt(1e-323)));
}

test "an integer and a float compare by exact value" {
    try testing.expectEqual(std.math.Order.gt, order(int(9007199254740993), flt(9007199254740992.0)).?);
    try testing.expectEqual(std.math.Order.lt, order(int(max_int), flt(two_63)).?);
    try testing.expectEqual(std.math.Order.eq, order(int(min_int), flt(-two_63)).?);
    try testing.expectEqual(std.math.Order.gt, order(int(min_int), flt(-1e19)).?);
    try testing.expectEqual(std.math.Order.lt, order(int(2), flt(2.5)).?);
    try testing.expectEqual(std.math.Order.gt, order(int(-2), flt(-2.5)).?);
    try testing.expectEqual(std.math.Order.gt, order(flt(2.5), int(2)).?);
    try testing.expectEqual(std.math.Order.lt, order(int(0), flt(5e-324)).?);
    try testing.expectEqual(std.math.Order.lt, order(int(max_int), flt(inf)).?);
    try testing.expect(eql(flt(1152921504606846976.0), int(1152921504606846976)));
    try testing.expect(!eql(flt(1152921504606846976.0), int(1152921504606846977)));
}

test "NaN has no order and equals nothing" {
    try testing.expectEqual(null, order(nan, int(1)));
    try testing.expectEqual(null, order(int(1), nan));
    try testing.expectEqual(null, order(nan, nan));
    try testing.expect(!eql(nan, nan));
}

test "whole numbers are recognised and clamped" {
    try testing.expect(isWhole(flt(1e300)) and isWhole(int(3)));
    try testing.expect(!isWhole(flt(0.5)) and !isWhole(flt(inf)) and !isWhole(nan));
    try testing.expectEqual(1152921504606846976, toI64(flt(1152921504606846976.0)).?);
    try testing.expectEqual(min_int, toI64(flt(-two_63)).?);
    try testing.expectEqual(null, toI64(flt(two_63)));
    try testing.expectEqual(null, toI64(flt(2.5)));
    try testing.expectEqual(null, toI64(nan));
    try testing.expectEqual(max_int, clampI64(flt(1e300)));
    try testing.expectEqual(min_int, clampI64(flt(-1e300)));
    try testing.expectEqual(-7, clampI64(int(-7)));
}

test "to_int, floor and ceil give integers inside the 64-bit range" {
    try expectNum(int(-2), toInt(flt(-2.9)));
    try expectNum(int(1152921504606846976), toInt(flt(1152921504606846976.0)));
    try expectNum(flt(two_63), toInt(flt(two_63)));
    try expectNum(nan, toInt(nan));
    try expectNum(int(-3), floor(flt(-2.1)));
    try expectNum(int(0), ceil(flt(-0.5)));
    try expectNum(int(min_int), floor(flt(-two_63)));
    try expectNum(flt(inf), floor(flt(inf)));
    try expectNum(flt(inf), abs(flt(-inf)));
}

test "floor_div and ceil_div round the exact quotient" {
    try expectNum(int(-4), try floorDiv(int(-10), int(3)));
    try expectNum(int(-3), try ceilDiv(int(-10), int(3)));
    try expectNum(int(4), try ceilDiv(int(10), int(3)));
    try expectNum(int(2), try ceilDiv(int(6), int(3)));
    try expectNum(int(4503599627370497), try ceilDiv(int(9007199254740993), int(2)));
    try expectNum(int(-922337203685477581), try floorDiv(int(-9223372036854775807), int(10)));
    try expectNum(flt(two_63), try floorDiv(int(min_int), int(-1)));
    try expectNum(int(max_int), try ceilDiv(int(max_int), int(1)));
    try testing.expectError(error.DivisionByZero, floorDiv(int(1), int(0)));
}

test "floor_div outside the 64-bit range rounds the IEEE quotient" {
    try expectNum(int(10000000000), try floorDiv(flt(1e30), flt(1e20)));
    try expectNum(int(-1), try floorDiv(int(-1), flt(1e30)));
    try expectNum(int(1), try ceilDiv(int(1), flt(1e30)));
    try expectNum(int(0), try ceilDiv(int(-1), flt(1e30)));
    try expectNum(int(576460752303423488), try floorDiv(flt(1152921504606846976.0), int(2)));
}
