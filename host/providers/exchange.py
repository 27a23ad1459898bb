"""One attempt on the wire by way of a vendor's SDK: reading the reply, and what its exceptions mean.

Both SDKs are made by one generator: their response, stream and exception classes have the same names and members, so
one function reads them all. It does what the SDKs leave open. It counts bytes below their parsers, which swallow pings.
It looks at the content type, because their iterators take a JSON reply for a stream of no events. It knows that the
end of the bytes is not the end of a reply. And it closes the response however the reading ends, cancellation included.

What needs no SDK but HTTP alone is public, and serves `google_exchange.py` as well.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from types import ModuleType
from typing import Any, cast

import anyio
import httpx2

from lash.host.providers.wire import Decoder, malformed, obj, read_error, reported_failure
from lash.runtime.providers.attempt import TimeIsUp, within
from lash.runtime.providers.components import AttemptTrace
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderReliability
from lash.runtime.sansio.llm import LlmResponse
from lash.runtime.seams.clock import Clock

CONNECT_S = 30.0
"""How long connecting may take."""

WRITE_S = 60.0
"""How long a part of the request may take to be sent."""

LINGER_S = 2.0
"""How long a complete reply waits for what may follow: usage, and the end of the stream, which frees the connection."""


def timeouts(reliability: ProviderReliability) -> httpx2.Timeout:
    """The timeouts of the HTTP client. The handle's own timers stand above them; these end a dead connection."""
    idle_ms = reliability.idle_timeout_ms
    idle_s = None if idle_ms is None else idle_ms / 1000
    return httpx2.Timeout(connect=CONNECT_S, read=idle_s, write=WRITE_S, pool=idle_s)


UNREADABLE = (ValueError, RecursionError)
"""What the parsers of JSON and UTF-8 raise: for what is neither, and for what is nested without end."""

NETWORK = (httpx2.HTTPError, httpx2.StreamError, anyio.EndOfStream, OSError)
"""What the HTTP client raises when the network fails it."""


class _CountedStream(httpx2.AsyncByteStream):
    """A response's bytes, reported to the trace as they arrive."""

    def __init__(self, inner: httpx2.AsyncByteStream, trace: AttemptTrace) -> None:
        self._inner = inner
        self._trace = trace

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._trace.received()
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def count_bytes(http: httpx2.Response, trace: AttemptTrace) -> None:
    """Report the bytes of a response to the trace from now on, those that say nothing included."""
    if isinstance(http.stream, httpx2.AsyncByteStream):
        http.stream = _CountedStream(http.stream, trace)


def is_event_stream(http: httpx2.Response) -> bool:
    """Whether the response is a stream of events, and not one JSON object or something else."""
    return "text/event-stream" in http.headers.get("content-type", "").lower()


def summary(http: httpx2.Response) -> str:
    """The status of a response, and the id under which the vendor's support finds it."""
    request_id = http.headers.get("request-id") or http.headers.get("x-request-id") or ""
    return f"HTTP {http.status_code} {request_id}".rstrip()


async def exchange(
    opening: AbstractAsyncContextManager[Any], decoder: Decoder, trace: AttemptTrace, clock: Clock, sdk: ModuleType
) -> LlmResponse:
    """Send a request and read its reply into the decoder.

    `opening` is what `with_streaming_response` of the SDK returned; `sdk` the module whose exceptions it raises.
    Returns the decoder's response. Raises ProviderFailure, with what had arrived as `partial`.
    """
    try:
        async with opening as reply:
            http = cast("httpx2.Response", reply.http_response)
            trace.received()
            count_bytes(http, trace)
            if is_event_stream(http):
                async with aclosing(cast("AsyncGenerator[Any, None]", aiter(await reply.parse()))) as events:
                    await _read_stream(events, decoder, trace, clock, sdk)
            else:
                read_whole(await http.aread(), decoder, trace)
        return replace(decoder.response(), http_summary=summary(http))
    except ProviderFailure as failure:
        if failure.request_body is None:
            raise failure.replace(request_body=trace.sent_body) from failure.__cause__
        raise
    except (sdk.APIError, *NETWORK, *UNREADABLE) as error:
        raise failure_of(error, sdk, decoder.partial()).replace(request_body=trace.sent_body) from error


