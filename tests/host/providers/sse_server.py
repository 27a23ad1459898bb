"""A server on the loopback that answers HTTP requests as a script says, and notes what it was asked.

It knows just enough HTTP/1.1: one request per connection, replies in chunks of whatever size.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Reply:
    """An answer: its head, its body in pieces, each sent by itself, and what comes after it.

    `end` closes the body properly, `drop` the connection in its middle, `hold` sends nothing more and waits until the
    client goes; `silence` does so before the head.
    """

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    then: Literal["end", "drop", "hold", "silence"] = "end"


@dataclass(frozen=True)
class Asked:
    """A request as the server saw it; header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class SseServer:
    """Answers requests with the replies it is given, in order. `left` is set when a client has gone in a `hold`."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[Asked] = []
        self.left = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> SseServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        # Connections that outlive the test's loop would be complained of in a later test.
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            self.asked.append(await _request(reader))
            await self._answer(self.replies.pop(0), reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reply.then != "silence":
            headers = {"content-type": "text/event-stream", **reply.headers}
            lines = [f"HTTP/1.1 {reply.status} Status", *(f"{name}: {value}" for name, value in headers.items())]
            head = "\r\n".join([*lines, "transfer-encoding: chunked", "connection: close", "", ""])
            writer.write(head.encode())
            for piece in reply.pieces:
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
        if reply.then == "end":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        elif reply.then in ("hold", "silence"):
            while await reader.read(1000):
                pass
            self.left.set()


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Asked(first.split()[1], headers, json.loads(body))
