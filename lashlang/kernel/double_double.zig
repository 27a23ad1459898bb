//! Double-double arithmetic: a number as the unevaluated sum of two binary64, about 106 bits.
//!
//! The rounding error of one float addition or multiplication is itself a float and can be computed (Dekker 1971,
//! Knuth). Carrying it along as a second float doubles the precision with plain operations, which round alike on every
//! machine; WebAssembly has no fused multiply-add that would make this shorter. power.zig computes with it what must be
//! right to the last place of one float. Operands must be finite and far from overflow and underflow.

const std = @import("std");

/// `hi` + `lo`, where `hi` is the float nearest to that sum.
pub const DoubleDouble = struct {
    hi: f64,
    lo: f64,

    /// A float as it is.
    pub fn of(x: f64) DoubleDouble {
        return .{ .hi = x, .lo = 0 };
    }

    /// A constant, from more digits than it holds.
    pub fn constant(comptime x: comptime_float) DoubleDouble {
        const hi: f64 = x;
        return .{ .hi = hi, .lo = x - @as(comptime_float, hi) };
    }

    /// `a + b` of floats, exactly.
    pub fn sum(a: f64, b: f64) DoubleDouble {
        const hi = a + b;
        const of_b = hi - a;
        return .{ .hi = hi, .lo = (a - (hi - of_b)) + (b - of_b) };
    }

    /// `a + b` of floats, exactly, where |a| >= |b| or `a` is 0.
    fn sumOrdered(a: f64, b: f64) DoubleDouble {
        const hi = a + b;
        return .{ .hi = hi, .lo = b - (hi - a) };
    }

    /// `a * b` of floats, exactly: each factor is split in two halves of 26 bits, whose products are floats.
    pub fn product(a: f64, b: f64) DoubleDouble {
        const hi = a * b;
        const x = split(a);
        const y = split(b);
        return .{ .hi = hi, .lo = ((x[0] * y[0] - hi) + x[0] * y[1] + x[1] * y[0]) + x[1] * y[1] };
    }

    fn split(a: f64) [2]f64 {
        const scaled = a * ((1 << 27) + 1);
        const high = scaled - (scaled - a);
        return .{ high, a - high };
    }

    pub fn add(a: DoubleDouble, b: DoubleDouble) DoubleDouble {
        const high = sum(a.hi, b.hi);
        const low = sum(a.lo, b.lo);
        const middle = sumOrdered(high.hi, high.lo + low.hi);
        return sumOrdered(middle.hi, middle.lo + low.lo);
    }

    pub fn sub(a: DoubleDouble, b: DoubleDouble) DoubleDouble {
        return a.add(.{ .hi = -b.hi, .lo = -b.lo });
    }

    pub fn mul(a: DoubleDouble, b: DoubleDouble) DoubleDouble {
        const exact = product(a.hi, b.hi);
        return sumOrdered(exact.hi, exact.lo + (a.hi * b.lo + a.lo * b.hi));
    }

    pub fn scale(a: DoubleDouble, b: f64) DoubleDouble {
        return a.mul(of(b));
    }

    /// `a / b`: the quotient of the high parts, corrected by that of the remainder.
    pub fn div(a: DoubleDouble, b: DoubleDouble) DoubleDouble {
        const quotient = a.hi / b.hi;
        const remainder = a.sub(b.scale(quotient));
        return sumOrdered(quotient, (remainder.hi + remainder.lo) / b.hi);
    }
};

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;

/// How far a double-double is from the exact value in quadruple precision, relative to it.
fn deviation(exact: f128, got: DoubleDouble) f128 {
    return @abs((@as(f128, got.hi) + @as(f128, got.lo) - exact) / exact);
}

test "sums and products of floats are exact" {
    var random = std.Random.DefaultPrng.init(1);
    for (0..5000) |_| {
        const a = random.random().float(f64) * 1000 - 500;
        const b = random.random().float(f64) - 0.5;
        const sum = DoubleDouble.sum(b, a);
        try testing.expectEqual(@as(f128, a) + b, @as(f128, sum.hi) + sum.lo);
        const product = DoubleDouble.product(a, b);
        try testing.expectEqual(@as(f128, a) * b, @as(f128, product.hi) + product.lo);
    }
}

test "arithmetic keeps more than a hundred bits" {
    var random = std.Random.DefaultPrng.init(2);
    for (0..5000) |_| {
        const a: DoubleDouble = .sum(1 + random.random().float(f64), random.random().float(f64) * 0x1p-54);
        const b: DoubleDouble = .sum(1 + random.random().float(f64), random.random().float(f64) * 0x1p-54);
        const x = @as(f128, a.hi) + a.lo;
        const y = @as(f128, b.hi) + b.lo;
        try testing.expect(deviation(x + y, a.add(b)) < 0x1p-102);
        try testing.expect(deviation(x * y, a.mul(b)) < 0x1p-102);
        try testing.expect(deviation(x / y, a.div(b)) < 0x1p-101);
    }
}

test "a constant keeps its digits beyond binary64" {
    const third: DoubleDouble = .constant(1.0 / 3.0);
    try testing.expect(deviation(@as(f128, 1) / 3, third) < 0x1p-105);
}
