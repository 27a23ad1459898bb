//! Values. What a value is, in one page.
//!
//! A `Value` is 16 bytes: a tag, 32 spare bits and 64 bits of payload. null, booleans, integers and
//! floats live in the payload; text, lists, records, images and projections are pointers to counted
//! objects. `unbound` is the tag of an empty register, never of a value a program sees.
//!
//! Objects begin with a reference count. Values are trees without cycles (a program can only build
//! new values from finished ones), so counting alone reclaims everything. Sharing is never visible:
//! whoever wants to change an object first makes it unique (`List.unique`, `Record.unique`: in place
//! when the count is 1, otherwise a shallow copy), which is copy-on-write for every part of a path.
//!
//! Conventions: a function that *returns* a Value gives the caller a reference; parameters are
//! borrowed unless the name says `take`/`Owned`. `retain` and `release` are no-ops on scalars.
//!
//! Containers carry two summaries of what is below them. `height` is an upper bound of the nesting
//! depth (1 for an empty list); it is exact until an element is replaced (`is_loose` from then on), and
//! `checkDepth` makes it exact again before it refuses anything. `projections` says that a projection may
//! be inside.
//!
//! The heights bound native recursion: no value is nested deeper than `value_depth`, which the host
//! keeps at 512 or less, so walkers may recurse.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const list = @import("list.zig");
const record = @import("record.zig");

pub const Error = state.Error;
pub const Str = string.Str;
pub const List = list.List;
pub const Record = record.Record;

pub const Tag = enum(u32) {
    unbound = 0,
    null = 1,
    bool = 2,
    int = 3,
    float = 4,
    // From here on the payload points to a counted object.
    string = 5,
    list = 6,
    record = 7,
    image = 8,
    projection = 9,
    _,

    /// Whether a value of this tag is neither unbound nor a counted object.
    pub inline fn isScalar(tag: Tag) bool {
        return @intFromEnum(tag) -% 1 < 4;
    }
};

pub const Value = extern struct {
    tag: Tag,
    aux: u32 = 0,
    bits: u64 = 0,

    pub const unbound: Value = .{ .tag = .unbound };
    pub const @"null": Value = .{ .tag = .null };
    pub const @"true": Value = .{ .tag = .bool, .bits = 1 };
    pub const @"false": Value = .{ .tag = .bool, .bits = 0 };

    pub inline fn fromBool(b: bool) Value {
        return .{ .tag = .bool, .bits = @intFromBool(b) };
    }
    pub inline fn fromInt(i: i64) Value {
        return .{ .tag = .int, .bits = @bitCast(i) };
    }
    /// A float that is known not to be a canonical integer; see `number.canon` for the rule.
    pub inline fn fromFloatRaw(f: f64) Value {
        return .{ .tag = .float, .bits = @bitCast(f) };
    }
    /// A computed float, made canonical: finite, integral and at most 2^53 in size is the integer (chapter 3).
    pub inline fn fromFloat(f: f64) Value {
        if (@abs(f) <= 9007199254740992.0 and @trunc(f) == f) return fromInt(@intFromFloat(f));
        return fromFloatRaw(f);
    }
    // These take over the caller's reference.
    pub inline fn fromStr(s: *Str) Value {
        return .{ .tag = .string, .bits = @intFromPtr(s) };
    }
    pub inline fn fromList(l: *List) Value {
        return .{ .tag = .list, .bits = @intFromPtr(l) };
    }
    pub inline fn fromRecord(r: *Record) Value {
        return .{ .tag = .record, .bits = @intFromPtr(r) };
    }
    pub inline fn fromImage(i: *Image) Value {
        return .{ .tag = .image, .bits = @intFromPtr(i) };
    }
    pub inline fn fromProjection(p: *Projection) Value {
        return .{ .tag = .projection, .bits = @intFromPtr(p) };
    }

    pub inline fn asBool(v: Value) bool {
        return v.bits != 0;
    }
    pub inline fn asInt(v: Value) i64 {
        return @bitCast(v.bits);
    }
    pub inline fn asFloat(v: Value) f64 {
        return @bitCast(v.bits);
    }
    pub inline fn asStr(v: Value) *Str {
        return @ptrFromInt(@as(usize, @intCast(v.bits)));
    }
    pub inline fn asList(v: Value) *List {
        return @ptrFromInt(@as(usize, @intCast(v.bits)));
    }
    pub inline fn asRecord(v: Value) *Record {
        return @ptrFromInt(@as(usize, @intCast(v.bits)));
    }
    pub inline fn asImage(v: Value) *Image {
        return @ptrFromInt(@as(usize, @intCast(v.bits)));
    }
    pub inline fn asProjection(v: Value) *Projection {
        return @ptrFromInt(@as(usize, @intCast(v.bits)));
    }

    pub inline fn isNumber(v: Value) bool {
        return v.tag == .int or v.tag == .float;
    }
    pub inline fn isObject(v: Value) bool {
        return @intFromEnum(v.tag) >= @intFromEnum(Tag.string);
    }
    pub inline fn isContainer(v: Value) bool {
        return v.tag == .list or v.tag == .record;
    }

    /// Count one more reference; gives the value back for chaining.
    pub inline fn retain(v: Value) Value {
        if (v.isObject()) counter(v).* += 1;
        return v;
    }

    /// Count one reference less; the last one frees the object.
    pub inline fn release(v: Value) void {
        if (v.isObject()) releaseObject(v);
    }

    /// Whether this is the only reference to its object.
    pub inline fn isUnique(v: Value) bool {
        return counter(v).* == 1;
    }

    /// The type's name as errors print it (chapter 3). Projections must have been read before.
    pub fn typeName(v: Value) []const u8 {
        return switch (v.tag) {
            .null => "null",
            .bool => "bool",
            .int, .float => "number",
            .string => "string",
            .list => "list",
            .record => "record",
            .image => "image",
            .projection => "projection",
            .unbound, _ => "nothing",
        };
    }

    /// Truthiness (chapter 3); a projection must have been asked before.
    pub inline fn truthy(v: Value) bool {
        return switch (v.tag) {
            .bool => v.bits != 0,
            .int => v.bits != 0,
            .float => !std.math.isNan(v.asFloat()), // a canonical float is never zero
            .string => v.asStr().len != 0,
            .list => v.asList().len != 0,
            .record => v.asRecord().len != 0,
            .image, .projection => true,
            .null, .unbound, _ => false,
        };
    }

    /// Upper bound of the nesting depth: 0 for scalars, text, images and projections.
    pub inline fn height(v: Value) u16 {
        return switch (v.tag) {
            .list => v.asList().height,
            .record => v.asRecord().height,
            else => 0,
        };
    }

    /// Whether a projection may be this value or inside it.
    /// Whether the height may be more than the nesting depth.
    pub inline fn isLoose(v: Value) bool {
        return switch (v.tag) {
            .list => v.asList().is_loose,
            .record => v.asRecord().is_loose,
            else => false,
        };
    }
    pub inline fn mayHoldProjection(v: Value) bool {
        return switch (v.tag) {
            .list => v.asList().projections,
            .record => v.asRecord().projections,
            .projection => true,
            else => false,
        };
    }
};
comptime {
    std.debug.assert(@sizeOf(Value) == 16);
}

