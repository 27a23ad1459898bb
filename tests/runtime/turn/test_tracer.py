"""The tracer: records of events, and sinks that fail."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from lash.runtime.errors import TraceSinkError
from lash.runtime.seams.trace import TraceContext, TraceEvent, TraceLimits, TraceRecord, TraceSink, TraceStats
from lash.runtime.turn.tracer import Tracer
from lash.testing.clock import FakeClock


class Kept(TraceSink):
    """Keeps what it is given; fails as long as `error` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.records: list[TraceRecord] = []
        self.error = error

    def append(self, record: TraceRecord) -> None:
        if self.error is not None:
            raise self.error
        self.records.append(record)


def test_a_record_has_an_id_the_time_and_the_place() -> None:
    clock, sink = FakeClock(1_767_323_045_006), Kept()
    tracer = Tracer(sink, clock=clock, context=TraceContext(run_id="r")).child(session_id="s")
    tracer.custom("n", {"a": 1})
    tracer.custom("n", {"a": 2})
    first, second = sink.records
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first.id)
    assert first.id != second.id
    assert first.timestamp == "2026-01-02T03:04:05.006Z"
    assert first.context == TraceContext(run_id="r", session_id="s")
    assert first.event == TraceEvent.Custom("n", {"a": 1})


def test_a_child_leaves_its_parent_where_it_is() -> None:
    sink = Kept()
    root = Tracer(sink, clock=FakeClock())
    child = root.child(turn_id="t")
    root.custom("root", None)
    child.custom("child", None)
    assert [record.context.turn_id for record in sink.records] == [None, "t"]


def test_a_place_that_there_is_not_is_an_error() -> None:
    with pytest.raises(TypeError):
        Tracer(None, clock=FakeClock()).child(planet="earth")


def test_without_a_sink_events_are_not_made() -> None:
    def never() -> Any:
        raise AssertionError

    tracer = Tracer(None, clock=FakeClock())
    tracer.write(never)
    tracer.flush()
    assert (tracer.enabled, tracer.extended) == (False, False)
    assert tracer.trace_stats() == TraceStats()


def test_a_context_without_end_is_cut_and_told_of() -> None:
    sink = Kept()
    tracer = Tracer(sink, clock=FakeClock(), context=TraceContext(metadata={"x": "y" * 600}), limits=TraceLimits(512))
    tracer.custom("n", "z" * 600)
    (record,) = sink.records
    assert record.truncated == ("context.metadata.x", "payload")


def test_a_sink_that_fails_is_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock, sink = FakeClock(), Kept(TraceSinkError("the disk is full"))
    tracer = Tracer(sink, clock=clock)

    async def fail(times: int, seconds: float) -> None:
        for _ in range(times):
            tracer.child(session_id="s").custom("n", 1)
        await clock.advance(seconds)

    import asyncio

    with caplog.at_level(logging.WARNING, "lash.tracing"):
        for times, seconds in ((3, 59.0), (2, 1.0), (1, 0.0)):
            asyncio.run(fail(times, seconds))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "1 failures" in told[0]
    assert "5 failures" in told[1]
    assert "the disk is full" in told[0]
    assert tracer.trace_stats() == TraceStats(0, 6, "TraceSinkError: the disk is full [trace_sink]")


def test_a_sink_that_works_again_is_written_to_again() -> None:
    sink = Kept(TraceSinkError("for now"))
    tracer = Tracer(sink, clock=FakeClock())
    tracer.custom("lost", 1)
    sink.error = None
    tracer.custom("kept", 1)
    stats = tracer.trace_stats()
    assert (stats.written, stats.failed) == (1, 1)


def test_an_event_that_cannot_be_made_counts_as_a_failure() -> None:
    def broken() -> Any:
        raise KeyError("field")

    tracer = Tracer(Kept(), clock=FakeClock())
    tracer.write(broken)
    assert tracer.trace_stats() == TraceStats(0, 1, "KeyError: 'field'")


def test_errors_at_the_end_are_counted_too() -> None:
    class Stuck(Kept):
        def flush(self, timeout: float = 5.0) -> None:
            raise OSError("stuck")

    tracer = Tracer(Stuck(), clock=FakeClock())
    tracer.flush()
    assert tracer.trace_stats().failed == 1


def test_an_error_whose_text_raises_is_described_nevertheless() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    tracer = Tracer(Kept(Mute()), clock=FakeClock())
    tracer.custom("n", 1)
    assert tracer.trace_stats().last_error == "Mute, whose text raised RuntimeError"
