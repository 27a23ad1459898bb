"""The Gemini API on the wire: addresses, ends of streams, and what else is its own (providers.md 4.6, 8)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from lash.host.providers import register_all
from lash.host.providers.google import GoogleProvider
from lash.runtime.errors import ConfigError
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.registry import ProviderRegistry, Surroundings
from lash.runtime.sansio.llm import Block, LlmMessage, LlmRequest
from lash.testing.clock import FakeClock
from tests.host.providers.dialects import GOOGLE, HELLO
from tests.host.providers.sse_server import Reply, SseServer

SSE = {"content-type": "text/event-stream"}


def chunk(text: str = "", finish: str | None = None) -> bytes:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}]}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\n\n"


async def answered(*chunks: bytes, **reply: Any) -> Any:
    """The response to a call whose stream has these chunks."""
    async with SseServer(Reply(chunks, **reply)) as server:
        handle = GOOGLE.handle(server.url, enabled=False)
        try:
            return await handle.complete(HELLO, lambda event: None)
        finally:
            await handle.aclose()


# Addresses


async def asked_at(model: str, url: str | None = None) -> str:
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return httpx2.Response(200, content=GOOGLE.whole("hello"))

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        handle = GoogleProvider("test-key", base_url=url, http_client=client, clock=FakeClock())
        await handle.complete(LlmRequest(handle.resolve_model(model), HELLO.messages))
    return seen[0].removeprefix("https://generativelanguage.googleapis.com/v1beta/")


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("google/gemini-3.1-pro-preview", "models/gemini-3.1-pro-preview:generateContent"),
        ("gemini-2-5-pro", "models/gemini-2.5-pro:generateContent"),
        ("models/gemini-2.5-pro", "models/gemini-2.5-pro:generateContent"),
        ("tunedModels/my-own", "tunedModels/my-own:generateContent"),
        ("a/b?c#d", "models/a%2Fb%3Fc%23d:generateContent"),
    ],
)
async def test_a_model_is_a_path(model: str, path: str) -> None:
    assert await asked_at(model) == path


@pytest.mark.parametrize("url", ["http://gateway/google", "http://gateway/google/"])
async def test_a_gateway_may_stand_before_the_api(url: str) -> None:
    assert await asked_at("m", url) == "http://gateway/google/v1beta/models/m:generateContent"


async def test_what_no_utf_8_can_carry_is_replaced_wherever_it_stands() -> None:
    bodies: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        return httpx2.Response(200, content=GOOGLE.whole("hello"))

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        options = ProviderOptions(extra_body={"labels": {"a": "\ud83c"}})
        handle = GoogleProvider("test-key", http_client=client, options=options)
        await handle.complete(LlmRequest("m", (LlmMessage("user", (Block.Text("b\ud83c"),)),)))
    body = json.loads(bodies[0])
    assert (body["labels"], body["contents"][0]["parts"]) == ({"a": "\ufffd"}, [{"text": "b\ufffd"}])


# Ends of streams


@pytest.mark.parametrize("chunks", [(chunk("Hel"), chunk("lo")), (chunk("Hel"), chunk("lo", "STOP"))])
async def test_the_end_of_the_bytes_is_the_end_of_the_reply(chunks: tuple[bytes, ...]) -> None:
    response = await answered(*chunks)
    assert (response.full_text, response.terminal_reason) == ("Hello", "stop")


async def test_a_last_chunk_without_a_blank_line_behind_it_is_read() -> None:
    response = await answered(chunk("Hel"), chunk("lo", "MAX_TOKENS").rstrip())
    assert (response.full_text, response.terminal_reason) == ("Hello", "output_limit")


async def test_a_stream_that_ends_within_a_chunk_is_a_failure() -> None:
    with pytest.raises(ProviderFailure) as raised:
        await answered(chunk("Hel"), chunk("lo", "STOP")[:-20])
    assert (raised.value.code, raised.value.retryable) == ("malformed_stream", True)
    assert raised.value.partial is not None
    assert raised.value.partial.full_text == "Hel"


async def test_a_stream_of_nothing_is_an_empty_reply() -> None:
    response = await answered()
    assert (response.parts, response.terminal_reason) == ((), "stop")


async def test_chunks_behind_one_that_names_a_reason_are_read() -> None:
    response = await answered(chunk("Hel", "STOP"), chunk("lo"), chunk("!", "MAX_TOKENS"))
    assert (response.full_text, response.terminal_reason) == ("Hello!", "output_limit")


async def test_a_drop_behind_such_a_chunk_that_was_not_the_last_is_a_failure() -> None:
    with pytest.raises(ProviderFailure) as raised:
        await answered(chunk("Hel", "STOP"), chunk("lo"), then="drop")
    assert (raised.value.kind, raised.value.partial and raised.value.partial.full_text) == ("transport", "Hello")


async def test_events_without_data_are_signs_of_life() -> None:
    assert (await answered(b"event: ping\nid: 1\n\n", chunk("Hello"), b"data:\n\n")).full_text == "Hello"


async def test_bytes_that_are_no_utf_8_are_replaced_as_in_any_event_stream() -> None:
    assert (await answered(chunk("H?").replace(b"?", b"\xff"))).full_text == "H\ufffd"


async def test_a_large_call_arrives_in_one_event() -> None:
    call = {"functionCall": {"name": "write", "args": {"text": "x" * 3_000_000}}}
    data = json.dumps({"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}]}).encode()
    response = await answered(b"data: " + data + b"\n\n")
    (part,) = response.parts
    assert (len(part.input_json), response.terminal_reason) == (3_000_012, "tool_use")


async def test_a_redirection_is_no_reply() -> None:
    with pytest.raises(ProviderFailure) as raised:
        await answered(
            b"moved", status=302, headers={"location": "http://elsewhere.invalid/", "content-type": "text/html"}
        )
    failure = raised.value
    assert (failure.kind, failure.status, failure.retryable) == ("http", 302, False)


async def test_one_client_serves_many_calls_and_can_be_closed_twice() -> None:
    async with SseServer(*(Reply([GOOGLE.stream("hello")]) for _ in range(3))) as server:
        handle = GOOGLE.handle(server.url)
        texts = await asyncio.gather(*(handle.complete(HELLO, lambda event: None) for _ in range(2)))
        await handle.aclose()
        await handle.aclose()
        texts.append(await handle.complete(HELLO, lambda event: None))
        await handle.aclose()
    assert [response.full_text for response in texts] == ["Hello"] * 3


# Specifications


def built(spec: dict[str, Any]) -> ProviderHandle:
    registry = ProviderRegistry(Surroundings(FakeClock()))
    register_all(registry)
    return registry.build(spec)


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "google", "api_key": "k"},
        {"type": "google", "api_key": "k", "base_url": "https://gateway/g", "options": {"max_output_tokens": 5}},
    ],
)
def test_a_specification_makes_a_provider_and_comes_back_out_of_it(spec: dict[str, Any]) -> None:
    handle = built(spec)
    assert (handle.kind, handle.to_spec()) == ("google", spec)
    assert handle.default_model() == "gemini-3.1-pro-preview"


@pytest.mark.parametrize("spec", [{}, {"api_key": "k", "project_id": "p"}, {"api_key": "k", "base_url": "gateway"}])
def test_a_specification_that_does_not_fit_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        built({"type": "google", **spec})
    assert raised.value.code == "invalid_provider_spec"
