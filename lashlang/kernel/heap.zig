//! The kernel's memory: one allocator over one growing region (the linear memory behind the stack).
//!
//! Two layers, both returning 16-byte aligned memory and both freed *by size*, because every object
//! of the VM knows how large it is:
//!
//!  - up to `small_max` bytes: one free list per 16-byte class, carved in runs from the large layer.
//!    No header; allocating and freeing is a few instructions. Runs are never given back.
//!  - above: blocks with boundary tags, kept in segregated free lists (two-level, as in TLSF:
//!    Masmano et al., "TLSF: a new dynamic memory allocator for real-time systems", 2004), coalesced
//!    on free, grown in place where the neighbour is free.
//!
//! Nothing here traps: when the region cannot grow (the host's limit, or ours) the answer is
//! `error.OutOfMemory`, which the VM turns into `limit_exceeded`. Offsets are 32-bit and relative to
//! `base`, so that the same code runs natively under `zig test`.

const std = @import("std");
const builtin = @import("builtin");

pub const Error = error{OutOfMemory};

/// Blocks up to this size have no header and cost a few instructions.
pub const small_max = 512;
const class_count = small_max / 16;
/// Runs of small blocks grow from the one size to the other, so that an idle machine touches few pages.
const first_run = 512;
const largest_run = 8 * 1024;
const header_size = 16;
const min_block = 32;
const page_size = 64 * 1024;
/// The region grows by a quarter of itself, but by these many bytes at least and at most.
const grow_least = 4 * page_size;
const grow_most = 128 * page_size;

/// A large memory is made accessible in steps of this size, so that its system can back it by pages as large.
const large_page = 2 << 20;

/// Two-level bins: the first level is the power of two, the second its eighth.
const first_levels = 32;
const second_bits = 3;
const second_levels = 1 << second_bits;

const Free = extern struct { next: u32, prev: u32 };
const Header = extern struct {
    /// Size of the whole block, a multiple of 16; bit 0 set while it is free.
    size_and_flag: u32,
    /// Size of the block just before it in memory, 0 for the first.
    prev_size: u32,
    pad: [2]u32,

    fn size(self: *const Header) u32 {
        return self.size_and_flag & ~@as(u32, 15);
    }
    fn isFree(self: *const Header) bool {
        return self.size_and_flag & 1 != 0;
    }
};
comptime {
    std.debug.assert(@sizeOf(Header) == header_size);
}

const SmallFree = extern struct { next: ?*SmallFree };

/// Start of the region; offset 0 is never handed out, so it can mean "none".
var base: usize = 0;
/// Bytes of the region in use by the large layer, a multiple of 16.
var end: u32 = 0;
/// Bytes of the large layer's blocks in use, without those of messages.
var taken: u64 = 0;
/// Bytes that `taken` may come to.
var limit: u64 = 0;
/// Bytes beyond the limit that may be taken just now (main.zig).
pub var spare: u64 = 0;
/// Whether what is allocated or freed just now is a message's buffer.
var for_message = false;
/// Offset of the last block, 0 when there is none.
var last_block: u32 = 0;
var first_map: u32 = 0;
var second_map: [first_levels]u8 = @splat(0);
var bins: [first_levels][second_levels]u32 = @splat(@splat(0));
var small: [class_count + 1]?*SmallFree = @splat(null);
/// How large the next run of each small class will be.
var next_run: [class_count + 1]u32 = @splat(first_run);
/// Bytes handed out and not yet freed, by requested class.
var in_use: u64 = 0;

/// Whether this is a build for tests, in which allocations can be made to fail.
const can_fail = builtin.is_test or @hasDecl(@import("root"), "allocations_can_fail");

/// For tests: the allocation after this many more fails (null: none does), and so does each one after it.
pub var fail_after: ?u64 = null;

/// Bytes handed out at present.
pub fn used() u64 {
    return in_use;
}

/// Bytes of memory the region occupies.
pub fn footprint() u64 {
    return end;
}

/// Address behind the last byte that can matter: what a copy of the machine has to hold.
pub fn top() usize {
    return base + end;
}

