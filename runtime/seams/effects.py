"""The effect boundary (runtime.md 2): every nondeterministic unit of a turn goes through an `EffectController`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol, runtime_checkable
from urllib.parse import quote

from lash.runtime.sansio.activity import PendingApproval
from lash.runtime.sansio.approvals import Answer, ApprovalRecord, Question
from lash.runtime.sansio.usage import TokenLedgerEntry
from lash.runtime.sansio.values import JsonValue, stable_hash


class DurabilityTier(Enum):
    """Whether what a part keeps outlives the process."""

    INLINE = "inline"
    DURABLE = "durable"


EffectKind = Literal[
    "llm_call",
    "direct",
    "tool_ask",
    "tool_call",
    "exec_code",
    "tool_batch",
    "checkpoint",
    "sync_execution_surface",
    "prepare_turn",
    "finalize_turn",
    "sleep",
    "await_event",
]

COMPOSITE: frozenset[str] = frozenset({"exec_code", "tool_batch"})
"""Kinds that are run on every re-drive because what is inside them has keys of its own."""


@dataclass(frozen=True, slots=True)
class ExecutionScope:
    """What a controller's effects belong to; `kind` decides which fields are set."""

    kind: Literal["turn", "process", "operation"]
    session_id: str = ""
    turn_id: str = ""
    operation_id: str = ""

    @property
    def id(self) -> str:
        """The scope as one text, parts percent-encoded."""
        parts = (self.session_id, self.turn_id) if self.kind == "turn" else (self.operation_id,)
        return ":".join((self.kind, *map(_escaped, parts)))


@dataclass(frozen=True, slots=True)
class EffectInvocation:
    """Which effect this is.

    `effect_id` is the machine's number, `0` for prepare_turn and `end` for finalize_turn; `suffix` tells effects
    inside a composite one apart (call id, `ask`, `answer`, branch path and ordinal).
    """

    session_id: str
    turn_id: str
    turn_index: int
    mode_iteration: int
    effect_id: str
    kind: EffectKind
    suffix: tuple[str, ...] = ()
    caused_by: str | None = None

    @property
    def replay_key(self) -> str:
        """What the effect's outcome is recorded under (runtime.md 2.3)."""
        parts = (
            self.session_id,
            self.turn_id,
            str(self.turn_index),
            str(self.mode_iteration),
            self.kind,
            self.effect_id,
            *self.suffix,
        )
        return ":".join(map(_escaped, parts))


def _escaped(part: str) -> str:
    return quote(part, safe=" !\"#$&'()*+,-./;<=>?@[\\]^_`{|}~")


@dataclass(frozen=True, slots=True)
class EffectEnvelope:
    """An effect as a host sees it: plain data. `command` says what is asked, without bytes and callbacks.

    One that is not `repeatable` may have done its work when its worker dies, and must not be run again by itself: its
    outcome is then that it was interrupted.
    """

    invocation: EffectInvocation
    command: dict[str, JsonValue]
    repeatable: bool = True

    @property
    def composite(self) -> bool:
        """Whether it has to be run again on every re-drive."""
        return self.invocation.kind in COMPOSITE

    def stable_hash(self) -> str:
        """SHA-256 over what is asked; the same for a re-driven turn."""
        return stable_hash(self.command)


@dataclass(frozen=True, slots=True)
class EffectOutcome:
    """What an effect came to: plain data.

    `usage` is what was used on behalf of others while it ran (children, sub-queries); `state_delta` holds snapshots
    of the plugins and the tool registry whose revision moved, by owner; `replayed` says that it was recorded before.
    `question` is what a person has to be asked next: a durable host has it open from the moment in which it has the
    outcome. `interrupted` is the outcome of an effect that is not repeatable and was begun by a worker that died.
    """

    value: JsonValue
    usage: tuple[TokenLedgerEntry, ...] = ()
    state_delta: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    replayed: bool = False
    question: Question | None = None
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class WaitIdentity:
    """What is waited for: a stable name inside the scope."""

    scope: ExecutionScope
    name: str


@dataclass(frozen=True, slots=True)
class AwaitEventKey:
    """A wait that a host knows."""

    key: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """How a wait ended; the value of one that was withdrawn is the `CancelRequest`, where there is one."""

    kind: Literal["value", "timeout", "withdrawn"]
    value: JsonValue = None


class LocalExecutor(Protocol):
    """Does an effect's work in this process; holds everything live."""

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        """Do the work."""
        ...


