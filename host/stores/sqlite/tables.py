"""The rows of a session in a session file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast, get_args, get_type_hints

from lash.host.stores.records import BlobRow, decode_as, encode_as
from lash.host.stores.tables import (
    AttachmentRow,
    BranchRow,
    CheckpointRow,
    HeadRow,
    InputRow,
    LeaseRow,
    NodeRow,
    StampRow,
    UsageRow,
)
from lash.runtime.errors import StoreCorruption
from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.seams.persistence import AnySessionRelation, SessionMeta

R = TypeVar("R", bound=tuple[Any, ...])

MAX_VARIABLES = 500
"""Variables of one statement: well below the least that SQLite may be built with (999)."""

NODE = "node_id, parent_node_id, kind, revision, body, tombstoned"
INPUT = "input_id, source_key, ingress, turn_id, min_boundary, state, body, claim_fencing"
ATTACHMENT = "attachment_id, uri, owner_turn_id, intent_ms, committed_ms"
CHECKPOINT = "revision, turn_index, turn_id, leaf_node_id, config, manifest_ref"
USAGE = "op_id, source, model, input, output, cached_input, cache_write, reasoning"
META = "session_id, name, created_ms, relation, model, cwd, first_user_message, user_message_count"

SELECT_META = f"SELECT {META} FROM session_meta"
"""A statement whose rows `read_meta` reads."""


class UsageColumns(NamedTuple):
    """A row of the ledger as the file has it."""

    op_id: str
    source: str
    model: str
    input: int
    output: int
    cached_input: int
    cache_write: int
    reasoning: int


class MetaColumns(NamedTuple):
    """A session's meta as the file has it."""

    session_id: str
    name: str
    created_ms: int
    relation: bytes
    model: str | None
    cwd: str | None
    first_user_message: str | None
    user_message_count: int


