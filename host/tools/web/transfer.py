"""HTTP for the backends: answers of bounded size in bounded time, and failures that say what happened."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import httpx2

from lash.runtime.seams.clock import Clock
from lash.runtime.tools.result import ToolError
from lash.runtime.tools.waiting import discard, ended_within

T = TypeVar("T")

TIMEOUT_S: Final = 30.0
"""For a whole call, redirects and the reading of the body included."""

MOST_BYTES: Final = 5 << 20
"""How large a body may be, as it comes and after decompression."""

SHOWN_BYTES: Final = 2048
"""How much of the body of an error is told."""

ENCODINGS: Final = "gzip"
"""What servers may compress with.

Python decompresses it piece by piece up to a limit. Deflate it would, too, but servers do not agree on what that is.
"""

_ERROR_BYTES: Final = 64 << 10
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_BEGINS: Final = b"\x1f"


async def in_time(clock: Clock, who: str, work: Coroutine[Any, Any, T]) -> T:
    """What work gives within the time for a call; ToolError (web_timeout) where it takes longer, and for its errors."""
    task = asyncio.create_task(_with_told_errors(who, work))
    try:
        if await ended_within(clock, TIMEOUT_S, task):
            return task.result()
    finally:
        await discard(task)
    raise _timed_out(who)


async def _with_told_errors(who: str, work: Coroutine[Any, Any, T]) -> T:
    """Failures of the transport as failures of the tool; without their cause, whose request may hold a key."""
    try:
        return await work
    except httpx2.TimeoutException:
        raise _timed_out(who) from None
    except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
        message = f"{who} could not be reached: {type(error).__name__}: {error}"
        raise ToolError(message.rstrip(": "), cls="external", code="web_unreachable", retry="safe") from None


def _timed_out(who: str) -> ToolError:
    return ToolError(f"{who} did not answer within {TIMEOUT_S:g} s", cls="timeout", code="web_timeout", retry="safe")


async def read_body(who: str, response: httpx2.Response, limit: int = MOST_BYTES) -> bytes:
    """The decompressed body. Raises ToolError where it is too large, or cannot be decompressed."""
    declared = response.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(who, limit)
    decode = _decoder(who, response)
    body = bytearray()
    received = 0
    async for chunk in response.aiter_raw():
        received += len(chunk)
        body += decode(chunk, limit + 1 - len(body))
        if received > limit or len(body) > limit:
            raise _too_large(who, limit)
    return bytes(body)


class _Inflater:
    """Decompresses a stream without ever making more than is asked for.

    Several streams in a row are one text; what comes behind a stream and is none is ignored, as `gzip` and browsers do.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._stream = zlib.decompressobj(_GZIP)
        self._over = False

    def __call__(self, data: bytes, most: int) -> bytes:
        made = bytearray()
        try:
            while data and len(made) < most:
                if self._stream.eof:
                    self._over = self._over or not data.startswith(_GZIP_BEGINS)
                    if self._over:
                        break
                    self._stream = zlib.decompressobj(_GZIP)
                made += self._stream.decompress(data, most - len(made))
                data = self._stream.unused_data if self._stream.eof else b""
        except zlib.error:
            raise ToolError(
                f"{self._who} sent a body that cannot be decompressed", cls="external", code="web_malformed"
            ) from None
        return bytes(made)


def _as_it_is(data: bytes, most: int) -> bytes:
    return data


def _decoder(who: str, response: httpx2.Response) -> Callable[[bytes, int], bytes]:
    """What decompresses the pieces of a body, each to so many bytes at most that it may add."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return _as_it_is
    if encoding in ("gzip", "x-gzip"):
        return _Inflater(who)
    raise ToolError(
        f"{who} sent a body compressed as {encoding[:40]!r}, which was not asked for",
        cls="external",
        code="web_malformed",
    )


def _too_large(who: str, limit: int) -> ToolError:
    return ToolError(
        f"{who} sent more than {limit / (1 << 20):g} MiB, which is the most that is read",
        cls="resource_limit",
        code="web_too_large",
    )


async def status_failure(who: str, response: httpx2.Response, secret: str = "") -> ToolError:
    """The failure of an answer that says no: its status and the beginning of its body, without the secret."""
    body = bytearray()
    try:
        decode = _decoder(who, response)
        async for chunk in response.aiter_raw():
            body += decode(chunk, _ERROR_BYTES - len(body))
            if len(body) >= _ERROR_BYTES:
                break
    except (ToolError, httpx2.HTTPError):
        body.clear()  # what matters is the status; a body that cannot be read tells no more
    shown = without_secret(bytes(body), secret)[:SHOWN_BYTES].decode("utf-8", "replace").strip()
    status = response.status_code
    again = status == 429 or status >= 500
    return ToolError(
        f"{who} answered with status {status}" + (f": {shown}" if shown else ""),
        cls="external",
        code="web_status",
        retry="safe" if again else "never",
        retry_after_ms=_retry_after_ms(response) if again else None,
        raw={"status": status},
    )


def without_secret(body: bytes, secret: str) -> bytes:
    """A body in which a secret that the server has echoed is no longer there."""
    return body.replace(secret.encode(), b"[key]") if secret else body


def _retry_after_ms(response: httpx2.Response) -> int | None:
    """What the server asks to wait for, where it says that in seconds."""
    text = response.headers.get("retry-after", "").strip()
    return int(text) * 1000 if text.isascii() and text.isdigit() and len(text) <= 6 else None
