"""Cases of commits: what they write, what they refuse, what is left after a refusal."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace

from lash.host.stores.tables import STEPS
from lash.runtime.errors import (
    DuplicateNode,
    HeadRevisionConflict,
    SessionBindingMismatch,
    StoreError,
    TurnCommitConflict,
)
from lash.runtime.sansio.messages import Message, Part, SessionEvent, SessionEventRecord
from lash.runtime.sansio.tools import ToolCallRecord, ToolOutput
from lash.runtime.seams.persistence import (
    GraphDelta,
    HydratedCheckpoint,
    InputClaim,
    LeaseOwner,
    PendingInput,
    PendingInputDraft,
    SessionNode,
    TurnCommitStamp,
)
from lash.runtime.session.commit import commit_hash
from lash.testing.conformance.material import (
    CONFIG,
    acquire,
    contents,
    control_commit,
    leaf_of,
    nodes_of,
    play_turns,
    read_whole,
    refused,
    turn_commit,
    usage_of,
)
from lash.testing.conformance.world import SESSION, Crash, Skipped, World, case, request


@case(1)
async def first_commit(world: World) -> None:
    """A first commit, without an expected head, gives revision 1, and what is read is what was written."""
    store = await world.store()
    assert await store.load_session("full_graph") is None
    commit = turn_commit("t1", 1, None, None)
    result = await store.commit_runtime_state(commit)
    assert result.head_revision == 1
    assert set(result.manifest) == {"tool_state", "execution_state"}
    read = await read_whole(store)
    assert isinstance(commit.graph, GraphDelta.Append)
    assert (read.session_id, read.head_revision, read.leaf_node_id) == (SESSION, 1, commit.graph.leaf)
    assert (read.nodes, read.node_count) == (commit.graph.nodes, 2)
    assert read.config == commit.config
    assert read.turn_state == commit.checkpoint.turn_state
    assert (read.tool_state, read.plugin_snapshot) == (b"tools", None)
    assert read.execution_state == commit.checkpoint.execution_state
    assert read.manifest == result.manifest
    assert (read.usage, read.usage_entry_count) == (commit.usage_deltas, 1)
    assert read.successor_session_id is None
    assert read.updated_ms == world.clock.now_ms()
    for node in commit.graph.nodes:
        assert await store.load_node(node.node_id) == node
    assert await store.load_node("n:nobody:0") is None


@case(1)
async def unchanged_state_is_named(world: World) -> None:
    """State that did not change is named by its reference instead of written again, and is read like any other."""
    store = await world.store()
    [(first, result)] = await play_turns(store, 1)
    checkpoint = HydratedCheckpoint({"turn": 2}, execution_state=result.manifest["execution_state"])
    second = turn_commit(
        "t2", 2, 1, leaf_of(first), checkpoint=checkpoint, graph=GraphDelta.Unchanged(first.graph.leaf)
    )
    again = await store.commit_runtime_state(replace(second, successor_session_id="h:next"))
    assert again.manifest == {"execution_state": result.manifest["execution_state"]}
    read = await read_whole(store)
    assert (read.execution_state, read.tool_state) == (first.checkpoint.execution_state, None)
    assert (read.head_revision, read.node_count, read.successor_session_id) == (2, 2, "h:next")


@case(2)
async def second_first_commit(world: World) -> None:
    """A second commit that expects no head is a conflict (None, 1), and the store stays as it is."""
    store = await world.store()
    await play_turns(store, 1)
    before = await contents(store)
    error = await refused(HeadRevisionConflict, store.commit_runtime_state(turn_commit("other", 1, None, None)))
    assert (error.expected, error.actual, error.retryable) == (None, 1, True)
    assert await contents(store) == before


@case(3)
async def stale_commit(world: World) -> None:
    """A commit on an older head is a conflict that says the actual one; of none of its parts anything is stored."""
    store = await world.store()
    done = await play_turns(store, 3)
    before = await contents(store)
    stale = turn_commit(
        "late",
        2,
        1,
        leaf_of(done[0][0]),
        enqueued_inputs=(PendingInputDraft("in:late", "next_turn", "later"),),
        committed_attachment_ids=("0" * 64,),
    )
    error = await refused(HeadRevisionConflict, store.commit_runtime_state(stale))
    assert (error.expected, error.actual) == (1, 3)
    assert await contents(store) == before
    collected = await store.gc_unreachable(None)
    assert collected.deleted_blob_count == 0, "blobs of the refused commit were stored"


@case(7)
async def another_sessions_commit(world: World) -> None:
    """A commit, stamp or lease of another session is refused, and nothing changes."""
    store = await world.store()
    done = await play_turns(store, 1)
    before = await contents(store)
    commit = turn_commit("t2", 2, 1, leaf_of(done[0][0]))
    strange_stamp = TurnCommitStamp("elsewhere", "t2", "hash")
    for wrong in (replace(commit, session_id="elsewhere"), replace(commit, turn_commit=strange_stamp)):
        await refused(SessionBindingMismatch, store.commit_runtime_state(wrong))
    assert await contents(store) == before


@case(8)
async def repeated_commit(world: World) -> None:
    """A turn's commit sent again gets its first answer: at once, after three others, and without its lease."""
    store = await world.store()
    held = await acquire(store, LeaseOwner("worker", "1"))
    commit = turn_commit("t1", 1, None, None, lease=held.lease.fence, release_lease=True)
    first = await store.commit_runtime_state(commit)
    assert await store.commit_runtime_state(commit) == first
    await play_turns(store, 3, first=2)
    before = await contents(store)
    assert await store.commit_runtime_state(commit) == first
    assert await store.commit_runtime_state(replace(commit, lease=None, release_lease=False)) == first
    assert await contents(store) == before
    assert before.read is not None
    assert before.read.head_revision == 4


