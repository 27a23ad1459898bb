//! Builtins that the host may answer for a projected value (chapter 14): `len(p)`, `find(p, "x")`, ...
//!
//! The host is asked only where its answer cannot be an error that the builtin has to word: where the other
//! arguments are of the right kind. They are put in a fixed form, whatever the call left out:
//!
//!     len keys values lines trim    -
//!     contains count                value
//!     starts_with ends_with join    text
//!     grep_text                     text, not empty
//!     split                         text or null
//!     find                          text, start
//!     slice                         start or null, end or null
//!     chunk_spans                   size, overlap, by

const std = @import("std");
const string = @import("string.zig");
const number = @import("number.zig");
const projection = @import("projection.zig");
const coerce = @import("coerce.zig");
const chunk = @import("chunk.zig");
const calling = @import("calling.zig");
const Fiber = @import("fiber.zig").Fiber;
const Builtin = @import("gen/builtins.zig").Builtin;

const Error = calling.Error;
const Value = calling.Value;

/// The result of a builtin whose first argument is a projection, if the host knows it; owned.
/// Null when the value has to be read and the builtin run.
pub fn answer(f: *Fiber, id: Builtin, args: []const Value) Error!?Value {
    for (args[1..]) |arg| if (arg.mayHoldProjection()) return null;
    const stand_in = args[0].asProjection();
    switch (id) {
        .len, .keys, .values, .lines, .trim => return projection.ask(f, stand_in, @tagName(id), &.{}),
        .empty => {
            const size = try projection.ask(f, stand_in, "len", &.{}) orelse return null;
            defer size.release();
            return Value.fromBool(!size.truthy());
        },
        .contains => return projection.ask(f, stand_in, @tagName(id), args[1..]),
        .count => return if (isEmptyText(args[1])) null else projection.ask(f, stand_in, @tagName(id), args[1..]),
        .starts_with, .ends_with, .join => return askAbout(f, id, args, &.{}),
        .grep_text => return if (isEmptyText(args[1])) null else askAbout(f, id, args, &.{}),
        .split => {
            if (calling.optional(args, 1) == null) return projection.ask(f, stand_in, @tagName(id), &.{Value.null});
            return askAbout(f, id, args, &.{});
        },
        .find => {
            const start = if (args.len == 3) args[2] else Value.fromInt(0);
            if (!isWhole(start) or number.clampI64(coerce.toNum(start)) < 0) return null;
            return askAbout(f, id, args, &.{start});
        },
        .slice => {
            const first = calling.optional(args, 1) orelse Value.null;
            const last = calling.optional(args, 2) orelse Value.null;
            if ((first.tag != .null and !isWhole(first)) or (last.tag != .null and !isWhole(last))) return null;
            return projection.ask(f, stand_in, @tagName(id), &.{ first, last });
        },
        .chunk_spans => {
            const wanted = chunk.read(args) catch return null;
            const by = Value.fromStr(switch (wanted.by) {
                inline else => |boundary| string.static(@tagName(boundary)),
            });
            defer by.release();
            return projection.ask(f, stand_in, @tagName(id), &.{ Value.fromInt(@intCast(wanted.size)), Value.fromInt(@intCast(wanted.overlap)), by });
        },
        else => return null,
    }
}

/// Ask with STR of the second argument and then `more`, which holds one value at most.
fn askAbout(f: *Fiber, id: Builtin, args: []const Value, more: []const Value) Error!?Value {
    if (args[1].isContainer() or args[1].tag == .image) return null;
    const text = try coerce.strOf(args[1]);
    defer text.release();
    const both = [_]Value{ Value.fromStr(text), if (more.len == 1) more[0] else Value.null };
    return projection.ask(f, args[0].asProjection(), @tagName(id), both[0 .. 1 + more.len]);
}

fn isEmptyText(v: Value) bool {
    return v.tag == .string and v.asStr().len == 0;
}

fn isWhole(v: Value) bool {
    return v.isNumber() and number.isWhole(coerce.toNum(v));
}
