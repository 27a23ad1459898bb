"""`SessionStore`: the store of one session, over any medium."""

from __future__ import annotations

from collections.abc import Sequence

from lash.host.stores import branches, inputs, leases, reading
from lash.host.stores.commit import CommitTransaction, summed
from lash.host.stores.records import PROFILES, BlobProfile
from lash.host.stores.tables import AttachmentRow, Failpoint, Medium, Tables, UsageRow, no_failpoint
from lash.runtime.errors import SessionBindingMismatch
from lash.runtime.sansio.usage import TokenLedgerEntry
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import DurabilityTier
from lash.runtime.seams.persistence import (
    AttachmentIntent,
    Boundary,
    GcReport,
    InputClaim,
    Lease,
    LeaseClaim,
    LeaseFence,
    LeaseOwner,
    PendingInput,
    PendingInputDraft,
    PersistedCheckpoint,
    PersistedSessionRead,
    ReadScope,
    RuntimeCommit,
    RuntimeCommitResult,
    SessionMeta,
    SessionNode,
    VacuumReport,
)


class SessionStore:
    """The store of one session; implements `lash.runtime.seams.persistence.RuntimePersistence`.

    Every method is one transaction, and what a method raises besides its own errors is StoreBackendError (the medium
    failed), StoreCorruption or UnsupportedRecordVersion (what lies there cannot be used). Factories make these objects.
    """

    def __init__(
        self,
        session_id: str,
        medium: Medium,
        *,
        clock: Clock,
        ids: IdSource,
        blob_profile: BlobProfile = "balanced",
        failpoint: Failpoint = no_failpoint,
    ) -> None:
        self._session_id = session_id
        self._medium = medium
        self._clock = clock
        self._ids = ids
        self._compression = PROFILES[blob_profile]
        self._failpoint = failpoint

    @property
    def durability(self) -> DurabilityTier:
        """Whether it outlives the process."""
        return self._medium.durability

    async def load_session(self, scope: ReadScope) -> PersistedSessionRead | None:
        """The session as it stands; None before its first commit. Raises UnsupportedReadScope."""
        return await self._medium.read(lambda tables: reading.load_session(tables, self._session_id, scope))

    async def head_revision(self) -> int | None:
        """The number of the newest commit; None before the first."""

        def read(tables: Tables) -> int | None:
            head = tables.head()
            return head.head_revision if head is not None else None

        return await self._medium.read(read)

    async def load_node(self, node_id: str) -> SessionNode | None:
        """One node that is not tombstoned."""
        return await self._medium.read(lambda tables: reading.load_node(tables, node_id))

    async def load_checkpoint(self, turn: int | str) -> PersistedCheckpoint:
        """The session as it stood after a turn (index on the active path, 0 the empty start, or turn id).

        Raises CheckpointNotKept and UnknownTurn.
        """
        return await self._medium.read(lambda tables: reading.load_checkpoint(tables, turn))

    async def commit_runtime_state(self, commit: RuntimeCommit) -> RuntimeCommitResult:
        """Carry a commit out whole or not at all (`lash.host.stores.commit`).

        Raises TurnCommitConflict, SessionBindingMismatch, LeaseNotHeld, HeadRevisionConflict, DuplicateNode,
        InputClaimExpired, IdempotencyConflict, and StoreError `invalid_graph` or `unstorable_value`.
        """
        transaction = CommitTransaction(
            commit,
            self._session_id,
            now_ms=self._clock.now_ms,
            compression=self._compression,
            failpoint=self._failpoint,
        )
        return await self._medium.write(transaction.apply, prepare=transaction.prepare)

    async def append_usage(self, op_id: str, entries: Sequence[TokenLedgerEntry]) -> None:
        """Book usage outside a commit, once per operation."""
        rows = [UsageRow(op_id, entry) for entry in summed(entries)]

        def append(tables: Tables) -> None:
            if not tables.has_usage(op_id):
                tables.insert_usage(rows)

        await self._medium.write(append)

    async def save_session_meta(self, meta: SessionMeta) -> None:
        """Write what lists show. Raises SessionBindingMismatch."""
        if meta.session_id != self._session_id:
            raise SessionBindingMismatch(self._session_id, meta.session_id)
        await self._medium.write(lambda tables: tables.put_meta(meta))

    async def load_session_meta(self) -> SessionMeta | None:
        """What lists show."""
        return await self._medium.read(lambda tables: tables.meta())

    async def tombstone_nodes(self, ids: Sequence[str]) -> int:
        """Hide nodes, with the checkpoints of branches that end with them; how many. Raises InvalidTombstone."""
        return await self._medium.write(lambda tables: branches.tombstone(tables, ids))

    async def vacuum(self) -> VacuumReport:
        """Delete hidden nodes."""
        return await self._medium.write(branches.vacuum)

    async def gc_unreachable(self, keep_checkpoints: int | None = 32) -> GcReport:
        """Keep the head's state and that of the last turns of every living branch (None: all turns), delete the rest.

        Raises ValueError for a negative number.
        """
        if keep_checkpoints is not None and keep_checkpoints < 0:
            raise ValueError(f"keep_checkpoints is a number of turns or None, not {keep_checkpoints}")
        return await self._medium.write(lambda tables: branches.collect(tables, keep_checkpoints))

    async def claim_lease(self, owner: LeaseOwner, ttl_ms: int) -> LeaseClaim.Acquired | LeaseClaim.Busy:
        """Take the session for a time; the same incarnation gets the lease that it holds. Raises ValueError."""
        _check_ttl(ttl_ms)
        token = self._ids.new("lease")
        return await self._medium.write(
            lambda tables: leases.claim(tables, self._session_id, owner, ttl_ms, token, self._clock.now_ms())
        )

    async def renew_lease(self, fence: LeaseFence, ttl_ms: int) -> Lease:
        """Keep the session. Raises LeaseNotHeld, also for a lease whose time is up, and ValueError."""
        _check_ttl(ttl_ms)
        return await self._medium.write(lambda tables: leases.renew(tables, fence, ttl_ms, self._clock.now_ms()))

    async def release_lease(self, fence: LeaseFence) -> None:
        """Give the session free; nothing where the lease is not the newest."""
        await self._medium.write(lambda tables: leases.release(tables, fence))

    async def lease_holder(self) -> LeaseClaim.Busy | None:
        """Who holds the session, for those who only look; None where nobody does."""
        return await self._medium.read(lambda tables: leases.holder(tables, self._clock.now_ms()))

    async def enqueue_input(self, draft: PendingInputDraft) -> PendingInput:
        """Queue input once per source key. Raises IdempotencyConflict."""
        return await self._medium.write(lambda tables: inputs.enqueue(tables, draft))

    async def claim_inputs(
        self, fence: LeaseFence, boundary: Boundary | None, *, turn_id: str | None = None, limit: int = 8
    ) -> list[InputClaim]:
        """Take queued input, oldest first: what a boundary of turn `turn_id` admits, or (None) what is for the turn
        that begins, with what was left over of others. Raises LeaseNotHeld.
        """
        return await self._medium.write(
            lambda tables: inputs.claim(tables, fence, boundary, turn_id, limit, self._clock.now_ms())
        )

    async def cancel_input(self, input_id: str) -> PendingInput | None:
        """Take input back; None where there is none or a turn has it. Cancelled input is returned again."""
        return await self._medium.write(lambda tables: inputs.cancel(tables, input_id, self._clock.now_ms()))

    async def list_inputs(self) -> list[PendingInput]:
        """All input that was ever queued, oldest first, with what has become of it."""
        return await self._medium.read(lambda tables: [inputs.pending(row) for row in tables.inputs()])

    async def record_attachment_intent(self, attachment_id: str, uri: str, *, turn_id: str | None = None) -> None:
        """Note that an attachment is about to be put and used; a commit confirms it."""

        def record(tables: Tables) -> None:
            before = tables.attachment(attachment_id)
            committed = before.committed_ms if before is not None else None
            tables.put_attachment(AttachmentRow(attachment_id, uri, turn_id, self._clock.now_ms(), committed))

        await self._medium.write(record)

    async def list_attachments(self) -> list[AttachmentIntent]:
        """The attachments that the session uses or was about to use, oldest first."""
        return await self._medium.read(lambda tables: [AttachmentIntent(*row) for row in tables.attachments()])

    async def aclose(self) -> None:
        """Give resources back; the next call takes them again."""
        await self._medium.aclose()


def _check_ttl(ttl_ms: int) -> None:
    if ttl_ms <= 0:
        raise ValueError(f"a lease lasts some milliseconds, not {ttl_ms}")


def newest_first(metas: list[SessionMeta]) -> list[SessionMeta]:
    """The order of lists: by creation, the newest first; equal times by id."""
    return sorted(metas, key=lambda meta: (-meta.created_ms, meta.session_id))