@case(9)
async def repeated_turn_with_other_contents(world: World) -> None:
    """A committed turn with another hash is a conflict, and nothing changes."""
    store = await world.store()
    [(commit, _)] = await play_turns(store, 1)
    before = await contents(store)
    other = replace(commit, turn_commit=TurnCommitStamp(SESSION, "t1", "another hash"))
    await refused(TurnCommitConflict, store.commit_runtime_state(other))
    assert await contents(store) == before


@case(10)
async def commit_hashes(world: World) -> None:
    """The hash of a turn does not depend on ids and times, and does on every text."""

    async def digest(ids: str, *, text: str = "hello", value: str = "v", state: str = "s", queued: str = "in:1") -> str:
        message = Message(f"m:{ids}", "user", (Part(f"p:{ids}", "text", text),))
        record = ToolCallRecord("c1", "find", {"id": value}, ToolOutput.Success({"found": True}), len(ids))
        events: tuple[SessionEventRecord, ...] = (SessionEvent.Conversation(message), SessionEvent.Tool("k", record))
        claim = InputClaim(PendingInput(PendingInputDraft(queued, "next_turn", "body"), "accepted"), len(ids))
        return await commit_hash(
            config=CONFIG, events=events, turn_state={"s": state}, usage=(usage_of(1),), completed_inputs=(claim,)
        )

    assert await digest("1") == await digest("another")
    others = [digest("1", text="hallo"), digest("1", state="t"), digest("1", queued="in:2"), digest("1", value="w")]
    assert len({await digest("1"), *[await other for other in others]}) == 5


@case(11)
async def duplicate_node(world: World) -> None:
    """A node id that is taken refuses the whole commit."""
    store = await world.store()
    done = await play_turns(store, 2)
    before = await contents(store)
    fresh = nodes_of("fresh", leaf_of(done[1][0]))
    taken = SessionNode("n:t1:0", fresh[-1].node_id, 0, fresh[0].payload)
    commit = turn_commit("t3", 3, 2, None, graph=GraphDelta.Append((*fresh, taken), taken.node_id))
    await refused(DuplicateNode, store.commit_runtime_state(commit))
    twice = GraphDelta.Append((fresh[0], replace(fresh[0], parent_node_id=fresh[0].node_id)), fresh[0].node_id)
    await refused(DuplicateNode, store.commit_runtime_state(replace(commit, graph=twice)))
    assert await contents(store) == before
    assert (await store.gc_unreachable(None)).deleted_blob_count == 0, "blobs of the refused commit were stored"


