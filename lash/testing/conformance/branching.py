"""Cases of branches: hidden nodes, checkpoints, forks' reads, and what collections delete."""

from __future__ import annotations

import asyncio

from lash.runtime.errors import CheckpointNotKept, InvalidTombstone, UnknownTurn
from lash.runtime.seams.persistence import (
    GraphDelta,
    PersistedCheckpoint,
    RuntimeCommit,
    RuntimePersistence,
)
from lash.testing.conformance.material import (
    append_until_it_works,
    control_commit,
    leaf_of,
    nodes_of,
    play_turns,
    read_whole,
    refused,
    state_of,
    turn_commit,
)
from lash.testing.conformance.world import World, case, request


@case(15)
async def tombstones(world: World) -> None:
    """Hidden nodes are seen no more; a vacuum deletes them and says how many, the next one none."""
    store = await world.store()
    done = await play_turns(store, 2)
    await store.commit_runtime_state(turn_commit("side", 2, 2, leaf_of(done[0][0])))
    assert await store.tombstone_nodes(["n:t2:0", "n:t2:1", "n:nobody:0"]) == 2
    assert await store.tombstone_nodes(["n:t2:0"]) == 0
    assert await store.load_node("n:t2:0") is None
    read = await read_whole(store)
    assert [node.node_id for node in read.nodes] == ["n:t1:0", "n:t1:1", "n:side:0", "n:side:1"]
    assert (read.node_count, read.head_revision) == (4, 3)
    assert (await store.vacuum()).removed_node_count == 2
    assert (await store.vacuum()).removed_node_count == 0
    assert await read_whole(store) == read


@case(16)
async def tombstones_on_the_active_path(world: World) -> None:
    """Nodes of the active path cannot be hidden, and nothing else of the same call is."""
    store = await world.store()
    done = await play_turns(store, 2)
    await store.commit_runtime_state(turn_commit("side", 2, 2, leaf_of(done[0][0])))
    before = await read_whole(store)
    await refused(InvalidTombstone, store.tombstone_nodes(["n:t2:0", "n:t1:0"]))
    assert await read_whole(store) == before


@case(17)
async def kept_checkpoints(world: World) -> None:
    """A collection keeps exactly the last turns of every living branch, byte for byte, and deletes the rest."""
    store = await world.store()
    main, side = await _two_branches(store)
    commits = {commit.turn_id: commit for commit in (*main, *side)}
    shared = main[:20]

    # Nothing but orphans goes: the states of a branch that was hidden.
    await _hidden_branch(store, leaf_of(main[0]))
    collected = await store.gc_unreachable(None)
    assert collected.deleted_blob_count == 4, "a state and a manifest of each of the two hidden turns"
    await _check_kept(store, commits, [*main, *side], main)
    # One state for two turns each, a manifest for every turn, one tool state for all.
    assert collected.retained_blob_count == 20 + 3 + 45 + 1
    assert collected.root_count == 45

    await store.gc_unreachable()
    await _check_kept(store, commits, [*main[-32:], *shared, *side], main)
    await store.gc_unreachable(3)
    await _check_kept(store, commits, [*main[-3:], *side[-3:]], main)
    hidden = await store.tombstone_nodes([f"n:{commit.turn_id}:{n}" for commit in side for n in (0, 1)])
    assert hidden == 10
    await store.gc_unreachable(3)
    await _check_kept(store, commits, main[-3:], main)
    assert (await store.gc_unreachable(0)).root_count == 1
    read = await read_whole(store)
    assert read.execution_state == main[-1].checkpoint.execution_state


@case(17)
async def checkpoints_after_a_replacement(world: World) -> None:
    """After the graph is replaced, turns that end in nodes which are gone are no longer kept; the others are."""
    store = await world.store()
    await play_turns(store, 3)
    nodes = (await read_whole(store)).nodes[:2]
    healed = turn_commit("healed", 1, 3, None, graph=GraphDelta.ReplaceFull(nodes, nodes[-1].node_id))
    await store.commit_runtime_state(healed)
    assert (await store.load_checkpoint("t1")).path == nodes
    for turn in ("t2", "t3"):
        await refused(CheckpointNotKept, store.load_checkpoint(turn))
    await store.gc_unreachable(None)
    assert (await store.load_checkpoint("t1")).execution_state == state_of("t1")


@case(18)
async def collection_against_commits(world: World) -> None:
    """A collection that runs beside a commit never deletes what is needed."""
    factory = world.factory()
    store = await factory.open_store(request())
    other = await world.again(factory).open_store(request())
    for turn in range(1, world.size(50, 500) + 1):
        await asyncio.gather(append_until_it_works(store, f"t{turn}"), other.gc_unreachable(1))
        read = await store.load_session("active_path")
        assert read is not None
        assert read.execution_state == state_of(f"t{turn}")
        assert (await store.load_checkpoint(f"t{turn}")).execution_state == state_of(f"t{turn}")


