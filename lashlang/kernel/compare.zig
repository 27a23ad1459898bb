//! Equality, order, weight and `contains`, with what they cost (chapters 3 and 16.1).
//!
//! Walks follow shared parts each time they occur, because that is what the units count; `memo` remembers pairs
//! and values that came up before, so that values which double at each level cost what they are, not what they
//! would be when written out. Walks stop once the fuel cannot pay for what they have found.
//!
//! Operands must be free of projections.

const std = @import("std");
const state = @import("state.zig");
const value = @import("value.zig");
const number = @import("number.zig");
const utf8 = @import("utf8.zig");
const search = @import("search.zig");
const coerce = @import("coerce.zig");

const Error = state.Error;
const Value = value.Value;
const Str = value.Str;

pub const Equality = struct {
    equal: bool,
    /// What the comparison costs, to be charged as bulk fuel.
    units: u64,
};

/// Compare two values. `limit_exceeded` when the fuel left cannot pay for the comparison.
pub fn equal(a: Value, b: Value) Error!Equality {
    if (!a.isContainer() or a.tag != b.tag) {
        var units: u64 = 1;
        const same = scalarsEqual(a, b, &units);
        return .{ .equal = same, .units = units };
    }
    var walk = Walk.begin(0);
    const same = try walk.pair(a, b);
    return .{ .equal = same, .units = walk.units };
}

/// Several comparisons of one operation, whose units add up: begin, call `equals`, charge `units`.
pub const Series = struct {
    walk: Walk,

    pub fn begin() Series {
        return .{ .walk = Walk.begin(0) };
    }
    pub fn equals(self: *Series, a: Value, b: Value) Error!bool {
        return self.walk.pair(a, b);
    }
    pub fn units(self: *const Series) u64 {
        return self.walk.units;
    }
};

const Walk = struct {
    units: u64,
    most: u64,
    /// Values visited by this walk.
    progress: state.Progress = .{},

    fn begin(units: u64) Walk {
        Memo.clear();
        return .{ .units = units, .most = state.bulkLeft() };
    }

    fn pair(self: *Walk, a: Value, b: Value) Error!bool {
        const before_pair = self.units;
        self.units +|= 1;
        if (a.tag != b.tag or !a.isContainer()) {
            const same = scalarsEqual(a, b, &self.units);
            if (self.units > self.most) return state.outOfFuel();
            try self.progress.add(1 + (self.units - before_pair) / 64);
            return same;
        }
        if (self.units > self.most) return state.outOfFuel();
        try self.progress.add(1);
        const shared = refs(a) > 1 and refs(b) > 1;
        if (shared) if (Memo.find(a.bits, b.bits)) |known| {
            self.units +|= known;
            if (self.units > self.most) return state.outOfFuel();
            return true;
        };
        const before = self.units;
        const same = if (a.tag == .list) try self.lists(a.asList(), b.asList()) else try self.records(a.asRecord(), b.asRecord());
        if (same and shared) Memo.store(a.bits, b.bits, self.units - before);
        return same;
    }

    fn lists(self: *Walk, a: *value.List, b: *value.List) Error!bool {
        if (a.len != b.len) return false;
        state.spend(a.len);
        for (a.slice(), b.slice()) |x, y| if (!try self.pair(x, y)) return false;
        return true;
    }

    fn records(self: *Walk, a: *value.Record, b: *value.Record) Error!bool {
        if (a.len != b.len) return false;
        state.spend(a.len);
        for (a.slice(), 0..) |*entry, i| {
            // Records of one origin have their keys in one order.
            const beside = &b.entries[i];
            const other = if (beside.hash == entry.hash and beside.key.eql(entry.key)) beside.value else b.get(entry.key) orelse {
                self.units +|= 1;
                if (self.units > self.most) return state.outOfFuel();
                return false;
            };
            if (!try self.pair(entry.value, other)) return false;
        }
        return true;
    }
};

fn refs(v: Value) u32 {
    return if (v.tag == .list) v.asList().rc else v.asRecord().rc;
}

/// Equality of values that are not both lists or both records; adds what two texts cost beyond the 1.
fn scalarsEqual(a: Value, b: Value, units: *u64) bool {
    if (a.tag != b.tag) {
        if (a.isNumber() and b.isNumber()) return number.eql(coerce.toNum(a), coerce.toNum(b));
        return false;
    }
    switch (a.tag) {
        .int, .bool => return a.bits == b.bits,
        .float => return a.asFloat() == b.asFloat(),
        .null => return true,
        .string => {
            const x = a.asStr();
            const y = b.asStr();
            units.* +|= @min(x.chars, y.chars);
            return x.eql(y);
        },
        .image => return imagesEqual(a.asImage(), b.asImage()),
        else => return false,
    }
}

