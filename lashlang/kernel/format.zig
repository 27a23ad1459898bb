//! `format(t, ...)` (chapter 10.1).
//!
//! The template is scanned twice by the same scanner. The first pass raises every error of the operation
//! itself, in the order of the template; the second makes the text. So an offence behind a huge argument is
//! still reported as the offence it is.

const std = @import("std");
const heap = @import("heap.zig");
const state = @import("state.zig");
const string = @import("string.zig");
const search = @import("search.zig");
const rounding = @import("rounding.zig");
const coerce = @import("coerce.zig");
const text_form = @import("text_form.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;

pub fn format(args: []const Value) Error!Value {
    if (args[0].tag != .string) return state.fail(.type_error, .none, "`format` needs a string first, got {s}", .{args[0].typeName()});
    const template = args[0].asStr();
    const values = args[1..];
    try check(template.bytes(), values);
    var builder: string.Builder = .{};
    errdefer builder.deinit();
    var size: u64 = 0;
    var scanner: Scanner = .{ .template = template.bytes() };
    while (try scanner.next()) |piece| switch (piece) {
        .literal => {},
        .place => |place| {
            size += try text_form.checkedSize(values[place.index]);
            // Every value gives at least a byte of text for its 16 of size, so the text would be too long.
            if (size / 16 > state.limitOf(.string_size)) return state.exceeded(.string_size);
        },
    };
    try state.admit(size / 16);
    scanner = .{ .template = template.bytes() };
    while (try scanner.next()) |piece| switch (piece) {
        .literal => |bytes| try builder.append(bytes),
        .place => |place| try insert(&builder, place, values[place.index]),
    };
    const text = builder.finish();
    return calling.textResult(text, text.chars);
}

fn insert(builder: *string.Builder, place: Place, v: Value) Error!void {
    var buffer: [rounding.max_text]u8 = undefined;
    if (place.grouped) return builder.append(rounding.groupedText(&buffer, coerce.toNum(v), place.digits));
    if (place.digits) |digits| return builder.append(rounding.fixedText(&buffer, coerce.toNum(v), digits));
    return text_form.writeText(builder, v);
}

/// Raise the operation's own errors.
fn check(template: []const u8, values: []const Value) Error!void {
    const memory = try heap.alloc(@max(values.len, 1));
    defer heap.free(memory, @max(values.len, 1));
    const used = memory[0..values.len];
    @memset(used, 0);
    var scanner: Scanner = .{ .template = template };
    while (try scanner.next()) |piece| switch (piece) {
        .literal => {},
        .place => |place| {
            if (place.index >= values.len) return state.fail(.value_error, .none, "`format` has no argument {d} to insert", .{place.index});
            used[place.index] = 1;
            const v = values[place.index];
            if ((place.grouped or place.digits != null) and !v.isNumber()) {
                return state.fail(.type_error, .none, "`format` needs a number for `{{{s}}}`, got {s}", .{ place.source, v.typeName() });
            }
        },
    };
    if (std.mem.indexOfScalar(u8, used, 0)) |unused| {
        return state.fail(.value_error, .none, "`format` does not use its argument {d}", .{unused});
    }
}

const Piece = union(enum) { literal: []const u8, place: Place };

/// A pair of braces: which argument goes there, and how.
const Place = struct {
    index: usize,
    grouped: bool = false,
    digits: ?u7 = null,
    /// What stands between the braces.
    source: []const u8,
};

/// Cuts a template into literal text and places, raising what is wrong with the template itself.
const Scanner = struct {
    template: []const u8,
    at: usize = 0,
    /// The argument of the next `{}`.
    sequential: usize = 0,
    numbering: enum { unknown, sequential, explicit } = .unknown,

    fn next(self: *Scanner) Error!?Piece {
        const rest = self.template[self.at..];
        if (rest.len == 0) return null;
        const brace = std.mem.indexOfAny(u8, rest, "{}") orelse rest.len;
        if (brace > 0) {
            self.at += brace;
            return .{ .literal = rest[0..brace] };
        }
        if (rest.len > 1 and rest[1] == rest[0]) {
            self.at += 2;
            return .{ .literal = rest[0..1] };
        }
        if (rest[0] == '}') return state.fail(.value_error, .none, "`format` met a lone `}}`; `}}}}` stands for the character", .{});
        const close = search.findByte(rest, '}', 1) orelse
            return state.fail(.value_error, .none, "`format` met a `{{` that is never closed; `{{{{` stands for the character", .{});
        self.at += close + 1;
        return .{ .place = try self.placeOf(rest[1..close]) };
    }

    fn placeOf(self: *Scanner, source: []const u8) Error!Place {
        var place = parsePlace(source) orelse
            return state.fail(.value_error, .format, "`format` does not know what `{{{s}}}` means", .{source});
        const explicit = source.len > 0 and std.ascii.isDigit(source[0]);
        if (self.numbering == .unknown) self.numbering = if (explicit) .explicit else .sequential;
        if (explicit != (self.numbering == .explicit)) {
            return state.fail(.value_error, .none, "`format` cannot mix `{{}}` with numbered places such as `{{0}}`", .{});
        }
        if (!explicit) {
            place.index = self.sequential;
            self.sequential += 1;
        }
        return place;
    }
};

/// Read `[index][:[,][.Nf]]`; null for anything else.
fn parsePlace(source: []const u8) ?Place {
    var place: Place = .{ .index = 0, .source = source };
    var rest = source;
    while (rest.len > 0 and std.ascii.isDigit(rest[0])) : (rest = rest[1..]) place.index = place.index *| 10 +| (rest[0] - '0');
    if (rest.len == 0) return place;
    if (rest[0] != ':' or rest.len == 1) return null;
    rest = rest[1..];
    if (rest[0] == ',') {
        place.grouped = true;
        rest = rest[1..];
    }
    if (rest.len == 0) return place;
    if (rest.len < 3 or rest[0] != '.' or rest[rest.len - 1] != 'f') return null;
    var digits: u32 = 0;
    for (rest[1 .. rest.len - 1]) |byte| {
        if (!std.ascii.isDigit(byte)) return null;
        digits = digits *| 10 +| (byte - '0');
    }
    if (digits > rounding.max_fixed_digits) return null;
    place.digits = @intCast(digits);
    return place;
}
