//! Instructions that build lists and records. Elements come from temporaries and are moved.

const state = @import("state.zig");
const value = @import("value.zig");
const list = @import("list.zig");
const record = @import("record.zig");
const program = @import("program.zig");
const Fiber = @import("fiber.zig").Fiber;

const Error = state.Error;
const Value = value.Value;
const List = value.List;
const Record = value.Record;
const Instruction = program.Instruction;

/// No literal has this many elements: a source has at most 256 KiB.
const most_literal = 131_072;

/// Take a temporary's value out of it.
inline fn taken(f: *Fiber, register: u32) Value {
    const v = f.regs[register];
    f.regs[register] = Value.null;
    return v;
}

/// The key constant number `i` in the extra words of the instruction at `pc`.
inline fn keyAt(pc: u32, i: usize) *value.Str {
    const word = program.current.code[pc + 1 + i / 4];
    return program.current.text(@as(u16, @truncate(word >> @intCast(i % 4 * 16))));
}

/// Check `list_size` and `value_depth` of a list or record just built.
pub noinline fn check(v: Value) Error!void {
    try list.checkCount(if (v.tag == .list) v.asList().len else v.asRecord().len);
    try value.checkDepth(v);
}

pub noinline fn makeList(f: *Fiber, ins: Instruction) Error!void {
    try list.checkCount(ins.c);
    const made = try List.create(ins.c);
    errdefer made.release();
    for (ins.b..@as(u32, ins.b) + ins.c) |register| made.appendReserved(taken(f, @intCast(register)));
    try value.checkDepth(Value.fromList(made));
    f.set(ins.a, Value.fromList(made));
}

pub noinline fn makeRecord(f: *Fiber, ins: Instruction, pc: u32) Error!void {
    const made = try Record.create(ins.c);
    errdefer made.release();
    if (ins.c <= record.linear_max) {
        for (0..ins.c) |i| made.putReserved(keyAt(pc, i), taken(f, @intCast(ins.b + i)));
    } else try fill(f, made, ins, pc);
    try check(Value.fromRecord(made));
    f.set(ins.a, Value.fromRecord(made));
}

/// Put the c keys and temporaries of an instruction into a record.
fn fill(f: *Fiber, made: *Record, ins: Instruction, pc: u32) Error!void {
    try made.reserve(ins.c);
    for (0..ins.c) |i| {
        const item = taken(f, @intCast(ins.b + i));
        errdefer item.release();
        try made.put(keyAt(pc, i), item);
    }
}

pub noinline fn newList(f: *Fiber, ins: Instruction) Error!void {
    f.set(ins.a, Value.fromList(try List.create(@as(u32, ins.b) | @as(u32, ins.c) << 16)));
}

pub noinline fn newRecord(f: *Fiber, ins: Instruction) Error!void {
    f.set(ins.a, Value.fromRecord(try Record.create(@as(u32, ins.b) | @as(u32, ins.c) << 16)));
}

/// EXTEND: the list is new and nobody else's; limits are FINISH's part.
pub noinline fn extend(f: *Fiber, ins: Instruction) Error!void {
    const made = f.regs[ins.a].asList();
    try made.reserve(ins.c);
    for (ins.b..@as(u32, ins.b) + ins.c) |register| made.appendReserved(taken(f, @intCast(register)));
}

/// PUT: the record is new and nobody else's; limits are FINISH's part.
pub noinline fn putAll(f: *Fiber, ins: Instruction, pc: u32) Error!void {
    return fill(f, f.regs[ins.a].asRecord(), ins, pc);
}

/// COLLECT: one more element of a comprehension.
pub noinline fn collect(f: *Fiber, ins: Instruction) Error!void {
    const made = f.regs[ins.a].asList();
    try list.checkCount(@as(u64, made.len) + 1);
    try value.checkDepthBelow(f.regs[ins.b], 1);
    try made.append(f.regs[ins.b]);
    f.regs[ins.b] = Value.null;
}

/// LOAD_TREE: a constant container, with the checks that building it would have made.
pub noinline fn loadTree(f: *Fiber, ins: Instruction) Error!void {
    const tree = program.current.constant(@as(u32, ins.b) | @as(u32, ins.c) << 16);
    const safe = state.limitOf(.list_size) >= most_literal and tree.height() <= state.limitOf(.value_depth);
    if (!safe) try checkTree(tree);
    f.set(ins.a, tree.retain());
}

/// As the parts of a literal are built before the whole, theirs are the first limits to be met. A source nests no
/// deeper than 64 brackets, which bounds the recursion.
fn checkTree(tree: Value) Error!void {
    switch (tree.tag) {
        .list => for (tree.asList().slice()) |item| try checkTree(item),
        .record => for (tree.asRecord().slice()) |*entry| try checkTree(entry.value),
        else => return,
    }
    try check(tree);
}
