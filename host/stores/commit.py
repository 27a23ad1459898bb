"""One commit: the steps of runtime.md 4.2, in their order, inside one transaction.

The first four steps only look, so a commit that is refused has written nothing; whatever raises later is undone by the
transaction. A commit of a turn that is stored already is answered by its stamp before anything else is looked at: the
lease may be gone and the head may have moved since, and still the turn is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from lash.host.stores import inputs, leases
from lash.host.stores.reading import node_row
from lash.host.stores.records import Compression, decode_as, encode, encode_as
from lash.host.stores.tables import (
    AttachmentRow,
    BranchRow,
    CheckpointRow,
    Failpoint,
    HeadRow,
    NodeRow,
    StampRow,
    Tables,
    UsageRow,
)
from lash.host.stores.turn_state import PackedState, pack_state
from lash.runtime.errors import (
    DuplicateNode,
    HeadRevisionConflict,
    SessionBindingMismatch,
    StoreError,
    TurnCommitConflict,
)
from lash.runtime.sansio.usage import TokenLedgerEntry
from lash.runtime.seams.persistence import (
    GraphDelta,
    PersistedSessionConfig,
    RuntimeCommit,
    RuntimeCommitResult,
    SessionNode,
)

HEAD_VERSION = 1
"""The version of head rows."""


class CommitTransaction:
    """One commit against one session's tables: `prepare` outside of the transaction, `apply` inside."""

    def __init__(
        self,
        commit: RuntimeCommit,
        session_id: str,
        *,
        now_ms: Callable[[], int],
        compression: Compression,
        failpoint: Failpoint,
    ) -> None:
        self._commit = commit
        self._session_id = session_id
        self._now_ms = now_ms
        self._compression = compression
        self._failpoint = failpoint
        self._state: PackedState | None = None
        self._config = b""

    def prepare(self) -> None:
        """Hash and compress what is to be stored, which is the long part. Raises StoreError (unstorable_value)."""
        self._state = pack_state(self._commit.checkpoint, self._compression)
        self._config = encode_as(PersistedSessionConfig, self._commit.config)

    def apply(self, tables: Tables) -> RuntimeCommitResult:
        """Carry the commit out. Raises what `RuntimePersistence.commit_runtime_state` does."""
        commit, reached, state = self._commit, self._failpoint, self._state
        if state is None:
            raise RuntimeError("a commit is prepared before it is applied")
        now = self._now_ms()
        reached("stamp")
        if (stored := self._stored_result(tables)) is not None:
            return stored
        reached("bind")
        self._check_binding()
        reached("lease")
        generation = self._check_lease(tables, now)
        reached("cas")
        head = tables.head()
        if (actual := head.head_revision if head else None) != commit.expected_head_revision:
            raise HeadRevisionConflict(commit.expected_head_revision, actual)
        revision = (actual or 0) + 1
        reached("blobs")
        state.write(tables)
        reached("nodes")
        node_count = _write_graph(tables, commit.graph, head, revision)
        reached("usage")
        tables.insert_usage([UsageRow(commit.op_id, entry) for entry in summed(commit.usage_deltas)])
        reached("inputs")
        self._write_inputs(tables, generation)
        reached("attachments")
        self._stamp_attachments(tables, now)
        reached("head")
        leaf, manifest = commit.graph.leaf, state.manifest.hash
        row = HeadRow(
            HEAD_VERSION, revision, leaf, manifest, node_count, self._config, commit.successor_session_id, now
        )
        if not tables.put_head(row, actual):
            raise HeadRevisionConflict(actual, None)
        tables.insert_checkpoint(
            CheckpointRow(revision, commit.turn_index, commit.turn_id, leaf, self._config, manifest)
        )
        result = RuntimeCommitResult(revision, manifest, state.refs)
        if commit.meta is not None:
            tables.put_meta(commit.meta)
        reached("stamp_write")
        if (stamp := commit.turn_commit) is not None:
            tables.insert_stamp(StampRow(stamp.turn_id, stamp.commit_hash, encode(asdict(result)), now))
        reached("release")
        if commit.release_lease and commit.lease is not None:
            leases.release(tables, commit.lease)
        return result

    def _stored_result(self, tables: Tables) -> RuntimeCommitResult | None:
        """The answer that this turn's commit got before. Raises TurnCommitConflict."""
        stamp = self._commit.turn_commit
        if stamp is None or stamp.session_id != self._session_id or (row := tables.stamp(stamp.turn_id)) is None:
            return None
        if row.commit_hash != stamp.commit_hash:
            raise TurnCommitConflict(stamp.turn_id)
        return decode_as(RuntimeCommitResult, row.result, f"the stamp of turn {stamp.turn_id!r}")

    def _check_binding(self) -> None:
        commit = self._commit
        for part in (commit, commit.turn_commit, commit.lease, commit.meta):
            if part is not None and part.session_id != self._session_id:
                raise SessionBindingMismatch(self._session_id, part.session_id)

    def _check_lease(self, tables: Tables, now: int) -> int | None:
        """The number of the lease that the commit is made under, None without one. Raises LeaseNotHeld."""
        if self._commit.lease is None:
            leases.check_unfenced(tables, self._session_id, now)
            return None
        return leases.check_fence(tables, self._commit.lease, now).fencing

    def _write_inputs(self, tables: Tables, generation: int | None) -> None:
        inputs.complete(tables, self._commit.completed_inputs, generation)
        if self._commit.turn_id is not None:
            inputs.settle_turn(tables, self._commit.turn_id, generation)
        for draft in self._commit.enqueued_inputs:
            inputs.enqueue(tables, draft)

    def _stamp_attachments(self, tables: Tables, now: int) -> None:
        """Mark attachments as used by what is stored; without an intent before, the commit itself is the intent."""
        for attachment_id in self._commit.committed_attachment_ids:
            row = tables.attachment(attachment_id)
            if row is None:
                row = AttachmentRow(attachment_id, attachment_uri(attachment_id), self._commit.turn_id, now, None)
            if row.committed_ms is None:
                tables.put_attachment(row._replace(committed_ms=now))


