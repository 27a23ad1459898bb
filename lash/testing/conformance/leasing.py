"""Cases of leases: who may commit, and when."""

from __future__ import annotations

from dataclasses import replace

from lash.runtime.errors import LeaseNotHeld
from lash.runtime.seams.persistence import LeaseClaim, LeaseOwner
from lash.testing.conformance.material import acquire, contents, leaf_of, play_turns, refused, turn_commit
from lash.testing.conformance.world import World, case

FIRST = LeaseOwner("worker", "life 1")
SECOND = LeaseOwner("worker", "life 2")
OTHER = LeaseOwner("another", "life 1")


@case(20)
async def live_lease(world: World) -> None:
    """A live lease keeps others out, other lives of its owner too; its bearer gets it again; a stale one is nothing."""
    store = await world.store()
    held = (await acquire(store, FIRST, 1_000)).lease
    assert held.expires_ms == world.clock.now_ms() + 1_000
    for owner in (SECOND, OTHER):
        busy = await store.claim_lease(owner, 1_000)
        assert busy == LeaseClaim.Busy(FIRST, held.expires_ms)
    await world.clock.advance(0.4)
    again = (await acquire(store, FIRST, 1_000)).lease
    assert again.fence == held.fence
    assert again.expires_ms == held.expires_ms + 400
    renewed = await store.renew_lease(held.fence, 5_000)
    assert (renewed.fence, renewed.expires_ms) == (held.fence, world.clock.now_ms() + 5_000)

    for stale in (
        replace(held.fence, token="forged"),
        replace(held.fence, fencing=0),
        replace(held.fence, owner=OTHER),
    ):
        await refused(LeaseNotHeld, store.renew_lease(stale, 1_000))
        await store.release_lease(stale)
    assert isinstance(await store.claim_lease(OTHER, 1_000), LeaseClaim.Busy)
    await store.release_lease(held.fence)
    await store.release_lease(held.fence)
    await refused(LeaseNotHeld, store.renew_lease(held.fence, 1_000))
    assert (await acquire(store, OTHER)).lease.fence.fencing > held.fence.fencing


@case(21)
async def expired_lease(world: World) -> None:
    """When a lease has expired another may claim, with a larger number, and the former owner can commit no more."""
    store = await world.store()
    [(first, _)] = await play_turns(store, 1)
    held = (await acquire(store, FIRST, 1_000)).lease
    commit = turn_commit("t2", 2, 1, leaf_of(first), lease=held.fence)
    before = await contents(store)
    await world.clock.advance(1.0)
    await refused(LeaseNotHeld, store.commit_runtime_state(commit))
    await refused(LeaseNotHeld, store.renew_lease(held.fence, 1_000))
    successor = (await acquire(store, OTHER)).lease
    assert successor.fence.fencing > held.fence.fencing
    assert successor.fence.token != held.fence.token
    await refused(LeaseNotHeld, store.commit_runtime_state(commit))
    assert await contents(store) == before
    result = await store.commit_runtime_state(replace(commit, lease=successor.fence))
    assert result.head_revision == 2


@case(21)
async def own_expired_lease(world: World) -> None:
    """Who lets a lease expire and claims again holds another one, even if nobody came between."""
    store = await world.store()
    held = (await acquire(store, FIRST, 1_000)).lease
    await world.clock.advance(1.0)
    again = (await acquire(store, FIRST, 1_000)).lease
    assert again.fence.fencing > held.fence.fencing
    await refused(LeaseNotHeld, store.renew_lease(held.fence, 1_000))


@case(22)
async def unfenced_commit(world: World) -> None:
    """While a lease is live, a commit without it is refused; given back, by itself or by a commit, it is not."""
    store = await world.store()
    held = (await acquire(store, FIRST)).lease
    commit = turn_commit("t1", 1, None, None)
    await refused(LeaseNotHeld, store.commit_runtime_state(commit))
    assert await store.load_session("full_graph") is None
    await store.release_lease(held.fence)
    await refused(LeaseNotHeld, store.commit_runtime_state(replace(commit, lease=held.fence)))
    await store.commit_runtime_state(commit)

    held = (await acquire(store, FIRST)).lease
    kept = turn_commit("t2", 2, 1, leaf_of(commit), lease=held.fence)
    await store.commit_runtime_state(kept)
    assert isinstance(await store.claim_lease(OTHER, 1_000), LeaseClaim.Busy)
    given_back = turn_commit("t3", 3, 2, leaf_of(kept), lease=held.fence, release_lease=True)
    await store.commit_runtime_state(given_back)
    await store.commit_runtime_state(turn_commit("t4", 4, 3, leaf_of(given_back)))
    await acquire(store, OTHER)