/// Free stretches this long are left out of a copy of the memory.
const hole_min = 32 * 1024;

/// Go through the free stretches whose contents do not matter, as addresses, in no particular order.
pub fn eachHole(context: anytype, comptime visit: fn (@TypeOf(context), usize, usize) Error!void) Error!void {
    for (bins[binOf(hole_min).first..]) |level| {
        for (level) |head| {
            var offset = head;
            while (offset != 0) : (offset = freeAt(offset).next) {
                const size = headerAt(offset).size();
                // The head and the links of a free block are the heap's own.
                if (size >= hole_min) try visit(context, base + offset + min_block, base + offset + size);
            }
        }
    }
}

/// Offsets have 32 bits.
const largest_region = 0xffff_0000;

extern var __heap_base: u8;
const native_region = 1 << 30;
var native_memory: ?[]u8 = null;

/// Prepare the empty heap; `max` is the most bytes that may be in use, messages apart. On a second call only that
/// limit changes. How far the region can grow is up to the host.
pub fn init(max: u64) void {
    limit = max;
    if (base != 0) return;
    if (builtin.cpu.arch.isWasm()) {
        base = std.mem.alignForward(usize, @intFromPtr(&__heap_base), 16);
    } else {
        if (native_memory == null) native_memory = std.heap.page_allocator.alloc(u8, native_region) catch unreachable;
        base = std.mem.alignForward(usize, @intFromPtr(native_memory.?.ptr), 16);
    }
    end = 16;
}

/// Forget everything allocated, for native tests that start afresh.
pub fn reset() void {
    base = 0;
    last_block = 0;
    first_map = 0;
    second_map = @splat(0);
    bins = @splat(@splat(0));
    small = @splat(null);
    next_run = @splat(first_run);
    in_use = 0;
    taken = 0;
}

inline fn classOf(size: usize) usize {
    return (@as(usize, @max(size, 1)) + 15) / 16;
}

/// A block of at least `size` bytes, 16-byte aligned, contents undefined.
pub inline fn alloc(size: usize) Error![*]align(16) u8 {
    return allocOrNull(size) orelse error.OutOfMemory;
}

/// As `alloc`; null, which a call hands up more cheaply than an error, when there is no memory.
pub inline fn allocOrNull(size: usize) ?[*]align(16) u8 {
    if (can_fail and mustFail()) return null;
    if (size > small_max) return allocLarge(size);
    const class = classOf(size);
    const head = small[class] orelse return allocSmallSlow(class);
    small[class] = head.next;
    in_use += class * 16;
    return @ptrCast(@alignCast(head));
}

fn mustFail() bool {
    const left = fail_after orelse return false;
    if (left > 0) fail_after = left - 1;
    return left == 0;
}

noinline fn allocLarge(size: usize) ?[*]align(16) u8 {
    const block = allocBlock(size) catch return null;
    in_use += headerAt(block).size();
    return ptrAt(block + header_size);
}

/// As `alloc`, for the buffer of a message between VM and host, over 512 bytes. It does not count towards the limit,
/// so that a machine whose memory is used up can still be talked to; limits on what is sent bound it.
pub fn allocMessage(size: usize) Error![*]align(16) u8 {
    for_message = true;
    defer for_message = false;
    return alloc(size);
}

/// As `realloc`, for a buffer of `allocMessage`.
pub fn reallocMessage(ptr: [*]align(16) u8, old: usize, new: usize) Error![*]align(16) u8 {
    for_message = true;
    defer for_message = false;
    return realloc(ptr, old, new);
}

/// As `free`, for a buffer of `allocMessage`.
pub fn freeMessage(ptr: [*]align(16) u8, size: usize) void {
    for_message = true;
    defer for_message = false;
    free(ptr, size);
}

/// Count bytes of the large layer as in use; fails where the limit forbids it.
fn take(size: u32) Error!void {
    if (for_message) return;
    if (taken + size > limit + spare) return error.OutOfMemory;
    taken += size;
}

/// A block came out larger than wanted, because what was over is not worth a block.
fn takeSurplus(size: u32) void {
    if (!for_message) taken += size;
}

