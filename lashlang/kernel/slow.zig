//! Instructions, or the rarer cases of them, that are calls from the interpreter's loop: operands of any type,
//! unbound variables, projections, builtins and effects. Each writes its result and calls `finished` only once
//! nothing can fail any more.

const heap = @import("heap.zig");
const state = @import("state.zig");
const value = @import("value.zig");
const list = @import("list.zig");
const operators = @import("operators.zig");
const compare = @import("compare.zig");
const coerce = @import("coerce.zig");
const access = @import("access.zig");
const assign = @import("assign.zig");
const program = @import("program.zig");
const effects = @import("effects.zig");
const builtins = @import("builtins.zig");
const projection = @import("projection.zig");
const opcodes = @import("gen/opcodes.zig");
const faults = @import("gen/faults.zig");
const Fiber = @import("fiber.zig").Fiber;
const finished = @import("interp.zig").finished;

const Error = state.Error;
const Value = value.Value;
const Instruction = program.Instruction;

/// The value in a register, borrowed; an unbound variable faults at the given site.
fn operand(f: *Fiber, register: u32, site: u16) Error!Value {
    const v = f.regs[register];
    if (v.tag == .unbound) return assign.unboundName(register, .name, site);
    return v;
}

/// Pay the 1 of a builtin call, once however often the instruction is executed.
pub fn chargeOnce(f: *Fiber) Error!void {
    if (f.charged) return;
    try state.charge(1);
    f.charged = true;
}

/// Two values with their projections read, owned; the questions of both are asked together.
fn readBoth(f: *Fiber, left: Value, right: Value) Error![2]Value {
    const first = projection.resolve(f, left) catch |err| {
        if (err == error.Suspend) (try projection.resolve(f, right)).release();
        return err;
    };
    errdefer first.release();
    return .{ first, try projection.resolve(f, right) };
}

/// Write a result, taking over the reference; variables hold what a projection stands for, not the projection.
fn deliver(f: *Fiber, register: u32, result: Value) Error!void {
    if (result.tag == .projection and register < program.current.variables()) {
        defer result.release();
        f.set(register, try projection.resolve(f, result));
    } else f.set(register, result);
    finished(f);
}

// --- control and registers -----------------------------------------------------------------------

/// Truthiness of a register.
pub noinline fn truth(f: *Fiber, register: u32) Error!bool {
    const v = try operand(f, register, 1);
    if (v.tag != .projection) return v.truthy();
    const found = try projection.truthy(f, v);
    finished(f);
    return found;
}

/// The value in a register, borrowed, of which only the type will be looked at. A projection in a temporary is
/// replaced by what it stands for, so that it is not read again when the value is used.
pub noinline fn known(f: *Fiber, register: u32) Error!Value {
    const v = try operand(f, register, 1);
    if (v.tag != .projection) return v;
    const read = try projection.resolve(f, v);
    finished(f);
    if (register >= program.current.variables() + program.current.preloaded) {
        f.set(register, read);
    } else read.release();
    return if (read.tag == .null) Value.null else Value.true;
}

/// FAULT: an error the compiler foresaw.
pub noinline fn raise(ins: Instruction) Error {
    const name = program.current.text(ins.b).bytes();
    const kind: faults.Kind = @enumFromInt(ins.a);
    return switch (kind) {
        .read_only => state.fail(kind, .read_only, "`{s}` is a read-only host binding", .{name}),
        .parallel_conflict => state.fail(kind, .none, "branches of `parallel` both assign `{s}`", .{name}),
        .unknown_name => state.fail(kind, .name, "name `{s}` is not defined", .{name}),
        else => state.fail(.internal_error, .none, "unexpected fault about `{s}`", .{name}),
    };
}

/// MOVE, and TAKE of a projection; the source stays.
pub noinline fn move(f: *Fiber, ins: Instruction) Error!void {
    return deliver(f, ins.a, (try operand(f, ins.b, 1)).retain());
}

/// TYPE_REF.
pub noinline fn typeRef(f: *Fiber, ins: Instruction) Error!void {
    const read = try projection.resolve(f, try operand(f, ins.b, 1));
    defer read.release();
    const variable = ins.b < program.current.variables();
    const name = if (variable) program.current.names.items[ins.b].asStr().bytes() else "type";
    return deliver(f, ins.a, try access.schemaOf(read, name));
}

// --- operators -----------------------------------------------------------------------------------

