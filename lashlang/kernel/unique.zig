//! `unique`: the first of each set of equal elements, found through a hash table.
//!
//! The hash agrees with equality (chapter 3): numbers hash by their exact value, whether held as integer
//! or float, and records regardless of the order of their entries. A value that is or holds a NaN equals
//! nothing, so it never enters the table. Parts that are shared are hashed once per walk as long as a
//! small memo remembers them; without it, values that double at each level would cost what they describe.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const number = @import("number.zig");
const coerce = @import("coerce.zig");
const compare = @import("compare.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;
const List = calling.List;

pub fn unique(args: []const Value) Error!Value {
    const xs = try calling.list("unique", args[0]);
    const weight = try compare.weight(args[0], state.bulkLeft());
    try calling.afford(weight);
    try state.admit(weight / 16 + xs.len);
    var table = try Table.create(xs.len);
    defer table.destroy();
    const result = try List.create(@min(xs.len, 16));
    errdefer result.release();
    Memo.clear();
    progress = .{};
    for (xs.slice()) |item| {
        try progress.add(1);
        if (try table.add(result, item)) try calling.append(result, item.retain());
    }
    state.spend(xs.len * 2);
    return calling.listResult(result, weight);
}

/// Open addressing over the elements of the result: each slot holds a hash and an element's number plus one.
const Table = struct {
    const Slot = struct { hash: u32, number: u32 };

    slots: []Slot,

    fn create(elements: usize) Error!Table {
        const size = std.math.ceilPowerOfTwo(usize, @max(elements, 4) * 2) catch return error.OutOfMemory;
        const memory = try heap.alloc(size * @sizeOf(Slot));
        const slots = @as([*]Slot, @ptrCast(memory))[0..size];
        @memset(slots, .{ .hash = 0, .number = 0 });
        return .{ .slots = slots };
    }

    fn destroy(self: *Table) void {
        heap.free(@ptrCast(@alignCast(self.slots.ptr)), self.slots.len * @sizeOf(Slot));
    }

    /// Whether `item` equals no element of `kept` so far; if so it is noted as the next one.
    fn add(self: *Table, kept: *const List, item: Value) Error!bool {
        const full = try hashOf(item) orelse return true;
        const hash: u32 = @truncate(full ^ (full >> 32));
        const mask = self.slots.len - 1;
        var at = hash & mask;
        while (self.slots[at].number != 0) : (at = (at + 1) & mask) {
            const slot = self.slots[at];
            if (slot.hash == hash and (try compare.equal(kept.items[slot.number - 1], item)).equal) return false;
        }
        self.slots[at] = .{ .hash = hash, .number = kept.len + 1 };
        return true;
    }
};

/// Of the call of `unique` under way.
var progress: state.Progress = .{};

/// Hash of a value, null where a NaN is in it. Recursion is bounded by `value_depth`.
fn hashOf(v: Value) Error!?u64 {
    switch (v.tag) {
        .null => return mix(1),
        .bool => return mix(2 + v.bits),
        .int => return numberHash(@bitCast(v.asInt())),
        .float => {
            const n = coerce.toNum(v);
            if (number.isNan(n)) return null;
            // Beyond 2^53 an integral float may equal an integer.
            return numberHash(if (number.toI64(n)) |i| @bitCast(i) else ~v.bits);
        },
        .string => return mix(@as(u64, v.asStr().hashed()) | 1 << 40),
        .image => return mix(@as(u64, v.asImage().id.hashed()) | 1 << 41),
        .list, .record => {},
        else => return 0,
    }
    const shared = !v.isUnique();
    if (shared) if (Memo.find(v.bits)) |known| return known;
    const hash = try (if (v.tag == .list) listHash(v.asList()) else recordHash(v.asRecord())) orelse return null;
    if (shared) Memo.store(v.bits, hash);
    return hash;
}

fn listHash(xs: *const List) Error!?u64 {
    state.spend(xs.len);
    try progress.add(xs.len);
    var hash: u64 = mix(@as(u64, xs.len) | 1 << 42);
    for (xs.slice()) |item| hash = mix(hash ^ (try hashOf(item) orelse return null));
    return hash;
}

fn recordHash(r: *const calling.Record) Error!?u64 {
    state.spend(r.len);
    try progress.add(r.len);
    var sum: u64 = 0;
    for (r.slice()) |entry| sum +%= mix(mix(entry.hash) ^ (try hashOf(entry.value) orelse return null));
    return mix(sum ^ (@as(u64, r.len) | 1 << 43));
}

fn numberHash(bits: u64) u64 {
    return mix(bits ^ 0x5bd1e9955bd1e995);
}

/// Multiply and fold, seeded as text hashes are, so that nobody can prepare colliding values.
fn mix(x: u64) u64 {
    const a = (x ^ (x >> 32) ^ string.hash_seed) *% 0xd6e8feb86659fd93;
    return (a ^ (a >> 32)) *% 0xd6e8feb86659fd93;
}

/// Hashes of shared containers by address, for one call of `unique`.
const Memo = struct {
    const size = 256;
    const Entry = struct { address: u64, hash: u64 };
    var entries: [size]Entry = undefined;

    fn clear() void {
        entries = @splat(.{ .address = 0, .hash = 0 });
    }

    fn slot(address: u64) *Entry {
        return &entries[@intCast((address *% 0x9e3779b97f4a7c15) >> 56)];
    }

    fn find(address: u64) ?u64 {
        const entry = slot(address);
        return if (entry.address == address) entry.hash else null;
    }

    fn store(address: u64, hash: u64) void {
        slot(address).* = .{ .address = address, .hash = hash };
    }
};