fn giveBack(size: u32) void {
    if (!for_message) taken -= size;
}

noinline fn allocSmallSlow(class: usize) ?[*]align(16) u8 {
    @branchHint(.unlikely);
    const step = class * 16;
    const run = allocBlock(next_run[class]) catch return null;
    next_run[class] = @min(next_run[class] * 2, largest_run);
    const bytes = headerAt(run).size() - header_size;
    const count = bytes / step;
    const start = ptrAt(run + header_size);
    var next: ?*SmallFree = small[class];
    var i = count;
    while (i > 1) {
        i -= 1;
        const item: *SmallFree = @ptrCast(@alignCast(start + i * step));
        item.next = next;
        next = item;
    }
    small[class] = next;
    in_use += step;
    return start;
}

/// Give back a block of `size` bytes, the size it was asked for with.
pub inline fn free(ptr: [*]align(16) u8, size: usize) void {
    if (size > small_max) return freeLarge(ptr);
    const class = classOf(size);
    const item: *SmallFree = @ptrCast(ptr);
    item.next = small[class];
    small[class] = item;
    in_use -= class * 16;
}

noinline fn freeLarge(ptr: [*]align(16) u8) void {
    const block = offsetOf(ptr) - header_size;
    in_use -= headerAt(block).size();
    giveBack(headerAt(block).size());
    mergeAndInsert(block);
}

/// The block at `ptr` with room for `new` bytes, moved if need be; the first min(old, new) bytes are kept.
/// On failure the old block is untouched.
pub fn realloc(ptr: [*]align(16) u8, old: usize, new: usize) Error![*]align(16) u8 {
    if (old <= small_max and new <= small_max and classOf(old) == classOf(new)) return ptr;
    if (old > small_max and new > small_max) {
        if (try resizeInPlace(ptr, new)) return ptr;
    }
    const moved = try alloc(new);
    @memcpy(moved[0..@min(old, new)], ptr[0..@min(old, new)]);
    free(ptr, old);
    return moved;
}

fn ptrAt(offset: u32) [*]align(16) u8 {
    return @ptrFromInt(base + offset);
}

fn headerAt(offset: u32) *Header {
    return @ptrFromInt(base + offset);
}

fn freeAt(offset: u32) *Free {
    return @ptrFromInt(base + offset + header_size);
}

fn offsetOf(ptr: [*]align(16) u8) u32 {
    return @intCast(@intFromPtr(ptr) - base);
}

fn blockSizeFor(size: usize) Error!u32 {
    if (size > 0xf000_0000) return error.OutOfMemory;
    return @intCast(std.mem.alignForward(usize, @max(size + header_size, min_block), 16));
}

const Bin = struct { first: u5, second: u3 };

fn binOf(size: u32) Bin {
    const first: u5 = @intCast(31 - @clz(size));
    return .{ .first = first, .second = @truncate(size >> (first - second_bits)) };
}

fn insertFree(offset: u32) void {
    const header = headerAt(offset);
    const bin = binOf(header.size());
    header.size_and_flag |= 1;
    const head = bins[bin.first][bin.second];
    freeAt(offset).* = .{ .next = head, .prev = 0 };
    if (head != 0) freeAt(head).prev = offset;
    bins[bin.first][bin.second] = offset;
    first_map |= @as(u32, 1) << bin.first;
    second_map[bin.first] |= @as(u8, 1) << bin.second;
}

fn removeFree(offset: u32) void {
    const header = headerAt(offset);
    const bin = binOf(header.size());
    const links = freeAt(offset).*;
    if (links.next != 0) freeAt(links.next).prev = links.prev;
    if (links.prev != 0) {
        freeAt(links.prev).next = links.next;
    } else {
        bins[bin.first][bin.second] = links.next;
        if (links.next == 0) {
            second_map[bin.first] &= ~(@as(u8, 1) << bin.second);
            if (second_map[bin.first] == 0) first_map &= ~(@as(u32, 1) << bin.first);
        }
    }
    header.size_and_flag &= ~@as(u32, 1);
}

