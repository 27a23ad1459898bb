//! The beginnings and the rarer steps of loops (chapter 9).
//!
//! A loop keeps its state in three temporaries from `ins.a` on: a list loop the list and the next position; a loop
//! over pairs the list or record and the next position; a range the next number, how many are left, and the step.

const state = @import("state.zig");
const value = @import("value.zig");
const coerce = @import("coerce.zig");
const program = @import("program.zig");
const assign = @import("assign.zig");
const access = @import("access.zig");
const projection = @import("projection.zig");
const slow = @import("slow.zig");
const Fiber = @import("fiber.zig").Fiber;
const finished = @import("interp.zig").finished;

const Error = state.Error;
const Value = value.Value;
const Instruction = program.Instruction;

/// Put back a parked binding, bound or not, without touching the order in which variables became bound.
pub fn restore(f: *Fiber, parked: u32, variable: u32) void {
    const old = f.regs[variable];
    f.regs[variable] = f.regs[parked];
    f.regs[parked] = Value.null;
    old.release();
}

/// What is looped over, owned; a projection is read.
fn iterable(f: *Fiber, register: u32) Error!Value {
    const v = f.regs[register];
    if (v.tag == .unbound) return assign.unboundName(register, .name, 1);
    return if (v.tag == .projection) projection.resolve(f, v) else v.retain();
}

fn notIterable(f: *Fiber, v: Value) Error {
    const topic: state.Topic = switch (v.tag) {
        .record => if (projection.isWrapper(f, v.asRecord()) catch |err| return err) .wrapper else .iterate_record,
        .string => .iterate_string,
        .int, .float => .iterate_number,
        else => .none,
    };
    return state.fail(.not_iterable, topic, "cannot loop over {s}; a list is needed", .{access.described(v)});
}

pub noinline fn forList(f: *Fiber, ins: Instruction) Error!void {
    const source = try iterable(f, ins.b);
    errdefer source.release();
    if (source.tag != .list) return notIterable(f, source);
    begin(f, ins.a, source);
}

pub noinline fn forPairs(f: *Fiber, ins: Instruction) Error!void {
    const source = try iterable(f, ins.b);
    errdefer source.release();
    const fits = source.tag == .list or (source.tag == .record and !try projection.isWrapper(f, source.asRecord()));
    if (!fits) return notIterable(f, source);
    begin(f, ins.a, source);
}

fn begin(f: *Fiber, first: u32, source: Value) void {
    f.set(first, source);
    f.set(first + 1, Value.fromInt(0));
    finished(f);
}

/// RANGE: the arguments are checked, and the call charged, as for the builtin.
pub noinline fn range(f: *Fiber, ins: Instruction) Error!void {
    try slow.chargeOnce(f);
    var args: [3]Value = undefined;
    var count: usize = 0;
    defer for (args[0..count]) |arg| arg.release();
    for (f.regs[ins.b .. @as(u32, ins.b) + ins.c]) |arg| {
        args[count] = if (arg.tag == .projection) try projection.resolve(f, arg) else arg.retain();
        count += 1;
    }
    const found = try coerce.rangeArgs(args[0..count]);
    try state.bulk(found.count);
    for (0..count) |i| f.set(@intCast(ins.b + i), Value.null);
    f.set(ins.a, Value.fromInt(found.start));
    f.set(@as(u32, ins.a) + 1, Value.fromInt(@bitCast(found.count)));
    f.set(@as(u32, ins.a) + 2, Value.fromInt(found.step));
    finished(f);
}

/// The rest of LIST_NEXT for an element that is a projection: the charge, and the binding of what it stands for.
pub noinline fn bindRead(f: *Fiber, ins: Instruction, item: Value) Error!void {
    if (!f.charged) try state.charge(ins.c);
    f.charged = true;
    f.set(ins.b, try projection.resolve(f, item));
    finished(f);
}

/// Whether a loop over pairs has another iteration.
pub fn pairsLeft(f: *Fiber, ins: Instruction) bool {
    const source = f.regs[ins.a];
    const length = if (source.tag == .list) source.asList().len else source.asRecord().len;
    return f.regs[@as(u32, ins.a) + 1].bits < length;
}

/// The rest of PAIRS_NEXT: the charge, the check of the element, and the bindings.
pub noinline fn bindPair(f: *Fiber, ins: Instruction) Error!void {
    if (!f.charged) try state.charge(1);
    f.charged = true;
    const source = f.regs[ins.a];
    const position = &f.regs[@as(u32, ins.a) + 1];
    const at: u32 = @intCast(position.bits);
    if (source.tag == .record) {
        const entry = &source.asRecord().entries[at];
        const second = try ordinary(f, entry.value);
        f.set(ins.b, Value.fromStr(entry.key.retain()));
        f.set(ins.c, second);
    } else {
        const pair = try ordinary(f, source.asList().items[at]);
        defer pair.release();
        if (pair.tag != .list) return notPair("{s}", .{pair.typeName()});
        const parts = pair.asList().slice();
        if (parts.len != 2) return notPair("list of {d}", .{parts.len});
        const first = try ordinary(f, parts[0]);
        errdefer first.release();
        const second = try ordinary(f, parts[1]);
        f.set(ins.b, first);
        f.set(ins.c, second);
    }
    position.bits += 1;
    finished(f);
}

/// A value as a variable holds it, owned: no projection at top level.
fn ordinary(f: *Fiber, v: Value) Error!Value {
    return if (v.tag == .projection) projection.resolve(f, v) else v.retain();
}

fn notPair(comptime met: []const u8, args: anytype) Error {
    return state.fail(.type_error, .pairs, "a loop over two names needs lists of two, got " ++ met, args);
}
