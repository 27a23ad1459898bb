//! Reading parts of values (chapter 7) and unwrapping results (chapter 6). Operands must not be projections;
//! elements that are come back as they are.

const std = @import("std");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const number = @import("number.zig");
const coerce = @import("coerce.zig");
const text_form = @import("text_form.zig");

const Error = state.Error;
const Value = value.Value;
const Str = value.Str;
const Record = value.Record;

/// A type's name with its article, for messages.
pub fn described(v: Value) []const u8 {
    return switch (v.tag) {
        .null => "null",
        .bool => "a bool",
        .int, .float => "a number",
        .string => "a string",
        .list => "a list",
        .record => "a record",
        .image => "an image",
        else => "a projection",
    };
}

/// `base.key`, owned.
pub fn field(base: Value, key: *Str) Error!Value {
    switch (base.tag) {
        .record => return member(base.asRecord(), key),
        .image => return imageField(base.asImage(), key.bytes()),
        .null => return Value.null,
        else => {
            const topic: state.Topic = if (base.tag == .list and base.asList().len == 2 and isPairField(key.bytes())) .pair_field else .none;
            return state.fail(.type_error, topic, "cannot read field `{s}` of {s}", .{ key.bytes(), described(base) });
        },
    }
}

fn isPairField(key: []const u8) bool {
    return isOneOf(key, &.{ "key", "value", "index" });
}

fn isOneOf(key: []const u8, names: []const []const u8) bool {
    for (names) |name| if (std.mem.eql(u8, key, name)) return true;
    return false;
}

/// The value under a key, or null; a result wrapper has no other fields than its own.
fn member(r: *Record, key: *Str) Error!Value {
    if (r.get(key)) |found| return found.retain();
    return if (r.isWrapper()) absentOfWrapper(key) else Value.null;
}

/// What reading a key gives that a result wrapper has not: null for its own keys, else an error.
pub fn absentOfWrapper(key: *Str) Error!Value {
    if (isOneOf(key.bytes(), &.{ "ok", "value", "error" })) return Value.null;
    return state.fail(.type_error, .wrapper, "cannot read field `{s}` of a result wrapper", .{key.bytes()});
}

fn imageField(image: *value.Image, key: []const u8) Value {
    if (std.mem.eql(u8, key, "id")) return Value.fromStr(image.id.retain());
    if (std.mem.eql(u8, key, "label")) return Value.fromStr(image.label.retain());
    if (std.mem.eql(u8, key, "size")) return Value.fromInt(@intCast(image.size));
    if (std.mem.eql(u8, key, "width")) return dimension(image.width);
    if (std.mem.eql(u8, key, "height")) return dimension(image.height);
    return Value.null;
}

fn dimension(pixels: i64) Value {
    return if (pixels < 0) Value.null else Value.fromInt(pixels);
}

/// `base[at]`, owned.
pub fn index(base: Value, at: Value) Error!Value {
    switch (base.tag) {
        .list => {
            const items = base.asList().slice();
            const i = position(try coerce.offset(at), items.len) orelse return Value.null;
            return items[i].retain();
        },
        .string => {
            const text = base.asStr();
            const i = position(try coerce.offset(at), text.chars) orelse return Value.null;
            return Value.fromStr(try character(text, i));
        },
        .record => {
            const key = try coerce.strOf(at);
            defer key.release();
            return member(base.asRecord(), key);
        },
        .null => return Value.null,
        else => return state.fail(.type_error, .none, "cannot read an element of {s}", .{described(base)}),
    }
}

/// Where an offset points in a sequence; negative ones count from the end. Null if it is out of range.
pub fn position(offset: number.Num, length: usize) ?u32 {
    const signed = number.clampI64(offset);
    const size: i64 = @intCast(length);
    const found = if (signed < 0) signed +| size else signed;
    return if (found < 0 or found >= size) null else @intCast(found);
}

/// The text of one code point.
fn character(text: *Str, i: u32) Error!*Str {
    if (text.isAscii()) return string.ascii(text.ptr[i]);
    const first = text.offsetOf(i);
    const last = text.offsetOf(i + 1);
    return string.copyUnlimited(text.ptr[first..last]);
}

/// `v?`, owned. `awaited`: the operand is what an `await` gave.
pub fn unwrap(v: Value, awaited: bool) Error!Value {
    const r = if (v.tag == .record) v.asRecord() else return refuse(v, awaited);
    const ok = r.getBytes("ok") orelse return refuse(v, awaited);
    if (ok.tag != .bool) return refuse(v, awaited);
    if (ok.asBool()) {
        if (r.getBytes("value")) |found| return found.retain();
        return state.fail(.type_error, .unwrap_null, "`?` found `ok` true in a record without the field `value`", .{});
    }
    const why = r.getBytes("error") orelse return state.fail(.unwrap_failed, .unwrap_failed, "tool result was an error: unknown error", .{});
    try text_form.checkSize(why);
    const text = try text_form.shown(why);
    defer text.release();
    return state.fail(.unwrap_failed, .unwrap_failed, "tool result was an error: {s}", .{text.bytes()});
}

fn refuse(v: Value, awaited: bool) Error {
    if (v.tag == .record) {
        const topic: state.Topic = if (awaited or holdsResult(v))
            .unwrap_await
        else if (isHandle(v.asRecord()))
            .unwrap_handle
        else
            .unwrap_null;
        return state.fail(.type_error, topic, "`?` needs a result wrapper, got a record without a boolean `ok`", .{});
    }
    const topic: state.Topic = switch (v.tag) {
        .null => .unwrap_null,
        .list => if (awaited or holdsResult(v)) .unwrap_await else .none,
        else => .none,
    };
    return state.fail(.type_error, topic, "`?` needs a result wrapper, got {s}", .{v.typeName()});
}

/// Whether the first part of a list or record is a result wrapper, as in what `await` of several handles gave.
fn holdsResult(v: Value) bool {
    const first = switch (v.tag) {
        .list => if (v.asList().len > 0) v.asList().items[0] else return false,
        else => if (v.asRecord().len > 0) v.asRecord().entries[0].value else return false,
    };
    return first.tag == .record and first.asRecord().isWrapper();
}

fn isHandle(r: *Record) bool {
    return r.findBytes("__handle__") != null or r.findBytes("handle") != null;
}

/// What the Type value in the variable `name` describes (chapter 11), owned.
pub fn schemaOf(v: Value, name: []const u8) Error!Value {
    if (v.tag == .record and v.asRecord().len == 1) {
        if (v.asRecord().getBytes("$lash_type")) |schema| return schema.retain();
    }
    return state.fail(.type_error, .none, "`{s}` is used as a type and holds none, got {s}", .{ name, v.typeName() });
}
