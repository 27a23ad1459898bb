//! The coercions of chapter 5: NUM, STR and OFFSET, and the argument checks of `range`.
//!
//! Operands must be ordinary values: projections are read before anything is coerced.

const std = @import("std");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const number = @import("number.zig");
const decimal = @import("decimal.zig");
const list = @import("list.zig");

const Error = state.Error;
const Value = value.Value;
const Str = value.Str;
const Num = number.Num;

/// The value a number is.
pub inline fn fromNum(n: Num) Value {
    return switch (n) {
        .int => |i| Value.fromInt(i),
        .float => |x| Value.fromFloatRaw(x),
    };
}

/// The number in a value whose tag is `int` or `float`.
pub inline fn toNum(v: Value) Num {
    return if (v.tag == .int) .{ .int = v.asInt() } else .{ .float = v.asFloat() };
}

/// The hint that fits a failure on `v`: a result wrapper wants to be unwrapped first.
pub fn wrapperTopic(v: Value) state.Topic {
    return if (v.tag == .record and v.asRecord().isWrapper()) .wrapper else .none;
}

/// NUM. Of a string it charges its size as an operation of its own (16.1).
pub fn num(v: Value) Error!Num {
    switch (v.tag) {
        .int, .float => return toNum(v),
        .bool => return Num{ .int = @intFromBool(v.asBool()) },
        .null => return Num{ .int = 0 },
        .string => {
            const text = v.asStr();
            const read = decimal.parseNum(text.bytes()) orelse
                return state.fail(.type_error, .none, "expected a number, got string that is no number", .{});
            state.spend(text.len / 16);
            try state.bulk(text.chars);
            return read;
        },
        else => return state.fail(.type_error, wrapperTopic(v), "expected a number, got {s}", .{v.typeName()}),
    }
}

/// STR; the caller gets a reference.
pub fn strOf(v: Value) Error!*Str {
    switch (v.tag) {
        .string => return v.asStr().retain(),
        .null => return string.static("null"),
        .bool => return if (v.asBool()) string.static("true") else string.static("false"),
        .int, .float => return numText(toNum(v)),
        else => return state.fail(.type_error, wrapperTopic(v), "expected text, got {s}", .{v.typeName()}),
    }
}

/// NUMTEXT as a text value's string.
pub fn numText(n: Num) Error!*Str {
    var buffer: [decimal.max_text]u8 = undefined;
    const text = decimal.numText(&buffer, n);
    return string.copyUnlimited(text);
}

/// OFFSET for an index; out-of-range numbers are the caller's business (`number.clampI64`).
pub inline fn offset(v: Value) Error!Num {
    if (v.tag == .int) return .{ .int = v.asInt() };
    return offsetSlow(v, null);
}

/// OFFSET for an argument of the builtin `name`.
pub inline fn offsetOf(name: []const u8, v: Value) Error!Num {
    if (v.tag == .int) return .{ .int = v.asInt() };
    return offsetSlow(v, name);
}

fn offsetSlow(v: Value, name: ?[]const u8) Error!Num {
    var buffer: [decimal.max_text]u8 = undefined;
    var found: []const u8 = v.typeName();
    if (v.tag == .float) {
        const n = toNum(v);
        if (number.isWhole(n)) return n;
        found = decimal.numText(&buffer, n);
    }
    const topic: state.Topic = switch (v.tag) {
        .string, .bool, .null => .index,
        else => .none,
    };
    if (name) |builtin| return state.fail(.type_error, topic, "`{s}` needs a whole number, got {s}", .{ builtin, found });
    return state.fail(.type_error, topic, "index must be a whole number, got {s}", .{found});
}

/// What `range(...)` counts through.
pub const Range = struct {
    start: i64,
    step: i64,
    count: u64,

    /// The item at a position below `count`.
    pub inline fn at(self: Range, position: u64) i64 {
        return self.start +% self.step *% @as(i64, @bitCast(position));
    }
};

/// Check the one to three arguments of `range`, the limit `list_size` included. The bulk fuel, `count`, is left to the caller.
pub fn rangeArgs(args: []const Value) Error!Range {
    var bounds = [3]i64{ 0, 0, 1 };
    const first: usize = if (args.len == 1) 1 else 0;
    for (args, first..) |arg, i| bounds[i] = try rangeBound(arg);
    const start, const end, const step = bounds;
    if (step == 0) return state.fail(.value_error, .none, "`range` needs a step other than 0", .{});
    var count: u64 = 0;
    // The distance between two 64-bit integers fits 64 bits without sign.
    if (step > 0 and start < end) count = (distance(start, end) - 1) / @abs(step) + 1;
    if (step < 0 and start > end) count = (distance(end, start) - 1) / @abs(step) + 1;
    try list.checkCount(count);
    return .{ .start = start, .step = step, .count = count };
}

