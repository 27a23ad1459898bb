//! validate and try_validate (chapter 11): a value against the JSON-Schema record of a Type.
//!
//! The walk is depth-first over value and schema at once, on a stack of its own: one frame per list,
//! record or union being looked into. Every step down goes at least one level down the schema, so the
//! schema's height bounds the stack, which is allocated before the walk. A mismatch inside a union only
//! ends the variant; outside of one it ends the walk, and the frames then spell the path to it.
//!
//! Every value met with a schema is one check, and the walk ends as soon as the checks made cannot be
//! paid (chapter 16). Long lists of names (`enum`, `required`) are looked up in an index made on first use, and a
//! small memo keeps a value and a schema that are met again and again, as parts of shared values or in one variant
//! after another, from costing what they describe.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const number = @import("number.zig");
const coerce = @import("coerce.zig");
const text_form = @import("text_form.zig");
const image_shape = @import("image_shape.zig");
const mismatch = @import("mismatch.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;
const Str = calling.Str;
const List = calling.List;
const Record = calling.Record;
const Reason = mismatch.Reason;

pub fn validate(args: []const Value) Error!Value {
    var walk = try Walk.begin("validate", args[1]);
    defer walk.end();
    if (try walk.run(args[0])) |reason| {
        var message: mismatch.Clip = .{};
        try walk.describe(&message, reason);
        return state.fail(.validation_failed, .none, "{s}", .{message.text()});
    }
    try state.bulk(walk.checks);
    return args[0].retain();
}

pub fn tryValidate(args: []const Value) Error!Value {
    var walk = try Walk.begin("try_validate", args[1]);
    defer walk.end();
    if (try walk.run(args[0])) |reason| {
        var message: string.Builder = .{};
        errdefer message.deinit();
        try walk.describe(&message, reason);
        return calling.wrapperResult(false, Value.fromStr(message.finish()), walk.checks);
    }
    return calling.wrapperResult(true, args[0].retain(), walk.checks);
}

/// The schema of a Type value; null for a value that is none.
pub fn schemaOf(v: Value) ?Value {
    if (v.tag != .record or v.asRecord().len != 1) return null;
    return v.asRecord().getBytes("$lash_type");
}

/// What the walk is inside of. `schema` and `value` are borrowed from the arguments.
const Frame = struct {
    const Phase = enum { elements, fields, required, untried, variants };

    kind: Phase,
    value: Value,
    /// The schema of the value, which may be a union.
    schema: Value,
    /// The element, field, required name or variant being looked at.
    index: u32,
    /// The checks made before the one that made this frame.
    before: u64,
};

const Walk = struct {
    schema: Value,
    frames: [*]Frame,
    room: u32,
    depth: u32 = 0,
    /// Unions whose variants are being tried, around what is being checked.
    unions: u32 = 0,
    /// Checks made, those known from the memo included.
    checks: u64 = 0,
    /// Checks that have not come from the memo.
    progress: state.Progress = .{},
    most: u64,
    index: NameIndex = .{},

    fn begin(name: []const u8, type_value: Value) Error!Walk {
        const schema = schemaOf(type_value) orelse
            return state.fail(.type_error, .validate, "`{s}` needs a Type as its second argument, got {s}", .{ name, type_value.typeName() });
        try text_form.checkSize(type_value);
        const room = @as(u32, type_value.height()) + 1;
        const frames = try heap.alloc(room * @sizeOf(Frame));
        Memo.clear();
        Shape.clear();
        return .{ .schema = schema, .frames = @ptrCast(frames), .room = room, .most = state.bulkLeft() };
    }

    fn end(self: *Walk) void {
        heap.free(@ptrCast(@alignCast(self.frames)), self.room * @sizeOf(Frame));
        self.index.clear();
        state.spend(self.progress.units);
    }

    /// The reason why the value does not match, null when it does. The frames left are those of the path to it.
    fn run(self: *Walk, v: Value) Error!?Reason {
        var failure = try self.check(v, self.schema);
        while (true) {
            if (failure) |reason| {
                if (!self.backToUnion()) return reason;
                failure = try self.variant();
            } else if (self.depth == 0) {
                return null;
            } else failure = try self.step();
        }
    }

    /// After a mismatch, go back to the innermost union and on to its next variant; false when there is none.
    fn backToUnion(self: *Walk) bool {
        var at = self.depth;
        while (at > 0) {
            at -= 1;
            if (self.frames[at].kind != .variants) {
                self.remember(&self.frames[at], false);
                continue;
            }
            self.depth = at + 1;
            self.frames[at].index += 1;
            return true;
        }
        return false;
    }

    /// Leave the innermost frame, whose value has matched.
    fn leave(self: *Walk) void {
        self.depth -= 1;
        self.remember(&self.frames[self.depth], true);
    }

    fn remember(self: *const Walk, frame: *const Frame, matches: bool) void {
        Memo.store(frame.value, frame.schema, .{ .more = self.checks - frame.before - 1, .matches = matches });
    }

    /// Match the value of the innermost frame, a union, with the variant whose turn it is.
    fn variant(self: *Walk) Error!?Reason {
        const frame = self.frames[self.depth - 1];
        const variants = Shape.of(frame.schema).variants.?;
        if (frame.index < variants.len) return self.check(frame.value, variants.items[frame.index]);
        self.depth -= 1;
        self.unions -= 1;
        self.remember(&frame, false);
        return .{ .kind = .no_variant, .schema = frame.schema, .found = frame.value };
    }

    /// Look at the next part of what the innermost frame is about, or leave it.
    fn step(self: *Walk) Error!?Reason {
        const frame = &self.frames[self.depth - 1];
        switch (frame.kind) {
            .untried => {
                frame.kind = .variants;
                self.unions += 1;
                return self.variant();
            },
            .variants => {
                self.unions -= 1;
                self.leave();
            },
            .elements => {
                const items = frame.value.asList().slice();
                const wanted = Shape.of(frame.schema).items.?;
                while (true) {
                    frame.index +%= 1;
                    if (frame.index >= items.len) break self.leave();
                    const depth = self.depth;
                    if (try self.check(items[frame.index], wanted)) |reason| return reason;
                    if (self.depth != depth) break;
                }
            },
            .fields => {
                const fields = Shape.of(frame.schema).properties;
                frame.index +%= 1;
                if (fields == null or frame.index >= fields.?.len) {
                    frame.kind = .required;
                    frame.index = std.math.maxInt(u32);
                    return null;
                }
                const entry = &fields.?.entries[frame.index];
                if (fieldOf(frame.value, entry.key)) |v| return self.check(v, entry.value);
                if (try self.isRequired(frame.schema, entry.key)) return .{ .kind = .missing, .schema = Value.fromStr(entry.key), .found = frame.value };
            },
            .required => {
                const shape = Shape.of(frame.schema);
                const names = shape.required;
                frame.index +%= 1;
                if (names == null or frame.index >= names.?.len) {
                    self.leave();
                    return null;
                }
                const name = names.?.items[frame.index];
                if (name.tag != .string) return null;
                if (shape.properties) |fields| if (fields.find(name.asStr()) != null) return null;
                const v = fieldOf(frame.value, name.asStr()) orelse return .{ .kind = .missing, .schema = name, .found = frame.value };
                return self.check(v, Value.null);
            },
        }
        return null;
    }

    /// One check: the reason of a mismatch that shows at once. What has parts gets a frame.
    fn check(self: *Walk, v: Value, schema: Value) Error!?Reason {
        self.checks += 1;
        if (self.checks > self.most) return state.outOfFuel();
        try self.progress.add(2);
        if (schema.tag != .record) return null;
        const shape = Shape.of(schema);
        if (shape.variants != null) return self.enter(.untried, v, schema, 0);
        if (shape.names) |names| {
            if (v.tag != .string) return .{ .kind = .wrong_type, .schema = schema, .found = v };
            if (try self.index.holds(names, v.asStr())) return null;
            return .{ .kind = .not_listed, .schema = schema, .found = v };
        }
        const wanted = shape.kind orelse return null;
        if (!wanted.accepts(v)) return .{ .kind = .wrong_type, .schema = schema, .found = v };
        return switch (wanted) {
            .array => if (shape.items != null) self.enter(.elements, v, schema, std.math.maxInt(u32)) else null,
            .object => self.enter(.fields, v, schema, std.math.maxInt(u32)),
            else => null,
        };
    }

    /// Go into a value that has parts or a schema that has variants, unless the memo knows how that ends.
    fn enter(self: *Walk, kind: Frame.Phase, v: Value, schema: Value, index: u32) Error!?Reason {
        // A mismatch is looked at again where it ends the walk, for its reason; inside a union the reason is lost.
        if (Memo.find(v, schema)) |known| if (known.matches or self.unions > 0) {
            self.checks += known.more;
            if (self.checks > self.most) return state.outOfFuel();
            return if (known.matches) null else .{ .kind = .no_variant, .schema = schema, .found = v };
        };
        self.push(.{ .kind = kind, .value = v, .schema = schema, .index = index, .before = self.checks - 1 });
        return null;
    }

    /// The stack has a frame for each level of the schema.
    fn push(self: *Walk, frame: Frame) void {
        self.frames[self.depth] = frame;
        self.depth += 1;
    }

    fn isRequired(self: *Walk, schema: Value, name: *Str) Error!bool {
        return self.index.holds(Shape.of(schema).required orelse return false, name);
    }

    /// Write the message for a mismatch at the place the frames describe.
    fn describe(self: *Walk, sink: anytype, reason: Reason) Error!void {
        try sink.append("value does not match its type at $");
        for (self.frames[0..self.depth], 1..) |*frame, next| {
            // A missing field is reported at its record, which is the innermost frame.
            if (next == self.depth and reason.kind == .missing) break;
            switch (frame.kind) {
                .untried, .variants => {},
                .elements => try mismatch.appendIndex(sink, frame.index),
                .fields => {
                    try sink.append(".");
                    try sink.append(propertiesOf(frame.schema).?.entries[frame.index].key.bytes());
                },
                .required => {
                    try sink.append(".");
                    try sink.append(requiredOf(frame.schema).?.items[frame.index].asStr().bytes());
                },
            }
        }
        try sink.append(": ");
        try mismatch.append(sink, reason);
    }
};

// --- reading a schema ----------------------------------------------------------------------------

/// The types a schema may name.
pub const Kind = enum {
    string,
    integer,
    number,
    boolean,
    null,
    object,
    array,

    fn accepts(self: Kind, v: Value) bool {
        return switch (self) {
            .string => v.tag == .string,
            .integer => v.isNumber() and number.isWhole(coerce.toNum(v)),
            .number => v.isNumber() and number.isFinite(coerce.toNum(v)),
            .boolean => v.tag == .bool,
            .null => v.tag == .null,
            .object => v.tag == .record or v.tag == .image,
            .array => v.tag == .list,
        };
    }
};

fn member(schema: Value, comptime name: []const u8) ?Value {
    const key = string.static(name);
    defer key.release();
    return schema.asRecord().get(key);
}

fn listMember(schema: Value, comptime name: []const u8) ?*List {
    const found = member(schema, name) orelse return null;
    return if (found.tag == .list) found.asList() else null;
}

/// The variants of a union.
pub fn unionOf(schema: Value) ?*List {
    return listMember(schema, "anyOf");
}

/// The list of an enum's texts.
pub fn enumOf(schema: Value) ?*List {
    return listMember(schema, "enum");
}

/// The type a schema names; null stands for any.
pub fn kindOf(schema: Value) ?Kind {
    const named = member(schema, "type") orelse return null;
    return if (named.tag == .string) std.meta.stringToEnum(Kind, named.asStr().bytes()) else null;
}

fn requiredOf(schema: Value) ?*List {
    return listMember(schema, "required");
}

/// What the walk looks at in a schema, found once for each of the schemas in turn.
const Shape = struct {
    schema: u64,
    variants: ?*List,
    names: ?*List,
    kind: ?Kind,
    items: ?Value,
    properties: ?*Record,
    required: ?*List,

    const size = 64;
    var known: [size]Shape = undefined;

    /// Forget the schemas of an earlier walk, which may be gone.
    fn clear() void {
        for (&known) |*shape| shape.schema = 0;
    }

    /// The shape of a schema, a record; good until the next one is asked for.
    fn of(schema: Value) *const Shape {
        const shape = &known[@intCast((schema.bits / 16) % size)];
        if (shape.schema != schema.bits) shape.* = .{
            .schema = schema.bits,
            .variants = unionOf(schema),
            .names = enumOf(schema),
            .kind = kindOf(schema),
            .items = member(schema, "items"),
            .properties = propertiesOf(schema),
            .required = requiredOf(schema),
        };
        return shape;
    }
};

/// How checks that went into a value ended, and how many they were besides the first; a small table in which later
/// entries displace earlier ones.
const Memo = struct {
    const Outcome = struct { more: u64, matches: bool };
    const Entry = struct { value: Value, schema: u64, outcome: Outcome };

    const size = 512;
    var entries: [size]Entry = undefined;

    /// Forget what an earlier walk has found.
    fn clear() void {
        for (&entries) |*entry| entry.schema = 0;
    }

    fn slot(v: Value, schema: Value) *Entry {
        const mixed = (v.bits ^ (schema.bits << 32) ^ (schema.bits >> 32)) *% 0x9e3779b97f4a7c15;
        return &entries[@intCast(mixed >> 55)];
    }

    fn find(v: Value, schema: Value) ?Outcome {
        const entry = slot(v, schema);
        const same = entry.schema == schema.bits and entry.value.bits == v.bits and entry.value.tag == v.tag;
        return if (same) entry.outcome else null;
    }

    fn store(v: Value, schema: Value, outcome: Outcome) void {
        slot(v, schema).* = .{ .value = v, .schema = schema.bits, .outcome = outcome };
    }
};

fn propertiesOf(schema: Value) ?*Record {
    const found = member(schema, "properties") orelse return null;
    return if (found.tag == .record) found.asRecord() else null;
}

/// A field of a record or an image, borrowed.
fn fieldOf(v: Value, name: *Str) ?Value {
    if (v.tag == .image) return image_shape.jsonField(v.asImage(), name.bytes());
    return v.asRecord().get(name);
}

// --- lists of names ------------------------------------------------------------------------------

/// Whether a text is in a list of names: by looking through a short list, by an index of a long one. Indexes are kept
/// until the walk ends, one per slot of a small table.
const NameIndex = struct {
    const short = 16;
    const size = 32;
    const Slot = struct { names: ?*List = null, index: ?*Record = null };

    slots: [size]Slot = @splat(.{}),

    fn clear(self: *NameIndex) void {
        for (&self.slots) |*slot| {
            if (slot.index) |index| index.release();
            slot.* = .{};
        }
    }

    fn holds(self: *NameIndex, names: *List, name: *Str) Error!bool {
        if (names.len > short) return (try self.indexOf(names)).find(name) != null;
        for (names.slice()) |known| if (known.tag == .string and known.asStr().eql(name)) return true;
        return false;
    }

    fn indexOf(self: *NameIndex, names: *List) Error!*Record {
        const slot = &self.slots[(@intFromPtr(names) / 16) % size];
        if (slot.names == names) return slot.index.?;
        const index = try Record.create(names.len);
        errdefer index.release();
        for (names.slice()) |known| if (known.tag == .string) try index.put(known.asStr(), Value.null);
        if (slot.index) |old| old.release();
        slot.* = .{ .names = names, .index = index };
        state.spend(names.len);
        return index;
    }
};
