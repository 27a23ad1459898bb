//! Tests of the builtins: tables of calls with arguments and results as JSON, and the same calls again with every
//! allocation failing in turn.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const value = @import("value.zig");
const json_build = @import("json_build.zig");
const text_form = @import("text_form.zig");
const builtins = @import("builtins.zig");
const Fiber = @import("fiber.zig").Fiber;

const testing = std.testing;
const Value = value.Value;
const Builtin = builtins.Builtin;

/// A call that gives a result.
const Good = struct { Builtin, []const u8, []const u8 };

/// A call that fails: the kind, and a part of the message.
const Bad = struct { Builtin, []const u8, state.Kind, []const u8 };

fn fresh() void {
    heap.reset();
    heap.init(256 << 20);
    state.fuel_used = 0;
    state.beginSlice(true);
}

/// The value a JSON text describes.
fn read(json: []const u8) !Value {
    const text = Value.fromStr(try string.copy(json));
    defer text.release();
    return json_build.jsonParse(&.{text});
}

fn call(id: Builtin, args: []const Value) state.Error!Value {
    var fiber: Fiber = .{ .regs = undefined };
    return builtins.call(&fiber, id, args);
}

/// Call a builtin with the elements of a JSON array.
fn callJson(id: Builtin, json: []const u8) !Value {
    const args = try read(json);
    defer args.release();
    state.fuel_used = 0;
    return call(id, args.asList().slice());
}

fn expectGood(cases: []const Good) !void {
    fresh();
    for (cases) |case| {
        const id, const args, const expected = case;
        errdefer std.debug.print("{s} {s}: {s}\n", .{ @tagName(id), args, state.fault.message() });
        const result = try callJson(id, args);
        defer result.release();
        const text = try text_form.jsonText(result);
        defer text.release();
        try testing.expectEqualStrings(expected, text.bytes());
    }
    try testing.expectEqual(@as(u64, 0), heap.used());
}

fn expectBad(cases: []const Bad) !void {
    fresh();
    for (cases) |case| {
        const id, const args, const kind, const part = case;
        errdefer std.debug.print("{s} {s}: {s}\n", .{ @tagName(id), args, state.fault.message() });
        try testing.expectError(error.Fault, callJson(id, args));
        try testing.expectEqual(kind, state.fault.kind);
        try testing.expect(std.mem.indexOf(u8, state.fault.message(), part) != null);
    }
    try testing.expectEqual(@as(u64, 0), heap.used());
}

