//! What every part of the kernel shares: the limits in force, fuel and work spent, and the fault that
//! stopped the block. One kernel instance is one VM, so this is plain module state.
//!
//! Errors travel as the Zig errors of `Error`: `Fault` says that `fault` describes what happened,
//! `OutOfMemory` becomes `limit_exceeded` with the code `memory` at the top, and `Suspend` that the
//! running instruction waits for reads of projections and will be executed again (projection.zig).

const std = @import("std");
const faults = @import("gen/faults.zig");

pub const Kind = faults.Kind;
pub const Limit = faults.Limit;
pub const Topic = faults.Topic;

pub const Error = error{ Fault, Suspend, OutOfMemory };

pub const limit_count = @typeInfo(Limit).@"enum".fields.len;

/// The limits of chapter 16, indexed by `Limit`.
pub var limits: [limit_count]u64 = .{
    100_000_000, // fuel
    256 << 20, // memory
    64 << 20, // string_size
    1_000_000, // list_size
    128, // value_depth
    64 << 20, // value_size
    10_000, // requests
    1 << 20, // output
};

pub fn limitOf(which: Limit) u64 {
    return limits[@intFromEnum(which)];
}

// --- faults --------------------------------------------------------------------------------------

const message_max = 2048;

pub const Fault = struct {
    kind: Kind = .internal_error,
    limit: ?Limit = null,
    topic: Topic = .none,
    /// Which site of the instruction is to blame (see opcodes.py).
    site: u16 = 0,
    /// The instruction to blame where it is not the one the raising fiber stands at (an error handed up by a branch).
    pc: ?u32 = null,
    length: u32 = 0,
    text: [message_max]u8 = undefined,

    pub fn message(self: *const Fault) []const u8 {
        return self.text[0..self.length];
    }
};

pub const limit_site: u16 = 0xffff;

/// The fault last raised; meaningful after `error.Fault`.
pub var fault: Fault = .{};

/// Stop the operation with an error of the language. Texts in `args` may be of any length; the message is cut at 2 KiB.
pub fn fail(kind: Kind, topic: Topic, comptime format: []const u8, args: anytype) Error {
    @branchHint(.cold);
    fault.kind = kind;
    fault.limit = null;
    fault.topic = topic;
    fault.site = 0;
    fault.pc = null;
    var writer: std.Io.Writer = .fixed(&fault.text);
    writer.print(format, args) catch {}; // a full buffer cuts the message, which is what is wanted
    var length = writer.end;
    // A cut must not leave half a code point behind.
    if (length == message_max) {
        while (length > 0 and fault.text[length - 1] & 0xc0 == 0x80) length -= 1;
        if (length > 0 and fault.text[length - 1] >= 0xc0) length -= 1;
    }
    fault.length = @intCast(length);
    return error.Fault;
}

/// Stop with `limit_exceeded`; the site becomes the statement then running.
pub fn exceeded(which: Limit) Error {
    @branchHint(.cold);
    const value = limitOf(which);
    const failed = switch (which) {
        .fuel => fail(.limit_exceeded, .none, "the block used up its `fuel` of {d}", .{value}),
        .memory => fail(.limit_exceeded, .none, "the block needs more than its `memory` of {d} bytes", .{value}),
        .string_size => fail(.limit_exceeded, .none, "a text is longer than the limit `string_size` of {d} bytes", .{value}),
        .list_size => fail(.limit_exceeded, .none, "a list or record has more entries than the limit `list_size` of {d}", .{value}),
        .value_depth => fail(.limit_exceeded, .none, "a value is nested deeper than the limit `value_depth` of {d}", .{value}),
        .value_size => fail(.limit_exceeded, .none, "a value is larger than the limit `value_size` of {d}", .{value}),
        .requests => fail(.limit_exceeded, .none, "the block makes more requests than the limit `requests` of {d}", .{value}),
        .output => fail(.limit_exceeded, .none, "the block prints more than the limit `output` of {d} bytes", .{value}),
    };
    fault.limit = which;
    fault.site = limit_site;
    return failed;
}

