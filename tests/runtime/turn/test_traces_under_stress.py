"""Traces where something goes wrong: failing and slow sinks, secrets, values that are too large."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

import lash
from lash.host.providers.openai_chat import OpenAICompatibleProvider
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.prompt import PromptContribution
from lash.testing.clock import FakeClock
from lash.testing.scripted import ScriptedProvider
from lash.tracing import (
    MemoryTraceSink,
    RedactingTraceSink,
    Redactor,
    TraceLevel,
    TraceRecord,
    TraceSink,
    TraceSinkError,
)
from tests.runtime.turn.traced import AT_ONCE, CALL, block, busy, core_with, of_type, records_of


class Failing(TraceSink):
    """Takes nothing."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    def append(self, record: TraceRecord) -> None:
        self.asked += 1
        raise self.error


@pytest.mark.parametrize("error", [TraceSinkError("full"), ZeroDivisionError("a bug")], ids=["refuses", "broken"])
async def test_a_sink_that_always_fails_is_counted_and_logged_and_changes_nothing(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Failing(error)
    steps = [block(CALL), busy(), block("submit r.price")]
    with caplog.at_level(logging.WARNING, "lash.tracing"):
        async with core_with(*steps, trace_sink=sink, trace_level=TraceLevel.EXTENDED) as core:
            async with core.session("s") as session:
                result = await session.turn("Tea?")
            stats = core.trace_stats()
    assert (result.submitted_value(), result.revision, result.errors) == (12, 1, ())
    assert (stats.written, stats.failed) == (0, sink.asked)
    assert sink.asked > 10
    assert str(error) in str(stats.last_error)
    assert len(caplog.records) == 1


async def test_a_sink_that_is_slow_takes_every_record_in_order() -> None:
    class Late(FakeClock):
        late = 0.0

        def now_ms(self) -> int:
            return super().now_ms() + round(self.late * 1000)

        def monotonic(self) -> float:
            return super().monotonic() + self.late

    clock = Late()

    class Slow(MemoryTraceSink):
        def append(self, record: TraceRecord) -> None:
            clock.late += 0.5
            super().append(record)

    async def run(**knobs: Any) -> Any:
        async with core_with(block(CALL), block("submit r.price"), **knobs) as core, core.session("s") as session:
            return await session.run("Tea?", turn_id="t")

    sink, quick = Slow(), MemoryTraceSink()
    slow, other = await run(trace_sink=sink, clock=clock), await run(trace_sink=quick)
    assert slow.result.outcome == other.result.outcome
    assert [record.event.type for record in sink.records] == [record.event.type for record in quick.records]
    stamps = [record.timestamp for record in sink.records]
    assert stamps == sorted(stamps)
    assert of_type(list(sink.records), "turn_completed")[0].duration_ms >= 5_000


# --- secrets ---------------------------------------------------------------------------------------

SECRETS = {
    "environment": "env-secret-4711",
    "pattern": "sk-ant-api03-a1b2c3d4e5",
    "key": "keyed-secret-42",
    "credential": "provider-key-0815",
}


@pytest.mark.parametrize("level", list(TraceLevel))
async def test_secrets_are_nowhere_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: TraceLevel
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", SECRETS["environment"])
    everything = " and ".join(SECRETS.values()).replace(SECRETS["key"], "")

    @lash.tool
    async def send(request: dict[str, Any]) -> dict[str, Any]:
        """Send something."""
        return {"echo": request, "headers": {"Authorization": f"Bearer {SECRETS['key']}"}, "text": everything}

    @lash.tool
    async def fail() -> None:
        """Fail."""
        raise ValueError(everything)

    args = {"headers": {"X-Api-Key": SECRETS["key"]}, "body": json.dumps({"password": SECRETS["key"]}), "a": everything}
    code = f"r = call send {{ request: {json.dumps(args)} }}\nprint r\nprint call fail {{}}\nprint 'counts tokens'"
    steps = [block(code), busy(everything, raw=json.dumps({"error": everything})), block(f"submit {json.dumps(args)}")]
    provider = ScriptedProvider(steps, options=AT_ONCE)
    provider.components.state.config["api_key"] = SECRETS["credential"]
    file = tmp_path / "trace.jsonl"
    knobs: dict[str, Any] = {"tools": [send, fail], "trace_jsonl_path": file, "trace_level": level}
    prompt = [PromptContribution.environment("Access", f"Use {everything}.")]
    async with lash.LashCore.rlm(provider=provider, model="m", max_context_tokens=100_000, **knobs) as core:
        async with core.session("s", prompt=prompt) as session:
            result = await session.turn(f"Use {everything}.")
        assert core.trace_stats().failed == 0
    assert result.submitted_value() == args, "the turn itself sees what is there"
    text = file.read_text()
    assert {name: secret for name, secret in SECRETS.items() if secret in text} == {}
    assert "counts tokens" in text
    assert "[redacted:value:" in text
    assert "[redacted:key:" in text
    assert "[redacted:anthropic_key:" in text
    # Equal secrets have equal tags, so that they can be followed through the file.
    (sent,) = (one for one in of_type(records_of(file), "tool_call_completed") if one.name == "send")
    assert sent.output.outcome.payload["echo"] == sent.args["request"]


async def test_the_credentials_of_a_provider_of_one_turn_are_known_as_well(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    other = OpenAICompatibleProvider("http://127.0.0.1:9/v1", api_key="turn-key-0815", options=AT_ONCE)
    async with core_with(trace_jsonl_path=file) as core, core.session("s") as session:
        await session.turn("I know turn-key-0815.", provider=other, model="n")
    text = file.read_text()
    assert "turn-key-0815" not in text
    assert "llm_call_failed" in text


async def test_a_sink_of_the_host_gets_records_as_they_are_unless_it_is_wrapped() -> None:
    class Own(TraceSink):
        def __init__(self) -> None:
            self.seen: list[TraceRecord] = []

        def append(self, record: TraceRecord) -> None:
            self.seen.append(record)

    plain, wrapped = Own(), Own()
    async with core_with(block("submit 1"), trace_sink=plain) as core, core.session("s") as session:
        await session.turn("sk-ant-api03-a1b2c3d4e5")
    assert "sk-ant-api03" in repr(plain.seen)
    sink = RedactingTraceSink(wrapped, Redactor(drop_fields=["llm_call_started.request"]))
    async with core_with(block("submit 1"), trace_sink=sink) as core, core.session("s") as session:
        await session.turn("sk-ant-api03-a1b2c3d4e5")
    assert "sk-ant-api03" not in repr(wrapped.seen)


# --- size ------------------------------------------------------------------------------------------


async def test_a_result_of_twelve_megabytes_is_cut_in_the_trace_and_whole_in_the_session(tmp_path: Path) -> None:
    file, size = tmp_path / "trace.jsonl", 12_000_000

    @lash.tool
    async def read() -> str:
        """Read it all."""
        return "word " * (size // 5)

    steps = [block("text = (call read {})?"), block("submit len(text)")]
    async with core_with(*steps, tools=[read], trace_jsonl_path=file) as core, core.session("s") as session:
        result = await session.turn("Read.")
    assert result.submitted_value() == size
    (line,) = (line for line in file.read_bytes().splitlines() if b'"tool_call_completed"' in line)
    assert len(line) < 4 * 1024 * 1024
    assert json.loads(line)["truncated"] == ["output.outcome.payload"]
    assert "chars, sha256" in line.decode()


async def test_the_raw_text_of_a_failure_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    failure = ProviderFailure("validation", "no", retryable=False, raw="word " * 10_000)
    async with core_with(failure, trace_jsonl_path=file) as core, core.session("s") as session:
        await session.turn("Tea?")
    (failed,) = of_type(records_of(file), "llm_call_failed")
    assert len(failed.error.raw) <= 4_000
    (truncated,) = (r.truncated for r in records_of(file) if r.event.type == "llm_call_failed")
    assert truncated == ("error.raw",)
