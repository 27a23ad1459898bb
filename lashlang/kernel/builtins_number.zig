//! Builtins on numbers, and the folds sum, min and max (chapters 10.1 and 10.2). Arithmetic itself is in
//! number.zig, power.zig and rounding.zig; here are the arguments and the failures.

const std = @import("std");
const state = @import("state.zig");
const string = @import("string.zig");
const number = @import("number.zig");
const power = @import("power.zig");
const rounding = @import("rounding.zig");
const decimal = @import("decimal.zig");
const utf8 = @import("utf8.zig");
const sort = @import("sort.zig");
const coerce = @import("coerce.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;
const Num = calling.Num;

pub fn toInt(args: []const Value) Error!Value {
    return coerce.fromNum(number.toInt(try coerce.num(args[0])));
}

pub fn toFloat(args: []const Value) Error!Value {
    return coerce.fromNum(try coerce.num(args[0]));
}

pub fn tryNumber(args: []const Value) Error!Value {
    const v = args[0];
    if (v.isNumber()) return calling.wrapperResult(true, v, 0);
    if (v.tag == .string) {
        const text = v.asStr();
        const blank = utf8.trim(text.bytes()).len == 0;
        state.spend(text.len / 16);
        if (!blank) if (decimal.parseNum(text.bytes())) |n| return calling.wrapperResult(true, coerce.fromNum(n), text.chars);
        return refused("text that is not one", text.chars);
    }
    return refused(v.typeName(), 0);
}

fn refused(met: []const u8, units: u64) Error!Value {
    var builder: string.Builder = .{ .limited = false };
    errdefer builder.deinit();
    try builder.append("expected a number, got ");
    try builder.append(met);
    return calling.wrapperResult(false, Value.fromStr(builder.finish()), units);
}

pub fn abs(args: []const Value) Error!Value {
    return coerce.fromNum(number.abs(try calling.number("abs", args[0])));
}

pub fn floor(args: []const Value) Error!Value {
    return coerce.fromNum(number.floor(try calling.number("floor", args[0])));
}

pub fn ceil(args: []const Value) Error!Value {
    return coerce.fromNum(number.ceil(try calling.number("ceil", args[0])));
}

pub fn floorDiv(args: []const Value) Error!Value {
    return quotient("floor_div", args, number.floorDiv);
}

pub fn ceilDiv(args: []const Value) Error!Value {
    return quotient("ceil_div", args, number.ceilDiv);
}

fn quotient(name: []const u8, args: []const Value, divide: fn (Num, Num) error{DivisionByZero}!Num) Error!Value {
    const a = try coerce.offsetOf(name, args[0]);
    const b = try coerce.offsetOf(name, args[1]);
    const result = divide(a, b) catch return state.fail(.value_error, .none, "`{s}` cannot divide by 0", .{name});
    return coerce.fromNum(result);
}

pub fn round(args: []const Value) Error!Value {
    const x = try calling.number("round", args[0]);
    const digits = if (calling.optional(args, 1)) |v| number.clampI64(try coerce.offsetOf("round", v)) else 0;
    return coerce.fromNum(rounding.round(x, digits));
}

pub fn toFixed(args: []const Value) Error!Value {
    const x = try calling.number("to_fixed", args[0]);
    const digits = number.clampI64(try coerce.offsetOf("to_fixed", args[1]));
    if (digits < 0 or digits > rounding.max_fixed_digits) {
        return state.fail(.value_error, .none, "`to_fixed` needs 0 to {d} digits, got {d}", .{ rounding.max_fixed_digits, digits });
    }
    var buffer: [rounding.max_text]u8 = undefined;
    const text = rounding.fixedText(&buffer, x, @intCast(digits));
    return calling.textResult(try string.copyKnown(text, @intCast(text.len)), text.len);
}

pub fn sqrt(args: []const Value) Error!Value {
    const x = try calling.number("sqrt", args[0]);
    return coerce.fromNum(power.sqrt(x) catch return outside("`sqrt` needs a number of at least 0, got {s}", x));
}

pub fn log(args: []const Value) Error!Value {
    const x = try calling.number("log", args[0]);
    return coerce.fromNum(power.log(x) catch return outside("`log` needs a number above 0, got {s}", x));
}

fn outside(comptime format: []const u8, x: Num) Error {
    var buffer: [decimal.max_text]u8 = undefined;
    return state.fail(.value_error, .none, format, .{decimal.numText(&buffer, x)});
}

pub fn pow(args: []const Value) Error!Value {
    const x = try calling.number("pow", args[0]);
    const y = try calling.number("pow", args[1]);
    const result = power.pow(x, y) catch {
        var base: [decimal.max_text]u8 = undefined;
        var exponent: [decimal.max_text]u8 = undefined;
        return state.fail(.value_error, .none, "`pow` cannot raise {s} to the power {s}", .{ decimal.numText(&base, x), decimal.numText(&exponent, y) });
    };
    return coerce.fromNum(result);
}

// --- folds ---------------------------------------------------------------------------------------

pub fn sum(args: []const Value) Error!Value {
    const items = (try calling.list("sum", args[0])).slice();
    var total: Num = .{ .int = 0 };
    for (items, 0..) |item, i| {
        if (!item.isNumber()) return state.fail(.type_error, .none, "`sum` needs numbers, got {s} at index {d}", .{ item.typeName(), i });
        total = number.add(total, coerce.toNum(item));
    }
    state.spend(items.len);
    try state.bulk(items.len);
    return coerce.fromNum(total);
}

pub fn min(args: []const Value) Error!Value {
    return extreme("min", args, .lt);
}

pub fn max(args: []const Value) Error!Value {
    return extreme("max", args, .gt);
}

/// The first element that no other one stands in the relation `wanted` to.
fn extreme(name: []const u8, args: []const Value, wanted: std.math.Order) Error!Value {
    if (args.len == 1 and args[0].tag != .list) {
        return state.fail(.type_error, .none, "`{s}` needs a list, or two or more values, got {s}", .{ name, args[0].typeName() });
    }
    const items = if (args.len == 1) args[0].asList().slice() else args;
    const kind = try sort.examine(name, items);
    if (items.len == 0) return Value.null;
    try calling.afford(kind.weight);
    var best = items[0];
    for (items) |item| {
        const order = if (kind.order == .strings)
            utf8.order(item.asStr().bytes(), best.asStr().bytes())
        else
            number.order(coerce.toNum(item), coerce.toNum(best)) orelse {
                best = Value.fromFloatRaw(std.math.nan(f64));
                break;
            };
        if (order == wanted) best = item;
    }
    state.spend(kind.weight / 16 + items.len);
    try state.bulk(kind.weight);
    return best.retain();
}
