//! Builtins from text to text, or to a place in it: find, join, trim, slice of a text, case, replace,
//! padding (chapters 10.1 and 10.2). What cuts a text into a list is in builtins_split.zig.
//!
//! Wherever a result's size follows from its parts it is added up first and the text filled once; code
//! points are counted only in what is not known to be ASCII.

const std = @import("std");
const state = @import("state.zig");
const string = @import("string.zig");
const utf8 = @import("utf8.zig");
const runs = @import("bytes.zig");
const search = @import("search.zig");
const case = @import("case.zig");
const number = @import("number.zig");
const decimal = @import("decimal.zig");
const coerce = @import("coerce.zig");
const text_form = @import("text_form.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;
const Str = calling.Str;

pub fn toString(args: []const Value) Error!Value {
    const size = try text_form.checkedSize(args[0]);
    try state.admit(size / 16);
    const text = try text_form.render(args[0]);
    return calling.textResult(text, text.chars);
}

pub fn jsonText(args: []const Value) Error!Value {
    const size = try text_form.checkedSize(args[0]);
    try state.admit(size / 16);
    const text = try text_form.writtenOut(args[0]);
    return calling.textResult(text, text.chars);
}

pub fn find(args: []const Value) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    const needle = try coerce.strOf(args[1]);
    defer needle.release();
    var start: i64 = 0;
    if (args.len == 3) {
        start = number.clampI64(try coerce.offsetOf("find", args[2]));
        if (start < 0) return state.fail(.type_error, .none, "`find` needs a start of at least 0, got {d}", .{start});
    }
    if (start > text.chars) return Value.null;
    const from: u32 = @intCast(start);
    const found = search.find(text.bytes(), needle.bytes(), text.offsetOf(from)) orelse {
        state.spend((text.chars - from) / 16);
        try state.bulk(text.chars - from);
        return Value.null;
    };
    const index = text.indexOf(@intCast(found));
    state.spend((index - from) / 16);
    try state.bulk(@as(u64, index - from) + needle.chars);
    return Value.fromInt(index);
}

pub fn startsWith(args: []const Value) Error!Value {
    return endMatches(args, std.mem.startsWith);
}

pub fn endsWith(args: []const Value) Error!Value {
    return endMatches(args, std.mem.endsWith);
}

fn endMatches(args: []const Value, comptime matches: fn (comptime type, []const u8, []const u8) bool) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    const part = try coerce.strOf(args[1]);
    defer part.release();
    const found = matches(u8, text.bytes(), part.bytes());
    try state.bulk(part.chars);
    return Value.fromBool(found);
}

pub fn join(args: []const Value) Error!Value {
    if (args[0].tag != .list) {
        const swapped = args[0].tag == .string and args[1].tag == .list;
        return state.fail(.type_error, if (swapped) .join else .none, "`join` needs a list, got {s}", .{args[0].typeName()});
    }
    const items = args[0].asList().slice();
    const separator = try coerce.strOf(args[1]);
    defer separator.release();
    var buffer: [decimal.max_text]u8 = undefined;
    const gaps: u64 = if (items.len == 0) 0 else items.len - 1;
    var size = gaps * separator.len;
    var chars = gaps * separator.chars;
    for (items) |item| {
        if (item.tag == .string) {
            size += item.asStr().len;
            chars += item.asStr().chars;
            continue;
        }
        const length = (try scalarText(item, &buffer)).len;
        size += length;
        chars += length;
    }
    const joined = try calling.allocText(size, chars);
    var at: usize = 0;
    for (items, 0..) |item, i| {
        if (i > 0) at += put(joined, at, separator.bytes());
        const text = if (item.tag == .string) item.asStr().bytes() else scalarText(item, &buffer) catch unreachable; // it worked above
        at += put(joined, at, text);
    }
    return calling.textResult(joined, items.len + chars);
}

/// STR of a scalar without making a string of it; the bytes are the string's, or in `buffer`.
fn scalarText(v: Value, buffer: *[decimal.max_text]u8) Error![]const u8 {
    switch (v.tag) {
        .string => return v.asStr().bytes(),
        .int, .float => return decimal.numText(buffer, coerce.toNum(v)),
        .null => return "null",
        .bool => return if (v.asBool()) "true" else "false",
        else => {
            (try coerce.strOf(v)).release(); // fails, in STR's words
            return "";
        },
    }
}

inline fn put(text: *Str, at: usize, bytes: []const u8) usize {
    runs.copy(text.ptr + at, bytes.ptr, bytes.len);
    return bytes.len;
}

pub fn trim(args: []const Value) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    const units = text.chars;
    const all = text.bytes();
    const kept = utf8.trim(all);
    if (kept.len == 0) return calling.textResult(string.empty(), units);
    const first: u32 = @intCast(@intFromPtr(kept.ptr) - @intFromPtr(all.ptr));
    const last: u32 = first + @as(u32, @intCast(kept.len));
    const dropped = if (text.isAscii()) text.len - @as(u32, @intCast(kept.len)) else utf8.count(all[0..first]) + utf8.count(all[last..]);
    return calling.textResult(try text.part(first, last, text.chars - @as(u32, @intCast(dropped))), units);
}

