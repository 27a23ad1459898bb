"""The order in which the calls of a batch run: parallel ones together, then serial ones one by one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


AT_ONCE = 8
"""Calls that begin in one round of the event loop."""


class Pace:
    """Spreads the beginnings of many calls over rounds of the event loop, in their order.

    A thousand calls that began in one round would hold the loop for as long as all of them take to be checked and
    shown; so there is room in between for whatever else runs.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._left = at_once
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def step(self) -> None:
        """Wait for a round in which one more may begin; at once where there is none before it."""
        loop = asyncio.get_running_loop()
        if self._left == self._at_once:
            loop.call_soon(self._next_round, loop)
        if self._left:
            self._left -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._at_once
        while self._left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        if self._left < self._at_once:
            loop.call_soon(self._next_round, loop)


class Turnstile:
    """Lets calls pass in the order of their places, whatever order they arrive in.

    A place passes once all before it have left; one that will never come through has to leave as well.
    """

    def __init__(self) -> None:
        self._left: set[int] = set()
        self._next = 0
        self._waiting: dict[int, asyncio.Event] = {}

    async def wait(self, place: int) -> None:
        """Wait for one's turn."""
        if place > self._next:
            await self._waiting.setdefault(place, asyncio.Event()).wait()

    def leave(self, place: int) -> None:
        """Make way for the next place; a second time changes nothing."""
        self._left.add(place)
        while self._next in self._left:
            self._next += 1
            if (event := self._waiting.pop(self._next, None)) is not None:
                event.set()


async def run_batch(
    drive: Callable[[int], Awaitable[T]],
    serial: Sequence[bool],
    turnstiles: Sequence[Turnstile],
    pace: Pace,
) -> tuple[T, ...]:
    """The results of `drive(place)` for every place; `serial` says which must not overlap with others.

    `pace` is shared by all batches that run side by side.

    Raises the first exception by place, after every other call was cancelled and has ended.
    """
    results: dict[int, T] = {}

    async def one(place: int) -> None:
        await pace.step()
        results[place] = await drive(place)

    # A serial call comes last, so those after it must not wait for it at a turnstile.
    for turnstile in turnstiles:
        for place, alone in enumerate(serial):
            if alone:
                turnstile.leave(place)
    parallel = [place for place, alone in enumerate(serial) if not alone]
    if len(parallel) == 1:
        await one(parallel[0])  # a call of a program comes alone: it runs in the task that it came in
    else:
        await _together([asyncio.ensure_future(one(place)) for place in parallel])
    for place, alone in enumerate(serial):
        if alone:
            results[place] = await drive(place)
    return tuple(results[place] for place in range(len(serial)))


async def _together(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Wait for all; where one raises, or the wait is cancelled, cancel the others and wait for their end."""
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if all(task.done() for task in tasks):
            failures = [task for task in tasks if task.cancelled() or task.exception() is not None]
            if failures:
                failures[0].result()
            return
    except asyncio.CancelledError:
        await _stopped(tasks)
        raise
    failed = next(task for task in tasks if task.done() and (task.cancelled() or task.exception() is not None))
    await _stopped(tasks)
    failed.result()


async def _stopped(tasks: Sequence[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
