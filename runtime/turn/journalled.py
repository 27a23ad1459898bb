"""A turn as its journal knows it: begun, put aside, asked to stop, over (runtime.md 2.4, 2.5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lash.runtime.errors import StoreError, TurnError
from lash.runtime.seams.clock import Clock
from lash.runtime.seams.effects import EffectHost, ExecutionScope, TurnJournal, UnfinishedTurn
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.waiting import discard
from lash.runtime.turn.driver import Suspend
from lash.runtime.turn.effects import RecordedWish
from lash.runtime.turn.inputs import TurnInput, input_json
from lash.runtime.turn.settings import TurnRequest
from lash.runtime.turn.trace_turn import TurnTrace

_log = logging.getLogger("lash.session")

HEED_POLL_S = 0.4
"""How soon a turn notices that another process wants it to stop."""


class JournalledTurn:
    """One turn of a session; where its effect host keeps no journal, there is nothing to be noted."""

    def __init__(self, effects: EffectHost, session_id: str, request: TurnRequest, clock: Clock) -> None:
        own = request.effects is not None
        self._journal = effects if isinstance(effects, TurnJournal) and not own else None
        self._scope = ExecutionScope("turn", session_id=session_id, turn_id=request.turn_id)
        self._request = request
        self._clock = clock
        self._is_new = False

    @property
    def is_kept(self) -> bool:
        """Whether there is a journal of it."""
        return self._journal is not None

    async def begin(
        self,
        given: TurnInput,
        unfinished: UnfinishedTurn | None,
        head_revision: int | None,
        trace: TurnTrace,
        token: CancelToken,
    ) -> RecordedWish | None:
        """Note that it runs on this input; `unfinished` is what an earlier run has left of it.

        Gives the wish that it stops, where that was recorded when nobody ran it.
        """
        assert self._journal is not None
        self._is_new = unfinished is None
        if unfinished is not None:
            trace.resumed(unfinished.recorded_effects)
        await self._journal.begin_turn(self._scope, head_revision, input_json(given), self._request.recorded)
        if unfinished is None or unfinished.cancel is None:
            return None
        return RecordedWish(token, unfinished.recorded_effects, unfinished.cancel)

    async def give_up(self) -> None:
        """Note that it is over, as it could not begin; one that an earlier run has begun can still be resumed."""
        if self._is_new:
            await self.seal()

    async def seal(self) -> None:
        """Note that it is over; what has been sent is waited for."""
        if self._journal is not None:
            await asyncio.shield(self._journal.seal_turn(self._scope))

    def suspend(self) -> Suspend | None:
        """What puts the turn aside, None where it is to wait.

        Raises TurnError where nothing is recorded, so that nobody could take it up again.
        """
        if not self._request.park:
            return None
        journal, scope = self._journal, self._scope
        if journal is None:
            raise TurnError(
                "contradictory_options",
                'on_wait="park" needs a journal of the turn: LashCore(effect_host=JournalEffectHost(path), store=...), '
                "and no `effects` of the turn's own",
            )
        return lambda waiting: journal.suspend_turn(scope, waiting)

    @asynccontextmanager
    async def heeding(self, token: CancelToken) -> AsyncGenerator[None]:
        """Inside, a wish of another process that the turn stops reaches it."""
        if self._journal is None:
            yield
            return
        heeding = asyncio.ensure_future(self._heed(self._journal, token))
        try:
            yield
        finally:
            await discard(heeding)

    async def _heed(self, journal: TurnJournal, token: CancelToken) -> None:
        while not token.cancelled:
            await self._clock.sleep(HEED_POLL_S)
            try:
                wish = await journal.cancel_requested(self._scope)
            except StoreError as error:
                _log.warning("turn %s: cannot look whether it is to stop: %s", self._request.turn_id, error)
                continue
            if wish is not None:
                token.cancel(wish.reason, request_id=wish.request_id, origin=wish.origin)
