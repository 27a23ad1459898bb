//! validate and try_validate (chapter 11): a value against the JSON-Schema record of a Type.
//!
//! The walk is depth-first over value and schema at once, on a stack of its own: one frame per list,
//! record or union being looked into. Every step down goes at least one level down the schema, so the
//! schema's height bounds the stack, which is allocated before the walk. A mismatch inside a union only
//! ends the variant; outside of one it ends the walk, and the frames then spell the path to it.
//!
//! Every value met with a schema is one check, and the walk ends as soon as the checks made cannot be
//! paid (chapter 16). Long lists of names (`enum`, `required`) are looked up in an index made on first use.

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
    kind: enum { elements, fields, required, untried, variants },
    value: Value,
    /// `elements`: the items' schema. `fields`, `required`: the record's. `untried`, `variants`: the union's.
    schema: Value,
    /// The element, field, required name or variant being looked at.
    index: u32,
};

const Walk = struct {
    schema: Value,
    frames: [*]Frame,
    room: u32,
    depth: u32 = 0,
    checks: u64 = 0,
    most: u64,
    index: NameIndex = .{},

    fn begin(name: []const u8, type_value: Value) Error!Walk {
        const schema = schemaOf(type_value) orelse
            return state.fail(.type_error, .validate, "`{s}` needs a Type as its second argument, got {s}", .{ name, type_value.typeName() });
        try text_form.checkSize(type_value);
        const room = @as(u32, type_value.height()) + 1;
        const frames = try heap.alloc(room * @sizeOf(Frame));
        return .{ .schema = schema, .frames = @ptrCast(frames), .room = room, .most = state.bulkLeft() };
    }

    fn end(self: *Walk) void {
        heap.free(@ptrCast(@alignCast(self.frames)), self.room * @sizeOf(Frame));
        self.index.clear();
        state.spend(self.checks * 2);
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
            if (self.frames[at].kind != .variants) continue;
            self.depth = at + 1;
            self.frames[at].index += 1;
            return true;
        }
        return false;
    }

    /// Match the value of the innermost frame, a union, with the variant whose turn it is.
    fn variant(self: *Walk) Error!?Reason {
        const frame = self.frames[self.depth - 1];
        const variants = unionOf(frame.schema).?;
        if (frame.index < variants.len) return self.check(frame.value, variants.items[frame.index]);
        self.depth -= 1;
        return .{ .kind = .no_variant, .schema = frame.schema, .found = frame.value };
    }

    /// Look at the next part of what the innermost frame is about, or leave it.
    fn step(self: *Walk) Error!?Reason {
        const frame = &self.frames[self.depth - 1];
        switch (frame.kind) {
            .untried => {
                frame.kind = .variants;
                return self.variant();
            },
            .variants => self.depth -= 1, // the variant has matched
            .elements => {
                const items = frame.value.asList().slice();
                frame.index +%= 1;
                if (frame.index < items.len) return self.check(items[frame.index], frame.schema);
                self.depth -= 1;
            },
            .fields => {
                const fields = propertiesOf(frame.schema);
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
                const names = requiredOf(frame.schema);
                frame.index +%= 1;
                if (names == null or frame.index >= names.?.len) {
                    self.depth -= 1;
                    return null;
                }
                const name = names.?.items[frame.index];
                if (name.tag != .string) return null;
                if (propertiesOf(frame.schema)) |fields| if (fields.find(name.asStr()) != null) return null;
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
        if (self.checks % 1024 == 0) try state.admit(self.checks * 2);
        if (schema.tag != .record) return null;
        if (unionOf(schema) != null) {
            self.push(.{ .kind = .untried, .value = v, .schema = schema, .index = 0 });
            return null;
        }
        if (enumOf(schema)) |names| {
            if (v.tag != .string) return .{ .kind = .wrong_type, .schema = schema, .found = v };
            if (try self.index.holds(names, v.asStr())) return null;
            return .{ .kind = .not_listed, .schema = schema, .found = v };
        }
        const wanted = kindOf(schema) orelse return null;
        if (!wanted.accepts(v)) return .{ .kind = .wrong_type, .schema = schema, .found = v };
        switch (wanted) {
            .array => if (member(schema, "items")) |items| {
                self.push(.{ .kind = .elements, .value = v, .schema = items, .index = std.math.maxInt(u32) });
            },
            .object => self.push(.{ .kind = .fields, .value = v, .schema = schema, .index = std.math.maxInt(u32) }),
            else => {},
        }
        return null;
    }

    /// The stack has a frame for each level of the schema.
    fn push(self: *Walk, frame: Frame) void {
        self.frames[self.depth] = frame;
        self.depth += 1;
    }

    fn isRequired(self: *Walk, schema: Value, name: *Str) Error!bool {
        return self.index.holds(requiredOf(schema) orelse return false, name);
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
