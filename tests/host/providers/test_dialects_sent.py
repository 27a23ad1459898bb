"""What the dialects send: address, headers, timeouts, what the options add, and what a trace is told of it."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, cast

import httpx2
import pytest

from lash.host.providers.anthropic import AnthropicProvider
from lash.host.providers.google import GoogleProvider
from lash.host.providers.openai_chat import OpenAICompatibleProvider
from lash.host.providers.openai_profiles import OPENROUTER_URL, EndpointProfile
from lash.host.providers.openai_responses import OpenAIProvider
from lash.host.providers.vendor_transport import VendorTransport
from lash.runtime.providers.components import EventSink
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.sansio.llm import Block, LlmAttachment, LlmMessage, LlmRequest
from lash.runtime.sansio.values import JsonValue
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
)
from tests.host.providers.sse_server import Reply, SseServer

SSE = {"content-type": "text/event-stream", "request-id": "req_1"}

PICTURE = LlmAttachment("image/png", "store:1", data=b"png" * 100)

LOOK = LlmRequest("model", (LlmMessage("user", (Block.Text("look"), Block.Image(0))),), attachments=(PICTURE,))


@pytest.fixture(params=DIALECTS, ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return request.param


class Server:
    """Answers everything with the dialect's hello, and keeps what it was asked."""

    def __init__(self, dialect: Dialect) -> None:
        self.asked: list[httpx2.Request] = []
        self._reply = dialect.stream("hello")
        self.client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        return httpx2.Response(200, headers=SSE, content=self._reply)

    @property
    def body(self) -> dict[str, Any]:
        """The body of the last request."""
        return json.loads(self.asked[-1].content)


def made(server: Server, dialect: Dialect, **options: Any) -> ProviderHandle:
    """A handle of a dialect at its vendor's own address."""
    arguments: dict[str, Any] = {
        "options": ProviderOptions.model_validate(options),
        "clock": FakeClock(),
        "http_client": server.client,
    }
    if dialect is ANTHROPIC:
        return AnthropicProvider("test-key", **arguments)
    if dialect is RESPONSES:
        return OpenAIProvider("test-key", **arguments)
    if dialect is GOOGLE:
        return GoogleProvider("test-key", **arguments)
    return OpenAICompatibleProvider(OPENROUTER_URL, api_key="test-key", **arguments)


async def sent(
    dialect: Dialect, request: LlmRequest = HELLO, sink: EventSink | None = lambda event: None, **options: Any
) -> tuple[httpx2.Request, dict[str, Any]]:
    """The request on the wire, and its body."""
    server = Server(dialect)
    await made(server, dialect, **options).complete(request, sink)
    return server.asked[-1], server.body


async def test_each_vendor_is_asked_at_its_own_address(dialect: Dialect) -> None:
    request, _ = await sent(dialect)
    assert (
        str(request.url)
        == {
            ANTHROPIC: "https://api.anthropic.com/v1/messages",
            RESPONSES: "https://api.openai.com/v1/responses",
            CHAT: "https://openrouter.ai/api/v1/chat/completions",
            GOOGLE: "https://generativelanguage.googleapis.com/v1beta/models/model:streamGenerateContent?alt=sse",
        }[dialect]
    )


async def test_addresses_in_the_environment_are_for_others(dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.setenv(variable, "http://elsewhere.invalid")
    for variable in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(variable, "another-key")
    for variable in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(variable, "another-key")
    request, _ = await sent(dialect)
    assert "elsewhere" not in str(request.url)
    if dialect is GOOGLE:
        assert request.headers["x-goog-api-key"] == "test-key"
    else:
        assert request.headers["authorization"] == "Bearer test-key"
    assert "another-key" not in str(request.headers)


@pytest.mark.parametrize("url", ["http://gateway/a/v1", "http://gateway/a/v1/"])
async def test_an_address_may_end_with_a_slash(url: str) -> None:
    chat, messages = Server(CHAT), Server(ANTHROPIC)
    await OpenAICompatibleProvider(url, http_client=chat.client).complete(HELLO)
    await AnthropicProvider("test-key", base_url=url, http_client=messages.client).complete(HELLO)
    assert str(chat.asked[0].url) == "http://gateway/a/v1/chat/completions"
    assert str(messages.asked[0].url) == "http://gateway/a/v1/v1/messages"


async def test_a_server_that_wants_no_key_gets_the_word_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(variable, "of-openai")
    server = Server(CHAT)
    await OpenAICompatibleProvider("http://server/v1", http_client=server.client).complete(HELLO)
    assert server.asked[0].headers["authorization"] == "Bearer none"
    assert {"openai-organization", "openai-project"}.isdisjoint(server.asked[0].headers)


async def test_the_version_of_the_api_is_sent_to_anthropic() -> None:
    request, _ = await sent(ANTHROPIC)
    assert request.headers["anthropic-version"]
    assert "anthropic-beta" not in request.headers


async def test_a_model_that_thinks_on_a_budget_gets_its_beta() -> None:
    request, body = await sent(ANTHROPIC, LlmRequest("claude-haiku-4-5", HELLO.messages, model_variant="low"))
    assert request.headers["anthropic-beta"] == "interleaved-thinking-2025-05-14"
    assert body["thinking"]["budget_tokens"] == 1_024


async def test_extra_headers_are_sent_and_win(dialect: Dialect) -> None:
    request, _ = await sent(dialect, extra_headers={"x-team": "a", "user-agent": "own"})
    assert (request.headers["x-team"], request.headers["user-agent"]) == ("a", "own")


async def test_the_extra_body_is_merged_last(dialect: Dialect) -> None:
    _, body = await sent(dialect, extra_body={"temperature": 0.5, "model": "other", "reasoning": {"effort": "low"}})
    assert (body["temperature"], body["model"], body["reasoning"]) == (0.5, "other", {"effort": "low"})
    assert body.get("stream", False) is (dialect is not GOOGLE)


async def test_options_may_change_between_calls(dialect: Dialect) -> None:
    server = Server(dialect)
    handle = made(server, dialect)
    await handle.complete(HELLO, lambda event: None)
    handle.set_options(ProviderOptions(extra_body={"temperature": 1}))
    await handle.complete(HELLO, lambda event: None)
    assert server.body["temperature"] == 1


@pytest.mark.parametrize(("idle_ms", "read"), [(300_000, 300), (1_500, 1.5), (None, None)])
async def test_the_http_client_has_timeouts_of_its_own(dialect: Dialect, idle_ms: int | None, read: object) -> None:
    request, _ = await sent(dialect, reliability={"idle_timeout_ms": idle_ms})
    assert request.extensions["timeout"] == {"connect": 30, "read": read, "write": 60, "pool": read}


async def test_a_route_of_openrouter_gets_effort_and_cache_marks() -> None:
    request = LlmRequest("anthropic/claude-sonnet-4.6", HELLO.messages, model_variant="high")
    _, body = await sent(CHAT, request)
    assert body["reasoning"] == {"effort": "high"}
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}