def attachment_uri(attachment_id: str) -> str:
    """Where an attachment lies when nobody said so: in whatever store the session uses, under its id."""
    return f"sha256:{attachment_id}"


def summed(entries: Sequence[TokenLedgerEntry]) -> list[TokenLedgerEntry]:
    """One entry for each source and model, in the order they first appear: the ledger has one row for each."""
    totals: dict[tuple[str, str], TokenLedgerEntry] = {}
    for entry in entries:
        key = (entry.source, entry.model)
        before = totals.get(key)
        totals[key] = (
            entry if before is None else TokenLedgerEntry(entry.source, entry.model, before.usage + entry.usage)
        )
    return list(totals.values())


# --- the graph -----------------------------------------------------------------------------------


def _write_graph(
    tables: Tables,
    delta: GraphDelta.Unchanged | GraphDelta.Append | GraphDelta.ReplaceFull,
    head: HeadRow | None,
    revision: int,
) -> int:
    """Write what a commit changes in the graph; how many nodes there are afterwards.

    Raises DuplicateNode, and StoreError (invalid_graph) where the new end or a parent would hang in the air.
    """
    count = head.node_count if head else 0
    match delta:
        case GraphDelta.Unchanged(leaf=leaf):
            _check_attached(tables, leaf, head)
        case GraphDelta.Append(nodes=nodes, leaf=leaf):
            outside = _check_order(nodes)
            stored = tables.stored_nodes([*(node.node_id for node in nodes), *outside])
            _check_new(nodes, stored)
            if missing := [parent for parent in outside if parent not in stored or stored[parent].tombstoned]:
                raise _invalid(f"the parent {missing[0]!r} of a new node is not stored")
            _check_attached(tables, _stored_end(nodes, leaf), head)
            tables.insert_nodes(_rows(nodes, revision))
            count += len(nodes)
        case GraphDelta.ReplaceFull(nodes=nodes, leaf=leaf):
            if outside := _check_order(nodes):
                raise _invalid(f"the parent {outside[0]!r} of a new node is not among the nodes")
            _check_new(nodes, {})
            known = {node.node_id for node in nodes}
            if leaf is not None and leaf not in known:
                raise _invalid(f"the leaf {leaf!r} is not among the nodes")
            tables.delete_nodes()
            tables.insert_nodes(_rows(nodes, revision))
            tables.drop_manifests(
                row.revision
                for row in tables.checkpoints()
                if row.leaf_node_id is not None and row.leaf_node_id not in known
            )
            count = len(nodes)
    return count


def _rows(nodes: Sequence[SessionNode], revision: int) -> list[NodeRow]:
    return [node_row(node, revision) for node in nodes]


def _check_order(nodes: Sequence[SessionNode]) -> list[str]:
    """Parents that are not among the nodes. Raises StoreError where a node stands before its parent."""
    all_ids = {node.node_id for node in nodes}
    seen: set[str] = set()
    outside: dict[str, None] = {}
    for node in nodes:
        parent = node.parent_node_id
        if parent is not None and parent not in seen:
            if parent in all_ids:
                raise _invalid(f"node {node.node_id!r} stands before its parent {parent!r}")
            outside[parent] = None
        seen.add(node.node_id)
    return list(outside)


def _check_new(nodes: Sequence[SessionNode], stored: Mapping[str, BranchRow]) -> None:
    """Raises DuplicateNode for an id that is stored or stands twice."""
    seen: set[str] = set()
    for node in nodes:
        if node.node_id in stored or node.node_id in seen:
            raise DuplicateNode(node.node_id)
        seen.add(node.node_id)


def _stored_end(nodes: Sequence[SessionNode], leaf: str | None) -> str | None:
    """Where the path to the leaf leaves the new nodes: the first ancestor that is stored already, or none."""
    parents = {node.node_id: node.parent_node_id for node in nodes}
    while leaf is not None and leaf in parents:
        leaf = parents[leaf]
    return leaf


def _check_attached(tables: Tables, node_id: str | None, head: HeadRow | None) -> None:
    """Raises StoreError where a stored node is not connected to the beginning; free for the present leaf."""
    if node_id is None or (head is not None and head.leaf_node_id == node_id):
        return
    rows = tables.path(node_id, head.node_count) if head is not None else []
    if not rows or rows[-1].parent_node_id is not None or any(row.tombstoned for row in rows):
        raise _invalid(f"the leaf would be at or below node {node_id!r}, which is not stored with all its ancestors")


def _invalid(message: str) -> StoreError:
    return StoreError("invalid_graph", message)
