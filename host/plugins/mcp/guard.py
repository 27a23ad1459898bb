"""What of a server's messages gets through to the SDK.

The SDK takes whatever arrives: it starts a task for every notification and every request of the server, refuses a whole
page of tools for one that is malformed, and checks results against schemas of the server's making, which can be written
so that the check never ends. The guard stands between it and the transport, whichever that is.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, cast

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from lash.host.plugins.mcp.bounds import McpBounds

_log = logging.getLogger("lash.mcp")

WANTED: Final = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/subscriptions/acknowledged",
        "notifications/cancelled",
    }
)
"""The notifications that somebody listens to; progress and log messages are dropped."""

OF_USERS: Final = frozenset({"sampling/createMessage", "elicitation/create", "roots/list"})
"""What a server asks of the application, and is refused."""


UNEXPLAINED: Final = "Server returned an error response"
"""What the SDK makes of an HTTP status other than 404 that comes without an error of the protocol."""


class Watch:
    """What is known of one connection: whether it stands, and what the server did on it.

    `wake` is set whenever something has happened that the server's supervisor has to look at; `on_lost` is called at
    once, so that no more calls are begun. `refusal` is the status of the last HTTP request that was refused.
    """

    def __init__(self, bounds: McpBounds, on_lost: Callable[[Watch], None] = lambda _: None) -> None:
        self.bounds = bounds
        self._on_lost = on_lost
        self.wake = asyncio.Event()
        self.lost = False
        self.changed = False
        self.reason = ""
        self.refusal = ""
        self.asked = 0
        self.open_requests = 0
        self.page: list[dict[str, Any]] = []
        self.sent: dict[int | str, str] = {}

    def lose(self, reason: str = "") -> None:
        """The connection is at its end; the first reason that is given stays."""
        self.reason = self.reason or reason
        self.lost = True
        self._on_lost(self)
        self.wake.set()

    def change(self) -> None:
        """The server has other tools now."""
        self.changed = True
        self.wake.set()


class GuardedTransport:
    """A transport whose messages pass the guard."""

    def __init__(self, inner: Any, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    async def __aenter__(self) -> Any:
        """Open the transport."""
        read, write = await self._inner.__aenter__()
        return _GuardedRead(read, self._watch), _GuardedWrite(write, self._watch)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Close it."""
        return await self._inner.__aexit__(kind, error, trace)


class _GuardedRead:
    """The stream of messages from the server."""

    def __init__(self, inner: Any, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def __aiter__(self) -> _GuardedRead:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def receive(self) -> SessionMessage:
        """The next message that is let through; anyio.EndOfStream at the end of the connection."""
        while True:
            try:
                item = await self._inner.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                self._watch.lose()
                raise anyio.EndOfStream from None
            if isinstance(item, Exception):
                # What a transport could not read; where it cannot go on it ends the stream as well.
                self._watch.reason = f"{type(item).__name__}: {item}"
            elif self._passes(item.message):
                return item

    def _passes(self, message: Any) -> bool:
        watch = self._watch
        match message:
            case JSONRPCNotification():
                return message.method in WANTED
            case JSONRPCRequest():
                watch.asked += message.method in OF_USERS
                watch.open_requests += 1
                if watch.open_requests > watch.bounds.open_requests:
                    watch.lose(f"it made more than {watch.bounds.open_requests} requests without reading the answers")
                    raise anyio.EndOfStream
                return True
            case JSONRPCResponse():
                method = watch.sent.pop(_key(message.id), None)
                if method == "tools/list":
                    self._take_listing(message.result)
                elif method == "tools/call":
                    _soften(message.result)
                return method is not None
            case JSONRPCError():
                if message.error.message == UNEXPLAINED and watch.refusal:
                    message.error.message = watch.refusal
                return message.id is not None and watch.sent.pop(_key(message.id), None) is not None
            case _:
                return False

    def _take_listing(self, result: dict[str, Any]) -> None:
        """Keep the tools as they are, and leave the SDK what it needs of them and can read."""
        tools = result.get("tools")
        listed = cast("list[Any]", tools)[: self._watch.bounds.tools + 1] if isinstance(tools, list) else []
        self._watch.page = [cast("dict[str, Any]", one) for one in listed if isinstance(one, dict)]
        result["tools"] = [
            {"name": tool["name"], "inputSchema": _for_headers(tool["inputSchema"])}
            for tool in self._watch.page
            if isinstance(tool.get("name"), str) and isinstance(tool.get("inputSchema"), dict)
        ]

    async def aclose(self) -> None:
        """Close the stream."""
        await self._inner.aclose()

    async def __aenter__(self) -> _GuardedRead:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(kind, error, trace)


class _GuardedWrite:
    """The stream of messages to the server."""

    def __init__(self, inner: Any, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message, and note what it asks or answers."""
        message = item.message
        if isinstance(message, JSONRPCRequest):
            self._watch.sent[_key(message.id)] = message.method
        try:
            await self._inner.send(item)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._watch.lose()
            raise
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self._watch.open_requests -= 1
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._forget(message.params)

    def _forget(self, params: dict[str, Any] | None) -> None:
        """An answer to what was cancelled is not waited for."""
        cancelled = (params or {}).get("requestId")
        if isinstance(cancelled, int | str):
            self._watch.sent.pop(_key(cancelled), None)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._inner.aclose()

    async def __aenter__(self) -> _GuardedWrite:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(kind, error, trace)


def _key(request_id: int | str | None) -> int | str:
    """An id as it was sent: the SDK takes an answer to `7` for one to 7 as well."""
    if isinstance(request_id, str) and request_id.isascii() and request_id.isdigit() and len(request_id) < 19:
        return int(request_id)
    return -1 if request_id is None else request_id


def _for_headers(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema where it says that arguments travel as headers, which the SDK sees to; else an empty one."""
    try:
        return schema if "x-mcp-header" in json.dumps(schema) else {"type": "object"}
    except (ValueError, RecursionError):
        return {"type": "object"}


def _soften(result: dict[str, Any]) -> None:
    """Make a result readable whose content is missing beside structured content, as older servers answer."""
    if "structuredContent" in result:
        result.setdefault("content", [])
