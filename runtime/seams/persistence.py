"""What a session store is (runtime.md 4): one atomic commit per turn, leases, queued input, checkpoints.

Values are plain frozen dataclasses; stores write them as msgpack records with an integer `v`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol, TypeAlias

from pydantic import Field

from lash.runtime.sansio.messages import SessionEventRecord
from lash.runtime.sansio.usage import TokenLedgerEntry
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import DurabilityTier

# --- graph ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionNode:
    """One node of a session's append-only tree; the first has no parent."""

    node_id: str
    parent_node_id: str | None
    timestamp_ms: int
    payload: SessionEventRecord


class GraphDelta:
    """What a commit does to the graph; `leaf` is the new end of the active path, None for an empty one."""

    @dataclass(frozen=True, slots=True)
    class Unchanged:
        """Nothing but, perhaps, another leaf."""

        leaf: str | None
        type: Literal["unchanged"] = "unchanged"

    @dataclass(frozen=True, slots=True)
    class Append:
        """New nodes, each after its parent."""

        nodes: tuple[SessionNode, ...]
        leaf: str | None
        type: Literal["append"] = "append"

    @dataclass(frozen=True, slots=True)
    class ReplaceFull:
        """These nodes and no others."""

        nodes: tuple[SessionNode, ...]
        leaf: str | None
        type: Literal["replace_full"] = "replace_full"


AnyGraphDelta: TypeAlias = Annotated[
    GraphDelta.Unchanged | GraphDelta.Append | GraphDelta.ReplaceFull, Field(discriminator="type")
]

# --- commits -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PersistedSessionConfig:
    """What of a session's policy is stored with its head."""

    mode: str
    provider: str | None = None
    model: str | None = None
    model_variant: str | None = None
    max_context_tokens: int | None = None
    max_turns: int | None = None
    max_turns_set: bool = False
    extras: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob that the store has already: SHA-256 hex of its raw bytes, and its kind."""

    hash: str
    kind: str


@dataclass(frozen=True, slots=True)
class HydratedCheckpoint:
    """The state that is kept with a turn: bytes to be stored, or a reference to what is stored already.

    `turn_state` is small and always written (turn index, counters); the other three are None where there is none.
    """

    turn_state: dict[str, JsonValue]
    tool_state: bytes | BlobRef | None = None
    plugin_snapshot: bytes | BlobRef | None = None
    execution_state: bytes | BlobRef | None = None


@dataclass(frozen=True, slots=True)
class TurnCommitStamp:
    """What makes a turn's commit idempotent."""

    session_id: str
    turn_id: str
    commit_hash: str


@dataclass(frozen=True, slots=True)
class LeaseOwner:
    """Who holds a session: a name, and one life of its bearer."""

    owner_id: str
    incarnation_id: str


@dataclass(frozen=True, slots=True)
class LeaseFence:
    """Proof of a lease."""

    session_id: str
    owner: LeaseOwner
    token: str
    fencing: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease and when it ends, in milliseconds since the epoch."""

    fence: LeaseFence
    expires_ms: int


class LeaseClaim:
    """The answer to a claim."""

    @dataclass(frozen=True, slots=True)
    class Acquired:
        """It is the claimant's."""

        lease: Lease

    @dataclass(frozen=True, slots=True)
    class Busy:
        """Somebody else has it, until `expires_ms`."""

        holder: LeaseOwner
        expires_ms: int


Boundary = Literal["after_work", "before_completion"]
InputState = Literal["pending_active", "deferred_next_turn", "accepted", "cancelled", "completed"]


@dataclass(frozen=True, slots=True)
class PendingInputDraft:
    """Input for a turn to come or under way; `source_key` makes enqueueing it idempotent.

    `turn_id` and `min_boundary` are set where it is meant for a running turn (`ingress` "active_turn"); `body` is the
    input's JSON.
    """

    input_id: str
    ingress: Literal["active_turn", "next_turn"]
    body: JsonValue
    source_key: str | None = None
    turn_id: str | None = None
    min_boundary: Boundary | None = None


@dataclass(frozen=True, slots=True)
class PendingInput:
    """Queued input and what has become of it."""

    draft: PendingInputDraft
    state: InputState


@dataclass(frozen=True, slots=True)
class InputClaim:
    """Input taken by a turn under a lease generation; a commit completes it."""

    input: PendingInput
    fencing: int


