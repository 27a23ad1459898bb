//! The operators of chapter 6 on any operands; the interpreter handles pairs of numbers on its own where it can.
//!
//! Each function is all-or-nothing: limits and fuel are checked before anything changes, so that an operation that
//! fails leaves its operands as they were, also where it would have worked in place. Operands are free of projections
//! where the operation looks at them.

const std = @import("std");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const list = @import("list.zig");
const number = @import("number.zig");
const decimal = @import("decimal.zig");
const coerce = @import("coerce.zig");
const compare = @import("compare.zig");
const text_form = @import("text_form.zig");

const Error = state.Error;
const Value = value.Value;
const List = value.List;
const Num = number.Num;

pub const Arithmetic = enum { add, sub, mul, div, mod };

pub const Ordering = enum {
    lt,
    le,
    gt,
    ge,

    fn symbol(self: Ordering) []const u8 {
        return switch (self) {
            .lt => "<",
            .le => "<=",
            .gt => ">",
            .ge => ">=",
        };
    }

    /// Whether operands that stand in this order satisfy the comparison; null (NaN) satisfies none.
    fn holds(self: Ordering, order: ?std.math.Order) bool {
        const found = order orelse return false;
        return switch (self) {
            .lt => found == .lt,
            .le => found != .gt,
            .gt => found == .gt,
            .ge => found != .lt,
        };
    }
};

/// Fail unless the fuel left pays for bulk work of `n`, so that nothing is begun that cannot be finished.
fn afford(n: u64) Error!void {
    if (n > state.bulkLeft()) return state.outOfFuel();
}

/// The result for two numbers.
pub fn onNumbers(op: Arithmetic, a: Num, b: Num) Num {
    return switch (op) {
        .add => number.add(a, b),
        .sub => number.sub(a, b),
        .mul => number.mul(a, b),
        .div => number.div(a, b),
        .mod => number.mod(a, b),
    };
}

/// `left op right`.
pub fn arithmetic(op: Arithmetic, left: Value, right: Value) Error!Value {
    if (op == .add) return add(left, right);
    const a = try coerce.num(left);
    return coerce.fromNum(onNumbers(op, a, try coerce.num(right)));
}

/// `slot = slot op right`, in the memory of the left operand where nobody else refers to it.
pub fn arithmeticInto(op: Arithmetic, slot: *Value, right: Value) Error!void {
    if (op == .add and slot.isObject() and slot.isUnique()) {
        if (slot.tag == .string) return appendText(slot, right);
        if (slot.tag == .list and right.tag == .list and slot.bits != right.bits) {
            if (@max(slot.height(), right.height()) <= state.limitOf(.value_depth)) return appendList(slot.asList(), right.asList());
        }
    }
    const result = try arithmetic(op, slot.*, right);
    slot.release();
    slot.* = result;
}

/// `-v`.
pub fn negative(v: Value) Error!Value {
    return coerce.fromNum(number.neg(try coerce.num(v)));
}

fn add(left: Value, right: Value) Error!Value {
    if (left.isNumber() and right.isNumber()) return coerce.fromNum(number.add(coerce.toNum(left), coerce.toNum(right)));
    if (left.tag == .string or right.tag == .string) return joinTexts(left, right);
    if (left.tag == .list and right.tag == .list) return joinLists(left.asList(), right.asList());
    const a = try coerce.num(left);
    return coerce.fromNum(number.add(a, try coerce.num(right)));
}

/// A missing value must not become the word `null`.
fn refuseNull(left: Value, right: Value) Error!void {
    if (left.tag == .null) return state.fail(.type_error, .null, "`+` cannot join null and text", .{});
    if (right.tag == .null) return state.fail(.type_error, .null, "`+` cannot join text and null", .{});
}

const Digits = [decimal.max_text]u8;

/// TEXT of an operand. That of a number lies in the caller's memory: it would only be made to be copied.
const Text = struct {
    bytes: []const u8,
    chars: u32,
    held: ?*string.Str,

    fn of(v: Value, digits: *Digits) Error!Text {
        if (v.isNumber()) {
            try text_form.checkSize(v);
            const bytes = decimal.numText(digits, coerce.toNum(v));
            try string.checkSize(bytes.len);
            return .{ .bytes = bytes, .chars = @intCast(bytes.len), .held = null };
        }
        const text = try text_form.textOf(v);
        return .{ .bytes = text.bytes(), .chars = text.chars, .held = text };
    }

    fn release(self: Text) void {
        if (self.held) |text| text.release();
    }

    /// As a string of its own, owned.
    fn whole(self: Text) Error!*string.Str {
        return if (self.held) |text| text.retain() else string.copyKnown(self.bytes, self.chars);
    }
};

