"""The reference server of the protocol, from npm: its tools in whole turns of both modes, and over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import Any

import lash
from lash.plugins import McpPluginFactory, McpServerConfig, PluginStack
from lash.runtime.sansio.llm import Block, LlmRequest
from lash.runtime.sansio.tools import ToolOutput
from lash.testing.scripted import ScriptedProvider, reply
from tests.facade.support import block
from tests.host.plugins.mcp.everything import config, everything
from tests.host.plugins.mcp.support import Hurried, connected, failure, is_gone, names, until, value

MODES = [lash.ModePreset.rlm(), lash.ModePreset.standard()]


def core(factory: McpPluginFactory, *steps: Any, **knobs: Any) -> lash.LashCore:
    provider = ScriptedProvider(list(steps))
    given: dict[str, Any] = {"model": "m", "max_context_tokens": 100_000, "modes": MODES} | knobs
    return lash.LashCore(provider=provider, plugins=PluginStack([factory]), **given)


def asks(tool: str, **args: Any) -> Any:
    return reply(tool_calls=[Block.ToolCall("1", tool, json.dumps(args))])


async def test_an_rlm_program_calls_its_tools() -> None:
    factory = await McpPluginFactory.connect({"everything": config()})
    program = block(
        'a = (call mcp__everything__echo { message: "hello" })?\n'
        "b = (call mcp__everything__get_sum { a: 2, b: 40 })?\n"
        'c = (call mcp__everything__get_structured_content { location: "New York" })?\n'
        "submit [a, b, c.temperature]"
    )
    async with core(factory, program) as running, running.session("a", mode="rlm") as session:
        result = await session.turn("Go.")
    assert result.submitted_value() == ["Echo: hello", "The sum of 2 and 40 is 42.", 33]
    assert factory.status() == {}


async def test_standard_mode_calls_its_tools_natively() -> None:
    factory = await McpPluginFactory.connect({"everything": config()})
    steps = [asks("mcp__everything__echo", message="hello"), asks("mcp__everything__get_tiny_image"), "Seen."]
    async with core(factory, *steps) as running, running.session("a", mode="standard") as session:
        result = await session.turn("Go.")
    echo, image = result.tool_calls
    assert (echo.model_return, result.assistant_message()) == ("Echo: hello", "Seen.")
    assert isinstance(image.output, ToolOutput.Success)
    assert len(image.model_attachments) == 1


async def test_its_schemas_are_those_that_it_sends() -> None:
    command, *args = everything("stdio")
    process = await asyncio.create_subprocess_exec(
        command, *args, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    for message in (
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
    ):
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    listed: dict[str, Any] = {}
    while listed.get("id") != 2:
        listed = json.loads(await process.stdout.readline())
    process.stdin.close()
    process.terminate()
    await process.wait()
    sent = {tool["name"]: tool for tool in listed["result"]["tools"]}
    seen: list[LlmRequest] = []

    def look(request: LlmRequest) -> str:
        seen.append(request)
        return "Fine."

    factory = await McpPluginFactory.connect({"everything": config()})
    async with core(factory, look) as running, running.session("a", mode="standard") as session:
        await session.turn("Go.")
    shown = {spec.name: spec for spec in seen[0].tools}
    assert json.dumps(shown["mcp__everything__get_sum"].input_schema) == json.dumps(sent["get-sum"]["inputSchema"])
    for name, tool in sent.items():
        spec = shown.get(f"mcp__everything__{name.replace('-', '_')}")
        if spec is not None:
            assert json.dumps(spec.input_schema) == json.dumps(tool["inputSchema"])


async def test_its_errors_and_long_runs_are_those_of_tools() -> None:
    async with connected(config(call_timeout_ms=10_000), clock=Hurried()) as factory:
        assert (await failure(factory, "mcp__x__get_sum", {"a": "no number"})).code in (
            "mcp_tool_error",
            "mcp_invalid_params",
        )
        slow = failure(factory, "mcp__x__trigger_long_running_operation", {"duration": 30, "steps": 5})
        late, echo = await asyncio.gather(slow, value(factory, "mcp__x__echo", {"message": "a"}))
        assert (late.code, echo) == ("mcp_call_timeout", "Echo: a")


async def test_it_answers_over_streamable_http() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command, *args = everything("streamableHttp")
    process = await asyncio.create_subprocess_exec(
        command, *args, env={"PORT": str(port)}, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        while not re.search(rb"listening|running|port", await process.stderr.readline(), re.IGNORECASE):
            pass
        async with connected(McpServerConfig.streamable_http(f"http://127.0.0.1:{port}/mcp")) as factory:
            assert "mcp__x__echo" in names(factory)
            assert await value(factory, "mcp__x__echo", {"message": "over HTTP"}) == "Echo: over HTTP"
    finally:
        process.kill()
        await process.communicate()
    await until(lambda: is_gone(process.pid))
