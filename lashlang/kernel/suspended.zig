//! A suspended block as data: what a snapshot says of fibers, requests and questions, and back again.
//!
//! Instructions are executed again when their answers have come (effects.zig, projection.zig), so a fiber is no more
//! than its registers, its instruction, and the answers collected so far. All numbers go into the *account*, which
//! the host reads and checks against the program before it gives it back (lashlang/vm/account.py describes it); all
//! values go into `dump.roots`, in the order in which `revive` takes them:
//!
//!     the projected values
//!     of each fiber: its registers without the constants, its partial answers, its result, its reads
//!     of each open request: what it asks (two values)
//!     of each question: its name, the projection, the arguments
//!
//! Fibers are numbered in source order, each before its branches.

const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const program = @import("program.zig");
const fibers = @import("fiber.zig");
const effects = @import("effects.zig");
const requests = @import("requests.zig");
const projection = @import("projection.zig");
const wire = @import("wire.zig");
const dump = @import("dump.zig");
const load = @import("load.zig");
const sharing = @import("sharing.zig");
const text_form = @import("text_form.zig");
const opcodes = @import("gen/opcodes.zig");
const vm = @import("vm.zig");

const Fiber = fibers.Fiber;
const List = value.List;
const Reader = wire.Reader;
const Value = value.Value;
const Writer = wire.Writer;
const Error = wire.ReadError;

// --- writing -------------------------------------------------------------------------------------

/// Write the account of the running block, and collect its values in `dump.roots`.
pub fn account(out: *Writer) state.Error!void {
    const main = vm.mainFiber().?;
    var count: u32 = 0;
    enumerate(main, &count);
    try out.array(12);
    try out.unsigned(state.fuel_used);
    try out.unsigned(effects.printed);
    try out.unsigned(requests.issued);
    try out.unsigned(requests.first);
    try out.unsigned(requests.wave_count);
    try out.unsigned(projection.first_number);
    try projectedNames(out);
    try numbers(out, fibers.newlyBound());
    try out.array(count);
    try fiber(out, main);
    try out.array(requests.unanswered);
    for (requests.open(), 0..) |*request, i| if (request.open) {
        try out.array(4);
        try out.unsigned(requests.first + i);
        try out.unsigned(@intFromEnum(request.kind));
        try out.unsigned(request.fiber.number);
        try out.unsigned(request.place);
        try dump.roots.add(request.a);
        try dump.roots.add(request.b);
    };
    try out.array(@intCast(projection.questions().len));
    for (projection.questions()) |question| {
        try out.array(3);
        try out.unsigned(question.fiber.number);
        try out.unsigned(question.place);
        try out.unsigned(question.says.len);
        for (question.says.slice()) |part| try dump.roots.add(part);
    }
    try out.array(@intCast(vm.readyFibers().len));
    for (vm.readyFibers()) |f| try out.unsigned(f.number);
}

fn enumerate(f: *Fiber, count: *u32) void {
    f.number = count.*;
    count.* += 1;
    for (f.children) |child| enumerate(child, count);
}

fn projectedNames(out: *Writer) state.Error!void {
    const names = vm.projectedValues();
    try out.array(names.len);
    for (names.slice()) |*entry| {
        try out.text(entry.key.bytes());
        try dump.roots.add(entry.value);
    }
}

fn numbers(out: *Writer, list: []const u32) state.Error!void {
    try out.array(@intCast(list.len));
    for (list) |number| try out.unsigned(number);
}

fn fiber(out: *Writer, f: *Fiber) state.Error!void {
    try out.array(11);
    try if (f.parent) |parent| out.unsigned(parent.number) else out.nil();
    try out.unsigned(f.branch);
    try out.unsigned(f.pc);
    try out.unsigned(@intFromEnum(f.status));
    try out.boolean(f.charged);
    try out.boolean(f.children.len > 0);
    try numbers(out, f.marked[0..f.marked_len]);
    try fault(out, f.failure);

    const variables = program.current.variables();
    const constants_end = variables + program.current.preloaded;
    for (f.regs[0..program.current.registers], 0..) |v, i| {
        if (i < variables or i >= constants_end) try dump.roots.add(marked(v));
    }
    if (f.partial.tag == .list) {
        const answers = f.partial.asList().slice();
        try out.unsigned(answers.len);
        for (answers) |answer| try dump.roots.add(answer);
    } else try out.nil();
    try out.boolean(f.result.tag != .null);
    if (f.result.tag != .null) try dump.roots.add(f.result);
    if (f.reads) |reads| {
        try out.unsigned(reads.len);
        for (reads.slice()) |part| try dump.roots.add(part);
    } else try out.nil();
    for (f.children) |child| try fiber(out, child);
}

