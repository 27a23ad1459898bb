//! The text and JSON forms of values (chapter 4) and what a value would weigh outside (chapter 16).
//!
//! TEXT is a string itself, a word, NUMTEXT, or JSONTEXT. JSONTEXT is written into any *sink*, a pointer
//! with `append(bytes) !void`, so that the same walk fills a string, a message or an output buffer.
//!
//! Parts of a value may be shared, and then its written form can be exponentially larger than the value.
//! So whoever makes text of a value first calls `checkSize`, whose walk stops just beyond `value_size`.
//!
//! Both walks keep their own stack of `{container, index}`: a value is at most `depth_max` containers
//! deep, and the kernel's native stack is small.

const std = @import("std");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const decimal = @import("decimal.zig");
const coerce = @import("coerce.zig");
const json_write = @import("json_write.zig");

const Error = state.Error;
const Value = value.Value;
const Str = value.Str;

/// The greatest `value_depth` a host may set.
pub const depth_max = 512;

/// A list or record on the way down, and its element that is being visited.
const Frame = struct { container: *anyopaque, index: u32, is_list: bool };

// --- expanded size -------------------------------------------------------------------------------

/// What every value counts in the expanded size, apart from its bytes.
const unit = 16;

/// The expanded size of a value (chapter 16), or some number above `cap` as soon as it is known to be larger.
inline fn expandedSize(root: Value, cap: u64) Error!u64 {
    return if (root.isContainer()) expandedSizeBelow(root, cap) else leafSize(root);
}

noinline fn expandedSizeBelow(root: Value, cap: u64) Error!u64 {
    var frames: [depth_max + 1]Frame = undefined;
    var depth: usize = 0;
    var total: u64 = unit;
    var progress: state.Progress = .{};
    frames[0] = enter(root);
    depth = 1;
    defer state.spend(progress.units);
    descend: while (depth > 0) {
        const frame = &frames[depth - 1];
        if (frame.is_list) {
            const items = listOf(frame).slice();
            while (frame.index < items.len) {
                const item = items[frame.index];
                frame.index += 1;
                try progress.add(1);
                if (!item.isContainer()) {
                    total += leafSize(item);
                    continue;
                }
                total += unit;
                if (total > cap or depth > depth_max) return @max(total, cap +| 1);
                frames[depth] = enter(item);
                depth += 1;
                continue :descend;
            }
        } else {
            const entries = recordOf(frame).slice();
            while (frame.index < entries.len) {
                const entry = &entries[frame.index];
                frame.index += 1;
                try progress.add(1);
                total += entry.key.len;
                if (!entry.value.isContainer()) {
                    total += leafSize(entry.value);
                    continue;
                }
                total += unit;
                if (total > cap or depth > depth_max) return @max(total, cap +| 1);
                frames[depth] = enter(entry.value);
                depth += 1;
                continue :descend;
            }
        }
        if (total > cap) return total;
        depth -= 1;
    }
    return total;
}

fn leafSize(v: Value) u64 {
    return switch (v.tag) {
        .string => unit + @as(u64, v.asStr().len),
        .image => unit + @as(u64, v.asImage().id.len) + v.asImage().label.len,
        else => unit,
    };
}

fn enter(v: Value) Frame {
    return .{ .container = @ptrFromInt(@as(usize, @intCast(v.bits))), .index = 0, .is_list = v.tag == .list };
}

fn listOf(frame: *const Frame) *value.List {
    return @ptrCast(@alignCast(frame.container));
}

fn recordOf(frame: *const Frame) *value.Record {
    return @ptrCast(@alignCast(frame.container));
}

/// Check the limit `value_size` for a value that leaves the VM or is made into text.
pub inline fn checkSize(v: Value) Error!void {
    _ = try checkedSize(v);
}

/// As `checkSize`; the expanded size that was found.
pub inline fn checkedSize(v: Value) Error!u64 {
    const limit = state.limitOf(.value_size);
    const size = try expandedSize(v, limit);
    return if (size > limit) state.exceeded(.value_size) else size;
}

// --- TEXT and JSONTEXT ---------------------------------------------------------------------------

/// TEXT of a value without projections; owned. A string is itself; anything else is checked against
/// `value_size` first and its text against `string_size` while it is made.
pub fn textOf(v: Value) Error!*Str {
    if (v.tag == .string) return v.asStr().retain();
    try checkSize(v);
    return render(v);
}

