//! Which objects occur more than once in a set of values: what a portable snapshot has to write once and refer
//! to, so that its size follows the memory used and not the expanded size of the values (chapter 15).
//!
//! A walk visits every object once, in the order in which the snapshot writes them. An object whose reference
//! count is 1 cannot occur twice, so only the others are looked up.
//!
//! Texts have one more way to share: views show parts of an owner's bytes (string.zig). Where the texts shown are
//! longer together than what the owner holds, the snapshot writes the owner's bytes once and the texts as slices of
//! them. Otherwise each is written out, which also leaves behind what nobody shows any more.
//!
//! The order in which things are first met decides their numbers, and what is written out alone is never shared:
//! so a restored state, written again, gives the same bytes.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const value = @import("value.zig");
const text_form = @import("text_form.zig");

const Error = error{OutOfMemory};
const Str = value.Str;
const Value = value.Value;

/// Not numbered.
pub const none = std.math.maxInt(u32);

/// An object that may occur more than once.
const Seen = struct { object: usize = 0, count: u32 = 0, number: u32 = none };

/// The owner of bytes that texts show: how many all of them show, and its number among the shared parts.
const Owner = struct { object: usize = 0, wanted: u64 = 0, number: u32 = none };

var seen: Table(Seen) = .{};
var owners: Table(Owner) = .{};
/// What may be shared, parts before wholes: values, and owners as `unbound` with their address.
pub var order: Growing(Value) = .{};
/// How many of these are shared.
pub var shared_count: u32 = 0;

/// Number what the values that were walked over share.
pub fn assignNumbers() void {
    shared_count = 0;
    for (order.slice()) |item| {
        if (item.tag == .unbound) {
            const entry = owners.find(@intCast(item.bits)).?;
            if (entry.wanted > ownerOf(item).shown().len) entry.number = take();
        } else {
            const entry = seen.find(@intCast(item.bits)).?;
            if (entry.count < 2) continue;
            const whole = if (item.tag == .string) sliceOf(item.asStr()) else null;
            entry.number = if (whole) |part| if (part.is_whole) part.number else take() else take();
        }
    }
}

fn take() u32 {
    defer shared_count += 1;
    return shared_count;
}

/// Free everything.
pub fn clear() void {
    seen.clear();
    owners.clear();
    order.clear();
}

/// The owner that an item of `order` stands for.
pub fn ownerOf(item: Value) *Str {
    return item.asStr();
}

/// Whether an item of `order` is written among the shared parts.
pub fn isWritten(item: Value) bool {
    if (item.tag == .unbound) return owners.find(@intCast(item.bits)).?.number != none;
    if (seen.find(@intCast(item.bits)).?.number == none) return false;
    return item.tag != .string or !isWhole(item.asStr());
}

/// The number of an object among the shared parts, `none` where it is written out in its place.
pub inline fn numberOf(v: Value) u32 {
    if (!v.isObject() or v.isUnique()) return none;
    return (seen.find(@intCast(v.bits)) orelse return none).number;
}

/// A text as a part of shared bytes.
pub const Slice = struct { number: u32, start: u32, is_whole: bool };

/// How a text is written as a part of its owner's bytes; null where it is written out.
pub fn sliceOf(text: *Str) ?Slice {
    if (owners.count == 0) return null;
    const owner = text.owner() orelse return null;
    const entry = owners.find(@intFromPtr(owner)) orelse return null;
    if (entry.number == none) return null;
    const start: u32 = @intCast(text.ptr - owner.ptr);
    return .{ .number = entry.number, .start = start, .is_whole = text.len == owner.shown().len };
}

fn isWhole(text: *Str) bool {
    return if (sliceOf(text)) |part| part.is_whole else false;
}

const Open = struct { container: Value, next: u32 = 0 };
/// The containers being walked over, outermost first.
var stack: [text_form.depth_max + 8]Open = undefined;
var depth: usize = 0;

/// Take all that a value consists of into account.
pub fn walk(start: Value) Error!void {
    depth = 0;
    try enter(start);
    while (depth > 0) {
        const level = depth;
        const top = &stack[level - 1];
        if (top.container.tag == .list) {
            const items = top.container.asList().slice();
            while (top.next < items.len and depth == level) {
                const item = items[top.next];
                top.next += 1;
                if (item.isObject()) try enter(item);
            }
        } else {
            const entries = top.container.asRecord().slice();
            while (top.next < entries.len and depth == level) {
                const entry = &entries[top.next];
                top.next += 1;
                try enterText(entry.key);
                if (entry.value.isObject()) try enter(entry.value);
            }
        }
        if (depth > level) continue;
        if (!top.container.isUnique()) try order.add(top.container);
        depth -= 1;
    }
}

