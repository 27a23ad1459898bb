"""Beginning a turn again that is committed already (runtime.md 2.4, 4.1).

A worker may die between a turn's commit and the answer to whoever asked for it. Driven again, the turn has to meet what
it met before, hence the session as it stood then; its commit is answered by the stamp of the first one.
"""

from __future__ import annotations

from lash.runtime.errors import TurnError
from lash.runtime.seams.persistence import PersistedCheckpoint, RuntimePersistence, SessionNode
from lash.runtime.session.graph import SessionGraph


async def historic_node(store: RuntimePersistence, graph: SessionGraph, node_id: str) -> SessionNode | None:
    """A node of the session, from its store where it is not loaded; None where there is none, or it was deleted."""
    node = graph.node(node_id)
    return node if node is not None or graph.whole else await store.load_node(node_id)


async def is_committed(store: RuntimePersistence, graph: SessionGraph, turn_id: str) -> bool:
    """Whether a turn's contents are in the session, if only on another branch."""
    return await historic_node(store, graph, f"n:{turn_id}:0") is not None


async def state_before(store: RuntimePersistence, graph: SessionGraph, turn_id: str) -> PersistedCheckpoint | None:
    """The session as it stood before a committed turn; None for a turn that is not committed.

    Raises TurnError (turn_commit_conflict) where other history stands in the turn's place by now, CheckpointNotKept
    where the state of then is gone.
    """
    if not await is_committed(store, graph, turn_id):
        return None
    kept = await store.load_checkpoint(turn_id)
    if kept.path and all(node.node_id != kept.path[-1].node_id for node in graph.active_path()):
        raise committed_already(turn_id)
    return await store.load_checkpoint(kept.turn_index - 1)


def committed_already(turn_id: str) -> TurnError:
    """What there is to say of a committed turn that no journal can bring back."""
    return TurnError(
        "turn_commit_conflict",
        f"turn {turn_id!r} is committed already, and it is not run twice: "
        "take another `turn_id` for another turn, and read this one's history from the session",
    )