// --- fuel ----------------------------------------------------------------------------------------

/// Fuel charged so far in this block.
pub var fuel_used: u64 = 0;

/// Charge units one by one or in small numbers (chapter 16.1, the 1s).
pub fn charge(units: u64) Error!void {
    const total = fuel_used +| units;
    if (total > limitOf(.fuel)) return outOfFuel();
    fuel_used = total;
}

/// Charge bulk work: floor(n / 64), once per operation, after it has succeeded.
pub fn bulk(n: u64) Error!void {
    return charge(n / 64);
}

/// The largest n that `bulk` would still accept: walks that only find out what something costs stop beyond it.
pub fn bulkLeft() u64 {
    return (limitOf(.fuel) - fuel_used) *| 64 +| 63;
}

pub fn outOfFuel() Error {
    @branchHint(.cold);
    fuel_used = limitOf(.fuel);
    return exceeded(.fuel);
}

// --- slices --------------------------------------------------------------------------------------

/// Fuel after which a slice ends; tests make it smaller.
pub var slice_fuel: u64 = 65_536;

/// No instruction charges more at once, so that every slice gets somewhere.
pub const slice_fuel_least = 8;

/// Work after which a slice ends, about two milliseconds of it.
const slice_work = 250_000;

/// Work that a single operation may do in a slice; with more ahead it asks for a slice of its own. Tests make it smaller.
pub var heavy_work: u64 = 100_000;

/// Where CHARGE and the loop instructions look up: the end of the slice or the fuel limit, whichever comes first;
/// 0 once the slice's work is done.
pub var stop_at: u64 = 0;

/// Whether the host has granted this slice to large operations.
pub var heavy_allowed = false;

/// Set together with `error.Suspend` by an operation that is too large for an ordinary slice.
pub var heavy_wanted = false;

/// Units of unobservable work since the slice began: an element visited is one, sixteen bytes copied or compared are one.
/// They decide when a slice ends, nothing else.
pub var work: u64 = 0;

/// Begin a slice. To be called whenever the host lets the block run (on).
pub fn beginSlice(heavy: bool) void {
    work = 0;
    heavy_allowed = heavy;
    heavy_wanted = false;
    stop_at = @min(limitOf(.fuel), fuel_used +| slice_fuel);
}

pub fn spend(units: u64) void {
    work +|= units;
    if (work > slice_work) stop_at = 0;
}

/// Go on with an operation of this much work only in a slice that allows it. The instruction is executed again
/// in the next one, so nothing may have changed or been charged before.
pub fn admit(units: u64) Error!void {
    if (units <= heavy_work) return;
    if (heavy_allowed and stop_wanted.* == 0) return;
    heavy_wanted = true;
    return error.Suspend;
}

/// Not 0 once the host wants the present operation to stop; it may write there while the kernel runs (main.zig).
pub var stop_wanted: *const volatile u32 = &never;
const never: u32 = 0;

/// A long walk's regular look at whether it may go on: admission for what it has done so far, every few thousand units.
pub const Progress = struct {
    units: u64 = 0,
    next_look: u64 = 0,
    /// What `work` was at the first look, and what it will be at the next: long texts that were compared are in it.
    first_work: u64 = std.math.maxInt(u64),
    next_work: u64 = 0,

    const interval = 8192;

    /// Count units of work just done. As with `admit`, the instruction may have to be executed again.
    pub inline fn add(self: *Progress, units: u64) Error!void {
        self.units += units;
        if (self.units >= self.next_look or work >= self.next_work) try self.look();
    }

    noinline fn look(self: *Progress) Error!void {
        self.first_work = @min(self.first_work, work);
        self.next_work = work +| @min(interval, heavy_work);
        self.next_look = self.units + @min(interval, heavy_work);
        try admit(self.units + (work - self.first_work));
    }
};
