//! The instructions that reach outside the fiber: requests to the host, `parallel`, and the ends of a
//! block. Each is executed twice: the first time it issues its requests (or starts its branches) and
//! blocks; when all answers are there it is executed again, finds them in `f.partial`, and finishes.
//!
//! `f.partial` is then a list with one element per answer (requests.zig).

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
const requests = @import("requests.zig");

const Error = state.Error;
const Value = value.Value;
const List = value.List;
const Record = value.Record;
const Fiber = fibers.Fiber;
const Instruction = program.Instruction;

/// How the interpreter goes on after such an instruction.
pub const Flow = enum { next, blocked, ended, submitted, branch_done };

/// Bytes printed in this block.
pub var printed: u64 = 0;

/// What the block ends with, written out already, after `Flow.submitted`.
pub var submission: wire.Writer = .{};

/// Prepare for a block.
pub fn reset() void {
    requests.reset();
    printed = 0;
    submission.clear();
}

/// Issue the only request of an instruction and wait for it.
fn request(f: *Fiber, kind: requests.Kind, a: Value, b: Value) Error!Flow {
    try requests.issueOne(f, kind, a, b);
    return .blocked;
}

// --- calls, handles, prints ----------------------------------------------------------------------

pub fn callTool(f: *Fiber, ins: Instruction) Error!Flow {
    if (f.partial.tag == .list) {
        f.set(ins.a, try requests.single(f, "call", .{}));
        return .next;
    }
    return requestTool(f, .call, ins);
}

pub fn startTool(f: *Fiber, ins: Instruction) Error!Flow {
    if (f.partial.tag == .list) {
        f.set(ins.a, try requests.single(f, "start of tool `{s}`", .{program.current.text(ins.c).bytes()}));
        return .next;
    }
    return requestTool(f, .start, ins);
}

/// A value of this expanded size is going to be walked over and written out.
fn admitSize(size: u64) Error!void {
    try state.admit(size / 16);
}

fn requestTool(f: *Fiber, kind: requests.Kind, ins: Instruction) Error!Flow {
    const args = f.regs[ins.b];
    try admitSize(try text_form.checkedSize(args));
    return request(f, kind, Value.fromStr(program.current.text(ins.c)), args);
}

/// Whether a value is a handle (chapter 12).
pub fn isHandle(v: Value) bool {
    if (v.tag != .record) return false;
    return v.asRecord().findBytes("__handle__") != null or v.asRecord().findBytes("handle") != null;
}

pub fn awaitHandles(f: *Fiber, ins: Instruction) Error!Flow {
    const operand = f.regs[ins.b];
    try admitSize(try text_form.checkedSize(operand));
    if (f.partial.tag == .null) {
        const shape = try readForHandles(f, operand);
        defer shape.release();
        if (try issueAwaits(f, shape)) return .blocked;
    }
    const shape = try readForHandles(f, operand);
    defer shape.release();
    defer requests.forget(f);
    var context: Awaiting = .{ .answers = if (f.partial.tag == .list) f.partial.asList().slice() else &.{} };
    const result = try transform.map(shape, &context, Awaiting.visit);
    errdefer result.release();
    try value.checkDepth(result);
    f.set(ins.a, result);
    return .next;
}

/// An operand of checked size with its projections read; owned. What was read in their place counts too: handles go to
/// the host as they are.
fn readForHandles(f: *Fiber, operand: Value) Error!Value {
    const read = try projection.resolve(f, operand);
    errdefer read.release();
    if (operand.mayHoldProjection()) try text_form.checkSize(read);
    return read;
}

