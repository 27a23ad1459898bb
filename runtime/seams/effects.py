"""The effect boundary (runtime.md 2): every nondeterministic unit of a turn goes through an `EffectController`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol, runtime_checkable
from urllib.parse import quote

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
    """An effect as a host sees it: plain data. `command` says what is asked, without bytes and callbacks."""

    invocation: EffectInvocation
    command: dict[str, JsonValue]

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
    """

    value: JsonValue
    usage: tuple[TokenLedgerEntry, ...] = ()
    state_delta: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    replayed: bool = False


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
    """How a wait ended."""

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
class UnfinishedTurn:
    """A turn that was begun and has no commit yet: what is needed to run it again.

    `head_revision` is the session's when it began; `recorded_effects` counts what is not done again.
    """

    turn_id: str
    head_revision: int | None
    given: JsonValue
    options: JsonValue
    recorded_effects: int = 0


@runtime_checkable
class TurnJournal(Protocol):
    """An effect host that knows which turns are unfinished, so that they can be resumed after a crash."""

    async def begin_turn(
        self, scope: ExecutionScope, head_revision: int | None, given: JsonValue, options: JsonValue
    ) -> None:
        """Note that a turn runs; nothing where it is noted already."""
        ...

    async def seal_turn(self, scope: ExecutionScope) -> None:
        """The turn is committed."""
        ...

    async def unfinished_turn(self, session_id: str) -> UnfinishedTurn | None:
        """A session's turn that was begun and not sealed."""
        ...