/// A register's content, told from an answer that broke a limit where it is unbound.
fn marked(v: Value) Value {
    return if (v.tag == .unbound) .{ .tag = .unbound, .aux = dump.unbound_mark } else v;
}

fn fault(out: *Writer, failure: ?*const fibers.Failure) state.Error!void {
    const failed = failure orelse return out.nil();
    try out.array(6);
    try out.unsigned(@intFromEnum(failed.fault.kind));
    try if (failed.fault.limit) |limit| out.unsigned(@intFromEnum(limit)) else out.nil();
    try out.unsigned(@intFromEnum(failed.fault.topic));
    try out.unsigned(failed.fault.site);
    try out.unsigned(failed.pc);
    try out.text(failed.fault.message());
}

// --- reading -------------------------------------------------------------------------------------

/// What a temporary must hold at its fiber's instruction (lashlang/compiler/stackmaps.py).
const Kind = enum(u32) { value = 0, parked = 1, integer = 2, list = 3, iterable = 4, own_list = 5, own_record = 6, _ };

/// The fibers made so far.
var made: sharing.Growing(*Fiber) = .{};
/// The values not taken yet.
var left: []Value = &.{};

/// Make the block that an account describes, of the loaded program and of values that `load` has read, which are
/// taken over. The host has checked the account; `needs` says for every fiber what its temporaries must hold.
pub fn revive(reader: *Reader, values: []Value, needs: *Reader) Error!void {
    left = values;
    defer made.clear();
    if (try reader.array() != 12) return error.Malformed;
    state.fuel_used = @min(try reader.unsigned(), state.limitOf(.fuel));
    effects.printed = try reader.unsigned();
    const issued = try reader.unsigned();
    const first = try reader.unsigned();
    const unseen = try reader.small();
    const first_question = try reader.unsigned();
    const projected = try value.Record.create(0);
    for (0..try reader.array()) |_| {
        const name = try string.copyUnlimited(try reader.text());
        try projected.put(name, try proper());
        name.release();
    }
    try fibers.resetBound(program.current.variables());
    for (0..try reader.array()) |_| try fibers.addBound(try reader.small());
    if (try needs.array() != try fiberCount(reader)) return error.Malformed;
    for (0..fiber_count) |_| try reviveFiber(reader, needs);
    try reviveRequests(reader, issued, first, unseen);
    try reviveQuestions(reader, first_question);
    for (made.slice()) |f| if (!isCoherent(f)) return error.Malformed;
    try vm.adopt(made.slice()[0], projected);
    for (0..try reader.array()) |_| try vm.push(try fiberOf(reader));
    if (left.len > 0) return error.Malformed;
}

/// Whether a fiber waits for just what has been asked for it.
fn isCoherent(f: *const Fiber) bool {
    var asked: u32 = 0;
    if (f.reads) |reads| {
        var i: u32 = 0;
        while (i + 1 < reads.len) : (i += 2) {
            if (projection.isAsked(reads.items[i])) asked += 1;
        }
    }
    return asked == f.reads_pending and (asked > 0) == (f.status == .reads);
}

var fiber_count: u32 = 0;
fn fiberCount(reader: *Reader) error{Malformed}!u32 {
    fiber_count = try reader.array();
    return if (fiber_count > 0) fiber_count else error.Malformed;
}

/// The next value, owned.
fn taken() error{Malformed}!Value {
    if (left.len == 0) return error.Malformed;
    defer left = left[1..];
    const v = left[0];
    left[0] = Value.null;
    return v;
}

/// The next value, which stands where only a proper one may.
fn proper() error{Malformed}!Value {
    const v = try taken();
    return if (v.tag == .unbound or v.aux == requests.failure_aux and v.tag == .list) error.Malformed else v;
}

