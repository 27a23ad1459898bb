"""Hooks of plugins round tool calls."""

from __future__ import annotations

from typing import Any

import pytest

from lash.runtime.errors import PluginError
from lash.runtime.plugins.contract import AfterToolContext
from lash.runtime.plugins.directives import Directive, PluginMessage, RuntimeEvent
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.tools import ToolControl, ToolOutput
from lash.runtime.tools.hooks import HookedCall
from lash.runtime.tools.result import ToolResult
from tests.runtime.plugins.support import Ports, call, gives, opened, static


def append(letter: str) -> Any:
    """A hook that adds a letter to an argument."""

    def hook(one: HookedCall) -> Directive.ReplaceToolArgs:
        return Directive.ReplaceToolArgs({"text": f"{one.args['text']}{letter}"})

    return hook


async def test_each_hook_sees_the_arguments_that_the_last_one_made() -> None:
    session = await opened(static("a", before_tool=[append("1"), append("2")]), static("b", before_tool=[append("3")]))
    assert (await session.tools.before_tool(call(text="-"))).args == {"text": "-123"}


async def test_a_hook_that_settles_the_call_is_the_last_one_asked() -> None:
    settle = Directive.ShortCircuitTool(ToolResult.finish(5))
    asked: list[HookedCall] = []
    session = await opened(static("a", before_tool=[gives(settle)]), static("b", before_tool=[asked.append]))
    verdict = await session.tools.before_tool(call())
    assert verdict.output == ToolOutput.Success(5)
    assert verdict.control == ToolControl.Finish(5)
    assert asked == []


async def test_a_control_counts_only_with_a_success() -> None:
    failing = Directive.ShortCircuitTool(ToolResult.failure("execution", message="no"))
    session = await opened(static("a", before_tool=[gives(failing)]))
    verdict = await session.tools.before_tool(call())
    assert isinstance(verdict.output, ToolOutput.Failure)
    assert verdict.control is None


@pytest.mark.parametrize("point", ["before_tool", "after_tool"])
async def test_a_hook_that_wants_the_turn_stopped_fails_the_call(point: str) -> None:
    hooks: dict[str, Any] = {point: [gives(Directive.AbortTurn("closed", "No."))]}
    session = await opened(static("a", **hooks))
    if point == "before_tool":
        verdict = await session.tools.before_tool(call())
    else:
        verdict = await session.tools.after_tool(call(), ToolOutput.Success(1), ToolControl.Finish(1))
    assert isinstance(verdict.output, ToolOutput.Failure)
    failure = verdict.output.failure
    assert (failure.cls, failure.code, failure.message, failure.source) == (
        "permission_denied",
        "closed",
        "No.",
        "plugin",
    )
    assert verdict.control is None


async def test_each_hook_after_a_tool_sees_what_the_last_one_made_of_the_result() -> None:
    def more(context: AfterToolContext) -> Directive.ShortCircuitTool:
        assert isinstance(context.output, ToolOutput.Success)
        return Directive.ShortCircuitTool(ToolResult.success([context.output.value]))

    session = await opened(static("a", after_tool=[more]), static("b", after_tool=[more]))
    verdict = await session.tools.after_tool(call(), ToolOutput.Success(1), None)
    assert verdict.output == ToolOutput.Success([[1]])


async def test_a_handoff_after_a_tool_is_its_control_and_the_result_stays() -> None:
    session = await opened(static("a", after_tool=[gives(Directive.HandoffSession("other"))]))
    verdict = await session.tools.after_tool(call(), ToolOutput.Success(1), None)
    assert (verdict.output, verdict.control) == (ToolOutput.Success(1), ToolControl.Handoff("other"))


async def test_messages_have_ids_that_say_where_in_the_turn_they_were_written() -> None:
    words = Directive.EnqueueMessages((PluginMessage("user", "one"), PluginMessage("system", "two")))
    session = await opened(static("a", after_tool=[gives(words)]), static("b", after_tool=[gives(words)]))
    said = (await session.tools.after_tool(call(), ToolOutput.Success(1), None)).messages
    assert [one.id for one in said] == ["m:t:c1.after.a:0", "m:t:c1.after.a:1", "m:t:c1.after.b:2", "m:t:c1.after.b:3"]
    assert [(one.role, one.text()) for one in said[:2]] == [("user", "one"), ("system", "two")]


async def test_what_was_enqueued_is_heard_once_also_where_a_replayed_call_enqueues_it_again() -> None:
    words = Directive.EnqueueMessages((PluginMessage("user", "one"),))
    session = await opened(static("a", after_tool=[gives(words)]))
    said = (await session.tools.after_tool(call(), ToolOutput.Success(1), None)).messages
    session.tools.enqueue(said)
    assert session.tools.take_queued(()) == list(said)
    assert session.tools.take_queued(()) == []
    session.tools.enqueue(said)
    assert session.tools.take_queued({said[0].id}) == []


async def test_events_and_traces_carry_the_plugins_name() -> None:
    ports = Ports()
    shows = [Directive.EmitRuntimeEvents((RuntimeEvent("phase", 1),)), Directive.EmitTrace("seen", 2)]
    session = await opened(static("a", before_tool=[gives(shows)]), ports=ports)
    await session.tools.before_tool(call())
    assert ports.shown == [(TurnEvent.PluginRuntime("a", "custom", "phase", 1), "plugin:a:phase")]
    assert ports.traced == [("plugin.a.seen", 2)]


async def test_a_projector_that_gives_no_text_is_named() -> None:
    session = await opened(static("a", result_projector=gives("text")))
    with pytest.raises(PluginError, match=r"'a'.*gave str"):
        await session.tools.project_tool_result("tool", {}, ToolOutput.Success(1))


@pytest.mark.parametrize("result", [ToolResult.success(object()), "text"])
async def test_a_result_that_is_none_is_named(result: Any) -> None:
    session = await opened(static("a", before_tool=[gives(Directive.ShortCircuitTool(result))]))
    with pytest.raises(PluginError, match=r"'a'.*ShortCircuitTool.*before_tool"):
        await session.tools.before_tool(call())