fn joinTexts(left: Value, right: Value) Error!Value {
    try refuseNull(left, right);
    var left_digits: Digits = undefined;
    var right_digits: Digits = undefined;
    const a = try Text.of(left, &left_digits);
    defer a.release();
    const b = try Text.of(right, &right_digits);
    defer b.release();
    const cost: u64 = if (left.tag == .string) b.chars else @as(u64, a.chars) + b.chars;
    const size = @as(u64, a.bytes.len) + b.bytes.len;
    try string.checkSize(size);
    try afford(cost);
    if (a.held) |long| if (b.bytes.len > 0) if (try long.continued(b.bytes, b.chars)) |joined| {
        state.spend(b.bytes.len / 16);
        try state.bulk(cost);
        return Value.fromStr(joined);
    };
    try state.admit(size / 16);
    const joined = if (a.bytes.len == 0)
        try b.whole()
    else if (b.bytes.len == 0)
        try a.whole()
    else
        try string.concat(a.bytes, a.chars, b.bytes, b.chars);
    state.spend(size / 16);
    try state.bulk(cost);
    return Value.fromStr(joined);
}

/// Append the text of `right` to the text in `slot`, whose only reference that is.
fn appendText(slot: *Value, right: Value) Error!void {
    try refuseNull(slot.*, right);
    // Holding another reference keeps the bytes alive when both operands are one text.
    var digits: Digits = undefined;
    const more = try Text.of(right, &digits);
    defer more.release();
    var text = slot.asStr();
    if (more.held == text) {
        const result = try joinTexts(slot.*, right);
        slot.release();
        slot.* = result;
        return;
    }
    try string.checkSize(@as(u64, text.len) + more.bytes.len);
    try afford(more.chars);
    try state.admit(more.bytes.len / 16);
    try string.appendTo(&text, more.bytes, more.chars);
    slot.* = Value.fromStr(text);
    state.spend(more.bytes.len / 16);
    try state.bulk(more.chars);
}

fn joinLists(a: *List, b: *List) Error!Value {
    const total = @as(u64, a.len) + b.len;
    try list.checkCount(total);
    try value.checkDepth(Value.fromList(a));
    try value.checkDepth(Value.fromList(b));
    try afford(b.len);
    try state.admit(total);
    const joined = try a.clone(b.len);
    for (b.slice()) |item| joined.appendReserved(item.retain());
    state.spend(b.len);
    try state.bulk(b.len);
    return Value.fromList(joined);
}

/// Append the elements of `b` to `a`, which nobody else refers to; their depths are known to be within the limit.
fn appendList(a: *List, b: *List) Error!void {
    try list.checkCount(@as(u64, a.len) + b.len);
    try afford(b.len);
    try state.admit(b.len);
    try a.reserve(b.len);
    for (b.slice()) |item| a.appendReserved(item.retain());
    state.spend(b.len);
    try state.bulk(b.len);
}

/// `left < right` and its kind.
pub fn ordered(op: Ordering, left: Value, right: Value) Error!bool {
    if (left.tag == .null or right.tag == .null) {
        return state.fail(.type_error, .null, "`{s}` cannot order {s} and {s}", .{ op.symbol(), left.typeName(), right.typeName() });
    }
    if (left.tag == .string and right.tag == .string) {
        const shorter = @min(left.asStr().chars, right.asStr().chars);
        try state.admit(shorter / 16);
        const order = compare.orderStrings(left.asStr(), right.asStr());
        try state.bulk(shorter);
        return op.holds(order);
    }
    const a = try coerce.num(left);
    return op.holds(number.order(a, try coerce.num(right)));
}

/// `left == right`.
pub fn isEqual(left: Value, right: Value) Error!bool {
    const found = try compare.equal(left, right);
    try state.bulk(found.units);
    return found.equal;
}

/// `push(slot, item)` stored back to `slot`, in place where nobody else refers to the list. `item` is borrowed.
/// The 1 of the call is the caller's.
pub fn pushInto(slot: *Value, item: Value) Error!void {
    const kept = item.retain(); // so that a list pushed to itself does not count as unique
    errdefer kept.release();
    if (slot.tag == .list and slot.isUnique()) {
        try checkPush(slot.asList().len, item);
        return slot.asList().append(kept);
    }
    const result = try pushed(slot.*, kept);
    slot.release();
    slot.* = result;
}

/// `push(base, item)`; `item` is borrowed. The 1 of the call is the caller's.
pub fn push(base: Value, item: Value) Error!Value {
    const kept = item.retain();
    errdefer kept.release();
    return pushed(base, kept);
}

/// Takes over `item` unless it fails.
fn pushed(base: Value, item: Value) Error!Value {
    const longer = switch (base.tag) {
        .null => blk: {
            try checkPush(0, item);
            break :blk try List.create(1);
        },
        .list => blk: {
            try checkPush(base.asList().len, item);
            try state.admit(base.asList().len);
            break :blk try base.asList().clone(1);
        },
        else => return state.fail(.type_error, .none, "`push` needs a list or null, got {s}", .{base.typeName()}),
    };
    longer.appendReserved(item);
    return Value.fromList(longer);
}

fn checkPush(length: u32, item: Value) Error!void {
    try list.checkCount(@as(u64, length) + 1);
    try value.checkDepthBelow(item, 1);
}