const core = [_]Good{
    .{ .len, "[\"a\\u00e9b\"]", "3" },
    .{ .len, "[[1,2]]", "2" },
    .{ .len, "[{\"a\":1}]", "1" },
    .{ .len, "[null]", "0" },
    .{ .empty, "[\"\"]", "true" },
    .{ .empty, "[[0]]", "false" },
    .{ .keys, "[{\"b\":1,\"a\":2}]", "[\"b\",\"a\"]" },
    .{ .keys, "[null]", "[]" },
    .{ .values, "[{\"b\":1,\"a\":[2]}]", "[1,[2]]" },
    .{ .contains, "[\"abc\",\"bc\"]", "true" },
    .{ .contains, "[[1,[2]],[2]]", "true" },
    .{ .contains, "[{\"1\":0},1]", "true" },
    .{ .contains, "[null,1]", "false" },
    .{ .find, "[\"a\\u00e9b\\u00e9b\",\"b\"]", "2" },
    .{ .find, "[\"a\\u00e9b\\u00e9b\",\"b\",3]", "4" },
    .{ .find, "[\"abc\",\"z\"]", "null" },
    .{ .find, "[\"abc\",\"\",2]", "2" },
    .{ .find, "[\"abc\",\"\",3]", "3" },
    .{ .find, "[\"abc\",\"\",4]", "null" },
    .{ .find, "[\"abc\",\"a\",1e300]", "null" },
    .{ .find, "[1234,3]", "2" },
    .{ .grep_text, "[\"ab\\r\\nx\\u00e9b b\\nb\",\"b\"]", "[{\"line\":1,\"text\":\"ab\",\"match\":\"b\",\"start\":1,\"end\":2},{\"line\":2,\"text\":\"xéb b\",\"match\":\"b\",\"start\":2,\"end\":3},{\"line\":3,\"text\":\"b\",\"match\":\"b\",\"start\":0,\"end\":1}]" },
    .{ .grep_text, "[\"\",\"b\"]", "[]" },
    .{ .starts_with, "[\"abc\",\"ab\"]", "true" },
    .{ .ends_with, "[\"abc\",\"ab\"]", "false" },
    .{ .ends_with, "[true,\"ue\"]", "true" },
    .{ .split, "[\" a  b\\n\\tc \"]", "[\"a\",\"b\",\"c\"]" },
    .{ .split, "[\"a,,b\",\",\"]", "[\"a\",\"\",\"b\"]" },
    .{ .split, "[\"\",\",\"]", "[\"\"]" },
    .{ .split, "[\"a\\u00e9\\ud83d\\ude00\",\"\"]", "[\"a\",\"é\",\"😀\"]" },
    .{ .split, "[\"\",\"\"]", "[]" },
    .{ .split, "[\"a b\",null]", "[\"a\",\"b\"]" },
    .{ .split, "[10,\"\"]", "[\"1\",\"0\"]" },
    .{ .join, "[[\"a\",2,true,null,1.5],\"-\"]", "\"a-2-true-null-1.5\"" },
    .{ .join, "[[],\",\"]", "\"\"" },
    .{ .join, "[[\"\\u00e9\",1],\"\\u00e9\"]", "\"éé1\"" },
    .{ .trim, "[\" \\u00a0a b\\u2003\"]", "\"a b\"" },
    .{ .trim, "[\"  \"]", "\"\"" },
    .{ .trim, "[\"; a\"]", "\"; a\"" },
    .{ .slice, "[\"h\\u00e9llo\",1]", "\"éllo\"" },
    .{ .slice, "[\"h\\u00e9llo\",1,-2]", "\"él\"" },
    .{ .slice, "[[1,2,3,4],1,-1]", "[2,3]" },
    .{ .slice, "[[1,2],-9,1]", "[1]" },
    .{ .slice, "[[1],5,null]", "[]" },
    .{ .slice, "[[1,2],null]", "[1,2]" },
    .{ .slice, "[[1,2],2,1]", "[]" },
    .{ .slice, "[\"abc\",-1e300,1e300]", "\"abc\"" },
    .{ .to_string, "[\"a\"]", "\"a\"" },
    .{ .to_string, "[null]", "\"null\"" },
    .{ .to_string, "[false]", "\"false\"" },
    .{ .to_string, "[-1.50]", "\"-1.5\"" },
    .{ .to_string, "[[1,\"a\",{\"k\":[]},{}]]", "\"[1,\\\"a\\\",{\\\"k\\\":[]},{}]\"" },
    .{ .to_int, "[\" -12.9 \"]", "-12" },
    .{ .to_int, "[1e20]", "100000000000000000000" },
    .{ .to_float, "[\"1.5\"]", "1.5" },
    .{ .to_float, "[null]", "0" },
    .{ .json_parse, "[\"{\\\"b\\\":[1,2.50,{}],\\\"a\\\":null,\\\"b\\\":true}\"]", "{\"b\":true,\"a\":null}" },
    .{ .json_parse, "[\" \\\"a\\\\u00e9\\\\ud83d\\\\ude00\\\\n\\\" \"]", "\"aé😀\\n\"" },
    .{ .json_parse, "[\"9223372036854775807\"]", "9223372036854775807" },
    .{ .json_parse, "[\"[]\"]", "[]" },
    .{ .format, "[\"{} {{{}}}\",1,[\"x\"]]", "\"1 {[\\\"x\\\"]}\"" },
    .{ .format, "[\"{1}{0}{1}\",\"a\",\"b\"]", "\"bab\"" },
    .{ .format, "[\"{:.2f} {:,} {:,.1f}\",1.005,-1234567.5,9999.95]", "\"1.01 -1,234,567.5 10,000.0\"" },
    .{ .format, "[\"plain\"]", "\"plain\"" },
    .{ .format, "[\"\"]", "\"\"" },
    .{ .range, "[3]", "[0,1,2]" },
    .{ .range, "[5,0,-2]", "[5,3,1]" },
    .{ .range, "[0]", "[]" },
    .{ .ceil_div, "[7,2]", "4" },
    .{ .floor_div, "[-7,2]", "-4" },
    .{ .push, "[[1],[2]]", "[1,[2]]" },
    .{ .push, "[null,1]", "[1]" },
    .{ .type_of, "[1.5]", "\"number\"" },
    .{ .type_of, "[{}]", "\"record\"" },
    .{ .type_of, "[{\"type\":\"image\",\"id\":\"i\",\"label\":\"l\",\"size\":1,\"width\":null,\"height\":2}]", "\"image\"" },
};

