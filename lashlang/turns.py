"""Taking turns on an event loop: machines that compute inline share a few milliseconds of each of its rounds.

A round of an asyncio loop runs every callback that is ready before it looks at timers and sockets again. With two
hundred machines that all have something to compute, a few milliseconds for each would make rounds of a second. So
what they compute in one round is bounded together: who comes when it is used up waits in line, and each new round
lets in as many from the line as it is likely to have time for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from weakref import WeakKeyDictionary

ROUND = 0.004
"""Seconds of computation in one round of a loop."""

_MOST_AT_ONCE = 64


class Turns:
    """The line of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._open = False
        self._until = 0.0
        self._cost = ROUND

    async def take(self) -> None:
        """Wait until there is time to compute in this round; at once, where nobody else does."""
        if not self._waiting:
            now = perf_counter()
            if not self._open:
                self._begin(now)
                return
            if now < self._until:
                return
        mine: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.done():
                self._waiting.remove(mine)
            raise

    def spent(self, seconds: float) -> None:
        """A turn took so long: what the next ones are expected to take."""
        self._cost += (seconds - self._cost) / 8

    def _begin(self, now: float) -> None:
        """The first turn of a round; the next round begins with `_end`, which is called in it."""
        self._open = True
        self._until = now + ROUND
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._open = False
        if not self._waiting:
            return
        self._begin(perf_counter())
        for _ in range(min(len(self._waiting), _MOST_AT_ONCE, max(1, int(ROUND / max(self._cost, 1e-6))))):
            first = self._waiting.popleft()
            if not first.done():
                first.set_result(None)


_OF_LOOPS: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """The line of a loop."""
    turns = _OF_LOOPS.get(loop)
    if turns is None:
        turns = _OF_LOOPS[loop] = Turns(loop)
    return turns