class EffectController(Protocol):
    """An effect host inside one scope."""

    @property
    def scope(self) -> ExecutionScope:
        """What the effects belong to."""
        ...

    @property
    def durability(self) -> DurabilityTier:
        """Whether outcomes outlive the process."""
        ...

    async def execute(self, envelope: EffectEnvelope, local: LocalExecutor) -> EffectOutcome:
        """The effect's outcome: recorded, or of `local`. Raises EffectReplayMismatch and EffectLeaseLost."""
        ...

    async def await_event_key(self, wait: WaitIdentity) -> AwaitEventKey:
        """The key of a wait, the same each time."""
        ...

    async def await_event(self, key: AwaitEventKey, *, deadline_ms: int | None = None) -> Resolution:
        """Wait for the event, until `deadline_ms` since the epoch at most."""
        ...

    async def peek_event(self, key: AwaitEventKey) -> Resolution | None:
        """How the wait has ended; None while it has not."""
        ...

    async def resolve_event(self, key: AwaitEventKey, value: JsonValue) -> bool:
        """End a wait; False where it has ended before."""
        ...


class EffectHost(Protocol):
    """Where effects are carried out, and perhaps recorded."""

    @property
    def durability(self) -> DurabilityTier:
        """Whether outcomes outlive the process."""
        ...

    def scoped(self, scope: ExecutionScope) -> AbstractAsyncContextManager[EffectController]:
        """A controller for one scope; LashError missing_execution_scope_id where an id is empty."""
        ...

    async def aclose(self) -> None:
        """Give resources back; a later use takes them again."""
        ...


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A wish that a turn stops; `request_id` tells one wish from another, `origin` says whose it is."""

    request_id: str
    origin: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class UnfinishedTurn:
    """A turn that was begun and has no commit yet: what is needed to run it again.

    `head_revision` is the session's when it began; `recorded_effects` counts what is not done again. `approvals` are
    the questions that it waits for, `cancel` is the wish that it stops, where there is one.
    """

    turn_id: str
    head_revision: int | None
    given: JsonValue
    options: JsonValue
    recorded_effects: int = 0
    approvals: tuple[PendingApproval, ...] = ()
    cancel: CancelRequest | None = None


@dataclass(frozen=True, slots=True)
class CancelReceipt:
    """What came of a wish to stop a turn, and whether the wish outlives the process (`tier`).

    `already_requested`: somebody else had asked before. `completion_won`: the turn is committed. `not_active`: there is
    no such turn, or none that can be reached from here.
    """

    status: Literal["accepted", "not_active", "already_requested", "completion_won"]
    tier: DurabilityTier


@runtime_checkable
class TurnJournal(Protocol):
    """An effect host that knows which turns are unfinished, so that they can be resumed after a crash or suspension."""

    async def begin_turn(
        self, scope: ExecutionScope, head_revision: int | None, given: JsonValue, options: JsonValue
    ) -> None:
        """Note that a turn runs; one that is noted already and not over runs again, as it was noted."""
        ...

    async def suspend_turn(self, scope: ExecutionScope, waiting: Sequence[str]) -> tuple[PendingApproval, ...] | None:
        """Note that a turn is put aside until its questions are answered; these are given.

        None, and nothing is noted, where one of those that it is `waiting` for is not open any more.
        """
        ...

    async def seal_turn(self, scope: ExecutionScope) -> None:
        """The turn is committed, or over without a commit; questions of it that are open are withdrawn."""
        ...

    async def unfinished_turn(self, session_id: str) -> UnfinishedTurn | None:
        """A session's turn that was begun and not sealed."""
        ...

    async def request_cancel(self, scope: ExecutionScope, request: CancelRequest) -> CancelReceipt:
        """Note that a turn is to stop, and withdraw its open questions."""
        ...

    async def cancel_requested(self, scope: ExecutionScope) -> CancelRequest | None:
        """The wish that the turn stops, where there is one."""
        ...

    async def forget_session(self, session_id: str) -> None:
        """The session is deleted: its turns are over, their open questions withdrawn."""
        ...


@runtime_checkable
class ApprovalJournal(Protocol):
    """An effect host whose questions outlive the process that put them."""

    async def pending_approvals(self, session_id: str | None) -> list[PendingApproval]:
        """The open questions of a session or (None) of all, oldest first."""
        ...

    async def answer_approval(self, approval_id: str, answer: Answer, by: str | None) -> ApprovalRecord:
        """Record an answer; the same one again changes nothing.

        Raises ApprovalError: approval_not_found, approval_already_answered, approval_closed, approval_invalid_edit. The
        error's `record` is the question with what has become of it.
        """
        ...