/// The part of a text between two code point indexes.
pub fn sliceText(text: *Str, from: u32, to: u32) Error!Value {
    const part = if (from == to) string.empty() else try text.slice(from, to);
    return calling.textResult(part, to - from);
}

pub fn reverseText(text: *Str) Error!Value {
    if (text.len == 0) return calling.textResult(string.empty(), 0);
    const reversed = try calling.allocText(text.len, text.chars);
    const from = text.bytes();
    if (text.isAscii()) {
        for (from, 1..) |byte, i| reversed.ptr[from.len - i] = byte;
    } else {
        var at: usize = 0;
        while (at < from.len) {
            const size = utf8.sequenceLength(from[at]);
            @memcpy(reversed.ptr[from.len - at - size ..][0..size], from[at..][0..size]);
            at += size;
        }
    }
    return calling.textResult(reversed, text.chars);
}

/// `count` on a text.
pub fn countText(text: *Str, wanted: Value) Error!Value {
    const needle = try coerce.strOf(wanted);
    defer needle.release();
    if (needle.len == 0) return state.fail(.value_error, .none, "`count` cannot count the empty text", .{});
    const found = search.count(text.bytes(), needle.bytes());
    state.spend(text.len / 16);
    try state.bulk(text.chars);
    return Value.fromInt(@intCast(found));
}

pub fn lower(args: []const Value) Error!Value {
    return mapped(args, .lower);
}

pub fn upper(args: []const Value) Error!Value {
    return mapped(args, .upper);
}

fn mapped(args: []const Value, comptime direction: case.Direction) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    if (text.len == 0) return calling.textResult(string.empty(), 0);
    const size = if (text.isAscii()) text.len else case.mappedLength(text.bytes(), direction);
    const result = try calling.allocText(size, text.chars);
    _ = case.mapInto(result.ptr[0..result.len], text.bytes(), direction);
    return calling.textResult(result, text.chars);
}

pub fn replace(args: []const Value) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    const old = try coerce.strOf(args[1]);
    defer old.release();
    const new = try coerce.strOf(args[2]);
    defer new.release();
    if (old.len == 0) return state.fail(.value_error, .none, "`replace` cannot replace the empty text", .{});
    const times: u64 = search.count(text.bytes(), old.bytes());
    if (times == 0) return calling.textResult(text.retain(), @as(u64, text.chars) * 2);
    const size = text.len - times * old.len + times * new.len;
    const chars = text.chars - times * old.chars + times * new.chars;
    try string.checkSize(size);
    try calling.afford(text.chars + chars);
    const result = try calling.allocText(size, chars);
    {
        errdefer result.release();
        var pieces = search.Pieces.init(text.bytes(), old.bytes());
        var at: usize = put(result, 0, pieces.next().?);
        var progress: state.Progress = .{};
        while (pieces.next()) |piece| {
            try progress.add(1);
            at += put(result, at, new.bytes());
            at += put(result, at, piece);
        }
    }
    return calling.textResult(result, text.chars + chars);
}

pub fn padLeft(args: []const Value) Error!Value {
    return padded("pad_left", args, true);
}

pub fn padRight(args: []const Value) Error!Value {
    return padded("pad_right", args, false);
}

fn padded(comptime name: []const u8, args: []const Value, left: bool) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    const wanted = number.clampI64(try coerce.offsetOf(name, args[1]));
    const fill: []const u8 = if (calling.optional(args, 2)) |v| try filler(name, v) else " ";
    if (wanted <= text.chars) return calling.textResult(text.retain(), text.chars);
    const missing = @as(u64, @intCast(wanted)) - text.chars;
    const size = text.len +| missing *| fill.len;
    try string.checkSize(size);
    try calling.afford(@intCast(wanted));
    try state.admit(size / 16);
    const result = try calling.allocText(size, @intCast(wanted));
    const padding = result.ptr[if (left) 0 else text.len..][0..@intCast(size - text.len)];
    if (fill.len == 1) {
        @memset(padding, fill[0]);
    } else {
        var at: usize = 0;
        while (at < padding.len) : (at += fill.len) @memcpy(padding[at..][0..fill.len], fill);
    }
    _ = put(result, if (left) padding.len else 0, text.bytes());
    return calling.textResult(result, @intCast(wanted));
}

fn filler(comptime name: []const u8, v: Value) Error![]const u8 {
    if (v.tag != .string) return state.fail(.type_error, .none, "`{s}` needs a string to fill with, got {s}", .{ name, v.typeName() });
    const fill = v.asStr();
    if (fill.chars == 1) return fill.bytes();
    return state.fail(.value_error, .none, "`{s}` fills with one character, got {d}", .{ name, fill.chars });
}
