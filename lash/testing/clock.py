"""Time and ids that a test decides about: `FakeClock` and `SequentialIds`.

`FakeClock` stands still until it is moved. Whoever sleeps on it waits for `advance`, which wakes sleepers in the order
of their due times and lets the event loop run in between, so that a chain of sleeps happens as it would in real time.
`run` moves the clock by itself: whenever the work can go no further it jumps to the next due time. Only work that
waits for nothing but the clock can be driven so; work that waits for sockets, processes or threads needs real time.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SETTLE_ROUNDS = 100
"""Turns of the event loop that are given to woken tasks: more than any chain of callbacks that a test builds."""


async def settle() -> None:
    """Let every task run until it waits for something that another task of this loop does not provide."""
    for _ in range(SETTLE_ROUNDS):
        await asyncio.sleep(0)


class FakeClock:
    """A clock that moves when it is told to; implements `lash.runtime.seams.clock.Clock`.

    `slept` holds the seconds of every sleep that was asked for, in order.
    """

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._start_ms = now_ms
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._asked = 0
        self.slept: list[float] = []

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch: the given start and what was advanced since."""
        return self._start_ms + round(self._elapsed * 1000)

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been advanced so far; zero or less is one turn of the event loop."""
        self.slept.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        self._asked += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._asked, woken))
        await woken

    def next_due(self) -> float | None:
        """When the first sleeper is due on the monotonic clock, None where nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def advance(self, seconds: float) -> None:
        """Move the clock, waking on the way whoever is due and whoever falls asleep and becomes due meanwhile."""
        await self._advance_to(self._elapsed + seconds)

    async def _advance_to(self, target: float) -> None:
        """As `advance`, to a time; times are compared and never recomputed, so that rounding cannot miss one."""
        await settle()
        while (due := self.next_due()) is not None and due <= target:
            _, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, due)
            woken.set_result(None)
            await settle()
        self._elapsed = max(self._elapsed, target)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end, jumping to the next due time whenever it can go no further.

        Raises what `work` raises, and AssertionError where it waits for something that is not the clock.
        """
        task = asyncio.get_running_loop().create_task(work)
        try:
            await settle()
            while not task.done():
                due = self.next_due()
                assert due is not None, "the work waits for something that this clock does not provide"
                await self._advance_to(due)
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class SequentialIds:
    """Ids `prefix-1`, `prefix-2` and so on, counted per prefix; implements `lash.runtime.seams.clock.IdSource`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def new(self, prefix: str) -> str:
        """The next id of that prefix."""
        self._counts[prefix] += 1
        return f"{prefix}-{self._counts[prefix]}"
