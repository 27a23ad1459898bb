//! The life of a block: loading it, running its fibers in source order, taking answers in, ending it,
//! and the state of variables that outlives it (chapters 13 and 15).
//!
//! Scheduling is a stack of fibers that can run, the next in source order on top. A fiber that forks is
//! replaced by its branches, a branch that is the last to end brings its parent back in its place, and
//! fibers whose answers came are pushed in source order; so requests are issued in the order of a
//! depth-first walk over the tree of branches, whatever the host answers first.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const program = @import("program.zig");
const fibers = @import("fiber.zig");
const effects = @import("effects.zig");
const requests = @import("requests.zig");
const projection = @import("projection.zig");
const interp = @import("interp.zig");
const wire = @import("wire.zig");

const Error = state.Error;
const Value = value.Value;
const Record = value.Record;
const Fiber = fibers.Fiber;

pub const Outcome = enum { submitted, continued, failed, waiting, reads, slice, heavy };

/// The variables between blocks, in state order.
pub var globals: ?*Record = null;

/// The main fiber of the block being run, null between blocks.
var main_fiber: ?*Fiber = null;
/// Where the block failed.
pub var failed_at: u32 = 0;

/// Fibers that can run; the last is next.
var ready: [*]*Fiber = undefined;
var ready_cap: u32 = 0;
var ready_len: u32 = 0;

/// The variables' record, made on first use.
pub fn variables() Error!*Record {
    if (globals == null) globals = try Record.create(4);
    return globals.?;
}

/// Forget the variables and everything kept for the next block, for tests that count what is left.
pub fn forget() void {
    if (globals) |shared| shared.release();
    globals = null;
    if (ready_cap > 0) heap.free(@ptrCast(@alignCast(ready)), ready_cap * @sizeOf(*Fiber));
    ready_cap = 0;
    fibers.freeBound();
    effects.reset();
    projection.clear();
}

pub fn isRunning() bool {
    return main_fiber != null;
}

/// The block's main fiber, null between blocks.
pub fn mainFiber() ?*Fiber {
    return main_fiber;
}

/// The fibers that can run, the next one last.
pub fn readyFibers() []const *Fiber {
    return ready[0..ready_len];
}

/// The values projected for the running block, by name.
pub fn projectedValues() *const Record {
    return projected_names.?;
}

/// Make a restored block the running one. `projected` is taken over.
pub fn adopt(f: *Fiber, projected: *Record) (Error || error{Malformed})!void {
    const shared = try variables();
    try shared.reserve(program.current.variables());
    const names = program.current.names.slice();
    for (names) |name| {
        if (projected.find(name.asStr()) != null) continue;
        const i = shared.find(name.asStr()) orelse continue;
        // The block has the variable; null stands in its place, as in `begin`.
        if (shared.entries[i].value.tag != .null) return error.Malformed;
    }
    for (fibers.newlyBound()) |slot| {
        const name = names[slot].asStr();
        if (projected.find(name) != null or shared.find(name) != null) return error.Malformed;
    }
    projected_names = projected;
    main_fiber = f;
}

/// Whether fibers are left to run before a request can be answered.
pub fn isMidSlice() bool {
    return ready_len > 0;
}

// --- beginning and ending a block ----------------------------------------------------------------

/// Begin the loaded program: move the variables into the main fiber's registers, projected names over them.
/// `projected` is borrowed.
pub fn begin(projected: *Record) Error!void {
    const code = &program.current;
    const shared = try variables();
    try shared.reserve(code.variables());
    try fibers.resetBound(code.variables());
    effects.reset();
    const f = try effects.create(null);
    errdefer effects.destroy(f);
    try push(f);
    state.fuel_used = 0;
    for (code.constants.items[0..code.preloaded], 0..) |constant, i| f.regs[code.variables() + i] = constant.retain();
    for (code.names.slice(), 0..) |name, slot| {
        if (projected.get(name.asStr())) |stand_in| {
            f.regs[slot] = stand_in.retain();
        } else if (shared.find(name.asStr())) |i| {
            // Moved, not shared: the block may change it in place.
            f.regs[slot] = shared.entries[i].value;
            shared.entries[i].value = Value.null;
        }
    }
    projected_names = projected;
    projected.rc += 1;
    main_fiber = f;
}

/// The values projected for this block, by name; these variables are not part of the state.
var projected_names: ?*Record = null;

/// End the block: loops give their variables back, the variables go back into the state, everything else is freed.
fn end() void {
    const f = main_fiber.?;
    interp.unwind(f);
    const shared = globals.?;
    const names = program.current.names.slice();
    for (names, 0..) |name, slot| {
        if (projected_names.?.find(name.asStr()) != null) continue;
        // A variable of the state is bound, always but for a block restored from what somebody wrote by hand.
        if (f.regs[slot].tag == .unbound) continue;
        if (shared.find(name.asStr())) |i| {
            shared.entries[i].value = f.regs[slot];
            shared.note(f.regs[slot]);
            f.regs[slot] = Value.unbound;
        }
    }
    for (fibers.newlyBound()) |slot| {
        const v = f.regs[slot];
        if (v.tag == .unbound) continue;
        shared.insert(names[slot].asStr(), v) catch unreachable; // room was reserved when the block began
        f.regs[slot] = Value.unbound;
    }
    effects.destroy(f);
    requests.drop();
    main_fiber = null;
    ready_len = 0;
    fibers.freeBound();
    projection.clear();
    projected_names.?.release();
    projected_names = null;
}

