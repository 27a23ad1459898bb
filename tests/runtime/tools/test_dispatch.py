"""The life of a call: what it resolves to, what is checked, in what order things run, what is shown."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from lash.runtime.errors import EffectLeaseLost
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.tools import ToolControl, ToolFailure, ToolOutput
from lash.runtime.seams.effects import EffectEnvelope, EffectOutcome, LocalExecutor
from lash.runtime.tools.attempts import ToolLimits
from lash.runtime.tools.context import ToolContext, ToolProgress
from lash.runtime.tools.decorator import Tool, tool
from lash.runtime.tools.definition import Availability, ToolContract, ToolManifest, ToolRetryPolicy
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.runtime.tools.registry import ToolRegistry
from lash.runtime.tools.result import ToolError, ToolResult
from lash.testing.clock import FakeClock, settle
from tests.runtime.tools.support import FRAME, bench, failure, value


@tool
async def echo(text: str) -> str:
    """Give it back."""
    return text


async def test_a_call_gives_the_value_and_shows_its_start_and_end_in_one_row() -> None:
    async with bench([echo]) as on:
        called = await on.call("echo", {"text": "hi"})
        assert value(called) == "hi"
        assert called.model_return == "hi"
        assert on.types() == ["tool_call_started", "tool_call_completed"]
        assert {row for _, row in on.shown} == {"tool:c1"}


async def test_an_unknown_tool_is_unavailable() -> None:
    async with bench([echo]) as on:
        assert failure(await on.call("ecco"))[:2] == ("unavailable", "tool_unavailable")
        assert on.types() == ["tool_call_started", "tool_call_completed"]


@pytest.mark.parametrize("level", [Availability.OFF, Availability.SEARCHABLE])
async def test_a_tool_that_is_not_callable_is_unavailable(level: Availability) -> None:
    registry = ToolRegistry()
    registry.add_source([echo], "more")
    registry.set_availability(["echo"], level)
    async with bench([], registry=registry) as on:
        assert failure(await on.call("echo", {"text": ""}))[1] == "tool_unavailable"


async def test_a_tool_whose_source_went_away_during_the_turn_is_unavailable() -> None:
    async with bench([echo]) as on:
        on.registry.remove_source("plugins")
        assert failure(await on.call("echo", {"text": ""}))[1] == "tool_unavailable"


async def test_a_tool_that_came_during_the_turn_is_unavailable() -> None:
    async with bench([]) as on:
        on.registry.add_source([echo])
        assert failure(await on.call("echo", {"text": ""}))[1] == "tool_unavailable"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "text: required property missing"),
        ({"text": 1}, "text: expected string, got 1"),
        ({"text": "", "x": 1}, "x: unexpected property"),
        ('{"text": ', "arguments: the JSON did not parse; write one JSON object"),
        ([1], "arguments: expected an object, got array"),
    ],
)
async def test_arguments_that_do_not_fit_fail_without_the_tool_being_run(args: Any, message: str) -> None:
    ran: list[str] = []

    @tool
    async def note(text: str) -> None:
        ran.append(text)

    async with bench([note]) as on:
        assert failure(await on.call("note", args)) == ("invalid_request", "invalid_tool_args", message)
        assert ran == []


async def test_the_model_may_write_a_dash_as_an_underscore() -> None:
    class Dashed(ListedTools):
        def tool_manifests(self) -> list[ToolManifest]:
            return [ToolManifest("search-docs")]

        def resolve_contract(self, name: str) -> ToolContract:
            return ToolContract()

        async def execute(self, call: ToolCall) -> ToolResult:
            return ToolResult.success(call.name)

    async with bench([Dashed()]) as on:
        called = await on.call("search_docs")
        assert (called.tool_name, value(called)) == ("search-docs", "search-docs")


class Lazy(ListedTools):
    """Lists nothing and has everything that begins with `lazy`."""

    def tool_manifests(self) -> list[ToolManifest]:
        return []

    def resolve_manifest(self, name: str) -> ToolManifest | None:
        return ToolManifest(name) if name.startswith("lazy") else None

    def resolve_contract(self, name: str) -> ToolContract | None:
        if name == "lazy_broken":
            raise RuntimeError("the catalog is down")
        return None if name == "lazy_bare" else ToolContract()

    async def execute(self, call: ToolCall) -> Any:
        return None if call.name == "lazy_nothing" else ToolResult.success(call.name)


async def test_a_tool_that_nobody_lists_is_found_where_a_provider_answers_for_it() -> None:
    async with bench([Lazy()]) as on:
        assert value(await on.call("lazy_one")) == "lazy_one"


@pytest.mark.parametrize("name", ["lazy_broken", "lazy_bare"])
async def test_a_tool_without_a_contract_fails_as_such(name: str) -> None:
    async with bench([Lazy()]) as on:
        assert failure(await on.call(name))[1] == "tool_contract_unavailable"


async def test_a_provider_that_gives_no_result_fails_its_call() -> None:
    async with bench([Lazy()]) as on:
        assert failure(await on.call("lazy_nothing"))[1] == "invalid_tool_result"


@tool
async def fails(how: str) -> str:
    """Fail in some way."""
    match how:
        case "tool":
            raise ToolError("no stock", code="out_of_stock", cls="external", raw={"left": 0})
        case "exit":
            raise SystemExit(3)
        case "cancel":
            raise asyncio.CancelledError
        case _:
            raise ValueError("bad")


async def test_what_a_tool_raises_becomes_its_failure() -> None:
    async with bench([fails]) as on:
        called = await on.call("fails", {"how": "tool"})
        assert called.output == ToolOutput.Failure(ToolFailure("external", "out_of_stock", "no stock", raw={"left": 0}))
        assert called.model_return == "[Tool execution failed]\nno stock"
        assert failure(await on.call("fails", {"how": "x"})) == ("internal", "tool_exception", "ValueError: bad")


async def test_a_tool_that_exits_ends_its_call_and_not_the_process() -> None:
    async with bench([fails]) as on:
        assert failure(await on.call("fails", {"how": "exit"}))[1:] == ("tool_exception", "SystemExit: 3")


async def test_a_tool_that_cancels_itself_is_cancelled_alone() -> None:
    async with bench([fails, echo]) as on:
        first, second = await on.batch(("fails", {"how": "cancel"}), ("echo", {"text": "x"}))
        assert first.output == ToolOutput.Cancelled("tool call cancelled")
        assert value(second) == "x"


async def test_parallel_calls_overlap_and_serial_ones_come_after_in_order() -> None:
    began: list[str] = []
    ended: list[str] = []
    clock = FakeClock()

    async def work(name: str, seconds: float) -> str:
        began.append(name)
        await clock.sleep(seconds)
        ended.append(name)
        return name

    @tool
    async def slow() -> str:
        return await work("slow", 3)

    @tool(execution_mode="serial")
    async def alone(n: int) -> str:
        return await work(f"alone{n}", 1)

    @tool
    async def fast() -> str:
        return await work("fast", 1)

    async with bench([slow, alone, fast], clock=clock) as on:
        calls = on.batch(("slow", {}), ("alone", {"n": 1}), ("fast", {}), ("alone", {"n": 2}))
        done = await clock.run(calls)
    assert began == ["slow", "fast", "alone1", "alone2"]
    assert ended == ["fast", "slow", "alone1", "alone2"]
    assert [value(one) for one in done] == ["slow", "alone1", "fast", "alone2"]


async def test_the_number_of_parallel_calls_can_be_bounded() -> None:
    running, most = 0, 0
    clock = FakeClock()

    @tool
    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await clock.sleep(1)
        running -= 1

    async with bench([work], clock=clock, limits=ToolLimits(max_parallel=2)) as on:
        await clock.run(on.batch(*(("work", cast("Any", {})) for _ in range(5))))
    assert most == 2


async def test_starts_are_shown_in_call_order_and_ends_in_finish_order() -> None:
    clock = FakeClock()

    @tool
    async def wait(seconds: int) -> None:
        await clock.sleep(seconds)

    async with bench([wait], clock=clock) as on:
        await clock.run(on.batch(("wait", {"seconds": 2}), ("wait", {"seconds": 1})))
        assert [(event.type, row) for event, row in on.shown] == [
            ("tool_call_started", "tool:c0"),
            ("tool_call_started", "tool:c1"),
            ("tool_call_completed", "tool:c1"),
            ("tool_call_completed", "tool:c0"),
        ]


class FailingController:
    """An effect host that has lost the second call's lease."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def execute(self, envelope: EffectEnvelope, local: LocalExecutor) -> EffectOutcome:
        if envelope.invocation.suffix == ("c1",):
            raise EffectLeaseLost("k")
        return await self._inner.execute(envelope, local)