fn imagesEqual(a: *value.Image, b: *value.Image) bool {
    return a == b or (a.size == b.size and a.width == b.width and a.height == b.height and a.id.eql(b.id) and a.label.eql(b.label));
}

/// What walks have found out about shared containers: units of equal pairs, or weights (`b` is 0). A small table in
/// which later entries displace earlier ones, emptied when a walk begins.
const Memo = struct {
    const Entry = struct { a: u64, b: u64, units: u64, round: u32 };
    const size = 256;
    var entries: [size]Entry = @splat(.{ .a = 0, .b = 0, .units = 0, .round = 0 });
    var round: u32 = 0;

    fn clear() void {
        round +%= 1;
        if (round == 0) { // entries of 2^32 walks ago must not come back
            entries = @splat(.{ .a = 0, .b = 0, .units = 0, .round = 0 });
            round = 1;
        }
    }

    fn slot(a: u64, b: u64) *Entry {
        const mixed = (a ^ (b << 32) ^ (b >> 32)) *% 0x9e3779b97f4a7c15;
        return &entries[@intCast(mixed >> 56)];
    }

    fn find(a: u64, b: u64) ?u64 {
        const entry = slot(a, b);
        return if (entry.round == round and entry.a == a and entry.b == b) entry.units else null;
    }

    fn store(a: u64, b: u64, units: u64) void {
        slot(a, b).* = .{ .a = a, .b = b, .units = units, .round = round };
    }
};

/// The weight of a value (16.1); the walk stops beyond `cap`, with a result above it.
pub fn weight(v: Value, cap: u64) Error!u64 {
    Memo.clear();
    var progress: state.Progress = .{};
    return weigh(v, cap, &progress);
}

fn weigh(v: Value, cap: u64, progress: *state.Progress) Error!u64 {
    switch (v.tag) {
        .string => return 1 + @as(u64, v.asStr().chars),
        .list, .record => {},
        else => return 1,
    }
    const shared = refs(v) > 1;
    if (shared) if (Memo.find(v.bits, 0)) |known| return known;
    var total: u64 = 1;
    const count = if (v.tag == .list) v.asList().len else v.asRecord().len;
    state.spend(count);
    try progress.add(count);
    for (0..count) |i| {
        const part = if (v.tag == .list) v.asList().items[i] else v.asRecord().entries[i].value;
        total +|= try weigh(part, cap -| total, progress);
        if (total > cap) return total;
    }
    if (shared) Memo.store(v.bits, 0, total);
    return total;
}

/// Order of two texts by code point; costs the shorter length.
pub fn orderStrings(a: *Str, b: *Str) std.math.Order {
    state.spend(@min(a.len, b.len) / 16);
    return utf8.order(a.bytes(), b.bytes());
}

/// Order of two numbers by exact value; null if either is NaN.
pub fn orderNumbers(a: Value, b: Value) ?std.math.Order {
    return number.order(coerce.toNum(a), coerce.toNum(b));
}

/// `contains(haystack, needle)` with its bulk fuel; the 1 of the call is the caller's. `name` is what messages call the
/// operation (`in` or `contains`).
pub fn contains(name: []const u8, haystack: Value, needle: Value) Error!bool {
    switch (haystack.tag) {
        .string => {
            const wanted = try coerce.strOf(needle);
            defer wanted.release();
            return stringContains(haystack.asStr(), wanted);
        },
        .list => {
            var series = Series.begin();
            const found = for (haystack.asList().slice()) |item| {
                if (try series.equals(item, needle)) break true;
            } else false;
            state.spend(series.walk.progress.units);
            try state.bulk(series.units());
            return found;
        },
        .record => {
            const key = try coerce.strOf(needle);
            defer key.release();
            return haystack.asRecord().find(key) != null;
        },
        .null => return false,
        else => return state.fail(.type_error, .none, "`{s}` needs a string, list, record or null to look in, got {s}", .{ name, haystack.typeName() }),
    }
}

fn stringContains(haystack: *Str, needle: *Str) Error!bool {
    const found = search.find(haystack.bytes(), needle.bytes(), 0);
    const seen: u64 = if (found) |at| haystack.indexOf(@intCast(at)) + @as(u64, needle.chars) else haystack.chars;
    state.spend(seen / 16);
    try state.bulk(seen);
    return found != null;
}

// ---------------------------------------------------------------------------------------------------------------------

