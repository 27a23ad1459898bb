//! Lists: a counted header and one growing array of values.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const value = @import("value.zig");

const Error = state.Error;
const Value = value.Value;

pub const List = extern struct {
    rc: u32 = 1,
    len: u32 = 0,
    cap: u32,
    /// Upper bound of the nesting depth, at least 1 (value.zig).
    height: u16 = 1,
    /// Whether a projection may be inside.
    projections: bool = false,
    /// Whether `height` may be more than the nesting depth, since something inside was replaced.
    is_loose: bool = false,
    items: [*]Value,

    /// An empty list with room for `room` elements.
    pub fn create(room: usize) Error!*List {
        if (room > 0x0fff_ffff) return error.OutOfMemory;
        const self: *List = @ptrCast(try heap.alloc(@sizeOf(List)));
        errdefer heap.free(@ptrCast(@alignCast(self)), @sizeOf(List));
        const items = try heap.alloc(@max(room, 1) * @sizeOf(Value));
        self.* = .{ .cap = @intCast(@max(room, 1)), .items = @ptrCast(items) };
        return self;
    }

    pub inline fn slice(self: *const List) []Value {
        return self.items[0..self.len];
    }

    pub inline fn release(self: *List) void {
        Value.fromList(self).release();
    }

    pub fn destroy(self: *List) void {
        for (self.slice()) |item| item.release();
        heap.free(@ptrCast(@alignCast(self.items)), self.cap * @sizeOf(Value));
        heap.free(@ptrCast(@alignCast(self)), @sizeOf(List));
    }

    /// Make room for `more` further elements.
    pub fn reserve(self: *List, more: usize) Error!void {
        const total = @as(u64, self.len) + more;
        if (total <= self.cap) return;
        try self.grow(total);
    }

    noinline fn grow(self: *List, total: u64) Error!void {
        if (total > 0x0fff_ffff) return error.OutOfMemory;
        const room: u32 = @intCast(@max(total, @as(u64, self.cap) + self.cap / 2 + 2));
        self.items = @ptrCast(try heap.realloc(@ptrCast(@alignCast(self.items)), self.cap * @sizeOf(Value), room * @sizeOf(Value)));
        self.cap = room;
    }

    /// Append a value, whose reference the list takes over; on failure the caller keeps it.
    pub inline fn append(self: *List, item: Value) Error!void {
        if (self.len == self.cap) try self.grow(@as(u64, self.len) + 1);
        self.appendReserved(item);
    }

    /// As `append`, where room is known to exist.
    pub inline fn appendReserved(self: *List, item: Value) void {
        self.items[self.len] = item;
        self.len += 1;
        self.note(item);
    }

    /// Take into account that `item` is now an element.
    pub inline fn note(self: *List, item: Value) void {
        if (item.isContainer() or item.tag == .projection) {
            self.height = @max(self.height, item.height() + 1);
            self.is_loose = self.is_loose or item.isLoose();
            self.projections = self.projections or item.mayHoldProjection();
        }
    }

    /// A shallow copy with room for `extra` more elements.
    pub fn clone(self: *const List, extra: usize) Error!*List {
        const other = try List.create(@as(usize, self.len) + extra);
        for (self.slice(), 0..) |item, i| other.items[i] = item.retain();
        other.len = self.len;
        other.height = self.height;
        other.is_loose = self.is_loose;
        other.projections = self.projections;
        state.spend(self.len);
        return other;
    }

    /// The list in `slot`, made the only reference to its object by a shallow copy if it was shared.
    pub fn unique(slot: *Value) Error!*List {
        const self = slot.asList();
        if (self.rc == 1) return self;
        const other = try self.clone(0);
        self.rc -= 1;
        slot.* = Value.fromList(other);
        return other;
    }
};

/// Check `list_size` for a list or record of `count` entries.
pub inline fn checkCount(count: u64) Error!void {
    if (count > state.limitOf(.list_size)) return state.exceeded(.list_size);
}

test "a shared list is copied before it changes and heights follow" {
    heap.reset();
    heap.init(16 << 20);
    const inner = try List.create(0);
    try inner.append(Value.fromInt(1));
    const outer = try List.create(1);
    try outer.append(Value.fromList(inner));
    try std.testing.expectEqual(@as(u16, 2), outer.height);
    var a = Value.fromList(outer);
    var b = a.retain();
    const own = try List.unique(&b);
    try own.append(Value.null);
    try std.testing.expectEqual(@as(u32, 1), a.asList().len);
    try std.testing.expectEqual(@as(u32, 2), b.asList().len);
    a.release();
    b.release();
    try std.testing.expectEqual(@as(u64, 0), heap.used());
}
