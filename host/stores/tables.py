"""What a medium provides: the rows of one session, and transactions over them.

The rows are those of durability.md 7.1, with what is a record left as bytes. `Tables` is deliberately dumb: it finds
and writes rows and decides nothing, so that every rule of the stores stands once, in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from lash.host.stores.records import BlobRow
from lash.runtime.sansio.usage import TokenLedgerEntry
from lash.runtime.seams.effects import DurabilityTier
from lash.runtime.seams.persistence import SessionMeta

T = TypeVar("T")

STEPS = (
    *("stamp", "bind", "lease", "cas", "blobs", "nodes", "usage", "inputs", "attachments", "head", "stamp_write"),
    "release",
)
"""The steps of a commit in their order (runtime.md 4.2): a failpoint is reached before each."""

AROUND_COMMIT = ("commit", "committed")
"""The failpoints right before and right after a write transaction's COMMIT, of commits and of all other writes."""

Failpoint = Callable[[str], None]
"""Called with the name of each point that a write reaches; what it raises undoes the write, except after COMMIT."""


def no_failpoint(name: str) -> None:
    """The failpoint of stores that are not under test: nothing happens."""


class HeadRow(NamedTuple):
    """Where a session stands."""

    v: int
    head_revision: int
    leaf_node_id: str | None
    checkpoint_ref: str
    node_count: int
    config: bytes
    successor_session_id: str | None
    updated_ms: int


class NodeRow(NamedTuple):
    """A node of the graph."""

    node_id: str
    parent_node_id: str | None
    kind: str
    revision: int
    body: bytes
    tombstoned: int = 0


class BranchRow(NamedTuple):
    """A node of the graph without its contents."""

    node_id: str
    parent_node_id: str | None
    tombstoned: int


class UsageRow(NamedTuple):
    """What an operation used."""

    op_id: str
    entry: TokenLedgerEntry


class StampRow(NamedTuple):
    """A committed turn and what its commit answered."""

    turn_id: str
    commit_hash: str
    result: bytes
    committed_ms: int


class LeaseRow(NamedTuple):
    """Who holds the session; nobody where there is no token. `fencing` counts the acquisitions so far."""

    owner_id: str | None
    incarnation_id: str | None
    token: str | None
    fencing: int
    expires_ms: int


class CheckpointRow(NamedTuple):
    """The state after a commit; not kept any more where there is no manifest."""

    revision: int
    turn_index: int
    turn_id: str | None
    leaf_node_id: str | None
    config: bytes
    manifest_ref: str | None


class InputRow(NamedTuple):
    """Queued input."""

    input_id: str
    source_key: str | None
    ingress: str
    turn_id: str | None
    min_boundary: str | None
    state: str
    body: bytes
    claim_fencing: int | None


class AttachmentRow(NamedTuple):
    """An attachment that the session uses, or was about to use."""

    attachment_id: str
    uri: str
    owner_turn_id: str | None
    intent_ms: int
    committed_ms: int | None