const testing = std.testing;
const heap = @import("heap.zig");
const string = @import("string.zig");

fn fresh() void {
    heap.reset();
    heap.init(64 << 20);
    state.fuel_used = 0;
    state.beginSlice(true);
}

fn listOf(items: []const Value) Value {
    const l = value.List.create(items.len) catch unreachable;
    for (items) |item| l.appendReserved(item.retain());
    return Value.fromList(l);
}

fn recordOf(keys: []const []const u8, items: []const Value) Value {
    const r = value.Record.create(keys.len) catch unreachable;
    for (keys, items) |key, item| {
        const k = string.copy(key) catch unreachable;
        defer k.release();
        r.put(k, item.retain()) catch unreachable;
    }
    return Value.fromRecord(r);
}

fn expectEqual(same: bool, units: u64, a: Value, b: Value) !void {
    try testing.expectEqual(Equality{ .equal = same, .units = units }, try equal(a, b));
}

test "units of scalars and texts" {
    fresh();
    const int = Value.fromInt;
    const s = Value.fromStr(try string.copy("äbc"));
    const t = Value.fromStr(try string.copy("äbcde"));
    try expectEqual(true, 1, int(3), int(3));
    try expectEqual(false, 1, int(1), Value.true);
    try expectEqual(false, 1, int(9007199254740993), Value.fromFloatRaw(9007199254740994));
    try expectEqual(true, 1, int(9007199254740994), Value.fromFloatRaw(9007199254740994));
    try expectEqual(false, 4, s, t);
    try expectEqual(true, 4, s, s);
    s.release();
    t.release();
}

test "units of containers stop at the first unequal pair and NaN is unequal to itself" {
    fresh();
    const int = Value.fromInt;
    const a = listOf(&.{ int(1), int(2), int(3) });
    const b = listOf(&.{ int(1), int(9), int(3) });
    const short = listOf(&.{int(1)});
    const nan = listOf(&.{Value.fromFloatRaw(std.math.nan(f64))});
    try expectEqual(false, 3, a, b);
    try expectEqual(true, 4, a, a);
    try expectEqual(false, 1, a, short);
    try expectEqual(false, 2, nan, nan);
    const r = recordOf(&.{ "a", "b" }, &.{ int(1), int(2) });
    const q = recordOf(&.{ "b", "a" }, &.{ int(2), int(1) });
    const p = recordOf(&.{ "x", "a" }, &.{ int(2), int(1) });
    try expectEqual(true, 3, r, q);
    try expectEqual(false, 3, r, p);
    try expectEqual(false, 2, p, r);
    for ([_]Value{ a, b, short, nan, r, q, p }) |v| v.release();
    try testing.expectEqual(@as(u64, 0), heap.used());
}

test "shared parts count each time and the fuel stops what doubles sixty times" {
    fresh();
    var x = listOf(&.{Value.fromInt(1)});
    var y = listOf(&.{Value.fromInt(1)});
    var expected: u64 = 2;
    for (0..3) |_| {
        inline for (.{ &x, &y }) |v| {
            const next = listOf(&.{ v.*, v.* });
            v.release();
            v.* = next;
        }
        expected = 2 * expected + 1;
    }
    try expectEqual(true, expected, x, y);
    try testing.expectEqual(expected, try weight(x, 1000));
    for (0..57) |_| {
        inline for (.{ &x, &y }) |v| {
            const next = listOf(&.{ v.*, v.* });
            v.release();
            v.* = next;
        }
    }
    try testing.expect(try weight(x, 1 << 40) > 1 << 40);
    try testing.expectError(error.Fault, equal(x, y));
    try testing.expectEqual(state.Limit.fuel, state.fault.limit.?);
    x.release();
    y.release();
    try testing.expectEqual(@as(u64, 0), heap.used());
}

test "contains pays to the end of the match" {
    fresh();
    const text = Value.fromStr(try string.copy("ä" ** 100 ++ "xyz" ++ "b" ** 200));
    const needle = Value.fromStr(try string.copy("xyz"));
    try testing.expect(try contains("in", text, needle));
    try testing.expectEqual(@as(u64, 103 / 64), state.fuel_used);
    state.fuel_used = 0;
    try testing.expect(!try contains("in", text, Value.fromInt(7)));
    try testing.expectEqual(@as(u64, 303 / 64), state.fuel_used);
    try testing.expectError(error.Fault, contains("in", Value.fromInt(1), needle));
    text.release();
    needle.release();
    try testing.expectEqual(@as(u64, 0), heap.used());
}
