"""Having an effect of a turn carried out, with what it did to the state of plugins and tools (runtime.md 2.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lash.runtime.errors import EffectError, StoreCorruption
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import (
    AwaitEventKey,
    CancelRequest,
    DurabilityTier,
    EffectController,
    EffectEnvelope,
    EffectOutcome,
    ExecutionScope,
    LocalExecutor,
    Resolution,
    WaitIdentity,
)
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.hooks import EffectState

Work = Callable[[], Awaitable[JsonValue]]
"""Does an effect's work and gives the outcome's value."""


class _Local:
    """An effect's work as the effect host wants it."""

    def __init__(self, work: Work, state: EffectState) -> None:
        self._work = work
        self._state = state

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        """Do the work."""
        mark = self._state.mark()
        value = await self._work()
        return EffectOutcome(value, state_delta=self._state.delta(mark))


ROUND_A_TURN = frozenset({"prepare_turn", "finalize_turn"})
"""Effects that a turn has that is to stop, too."""


class RecordedWish:
    """A wish that the turn stops which was recorded before the turn was driven again.

    It reaches the turn when all that is recorded has been gone through: what was done is in the history, and nothing
    new begins.
    """

    def __init__(self, token: CancelToken, recorded_effects: int, wish: CancelRequest) -> None:
        self._token = token
        self._left = recorded_effects
        self._wish = wish
        if recorded_effects == 0:
            self.deliver()

    def heard(self, replayed: bool) -> None:
        """Another recorded outcome is here, or an effect begins."""
        self._left -= 1
        if not replayed or self._left <= 0:
            self.deliver()

    def deliver(self) -> None:
        """Have the turn stop."""
        self._token.cancel(self._wish.reason, request_id=self._wish.request_id, origin=self._wish.origin)


class _Announced:
    """An effect's work that says when it begins; what it shows of itself is new."""

    def __init__(self, inner: LocalExecutor, heard: Callable[[bool], None], wish: RecordedWish | None) -> None:
        self._inner = inner
        self._heard = heard
        self._wish = wish

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        """Do the work."""
        if not envelope.composite:
            self._heard(False)
            if self._wish is not None and envelope.invocation.kind not in ROUND_A_TURN:
                self._wish.heard(False)
                raise asyncio.CancelledError
        return await self._inner.run(envelope)


class Watched:
    """An effect controller that tells how each outcome comes about; implements `EffectController`."""

    def __init__(
        self, inner: EffectController, heard: Callable[[bool], None], wish: RecordedWish | None = None
    ) -> None:
        """`heard` is told True of each recorded outcome, and False when an effect is run, before it is."""
        self._inner = inner
        self._heard = heard
        self._wish = wish

    @property
    def scope(self) -> ExecutionScope:
        """See `EffectController`."""
        return self._inner.scope

    @property
    def durability(self) -> DurabilityTier:
        """See `EffectController`."""
        return self._inner.durability

    async def execute(self, envelope: EffectEnvelope, local: LocalExecutor) -> EffectOutcome:
        """See `EffectController`."""
        announced = _Announced(local, self._heard, self._wish)
        try:
            outcome = await self._inner.execute(envelope, announced)
        except (EffectError, StoreCorruption) as error:
            if self._wish is None or error.retryable:
                raise
            # What is recorded cannot be gone through any further. The turn is to stop all the same: else nobody could
            # ever end it, and its session would be lost with it.
            self._wish.deliver()
            if envelope.invocation.kind not in ROUND_A_TURN:
                raise asyncio.CancelledError from error
            outcome = await announced.run(envelope)
        if outcome.replayed:
            self._heard(True)
            if self._wish is not None:
                self._wish.heard(True)
        return outcome

    async def await_event_key(self, wait: WaitIdentity) -> AwaitEventKey:
        """See `EffectController`."""
        return await self._inner.await_event_key(wait)

    async def await_event(self, key: AwaitEventKey, *, deadline_ms: int | None = None) -> Resolution:
        """See `EffectController`."""
        return await self._inner.await_event(key, deadline_ms=deadline_ms)

    async def peek_event(self, key: AwaitEventKey) -> Resolution | None:
        """See `EffectController`."""
        return await self._inner.peek_event(key)

    async def resolve_event(self, key: AwaitEventKey, value: JsonValue) -> bool:
        """See `EffectController`."""
        return await self._inner.resolve_event(key, value)


async def carry_out(
    controller: EffectController, envelope: EffectEnvelope, work: Work, state: EffectState
) -> EffectOutcome:
    """The effect's outcome; of a recorded one the state is brought back. Raises what the effect host and `work` do."""
    outcome = await controller.execute(envelope, _Local(work, state))
    if outcome.replayed:
        state.apply(outcome.state_delta)
    return outcome
