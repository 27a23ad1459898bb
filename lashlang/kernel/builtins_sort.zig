//! sort, sort_by, group_by: lists by their elements, or by a field or element of these (chapter 10.2).

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const list_file = @import("list.zig");
const number = @import("number.zig");
const decimal = @import("decimal.zig");
const coerce = @import("coerce.zig");
const sorting = @import("sort.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;
const Str = calling.Str;
const List = calling.List;
const Record = calling.Record;

pub fn sort(args: []const Value) Error!Value {
    const xs = try calling.list("sort", args[0]);
    const keys = try sorting.examine("sort", xs.slice());
    const descending = try calling.descending("sort", args, 1);
    return sorted(xs, xs.slice(), keys, descending);
}

pub fn sortBy(args: []const Value) Error!Value {
    const xs = try calling.list("sort_by", args[0]);
    const key = try Key.read("sort_by", xs, args[1]);
    const descending = try calling.descending("sort_by", args, 2);
    try key.mustOccur("sort_by", xs);
    const bytes = @max(1, xs.len) * @sizeOf(Value);
    const memory = try heap.alloc(bytes);
    defer heap.free(memory, bytes);
    const found = @as([*]Value, @ptrCast(memory))[0..xs.len];
    var progress: state.Progress = .{};
    for (xs.slice(), found) |element, *slot| {
        slot.* = key.of(element) orelse Value.null;
        try progress.add(1);
    }
    const keys = try sorting.examineWithMissing("sort_by", found);
    return sorted(xs, found, keys, descending);
}

/// The elements of `xs` in the order of their keys.
fn sorted(xs: *List, keys: []const Value, kind: sorting.Keys, descending: bool) Error!Value {
    try list_file.checkCount(xs.len);
    const units = sorting.cost(kind, xs.len);
    try calling.afford(units);
    try state.admit(@max(xs.len, units / 16));
    const bytes = @max(1, keys.len) * 4;
    const memory = try heap.alloc(bytes);
    defer heap.free(memory, bytes);
    const order = @as([*]u32, @ptrCast(memory))[0..keys.len];
    try sorting.permutation(keys, kind.order, descending, order);
    const result = try List.create(xs.len);
    errdefer result.release();
    for (order) |index| result.appendReserved(xs.items[index].retain());
    state.spend(units / 16);
    return calling.listResult(result, units);
}

pub fn groupBy(args: []const Value) Error!Value {
    const xs = try calling.list("group_by", args[0]);
    const key = try Key.read("group_by", xs, args[1]);
    try key.mustOccur("group_by", xs);
    var checked: state.Progress = .{};
    for (xs.slice(), 0..) |element, i| {
        try checked.add(1);
        const v = key.of(element) orelse continue;
        if (v.isContainer() or v.tag == .image) {
            return state.fail(.type_error, coerce.wrapperTopic(v), "`group_by` needs values that have a text form, got {s} at index {d}", .{ v.typeName(), i });
        }
    }
    const groups = try Record.create(8);
    errdefer groups.release();
    var progress: state.Progress = .{};
    for (xs.slice()) |element| {
        try progress.add(1);
        const name = try coerce.strOf(key.of(element) orelse Value.null);
        defer name.release();
        const group = if (groups.get(name)) |known| known.asList() else try newGroup(groups, name);
        try calling.append(group, element.retain());
    }
    for (groups.slice()) |entry| groups.note(entry.value); // the groups have grown since they were put in
    return calling.recordResult(groups, xs.len);
}

fn newGroup(groups: *Record, name: *Str) Error!*List {
    const group = try List.create(2);
    errdefer group.release();
    try list_file.checkCount(@as(u64, groups.len) + 1);
    try groups.insert(name, Value.fromList(group));
    return group;
}

/// What elements are sorted or grouped by: a field of records or an element of lists.
const Key = union(enum) {
    field: *Str,
    element: i64,

    /// Check `key` against the elements of `xs`.
    fn read(name: []const u8, xs: *List, key: Value) Error!Key {
        if (key.tag == .string) {
            const field = key.asStr();
            for (xs.slice(), 0..) |element, i| if (element.tag != .record) {
                const is_pair = element.tag == .list and element.asList().len == 2;
                return state.fail(.type_error, if (is_pair) .pair_field else .none, "`{s}` by the field `{s}` needs records, got {s} at index {d}", .{
                    name, field.bytes(), element.typeName(), i,
                });
            };
            return .{ .field = field };
        }
        if (!key.isNumber()) return state.fail(.type_error, .none, "`{s}` needs a string or a whole number as its key, got {s}", .{ name, key.typeName() });
        const position = number.clampI64(try coerce.offsetOf(name, key));
        for (xs.slice(), 0..) |element, i| if (element.tag != .list) {
            return state.fail(.type_error, .none, "`{s}` by the element {d} needs lists, got {s} at index {d}", .{ name, position, element.typeName(), i });
        };
        return .{ .element = position };
    }

    /// The key of an element, borrowed; null where it has none.
    fn of(self: Key, element: Value) ?Value {
        switch (self) {
            .field => |name| return element.asRecord().get(name),
            .element => |position| {
                const items = element.asList().slice();
                const at = if (position < 0) position + @as(i64, @intCast(items.len)) else position;
                return if (at >= 0 and at < items.len) items[@intCast(at)] else null;
            },
        }
    }

    /// Refuse a key that no element of a list with any has.
    fn mustOccur(self: Key, name: []const u8, xs: *List) Error!void {
        if (xs.len == 0) return;
        var progress: state.Progress = .{};
        for (xs.slice()) |element| {
            try progress.add(1);
            if (self.of(element) != null) return;
        }
        switch (self) {
            .field => |field| return state.fail(.value_error, .none, "`{s}`: no record has the field `{s}`", .{ name, field.bytes() }),
            .element => |position| return state.fail(.value_error, .none, "`{s}`: no list has an element {d}", .{ name, position }),
        }
    }
};