const data = [_]Good{
    .{ .sum, "[[1,2.5,-3]]", "0.5" },
    .{ .sum, "[[]]", "0" },
    .{ .sum, "[[9223372036854775807,-1,1]]", "9223372036854775807" },
    .{ .min, "[[3,1,2]]", "1" },
    .{ .min, "[[]]", "null" },
    .{ .max, "[3,1]", "3" },
    .{ .max, "[\"a\",\"b\",\"\"]", "\"b\"" },
    .{ .abs, "[-3]", "3" },
    .{ .floor, "[-2.5]", "-3" },
    .{ .ceil, "[-2.5]", "-2" },
    .{ .round, "[2.5]", "3" },
    .{ .round, "[1.005,2]", "1.01" },
    .{ .round, "[1250,-2]", "1300" },
    .{ .round, "[1.5,null]", "2" },
    .{ .sort, "[[3,1.5,2,-7,9007199254740993,9007199254740992]]", "[-7,1.5,2,3,9007199254740992,9007199254740993]" },
    .{ .sort, "[[3,1,2],true]", "[3,2,1]" },
    .{ .sort, "[[\"b\",\"a\",\"\",\"aaaaaaaab\",\"aaaaaaaaa\",\"\\ud83d\\ude00\",\"\\uffff\"]]", "[\"\",\"a\",\"aaaaaaaaa\",\"aaaaaaaab\",\"b\",\"\xef\xbf\xbf\",\"😀\"]" },
    .{ .sort, "[[]]", "[]" },
    .{ .sort_by, "[[{\"k\":2,\"n\":1},{\"k\":1},{\"n\":0},{\"k\":2,\"n\":2},{\"k\":null}],\"k\"]", "[{\"k\":1},{\"k\":2,\"n\":1},{\"k\":2,\"n\":2},{\"n\":0},{\"k\":null}]" },
    .{ .sort_by, "[[{\"k\":2,\"n\":1},{\"k\":1},{\"n\":0},{\"k\":2,\"n\":2}],\"k\",true]", "[{\"k\":2,\"n\":1},{\"k\":2,\"n\":2},{\"k\":1},{\"n\":0}]" },
    .{ .sort_by, "[[[\"a\",2],[\"b\",1]],1]", "[[\"b\",1],[\"a\",2]]" },
    .{ .sort_by, "[[[1,9],[0,8]],-2]", "[[0,8],[1,9]]" },
    .{ .sort_by, "[[],\"q\"]", "[]" },
    .{ .sort_by, "[[{\"b\":null}],\"b\"]", "[{\"b\":null}]" },
    .{ .reverse, "[[1,2,3]]", "[3,2,1]" },
    .{ .reverse, "[\"a\\u00e9\\ud83d\\ude00\"]", "\"😀éa\"" },
    .{ .reverse, "[\"abc\"]", "\"cba\"" },
    .{ .reverse, "[\"\"]", "\"\"" },
    .{ .unique, "[[1,\"1\",1.0,null,null,[1],[1],{\"a\":1,\"b\":2},{\"b\":2,\"a\":1},true]]", "[1,\"1\",null,[1],{\"a\":1,\"b\":2},true]" },
    .{ .unique, "[[9223372036854774784,9223372036854774784.0,9223372036854774785,1e20,1e20]]", "[9223372036854774784,9223372036854774785,100000000000000000000]" },
    .{ .count, "[\"banana\",\"an\"]", "2" },
    .{ .count, "[[1,1.0,\"1\",[1]],1]", "2" },
    .{ .count, "[null,\"\"]", "0" },
    .{ .lower, "[\"\\u00c4BC\"]", "\"äbc\"" },
    .{ .upper, "[\"stra\\u00dfe \\u00e9\"]", "\"STRAßE É\"" },
    .{ .upper, "[null]", "\"NULL\"" },
    .{ .replace, "[\"a-b-c\",\"-\",\"\\u00e9\\u00e9\"]", "\"aéébééc\"" },
    .{ .replace, "[\"abc\",\"x\",\"y\"]", "\"abc\"" },
    .{ .replace, "[1001,0,7]", "\"1771\"" },
    .{ .lines, "[\"a\\r\\n\\nb\\r\"]", "[\"a\",\"\",\"b\\r\"]" },
    .{ .lines, "[\"\"]", "[]" },
    .{ .lines, "[\"\\n\"]", "[\"\"]" },
    .{ .items, "[{\"b\":1,\"a\":[2]}]", "[[\"b\",1],[\"a\",[2]]]" },
    .{ .items, "[null]", "[]" },
    .{ .merge, "[{\"a\":1,\"b\":2},{\"c\":3,\"a\":{}}]", "{\"a\":{},\"b\":2,\"c\":3}" },
    .{ .merge, "[null,{\"c\":3}]", "{\"c\":3}" },
    .{ .merge, "[null,null]", "{}" },
    .{ .merge, "[{\"a\":1},null]", "{\"a\":1}" },
    .{ .without, "[{\"a\":1,\"b\":2},\"a\"]", "{\"b\":2}" },
    .{ .without, "[{\"1\":1},1]", "{}" },
    .{ .without, "[{\"a\":1},\"q\"]", "{\"a\":1}" },
    .{ .without, "[null,\"q\"]", "{}" },
    .{ .flatten, "[[1,[2,[3]],[],\"a\"]]", "[1,2,[3],\"a\"]" },
    .{ .zip, "[[1,2],[\"a\"]]", "[[1,\"a\"]]" },
    .{ .enumerate, "[[\"a\",\"b\"]]", "[[0,\"a\"],[1,\"b\"]]" },
    .{ .group_by, "[[{\"k\":1,\"n\":0},{\"n\":1},{\"k\":\"1\"},{\"k\":null}],\"k\"]", "{\"1\":[{\"k\":1,\"n\":0},{\"k\":\"1\"}],\"null\":[{\"n\":1},{\"k\":null}]}" },
    .{ .group_by, "[[[1],[2,3],[1,4]],0]", "{\"1\":[[1],[1,4]],\"2\":[[2,3]]}" },
    .{ .group_by, "[[],\"q\"]", "{}" },
    .{ .json_text, "[\"a\\\"\\u0001\"]", "\"\\\"a\\\\\\\"\\\\u0001\\\"\"" },
    .{ .json_text, "[{\"type\":\"image\",\"id\":\"i\",\"label\":\"l\",\"size\":1,\"width\":null,\"height\":2,\"more\":0}]", "\"{\\\"type\\\":\\\"image\\\",\\\"id\\\":\\\"i\\\",\\\"label\\\":\\\"l\\\",\\\"size\\\":1,\\\"width\\\":null,\\\"height\\\":2}\"" },
    .{ .try_json, "[\"[1]\"]", "{\"ok\":true,\"value\":[1]}" },
    .{ .try_json, "[\"[1\"]", "{\"ok\":false,\"error\":\"the text is not valid JSON\"}" },
    .{ .try_number, "[\" 1e3 \"]", "{\"ok\":true,\"value\":1000}" },
    .{ .try_number, "[2]", "{\"ok\":true,\"value\":2}" },
    .{ .try_number, "[\" \"]", "{\"ok\":false,\"error\":\"expected a number, got text that is not one\"}" },
    .{ .try_number, "[null]", "{\"ok\":false,\"error\":\"expected a number, got null\"}" },
    .{ .to_fixed, "[1.005,2]", "\"1.01\"" },
    .{ .to_fixed, "[-0.001,2]", "\"0.00\"" },
    .{ .to_fixed, "[2.5,0]", "\"3\"" },
    .{ .pad_left, "[7,3,\"0\"]", "\"007\"" },
    .{ .pad_right, "[\"\\u00e9\",3,\"\\ud83d\\ude00\"]", "\"é😀😀\"" },
    .{ .pad_left, "[\"abc\",-5]", "\"abc\"" },
    .{ .pad_left, "[\"a\",2,null]", "\" a\"" },
    .{ .any, "[[0,\"\",3]]", "true" },
    .{ .all, "[[1,[]]]", "false" },
    .{ .all, "[[]]", "true" },
    .{ .sqrt, "[2.25]", "1.5" },
    .{ .log, "[1]", "0" },
    .{ .pow, "[3,39]", "4052555153018976267" },
    .{ .pow, "[4,-1]", "0.25" },
    .{ .chunk_spans, "[\"\",5]", "[]" },
    .{ .chunk_spans, "[\"abcde\",2]", "[{\"start\":0,\"end\":2},{\"start\":2,\"end\":4},{\"start\":4,\"end\":5}]" },
    .{ .chunk_spans, "[\"aa\\nbbb\\ncccccccc\\nd\",6,0,\"line\"]", "[{\"start\":0,\"end\":3},{\"start\":3,\"end\":7},{\"start\":7,\"end\":13},{\"start\":13,\"end\":17}]" },
    .{ .chunk_spans, "[\"\\u00e9\\n\\u00e9\\u00e9\\n\\u00e9\",4,1,\"line\"]", "[{\"start\":0,\"end\":2},{\"start\":1,\"end\":5},{\"start\":4,\"end\":6}]" },
    .{ .chunk_spans, "[\"one\\ntwo\\n\\n\\nthree\\n\\r\\nfour five\",14,0,\"paragraph\"]", "[{\"start\":0,\"end\":10},{\"start\":10,\"end\":18},{\"start\":18,\"end\":27}]" },
    .{ .chunk_spans, "[\"a\\nbcdefgh\",5,3,\"line\"]", "[{\"start\":0,\"end\":5},{\"start\":2,\"end\":7},{\"start\":4,\"end\":9}]" },
};

