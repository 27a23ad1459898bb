//! The module's face to the host: one exported call per step, msgpack in and out (docs/vm.md, "Wire").
//!
//! The module imports nothing. It can compute and hand requests out; there is no file, clock, process
//! or socket it could name.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const program = @import("program.zig");
const loader = @import("loader.zig");
const effects = @import("effects.zig");
const requests = @import("requests.zig");
const suspended = @import("suspended.zig");
const sharing = @import("sharing.zig");
const dump = @import("dump.zig");
const load = @import("load.zig");
const projection = @import("projection.zig");
const text_form = @import("text_form.zig");
const fibers = @import("fiber.zig");
const vm = @import("vm.zig");
const wire = @import("wire.zig");
const wire_check = @import("wire_check.zig");

const Value = value.Value;

const Command = enum(u32) { configure = 1, run = 2, step = 3, interrupt = 4, get = 5, set = 6, delete = 7, names = 8, dump = 9, dump_more = 10, load = 11, describe = 12, holes = 13, _ };

const Status = enum(u32) { ok = 0, submitted = 1, continued = 2, failed = 3, waiting = 4, reads = 5, slice = 6, heavy = 7, refused = 8 };

/// What the host reads after each call, at a fixed address. It writes `stop`, also while a command is being carried out.
const Io = extern struct { in_ptr: u32, in_cap: u32, out_ptr: u32, out_len: u32, status: u32, stop: u32, used: u32, top: u32 };
var io_block: Io = std.mem.zeroes(Io);

/// Where short input goes: it needs no heap, so that a command fits also when memory is used up.
var short_input: [4096]u8 align(16) = undefined;
var input: []align(16) u8 = &short_input;
var output: wire.Writer = .{};
/// What the host reads the last command's answer from: `output`, or the writer that collected the answer.
var last_written: *wire.Writer = &output;

/// A longer input buffer up to this size is kept between commands.
const input_kept = 64 * 1024;

pub export fn io() *Io {
    state.stop_wanted = &io_block.stop;
    publishInput();
    return &io_block;
}

/// Room for `len` bytes of input; the address, or 0 when memory does not suffice.
pub export fn reserve(len: u32) usize {
    if (len > input.len) {
        releaseInput();
        const memory = heap.allocMessage(len) catch return 0;
        input = memory[0..len];
        publishInput();
    }
    io_block.top = @truncate(heap.top());
    return @intFromPtr(input.ptr);
}

/// Go back to the short input buffer.
pub fn releaseInput() void {
    if (input.len > short_input.len) heap.freeMessage(input.ptr, input.len);
    input = &short_input;
    publishInput();
}

fn publishInput() void {
    io_block.in_ptr = @truncate(@intFromPtr(input.ptr));
    io_block.in_cap = @intCast(input.len);
}

/// Carry out one command on the first `len` bytes of the input.
pub export fn command(number: u32, len: u32) u32 {
    last_written.clear();
    output.clear();
    // Outside a block's slices nothing has to be admitted.
    state.heavy_allowed = true;
    if (number != @intFromEnum(Command.dump_more)) dump.cancel();
    var written: *wire.Writer = &output;
    const which: Command = @enumFromInt(number);
    var reader: wire.Reader = .{ .input = input[0..@min(len, input.len)] };
    const status = perform(which, &reader, &written) catch |err| switch (err) {
        error.Malformed => refuse("the command is malformed"),
        // Slices end in an outcome; this was one of the other commands.
        error.Suspend => refuse("the host wanted it to stop"),
        error.OutOfMemory, error.Fault => |fault| report(fault),
    };
    if (input.len > input_kept) releaseInput();
    last_written = written;
    const out = written.written();
    io_block.out_ptr = @truncate(@intFromPtr(out.ptr));
    io_block.out_len = @intCast(out.len);
    io_block.status = @intFromEnum(status);
    io_block.used = @intCast(@min(heap.used(), std.math.maxInt(u32)));
    io_block.top = @truncate(heap.top());
    return @intFromEnum(status);
}

