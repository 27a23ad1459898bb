//! The requests of a block: handing them out, and taking their answers in.
//!
//! A request belongs to the fiber whose instruction made it and to a place in the list `f.partial`, which
//! collects the instruction's answers: the value or wrapper to go on with, or, for an answer that broke a
//! limit, an `unbound` value whose `aux` names the limit. Numbers run from 1 through the whole block.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const fibers = @import("fiber.zig");
const text_form = @import("text_form.zig");
const wire = @import("wire.zig");

const Error = state.Error;
const Value = value.Value;
const List = value.List;
const Record = value.Record;
const Fiber = fibers.Fiber;

pub const Kind = enum(u8) { call = 0, start = 1, @"await" = 2, cancel = 3, print = 4 };

/// A request the host has not answered yet; its number is `first` plus its place in `table`.
pub const Request = struct {
    kind: Kind,
    open: bool,
    fiber: *Fiber,
    /// Which element of `fiber.partial` the answer goes to.
    place: u32,
    /// What it asks: the tool's name and its arguments, a handle, or what is printed and its text. Kept while it is
    /// open, so that a restored block can ask again.
    a: Value,
    b: Value,
};

var table: [*]Request = undefined;
var table_cap: u32 = 0;
var table_len: u32 = 0;
/// Number of the table's first request.
pub var first: u64 = 1;
/// Requests issued in this block, answered or not.
pub var issued: u64 = 0;
pub var unanswered: u32 = 0;

/// The requests issued since the host last saw any.
pub var wave: wire.Writer = .{};
pub var wave_count: u32 = 0;

/// Prepare for a block.
pub fn reset() void {
    drop();
    issued = 0;
    first = 1;
    wave.clear();
    wave_count = 0;
}

/// Forget all open requests, for the end of a block.
pub fn drop() void {
    for (open()) |*request| if (request.open) close(request);
    if (table_cap > 0) heap.free(@ptrCast(@alignCast(table)), table_cap * @sizeOf(Request));
    table_cap = 0;
    table_len = 0;
    unanswered = 0;
}

/// The requests from `first` on; only those marked open wait for an answer.
pub fn open() []Request {
    return table[0..table_len];
}

/// Hand out one more request of a fiber. `a` and `b` are borrowed.
pub fn issue(f: *Fiber, kind: Kind, a: Value, b: Value, place: u32) Error!void {
    if (issued >= state.limitOf(.requests)) return state.exceeded(.requests);
    if (table_len == table_cap) try reserve(table_cap * 2 + 8);
    const before = wave.len;
    errdefer wave.len = before;
    if (before == 0) try wave.keepHeadRoom();
    const made: Request = .{ .kind = kind, .open = true, .fiber = f, .place = place, .a = a, .b = b };
    try write(&wave, issued + 1, &made);
    add(made);
    wave_count += 1;
    issued += 1;
}

/// Add a request to the table, which has room for it.
fn add(made: Request) void {
    _ = made.a.retain();
    _ = made.b.retain();
    table[table_len] = made;
    table_len += 1;
    unanswered += 1;
    made.fiber.pending += 1;
}

fn reserve(room: u32) Error!void {
    const size = std.math.mul(usize, room, @sizeOf(Request)) catch return error.OutOfMemory;
    const memory = if (table_cap == 0)
        try heap.alloc(size)
    else
        try heap.realloc(@ptrCast(@alignCast(table)), table_cap * @sizeOf(Request), size);
    table = @ptrCast(memory);
    table_cap = room;
}

/// A request as the host sees it.
pub fn write(out: *wire.Writer, number: u64, request: *const Request) Error!void {
    const exactness: wire.Exactness = if (request.kind == .print) .exact else .json;
    try out.array(4);
    try out.unsigned(number);
    try out.integer(@intFromEnum(request.kind));
    try out.val(request.a, exactness);
    try out.val(request.b, exactness);
}

/// Put back the open requests of a restored block: `made`, in the order of their numbers. Numbers in between were
/// answered; the last `unseen` have not been handed to the host.
pub fn restore(numbers: []const u64, made: []const Request, issued_before: u64, first_before: u64, unseen: u32) Error!void {
    issued = issued_before;
    first = first_before;
    const window = issued + 1 - first;
    if (window == 0) return;
    if (window > 1 << 28) return error.OutOfMemory;
    try reserve(@intCast(window));
    for (numbers, made) |number, request| {
        while (first + table_len < number) try addClosed(request.fiber);
        add(request);
        if (number + unseen > issued) {
            if (wave.len == 0) try wave.keepHeadRoom();
            try write(&wave, number, &request);
            wave_count += 1;
        }
    }
    while (table_len < window) try addClosed(made[0].fiber);
}

