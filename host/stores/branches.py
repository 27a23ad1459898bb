"""Branches of the graph: which checkpoints they keep, what is removed from them, and which blobs nothing needs.

A *tip* is a node without children. A branch is a tip with its ancestors, and it lives while none of them is tombstoned.
The active path counts as a branch also while its end is no tip, after the leaf was moved back. Each living branch keeps
the checkpoints of its last turns; where branches have turns in common, the one that needs a checkpoint longest decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lash.host.stores.records import unpack_blob
from lash.host.stores.tables import BranchRow, CheckpointRow, HeadRow, Tables
from lash.host.stores.turn_state import manifest_blobs
from lash.runtime.errors import InvalidTombstone, StoreCorruption
from lash.runtime.seams.persistence import GcReport, VacuumReport


def tombstone(tables: Tables, node_ids: Sequence[str]) -> int:
    """Hide nodes; how many were not hidden before. Raises InvalidTombstone for nodes of the active path.

    Checkpoints that only the hidden branches kept are given up here and not by the next collection: afterwards it could
    not tell a branch whose end was removed from one that never was longer.
    """
    head = tables.head()
    if head is None:
        return 0
    active = active_ids(tables, head)
    for node_id in node_ids:
        if node_id in active:
            raise InvalidTombstone(node_id)
    count = tables.tombstone(node_ids)
    if count:
        tables.put_node_count(head.node_count - count)
        nodes = _by_id(tables.branches())
        alive = {node_id for branch in _living_branches(nodes, head) for node_id in branch}
        tables.drop_manifests(
            row.revision
            for row in tables.checkpoints()
            if row.leaf_node_id is not None and row.leaf_node_id not in alive and row.revision != head.head_revision
        )
    return count


def vacuum(tables: Tables) -> VacuumReport:
    """Remove hidden nodes for good."""
    return VacuumReport(tables.delete_tombstoned())


def collect(tables: Tables, keep_checkpoints: int | None) -> GcReport:
    """Give up checkpoints beyond the last ones of each living branch (None: keep all), and blobs that nothing needs."""
    head = tables.head()
    rows = tables.checkpoints()
    kept = _kept(tables, head, rows, keep_checkpoints)
    manifests = {row.manifest_ref for row in rows if row.revision in kept and row.manifest_ref is not None}
    if head is not None:
        manifests.add(head.checkpoint_ref)
    needed = set(manifests)
    for manifest in manifests:
        needed.update(_named_by(tables, manifest))
    stored = tables.blob_hashes()
    surplus = sorted(stored - needed)
    tables.drop_manifests(row.revision for row in rows if row.revision not in kept and row.manifest_ref is not None)
    tables.delete_blobs(surplus)
    return GcReport(len(manifests), len(stored) - len(surplus), len(surplus))


def active_ids(tables: Tables, head: HeadRow) -> frozenset[str]:
    """The ids of the active path. Raises StoreCorruption where it is not whole."""
    return frozenset(_active(_by_id(tables.branches()), head))


def of_turn(rows: Iterable[CheckpointRow]) -> CheckpointRow | None:
    """Which of the checkpoints with one turn index is the turn's own: its commit's, not that of what came after."""
    return max(rows, key=lambda row: (row.turn_id is not None, row.revision), default=None)


def _kept(tables: Tables, head: HeadRow | None, rows: Sequence[CheckpointRow], limit: int | None) -> set[int]:
    """The revisions of the checkpoints to keep."""
    if head is None:
        return set()
    if limit is None:
        return {row.revision for row in rows}
    at_node: dict[str | None, list[CheckpointRow]] = {}
    for row in rows:
        at_node.setdefault(row.leaf_node_id, []).append(row)
    kept = {head.head_revision}
    for branch in _living_branches(_by_id(tables.branches()), head):
        kept.update(_last_turns((*branch, None), at_node, limit))
    return kept


def _last_turns(
    branch: Sequence[str | None], at_node: Mapping[str | None, Sequence[CheckpointRow]], limit: int
) -> Iterator[int]:
    """The revisions of a branch's last turns; `branch` goes from its tip to the empty beginning."""
    turns: dict[int, list[CheckpointRow]] = {}
    for node_id in branch:
        for row in sorted(at_node.get(node_id, ()), key=lambda row: -row.revision):
            if row.turn_index not in turns and len(turns) == limit:
                break
            turns.setdefault(row.turn_index, []).append(row)
    for same_turn in turns.values():
        if (own := of_turn(same_turn)) is not None:
            yield own.revision


def _living_branches(nodes: Mapping[str, BranchRow], head: HeadRow) -> Iterator[list[str]]:
    """The node ids of each living branch, tip first; the active path is the first."""
    yield _active(nodes, head)
    parents = {row.parent_node_id for row in nodes.values()}
    for row in nodes.values():
        if row.node_id in parents or row.node_id == head.leaf_node_id:
            continue
        branch = list(_ancestry(nodes, row.node_id))
        oldest = nodes[branch[-1]]
        if oldest.parent_node_id is None and not any(nodes[node_id].tombstoned for node_id in branch):
            yield branch


def _active(nodes: Mapping[str, BranchRow], head: HeadRow) -> list[str]:
    """The ids of the active path, leaf first. Raises StoreCorruption where it is not whole."""
    path = list(_ancestry(nodes, head.leaf_node_id))
    if head.leaf_node_id is not None and (
        not path or nodes[path[-1]].parent_node_id is not None or any(nodes[node_id].tombstoned for node_id in path)
    ):
        raise StoreCorruption(f"the active path that ends in node {head.leaf_node_id!r} is not whole")
    return path


def _ancestry(nodes: Mapping[str, BranchRow], node_id: str | None) -> Iterator[str]:
    """A node and its ancestors, as far as they are there; StoreCorruption where they go in a circle."""
    for _ in range(len(nodes)):
        if node_id is None or node_id not in nodes:
            return
        yield node_id
        node_id = nodes[node_id].parent_node_id
    if node_id is not None and node_id in nodes:
        raise StoreCorruption(f"node {node_id!r} is its own ancestor")


def _by_id(rows: Iterable[BranchRow]) -> dict[str, BranchRow]:
    return {row.node_id: row for row in rows}


def _named_by(tables: Tables, manifest: str) -> list[str]:
    """The blobs that a manifest names. Raises StoreCorruption."""
    row = tables.blob(manifest)
    if row is None:
        raise StoreCorruption(f"the manifest {manifest} of a kept checkpoint is gone")
    return [ref.hash for ref in manifest_blobs(unpack_blob(row), manifest).values()]
