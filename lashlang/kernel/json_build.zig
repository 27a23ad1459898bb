//! json_parse and try_json: from the scanner's tokens to values (chapters 4 and 10).
//!
//! Finished values wait on one growing stack until the container around them ends; it is then made in
//! exactly the size it needs. Records of one document share the texts of their keys.
//!
//! An error of the text comes before every limit (chapter 16), also one that stands behind the place
//! where a limit is passed. So the first limit met only ends the building; the rest is scanned for errors
//! and for texts over `string_size`, which is the first limit by rank, and then the limit is reported.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const list_file = @import("list.zig");
const record_file = @import("record.zig");
const utf8 = @import("utf8.zig");
const runs = @import("bytes.zig");
const json_scan = @import("json_scan.zig");
const image_shape = @import("image_shape.zig");
const coerce = @import("coerce.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;
const Str = calling.Str;
const List = calling.List;
const Record = calling.Record;

pub fn jsonParse(args: []const Value) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    var reading: Reading = .{ .scanner = .init(text.bytes(), json_scan.default_depth) };
    defer reading.deinit();
    switch (try reading.run(text)) {
        .value => |v| {
            errdefer v.release();
            try state.bulk(text.chars);
            return v;
        },
        .invalid => |err| return state.fail(.value_error, .none, "`json_parse`: the text is not valid JSON at offset {d}: {s}", .{
            utf8.count(text.bytes()[0..reading.scanner.offset]), json_scan.reason(err),
        }),
    }
}

pub fn tryJson(args: []const Value) Error!Value {
    const text = try coerce.strOf(args[0]);
    defer text.release();
    var reading: Reading = .{ .scanner = .init(text.bytes(), json_scan.default_depth) };
    defer reading.deinit();
    return switch (try reading.run(text)) {
        .value => |v| calling.wrapperResult(true, v, text.chars),
        .invalid => calling.wrapperResult(false, Value.fromStr(string.static("the text is not valid JSON")), text.chars),
    };
}

const Outcome = union(enum) { value: Value, invalid: json_scan.Error };

const cached_keys = 128;
const longest_cached = 64;

/// An open container: where its contents begin on the stack.
const Container = struct { start: u32, is_array: bool };

