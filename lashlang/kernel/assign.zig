//! Assignment below a variable (chapter 8): SET_PATH and UPDATE.
//!
//! Both first *locate* the place: a walk that only reads, fails as the assignment would, and notes the position
//! taken at each level. Only then is the path opened, level by level, every part that is shared being copied
//! (copy-on-write), and the place written. Opening changes nothing a program could see, so an assignment that
//! fails at any point has changed nothing.

const state = @import("state.zig");
const value = @import("value.zig");
const list = @import("list.zig");
const number = @import("number.zig");
const decimal = @import("decimal.zig");
const coerce = @import("coerce.zig");
const access = @import("access.zig");
const operators = @import("operators.zig");
const program = @import("program.zig");
const projection = @import("projection.zig");
const slow = @import("slow.zig");
const opcodes = @import("gen/opcodes.zig");
const Fiber = @import("fiber.zig").Fiber;

const Error = state.Error;
const Value = value.Value;
const Str = value.Str;
const Instruction = program.Instruction;

/// Values are nested less deep than this (the host keeps `value_depth` at 512 or less).
const most_levels = 600;

/// Positions of the parts along a path, as found by `locate`. Not re-entrant, like the instructions themselves.
var places: [most_levels]u32 = undefined;

/// The steps of an instruction, and the keys that were projections, read.
const Path = struct {
    f: *Fiber,
    words: [*]const u64,
    count: u32,
    /// The index values by step, where at least one had to be read first.
    keys: ?*value.List = null,

    fn operand(self: *const Path, i: usize) u16 {
        return @truncate(self.words[i / 2] >> @intCast(32 * (i & 1) + 16));
    }

    /// Whether a step is an index, not a field.
    fn isIndex(self: *const Path, i: usize) bool {
        return @as(u16, @truncate(self.words[i / 2] >> @intCast(32 * (i & 1)))) == 1;
    }

    /// The key of a field step.
    fn key(self: *const Path, i: usize) *Str {
        return program.current.text(self.operand(i));
    }

    /// The index of an index step.
    fn at(self: *const Path, i: usize) Value {
        if (self.keys) |keys| return keys.items[i];
        return self.f.regs[self.operand(i)];
    }

    /// Fault on an unbound index (sites from 2 on), then on the unbound operand (site 1), then on the root.
    fn checkBound(self: *const Path, ins: Instruction) Error!void {
        var site: u16 = 2;
        for (0..self.count) |i| if (self.isIndex(i)) {
            if (self.f.regs[self.operand(i)].tag == .unbound) return unboundName(self.operand(i), .name, site);
            site += 1;
        };
        if (self.f.regs[ins.b].tag == .unbound) return unboundName(ins.b, .name, 1);
        if (self.f.regs[ins.a].tag == .unbound) return unboundName(ins.a, .root, 0);
    }

    /// Read the indexes that are projections.
    fn readKeys(self: *Path) Error!void {
        const any = for (0..self.count) |i| {
            if (self.isIndex(i) and self.at(i).tag == .projection) break true;
        } else false;
        if (!any) return;
        const keys = try value.List.create(self.count);
        errdefer keys.release();
        for (0..self.count) |i| {
            keys.appendReserved(if (self.isIndex(i)) try projection.resolve(self.f, self.f.regs[self.operand(i)]) else Value.null);
        }
        self.keys = keys;
    }

    fn deinit(self: *Path) void {
        if (self.keys) |keys| keys.release();
    }
};

/// The fault of reading or changing a variable that is unbound.
pub fn unboundName(slot: u32, topic: state.Topic, site: u16) Error {
    @branchHint(.cold);
    const failed = state.fail(.unknown_name, topic, "name `{s}` is not defined", .{program.current.names.items[slot].asStr().bytes()});
    state.fault.site = site;
    return failed;
}

/// What `locate` found at the last step: a part that exists, or a key (owned) to be inserted.
const Target = union(enum) {
    existing,
    missing: *Str,

    fn release(self: Target) void {
        switch (self) {
            .existing => {},
            .missing => |key| key.release(),
        }
    }
};

