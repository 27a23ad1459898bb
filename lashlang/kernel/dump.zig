//! Writing a portable snapshot: the variables, and a suspended block's values, with sharing kept (docs/vm.md, "Snapshots").
//!
//! What is written is `[shared, variables, values]`: the shared parts, each referring to earlier ones only; the
//! variables in state order; the values of a block that is suspended (suspended.zig). It comes in pieces, so that
//! its size is not memory that the machine needs, and so that the host is not kept waiting long.
//!
//! Beyond the extension types of the wire: 3 refers to a shared part by its number, 4 is a slice of a shared text,
//! `[number, first byte, bytes]`, and 5 stands where no value does: nil for an unbound variable, a number for an
//! answer that broke that limit, a text for an answer that failed with it.

const std = @import("std");
const state = @import("state.zig");
const value = @import("value.zig");
const text_form = @import("text_form.zig");
const wire = @import("wire.zig");
const sharing = @import("sharing.zig");
const requests = @import("requests.zig");
const vm = @import("vm.zig");

const Value = value.Value;

pub const ext_reference = 3;
pub const ext_slice = 4;
pub const ext_special = 5;

/// A piece is at least this long, unless it is the last.
const piece = 1 << 17;

const Open = struct { container: Value, next: u32 };
/// The containers being written, outermost first.
var stack: [text_form.depth_max + 8]Open = undefined;
var depth: usize = 0;

const Stage = enum { nothing, shared, variables, values };
var stage: Stage = .nothing;
/// The next of `sharing.order`, or of `roots`.
var next: u32 = 0;
/// The block's values, borrowed.
pub var roots: sharing.Growing(Value) = .{};

/// Give up the snapshot being written, if there is one.
pub fn cancel() void {
    // Values are collected before anything is begun, and memory may have ended meanwhile.
    if (stage == .nothing and roots.items.len == 0) return;
    stage = .nothing;
    depth = 0;
    roots.clear();
    sharing.clear();
}

/// Prepare to write the variables and `roots`. Nothing may change until `more` has said that all is written.
pub fn begin() error{OutOfMemory}!void {
    stage = .shared;
    next = 0;
    depth = 0;
    if (vm.globals) |variables| try sharing.walk(Value.fromRecord(variables));
    for (roots.slice()) |root| try sharing.walk(root);
    sharing.assignNumbers();
}

/// Write the next piece; whether it was the last.
pub fn more(out: *wire.Writer) state.Error!bool {
    while (out.len < piece) {
        if (depth > 0) {
            try proceed(out);
        } else if (try nextRoot(out)) {
            cancel();
            return true;
        }
    }
    return false;
}

/// Write, or begin to write, what stands next at the top level; whether there was nothing any more.
fn nextRoot(out: *wire.Writer) state.Error!bool {
    switch (stage) {
        .nothing => return true,
        .shared => {
            if (next == 0) {
                try out.array(3);
                try out.array(sharing.shared_count);
            }
            const items = sharing.order.slice();
            while (next < items.len and !sharing.isWritten(items[next])) next += 1;
            if (next < items.len) {
                const item = items[next];
                next += 1;
                if (item.tag == .unbound) try out.text(sharing.ownerOf(item).shown()) else try content(out, item);
            } else {
                stage = .variables;
                if (vm.globals) |variables| try content(out, Value.fromRecord(variables)) else try out.mapping(0);
            }
        },
        .variables => {
            stage = .values;
            next = 0;
            try out.array(roots.len);
        },
        .values => {
            if (next == roots.len) return true;
            next += 1;
            const item = roots.slice()[next - 1];
            if (item.tag == .unbound or item.tag == .list and item.aux == requests.failure_aux) {
                try special(out, item);
            } else try put(out, item);
        },
    }
    return false;
}

/// Write on in the innermost open container: to its end, up to a container in it, or until a piece is full.
fn proceed(out: *wire.Writer) state.Error!void {
    const level = depth;
    const top = &stack[level - 1];
    if (top.container.tag == .list) {
        const items = top.container.asList().slice();
        while (top.next < items.len) {
            const item = items[top.next];
            top.next += 1;
            try put(out, item);
            if (depth > level or out.len >= piece) return;
        }
    } else {
        const entries = top.container.asRecord().slice();
        while (top.next < entries.len) {
            const entry = &entries[top.next];
            top.next += 1;
            try put(out, Value.fromStr(entry.key));
            try put(out, entry.value);
            if (depth > level or out.len >= piece) return;
        }
    }
    depth -= 1;
}

/// Write a value where it stands: as a reference, if it is shared.
inline fn put(out: *wire.Writer, v: Value) state.Error!void {
    if (!v.isObject()) return out.scalar(v, .exact);
    const number = sharing.numberOf(v);
    return if (number == sharing.none) content(out, v) else reference(out, number);
}

fn content(out: *wire.Writer, v: Value) state.Error!void {
    switch (v.tag) {
        .list, .record => {
            if (v.tag == .list) try out.array(v.asList().len) else try out.mapping(v.asRecord().len);
            stack[depth] = .{ .container = v, .next = 0 };
            depth += 1;
        },
        .string => {
            const text = v.asStr();
            const part = sharing.sliceOf(text) orelse return out.text(text.bytes());
            if (part.is_whole) return reference(out, part.number);
            var inside: [16]u8 = undefined;
            inside[0] = 0x93;
            inside[1] = 0xce;
            std.mem.writeInt(u32, inside[2..6], part.number, .big);
            inside[6] = 0xce;
            std.mem.writeInt(u32, inside[7..11], part.start, .big);
            inside[11] = 0xce;
            std.mem.writeInt(u32, inside[12..16], text.len, .big);
            try out.raw(&.{ 0xd8, ext_slice });
            try out.raw(&inside);
        },
        else => try out.scalar(v, .exact),
    }
}

fn reference(out: *wire.Writer, number: u32) error{OutOfMemory}!void {
    var head: [6]u8 = undefined;
    head[1] = ext_reference;
    if (number < 1 << 8) {
        head[0] = 0xd4;
        head[2] = @intCast(number);
        try out.raw(head[0..3]);
    } else if (number < 1 << 16) {
        head[0] = 0xd5;
        std.mem.writeInt(u16, head[2..4], @intCast(number), .big);
        try out.raw(head[0..4]);
    } else {
        head[0] = 0xd6;
        std.mem.writeInt(u32, head[2..6], number, .big);
        try out.raw(head[0..6]);
    }
}

/// What stands where no value does.
fn special(out: *wire.Writer, v: Value) state.Error!void {
    if (v.tag == .list) {
        const text = v.asList().items[0].asStr().bytes();
        try out.raw(&.{ 0xc9, 0, 0, 0, 0, ext_special });
        const start = out.len;
        try out.text(text);
        std.mem.writeInt(u32, out.buffer[start - 5 ..][0..4], @intCast(out.len - start), .big);
    } else if (v.aux == unbound_mark) {
        try out.raw(&.{ 0xd4, ext_special, 0xc0 });
    } else try out.raw(&.{ 0xd4, ext_special, @intCast(v.aux) });
}

/// What tells an unbound variable from an answer that broke a limit; both are `unbound` to the VM.
pub const unbound_mark = std.math.maxInt(u32);
