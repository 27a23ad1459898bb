"""The effect host that records nothing: effects run at once, waits live in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lash.runtime.errors import LashError
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock
from lash.runtime.seams.effects import (
    AwaitEventKey,
    DurabilityTier,
    EffectController,
    EffectEnvelope,
    EffectOutcome,
    ExecutionScope,
    LocalExecutor,
    Resolution,
    WaitIdentity,
)


def check_scope(scope: ExecutionScope) -> None:
    """Raise LashError (missing_execution_scope_id) for a scope without its ids."""
    ids = (scope.session_id, scope.turn_id) if scope.kind == "turn" else (scope.operation_id,)
    if not all(ids):
        raise LashError("missing_execution_scope_id", f"a scope of kind {scope.kind!r} needs its ids, and none empty")


class InlineEffectHost:
    """See `EffectHost`; the default."""

    durability = DurabilityTier.INLINE

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waits: dict[str, asyncio.Future[JsonValue]] = {}

    @asynccontextmanager
    async def scoped(self, scope: ExecutionScope) -> AsyncGenerator[EffectController]:
        """See `EffectHost`."""
        check_scope(scope)
        controller = _InlineController(scope, self._clock, self._waits)
        try:
            yield controller
        finally:
            controller.withdraw()

    async def aclose(self) -> None:
        """Nothing is held between scopes."""


class _InlineController:
    """One scope of the host."""

    durability = DurabilityTier.INLINE

    def __init__(self, scope: ExecutionScope, clock: Clock, waits: dict[str, asyncio.Future[JsonValue]]) -> None:
        self.scope = scope
        self._clock = clock
        self._waits = waits
        self._own: set[str] = set()

    async def execute(self, envelope: EffectEnvelope, local: LocalExecutor) -> EffectOutcome:
        """See `EffectController`."""
        return await local.run(envelope)

    async def await_event_key(self, wait: WaitIdentity) -> AwaitEventKey:
        """See `EffectController`."""
        key = f"{wait.scope.id}:{wait.name}"
        if key not in self._waits:
            self._waits[key] = asyncio.get_running_loop().create_future()
            self._own.add(key)
        return AwaitEventKey(key)

    async def await_event(self, key: AwaitEventKey, *, deadline_ms: int | None = None) -> Resolution:
        """See `EffectController`."""
        event = self._waits[key.key]
        if deadline_ms is None:
            return Resolution("value", await asyncio.shield(event))
        left = max(0, deadline_ms - self._clock.now_ms()) / 1000
        timer = asyncio.ensure_future(self._clock.sleep(left))
        try:
            await asyncio.wait([event, timer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        return Resolution("value", event.result()) if event.done() else Resolution("timeout")

    async def peek_event(self, key: AwaitEventKey) -> Resolution | None:
        """See `EffectController`."""
        event = self._waits[key.key]
        return Resolution("value", event.result()) if event.done() else None

    async def resolve_event(self, key: AwaitEventKey, value: JsonValue) -> bool:
        """See `EffectController`."""
        event = self._waits.get(key.key)
        if event is None or event.done():
            return False
        event.set_result(value)
        return True

    def withdraw(self) -> None:
        """The scope is over: nobody waits any more."""
        for key in self._own:
            self._waits.pop(key).cancel()
