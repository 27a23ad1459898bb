//! The kernel as tests build it to see it run out of memory at every single allocation (tests/test_exhaustion.py):
//! main.zig with two more exports.

const main = @import("main.zig");
const heap = @import("heap.zig");
const vm = @import("vm.zig");
const loader = @import("loader.zig");
const effects = @import("effects.zig");
const requests = @import("requests.zig");
const projection = @import("projection.zig");
const wire = @import("wire.zig");


/// Tells heap.zig to let allocations fail.
pub const allocations_can_fail = {};

/// Let the allocation after `count` more fail, and each one after it; a negative count lets none fail.
/// Gives how many of the previous count were left, -1 where none could fail.
export fn fail_after(count: i32) i32 {
    const left: i32 = if (heap.fail_after) |left| @intCast(left) else -1;
    heap.fail_after = if (count < 0) null else @intCast(count);
    return left;
}

/// Between blocks: forget the variables, the program and all that is kept for later. Gives the bytes still handed out,
/// of which the buffer of answers is the only one that should be left.
export fn forget() u32 {
    main.releaseInput();
    vm.forget();
    loader.unload();
    wire.clearKeys();
    requests.wave.deinit();
    effects.submission.deinit();
    projection.outgoing.deinit();
    return @intCast(heap.used());
}