/// As `textOf`, for a value whose `value_size` has been checked.
pub fn render(v: Value) Error!*Str {
    if (v.isContainer() or v.tag == .image) return writtenOut(v);
    const text = try coerce.strOf(v);
    errdefer text.release();
    try string.checkSize(text.len);
    return text;
}

/// JSONTEXT of a value without projections; owned. Limits as for `textOf`, `value_size` for strings too.
pub fn jsonText(v: Value) Error!*Str {
    try checkSize(v);
    return writtenOut(v);
}

/// TEXT of a value that is shown, not given to the program: `value_size` has been checked, `string_size` does not apply.
pub fn shown(v: Value) Error!*Str {
    if (v.tag == .string) return v.asStr().retain();
    return if (v.isContainer() or v.tag == .image) written(v, .{ .limited = false }) else coerce.strOf(v);
}

/// As `jsonText`, for a value whose `value_size` has been checked.
pub fn writtenOut(v: Value) Error!*Str {
    return written(v, .{});
}

fn written(v: Value, empty: string.Builder) Error!*Str {
    var builder = empty;
    errdefer builder.deinit();
    try writeJson(&builder, v);
    return builder.finish();
}

/// Append TEXT of a value without projections to a sink. No check of `value_size`.
pub fn writeText(sink: anytype, v: Value) !void {
    switch (v.tag) {
        .string => try sink.append(v.asStr().bytes()),
        .float => try writeNumber(sink, v),
        else => try writeJson(sink, v),
    }
}

/// Append JSONTEXT of a value without projections to a sink. No check of `value_size`.
pub fn writeJson(sink: anytype, root: Value) !void {
    var frames: [depth_max + 1]Frame = undefined;
    var depth: usize = 0;
    var v = root;
    var progress: state.Progress = .{};
    while (true) {
        try progress.add(1);
        if (v.isContainer() and depth < frames.len) {
            frames[depth] = enter(v);
            depth += 1;
            try sink.append(if (v.tag == .list) "[" else "{");
        } else {
            try writeLeaf(sink, v);
            if (depth > 0) frames[depth - 1].index += 1;
        }
        while (true) {
            if (depth == 0) return;
            const frame = &frames[depth - 1];
            if (frame.is_list) {
                const items = listOf(frame);
                if (frame.index < items.len) {
                    if (frame.index > 0) try sink.append(",");
                    v = items.items[frame.index];
                    break;
                }
                try sink.append("]");
            } else {
                const entries = recordOf(frame);
                if (frame.index < entries.len) {
                    if (frame.index > 0) try sink.append(",");
                    const entry = &entries.entries[frame.index];
                    try json_write.writeString(sink, entry.key.bytes());
                    try sink.append(":");
                    v = entry.value;
                    break;
                }
                try sink.append("}");
            }
            depth -= 1;
            if (depth > 0) frames[depth - 1].index += 1;
        }
    }
}

fn writeLeaf(sink: anytype, v: Value) !void {
    switch (v.tag) {
        .bool => try sink.append(if (v.asBool()) "true" else "false"),
        .int => try writeNumber(sink, v),
        .float => try if (std.math.isFinite(v.asFloat())) writeNumber(sink, v) else sink.append("null"),
        .string => try json_write.writeString(sink, v.asStr().bytes()),
        .image => try writeImage(sink, v.asImage()),
        else => try sink.append("null"),
    }
}

fn writeNumber(sink: anytype, v: Value) !void {
    var buffer: [decimal.max_text]u8 = undefined;
    try sink.append(decimal.numText(&buffer, coerce.toNum(v)));
}

/// A width or height; negative stands for null.
fn writeExtent(sink: anytype, extent: i64) !void {
    if (extent < 0) return sink.append("null");
    try writeNumber(sink, Value.fromInt(extent));
}

fn writeImage(sink: anytype, image: *const value.Image) !void {
    try sink.append("{\"type\":\"image\",\"id\":");
    try json_write.writeString(sink, image.id.bytes());
    try sink.append(",\"label\":");
    try json_write.writeString(sink, image.label.bytes());
    try sink.append(",\"size\":");
    try writeNumber(sink, Value.fromInt(@intCast(image.size)));
    try sink.append(",\"width\":");
    try writeExtent(sink, image.width);
    try sink.append(",\"height\":");
    try writeExtent(sink, image.height);
    try sink.append("}");
}