class Tables(Protocol):
    """The rows of one session, inside one transaction."""

    def head(self) -> HeadRow | None:
        """The head; None before the first commit."""
        ...

    def put_head(self, row: HeadRow, expected: int | None) -> bool:
        """Write the head if it is at revision `expected` (None: if there is none); whether it was."""
        ...

    def put_node_count(self, count: int) -> None:
        """Change the head's count of nodes alone."""
        ...

    def nodes(self) -> list[NodeRow]:
        """All nodes that are not tombstoned, in the order they were written."""
        ...

    def node(self, node_id: str) -> NodeRow | None:
        """One node, tombstoned or not."""
        ...

    def path(self, leaf: str, limit: int) -> list[NodeRow]:
        """A node and its ancestors, root last, tombstoned ones included; at most `limit` rows."""
        ...

    def branches(self) -> list[BranchRow]:
        """All nodes without their contents."""
        ...

    def stored_nodes(self, node_ids: Sequence[str]) -> dict[str, BranchRow]:
        """Which of the nodes there are, tombstoned or not."""
        ...

    def insert_nodes(self, rows: Sequence[NodeRow]) -> None:
        """Write new nodes."""
        ...

    def delete_nodes(self) -> None:
        """Remove all nodes."""
        ...

    def tombstone(self, node_ids: Sequence[str]) -> int:
        """Mark nodes; how many were not marked before."""
        ...

    def delete_tombstoned(self) -> int:
        """Remove marked nodes; how many there were."""
        ...

    def blob(self, blob_hash: str) -> BlobRow | None:
        """One blob."""
        ...

    def blob_hashes(self) -> set[str]:
        """The hashes of all blobs."""
        ...

    def has_blob(self, blob_hash: str) -> bool:
        """Whether there is a blob."""
        ...

    def insert_blob(self, row: BlobRow) -> None:
        """Write a new blob."""
        ...

    def delete_blobs(self, hashes: Sequence[str]) -> None:
        """Remove blobs."""
        ...

    def usage(self) -> list[UsageRow]:
        """The ledger, in the order it was written."""
        ...

    def has_usage(self, op_id: str) -> bool:
        """Whether an operation has booked anything."""
        ...

    def insert_usage(self, rows: Sequence[UsageRow]) -> None:
        """Write ledger rows; a row whose operation, source and model are there already stays as it is."""
        ...

    def stamp(self, turn_id: str) -> StampRow | None:
        """The stamp of a committed turn."""
        ...

    def insert_stamp(self, row: StampRow) -> None:
        """Write a new stamp."""
        ...

    def lease(self) -> LeaseRow | None:
        """The lease; None where there never was one."""
        ...

    def put_lease(self, row: LeaseRow) -> None:
        """Write the lease."""
        ...

    def checkpoints(self) -> list[CheckpointRow]:
        """All checkpoints, oldest first."""
        ...

    def insert_checkpoint(self, row: CheckpointRow) -> None:
        """Write a new checkpoint."""
        ...

    def drop_manifests(self, revisions: Iterable[int]) -> None:
        """Say of checkpoints that they are not kept any more."""
        ...

    def inputs(self) -> list[InputRow]:
        """All queued input, oldest first."""
        ...

    def open_inputs(self) -> list[InputRow]:
        """Queued input that is neither completed nor cancelled, oldest first."""
        ...

    def input(self, input_id: str) -> InputRow | None:
        """One queued input."""
        ...

    def input_by_source(self, source_key: str) -> InputRow | None:
        """The queued input of a source key."""
        ...

    def insert_input(self, row: InputRow) -> None:
        """Write new queued input."""
        ...

    def update_input(self, row: InputRow) -> None:
        """Write what has become of queued input: its state and its claim."""
        ...

    def meta(self) -> SessionMeta | None:
        """What lists show."""
        ...

    def put_meta(self, meta: SessionMeta) -> None:
        """Write what lists show."""
        ...

    def attachments(self) -> list[AttachmentRow]:
        """The attachments of the session, oldest first."""
        ...

    def attachment(self, attachment_id: str) -> AttachmentRow | None:
        """One attachment of the session."""
        ...

    def put_attachment(self, row: AttachmentRow) -> None:
        """Write an attachment of the session."""
        ...


class Medium(Protocol):
    """Where the rows of one session lie."""

    @property
    def durability(self) -> DurabilityTier:
        """Whether they outlive the process."""
        ...

    async def read(self, job: Callable[[Tables], T]) -> T:
        """What the job finds, all of it at one moment."""
        ...

    async def write(self, job: Callable[[Tables], T], *, prepare: Callable[[], None] | None = None) -> T:
        """Do all that the job writes or, where it raises, nothing; no other write happens meanwhile.

        `prepare` runs before, at the same place but outside the transaction: for work that is long and needs no rows.
        """
        ...

    async def aclose(self) -> None:
        """Give resources back."""
        ...