async def test_an_error_of_the_effect_host_passes_through_and_stops_the_other_calls() -> None:
    stopped: list[bool] = []

    @tool
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(True)

    async with bench([hang, echo]) as on:
        on.dispatcher.controller = cast("Any", FailingController(on.dispatcher.controller))
        with pytest.raises(EffectLeaseLost):
            await on.clock.run(on.batch(("hang", {}), ("echo", {"text": "x"})))
    assert stopped == [True]


# --- retries -------------------------------------------------------------------------------------


def flaky(policy: ToolRetryPolicy, failures: int, **error: Any) -> tuple[Tool[..., Any], list[tuple[int, int, str]]]:
    """A tool that fails so often, and the attempts it saw."""
    attempts: list[tuple[int, int, str]] = []

    @tool(name="flaky", retry=policy)
    async def flaky_tool(ctx: ToolContext) -> str:
        attempts.append((ctx.attempt_number, ctx.max_attempts, ctx.idempotency_key))
        if len(attempts) <= failures:
            options: dict[str, Any] = {"retry": "safe", **error}
            raise ToolError("busy", **options)
        return "done"

    return flaky_tool, attempts


async def test_a_safe_failure_is_tried_again_after_growing_waits() -> None:
    made, attempts = flaky(ToolRetryPolicy.safe(4, 100, 250), 3)
    async with bench([made], limits=ToolLimits(tool_timeout_s=None)) as on:
        called = await on.clock.run(on.call("flaky"))
        assert value(called) == "done"
        assert on.clock.slept == [0.1, 0.2, 0.25]
        assert attempts == [(n, 4, "lash-tool:s:c1:flaky") for n in (1, 2, 3, 4)]


