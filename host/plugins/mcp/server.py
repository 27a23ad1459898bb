"""`McpServer`: one server, from its first connection to its last.

One task, the supervisor, enters the SDK's client and leaves it again, as the SDK demands; calls come from other tasks.
When a connection ends, the tools stay listed and calls wait while the supervisor connects again:

    connecting ──> connected ──> reconnecting ──> connected ... ──> closed
        └── fails: tried again, unless nobody wants it then ──────────┘
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeVar, cast

import anyio
from mcp import Client, MCPError
from mcp.client.subscriptions import SubscriptionLost
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    CallToolResult,
    Implementation,
    ToolListChangedNotification,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from lash.host.plugins.mcp.config import McpServerConfig
from lash.host.plugins.mcp.guard import GuardedTransport, Watch
from lash.host.plugins.mcp.http import http_transport
from lash.host.plugins.mcp.listing import ImportedTool, Listing, plain, take
from lash.host.plugins.mcp.means import Means
from lash.host.plugins.mcp.results import ResultMapper, asked_for_input, lost, protocol_failure, timed_out
from lash.host.plugins.mcp.schemas import Verdicts
from lash.host.plugins.mcp.stderr import StderrLog
from lash.host.plugins.mcp.stdio import stdio_transport
from lash.runtime.providers.attempt import TimeIsUp, within
from lash.runtime.tools.provider import ToolCall
from lash.runtime.tools.result import ToolResult

T = TypeVar("T")

_log = logging.getLogger("lash.mcp")

DELAYS_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
JITTER: Final = 0.2
STEADY_S: Final = 60.0
"""A connection that has stood so long makes the delays begin anew."""

CLOSE_S: Final = 15.0
"""How long a connection may take to close: a program has ten seconds of grace."""

SPARE_S: Final = 1.0
"""How much longer than we do the SDK waits for an answer."""

RELIST_S: Final = 1.0
"""The least time between two listings, however often a server says that its tools have changed."""

State = Literal["connecting", "connected", "reconnecting", "closed"]


class McpServer:
    """See the module. `tools` are those of the last listing, `error` says why the last connection ended."""

    def __init__(self, name: str, config: McpServerConfig, means: Means) -> None:
        self.name = name
        self.config = config
        self.state: State = "connecting"
        self.listing = Listing()
        self.error = ""
        self.protocol: str | None = None
        self.tools: dict[str, ImportedTool] = {}
        self._means = means
        self._clock = means.clock
        self._secrets = config.secrets
        self._verdicts = Verdicts()
        self._mapper = ResultMapper(name, self._secrets, means.bounds)
        self._client: Client | None = None
        self._watch = Watch(means.bounds)
        self._up = asyncio.Event()
        self._stop = asyncio.Event()
        self._tried = asyncio.Event()
        self._reached = False
        self._scope: anyio.CancelScope | None = None
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stderr = StderrLog(name, self._secrets.hide, means)
        self._task = asyncio.get_running_loop().create_task(self._supervise(), name=f"mcp server {name}")

    # --- what the pool asks of it ------------------------------------------------------------------

    async def started(self) -> bool:
        """Wait for the first attempt to connect; whether it succeeded, if only for a moment. `error` says why not."""
        await self._tried.wait()
        return self._reached

    async def call(self, tool: ImportedTool, call: ToolCall) -> ToolResult:
        """Call a tool. Raises ToolError where that fails, whatever the reason."""
        self._calls += 1
        self._idle.clear()
        try:
            return await self._call(tool, call)
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    @property
    def idle(self) -> bool:
        """Whether no call runs."""
        return not self._calls

    async def drained(self) -> None:
        """Wait until the calls that run have ended, or have had the time of one call."""
        await self._by(self._idle.wait(), self.config.call_s)

    async def aclose(self) -> None:
        """Leave the connection and end the supervisor. May be called again."""
        self._stop.set()
        self._watch.wake.set()
        if self._client is None and self._scope is not None:
            self._scope.cancel()
        await asyncio.wait((self._task,))
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            _log.error("the supervisor of MCP server %s broke", self.name, exc_info=error)

    # --- calls -------------------------------------------------------------------------------------

    async def _call(self, tool: ImportedTool, call: ToolCall) -> ToolResult:
        client = await self._connected()
        watch, asked = self._watch, self._watch.asked
        due = self._clock.monotonic() + self.config.call_s
        # The SDK's own timeout is the later one: what it tells cannot be told from an answer of the server.
        work = client.call_tool(tool.original, call.args, read_timeout_seconds=self.config.call_s + SPARE_S)
        try:
            answer = await within(self._clock, work, lambda: due)
        except TimeIsUp:
            raise timed_out(self.name, self.config.call_s) from None
        except MCPError as error:
            # Over HTTP an error may say that a connection was closed and mean that of this one request.
            if watch.lost:
                error = MCPError(CONNECTION_CLOSED, watch.reason or error.message)
            hidden = MCPError(error.code, self._secrets.hide(error.message))
            refused = watch.asked > asked or (error.code == INVALID_REQUEST and "not supported" in error.message)
            if refused and not watch.lost:
                raise asked_for_input(self.name, hidden.message) from None
            raise protocol_failure(self.name, hidden, self._means.bounds.error_chars) from None
        except Exception as error:  # whatever the SDK makes of an answer that it cannot read
            wrong = MCPError(0, f"its answer cannot be used: {self._said(error)}")
            raise protocol_failure(self.name, wrong, self._means.bounds.error_chars) from None
        return await self._mapped(answer, tool, call, watch.asked > asked)

    async def _mapped(self, answer: CallToolResult, tool: ImportedTool, call: ToolCall, asked: bool) -> ToolResult:
        if answer.is_error and asked:
            raise asked_for_input(self.name, self._mapper.failure(answer).failure.message)
        return await self._mapper.result(answer, tool.contract.output_schema, call.context)

    async def _connected(self) -> Client:
        """The client, waited for while it connects again."""
        if self._client is None and not self._stop.is_set():
            await self._by(self._up.wait(), self.config.startup_s)
        client = self._client
        if client is None:
            raise lost(self.name, self.error or ("it is closed" if self._stop.is_set() else "it is being connected"))
        return client

    # --- the supervisor ----------------------------------------------------------------------------

    async def _supervise(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began = self._clock.monotonic()
            stood, error = await self._connection()
            self._tried.set()
            if self._stop.is_set():
                break
            self.state = "reconnecting" if self.tools or stood else "connecting"
            self.error = error
            failures = 0 if stood and self._clock.monotonic() - began >= STEADY_S else failures
            delay = DELAYS_S[min(failures, len(DELAYS_S) - 1)] * (1 + self._means.random.uniform(-JITTER, JITTER))
            failures += 1
            if self._reached or not self.config.required:  # else whoever waits for it is told, and does not want it
                _log.warning("MCP server %s: %s; connecting again in %.1f s", self.name, error, delay)
            await self._by(self._stop.wait(), delay)
        self.state = "closed"
        self._up.set()  # nothing will be connected any more, so nobody waits for it

    async def _connection(self) -> tuple[bool, str]:
        """One connection from its beginning to its end: whether it stood, and why it ended."""
        watch = self._watch = Watch(self._means.bounds, self._lost)
        stood, said = False, ""
        with anyio.CancelScope() as scope:
            self._scope = scope
            timer = self._limit(scope, self.config.startup_s)
            try:
                async with self._open(watch) as client:
                    pages = await self._list(client, watch)
                    timer.cancel()
                    stood = True
                    self._connect(client, pages)
                    await self._serve(client, watch)
                    self._disconnect()
                    timer = self._limit(scope, CLOSE_S)
            except Exception as error:
                said = self._said(error)
            finally:
                self._disconnect()
                timer.cancel()
                await asyncio.gather(timer, return_exceptions=True)
        self._scope = None
        if scope.cancelled_caught and not stood and not self._stop.is_set():
            said = f"it was not connected within {self.config.startup_s:g} s"
        reason = self._shown(watch.reason)
        return stood, "; ".join(dict.fromkeys(one for one in (said, reason) if one)) or "the connection was closed"

    def _limit(self, scope: anyio.CancelScope, seconds: float) -> asyncio.Task[None]:
        """Cancel what is in the scope when the time is up."""

        async def watch() -> None:
            await self._clock.sleep(seconds)
            scope.cancel()

        return asyncio.get_running_loop().create_task(watch())

    def _open(self, watch: Watch) -> Client:
        async def hear(message: object) -> None:
            if isinstance(message, ToolListChangedNotification):
                watch.change()

        return Client(
            GuardedTransport(self._transport(watch), watch),
            read_timeout_seconds=self.config.call_s,
            client_info=Implementation(name="lash", version=self._means.version),
            mode=self.config.protocol,
            message_handler=hear,
            cache=None,
        )

    def _transport(self, watch: Watch) -> Any:
        means = self._means
        if means.transport is not None:
            return means.transport(self.name, self.config)
        if self.config.transport != "stdio":
            return http_transport(self.config, watch)

        def ended(how: str) -> None:
            watch.reason = watch.reason or how

        return stdio_transport(self.config, self._clock, means.bounds, self._stderr.hear, ended)

    def _connect(self, client: Client, listing: Listing) -> None:
        self.protocol = client.protocol_version
        self._publish(listing)
        self._client = client
        self.state, self.error = "connected", ""
        self._up.set()
        self._reached = True
        self._tried.set()

    def _lost(self, watch: Watch) -> None:
        """A connection is at its end, which may be one that has been followed by another."""
        if watch is self._watch:
            self._disconnect()

    def _disconnect(self) -> None:
        self._client = None
        self._up.clear()

    def _publish(self, listing: Listing) -> None:
        for original, reason in listing.left_out[:10]:
            _log.warning("MCP server %s: tool %s is left out: %s", self.name, plain(original, 64), reason)
        originals = [tool.original for tool in listing.tools]
        for pattern in self.config.needs_approval:
            if not any(fnmatchcase(original, pattern) for original in originals):
                _log.warning("MCP server %s: no tool matches needs_approval=%r", self.name, pattern)
        self.listing = listing
        self.tools = {tool.manifest.name: tool for tool in listing.tools}

    async def _list(self, client: Client, watch: Watch) -> Listing:
        """All pages of the server's tools."""
        bounds = self._means.bounds
        listed: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(bounds.pages):
            try:
                page = await client.list_tools(cursor=cursor)
            except MCPError as error:
                if error.code != METHOD_NOT_FOUND or listed:
                    raise
                break  # a server of prompts and resources alone
            # The SDK leaves out what it cannot carry; the rest is taken as the server sent it.
            names = {tool.name for tool in page.tools}
            listed += [tool for tool in watch.page if tool.get("name") in names or not _listable(tool)]
            cursor = page.next_cursor
            if cursor is None or len(listed) > bounds.tools * 2:
                break
        else:
            _log.warning("MCP server %s lists more than %d pages of tools", self.name, bounds.pages)
        named = {tool.original: name for name, tool in self.tools.items()}
        return await take(self.name, self.config, listed, bounds, self._verdicts, named)

    async def _serve(self, client: Client, watch: Watch) -> None:
        """Stay until the connection ends or is no longer wanted, and list the tools again when they change."""
        listening = None
        tools = client.server_capabilities.tools
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS and tools is not None and tools.list_changed:
            listening = asyncio.get_running_loop().create_task(self._listen(client, watch))
        try:
            while not (self._stop.is_set() or watch.lost):
                await watch.wake.wait()
                watch.wake.clear()
                if watch.changed and not (self._stop.is_set() or watch.lost):
                    watch.changed = False
                    await self._list_again(client, watch)
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _list_again(self, client: Client, watch: Watch) -> None:
        """List the tools after they have changed; where that fails, they stay as they were."""
        loop, due = asyncio.get_running_loop(), self._clock.monotonic() + self.config.startup_s
        listing = loop.create_task(within(self._clock, self._list(client, watch), lambda: due))
        ending = loop.create_task(self._ending(watch))
        try:
            await asyncio.wait((listing, ending), return_when=asyncio.FIRST_COMPLETED)
            if listing.done():
                self._publish(listing.result())
        except (TimeIsUp, MCPError, ValueError, RuntimeError) as error:
            _log.warning("MCP server %s: its tools cannot be listed again: %s", self.name, self._said(error))
        finally:
            listing.cancel()
            ending.cancel()
            await asyncio.gather(listing, ending, return_exceptions=True)
        await self._by(self._ending(watch), RELIST_S)

    async def _ending(self, watch: Watch) -> None:
        """Wait for the end of the connection, whatever else happens on it."""
        while not (self._stop.is_set() or watch.lost):
            await watch.wake.wait()
            if not (self._stop.is_set() or watch.lost):
                watch.wake.clear()
        watch.wake.set()

    async def _listen(self, client: Client, watch: Watch) -> None:
        """Hear of changes on protocols on which that has to be asked for."""
        while True:
            try:
                async with client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        watch.change()
            except (MCPError, SubscriptionLost, TimeoutError) as error:
                _log.info("MCP server %s: no longer told of changed tools: %s", self.name, self._said(error))
            await self._clock.sleep(DELAYS_S[-1])
            watch.change()

    async def _by(self, work: Coroutine[Any, Any, T], seconds: float) -> T | None:
        """What the work gives, None where it takes longer."""
        due = self._clock.monotonic() + seconds
        try:
            return await within(self._clock, work, lambda: due)
        except TimeIsUp:
            return None

    def _said(self, error: BaseException) -> str:
        """An error in one line, without secrets: of a group the first that is none."""
        while isinstance(error, BaseExceptionGroup):
            error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return self._shown(text)

    def _shown(self, text: str) -> str:
        """A text about the connection without secrets: they go first, because a part of one is not recognised."""
        return plain(self._secrets.hide(text), self._means.bounds.error_chars)


def _listable(tool: dict[str, Any]) -> bool:
    return isinstance(tool.get("name"), str) and isinstance(tool.get("inputSchema"), dict)
