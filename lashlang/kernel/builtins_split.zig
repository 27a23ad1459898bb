//! Builtins that cut a text into a list: split, lines, grep_text. A piece is a part of its text (a view
//! where it is large), and no code points are counted where the text is ASCII.

const std = @import("std");
const state = @import("state.zig");
const string = @import("string.zig");
const list_file = @import("list.zig");
const utf8 = @import("utf8.zig");
const search = @import("search.zig");
const coerce = @import("coerce.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;
const Str = calling.Str;
const List = calling.List;
const Record = calling.Record;

pub fn split(args: []const Value) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    const wanted = calling.optional(args, 1) orelse return words(text);
    const separator = try coerce.strOf(wanted);
    defer separator.release();
    if (separator.len == 0) return codePoints(text);
    const count = search.count(text.bytes(), separator.bytes()) + 1;
    try list_file.checkCount(count);
    const pieces = try List.create(count);
    errdefer pieces.release();
    if (separator.len == 1 and text.isAscii()) {
        try splitAscii(pieces, text, separator.ptr[0]);
        return result(pieces, text);
    }
    var rest = search.Pieces.init(text.bytes(), separator.bytes());
    var progress: state.Progress = .{};
    while (rest.next()) |piece| {
        try progress.add(1);
        pieces.appendReserved(try partOf(text, piece));
    }
    return result(pieces, text);
}

/// The pieces between the places of one byte in an ASCII text, by far the most frequent way to split.
fn splitAscii(pieces: *List, text: *Str, separator: u8) Error!void {
    var places: search.Places = .init(text.bytes(), separator, 0);
    var start: u32 = 0;
    var progress: state.Progress = .{};
    while (true) {
        try progress.add(1);
        const end: u32 = if (places.next()) |place| @intCast(place) else text.len;
        pieces.appendReserved(Value.fromStr(try string.word(text, start, end)));
        if (end == text.len) return;
        start = end + 1;
    }
}

/// The pieces between white space.
fn words(text: *Str) Error!Value {
    const pieces = try List.create(8);
    errdefer pieces.release();
    var rest = search.Words.init(text.bytes());
    var progress: state.Progress = .{};
    while (rest.next()) |piece| {
        try progress.add(1);
        try calling.appendCounted(pieces, try partOf(text, piece));
    }
    return result(pieces, text);
}

fn codePoints(text: *Str) Error!Value {
    try list_file.checkCount(text.chars);
    const pieces = try List.create(text.chars);
    errdefer pieces.release();
    const bytes = text.bytes();
    var at: usize = 0;
    var progress: state.Progress = .{};
    while (at < bytes.len) {
        try progress.add(1);
        const size = utf8.sequenceLength(bytes[at]);
        const one = if (size == 1) string.ascii(bytes[at]) else try string.copyKnown(bytes[at..][0..size], 1);
        pieces.appendReserved(Value.fromStr(one));
        at += size;
    }
    return result(pieces, text);
}

pub fn lines(args: []const Value) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    const bytes = text.bytes();
    const open_end: usize = if (bytes.len > 0 and bytes[bytes.len - 1] != '\n') 1 else 0;
    const count = search.countByte(bytes, '\n') + open_end;
    try list_file.checkCount(count);
    const pieces = try List.create(count);
    errdefer pieces.release();
    var rest = search.Lines.init(bytes);
    var progress: state.Progress = .{};
    while (rest.next()) |line| {
        try progress.add(1);
        pieces.appendReserved(try partOf(text, line.text));
    }
    return result(pieces, text);
}

pub fn grepText(args: []const Value) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    const needle = try coerce.strOf(args[1]);
    defer needle.release();
    if (needle.len == 0) return state.fail(.value_error, .none, "`grep_text` cannot look for the empty text", .{});
    const hits = try List.create(4);
    errdefer hits.release();
    var rest = search.Grep.init(text.bytes(), needle.bytes());
    var progress: state.Progress = .{};
    while (rest.next()) |hit| {
        try progress.add(1);
        try calling.appendCounted(hits, try hitRecord(text, needle, hit));
    }
    return result(hits, text);
}

fn hitRecord(text: *Str, needle: *Str, hit: search.Hit) Error!Value {
    const record = try Record.create(5);
    errdefer record.release();
    const line = try partOf(text, hit.line.text);
    const start: i64 = if (line.asStr().isAscii()) @intCast(hit.at) else @intCast(utf8.count(hit.line.text[0..hit.at]));
    calling.insert(record, "line", Value.fromInt(@intCast(hit.number)));
    calling.insert(record, "text", line);
    calling.insert(record, "match", Value.fromStr(needle.retain()));
    calling.insert(record, "start", Value.fromInt(start));
    calling.insert(record, "end", Value.fromInt(start + needle.chars));
    return Value.fromRecord(record);
}

/// A part of a text, given as a slice of its bytes.
fn partOf(text: *Str, piece: []const u8) Error!Value {
    try string.checkSize(piece.len);
    if (piece.len == 0) return Value.fromStr(string.empty());
    const first: u32 = @intCast(@intFromPtr(piece.ptr) - @intFromPtr(text.ptr));
    const size: u32 = @intCast(piece.len);
    const chars: u32 = if (text.isAscii()) size else @intCast(utf8.count(piece));
    return Value.fromStr(try text.part(first, first + size, chars));
}

fn result(pieces: *List, text: *Str) Error!Value {
    state.spend(text.len / 16);
    return calling.listResult(pieces, text.chars);
}