class SqliteTables:
    """One transaction over a session file; implements `lash.host.stores.tables.Tables`."""

    def __init__(self, connection: sqlite3.Connection, session_id: str) -> None:
        self._connection = connection
        self._id = session_id

    # --- head ------------------------------------------------------------------------------------

    def head(self) -> HeadRow | None:
        """The head; None before the first commit."""
        return self._one(
            HeadRow,
            "SELECT v, head_revision, leaf_node_id, checkpoint_ref, node_count, config, successor_session_id,"
            " updated_ms FROM session_head WHERE session_id = ?",
        )

    def put_head(self, row: HeadRow, expected: int | None) -> bool:
        """Write the head if it is at revision `expected` (None: if there is none); whether it was."""
        if expected is None:
            return (
                self._run(
                    "INSERT INTO session_head(session_id, v, head_revision, leaf_node_id, checkpoint_ref, node_count,"
                    " config, successor_session_id, updated_ms) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT(session_id) DO NOTHING",
                    *row,
                )
                == 1
            )
        cursor = self._connection.execute(
            "UPDATE session_head SET v = ?, head_revision = ?, leaf_node_id = ?, checkpoint_ref = ?, node_count = ?,"
            " config = ?, successor_session_id = ?, updated_ms = ? WHERE session_id = ? AND head_revision = ?",
            (*row, self._id, expected),
        )
        return cursor.rowcount == 1

    def put_node_count(self, count: int) -> None:
        """Change the head's count of nodes alone."""
        self._connection.execute("UPDATE session_head SET node_count = ? WHERE session_id = ?", (count, self._id))

    # --- graph -----------------------------------------------------------------------------------

    def nodes(self) -> list[NodeRow]:
        """All nodes that are not tombstoned, in the order they were written."""
        return self._all(
            NodeRow, f"SELECT {NODE} FROM graph_nodes WHERE session_id = ? AND tombstoned = 0 ORDER BY seq"
        )

    def node(self, node_id: str) -> NodeRow | None:
        """One node, tombstoned or not."""
        return self._one(NodeRow, f"SELECT {NODE} FROM graph_nodes WHERE session_id = ? AND node_id = ?", node_id)

    def path(self, leaf: str, limit: int) -> list[NodeRow]:
        """A node and its ancestors, root last, tombstoned ones included; at most `limit` rows."""
        # The recursion carries ids alone: with the bodies in it, they would all be copied once more.
        return self._all(
            NodeRow,
            f"""WITH RECURSIVE path(id, parent, depth) AS (
                  SELECT node_id, parent_node_id, 1 FROM graph_nodes WHERE session_id = ?1 AND node_id = ?2
                  UNION ALL
                  SELECT node.node_id, node.parent_node_id, depth + 1 FROM path
                  JOIN graph_nodes AS node ON node.session_id = ?1 AND node.node_id = path.parent WHERE depth < ?3)
                SELECT {NODE} FROM path CROSS JOIN graph_nodes ON session_id = ?1 AND node_id = id
                WHERE depth <= ?3 ORDER BY depth""",
            leaf,
            limit,
        )

    def branches(self) -> list[BranchRow]:
        """All nodes without their contents."""
        return self._all(
            BranchRow, "SELECT node_id, parent_node_id, tombstoned FROM graph_nodes WHERE session_id = ? ORDER BY seq"
        )

    def stored_nodes(self, node_ids: Sequence[str]) -> dict[str, BranchRow]:
        """Which of the nodes there are, tombstoned or not."""
        found: dict[str, BranchRow] = {}
        for some in _portions(node_ids):
            rows = self._all(
                BranchRow,
                "SELECT node_id, parent_node_id, tombstoned FROM graph_nodes"
                f" WHERE session_id = ? AND node_id IN ({_marks(some)})",
                *some,
            )
            found.update((row.node_id, row) for row in rows)
        return found

    def insert_nodes(self, rows: Sequence[NodeRow]) -> None:
        """Write new nodes."""
        self._connection.executemany(
            f"INSERT INTO graph_nodes(session_id, {NODE}) VALUES(?, ?, ?, ?, ?, ?, ?)",
            [(self._id, *row) for row in rows],
        )

    def delete_nodes(self) -> None:
        """Remove all nodes."""
        self._run("DELETE FROM graph_nodes WHERE session_id = ?")

    def tombstone(self, node_ids: Sequence[str]) -> int:
        """Mark nodes; how many were not marked before."""
        return sum(
            self._run(
                "UPDATE graph_nodes SET tombstoned = 1"
                f" WHERE session_id = ? AND tombstoned = 0 AND node_id IN ({_marks(some)})",
                *some,
            )
            for some in _portions(node_ids)
        )

    def delete_tombstoned(self) -> int:
        """Remove marked nodes; how many there were."""
        return self._run("DELETE FROM graph_nodes WHERE session_id = ? AND tombstoned = 1")

    # --- blobs -----------------------------------------------------------------------------------

    def blob(self, blob_hash: str) -> BlobRow | None:
        """One blob."""
        return self._one(
            BlobRow, "SELECT hash, kind, codec, raw_len, body FROM blobs WHERE session_id = ? AND hash = ?", blob_hash
        )

    def blob_hashes(self) -> set[str]:
        """The hashes of all blobs."""
        return {
            blob_hash
            for (blob_hash,) in self._connection.execute("SELECT hash FROM blobs WHERE session_id = ?", (self._id,))
        }

    def has_blob(self, blob_hash: str) -> bool:
        """Whether there is a blob."""
        return self._has("SELECT 1 FROM blobs WHERE session_id = ? AND hash = ?", blob_hash)

    def insert_blob(self, row: BlobRow) -> None:
        """Write a new blob."""
        self._run("INSERT INTO blobs(session_id, hash, kind, codec, raw_len, body) VALUES(?, ?, ?, ?, ?, ?)", *row)

    def delete_blobs(self, hashes: Sequence[str]) -> None:
        """Remove blobs."""
        for some in _portions(hashes):
            self._run(f"DELETE FROM blobs WHERE session_id = ? AND hash IN ({_marks(some)})", *some)

    # --- ledger and stamps -----------------------------------------------------------------------

    def usage(self) -> list[UsageRow]:
        """The ledger, in the order it was written."""
        rows = self._all(UsageColumns, f"SELECT {USAGE} FROM usage_deltas WHERE session_id = ? ORDER BY seq")
        return [UsageRow(row.op_id, TokenLedgerEntry(row.source, row.model, TokenUsage(*row[3:]))) for row in rows]

    def has_usage(self, op_id: str) -> bool:
        """Whether an operation has booked anything."""
        return self._has("SELECT 1 FROM usage_deltas WHERE session_id = ? AND op_id = ?", op_id)

    def insert_usage(self, rows: Sequence[UsageRow]) -> None:
        """Write ledger rows; a row whose operation, source and model are there already stays as it is."""
        for op_id, entry in rows:
            used = entry.usage
            self._run(
                f"INSERT INTO usage_deltas(session_id, {USAGE}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT(session_id, op_id, source, model) DO NOTHING",
                *(op_id, entry.source, entry.model, used.input_tokens, used.output_tokens),
                *(used.cached_input_tokens, used.cache_write_tokens, used.reasoning_tokens),
            )

    def stamp(self, turn_id: str) -> StampRow | None:
        """The stamp of a committed turn."""
        return self._one(
            StampRow,
            "SELECT turn_id, commit_hash, result, committed_ms FROM turn_commits WHERE session_id = ? AND turn_id = ?",
            turn_id,
        )

    def insert_stamp(self, row: StampRow) -> None:
        """Write a new stamp."""
        self._run(
            "INSERT INTO turn_commits(session_id, turn_id, commit_hash, result, committed_ms) VALUES(?, ?, ?, ?, ?)",
            *row,
        )

    # --- lease -----------------------------------------------------------------------------------

    def lease(self) -> LeaseRow | None:
        """The lease; None where there never was one."""
        return self._one(
            LeaseRow,
            "SELECT owner_id, incarnation_id, token, fencing, expires_ms FROM session_leases WHERE session_id = ?",
        )

    def put_lease(self, row: LeaseRow) -> None:
        """Write the lease."""
        self._run(
            "INSERT OR REPLACE INTO session_leases(session_id, owner_id, incarnation_id, token, fencing, expires_ms)"
            " VALUES(?, ?, ?, ?, ?, ?)",
            *row,
        )

    # --- checkpoints -----------------------------------------------------------------------------

    def checkpoints(self) -> list[CheckpointRow]:
        """All checkpoints, oldest first."""
        return self._all(
            CheckpointRow,
            f"SELECT {CHECKPOINT} FROM turn_checkpoints WHERE session_id = ? ORDER BY revision",
        )

    def insert_checkpoint(self, row: CheckpointRow) -> None:
        """Write a new checkpoint."""
        self._run(
            f"INSERT INTO turn_checkpoints(session_id, {CHECKPOINT}) VALUES(?, ?, ?, ?, ?, ?, ?)",
            *row,
        )

    def drop_manifests(self, revisions: Iterable[int]) -> None:
        """Say of checkpoints that they are not kept any more."""
        self._connection.executemany(
            "UPDATE turn_checkpoints SET manifest_ref = NULL WHERE session_id = ? AND revision = ?",
            [(self._id, revision) for revision in revisions],
        )

    # --- queued input ----------------------------------------------------------------------------

    def inputs(self) -> list[InputRow]:
        """All queued input, oldest first."""
        return self._all(InputRow, f"SELECT {INPUT} FROM pending_inputs WHERE session_id = ? ORDER BY seq")

    def open_inputs(self) -> list[InputRow]:
        """Queued input that is neither completed nor cancelled, oldest first."""
        return self._all(
            InputRow,
            f"SELECT {INPUT} FROM pending_inputs WHERE session_id = ? AND state NOT IN ('completed', 'cancelled')"
            " ORDER BY seq",
        )

    def input(self, input_id: str) -> InputRow | None:
        """One queued input."""
        return self._one(
            InputRow, f"SELECT {INPUT} FROM pending_inputs WHERE session_id = ? AND input_id = ?", input_id
        )

    def input_by_source(self, source_key: str) -> InputRow | None:
        """The queued input of a source key."""
        return self._one(
            InputRow, f"SELECT {INPUT} FROM pending_inputs WHERE session_id = ? AND source_key = ?", source_key
        )

    def insert_input(self, row: InputRow) -> None:
        """Write new queued input."""
        self._run(f"INSERT INTO pending_inputs(session_id, {INPUT}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", *row)

    def update_input(self, row: InputRow) -> None:
        """Write what has become of queued input: its state and its claim."""
        self._connection.execute(
            "UPDATE pending_inputs SET state = ?, claim_fencing = ? WHERE session_id = ? AND input_id = ?",
            (row.state, row.claim_fencing, self._id, row.input_id),
        )

    # --- meta and attachments --------------------------------------------------------------------

    def meta(self) -> SessionMeta | None:
        """What lists show. Raises StoreCorruption and UnsupportedRecordVersion."""
        row = self._connection.execute(f"{SELECT_META} WHERE session_id = ?", (self._id,)).fetchone()
        return None if row is None else read_meta(row)

    def put_meta(self, meta: SessionMeta) -> None:
        """Write what lists show."""
        self._connection.execute(
            f"INSERT OR REPLACE INTO session_meta({META})"
            " VALUES(?, CAST(? AS TEXT), ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), ?)",
            (
                *(self._id, _bytes(meta.name), meta.created_ms, encode_as(AnySessionRelation, meta.relation)),
                *(_bytes(meta.model), _bytes(meta.cwd), _bytes(meta.first_user_message), meta.user_message_count),
            ),
        )

    def attachments(self) -> list[AttachmentRow]:
        """The attachments of the session, oldest first."""
        return self._all(
            AttachmentRow, f"SELECT {ATTACHMENT} FROM attachment_manifest WHERE session_id = ? ORDER BY rowid"
        )

    def attachment(self, attachment_id: str) -> AttachmentRow | None:
        """One attachment of the session."""
        return self._one(
            AttachmentRow,
            f"SELECT {ATTACHMENT} FROM attachment_manifest WHERE session_id = ? AND attachment_id = ?",
            attachment_id,
        )

    def put_attachment(self, row: AttachmentRow) -> None:
        """Write an attachment of the session."""
        self._run(
            f"""INSERT INTO attachment_manifest(session_id, {ATTACHMENT}) VALUES(?, ?, ?, ?, ?, ?)
                ON CONFLICT(session_id, attachment_id) DO UPDATE SET uri = excluded.uri,
                  owner_turn_id = excluded.owner_turn_id, intent_ms = excluded.intent_ms,
                  committed_ms = excluded.committed_ms""",
            *row,
        )

    # --- statements ------------------------------------------------------------------------------

    def _run(self, sql: str, *parameters: object) -> int:
        """Run a statement whose first parameter is the session; how many rows it touched."""
        return self._connection.execute(sql, (self._id, *parameters)).rowcount

    def _has(self, sql: str, *parameters: object) -> bool:
        return self._connection.execute(sql, (self._id, *parameters)).fetchone() is not None

    def _one(self, kind: type[R], sql: str, *parameters: object) -> R | None:
        row = self._connection.execute(sql, (self._id, *parameters)).fetchone()
        return None if row is None else _made(kind, row)

    def _all(self, kind: type[R], sql: str, *parameters: object) -> list[R]:
        return [_made(kind, row) for row in self._connection.execute(sql, (self._id, *parameters))]


