//! Builtins on records (chapters 10.1 and 10.2). `null` stands for `{}`.

const std = @import("std");
const state = @import("state.zig");
const list_file = @import("list.zig");
const record_file = @import("record.zig");
const coerce = @import("coerce.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;
const List = calling.List;
const Record = calling.Record;

pub fn keys(args: []const Value) Error!Value {
    const entries = try entriesOf("keys", args[0]);
    const result = try List.create(entries.len);
    errdefer result.release();
    for (entries) |entry| result.appendReserved(Value.fromStr(entry.key.retain()));
    return calling.listResult(result, entries.len);
}

pub fn values(args: []const Value) Error!Value {
    const entries = try entriesOf("values", args[0]);
    const result = try List.create(entries.len);
    errdefer result.release();
    for (entries) |entry| result.appendReserved(entry.value.retain());
    return calling.listResult(result, entries.len);
}

pub fn items(args: []const Value) Error!Value {
    const entries = try entriesOf("items", args[0]);
    const result = try List.create(entries.len);
    errdefer result.release();
    for (entries) |entry| result.appendReserved(try calling.pair(Value.fromStr(entry.key), entry.value));
    return calling.listResult(result, entries.len);
}

fn entriesOf(name: []const u8, v: Value) Error![]const record_file.Entry {
    const record = try calling.record(name, v) orelse return &.{};
    return record.slice();
}

pub fn merge(args: []const Value) Error!Value {
    const a = try calling.record("merge", args[0]);
    const b = try calling.record("merge", args[1]);
    const first = a orelse return copyOf(b);
    const second = b orelse return copyOf(a);
    var added: usize = 0;
    for (second.slice()) |entry| added += @intFromBool(first.find(entry.key) == null);
    try list_file.checkCount(first.len + @as(u64, added));
    const result = try first.clone(added);
    errdefer result.release();
    for (second.slice()) |entry| {
        const item = entry.value.retain();
        errdefer item.release();
        try result.put(entry.key, item);
    }
    return calling.recordResult(result, result.len);
}

/// An equal record; the object itself is shared.
fn copyOf(source: ?*Record) Error!Value {
    const result = if (source) |known| Value.fromRecord(known).retain().asRecord() else try Record.create(0);
    errdefer result.release();
    return calling.recordResult(result, result.len);
}

pub fn without(args: []const Value) Error!Value {
    const record = try calling.record("without", args[0]);
    const key = try coerce.strOf(args[1]);
    defer key.release();
    const source = record orelse return copyOf(null);
    const dropped = source.find(key) orelse return copyOf(source);
    const result = try Record.create(source.len);
    errdefer result.release();
    for (source.slice(), 0..) |entry, i| if (i != dropped) {
        const item = entry.value.retain();
        errdefer item.release();
        try result.insert(entry.key, item);
    };
    return calling.recordResult(result, result.len);
}
