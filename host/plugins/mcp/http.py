"""Speaking with a server over HTTP: the SDK's transports, with a client of ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client

from lash.host.plugins.mcp.bounds import MIB
from lash.host.plugins.mcp.config import McpServerConfig
from lash.host.plugins.mcp.guard import Watch

CONNECT_S: Final = 30.0
SILENCE_S: Final = 3600.0
"""How long the one stream of the older transport may be silent; then it is opened again."""


@asynccontextmanager
async def http_transport(config: McpServerConfig, watch: Watch) -> AsyncGenerator[tuple[Any, Any]]:
    """The streams of a server on the web; `watch` is told of refusals, and where it no longer knows the session."""
    if config.transport == "sse":
        async with sse_client(
            config.url,
            headers=dict(config.headers),
            timeout=CONNECT_S,
            sse_read_timeout=SILENCE_S,
            httpx_client_factory=partial(_client, watch),
            auth=config.auth,
        ) as streams:
            yield streams
        return
    timeout = httpx2.Timeout(CONNECT_S, read=config.call_s + CONNECT_S)
    async with (
        _client(watch, headers=dict(config.headers), timeout=timeout, auth=config.auth) as client,
        streamable_http_client(
            config.url, http_client=client, max_sse_event_size=watch.bounds.message_bytes
        ) as streams,
    ):
        yield streams


def _client(
    watch: Watch,
    headers: dict[str, str] | None = None,
    timeout: httpx2.Timeout | None = None,
    auth: httpx2.Auth | None = None,
) -> httpx2.AsyncClient:
    """A client that reads no more of an answer than it may be long.

    It does not ask for compressed answers and does not unpack them: a few bytes would become any number.
    """

    async def bound(response: httpx2.Response) -> None:
        if response.status_code == 404 and MCP_SESSION_ID in response.request.headers:
            # As the protocol has it (basic/transports, session management): the client has to begin a new one.
            watch.lose("the server no longer knows the session")
        if response.is_error and response.request.method == "POST":
            hint = ": see `headers` and `auth` of its configuration" if response.status_code in (401, 403) else ""
            watch.refusal = f"HTTP {response.status_code} {response.reason_phrase}{hint}"
        response.headers.pop("content-encoding", None)
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            response.stream = _BoundedStream(response.stream, watch.bounds.message_bytes)

    plain = {name: value for name, value in (headers or {}).items() if name.lower() != "accept-encoding"}
    return httpx2.AsyncClient(
        headers=plain | {"accept-encoding": "identity"},
        timeout=timeout,
        auth=auth,
        event_hooks={"response": [bound]},
    )


class _BoundedStream(httpx2.AsyncByteStream):
    """The body of an answer, up to a size. What is longer raises the error that the SDK makes a failed call of."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if size > self._most:
                raise httpx2.StreamError(f"the server's answer is larger than {self._most / MIB:g} MiB")
            yield part

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._stream.aclose()
