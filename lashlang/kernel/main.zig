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
const projection = @import("projection.zig");
const text_form = @import("text_form.zig");
const fibers = @import("fiber.zig");
const vm = @import("vm.zig");
const wire = @import("wire.zig");
const wire_check = @import("wire_check.zig");

const Value = value.Value;

const Command = enum(u32) { configure = 1, run = 2, step = 3, interrupt = 4, get = 5, set = 6, delete = 7, names = 8, _ };

const Status = enum(u32) { ok = 0, submitted = 1, continued = 2, failed = 3, waiting = 4, reads = 5, slice = 6, heavy = 7, refused = 8 };

/// What the host reads after each call, at a fixed address.
const Io = extern struct { in_ptr: u32, in_cap: u32, out_ptr: u32, out_len: u32, status: u32, flags: u32, used: u32, reserved: u32 };
var io_block: Io = std.mem.zeroes(Io);

var input: []align(16) u8 = &.{};
var output: wire.Writer = .{};

/// An input buffer up to this size is kept between commands.
const input_kept = 64 * 1024;

pub export fn io() *Io {
    // The host asks for this first; the first input needs a heap before `configure` can set its limit.
    heap.init(state.limitOf(.memory));
    return &io_block;
}

/// Room for `len` bytes of input; the address, or 0 when memory does not suffice.
pub export fn reserve(len: u32) usize {
    if (len > input.len) {
        if (input.len > 0) heap.free(input.ptr, input.len);
        input = &.{};
        const size = @max(len, 1024);
        const memory = heap.alloc(size) catch {
            publishInput();
            return 0;
        };
        input = memory[0..size];
    }
    publishInput();
    return @intFromPtr(input.ptr);
}

fn publishInput() void {
    io_block.in_ptr = if (input.len == 0) 0 else @truncate(@intFromPtr(input.ptr));
    io_block.in_cap = @intCast(input.len);
}

/// Carry out one command on the first `len` bytes of the input.
pub export fn command(number: u32, len: u32) u32 {
    output.clear();
    var written: *wire.Writer = &output;
    const which: Command = @enumFromInt(number);
    var reader: wire.Reader = .{ .input = input[0..@min(len, input.len)] };
    const status = perform(which, &reader, &written) catch |err| switch (err) {
        error.Malformed => refuse("the command is malformed"),
        error.OutOfMemory, error.Fault, error.Suspend => |fault| report(fault),
    };
    if (input.len > input_kept) {
        heap.free(input.ptr, input.len);
        input = &.{};
        publishInput();
    }
    const out = written.written();
    io_block.out_ptr = @truncate(@intFromPtr(out.ptr));
    io_block.out_len = @intCast(out.len);
    io_block.status = @intFromEnum(status);
    io_block.used = @intCast(@min(heap.used(), std.math.maxInt(u32)));
    return @intFromEnum(status);
}

