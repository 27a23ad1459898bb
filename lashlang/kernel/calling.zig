//! What the builtins share: checks of arguments on the way in, limits and fuel on the way out.
//!
//! A builtin is a function of its arguments, borrowed and free of projections wherever it looks inside
//! them, to an owned value. It meets chapter 16's precedence by construction: its own checks come first,
//! then it finishes through one of the `...Result` functions, which check the size and depth limits of
//! what was built and charge the bulk fuel last. Where the size of a result is known before it exists,
//! `checkCount`, `checkSize` and `afford` stop early with the same outcome.

const std = @import("std");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const list_file = @import("list.zig");
const coerce = @import("coerce.zig");
const number_file = @import("number.zig");

pub const Error = state.Error;
pub const Value = value.Value;
pub const Str = value.Str;
pub const List = value.List;
pub const Record = value.Record;
pub const Num = number_file.Num;

// --- arguments -----------------------------------------------------------------------------------

/// A list, or `type_error`.
pub fn list(name: []const u8, v: Value) Error!*List {
    if (v.tag == .list) return v.asList();
    return state.fail(.type_error, .none, "`{s}` needs a list, got {s}", .{ name, v.typeName() });
}

/// A record, null standing for `{}`; anything else is `type_error`.
pub fn record(name: []const u8, v: Value) Error!?*Record {
    return switch (v.tag) {
        .record => v.asRecord(),
        .null => null,
        else => state.fail(.type_error, .none, "`{s}` needs a record, got {s}", .{ name, v.typeName() }),
    };
}

/// A number, or `type_error`; nothing is coerced.
pub fn number(name: []const u8, v: Value) Error!Num {
    if (v.isNumber()) return coerce.toNum(v);
    return state.fail(.type_error, .none, "`{s}` needs a number, got {s}", .{ name, v.typeName() });
}

/// An optional argument: absent when left out or null.
pub fn optional(args: []const Value, index: usize) ?Value {
    if (index >= args.len or args[index].tag == .null) return null;
    return args[index];
}

/// The optional argument `desc` of the sorting builtins.
pub fn descending(name: []const u8, args: []const Value, index: usize) Error!bool {
    const v = optional(args, index) orelse return false;
    if (v.tag == .bool) return v.asBool();
    return state.fail(.type_error, .none, "`{s}` needs a boolean as its argument `desc`, got {s}", .{ name, v.typeName() });
}

// --- results -------------------------------------------------------------------------------------

/// Stop now if bulk work of `units` cannot be paid. Only where no other error can follow.
pub fn afford(units: u64) Error!void {
    if (units > state.bulkLeft()) return state.outOfFuel();
}

/// A new text of `size` bytes to be filled, `chars` code points long; checks `string_size`.
pub fn allocText(size: u64, chars: u64) Error!*Str {
    try string.checkSize(size);
    const room = std.math.cast(u32, size) orelse return error.OutOfMemory;
    const text = try string.alloc(room);
    text.chars = @intCast(chars);
    return text;
}

/// Hand over a text that took `units` of bulk work to make; consumes it also on failure.
pub fn textResult(text: *Str, units: u64) Error!Value {
    errdefer text.release();
    try string.checkSize(text.len);
    state.spend(text.len / 16);
    try state.bulk(units);
    return Value.fromStr(text);
}

/// Hand over a list that took `units` of bulk work to make; on failure the caller keeps it.
pub fn listResult(built: *List, units: u64) Error!Value {
    return containerResult(Value.fromList(built), built.len, units);
}

/// Hand over a record that took `units` of bulk work to make; on failure the caller keeps it.
pub fn recordResult(built: *Record, units: u64) Error!Value {
    return containerResult(Value.fromRecord(built), built.len, units);
}

fn containerResult(v: Value, count: u32, units: u64) Error!Value {
    try list_file.checkCount(count);
    try value.checkDepth(v);
    state.spend(count);
    try state.bulk(units);
    return v;
}

/// Append a value to a list being built; consumes it also on failure.
pub fn append(built: *List, item: Value) Error!void {
    built.append(item) catch |err| {
        item.release();
        return err;
    };
}

/// As `append`, for a list whose length cannot be told before: stops at `list_size`.
pub fn appendCounted(built: *List, item: Value) Error!void {
    errdefer item.release();
    try list_file.checkCount(@as(u64, built.len) + 1);
    try built.append(item);
}

/// Put a value, whose reference is taken over, under a key known at compile time and absent so far, into a
/// record created with room for it and for eight entries at most: that cannot fail.
pub fn insert(built: *Record, comptime key: []const u8, item: Value) void {
    const name = string.static(key);
    defer name.release();
    built.insert(name, item) catch unreachable;
}

/// A list of two values, borrowed.
pub fn pair(first: Value, second: Value) Error!Value {
    const built = try List.create(2);
    built.appendReserved(first.retain());
    built.appendReserved(second.retain());
    return Value.fromList(built);
}

/// The result wrapper of a `try_...` builtin that took `units` of bulk work; consumes `item` also on failure.
pub fn wrapperResult(ok: bool, item: Value, units: u64) Error!Value {
    const built = Record.create(2) catch |err| {
        item.release();
        return err;
    };
    errdefer built.release();
    insert(built, "ok", Value.fromBool(ok));
    if (ok) insert(built, "value", item) else insert(built, "error", item);
    return recordResult(built, units);
}