/// Follow the path below `root` as an assignment would, noting `places`. All errors of chapter 8 but the limits arise here.
fn locate(path: *const Path, root: Value) Error!Target {
    if (path.count > most_levels) return state.exceeded(.value_depth);
    var below = root;
    for (0..path.count) |i| {
        const last = i + 1 == path.count;
        switch (below.tag) {
            .record => {
                const key = if (path.isIndex(i)) try coerce.strOf(path.at(i)) else path.key(i).retain();
                const found = below.asRecord().find(key) orelse {
                    if (last) return .{ .missing = key };
                    defer key.release();
                    return state.fail(.value_error, .root, "no key `{s}` to assign through", .{key.bytes()});
                };
                key.release();
                places[i] = found;
                below = below.asRecord().entries[found].value;
            },
            .list => {
                if (!path.isIndex(i)) return refuseField(path.key(i), below);
                const offset = try coerce.offset(path.at(i));
                const items = below.asList().slice();
                const found = access.position(offset, items.len) orelse return outOfRange(offset, items.len);
                places[i] = found;
                below = items[found];
            },
            else => {
                if (!path.isIndex(i)) return refuseField(path.key(i), below);
                return state.fail(.type_error, .none, "cannot assign to an element of {s}", .{access.described(below)});
            },
        }
    }
    return .existing;
}

fn refuseField(key: *Str, base: Value) Error {
    return state.fail(.type_error, .none, "cannot assign field `{s}` of {s}", .{ key.bytes(), access.described(base) });
}

fn outOfRange(offset: number.Num, length: usize) Error {
    var buffer: [decimal.max_text]u8 = undefined;
    const met = decimal.numText(&buffer, offset);
    return state.fail(.value_error, .append, "list index {s} is out of range for assignment (length {d})", .{ met, length });
}

/// The part of a container at a place.
fn part(container: Value, place: u32) *Value {
    return if (container.tag == .list) &container.asList().items[place] else &container.asRecord().entries[place].value;
}

/// Make the containers along the first `levels` places, from the value in `root` on, the only references to
/// their objects. Gives the slot of the part that the last of these places leads to.
fn open(root: *Value, levels: usize) Error!*Value {
    var slot = root;
    for (places[0..levels]) |place| {
        try own(slot);
        slot = part(slot.*, place);
    }
    return slot;
}

/// Make the container in a slot the only reference to its object.
fn own(slot: *Value) Error!void {
    if (slot.isUnique()) return;
    if (slot.tag == .list) {
        try state.admit(slot.asList().len);
        _ = try value.List.unique(slot);
    } else {
        try state.admit(slot.asRecord().len);
        _ = try value.Record.unique(slot);
    }
}

/// Bring the heights and projection flags of the containers along `levels` places up to date with the item below them.
fn noteAbove(root: Value, levels: usize, item: Value) void {
    if (!item.isContainer() and item.tag != .projection) return;
    var container = root;
    for (places[0..levels], 0..) |place, i| {
        const height: u16 = @intCast(item.height() + levels - i);
        if (container.tag == .list) {
            const l = container.asList();
            l.height = @max(l.height, height);
            l.projections = l.projections or item.mayHoldProjection();
            l.is_loose = l.is_loose or item.isLoose();
        } else {
            const r = container.asRecord();
            r.height = @max(r.height, height);
            r.projections = r.projections or item.mayHoldProjection();
            r.is_loose = r.is_loose or item.isLoose();
        }
        container = part(container, place).*;
    }
}

/// The containers along `levels` places lose what was below them: their heights are upper bounds from now on.
fn loosenAbove(root: Value, levels: usize) void {
    var container = root;
    for (places[0..levels]) |place| {
        if (container.tag == .list) container.asList().is_loose = true else container.asRecord().is_loose = true;
        container = part(container, place).*;
    }
}

/// Where the path meets a projection within its first `levels` steps, put what it stands for in its place.
/// Reads at most once, and nothing may be read after it by the same instruction.
fn readAlong(path: *const Path, root: *Value, levels: usize) Error!void {
    if (!root.mayHoldProjection()) return;
    var start = path.*;
    for (1..levels + 1) |i| {
        start.count = @intCast(i);
        const target = locate(&start, root.*) catch |err| switch (err) {
            error.Fault => return, // the assignment itself will fail there
            else => return err,
        };
        defer target.release();
        if (target == .missing) return;
        var found = root.*;
        for (places[0..i]) |place| found = part(found, place).*;
        if (found.tag != .projection) continue;
        const read = try projection.resolve(path.f, found);
        errdefer read.release();
        try value.checkDepthBelow(read, i);
        const slot = try open(root, i);
        slot.release();
        slot.* = read;
        return noteAbove(root.*, i, read);
    }
}

