//! The interpreter: one switch over the instructions of opcodes.py.
//!
//! What is common and cheap (numbers, fields, elements, loops, moves) is done right here; everything else is a
//! `noinline` call, so that the loop stays small and keeps the addresses of instruction and registers in locals.
//! `f.pc` is written when the loop is left, and then names the instruction the fiber stands at.
//!
//! An instruction may be executed more than once: with `error.Suspend` it gives up because it waits for a read of
//! a projection or wants a slice of its own (`state.admit`), and later starts over. Until then it has changed
//! nothing but `f.charged`, which says that its own 1 of fuel is paid, and the answers in `f.reads`.
//!
//! A slice ends before the CHARGE or loop instruction that would go past `state.stop_at`; that instruction
//! is the first of the next slice.

const state = @import("state.zig");
const value = @import("value.zig");
const operators = @import("operators.zig");
const assign = @import("assign.zig");
const loops = @import("loops.zig");
const building = @import("building.zig");
const slow = @import("slow.zig");
const program = @import("program.zig");
const projection = @import("projection.zig");
const opcodes = @import("gen/opcodes.zig");
const fibers = @import("fiber.zig");

const Error = state.Error;
const Value = value.Value;
const Instruction = program.Instruction;
const Op = opcodes.Op;
const Fiber = fibers.Fiber;
const write = fibers.write;

/// Why the interpreter has stopped running a fiber. After `blocked`, `slice` and `heavy` it can be run again.
pub const Stop = enum { ended, submitted, branch_done, blocked, faulted, slice, heavy };

