"""Cases of stores that outlive their process: reopened, killed, damaged, full."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from lash.host.stores.tables import AROUND_COMMIT, STEPS
from lash.runtime.errors import StoreBackendError, StoreCorruption, UnsupportedRecordVersion
from lash.runtime.seams.persistence import (
    GraphDelta,
    LeaseOwner,
    PendingInputDraft,
    RuntimeCommit,
    RuntimePersistence,
    SessionMeta,
    SessionRelation,
    TurnCommitStamp,
)
from lash.testing.conformance import children
from lash.testing.conformance.material import (
    Contents,
    acquire,
    contents,
    leaf_of,
    nodes_of,
    play_turns,
    refused,
    turn_commit,
    usage_of,
)
from lash.testing.conformance.world import SESSION, Opener, World, case, request

SIGKILL = -9
OWNER = LeaseOwner("worker", "life 1")

MOST_PAGES = 200
"""More pages than the commit that meets a full disk needs."""

GROWING_STEPS = {"blobs", "nodes", "usage", "inputs", "attachments", "head", "stamp_write"}
"""The steps that write rows, each of which a full disk can hit."""


@case(29)
async def reopened_cold(world: World) -> None:
    """What was committed is there after everything was closed: state, ledger, input, attachments and meta."""
    factory = world.factory()
    opener = world.reopened(factory)
    store = await factory.open_store(request())
    await store.save_session_meta(
        SessionMeta(SESSION, "näme", 5, SessionRelation.Handoff("parent", "why"), "m", "/tmp", "hi \ud800", 3)
    )
    await _prepare(store)
    before = await contents(store)
    lease = await acquire(store, OWNER)
    await factory.aclose()
    reopened = await world.open(opener).find_store(SESSION)
    assert reopened is not None
    assert await contents(reopened) == before
    assert (await acquire(reopened, OWNER)).lease.fence == lease.lease.fence


@case(30)
async def killed_in_a_commit(world: World) -> None:
    """A process killed in the middle of a commit leaves the revision before it; after COMMIT, the one after."""
    rounds = world.size(1, 20)
    points = (*STEPS, *AROUND_COMMIT)
    expected_before, expected_after = await _before_and_after(world)
    groups: list[Sequence[children.Job]] = []
    openers: list[tuple[str, Opener]] = []
    for point in points * rounds:
        factory = world.factory()
        opener = world.killable(factory)
        commit = await _prepare(await factory.open_store(request()))
        await factory.aclose()
        groups.append([children.Job(children.commit_and_die, (opener, world.clock.now_ms(), commit, point))])
        openers.append((point, opener))
    endings = await children.run_each(groups)
    for (point, opener), [ending] in zip(openers, endings, strict=True):
        assert ending.status == SIGKILL, f"the child was to be killed at {point!r}: {ending}"
        store = await world.open(opener).find_store(SESSION)
        assert store is not None
        found = await contents(store)
        wanted = expected_after if point == "committed" else expected_before
        assert found == wanted, f"after a kill at {point!r} the session is neither as before nor as after the commit"
        await _check_usable(store, found)
        await world.aclose()


@case(31, long_only=True)
async def damaged_log(world: World) -> None:
    """With a log that is cut off or damaged anywhere, the session opens as some commit left it."""
    factory = world.factory()
    store = await factory.open_store(request())
    after: dict[int, Contents] = {0: await contents(store)}
    for turn in range(1, 31):
        await play_turns(store, 1, first=turn)
        after[turn] = await contents(store)
    for opener in world.instruments.damaged_logs(factory, SESSION, 200):
        damaged = world.open(opener)
        found = await damaged.find_store(SESSION)
        assert found is not None
        read = await contents(found)
        assert read == after[read.read.head_revision if read.read is not None else 0]
        await damaged.aclose()


@case(32)
async def flipped_bits_in_blobs(world: World) -> None:
    """A bit flipped inside a stored blob, compressed or not, is noticed when the blob is read."""
    factory = world.factory()
    opener = world.reopened(factory)
    store = await factory.open_store(request())
    noise = random.Random(1).randbytes(500)
    done = await play_turns(store, 1)
    commit = turn_commit("t2", 2, 1, leaf_of(done[0][0]), state=noise)
    result = await store.commit_runtime_state(commit)
    await factory.aclose()
    compressed, raw = done[0][1].manifest["execution_state"], result.manifest["execution_state"]
    for flipped, turn in ((compressed.hash, "t1"), (done[0][1].checkpoint_ref, "t1"), (raw.hash, "t2")):
        world.instruments.flip_blob(factory, SESSION, flipped)
        reopened = world.open(opener)
        damaged = await reopened.find_store(SESSION)
        assert damaged is not None
        await refused(StoreCorruption, damaged.load_checkpoint(turn))
        if turn == "t2":
            await refused(StoreCorruption, damaged.load_session("active_path"))
        else:
            assert (await damaged.load_checkpoint("t2")).execution_state == noise
        await reopened.aclose()


@case(33)
async def full_disk(world: World) -> None:
    """With a disk that gets full in any step of a commit nothing of it is stored, and with room again it works."""
    reached: set[str] = set()
    for spare_pages in range(MOST_PAGES):
        factory = world.factory()
        store = await factory.open_store(request())
        commit = _bulky(await _prepare(store))
        before = await contents(store)
        await world.instruments.limit_disk(factory, spare_pages)
        world.failpoints.reached.clear()
        try:
            await store.commit_runtime_state(commit)
        except StoreBackendError:
            reached.add(world.failpoints.reached[-1])
            assert await contents(store) == before
            await world.instruments.limit_disk(factory, None)
            assert (await store.commit_runtime_state(commit)).head_revision == 3
        else:
            assert reached == GROWING_STEPS
            return
        finally:
            await world.aclose()
    raise AssertionError(f"the commit needs more room than {MOST_PAGES} pages")


@case(34)
async def newer_schema(world: World) -> None:
    """A session that a later version has written is refused, and is not touched."""
    factory = world.factory()
    opener = world.reopened(factory)
    await play_turns(await factory.open_store(request()), 1)
    await factory.aclose()
    world.instruments.make_newer(factory, SESSION)
    later = world.open(opener)
    await refused(UnsupportedRecordVersion, later.open_store(request()))
    await refused(UnsupportedRecordVersion, later.find_store(SESSION))


async def _prepare(store: RuntimePersistence) -> RuntimeCommit:
    """Bring a session to revision 2; what is returned is a third commit in which every step has something to do."""
    await play_turns(store, 2)
    await store.append_usage("op", [usage_of(3, "child")])
    await store.record_attachment_intent("a" * 64, "file:a", turn_id="t3")
    await store.enqueue_input(PendingInputDraft("in:1", "next_turn", "first"))
    await store.enqueue_input(PendingInputDraft("in:2", "active_turn", "second", "key", "t3"))
    fence = (await acquire(store, OWNER)).lease.fence
    claims = await store.claim_inputs(fence, None, turn_id="t3")
    commit = turn_commit(
        "t3",
        3,
        2,
        "n:t2:1",
        lease=fence,
        release_lease=True,
        completed_inputs=tuple(claims),
        enqueued_inputs=(PendingInputDraft("in:3", "next_turn", "third"),),
        committed_attachment_ids=("a" * 64, "b" * 64),
    )
    return replace(commit, graph=GraphDelta.Append(nodes_of("t3", "n:t2:1", 5), "n:t3:4"))


def _bulky(commit: RuntimeCommit) -> RuntimeCommit:
    """A commit that needs new pages in every step that writes rows."""
    nodes = nodes_of(str(commit.turn_id), "n:t2:1", 40)
    turn_id = "t3" * 4_000
    return replace(
        commit,
        graph=GraphDelta.Append(nodes, nodes[-1].node_id),
        config=replace(commit.config, extras={"notes": "x" * 8_000}),
        checkpoint=replace(commit.checkpoint, execution_state=random.Random(3).randbytes(20_000)),
        usage_deltas=tuple(usage_of(1, f"source {number}") for number in range(200)),
        enqueued_inputs=tuple(PendingInputDraft(f"more:{number}", "next_turn", "x" * 100) for number in range(100)),
        committed_attachment_ids=("a" * 64, "b" * 64),
        turn_id=turn_id,
        turn_commit=TurnCommitStamp(SESSION, turn_id, "hash"),
    )


async def _before_and_after(world: World) -> tuple[Contents, Contents]:
    """What the session holds before and after the third commit, in a place where nobody is killed."""
    store = await world.store()
    commit = await _prepare(store)
    before = await contents(store)
    await store.commit_runtime_state(commit)
    return before, await contents(store)


async def _check_usable(store: RuntimePersistence, found: Contents) -> None:
    """The lease is the dead owner's still or given back, and the next commit works."""
    assert found.read is not None
    fence = (await acquire(store, OWNER)).lease.fence
    revision = found.read.head_revision
    commit = turn_commit("next", revision + 1, revision, found.read.leaf_node_id, lease=fence)
    assert (await store.commit_runtime_state(commit)).head_revision == revision + 1
