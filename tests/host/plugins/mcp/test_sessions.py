"""Tools of servers in sessions of both modes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import lash
from lash.plugins import McpPluginFactory, McpServerConfig, PluginStack
from lash.runtime.sansio.llm import Block
from lash.runtime.sansio.tools import ToolOutput
from lash.runtime.seams.trace import TraceLevel
from lash.testing.scripted import ScriptedProvider, reply
from tests.facade.support import block, stored
from tests.host.plugins.mcp.support import Hurried, in_process, local, raw
from tests.host.plugins.mcp.test_life import Gate

MODES = [lash.ModePreset.rlm(), lash.ModePreset.standard()]
BOTH = pytest.mark.parametrize("mode", ["rlm", "standard"])


def core(factory: McpPluginFactory, *steps: Any, **knobs: Any) -> lash.LashCore:
    given: dict[str, Any] = {"model": "m", "max_context_tokens": 100_000, "modes": MODES}
    given |= {"provider": ScriptedProvider(list(steps)), "plugins": PluginStack([factory])} | knobs
    return lash.LashCore(**given)


def calls(mode: str, tool: str, **args: Any) -> Any:
    """What a model says in a mode to call a tool and look at what comes of it."""
    if mode == "standard":
        return reply(tool_calls=[Block.ToolCall(tool, tool, json.dumps(args))])
    return block(f"r = call {tool} {json.dumps(args)}\nprint r")


def ends(mode: str) -> str:
    """What a model says in a mode to end its turn."""
    return "Done." if mode == "standard" else block('submit "Done."')


def codes(result: lash.TurnResult[Any]) -> list[str]:
    """How the calls of a turn ended."""
    return [
        one.output.failure.code if isinstance(one.output, ToolOutput.Failure) else "ok" for one in result.tool_calls
    ]


@BOTH
async def test_a_hostile_server_spoils_neither_the_prompt_nor_other_tools(mode: str) -> None:
    @lash.tool
    async def own() -> str:
        return "mine"

    factory = await McpPluginFactory.connect({"x": raw("odd")})
    steps = [calls(mode, "mcp__x__good", text="a"), calls(mode, "own"), calls(mode, "mcp__x__deep", a=3), ends(mode)]
    async with core(factory, *steps, tools=[own]) as running, running.session("a", mode=mode) as session:
        result = await session.turn("Go.")
        assert codes(result) == ["ok", "ok", "invalid_tool_args"]
        assert isinstance(result.outcome, lash.TurnOutcome.Finished)


@BOTH
async def test_what_is_attached_in_a_turn_is_seen_by_the_next_one(mode: str) -> None:
    factory = McpPluginFactory.empty(transport=in_process(Gate().server))

    @lash.tool
    async def attach() -> None:
        await factory.attach_server("docs", local())

    @lash.tool
    async def detach() -> None:
        await factory.detach_server("docs")

    say = calls(mode, "mcp__docs__say", text="hello")
    steps = [calls(mode, "attach"), ends(mode), say, ends(mode), calls(mode, "detach"), say, ends(mode)]
    provider = ScriptedProvider(list(steps))
    async with core(factory, provider=provider, tools=[attach, detach]) as running:
        async with running.session("a", mode=mode) as session:
            results = [await session.turn("Go.") for _ in range(3)]
    assert [codes(result) for result in results] == [["ok"], ["ok"], ["ok", "tool_unavailable"]]
    shown = ["mcp__docs__say" in repr(request) for request in provider.requests]
    assert shown[:3] == [False, False, True]


@BOTH
async def test_a_tool_that_matches_a_pattern_asks_first(mode: str) -> None:
    asked: list[str] = []

    async def approve(pending: Any) -> Any:
        asked.append(pending.tool)
        return lash.Deny("not today")

    factory = await McpPluginFactory.connect({"x": raw(needs_approval=["e*"])})
    steps = [calls(mode, "mcp__x__echo", text="a"), calls(mode, "mcp__x__pid"), ends(mode)]
    async with core(factory, *steps, approve=approve) as running, running.session("a", mode=mode) as session:
        result = await session.turn("Go.")
    assert (asked, codes(result)) == (["mcp__x__echo"], ["approval_denied", "ok"])


@BOTH
async def test_a_server_that_dies_in_a_turn_costs_one_call_and_one_that_may_be_repeated_none(mode: str) -> None:
    factory = await McpPluginFactory.connect({"x": raw()}, clock=Hurried())
    steps = [calls(mode, "mcp__x__die"), calls(mode, "mcp__x__echo", text="a"), ends(mode)]
    async with core(factory, *steps) as running, running.session("a", mode=mode) as session:
        result = await session.turn("Go.")
    assert codes(result) == ["mcp_connection_lost", "ok"]


async def test_a_cancelled_turn_leaves_the_server_as_it_is() -> None:
    gate = Gate()
    factory = await McpPluginFactory.connect({"x": local()}, transport=in_process(gate.server))
    steps = [calls("standard", "mcp__x__wait"), calls("standard", "mcp__x__say", text="a"), ends("standard")]
    async with core(factory, *steps) as running, running.session("a", mode="standard") as session:
        turn = session.turn("Go.")
        ending = asyncio.ensure_future(turn.result())
        await gate.waiting.wait()
        turn.cancel()
        (stopped,) = (await ending).tool_calls
        assert isinstance(stopped.output, ToolOutput.Cancelled)
        assert codes(await session.turn("Again.")) == ["ok"]


async def test_secrets_of_a_server_are_in_no_trace_and_no_store(tmp_path: Path) -> None:
    factory = await McpPluginFactory.connect({"x": raw(env={"SERVER_TOKEN": "s3cr3t-value"})})
    steps = [calls("rlm", "mcp__x__secret"), calls("rlm", "mcp__x__env", text="SERVER_TOKEN"), ends("rlm")]
    trace = tmp_path / "trace.jsonl"
    async with core(
        factory, *steps, trace_jsonl_path=trace, trace_level=TraceLevel.EXTENDED, **stored(tmp_path)
    ) as running:
        async with running.session("a", mode="rlm") as session:
            result = await session.turn("Go.")
    assert codes(result) == ["mcp_protocol_error", "ok"]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert b"mcp__x__secret" in trace.read_bytes()
    assert not [data for data in files if b"s3cr3t" in data]
    assert "s3cr3t" not in repr(result)


def test_a_configuration_needs_no_running_loop() -> None:
    assert McpPluginFactory.empty().status() == {}
    assert McpServerConfig.stdio("x").transport == "stdio"
