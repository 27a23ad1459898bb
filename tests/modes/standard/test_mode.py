"""Standard mode beside RLM mode in one core: who has which session, and how one tool is shown in each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import LashCore, ModeId, ModePreset, PluginStack, StandardConfig
from lash.modes.standard.prompt import tool_doc
from lash.runtime.sansio.llm import Block
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.definition import ToolContract, ToolManifest
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.runtime.tools.result import ToolResult
from lash.testing.activities import check_activities
from lash.testing.scripted import ScriptedProvider
from lash.tracing import TraceLevel
from tests.modes.standard.playing import call, calls, completed, core_with, lookup, results_of

BOTH = [ModePreset.standard(), ModePreset.rlm()]


async def test_a_core_opens_sessions_in_both_modes_and_each_keeps_its_own(tmp_path: Path) -> None:
    program = '```lashlang\nsubmit (call lookup { item: "oil" })?.price\n```'
    model = ScriptedProvider([calls(call("lookup", item="tea")), "Twelve.", program])
    async with core_with(provider=model, modes=BOTH, tools=[lookup], folder=tmp_path) as core:
        assert core.installed_modes == ("standard", "rlm")
        async with core.session("one") as one, core.session("two", mode=ModeId.rlm()) as two:
            assert (one.mode, two.mode) == ("standard", "rlm")
            assert (await one.turn("Tea?")).assistant_message() == "Twelve."
            assert (await two.turn("Oil?")).submitted_value() == 30
        for session_id, other in (("one", ModeId.rlm()), ("two", ModeId.standard())):
            with pytest.raises(lash.SessionError) as refused:
                await core.session(session_id, mode=other)
            assert refused.value.code == "session_mode_mismatch"
        async with core.session("two") as two:
            assert two.mode == "rlm"
    native, written = model.requests[0], model.requests[2]
    shown = next(tool for tool in native.tools if tool.name == "lookup")
    assert shown.input_schema["properties"] == {"item": {"type": "string", "description": "what is asked for"}}
    assert "### lookup(item: str) -> dict" in str(native.messages[0].blocks)
    assert written.tools == ()
    assert "### call lookup { item: str } -> dict" in str(written.messages[0].blocks)


async def test_a_core_of_standard_mode_alone_has_the_usual_plugins() -> None:
    async with LashCore.standard(provider=ScriptedProvider(["Hello."]), model="m", max_context_tokens=1000) as core:
        assert core.installed_modes == ("standard",)
        async with core.session("s") as session:
            assert (await session.run("Hi.")).assistant_message() == "Hello."
    async with LashCore.standard(plugins=PluginStack()) as core:
        with pytest.raises(lash.ConfigError, match="not installed"):
            await core.session("s", mode="rlm", provider=ScriptedProvider([]), model="m", max_context_tokens=1)


@pytest.mark.parametrize("knobs", [{"projected": {"x": 1}}, {"globals": {"x": 1}}, {"require_submit": True}])
async def test_options_of_the_other_mode_are_refused_when_a_session_is_opened(knobs: dict[str, Any]) -> None:
    async with core_with() as core:
        with pytest.raises(lash.ConfigError, match="standard mode has no option"):
            await core.session("s", **knobs)


@pytest.mark.parametrize("knobs", [{"projected": {"x": 1}}, {"require_submit": True}, {"allow_prose_or_submit": True}])
async def test_options_of_the_other_mode_are_refused_for_a_turn(knobs: dict[str, Any]) -> None:
    async with core_with("Fine.") as core, core.session("s") as session:
        with pytest.raises(lash.TurnError) as refused:
            await session.turn("Go.", **knobs)
        assert refused.value.code == "mode_option"
        assert (await session.turn("Go.")).assistant_message() == "Fine."


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="default_max_turns"):
        StandardConfig(default_max_turns=0)


class Changing(ListedTools):
    """Tools of which one goes away when the other is called."""

    def __init__(self) -> None:
        self.names = ["first", "second"]

    def tool_manifests(self) -> list[ToolManifest]:
        return [ToolManifest(name) for name in self.names]

    def resolve_contract(self, name: str) -> ToolContract | None:
        return ToolContract()

    async def execute(self, call: ToolCall) -> ToolResult:
        call.context.set_tools_availability(["second"], "off")
        return ToolResult.success("gone")


async def test_a_tool_that_goes_is_missing_from_the_next_request_and_calls_of_it_fail() -> None:
    model = ScriptedProvider(
        [calls(call("second")), calls(call("second", "b")), "Well.", calls(call("second", "c")), "Well."]
    )
    async with core_with(provider=model, tools=[Changing()]) as core, core.session("s") as session:
        output = await session.run("Go.")
        later = await session.run("Again.")
    offered = [{tool.name for tool in request.tools} for request in model.requests]
    assert offered[0] == {"first", "second", "batch"}
    assert offered[1:] == [{"first", "batch"}] * 4
    assert [one.output.type for one in (*completed(output), *completed(later))] == ["success", "failure", "failure"]
    kinds = [one.tool_name for m in model.requests[4].messages for one in m.blocks if isinstance(one, Block.ToolCall)]
    assert kinds == ["second"] * 3


def test_only_two_examples_of_a_tool_are_shown_and_long_ones_are_cut() -> None:
    spec = ToolSpec("my-tool", "Does it.", {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}})
    doc = tool_doc(
        ToolSpec(
            spec.name,
            spec.description,
            spec.input_schema,
            examples=("a" * 300, "second", "third"),
            output_schema={"type": "object", "properties": {"x": {"type": "string", "description": "what"}}},
        )
    )
    assert doc.splitlines() == [
        "### my-tool(n?: int = 3) -> { x?: str }",
        "Does it.",
        "Parameters:",
        "- `n?: int`",
        "Return fields:",
        "- `x?: str` — what",
        f"Examples: {'a' * 239}…; second",
    ]


async def test_tools_that_are_callable_but_not_showcased_are_in_the_request_and_not_in_the_prompt() -> None:
    @lash.tool(availability="callable")
    async def plain() -> str:
        """Nothing special."""
        return ""

    model = ScriptedProvider(["Hello."])
    async with core_with(provider=model, tools=[plain, lookup]) as core, core.session("s") as session:
        await session.turn("Hi.")
    prompt = str(model.requests[0].messages[0])
    assert {tool.name for tool in model.requests[0].tools} == {"plain", "lookup", "batch"}
    assert "### lookup" in prompt
    assert "### plain" not in prompt
    assert "`batch`" in prompt


async def test_calls_that_need_approval_are_asked_for_one_by_one_also_inside_a_batch() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    @lash.tool(needs_approval=True)
    async def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    async def approve(question: lash.PendingApproval) -> lash.Approve | lash.Deny | lash.Edit:
        asked.append((question.call_id, dict(question.args)))
        return {1: lash.Approve(), 2: lash.Deny("too much"), 3: lash.Edit({"amount": 30})}[question.args["amount"]]  # type: ignore[index]  # pyright: ignore

    inner = [{"tool": "pay", "parameters": {"amount": amount}} for amount in (2, 3)]
    made = calls(call("pay", "a", amount=1), call("batch", "b", tool_calls=inner))
    async with core_with(made, "Done.", tools=[pay], approve=approve) as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        (_, first, _), (_, second, _) = results_of(session)
    assert asked == [("a", {"amount": 1}), ("b:0", {"amount": 2}), ("b:1", {"amount": 3})]
    assert first == "paid 1"
    told = json.loads(second)["results"]
    assert [one["success"] for one in told] == [False, True]
    assert "too much" in told[0]["error"]
    assert told[1]["result"].startswith("paid 30\n")


async def test_a_turn_is_traced_with_its_model_and_tool_calls(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    made = calls(call("lookup", "a", item="tea"), call("batch", "b", tool_calls=[]))
    async with core_with(made, "Done.", tools=[lookup], trace_jsonl_path=file, trace_level=TraceLevel.EXTENDED) as core:
        async with core.session("s") as session:
            await session.turn("Go.")
        assert core.trace_stats().failed == 0
    types = [json.loads(line)["type"] for line in file.read_text().splitlines()]
    assert types.count("tool_call_started") == types.count("tool_call_completed") == 2
    assert types.count("llm_call_completed") == 2
