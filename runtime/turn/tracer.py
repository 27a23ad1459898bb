"""`Tracer`: writes events as records to a sink, and keeps the sink's failures away from the turn.

A tracer holds where it is (the context), the level, clock and limits; `child` gives one for a narrower place. Events
are given as functions that make them: nothing is built where there is no sink, and whatever goes wrong on the way, in
that function or in the sink, is counted and logged, and the turn goes on as if it had not (observability.md 3).
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from typing import Any, Final

from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock
from lash.runtime.seams.trace import (
    AnyTraceEvent,
    TraceContext,
    TraceEvent,
    TraceLevel,
    TraceLimits,
    TraceRecord,
    TraceSink,
    TraceStats,
)
from lash.runtime.turn.trace_limits import bounded, cut_text

_log = logging.getLogger("lash.tracing")

LOG_INTERVAL_S: Final = 60.0
"""A failing sink is reported once in this time; all its failures are counted."""

MESSAGE_BYTES: Final = 512
"""How much of an error's text is logged and kept."""


def random_id() -> str:
    """The id of a record: a random UUID."""
    return str(uuid.uuid4())


class Tracer:
    """Writes records; see the module's docstring.

    Arguments: the `sink`, None for a tracer that writes nothing; `clock` for the time of records and the pace of
    complaints; `context`, `level` and `limits` of the records; `new_id` for their ids.
    """

    def __init__(
        self,
        sink: TraceSink | None,
        *,
        clock: Clock,
        context: TraceContext | None = None,
        level: TraceLevel = TraceLevel.STANDARD,
        limits: TraceLimits | None = None,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._guard = None if sink is None else _Guard(sink, clock)
        self._clock = clock
        self._level = level
        self._limits = limits or TraceLimits()
        self._new_id = new_id
        self._place(context or TraceContext())

    def _place(self, context: TraceContext) -> None:
        self._context = context
        self._bounded: tuple[TraceContext, tuple[str, ...]] | None = None

    @property
    def context(self) -> TraceContext:
        """Where the records belong."""
        return self._context

    @property
    def clock(self) -> Clock:
        """The clock of the records."""
        return self._clock

    @property
    def enabled(self) -> bool:
        """Whether anything is written."""
        return self._guard is not None

    @property
    def extended(self) -> bool:
        """Whether stream events and the components of prompts are written."""
        return self._guard is not None and self._level is TraceLevel.EXTENDED

    def child(self, **context: Any) -> Tracer:
        """A tracer with fields of the context replaced, on the same sink; TypeError for a name that is no field."""
        tracer = copy(self)
        tracer._place(self._context.child(**context))
        return tracer

    def trace_stats(self) -> TraceStats:
        """What became of the records of this tracer and all that share its sink."""
        return TraceStats() if self._guard is None else self._guard.stats()

    def flush(self, timeout: float = 5.0) -> None:
        """Have the sink finish what it was given."""
        if self._guard is not None:
            self._guard.flush(timeout)

    def write(self, event: Callable[[], AnyTraceEvent]) -> None:
        """Write the record of an event; `event` makes it, and is not called where nothing is written."""
        if self._guard is not None:
            self._guard.append(lambda: self._record(event()))

    def custom(self, name: str, payload: JsonValue) -> None:
        """What a plugin or a host has to tell."""
        self.write(lambda: TraceEvent.Custom(name, payload))

    def _record(self, event: AnyTraceEvent) -> TraceRecord:
        if self._bounded is None:
            self._bounded = bounded(self._context, self._limits, ("context",))
        context, cuts = self._bounded
        event, more = bounded(event, self._limits)
        return TraceRecord(self._new_id(), _timestamp(self._clock.now_ms()), event, context, (*cuts, *more))


def _timestamp(now_ms: int) -> str:
    whole = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{now_ms % 1000:03}Z"


def _described(error: Exception) -> str:
    """An error in short; the text of a foreign one need not be to be had."""
    try:
        return cut_text(f"{type(error).__name__}: {error}", MESSAGE_BYTES)
    except Exception as second:
        return f"{type(error).__name__}, whose text raised {type(second).__name__}"


class _Guard:
    """Keeps the failures of a sink, and of making records for it, away from the turn."""

    def __init__(self, sink: TraceSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._lock = threading.Lock()
        self._written = 0
        self._failed = 0
        self._last_error: str | None = None
        self._logged_at: float | None = None
        self._logged_failures = 0

    def append(self, record: Callable[[], TraceRecord]) -> None:
        """Make a record and give it to the sink."""
        try:
            self._sink.append(record())
        except Exception as error:
            self._note(error)
        else:
            with self._lock:
                self._written += 1

    def flush(self, timeout: float) -> None:
        """Flush the sink."""
        try:
            self._sink.flush(timeout)
        except Exception as error:
            self._note(error)

    def stats(self) -> TraceStats:
        """The counts so far."""
        with self._lock:
            return TraceStats(self._written, self._failed, self._last_error)

    def _note(self, error: Exception) -> None:
        """Count a failure; log it if none was logged in the last minute."""
        text = _described(error)
        with self._lock:
            self._failed += 1
            self._last_error = text
            now = self._clock.monotonic()
            if self._logged_at is not None and now - self._logged_at < LOG_INTERVAL_S:
                return
            self._logged_at = now
            count, self._logged_failures = self._failed - self._logged_failures, self._failed
        _log.warning("the trace is incomplete: %d failures since the last report, the latest %s", count, text)
        _log.debug("the latest failure of the trace", exc_info=error)
