//! Sorting: what `sort` and `sort_by` need and no more.
//!
//! Keys are turned into `Item`s, a 64-bit rank and the element's number. A rank orders as its key does:
//! exactly for integers; for floats and mixed numbers by the nearest binary64, for texts by the first
//! eight bytes, and there equal ranks are told apart by the keys themselves. So nearly every comparison
//! is one of two integers, and descending order is the complement of the rank. The sort is a bottom-up
//! merge sort over short insertion-sorted runs: stable, no recursion, O(n log n) at worst and O(n) on
//! sorted input.
//!
//! NaN and then missing keys (null) never take part: they come last in both directions, in their order.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const value = @import("value.zig");
const number = @import("number.zig");
const utf8 = @import("utf8.zig");
const coerce = @import("coerce.zig");

const Error = state.Error;
const Value = value.Value;

/// How keys compare.
pub const Order = enum { integers, numbers, strings };

/// What `examine` has found out about a list of keys.
pub const Keys = struct {
    order: Order,
    /// Weight of the list of keys (16.1).
    weight: u64,
};

/// Check that values are all numbers or all strings, for the builtin `name`.
pub fn examine(name: []const u8, keys: []const Value) Error!Keys {
    return examineAll(name, keys, false);
}

/// As `examine`, with null standing for a missing key.
pub fn examineWithMissing(name: []const u8, keys: []const Value) Error!Keys {
    return examineAll(name, keys, true);
}

fn examineAll(name: []const u8, keys: []const Value, missing: bool) Error!Keys {
    var weight: u64 = 1 + @as(u64, keys.len);
    var strings: ?bool = null;
    var integers = true;
    for (keys, 0..) |key, i| {
        switch (key.tag) {
            .int => {},
            .float => integers = false,
            .string => weight += key.asStr().chars,
            else => {
                if (missing and key.tag == .null) continue;
                return state.fail(.type_error, .none, "`{s}` needs numbers or strings, got {s} at index {d}", .{ name, key.typeName(), i });
            },
        }
        const is_string = key.tag == .string;
        if ((strings orelse is_string) != is_string) {
            return state.fail(.type_error, .none, "`{s}` needs all numbers or all strings, got {s} at index {d}", .{ name, key.typeName(), i });
        }
        strings = is_string;
    }
    const order: Order = if (strings orelse false) .strings else if (integers) .integers else .numbers;
    return .{ .order = order, .weight = weight };
}

/// What sorting `keys` costs: their weight times the bits of their number.
pub fn cost(keys: Keys, count: usize) u64 {
    return keys.weight *| (64 - @clz(@as(u64, count)));
}

// --- ranks ---------------------------------------------------------------------------------------

const Item = struct { rank: u64, index: u32 };

const top_bit = @as(u64, 1) << 63;

fn rankOf(key: Value, order: Order) u64 {
    switch (order) {
        .integers => return @as(u64, @bitCast(key.asInt())) ^ top_bit,
        .numbers => {
            const bits: u64 = @bitCast(number.toFloat(coerce.toNum(key)));
            return if (bits & top_bit != 0) ~bits else bits | top_bit;
        },
        .strings => {
            const bytes = key.asStr().bytes();
            if (bytes.len >= 8) return std.mem.readInt(u64, bytes[0..8], .big);
            var rank: u64 = 0;
            for (bytes, 0..) |byte, i| rank |= @as(u64, byte) << @intCast(56 - 8 * i);
            return rank;
        },
    }
}

const Context = struct {
    keys: []const Value,
    order: Order,
    descending: bool,

    /// Whether `b`, which stands behind `a`, has to go before it.
    inline fn before(self: *const Context, comptime exact: bool, b: Item, a: Item) bool {
        if (b.rank != a.rank or exact) return b.rank < a.rank;
        return self.tie(b.index, a.index);
    }

    noinline fn tie(self: *const Context, b: u32, a: u32) bool {
        const found = if (self.order == .strings)
            utf8.order(self.keys[b].asStr().bytes(), self.keys[a].asStr().bytes())
        else
            number.order(coerce.toNum(self.keys[b]), coerce.toNum(self.keys[a])).?; // no NaN comes here
        return found == if (self.descending) std.math.Order.gt else std.math.Order.lt;
    }
};

