"""What the tests of the dialects share: requests, the wires' documented streams, and handles for a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx2

from lash.host.providers.anthropic import AnthropicProvider
from lash.host.providers.google import GoogleProvider
from lash.host.providers.openai_chat import OpenAICompatibleProvider
from lash.host.providers.openai_responses import BASE_URL, OpenAIProvider
from lash.host.providers.wire import Decoder
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions, ProviderReliability
from lash.runtime.sansio.llm import (
    AnyStreamEvent,
    Block,
    LlmMessage,
    LlmRequest,
    LlmResponse,
    LlmStreamEvent,
    LlmToolSpec,
)
from lash.testing.clock import FakeClock

FIXTURES = Path(__file__).parents[2] / "fixtures"

HELLO = LlmRequest("model", (LlmMessage("user", (Block.Text("hello"),)),))

READ_FILE = LlmToolSpec("read_file", "Reads a file.", {"type": "object", "properties": {"path": {"type": "string"}}})


def options(**reliability: object) -> ProviderOptions:
    """Options that show reasoning and retry at once."""
    settings = ProviderReliability.model_validate({"base_delay_ms": 0, **reliability})
    return ProviderOptions.model_validate({"reliability": settings, "thinking": {"expose": True}})


class _Redirect(httpx2.AsyncBaseTransport):
    """Sends what is meant for OpenAI's address, which cannot be configured, to a server of the test."""

    def __init__(self, url: str) -> None:
        self._inner = httpx2.AsyncHTTPTransport()
        self._url = url

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert str(request.url).startswith(BASE_URL)
        request.url = httpx2.URL(str(request.url).replace(BASE_URL, f"{self._url}/v1"))
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _anthropic(url: str, **arguments: Any) -> ProviderHandle:
    return AnthropicProvider("test-key", base_url=url, **arguments)


def _responses(url: str, http_client: httpx2.AsyncClient | None = None, **arguments: Any) -> ProviderHandle:
    client = http_client or httpx2.AsyncClient(transport=_Redirect(url))
    return OpenAIProvider("test-key", http_client=client, **arguments)


def _chat(url: str, **arguments: Any) -> ProviderHandle:
    return OpenAICompatibleProvider(f"{url}/v1", api_key="test-key", **arguments)


def _google(url: str, **arguments: Any) -> ProviderHandle:
    return GoogleProvider("test-key", base_url=url, **arguments)


@dataclass(frozen=True)
class Dialect:
    """A dialect: its fixtures' folder, the path it asks, and how a handle for a server at a URL is made."""

    name: str
    path: str
    make: Callable[..., ProviderHandle]

    def __str__(self) -> str:
        return self.name

    def stream(self, name: str) -> bytes:
        """A stream of the wire, as the vendor documents it."""
        return (FIXTURES / "http" / self.name / f"{name}.sse").read_bytes()

    def whole(self, name: str) -> bytes:
        """A reply in one piece."""
        return (FIXTURES / "http" / self.name / f"{name}.json").read_bytes()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The JSON of the events of a stream."""
        lines = self.stream(name).decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]

    def handle(
        self,
        url: str = "http://provider.invalid",
        *,
        clock: FakeClock | None = None,
        http_client: httpx2.AsyncClient | None = None,
        **reliability: object,
    ) -> ProviderHandle:
        """A handle whose waits are on a fake clock."""
        arguments = {"http_client": http_client} if http_client else {}
        return self.make(url, clock=clock or FakeClock(), options=options(**reliability), **arguments)


ANTHROPIC = Dialect("anthropic", "/v1/messages", _anthropic)
RESPONSES = Dialect("openai_responses", "/v1/responses", _responses)
CHAT = Dialect("openai_chat", "/v1/chat/completions", _chat)
GOOGLE = Dialect("google", "/v1beta/models/model:streamGenerateContent?alt=sse", _google)
DIALECTS = (ANTHROPIC, RESPONSES, CHAT, GOOGLE)

WITH_EVIDENCE = (ANTHROPIC, RESPONSES, CHAT)
"""Dialects whose streams say that they are at their end; of the others a clean end of the bytes is enough."""


@dataclass(frozen=True)
class Told:
    """A response, and what was heard on the way to it."""

    response: LlmResponse
    heard: list[AnyStreamEvent]


def surviving_text(events: Sequence[AnyStreamEvent]) -> str:
    """The text deltas that were not taken back."""
    text = ""
    for event in events:
        match event:
            case LlmStreamEvent.TextDelta(text=delta):
                text += delta
            case LlmStreamEvent.AttemptReset():
                text = ""
            case _:
                pass
    return text


def told(decoder: Callable[[Callable[[AnyStreamEvent], None]], Decoder], *events: object) -> Told:
    """What a decoder makes of events; `decoder` makes it from a sink. What ends it as a failure is raised."""
    heard = list[AnyStreamEvent]()
    made = decoder(heard.append)
    for event in events:
        made.event(cast("dict[str, Any]", event))
    return Told(made.response(), heard)
