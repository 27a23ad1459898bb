"""The stream of a turn's activities (runtime.md 6): numbered, given to sinks in order, with backpressure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Protocol

from lash.runtime.sansio.activity import AnyTurnEvent, TurnActivity, TurnEvent
from lash.runtime.sansio.outcome import TurnIssue

_log = logging.getLogger("lash.turn")

FAILURES_IN_A_ROW = 16
"""After so many failures one after the other a sink is left out."""


class TurnActivitySink(Protocol):
    """Takes activities, one after the other; a slow one slows the turn."""

    async def emit(self, activity: TurnActivity) -> None:
        """Take one."""
        ...


class ActivityStream:
    """Numbers the events of one logical turn and hands them on.

    Sinks come first, in their order, then whoever iterates. A sink that raises is noted as an issue and left out after
    16 failures in a row; it never stops the turn. `activities` keeps everything for the collected result.
    """

    def __init__(self, turn_id: str, iterator_queue: int) -> None:
        self.turn_id = turn_id
        self._sinks: list[tuple[TurnActivitySink, list[int]]] = []
        self._seq = 0
        self._lock = asyncio.Lock()
        self._queue: asyncio.Queue[TurnActivity | None] | None = None
        self._iterator_queue = iterator_queue
        self._listening = False
        self.activities: list[TurnActivity] = []
        self.issues: list[TurnIssue] = []
        self.replaying = False

    def add_sink(self, sink: TurnActivitySink) -> None:
        """Give a sink all that follows."""
        self._sinks.append((sink, [0]))

    async def emit(self, session_id: str, event: AnyTurnEvent, correlation_id: str | None = None) -> None:
        """Number an event and hand it on."""
        async with self._lock:
            self._seq += 1
            number = f"a:{self.turn_id}:{self._seq}"
            row = correlation_id or _row_of(event) or number
            activity = TurnActivity(number, row, self._seq, session_id, self.turn_id, self.replaying, event)
            self.activities.append(activity)
            for sink, failures in list(self._sinks):
                await self._give(sink, failures, activity)
            if self._queue is not None and self._listening:
                await self._queue.put(activity)

    async def _give(self, sink: TurnActivitySink, failures: list[int], activity: TurnActivity) -> None:
        try:
            await sink.emit(activity)
            failures[0] = 0
        except Exception as error:
            failures[0] += 1
            _log.warning("a sink failed at %s: %s", activity.id, error, exc_info=error)
            message = f"{type(error).__name__}: {error}"
            self.issues.append(TurnIssue("sink", "sink_failed", message))
            if failures[0] >= FAILURES_IN_A_ROW:
                self._sinks = [(one, count) for one, count in self._sinks if one is not sink]

    def listen(self) -> AsyncIterator[TurnActivity]:
        """An iterator over all that follows; there is one at most."""
        self._queue = asyncio.Queue(self._iterator_queue)
        self._listening = True
        return self._iterate(self._queue)

    async def _iterate(self, queue: asyncio.Queue[TurnActivity | None]) -> AsyncIterator[TurnActivity]:
        try:
            while (activity := await queue.get()) is not None:
                yield activity
        finally:
            # Nobody takes anything any more: what waits for room must not wait for ever.
            self._listening = False
            while not queue.empty():
                queue.get_nowait()

    async def close(self) -> None:
        """The turn is over."""
        if self._queue is not None and self._listening:
            await self._queue.put(None)


def _row_of(event: AnyTurnEvent) -> str | None:
    """The row of an event that names it itself."""
    match event:
        case TurnEvent.ToolCallStarted(call_id=call_id) | TurnEvent.ToolCallCompleted(call_id=call_id):
            return f"tool:{call_id}"
        case TurnEvent.ApprovalAnswered(call_id=call_id):
            return f"tool:{call_id}"
        case TurnEvent.ApprovalRequested(approval=approval):
            return f"tool:{approval.call_id}"
        case TurnEvent.ChildUsage(session_id=session_id):
            return f"child:{session_id}"
        case _:
            return None
