"""Servers that come and go, with the SDK's own server in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from mcp.client._memory import InMemoryTransport
from mcp.server import Server
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, ListToolsResult, Tool

from lash.plugins import McpConnectionError, McpPluginFactory, McpServerConfig
from lash.runtime.errors import ConfigError
from lash.testing.clock import FakeClock, settle
from tests.host.plugins.mcp.support import (
    call,
    connected,
    failure,
    in_process,
    local,
    names,
    provider,
    raw,
    until,
    value,
)


class Gate:
    """A server with a tool that waits until it is let go."""

    def __init__(self, name: str = "gate", answer: str = "done") -> None:
        self.server = MCPServer(name)
        self.open = asyncio.Event()
        self.waiting = asyncio.Event()

        @self.server.tool()
        async def wait() -> str:  # pyright: ignore[reportUnusedFunction]
            self.waiting.set()
            await self.open.wait()
            return answer

        @self.server.tool()
        async def say(text: str) -> str:  # pyright: ignore[reportUnusedFunction]
            return f"{answer}: {text}"


class Flaky:
    """A way to a server that can be cut, and barred; `tried` counts the attempts."""

    def __init__(self, server: MCPServer) -> None:
        self.server = server
        self.barred = False
        self.tried = 0

    def __call__(self, name: str, config: McpServerConfig) -> Any:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Any]:
        self.tried += 1
        if self.barred:
            raise OSError("nobody is there")
        async with InMemoryTransport(self.server) as (read, write):
            self.cut, self.cut_writing = read.aclose, write.aclose
            yield read, write


async def test_a_connection_offers_the_servers_tools_and_calls_them() -> None:
    async with connected(local(), transport=in_process(Gate().server)) as factory:
        assert names(factory) == ["mcp__x__wait", "mcp__x__say"]
        assert await value(factory, "mcp__x__say", {"text": "hello"}) == {"result": "done: hello"}
        status = factory.status()["x"]
        assert (status.state, status.tools, status.error) == ("connected", ("mcp__x__wait", "mcp__x__say"), "")


@pytest.mark.parametrize("protocol", ["auto", "legacy"])
async def test_a_slow_call_times_out_while_a_parallel_one_succeeds(protocol: str) -> None:
    clock, gate = FakeClock(), Gate()
    config = local(call_timeout_ms=5000, protocol=protocol)
    async with connected(config, transport=in_process(gate.server), clock=clock) as factory:
        slow = asyncio.create_task(failure(factory, "mcp__x__wait"))
        await gate.waiting.wait()
        assert await value(factory, "mcp__x__say", {"text": "a"}) == {"result": "done: a"}
        await clock.advance(5)
        late = await slow
        assert (late.cls, late.code) == ("timeout", "mcp_call_timeout")
        assert "within 5 s" in late.message
        assert await value(factory, "mcp__x__say", {"text": "b"}) == {"result": "done: b"}


async def test_a_cancelled_call_leaves_the_connection_as_it_is() -> None:
    gate = Gate()
    async with connected(local(), transport=in_process(gate.server)) as factory:
        running = asyncio.create_task(call(factory, "mcp__x__wait"))
        await gate.waiting.wait()
        running.cancel()
        assert isinstance((await asyncio.gather(running, return_exceptions=True))[0], asyncio.CancelledError)
        assert await value(factory, "mcp__x__say", {"text": "b"}) == {"result": "done: b"}


@pytest.mark.parametrize("protocol", ["auto", "legacy"])
async def test_tools_that_change_are_listed_again(protocol: str) -> None:
    server = MCPServer("changing")

    @server.tool()
    async def grow(ctx: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        server.add_tool(shrink)
        if protocol == "legacy":
            await ctx.request_context.session.send_tool_list_changed()
        else:
            await ctx.notify_tools_changed()
        return "grown"

    async def shrink() -> str:
        return "shrunk"

    async with connected(local(protocol=protocol), transport=in_process(server)) as factory:
        listed = provider(factory)
        assert [one.name for one in listed.tool_manifests()] == ["mcp__x__grow"]
        await value(factory, "mcp__x__grow")
        await until(lambda: len(factory.status()["x"].tools) == 2)
        assert listed.resolve_manifest("mcp__x__shrink") is None
        assert [one.name for one in listed.tool_manifests()] == ["mcp__x__grow", "mcp__x__shrink"]
        assert listed.resolve_manifest("mcp__x__shrink") is not None


async def test_a_server_that_lists_its_tools_for_ever_is_closed_all_the_same() -> None:
    listings: list[str] = []

    async def list_tools(ctx: Any, params: Any) -> ListToolsResult:
        listings.append("x")
        if len(listings) > 1:
            await asyncio.Event().wait()
        return ListToolsResult(tools=[Tool(name="grow", input_schema={"type": "object"})])

    async def call_tool(ctx: Any, params: Any) -> CallToolResult:
        await ctx.session.send_tool_list_changed()
        return CallToolResult(content=[])

    server = Server("slow", on_list_tools=list_tools, on_call_tool=call_tool)
    async with connected(local(protocol="legacy"), transport=in_process(server), clock=FakeClock()) as factory:
        assert await value(factory, "mcp__x__grow") is None
        await until(lambda: len(listings) == 2)
        assert names(factory) == ["mcp__x__grow"]


async def test_a_pattern_of_tools_to_be_approved_that_matches_none_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    config = local(needs_approval=["say", "delete*"])
    async with connected(config, transport=in_process(Gate().server)):
        said = [record.getMessage() for record in caplog.records if "needs_approval" in record.getMessage()]
    assert said == ["MCP server x: no tool matches needs_approval='delete*'"]


async def test_a_server_without_tools_has_none() -> None:
    async with connected(local(), transport=in_process(Server("prompts alone"))) as factory:
        assert (names(factory), factory.status()["x"].state) == ([], "connected")


# --- connecting again ------------------------------------------------------------------------------


async def test_a_lost_connection_is_made_again_after_growing_delays_that_begin_anew_once_it_has_stood() -> None:
    clock, flaky = FakeClock(), Flaky(Gate().server)
    middle = Random(0)
    middle.uniform = lambda a, b: 0.0  # type: ignore[method-assign]
    async with connected(local(), transport=flaky, clock=clock, random=middle) as factory:
        flaky.barred = True
        await flaky.cut()
        await until(lambda: factory.status()["x"].state == "reconnecting")
        waits: list[float] = []
        for _ in range(8):
            await settle()
            due = clock.next_due()
            assert due is not None
            waits.append(round(due - clock.monotonic(), 6))
            tried = flaky.tried
            await clock.advance(due - clock.monotonic())
            await until(lambda tried=tried: flaky.tried > tried)
        assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
        assert "nobody is there" in factory.status()["x"].error
        assert names(factory) == ["mcp__x__wait", "mcp__x__say"]
        flaky.barred = False
        await settle()
        await clock.advance(30)
        await until(lambda: factory.status()["x"].state == "connected")
        await clock.advance(60)
        await flaky.cut()
        await until(lambda: factory.status()["x"].state == "reconnecting")
        await settle()
        due = clock.next_due()
        assert due is not None
        assert round(due - clock.monotonic(), 6) == 1


async def test_delays_vary_by_a_fifth() -> None:
    clock, flaky = FakeClock(), Flaky(Gate().server)
    async with connected(local(), transport=flaky, clock=clock, random=Random(3)) as factory:
        flaky.barred = True
        await flaky.cut()
        await until(lambda: factory.status()["x"].state == "reconnecting")
        await settle()
        due = clock.next_due()
        assert due is not None
        assert 0.8 <= due - clock.monotonic() <= 1.2
        assert round(due - clock.monotonic(), 6) != 1


async def test_a_call_waits_for_the_new_connection() -> None:
    clock, flaky = FakeClock(), Flaky(Gate().server)
    async with connected(local(), transport=flaky, clock=clock) as factory:
        await flaky.cut()
        await until(lambda: factory.status()["x"].state == "reconnecting")
        waiting = asyncio.create_task(value(factory, "mcp__x__say", {"text": "late"}))
        await clock.advance(2)
        assert await waiting == {"result": "done: late"}


async def test_a_call_waits_no_longer_than_the_startup_timeout() -> None:
    clock, flaky = FakeClock(), Flaky(Gate().server)
    async with connected(local(startup_timeout_ms=3000), transport=flaky, clock=clock) as factory:
        flaky.barred = True
        await flaky.cut()
        await until(lambda: factory.status()["x"].state == "reconnecting")
        waiting = asyncio.create_task(failure(factory, "mcp__x__say", {"text": "late"}))
        await clock.advance(3)
        given_up = await waiting
        assert (given_up.cls, given_up.code, given_up.retry.kind) == ("unavailable", "mcp_connection_lost", "safe")


async def test_calls_that_run_when_the_connection_is_lost_fail_at_once() -> None:
    gate = Gate()
    flaky = Flaky(gate.server)
    async with connected(local(), transport=flaky, clock=FakeClock()) as factory:
        running = asyncio.create_task(failure(factory, "mcp__x__wait"))
        await gate.waiting.wait()
        await flaky.cut()
        assert (await running).code == "mcp_connection_lost"


async def test_a_connection_that_can_only_be_read_is_given_up_with_the_first_call() -> None:
    clock, flaky = FakeClock(), Flaky(Gate().server)
    async with connected(local(), transport=flaky, clock=clock) as factory:
        await flaky.cut_writing()
        assert (await failure(factory, "mcp__x__say", {"text": "a"})).code == "mcp_connection_lost"
        next_one = asyncio.create_task(value(factory, "mcp__x__say", {"text": "b"}))
        await clock.advance(2)
        assert await next_one == {"result": "done: b"}


async def test_a_call_that_waits_for_a_server_is_let_go_when_that_is_closed() -> None:
    clock, flaky = FakeClock(), Flaky(Gate().server)
    async with connected(local(), transport=flaky, clock=clock) as factory:
        await flaky.cut()
        await until(lambda: factory.status()["x"].state == "reconnecting")
        waiting = asyncio.create_task(failure(factory, "mcp__x__say", {"text": "a"}))
        await settle()
        await factory.detach_server("x")
        await factory.aclose()
        assert (await waiting).code == "mcp_connection_lost"


# --- starting --------------------------------------------------------------------------------------


async def test_one_error_names_every_required_server_that_failed_and_nothing_is_left() -> None:
    before = asyncio.all_tasks()
    good, bad = Flaky(Gate().server), Flaky(Gate().server)
    bad.barred = True
    servers = {"a": local(), "b": local(), "c": local()}
    with pytest.raises(McpConnectionError) as raised:
        await McpPluginFactory.connect(
            servers, transport=lambda name, config: (good if name == "b" else bad)("", config)
        )
    assert set(raised.value.failures) == {"a", "c"}
    assert asyncio.all_tasks() == before


async def test_a_server_that_is_not_required_is_tried_again_in_the_background() -> None:
    clock, flaky = FakeClock(), Flaky(Gate().server)
    flaky.barred = True
    async with connected(local(required=False), transport=flaky, clock=clock) as factory:
        assert (names(factory), factory.status()["x"].state) == ([], "connecting")
        flaky.barred = False
        await settle()
        await clock.advance(2)
        await until(lambda: factory.status()["x"].state == "connected")
        assert len(names(factory)) == 2


async def test_a_connect_that_is_cancelled_leaves_nothing() -> None:
    before = asyncio.all_tasks()

    @asynccontextmanager
    async def never(name: str, config: McpServerConfig) -> AsyncGenerator[Any]:
        await asyncio.Event().wait()
        yield

    connecting = asyncio.create_task(McpPluginFactory.connect({"x": local()}, transport=never))
    await settle()
    connecting.cancel()
    assert isinstance((await asyncio.gather(connecting, return_exceptions=True))[0], asyncio.CancelledError)
    assert asyncio.all_tasks() == before


# --- attaching and detaching -----------------------------------------------------------------------


async def test_a_server_is_attached_once_it_stands_and_detached_at_once() -> None:
    factory = McpPluginFactory.empty(transport=in_process(Gate().server))
    assert (factory.status(), names(factory)) == ({}, [])
    await factory.attach_server("docs", local())
    assert names(factory) == ["mcp__docs__wait", "mcp__docs__say"]
    await factory.detach_server("docs")
    assert (factory.status(), names(factory)) == ({}, [])
    assert (await failure(factory, "mcp__docs__say")).code == "tool_unavailable"
    await factory.aclose()


async def test_an_attach_that_fails_leaves_the_old_server_in_place() -> None:
    async with connected(local(), transport=in_process(Gate().server)) as factory:
        with pytest.raises(McpConnectionError):
            await factory.attach_server("x", local(7))
        assert await value(factory, "mcp__x__say", {"text": "here"}) == {"result": "done: here"}


async def test_an_attach_replaces_the_server_of_its_name_whose_running_call_may_finish() -> None:
    old, new = Gate("old", "old"), Gate("new", "new")
    async with connected(local(0), transport=in_process(old.server, new.server)) as factory:
        running = asyncio.create_task(value(factory, "mcp__x__wait"))
        await old.waiting.wait()
        await factory.attach_server("x", local(1))
        assert await value(factory, "mcp__x__say", {"text": "hello"}) == {"result": "new: hello"}
        old.open.set()
        assert await running == {"result": "old"}


async def test_a_detach_lets_the_running_call_finish_and_refuses_the_next() -> None:
    gate, other = Gate(), Gate("other", "other")
    servers = {"x": local(0), "y": local(1)}
    async with connected(servers, transport=in_process(gate.server, other.server)) as factory:
        running = asyncio.create_task(value(factory, "mcp__x__wait"))
        await gate.waiting.wait()
        await factory.detach_server("x")
        refused = await failure(factory, "mcp__x__say", {"text": "late"})
        assert (refused.cls, refused.code) == ("unavailable", "tool_unavailable")
        assert await value(factory, "mcp__y__say", {"text": "a"}) == {"result": "other: a"}
        gate.open.set()
        assert await running == {"result": "done"}


async def test_a_detached_server_is_closed_after_the_time_of_one_call_whatever_runs() -> None:
    clock, gate = FakeClock(), Gate()
    config = local(call_timeout_ms=7000)
    async with connected(config, transport=in_process(gate.server), clock=clock) as factory:
        running = asyncio.create_task(failure(factory, "mcp__x__wait"))
        await gate.waiting.wait()
        await factory.detach_server("x")
        await clock.advance(8)
        assert (await running).code in ("mcp_call_timeout", "mcp_connection_lost")
        await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name().startswith("mcp server")])


async def test_the_end_of_the_core_waits_for_no_call() -> None:
    gate = Gate()
    factory = await McpPluginFactory.connect({"x": local()}, transport=in_process(gate.server))
    running = asyncio.create_task(failure(factory, "mcp__x__wait"))
    await gate.waiting.wait()
    await factory.detach_server("x")
    await factory.aclose()
    assert (await running).code == "mcp_connection_lost"
    with pytest.raises(ConfigError, match="the core is closed"):
        await factory.attach_server("y", local())


async def test_names_whose_tools_would_be_called_alike_are_refused() -> None:
    async with connected({"my docs": local()}, transport=in_process(Gate().server)) as factory:
        with pytest.raises(ConfigError, match="would be called like those of 'my docs'"):
            await factory.attach_server("My-Docs", local())
        with pytest.raises(ConfigError, match="there is no MCP server 'other'"):
            await factory.detach_server("other")


@pytest.mark.parametrize("name", ["", "  ", "a__b", "x" * 49])
async def test_a_name_that_cannot_be_is_refused_before_anything_is_started(name: str) -> None:
    with pytest.raises(ConfigError, match=r"server's name is blank|the server name"):
        await McpPluginFactory.connect({name: local()}, transport=in_process())


async def test_what_is_no_configuration_is_refused() -> None:
    wrong: Any = {"command": "x"}
    with pytest.raises(ConfigError, match="'x' is a dict and no McpServerConfig"):
        await McpPluginFactory.connect({"x": wrong})


async def test_two_attaches_of_one_name_at_once_leave_one_server() -> None:
    factory = McpPluginFactory.empty(transport=in_process(Gate("a", "a").server, Gate("b", "b").server))
    await asyncio.gather(factory.attach_server("x", local(0)), factory.attach_server("x", local(1)))
    assert await value(factory, "mcp__x__say", {"text": "?"}) == {"result": "b: ?"}
    await factory.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("mcp server")]


@pytest.mark.parametrize("steps", range(12))
async def test_a_server_that_is_being_connected_is_closed_with_the_rest(steps: int) -> None:
    before, files = asyncio.all_tasks(), len(os.listdir("/dev/fd"))
    factory = McpPluginFactory.empty()
    attaching = asyncio.create_task(factory.attach_server("x", raw("silent")))
    for _ in range(steps):
        await asyncio.sleep(0)
    await factory.aclose()
    with pytest.raises(ConfigError, match="the core is closed"):
        await attaching
    assert asyncio.all_tasks() == before
    await asyncio.sleep(0)  # pipes are closed in the step after
    assert len(os.listdir("/dev/fd")) == files


async def test_a_close_that_was_cancelled_goes_on_when_it_is_called_again() -> None:
    before = asyncio.all_tasks()
    factory = await McpPluginFactory.connect({"x": raw()})
    closing = asyncio.create_task(factory.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await factory.aclose()
    assert asyncio.all_tasks() == before


async def test_servers_that_a_core_has_closed_are_offered_to_no_other() -> None:
    factory = McpPluginFactory.empty()
    await factory.aclose()
    with pytest.raises(ConfigError, match="connect them again"):
        provider(factory)


async def test_a_required_server_that_fails_is_not_said_to_be_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(McpConnectionError):
        await McpPluginFactory.connect({"x": raw("dies")})
    assert "connecting again" not in caplog.text


async def test_servers_that_were_connected_on_another_loop_are_refused_at_once() -> None:
    async def ask(factory: McpPluginFactory) -> None:
        with pytest.raises(ConfigError, match=r"another event loop.*one asyncio\.run") as refused:
            provider(factory)
        assert refused.value.code == "mcp_bound_to_other_loop"

    async with connected(local(), transport=in_process(Gate().server)) as factory:
        await asyncio.to_thread(asyncio.run, ask(factory))


async def test_servers_that_are_no_mapping_are_refused() -> None:
    servers: Any = [raw()]
    with pytest.raises(ConfigError, match="give a mapping of names"):
        await McpPluginFactory.connect(servers)


async def test_names_that_grow_in_lower_case_are_told_apart_all_the_same() -> None:
    with pytest.raises(ConfigError, match="would be called like those of"):
        await McpPluginFactory.connect({"İ" * 47: raw(), "İ" * 48: raw()})


async def test_a_command_with_its_arguments_in_it_is_told_with_what_to_do() -> None:
    with pytest.raises(McpConnectionError, match="give its arguments as `args`"):
        await McpPluginFactory.connect({"x": McpServerConfig.stdio("no-such-program --flag")})
