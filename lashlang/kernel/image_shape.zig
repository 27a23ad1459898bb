//! Images as records: the JSON shape that becomes an image, and an image's fields by name (chapters 4, 11, 14).

const std = @import("std");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");

const Error = state.Error;
const Value = value.Value;
const Record = value.Record;

/// Marks (in `Value.aux`) an integer that was written with a fraction or an exponent: the image shape does not take it.
pub const not_plain: u32 = 1;

/// The image that a record read from JSON describes, owned; null where it has not the shape of one.
pub fn imageFrom(record: *const Record) Error!?Value {
    if (record.len < 6) return null;
    const kind = member(record, "type") orelse return null;
    if (kind.tag != .string or !std.mem.eql(u8, kind.asStr().bytes(), "image")) return null;
    const id = member(record, "id") orelse return null;
    const label = member(record, "label") orelse return null;
    const size = member(record, "size") orelse return null;
    const width = member(record, "width") orelse return null;
    const height = member(record, "height") orelse return null;
    if (id.tag != .string or label.tag != .string) return null;
    if (size.tag != .int or size.aux == not_plain or size.asInt() < 0) return null;
    if (!isExtent(width) or !isExtent(height)) return null;
    const image = try value.Image.create(id.asStr().retain(), label.asStr().retain(), @intCast(size.asInt()), extent(width), extent(height));
    return Value.fromImage(image);
}

fn member(record: *const Record, comptime key: []const u8) ?Value {
    const name = string.static(key);
    defer name.release();
    return record.get(name);
}

fn isExtent(v: Value) bool {
    if (v.tag == .null) return true;
    return v.tag == .int and v.aux != not_plain and v.asInt() >= 0 and v.asInt() <= std.math.maxInt(u32);
}

fn extent(v: Value) ?u32 {
    return if (v.tag == .null) null else @intCast(v.asInt());
}

/// A field of an image's JSON form, `type` included, borrowed; null where there is none of that name.
pub fn jsonField(image: *const value.Image, name: []const u8) ?Value {
    const Field = enum { type, id, label, size, width, height };
    return switch (std.meta.stringToEnum(Field, name) orelse return null) {
        // The reference that is not counted here is never missed: static texts are not freed.
        .type => .{ .tag = .string, .bits = kindText() },
        .id => Value.fromStr(image.id),
        .label => Value.fromStr(image.label),
        .size => Value.fromInt(@intCast(image.size)),
        .width => if (image.width < 0) Value.null else Value.fromInt(image.width),
        .height => if (image.height < 0) Value.null else Value.fromInt(image.height),
    };
}

fn kindText() u64 {
    const text = string.static("image");
    defer text.release();
    return @intFromPtr(text);
}
