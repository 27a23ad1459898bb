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
const text_form = @import("text_form.zig");
const wire = @import("wire.zig");
const Fiber = @import("fiber.zig").Fiber;

const Error = state.Error;
const Value = value.Value;
const Projection = value.Projection;
const List = value.List;

/// State of one question: asked, or how it was answered, and whether the answer has been paid for.
pub const Mark = enum(i64) { asked = 0, answered = 1, unsupported = 2, failed = 3, paid = 4, too_large = 5 };

/// A question on its way to the host: whose it is, where its answer goes, and what it says, as the list of its
/// name, the projection and the arguments, so that a restored block can ask again.
pub const Question = struct { fiber: *Fiber, place: u32, says: *List };

/// Questions asked and not yet answered, by number from `first_number` on; answered ones stay until all are.
var asked: [*]Question = undefined;
var asked_cap: u32 = 0;
var asked_len: u32 = 0;
pub var unanswered: u32 = 0;
pub var first_number: u64 = 1;
/// The questions as the host will see them, `asked_out` of them not yet handed over.
pub var outgoing: wire.Writer = .{};
pub var outgoing_count: u32 = 0;

pub fn anyPending() bool {
    return unanswered > 0;
}

/// Forget all questions, for the end of a block.
pub fn clear() void {
    dropAsked();
    if (asked_cap > 0) heap.free(@ptrCast(@alignCast(asked)), asked_cap * @sizeOf(Question));
    asked_cap = 0;
    unanswered = 0;
    first_number = 1;
    outgoing.clear();
    outgoing_count = 0;
}

fn dropAsked() void {
    for (questions()) |question| question.says.release();
    asked_len = 0;
}

/// The questions from `first_number` on, answered ones among them.
pub fn questions() []Question {
    return asked[0..asked_len];
}

/// Whether a question still waits for its answer.
pub fn isOpen(question: *const Question) bool {
    return isAsked(question.fiber.reads.?.items[question.place]);
}

/// Whether the state of a question says that it still waits for its answer.
pub fn isAsked(mark: Value) bool {
    return mark.asInt() == @intFromEnum(Mark.asked);
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

/// Whether a value from a snapshot can be the state of a question.
pub fn checkMark(v: Value) error{Malformed}!void {
    if (v.tag != .int or v.bits > @intFromEnum(Mark.too_large)) return error.Malformed;
}

/// Whether a value from a snapshot can be the answer to a question in that state.
pub fn checkAnswer(mark: Value, answer: Value) error{Malformed}!void {
    if (mark.asInt() != @intFromEnum(Mark.too_large)) return;
    if (answer.tag != .int or answer.bits >= state.limit_count) return error.Malformed;
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
    for (args) |arg| try text_form.checkSize(arg);
    try reads.reserve(2);
    try reserveAsked(1);
    const says = try List.create(2 + args.len);
    errdefer says.release();
    says.appendReserved(Value.fromStr(try string.copyUnlimited(question)));
    says.appendReserved(Value.fromProjection(p).retain());
    for (args) |arg| says.appendReserved(arg.retain());
    try announce(first_number + asked_len, says);
    add(.{ .fiber = f, .place = reads.len, .says = says });
    reads.appendReserved(Value.fromInt(@intFromEnum(Mark.asked)));
    reads.appendReserved(Value.null);
    f.reads_used += 2;
}

/// Put a question among those that the host is going to see.
fn announce(number: u64, says: *const List) Error!void {
    const before = outgoing.len;
    errdefer outgoing.len = before;
    if (before == 0) try outgoing.keepHeadRoom();
    try write(&outgoing, number, says);
    outgoing_count += 1;
}

/// A question as the host sees it.
pub fn write(out: *wire.Writer, number: u64, says: *const List) Error!void {
    const parts = says.slice();
    try out.array(4);
    try out.unsigned(number);
    try out.projection(parts[1].asProjection());
    try out.text(parts[0].asStr().bytes());
    try out.array(@intCast(parts.len - 2));
    for (parts[2..]) |arg| try out.val(arg, .exact);
}

fn reserveAsked(more: u32) Error!void {
    if (asked_len + more <= asked_cap) return;
    const room = (asked_len + more) * 2 + 8;
    asked = @ptrCast(if (asked_cap == 0)
        try heap.alloc(room * @sizeOf(Question))
    else
        try heap.realloc(@ptrCast(@alignCast(asked)), asked_cap * @sizeOf(Question), room * @sizeOf(Question)));
    asked_cap = room;
}

/// Add an open question, for which there is room.
fn add(question: Question) void {
    asked[asked_len] = question;
    asked_len += 1;
    unanswered += 1;
    question.fiber.reads_pending += 1;
}

/// Put back the questions of a restored block, which have the numbers from `first` on. Takes over what they say.
pub fn restore(first: u64, made: []const Question) Error!void {
    first_number = first;
    try reserveAsked(@intCast(made.len));
    for (made) |question| {
        add(question);
        if (isOpen(&question)) continue;
        unanswered -= 1;
        question.fiber.reads_pending -= 1;
    }
}

/// Where a question's answer goes; null when there is no such open question.
pub fn find(number: u64) ?*Fiber {
    const question = lookup(number) orelse return null;
    return question.fiber;
}

fn lookup(number: u64) ?*Question {
    if (number < first_number or number - first_number >= asked_len) return null;
    const question = &asked[@intCast(number - first_number)];
    return if (isOpen(question)) question else null;
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
        dropAsked();
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
