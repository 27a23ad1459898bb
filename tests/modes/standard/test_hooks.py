"""What plugins do to calls and at checkpoints in standard mode, inside a batch as well."""

from __future__ import annotations

import json
from typing import Any

import lash
from lash import TurnFinish, TurnOutcome
from lash.plugins import Directive, HistoryRewrite, PluginMessage, PluginSpec, StaticPluginFactory
from lash.runtime.sansio.messages import MessageSequence
from lash.testing.activities import check_activities
from lash.testing.scripted import reply
from tests.modes.standard.playing import call, calls, completed, core_with, results_of


@lash.tool
async def count(n: int) -> int:
    """Give a number back."""
    return n


def entry(n: Any) -> dict[str, Any]:
    return {"tool": "count", "parameters": {"n": n}}


def static(spec: PluginSpec) -> list[StaticPluginFactory]:
    return [StaticPluginFactory("house", spec)]


def code_of(event: Any) -> str:
    assert event.output.type == "failure"
    return event.output.failure.code


async def test_arguments_that_a_hook_replaces_are_checked_after_it() -> None:
    def replace(one: Any) -> Any:
        return Directive.ReplaceToolArgs({"n": {1: 10, 2: "two"}[one.args["n"]]}) if one.args["n"] in (1, 2) else None

    made = calls(*(call("count", f"c{n}", n=n) for n in (1, 2, 3)))
    async with core_with(made, "Done.", tools=[count], plugins=static(PluginSpec(before_tool=[replace]))) as core:
        async with core.session("s") as session:
            output = await session.run("Go.")
            first, second, third = results_of(session)
    assert (first[1], third[1]) == ("10", "3")
    assert second[2]
    assert "expected integer" in second[1]
    events = {one.call_id: one for one in completed(output)}
    assert code_of(events["c2"]) == "invalid_tool_args"
    assert events["c1"].args == {"n": 10}


async def test_a_hook_that_raises_fails_its_own_call_only_also_inside_a_batch() -> None:
    def refuse(one: Any) -> None:
        if one.args["n"] == 2:
            raise RuntimeError("not two")

    made = calls(call("batch", "b", tool_calls=[entry(1), entry(2)]), call("count", "c", n=3), call("count", "d", n=2))
    async with core_with(made, "Done.", tools=[count], plugins=static(PluginSpec(before_tool=[refuse]))) as core:
        async with core.session("s") as session:
            output = await session.run("Go.")
            check_activities(output.activities)
            (_, batched, _), (_, third, _), (_, fourth, failed) = results_of(session)
    assert output.assistant_message() == "Done."
    assert [one["success"] for one in json.loads(batched)["results"]] == [True, False]
    assert (third, failed) == ("3", True)
    assert "not two" in fourth
    events = {one.call_id: one for one in completed(output)}
    assert code_of(events["b:1"]) == code_of(events["d"]) == "before_tool_call_failed"


async def test_hooks_see_the_calls_of_a_batch_and_not_the_batch() -> None:
    seen: list[tuple[str, Any]] = []

    def note(one: Any) -> None:
        seen.append((one.tool, dict(one.args)))

    made = calls(call("batch", tool_calls=[entry(1), entry(2)]))
    async with core_with(made, "Done.", tools=[count], plugins=static(PluginSpec(before_tool=[note]))) as core:
        async with core.session("s") as session:
            await session.turn("Go.")
    assert seen == [("count", {"n": 1}), ("count", {"n": 2})]


async def test_a_tool_in_a_batch_can_end_the_turn() -> None:
    @lash.tool
    async def finish(n: int) -> lash.ToolResult:
        """End the turn."""
        return lash.ToolResult.finish({"n": n})

    inner = [entry(1), {"tool": "finish", "parameters": {"n": 7}}, entry(3)]
    made = calls(call("batch", "b", tool_calls=inner), call("count", "c", n=4))
    async with core_with(made, tools=[count, finish]) as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        assert output.result.outcome == TurnOutcome.Finished(TurnFinish.ToolValue("finish", {"n": 7}))
        assert [number for number, _, _ in results_of(session)] == ["b", "c"]
        assert [one["success"] for one in json.loads(results_of(session)[0][1])["results"]] == [True] * 3


async def test_what_a_plugin_says_before_the_end_gets_another_reply_and_the_first_is_in_the_history_once() -> None:
    said: list[str] = []

    def more(checkpoint: Any) -> Any:
        said.append(checkpoint.kind)
        if said.count("before_completion") == 1 and checkpoint.kind == "before_completion":
            return Directive.EnqueueMessages((PluginMessage("user", "Check it again."),))
        return None

    made = calls(call("count", n=1), text="I count.")
    plugins = static(PluginSpec(checkpoint=[more]))
    async with core_with(made, "One.", "One indeed.", tools=[count], plugins=plugins) as core:
        async with core.session("s") as session:
            output = await session.run("Go.")
            check_activities(output.activities)
            spoken = [(m.role, m.text()) for m in session.read_view().messages]
    assert output.assistant_message() == "One indeed."
    assert said == ["after_work", "before_completion", "before_completion"]
    assert spoken == [
        ("user", "Go."),
        ("assistant", "I count."),
        ("user", ""),
        ("assistant", "One."),
        ("user", "Check it again."),
        ("assistant", "One indeed."),
    ]


async def test_a_conversation_that_is_too_long_is_shortened_once_and_the_model_is_asked_again() -> None:
    def shorten(trigger: str, messages: MessageSequence) -> HistoryRewrite:
        return HistoryRewrite(tuple(messages)[-3:], trigger)

    full = reply("", terminal_reason="context_overflow")
    steps = ["Hello.", calls(call("count", n=1)), full, "One.", full, full]
    plugins = static(PluginSpec(rewrite={1: shorten}))
    async with core_with(*steps, tools=[count], plugins=plugins) as core, core.session("s") as session:
        await session.turn("Hi.")
        assert (await session.turn("Count.")).assistant_message() == "One."
        assert [m.role for m in session.read_view().messages] == ["user", "assistant", "user", "assistant"]
        assert [number for number, _, _ in results_of(session)] == ["a"]
        result = await session.turn("And now?")
        assert isinstance(result.outcome, TurnOutcome.Stopped)
        assert isinstance(result.outcome.stop, lash.TurnStop.ProviderError)
        assert result.outcome.stop.code == "context_overflow"