/// A free block of at least `wanted` bytes (header included), taken out and cut to size; null if there is none.
fn takeFree(wanted: u32) ?u32 {
    // Round up to the next bin so that whatever is found there fits.
    const slack = (@as(u32, 1) << (@as(u5, @intCast(31 - @clz(wanted))) - second_bits)) - 1;
    const sought = wanted +| slack;
    const bin = binOf(sought);
    var first: u5 = bin.first;
    var map: u32 = second_map[first] & (@as(u32, 0xff) << bin.second);
    if (map == 0) {
        if (first == 31) return null;
        const above = first_map & (~@as(u32, 0) << (first + 1));
        if (above == 0) return null;
        first = @intCast(@ctz(above));
        map = second_map[first];
    }
    const offset = bins[first][@intCast(@ctz(map))];
    removeFree(offset);
    trim(offset, wanted);
    return offset;
}

/// Cut the tail beyond `wanted` off a block in use, if it is worth a block.
fn trim(offset: u32, wanted: u32) void {
    const header = headerAt(offset);
    const size = header.size();
    if (size - wanted < min_block + small_max) return;
    header.size_and_flag = wanted;
    const rest = offset + wanted;
    headerAt(rest).* = .{ .size_and_flag = size - wanted, .prev_size = wanted, .pad = .{ 0, 0 } };
    fixNext(rest);
    mergeAndInsert(rest);
}

fn fixNext(offset: u32) void {
    const size = headerAt(offset).size();
    if (offset == last_block or offset + size >= end) {
        last_block = offset;
    } else {
        headerAt(offset + size).prev_size = size;
    }
}

fn mergeAndInsert(start: u32) void {
    var offset = start;
    const header = headerAt(offset);
    const next = offset + header.size();
    if (next < end and headerAt(next).isFree()) {
        removeFree(next);
        header.size_and_flag += headerAt(next).size();
        if (next == last_block) last_block = offset;
    }
    if (header.prev_size != 0 and headerAt(offset - header.prev_size).isFree()) {
        const before = offset - header.prev_size;
        removeFree(before);
        headerAt(before).size_and_flag += headerAt(offset).size();
        if (offset == last_block) last_block = before;
        offset = before;
    }
    fixNext(offset);
    insertFree(offset);
}

fn allocBlock(size: usize) Error!u32 {
    const wanted = try blockSizeFor(size);
    try take(wanted);
    errdefer giveBack(wanted);
    const block = takeFree(wanted) orelse try growFor(wanted);
    takeSurplus(headerAt(block).size() - wanted);
    return block;
}

/// Extend the region so that a block of `wanted` bytes (header included) exists, and take it.
fn growFor(wanted: u32) Error!u32 {
    @branchHint(.unlikely);
    var tail: u32 = 0;
    if (last_block != 0 and headerAt(last_block).isFree()) tail = headerAt(last_block).size();
    if (tail >= wanted) return takeLast(wanted).?;
    const missing = wanted - tail;
    const step = std.math.clamp(std.mem.alignForward(u32, end / 4, page_size), grow_least, grow_most);
    const rounded = std.mem.alignForward(u64, @max(missing, step), 16);
    extend(rounded) catch try extend(missing);
    const offset = takeLast(wanted) orelse return error.OutOfMemory;
    return offset;
}

fn extend(by: u64) Error!void {
    const new_end = @as(u64, end) + by;
    if (new_end > largest_region) return error.OutOfMemory;
    try commit(new_end);
    const start = end;
    end = @intCast(new_end);
    const prev_size: u32 = if (last_block != 0) headerAt(last_block).size() else 0;
    headerAt(start).* = .{ .size_and_flag = @intCast(by), .prev_size = prev_size, .pad = .{ 0, 0 } };
    last_block = start;
    mergeAndInsert(start);
}

/// Make sure the memory up to `base + bytes` exists.
fn commit(bytes: u64) Error!void {
    if (base == 0) return error.OutOfMemory; // before `init`
    if (builtin.cpu.arch.isWasm()) {
        const have: u64 = @as(u64, @wasmMemorySize(0)) * page_size;
        const want = @as(u64, base) + bytes;
        if (want <= have) return;
        if (grown(std.mem.alignForward(u64, want, large_page) - have)) return;
        if (!grown(want - have)) return error.OutOfMemory;
    } else if (bytes > native_region - 64) return error.OutOfMemory;
}

