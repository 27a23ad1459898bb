"""The dialects against a server on the loopback: splits, drops, errors, silence, cancellation."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from lash.host.providers.openai_profiles import EndpointProfile
from lash.runtime.providers.components import AttemptTrace
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import AnyStreamEvent, LlmResponse, LlmStreamEvent
from lash.testing.clock import FakeClock
from tests.host.providers.dialects import (
    ANTHROPIC,
    CHAT,
    DIALECTS,
    GOOGLE,
    HELLO,
    RESPONSES,
    WITH_EVIDENCE,
    Dialect,
    surviving_text,
)
from tests.host.providers.sse_server import Reply, SseServer

JSON = {"content-type": "application/json"}


@pytest.fixture(params=DIALECTS, ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return request.param


def pieces(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """The data cut anywhere, also within characters and lines."""
    while data:
        size = chance.choice((1, 2, 3, 7, 40, 400))
        yield data[:size]
        data = data[size:]


def until(data: bytes, mark: bytes) -> bytes:
    """The data up to the end of the event in which the mark stands."""
    return data[: data.index(b"\n\n", data.index(mark)) + 2]


async def fails(dialect: Dialect, *replies: Reply) -> ProviderFailure:
    async with SseServer(*replies) as server:
        handle = dialect.handle(server.url, max_attempts=len(replies))
        with pytest.raises(ProviderFailure) as raised:
            await handle.complete(HELLO, lambda event: None)
        await handle.aclose()
    return raised.value


async def test_a_stream_gives_the_same_however_it_is_cut(dialect: Dialect) -> None:
    stream = dialect.stream("thinking_text_tool")
    streams = [[stream], [stream[at : at + 1] for at in range(len(stream))]]
    streams += [list(pieces(stream, random.Random(seed))) for seed in range(6)]
    streams.append(list(pieces(stream.replace(b"\n", b"\r\n"), random.Random(7))))
    outcomes = list[tuple[LlmResponse, list[AnyStreamEvent]]]()
    async with SseServer(*(Reply(cut) for cut in streams)) as server:
        handle = dialect.handle(server.url)
        for _ in streams:
            events = list[AnyStreamEvent]()
            outcomes.append((await handle.complete(HELLO, events.append), events))
        await handle.aclose()
    assert outcomes[0][0].full_text == "Grüße 🌍, ich lese."
    assert all(outcome == outcomes[0] for outcome in outcomes)


async def test_the_request_goes_to_the_api_with_its_key_and_is_not_retried_by_the_sdk(dialect: Dialect) -> None:
    failed = Reply([b'{"error": {"message": "no"}}'], status=500, headers=JSON)
    async with SseServer(failed, failed) as server:
        handle = dialect.handle(server.url, enabled=False)
        with pytest.raises(ProviderFailure):
            await handle.complete(HELLO)
        await handle.aclose()
    (asked,) = server.asked
    if dialect is GOOGLE:
        assert asked.path == "/v1beta/models/model:generateContent"
        assert (asked.headers["x-goog-api-key"], "authorization" in asked.headers) == ("test-key", False)
    else:
        assert (asked.path, asked.headers["authorization"]) == (dialect.path, "Bearer test-key")


async def test_what_an_attempt_showed_before_the_connection_dropped_is_taken_back(dialect: Dialect) -> None:
    events = list[AnyStreamEvent]()
    start = until(dialect.stream("hello"), b'"Hel"')
    async with SseServer(Reply([start], then="drop"), Reply([dialect.stream("hello")])) as server:
        handle = dialect.handle(server.url)
        response = await handle.complete(HELLO, events.append)
        await handle.aclose()
    shown = [event.type for event in events if event.type != "usage_update"]
    assert shown == ["text_delta", "attempt_reset", "retry_status", "text_delta", "text_delta"]
    assert surviving_text(events) == response.full_text == "Hello"
    assert [record.kind for record in response.attempts] == ["transport"]


async def test_a_dropped_connection_leaves_what_had_arrived(dialect: Dialect) -> None:
    failure = await fails(dialect, Reply([until(dialect.stream("hello"), b'"Hel"')], then="drop"))
    assert (failure.kind, failure.retryable) == ("transport", True)
    assert failure.partial is not None
    assert failure.partial.full_text == "Hel"


@pytest.mark.parametrize("dialect", WITH_EVIDENCE, ids=str)
async def test_a_stream_that_ends_too_early_is_truncated(dialect: Dialect) -> None:
    failure = await fails(dialect, Reply([until(dialect.stream("hello"), b'"lo"')]))
    assert (failure.kind, failure.code, failure.retryable) == ("stream", "truncated_stream", True)
    assert failure.partial is not None
    assert failure.partial.full_text == "Hello"


@pytest.mark.parametrize("dialect", WITH_EVIDENCE, ids=str)
async def test_a_stream_of_nothing_is_truncated(dialect: Dialect) -> None:
    assert (await fails(dialect, Reply())).code == "truncated_stream"


async def test_a_drop_after_the_reply_was_complete_does_no_harm(dialect: Dialect) -> None:
    async with SseServer(Reply([dialect.stream("hello").replace(b"data: [DONE]\n\n", b"")], then="drop")) as server:
        handle = dialect.handle(server.url, enabled=False)
        response = await handle.complete(HELLO, lambda event: None)
        await handle.aclose()
    assert (response.full_text, response.usage.output_tokens) == ("Hello", 4)


async def test_a_server_that_does_not_hang_up_after_the_reply_is_left(dialect: Dialect) -> None:
    clock = FakeClock()
    stream = dialect.stream("hello").replace(b"data: [DONE]\n\n", b"")
    async with SseServer(Reply([stream], then="hold")) as server:
        handle = dialect.handle(server.url, clock=clock)
        call = asyncio.create_task(handle.complete(HELLO, lambda event: None))
        while clock.next_due() is None or clock.slept[-1] > 10:
            await asyncio.sleep(0)
        await clock.advance(3)
        assert (await call).full_text == "Hello"
        await server.left.wait()
        await handle.aclose()


async def test_malformed_json_in_a_stream_is_worth_another_attempt(dialect: Dialect) -> None:
    broken = until(dialect.stream("hello"), b'"Hel"') + b'event: x\ndata: {"type": "x", \n\n'
    failure = await fails(dialect, Reply([broken]))
    assert (failure.kind, failure.code, failure.retryable) == ("stream", "malformed_stream", True)
    assert failure.partial is not None
    assert failure.partial.full_text == "Hel"


async def test_an_event_that_is_nested_without_end_is_malformed(dialect: Dialect) -> None:
    failure = await fails(dialect, Reply([b"event: message_start\ndata: " + b"[" * 50_000 + b"\n\n"]))
    assert failure.code == "malformed_stream"


@pytest.mark.parametrize("dialect", WITH_EVIDENCE, ids=str)
async def test_text_that_is_no_utf_8_is_malformed(dialect: Dialect) -> None:
    failure = await fails(dialect, Reply([dialect.stream("hello").replace(b"Hel", b"H\xff")]))
    assert failure.code == "malformed_stream"


@pytest.mark.parametrize("data", [b"5", b"null", b'"text"', b"[1]"])
async def test_an_event_that_is_no_object_is_malformed(dialect: Dialect, data: bytes) -> None:
    assert (await fails(dialect, Reply([b"event: message_start\ndata: " + data + b"\n\n"]))).code == "malformed_stream"


async def test_an_error_in_mid_stream_is_retried_if_the_server_is_busy(dialect: Dialect) -> None:
    events = list[AnyStreamEvent]()
    async with SseServer(Reply([dialect.stream("overloaded")]), Reply([dialect.stream("hello")])) as server:
        handle = dialect.handle(server.url)
        response = await handle.complete(HELLO, events.append)
        await handle.aclose()
    assert surviving_text(events) == response.full_text == "Hello"
    assert [record.message for record in response.attempts] == ["Overloaded"]


async def test_an_error_in_mid_stream_leaves_what_had_arrived(dialect: Dialect) -> None:
    failure = await fails(dialect, Reply([dialect.stream("overloaded")]))
    assert failure.partial is not None
    assert failure.partial.full_text == "Hel"
    assert failure.raw is not None
    assert "Overloaded" in failure.raw


async def test_a_busy_server_that_names_a_time_is_asked_again_then(dialect: Dialect) -> None:
    clock = FakeClock()
    waits = list[float]()
    tasks = set[asyncio.Task[None]]()
    busy = Reply(
        [b'{"error": {"type": "overloaded_error", "message": "Overloaded"}}'], 529, {"retry-after": "7", **JSON}
    )

    def listen(event: AnyStreamEvent) -> None:
        if isinstance(event, LlmStreamEvent.RetryStatus):
            waits.append(event.wait_seconds)
            tasks.add(asyncio.create_task(clock.advance(event.wait_seconds)))

    async with SseServer(busy, Reply([dialect.stream("hello")])) as server:
        handle = dialect.handle(server.url, clock=clock)
        response = await handle.complete(HELLO, listen)
        await handle.aclose()
    assert (response.full_text, waits) == ("Hello", [7])
    assert [(record.kind, record.message) for record in response.attempts] == [("overloaded", "Overloaded")]


async def test_a_rate_limit_with_a_time_costs_no_attempt(dialect: Dialect) -> None:
    limited = Reply([b'{"error": {"message": "slow down"}}'], 429, {"retry-after-ms": "0", **JSON})
    async with SseServer(limited, limited, limited, Reply([dialect.stream("hello")])) as server:
        handle = dialect.handle(server.url, max_attempts=1)
        assert (await handle.complete(HELLO, lambda event: None)).full_text == "Hello"
        await handle.aclose()


async def test_a_server_that_says_no_word_is_given_up_after_the_idle_time(dialect: Dialect) -> None:
    clock = FakeClock()
    async with SseServer(Reply(then="silence")) as server:
        handle = dialect.handle(server.url, clock=clock, enabled=False, idle_timeout_ms=20_000)
        call = asyncio.create_task(handle.complete(HELLO, lambda event: None))
        while not server.asked:
            await asyncio.sleep(0)
        await clock.advance(20)
        with pytest.raises(ProviderFailure) as raised:
            await call
        assert (raised.value.kind, raised.value.code) == ("timeout", "idle_timeout")
        await server.left.wait()
        await handle.aclose()


async def test_every_byte_is_a_sign_of_life_even_if_it_says_nothing(dialect: Dialect) -> None:
    heard = 0
    heard_before = list[int]()

    def received() -> None:
        nonlocal heard
        heard += 1

    ping = b"event: ping\ndata: {}\n\n" if dialect is ANTHROPIC else b":\n\n"
    arriving = iter((b": still here\n\n", ping, dialect.stream("hello")))

    class Body(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            # As with a socket, who reads again goes on where the last reader stopped.
            for piece in arriving:
                heard_before.append(heard)
                yield piece

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        transport = dialect.handle(http_client=client).components.transport
        await transport.complete(HELLO, lambda event: None, AttemptTrace(received))
    # The head of the reply counts, and so does each piece of its body.
    assert (heard_before, heard) == ([1, 2, 3], 4)


async def test_a_json_reply_to_a_request_for_a_stream_is_read(dialect: Dialect) -> None:
    events = list[AnyStreamEvent]()
    async with SseServer(Reply([dialect.whole("hello")], headers=JSON)) as server:
        handle = dialect.handle(server.url, enabled=False)
        response = await handle.complete(HELLO, events.append)
        await handle.aclose()
    assert (response.full_text, response.terminal_reason, response.usage.output_tokens) == ("Hello", "stop", 4)
    assert surviving_text(events) == "Hello"


async def test_a_page_in_place_of_a_reply_is_malformed(dialect: Dialect) -> None:
    failure = await fails(dialect, Reply([b"<html>Welcome</html>"], headers={"content-type": "text/html"}))
    assert (failure.code, failure.raw) == ("malformed_stream", "<html>Welcome</html>")


async def test_a_json_error_with_a_good_status_is_an_error(dialect: Dialect) -> None:
    body = json.dumps({"error": {"type": "rate_limit_error", "message": "slow down"}}).encode()
    failure = await fails(dialect, Reply([body], headers=JSON))
    assert (failure.kind, failure.retryable, failure.message) == ("rate_limit", True, "slow down")


async def test_a_cancelled_call_closes_its_connection(dialect: Dialect) -> None:
    heard = asyncio.Event()
    start = until(dialect.stream("hello"), b'"Hel"')
    async with SseServer(Reply([start], then="hold")) as server:
        handle = dialect.handle(server.url)
        call = asyncio.create_task(handle.complete(HELLO, lambda event: heard.set()))
        await heard.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.left.wait()
        await handle.aclose()


async def test_a_call_cancelled_before_the_head_of_the_reply_closes_its_connection(dialect: Dialect) -> None:
    async with SseServer(Reply(then="silence")) as server:
        handle = dialect.handle(server.url)
        call = asyncio.create_task(handle.complete(HELLO, lambda event: None))
        while not server.asked:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.left.wait()
        await handle.aclose()


async def test_a_listener_that_breaks_ends_the_call_and_closes_its_connection(dialect: Dialect) -> None:
    def listen(event: AnyStreamEvent) -> None:
        raise ValueError("the listener's own fault")

    async with SseServer(Reply([until(dialect.stream("hello"), b'"Hel"')], then="hold")) as server:
        handle = dialect.handle(server.url)
        with pytest.raises(ValueError, match="own fault"):
            await handle.complete(HELLO, listen)
        await server.left.wait()
        await handle.aclose()


async def test_nobody_has_to_listen(dialect: Dialect) -> None:
    whole = dialect in (RESPONSES, GOOGLE)
    reply = Reply([dialect.whole("hello")], headers=JSON) if whole else Reply([dialect.stream("hello")])
    async with SseServer(reply) as server:
        handle = dialect.handle(server.url)
        assert (await handle.complete(HELLO)).full_text == "Hello"
        await handle.aclose()
    assert server.asked[0].body.get("stream", False) is not whole


async def test_a_server_that_is_not_there_is_worth_another_attempt(dialect: Dialect) -> None:
    async with SseServer() as server:
        url = server.url
    handle = dialect.handle(url, max_attempts=2)
    with pytest.raises(ProviderFailure) as raised:
        await handle.complete(HELLO)
    await handle.aclose()
    assert (raised.value.kind, len(raised.value.attempts)) == ("transport", 2)
    assert f"connection to {urlsplit(url).netloc} failed" in str(raised.value)


async def test_a_chat_stream_whose_server_needs_no_finish_reason_may_end_without_one() -> None:
    stream = until(CHAT.stream("hello"), b'"lo"')
    async with SseServer(Reply([stream])) as server:
        handle = CHAT.make(server.url, profile=EndpointProfile(require_finish_reason=False), clock=FakeClock())
        assert (await handle.complete(HELLO)).full_text == "Hello"
        await handle.aclose()
