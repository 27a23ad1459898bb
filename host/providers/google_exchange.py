"""One attempt at the Gemini API over HTTP alone: the request, the reading of its reply, and what went wrong.

There is no SDK below it, so what `exchange.py` leaves to one is done here with `httpx2`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Final, cast

import httpx2

from lash.host.providers.exchange import (
    LINGER_S,
    NETWORK,
    UNREADABLE,
    count_bytes,
    is_event_stream,
    network_failure,
    read_whole,
    refused,
    summary,
    unconnected,
)
from lash.host.providers.wire import Decoder, JsonObject, malformed, truncated
from lash.runtime.providers.attempt import TimeIsUp, within
from lash.runtime.providers.components import AttemptTrace
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import LlmResponse
from lash.runtime.seams.clock import Clock

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""How large one event may be: calls come whole, with all that they write into a file."""


@dataclass(frozen=True, slots=True, repr=False)
class Post:
    """A request that is sent: where to, with which headers and which body. Headers and address may be secret."""

    url: str
    headers: httpx2.Headers
    content: bytes
    timeout: httpx2.Timeout


async def send(client: httpx2.AsyncClient, post: Post, trace: AttemptTrace) -> httpx2.Response:
    """The head of the reply; the caller closes it. ProviderFailure where there is none, or its status is an error."""
    try:
        request = client.build_request(
            "POST", post.url, headers=post.headers, content=post.content, timeout=post.timeout
        )
    except httpx2.InvalidURL as error:
        raise malformed(f"an address that is none: {error}") from error
    try:
        http = await client.send(request, stream=True)
    except httpx2.TimeoutException as error:
        raise network_failure(error) from error
    except NETWORK as error:
        raise unconnected(request, error) from error
    trace.received()
    count_bytes(http, trace)
    if http.is_success:
        return http
    try:
        await http.aread()
    except NETWORK as error:
        raise network_failure(error) from error
    finally:
        await http.aclose()
    raise refused(http)


async def exchange(
    client: httpx2.AsyncClient, post: Post, decoder: Decoder, trace: AttemptTrace, clock: Clock
) -> LlmResponse:
    """Send a request and read its reply into the decoder.

    Returns the decoder's response. Raises ProviderFailure, with what had arrived as `partial`.
    """
    try:
        async with AsyncExitStack() as stack:
            http = await send(client, post, trace)
            stack.push_async_callback(http.aclose)
            if is_event_stream(http):
                source = httpx2.EventSource(_ended(http), MAX_EVENT_BYTES)
                events = cast("AsyncGenerator[httpx2.ServerSentEvent, None]", aiter(source))
                await _read_stream(await stack.enter_async_context(aclosing(events)), decoder, trace, clock)
            else:
                read_whole(await http.aread(), decoder, trace)
        return replace(decoder.response(), http_summary=summary(http))
    except ProviderFailure as failure:
        if failure.request_body is None:
            raise failure.replace(request_body=trace.sent_body) from failure.__cause__
        raise
    except (*NETWORK, *UNREADABLE) as error:
        raise network_failure(error, decoder.partial()).replace(request_body=trace.sent_body) from error


class _Ended(httpx2.AsyncByteStream):
    """The decoded bytes of an event stream, and a blank line behind them."""

    def __init__(self, http: httpx2.Response) -> None:
        self._http = http

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._http.aiter_bytes():
            yield chunk
        yield b"\n\n"


def _ended(http: httpx2.Response) -> httpx2.Response:
    """The response with a blank line at its end.

    What no blank line ends is no event, and would be left out without a word: the last chunk of a careless server, or
    one that was cut. So the former is read, and the latter found to be no JSON.
    """
    headers = {"content-type": http.headers["content-type"]}
    return httpx2.Response(http.status_code, headers=headers, stream=_Ended(http), request=http.request)


async def _read_stream(
    events: AsyncGenerator[httpx2.ServerSentEvent, None], decoder: Decoder, trace: AttemptTrace, clock: Clock
) -> None:
    """Read events to the end of the stream.

    A chunk that names a reason for the end is as a rule the last, so silence or a broken connection after it is the
    end. Some servers name one in every chunk: as long as more come, they are read.
    """
    async for event in events:
        _take(event, decoder, trace)
        if decoder.complete:
            break
    else:
        return
    heard = clock.monotonic()

    async def rest() -> None:
        nonlocal heard
        async for event in events:
            _take(event, decoder, trace)
            heard = clock.monotonic()

    try:
        await within(clock, rest(), lambda: heard + LINGER_S if decoder.complete else None)
    except NETWORK:
        if not decoder.complete:
            raise
    except TimeIsUp:
        if not decoder.complete:
            # What had just begun to come is no end.
            raise truncated("a finishReason", decoder.partial()) from None


def _take(event: httpx2.ServerSentEvent, decoder: Decoder, trace: AttemptTrace) -> None:
    """Give an event to the decoder, as the JSON object that it has to be; events without data are signs of life."""
    if not event.data.strip():
        return
    value: object = json.loads(event.data)
    if not isinstance(value, dict):
        raise malformed("an event is no JSON object", decoder.partial(), raw=event.data)
    trace.event("chunk", event.data)
    decoder.event(cast("JsonObject", value))