const failing = [_]Bad{
    .{ .len, "[true]", .type_error, "`len` needs a string, list, record or null, got bool" },
    .{ .len, "[{\"type\":\"image\",\"id\":\"i\",\"label\":\"l\",\"size\":1,\"width\":null,\"height\":2}]", .type_error, "image" },
    .{ .keys, "[[1]]", .type_error, "`keys` needs a record, got list" },
    .{ .contains, "[12,1]", .type_error, "contains" },
    .{ .find, "[\"abc\",\"c\",null]", .type_error, "null" },
    .{ .find, "[\"abc\",\"c\",0.5]", .type_error, "0.5" },
    .{ .find, "[\"abc\",\"c\",-1]", .type_error, "-1" },
    .{ .grep_text, "[\"abc\",\"\"]", .value_error, "grep_text" },
    .{ .join, "[\"ab\",\",\"]", .type_error, "`join` needs a list, got string" },
    .{ .join, "[[\"a\",[1]],\",\"]", .type_error, "list" },
    .{ .slice, "[null,0,1]", .type_error, "slice" },
    .{ .slice, "[5,0.5]", .type_error, "0.5" },
    .{ .slice, "[[1],0,true]", .type_error, "bool" },
    .{ .to_int, "[[1]]", .type_error, "list" },
    .{ .to_float, "[\"inf\"]", .type_error, "string" },
    .{ .json_parse, "[\"[1,]\"]", .value_error, "`json_parse`: the text is not valid JSON at offset 3" },
    .{ .json_parse, "[\"\\u00e9\"]", .value_error, "offset 0" },
    .{ .json_parse, "[[1]]", .type_error, "list" },
    .{ .format, "[5]", .type_error, "format" },
    .{ .format, "[\"{}\",1,2]", .value_error, "argument 1" },
    .{ .format, "[\"{} {}\",1]", .value_error, "argument 1" },
    .{ .format, "[\"{2}\",1]", .value_error, "argument 2" },
    .{ .format, "[\"a }\"]", .value_error, "}" },
    .{ .format, "[\"a {\"]", .value_error, "{" },
    .{ .format, "[\"{}{0}\",1]", .value_error, "mix" },
    .{ .format, "[\"{:>5}\",1]", .value_error, "{:>5}" },
    .{ .format, "[\"{:.101f}\",1]", .value_error, "{:.101f}" },
    .{ .format, "[\"{:,}\",\"1\"]", .type_error, "string" },
    .{ .range, "[0,5,0]", .value_error, "range" },
    .{ .range, "[\"3\"]", .type_error, "string" },
    .{ .range, "[1000001]", .limit_exceeded, "list_size" },
    .{ .floor_div, "[1,0]", .value_error, "floor_div" },
    .{ .ceil_div, "[\"4\",2]", .type_error, "string" },
    .{ .push, "[1,2]", .type_error, "`push` needs a list or null, got number" },
    .{ .sum, "[[1,\"2\"]]", .type_error, "`sum` needs numbers, got string at index 1" },
    .{ .sum, "[null]", .type_error, "sum" },
    .{ .min, "[1,\"a\"]", .type_error, "`min` needs all numbers or all strings, got string at index 1" },
    .{ .max, "[5]", .type_error, "max" },
    .{ .max, "[[[1]]]", .type_error, "list at index 0" },
    .{ .abs, "[\"-3\"]", .type_error, "abs" },
    .{ .round, "[1.5,0.5]", .type_error, "round" },
    .{ .sort, "[[2,null]]", .type_error, "null at index 1" },
    .{ .sort, "[[1],\"desc\"]", .type_error, "sort" },
    .{ .sort_by, "[[{\"k\":1},{\"k\":\"a\"}],\"k\"]", .type_error, "`sort_by` needs all numbers or all strings, got string at index 1" },
    .{ .sort_by, "[[{\"k\":1}],0]", .type_error, "`sort_by` by the element 0 needs lists, got record at index 0" },
    .{ .sort_by, "[[{\"a\":1}],\"b\"]", .value_error, "no record has the field `b`" },
    .{ .sort_by, "[[[1],[2]],5]", .value_error, "5" },
    .{ .sort_by, "[[{\"a\":1}],null]", .type_error, "null" },
    .{ .sort_by, "[[{\"a\":1}],\"b\",1]", .type_error, "desc" },
    .{ .group_by, "[[\"a\"],\"k\"]", .type_error, "group_by" },
    .{ .group_by, "[[{\"k\":[]}],\"k\"]", .type_error, "list at index 0" },
    .{ .reverse, "[null]", .type_error, "reverse" },
    .{ .unique, "[\"aab\"]", .type_error, "unique" },
    .{ .count, "[\"abc\",\"\"]", .value_error, "count" },
    .{ .count, "[12,1]", .type_error, "number" },
    .{ .lower, "[[]]", .type_error, "list" },
    .{ .replace, "[\"abc\",\"\",\"x\"]", .value_error, "replace" },
    .{ .merge, "[{},[1]]", .type_error, "`merge` needs a record, got list" },
    .{ .without, "[[1],1]", .type_error, "without" },
    .{ .flatten, "[null]", .type_error, "flatten" },
    .{ .zip, "[[],1]", .type_error, "zip" },
    .{ .enumerate, "[\"ab\"]", .type_error, "enumerate" },
    .{ .try_json, "[{}]", .type_error, "record" },
    .{ .to_fixed, "[1,-1]", .value_error, "to_fixed" },
    .{ .to_fixed, "[1,101]", .value_error, "101" },
    .{ .pad_left, "[\"a\",1000000000000]", .limit_exceeded, "string_size" },
    .{ .pad_left, "[\"a\",2,\"ab\"]", .value_error, "pad_left" },
    .{ .pad_left, "[\"a\",2,5]", .type_error, "number" },
    .{ .any, "[{\"a\":1}]", .type_error, "any" },
    .{ .sqrt, "[-1]", .value_error, "`sqrt` needs a number of at least 0, got -1" },
    .{ .sqrt, "[\"4\"]", .type_error, "sqrt" },
    .{ .log, "[0]", .value_error, "log" },
    .{ .pow, "[-8,0.5]", .value_error, "pow" },
    .{ .chunk_spans, "[\"abc\",2,2]", .value_error, "chunk_spans" },
    .{ .chunk_spans, "[\"abc\",0]", .value_error, "0" },
    .{ .chunk_spans, "[\"abc\",2,0,\"word\"]", .value_error, "word" },
    .{ .chunk_spans, "[null,5]", .type_error, "chunk_spans" },
};