/// Make so many bytes more of the linear memory accessible, if the host grants them.
fn grown(more: u64) bool {
    const pages = (more + page_size - 1) / page_size;
    return pages <= 65536 and @wasmMemoryGrow(0, @intCast(pages)) >= 0;
}

fn takeLast(wanted: u32) ?u32 {
    const offset = last_block;
    const header = headerAt(offset);
    if (!header.isFree() or header.size() < wanted) return null;
    removeFree(offset);
    trim(offset, wanted);
    return offset;
}

fn resizeInPlace(ptr: [*]align(16) u8, new: usize) Error!bool {
    const wanted = try blockSizeFor(new);
    const offset = offsetOf(ptr) - header_size;
    const header = headerAt(offset);
    const before = header.size();
    if (wanted <= before) {
        trim(offset, wanted);
        in_use -= before - header.size();
        giveBack(before - header.size());
        return true;
    }
    const next = offset + before;
    if (next < end and headerAt(next).isFree() and before + headerAt(next).size() >= wanted) {
        try take(wanted - before);
        removeFree(next);
        header.size_and_flag += headerAt(next).size();
        if (next == last_block) last_block = offset;
        fixNext(offset);
        trim(offset, wanted);
        in_use += header.size() - before;
        takeSurplus(header.size() - wanted);
        return true;
    }
    return false;
}

test "blocks of all sizes keep their contents and come back on free" {
    reset();
    init(64 << 20);
    var prng = std.Random.DefaultPrng.init(1);
    const random = prng.random();
    const Live = struct { ptr: [*]align(16) u8, size: usize, mark: u8 };
    var live: [300]?Live = @splat(null);
    for (0..60_000) |_| {
        const slot = random.uintLessThan(usize, live.len);
        if (live[slot]) |item| {
            for (item.ptr[0..item.size]) |byte| try std.testing.expectEqual(item.mark, byte);
            if (random.boolean()) {
                const size = 1 + random.uintLessThan(usize, if (random.boolean()) 600 else 30_000);
                const moved = try realloc(item.ptr, item.size, size);
                for (moved[0..@min(size, item.size)]) |byte| try std.testing.expectEqual(item.mark, byte);
                @memset(moved[0..size], item.mark);
                live[slot] = .{ .ptr = moved, .size = size, .mark = item.mark };
            } else {
                free(item.ptr, item.size);
                live[slot] = null;
            }
        } else {
            const size = 1 + random.uintLessThan(usize, if (random.boolean()) 600 else 30_000);
            const mark = random.int(u8);
            const ptr = try alloc(size);
            try std.testing.expect(@intFromPtr(ptr) % 16 == 0);
            @memset(ptr[0..size], mark);
            live[slot] = .{ .ptr = ptr, .size = size, .mark = mark };
        }
    }
    for (live) |item| if (item) |it| free(it.ptr, it.size);
    try std.testing.expectEqual(@as(u64, 0), used());
}

test "a full heap says so, keeps what it holds, and serves again after a free" {
    reset();
    init(1 << 20);
    const kept = try alloc(100_000);
    @memset(kept[0..100_000], 7);
    try std.testing.expectError(error.OutOfMemory, alloc(2 << 20));
    try std.testing.expectError(error.OutOfMemory, realloc(kept, 100_000, 2 << 20));
    try std.testing.expectEqual(@as(u8, 7), kept[99_999]);
    free(kept, 100_000);
    const again = try alloc(900_000);
    free(again, 900_000);
    try std.testing.expectEqual(@as(u64, 0), used());
}

test "neighbours that were freed are joined" {
    reset();
    init(4 << 20);
    var blocks: [8][*]align(16) u8 = undefined;
    for (&blocks) |*block| block.* = try alloc(100_000);
    const before = footprint();
    for (blocks) |block| free(block, 100_000);
    const whole = try alloc(790_000);
    try std.testing.expectEqual(before, footprint());
    free(whole, 790_000);
}
