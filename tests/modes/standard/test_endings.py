"""How turns of standard mode end: limits, empty and cut replies, tools that end them, cancellations."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import lash
from lash import StandardConfig, ToolResult, TurnFinish, TurnOutcome, TurnStop
from lash.runtime.sansio.llm import Block, LlmResponse
from lash.runtime.sansio.tools import ToolFailure
from lash.runtime.tools.definition import ToolContract, ToolManifest
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.testing.activities import ActivityLaws, check_activities
from lash.testing.scripted import HANG, ScriptedProvider, reply
from tests.facade.test_durability_cancel import is_resume_safe
from tests.modes.standard.playing import call, calls, core_with, lookup, parts_of, results_of


def asks(number: int) -> Any:
    """A reply that calls a tool."""
    return calls(call("lookup", f"c{number}", item="tea"))


async def test_a_model_that_never_stops_calling_is_stopped_by_the_limit() -> None:
    model = ScriptedProvider([asks(1), asks(2)])
    async with core_with(provider=model, tools=[lookup], max_turns=2) as core, core.session("s") as session:
        result = await session.turn("Go.")
        assert result.outcome == TurnOutcome.Stopped(TurnStop.MaxTurns(2))
        assert result.revision == 1
        assert len(results_of(session)) == 2
        last = session.read_view().messages[-1]
        assert (last.role, last.parts[0].kind) == ("system", "error")
        assert "turn limit reached" in last.parts[0].text
    model.assert_exhausted()


async def test_with_grace_there_is_one_reply_more_in_which_nothing_can_be_called() -> None:
    model = ScriptedProvider([asks(1), "That is how far I came."])
    config = StandardConfig(turn_limit_grace=True)
    async with core_with(provider=model, tools=[lookup], config=config, max_turns=1) as core:
        async with core.session("s") as session:
            assert (await session.turn("Go.")).assistant_message() == "That is how far I came."
    assert [request.tool_choice for request in model.requests] == ["auto", "none"]
    assert model.requests[1].messages[-1].role == "system"
    assert "last reply" in str(model.requests[1].messages[-1])


async def test_calls_in_the_reply_of_grace_are_not_run_and_the_history_says_so() -> None:
    config = StandardConfig(turn_limit_grace=True)
    async with core_with(asks(1), asks(2), tools=[lookup], config=config, max_turns=1) as core:
        async with core.session("s") as session:
            output = await session.run("Go.")
            check_activities(output.activities)
            assert output.result.outcome == TurnOutcome.Stopped(TurnStop.MaxTurns(1))
            assert [one.call_id for one in output.result.tool_calls] == ["c1"]
            assert results_of(session)[1][2]
            assert "not run" in results_of(session)[1][1]
            assert is_resume_safe(session.read_view().messages)


async def test_without_a_limit_of_its_own_a_turn_has_that_of_the_mode() -> None:
    config = StandardConfig(default_max_turns=1)
    async with core_with(asks(1), tools=[lookup], config=config) as core, core.session("s") as session:
        assert (await session.turn("Go.")).outcome == TurnOutcome.Stopped(TurnStop.MaxTurns(1))


@pytest.mark.parametrize("limit", [1, 2])
async def test_input_that_comes_at_the_end_gets_another_reply_only_within_the_limit(limit: int) -> None:
    async with core_with("One.", "Two.", max_turns=limit) as core, core.session("s") as session:
        turn = session.turn("Go.")
        async for activity in turn:
            if isinstance(activity.event, lash.TurnEvent.AssistantProseDelta) and activity.event.text == "One.":
                await session.queue("More.", min_boundary="before_completion")
        result = await turn
        said = [message.text() for message in session.read_view().messages]
        assert said[:3] == ["Go.", "One.", "More."]
        if limit == 1:
            assert result.outcome == TurnOutcome.Stopped(TurnStop.MaxTurns(1))
        else:
            assert result.assistant_message() == "Two."
            assert said[3:] == ["Two."]


async def test_an_empty_reply_after_results_ends_the_turn_and_an_empty_first_one_is_an_error() -> None:
    async with core_with(asks(1), reply(""), reply(""), tools=[lookup]) as core, core.session("s") as session:
        result = await session.turn("Go.")
        assert result.outcome == TurnOutcome.Finished(TurnFinish.AssistantMessage(""))
        assert result.assistant_output.state == "empty_output"
        assert len(session.read_view().messages) == 3
        output = await session.run("Again.")
        stopped = output.result.outcome
        assert isinstance(stopped, TurnOutcome.Stopped)
        assert isinstance(stopped.stop, TurnStop.ProviderError)
        assert stopped.stop.code == "empty_response"
        assert [issue.code for issue in output.result.errors] == ["empty_response"]


async def test_a_reply_cut_by_the_output_limit_keeps_its_text_and_none_of_its_calls_run() -> None:
    cut = reply("It is abou", tool_calls=[call("lookup", item="tea")], terminal_reason="output_limit")
    async with core_with(cut, tools=[lookup]) as core, core.session("s") as session:
        result = await session.turn("Go.")
        assert result.outcome == TurnOutcome.Stopped(TurnStop.Incomplete())
        assert result.tool_calls == ()
        assert [message.text() for message in session.read_view().messages] == ["Go.", "It is abou"]
        assert parts_of(session, "tool_call") == []


@pytest.mark.parametrize("reason", ["content_filter", "context_overflow", "provider_error", "cancelled"])
async def test_a_reply_that_the_provider_broke_off_stops_the_turn_with_its_code_and_none_of_its_calls_run(
    reason: Any,
) -> None:
    broken = reply("It is", tool_calls=[call("lookup", item="tea")], terminal_reason=reason)
    async with core_with(broken, "Fine.", tools=[lookup]) as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        stopped = output.result.outcome
        assert isinstance(stopped, TurnOutcome.Stopped)
        if reason == "cancelled":
            assert isinstance(stopped.stop, TurnStop.Cancelled)
        else:
            assert isinstance(stopped.stop, TurnStop.ProviderError)
            assert stopped.stop.code == reason
            assert [issue.code for issue in output.result.errors] == [reason]
        assert output.result.tool_calls == ()
        assert is_resume_safe(session.read_view().messages)
        assert (await session.turn("And now?")).assistant_message() == "Fine."


async def test_a_reply_of_reasoning_alone_ends_the_turn_and_is_kept() -> None:
    thought = LlmResponse("", (Block.Reasoning("I need not say anything."),))
    async with core_with(thought) as core, core.session("s") as session:
        result = await session.turn("Go.")
        assert result.outcome == TurnOutcome.Finished(TurnFinish.AssistantMessage(""))
        assert [part.text for part in parts_of(session, "reasoning")] == ["I need not say anything."]


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (("One.", "Two."), "One.\n\nTwo."),
        (("One.\n", "Two."), "One.\n\nTwo."),
        (("One.\n\n", "\nTwo."), "One.\n\n\nTwo."),
        (("One.", " ", "Two."), "One.\n\nTwo."),
    ],
)
async def test_texts_of_a_reply_are_joined_with_a_blank_line_at_least(texts: tuple[str, ...], shown: str) -> None:
    said = LlmResponse("".join(texts), tuple(map(Block.Text, texts)))
    async with core_with(said) as core, core.session("s") as session:
        assert (await session.turn("Go.")).assistant_message() == shown


class Controls(ListedTools):
    """Tools that ask something of the turn."""

    def tool_manifests(self) -> list[ToolManifest]:
        return [ToolManifest(name) for name in ("plain", "finish", "fail", "handoff", "broken")]

    def resolve_contract(self, name: str) -> ToolContract | None:
        return ToolContract()

    async def execute(self, call: ToolCall) -> ToolResult:
        match call.name:
            case "finish":
                return ToolResult.finish({"n": 7})
            case "fail":
                return ToolResult.fail(ToolFailure("execution", "no_way", "it cannot be"))
            case "handoff":
                return ToolResult.handoff("other")
            case "broken":
                return ToolResult.failure("execution", "e", "broken")
            case _:
                return ToolResult.success("plain")


FINISHED = TurnOutcome.Finished(TurnFinish.ToolValue("finish", {"n": 7}))
FAILED = TurnOutcome.Stopped(TurnStop.ToolError("fail", {"code": "no_way", "message": "it cannot be"}))


@pytest.mark.parametrize(
    ("names", "outcome"),
    [
        (("plain", "finish", "plain"), FINISHED),
        (("broken", "fail", "finish"), FAILED),
        (("finish", "fail"), FINISHED),
    ],
)
async def test_the_first_result_that_asks_for_the_end_decides_and_all_results_are_kept(
    names: tuple[str, ...], outcome: object
) -> None:
    made = [call(name, f"c{i}") for i, name in enumerate(names)]
    async with core_with(calls(*made), tools=[Controls()]) as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        assert output.result.outcome == outcome
        assert [number for number, _, _ in results_of(session)] == [f"c{i}" for i in range(len(names))]


async def test_a_tool_hands_the_turn_on_to_a_session_that_is_there() -> None:
    async with core_with("Set up.", calls(call("handoff")), "There.", tools=[Controls()]) as core:
        async with core.session("other") as other:
            await other.turn("Begin.")
            await other.queue("Go on.", next_turn=True)
        async with core.session("s") as session:
            result = await session.turn("Go.")
            assert result.handoff_count() == 1
            assert result.assistant_message() == "There."
            assert session.session_id == "other"
            assert is_resume_safe(session.read_view().messages)


async def test_tools_that_run_when_the_turn_is_cancelled_have_cancelled_results() -> None:
    running = asyncio.Event()

    @lash.tool
    async def slow(name: str) -> str:
        """Never ends."""
        if name == "b":
            running.set()
        await asyncio.Event().wait()
        return name

    made = [call("slow", "a", name="a"), call("slow", "b", name="b"), call("lookup", "c", item="tea")]
    tasks = asyncio.all_tasks()
    runtime = lash.RuntimeConfig(tool_cancel_ms=1)
    async with core_with(calls(*made, text="I work."), "Fine.", tools=[slow, lookup], runtime=runtime) as core:
        async with core.session("s") as session:
            laws = ActivityLaws()
            turn = session.turn("Go.", sink=laws)
            result = asyncio.ensure_future(turn.result())
            await running.wait()
            turn.cancel("enough")
            assert (await result).outcome == TurnOutcome.Stopped(TurnStop.Cancelled("enough"))
            laws.check()
            assert [(number, failed) for number, _, failed in results_of(session)] == [
                ("a", True),
                ("b", True),
                ("c", False),
            ]
            assert is_resume_safe(session.read_view().messages)
            assert (await session.turn("And now?")).assistant_message() == "Fine."
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks


async def test_a_turn_cancelled_in_its_last_permitted_round_is_cancelled_and_not_at_its_limit() -> None:
    running = asyncio.Event()

    @lash.tool
    async def slow() -> None:
        """Never ends."""
        running.set()
        await asyncio.Event().wait()

    runtime = lash.RuntimeConfig(tool_cancel_ms=1)
    async with core_with(calls(call("slow")), tools=[slow], runtime=runtime, max_turns=1) as core:
        async with core.session("s") as session:
            turn = session.turn("Go.")
            result = asyncio.ensure_future(turn.result())
            await running.wait()
            turn.cancel("enough")
            assert (await result).outcome == TurnOutcome.Stopped(TurnStop.Cancelled("enough"))


async def test_a_tool_that_cannot_be_stopped_leaves_a_history_that_can_be_gone_on_from() -> None:
    running, release = asyncio.Event(), asyncio.Event()

    @lash.tool
    async def deaf() -> None:
        """Hears nothing."""
        running.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    runtime = lash.RuntimeConfig(tool_cancel_ms=1, cancel_grace_s=0.01)
    async with core_with(calls(call("deaf")), "Fine.", tools=[deaf], runtime=runtime) as core:
        async with core.session("s") as session:
            laws = ActivityLaws()
            turn = session.turn("Go.", sink=laws)
            result = asyncio.ensure_future(turn.result())
            await running.wait()
            turn.cancel()
            try:
                assert isinstance((await asyncio.wait_for(result, 10)).outcome, TurnOutcome.Stopped)
                laws.check()
                assert [number for number, _, _ in results_of(session)] == ["a"]
                assert is_resume_safe(session.read_view().messages)
                assert (await session.turn("And now?")).assistant_message() == "Fine."
            finally:
                release.set()


async def test_a_turn_cancelled_while_the_model_answers_is_committed_as_such() -> None:
    asked = asyncio.Event()

    def hangs(request: object) -> Any:
        asked.set()
        return HANG

    async with core_with(hangs, "Fine.") as core, core.session("s") as session:
        turn = session.turn("Go.")
        result = asyncio.ensure_future(turn.result())
        await asked.wait()
        turn.cancel()
        assert isinstance((await result).outcome, TurnOutcome.Stopped)
        assert (await session.turn("And now?")).assistant_message() == "Fine."


@pytest.mark.parametrize("moment", range(40))
async def test_a_turn_cancelled_at_any_moment_leaves_every_call_with_one_result(moment: int) -> None:
    steps = [calls(call("lookup", "a", item="tea"), call("lookup", "b", item="oil"), text="So.")] * 3
    async with core_with(*steps, "Done.", "Fine.", "Fine.", "Fine.", "Fine.", tools=[lookup]) as core:
        async with core.session("s") as session:
            laws = ActivityLaws()
            turn = session.turn("Go.", sink=laws)
            result = asyncio.ensure_future(turn.result())
            for _ in range(moment * 3):
                await asyncio.sleep(0)
            turn.cancel()
            await result
            laws.check()
            assert is_resume_safe(session.read_view().messages)
