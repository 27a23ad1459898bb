"""Speaking with a server through its stdin and stdout.

The SDK's own transport keeps a line of any length in memory and logs every line that is no message, so this one takes
its place. The program runs in a process group of its own, which is ended with all that the program has left behind.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client import stdio as sdk
from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from lash.host.plugins.mcp.bounds import MIB, McpBounds
from lash.host.plugins.mcp.config import McpServerConfig
from lash.host.plugins.mcp.lines import EndlessLine, LineCutter, TooLong
from lash.host.providers.child_process import ChildProcess
from lash.runtime.seams.clock import Clock

_log = logging.getLogger("lash.mcp")

Received = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Received], MemoryObjectSendStream[SessionMessage]]

_ID_FIRST: Final = re.compile(rb'\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*(\d{1,18})\s*,\s*"(?:result|error)"')
_ID_LAST: Final = re.compile(rb'"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*(\d{1,18})\s*\}\s*\Z')
"""Where servers put the id of a response: libraries for Python at the beginning, the one for JavaScript at the end."""


@asynccontextmanager
async def stdio_transport(
    config: McpServerConfig,
    clock: Clock,
    bounds: McpBounds,
    hear: Callable[[bytes], None],
    ended: Callable[[str], None],
) -> AsyncGenerator[Streams]:
    """The streams of a server that is started, and stopped at the end.

    `hear` is given what it writes to stderr, `ended` how the connection came to its end. Raises OSError where the
    program cannot be started.
    """
    # asyncio leaves pipes open where it is stopped in the middle of starting a program.
    with anyio.CancelScope(shield=True) as starting:
        child = await _started(config, clock, hear)
        starting.shield = False
        # No await from here to the task group: a cancellation in between would leave the program running.
        inward, received = anyio.create_memory_object_stream[Received](0)
        sent, outward = anyio.create_memory_object_stream[SessionMessage](0)
        pipe = _Pipe(child, bounds, ended)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipe.read, inward)
            tasks.start_soon(pipe.write, outward, inward)
            try:
                yield received, sent
            finally:
                with anyio.CancelScope(shield=True):
                    received.close()
                    sent.close()
                    ended(await child.stop())
                tasks.cancel_scope.cancel()


async def _started(config: McpServerConfig, clock: Clock, hear: Callable[[bytes], None]) -> ChildProcess:
    env = sdk.get_default_environment() | config.env
    # On Windows, where programs are found by their endings, this is what finds `npx.cmd`.
    command = shutil.which(config.command, path=env.get("PATH")) or config.command
    try:
        return await ChildProcess.start([command, *config.args], clock, env=env, cwd=config.cwd, on_stderr=hear)
    except FileNotFoundError as error:
        if " " in config.command and config.cwd != error.filename:
            raise FileNotFoundError(f"no program is called {config.command!r}; give its arguments as `args`") from error
        raise


class _Pipe:
    """Between the program's bytes and the SDK's messages."""

    def __init__(self, child: ChildProcess, bounds: McpBounds, ended: Callable[[str], None]) -> None:
        self._child = child
        self._bounds = bounds
        self._ended = ended
        self._garbage = 0

    async def read(self, inward: MemoryObjectSendStream[Received]) -> None:
        """Pass messages on until the program stops writing, or writes what cannot be borne."""
        lines = LineCutter(self._bounds.message_bytes, self._bounds.line_bytes)
        async with inward:
            try:
                while chunk := await self._child.read():
                    for line in lines.feed(chunk):
                        message = self._message(line)
                        if message is not None:
                            await inward.send(message)
                    await anyio.lowlevel.checkpoint()
            except EndlessLine as error:
                self._ended(f"it wrote {error}")
            except _OnlyGarbage:
                self._ended(f"it wrote {self._garbage} lines to its stdout that are no messages")
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    async def write(
        self, outward: MemoryObjectReceiveStream[SessionMessage], inward: MemoryObjectSendStream[Received]
    ) -> None:
        """Write messages until there are no more; where nobody reads them, the connection is at its end."""
        async with outward:
            try:
                async for message in outward:
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    self._child.write(text.encode() + b"\n")
                    await self._child.drain()
            except OSError:
                await inward.aclose()

    def _message(self, line: bytes | TooLong) -> SessionMessage | None:
        """What a line says; an error in the place of an answer that cannot be read, None where it is no message."""
        if isinstance(line, TooLong):
            limit = self._bounds.message_bytes / MIB
            return self._unreadable(line.head, line.tail, f"is {line.size / MIB:.1f} MiB, the limit is {limit:g} MiB")
        try:
            message = SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            return self._unreadable(line, line[-256:], "is no JSON-RPC message")
        self._garbage = 0
        return message

    def _unreadable(self, head: bytes, tail: bytes, what: str) -> SessionMessage | None:
        found = _ID_FIRST.match(head) or _ID_LAST.search(tail)
        if found is not None:
            error = ErrorData(code=PARSE_ERROR, message=f"the server's answer {what}")
            return SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error))
        if head.strip():
            self._garbage += 1
            if self._garbage == 1:
                _log.info("an MCP server writes lines to its stdout that are no messages; they are ignored")
            if self._garbage >= self._bounds.garbage_lines:
                raise _OnlyGarbage
        return None


class _OnlyGarbage(Exception):
    """Too many lines in a row were no messages."""
