"""Reading a session: as it stands, one node of it, or as it stood after a turn."""

from __future__ import annotations

from collections.abc import Iterable

from lash.host.stores.branches import active_ids, of_turn
from lash.host.stores.records import decode, decode_as, encode, plain, structured
from lash.host.stores.tables import CheckpointRow, HeadRow, NodeRow, Tables
from lash.host.stores.turn_state import NO_STATE, LoadedState, load_state
from lash.runtime.errors import CheckpointNotKept, StoreCorruption, UnknownTurn, UnsupportedReadScope
from lash.runtime.sansio.messages import SessionEventRecord
from lash.runtime.seams.persistence import (
    PersistedCheckpoint,
    PersistedSessionConfig,
    PersistedSessionRead,
    ReadScope,
    SessionNode,
)

# --- nodes ---------------------------------------------------------------------------------------


def node_row(node: SessionNode, revision: int) -> NodeRow:
    """A node as it is stored: the record repeats the ids, so that a damaged column is noticed.

    Raises StoreError (unstorable_value).
    """
    body = encode(
        {
            "node_id": node.node_id,
            "parent_node_id": node.parent_node_id,
            "timestamp_ms": node.timestamp_ms,
            "payload": plain(SessionEventRecord, node.payload),
        }
    )
    return NodeRow(node.node_id, node.parent_node_id, node.payload.type, revision, body)


def read_node(row: NodeRow) -> SessionNode:
    """The node of a row. Raises StoreCorruption and UnsupportedRecordVersion."""
    what = f"node {row.node_id!r}"
    match decode(row.body, what):
        case {"node_id": row.node_id, "parent_node_id": row.parent_node_id, "timestamp_ms": int(time), "payload": body}:
            return SessionNode(row.node_id, row.parent_node_id, time, structured(SessionEventRecord, body, what))
        case _:
            raise StoreCorruption(f"{what} is not what its record says")


def load_node(tables: Tables, node_id: str) -> SessionNode | None:
    """One node; None where there is none or it is tombstoned."""
    row = tables.node(node_id)
    return None if row is None or row.tombstoned else read_node(row)


def _active_rows(tables: Tables, head: HeadRow) -> list[NodeRow]:
    """The rows of the active path, root first. Raises StoreCorruption where it is not whole."""
    rows = _path(tables, head, head.leaf_node_id)
    if rows is None:
        raise StoreCorruption(f"the active path that ends in node {head.leaf_node_id!r} is not whole")
    return rows


def _all_rows(tables: Tables, head: HeadRow) -> list[NodeRow]:
    """The rows of all nodes, in the order they were written. Raises StoreCorruption where some are gone."""
    active_ids(tables, head)
    rows = tables.nodes()
    if len(rows) != head.node_count:
        raise StoreCorruption(f"there are {len(rows)} nodes, and the head says {head.node_count}")
    return rows


def _path(tables: Tables, head: HeadRow, leaf: str | None) -> list[NodeRow] | None:
    """The rows from the root to a leaf; None where some are gone."""
    if leaf is None:
        return []
    rows = tables.path(leaf, head.node_count)
    if not rows or rows[-1].parent_node_id is not None or any(row.tombstoned for row in rows):
        return None
    return rows[::-1]


# --- the session ---------------------------------------------------------------------------------


def load_session(tables: Tables, session_id: str, scope: ReadScope) -> PersistedSessionRead | None:
    """The session as it stands; None before its first commit.

    Raises UnsupportedReadScope, StoreCorruption and UnsupportedRecordVersion.
    """
    if scope not in ("full_graph", "active_path"):
        raise UnsupportedReadScope(scope)
    head = tables.head()
    if head is None:
        return None
    rows = _active_rows(tables, head) if scope == "active_path" else _all_rows(tables, head)
    state = load_state(tables, head.checkpoint_ref)
    usage = tuple(row.entry for row in tables.usage())
    return PersistedSessionRead(
        session_id=session_id,
        head_revision=head.head_revision,
        leaf_node_id=head.leaf_node_id,
        nodes=tuple(map(read_node, rows)),
        node_count=head.node_count,
        config=read_config(head.config),
        turn_state=state.turn_state,
        tool_state=state.tool_state,
        plugin_snapshot=state.plugin_snapshot,
        execution_state=state.execution_state,
        manifest=state.refs,
        usage=usage,
        usage_entry_count=len(usage),
        successor_session_id=head.successor_session_id,
        updated_ms=head.updated_ms,
    )


def read_config(record: bytes) -> PersistedSessionConfig:
    """A stored configuration. Raises StoreCorruption and UnsupportedRecordVersion."""
    return decode_as(PersistedSessionConfig, record, "the session's configuration")


# --- checkpoints ---------------------------------------------------------------------------------


def load_checkpoint(tables: Tables, turn: int | str) -> PersistedCheckpoint:
    """The session as it stood after a turn.

    `turn` is an index on the active path, 0 being the empty start, or a turn id on any living branch. Raises
    UnknownTurn and CheckpointNotKept.
    """
    head, rows = tables.head(), tables.checkpoints()
    if head is None or not rows:
        raise UnknownTurn(turn)
    if turn == 0:
        first = rows[0]._replace(revision=0, turn_index=0, turn_id=None)
        return _checkpoint(first, [], NO_STATE)
    on_active_path = active_ids(tables, head)
    active = [row for row in rows if row.leaf_node_id is None or row.leaf_node_id in on_active_path]
    if isinstance(turn, int):
        row = of_turn(row for row in active if row.turn_index == turn)
    else:
        row = of_turn(row for row in rows if row.turn_id == turn)
    if row is None:
        raise UnknownTurn(turn)
    path = _path(tables, head, row.leaf_node_id)
    if row.manifest_ref is None or path is None:
        raise CheckpointNotKept(turn, _oldest_kept(active))
    return _checkpoint(row, path, load_state(tables, row.manifest_ref))


def _checkpoint(row: CheckpointRow, path: Iterable[NodeRow], state: LoadedState) -> PersistedCheckpoint:
    return PersistedCheckpoint(
        turn_index=row.turn_index,
        turn_id=row.turn_id,
        revision=row.revision,
        path=tuple(map(read_node, path)),
        config=read_config(row.config),
        turn_state=state.turn_state,
        tool_state=state.tool_state,
        plugin_snapshot=state.plugin_snapshot,
        execution_state=state.execution_state,
        manifest=state.refs,
    )


def _oldest_kept(active: Iterable[CheckpointRow]) -> int | None:
    """The oldest turn on the active path whose own checkpoint is kept."""
    by_turn: dict[int, list[CheckpointRow]] = {}
    for row in active:
        by_turn.setdefault(row.turn_index, []).append(row)
    kept = (turn for turn, rows in by_turn.items() if turn and (own := of_turn(rows)) and own.manifest_ref is not None)
    return min(kept, default=None)
