"""The stream of a turn's activities (runtime.md 6): numbered, given to sinks in order, with backpressure."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Literal, Protocol

from lash.runtime.sansio.activity import AnyTurnEvent, TurnActivity, TurnEvent
from lash.runtime.sansio.outcome import TurnIssue
from lash.runtime.sansio.values import told
from lash.runtime.tools.attempts import being_cancelled

_log = logging.getLogger("lash.turn")

FAILURES_IN_A_ROW = 16
"""After so many failures one after the other a sink is left out."""


class TurnActivitySink(Protocol):
    """Takes activities, one after the other; a slow one slows the turn."""

    async def emit(self, activity: TurnActivity) -> None:
        """Take one."""
        ...


class BufferedSink:
    """Takes activities at once and gives them to another sink as fast as that one takes them.

    `maxsize` activities may wait. Beyond that the turn waits ("block"), or text that belongs to the same row as what
    was held back last is joined to it ("coalesce"), and only other activities wait. What the inner sink raises is
    raised by the next `emit`. All is delivered before the turn's result is.
    """

    def __init__(
        self, inner: TurnActivitySink, maxsize: int = 1000, overflow: Literal["block", "coalesce"] = "block"
    ) -> None:
        if maxsize < 1:
            raise ValueError(f"a sink's buffer of {maxsize} activities would never give any on")
        self._inner = inner
        self._maxsize = maxsize
        self._coalesce = overflow == "coalesce"
        self._held: deque[TurnActivity] = deque()
        self._moved = asyncio.Condition()
        self._giving: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    async def emit(self, activity: TurnActivity) -> None:
        """Hold an activity, once there is room. Raises what the inner sink raised."""
        async with self._moved:
            self._raise()
            if len(self._held) >= self._maxsize and self._coalesce:
                joined = _joined(self._held[-1], activity)
                if joined is not None:
                    self._held[-1] = joined
                    return
            await self._moved.wait_for(lambda: len(self._held) < self._maxsize)
            self._held.append(activity)
            if self._giving is None:
                self._giving = asyncio.create_task(self._give())

    async def flush(self) -> None:
        """Wait until all is given on; what the inner sink raises now is logged."""
        while self._giving is not None:
            await asyncio.wait([self._giving])
        if self._failure is not None:
            _log.warning("a sink failed: %s", self._failure, exc_info=self._failure)
            self._failure = None

    async def _give(self) -> None:
        while True:
            async with self._moved:
                if not self._held:
                    self._giving = None
                    return
                activity = self._held.popleft()
                self._moved.notify_all()
            try:
                await self._inner.emit(activity)
            except Exception as error:
                self._failure = error

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


def _joined(held: TurnActivity, activity: TurnActivity) -> TurnActivity | None:
    """Two pieces of the same text as one, under the first one's number; None where they are not."""
    if held.correlation_id != activity.correlation_id or held.replayed != activity.replayed:
        return None
    match held.event, activity.event:
        case TurnEvent.AssistantProseDelta(text=first), TurnEvent.AssistantProseDelta(text=second):
            return replace(held, event=TurnEvent.AssistantProseDelta(first + second))
        case TurnEvent.ReasoningDelta(text=first), TurnEvent.ReasoningDelta(text=second):
            return replace(held, event=TurnEvent.ReasoningDelta(first + second))
        case _:
            return None


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
        self._replaying = False
        self._live = False
        self._begun: set[str] = set()
        self._repeated: list[AnyTurnEvent] = []
        self._giving: asyncio.Task[Any] | None = None
        self._ended = False

    def add_sink(self, sink: TurnActivitySink) -> None:
        """Give a sink all that follows."""
        self._sinks.append((sink, [0]))

    def after_effect(self, *, replayed: bool) -> None:
        """An effect begins, or its recorded outcome is here; until the first that begins all was shown before."""
        self._live = self._live or not replayed
        self._replaying = not self._live

    def repeats(self, event: AnyTurnEvent) -> None:
        """This very event, which is about to be emitted, was shown by an earlier run of the turn."""
        self._repeated.append(event)

    async def emit(self, session_id: str, event: AnyTurnEvent, correlation_id: str | None = None) -> None:
        """Number an event and hand it on."""
        async with self._lock:
            self._seq += 1
            number = f"a:{self.turn_id}:{self._seq}"
            row = correlation_id or _row_of(event) or number
            replayed = self._is_replayed(event)
            activity = TurnActivity(number, row, self._seq, session_id, self.turn_id, replayed, event)
            self.activities.append(activity)
            for sink, failures in list(self._sinks):
                await self._give(sink, failures, activity)
            if self._queue is not None and self._listening:
                await self._queue.put(activity)

    def _is_replayed(self, event: AnyTurnEvent) -> bool:
        """Whether another worker has done what an event tells of.

        Calls of a wave are told apart one by one, since recorded and new ones may be mixed: a new one has a beginning.
        """
        if any(event is one for one in self._repeated):
            self._repeated = [one for one in self._repeated if one is not event]
            return True
        match event:
            case TurnEvent.ToolCallStarted(call_id=call_id):
                self._begun.add(call_id)
                return False
            case TurnEvent.ToolCallCompleted(call_id=call_id) | TurnEvent.ApprovalAnswered(call_id=call_id):
                return call_id not in self._begun
            case TurnEvent.ApprovalRequested(approval=approval):
                return approval.call_id not in self._begun
            case _:
                return self._replaying

    def in_sink(self) -> bool:
        """Whether this is called by a sink, which the turn waits for."""
        return self._giving is not None and self._giving is asyncio.current_task()

    async def _give(self, sink: TurnActivitySink, failures: list[int], activity: TurnActivity) -> None:
        self._giving = asyncio.current_task()
        try:
            await sink.emit(activity)
            failures[0] = 0
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise
            failures[0] += 1
            _log.warning("a sink failed at %s: %s", activity.id, told(error), exc_info=error)
            message = told(error)
            self.issues.append(TurnIssue("sink", "sink_failed", message))
            if failures[0] >= FAILURES_IN_A_ROW:
                self._sinks = [(one, count) for one, count in self._sinks if one is not sink]
        finally:
            self._giving = None

    def listen(self) -> AsyncIterator[TurnActivity]:
        """An iterator over all that follows; there is one at most."""
        self._queue = asyncio.Queue(self._iterator_queue)
        self._listening = True
        return self._iterate(self._queue)

    def stop_listening(self) -> None:
        """Nobody iterates any more: what waits for room must not wait for ever."""
        self._listening = False
        while self._queue is not None and not self._queue.empty():
            self._queue.get_nowait()

    async def _iterate(self, queue: asyncio.Queue[TurnActivity | None]) -> AsyncIterator[TurnActivity]:
        try:
            while not (self._ended and queue.empty()) and (activity := await queue.get()) is not None:
                yield activity
        finally:
            self.stop_listening()

    async def close(self) -> None:
        """The turn is over; sinks that hold activities back give them on now."""
        for sink, _ in self._sinks:
            if isinstance(sink, BufferedSink):
                await sink.flush()
        self._ended = True
        if self._queue is not None and not self._queue.full():
            # Wakes whoever waits for more; a full queue is read to its end first, and nobody may be reading it.
            self._queue.put_nowait(None)


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