fn perform(which: Command, reader: *wire.Reader, written: **wire.Writer) wire.ReadError!Status {
    switch (which) {
        // The host changes limits between blocks only, or right after it has restored one.
        .configure => return configure(reader),
        .run => {
            if (vm.isRunning()) return refuse("a block is being run already");
            try start(reader);
            return finish(written, drive(false));
        },
        .step => return step(reader, written),
        .interrupt => {
            if (!vm.isRunning()) return refuse("no block is being run");
            if (try reader.array() != 1) return error.Malformed;
            return finish(written, vm.interrupt(try reader.text()));
        },
        .get, .set, .delete, .names => {
            if (vm.isRunning()) return refuse("variables can be reached between blocks only");
            switch (which) {
                .get => try getVariable(reader),
                .set => try setVariable(reader),
                .delete => try deleteVariable(reader),
                else => try listVariables(),
            }
            return .ok;
        },
        .dump => {
            if (vm.isRunning()) try suspended.account(&output) else try output.nil();
            try dump.begin();
            return .ok;
        },
        .dump_more => return if (try dump.more(&output)) .ok else .slice,
        .load => {
            if (vm.isRunning() or vm.globals != null) return refuse("the machine is in use already");
            try loadSnapshot(reader);
            try listVariables();
            return .ok;
        },
        .describe => return describe(),
        .holes => {
            try heap.eachHole(&output, writeHole);
            return .ok;
        },
        _ => return refuse("there is no such command"),
    }
}

fn refuse(message: []const u8) Status {
    output.len = 0;
    output.array(1) catch {}; // the first kilobyte was allocated by `configure`
    output.text(message) catch {};
    return .refused;
}

/// A fault outside any block, in the form of a failed one.
fn report(err: state.Error) Status {
    if (err == error.OutOfMemory) state.exceeded(.memory) catch {};
    vm.failed_at = 0;
    writeFault() catch {}; // fits the kilobytes allocated by `configure`
    return .failed;
}

fn configure(reader: *wire.Reader) wire.ReadError!Status {
    const count = try reader.array();
    if (count < state.limit_count or count > state.limit_count + 2) return error.Malformed;
    var limits: [state.limit_count]u64 = undefined;
    for (&limits) |*limit| limit.* = try reader.unsigned();
    const seed = if (count > state.limit_count) try reader.unsigned() else string.hash_seed;
    if (count > state.limit_count + 1) {
        state.slice_fuel = @max(state.slice_fuel_least, try reader.unsigned());
        state.heavy_work = state.slice_fuel;
    }
    if (limits[@intFromEnum(state.Limit.value_depth)] > text_form.depth_max) return error.Malformed;
    // Hashes are kept with the texts, so a later seed would come too late.
    if (output.buffer.len == 0) string.hash_seed = seed;
    state.limits = limits;
    // A restored block may have used more than it is granted now.
    state.fuel_used = @min(state.fuel_used, limits[@intFromEnum(state.Limit.fuel)]);
    heap.init(state.limitOf(.memory));
    if (output.buffer.len == 0) {
        try output.raw(&[_]u8{0} ** 4096);
        output.len = 0;
    }
    return .ok;
}

// --- running -------------------------------------------------------------------------------------

/// Memory beyond the limit in which a block may begin: also a machine that is full can run what makes room in it.
const start_spare = 4 << 20;

fn start(reader: *wire.Reader) wire.ReadError!void {
    heap.spare = start_spare;
    defer heap.spare = 0;
    state.fuel_used = 0;
    effects.reset();
    if (try reader.array() != 2) return error.Malformed;
    const projected = try projectedValues(reader);
    defer projected.release();
    try loader.load(reader);
    try vm.begin(projected);
}

/// The values by name that a block begins with. They are read one by one: all together might look like an image.
fn projectedValues(reader: *wire.Reader) wire.ReadError!*value.Record {
    const values = try value.Record.create(0);
    errdefer values.release();
    for (0..try reader.mapping()) |_| {
        const name = try string.copyUnlimited(try reader.text());
        defer name.release();
        const item = try reader.val(.unlimited);
        errdefer item.release();
        // Of its limits this one alone holds for what a host projects: walkers are built for it.
        if (item.height() > text_form.depth_max) return state.exceeded(.value_depth);
        try values.put(name, item);
    }
    return values;
}

fn drive(heavy_allowed: bool) vm.Outcome {
    state.beginSlice(heavy_allowed);
    return vm.drive();
}

fn step(reader: *wire.Reader, written: **wire.Writer) wire.ReadError!Status {
    if (!vm.isRunning()) return refuse("no block is being run");
    if (try reader.array() != 3) return error.Malformed;
    const flags = try reader.unsigned();
    const start_of_answers = reader.at;
    if (!try checkAnswers(reader)) return refuse("an answer has no open request, or one has two");
    reader.at = start_of_answers;
    const reading = projection.anyPending();
    if (answers > 0 and vm.isMidSlice() and !reading) return refuse("answers can be given only while the block waits");
    if (request_answers > 0 and reading) return refuse("reads are answered before requests");
    takeAnswers(reader) catch |err| return finish(written, vm.failWith(switch (err) {
        error.Malformed => state.fail(.internal_error, .none, "an answer was found malformed too late", .{}),
        else => |fault| fault,
    }));
    return finish(written, drive(flags & 1 != 0));
}

/// Number of answers in the step's message, and of those to requests.
var answers: usize = 0;
var request_answers: usize = 0;

