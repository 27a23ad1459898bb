//! The builtins (chapters 10.1 and 10.2): dispatch, and what happens to projections among the arguments.
//!
//! A builtin works on ordinary values. Where an argument is or holds a projection, one of three things comes first:
//!
//!  - the projection is what a question of chapter 14 is about (`find(p, "x")`) and the other arguments are in order:
//!    the host is asked, and its answer is the result;
//!  - the builtin only moves elements about: what is in them passes through unread;
//!  - else everything in the argument is read.
//!
//! The 1 of the call has been charged by the interpreter.

const std = @import("std");
const state = @import("state.zig");
const value = @import("value.zig");
const projection = @import("projection.zig");
const Fiber = @import("fiber.zig").Fiber;
const texts = @import("builtins_text.zig");
const splits = @import("builtins_split.zig");
const numbers = @import("builtins_number.zig");
const lists = @import("builtins_list.zig");
const records = @import("builtins_record.zig");
const sorts = @import("builtins_sort.zig");
const uniques = @import("unique.zig");
const json_build = @import("json_build.zig");
const formats = @import("format.zig");
const types = @import("validate.zig");
const chunks = @import("chunk.zig");
const questions = @import("questions.zig");

const Error = state.Error;
const Value = value.Value;

pub const Builtin = @import("gen/builtins.zig").Builtin;

/// Call a builtin. Arguments are borrowed, the result is owned.
pub fn call(f: *Fiber, id: Builtin, args: []const Value) Error!Value {
    for (args) |arg| if (arg.mayHoldProjection()) return callReading(f, id, args);
    return compute(id, args);
}

/// The result for arguments that are free of projections wherever the builtin looks.
fn compute(id: Builtin, args: []const Value) Error!Value {
    const ahead = switch (id) {
        // These touch little of what they are given, or ask for admission themselves.
        .len, .empty, .type_of, .starts_with, .ends_with, .slice, .validate, .try_validate => 0,
        .find, .contains, .count => if (args[0].tag == .string) args[0].asStr().len / 64 else 0,
        else => sizeOf(args),
    };
    try state.admit(ahead);
    return dispatch(id, args);
}

/// About how much work it is to walk over all arguments once.
fn sizeOf(args: []const Value) u64 {
    var size: u64 = 0;
    for (args) |arg| size += switch (arg.tag) {
        .string => arg.asStr().len / 16,
        .list => arg.asList().len,
        .record => arg.asRecord().len,
        else => 0,
    };
    return size;
}

fn dispatch(id: Builtin, args: []const Value) Error!Value {
    return switch (id) {
        .len => lists.len(args),
        .empty => lists.empty(args),
        .keys => records.keys(args),
        .values => records.values(args),
        .contains => lists.contains(args),
        .find => texts.find(args),
        .grep_text => splits.grepText(args),
        .starts_with => texts.startsWith(args),
        .ends_with => texts.endsWith(args),
        .split => splits.split(args),
        .join => texts.join(args),
        .trim => texts.trim(args),
        .slice => lists.slice(args),
        .to_string => texts.toString(args),
        .to_int => numbers.toInt(args),
        .to_float => numbers.toFloat(args),
        .json_parse => json_build.jsonParse(args),
        .format => formats.format(args),
        .range => lists.range(args),
        .ceil_div => numbers.ceilDiv(args),
        .floor_div => numbers.floorDiv(args),
        .push => lists.push(args),
        .type_of => lists.typeOf(args),
        .validate => types.validate(args),
        .sum => numbers.sum(args),
        .min => numbers.min(args),
        .max => numbers.max(args),
        .abs => numbers.abs(args),
        .floor => numbers.floor(args),
        .ceil => numbers.ceil(args),
        .round => numbers.round(args),
        .sort => sorts.sort(args),
        .sort_by => sorts.sortBy(args),
        .reverse => lists.reverse(args),
        .unique => uniques.unique(args),
        .count => lists.count(args),
        .lower => texts.lower(args),
        .upper => texts.upper(args),
        .replace => texts.replace(args),
        .lines => splits.lines(args),
        .items => records.items(args),
        .merge => records.merge(args),
        .without => records.without(args),
        .flatten => lists.flatten(args),
        .zip => lists.zip(args),
        .enumerate => lists.enumerate(args),
        .group_by => sorts.groupBy(args),
        .json_text => texts.jsonText(args),
        .try_json => json_build.tryJson(args),
        .try_number => numbers.tryNumber(args),
        .try_validate => types.tryValidate(args),
        .to_fixed => numbers.toFixed(args),
        .pad_left => texts.padLeft(args),
        .pad_right => texts.padRight(args),
        .any => lists.any(args),
        .all => lists.all(args),
        .sqrt => numbers.sqrt(args),
        .log => numbers.log(args),
        .pow => numbers.pow(args),
        .chunk_spans => chunks.chunkSpans(args),
    };
}

// --- projections ---------------------------------------------------------------------------------

/// As `call`, with projections among the arguments.
noinline fn callReading(f: *Fiber, id: Builtin, args: []const Value) Error!Value {
    if (args[0].tag == .projection) {
        if (try questions.answer(f, id, args)) |found| return found;
    }
    if (args.len > most_read) return callReadingMany(f, id, args);
    var read: [most_read]Value = undefined;
    var count: usize = 0;
    defer for (read[0..count]) |v| v.release();
    var missing = false;
    for (args, 0..) |arg, i| {
        read[i] = readArgument(f, id, i, arg) catch |err| blk: {
            if (err != error.Suspend) return err;
            missing = true; // but what the other arguments lack is asked for in the same breath
            break :blk Value.null;
        };
        count += 1;
    }
    if (missing) return error.Suspend;
    return compute(id, read[0..count]);
}

const most_read = 8;

/// As `callReading`, for builtins of any number of arguments (`format`, `min`, `max`): their arguments as a list.
fn callReadingMany(f: *Fiber, id: Builtin, args: []const Value) Error!Value {
    const list = try value.List.create(args.len);
    defer list.release();
    for (args) |arg| list.appendReserved(arg.retain());
    const read = try projection.resolve(f, Value.fromList(list));
    defer read.release();
    return compute(id, read.asList().slice());
}

fn readArgument(f: *Fiber, id: Builtin, index: usize, arg: Value) Error!Value {
    if (!arg.mayHoldProjection()) return arg.retain();
    if (arg.tag == .projection) {
        if (id == .push and index == 1) return arg.retain();
        return projection.whole(f, arg.asProjection());
    }
    if (movesElements(id)) return arg.retain();
    return projection.resolve(f, arg);
}

/// Whether the builtin does not look into the elements of lists and records it is given.
fn movesElements(id: Builtin) bool {
    return switch (id) {
        .len, .empty, .keys, .values, .items, .slice, .reverse, .merge, .without, .zip, .enumerate, .push, .type_of => true,
        else => false,
    };
}
