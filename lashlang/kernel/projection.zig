//! Projected values: operations on a stand-in become questions to the host (chapter 14).
//!
//! An instruction that meets a projection asks through this file. The first time, the question is
//! queued and the instruction gives up with `error.Suspend`; once the host has answered, the
//! instruction is executed again from its start and the same calls find their answers, in the same
//! order. So an instruction must change nothing before its last question is answered. Fuel for what
//! crossed is charged when an answer is first used.
//!
//! An answer lives in the fiber's `reads` as two elements: its `Mark` and its value.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const transform = @import("transform.zig");
const access = @import("access.zig");
const wire = @import("wire.zig");
const Fiber = @import("fiber.zig").Fiber;

const Error = state.Error;
const Value = value.Value;
const Projection = value.Projection;
const List = value.List;

/// State of one question: asked, or how it was answered, and whether the answer has been paid for.
pub const Mark = enum(i64) { asked = 0, answered = 1, unsupported = 2, failed = 3, paid = 4, too_large = 5 };

/// A question on its way to the host.
const Question = struct { fiber: *Fiber, place: u32 };

/// Questions asked and not yet answered, by number from `first_number` on; answered ones stay until all are.
var asked: [*]Question = undefined;
var asked_cap: u32 = 0;
var asked_len: u32 = 0;
var unanswered: u32 = 0;
var first_number: u64 = 1;
/// The questions as the host will see them, `asked_out` of them not yet handed over.
pub var outgoing: wire.Writer = .{};
pub var outgoing_count: u32 = 0;

pub fn anyPending() bool {
    return unanswered > 0;
}

/// Forget all questions, for the end of a block.
pub fn clear() void {
    if (asked_cap > 0) heap.free(@ptrCast(@alignCast(asked)), asked_cap * @sizeOf(Question));
    asked_cap = 0;
    asked_len = 0;
    unanswered = 0;
    first_number = 1;
    outgoing.clear();
    outgoing_count = 0;
}

/// Release the answers of the instruction that has just finished (or failed).
pub fn finish(f: *Fiber) void {
    if (f.reads) |reads| reads.release();
    f.reads = null;
    f.reads_used = 0;
    f.reads_pending = 0;
}

/// Ask one question. The answer is owned; null when the host does not implement the question.
pub fn ask(f: *Fiber, p: *Projection, question: []const u8, args: []const Value) Error!?Value {
    const reads = f.reads orelse blk: {
        f.reads = try List.create(4);
        break :blk f.reads.?;
    };
    if (f.reads_used == reads.len) {
        try enqueue(f, p, question, args);
        return error.Suspend;
    }
    const place = f.reads_used;
    f.reads_used += 2;
    const mark: Mark = @enumFromInt(reads.items[place].asInt());
    const answer = reads.items[place + 1];
    switch (mark) {
        .asked => return error.Suspend,
        .unsupported => return null,
        .failed => return state.fail(.projection_unavailable, .none, "the projected value `{s}` cannot be read: {s}", .{
            p.name.bytes(),
            if (answer.tag == .string) answer.asStr().bytes() else "no reason given",
        }),
        .too_large => return state.exceeded(@enumFromInt(@as(usize, @intCast(answer.asInt())))),
        .answered => {
            try state.bulk(sizeOf(answer));
            reads.items[place] = Value.fromInt(@intFromEnum(Mark.paid));
        },
        .paid => {},
    }
    return answer.retain();
}

/// The size that a read pays for: of text, list or record, else 0.
fn sizeOf(v: Value) u64 {
    return switch (v.tag) {
        .string => v.asStr().chars,
        .list => v.asList().len,
        .record => v.asRecord().len,
        else => 0,
    };
}

fn enqueue(f: *Fiber, p: *Projection, question: []const u8, args: []const Value) Error!void {
    const reads = f.reads.?;
    try reads.reserve(2);
    if (asked_len == asked_cap) {
        const room = asked_cap * 2 + 8;
        asked = @ptrCast(if (asked_cap == 0)
            try heap.alloc(room * @sizeOf(Question))
        else
            try heap.realloc(@ptrCast(@alignCast(asked)), asked_cap * @sizeOf(Question), room * @sizeOf(Question)));
        asked_cap = room;
    }
    const before = outgoing.len;
    errdefer outgoing.len = before;
    if (before == 0) try outgoing.keepHeadRoom();
    try outgoing.array(4);
    try outgoing.unsigned(first_number + asked_len);
    try outgoing.projection(p);
    try outgoing.text(question);
    try outgoing.array(@intCast(args.len));
    for (args) |arg| try outgoing.val(arg, .exact);
    outgoing_count += 1;
    asked[asked_len] = .{ .fiber = f, .place = reads.len };
    asked_len += 1;
    unanswered += 1;
    f.reads_pending += 1;
    reads.appendReserved(Value.fromInt(@intFromEnum(Mark.asked)));
    reads.appendReserved(Value.null);
    f.reads_used += 2;
}

