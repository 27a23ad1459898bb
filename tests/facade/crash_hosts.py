"""Effect hosts and stores with somebody at their boundaries: what a test does there is its own business."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from lash.durability import (
    EffectController,
    EffectEnvelope,
    EffectHost,
    EffectOutcome,
    ExecutionScope,
    JournalEffectHost,
    LocalExecutor,
)
from lash.host.system import SystemClock
from lash.persistence import SqliteSessionStoreFactory
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import UnfinishedTurn
from lash.runtime.seams.persistence import RuntimePersistence, SessionStoreCreateRequest

LATER_MS = 120_000
"""How much later the second worker comes: when every lease of the first one has lapsed."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A boundary: an effect's replay key, or a step of the commit, and when."""

    key: str
    when: str

    def __str__(self) -> str:
        return f"{self.when} {self.key}"


At = Callable[[Moment], None]


def nothing(moment: Moment) -> None:
    """What happens at a boundary where nothing is to happen."""


class WatchedHost:
    """An effect host that calls `at` at every boundary, and notes in `ran` which effects it had carried out."""

    def __init__(self, inner: EffectHost, at: At) -> None:
        self.inner = inner
        self.durability = inner.durability
        self.ran: list[str] = []
        self.at = at

    @asynccontextmanager
    async def _scoped(self, scope: ExecutionScope) -> AsyncGenerator[EffectController]:
        async with self.inner.scoped(scope) as inner:
            yield _Watched(inner, self)

    def scoped(self, scope: ExecutionScope) -> AbstractAsyncContextManager[EffectController]:
        return self._scoped(scope)

    async def aclose(self) -> None:
        await self.inner.aclose()


class WatchedJournal(WatchedHost):
    """The same for a journal."""

    def __init__(self, journal: JournalEffectHost, at: At) -> None:
        super().__init__(journal, at)
        self.journal = journal
        self.suspend_turn = journal.suspend_turn
        self.request_cancel = journal.request_cancel
        self.cancel_requested = journal.cancel_requested
        self.forget_session = journal.forget_session
        self.pending_approvals = journal.pending_approvals
        self.answer_approval = journal.answer_approval

    async def begin_turn(
        self, scope: ExecutionScope, head_revision: int | None, given: JsonValue, options: JsonValue
    ) -> None:
        await self.journal.begin_turn(scope, head_revision, given, options)

    async def seal_turn(self, scope: ExecutionScope) -> None:
        self.at(Moment("turn", "unsealed"))
        await self.journal.seal_turn(scope)

    async def unfinished_turn(self, session_id: str) -> UnfinishedTurn | None:
        return await self.journal.unfinished_turn(session_id)


class _Watched:
    """A controller with the boundaries of its effects."""

    def __init__(self, inner: EffectController, host: WatchedHost) -> None:
        self.durability = inner.durability
        self._inner = inner
        self._host = host
        self.scope = inner.scope
        self.await_event_key = inner.await_event_key
        self.await_event = inner.await_event
        self.peek_event = inner.peek_event
        self.resolve_event = inner.resolve_event

    async def execute(self, envelope: EffectEnvelope, local: LocalExecutor) -> EffectOutcome:
        if envelope.composite:
            return await self._inner.execute(envelope, local)
        key = envelope.invocation.replay_key
        outcome = await self._inner.execute(envelope, _Local(local, key, self._host))
        if not outcome.replayed:
            self._host.at(Moment(key, "recorded"))
        return outcome


class _Local:
    """An effect's work between two boundaries."""

    def __init__(self, inner: LocalExecutor, key: str, host: WatchedHost) -> None:
        self._inner = inner
        self._key = key
        self._host = host

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        self._host.at(Moment(self._key, "asked"))
        self._host.ran.append(self._key)
        outcome = await self._inner.run(envelope)
        self._host.at(Moment(self._key, "ran"))
        return outcome


class LaterClock(SystemClock):
    """The time some while from now."""

    def now_ms(self) -> int:
        return super().now_ms() + LATER_MS


Tap = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Is given the name of a store's method and what does the call, and gives the call's result."""


class _TappedStore:
    """A store whose calls go through a tap."""

    def __init__(self, inner: RuntimePersistence, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap
        self.durability = inner.durability
        self.aclose = inner.aclose

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._inner, name)
        return lambda *args, **knobs: self._tap(name, lambda: call(*args, **knobs))


class TappedStores:
    """Stores whose calls go through a tap; making, finding and deleting them does not."""

    def __init__(self, inner: SqliteSessionStoreFactory, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap
        self.durability = inner.durability
        self.delete_store = inner.delete_store
        self.list_sessions = inner.list_sessions
        self.aclose = inner.aclose

    async def open_store(self, request: SessionStoreCreateRequest) -> Any:
        return _TappedStore(await self._inner.open_store(request), self._tap)

    async def find_store(self, session_id: str) -> Any:
        found = await self._inner.find_store(session_id)
        return None if found is None else _TappedStore(found, self._tap)


class TurnCommits:
    """Tells the boundaries of a turn's commit from those of other writes."""

    def __init__(self, at: At) -> None:
        self._at = at
        self._inside = False

    def reached(self, name: str) -> None:
        """A failpoint of the store."""
        self._inside = self._inside or name == "stamp_write"
        if self._inside and name in ("stamp_write", "commit", "committed"):
            self._at(Moment("store", name))
        if name == "committed":
            self._inside = False
