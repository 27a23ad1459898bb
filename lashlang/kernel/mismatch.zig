//! The words for a value that does not match its type (chapter 11), written into a sink: a string where the message
//! becomes a value, a clip where it becomes an error.

const std = @import("std");
const validate = @import("validate.zig");
const calling = @import("calling.zig");

const Error = calling.Error;
const Value = calling.Value;

/// Why a value does not match. `schema` is the schema it should match, or for `missing` the name of the field.
pub const Reason = struct {
    kind: enum { wrong_type, not_listed, no_variant, missing },
    schema: Value,
    found: Value,
};

/// Append the reason as messages word it.
pub fn append(sink: anytype, reason: Reason) Error!void {
    switch (reason.kind) {
        .wrong_type => {
            try sink.append("wanted ");
            // An enum given something else than text wants text.
            try sink.append(if (validate.enumOf(reason.schema) != null) "string" else nameOf(reason.schema));
            return appendFound(sink, reason.found);
        },
        .not_listed => {
            try sink.append("wanted one of [");
            try appendNames(sink, reason.schema);
            try sink.append("], found ");
            return sink.append(reason.found.asStr().bytes());
        },
        .no_variant => {
            try sink.append("wanted one of [");
            try appendVariants(sink, reason.schema, ", ");
            try sink.append("]");
            return appendFound(sink, reason.found);
        },
        .missing => {
            try sink.append("field `");
            try sink.append(reason.schema.asStr().bytes());
            return sink.append("` is missing");
        },
    }
}

fn appendFound(sink: anytype, found: Value) Error!void {
    try sink.append(", found ");
    try sink.append(switch (found.tag) {
        .null => "null",
        .bool => "boolean",
        .int, .float => "number",
        .string => "string",
        .list => "array",
        else => "object",
    });
}

/// The name of a schema that is no union and no enum.
fn nameOf(schema: Value) []const u8 {
    if (schema.tag != .record) return "any";
    return @tagName(validate.kindOf(schema) orelse return "any");
}

fn appendNames(sink: anytype, schema: Value) Error!void {
    var first = true;
    for (validate.enumOf(schema).?.slice()) |name| if (name.tag == .string) {
        if (!first) try sink.append(", ");
        first = false;
        try sink.append(name.asStr().bytes());
    };
}

/// The variants of a union by name. A union inside shows its own, joined by ` | `; the recursion is bounded by the
/// depth of the schema.
fn appendVariants(sink: anytype, schema: Value, separator: []const u8) Error!void {
    for (validate.unionOf(schema).?.slice(), 0..) |variant, i| {
        if (i > 0) try sink.append(separator);
        if (variant.tag == .record and validate.unionOf(variant) != null) {
            try appendVariants(sink, variant, " | ");
        } else if (variant.tag == .record and validate.enumOf(variant) != null) {
            try sink.append("enum[");
            try appendNames(sink, variant);
            try sink.append("]");
        } else try sink.append(nameOf(variant));
    }
}

/// Append `[3]`, a step of a path.
pub fn appendIndex(sink: anytype, index: u32) Error!void {
    var buffer: [16]u8 = undefined;
    try sink.append(std.fmt.bufPrint(&buffer, "[{d}]", .{index}) catch unreachable);
}

/// A sink for the message of an error, which keeps what fits.
pub const Clip = struct {
    bytes: [2048]u8 = undefined,
    len: usize = 0,

    pub fn append(self: *Clip, more: []const u8) Error!void {
        const taken = @min(more.len, self.bytes.len - self.len);
        @memcpy(self.bytes[self.len..][0..taken], more[0..taken]);
        self.len += taken;
    }

    pub fn text(self: *const Clip) []const u8 {
        return self.bytes[0..self.len];
    }
};