async def test_a_failure_says_itself_how_long_to_wait_up_to_the_cap() -> None:
    made, _ = flaky(ToolRetryPolicy.safe(2, 100, 250), 1, retry_after_ms=9000)
    async with bench([made], limits=ToolLimits(tool_timeout_s=None)) as on:
        await on.clock.run(on.call("flaky"))
        assert on.clock.slept == [0.25]


async def test_the_last_failure_says_that_attempts_are_exhausted() -> None:
    made, attempts = flaky(ToolRetryPolicy.safe(2, 1, 1), 9)
    async with bench([made]) as on:
        called = await on.clock.run(on.call("flaky"))
        assert isinstance(called.output, ToolOutput.Failure)
        assert (called.output.failure.retry.kind, called.output.failure.retry.attempts) == ("exhausted", 2)
        assert len(attempts) == 2


@pytest.mark.parametrize(
    ("policy", "error", "call_id"),
    [
        (ToolRetryPolicy.never(), {}, "c1"),
        (ToolRetryPolicy.safe(3, 1, 1), {"retry": "never"}, "c1"),
        (ToolRetryPolicy.idempotent(3, 1, 1), {}, ""),
    ],
)
async def test_what_may_not_be_repeated_is_tried_once(
    policy: ToolRetryPolicy, error: dict[str, Any], call_id: str
) -> None:
    made, attempts = flaky(policy, 9, **error)
    async with bench([made]) as on:
        await on.clock.run(on.call("flaky", call_id=call_id))
        assert len(attempts) == 1


