//! chunk_spans: windows over a text that end at line or paragraph boundaries (chapter 10.2).
//!
//! One pass. Ends of windows only move forward, so a cursor runs ahead to each new end and notes the last
//! boundary on its way; between the end of one span and the cursor there is none left to find. Lengths of
//! stretches that are not ASCII are counted once as the cursor passes them, and once more from the last
//! boundary in a stretch to its end.

const std = @import("std");
const state = @import("state.zig");
const utf8 = @import("utf8.zig");
const search = @import("search.zig");
const number = @import("number.zig");
const coerce = @import("coerce.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;
const Str = calling.Str;
const List = calling.List;
const Record = calling.Record;

/// Where spans like to end.
pub const Boundary = enum { char, line, paragraph };

/// Work to make one span.
const span_work = 8;

/// The arguments after the text.
pub const Wanted = struct { size: u64, overlap: u64, by: Boundary };

pub fn chunkSpans(args: []const Value) Error!Value {
    if (args[0].tag != .string) return state.fail(.type_error, .none, "`chunk_spans` needs a string, got {s}", .{args[0].typeName()});
    const wanted = try read(args);
    const text = args[0].asStr();
    // A boundary can make a span end early, and the next one begin just behind where this one began.
    const least_step = if (wanted.by == .char or wanted.overlap == 0) wanted.size - wanted.overlap else 1;
    try state.admit(@max(text.chars / least_step * span_work, text.len / 16));
    const spans = try List.create(8);
    errdefer spans.release();
    var cursor: Cursor = .{ .text = text, .by = wanted.by };
    var start: u64 = 0;
    while (start < text.chars) {
        const window = start +| wanted.size;
        if (window >= text.chars) {
            try calling.appendCounted(spans, try span(start, text.chars));
            break;
        }
        cursor.advance(@intCast(window));
        const end = if (cursor.boundary > start + wanted.overlap) cursor.boundary else window;
        try calling.appendCounted(spans, try span(start, end));
        start = end - wanted.overlap;
    }
    state.spend(text.len / 16);
    return calling.listResult(spans, text.chars);
}

/// Read and check the arguments after the text.
pub fn read(args: []const Value) Error!Wanted {
    const size = number.clampI64(try coerce.offsetOf("chunk_spans", args[1]));
    if (size < 1) return state.fail(.value_error, .none, "`chunk_spans` needs a size of at least 1, got {d}", .{size});
    const overlap = if (calling.optional(args, 2)) |v| number.clampI64(try coerce.offsetOf("chunk_spans", v)) else 0;
    if (overlap < 0 or overlap >= size) {
        return state.fail(.value_error, .none, "`chunk_spans` needs an overlap from 0 to below its size {d}, got {d}", .{ size, overlap });
    }
    const by: Boundary = if (calling.optional(args, 3)) |v| try boundaryNamed(v) else .char;
    return .{ .size = @intCast(size), .overlap = @intCast(overlap), .by = by };
}

fn boundaryNamed(v: Value) Error!Boundary {
    if (v.tag != .string) return state.fail(.type_error, .none, "`chunk_spans` needs a string as its argument `by`, got {s}", .{v.typeName()});
    return std.meta.stringToEnum(Boundary, v.asStr().bytes()) orelse
        state.fail(.value_error, .none, "`chunk_spans` cuts by `char`, `line` or `paragraph`, not by `{s}`", .{v.asStr().bytes()});
}

fn span(start: u64, end: u64) Error!Value {
    const record = try Record.create(2);
    calling.insert(record, "start", Value.fromInt(@intCast(start)));
    calling.insert(record, "end", Value.fromInt(@intCast(end)));
    return Value.fromRecord(record);
}

/// A place in the text that only moves forward, and the last boundary at or before it (0: none).
const Cursor = struct {
    text: *Str,
    by: Boundary,
    char: u32 = 0,
    byte: u32 = 0,
    boundary: u64 = 0,

    fn advance(self: *Cursor, to: u32) void {
        const bytes = self.text.bytes();
        const ascii = self.text.isAscii();
        const end: u32 = if (ascii) to else @intCast(utf8.advance(bytes, self.byte, to - self.char));
        if (self.by != .char) {
            if (self.lastBoundary(bytes, end)) |at| {
                self.boundary = if (ascii) at else to - utf8.count(bytes[at..end]);
            }
        }
        self.char = to;
        self.byte = end;
    }

    /// Byte offset of the last boundary after the cursor and up to `end`.
    fn lastBoundary(self: *const Cursor, bytes: []const u8, end: u32) ?u32 {
        const passed = bytes[self.byte..end];
        var before = passed.len;
        while (search.findLastByte(passed, '\n', before)) |feed| : (before = feed) {
            const at = self.byte + feed + 1;
            if (self.by == .line or startsParagraph(bytes, at)) return @intCast(at);
        }
        return null;
    }
};

/// Whether the line beginning at `at`, just after a line feed, is not empty and the line before it is.
fn startsParagraph(bytes: []const u8, at: usize) bool {
    if (at == bytes.len or bytes[at] == '\n') return false;
    if (bytes[at] == '\r' and at + 1 < bytes.len and bytes[at + 1] == '\n') return false;
    var previous = at - 1; // the line feed that ends the line before
    if (previous > 0 and bytes[previous - 1] == '\r') previous -= 1;
    return previous == 0 or bytes[previous - 1] == '\n';
}