@dataclass(frozen=True, slots=True)
class RuntimeCommit:
    """All that a turn (or a control operation, then without `turn_commit`) changes, in one transaction.

    `expected_head_revision` None means that the session must have no head yet. `turn_index` and `turn_id` go into the
    checkpoint row; `op_id` names the usage rows and is the turn id for turns. `meta` replaces what lists show.
    """

    session_id: str
    expected_head_revision: int | None
    config: PersistedSessionConfig
    graph: AnyGraphDelta
    checkpoint: HydratedCheckpoint
    op_id: str
    turn_index: int
    turn_id: str | None = None
    usage_deltas: tuple[TokenLedgerEntry, ...] = ()
    turn_commit: TurnCommitStamp | None = None
    lease: LeaseFence | None = None
    release_lease: bool = False
    completed_inputs: tuple[InputClaim, ...] = ()
    enqueued_inputs: tuple[PendingInputDraft, ...] = ()
    committed_attachment_ids: tuple[str, ...] = ()
    successor_session_id: str | None = None
    meta: SessionMeta | None = None


@dataclass(frozen=True, slots=True)
class RuntimeCommitResult:
    """What a commit came to; `manifest` maps tool_state, plugin_snapshot and execution_state to their blobs."""

    head_revision: int
    checkpoint_ref: str
    manifest: dict[str, BlobRef]


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PersistedCheckpoint:
    """The state kept with a turn, bytes loaded, with the path and configuration of that moment."""

    turn_index: int
    turn_id: str | None
    revision: int
    path: tuple[SessionNode, ...]
    config: PersistedSessionConfig
    turn_state: dict[str, JsonValue]
    tool_state: bytes | None
    plugin_snapshot: bytes | None
    execution_state: bytes | None
    manifest: dict[str, BlobRef]


@dataclass(frozen=True, slots=True)
class PersistedSessionRead:
    """A session as stored: its nodes (all, or the active path), head, state and ledger."""

    session_id: str
    head_revision: int
    leaf_node_id: str | None
    nodes: tuple[SessionNode, ...]
    node_count: int
    config: PersistedSessionConfig
    turn_state: dict[str, JsonValue]
    tool_state: bytes | None
    plugin_snapshot: bytes | None
    execution_state: bytes | None
    manifest: dict[str, BlobRef]
    usage: tuple[TokenLedgerEntry, ...]
    usage_entry_count: int
    successor_session_id: str | None
    updated_ms: int


class SessionRelation:
    """How a session came to be."""

    @dataclass(frozen=True, slots=True)
    class Root:
        """By a host; `metadata` holds `forked_from` for forks."""

        metadata: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
        type: Literal["root"] = "root"

    @dataclass(frozen=True, slots=True)
    class Child:
        """By a tool call of another session."""

        parent_session_id: str
        originating_tool_call_id: str | None = None
        type: Literal["child"] = "child"

    @dataclass(frozen=True, slots=True)
    class Handoff:
        """As the successor of another session."""

        parent_session_id: str
        reason: str
        metadata: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
        type: Literal["handoff"] = "handoff"


AnySessionRelation: TypeAlias = Annotated[
    SessionRelation.Root | SessionRelation.Child | SessionRelation.Handoff, Field(discriminator="type")
]


@dataclass(frozen=True, slots=True)
class SessionMeta:
    """What lists of sessions show."""

    session_id: str
    name: str
    created_ms: int
    relation: AnySessionRelation
    model: str | None = None
    cwd: str | None = None
    first_user_message: str | None = None
    user_message_count: int = 0


@dataclass(frozen=True, slots=True)
class AttachmentIntent:
    """An attachment that a session uses (`committed_ms` says since when), or was about to use at `intent_ms`."""

    attachment_id: str
    uri: str
    owner_turn_id: str | None
    intent_ms: int
    committed_ms: int | None


@dataclass(frozen=True, slots=True)
class VacuumReport:
    """What a vacuum removed."""

    removed_node_count: int


@dataclass(frozen=True, slots=True)
class GcReport:
    """What a collection found: checkpoints that are roots, blobs kept and deleted."""

    root_count: int
    retained_blob_count: int
    deleted_blob_count: int


ReadScope = Literal["full_graph", "active_path"]