test "the core builtins give what their rows say" {
    try expectGood(&core);
}

test "the data builtins give what their rows say" {
    try expectGood(&data);
}

test "wrong arguments are refused by name, type and index" {
    try expectBad(&failing);
}

/// A call and the bulk fuel it charges.
const Priced = struct { Builtin, []const u8, u64 };

test "bulk fuel is a sixty-fourth of the work in the table of chapter 16" {
    const digits = "0123456789" ** 20;
    const ones = "[" ++ "1," ** 199 ++ "1]";
    const priced = [_]Priced{
        .{ .split, "[\"" ++ digits ++ "\",\",\"]", 200 / 64 },
        .{ .find, "[\"" ++ digits ++ "\",\"9\",100]", 0 },
        .{ .find, "[\"" ++ digits ++ "\",\"x\",100]", 100 / 64 },
        .{ .find, "[\"" ++ digits ++ "\",\"90123\"]", 0 },
        .{ .contains, "[\"" ++ digits ++ "\",\"x\"]", 200 / 64 },
        .{ .starts_with, "[\"x\",\"" ++ digits ++ "\"]", 200 / 64 },
        .{ .join, "[" ++ ones ++ ",\"--\"]", (200 + 200 + 398) / 64 },
        .{ .replace, "[\"" ++ digits ++ "\",\"0\",\"ab\"]", (200 + 220) / 64 },
        .{ .replace, "[\"" ++ digits ++ "\",\"x\",\"ab\"]", 400 / 64 },
        .{ .slice, "[\"" ++ digits ++ "\",50]", 150 / 64 },
        .{ .slice, "[" ++ ones ++ ",0,100]", 100 / 64 },
        .{ .to_int, "[\"" ++ digits ++ "\"]", 200 / 64 },
        .{ .try_number, "[\"" ++ digits ++ "x\"]", 200 / 64 },
        .{ .to_string, "[" ++ ones ++ "]", 401 / 64 },
        .{ .format, "[\"{}{}\",\"" ++ digits ++ "\",1]", 201 / 64 },
        .{ .range, "[200]", 200 / 64 },
        .{ .push, "[" ++ ones ++ ",1]", 0 },
        .{ .sum, "[" ++ ones ++ "]", 200 / 64 },
        .{ .any, "[" ++ ones ++ "]", 200 / 64 },
        .{ .min, "[" ++ ones ++ "]", 201 / 64 },
        .{ .max, "[\"" ++ digits ++ "\",\"a\"]", (1 + 201 + 2) / 64 },
        .{ .sort, "[" ++ ones ++ "]", 201 * 8 / 64 },
        .{ .sort_by, "[[" ++ "{\"k\":\"abc\"}," ** 99 ++ "{}],\"k\"]", (1 + 99 * 4 + 1) * 7 / 64 },
        .{ .group_by, "[[" ++ "{\"k\":\"abc\"}," ** 99 ++ "{}],\"k\"]", 100 / 64 },
        .{ .unique, "[[" ++ "[1,\"abc\"]," ** 99 ++ "[]]]", (1 + 99 * 6 + 1) / 64 },
        .{ .count, "[" ++ ones ++ ",1]", 200 / 64 },
        .{ .count, "[\"" ++ digits ++ "\",\"1\"]", 200 / 64 },
        .{ .count, "[null,1]", 0 },
        .{ .flatten, "[[" ++ ones ++ ",1]]", (2 + 201) / 64 },
        .{ .zip, "[" ++ ones ++ "," ++ ones ++ "]", 200 / 64 },
        .{ .try_json, "[\"[" ++ digits ++ "\"]", 201 / 64 },
        .{ .pad_left, "[\"a\",130]", 2 },
        .{ .pad_left, "[\"" ++ digits ++ "\",130]", 200 / 64 },
        .{ .chunk_spans, "[\"" ++ digits ++ "\",50]", 200 / 64 },
        .{ .try_validate, "[" ++ ones ++ ",{\"$lash_type\":{\"type\":\"array\",\"items\":{}}}]", 201 / 64 },
        .{ .try_validate, "[" ++ ones ++ ",{\"$lash_type\":{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"integer\"}]}}}]", (1 + 200 * 3) / 64 },
    };
    fresh();
    for (priced) |case| {
        const id, const json, const expected = case;
        errdefer std.debug.print("{s} {s}\n", .{ @tagName(id), json });
        (try callJson(id, json)).release();
        try testing.expectEqual(expected, state.fuel_used);
    }
    try testing.expectEqual(@as(u64, 0), heap.used());
}