def read_meta(row: Sequence[object]) -> SessionMeta:
    """The meta of a row of `SELECT_META`. Raises StoreCorruption and UnsupportedRecordVersion."""
    columns = _made(MetaColumns, row)
    relation = decode_as(AnySessionRelation, columns.relation, f"the relation of session {columns.session_id!r}")
    return SessionMeta(*columns[:3], relation, *columns[4:])


def _made(kind: type[R], row: Sequence[object]) -> R:
    """A row as its named tuple; the columns are selected in the order of its fields.

    Raises StoreCorruption for a value of another type than the column's: SQLite sees to that when it writes, and not
    when it reads a damaged page.
    """
    for value, allowed in zip(row, _column_types(kind), strict=True):
        if type(value) not in allowed:
            raise StoreCorruption(f"a row of {kind.__name__} holds {type(value).__name__} where it cannot be")
    return cast("R", cast("Any", kind)(*row))


@cache
def _column_types(kind: type[tuple[Any, ...]]) -> tuple[frozenset[object], ...]:
    """The types that each field of a named tuple may have."""
    return tuple(frozenset(get_args(hint) or (hint,)) for hint in get_type_hints(kind).values())


def _bytes(text: str | None) -> bytes | None:
    """A text that people wrote, as what becomes of it in the file: SQLite would refuse lone surrogates."""
    return None if text is None else text.encode("utf-8", "surrogatepass")


def _portions(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), MAX_VARIABLES):
        yield values[start : start + MAX_VARIABLES]


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