# --- deadlines and cancellation ------------------------------------------------------------------


async def test_a_tool_ends_at_the_runtime_limit() -> None:
    @tool
    async def hang() -> None:
        await asyncio.Event().wait()

    async with bench([hang]) as on:
        called = await on.clock.run(on.call("hang"))
        assert failure(called) == ("timeout", "tool_timeout", "hang did not end within 600 s")
        assert on.clock.monotonic() == 600.5


async def test_a_tool_without_a_limit_does_not_end_by_itself() -> None:
    @tool(timeout_ms=None)
    async def hang() -> None:
        await asyncio.Event().wait()

    async with bench([hang]) as on:
        task = asyncio.create_task(on.call("hang"))
        await on.clock.advance(100_000)
        assert not task.done()
        task.cancel()
        await on.clock.advance(1)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_deadline_covers_all_attempts() -> None:
    made, attempts = flaky(ToolRetryPolicy.safe(100, 1000, 1000), 99)
    async with bench([made], limits=ToolLimits(tool_timeout_s=3.5)) as on:
        called = await on.clock.run(on.call("flaky"))
        assert failure(called)[1] == "tool_timeout"
        assert len(attempts) == 4


async def test_cancelling_the_turn_completes_running_and_waiting_calls_as_cancelled() -> None:
    seen: list[bool] = []

    @tool
    async def hang(ctx: ToolContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(ctx.cancel_token.cancelled)

    @tool(execution_mode="serial")
    async def later() -> None:
        raise AssertionError("never begun")

    async with bench([hang, later]) as on:
        task = asyncio.create_task(on.batch(("hang", {}), ("hang", {}), ("later", {})))
        await settle()
        on.token.cancel("enough")
        await on.clock.advance(0.5)
        done = await task
        assert [one.output for one in done] == [ToolOutput.Cancelled("tool call cancelled")] * 3
        assert done[0].model_return == "[Tool execution cancelled]\ntool call cancelled"
        assert seen == [True, True]
        assert sorted(on.types()) == ["tool_call_completed"] * 3 + ["tool_call_started"] * 3
        await settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (ToolResult.cancelled("stopped", {"found": 3}), ToolOutput.Cancelled("stopped", {"found": 3})),
        (ToolResult.success("too late"), ToolOutput.Cancelled("tool call cancelled")),
        (ToolResult.failure("execution", "odd", "too late"), ToolOutput.Cancelled("tool call cancelled")),
    ],
)
async def test_what_a_cancelled_tool_says_of_its_cancellation_is_kept(said: ToolResult, kept: ToolOutput) -> None:
    @tool
    async def search(ctx: ToolContext) -> ToolResult:
        """Search until told to stop."""
        await ctx.cancel_token.wait()
        return said

    async with bench([search]) as on:
        task = asyncio.create_task(on.call("search"))
        await settle()
        on.token.cancel()
        called = await task
    assert called.output == kept
    completed = on.shown[-1][0]
    assert isinstance(completed, TurnEvent.ToolCallCompleted)
    assert completed.output == kept


async def test_cancelling_the_turn_stops_retries_at_once() -> None:
    made, attempts = flaky(ToolRetryPolicy.safe(9, 60_000, 60_000), 99)
    async with bench([made]) as on:
        task = asyncio.create_task(on.call("flaky"))
        await settle()
        on.token.cancel()
        await settle()
        assert (await task).output == ToolOutput.Cancelled("tool call cancelled")
        assert len(attempts) == 1


