//! The instructions that reach outside the fiber: requests to the host, `parallel`, and the ends of a
//! block. Each is executed twice: the first time it issues its requests (or starts its branches) and
//! blocks; when all answers are there it is executed again, finds them in `f.partial`, and finishes.
//!
//! `f.partial` is then a list with one element per answer: the value or wrapper to go on with, or, for
//! an answer that broke a limit, an `unbound` value whose `aux` names the limit.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const list_file = @import("list.zig");
const program = @import("program.zig");
const fibers = @import("fiber.zig");
const transform = @import("transform.zig");
const projection = @import("projection.zig");
const text_form = @import("text_form.zig");
const wire = @import("wire.zig");
const interp = @import("interp.zig");

const Error = state.Error;
const Value = value.Value;
const List = value.List;
const Record = value.Record;
const Fiber = fibers.Fiber;
const Instruction = program.Instruction;

/// How the interpreter goes on after such an instruction.
pub const Flow = enum { next, blocked, ended, submitted, branch_done };

pub const RequestKind = enum(u8) { call = 0, start = 1, @"await" = 2, cancel = 3, print = 4 };

/// A request the host has not answered yet; its number is `first_request` plus its place.
const Request = struct {
    kind: RequestKind,
    open: bool,
    fiber: *Fiber,
    /// Which element of `fiber.partial` the answer goes to.
    place: u32,
};

var requests: [*]Request = undefined;
var requests_cap: u32 = 0;
var requests_len: u32 = 0;
var first_request: u64 = 1;
/// Requests issued in this block, answered or not.
pub var issued: u64 = 0;
pub var unanswered: u32 = 0;
/// Bytes printed in this block.
var printed: u64 = 0;

/// The requests issued since the host last saw any.
pub var wave: wire.Writer = .{};
pub var wave_count: u32 = 0;

/// What the block ends with, written out already, after `Flow.submitted`.
pub var submission: wire.Writer = .{};

/// Prepare for a block.
pub fn reset() void {
    if (requests_cap > 0) heap.free(@ptrCast(@alignCast(requests)), requests_cap * @sizeOf(Request));
    requests_cap = 0;
    requests_len = 0;
    first_request = 1;
    issued = 0;
    unanswered = 0;
    printed = 0;
    wave.clear();
    wave_count = 0;
    submission.clear();
}

// --- requests and their answers ------------------------------------------------------------------

fn issue(f: *Fiber, kind: RequestKind, a: Value, b: Value, place: u32) Error!void {
    if (issued >= state.limitOf(.requests)) return state.exceeded(.requests);
    if (requests_len == requests_cap) {
        const room = requests_cap * 2 + 8;
        requests = @ptrCast(if (requests_cap == 0)
            try heap.alloc(room * @sizeOf(Request))
        else
            try heap.realloc(@ptrCast(@alignCast(requests)), requests_cap * @sizeOf(Request), room * @sizeOf(Request)));
        requests_cap = room;
    }
    const before = wave.len;
    errdefer wave.len = before;
    if (before == 0) try wave.keepHeadRoom();
    const exactness: wire.Exactness = if (kind == .print) .exact else .json;
    try wave.array(4);
    try wave.unsigned(issued + 1);
    try wave.integer(@intFromEnum(kind));
    try wave.val(a, exactness);
    try wave.val(b, exactness);
    requests[requests_len] = .{ .kind = kind, .open = true, .fiber = f, .place = place };
    requests_len += 1;
    wave_count += 1;
    issued += 1;
    unanswered += 1;
    f.pending += 1;
}

/// Issue the only request of an instruction and wait for it.
fn request(f: *Fiber, kind: RequestKind, a: Value, b: Value) Error!Flow {
    f.partial = Value.fromList(try emptyAnswers(1));
    issue(f, kind, a, b, 0) catch |err| {
        forget(f);
        return err;
    };
    f.status = .requests;
    return .blocked;
}

fn emptyAnswers(count: u32) Error!*List {
    const answers = try List.create(count);
    @memset(answers.items[0..count], Value.null);
    answers.len = count;
    return answers;
}

/// Drop the answers an instruction has collected.
fn forget(f: *Fiber) void {
    f.partial.release();
    f.partial = Value.null;
    f.pending = 0;
}

fn lookup(number: u64) ?*Request {
    if (number < first_request or number - first_request >= requests_len) return null;
    const found = &requests[@intCast(number - first_request)];
    return if (found.open) found else null;
}

