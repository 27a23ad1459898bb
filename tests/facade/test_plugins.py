"""Plugins in sessions, from the outside: tools, prompt, hooks, events, their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import PluginStack, PromptContribution, TurnEvent, TurnOutcome
from lash.plugins import (
    AfterToolContext,
    Directive,
    HistoryRewrite,
    HookedCall,
    PluginMessage,
    PluginSpec,
    PreparedHistory,
    RuntimeEvent,
    SessionConfigChanged,
    SessionRestored,
    StaticPluginFactory,
    SurfaceContribution,
    TurnCommitted,
    TurnHookContext,
    TurnPersisted,
)
from lash.runtime.sansio.llm import LlmRequest
from lash.runtime.sansio.messages import Message, MessageSequence, Part, PluginOrigin
from lash.runtime.sansio.tools import ToolOutput
from lash.runtime.turn.settings import SessionPolicy
from lash.testing.scripted import AnyStep, ScriptedProvider, reply
from lash.tools import Availability, ToolResult
from tests.facade.plugins import Counter, Made, asked, core_of, nothing, prompt_of, static
from tests.facade.support import block, core_with, said, stored


async def test_a_plugin_brings_a_tool_a_part_of_the_prompt_and_a_hook_and_keeps_its_state(tmp_path: Path) -> None:
    factory = Made(Counter)
    model = ScriptedProvider([block("x = (call count {})?\nprint x"), block("submit (call count {})?")])
    async with core_of(model, plugins=[factory], **stored(tmp_path)) as core, core.session("one") as session:
        assert (await session.turn("Count.")).submitted_value() == 2
    assert "counted: 0" in prompt_of(model, 0)
    assert "call count" in prompt_of(model, 0)
    assert "counted: 1" in prompt_of(model, 1)
    assert [plugin.seen for plugin in factory.built if isinstance(plugin, Counter)] == [["count", "count"]]
    again = ScriptedProvider([block("submit (call count {})?")])
    async with core_of(again, plugins=[Made(Counter)], **stored(tmp_path)) as core, core.session("one") as session:
        assert (await session.turn("Again.")).submitted_value() == 3
    assert "counted: 2" in prompt_of(again)


async def test_what_a_lost_turn_did_to_a_plugin_is_lost_with_it() -> None:
    class Broken(BaseException):
        pass

    def breaks(request: object) -> str:
        raise Broken

    steps = [block("x = (call count {})?\nprint x"), breaks, block("submit (call count {})?")]
    async with core_with(*steps, plugins=[Made(Counter)]) as core, core.session("one") as session:
        with pytest.raises(Broken):
            await session.turn("Count.")
        assert (await session.turn("Count.")).submitted_value() == 1


async def test_a_fork_has_the_plugins_as_they_were_then() -> None:
    steps = [block("submit (call count {})?")] * 3
    async with core_with(*steps, plugins=[Made(Counter)]) as core, core.session("one") as session:
        await session.turn("Count.")
        await session.turn("Count.")
        async with session.fork(turn=1) as twin:
            assert (await twin.turn("Count.")).submitted_value() == 2


async def test_plugins_take_part_in_their_order() -> None:
    order: list[str] = []

    def noting(plugin_id: str) -> StaticPluginFactory:
        spec = PluginSpec(
            prompt=[lambda ctx: [PromptContribution.guidance("Say", plugin_id)]],
            before_turn=[lambda turn: order.append(f"before {plugin_id}")],
            before_tool=[lambda call: Directive.ReplaceToolArgs({"text": f"{call.args['text']}{plugin_id}"})],
            checkpoint=[lambda at: order.append(f"{at.kind} {plugin_id}")],
            after_turn=[lambda turn: order.append(f"after {plugin_id}")],
        )
        return StaticPluginFactory(plugin_id, spec)

    @lash.tool
    async def echo(text: str) -> str:
        """Say it again."""
        return text

    model = ScriptedProvider([block('x = (call echo { text: "-" })?\nprint x'), block("submit x")])
    async with core_of(model, tools=[echo], plugins=[noting("b"), noting("a")]) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() == "-ba"
    assert order == [
        *("before b", "before a", "after_work b", "after_work a"),
        *("before_completion b", "before_completion a", "after b", "after a"),
    ]


async def test_a_plugin_may_change_what_a_result_is_and_end_the_call_before_the_tool() -> None:
    @lash.tool
    async def price(item: str) -> int:
        """A price."""
        return 12

    def before(call: HookedCall) -> Any:
        return Directive.ShortCircuitTool(ToolResult.success(0)) if call.args["item"] == "air" else None

    def after(context: AfterToolContext) -> Directive.ShortCircuitTool:
        assert isinstance(context.output, ToolOutput.Success)
        return Directive.ShortCircuitTool(ToolResult.success([context.output.value]))

    plugin = static("prices", before_tool=[before], after_tool=[after])
    code = 'submit [(call price { item: "tea" })?, (call price { item: "air" })?]'
    async with core_with(block(code), tools=[price], plugins=[plugin]) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() == [[12], [0]]


async def test_a_plugin_speaks_at_a_checkpoint_and_the_turn_goes_on() -> None:
    spoken: list[str] = []

    def speak(at: Any) -> Any:
        if at.kind == "before_completion" and not spoken:
            spoken.append(at.turn.turn_id)
            words = (PluginMessage("user", "Check it again."), PluginMessage("system", "Once only.", transient=True))
            return Directive.EnqueueMessages(words)
        return None

    model = ScriptedProvider([block("submit 1"), block("submit 2")])
    async with core_of(model, plugins=[static("checker", checkpoint=[speak])]) as core, core.session("s") as session:
        output = await session.run("Go.", turn_id="t")
        assert output.result.submitted_value() == 2
        assert said(session) == ["Go.", "Check it again."]
    assert "Check it again." in asked(model, 1)
    assert "Once only." in asked(model, 1)
    (event,) = [a.event for a in output.activities if isinstance(a.event, TurnEvent.QueuedMessagesCommitted)]
    assert ([m.text() for m in event.messages], event.checkpoint) == (["Check it again."], "before_completion")


async def test_a_plugin_speaks_before_and_after_a_turn_and_round_a_tool() -> None:
    def words(text: str) -> Callable[[object], Directive.EnqueueMessages]:
        return lambda context: Directive.EnqueueMessages((PluginMessage("system", text),))

    plugin = static(
        "talker",
        before_turn=[words("before")],
        after_tool=[words("tool")],
        after_turn=[words("after")],
        tools=[nothing],
    )
    model = ScriptedProvider([block("call nothing {}\nprint 1"), block("submit 1")])
    async with core_of(model, plugins=[plugin]) as core, core.session("s") as session:
        output = await session.run("Go.")
        assert said(session) == ["Go.", "before", "tool", "after"]
    assert "before" in asked(model, 0)
    committed = [
        a.event.checkpoint for a in output.activities if isinstance(a.event, TurnEvent.QueuedMessagesCommitted)
    ]
    assert committed[0] == "prepare_turn"


@pytest.mark.parametrize(
    "directive",
    [Directive.HandoffSession("next"), Directive.ShortCircuitTool(ToolResult.handoff("next", None))],
    ids=["handoff_session", "control"],
)
async def test_after_a_tool_a_plugin_may_hand_the_turn_to_another_session(directive: object) -> None:
    def route(context: AfterToolContext) -> object:
        return directive

    plugin = static("router", after_tool=[route], tools=[nothing])
    steps = [block("submit 0"), block("call nothing {}\nprint 1"), block("submit 2")]
    async with core_with(*steps, plugins=[plugin]) as core:
        async with core.session("next") as following:
            await following.turn("Begin.")
            await following.queue("Go on.", next_turn=True)
        async with core.session("first") as session:
            result = await session.turn("Go.")
            assert (result.submitted_value(), result.session_id, result.handoff_count()) == (2, "next", 1)
            assert result.turns[0].outcome == TurnOutcome.Handoff("next")


async def test_a_turn_that_is_handed_on_takes_the_state_of_its_plugins_along() -> None:
    steps = [block('x = (call count {})?\ncall continue_as { task: "Count on." }'), block("submit (call count {})?")]
    async with core_with(*steps, plugins=[Made(Counter)]) as core, core.session("first") as session:
        result = await session.turn("Count.")
        assert (result.submitted_value(), result.handoff_count()) == (2, 1)


async def test_a_plugin_decides_how_far_tools_are_offered_and_adds_notes() -> None:
    def hide(context: Any) -> SurfaceContribution:
        levels = {manifest.name: Availability.OFF for manifest in context.manifests if manifest.name == "nothing"}
        return SurfaceContribution(levels, ["There is less than you think."])

    model = ScriptedProvider([block("submit 1")])
    async with core_of(model, tools=[nothing], plugins=[static("hider", surface=[hide])]) as core:
        async with core.session("s") as session:
            await session.turn("Go.")
    assert "call nothing" not in prompt_of(model)
    assert "There is less than you think." in prompt_of(model)


async def test_a_plugin_sees_and_changes_what_the_model_writes() -> None:
    shown: list[str] = []

    def hide(chunk: Any) -> str | None:
        return None if not hasattr(chunk, "text") else chunk.text.replace("seven", "*****")

    def change(response: Any) -> Any:
        shown.append(response.full_text)
        return None

    plugin = static("censor", stream=[hide], response=[change])
    async with core_with(reply("It is seven.", chunk=20), plugins=[plugin]) as core, core.session("s") as session:
        output = await session.run("How many?", allow_prose_or_submit=True)
    prose = "".join(a.event.text for a in output.activities if isinstance(a.event, TurnEvent.AssistantProseDelta))
    assert prose == "It is *****."
    assert shown == ["It is seven."]


async def test_a_plugin_changes_what_the_model_sees_and_the_history_stays() -> None:
    aside = Message("m:aside", "user", (Part("m:aside.p0", "text", "It is raining."),), PluginOrigin("weather", True))

    def add(turn: TurnHookContext, messages: MessageSequence) -> MessageSequence:
        return messages.extended([aside])

    model = ScriptedProvider([block("submit 1")])
    async with core_of(model, plugins=[static("weather", prepare_turn={1: add})]) as core:
        async with core.session("s") as session:
            await session.turn("One.")
            assert said(session) == ["One."]
    assert "It is raining." in asked(model, 0)


async def test_a_rewritten_history_is_committed_as_a_branch(tmp_path: Path) -> None:
    summary = Message("m:summary", "assistant", (Part("m:summary.p0", "prose", "Before: one."),))

    def rewrite(turn: Any, messages: MessageSequence) -> PreparedHistory | None:
        if turn.turn_index < 2:
            return None
        kept = MessageSequence([summary, *messages[-1:]])
        return PreparedHistory(kept, HistoryRewrite(tuple(kept), "too long"))

    plugins = [static("rewriter", prepare_turn={1: rewrite})]
    async with core_with(block("submit 1"), block("submit 2"), plugins=plugins, **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.turn("One.", turn_id="first")
            await session.turn("Two.")
            assert said(session) == ["Before: one.", "Two."]
    async with core_with(**stored(tmp_path)) as core, core.session("s") as session:
        assert said(session) == ["Before: one.", "Two."]
        async with session.fork(turn="first") as before:
            assert said(before) == ["One."]


async def test_where_the_history_is_too_long_a_plugin_shortens_it_and_the_call_is_repeated() -> None:
    triggers: list[str] = []

    def shorten(trigger: str, messages: MessageSequence) -> HistoryRewrite:
        triggers.append(trigger)
        return HistoryRewrite((messages[-1],), "overflow")

    plugin = static("shortener", rewrite={1: shorten})
    steps = [block("submit 1"), overflowing, block("submit 2")]
    async with core_with(*steps, plugins=[plugin]) as core, core.session("s") as session:
        await session.turn("One.")
        assert (await session.turn("Two.")).submitted_value() == 2
        assert said(session) == ["Two."]
    assert triggers == ["overflow"]


def overflowing(request: LlmRequest) -> AnyStep:
    """The provider refuses a prompt as too long."""
    return reply("", terminal_reason="context_overflow")


async def test_a_plugin_shows_events_and_writes_into_the_trace(tmp_path: Path) -> None:
    def show(turn: Any) -> Any:
        return [
            Directive.EmitRuntimeEvents((RuntimeEvent("phase", {"label": "thinking"}, "status"),)),
            Directive.EmitTrace("decided", {"why": "because"}),
        ]

    trace = tmp_path / "trace.jsonl"
    plugin = static("shower", before_turn=[show])
    async with core_with(block("submit 1"), plugins=[plugin], trace_jsonl_path=trace) as core:
        async with core.session("s") as session:
            output = await session.run("Go.")
    (event,) = [a for a in output.activities if a.correlation_id.startswith("plugin:")]
    assert event.correlation_id == "plugin:shower:phase"
    assert isinstance(event.event, TurnEvent.PluginRuntime)
    assert (event.event.plugin_id, event.event.payload) == ("shower", {"label": "thinking"})
    assert "plugin.shower.decided" in trace.read_text()


async def test_a_plugin_is_told_of_the_life_of_its_session(tmp_path: Path) -> None:
    told: list[object] = []
    plugin = static("listener", on_event=[told.append])
    async with core_with(block("submit 1"), plugins=[plugin], **stored(tmp_path)) as core, core.session("s") as session:
        await session.turn("Go.", turn_id="t")
        await session.configure(lash.SessionSpec.new(max_turns=3))
    committed, persisted, changed = told
    assert isinstance(committed, TurnCommitted)
    assert (committed.turn_id, committed.turn_index) == ("t", 1)
    assert isinstance(persisted, TurnPersisted)
    assert persisted.view.revision == 1
    assert isinstance(changed, SessionConfigChanged)
    assert (changed.previous.max_turns, changed.current.max_turns) == (None, 3)
    told.clear()
    async with core_with(plugins=[plugin], **stored(tmp_path)) as core, core.session("s"):
        (restored,) = told
        assert isinstance(restored, SessionRestored)
        assert restored.view.turn_index == 1


async def test_a_plugin_may_change_a_turns_configuration() -> None:

    def once(policy: SessionPolicy) -> SessionPolicy:
        return replace(policy, max_turns=1, max_turns_set=True)

    plugin = static("frugal", config_mutators=[once])
    async with core_with(block("print 1"), plugins=[plugin]) as core, core.session("s") as session:
        result = await session.turn("Go.")
        assert isinstance(result.outcome, TurnOutcome.Stopped)


async def test_a_core_has_the_runtime_stack_unless_it_is_given_another() -> None:
    @lash.tool
    async def long() -> str:
        """A long text."""
        return "x" * 50_000

    async def told(**knobs: Any) -> int:
        async with core_with(block("submit len((call long {})?)"), tools=[long], **knobs) as core:
            async with core.session("s") as session:
                result = await session.turn("Go.")
                assert result.submitted_value() == 50_000
                return len(result.tool_calls[0].model_return)

    assert await told() < 17_000
    assert await told(plugins=PluginStack()) == 50_000
    assert await told(plugins=[]) == 50_000


async def test_a_stack_is_changed_in_place_or_as_a_copy() -> None:
    stack = PluginStack.runtime() + PluginStack([static("b")])
    other = stack.configure(lambda changed: changed.replace(static("tool_output_budget")))
    assert [one.id for one in other] == ["tool_output_budget", "b"]
    assert next(iter(other)) is not next(iter(stack))
    stack.remove("tool_output_budget")
    stack.push(static("c"))
    assert [one.id for one in stack] == ["b", "c"]
    assert isinstance(other, PluginStack)
    with pytest.raises(lash.ConfigError):
        stack.extend([static("d"), static("b")])
    assert [one.id for one in stack] == ["b", "c"]