/// A value, a schema, and the message of the mismatch or null.
const Typed = struct { []const u8, []const u8, ?[]const u8 };

test "validate finds the first mismatch and words it" {
    const object = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"v\":{\"type\":\"string\"}},\"required\":[\"a\",\"v\",\"z\"]}";
    const integer = "{\"type\":\"integer\"}";
    const listed = "{\"type\":\"string\",\"enum\":[\"ok\",\"err\"]}";
    const nested = "{\"anyOf\":[" ++ listed ++ ",{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"array\",\"items\":" ++ integer ++ "}]}]}";
    const image = "{\"type\":\"image\",\"id\":\"i\",\"label\":\"l\",\"size\":1,\"width\":null,\"height\":2}";
    const typed = [_]Typed{
        .{ "{\"a\":1,\"v\":\"x\",\"z\":0,\"more\":1}", object, null },
        .{ "{\"a\":1,\"v\":\"x\"}", object, "$: field `z` is missing" },
        .{ "{\"a\":1}", object, "$: field `v` is missing" },
        .{ "{\"a\":\"x\"}", object, "$.a: wanted integer, found string" },
        .{ "[1]", object, "$: wanted object, found array" },
        .{ "{\"a\":1.5}", object, "$.a: wanted integer, found number" },
        .{ "[1,[2],{}]", "{\"type\":\"array\",\"items\":{}}", null },
        .{ "[1,2,null]", "{\"type\":\"array\",\"items\":" ++ integer ++ "}", "$[2]: wanted integer, found null" },
        .{ "[{\"a\":[0,\"x\"]}]", "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":" ++ integer ++ "}}}}", "$[0].a[1]: wanted integer, found string" },
        .{ "\"maybe\"", listed, "$: wanted one of [ok, err], found maybe" },
        .{ "1", listed, "$: wanted string, found number" },
        .{ "\"ok\"", nested, null },
        .{ "[1,2]", nested, null },
        .{ "[1,\"x\"]", nested, "$: wanted one of [enum[ok, err], null | array], found array" },
        .{ "true", "{\"anyOf\":[" ++ integer ++ "," ++ object ++ "]}", "$: wanted one of [integer, object], found boolean" },
        .{ "{\"a\":true}", "{\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"number\"}]}}}", "$.a: wanted one of [null, number], found boolean" },
        .{ "5", "7", null },
        .{ "5", "{\"type\":\"strange\"}", null },
        .{ image, "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\",\"enum\":[\"image\"]},\"width\":{\"type\":\"null\"}},\"required\":[\"id\"]}", null },
        .{ image, "{\"type\":\"object\",\"properties\":{\"height\":{\"type\":\"null\"}}}", "$.height: wanted null, found number" },
        .{ "\"q20\"", "{\"enum\":[" ++ "\"q\"," ** 20 ++ "\"q20\"]}", null },
    };
    fresh();
    for (typed) |case| {
        const v, const schema, const expected = case;
        errdefer std.debug.print("{s} {s}: {s}\n", .{ v, schema, state.fault.message() });
        var buffer: [2048]u8 = undefined;
        const args = try read(try std.fmt.bufPrint(&buffer, "[{s},{{\"$lash_type\":{s}}}]", .{ v, schema }));
        defer args.release();
        const items = args.asList().slice();
        const wrapper = try call(.try_validate, items);
        defer wrapper.release();
        if (expected) |reason| {
            const message = wrapper.asRecord().getBytes("error").?.asStr().bytes();
            try testing.expectEqualStrings("value does not match its type at ", message[0..33]);
            try testing.expectEqualStrings(reason, message[33..]);
            try testing.expectError(error.Fault, call(.validate, items));
            try testing.expectEqual(state.Kind.validation_failed, state.fault.kind);
            try testing.expectEqualStrings(message, state.fault.message());
        } else {
            try testing.expectEqual(items[0], wrapper.asRecord().getBytes("value").?);
            (try call(.validate, items)).release();
        }
    }
    try testing.expectEqual(@as(u64, 0), heap.used());
}

