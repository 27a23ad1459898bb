//! A compiled block as the kernel holds it. The host's compiler is trusted to have built it (compiled
//! code never comes from outside); reading it is wire.zig's part.

const heap = @import("heap.zig");
const value = @import("value.zig");
const list = @import("list.zig");

const Value = value.Value;
const Str = value.Str;

/// One instruction's fields; extra words follow it in the code (opcodes.py).
pub const Instruction = packed struct(u64) { op: u16, a: u16, b: u16, c: u16 };

/// While `start <= pc < end`, the binding of variable `variable` is parked in register `parked`.
pub const Unwind = extern struct { start: u32, end: u32, parked: u32, variable: u32 };

/// One `parallel`: its branches' entry points, their keys (a list of null, or of texts), and the loop
/// variables around it that the merge writes without marking them as assigned.
pub const Parallel = struct {
    keys: *value.List,
    entries: []const u32,
    excluded: []const u32,
    named: bool,
};

pub const Program = struct {
    /// Names of the variables by slot.
    names: *value.List,
    constants: *value.List,
    preloaded: u32,
    registers: u32,
    code: []const u64,
    unwinds: []const Unwind,
    parallels: []const Parallel,

    pub inline fn variables(self: *const Program) u32 {
        return self.names.len;
    }

    pub inline fn constant(self: *const Program, index: u32) Value {
        return self.constants.items[index];
    }

    /// The text constant at an index (a key, a tool's name).
    pub inline fn text(self: *const Program, index: u32) *Str {
        return self.constants.items[index].asStr();
    }
};

/// The program of the block being run.
pub var current: Program = undefined;