// --- SET_PATH ------------------------------------------------------------------------------------

/// `a.path = b`.
pub noinline fn setPath(f: *Fiber, ins: Instruction, pc: u32) Error!void {
    var path: Path = .{ .f = f, .words = program.current.code.ptr + pc + 1, .count = ins.c };
    try path.checkBound(ins);
    try path.readKeys();
    defer path.deinit();
    const root = &f.regs[ins.a];
    const item = if (f.regs[ins.b].tag == .projection) try projection.resolve(f, f.regs[ins.b]) else f.regs[ins.b].retain();
    errdefer item.release();
    try readAlong(&path, root, path.count - 1);
    const target = try locate(&path, root.*);
    defer target.release();
    try store(root, target, path.count, item);
}

/// Store `item`, which is taken over unless this fails, at the place located `count` steps below `root`.
fn store(root: *Value, target: Target, count: usize, item: Value) Error!void {
    if (target == .missing) try checkInsertion(root.*, count);
    try value.checkDepthBelow(item, count);
    if (root.height() > state.limitOf(.value_depth)) return storeInCopy(root, target, count, item);
    try write(root, target, count, item);
}

/// As `store`, below a value from before the host lowered `value_depth`: the whole result is checked, on a copy.
fn storeInCopy(root: *Value, target: Target, count: usize, item: Value) Error!void {
    @branchHint(.cold);
    var copy = root.retain();
    errdefer copy.release();
    _ = item.retain();
    write(&copy, target, count, item) catch |err| {
        item.release();
        return err;
    };
    try value.checkDepth(copy);
    item.release();
    root.release();
    root.* = copy;
}

/// The storing itself; takes over `item` unless it fails.
fn write(root: *Value, target: Target, count: usize, item: Value) Error!void {
    const container = try open(root, count - 1);
    try own(container);
    switch (target) {
        .existing => {
            const slot = part(container.*, places[count - 1]);
            const old = slot.*;
            slot.* = item;
            if (old.isContainer()) loosenAbove(root.*, count);
            old.release();
            noteAbove(root.*, count, item);
        },
        .missing => |key| {
            const inside = container.asRecord();
            try inside.insert(key, item);
            places[count - 1] = inside.len - 1;
            noteAbove(root.*, count, item);
        },
    }
}

/// `list_size` for a key that is to be inserted.
fn checkInsertion(root: Value, count: usize) Error!void {
    var container = root;
    for (places[0 .. count - 1]) |place| container = part(container, place).*;
    try list.checkCount(@as(u64, container.asRecord().len) + 1);
}

// --- UPDATE --------------------------------------------------------------------------------------

/// `a.path = a.path op b`, or `a.path = push(a.path, b)`.
pub noinline fn update(f: *Fiber, ins: Instruction, pc: u32) Error!void {
    if (ins.c & 0xfff == 1 and updateNumber(f, ins, program.current.code[pc + 1])) return;
    const op: opcodes.UpdateOp = @enumFromInt(ins.c >> 12);
    var path: Path = .{ .f = f, .words = program.current.code.ptr + pc + 1, .count = ins.c & 0xfff };
    try path.checkBound(ins);
    try path.readKeys();
    defer path.deinit();
    const root = &f.regs[ins.a];
    const operand = try readOperand(f, &path, root.*, op, f.regs[ins.b]);
    defer operand.release();
    try readAlong(&path, root, path.count);
    const target: ?Target = locate(&path, root.*) catch |err| switch (err) {
        error.Fault => null, // its turn comes after reading and operating
        else => return err,
    };
    defer if (target) |found| found.release();
    if (target) |found| if (found == .existing) {
        const slot = try open(root, path.count);
        if (fits(slot.*, operand, path.count) and root.height() <= state.limitOf(.value_depth) and !looksInside(op, slot.*, operand)) {
            const held = slot.isContainer();
            operateInto(f, op, slot, operand) catch |err| return atSite(err, opcodes.site_update_operation);
            if (held and !slot.isContainer()) loosenAbove(root.*, path.count);
            return noteAbove(root.*, path.count, slot.*);
        }
    };
    const old = try readOld(&path, root.*);
    defer old.release();
    const shown = if (looksInside(op, old, operand)) try projection.resolve(f, old) else old.retain();
    defer shown.release();
    var result = shown.retain();
    errdefer result.release();
    operateInto(f, op, &result, operand) catch |err| return atSite(err, opcodes.site_update_operation);
    const place = target orelse {
        const again = locate(&path, root.*) catch |err| return atSite(err, opcodes.site_update_store);
        again.release();
        unreachable; // nothing has changed since it failed
    };
    // `locate` ran before the operation; the places it noted still hold.
    store(root, place, path.count, result) catch |err| return atSite(err, opcodes.site_update_store);
}