/// Whether every answer is well formed and belongs to a different open request or read; changes nothing.
fn checkAnswers(reader: *wire.Reader) wire.ReadError!bool {
    answers = 0;
    request_answers = 0;
    for (0..2) |part| {
        var last: u64 = 0;
        for (0..try reader.array()) |_| {
            answers += 1;
            if (part == 0) request_answers += 1;
            if (try reader.array() != 3) return error.Malformed;
            const number = try reader.unsigned();
            if (number <= last) return false;
            last = number;
            const known = if (part == 0) requests.openKind(number) != null else projection.find(number) != null;
            if (!known) return false;
            if (try reader.unsigned() > 3) return error.Malformed;
            try wire_check.value(reader);
        }
    }
    return true;
}

/// The fibers that answers let go on.
const Woken = struct {
    const few_max = 64;
    var few: [few_max]*fibers.Fiber = undefined;

    list: []*fibers.Fiber,
    len: usize = 0,

    fn add(self: *Woken, f: *fibers.Fiber) void {
        self.list[self.len] = f;
        self.len += 1;
    }
};

/// Take the answers of a step that have been checked. An error leaves the block with some of them: it has to end.
fn takeAnswers(reader: *wire.Reader) wire.ReadError!void {
    const count = answers;
    const many: ?[*]*fibers.Fiber = if (count > Woken.few_max) @ptrCast(try heap.alloc(count * @sizeOf(*fibers.Fiber))) else null;
    defer if (many) |memory| heap.free(@ptrCast(@alignCast(memory)), count * @sizeOf(*fibers.Fiber));
    var woken: Woken = .{ .list = if (many) |memory| memory[0..count] else &Woken.few };
    try takeRequestAnswers(reader, &woken);
    try takeReadAnswers(reader, &woken);
    try vm.wake(woken.list[0..woken.len]);
}

fn takeRequestAnswers(reader: *wire.Reader, woken: *Woken) wire.ReadError!void {
    for (0..try reader.array()) |_| {
        _ = try reader.array();
        const number = try reader.unsigned();
        const status = try reader.unsigned();
        const before = reader.at;
        const fiber = switch (status) {
            0, 1 => if (reader.val(.limited)) |v|
                requests.deliver(number, status == 0, v)
            else |err| blk: {
                // A value that breaks a limit is the running statement's failure, not the host's.
                if (err == error.Malformed) return error.Malformed;
                reader.at = before;
                try reader.skip();
                break :blk requests.deliverLimit(number, limitOf(err));
            },
            else => blk: {
                try reader.skip();
                break :blk requests.deliverLimit(number, if (status == 2) .value_depth else .memory);
            },
        };
        if (fiber) |f| woken.add(f);
    }
}

fn limitOf(err: anyerror) state.Limit {
    return if (err == error.OutOfMemory) .memory else state.fault.limit orelse .memory;
}

fn takeReadAnswers(reader: *wire.Reader, woken: *Woken) wire.ReadError!void {
    for (0..try reader.array()) |_| {
        _ = try reader.array();
        const number = try reader.unsigned();
        const status = try reader.unsigned();
        const fiber = projection.find(number).?;
        const before = reader.at;
        if (status == 0 or status == 2) {
            if (reader.val(.limited)) |v| {
                projection.deliver(number, if (status == 0) .answered else .failed, v);
            } else |err| {
                if (err == error.Malformed) return error.Malformed;
                reader.at = before;
                try reader.skip();
                projection.deliver(number, .too_large, Value.fromInt(@intFromEnum(limitOf(err))));
            }
        } else {
            try reader.skip();
            projection.deliver(number, if (status == 1) .unsupported else .too_large, Value.fromInt(@intFromEnum(state.Limit.memory)));
        }
        if (fiber.reads_pending == 0) woken.add(fiber);
    }
}

/// Write out what the block came to.
fn finish(written: **wire.Writer, outcome: vm.Outcome) wire.ReadError!Status {
    switch (outcome) {
        .submitted => {
            written.* = &effects.submission;
            return .submitted;
        },
        .continued => {
            try output.array(2);
            try output.unsigned(state.fuel_used);
            try output.unsigned(requests.issued);
            return .continued;
        },
        .failed => {
            try writeFault();
            return .failed;
        },
        .waiting => {
            try handOut(written, &requests.wave, &requests.wave_count);
            return .waiting;
        },
        .reads => {
            try handOut(written, &projection.outgoing, &projection.outgoing_count);
            return .reads;
        },
        .slice, .heavy => {
            try output.array(1);
            try output.unsigned(state.fuel_used);
            return if (outcome == .slice) .slice else .heavy;
        },
    }
}