/// `a = b op c`, in the memory of b where that is also a.
pub noinline fn arithmetic(f: *Fiber, ins: Instruction, op: operators.Arithmetic) Error!void {
    const b = try operand(f, ins.b, 1);
    const c = try operand(f, ins.c, 2);
    if (looksIntoProjection(op, b, c)) {
        const both = try readBoth(f, b, c);
        defer for (both) |v| v.release();
        f.set(ins.a, try operators.arithmetic(op, both[0], both[1]));
    } else if (ins.a == ins.b) {
        try operators.arithmeticInto(op, &f.regs[ins.a], c);
    } else f.set(ins.a, try operators.arithmetic(op, b, c));
    finished(f);
}

fn looksIntoProjection(op: operators.Arithmetic, b: Value, c: Value) bool {
    if (b.tag == .projection or c.tag == .projection) return true;
    if (op != .add or (b.tag != .string and c.tag != .string)) return false;
    return b.mayHoldProjection() or c.mayHoldProjection();
}

/// `a = -b`.
pub noinline fn negative(f: *Fiber, ins: Instruction) Error!void {
    const read = try readTop(f, try operand(f, ins.b, 1));
    defer read.release();
    f.set(ins.a, try operators.negative(read));
    finished(f);
}

/// A value, owned, that is not itself a projection.
fn readTop(f: *Fiber, v: Value) Error!Value {
    return if (v.tag == .projection) projection.resolve(f, v) else v.retain();
}

/// Whether two registers hold equal values.
pub noinline fn equal(f: *Fiber, left: u32, right: u32) Error!bool {
    const a = try operand(f, left, 1);
    const b = try operand(f, right, 2);
    if (!a.mayHoldProjection() and !b.mayHoldProjection()) return operators.isEqual(a, b);
    const both = try readBoth(f, a, b);
    defer for (both) |v| v.release();
    const found = try operators.isEqual(both[0], both[1]);
    finished(f);
    return found;
}

/// Compare two registers by order.
pub noinline fn ordered(f: *Fiber, op: operators.Ordering, left: u32, right: u32) Error!bool {
    const a = try operand(f, left, 1);
    const b = try operand(f, right, 2);
    if (a.tag != .projection and b.tag != .projection) return operators.ordered(op, a, b);
    const both = try readBoth(f, a, b);
    defer for (both) |v| v.release();
    const found = try operators.ordered(op, both[0], both[1]);
    finished(f);
    return found;
}

/// `b in c`.
pub noinline fn contains(f: *Fiber, ins: Instruction) Error!bool {
    const needle = try operand(f, ins.b, 1);
    const haystack = try operand(f, ins.c, 2);
    try chargeOnce(f);
    const found = if (needle.mayHoldProjection() or haystack.mayHoldProjection())
        try containsRead(f, needle, haystack)
    else
        try compare.contains("in", haystack, needle);
    finished(f);
    return found;
}

fn containsRead(f: *Fiber, needle: Value, haystack: Value) Error!bool {
    if (haystack.tag == .list) {
        const both = try readBoth(f, needle, haystack);
        defer for (both) |v| v.release();
        return compare.contains("in", both[1], both[0]);
    }
    const sought = try projection.resolve(f, needle);
    defer sought.release();
    if (haystack.tag != .projection) return compare.contains("in", haystack, sought);
    if (try projection.ask(f, haystack.asProjection(), "contains", &.{sought})) |answer| {
        defer answer.release();
        return answer.truthy();
    }
    const read = try projection.resolve(f, haystack);
    defer read.release();
    return compare.contains("in", read, sought);
}

// --- access --------------------------------------------------------------------------------------

/// `a = b.key`.
pub noinline fn field(f: *Fiber, ins: Instruction) Error!void {
    const base = try operand(f, ins.b, 1);
    const key = program.current.text(ins.c);
    const found = if (base.tag == .projection)
        try projection.field(f, base.asProjection(), key)
    else if (base.tag == .record and base.mayHoldProjection())
        try member(f, base.asRecord(), key)
    else
        try access.field(base, key);
    return deliver(f, ins.a, found);
}

/// The value under a key, or null, of a record whose `ok` may have to be read to know whether it is a result wrapper.
fn member(f: *Fiber, r: *value.Record, key: *value.Str) Error!Value {
    if (r.get(key)) |found| return found.retain();
    return if (try projection.isWrapper(f, r)) access.absentOfWrapper(key) else Value.null;
}

/// `a = b[c]`.
pub noinline fn index(f: *Fiber, ins: Instruction) Error!void {
    const base = try operand(f, ins.b, 1);
    const at = try operand(f, ins.c, 2);
    const lazy = base.tag == .record and base.mayHoldProjection();
    if (at.tag != .projection and base.tag != .projection and !lazy) return deliver(f, ins.a, try access.index(base, at));
    if (base.tag == .null) return deliver(f, ins.a, Value.null);
    const key = try readTop(f, at);
    defer key.release();
    if (lazy) {
        const name = try coerce.strOf(key);
        defer name.release();
        return deliver(f, ins.a, try member(f, base.asRecord(), name));
    }
    const found = if (base.tag == .projection) try projection.index(f, base.asProjection(), key) else try access.index(base, key);
    return deliver(f, ins.a, found);
}