/// Count an occurrence of a value; a container whose parts are to be walked over is put on the stack.
inline fn enter(v: Value) Error!void {
    switch (v.tag) {
        .string => try enterText(v.asStr()),
        .list, .record => {
            if (!v.isUnique()) {
                try seen.makeRoom();
                if (!isFirst(v)) return;
            }
            stack[depth] = .{ .container = v };
            depth += 1;
        },
        .image, .projection => if (!v.isUnique()) {
            try seen.makeRoom();
            if (isFirst(v)) try order.add(v);
        },
        else => {},
    }
}

inline fn enterText(text: *Str) Error!void {
    if (text.len < 2) return;
    if (text.rc != 1) {
        try seen.makeRoom();
        if (!isFirst(Value.fromStr(text))) return;
    } else if (text.cap != 0) return;
    try enterNewText(text);
}

/// Take a text into account that is met for the first time, and may be shared or show a part of its owner's bytes.
fn enterNewText(text: *Str) Error!void {
    if (text.owner()) |owner| {
        try owners.makeRoom();
        const entry = owners.findOrAdd(@intFromPtr(owner));
        if (entry.wanted == 0) try order.add(.{ .tag = .unbound, .bits = @intFromPtr(owner) });
        entry.wanted += text.len;
    }
    if (text.rc != 1) try order.add(Value.fromStr(text));
}

/// Count an occurrence of an object, for which there is room; whether it is the first.
inline fn isFirst(v: Value) bool {
    const entry = seen.findOrAdd(@intCast(v.bits));
    entry.count += 1;
    return entry.count == 1;
}

/// Open addressing by the address of an object. Its memory is a message's: a state that fills the machine's memory
/// can still be written.
fn Table(comptime Item: type) type {
    return struct {
        const Self = @This();
        items: []Item = &.{},
        count: u32 = 0,

        inline fn slot(self: *const Self, object: usize) usize {
            return (@as(u32, @truncate(object >> 4)) *% 0x9e37_79b1) >> @intCast(@clz(@as(u32, @intCast(self.items.len - 1))));
        }

        /// The item of an object, if it has one.
        inline fn find(self: *const Self, object: usize) ?*Item {
            if (self.count == 0) return null;
            const item = self.probe(object);
            return if (item.object == 0) null else item;
        }

        inline fn probe(self: *const Self, object: usize) *Item {
            var at = self.slot(object);
            while (true) : (at = (at + 1) & (self.items.len - 1)) {
                const item = &self.items[at];
                if (item.object == object or item.object == 0) return item;
            }
        }

        /// Make room for one more item.
        inline fn makeRoom(self: *Self) Error!void {
            if (self.count >= self.items.len / 2) try self.grow();
        }

        /// The item of an object, a new one, for which there is room, if it has none.
        inline fn findOrAdd(self: *Self, object: usize) *Item {
            const item = self.probe(object);
            if (item.object == 0) {
                item.* = .{ .object = object };
                self.count += 1;
            }
            return item;
        }

        fn grow(self: *Self) Error!void {
            const size = @max(256, self.items.len * 2);
            const bytes = std.math.mul(usize, size, @sizeOf(Item)) catch return error.OutOfMemory;
            const memory: [*]Item = @ptrCast(try heap.allocMessage(bytes));
            const old = self.items;
            self.items = memory[0..size];
            @memset(self.items, .{});
            for (old) |item| if (item.object != 0) {
                self.probe(item.object).* = item;
            };
            free(Item, old);
        }

        fn clear(self: *Self) void {
            free(Item, self.items);
            self.* = .{};
        }
    };
}

/// A list of plain items in a message's memory.
pub fn Growing(comptime Item: type) type {
    return struct {
        const Self = @This();
        items: []Item = &.{},
        len: u32 = 0,

        pub fn slice(self: *const Self) []Item {
            return self.items[0..self.len];
        }

        pub fn add(self: *Self, item: Item) Error!void {
            if (self.len == self.items.len) {
                const room = self.len * 2 + 64;
                const size = std.math.mul(usize, room, @sizeOf(Item)) catch return error.OutOfMemory;
                const memory: [*]Item = @ptrCast(if (self.len == 0)
                    try heap.allocMessage(size)
                else
                    try heap.reallocMessage(@ptrCast(@alignCast(self.items.ptr)), self.items.len * @sizeOf(Item), size));
                self.items = memory[0..room];
            }
            self.items[self.len] = item;
            self.len += 1;
        }

        pub fn clear(self: *Self) void {
            free(Item, self.items);
            self.* = .{};
        }
    };
}

fn free(comptime Item: type, items: []Item) void {
    if (items.len > 0) heap.freeMessage(@ptrCast(@alignCast(items.ptr)), items.len * @sizeOf(Item));
}
