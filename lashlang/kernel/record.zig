//! Records: entries in insertion order, and above eight of them an open-addressing index.
//!
//! An entry keeps its key's hash, so that a search compares 32-bit numbers first and texts once. The
//! index holds entry numbers plus one (0: free slot), is a power of two at least twice the capacity,
//! and is probed linearly. There are no tombstones: builtins that remove build anew, and `remove`, which
//! serves the record of variables, builds the index anew.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");

const Error = state.Error;
const Str = string.Str;
const Value = value.Value;

/// Records up to this size are searched entry by entry.
pub const linear_max = 8;

pub const Entry = extern struct {
    key: *Str,
    hash: u32,
    value: Value,
};

pub const Record = extern struct {
    rc: u32 = 1,
    len: u32 = 0,
    cap: u32,
    /// Upper bound of the nesting depth, at least 1 (value.zig).
    height: u16 = 1,
    /// Whether a projection may be inside.
    projections: bool = false,
    /// Whether `height` may be more than the nesting depth, since something inside was replaced.
    is_loose: bool = false,
    /// Slots of the index, 0 while there is none.
    index_cap: u32 = 0,
    entries: [*]Entry,
    index: [*]u32,

    /// An empty record with room for `room` entries.
    pub fn create(room: usize) Error!*Record {
        if (room > 0x07ff_ffff) return error.OutOfMemory;
        const self: *Record = @ptrCast(try heap.alloc(@sizeOf(Record)));
        errdefer heap.free(@ptrCast(@alignCast(self)), @sizeOf(Record));
        const cap = @max(room, 1);
        const entries = try heap.alloc(cap * @sizeOf(Entry));
        self.* = .{ .cap = @intCast(cap), .entries = @ptrCast(entries), .index = undefined };
        return self;
    }

    pub inline fn slice(self: *const Record) []Entry {
        return self.entries[0..self.len];
    }

    pub inline fn release(self: *Record) void {
        Value.fromRecord(self).release();
    }

    pub fn destroy(self: *Record) void {
        for (self.slice()) |*entry| {
            entry.key.release();
            entry.value.release();
        }
        if (self.index_cap > 0) heap.free(@ptrCast(@alignCast(self.index)), self.index_cap * 4);
        heap.free(@ptrCast(@alignCast(self.entries)), self.cap * @sizeOf(Entry));
        heap.free(@ptrCast(@alignCast(self)), @sizeOf(Record));
    }

    /// Number of the entry with this key.
    pub inline fn find(self: *const Record, key: *Str) ?u32 {
        const hash = key.hashed();
        if (self.index_cap == 0) {
            for (self.slice(), 0..) |*entry, i| {
                if (entry.key == key or (entry.hash == hash and entry.key.eql(key))) return @intCast(i);
            }
            return null;
        }
        const found = self.probe(key, hash);
        return if (found == 0) null else found - 1;
    }

    /// Number of the entry whose key has these bytes.
    pub fn findBytes(self: *const Record, key: []const u8) ?u32 {
        const hash = string.hashOf(key);
        if (self.index_cap == 0) {
            for (self.slice(), 0..) |*entry, i| {
                if (entry.hash == hash and std.mem.eql(u8, entry.key.bytes(), key)) return @intCast(i);
            }
            return null;
        }
        return self.probeBytes(key, hash);
    }

    /// Number of the entry with this key plus one, 0 if there is none.
    fn probe(self: *const Record, key: *Str, hash: u32) u32 {
        const mask = self.index_cap - 1;
        var slot = hash & mask;
        while (true) : (slot = (slot + 1) & mask) {
            const number = self.index[slot];
            if (number == 0) return 0;
            const entry = &self.entries[number - 1];
            if (entry.hash != hash) continue;
            if (entry.key == key or (entry.key.len == key.len and entry.key.eqlBytes(key))) return number;
        }
    }

    fn probeBytes(self: *const Record, key: []const u8, hash: u32) ?u32 {
        const mask = self.index_cap - 1;
        var slot = hash & mask;
        while (true) : (slot = (slot + 1) & mask) {
            const number = self.index[slot];
            if (number == 0) return null;
            const entry = &self.entries[number - 1];
            if (entry.hash == hash and std.mem.eql(u8, entry.key.bytes(), key)) return number - 1;
        }
    }

    /// The value under a key, borrowed.
    pub inline fn get(self: *const Record, key: *Str) ?Value {
        return if (self.find(key)) |i| self.entries[i].value else null;
    }

    /// The value under a key given as bytes, borrowed.
    pub fn getBytes(self: *const Record, key: []const u8) ?Value {
        return if (self.findBytes(key)) |i| self.entries[i].value else null;
    }

    /// Insert at the end or replace in place. Takes over the value's reference and borrows the key;
    /// on failure nothing has changed and the caller keeps the value.
    pub fn put(self: *Record, key: *Str, item: Value) Error!void {
        if (self.find(key)) |i| return self.replace(i, item);
        try self.insert(key, item);
    }

    /// As `put`, for a key known to be absent.
    pub fn insert(self: *Record, key: *Str, item: Value) Error!void {
        if (self.len == self.cap) try self.grow(@as(u64, self.cap) + self.cap / 2 + 2);
        if (self.len >= linear_max and self.index_cap < self.cap * 2) try self.buildIndex();
        const i = self.len;
        const hash = key.hashed();
        self.entries[i] = .{ .key = key.retain(), .hash = hash, .value = item };
        self.len += 1;
        if (self.index_cap > 0) self.addToIndex(i, hash);
        self.note(item);
    }

    /// As `put`, into a record that was made for at most `linear_max` entries and has room for this one: cannot fail.
    pub inline fn putReserved(self: *Record, key: *Str, item: Value) void {
        const hash = key.hashed();
        for (self.slice(), 0..) |*entry, i| {
            if (entry.hash == hash and entry.key.eql(key)) return self.replace(@intCast(i), item);
        }
        self.entries[self.len] = .{ .key = key.retain(), .hash = hash, .value = item };
        self.len += 1;
        self.note(item);
    }

    /// Take in the entry that was written behind the last one, where `reserve` has made room; whether its key is new.
    /// Otherwise nothing has changed. What its value says about the record is left to `note`.
    pub inline fn admit(self: *Record) bool {
        const entry = &self.entries[self.len];
        if (self.index_cap > 0) {
            if (!self.claimSlot(self.len)) return false;
        } else for (self.slice()) |*other| {
            if (other.hash == entry.hash and other.key.eql(entry.key)) return false;
        }
        self.len += 1;
        return true;
    }

    /// Enter an entry into the index; whether its key was not there yet.
    fn claimSlot(self: *Record, i: u32) bool {
        const entry = &self.entries[i];
        const mask = self.index_cap - 1;
        var slot = entry.hash & mask;
        while (self.index[slot] != 0) : (slot = (slot + 1) & mask) {
            const other = &self.entries[self.index[slot] - 1];
            if (other.hash == entry.hash and other.key.eql(entry.key)) return false;
        }
        self.index[slot] = i + 1;
        return true;
    }

    /// Make room for `more` further entries, index included, so that inserting them cannot fail.
    pub fn reserve(self: *Record, more: usize) Error!void {
        const total = @as(u64, self.len) + more;
        if (total > self.cap) try self.grow(total);
        if (total > linear_max and self.index_cap < self.cap * 2) try self.buildIndex();
    }

    /// Take an entry out. Cannot fail; takes time in proportion to the entries.
    pub fn remove(self: *Record, i: u32) void {
        const gone = self.entries[i];
        std.mem.copyForwards(Entry, self.entries[i .. self.len - 1], self.entries[i + 1 .. self.len]);
        self.len -= 1;
        if (self.index_cap > 0) {
            @memset(self.index[0..self.index_cap], 0);
            for (self.slice(), 0..) |*entry, at| self.addToIndex(@intCast(at), entry.hash);
        }
        gone.key.release();
        gone.value.release();
    }

    /// Put a value, whose reference is taken over, in the place of another.
    pub fn replace(self: *Record, i: u32, item: Value) void {
        const old = self.entries[i].value;
        self.entries[i].value = item;
        self.note(item);
        self.is_loose = self.is_loose or old.isContainer();
        old.release();
    }

    /// Take into account that `item` is now a value of the record.
    pub inline fn note(self: *Record, item: Value) void {
        if (item.isContainer() or item.tag == .projection) {
            self.height = @max(self.height, item.height() + 1);
            self.is_loose = self.is_loose or item.isLoose();
            self.projections = self.projections or item.mayHoldProjection();
        }
    }

    noinline fn grow(self: *Record, total: u64) Error!void {
        if (total > 0x07ff_ffff) return error.OutOfMemory;
        const room: u32 = @intCast(total);
        const entries = try heap.realloc(@ptrCast(@alignCast(self.entries)), self.cap * @sizeOf(Entry), room * @sizeOf(Entry));
        self.entries = @ptrCast(entries);
        self.cap = room;
    }

    fn indexSize(cap: u32) u32 {
        return std.math.ceilPowerOfTwo(u32, cap * 2) catch unreachable; // cap is below 2^27
    }

    noinline fn buildIndex(self: *Record) Error!void {
        const slots = indexSize(self.cap);
        const memory: [*]u32 = @ptrCast(try heap.alloc(slots * 4));
        if (self.index_cap > 0) heap.free(@ptrCast(@alignCast(self.index)), self.index_cap * 4);
        @memset(memory[0..slots], 0);
        self.index = memory;
        self.index_cap = slots;
        for (self.slice(), 0..) |*entry, i| self.addToIndex(@intCast(i), entry.hash);
        state.spend(slots);
    }

    fn addToIndex(self: *Record, i: u32, hash: u32) void {
        const mask = self.index_cap - 1;
        var slot = hash & mask;
        while (self.index[slot] != 0) slot = (slot + 1) & mask;
        self.index[slot] = i + 1;
    }

    /// A shallow copy with room for `extra` more entries.
    pub fn clone(self: *const Record, extra: usize) Error!*Record {
        const other = try Record.create(@as(usize, self.len) + extra);
        errdefer {
            other.len = 0;
            other.destroy();
        }
        if (self.len > linear_max) {
            const slots = if (extra == 0 and indexSize(other.cap) == self.index_cap) self.index_cap else indexSize(other.cap);
            other.index = @ptrCast(try heap.alloc(slots * 4));
            other.index_cap = slots;
            if (slots == self.index_cap) {
                @memcpy(other.index[0..slots], self.index[0..slots]);
            } else {
                @memset(other.index[0..slots], 0);
                for (self.slice(), 0..) |*entry, i| other.addToIndex(@intCast(i), entry.hash);
            }
        }
        for (self.slice(), 0..) |*entry, i| {
            other.entries[i] = .{ .key = entry.key.retain(), .hash = entry.hash, .value = entry.value.retain() };
        }
        other.len = self.len;
        other.height = self.height;
        other.is_loose = self.is_loose;
        other.projections = self.projections;
        state.spend(self.len);
        return other;
    }

    /// The record in `slot`, made the only reference to its object by a shallow copy if it was shared.
    pub fn unique(slot: *Value) Error!*Record {
        const self = slot.asRecord();
        if (self.rc == 1) return self;
        const other = try self.clone(0);
        self.rc -= 1;
        slot.* = Value.fromRecord(other);
        return other;
    }

    /// Whether the record is exactly a result wrapper (chapter 3).
    pub fn isWrapper(self: *const Record) bool {
        return self.isWrapperIf(null);
    }

    /// The same, where `ok` is another value than the one held: what a projection stands for.
    pub fn isWrapperIf(self: *const Record, ok: ?Value) bool {
        if (self.len != 2) return false;
        const first = &self.entries[0];
        const second = &self.entries[1];
        if (std.mem.eql(u8, first.key.bytes(), "ok")) return wrapperPair(ok orelse first.value, second.key.bytes());
        if (std.mem.eql(u8, second.key.bytes(), "ok")) return wrapperPair(ok orelse second.value, first.key.bytes());
        return false;
    }
};