test "validate ends with fuel as soon as its checks cannot be paid" {
    fresh();
    defer state.limits[@intFromEnum(state.Limit.fuel)] = 100_000_000;
    const args = try read("[[" ++ "1," ** 200 ++ "null],{\"$lash_type\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}}]");
    defer args.release();
    state.limits[@intFromEnum(state.Limit.fuel)] = 2;
    state.fuel_used = 0;
    try testing.expectError(error.Fault, call(.try_validate, args.asList().slice()));
    try testing.expectEqual(state.Limit.fuel, state.fault.limit.?);
    state.limits[@intFromEnum(state.Limit.fuel)] = 3;
    state.fuel_used = 0;
    (try call(.try_validate, args.asList().slice())).release();
    try testing.expectEqual(@as(u64, 3), state.fuel_used);
}

test "NaN sorts last in both directions, equals nothing and makes min NaN" {
    fresh();
    const nan = Value.fromFloatRaw(std.math.nan(f64));
    const xs = try read("[0,2,0,1]");
    xs.asList().items[0] = nan;
    xs.asList().items[2] = nan;
    for ([_]Value{ Value.false, Value.true }, [_]i64{ 1, 2 }) |descending, first| {
        const sorted = try call(.sort, &.{ xs, descending });
        defer sorted.release();
        try testing.expectEqual(first, sorted.asList().items[0].asInt());
        try testing.expect(std.math.isNan(sorted.asList().items[2].asFloat()));
    }
    const kept = try call(.unique, &.{xs});
    defer kept.release();
    try testing.expectEqual(@as(u32, 4), kept.asList().len);
    try testing.expect(std.math.isNan((try call(.min, &.{xs})).asFloat()));
    xs.release();
}