fn distance(low: i64, high: i64) u64 {
    return @bitCast(high -% low);
}

fn rangeBound(v: Value) Error!i64 {
    const n = try offsetOf("range", v);
    if (number.toI64(n)) |bound| return bound;
    var buffer: [decimal.max_text]u8 = undefined;
    const found = decimal.numText(&buffer, n);
    return state.fail(.type_error, .none, "`range` needs whole numbers of at most 64 bits, got {s}", .{found});
}

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;
const heap = @import("heap.zig");

fn fresh() void {
    heap.reset();
    heap.init(64 << 20);
    state.fuel_used = 0;
}

fn textValue(bytes: []const u8) Value {
    return Value.fromStr(string.copy(bytes) catch unreachable);
}

test "NUM reads text, counts its size as fuel and refuses what is no number" {
    fresh();
    try testing.expectEqual(Num{ .int = 1 }, try num(Value.true));
    try testing.expectEqual(Num{ .int = 0 }, try num(Value.null));
    const long = textValue(" " ** 127 ++ "7");
    defer long.release();
    try testing.expectEqual(Num{ .int = 7 }, try num(long));
    try testing.expectEqual(@as(u64, 2), state.fuel_used);
    const word = textValue("seven");
    defer word.release();
    try testing.expectError(error.Fault, num(word));
    try testing.expectEqualStrings("expected a number, got string that is no number", state.fault.message());
}

test "STR gives words for null and booleans and refuses containers" {
    fresh();
    for ([_]Value{ Value.null, Value.true, Value.fromInt(-12), Value.fromFloatRaw(0.5) }, [_][]const u8{ "null", "true", "-12", "0.5" }) |v, expected| {
        const s = try strOf(v);
        defer s.release();
        try testing.expectEqualStrings(expected, s.bytes());
    }
    const l = Value.fromList(try value.List.create(0));
    defer l.release();
    try testing.expectError(error.Fault, strOf(l));
    try testing.expectEqualStrings("expected text, got list", state.fault.message());
}

test "OFFSET takes whole numbers of any size and nothing else" {
    fresh();
    try testing.expectEqual(Num{ .float = 1e300 }, try offset(Value.fromFloatRaw(1e300)));
    try testing.expectError(error.Fault, offset(Value.fromFloatRaw(0.5)));
    try testing.expectEqualStrings("index must be a whole number, got 0.5", state.fault.message());
    try testing.expectEqual(state.Topic.none, state.fault.topic);
    try testing.expectError(error.Fault, offsetOf("slice", Value.null));
    try testing.expectEqualStrings("`slice` needs a whole number, got null", state.fault.message());
    try testing.expectEqual(state.Topic.index, state.fault.topic);
}

test "ranges count correctly at the ends of the 64-bit range" {
    const int = Value.fromInt;
    const low = std.math.minInt(i64);
    const high = std.math.maxInt(i64);
    try testing.expectEqual(@as(u64, 3), (try rangeArgs(&.{int(3)})).count);
    try testing.expectEqual(@as(u64, 0), (try rangeArgs(&.{int(-3)})).count);
    try testing.expectEqual(@as(u64, 4), (try rangeArgs(&.{ int(10), int(0), int(-3) })).count);
    const wide = try rangeArgs(&.{ int(low), int(high), int(high) });
    try testing.expectEqual(@as(u64, 3), wide.count);
    try testing.expectEqual(@as(i64, high - 1), wide.at(2));
    try testing.expectEqual(@as(u64, 2), (try rangeArgs(&.{ int(high), int(low), int(low) })).count);
    try testing.expectError(error.Fault, rangeArgs(&.{ int(low), int(high) }));
    try testing.expectEqual(state.Limit.list_size, state.fault.limit.?);
    try testing.expectError(error.Fault, rangeArgs(&.{ int(0), int(5), int(0) }));
    try testing.expectError(error.Fault, rangeArgs(&.{Value.fromFloatRaw(1e20)}));
}
