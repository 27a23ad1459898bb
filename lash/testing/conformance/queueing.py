"""Cases of queued input: who gets it, once, and what becomes of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from lash.runtime.errors import IdempotencyConflict, InputClaimExpired, LeaseNotHeld
from lash.runtime.seams.persistence import Boundary, LeaseFence, LeaseOwner, PendingInputDraft, RuntimePersistence
from lash.testing.conformance.material import acquire, contents, leaf_of, play_turns, refused, turn_commit
from lash.testing.conformance.world import World, case, request

OWNER = LeaseOwner("worker", "life 1")
OTHER = LeaseOwner("another", "life 1")


@case(25)
async def source_keys(world: World) -> None:
    """The same source key twice is one input; with another body it is a conflict. So it is with ids."""
    store = await world.store()
    draft = PendingInputDraft("in:1", "next_turn", {"text": "hello", "n": [1, 2**80, None]}, "key")
    first = await store.enqueue_input(draft)
    assert first.draft == draft
    assert first.state == "deferred_next_turn"
    retried = replace(draft, input_id="in:2", body={"n": [1, 2**80, None], "text": "hello"})
    assert await store.enqueue_input(retried) == first
    assert await store.enqueue_input(replace(draft, source_key=None)) == first
    for other in (replace(retried, body="bye"), replace(draft, source_key=None, body="bye")):
        await refused(IdempotencyConflict, store.enqueue_input(other))
    assert await store.list_inputs() == [first]


@case(25)
async def input_queued_by_a_commit(world: World) -> None:
    """A commit queues input, once, and a conflict about it undoes the whole commit."""
    store = await world.store()
    draft = PendingInputDraft("in:1", "next_turn", "go on", "key")
    await store.commit_runtime_state(turn_commit("t1", 1, None, None, enqueued_inputs=(draft, draft)))
    before = await contents(store)
    assert [queued.draft for queued in before.inputs] == [draft]
    clash = turn_commit("t2", 2, 1, "n:t1:1", enqueued_inputs=(replace(draft, body="stop"),))
    await refused(IdempotencyConflict, store.commit_runtime_state(clash))
    assert await contents(store) == before


@case(26)
async def stale_claim(world: World) -> None:
    """A commit that completes input under a claim that is over is undone as a whole."""
    store = await world.store()
    [(first, _)] = await play_turns(store, 1)
    await store.enqueue_input(PendingInputDraft("in:1", "next_turn", "x"))
    held = (await acquire(store, OWNER, 1_000)).lease.fence
    [claim] = await store.claim_inputs(held, None)
    assert claim.input.state == "accepted"
    await world.clock.advance(1.0)
    current = (await acquire(store, OTHER)).lease.fence
    before = await contents(store)
    commit = turn_commit("t2", 2, 1, leaf_of(first), lease=current, completed_inputs=(claim,))
    await refused(InputClaimExpired, store.commit_runtime_state(commit))
    assert await contents(store) == before
    [again] = await store.claim_inputs(current, None)
    await store.commit_runtime_state(replace(commit, completed_inputs=(again,)))
    assert await _states(store) == {"in:1": "completed"}
    done = turn_commit("t3", 3, 2, "n:t2:1", lease=current, completed_inputs=(again,))
    await refused(InputClaimExpired, store.commit_runtime_state(done))


@case(27)
async def cancelling_against_claiming(world: World) -> None:
    """Of a cancellation and a claim at the same time exactly one wins, every time."""
    factory = world.factory()
    store = await factory.open_store(request())
    other = await world.again(factory).open_store(request())
    fence = (await acquire(store, OWNER)).lease.fence
    for turn in range(world.size(50, 500)):
        input_id = f"in:{turn}"
        await store.enqueue_input(PendingInputDraft(input_id, "next_turn", turn))
        cancelling, claiming = other.cancel_input(input_id), store.claim_inputs(fence, None)
        if turn % 2:
            cancelled, claims = await asyncio.gather(cancelling, claiming)
        else:
            claims, cancelled = await asyncio.gather(claiming, cancelling)
        assert (cancelled is None) == (len(claims) == 1), (cancelled, claims)
        assert (await _states(store))[input_id] == ("accepted" if claims else "cancelled")


@case(28)
async def interrupted_turn(world: World) -> None:
    """What an interrupted turn took is completed with it, what it did not take waits for the next one, once."""
    store = await world.store()
    fence = (await acquire(store, OWNER)).lease.fence
    for name in ("early", "late", "open"):
        draft = PendingInputDraft(
            name, "active_turn", name, turn_id="t1", min_boundary="before_completion" if name == "late" else None
        )
        assert (await store.enqueue_input(draft)).state == "pending_active"
    await store.enqueue_input(PendingInputDraft("others", "active_turn", "x", turn_id="t0"))
    taken = await store.claim_inputs(fence, "after_work", turn_id="t1", limit=1)
    assert [claim.input.draft.input_id for claim in taken] == ["early"]
    await store.commit_runtime_state(turn_commit("t1", 1, None, None, lease=fence, completed_inputs=tuple(taken)))
    assert await _states(store) == {
        "early": "completed",
        "late": "deferred_next_turn",
        "open": "deferred_next_turn",
        "others": "pending_active",
    }
    rest = await store.claim_inputs(fence, None, turn_id="t2")
    assert [claim.input.draft.input_id for claim in rest] == ["late", "open", "others"]
    assert await store.claim_inputs(fence, None, turn_id="t2") == []


@case(28)
async def boundaries(world: World) -> None:
    """A boundary of a turn admits what is for this turn and asked for no later one; oldest first, so many at most."""
    store = await world.store()
    fence = (await acquire(store, OWNER)).lease.fence
    for name in ("late", "soon", "another"):
        await store.enqueue_input(
            PendingInputDraft(
                name,
                "active_turn",
                name,
                turn_id="t2" if name == "another" else "t1",
                min_boundary="before_completion" if name == "late" else "after_work",
            )
        )
    await store.enqueue_input(PendingInputDraft("next", "next_turn", "x"))
    await store.enqueue_input(PendingInputDraft("any", "active_turn", "x"))
    assert await _claimed(store, fence, "t1", "after_work") == ["soon", "any"]
    assert await _claimed(store, fence, "t1", "before_completion") == ["late"]
    assert await _claimed(store, fence, "t1", "before_completion") == []


@case(28)
async def lost_claims(world: World) -> None:
    """What a dead worker took waits again for whoever holds the session next, and can be cancelled meanwhile."""
    store = await world.store()
    for number in range(3):
        await store.enqueue_input(PendingInputDraft(f"in:{number}", "next_turn", number))
    fence = (await acquire(store, OWNER, 1_000)).lease.fence
    assert len(await store.claim_inputs(fence, None)) == 3
    assert await store.cancel_input("in:1") is None
    await world.clock.advance(1.0)
    await refused(LeaseNotHeld, store.claim_inputs(fence, None))
    cancelled = await store.cancel_input("in:1")
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert await store.cancel_input("in:9") is None
    successor = (await acquire(store, OTHER)).lease.fence
    claims = await store.claim_inputs(successor, None)
    assert [claim.input.draft.input_id for claim in claims] == ["in:0", "in:2"]


async def _claimed(store: RuntimePersistence, fence: LeaseFence, turn_id: str, boundary: Boundary) -> list[str]:
    return [claim.input.draft.input_id for claim in await store.claim_inputs(fence, boundary, turn_id=turn_id)]


async def _states(store: RuntimePersistence) -> dict[str, str]:
    return {queued.draft.input_id: queued.state for queued in await store.list_inputs()}