inline fn counter(v: Value) *u32 {
    return @ptrFromInt(@as(usize, @intCast(v.bits)));
}

fn releaseObject(v: Value) void {
    const count = counter(v);
    if (count.* > 1) {
        count.* -= 1;
        return;
    }
    destroy(v);
}

noinline fn destroy(v: Value) void {
    switch (v.tag) {
        .string => v.asStr().destroy(),
        .list => v.asList().destroy(),
        .record => v.asRecord().destroy(),
        .image => v.asImage().destroy(),
        .projection => v.asProjection().destroy(),
        else => {},
    }
}

/// Check `value_depth` for a value just built; makes stale heights exact before it refuses.
pub inline fn checkDepth(v: Value) Error!void {
    if (v.height() > state.limitOf(.value_depth)) try checkDepthSlow(v, 0);
}

/// Check `value_depth` for a value that will stand `extra` containers deep.
pub fn checkDepthBelow(v: Value, extra: usize) Error!void {
    if (v.height() + extra > state.limitOf(.value_depth)) try checkDepthSlow(v, extra);
}

fn checkDepthSlow(v: Value, extra: usize) Error!void {
    @branchHint(.cold);
    if (exactHeight(v) + extra > state.limitOf(.value_depth)) return state.exceeded(.value_depth);
}

/// Recompute a height from the children's, whose own are recomputed only where they are loose and could matter. So
/// this takes no longer than looking at every loose container once, however often it occurs.
fn exactHeight(v: Value) u16 {
    if (!v.isLoose()) return v.height();
    var best: u16 = 0;
    switch (v.tag) {
        .list => {
            const l = v.asList();
            for (l.slice()) |item| if (item.height() > best) {
                best = @max(best, exactHeight(item));
            };
            l.height = best + 1;
            l.is_loose = false;
            return l.height;
        },
        .record => {
            const r = v.asRecord();
            for (r.slice()) |*entry| if (entry.value.height() > best) {
                best = @max(best, exactHeight(entry.value));
            };
            r.height = best + 1;
            r.is_loose = false;
            return r.height;
        },
        else => return 0,
    }
}

/// An immutable image handle; a size over i64 does not occur, `width` and `height` are -1 for null.
pub const Image = extern struct {
    rc: u32 = 1,
    id: *Str,
    label: *Str,
    size: u64,
    width: i64,
    height: i64,

    /// A new image; takes over the references to `id` and `label`, also on failure.
    pub fn create(id: *Str, label: *Str, size: u64, width: ?u32, height: ?u32) Error!*Image {
        const memory = heap.alloc(@sizeOf(Image)) catch |err| {
            id.release();
            label.release();
            return err;
        };
        const self: *Image = @ptrCast(memory);
        self.* = .{
            .id = id,
            .label = label,
            .size = size,
            .width = if (width) |w| w else -1,
            .height = if (height) |h| h else -1,
        };
        return self;
    }

    fn destroy(self: *Image) void {
        self.id.release();
        self.label.release();
        heap.free(@ptrCast(@alignCast(self)), @sizeOf(Image));
    }
};

/// A lazy stand-in for a value the host holds: the host's number of the root, the name to show, and the
/// path of fields (text) and elements (integers) from the root, as a list value.
pub const Projection = extern struct {
    rc: u32 = 1,
    ref: u32,
    name: *Str,
    path: *List,

    /// A new projection; takes over the references to `name` and `path`, also on failure.
    pub fn create(ref: u32, name: *Str, path: *List) Error!*Projection {
        const memory = heap.alloc(@sizeOf(Projection)) catch |err| {
            name.release();
            Value.fromList(path).release();
            return err;
        };
        const self: *Projection = @ptrCast(memory);
        self.* = .{ .ref = ref, .name = name, .path = path };
        return self;
    }

    fn destroy(self: *Projection) void {
        self.name.release();
        Value.fromList(self.path).release();
        heap.free(@ptrCast(@alignCast(self)), @sizeOf(Projection));
    }
};