/// What kind of request a number stands for, while it is unanswered.
pub fn openKind(number: u64) ?RequestKind {
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
    found.open = false;
    unanswered -= 1;
    f.pending -= 1;
    if (unanswered == 0) {
        first_request += requests_len;
        requests_len = 0;
    }
    return if (f.pending == 0) f else null;
}

/// The wrapper of an answer (chapter 3); takes over `v`.
fn wrapperOf(ok: bool, v: Value) Error!Value {
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
fn failureMark(v: Value) Error!Value {
    defer v.release();
    const text = if (v.tag == .string) v.asStr().retain() else try text_form.jsonText(v);
    errdefer text.release();
    const holder = try List.create(1);
    holder.appendReserved(Value.fromStr(text));
    return .{ .tag = .list, .aux = failure_aux, .bits = @intFromPtr(holder) };
}
const failure_aux = 1;

fn limitMark(err: Error) Value {
    const limit = if (err == error.OutOfMemory) .memory else state.fault.limit orelse .memory;
    return .{ .tag = .unbound, .aux = @intFromEnum(limit) };
}

/// The single answer of an instruction, owned; raises what it stands for if that is an error.
/// `what` begins the message of `effect_failed`.
fn single(f: *Fiber, comptime what: []const u8, args: anytype) Error!Value {
    defer forget(f);
    const answer = f.partial.asList().items[0];
    if (answer.tag == .unbound) return state.exceeded(@enumFromInt(answer.aux));
    if (answer.tag == .list and answer.aux == failure_aux) {
        return state.fail(.effect_failed, .none, what ++ " failed: {s}", args ++ .{answer.asList().items[0].asStr().bytes()});
    }
    return answer.retain();
}

// --- calls, handles, prints ----------------------------------------------------------------------

pub fn callTool(f: *Fiber, ins: Instruction) Error!Flow {
    if (f.partial.tag == .list) {
        f.set(ins.a, try single(f, "call", .{}));
        return .next;
    }
    return requestTool(f, .call, ins);
}

pub fn startTool(f: *Fiber, ins: Instruction) Error!Flow {
    if (f.partial.tag == .list) {
        f.set(ins.a, try single(f, "start of tool `{s}`", .{program.current.text(ins.c).bytes()}));
        return .next;
    }
    return requestTool(f, .start, ins);
}

/// A value of this expanded size is going to be walked over and written out.
fn admitSize(size: u64) Error!void {
    try state.admit(size / 16);
}

fn requestTool(f: *Fiber, kind: RequestKind, ins: Instruction) Error!Flow {
    const args = f.regs[ins.b];
    try admitSize(try text_form.checkedSize(args));
    return request(f, kind, Value.fromStr(program.current.text(ins.c)), args);
}

fn isHandle(v: Value) bool {
    if (v.tag != .record) return false;
    return v.asRecord().findBytes("__handle__") != null or v.asRecord().findBytes("handle") != null;
}

pub fn awaitHandles(f: *Fiber, ins: Instruction) Error!Flow {
    const operand = f.regs[ins.b];
    try admitSize(try text_form.checkedSize(operand));
    if (f.partial.tag == .null) {
        const shape = try projection.resolve(f, operand);
        defer shape.release();
        if (try issueAwaits(f, shape)) return .blocked;
    }
    const shape = try projection.resolve(f, operand);
    defer shape.release();
    defer forget(f);
    var context: Awaiting = .{ .answers = if (f.partial.tag == .list) f.partial.asList().slice() else &.{} };
    const result = try transform.map(shape, &context, Awaiting.visit);
    errdefer result.release();
    try value.checkDepth(result);
    f.set(ins.a, result);
    return .next;
}

/// Request all handles of a value together, in depth-first order; false when there are none.
fn issueAwaits(f: *Fiber, shape: Value) Error!bool {
    var count: Awaiting = .{ .answers = &.{}, .counting = true };
    (try transform.map(shape, &count, Awaiting.visit)).release();
    if (count.next == 0) return false;
    f.partial = Value.fromList(try emptyAnswers(count.next));
    errdefer forget(f);
    var issuing: Awaiting = .{ .answers = &.{}, .counting = true, .fiber = f };
    (try transform.map(shape, &issuing, Awaiting.visit)).release();
    f.status = .requests;
    return true;
}

/// The walk of `await`: over lists and records to the handles, which it counts, requests, or replaces by their answers.
const Awaiting = struct {
    answers: []const Value,
    counting: bool = false,
    fiber: ?*Fiber = null,
    next: u32 = 0,

    fn visit(self: *Awaiting, v: Value) Error!?Value {
        if (isHandle(v)) {
            defer self.next += 1;
            if (self.fiber) |f| try issue(f, .@"await", v, Value.null, self.next);
            if (self.counting) return Value.null;
            const answer = self.answers[self.next];
            if (answer.tag == .unbound) return state.exceeded(@enumFromInt(answer.aux));
            return answer.retain();
        }
        if (v.isContainer()) return null;
        if (self.counting) return Value.null;
        var buffer: [64]u8 = undefined;
        const reason = std.fmt.bufPrint(&buffer, "await needs a handle, got {s}", .{v.typeName()}) catch unreachable; // type names are short
        return try wrapperOf(false, Value.fromStr(try string.copyUnlimited(reason)));
    }
};

pub fn cancel(f: *Fiber, ins: Instruction) Error!Flow {
    if (f.partial.tag == .list) {
        f.set(ins.a, try single(f, "cancel", .{}));
        return .next;
    }
    const operand = f.regs[ins.b];
    try text_form.checkSize(operand);
    const handle = try projection.resolve(f, operand);
    defer handle.release();
    if (!isHandle(handle)) return state.fail(.type_error, .none, "`cancel` needs a handle, got {s}", .{handle.typeName()});
    return request(f, .cancel, handle, Value.null);
}

pub fn print(f: *Fiber, ins: Instruction) Error!Flow {
    if (f.partial.tag == .list) {
        (try single(f, "print", .{})).release();
        return .next;
    }
    const shown = try projection.resolve(f, f.regs[ins.a]);
    defer shown.release();
    try admitSize(try text_form.checkedSize(shown));
    const text = try text_form.shown(shown);
    defer text.release();
    if (printed + text.len > state.limitOf(.output)) return state.exceeded(.output);
    const flow = try request(f, .print, shown, if (shown.tag == .string) Value.null else Value.fromStr(text));
    printed += text.len;
    return flow;
}

// --- the ends of a block or branch ---------------------------------------------------------------

pub fn submit(f: *Fiber, ins: Instruction) Error!Flow {
    const result = try projection.resolve(f, f.regs[ins.a]);
    defer result.release();
    try admitSize(try text_form.checkedSize(result));
    submission.clear();
    try submission.array(3);
    try submission.unsigned(state.fuel_used);
    try submission.unsigned(issued);
    try submission.val(result, .json);
    return .submitted;
}

pub fn branchEnd(f: *Fiber, ins: Instruction) Error!Flow {
    f.result = f.regs[ins.a].retain();
    return .branch_done;
}

/// A variable counts as assigned by the branch, from its first assignment on.
pub fn mark(f: *Fiber, ins: Instruction) Error!Flow {
    try markSlot(f, ins.a);
    return .next;
}

fn markSlot(f: *Fiber, slot: u32) Error!void {
    if (f.is_marked.len == 0) {
        const variables = program.current.variables();
        const flags: [*]u8 = try heap.alloc(variables);
        @memset(flags[0..variables], 0);
        f.is_marked = flags[0..variables];
    }
    if (f.is_marked[slot] != 0) return;
    if (f.marked_len == f.marked.len) {
        const room = f.marked.len * 2 + 4;
        const memory: [*]u32 = @ptrCast(if (f.marked.len == 0)
            try heap.alloc(room * 4)
        else
            try heap.realloc(@ptrCast(@alignCast(f.marked.ptr)), f.marked.len * 4, room * 4));
        f.marked = memory[0..room];
    }
    f.marked[f.marked_len] = slot;
    f.marked_len += 1;
    f.is_marked[slot] = 1;
}

// --- parallel ------------------------------------------------------------------------------------

pub fn parallel(f: *Fiber, ins: Instruction) Error!Flow {
    const entry = &program.current.parallels[@as(u32, ins.b) | @as(u32, ins.c) << 16];
    if (f.children.len > 0) {
        f.set(ins.a, try join(f, entry));
        return .next;
    }
    if (entry.entries.len == 0) {
        f.set(ins.a, Value.fromList(try List.create(0)));
        return .next;
    }
    try fork(f, entry);
    f.status = .branches;
    return .blocked;
}

fn fork(f: *Fiber, entry: *const program.Parallel) Error!void {
    const count = entry.entries.len;
    try state.admit(@as(u64, count) * program.current.registers);
    const memory: [*]*Fiber = @ptrCast(try heap.alloc(count * @sizeOf(*Fiber)));
    var made: usize = 0;
    errdefer {
        for (memory[0..made]) |child| destroy(child);
        heap.free(@ptrCast(@alignCast(memory)), count * @sizeOf(*Fiber));
    }
    while (made < count) : (made += 1) {
        const child = try create(f);
        child.pc = entry.entries[made];
        child.branch = @intCast(made);
        memory[made] = child;
    }
    f.children = memory[0..count];
    f.children_left = @intCast(count);
}

/// A new fiber: the main one (no parent), or a branch with a copy of its parent's variables and constants.
pub fn create(parent: ?*Fiber) Error!*Fiber {
    const registers = program.current.registers;
    const self: *Fiber = @ptrCast(@alignCast(try heap.alloc(@sizeOf(Fiber))));
    errdefer heap.free(@ptrCast(@alignCast(self)), @sizeOf(Fiber));
    const regs: [*]Value = @ptrCast(try heap.alloc(@max(registers, 1) * @sizeOf(Value)));
    self.* = .{ .regs = regs, .parent = parent };
    var shared: u32 = 0;
    if (parent) |from| {
        shared = program.current.variables() + program.current.preloaded;
        for (from.regs[0..shared], 0..) |v, i| regs[i] = v.retain();
    }
    @memset(regs[shared..registers], Value.unbound);
    state.spend(registers);
    return self;
}

/// Free a fiber and its branches. Native recursion is bounded by the 64 brackets a program may nest.
pub fn destroy(self: *Fiber) void {
    destroyChildren(self);
    for (self.regs[0..program.current.registers]) |v| v.release();
    heap.free(@ptrCast(@alignCast(self.regs)), @max(program.current.registers, 1) * @sizeOf(Value));
    projection.finish(self);
    self.partial.release();
    self.result.release();
    if (self.failure) |failure| heap.free(@ptrCast(@alignCast(failure)), @sizeOf(fibers.Failure));
    if (self.is_marked.len > 0) heap.free(@alignCast(self.is_marked.ptr), self.is_marked.len);
    if (self.marked.len > 0) heap.free(@ptrCast(@alignCast(self.marked.ptr)), self.marked.len * 4);
    heap.free(@ptrCast(@alignCast(self)), @sizeOf(Fiber));
}

fn destroyChildren(self: *Fiber) void {
    if (self.children.len == 0) return;
    for (self.children) |child| destroy(child);
    heap.free(@ptrCast(@alignCast(self.children.ptr)), self.children.len * @sizeOf(*Fiber));
    self.children = &.{};
}

/// All branches have ended: raise the first failure or conflict, or merge and give the values (chapter 13).
fn join(f: *Fiber, entry: *const program.Parallel) Error!Value {
    defer destroyChildren(f);
    for (f.children) |child| {
        if (child.failure) |failure| {
            state.fault = failure.fault;
            state.fault.pc = failure.pc;
            return error.Fault;
        }
    }
    try checkConflicts(f);
    const result = try gather(f, entry);
    errdefer result.release();
    try value.checkDepth(result);
    // Room for the marks first, so that the merge itself cannot fail half-way.
    if (!f.isMain()) for (f.children) |child| {
        for (child.marked[0..child.marked_len]) |slot| {
            if (std.mem.indexOfScalar(u32, entry.excluded, slot) == null) try markSlot(f, slot);
        }
    };
    for (f.children) |child| {
        for (child.marked[0..child.marked_len]) |slot| f.set(slot, child.regs[slot].retain());
    }
    return result;
}

fn gather(f: *Fiber, entry: *const program.Parallel) Error!Value {
    const count: u32 = @intCast(f.children.len);
    try list_file.checkCount(count);
    if (!entry.named) {
        const list = try List.create(count);
        for (f.children) |child| list.appendReserved(child.result.retain());
        return Value.fromList(list);
    }
    const record = try Record.create(count);
    errdefer record.release();
    for (f.children, 0..) |child, i| {
        try record.insert(entry.keys.items[i].asStr(), child.result);
        _ = child.result.retain();
    }
    return Value.fromRecord(record);
}

fn checkConflicts(f: *Fiber) Error!void {
    const variables = program.current.variables();
    if (variables == 0) return;
    const owners: [*]u8 = try heap.alloc(variables);
    defer heap.free(@alignCast(owners), variables);
    @memset(owners[0..variables], 0);
    for (f.children) |child| {
        for (child.marked[0..child.marked_len]) |slot| {
            if (owners[slot] != 0) {
                const name = program.current.names.items[slot].asStr().bytes();
                return state.fail(.parallel_conflict, .none, "branches of `parallel` both assign `{s}`", .{name});
            }
            owners[slot] = 1;
        }
    }
}