/// The most frequent update: a number in the variable's own list or record changes by a number. False if it is another.
fn updateNumber(f: *Fiber, ins: Instruction, step: u64) bool {
    const operand = f.regs[ins.b];
    const root = f.regs[ins.a];
    if (!operand.isNumber() or !root.isContainer() or !root.isUnique()) return false;
    const key: u16 = @truncate(step >> 16);
    const is_index = step & 1 == 1;
    const at = if (is_index) f.regs[key] else program.current.constant(key);
    const slot = if (root.tag == .record and at.tag == .string) blk: {
        const found = root.asRecord().find(at.asStr()) orelse return false;
        break :blk &root.asRecord().entries[found].value;
    } else if (root.tag == .list and is_index and at.tag == .int and at.bits < root.asList().len)
        &root.asList().items[@intCast(at.bits)]
    else
        return false;
    const op: opcodes.UpdateOp = @enumFromInt(ins.c >> 12);
    if (!slot.isNumber() or op == .push) return false;
    if (op == .add and slot.tag == .int and operand.tag == .int) {
        const sum = @addWithOverflow(slot.asInt(), operand.asInt());
        if (sum[1] == 0) {
            slot.* = Value.fromInt(sum[0]);
            return true;
        }
    }
    slot.* = coerce.fromNum(operators.onNumbers(arithmeticOf(op), coerce.toNum(slot.*), coerce.toNum(operand)));
    return true;
}

/// Whether the result is sure to be within `value_depth` where it goes.
fn fits(old: Value, operand: Value, levels: usize) bool {
    return @as(usize, @max(old.height(), operand.height() + 1)) + levels <= state.limitOf(.value_depth);
}

/// Whether the operation makes text of an old value that may hold projections.
fn looksInside(op: opcodes.UpdateOp, old: Value, operand: Value) bool {
    return op == .add and operand.tag == .string and old.mayHoldProjection();
}

fn operateInto(f: *Fiber, op: opcodes.UpdateOp, slot: *Value, operand: Value) Error!void {
    if (op == .push) {
        try slow.chargeOnce(f);
        return operators.pushInto(slot, operand);
    }
    return operators.arithmeticInto(arithmeticOf(op), slot, operand);
}

fn arithmeticOf(op: opcodes.UpdateOp) operators.Arithmetic {
    return switch (op) {
        .add => .add,
        .sub => .sub,
        .mul => .mul,
        .div => .div,
        .mod => .mod,
        .push => unreachable, // not arithmetic
    };
}

/// The right operand, owned, with its projections read where the operation needs that: an item to be pushed stays as
/// it is, and so do the elements of a list that is appended to a list.
fn readOperand(f: *Fiber, path: *const Path, root: Value, op: opcodes.UpdateOp, operand: Value) Error!Value {
    if (!operand.mayHoldProjection() or op == .push) return operand.retain();
    if (operand.tag == .list and op == .add) {
        const old = readOld(path, root) catch |err| switch (err) {
            error.Fault => return operand.retain(), // the update fails before it operates
            else => return err,
        };
        defer old.release();
        if (old.tag == .list) return operand.retain();
    }
    return projection.resolve(f, operand);
}

/// What stands at the path, by the rules of reading (chapter 7); owned.
fn readOld(path: *const Path, root: Value) Error!Value {
    var old = root.retain();
    for (0..path.count) |i| {
        if (old.tag == .projection) break; // only before `readAlong`, to learn the type; then it is read whole
        const base = old;
        defer base.release();
        old = if (path.isIndex(i)) try access.index(base, path.at(i)) else try access.field(base, path.key(i));
    }
    return old;
}

/// Give a fault of the instruction's own its site; limits have theirs.
fn atSite(err: Error, site: u16) Error {
    if (err == error.Fault and state.fault.site == 0) state.fault.site = site;
    return err;
}