fn wrapperPair(ok: Value, other: []const u8) bool {
    if (ok.tag != .bool) return false;
    return std.mem.eql(u8, other, if (ok.asBool()) "value" else "error");
}

test "entries keep their order and are found before and after the index exists" {
    heap.reset();
    heap.init(64 << 20);
    const r = try Record.create(0);
    var buffer: [16]u8 = undefined;
    for (0..1000) |i| {
        const key = try string.copy(try std.fmt.bufPrint(&buffer, "k{d}", .{i}));
        try r.put(key, Value.fromInt(@intCast(i)));
        try r.put(key, Value.fromInt(@intCast(i * 2)));
        key.release();
    }
    try std.testing.expectEqual(@as(u32, 1000), r.len);
    for (0..1000) |i| {
        const key = try std.fmt.bufPrint(&buffer, "k{d}", .{i});
        try std.testing.expectEqual(@as(?u32, @intCast(i)), r.findBytes(key));
        try std.testing.expectEqual(@as(i64, @intCast(i * 2)), r.getBytes(key).?.asInt());
    }
    try std.testing.expectEqual(@as(?u32, null), r.findBytes("nope"));
    const other = try r.clone(5);
    try std.testing.expectEqual(@as(?u32, 999), other.findBytes("k999"));
    r.release();
    other.release();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}

test "an entry is admitted once, before and after the index exists" {
    heap.reset();
    heap.init(64 << 20);
    for ([_]u32{ 1, linear_max, linear_max + 1, 1000 }) |count| {
        const r = try Record.create(count);
        try r.reserve(count);
        var buffer: [16]u8 = undefined;
        for (0..count) |i| {
            // Every key but the first is tried after one that is there already.
            for ([_]usize{ i / 2, i }) |number| {
                const key = try string.copy(try std.fmt.bufPrint(&buffer, "k{d}", .{number}));
                r.entries[r.len] = .{ .key = key, .hash = key.hashed(), .value = Value.fromInt(@intCast(i)) };
                const before = r.len;
                try std.testing.expectEqual(number >= before, r.admit());
                if (r.len == before) key.release();
            }
            const added = try std.fmt.bufPrint(&buffer, "k{d}", .{i});
            try std.testing.expectEqual(@as(?u32, @intCast(i)), r.findBytes(added));
        }
        try std.testing.expectEqual(count, r.len);
        r.release();
    }
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}
