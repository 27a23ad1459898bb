"""The SDK's own server as a child process: calls, its end, and what is left of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import Any

import lash
from lash.plugins import McpPluginFactory, McpServerConfig, PluginStack
from lash.testing.scripted import ScriptedProvider
from tests.facade.support import block
from tests.host.plugins.mcp.support import SDK_SERVER, Hurried, call, connected, failure, is_gone, until, value

SDK = McpServerConfig.stdio(sys.executable, [SDK_SERVER, "stdio"])


async def test_a_child_that_is_killed_in_a_call_fails_it_and_the_next_call_finds_a_new_one() -> None:
    async with connected(SDK, clock=Hurried()) as factory:
        child = (await value(factory, "mcp__x__pid"))["result"]
        hanging = asyncio.create_task(failure(factory, "mcp__x__hang"))
        assert await value(factory, "mcp__x__echo", {"text": "a"}) == {"result": "a"}
        os.kill(child, signal.SIGKILL)
        lost = await hanging
        assert (lost.cls, lost.code) == ("unavailable", "mcp_connection_lost")
        again = (await value(factory, "mcp__x__pid"))["result"]
        assert again != child
    assert is_gone(child)
    assert is_gone(again)


async def test_a_core_that_closes_leaves_no_process_task_or_thread() -> None:
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    factory = await McpPluginFactory.connect({"x": SDK})
    program = block("submit (call mcp__x__pid {})?")
    model = ScriptedProvider([program])
    async with lash.LashCore.rlm(
        provider=model, model="m", max_context_tokens=100_000, plugins=PluginStack([factory])
    ) as core:
        async with core.session("a") as session:
            result = await session.turn("Go.")
    answer: Any = result.submitted_value()
    child = answer["result"]
    assert is_gone(child)
    assert asyncio.all_tasks() == tasks
    await until(lambda: set(threading.enumerate()) <= threads)


async def test_a_closed_server_leaves_no_open_file() -> None:
    async with connected(SDK):
        pass
    before = len(os.listdir("/dev/fd"))
    async with connected(SDK) as factory:
        assert len(os.listdir("/dev/fd")) > before
        await value(factory, "mcp__x__echo", {"text": "a"})
    await until(lambda: len(os.listdir("/dev/fd")) == before)


async def test_a_detached_childs_process_ends_while_the_others_stay() -> None:
    async with connected({"x": SDK, "y": SDK}) as factory:
        gone, stays = [(await value(factory, f"mcp__{name}__pid"))["result"] for name in "xy"]
        await factory.detach_server("x")
        assert is_gone(gone)
        assert not is_gone(stays)
        assert (await call(factory, "mcp__y__echo", {"text": "b"})).value == {"result": "b"}