async def test_a_tool_that_refuses_to_be_cancelled_is_left_behind_after_the_grace() -> None:
    release = asyncio.Event()

    @tool
    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with bench([stubborn]) as on:
        task = asyncio.create_task(on.call("stubborn"))
        await settle()
        on.token.cancel()
        await on.clock.advance(4.9)
        assert not task.done()
        await on.clock.advance(0.1)
        assert (await task).output == ToolOutput.Cancelled("tool call cancelled")
        release.set()
        await settle()


async def test_cancelling_the_awaiting_task_propagates_and_leaves_nothing_behind() -> None:
    @tool
    async def hang() -> None:
        await asyncio.Event().wait()

    async with bench([hang]) as on:
        task = asyncio.create_task(on.batch(("hang", {}), ("hang", {})))
        await settle()
        task.cancel()
        await settle()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not on.token.cancelled
        assert asyncio.all_tasks() == {asyncio.current_task()}


# --- results -------------------------------------------------------------------------------------


async def test_a_result_above_the_limit_is_refused_with_both_sizes() -> None:
    @tool
    async def big() -> str:
        return "x" * (17 << 20)

    async with bench([big]) as on:
        cls, code, message = failure(await on.call("big"))
        assert (cls, code) == ("resource_limit", "tool_result_too_large")
        assert message == "big returned 17 MiB of JSON, the limit is 16 MiB: return less, a page, or an attachment"
    async with bench([big], limits=ToolLimits(max_result_bytes=18 << 20)) as on:
        assert (await on.call("big")).succeeded


async def test_an_output_schema_is_enforced_where_the_tool_asks_for_it() -> None:
    @tool(validate_output=True)
    async def count() -> int:
        return "many"  # type: ignore[return-value]

    async with bench([count]) as on:
        assert failure(await on.call("count")) == (
            "internal",
            "invalid_tool_output",
            'count: result: expected integer, got "many"',
        )


async def test_a_control_result_reaches_the_turn() -> None:
    @tool
    async def done() -> ToolResult:
        return ToolResult.finish({"answer": 42})

    async with bench([done]) as on:
        called = await on.call("done")
        assert called.control == ToolControl.Finish({"answer": 42})


async def test_progress_is_shown_in_the_row_of_the_call_and_nothing_after_its_end() -> None:
    kept: list[ToolProgress] = []

    @tool
    async def build(progress: ToolProgress) -> None:
        kept.append(progress)
        await progress.output("compiling\n")
        await progress.status("linking")

    async with bench([build]) as on:
        await on.call("build")
        await kept[0].output("late")
        told = [event for event, row in on.shown if row == "tool:c1" and isinstance(event, TurnEvent.PluginRuntime)]
        assert [(one.event, one.name) for one in told] == [("custom", "tool_output"), ("status", "tool:c1")]


async def test_an_internal_tool_is_for_parts_of_the_runtime_only() -> None:
    class Hidden(Lazy):
        def tool_manifests(self) -> list[ToolManifest]:
            return [ToolManifest("helper", activation="internal")]

    async with bench([Hidden()]) as on:
        assert failure(await on.call("helper"))[1] == "tool_unavailable"
        assert value(await on.call("helper", internal=True)) == "helper"


async def test_calls_of_one_frame_are_told_apart_by_their_ids() -> None:
    keys: list[str] = []

    async with bench([echo]) as on:
        inner: Any = on.dispatcher.controller

        class Recording(FailingController):
            async def execute(self, envelope: EffectEnvelope, local: LocalExecutor) -> EffectOutcome:
                keys.append(envelope.invocation.replay_key)
                return await inner.execute(envelope, local)

        on.dispatcher.controller = cast("Any", Recording(inner))
        await on.batch(("echo", {"text": "a"}), ("echo", {"text": "b"}))
    assert keys == ["s:t:0:0:tool_call:1:c0", "s:t:0:0:tool_call:1:c1"]
    assert FRAME.effect_id == "1"