test "sorting large lists agrees with the standard library and keeps equal elements in order" {
    fresh();
    var prng = std.Random.DefaultPrng.init(7);
    const random = prng.random();
    const xs = try value.List.create(5000);
    defer xs.release();
    var reference: [5000][2]i64 = undefined;
    for (&reference, 0..) |*row, i| {
        row.* = .{ random.intRangeAtMost(i64, -300, 300), @intCast(i) };
        const pair = try value.List.create(2);
        pair.appendReserved(Value.fromInt(row[0]));
        pair.appendReserved(Value.fromInt(row[1]));
        xs.appendReserved(Value.fromList(pair));
    }
    std.mem.sort([2]i64, &reference, {}, struct {
        fn less(_: void, a: [2]i64, b: [2]i64) bool {
            return a[0] < b[0];
        }
    }.less);
    const sorted = try call(.sort_by, &.{ Value.fromList(xs), Value.fromInt(0) });
    defer sorted.release();
    for (sorted.asList().slice(), reference) |row, expected| {
        try testing.expectEqual(expected[0], row.asList().items[0].asInt());
        try testing.expectEqual(expected[1], row.asList().items[1].asInt());
    }
}

/// What `x = [x, x]`, sixty times, makes.
fn doubled() !Value {
    var x = try read("[1]");
    for (0..60) |_| {
        const next = try value.List.create(2);
        next.appendReserved(x.retain());
        next.appendReserved(x);
        x = Value.fromList(next);
    }
    return x;
}

fn expectLimit(limit: state.Limit, result: state.Error!Value) !void {
    try testing.expectError(error.Fault, result);
    try testing.expectEqual(state.Kind.limit_exceeded, state.fault.kind);
    try testing.expectEqual(limit, state.fault.limit.?);
}

test "values that double at each level end in value_size or fuel" {
    fresh();
    const x = try doubled();
    defer x.release();
    try expectLimit(.value_size, call(.to_string, &.{x}));
    try expectLimit(.value_size, call(.json_text, &.{x}));
    const template = Value.fromStr(try string.copy("{}"));
    defer template.release();
    try expectLimit(.value_size, call(.format, &.{ template, x }));
    const wrong = Value.fromStr(try string.copy("{} {q}"));
    defer wrong.release();
    try testing.expectError(error.Fault, call(.format, &.{ wrong, x }));
    try testing.expectEqual(state.Kind.value_error, state.fault.kind);
    const xs = try value.List.create(2);
    defer xs.release();
    xs.appendReserved(x.retain());
    xs.appendReserved(x.retain());
    try expectLimit(.fuel, call(.unique, &.{Value.fromList(xs)}));
    state.fuel_used = 0;
}

test "an error in a JSON text comes before a limit that is passed earlier in it" {
    fresh();
    const limits = state.limits;
    defer state.limits = limits;
    state.limits[@intFromEnum(state.Limit.list_size)] = 2;
    state.limits[@intFromEnum(state.Limit.string_size)] = 40;
    state.limits[@intFromEnum(state.Limit.value_depth)] = 1;
    const args = [_]Value{Value.fromStr(string.static("[[1,2,3],nil]"))};
    try testing.expectError(error.Fault, call(.json_parse, &args));
    try testing.expectEqual(state.Kind.value_error, state.fault.kind);
    const long = [_]Value{Value.fromStr(string.static("[1,2,3,\"" ++ "x" ** 41 ++ "\"]"))};
    try expectLimit(.string_size, call(.json_parse, &long));
    const many = [_]Value{Value.fromStr(string.static("[[1,2,3]]"))};
    try expectLimit(.list_size, call(.json_parse, &many));
    const deep = [_]Value{Value.fromStr(string.static("[[1]]"))};
    try expectLimit(.value_depth, call(.json_parse, &deep));
    try testing.expectEqual(@as(u64, 0), heap.used());
}

test "json_parse goes 128 deep and no deeper" {
    fresh();
    const deepest = [_]Value{Value.fromStr(string.static("[" ** 128 ++ "]" ** 128))};
    (try call(.json_parse, &deepest)).release();
    const deeper = [_]Value{Value.fromStr(string.static("[" ** 129 ++ "]" ** 129))};
    try testing.expectError(error.Fault, call(.json_parse, &deeper));
    try testing.expectEqual(state.Kind.value_error, state.fault.kind);
}

test "an integer written with a fraction does not make an image" {
    fresh();
    for ([_][]const u8{ "1.0", "-1", "1e0" }) |size| {
        var buffer: [200]u8 = undefined;
        const v = try read(try std.fmt.bufPrint(&buffer, "{{\"type\":\"image\",\"id\":\"i\",\"label\":\"l\",\"size\":{s},\"width\":null,\"height\":2}}", .{size}));
        defer v.release();
        try testing.expectEqual(value.Tag.record, v.tag);
    }
}

test "a failing allocation at any point of a call ends in OutOfMemory and leaves nothing behind" {
    fresh();
    defer heap.fail_after = null;
    for (core ++ data) |case| {
        const id, const json, _ = case;
        errdefer std.debug.print("{s} {s}\n", .{ @tagName(id), json });
        const args = try read(json);
        defer args.release();
        const before = heap.used();
        var allowed: u64 = 0;
        while (true) : (allowed += 1) {
            heap.fail_after = allowed;
            const result = call(id, args.asList().slice());
            heap.fail_after = null;
            if (result) |v| {
                v.release();
                break;
            } else |err| try testing.expectEqual(error.OutOfMemory, err);
            try testing.expectEqual(before, heap.used());
        }
        try testing.expectEqual(before, heap.used());
    }
}