/// Add the place of a request that has been answered.
fn addClosed(f: *Fiber) Error!void {
    table[table_len] = .{ .kind = .print, .open = false, .fiber = f, .place = 0, .a = Value.null, .b = Value.null };
    table_len += 1;
}

/// Issue the only request of an instruction.
pub fn issueOne(f: *Fiber, kind: Kind, a: Value, b: Value) Error!void {
    f.partial = Value.fromList(try emptyAnswers(1));
    issue(f, kind, a, b, 0) catch |err| {
        forget(f);
        return err;
    };
    f.status = .requests;
}

/// A list for the answers of so many requests.
pub fn emptyAnswers(count: u32) Error!*List {
    const answers = try List.create(count);
    @memset(answers.items[0..count], Value.null);
    answers.len = count;
    return answers;
}

/// Drop the answers an instruction has collected.
pub fn forget(f: *Fiber) void {
    f.partial.release();
    f.partial = Value.null;
    f.pending = 0;
}

fn lookup(number: u64) ?*Request {
    if (number < first or number - first >= table_len) return null;
    const found = &table[@intCast(number - first)];
    return if (found.open) found else null;
}

/// What kind of request a number stands for, while it is unanswered.
pub fn openKind(number: u64) ?Kind {
    const found = lookup(number) orelse return null;
    return found.kind;
}

/// Answer a request. `v` is owned: the result where `ok`, else the failure. Gives the fiber when it can go on.
pub fn deliver(number: u64, ok: bool, v: Value) ?*Fiber {
    const found = lookup(number).?;
    const finished_value = switch (found.kind) {
        .call, .@"await" => wrapperOf(ok, v),
        .start, .cancel, .print => if (ok) v else failureMark(v),
    } catch |err| limitMark(err);
    return settle(found, finished_value);
}

/// Answer a request with a limit that its answer broke.
pub fn deliverLimit(number: u64, limit: state.Limit) ?*Fiber {
    return settle(lookup(number).?, .{ .tag = .unbound, .aux = @intFromEnum(limit) });
}

fn settle(found: *Request, v: Value) ?*Fiber {
    const f = found.fiber;
    const answers = f.partial.asList();
    answers.items[found.place] = v;
    answers.note(v);
    close(found);
    unanswered -= 1;
    f.pending -= 1;
    if (unanswered == 0) {
        first += table_len;
        table_len = 0;
    }
    return if (f.pending == 0) f else null;
}

/// What it asked is needed no longer.
fn close(request: *Request) void {
    request.open = false;
    request.a.release();
    request.b.release();
}

/// The wrapper of an answer (chapter 3); takes over `v`.
pub fn wrapperOf(ok: bool, v: Value) Error!Value {
    var item = v;
    errdefer item.release();
    if (!ok and v.tag != .string) {
        const text = try text_form.jsonText(v);
        item.release();
        item = Value.fromStr(text);
    }
    const wrapper = try Record.create(2);
    errdefer wrapper.release();
    try wrapper.insert(string.static("ok"), Value.fromBool(ok));
    try wrapper.insert(if (ok) string.static("value") else string.static("error"), item.retain());
    try value.checkDepth(Value.fromRecord(wrapper));
    item.release();
    return Value.fromRecord(wrapper);
}

/// A failure of start, cancel or print travels as a list of its text, told from a value by `aux`; takes over `v`.
pub fn failureMark(v: Value) Error!Value {
    defer v.release();
    const text = if (v.tag == .string) v.asStr().retain() else try text_form.jsonText(v);
    errdefer text.release();
    const holder = try List.create(1);
    holder.appendReserved(Value.fromStr(text));
    return .{ .tag = .list, .aux = failure_aux, .bits = @intFromPtr(holder) };
}
pub const failure_aux = 1;

fn limitMark(err: Error) Value {
    const limit = if (err == error.OutOfMemory) .memory else state.fault.limit orelse .memory;
    return .{ .tag = .unbound, .aux = @intFromEnum(limit) };
}

/// The single answer of an instruction, owned; raises what it stands for if that is an error.
/// `what` begins the message of `effect_failed`.
pub fn single(f: *Fiber, comptime what: []const u8, args: anytype) Error!Value {
    defer forget(f);
    const answer = f.partial.asList().items[0];
    if (answer.tag == .unbound) return state.exceeded(@enumFromInt(answer.aux));
    if (answer.tag == .list and answer.aux == failure_aux) {
        return state.fail(.effect_failed, .none, what ++ " failed: {s}", args ++ .{answer.asList().items[0].asStr().bytes()});
    }
    return answer.retain();
}
