"""The rows of a session as dictionaries, copied on write.

A transaction works on a `MemoryTables` over the present state. It copies a dictionary the first time that it changes
it, so the present state is never touched; committing is taking the new state instead of the old, one reference.
Rows are tuples and never changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lash.host.stores.records import BlobRow
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
from lash.runtime.seams.persistence import SessionMeta

K = TypeVar("K")
V = TypeVar("V")

OPEN_STATES = frozenset({"pending_active", "deferred_next_turn", "accepted"})
"""States of input that is neither completed nor cancelled."""


@dataclass(slots=True)
class MemoryState:
    """Everything that is stored of a session; dictionaries keep the order of writing."""

    head: HeadRow | None = None
    lease: LeaseRow | None = None
    meta: SessionMeta | None = None
    nodes: dict[str, NodeRow] = field(default_factory=dict[str, NodeRow])
    blobs: dict[str, BlobRow] = field(default_factory=dict[str, BlobRow])
    usage: dict[tuple[str, str, str], UsageRow] = field(default_factory=dict[tuple[str, str, str], UsageRow])
    stamps: dict[str, StampRow] = field(default_factory=dict[str, StampRow])
    checkpoints: dict[int, CheckpointRow] = field(default_factory=dict[int, CheckpointRow])
    inputs: dict[str, InputRow] = field(default_factory=dict[str, InputRow])
    attachments: dict[str, AttachmentRow] = field(default_factory=dict[str, AttachmentRow])

    def copy(self) -> MemoryState:
        """A state that shares its dictionaries with this one, until it is given others."""
        return MemoryState(
            self.head,
            self.lease,
            self.meta,
            self.nodes,
            self.blobs,
            self.usage,
            self.stamps,
            self.checkpoints,
            self.inputs,
            self.attachments,
        )


class MemoryTables:
    """One transaction over a state; implements `lash.host.stores.tables.Tables`. `state` is what it leads to."""

    def __init__(self, before: MemoryState) -> None:
        self.state = before.copy()
        self._own: set[str] = set()

    def head(self) -> HeadRow | None:
        """The head; None before the first commit."""
        return self.state.head

    def put_head(self, row: HeadRow, expected: int | None) -> bool:
        """Write the head if it is at revision `expected`; whether it was."""
        head = self.state.head
        if (head.head_revision if head else None) != expected:
            return False
        self.state.head = row
        return True

    def put_node_count(self, count: int) -> None:
        """Change the head's count of nodes alone."""
        if self.state.head is not None:
            self.state.head = self.state.head._replace(node_count=count)

    def nodes(self) -> list[NodeRow]:
        """All nodes that are not tombstoned, in the order they were written."""
        return [row for row in self.state.nodes.values() if not row.tombstoned]

    def node(self, node_id: str) -> NodeRow | None:
        """One node, tombstoned or not."""
        return self.state.nodes.get(node_id)

    def path(self, leaf: str, limit: int) -> list[NodeRow]:
        """A node and its ancestors, root last; at most `limit` rows."""
        rows: list[NodeRow] = []
        row = self.state.nodes.get(leaf)
        while row is not None and len(rows) < limit:
            rows.append(row)
            row = self.state.nodes.get(row.parent_node_id) if row.parent_node_id is not None else None
        return rows

    def branches(self) -> list[BranchRow]:
        """All nodes without their contents."""
        return [_branch(row) for row in self.state.nodes.values()]

    def stored_nodes(self, node_ids: Sequence[str]) -> dict[str, BranchRow]:
        """Which of the nodes there are, tombstoned or not."""
        nodes = self.state.nodes
        return {node_id: _branch(nodes[node_id]) for node_id in node_ids if node_id in nodes}

    def insert_nodes(self, rows: Sequence[NodeRow]) -> None:
        """Write new nodes."""
        self._writable("nodes", self.state.nodes).update((row.node_id, row) for row in rows)

    def delete_nodes(self) -> None:
        """Remove all nodes."""
        self._writable("nodes", self.state.nodes).clear()

    def tombstone(self, node_ids: Sequence[str]) -> int:
        """Mark nodes; how many were not marked before."""
        nodes = self._writable("nodes", self.state.nodes)
        marked = {node_id for node_id in node_ids if node_id in nodes and not nodes[node_id].tombstoned}
        nodes.update((node_id, nodes[node_id]._replace(tombstoned=1)) for node_id in marked)
        return len(marked)

    def delete_tombstoned(self) -> int:
        """Remove marked nodes; how many there were."""
        nodes = self._writable("nodes", self.state.nodes)
        marked = [node_id for node_id, row in nodes.items() if row.tombstoned]
        for node_id in marked:
            del nodes[node_id]
        return len(marked)

    def blob(self, blob_hash: str) -> BlobRow | None:
        """One blob."""
        return self.state.blobs.get(blob_hash)

    def blob_hashes(self) -> set[str]:
        """The hashes of all blobs."""
        return set(self.state.blobs)

    def has_blob(self, blob_hash: str) -> bool:
        """Whether there is a blob."""
        return blob_hash in self.state.blobs

    def insert_blob(self, row: BlobRow) -> None:
        """Write a new blob."""
        self._writable("blobs", self.state.blobs)[row.hash] = row

    def delete_blobs(self, hashes: Sequence[str]) -> None:
        """Remove blobs."""
        blobs = self._writable("blobs", self.state.blobs)
        for blob_hash in hashes:
            del blobs[blob_hash]

    def usage(self) -> list[UsageRow]:
        """The ledger, in the order it was written."""
        return list(self.state.usage.values())

    def has_usage(self, op_id: str) -> bool:
        """Whether an operation has booked anything."""
        return any(row.op_id == op_id for row in self.state.usage.values())

    def insert_usage(self, rows: Sequence[UsageRow]) -> None:
        """Write ledger rows; a row whose operation, source and model are there already stays as it is."""
        usage = self._writable("usage", self.state.usage)
        for row in rows:
            usage.setdefault((row.op_id, row.entry.source, row.entry.model), row)

    def stamp(self, turn_id: str) -> StampRow | None:
        """The stamp of a committed turn."""
        return self.state.stamps.get(turn_id)

    def insert_stamp(self, row: StampRow) -> None:
        """Write a new stamp."""
        self._writable("stamps", self.state.stamps)[row.turn_id] = row

    def lease(self) -> LeaseRow | None:
        """The lease; None where there never was one."""
        return self.state.lease

    def put_lease(self, row: LeaseRow) -> None:
        """Write the lease."""
        self.state.lease = row

    def checkpoints(self) -> list[CheckpointRow]:
        """All checkpoints, oldest first."""
        return list(self.state.checkpoints.values())

    def insert_checkpoint(self, row: CheckpointRow) -> None:
        """Write a new checkpoint."""
        self._writable("checkpoints", self.state.checkpoints)[row.revision] = row

    def drop_manifests(self, revisions: Iterable[int]) -> None:
        """Say of checkpoints that they are not kept any more."""
        dropped = list(revisions)
        checkpoints = self._writable("checkpoints", self.state.checkpoints)
        checkpoints.update((revision, checkpoints[revision]._replace(manifest_ref=None)) for revision in dropped)

    def inputs(self) -> list[InputRow]:
        """All queued input, oldest first."""
        return list(self.state.inputs.values())

    def open_inputs(self) -> list[InputRow]:
        """Queued input that is neither completed nor cancelled, oldest first."""
        return [row for row in self.state.inputs.values() if row.state in OPEN_STATES]

    def input(self, input_id: str) -> InputRow | None:
        """One queued input."""
        return self.state.inputs.get(input_id)

    def input_by_source(self, source_key: str) -> InputRow | None:
        """The queued input of a source key."""
        return next((row for row in self.state.inputs.values() if row.source_key == source_key), None)

    def insert_input(self, row: InputRow) -> None:
        """Write new queued input."""
        self._writable("inputs", self.state.inputs)[row.input_id] = row

    def update_input(self, row: InputRow) -> None:
        """Write what has become of queued input: its state and its claim."""
        self._writable("inputs", self.state.inputs)[row.input_id] = row

    def meta(self) -> SessionMeta | None:
        """What lists show."""
        return self.state.meta

    def put_meta(self, meta: SessionMeta) -> None:
        """Write what lists show."""
        self.state.meta = meta

    def attachments(self) -> list[AttachmentRow]:
        """The attachments of the session, oldest first."""
        return list(self.state.attachments.values())

    def attachment(self, attachment_id: str) -> AttachmentRow | None:
        """One attachment of the session."""
        return self.state.attachments.get(attachment_id)

    def put_attachment(self, row: AttachmentRow) -> None:
        """Write an attachment of the session."""
        self._writable("attachments", self.state.attachments)[row.attachment_id] = row

    def _writable(self, name: str, table: dict[K, V]) -> dict[K, V]:
        """A table that this transaction may change: its own copy, made the first time."""
        if name in self._own:
            return table
        self._own.add(name)
        copied: dict[Any, Any] = dict(table)
        setattr(self.state, name, copied)
        return copied


def _branch(row: NodeRow) -> BranchRow:
    return BranchRow(row.node_id, row.parent_node_id, row.tombstoned)
