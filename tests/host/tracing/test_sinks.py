"""Sinks for memory, streams and other sinks; the sinks of a core."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from lash.host.providers.openai_chat import OpenAICompatibleProvider
from lash.host.tracing.core_trace import CoreTrace, provider_secrets
from lash.host.tracing.encoding import decode_record
from lash.host.tracing.redaction import Redactor
from lash.host.tracing.sinks import (
    MemoryTraceSink,
    NullTraceSink,
    RedactingTraceSink,
    StderrTraceSink,
    TeeTraceSink,
)
from lash.runtime.errors import TraceSinkError
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.seams.trace import TraceEvent, TraceLevel, TraceRecord, TraceSink
from lash.testing.clock import FakeClock
from tests.host.tracing.samples import record

DIRTY = record(TraceEvent.Custom("n", "it is hunter22."))


class Plain(TraceSink):
    """A sink of a host's own, with nothing but the one method that it needs."""

    def __init__(self) -> None:
        self.records: list[TraceRecord] = []
        self.done: list[str] = []

    def append(self, record: TraceRecord) -> None:
        self.records.append(record)


class Watched(Plain):
    def flush(self, timeout: float = 5.0) -> None:
        self.done.append(f"flush {timeout:g}")

    def close(self) -> None:
        self.done.append("close")


class Broken(TraceSink):
    def append(self, record: TraceRecord) -> None:
        raise OSError("broken")

    def close(self) -> None:
        raise RuntimeError("stuck")


def knowing(*values: str) -> Redactor:
    return Redactor(values=values, environment={})


def test_a_sink_needs_append_alone() -> None:
    sink = Plain()
    sink.append(DIRTY)
    sink.flush()
    sink.close()
    assert sink.records == [DIRTY]


def test_memory_keeps_the_last_records_redacted() -> None:
    sink = MemoryTraceSink(2, redactor=knowing("hunter22"))
    for number in range(3):
        sink.append(record(TraceEvent.Custom("n", f"hunter22 {number}"), number))
    assert [one.id for one in sink.records] == ["id-1", "id-2"]
    assert "hunter22" not in repr(sink.records)


def test_a_stream_gets_lines() -> None:
    stream = io.StringIO()
    sink = StderrTraceSink(stream, redactor=knowing("hunter22"))
    sink.append(DIRTY)
    sink.append(record(TraceEvent.TurnSuspended(("ap:1",)), 2))
    first, second = stream.getvalue().splitlines()
    assert "hunter22" not in first
    assert decode_record(second) == record(TraceEvent.TurnSuspended(("ap:1",)), 2)


def test_standard_error_is_looked_up_when_it_is_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    StderrTraceSink().append(DIRTY)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith('{"schema_version":1')


def test_a_closed_stream_is_a_trace_sink_error() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(TraceSinkError, match="closed"):
        StderrTraceSink(stream).append(DIRTY)


def test_the_sink_for_nothing_takes_everything() -> None:
    sink = NullTraceSink()
    sink.append(DIRTY)
    sink.flush()
    sink.close()


def test_a_sink_that_does_not_redact_can_be_given_one_that_does() -> None:
    inner = Watched()
    sink = RedactingTraceSink(inner, knowing("hunter22"))
    sink.append(DIRTY)
    sink.flush(2)
    sink.close()
    assert "hunter22" not in repr(inner.records)
    assert inner.done == ["flush 2", "close"]


def test_a_tee_tries_every_sink_and_tells_of_all_errors() -> None:
    last = Watched()
    tee = TeeTraceSink(Broken(), Broken(), last)
    with pytest.raises(TraceSinkError, match=r"2 of 3 .*OSError: broken; OSError: broken") as raised:
        tee.append(DIRTY)
    assert [str(error) for error in getattr(raised.value.__cause__, "exceptions", ())] == ["broken", "broken"]
    assert last.records == [DIRTY]
    with pytest.raises(TraceSinkError, match="RuntimeError: stuck"):
        tee.close()
    tee.flush(1)
    assert last.done == ["close", "flush 1"]


def test_a_tee_passes_secrets_on_to_those_who_redact() -> None:
    memory, plain = MemoryTraceSink(redactor=knowing()), Plain()
    tee = TeeTraceSink(memory, plain)
    tee.learn_secrets(iter(["hunter22"]))
    tee.append(DIRTY)
    assert "hunter22" not in repr(memory.records)
    assert plain.records == [DIRTY]


# --- the sinks of a core ---------------------------------------------------------------------------


def core_trace(**given: Any) -> CoreTrace:
    more: dict[str, Any] = {"sink": None, "jsonl_path": None, "level": TraceLevel.STANDARD, "context": None}
    return CoreTrace(**(more | given), clock=FakeClock())


def test_a_core_without_a_sink_writes_nothing() -> None:
    trace = core_trace()
    assert not trace.tracer.enabled
    trace.close()


def test_a_file_that_cannot_be_opened_is_told_when_the_core_is_made(tmp_path: Path) -> None:
    with pytest.raises(TraceSinkError):
        core_trace(jsonl_path=tmp_path)


def test_the_sinks_of_a_core_learn_the_credentials_of_its_providers(tmp_path: Path) -> None:
    options = ProviderOptions(extra_headers={"X-Gateway-Token": "gate-4711-xyz", "X-Team": "blue-team"})
    provider = OpenAICompatibleProvider("http://localhost:1/v1", api_key="local-key-77", options=options)
    assert set(provider_secrets(provider)) == {"local-key-77", "gate-4711-xyz"}
    sink = MemoryTraceSink(redactor=knowing())
    trace = core_trace(sink=sink, jsonl_path=tmp_path / "t")
    trace.learn_secrets(provider)
    trace.tracer.custom("n", "local-key-77 gate-4711-xyz blue-team")
    trace.close()
    for text in (repr(sink.records), (tmp_path / "t").read_text()):
        assert "local-key-77" not in text
        assert "gate-4711" not in text
        assert "blue-team" in text


def test_a_sink_that_does_not_redact_is_told_no_secrets() -> None:
    provider = OpenAICompatibleProvider("http://localhost:1/v1", api_key="local-key-77")
    trace = core_trace(sink=Plain())
    trace.learn_secrets(provider)
    trace.close()