class RuntimePersistence(Protocol):
    """The store of one session. Every method may raise StoreBackendError and StoreCorruption besides what it says."""

    @property
    def durability(self) -> DurabilityTier:
        """Whether it outlives the process."""
        ...

    async def load_session(self, scope: ReadScope) -> PersistedSessionRead | None:
        """The session; None before its first commit."""
        ...

    async def head_revision(self) -> int | None:
        """The number of the newest commit; None before the first. A cheap look whether others have committed."""
        ...

    async def load_node(self, node_id: str) -> SessionNode | None:
        """One node that is not tombstoned."""
        ...

    async def commit_runtime_state(self, commit: RuntimeCommit) -> RuntimeCommitResult:
        """Carry a commit out whole or not at all, in the order of runtime.md 4.2.

        Raises TurnCommitConflict, SessionBindingMismatch, LeaseNotHeld, HeadRevisionConflict, DuplicateNode,
        InputClaimExpired.
        """
        ...

    async def append_usage(self, op_id: str, entries: Sequence[TokenLedgerEntry]) -> None:
        """Book usage outside a commit; the same `op_id` again books nothing more."""
        ...

    async def save_session_meta(self, meta: SessionMeta) -> None:
        """Write what lists show."""
        ...

    async def load_session_meta(self) -> SessionMeta | None:
        """What lists show."""
        ...

    async def tombstone_nodes(self, ids: Sequence[str]) -> int:
        """Hide nodes that are not on the active path; how many were. Raises InvalidTombstone."""
        ...

    async def vacuum(self) -> VacuumReport:
        """Delete tombstoned nodes."""
        ...

    async def load_checkpoint(self, turn: int | str) -> PersistedCheckpoint:
        """The state after a turn: an index on the active path, or a turn id on any live branch.

        Raises CheckpointNotKept and UnknownTurn.
        """
        ...

    async def gc_unreachable(self, keep_checkpoints: int | None = 32) -> GcReport:
        """Delete blobs that neither the head nor the last checkpoints of any live branch need."""
        ...

    async def claim_lease(self, owner: LeaseOwner, ttl_ms: int) -> LeaseClaim.Acquired | LeaseClaim.Busy:
        """Take the session; the same incarnation gets its own lease again."""
        ...

    async def lease_holder(self) -> LeaseClaim.Busy | None:
        """Who holds the session, for those who only look; None where nobody does."""
        ...

    async def renew_lease(self, fence: LeaseFence, ttl_ms: int) -> Lease:
        """Keep the session. Raises LeaseNotHeld."""
        ...

    async def release_lease(self, fence: LeaseFence) -> None:
        """Give the session free; nothing where the lease is not the live one."""
        ...

    async def enqueue_input(self, draft: PendingInputDraft) -> PendingInput:
        """Queue input; by `source_key` once. Raises IdempotencyConflict."""
        ...

    async def claim_inputs(
        self, fence: LeaseFence, boundary: Boundary | None, *, turn_id: str | None = None, limit: int = 8
    ) -> list[InputClaim]:
        """Take queued input, oldest first: what a boundary of the turn admits, or (None) what is for a next turn."""
        ...

    async def cancel_input(self, input_id: str) -> PendingInput | None:
        """Take input back; None once it is claimed."""
        ...

    async def list_inputs(self) -> list[PendingInput]:
        """All input that was ever queued, oldest first, with what has become of it."""
        ...

    async def record_attachment_intent(self, attachment_id: str, uri: str, *, turn_id: str | None = None) -> None:
        """Note, before an attachment is put, that the session is about to use it; a commit confirms it."""
        ...

    async def list_attachments(self) -> list[AttachmentIntent]:
        """The attachments that the session uses or was about to use, oldest first."""
        ...

    async def aclose(self) -> None:
        """Give resources back."""
        ...


@dataclass(frozen=True, slots=True)
class SessionStoreCreateRequest:
    """Which session, and what its meta says where it is new."""

    session_id: str
    meta: SessionMeta


class SessionStoreFactory(Protocol):
    """Where sessions are stored."""

    @property
    def durability(self) -> DurabilityTier:
        """Whether its stores outlive the process."""
        ...

    async def open_store(self, request: SessionStoreCreateRequest) -> RuntimePersistence:
        """Create or reopen a session's store."""
        ...

    async def find_store(self, session_id: str) -> RuntimePersistence | None:
        """The store of a session that exists."""
        ...

    async def delete_store(self, session_id: str) -> bool:
        """Remove a session's store; whether there was one."""
        ...

    async def list_sessions(self) -> list[SessionMeta]:
        """What all sessions' lists show, newest first."""
        ...

    async def aclose(self) -> None:
        """Close every store."""
        ...