fn writeFault() state.Error!void {
    output.len = 0;
    const fault = &state.fault;
    try output.array(8);
    try output.unsigned(state.fuel_used);
    try output.unsigned(requests.issued);
    try output.integer(@intFromEnum(fault.kind));
    try output.integer(if (fault.limit) |limit| @intFromEnum(limit) else -1);
    try output.integer(@intFromEnum(fault.topic));
    try output.text(fault.message());
    try output.unsigned(vm.failed_at);
    try output.unsigned(fault.site);
}

/// Answer with the collected requests or reads, from the buffer they were collected in.
fn handOut(written: **wire.Writer, collected: *wire.Writer, count: *u32) state.Error!void {
    if (count.* == 0) {
        try output.array(3);
        try output.unsigned(state.fuel_used);
        try output.unsigned(requests.issued);
        return output.array(0);
    }
    collected.head(state.fuel_used, requests.issued, count.*);
    count.* = 0;
    written.* = collected;
}

// --- snapshots -----------------------------------------------------------------------------------

/// Fill an empty machine with what a snapshot holds: `[sources, program, account, needs, body]`, of which the host has
/// checked all but the body; program, account and needs are nil where no block was suspended. The answer is the
/// variables' names: the host knows which ones a program cannot have.
fn loadSnapshot(reader: *wire.Reader) wire.ReadError!void {
    if (try reader.array() != 5) return error.Malformed;
    const sources = try reader.small();
    const is_suspended = try reader.peek() != 0xc0;
    if (is_suspended) try loader.load(reader) else try reader.skip();
    var account = reader.*;
    try reader.skip();
    var needs = reader.*;
    try reader.skip();
    if (try reader.array() != 3) return error.Malformed;
    defer load.finish();
    try load.readShared(reader, sources);
    try load.readVariables(reader, try vm.variables());
    const count = try reader.array();
    if (count > reader.input.len - reader.at) return error.Malformed;
    var values: sharing.Growing(value.Value) = .{};
    defer values.clear();
    for (0..count) |_| try values.add(try load.readRoot(reader));
    if (reader.at != reader.input.len) return error.Malformed;
    load.finish();
    if (is_suspended) return suspended.revive(&account, values.slice(), &needs);
    if (count > 0) return error.Malformed;
}

/// One free stretch of memory, as two 32-bit numbers after those before.
fn writeHole(out: *wire.Writer, first: usize, last: usize) error{OutOfMemory}!void {
    var ends: [8]u8 = undefined;
    std.mem.writeInt(u32, ends[0..4], @truncate(first), .little);
    std.mem.writeInt(u32, ends[4..8], @truncate(last), .little);
    try out.raw(&ends);
}

/// Say what a suspended block waits for, all that is open.
fn describe() wire.ReadError!Status {
    if (!vm.isRunning()) return refuse("no block is being run");
    try output.array(3);
    try output.unsigned(state.fuel_used);
    try output.unsigned(requests.issued);
    if (projection.anyPending()) {
        try output.array(projection.unanswered);
        for (projection.questions(), 0..) |*question, i| {
            if (projection.isOpen(question)) try projection.write(&output, projection.first_number + i, question.says);
        }
        return .reads;
    }
    if (vm.isMidSlice()) {
        try output.array(0);
        return .slice;
    }
    try output.array(requests.unanswered);
    for (requests.open(), 0..) |*request, i| {
        if (request.open) try requests.write(&output, requests.first + i, request);
    }
    return .waiting;
}

// --- variables between blocks --------------------------------------------------------------------

fn getVariable(reader: *wire.Reader) wire.ReadError!void {
    if (try reader.array() != 1) return error.Malformed;
    const name = try reader.text();
    const found = if (vm.globals) |shared| shared.getBytes(name) else null;
    if (found) |v| try text_form.checkSize(v);
    try output.array(2);
    try output.boolean(found != null);
    try output.val(found orelse Value.null, .exact);
}

fn setVariable(reader: *wire.Reader) wire.ReadError!void {
    if (try reader.array() != 2) return error.Malformed;
    const name = try string.copyUnlimited(try reader.text());
    defer name.release();
    const v = try reader.val(.limited);
    errdefer v.release();
    try (try vm.variables()).put(name, v);
}

fn deleteVariable(reader: *wire.Reader) wire.ReadError!void {
    if (try reader.array() != 1) return error.Malformed;
    const name = try reader.text();
    const found = if (vm.globals) |shared| shared.findBytes(name) else null;
    if (found) |i| vm.globals.?.remove(i);
    try output.array(1);
    try output.boolean(found != null);
}

fn listVariables() wire.ReadError!void {
    const shared = vm.globals orelse return output.array(0);
    try output.array(shared.len);
    for (shared.slice()) |*entry| try output.text(entry.key.bytes());
}
