//! Fibers: the threads of a block. The block itself is the main fiber; every branch of a `parallel` is
//! another. A fiber is its registers and the instruction it stands at; there is no other stack, so a
//! fiber that waits costs nothing but its registers.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const value = @import("value.zig");
const program = @import("program.zig");

const Error = state.Error;
const Value = value.Value;

pub const Status = enum(u8) {
    /// Can run.
    ready,
    /// Waits for answers of requests (`pending` of them).
    requests,
    /// Waits for answers of reads.
    reads,
    /// Waits for its branches.
    branches,
    /// Ended with `result`.
    done,
    /// Ended with `failure`.
    failed,
};

pub const Failure = struct { fault: state.Fault, pc: u32 };

pub const Fiber = struct {
    regs: [*]Value,
    /// The instruction the fiber stands at; while it waits, the one that made it wait.
    pc: u32 = 0,
    status: Status = .ready,
    parent: ?*Fiber = null,
    /// Number of this fiber in a snapshot, set anew for each.
    number: u32 = 0,
    /// Number of this branch in its `parallel`.
    branch: u32 = 0,
    /// Branches of the `parallel` this fiber waits for.
    children: []*Fiber = &.{},
    children_left: u32 = 0,
    /// Answers still missing before the fiber can go on.
    pending: u32 = 0,
    /// What the running instruction has collected before it could finish (an `await`'s answers, a request's kind); null otherwise.
    partial: Value = Value.null,
    result: Value = Value.null,
    failure: ?*Failure = null,
    /// In a branch: the slots that count as assigned, in order of first assignment.
    marked: []u32 = &.{},
    marked_len: u32 = 0,
    /// One flag per variable, once any is marked.
    is_marked: []u8 = &.{},
    /// Reads of projections made for the instruction the fiber stands at (projection.zig).
    reads: ?*value.List = null,
    reads_used: u32 = 0,
    reads_pending: u32 = 0,
    /// The instruction has paid its own 1 of fuel already and is being executed again.
    charged: bool = false,

    pub inline fn isMain(self: *const Fiber) bool {
        return self.parent == null;
    }

    /// Write a register, taking over the reference; notes when a variable of the main fiber becomes bound.
    pub inline fn set(self: *Fiber, register: u32, v: Value) void {
        write(self, self.regs, register, v);
    }

    /// What a write to a register does about the value that was there, unless that was a scalar. The value comes
    /// in parts, because one passed whole would have to stand in memory, also on the way that does not come here.
    noinline fn settle(self: *Fiber, register: u32, tag: value.Tag, bits: u64) void {
        if (tag == .unbound) {
            if (register < program.current.variables() and self.isMain()) noteBound(register);
        } else (Value{ .tag = tag, .bits = bits }).release();
    }
};

/// `Fiber.set` with the registers' address at hand.
pub inline fn write(f: *Fiber, regs: [*]Value, register: u32, v: Value) void {
    const slot = &regs[register];
    const tag = slot.tag;
    const bits = slot.bits;
    slot.* = v;
    if (!tag.isScalar()) f.settle(register, tag, bits);
}

/// Slots of the main fiber in the order in which they became bound in this block.
var bound_order: []u32 = &.{};
var bound_count: u32 = 0;
/// One flag per variable: whether it is in `bound_order`.
var is_noted: []u8 = &.{};

fn noteBound(slot: u32) void {
    if (is_noted[slot] != 0) return;
    is_noted[slot] = 1;
    bound_order[bound_count] = slot;
    bound_count += 1;
}

/// As `noteBound`, for a restored block.
pub fn addBound(slot: u32) error{Malformed}!void {
    if (slot >= is_noted.len or is_noted[slot] != 0) return error.Malformed;
    noteBound(slot);
}

/// Slots that became bound in this block, in order.
pub fn newlyBound() []const u32 {
    return bound_order[0..bound_count];
}

/// Prepare for a block with this many variables.
pub fn resetBound(variables: u32) Error!void {
    freeBound();
    if (variables == 0) return;
    const memory = try heap.alloc(@as(usize, variables) * 5);
    bound_order = @as([*]u32, @ptrCast(memory))[0..variables];
    is_noted = memory[@as(usize, variables) * 4 ..][0..variables];
    @memset(is_noted, 0);
}

pub fn freeBound() void {
    if (bound_order.len > 0) heap.free(@ptrCast(@alignCast(bound_order.ptr)), bound_order.len * 5);
    bound_order = &.{};
    is_noted = &.{};
    bound_count = 0;
}