async def test_routing_and_affinity_are_sent_where_the_profile_says_so() -> None:
    server = Server(CHAT)
    profile = EndpointProfile(provider_routing={"sort": "price"}, session_affinity=True)
    handle = OpenAICompatibleProvider("http://server/v1", profile=profile, http_client=server.client)
    await handle.complete(LlmRequest("m", HELLO.messages, session_id="s1"))
    assert server.body["provider"] == {"sort": "price"}
    assert server.asked[0].headers["x-session-affinity"] == "s1"


class Trace:
    """Keeps what a call reports."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.events: list[tuple[str, Any]] = []
        self.failed: list[str] = []

    def request_body(self, body: JsonValue) -> None:
        self.bodies.append(body)

    def provider_event(self, name: str, data: str) -> None:
        self.events.append((name, json.loads(data)))

    def attempt_failed(self, attempt: int, failure: ProviderFailure) -> None:
        self.failed.append(failure.message)


async def test_a_trace_gets_the_body_without_images_and_every_event(dialect: Dialect) -> None:
    server, trace = Server(dialect), Trace()
    await made(server, dialect, extra_body={"temperature": 1}).complete(LOOK, lambda event: None, trace)
    (shown,) = trace.bodies
    assert shown.keys() == server.body.keys()
    assert PICTURE.data is not None
    assert "cG5n" in json.dumps(server.body)
    assert "cG5n" not in json.dumps(shown)
    assert [data for _, data in trace.events] == dialect.events("hello")
    assert trace.failed == []


async def test_a_response_names_the_id_of_its_request(dialect: Dialect) -> None:
    server = Server(dialect)
    response = await made(server, dialect).complete(HELLO, lambda event: None)
    assert response.http_summary == "HTTP 200 req_1"


async def test_a_client_that_is_shared_stays_open(dialect: Dialect) -> None:
    server = Server(dialect)
    handle = made(server, dialect)
    await handle.complete(HELLO, lambda event: None)
    await handle.aclose()
    assert not server.client.is_closed
    await handle.complete(HELLO, lambda event: None)


async def test_calls_may_run_at_the_same_time(dialect: Dialect) -> None:
    server = Server(dialect)
    handle = made(server, dialect)
    responses = await asyncio.gather(*(handle.complete(HELLO, lambda event: None) for _ in range(5)))
    assert [response.full_text for response in responses] == ["Hello"] * 5


async def test_one_client_is_made_for_all_calls_and_off_the_loops_thread(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(dialect)
    handle = made(server, dialect)
    transport = cast("VendorTransport", handle.components.transport)
    threads = list[int]()
    make = transport.new_client

    def noted(http_client: httpx2.AsyncClient | None) -> Any:
        threads.append(threading.get_ident())
        return make(http_client)

    monkeypatch.setattr(transport, "new_client", noted)
    await asyncio.gather(*(handle.complete(HELLO, lambda event: None) for _ in range(3)))
    (thread,) = threads
    assert thread != threading.get_ident()


async def test_a_handle_that_was_closed_can_be_used_again() -> None:
    async with SseServer(Reply([CHAT.stream("hello")]), Reply([CHAT.stream("hello")])) as server:
        handle = OpenAICompatibleProvider(f"{server.url}/v1", clock=FakeClock())
        for _ in range(2):
            assert (await handle.complete(HELLO)).full_text == "Hello"
            await handle.aclose()


@pytest.mark.parametrize("dialect", WITH_EVIDENCE, ids=str)
async def test_a_stream_that_is_cut_anywhere_is_worth_another_attempt(dialect: Dialect) -> None:
    stream = dialect.stream("thinking_text_tool")
    evidence = {
        ANTHROPIC: b'{"type":"message_stop"}',
        RESPONSES: b'{"type":"response.completed"',
        CHAT: b'"tool_calls"}',
    }
    end = stream.index(b"\n\n", stream.rindex(evidence[dialect]))
    for cut in range(0, end, 37):

        def answer(request: httpx2.Request, cut: int = cut) -> httpx2.Response:
            return httpx2.Response(200, headers=SSE, content=stream[:cut])

        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
            with pytest.raises(ProviderFailure) as raised:
                await dialect.handle(http_client=client, max_attempts=1).complete(HELLO, lambda event: None)
        assert (raised.value.kind, raised.value.retryable) == ("stream", True)
