"""A turn through the facade and what its trace says of it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import ToolContext, TurnOutcome, TurnStop
from lash.config import RuntimeConfig
from lash.plugins import Directive, PluginSpec, StaticPluginFactory
from lash.runtime.sansio.llm import Block, LlmMessage, LlmRequest, LlmStreamEvent
from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.usage import TokenUsage
from lash.testing.clock import FakeClock
from lash.testing.scripted import HANG, Step, reply
from lash.tracing import MemoryTraceSink, NullTraceSink, TraceContext, TraceLevel
from tests.runtime.turn.traced import CALL, block, busy, core_with, of_type, records_of, types

ONE_CALL = ["llm_call_started", "llm_call_completed", "token_usage"]
TOOL_STEP = ["tool_call_started", "tool_call_completed", "mode_step"]


async def test_two_turns_are_written_fact_by_fact(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "trace.jsonl"
    steps = [block(CALL), busy(), block("submit r"), block("submit r.price")]
    async with core_with(*steps, trace_jsonl_path=file) as core, core.session("s") as session:
        await session.turn("Tea?", turn_id="t-1")
        await session.turn("And again?", turn_id="t-2")
    records = records_of(file)
    told = [(r.event.type, r.context.turn_id, r.context.mode_iteration) for r in records]
    retried = ["llm_call_started", "llm_call_failed", "llm_call_completed", "token_usage"]
    assert told == [
        ("session_started", None, None),
        *[(kind, "t-1", None) for kind in ("turn_started", "prompt_built")],
        *[(kind, "t-1", 0) for kind in [*ONE_CALL, *TOOL_STEP]],
        *[(kind, "t-1", 1) for kind in [*retried, "mode_step"]],
        ("turn_completed", "t-1", None),
        *[(kind, "t-2", None) for kind in ("turn_started", "prompt_built")],
        *[(kind, "t-2", 2) for kind in [*ONE_CALL, "mode_step"]],
        ("turn_completed", "t-2", None),
    ]
    assert {r.context.session_id for r in records} == {"s"}
    assert [r.context.turn_index for r in records if r.event.type == "turn_started"] == [1, 2]


async def test_records_are_joined_by_the_ids_of_calls_and_effects(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    async with core_with(block(CALL), busy(), block("submit 1"), trace_jsonl_path=file) as core:
        async with core.session("s") as session:
            result = await session.turn("Tea?")
    records = records_of(file)
    assert len({r.id for r in records}) == len(records)
    stamps = [r.timestamp for r in records]
    assert stamps == sorted(stamps)
    assert all(len(stamp) == len("2026-01-02T03:04:05.006Z") and stamp.endswith("Z") for stamp in stamps)
    calls = [
        (r.event.type, r.context.llm_call_id)
        for r in records
        if r.event.type.startswith("llm_call") or r.event.type == "token_usage"
    ]
    first, second = dict.fromkeys(call for _, call in calls)
    assert calls == [
        *[(kind, first) for kind in ONE_CALL],
        *[(kind, second) for kind in ("llm_call_started", "llm_call_failed", "llm_call_completed", "token_usage")],
    ]
    (call,) = result.tool_calls
    step, _ = of_type(records, "mode_step")
    assert [event.call_id for kind in TOOL_STEP[:2] for event in of_type(records, kind)] == [call.call_id] * 2
    assert [one["call_id"] for one in step.payload["tool_calls"]] == [call.call_id]
    places = [r.context.effect_id for r in records if r.event.type in TOOL_STEP]
    assert places[0] is not None
    assert places[:3] == [places[0]] * 3
    assert places[3] != places[0]


async def test_a_record_says_what_happened(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    first = reply(block(CALL), usage=TokenUsage(10, 5), chunk=7)
    second = reply(block("submit r.price"), usage=TokenUsage(20, 3))
    async with core_with(first, second, trace_jsonl_path=file) as core, core.session("s") as session:
        await session.turn("Tea?", turn_id="t-1")
    records = records_of(file)
    (opened,) = of_type(records, "session_started")
    assert opened.metadata == {
        "relation": "root",
        "mode": "rlm",
        "model": "m",
        "provider": "scripted",
        "lash_version": lash.__version__,
    }
    (begun,) = of_type(records, "turn_started")
    assert begun.metadata == {"input_items": 1, "input_chars": 4, "source": "host"}
    asked = of_type(records, "llm_call_started")[0].request
    prompt = asked.messages[0].blocks[0].text
    (built,) = of_type(records, "prompt_built")
    assert (built.prompt_chars, built.prompt_hash) == (len(prompt), hashlib.sha256(prompt.encode()).hexdigest())
    assert (asked.model, asked.provider, asked.tool_choice, asked.stream) == ("m", "scripted", "none", True)
    assert "Tea?" in [b.text for message in asked.messages for b in message.blocks]
    answered = of_type(records, "llm_call_completed")
    assert answered[0].usage == TokenUsage(10, 5)
    assert answered[0].response.text == block(CALL)
    assert answered[0].response.terminal_reason == "stop"
    assert answered[0].stream_summary["text_chars"] == len(block(CALL))
    booked = of_type(records, "token_usage")
    assert [(one.source, one.model, one.usage, one.cumulative) for one in booked] == [
        ("turn", "m", TokenUsage(10, 5), TokenUsage(10, 5)),
        ("turn", "m", TokenUsage(20, 3), TokenUsage(30, 8)),
    ]
    (call,) = of_type(records, "tool_call_completed")
    assert (call.name, call.args, call.replayed) == ("lookup", {"item": "tea"}, None)
    assert (call.output.outcome.status, call.output.outcome.payload) == ("success", {"price": 12})
    ran, submitted = (step.payload for step in of_type(records, "mode_step"))
    assert (ran["iteration"], ran["code"], ran["prints"]) == (0, CALL, ['{"price":12}'])
    assert ran["fuel"] > 0
    assert [(one["name"], one["status"]) for one in ran["tool_calls"]] == [("lookup", "success")]
    assert submitted["submitted"] == 12
    (ended,) = of_type(records, "turn_completed")
    assert (ended.status, ended.done_reason) == ("completed", "submitted_value")


async def test_the_extended_level_adds_the_stream_and_the_parts_of_the_prompt_only(tmp_path: Path) -> None:
    async def run(level: TraceLevel) -> list[Any]:
        file = tmp_path / f"{level.value}.jsonl"
        own = PromptContribution.guidance("Tone", "Be brief about tea.")
        shut = PromptContribution.guidance("Never", "Use the loom.").requires_tool("loom")
        script = [reply("So.\n" + block(CALL), chunk=5), busy(), block("submit 1")]
        async with core_with(*script, trace_jsonl_path=file, trace_level=level, prompt=[own, shut]) as core:
            async with core.session("s") as session:
                await session.turn("Tea?", turn_id="t-1")
        return records_of(file)

    standard, extended = await run(TraceLevel.STANDARD), await run(TraceLevel.EXTENDED)
    assert [kind for kind in types(extended) if not kind.endswith("_stream_event")] == types(standard)
    assert of_type(standard, "prompt_built")[0].components == ()
    parts = of_type(extended, "prompt_built")[0].components
    assert ("Tone", "guidance", 19) in [(part.id, part.kind, part.chars) for part in parts]
    assert "Never" not in [part.id for part in parts]
    assert parts[0].id == "main_agent_intro"
    events = of_type(extended, "runtime_stream_event")
    prose = "".join(event.visible_text or "" for event in events)
    assert prose.strip() == "So."
    texts = [event.raw_text for event in events if event.event_name == "text_delta"]
    assert "".join(texts) == "So.\n" + block(CALL) + block("submit 1")
    assert "retry_status" in [event.event_name for event in events]


async def test_times_are_those_of_the_clock() -> None:
    clock, sink = FakeClock(), MemoryTraceSink()

    @lash.tool
    async def slow() -> int:
        """Take a while."""
        await clock.sleep(2.5)
        return 1

    async with core_with(block("submit (call slow {})?"), tools=[slow], clock=clock, trace_sink=sink) as core:
        async with core.session("s") as session:
            await clock.run(session.turn("Go.").result())
    (call,) = of_type(list(sink.records), "tool_call_completed")
    assert call.duration_ms == 2500
    (ended,) = of_type(list(sink.records), "turn_completed")
    assert ended.duration_ms == 2500
    assert sink.records[0].timestamp == "2023-11-14T22:13:20.000Z"
    assert sink.records[-1].timestamp == "2023-11-14T22:13:22.500Z"


async def test_a_provider_that_fails_for_good_has_a_record_for_each_attempt(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    failures = [busy("one", raw="wait", code="529"), busy("two"), busy("three")]
    async with core_with(*failures, trace_jsonl_path=file) as core, core.session("s") as session:
        result = await session.turn("Tea?")
    assert isinstance(result.outcome, TurnOutcome.Stopped)
    records = records_of(file)
    failed = of_type(records, "llm_call_failed")
    assert [(one.attempt, one.error.message, one.error.retryable) for one in failed] == [
        (1, "one", True),
        (2, "two", True),
        (3, "three", True),
    ]
    assert (failed[0].error.code, failed[0].error.raw) == ("529", "wait")
    assert of_type(records, "llm_call_completed") == []
    (ended,) = of_type(records, "turn_completed")
    assert (ended.status, ended.done_reason) == ("stopped", "provider_error")


async def test_the_text_of_an_attempt_that_broke_off_counts_for_that_attempt_only(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    broken = Step([LlmStreamEvent.TextDelta("Let me", 0)], busy("gone"))
    async with core_with(broken, block("submit 1"), trace_jsonl_path=file) as core, core.session("s") as session:
        await session.turn("Tea?")
    records = records_of(file)
    (failed,) = of_type(records, "llm_call_failed")
    (answered,) = of_type(records, "llm_call_completed")
    assert failed.stream_summary["text_chars"] == 6
    assert answered.stream_summary["text_chars"] == len(block("submit 1"))


async def test_a_turn_that_is_cancelled_while_the_model_answers_has_all_its_ends(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    hanging = Step([LlmStreamEvent.TextDelta("Let", 0)], HANG)
    async with core_with(hanging, trace_jsonl_path=file) as core, core.session("s") as session:
        turn = session.turn("Tea?")
        async for activity in turn:
            if isinstance(activity.event, lash.TurnEvent.AssistantProseDelta):
                turn.cancel("enough")
        await turn
    records = records_of(file)
    assert types(records)[-2:] == ["llm_call_failed", "turn_completed"]
    (failed,) = of_type(records, "llm_call_failed")
    assert (failed.error.terminal_reason, failed.attempt) == ("cancelled", 1)
    (ended,) = of_type(records, "turn_completed")
    assert (ended.status, ended.done_reason) == ("stopped", "cancelled")


async def test_a_turn_that_is_cancelled_in_a_tool_has_the_call_and_the_step_cancelled(tmp_path: Path) -> None:
    file, asked = tmp_path / "trace.jsonl", asyncio.Event()

    @lash.tool
    async def wait() -> None:
        """Wait for ever."""
        asked.set()
        await asyncio.Event().wait()

    knobs: dict[str, Any] = {"tools": [wait], "runtime": RuntimeConfig(tool_cancel_ms=1)}
    async with core_with(block("call wait {}"), trace_jsonl_path=file, **knobs) as core, core.session("s") as session:
        turn = session.turn("Go.")
        task = asyncio.ensure_future(turn.result())
        await asked.wait()
        turn.cancel("enough")
        assert (await task).outcome == TurnOutcome.Stopped(TurnStop.Cancelled("enough"))
    records = records_of(file)
    (call,) = of_type(records, "tool_call_completed")
    assert call.output.outcome.status == "cancelled"
    (step,) = of_type(records, "mode_step")
    assert "cancelled" in step.payload["error"]
    assert of_type(records, "turn_completed")[0].done_reason == "cancelled"


async def test_a_turn_whose_task_is_cancelled_has_failed(tmp_path: Path) -> None:
    file, shown = tmp_path / "trace.jsonl", asyncio.Event()

    class Sink:
        async def emit(self, activity: lash.TurnActivity) -> None:
            if isinstance(activity.event, lash.TurnEvent.AssistantProseDelta):
                shown.set()

    hanging = Step([LlmStreamEvent.TextDelta("Let", 0)], HANG)
    async with core_with(hanging, trace_jsonl_path=file) as core, core.session("s") as session:
        task = asyncio.ensure_future(session.turn("Tea?", sink=Sink()).result())
        await shown.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert of_type(records_of(file), "llm_call_failed")[0].error.terminal_reason == "cancelled"
    (ended,) = of_type(records_of(file), "turn_completed")
    assert (ended.status, ended.done_reason) == ("failed", "cancelled")


async def test_a_commit_that_is_refused_is_a_failed_turn_with_the_code_of_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trace.jsonl"

    async def refuse(*args: object) -> None:
        raise lash.StoreError("store_io", "the disk is full")

    async with core_with(block("submit 1"), trace_jsonl_path=file) as core, core.session("s") as session:
        monkeypatch.setattr("lash.host.stores.session.SessionStore.commit_runtime_state", refuse)
        with pytest.raises(lash.StoreError):
            await session.turn("Go.")
    (ended,) = of_type(records_of(file), "turn_completed")
    assert (ended.status, ended.done_reason) == ("failed", "store_io")


async def test_a_turn_that_could_not_begin_is_not_in_the_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    async with core_with(trace_jsonl_path=file) as core, core.session("s") as session:
        with pytest.raises(lash.TurnError):
            await session.turn("Go.", require_submit={"type": "nonsense"})
    assert types(records_of(file)) == ["session_started"]


async def test_what_the_host_says_of_the_place_is_in_every_record(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    place = TraceContext(session_id="replaced", run_id="r-1", example_id="e-7", metadata={"team": "blue"})
    async with core_with(block("submit 1"), trace_jsonl_path=file, trace_context=place) as core:
        async with core.session("s") as session:
            await session.turn("Go.", trace_turn_id="row 7")
    contexts = [record.context for record in records_of(file)]
    places = {(c.session_id, c.run_id, c.example_id, c.metadata["team"]) for c in contexts}
    assert places == {("s", "r-1", "e-7", "blue")}
    assert {c.turn_id for c in contexts[1:]} == {"row 7"}


async def test_a_core_closes_its_own_file_and_leaves_the_sink_of_the_host_open(tmp_path: Path) -> None:
    closed: list[str] = []

    class Sink(MemoryTraceSink):
        def close(self) -> None:
            closed.append("sink")

        def flush(self, timeout: float = 5.0) -> None:
            closed.append("flushed")

    file, sink = tmp_path / "trace.jsonl", Sink()
    async with core_with(block("submit 1"), trace_jsonl_path=file, trace_sink=sink) as core:
        async with core.session("s") as session:
            await session.turn("Go.")
        assert core.trace_stats().written == len(sink.records)
    assert [record.id for record in sink.records] == [record.id for record in records_of(file)]
    assert closed == ["flushed"]


async def test_nothing_is_made_where_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **more: object) -> None:
        raise AssertionError("a record was made without a sink")

    for name in ("request_of", "response_of"):
        monkeypatch.setattr(f"lash.runtime.turn.trace_calls.{name}", never)
    for name in ("step_of", "output_of", "text_hash", "input_of"):
        monkeypatch.setattr(f"lash.runtime.turn.trace_turn.{name}", never)
    async with core_with(block(CALL), block("submit 1")) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() == 1
        assert core.trace_stats() == core.trace_stats().__class__()


async def test_a_turn_is_the_same_with_a_trace_as_without() -> None:
    async def run(**knobs: Any) -> tuple[Any, list[str]]:
        async with core_with(reply(block(CALL), chunk=3), busy(), block("submit r"), **knobs) as core:
            async with core.session("s") as session:
                output = await session.run("Go.", turn_id="t")
                return output.result, [type(activity.event).__name__ for activity in output.activities]

    plain, seen = await run()
    traced, also_seen = await run(trace_sink=NullTraceSink(), trace_level=TraceLevel.EXTENDED)
    assert seen == also_seen
    assert (plain.outcome, plain.usage) == (traced.outcome, traced.usage)
    assert [call.args for call in plain.tool_calls] == [call.args for call in traced.tool_calls] == [{"item": "tea"}]


async def test_a_turn_that_is_handed_on_goes_on_under_its_id_in_another_session(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    steps = [block('call continue_as { task: "Go on.", seed: { n: 7 } }'), block("submit n")]
    async with core_with(*steps, trace_jsonl_path=file) as core, core.session("s") as session:
        result = await session.turn("Go.", turn_id="t-1")
        assert result.submitted_value() == 7
        successor = result.session_id
    records = records_of(file)
    told = [
        (r.event.type, r.context.session_id, r.context.parent_session_id, r.context.turn_id, r.context.turn_index)
        for r in records
        if r.event.type in ("session_started", "turn_started", "turn_completed")
    ]
    assert told == [
        ("session_started", "s", None, None, None),
        ("turn_started", "s", None, "t-1", 1),
        ("turn_completed", "s", None, "t-1", 1),
        ("session_started", successor, "s", None, None),
        ("turn_started", successor, "s", "t-1", 1),
        ("turn_completed", successor, "s", "t-1", 1),
    ]
    assert [one.metadata["relation"] for one in of_type(records, "session_started")] == ["root", "handoff"]
    assert [one.metadata["source"] for one in of_type(records, "turn_started")] == ["host", "handoff"]
    handed, ended = of_type(records, "turn_completed")
    assert (handed.status, handed.handoff.successor_session_id) == ("handoff", successor)
    assert (ended.status, ended.handoff) == ("completed", None)
    booked = [record.context.session_id for record in records if record.event.type == "token_usage"]
    assert booked == ["s", successor]


async def test_what_a_plugin_writes_stands_inside_its_turn(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    hooks = PluginSpec(before_turn=[lambda turn: [Directive.EmitTrace("decided", {"password": "open sesame"})]])
    plugin = StaticPluginFactory("judge", hooks)
    async with core_with(block("submit 1"), plugins=[plugin], trace_jsonl_path=file) as core:
        async with core.session("s") as session:
            await session.turn("Go.", turn_id="t-1")
    records = records_of(file)
    assert types(records)[:4] == ["session_started", "turn_started", "custom", "prompt_built"]
    assert records[2].context.turn_id == "t-1"
    (said,) = of_type(records, "custom")
    assert said.name == "plugin.judge.decided"
    assert "sesame" not in file.read_text()


async def test_the_traceback_of_a_tools_exception_is_in_the_trace_alone(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"

    @lash.tool
    async def fall() -> None:
        """Fall."""
        raise ZeroDivisionError("over a stone")

    async with core_with(block("submit call fall {}"), tools=[fall], trace_jsonl_path=file) as core:
        async with core.session("s") as session:
            result = await session.turn("Go.", turn_id="t-1")
    records = records_of(file)
    (fell,) = of_type(records, "custom")
    assert (fell.name, fell.payload["name"], fell.payload["call_id"]) == (
        "lash.tool_exception",
        "fall",
        result.tool_calls[0].call_id,
    )
    assert 'raise ZeroDivisionError("over a stone")' in fell.payload["traceback"]
    start = types(records).index("tool_call_started")
    assert types(records)[start : start + 3] == ["tool_call_started", "custom", "tool_call_completed"]
    assert "Traceback" not in repr(result)


async def test_a_model_call_of_a_tool_says_which_call_it_was_made_in(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"

    @lash.tool
    async def muse(ctx: ToolContext) -> str:
        """Ask the model on the side."""
        request = LlmRequest("side-model", (LlmMessage("user", (Block.Text("Well?"),)),))
        answer = await ctx.direct_completion(request, "aside")
        return str(getattr(answer, "full_text", None))

    steps = [block("submit (call muse {})?"), busy(), reply("Quite.", usage=TokenUsage(3, 1))]
    async with core_with(*steps, tools=[muse], trace_jsonl_path=file) as core, core.session("s") as session:
        result = await session.turn("Go.", turn_id="t-1")
    assert result.submitted_value() == "Quite."
    records = records_of(file)
    start, end = types(records).index("tool_call_started"), types(records).index("tool_call_completed")
    inside = records[start + 1 : end]
    assert types(inside) == ["llm_call_started", "llm_call_failed", "llm_call_completed", "token_usage"]
    (call,) = result.tool_calls
    assert {r.context.originating_tool_call_id for r in inside[:3]} == {call.call_id}
    assert len({r.context.llm_call_id for r in inside[:3]}) == 1
    (asked,) = of_type(inside, "llm_call_started")
    assert (asked.request.model, asked.request.stream) == ("side-model", False)
    (booked,) = of_type(inside, "token_usage")
    assert (booked.source, booked.model, booked.usage) == ("aside", "side-model", TokenUsage(3, 1))