fn fiberOf(reader: *Reader) error{Malformed}!*Fiber {
    const number = try reader.small();
    return if (number < made.len) made.slice()[number] else error.Malformed;
}

fn isNil(reader: *Reader) error{Malformed}!bool {
    if (try reader.peek() != 0xc0) return false;
    reader.at += 1;
    return true;
}

fn reviveFiber(reader: *Reader, needs: *Reader) Error!void {
    if (try reader.array() != 11) return error.Malformed;
    const parent: ?*Fiber = if (try isNil(reader)) null else try fiberOf(reader);
    const f = try effects.blank(parent);
    try made.add(f);
    f.branch = try reader.small();
    f.pc = try reader.small();
    f.status = @enumFromInt(@min(try reader.small(), 5));
    f.charged = try reader.boolean();
    if (parent) |above| {
        if (f.branch >= above.children.len) return error.Malformed;
        above.children[f.branch] = f;
        if (f.status != .done and f.status != .failed) above.children_left += 1;
    }
    if (try reader.boolean()) try effects.awaitBranches(f);
    for (0..try reader.array()) |_| try effects.markSlot(f, try reader.small());
    f.failure = try reviveFault(reader);
    try reviveRegisters(f, needs);
    if (!try isNil(reader)) {
        const answers = try requests.emptyAnswers(try countOf(reader));
        f.partial = Value.fromList(answers);
        for (answers.slice()) |*answer| {
            answer.* = try taken();
            answers.note(answer.*);
            const is_failure = answer.tag == .list and answer.aux == requests.failure_aux;
            if (is_failure and !mayFail(f)) return error.Malformed;
            if (answer.tag == .unbound and answer.aux == dump.unbound_mark) return error.Malformed;
        }
    }
    if (try reader.boolean()) f.result = try proper();
    if (!try isNil(reader)) {
        const reads = try requests.emptyAnswers(try countOf(reader));
        f.reads = reads;
        for (reads.slice(), 0..) |*part, i| {
            part.* = try proper();
            reads.note(part.*);
            if (i % 2 == 0) try projection.checkMark(part.*) else try projection.checkAnswer(reads.items[i - 1], part.*);
        }
    }
}

/// Whether the instruction that a fiber stands at turns a failed answer into an error.
fn mayFail(f: *const Fiber) bool {
    return switch (operation(f)) {
        .start_tool, .cancel, .print => true,
        else => false,
    };
}

fn instruction(f: *const Fiber) program.Instruction {
    return @bitCast(program.current.code[f.pc]);
}

fn operation(f: *const Fiber) opcodes.Op {
    return @enumFromInt(instruction(f).op);
}

/// A number of values that there are.
fn countOf(reader: *Reader) error{Malformed}!u32 {
    const count = try reader.small();
    return if (count <= left.len) count else error.Malformed;
}

fn reviveRegisters(f: *Fiber, needs: *Reader) Error!void {
    const variables = program.current.variables();
    const constants_end = variables + program.current.preloaded;
    for (f.regs[0..program.current.registers], 0..) |*slot, i| {
        if (i >= variables and i < constants_end) {
            slot.* = program.current.constants.items[i - variables].retain();
            continue;
        }
        const v = try taken();
        const is_mark = v.tag == .unbound and v.aux != dump.unbound_mark or v.tag == .list and v.aux == requests.failure_aux;
        if (is_mark) return error.Malformed;
        slot.* = if (v.tag == .unbound) Value.unbound else v;
    }
    for (0..try needs.array() / 2) |_| {
        const register = try needs.small();
        const kind: Kind = @enumFromInt(try needs.small());
        if (register >= program.current.registers or !satisfies(f.regs[register], kind)) return error.Malformed;
    }
}

fn satisfies(v: Value, kind: Kind) bool {
    return switch (kind) {
        .value => v.tag != .unbound,
        .parked => true,
        .integer => v.tag == .int,
        .list => v.tag == .list,
        .iterable => v.isContainer(),
        // They are changed in place, so nobody else may have them.
        .own_list => v.tag == .list and v.isUnique(),
        .own_record => v.tag == .record and v.isUnique(),
        _ => false,
    };
}