/// Where a question's answer goes; null when there is no such open question.
pub fn find(number: u64) ?*Fiber {
    const question = lookup(number) orelse return null;
    return question.fiber;
}

fn lookup(number: u64) ?*Question {
    if (number < first_number or number - first_number >= asked_len) return null;
    const question = &asked[@intCast(number - first_number)];
    const mark = question.fiber.reads.?.items[question.place];
    return if (mark.asInt() == @intFromEnum(Mark.asked)) question else null;
}

/// Store the answer to an open question, taking over the reference.
pub fn deliver(number: u64, mark: Mark, v: Value) void {
    const question = lookup(number).?;
    const reads = question.fiber.reads.?;
    reads.items[question.place] = Value.fromInt(@intFromEnum(mark));
    reads.items[question.place + 1] = v;
    reads.note(v);
    question.fiber.reads_pending -= 1;
    unanswered -= 1;
    if (unanswered == 0) {
        first_number += asked_len;
        asked_len = 0;
    }
}

/// Everything a projection stands for; owned, and itself free of projections.
pub fn whole(f: *Fiber, p: *Projection) Error!Value {
    const read = try ask(f, p, "whole", &.{}) orelse
        return state.fail(.projection_unavailable, .none, "the projected value `{s}` cannot be read", .{p.name.bytes()});
    if (!read.mayHoldProjection()) return read;
    read.release();
    return state.fail(.projection_unavailable, .none, "the projected value `{s}` was answered with another projection", .{p.name.bytes()});
}

/// A value with every projection inside it read, depth-first; owned.
pub fn resolve(f: *Fiber, v: Value) Error!Value {
    if (!v.mayHoldProjection()) return v.retain();
    var context: Resolving = .{ .fiber = f };
    const read = try transform.map(v, &context, Resolving.visit);
    if (context.missing) {
        read.release();
        return error.Suspend;
    }
    errdefer read.release();
    try value.checkDepth(read);
    return read;
}

const Resolving = struct {
    fiber: *Fiber,
    /// A question is still open; the walk goes on so that all are asked at once.
    missing: bool = false,

    fn visit(self: *Resolving, v: Value) Error!?Value {
        if (v.tag == .projection) {
            return whole(self.fiber, v.asProjection()) catch |err| switch (err) {
                error.Suspend => {
                    self.missing = true;
                    return Value.null;
                },
                else => |other| return other,
            };
        }
        if (v.isContainer() and v.mayHoldProjection()) return null;
        return v.retain();
    }
};

/// Whether a record is exactly a result wrapper (chapter 3); an `ok` that is a projection is read for it.
pub fn isWrapper(f: *Fiber, r: *const value.Record) Error!bool {
    const ok = if (r.len == 2) r.getBytes("ok") orelse return false else return false;
    if (ok.tag != .projection) return r.isWrapper();
    const read = try whole(f, ok.asProjection());
    defer read.release();
    return r.isWrapperIf(read);
}

/// `p.key`: what the host answers, a projection again where it likes; else read whole.
pub fn field(f: *Fiber, p: *Projection, key: *value.Str) Error!Value {
    const args = [_]Value{Value.fromStr(key)};
    if (try ask(f, p, "field", &args)) |found| return found;
    const base = try whole(f, p);
    defer base.release();
    return access.field(base, key);
}

/// `p[i]`, likewise.
pub fn index(f: *Fiber, p: *Projection, at: Value) Error!Value {
    const args = [_]Value{at};
    if (try ask(f, p, "index", &args)) |found| return found;
    const base = try whole(f, p);
    defer base.release();
    return access.index(base, at);
}

/// Truthiness of any value.
pub fn truthy(f: *Fiber, v: Value) Error!bool {
    if (v.tag != .projection) return v.truthy();
    if (try ask(f, v.asProjection(), "truthy", &.{})) |found| {
        defer found.release();
        return found.truthy();
    }
    const read = try whole(f, v.asProjection());
    defer read.release();
    return read.truthy();
}