/// `a = b?`.
pub noinline fn unwrap(f: *Fiber, ins: Instruction) Error!void {
    const v = try operand(f, ins.b, 1);
    const awaited = ins.c == 1;
    // Only the field `value` of a good result goes on without having been read.
    if (!v.mayHoldProjection() or isGood(v)) return deliver(f, ins.a, try access.unwrap(v, awaited));
    const read = try projection.resolve(f, v);
    defer read.release();
    return deliver(f, ins.a, try access.unwrap(read, awaited));
}

fn isGood(v: Value) bool {
    if (v.tag != .record) return false;
    const ok = v.asRecord().getBytes("ok") orelse return false;
    return ok.tag == .bool and ok.asBool();
}

// --- builtins ------------------------------------------------------------------------------------

/// `a = len(b)`.
pub noinline fn len(f: *Fiber, ins: Instruction) Error!void {
    const v = try operand(f, ins.b, 1);
    try chargeOnce(f);
    const result = switch (v.tag) {
        .string => Value.fromInt(v.asStr().chars),
        .list => Value.fromInt(v.asList().len),
        .record => Value.fromInt(v.asRecord().len),
        else => try builtins.call(f, .len, &.{v}),
    };
    return deliver(f, ins.a, result);
}

/// `a = push(b, c)`, in place where a is b.
pub noinline fn push(f: *Fiber, ins: Instruction) Error!void {
    const base = try operand(f, ins.b, 1);
    const item = try operand(f, ins.c, 2);
    if (ins.a == ins.b and base.tag == .list and item.tag.isScalar() and base.isUnique()) return pushScalar(base.asList(), item);
    try chargeOnce(f);
    if (base.tag == .projection) return deliver(f, ins.a, try builtins.call(f, .push, &.{ base, item }));
    if (ins.a == ins.b) try operators.pushInto(&f.regs[ins.a], item) else f.set(ins.a, try operators.push(base, item));
    finished(f);
}

/// The most frequent push, which needs no care for depth or projections.
fn pushScalar(items: *value.List, item: Value) Error!void {
    try state.charge(1);
    try list.checkCount(@as(u64, items.len) + 1);
    try items.append(item);
}

/// Builtins with more arguments than this take them from the heap.
const few_args = 8;

/// `a = builtin b` of the c registers in the extra words.
pub noinline fn callBuiltin(f: *Fiber, ins: Instruction, pc: u32) Error!void {
    const count: u32 = ins.c;
    var few: [few_args]Value = undefined;
    const args: []Value = if (count <= few_args) few[0..count] else blk: {
        const memory: [*]Value = @ptrCast(try heap.alloc(count * @sizeOf(Value)));
        break :blk memory[0..count];
    };
    defer if (count > few_args) heap.free(@ptrCast(@alignCast(args.ptr)), count * @sizeOf(Value));
    for (args, 0..) |*arg, i| {
        const word = program.current.code[pc + 1 + i / 4];
        const register: u16 = @truncate(word >> @intCast(i % 4 * 16));
        arg.* = try operand(f, register, @intCast(i + 1));
    }
    try chargeOnce(f);
    return deliver(f, ins.a, try builtins.call(f, @enumFromInt(ins.b), args));
}

// --- effects -------------------------------------------------------------------------------------

/// The instructions that reach outside the fiber, and its ends. `f.pc` is at the instruction.
pub noinline fn effect(f: *Fiber, ins: Instruction) Error!effects.Flow {
    const op: opcodes.Op = @enumFromInt(ins.op);
    switch (op) {
        .submit, .print, .branch_end => _ = try operand(f, ins.a, 1),
        .call_tool, .start_tool, .await, .cancel => _ = try operand(f, ins.b, 1),
        else => {},
    }
    const flow: effects.Flow = switch (op) {
        .end => .ended,
        .submit => try effects.submit(f, ins),
        .call_tool => try effects.callTool(f, ins),
        .start_tool => try effects.startTool(f, ins),
        .await => try effects.awaitHandles(f, ins),
        .cancel => try effects.cancel(f, ins),
        .print => try effects.print(f, ins),
        .parallel => try effects.parallel(f, ins),
        .branch_end => try effects.branchEnd(f, ins),
        .mark => try effects.mark(f, ins),
        else => unreachable,
    };
    if (flow == .next) finished(f);
    return flow;
}
