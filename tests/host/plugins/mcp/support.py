"""What the tests of MCP share: servers, and calls of their tools as the dispatcher makes them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp.client._memory import InMemoryTransport
from mcp.server import Server
from mcp.server.mcpserver import MCPServer

from lash.host.plugins.mcp.bounds import McpBounds
from lash.host.system import SystemClock
from lash.plugins import McpPluginFactory, McpServerConfig, PluginRegistrar, PluginSessionContext
from lash.runtime.plugins.registrar import Registrations
from lash.runtime.sansio.tools import ToolFailure
from lash.runtime.tools.context import ToolContext, ToolProgress, TurnContext
from lash.runtime.tools.provider import ToolCall, ToolProvider
from lash.runtime.tools.result import ToolError, ToolResult

RAW = str(Path(__file__).with_name("raw_server.py"))

SDK_SERVER = str(Path(__file__).with_name("sdk_server.py"))

HURRY = 20


class Hurried:
    """A clock that runs faster than time, for waits on other processes that would take seconds."""

    def now_ms(self) -> int:
        return SystemClock().now_ms()

    def monotonic(self) -> float:
        return time.monotonic() * HURRY

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / HURRY)


SMALL = McpBounds(message_bytes=1 << 20, line_bytes=4 << 20, garbage_lines=200, stderr_lines=20)
"""Bounds at which a test reaches them soon."""


def raw(how: str = "", **options: Any) -> McpServerConfig:
    """The server that misbehaves; nobody waits long for it."""
    given: dict[str, Any] = {"call_timeout_ms": 600_000, "protocol": "legacy"} | options
    return McpServerConfig.stdio(sys.executable, ["-S", "-E", RAW, *([how] if how else [])], **given)


def in_process(*servers: MCPServer | Server[Any]) -> Callable[[str, McpServerConfig], Any]:
    """Transports to servers of this process; a configuration names one by its command, a number."""
    return lambda name, config: InMemoryTransport(servers[int(config.command)])


def local(number: int = 0, **options: Any) -> McpServerConfig:
    """The configuration of a server of this process."""
    return McpServerConfig.stdio(str(number), **options)


def provider(factory: McpPluginFactory) -> ToolProvider:
    """The tools of a session, listed."""
    context = PluginSessionContext("s", "standard")
    made = Registrations()
    factory.build(context).register(PluginRegistrar("mcp", context, made))
    return made.providers[0].hook


def context() -> ToolContext:
    """The context of a call behind which no runtime stands."""
    return ToolContext(
        session_id="s", turn_id="t", turn_context=TurnContext(1, 0, "standard"), tool_call_id="c", tool_name="tool"
    )


async def call(factory: McpPluginFactory, tool: str, args: Mapping[str, Any] | None = None) -> ToolResult:
    """Call a tool by the name that it has here."""
    made = ToolCall(tool, dict(args or {}), context(), ToolProgress("c"))
    try:
        return await provider(factory).execute(made)
    except ToolError as error:
        return ToolResult.failure(error.failure)


async def value(factory: McpPluginFactory, tool: str, args: Mapping[str, Any] | None = None) -> Any:
    """The value of a call that works."""
    result = await call(factory, tool, args)
    assert result.outcome == "success", result.error
    return result.value


async def failure(factory: McpPluginFactory, tool: str, args: Mapping[str, Any] | None = None) -> ToolFailure:
    """The failure of a call that does not."""
    result = await call(factory, tool, args)
    assert result.error is not None, result.value
    return result.error


def names(factory: McpPluginFactory) -> Sequence[str]:
    """The tools that a session sees."""
    return [manifest.name for manifest in provider(factory).tool_manifests()]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process or task brings about."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped yet has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" in status.read_text()


@asynccontextmanager
async def connected(
    config: McpServerConfig | Mapping[str, McpServerConfig], **means: Any
) -> AsyncGenerator[McpPluginFactory]:
    """Servers that are connected, one of them as `x`; no task is left behind."""
    before = asyncio.all_tasks()
    servers = {"x": config} if isinstance(config, McpServerConfig) else config
    factory = await McpPluginFactory.connect(servers, **means)
    try:
        yield factory
    finally:
        await factory.aclose()
        assert not [task for task in asyncio.all_tasks() - before if task.get_name() != "rogue"]