const Reading = struct {
    scanner: json_scan.Scanner,
    /// Finished values whose container is still open; before each value of a record, its key.
    stack: [*]Value = undefined,
    len: u32 = 0,
    cap: u32 = 0,
    open: [json_scan.default_depth]Container = undefined,
    depth: u32 = 0,
    progress: state.Progress = .{},
    /// Keys seen, by hash.
    keys: [cached_keys]?*Str = @splat(null),

    fn deinit(self: *Reading) void {
        for (self.keys) |key| if (key) |known| known.release();
        self.drop();
    }

    /// Forget everything built so far.
    fn drop(self: *Reading) void {
        for (self.stack[0..self.len]) |v| v.release();
        if (self.cap > 0) heap.free(@ptrCast(@alignCast(self.stack)), self.cap * @sizeOf(Value));
        self.len = 0;
        self.cap = 0;
    }

    fn run(self: *Reading, text: *Str) Error!Outcome {
        try state.admit(text.len / 4);
        state.spend(text.len / 4);
        const built = self.build() catch |err| {
            if (err != error.Fault) return err;
            return self.skim(state.fault.limit.?);
        };
        if (built == .value) {
            errdefer built.value.release();
            try value.checkDepth(built.value);
        }
        return built;
    }

    fn build(self: *Reading) Error!Outcome {
        while (true) {
            const token = @call(.always_inline, json_scan.Scanner.next, .{&self.scanner}) catch |err| return .{ .invalid = err };
            switch (token) {
                .array_begin, .object_begin => {
                    self.open[self.depth] = .{ .start = self.len, .is_array = token == .array_begin };
                    self.depth += 1;
                },
                .array_end => try self.endArray(),
                .object_end => try self.endObject(),
                .key => |text| try self.pushOwned(Value.fromStr(try self.keyOf(text))),
                .string => |text| try self.pushOwned(Value.fromStr(try textOf(text))),
                .number => |n| {
                    var v = coerce.fromNum(n.value);
                    if (!n.integer_form) v.aux = image_shape.not_plain;
                    try self.pushOwned(v);
                },
                .true => try self.pushOwned(Value.true),
                .false => try self.pushOwned(Value.false),
                .null => try self.pushOwned(Value.null),
                .end => {
                    self.len -= 1;
                    return .{ .value = self.stack[self.len] };
                },
            }
        }
    }

    /// Read on without building, for errors of the text; then report the limit.
    fn skim(self: *Reading, first: state.Limit) Error!Outcome {
        self.drop();
        var limit = first;
        while (true) {
            const token = self.scanner.next() catch |err| return .{ .invalid = err };
            switch (token) {
                .key, .string => |text| {
                    const long = text.raw.len > state.limitOf(.string_size);
                    if (long and json_scan.decodedLength(text) > state.limitOf(.string_size)) limit = .string_size;
                },
                .end => return state.exceeded(limit),
                else => {},
            }
        }
    }

    /// Put a value on the stack; consumes it also on failure.
    fn pushOwned(self: *Reading, v: Value) Error!void {
        errdefer v.release();
        try self.progress.add(1);
        if (self.len == self.cap) try self.grow();
        self.stack[self.len] = v;
        self.len += 1;
    }

    noinline fn grow(self: *Reading) Error!void {
        // Arrays that have become too long already need not wait for their end.
        for (self.open[0..self.depth], 1..) |container, next| {
            const end = if (next < self.depth) self.open[next].start else self.len;
            if (container.is_array) try list_file.checkCount(end - container.start);
        }
        const room = @max(64, self.cap + self.cap / 2);
        const bytes = @as(u64, room) * @sizeOf(Value);
        if (bytes > std.math.maxInt(u32)) return error.OutOfMemory;
        self.stack = @ptrCast(if (self.cap == 0)
            try heap.alloc(room * @sizeOf(Value))
        else
            try heap.realloc(@ptrCast(@alignCast(self.stack)), self.cap * @sizeOf(Value), room * @sizeOf(Value)));
        self.cap = room;
    }

    fn endArray(self: *Reading) Error!void {
        self.depth -= 1;
        const start = self.open[self.depth].start;
        const items = self.stack[start..self.len];
        try list_file.checkCount(items.len);
        const list = try List.create(items.len);
        for (items) |item| list.appendReserved(item);
        self.len = start;
        try self.pushOwned(Value.fromList(list));
    }

    fn endObject(self: *Reading) Error!void {
        self.depth -= 1;
        const start = self.open[self.depth].start;
        const members = self.stack[start..self.len];
        const record = try Record.create(members.len / 2);
        {
            errdefer record.release();
            try record.reserve(members.len / 2);
        }
        var i: usize = 0;
        while (i < members.len) : (i += 2) {
            const key = members[i].asStr();
            if (members.len / 2 <= record_file.linear_max) {
                record.putReserved(key, members[i + 1]);
            } else record.put(key, members[i + 1]) catch unreachable; // room was reserved
            key.release();
        }
        self.len = start;
        const v = Value.fromRecord(record);
        const image = image_shape.imageFrom(record) catch |err| {
            v.release();
            return err;
        };
        if (image) |found| {
            v.release();
            try self.pushOwned(found);
        } else {
            // Only now: an image has no entries, however many members its object has.
            list_file.checkCount(record.len) catch |err| {
                v.release();
                return err;
            };
            try self.pushOwned(v);
        }
    }

    /// The string for a key; owned.
    fn keyOf(self: *Reading, text: json_scan.Text) Error!*Str {
        if (text.escaped or text.raw.len > longest_cached) return textOf(text);
        const hash = string.hashOf(text.raw);
        const slot = &self.keys[hash % cached_keys];
        if (slot.*) |known| {
            const same = known.hash == hash and known.len == text.raw.len and runs.same(known.ptr, text.raw.ptr, known.len);
            if (same) return known.retain();
        }
        const key = try string.copy(text.raw);
        key.hash = hash;
        if (slot.*) |old| old.release();
        slot.* = key.retain();
        return key;
    }
};

fn textOf(text: json_scan.Text) Error!*Str {
    if (!text.escaped) return string.copy(text.raw);
    const decoded = try string.alloc(json_scan.decodedLength(text));
    const bytes = json_scan.decodeInto(decoded.ptr[0..decoded.len], text);
    decoded.chars = @intCast(utf8.count(bytes));
    return decoded;
}
