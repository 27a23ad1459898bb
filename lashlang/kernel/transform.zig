//! Building one value from another of the same shape, without native recursion: `await` over lists and
//! records of handles, and reading the projections inside a value, are both this walk.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const value = @import("value.zig");

const Error = state.Error;
const Value = value.Value;
const List = value.List;
const Record = value.Record;

/// One container on the way down: what is copied, the copy so far, and the next element.
const Frame = struct { source: Value, copy: Value, next: u32 };

const frames_max = 600;
var frames: [frames_max]Frame = undefined;

/// The value `visit` makes of `source`. `visit(context, v)` gives the replacement of `v` (owned), or
/// null for a list or record whose elements are to be visited in turn. The result is owned. `value_depth`
/// must hold for `source`, so that `frames` suffices. Not re-entrant: `visit` must not transform.
pub fn map(source: Value, context: anytype, comptime visit: fn (@TypeOf(context), Value) Error!?Value) Error!Value {
    if (try visit(context, source)) |done| return done;
    var depth: usize = 0;
    errdefer for (frames[0..depth]) |frame| frame.copy.release();
    frames[0] = try open(source);
    depth = 1;
    while (true) {
        const frame = &frames[depth - 1];
        const item = nextItem(frame) orelse {
            const finished = frame.copy;
            depth -= 1;
            if (depth == 0) return finished;
            attach(&frames[depth - 1], finished);
            continue;
        };
        if (try visit(context, item)) |done| {
            attach(frame, done);
        } else {
            if (depth == frames_max) return state.exceeded(.value_depth);
            frames[depth] = try open(item);
            depth += 1;
        }
    }
}

fn open(source: Value) Error!Frame {
    state.spend(1);
    return .{ .source = source, .next = 0, .copy = switch (source.tag) {
        .list => Value.fromList(try List.create(source.asList().len)),
        else => blk: {
            const copy = try Record.create(source.asRecord().len);
            errdefer copy.release();
            try copy.reserve(source.asRecord().len);
            break :blk Value.fromRecord(copy);
        },
    } };
}

fn nextItem(frame: *const Frame) ?Value {
    if (frame.source.tag == .list) {
        const list = frame.source.asList();
        return if (frame.next < list.len) list.items[frame.next] else null;
    }
    const record = frame.source.asRecord();
    return if (frame.next < record.len) record.entries[frame.next].value else null;
}

/// Add the finished element; the room for it was made by `open`.
fn attach(frame: *Frame, item: Value) void {
    if (frame.source.tag == .list) {
        frame.copy.asList().appendReserved(item);
    } else {
        const key = frame.source.asRecord().entries[frame.next].key;
        frame.copy.asRecord().insert(key, item) catch unreachable; // room was reserved
    }
    frame.next += 1;
}
