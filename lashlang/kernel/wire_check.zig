//! Is the msgpack value that follows one that `Reader.val` can build? Looked at before any answer of a
//! step is taken, so that a step is refused as a whole, with nothing changed.
//!
//! Only the form is checked: map keys are text, text is UTF-8, no binary, known extensions. Limits are
//! not: a value that breaks one is well formed.

const std = @import("std");
const wire = @import("wire.zig");

const Reader = wire.Reader;

/// Containers whose contents are looked at; `val` gives up deeper ones before it reads on.
const depth_max = wire.depth_max;

const Open = struct { left: usize, is_map: bool };
var open: [depth_max]Open = undefined;

/// Step over the value that follows; `Malformed` where `val` would find it so.
pub fn value(reader: *Reader) error{Malformed}!void {
    var depth: usize = 0;
    while (true) {
        if (try container(reader)) |inside| {
            // Every item takes a byte at least; a count beyond that is a lie.
            if (inside.left > reader.input.len - reader.at) return error.Malformed;
            if (depth == depth_max) {
                for (0..inside.left) |_| {
                    if (inside.is_map) try reader.skip();
                    try reader.skip();
                }
            } else if (inside.left > 0) {
                open[depth] = inside;
                depth += 1;
                if (inside.is_map) _ = try reader.text();
                continue;
            }
        } else try scalar(reader);
        // The value is complete, and with it the containers it was the last of.
        while (depth > 0) {
            const around = &open[depth - 1];
            around.left -= 1;
            if (around.left > 0) {
                if (around.is_map) _ = try reader.text();
                break;
            }
            depth -= 1;
        } else return;
    }
}

/// The head of the container that follows; null, and nothing consumed, where a scalar does.
fn container(reader: *Reader) error{Malformed}!?Open {
    if (reader.at >= reader.input.len) return error.Malformed;
    return switch (reader.input[reader.at]) {
        0x90...0x9f, 0xdc, 0xdd => .{ .left = try reader.array(), .is_map = false },
        0x80...0x8f, 0xde, 0xdf => .{ .left = try reader.mapping(), .is_map = true },
        else => null,
    };
}

fn scalar(reader: *Reader) error{Malformed}!void {
    switch (reader.input[reader.at]) {
        0xa0...0xbf, 0xd9, 0xda, 0xdb => _ = try reader.text(),
        0xc1, 0xc4, 0xc5, 0xc6 => return error.Malformed,
        0xc7, 0xc8, 0xc9, 0xd4...0xd8 => try extension(reader),
        else => try reader.skip(),
    }
}

fn extension(reader: *Reader) error{Malformed}!void {
    const start = reader.at;
    try reader.skip();
    const all = reader.input[start..reader.at];
    const head: usize = switch (all[0]) {
        0xc7 => 2,
        0xc8 => 3,
        0xc9 => 5,
        else => 1,
    };
    var inner: Reader = .{ .input = all[head + 1 ..] };
    switch (all[head]) {
        wire.ext_image => {
            if (try inner.array() != 5) return error.Malformed;
            _ = try inner.text();
            _ = try inner.text();
            _ = try inner.unsigned();
            _ = try inner.optionalSmall();
            _ = try inner.optionalSmall();
        },
        wire.ext_projection => {
            if (try inner.array() != 3) return error.Malformed;
            _ = try inner.small();
            _ = try inner.text();
            const steps = try inner.array();
            if (steps > inner.input.len - inner.at) return error.Malformed;
            for (0..steps) |_| try step(&inner);
        },
        else => return error.Malformed,
    }
}

/// A step of a projection's path: text or a whole number.
fn step(reader: *Reader) error{Malformed}!void {
    if (reader.at >= reader.input.len) return error.Malformed;
    switch (reader.input[reader.at]) {
        0xa0...0xbf, 0xd9, 0xda, 0xdb => _ = try reader.text(),
        0x00...0x7f, 0xe0...0xff, 0xcc, 0xcd, 0xce, 0xd0, 0xd1, 0xd2, 0xd3 => try reader.skip(),
        else => return error.Malformed,
    }
}

test "what is no value is found wherever it stands" {
    const good = [_][]const u8{ "\xc0", "\x93\x01\xa1x\x81\xa1k\x90", "\xc7\x06\x02\x93\x00\xa1p\x91\x05", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff" };
    for (good) |bytes| {
        var reader: Reader = .{ .input = bytes };
        try value(&reader);
        try std.testing.expectEqual(bytes.len, reader.at);
    }
    const bad = [_][]const u8{
        "", // nothing
        "\xc4\x01x", // binary
        "\x81\x01\x02", // a key that is a number
        "\x91\x81\xa1a\x81\xc0\xc0", // deeper: a key that is nil
        "\xa1\xff", // no UTF-8
        "\x92\xc0", // an item short
        "\xdd\xff\xff\xff\xff", // a count that cannot be
        "\xd4\x07\x00", // an unknown extension
        "\xc7\x02\x01\x91\xc0", // no image
        "\xc1", // no msgpack
    };
    for (bad) |bytes| {
        var reader: Reader = .{ .input = bytes };
        try std.testing.expectError(error.Malformed, value(&reader));
    }
}