fn perform(which: Command, reader: *wire.Reader, written: **wire.Writer) wire.ReadError!Status {
    switch (which) {
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
    if (count < state.limit_count or count > state.limit_count + 1) return error.Malformed;
    var limits: [state.limit_count]u64 = undefined;
    for (&limits) |*limit| limit.* = try reader.unsigned();
    if (count > state.limit_count) string.hash_seed = try reader.unsigned();
    state.limits = limits;
    heap.init(state.limitOf(.memory));
    if (output.buffer.len == 0) {
        try output.raw(&[_]u8{0} ** 4096);
        output.len = 0;
    }
    return .ok;
}

// --- running -------------------------------------------------------------------------------------

fn start(reader: *wire.Reader) wire.ReadError!void {
    if (try reader.array() != 2) return error.Malformed;
    const projected = try reader.val(.unlimited);
    defer projected.release();
    if (projected.tag != .record) return error.Malformed;
    try loader.load(reader);
    try vm.begin(projected.asRecord());
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
    if (vm.isMidSlice() and input_has_answers) return refuse("answers can be given only while the block waits");
    try takeRequestAnswers(reader);
    try takeReadAnswers(reader);
    return finish(written, drive(flags & 1 != 0));
}

var input_has_answers = false;

/// Whether every answer is well formed and belongs to a different open request or read; changes nothing.
fn checkAnswers(reader: *wire.Reader) wire.ReadError!bool {
    input_has_answers = false;
    for (0..2) |part| {
        var last: u64 = 0;
        for (0..try reader.array()) |_| {
            input_has_answers = true;
            if (try reader.array() != 3) return error.Malformed;
            const number = try reader.unsigned();
            if (number <= last) return false;
            last = number;
            const known = if (part == 0) effects.openKind(number) != null else projection.find(number) != null;
            if (!known) return false;
            if (try reader.unsigned() > 3) return error.Malformed;
            try wire_check.value(reader);
        }
    }
    return true;
}

const woken_kept = 64;
var woken_few: [woken_kept]*fibers.Fiber = undefined;

fn takeRequestAnswers(reader: *wire.Reader) wire.ReadError!void {
    const count = try reader.array();
    const many: ?[]*fibers.Fiber = if (count > woken_kept) blk: {
        const memory: [*]*fibers.Fiber = @ptrCast(try heap.alloc(count * @sizeOf(*fibers.Fiber)));
        break :blk memory[0..count];
    } else null;
    defer if (many) |memory| heap.free(@ptrCast(@alignCast(memory.ptr)), count * @sizeOf(*fibers.Fiber));
    const woken = many orelse woken_few[0..];
    var woken_len: usize = 0;
    for (0..count) |_| {
        _ = try reader.array();
        const number = try reader.unsigned();
        const status = try reader.unsigned();
        const before = reader.at;
        const fiber = switch (status) {
            0, 1 => if (reader.val(.limited)) |v|
                effects.deliver(number, status == 0, v)
            else |err| blk: {
                // A value that breaks a limit is the running statement's failure, not the host's.
                if (err == error.Malformed) return error.Malformed;
                reader.at = before;
                try reader.skip();
                break :blk effects.deliverLimit(number, limitOf(err));
            },
            else => blk: {
                try reader.skip();
                break :blk effects.deliverLimit(number, if (status == 2) .value_depth else .memory);
            },
        };
        if (fiber) |f| {
            woken[woken_len] = f;
            woken_len += 1;
        }
    }
    try vm.wake(woken[0..woken_len]);
}

fn limitOf(err: anyerror) state.Limit {
    return if (err == error.OutOfMemory) .memory else state.fault.limit orelse .memory;
}

fn takeReadAnswers(reader: *wire.Reader) wire.ReadError!void {
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
        if (fiber.reads_pending == 0) {
            var one = [_]*fibers.Fiber{fiber};
            try vm.wake(&one);
        }
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
            try output.unsigned(effects.issued);
            return .continued;
        },
        .failed => {
            try writeFault();
            return .failed;
        },
        .waiting => {
            try handOut(&effects.wave, &effects.wave_count);
            return .waiting;
        },
        .reads => {
            try handOut(&projection.outgoing, &projection.outgoing_count);
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
    try output.unsigned(effects.issued);
    try output.integer(@intFromEnum(fault.kind));
    try output.integer(if (fault.limit) |limit| @intFromEnum(limit) else -1);
    try output.integer(@intFromEnum(fault.topic));
    try output.text(fault.message());
    try output.unsigned(vm.failed_at);
    try output.unsigned(fault.site);
}

/// Move collected requests or reads to the output under their head.
fn handOut(collected: *wire.Writer, count: *u32) state.Error!void {
    try output.array(3);
    try output.unsigned(state.fuel_used);
    try output.unsigned(effects.issued);
    try output.array(count.*);
    if (count.* > 0) try output.raw(collected.written()[wire.head_room..]);
    collected.clear();
    count.* = 0;
}

// --- variables between blocks --------------------------------------------------------------------

fn getVariable(reader: *wire.Reader) wire.ReadError!void {
    if (try reader.array() != 1) return error.Malformed;
    const name = try reader.text();
    const found = (try vm.variables()).getBytes(name);
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
    const before = try vm.variables();
    const gone = before.findBytes(name);
    if (gone) |skipped| {
        const after = try value.Record.create(before.len);
        errdefer after.release();
        try after.reserve(before.len);
        for (before.slice(), 0..) |*entry, i| {
            if (i != skipped) try after.insert(entry.key, entry.value.retain());
        }
        vm.globals = after;
        before.release();
    }
    try output.array(1);
    try output.boolean(gone != null);
}

fn listVariables() wire.ReadError!void {
    const shared = try vm.variables();
    try output.array(shared.len);
    for (shared.slice()) |*entry| try output.text(entry.key.bytes());
}