/// Request all handles of a value together, in depth-first order; false when there are none.
fn issueAwaits(f: *Fiber, shape: Value) Error!bool {
    var count: Awaiting = .{ .answers = &.{}, .counting = true };
    (try transform.map(shape, &count, Awaiting.visit)).release();
    if (count.next == 0) return false;
    f.partial = Value.fromList(try requests.emptyAnswers(count.next));
    errdefer requests.forget(f);
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
            if (self.fiber) |f| try requests.issue(f, .@"await", v, Value.null, self.next);
            if (self.counting) return Value.null;
            // A restored block's operand may hold more handles than it has answers, where somebody wrote the snapshot.
            if (self.next >= self.answers.len) return state.fail(.internal_error, .none, "an answer is missing", .{});
            const answer = self.answers[self.next];
            if (answer.tag == .unbound) return state.exceeded(@enumFromInt(answer.aux));
            return answer.retain();
        }
        if (v.isContainer()) return null;
        if (self.counting) return Value.null;
        var buffer: [64]u8 = undefined;
        const reason = std.fmt.bufPrint(&buffer, "await needs a handle, got {s}", .{v.typeName()}) catch unreachable; // type names are short
        return try requests.wrapperOf(false, Value.fromStr(try string.copyUnlimited(reason)));
    }
};

pub fn cancel(f: *Fiber, ins: Instruction) Error!Flow {
    if (f.partial.tag == .list) {
        f.set(ins.a, try requests.single(f, "cancel", .{}));
        return .next;
    }
    const operand = f.regs[ins.b];
    // Whether it is a handle comes before its size (chapter 16); a projection does not tell before it is read.
    if (operand.tag != .projection) try checkHandle(operand);
    try text_form.checkSize(operand);
    const handle = try projection.resolve(f, operand);
    defer handle.release();
    try checkHandle(handle);
    try text_form.checkSize(handle);
    return request(f, .cancel, handle, Value.null);
}

fn checkHandle(v: Value) Error!void {
    if (!isHandle(v)) return state.fail(.type_error, .none, "`cancel` needs a handle, got {s}", .{v.typeName()});
}

pub fn print(f: *Fiber, ins: Instruction) Error!Flow {
    if (f.partial.tag == .list) {
        (try requests.single(f, "print", .{})).release();
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
    try submission.unsigned(requests.issued);
    try submission.val(result, .json);
    return .submitted;
}

pub fn branchEnd(f: *Fiber, ins: Instruction) Error!Flow {
    f.result = f.regs[ins.a].retain();
    return .branch_done;
}

/// MARK.
pub fn mark(f: *Fiber, ins: Instruction) Error!Flow {
    try markSlot(f, ins.a);
    return .next;
}

/// A variable counts as assigned by the branch, from its first assignment on.
pub fn markSlot(f: *Fiber, slot: u32) Error!void {
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
    const self = try blank(parent);
    if (parent) |from| {
        const shared = program.current.variables() + program.current.preloaded;
        for (from.regs[0..shared], 0..) |v, i| self.regs[i] = v.retain();
    }
    state.spend(program.current.registers);
    return self;
}

/// A new fiber with nothing in its registers.
pub fn blank(parent: ?*Fiber) Error!*Fiber {
    const registers = program.current.registers;
    const self: *Fiber = @ptrCast(@alignCast(try heap.alloc(@sizeOf(Fiber))));
    errdefer heap.free(@ptrCast(@alignCast(self)), @sizeOf(Fiber));
    const regs: [*]Value = @ptrCast(try heap.alloc(@max(registers, 1) * @sizeOf(Value)));
    @memset(regs[0..registers], Value.unbound);
    self.* = .{ .regs = regs, .parent = parent };
    return self;
}

/// Make a restored fiber wait for the branches of the `parallel` it stands at; they are to be filled in.
pub fn awaitBranches(f: *Fiber) (Error || error{Malformed})!void {
    const code = program.current.code;
    if (f.pc >= code.len) return error.Malformed;
    const ins: Instruction = @bitCast(code[f.pc]);
    const number = @as(u32, ins.b) | @as(u32, ins.c) << 16;
    if (number >= program.current.parallels.len) return error.Malformed;
    const count = program.current.parallels[number].entries.len;
    if (count == 0) return error.Malformed;
    const memory: [*]*Fiber = @ptrCast(try heap.alloc(count * @sizeOf(*Fiber)));
    f.children = memory[0..count];
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