// --- sorting -------------------------------------------------------------------------------------

/// Write the numbers of the elements in sorted order into `order`, which is as long as `keys`.
pub fn permutation(keys: []const Value, kind: Order, descending: bool, order: []u32) Error!void {
    const bytes = @max(keys.len, 1) * @sizeOf(Item);
    const items_memory = try heap.alloc(bytes);
    defer heap.free(items_memory, bytes);
    const spare_memory = try heap.alloc(bytes);
    defer heap.free(spare_memory, bytes);
    const items = @as([*]Item, @ptrCast(items_memory))[0..keys.len];
    const spare = @as([*]Item, @ptrCast(spare_memory))[0..keys.len];
    var count: usize = 0;
    var missing: usize = 0;
    for (keys, 0..) |key, i| {
        if (key.tag == .null) missing += 1;
        if (takesNoPart(key)) continue;
        const rank = rankOf(key, kind);
        items[count] = .{ .rank = if (descending) ~rank else rank, .index = @intCast(i) };
        count += 1;
    }
    const context: Context = .{ .keys = keys, .order = kind, .descending = descending };
    const sorted = if (kind == .integers)
        try mergeSort(true, &context, items[0..count], spare[0..count])
    else
        try mergeSort(false, &context, items[0..count], spare[0..count]);
    for (sorted, 0..) |item, i| order[i] = item.index;
    if (count == keys.len) return;
    var nan_at = count;
    var missing_at = keys.len - missing;
    for (keys, 0..) |key, i| {
        if (!takesNoPart(key)) continue;
        const at = if (key.tag == .null) &missing_at else &nan_at;
        order[at.*] = @intCast(i);
        at.* += 1;
    }
}

fn takesNoPart(key: Value) bool {
    return key.tag == .null or (key.tag == .float and std.math.isNan(key.asFloat()));
}

const run = 12;

/// Sort `items` with the help of `spare`; the sorted items are in the one that is returned.
fn mergeSort(comptime exact: bool, context: *const Context, items: []Item, spare: []Item) Error![]Item {
    var progress: state.Progress = .{};
    var start: usize = 0;
    while (start < items.len) : (start += run) insertionSort(exact, context, items[start..@min(start + run, items.len)]);
    var from = items;
    var to = spare;
    var width: usize = run;
    while (width < items.len) : (width *|= 2) {
        var left: usize = 0;
        while (left < from.len) : (left +|= 2 *| width) {
            const middle = @min(left + width, from.len);
            const right = @min(middle +| width, from.len);
            merge(exact, context, from[left..middle], from[middle..right], to[left..right]);
            try progress.add(right - left);
        }
        std.mem.swap([]Item, &from, &to);
    }
    return from;
}

fn insertionSort(comptime exact: bool, context: *const Context, items: []Item) void {
    for (1..items.len) |i| {
        const item = items[i];
        var at = i;
        while (at > 0 and context.before(exact, item, items[at - 1])) : (at -= 1) items[at] = items[at - 1];
        items[at] = item;
    }
}

fn merge(comptime exact: bool, context: *const Context, left: []const Item, right: []const Item, out: []Item) void {
    if (right.len == 0 or !context.before(exact, right[0], left[left.len - 1])) {
        @memcpy(out[0..left.len], left);
        @memcpy(out[left.len..], right);
        return;
    }
    var l: usize = 0;
    var r: usize = 0;
    var at: usize = 0;
    // Which side is next is unpredictable; selecting without a branch is what makes this fast.
    while (l < left.len and r < right.len) : (at += 1) {
        const take_right = context.before(exact, right[r], left[l]);
        out[at] = if (take_right) right[r] else left[l];
        r += @intFromBool(take_right);
        l += @intFromBool(!take_right);
    }
    @memcpy(out[at..][0 .. left.len - l], left[l..]);
    @memcpy(out[at + left.len - l ..], right[r..]);
}
