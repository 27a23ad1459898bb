//! Reading a compiled program off the wire: see `Program.packed` of the compiler for the writing side.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const value = @import("value.zig");
const program = @import("program.zig");
const wire = @import("wire.zig");
const opcodes = @import("gen/opcodes.zig");

const List = value.List;
const Value = value.Value;
const Reader = wire.Reader;

/// Memory of the loaded program besides its lists.
var blocks: [3]?[]align(16) u8 = @splat(null);
var loaded = false;

/// Read a program and make it `program.current`; the one before is freed. On failure there is none.
pub fn load(reader: *Reader) wire.ReadError!void {
    unload();
    errdefer unload();
    if (try reader.array() != 8) return error.Malformed;
    if (try reader.unsigned() != opcodes.bytecode_version) return error.Malformed;
    program.current = .{
        .names = try List.create(0),
        .constants = undefined,
        .preloaded = 0,
        .registers = 0,
        .code = &.{},
        .unwinds = &.{},
        .parallels = &.{},
    };
    program.current.constants = List.create(0) catch |err| {
        program.current.names.release();
        return err;
    };
    loaded = true;
    try replaceList(&program.current.names, reader);
    try replaceList(&program.current.constants, reader);
    program.current.preloaded = try reader.small();
    program.current.registers = try reader.small();
    if (program.current.preloaded > program.current.constants.len) return error.Malformed;
    if (program.current.registers < program.current.variables() + program.current.preloaded) return error.Malformed;
    program.current.code = try copyWords(u64, 0, try reader.binary());
    program.current.unwinds = try copyWords(program.Unwind, 1, try reader.binary());
    try loadParallels(reader);
}

fn replaceList(slot: **List, reader: *Reader) wire.ReadError!void {
    const read = try reader.val(.unlimited);
    if (read.tag != .list) {
        read.release();
        return error.Malformed;
    }
    slot.*.release();
    slot.* = read.asList();
}

fn copyWords(comptime T: type, block: usize, bytes: []const u8) wire.ReadError![]const T {
    if (bytes.len % @sizeOf(T) != 0) return error.Malformed;
    if (bytes.len == 0) return &.{};
    const memory = try heap.alloc(bytes.len);
    blocks[block] = memory[0..bytes.len];
    @memcpy(memory[0..bytes.len], bytes);
    const words: [*]const T = @ptrCast(memory);
    return words[0 .. bytes.len / @sizeOf(T)];
}

fn loadParallels(reader: *Reader) wire.ReadError!void {
    const count = try reader.array();
    if (count == 0) return;
    if (count > reader.input.len) return error.Malformed;
    const size = count * @sizeOf(program.Parallel);
    const memory = try heap.alloc(size);
    blocks[2] = memory[0..size];
    const table: [*]program.Parallel = @ptrCast(@alignCast(memory));
    program.current.parallels = table[0..0];
    for (0..count) |i| {
        if (try reader.array() != 4) return error.Malformed;
        const keys = try List.create(0);
        table[i] = .{ .keys = keys, .entries = &.{}, .excluded = &.{}, .named = false };
        program.current.parallels = table[0 .. i + 1];
        try replaceList(&table[i].keys, reader);
        table[i].entries = try numbers(reader);
        table[i].excluded = try numbers(reader);
        table[i].named = try reader.boolean();
        if (table[i].named and table[i].keys.len != table[i].entries.len) return error.Malformed;
    }
}

fn numbers(reader: *Reader) wire.ReadError![]const u32 {
    const count = try reader.array();
    if (count == 0) return &.{};
    if (count > reader.input.len - reader.at) return error.Malformed;
    const memory: [*]u32 = @ptrCast(try heap.alloc(count * 4));
    errdefer heap.free(@ptrCast(@alignCast(memory)), count * 4);
    for (0..count) |i| memory[i] = try reader.small();
    return memory[0..count];
}

/// Free the loaded program.
pub fn unload() void {
    if (!loaded) return;
    loaded = false;
    for (program.current.parallels) |entry| {
        entry.keys.release();
        freeNumbers(entry.entries);
        freeNumbers(entry.excluded);
    }
    program.current.names.release();
    program.current.constants.release();
    for (&blocks) |*block| {
        if (block.*) |memory| heap.free(memory.ptr, memory.len);
        block.* = null;
    }
}

fn freeNumbers(list: []const u32) void {
    if (list.len > 0) heap.free(@ptrCast(@alignCast(@constCast(list.ptr))), list.len * 4);
}