/// Fail the block with `state.fault`.
fn failBlock(at: u32) Outcome {
    failed_at = state.fault.pc orelse at;
    end();
    return .failed;
}

/// Fail the block with an error that arose outside any instruction.
pub fn failWith(err: Error) Outcome {
    if (err == error.OutOfMemory) state.exceeded(.memory) catch {};
    return failBlock(main_fiber.?.pc);
}

/// Stop the block because the host wants it to.
pub fn interrupt(message: []const u8) Outcome {
    state.fail(.interrupted, .none, "{s}", .{message}) catch {};
    state.fault.site = state.limit_site;
    return failBlock(main_fiber.?.pc);
}

// --- scheduling ----------------------------------------------------------------------------------

pub fn push(f: *Fiber) Error!void {
    if (ready_len == ready_cap) try growReady(1);
    f.status = .ready;
    ready[ready_len] = f;
    ready_len += 1;
}

fn growReady(more: u32) Error!void {
    const room = (ready_len + more) * 2 + 8;
    ready = @ptrCast(if (ready_cap == 0)
        try heap.alloc(room * @sizeOf(*Fiber))
    else
        try heap.realloc(@ptrCast(@alignCast(ready)), ready_cap * @sizeOf(*Fiber), room * @sizeOf(*Fiber)));
    ready_cap = room;
}

/// Make fibers whose answers have come run next, in source order. They must not be on the stack already.
pub fn wake(woken: []*Fiber) Error!void {
    std.mem.sort(*Fiber, woken, {}, laterInSource);
    if (ready_len + woken.len > ready_cap) try growReady(@intCast(woken.len));
    for (woken) |f| {
        f.status = .ready;
        ready[ready_len] = f;
        ready_len += 1;
    }
}

/// Whether fiber `a` stands after `b` in the source.
fn laterInSource(_: void, a: *Fiber, b: *Fiber) bool {
    var x = a;
    var y = b;
    var x_depth = depthOf(x);
    var y_depth = depthOf(y);
    while (x_depth > y_depth) : (x_depth -= 1) x = x.parent.?;
    while (y_depth > x_depth) : (y_depth -= 1) y = y.parent.?;
    while (x.parent != y.parent) {
        x = x.parent.?;
        y = y.parent.?;
    }
    return x.branch > y.branch;
}

fn depthOf(f: *const Fiber) u32 {
    var depth: u32 = 0;
    var at = f;
    while (at.parent) |parent| : (at = parent) depth += 1;
    return depth;
}

/// Run until the host is needed.
pub fn drive() Outcome {
    if (projection.anyPending()) return .reads;
    while (ready_len > 0) {
        ready_len -= 1;
        const f = ready[ready_len];
        f.status = .ready;
        f.reads_used = 0;
        switch (interp.run(f)) {
            .ended => {
                end();
                return .continued;
            },
            .submitted => {
                end();
                return .submitted;
            },
            .branch_done => {
                f.status = .done;
                if (branchOver(f)) |failed| return failed;
            },
            .blocked => if (blocked(f)) |failed| return failed,
            .faulted => if (faulted(f)) |failed| return failed,
            .slice => {
                ready_len += 1; // its place is still there
                return .slice;
            },
            .heavy => {
                ready_len += 1;
                return .heavy;
            },
        }
    }
    return .waiting;
}

fn blocked(f: *Fiber) ?Outcome {
    if (f.reads_pending > 0) {
        f.status = .reads;
        // Before any other branch runs: with its value at hand this one would have made its request first.
        return .reads;
    }
    if (f.status == .branches) {
        const children = f.children;
        if (ready_len + children.len > ready_cap) growReady(@intCast(children.len)) catch |err| return failWith(err);
        var i = children.len;
        while (i > 0) {
            i -= 1;
            ready[ready_len] = children[i];
            ready_len += 1;
        }
    }
    return null;
}

/// A branch has ended, well or not: the last one brings back the fiber that waits for them all.
fn branchOver(f: *Fiber) ?Outcome {
    const parent = f.parent.?;
    parent.children_left -= 1;
    if (parent.children_left == 0) push(parent) catch |err| return failWith(err);
    return null;
}

fn faulted(f: *Fiber) ?Outcome {
    projection.finish(f);
    f.charged = false;
    const stops_all = switch (state.fault.kind) {
        .limit_exceeded, .interrupted, .internal_error => true,
        else => false,
    };
    if (stops_all or f.isMain()) return failBlock(f.pc);
    const failure: *fibers.Failure = @ptrCast(@alignCast(heap.alloc(@sizeOf(fibers.Failure)) catch |err| return failWith(err)));
    failure.* = .{ .fault = state.fault, .pc = state.fault.pc orelse f.pc };
    f.failure = failure;
    f.status = .failed;
    return branchOver(f);
}