@case(24)
async def checkpoints_by_name(world: World) -> None:
    """A checkpoint is found by index on the active path, by turn id on any branch, at 0; else the turn is unknown."""
    store = await world.store()
    await refused(UnknownTurn, store.load_checkpoint(1))
    done = await play_turns(store, 4)
    side = turn_commit("side", 3, 4, leaf_of(done[1][0]))
    await store.commit_runtime_state(side)
    nodes = nodes_of("note", "n:side:1")
    await store.commit_runtime_state(control_commit("note", 3, 5, GraphDelta.Append(nodes, nodes[-1].node_id)))

    _check_equal(await store.load_checkpoint(2), done[1][0], 4)
    _check_equal(await store.load_checkpoint(3), side, 6)
    _check_equal(await store.load_checkpoint("side"), side, 6)
    _check_equal(await store.load_checkpoint("t4"), done[3][0], 8)
    start = await store.load_checkpoint(0)
    assert (start.turn_index, start.turn_id, start.path, start.turn_state) == (0, None, (), {})
    assert (start.tool_state, start.plugin_snapshot, start.execution_state) == (None, None, None)
    assert start.config == side.config
    for unknown in (4, 5, -1, "t5", ""):
        await refused(UnknownTurn, store.load_checkpoint(unknown))
    await store.gc_unreachable(1)
    error = await refused(CheckpointNotKept, store.load_checkpoint(2))
    assert (error.turn, error.oldest_kept) == (2, 3)


@case(24)
async def checkpoints_against_commits_and_collections(world: World) -> None:
    """A checkpoint read beside a commit and a collection is whole, or not kept any more."""
    factory = world.factory()
    store = await factory.open_store(request())
    reader = await world.again(factory).open_store(request())
    await play_turns(store, 3)
    for turn in range(4, world.size(24, 200) + 4):
        found, _, _ = await asyncio.gather(
            _checkpoint_or_none(reader, turn - 3),
            append_until_it_works(store, f"t{turn}"),
            store.gc_unreachable(3),
        )
        if found is not None:
            assert found.turn_id == f"t{turn - 3}"
            assert found.execution_state == state_of(f"t{turn - 3}")
            assert found.path[-1].node_id == f"n:t{turn - 3}:1"
            assert len(found.path) == 2 * (turn - 3)


async def _two_branches(store: RuntimePersistence) -> tuple[list[RuntimeCommit], list[RuntimeCommit]]:
    """Forty turns, and five more from the twentieth, after which the head goes back to the fortieth."""
    commits: list[RuntimeCommit] = []
    for branch, parent_turn, count in (("t", 0, 40), ("s", 20, 5)):
        for index in range(parent_turn + 1, parent_turn + count + 1):
            if branch == "s" and index == 21:
                parent = leaf_of(commits[19])
            else:
                parent = leaf_of(commits[-1]) if commits else None
            turn_id = f"{branch}{index}"
            commit = turn_commit(
                turn_id, index, len(commits) or None, parent, state=state_of(f"{branch}{(index - 1) // 2}")
            )
            await store.commit_runtime_state(commit)
            commits.append(commit)
    return commits[:40], commits[40:]


async def _hidden_branch(store: RuntimePersistence, parent: str) -> None:
    """Two turns of a third branch, the way back to the first one, and the branch is hidden."""
    await store.commit_runtime_state(turn_commit("x1", 2, 45, parent))
    await store.commit_runtime_state(turn_commit("x2", 3, 46, "n:x1:1"))
    back = control_commit("t40", 40, 47, GraphDelta.Unchanged("n:t40:1"), state=state_of("t19"))
    await store.commit_runtime_state(back)
    assert await store.tombstone_nodes(["n:x1:0", "n:x1:1", "n:x2:0", "n:x2:1"]) == 4


async def _check_kept(
    store: RuntimePersistence,
    commits: dict[str | None, RuntimeCommit],
    kept: list[RuntimeCommit],
    active: list[RuntimeCommit],
) -> None:
    """Exactly these turns can be restored; `oldest_kept` is the oldest of them on the active path."""
    kept_ids = {commit.turn_id for commit in kept}
    oldest = min(commit.turn_index for commit in active if commit.turn_id in kept_ids)
    for turn_id, commit in commits.items():
        assert turn_id is not None
        if turn_id in kept_ids:
            _check_equal(await store.load_checkpoint(turn_id), commit, 2 * commit.turn_index)
        else:
            error = await refused(CheckpointNotKept, store.load_checkpoint(turn_id))
            assert error.oldest_kept == oldest


def _check_equal(found: PersistedCheckpoint, commit: RuntimeCommit, path_length: int) -> None:
    assert (found.turn_id, found.turn_index) == (commit.turn_id, commit.turn_index)
    assert found.config == commit.config
    assert found.turn_state == commit.checkpoint.turn_state
    assert found.tool_state == commit.checkpoint.tool_state
    assert found.execution_state == commit.checkpoint.execution_state
    assert len(found.path) == path_length
    assert found.path[-1].node_id == commit.graph.leaf
    assert found.path[0].parent_node_id is None
    for parent, node in zip(found.path, found.path[1:], strict=False):
        assert node.parent_node_id == parent.node_id


async def _checkpoint_or_none(store: RuntimePersistence, turn: int) -> PersistedCheckpoint | None:
    try:
        return await store.load_checkpoint(turn)
    except CheckpointNotKept:
        return None