@case(11)
async def graphs_that_hang_in_the_air(world: World) -> None:
    """A leaf or a parent that is not stored, and a node before its parent, refuse the whole commit."""
    store = await world.store()
    await play_turns(store, 1)
    before = await contents(store)
    nodes = nodes_of("x", "n:t1:1")
    wrong: tuple[GraphDelta.Unchanged | GraphDelta.Append | GraphDelta.ReplaceFull, ...] = (
        GraphDelta.Unchanged("n:nobody:0"),
        GraphDelta.Append(nodes, "n:nobody:0"),
        GraphDelta.Append(nodes_of("x", "n:nobody:0"), "n:x:1"),
        GraphDelta.Append(nodes[::-1], "n:x:1"),
        GraphDelta.ReplaceFull(nodes, "n:x:1"),
        GraphDelta.ReplaceFull(nodes_of("x", None), "n:t1:1"),
    )
    for graph in wrong:
        error = await refused(StoreError, store.commit_runtime_state(turn_commit("t2", 2, 1, None, graph=graph)))
        assert error.code == "invalid_graph", (graph, error)
    assert await contents(store) == before


@case(12)
async def append_writes_new_nodes_only(world: World) -> None:
    """Appending 3 nodes to 10,000 writes 3 rows of the graph."""
    factory = world.factory()
    store = await factory.open_store(request())
    many = nodes_of("many", None, 10_000)
    await store.commit_runtime_state(
        turn_commit("many", 1, None, None, graph=GraphDelta.Append(many, many[-1].node_id))
    )
    more = nodes_of("more", many[-1].node_id, 3)
    commit = turn_commit("more", 2, 1, None, graph=GraphDelta.Append(more, more[-1].node_id))
    try:
        counting = world.instruments.counting_rows(factory, SESSION)
    except Skipped:
        await store.commit_runtime_state(commit)
    else:
        with counting as rows_written:
            await store.commit_runtime_state(commit)
            assert rows_written() == 3
    read = await read_whole(store)
    assert read.nodes == (*many, *more)


@case(13)
async def replacement_undone(world: World) -> None:
    """A replacement of the whole graph that breaks off at any step leaves the old graph, and works afterwards."""
    store = await world.store()
    done = await play_turns(store, 2)
    before = await contents(store)
    nodes = nodes_of("new", None, 3)
    commit = turn_commit("t3", 3, 2, leaf_of(done[1][0]), graph=GraphDelta.ReplaceFull(nodes, nodes[-1].node_id))
    for point in (*STEPS, "commit"):
        await break_off(world, store.commit_runtime_state(commit), point)
        assert await contents(store) == before, f"something was stored, though the commit broke off at {point}"
    await store.commit_runtime_state(commit)
    read = await read_whole(store)
    assert (read.nodes, read.node_count, read.leaf_node_id) == (nodes, 3, nodes[-1].node_id)


@case(14)
async def active_path(world: World) -> None:
    """Of a graph with two branches, the active path is the leaf's ancestry and nothing else, root first."""
    store = await world.store()
    done = await play_turns(store, 3)
    side = turn_commit("side", 2, 3, leaf_of(done[0][0]))
    await store.commit_runtime_state(side)
    read = await store.load_session("active_path")
    assert read is not None
    assert [node.node_id for node in read.nodes] == ["n:t1:0", "n:t1:1", "n:side:0", "n:side:1"]
    assert read.node_count == 8
    back = control_commit("back", 3, 4, GraphDelta.Unchanged("n:t3:1"))
    await store.commit_runtime_state(back)
    read = await store.load_session("active_path")
    assert read is not None
    assert [node.node_id for node in read.nodes] == [f"n:t{turn}:{n}" for turn in (1, 2, 3) for n in (0, 1)]
    await store.commit_runtime_state(control_commit("empty", 0, 5, GraphDelta.Unchanged(None)))
    read = await store.load_session("active_path")
    assert read is not None
    assert (read.nodes, read.leaf_node_id, read.node_count) == ((), None, 8)


@case(19)
async def usage_outside_commits(world: World) -> None:
    """Usage that is booked twice for the same operation counts once; the head does not move."""
    store = await world.store()
    await store.append_usage("before", [usage_of(1, "child")])
    await play_turns(store, 1)
    for _ in range(2):
        await store.append_usage("op", [usage_of(5), usage_of(7), usage_of(5, "child")])
    read = await read_whole(store)
    assert read.head_revision == 1
    assert read.usage_entry_count == 4
    total = read.usage[0].usage
    for entry in read.usage[1:]:
        total += entry.usage
    assert total.input_tokens == 1 + 10 + 5 + 7 + 5


async def break_off(world: World, work: Awaitable[object], point: str) -> None:
    """Await a write that breaks off at a failpoint. AssertionError where it never gets there."""
    world.failpoints.armed = point
    try:
        await work
    except Crash:
        return
    finally:
        world.failpoints.armed = None
    raise AssertionError(f"the store never reached the failpoint {point!r}")