/// Run a fiber until it stops.
pub noinline fn run(f: *Fiber) Stop {
    const code: [*]const Fields = @ptrCast(program.current.code.ptr);
    const constants = program.current.constants.items;
    const regs = f.regs;
    var at = code + f.pc;
    while (true) {
        switch (at[0].op) {
            // --- control
            .charge => {
                const total = state.fuel_used + at[0].a;
                if (total > state.stop_at) return endSlice(f, at, total);
                state.fuel_used = total;
                at += 1;
            },
            .jump => at = code + wide(at),
            .jump_false => {
                const a = regs[at[0].a];
                const truth = if (a.tag == .bool) a.asBool() else slow.truth(f, at[0].a) catch |err| return stop(f, at, err);
                at = if (truth) at + 1 else code + wide(at);
            },
            .jump_true => {
                const a = regs[at[0].a];
                const truth = if (a.tag == .bool) a.asBool() else slow.truth(f, at[0].a) catch |err| return stop(f, at, err);
                at = if (truth) code + wide(at) else at + 1;
            },
            .jump_null, .jump_not_null => {
                var a = regs[at[0].a];
                if (a.tag == .unbound or a.tag == .projection) a = slow.known(f, at[0].a) catch |err| return stop(f, at, err);
                const jumps = (a.tag == .null) == (at[0].op == .jump_null);
                at = if (jumps) code + wide(at) else at + 1;
            },
            .fault => return stop(f, at, slow.raise(whole(at))),

            // --- registers
            .move => {
                const b = regs[at[0].b];
                if (b.tag == .unbound or b.tag == .projection) {
                    slow.move(f, whole(at)) catch |err| return stop(f, at, err);
                } else write(f, regs, at[0].a, b.retain());
                at += 1;
            },
            .take => {
                const b = regs[at[0].b];
                if (b.tag == .projection) {
                    slow.move(f, whole(at)) catch |err| return stop(f, at, err);
                    regs[at[0].b].release();
                } else write(f, regs, at[0].a, b);
                regs[at[0].b] = Value.null;
                at += 1;
            },
            .check => {
                if (regs[at[0].a].tag == .unbound) return stop(f, at, assign.unboundName(at[0].a, .name, 1));
                at += 1;
            },
            .drop => {
                for (regs[at[0].a .. @as(u32, at[0].a) + at[0].b]) |*slot| {
                    const old = slot.*;
                    slot.* = Value.null;
                    old.release();
                }
                at += 1;
            },
            .load => {
                write(f, regs, at[0].a, constants[wide(at)].retain());
                at += 1;
            },

            // --- operators
            .add => {
                const b = regs[at[0].b];
                const c = regs[at[0].c];
                if (b.tag == .int and c.tag == .int) {
                    const result = b.asInt() +% c.asInt();
                    const overflow = (b.asInt() ^ result) & (c.asInt() ^ result); // its sign bit
                    if (overflow >= 0) {
                        write(f, regs, at[0].a, Value.fromInt(result));
                        at += 1;
                        continue;
                    }
                }
                if (b.isNumber() and c.isNumber()) {
                    write(f, regs, at[0].a, onFloats(.add, b, c));
                } else slow.arithmetic(f, whole(at), .add) catch |err| return stop(f, at, err);
                at += 1;
            },
            .sub => {
                const b = regs[at[0].b];
                const c = regs[at[0].c];
                if (b.tag == .int and c.tag == .int) {
                    const result = b.asInt() -% c.asInt();
                    const overflow = (b.asInt() ^ c.asInt()) & (b.asInt() ^ result); // its sign bit
                    if (overflow >= 0) {
                        write(f, regs, at[0].a, Value.fromInt(result));
                        at += 1;
                        continue;
                    }
                }
                if (b.isNumber() and c.isNumber()) {
                    write(f, regs, at[0].a, onFloats(.sub, b, c));
                } else slow.arithmetic(f, whole(at), .sub) catch |err| return stop(f, at, err);
                at += 1;
            },
            .mul => {
                const b = regs[at[0].b];
                const c = regs[at[0].c];
                if (b.tag == .int and c.tag == .int and isSmall(b) and isSmall(c)) {
                    write(f, regs, at[0].a, Value.fromInt(b.asInt() * c.asInt()));
                } else if (b.tag == .float and c.isNumber() or b.isNumber() and c.tag == .float) {
                    write(f, regs, at[0].a, onFloats(.mul, b, c));
                } else slow.arithmetic(f, whole(at), .mul) catch |err| return stop(f, at, err);
                at += 1;
            },
            .div => {
                const b = regs[at[0].b];
                const c = regs[at[0].c];
                if (b.tag == .float and c.isNumber() or b.isNumber() and c.tag == .float) {
                    write(f, regs, at[0].a, onFloats(.div, b, c));
                } else slow.arithmetic(f, whole(at), .div) catch |err| return stop(f, at, err);
                at += 1;
            },
            .mod => {
                const b = regs[at[0].b];
                const c = regs[at[0].c];
                if (b.tag == .int and c.tag == .int and c.asInt() > 0) {
                    write(f, regs, at[0].a, Value.fromInt(@rem(b.asInt(), c.asInt())));
                } else slow.arithmetic(f, whole(at), .mod) catch |err| return stop(f, at, err);
                at += 1;
            },
            .neg => {
                slow.negative(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .not => {
                const b = regs[at[0].b];
                const truth = if (b.tag == .bool) b.asBool() else slow.truth(f, at[0].b) catch |err| return stop(f, at, err);
                write(f, regs, at[0].a, Value.fromBool(!truth));
                at += 1;
            },
            .eq => {
                const found = same(f, at[0].b, at[0].c) catch |err| return stop(f, at, err);
                write(f, regs, at[0].a, Value.fromBool(found));
                at += 1;
            },
            .ne => {
                const found = same(f, at[0].b, at[0].c) catch |err| return stop(f, at, err);
                write(f, regs, at[0].a, Value.fromBool(!found));
                at += 1;
            },
            .lt => {
                const found = ordered(f, .lt, at[0].b, at[0].c) catch |err| return stop(f, at, err);
                write(f, regs, at[0].a, Value.fromBool(found));
                at += 1;
            },
            .le => {
                const found = ordered(f, .le, at[0].b, at[0].c) catch |err| return stop(f, at, err);
                write(f, regs, at[0].a, Value.fromBool(found));
                at += 1;
            },
            .gt => {
                const found = ordered(f, .gt, at[0].b, at[0].c) catch |err| return stop(f, at, err);
                write(f, regs, at[0].a, Value.fromBool(found));
                at += 1;
            },
            .ge => {
                const found = ordered(f, .ge, at[0].b, at[0].c) catch |err| return stop(f, at, err);
                write(f, regs, at[0].a, Value.fromBool(found));
                at += 1;
            },
            .in, .not_in => {
                const found = slow.contains(f, whole(at)) catch |err| return stop(f, at, err);
                write(f, regs, at[0].a, Value.fromBool(found == (at[0].op == .in)));
                at += 1;
            },
            .jump_eq => {
                const found = same(f, at[0].a, at[0].b) catch |err| return stop(f, at, err);
                at = if (found == (at[0].c != 0)) code + target(at) else at + 2;
            },
            .jump_ne => {
                const found = same(f, at[0].a, at[0].b) catch |err| return stop(f, at, err);
                at = if (found != (at[0].c != 0)) code + target(at) else at + 2;
            },
            .jump_lt => {
                const found = ordered(f, .lt, at[0].a, at[0].b) catch |err| return stop(f, at, err);
                at = if (found == (at[0].c != 0)) code + target(at) else at + 2;
            },
            .jump_le => {
                const found = ordered(f, .le, at[0].a, at[0].b) catch |err| return stop(f, at, err);
                at = if (found == (at[0].c != 0)) code + target(at) else at + 2;
            },
            .jump_gt => {
                const found = ordered(f, .gt, at[0].a, at[0].b) catch |err| return stop(f, at, err);
                at = if (found == (at[0].c != 0)) code + target(at) else at + 2;
            },
            .jump_ge => {
                const found = ordered(f, .ge, at[0].a, at[0].b) catch |err| return stop(f, at, err);
                at = if (found == (at[0].c != 0)) code + target(at) else at + 2;
            },

            // --- access and assignment
            .field => {
                const b = regs[at[0].b];
                const found: ?Value = if (b.tag == .record) b.asRecord().get(constants[at[0].c].asStr()) else null;
                if (found != null and found.?.tag != .projection) {
                    write(f, regs, at[0].a, found.?.retain());
                } else slow.field(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .index => {
                const b = regs[at[0].b];
                const c = regs[at[0].c];
                if (b.tag == .list and c.tag == .int and c.bits < b.asList().len and b.asList().items[@intCast(c.bits)].tag != .projection) {
                    write(f, regs, at[0].a, b.asList().items[@intCast(c.bits)].retain());
                } else slow.index(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .unwrap => {
                slow.unwrap(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .set_path => {
                assign.setPath(f, whole(at), place(at)) catch |err| return stop(f, at, err);
                finished(f);
                at += 1 + (@as(u32, at[0].c) + 1) / 2;
            },
            .update => {
                assign.update(f, whole(at), place(at)) catch |err| return stop(f, at, err);
                finished(f);
                at += 1 + (@as(u32, at[0].c & 0xfff) + 1) / 2;
            },

            // --- loops
            .range_next => {
                const left = &regs[@as(u32, at[0].a) + 1].bits;
                if (left.* == 0) {
                    at = code + target(at);
                    continue;
                }
                const total = state.fuel_used + at[0].c;
                if (total > state.stop_at) return endSlice(f, at, total);
                state.fuel_used = total;
                left.* -= 1;
                const current = regs[at[0].a];
                regs[at[0].a].bits +%= regs[@as(u32, at[0].a) + 2].bits;
                write(f, regs, at[0].b, current);
                at += 2;
            },
            .list_next => {
                const items = regs[at[0].a].asList();
                const position = &regs[@as(u32, at[0].a) + 1].bits;
                if (position.* >= items.len) {
                    at = code + target(at);
                    continue;
                }
                const total = state.fuel_used + at[0].c;
                const item = items.items[@intCast(position.*)];
                // Only an element that had to be read can have been paid for already.
                if (total > state.stop_at and !(f.charged and item.tag == .projection)) return endSlice(f, at, total);
                if (item.tag == .projection) {
                    loops.bindRead(f, whole(at), item) catch |err| return stop(f, at, err);
                } else {
                    state.fuel_used = total;
                    write(f, regs, at[0].b, item.retain());
                }
                position.* += 1;
                at += 2;
            },
            .pairs_next => {
                if (loops.pairsLeft(f, whole(at))) {
                    const total = state.fuel_used + 1;
                    if (total > state.stop_at and !f.charged) return endSlice(f, at, total);
                    loops.bindPair(f, whole(at)) catch |err| return stop(f, at, err);
                    at += 2;
                } else at = code + target(at);
            },
            .save => {
                write(f, regs, at[0].a, regs[at[0].b]);
                regs[at[0].b] = Value.null;
                at += 1;
            },
            .restore => {
                loops.restore(f, at[0].a, at[0].b);
                at += 1;
            },
            .for_list => {
                loops.forList(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .range => {
                loops.range(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .for_pairs => {
                loops.forPairs(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },

            // --- building
            .load_tree => {
                building.loadTree(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .list => {
                building.makeList(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .record => {
                building.makeRecord(f, whole(at), place(at)) catch |err| return stop(f, at, err);
                at += 1 + (@as(u32, at[0].c) + 3) / 4;
            },
            .new_list => {
                building.newList(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .extend => {
                building.extend(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .new_record => {
                building.newRecord(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .put => {
                building.putAll(f, whole(at), place(at)) catch |err| return stop(f, at, err);
                at += 1 + (@as(u32, at[0].c) + 3) / 4;
            },
            .finish => {
                building.check(regs[at[0].a]) catch |err| return stop(f, at, err);
                at += 1;
            },
            .collect => {
                building.collect(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .type_ref => {
                slow.typeRef(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },

            // --- builtins
            .len => {
                slow.len(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .push => {
                slow.push(f, whole(at)) catch |err| return stop(f, at, err);
                at += 1;
            },
            .call_builtin => {
                slow.callBuiltin(f, whole(at), place(at)) catch |err| return stop(f, at, err);
                at += 1 + (@as(u32, at[0].c) + 3) / 4;
            },

            // --- effects and ends
            .end, .submit, .call_tool, .start_tool, .await, .cancel, .print, .parallel, .branch_end, .mark => {
                f.pc = place(at);
                const flow = slow.effect(f, whole(at)) catch |err| return stop(f, at, err);
                switch (flow) {
                    .next => at += 1,
                    .blocked => return .blocked,
                    .ended => return .ended,
                    .submitted => return .submitted,
                    .branch_done => return .branch_done,
                }
            },
        }
    }
}

/// An instruction as the loop reads it: field by field, which is cheaper than taking one word apart.
const Fields = extern struct { op: Op align(8), a: u16, b: u16, c: u16 };

/// The instruction as one word, for those who are called.
inline fn whole(at: [*]const Fields) Instruction {
    return @as(*const Instruction, @ptrCast(at)).*;
}

/// The number of the instruction at an address.
inline fn place(at: [*]const Fields) u32 {
    return @intCast((@intFromPtr(at) - @intFromPtr(program.current.code.ptr)) / @sizeOf(Fields));
}

/// The 32-bit number in the fields b and c.
inline fn wide(at: [*]const Fields) u32 {
    return @as(u32, at[0].b) | @as(u32, at[0].c) << 16;
}

/// The jump target in the extra word of an instruction.
inline fn target(at: [*]const Fields) u32 {
    return @as(*const u32, @ptrCast(at + 1)).*;
}

inline fn isSmall(v: Value) bool {
    return v.asInt() == @as(i32, @truncate(v.asInt()));
}

/// An operation on two numbers that is, or has become, one on floats.
inline fn onFloats(comptime op: enum { add, sub, mul, div }, b: Value, c: Value) Value {
    const x = asFloat(b);
    const y = asFloat(c);
    return Value.fromFloat(switch (op) {
        .add => x + y,
        .sub => x - y,
        .mul => x * y,
        .div => x / y,
    });
}

inline fn asFloat(v: Value) f64 {
    return if (v.tag == .int) @floatFromInt(v.asInt()) else v.asFloat();
}

/// Whether two registers hold equal values; integers are compared here.
inline fn same(f: *Fiber, left: u16, right: u16) Error!bool {
    const a = f.regs[left];
    const b = f.regs[right];
    if (a.tag == .int and b.tag == .int) return a.bits == b.bits;
    return slow.equal(f, left, right);
}

/// Compare two registers by order; pairs of integers and pairs of floats are compared here.
inline fn ordered(f: *Fiber, comptime op: operators.Ordering, left: u16, right: u16) Error!bool {
    const a = f.regs[left];
    const b = f.regs[right];
    if (a.tag == .int and b.tag == .int) return holds(op, a.asInt(), b.asInt());
    if (a.tag == .float and b.tag == .float) return holds(op, a.asFloat(), b.asFloat());
    return slow.ordered(f, op, left, right);
}

inline fn holds(comptime op: operators.Ordering, x: anytype, y: @TypeOf(x)) bool {
    return switch (op) {
        .lt => x < y,
        .le => x <= y,
        .gt => x > y,
        .ge => x >= y,
    };
}

/// To be called when an instruction that may have been executed before has finished.
pub inline fn finished(f: *Fiber) void {
    f.charged = false;
    if (f.reads != null) projection.finish(f);
}

/// A charge would go past the slice's end, or past the limit.
noinline fn endSlice(f: *Fiber, at: [*]const Fields, total: u64) Stop {
    f.pc = place(at);
    if (total <= state.limitOf(.fuel)) return .slice;
    return stop(f, at, state.outOfFuel());
}

/// An instruction has not finished.
noinline fn stop(f: *Fiber, at: [*]const Fields, err: Error) Stop {
    @branchHint(.cold);
    f.pc = place(at);
    switch (err) {
        error.Suspend => {
            if (!state.heavy_wanted) return .blocked;
            state.heavy_wanted = false;
            return .heavy;
        },
        error.OutOfMemory => @as(Error!void, state.exceeded(.memory)) catch {}, // recorded in `state.fault`
        error.Fault => {},
    }
    finished(f);
    return .faulted;
}

/// Give the variables of all loops around `f.pc` their bindings from before back, inner loops first.
pub fn unwind(f: *Fiber) void {
    for (program.current.unwinds) |entry| {
        if (entry.start <= f.pc and f.pc < entry.end) loops.restore(f, entry.parked, entry.variable);
    }
}

test {
    _ = @import("interp_test.zig");
}
