"""What is given to plugins, and what the runtime does for tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lash
from lash import TurnError, TurnEvent
from lash.plugins import (
    MissingPluginTurnInput,
)
from lash.runtime.sansio.llm import Block, LlmMessage, LlmRequest
from lash.runtime.sansio.usage import TokenUsage
from lash.testing.scripted import ScriptedProvider, reply
from lash.tools import Availability, ToolContext
from tests.facade.plugins import Place, core_of, journal, prompt_of
from tests.facade.support import GIF, block, core_with, said, stored


async def test_a_bound_plugin_has_its_configuration_and_each_turn_its_input() -> None:
    model = ScriptedProvider([block("submit (call where {})?")])
    async with core_of(model) as core, core.session("s", bindings=[Place.bind("map")]) as session:
        with pytest.raises(MissingPluginTurnInput, match="place"):
            session.turn("Go.")
        result = await session.turn("Go.", plugin_inputs=[Place.input({"x": 3})])
        assert result.submitted_value() == {"x": 3}
        assert said(session) == ["Go.", "map 3"]
    async with core_with() as core, core.session("s") as session:
        with pytest.raises(TurnError, match="has not bound"):
            session.turn("Go.", plugin_inputs=[Place.input({"x": 3})])


async def test_an_input_that_a_journal_cannot_hold_is_refused(tmp_path: Path) -> None:
    async with core_with(block("submit 1"), effect_host=journal(tmp_path), **stored(tmp_path)) as core:
        async with core.session("s", bindings=[Place.bind("map")]) as session:
            with pytest.raises(lash.EffectError) as refused:
                await session.turn("Go.", plugin_inputs=[Place.input({"x": object()})])  # type: ignore[dict-item]
            assert refused.value.code == "durable_effect_live_plugin_input"
            assert (await session.turn("Go.", plugin_inputs=[Place.input({"x": 1})])).submitted_value() == 1


async def test_a_tool_may_change_how_far_tools_are_offered_from_the_next_step_on_and_for_good(tmp_path: Path) -> None:
    @lash.tool
    async def learn(ctx: ToolContext) -> None:
        """Learn something."""
        ctx.set_tools_availability(["secret"], "showcased")

    @lash.tool(availability=Availability.OFF)
    async def secret() -> int:
        """What is to be learnt."""
        return 7

    model = ScriptedProvider([block("call learn {}\nprint 1"), block("submit (call secret {})?")])
    async with core_of(model, tools=[learn, secret], **stored(tmp_path)) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() == 7
    assert "call secret" not in prompt_of(model, 0)
    assert "call secret" in prompt_of(model, 1)
    again = ScriptedProvider([block("submit (call secret {})?")])
    async with core_of(again, tools=[learn, secret], **stored(tmp_path)) as core, core.session("s") as session:
        assert (await session.turn("Again.")).submitted_value() == 7


async def test_a_tool_asks_the_model_looks_into_sessions_and_keeps_images() -> None:

    @lash.tool
    async def look(ctx: ToolContext) -> list[Any]:
        """Look around."""
        request = LlmRequest("m", (LlmMessage("user", (Block.Text("Quick?"),)),))
        answer: Any = await ctx.direct_completion(request, "aside")
        own, other = await ctx.session_snapshot(), await ctx.snapshot_session("other")
        image = await ctx.put_attachment(GIF, label="dot")
        return [answer.full_text, ctx.session_model(), own.messages[-1].text(), other.messages[-1].text(), image]

    model = ScriptedProvider(
        [
            block("submit 1"),
            block("xs = (call look {})?\nsubmit slice(xs, 0, 4)"),
            reply("Yes.", usage=TokenUsage(5, 2)),
        ]
    )
    async with core_of(model, tools=[look]) as core:
        async with core.session("other") as other:
            await other.turn("Earlier.")
        async with core.session("s") as session:
            output = await session.run("Now.")
            assert output.result.submitted_value() == ["Yes.", "m", "Now.", "Earlier."]
            (entry,) = output.result.children_usage
            assert (entry.source, entry.usage) == ("aside", TokenUsage(5, 2))
            assert (await session.usage_report()).by_source["aside"].total_tokens == 7
            assert [a.event for a in output.activities if isinstance(a.event, TurnEvent.ChildUsage)]
