//! Builtins on lists, and those that take lists and other things alike: len, empty, slice, reverse,
//! contains, count (chapters 10.1 and 10.2).

const std = @import("std");
const state = @import("state.zig");
const list_file = @import("list.zig");
const value = @import("value.zig");
const number = @import("number.zig");
const string = @import("string.zig");
const coerce = @import("coerce.zig");
const compare = @import("compare.zig");
const texts = @import("builtins_text.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;
const List = calling.List;

pub fn len(args: []const Value) Error!Value {
    return Value.fromInt(try length("len", args[0]));
}

pub fn empty(args: []const Value) Error!Value {
    return Value.fromBool(try length("empty", args[0]) == 0);
}

fn length(name: []const u8, v: Value) Error!i64 {
    return switch (v.tag) {
        .string => v.asStr().chars,
        .list => v.asList().len,
        .record => v.asRecord().len,
        .null => 0,
        else => {
            const topic: state.Topic = if (v.tag == .image and std.mem.eql(u8, name, "len")) .len_image else .none;
            return state.fail(.type_error, topic, "`{s}` needs a string, list, record or null, got {s}", .{ name, v.typeName() });
        },
    };
}

pub fn typeOf(args: []const Value) Error!Value {
    return Value.fromStr(switch (args[0].tag) {
        .null => string.static("null"),
        .bool => string.static("bool"),
        .int, .float => string.static("number"),
        .string => string.static("string"),
        .list => string.static("list"),
        .record => string.static("record"),
        else => string.static("image"),
    });
}

pub fn contains(args: []const Value) Error!Value {
    return Value.fromBool(try compare.contains("contains", args[0], args[1]));
}

pub fn count(args: []const Value) Error!Value {
    switch (args[0].tag) {
        .string => return texts.countText(args[0].asStr(), args[1]),
        .null => return Value.fromInt(0),
        .list => {
            var series = compare.Series.begin();
            var found: i64 = 0;
            for (args[0].asList().slice()) |item| found += @intFromBool(try series.equals(item, args[1]));
            try state.bulk(series.units());
            return Value.fromInt(found);
        },
        else => return state.fail(.type_error, .none, "`count` needs a string, list or null, got {s}", .{args[0].typeName()}),
    }
}

pub fn push(args: []const Value) Error!Value {
    const result = switch (args[0].tag) {
        .list => try args[0].asList().clone(1),
        .null => try List.create(1),
        else => return state.fail(.type_error, .none, "`push` needs a list or null, got {s}", .{args[0].typeName()}),
    };
    errdefer result.release();
    result.appendReserved(args[1].retain());
    return calling.listResult(result, 0);
}

pub fn range(args: []const Value) Error!Value {
    const items = try coerce.rangeArgs(args);
    try calling.afford(items.count);
    try state.admit(items.count);
    const result = try List.create(@intCast(items.count));
    errdefer result.release();
    for (0..@intCast(items.count)) |i| result.items[i] = Value.fromInt(items.at(i));
    result.len = @intCast(items.count);
    return calling.listResult(result, items.count);
}

pub fn slice(args: []const Value) Error!Value {
    const first = try bound(args, 1);
    const last = try bound(args, 2);
    switch (args[0].tag) {
        .string => {
            const text = args[0].asStr();
            const from, const to = clamped(first, last, text.chars);
            return texts.sliceText(text, from, to);
        },
        .list => {
            const xs = args[0].asList();
            const from, const to = clamped(first, last, xs.len);
            try state.admit(to - from);
            const result = try List.create(to - from);
            errdefer result.release();
            for (xs.slice()[from..to]) |item| result.appendReserved(item.retain());
            return calling.listResult(result, to - from);
        },
        else => return state.fail(.type_error, .none, "`slice` needs a string or a list, got {s}", .{args[0].typeName()}),
    }
}

fn bound(args: []const Value, index: usize) Error!?i64 {
    const v = calling.optional(args, index) orelse return null;
    return number.clampI64(try coerce.offsetOf("slice", v));
}

/// The ends of a slice of something `size` long: 0 <= from <= to <= size.
fn clamped(first: ?i64, last: ?i64, size: u32) [2]u32 {
    const from = place(first orelse 0, size);
    const to = place(last orelse size, size);
    return .{ @min(from, to), to };
}

fn place(at: i64, size: u32) u32 {
    const from_start = if (at < 0) at + size else at;
    return @intCast(std.math.clamp(from_start, 0, size));
}

pub fn reverse(args: []const Value) Error!Value {
    switch (args[0].tag) {
        .string => return texts.reverseText(args[0].asStr()),
        .list => {
            const xs = args[0].asList();
            const result = try List.create(xs.len);
            errdefer result.release();
            var i = xs.len;
            while (i > 0) {
                i -= 1;
                result.appendReserved(xs.items[i].retain());
            }
            return calling.listResult(result, xs.len);
        },
        else => return state.fail(.type_error, .none, "`reverse` needs a string or a list, got {s}", .{args[0].typeName()}),
    }
}

pub fn flatten(args: []const Value) Error!Value {
    const xs = try calling.list("flatten", args[0]);
    var total: u64 = 0;
    for (xs.slice()) |item| total += if (item.tag == .list) item.asList().len else 1;
    try list_file.checkCount(total);
    try state.admit(total);
    const result = try List.create(std.math.cast(usize, total) orelse return error.OutOfMemory);
    errdefer result.release();
    for (xs.slice()) |item| {
        if (item.tag != .list) {
            result.appendReserved(item.retain());
        } else for (item.asList().slice()) |inner| result.appendReserved(inner.retain());
    }
    return calling.listResult(result, xs.len + total);
}

pub fn zip(args: []const Value) Error!Value {
    const xs = try calling.list("zip", args[0]);
    const ys = try calling.list("zip", args[1]);
    const shorter = @min(xs.len, ys.len);
    const result = try List.create(shorter);
    errdefer result.release();
    for (xs.items[0..shorter], ys.items[0..shorter]) |x, y| result.appendReserved(try calling.pair(x, y));
    return calling.listResult(result, shorter);
}

pub fn enumerate(args: []const Value) Error!Value {
    const xs = try calling.list("enumerate", args[0]);
    const result = try List.create(xs.len);
    errdefer result.release();
    for (xs.slice(), 0..) |x, i| result.appendReserved(try calling.pair(Value.fromInt(@intCast(i)), x));
    return calling.listResult(result, xs.len);
}

pub fn any(args: []const Value) Error!Value {
    const xs = try calling.list("any", args[0]);
    const found = for (xs.slice()) |x| {
        if (x.truthy()) break true;
    } else false;
    try state.bulk(xs.len);
    return Value.fromBool(found);
}

pub fn all(args: []const Value) Error!Value {
    const xs = try calling.list("all", args[0]);
    const found = for (xs.slice()) |x| {
        if (!x.truthy()) break false;
    } else true;
    try state.bulk(xs.len);
    return Value.fromBool(found);
}