async def _read_stream(
    events: AsyncGenerator[Any, None], decoder: Decoder, trace: AttemptTrace, clock: Clock, sdk: ModuleType
) -> None:
    """Read events until the reply is complete, then those that follow within `LINGER_S`."""
    async for event in events:
        _take(event, decoder, trace)
        if decoder.complete:
            break
    else:
        return
    end = clock.monotonic() + LINGER_S

    async def rest() -> None:
        async for event in events:
            _take(event, decoder, trace)

    try:
        await within(clock, rest(), lambda: end)
    except (TimeIsUp, sdk.APIConnectionError, *NETWORK):
        # The reply was complete before; how its connection ended is no part of it.
        return


def _take(event: Any, decoder: Decoder, trace: AttemptTrace) -> None:
    """Give an event of the SDK to the decoder, as the JSON that it was."""
    if not hasattr(event, "to_dict"):
        raise malformed("an event is no JSON object", decoder.partial(), raw=repr(event))
    # Unset members are left out, unknown ones kept: this is the event as it was sent.
    data = obj(event.to_dict(mode="json", warnings=False))
    if trace.call is not None:
        trace.event(str(data.get("type") or data.get("object") or "event"), json.dumps(data, ensure_ascii=False))
    decoder.event(data)


def read_whole(body: bytes, decoder: Decoder, trace: AttemptTrace) -> None:
    """Read a reply that is one JSON object into the decoder; ProviderFailure where it is none, or an error."""
    text = body.decode("utf-8", "replace")
    trace.event("reply", text)
    try:
        value: object = json.loads(text)
    except UNREADABLE:
        raise malformed("neither an event stream nor JSON", raw=text) from None
    if obj(value).get("error"):
        raise reported_failure(value)
    if not isinstance(value, dict):
        raise malformed("no JSON object", raw=text)
    decoder.reply(obj(cast("object", value)))


def failure_of(error: Exception, sdk: ModuleType, partial: LlmResponse | None = None) -> ProviderFailure:
    """An exception of the SDK, of the HTTP client below it or of a parser, as a failure to be classified."""
    if isinstance(error, sdk.APIStatusError):
        # An error event comes with the status of its stream, 200.
        http, body = cast("httpx2.Response", cast("Any", error).response), cast("Any", error).body
        return refused(http, partial) if http.status_code >= 400 else reported_failure(body, partial)
    if isinstance(error, sdk.APITimeoutError):
        return ProviderFailure("timeout", _say(error), partial=partial)
    if isinstance(error, sdk.APIConnectionError):
        request = cast("httpx2.Request", cast("Any", error).request)
        return unconnected(request, error.__cause__ or error, partial)
    if isinstance(error, sdk.APIResponseValidationError):
        return malformed(str(error), partial)
    if isinstance(error, sdk.APIError):
        return reported_failure({"error": cast("Any", error).body}, partial)
    return network_failure(error, partial)


def network_failure(error: Exception, partial: LlmResponse | None = None) -> ProviderFailure:
    """An exception of the HTTP client or of a parser, as a failure to be classified."""
    if isinstance(error, httpx2.TimeoutException):
        return ProviderFailure("timeout", _say(error), partial=partial)
    if isinstance(error, UNREADABLE):
        return malformed(_say(error), partial)
    return ProviderFailure("transport", _say(error), partial=partial)


def refused(http: httpx2.Response, partial: LlmResponse | None = None) -> ProviderFailure:
    """The failure behind an HTTP status; the response has been read."""
    text = http.text
    try:
        body: object = json.loads(text)
    except UNREADABLE:
        body = None
    message, code = read_error(body)
    return ProviderFailure(
        "http",
        message or f"HTTP {http.status_code} {http.reason_phrase}".rstrip(),
        status=http.status_code,
        code=code,
        raw=text,
        headers=http.headers,
        partial=partial,
    )


def unconnected(request: httpx2.Request, error: BaseException, partial: LlmResponse | None = None) -> ProviderFailure:
    """Which server could not be reached, or was lost, and how; never its whole address, which may hold a password."""
    where = request.url.netloc.decode("ascii", "replace")
    return ProviderFailure("transport", f"the connection to {where} failed: {_say(error)}", partial=partial)


def _say(error: BaseException) -> str:
    """Type and text of an exception; many of the network's have no text."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