fn reviveFault(reader: *Reader) Error!?*fibers.Failure {
    if (try isNil(reader)) return null;
    if (try reader.array() != 6) return error.Malformed;
    const failure: *fibers.Failure = @ptrCast(@alignCast(try heap.alloc(@sizeOf(fibers.Failure))));
    failure.* = .{ .fault = .{}, .pc = 0 };
    failure.fault.kind = @enumFromInt(try reader.small());
    failure.fault.limit = if (try isNil(reader)) null else @enumFromInt(try reader.small());
    failure.fault.topic = @enumFromInt(try reader.small());
    failure.fault.site = @truncate(try reader.small());
    failure.pc = try reader.small();
    const text = try reader.text();
    if (text.len > failure.fault.text.len) return error.Malformed;
    @memcpy(failure.fault.text[0..text.len], text);
    failure.fault.length = @intCast(text.len);
    return failure;
}

fn reviveRequests(reader: *Reader, issued: u64, first: u64, unseen: u32) Error!void {
    const count = try reader.array();
    if (count > left.len) return error.Malformed;
    var ids: sharing.Growing(u64) = .{};
    defer ids.clear();
    var open: sharing.Growing(requests.Request) = .{};
    defer open.clear();
    var showing: u64 = 0;
    for (0..count) |_| {
        if (try reader.array() != 4) return error.Malformed;
        try ids.add(try reader.unsigned());
        const kind: requests.Kind = @enumFromInt(@min(try reader.small(), 4));
        const f = try fiberOf(reader);
        const place = try reader.small();
        const request: requests.Request = .{ .kind = kind, .open = true, .fiber = f, .place = place, .a = try proper(), .b = try proper() };
        if (!isAskedBy(request)) return error.Malformed;
        showing += try checkAsked(request);
        if (showing > effects.printed) return error.Malformed;
        if (showing > state.limitOf(.output)) return state.exceeded(.output);
        try open.add(request);
    }
    try requests.restore(ids.slice(), open.slice(), issued, first, unseen);
    for (open.slice()) |request| {
        request.a.release();
        request.b.release();
    }
}

/// Whether a request is one that its fiber's instruction makes of what its registers hold (effects.zig).
fn isAskedBy(request: requests.Request) bool {
    const ins = instruction(request.fiber);
    const a = request.a;
    const b = request.b;
    return switch (request.kind) {
        .call, .start => a.tag == .string and a.asStr().eql(program.current.text(ins.c)) and
            b.tag == .record and b.bits == request.fiber.regs[ins.b].bits,
        .@"await", .cancel => effects.isHandle(a) and !a.mayHoldProjection() and b.tag == .null,
        .print => !a.mayHoldProjection() and if (a.tag == .string) b.tag == .null else b.tag == .string,
    };
}

/// Check what a request hands out by the limit that held when it was made (effects.zig), and by no other, so that what
/// this machine wrote is never refused. A tool's name is the program's own. The text of a print counts for `output`,
/// not for `value_size`, and may well be longer than its value is large; gives its length.
fn checkAsked(request: requests.Request) Error!u64 {
    switch (request.kind) {
        .call, .start => try text_form.checkSize(request.b),
        .@"await", .cancel => try text_form.checkSize(request.a),
        .print => {
            try text_form.checkSize(request.a);
            return (if (request.b.tag == .string) request.b else request.a).asStr().len;
        },
    }
    return 0;
}

fn reviveQuestions(reader: *Reader, first: u64) Error!void {
    var asked: sharing.Growing(projection.Question) = .{};
    defer asked.clear();
    for (0..try reader.array()) |_| {
        if (try reader.array() != 3) return error.Malformed;
        const f = try fiberOf(reader);
        const place = try reader.small();
        const says = try List.create(2);
        for (0..try countOf(reader)) |_| try says.append(try proper());
        const parts = says.slice();
        if (parts.len < 2 or parts[0].tag != .string or parts[1].tag != .projection) return error.Malformed;
        for (parts[2..]) |arg| {
            if (arg.mayHoldProjection()) return error.Malformed;
            try text_form.checkSize(arg);
        }
        if (f.reads == null or place >= f.reads.?.len) return error.Malformed;
        try asked.add(.{ .fiber = f, .place = place, .says = says });
    }
    try projection.restore(first, asked.slice());
}
