"""Keys are sent, and shown nowhere."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from lash.host.providers.anthropic import AnthropicProvider
from lash.host.providers.google import GoogleProvider
from lash.host.providers.openai_chat import OpenAICompatibleProvider
from lash.host.providers.openai_responses import OpenAIProvider
from lash.runtime.errors import ConfigError
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.sansio.values import JsonValue
from lash.testing.clock import FakeClock
from tests.host.providers.dialects import HELLO

KEY = "sk-live-0123456789abcdef"
GATEWAY = "gateway-0123456789"


def made(kind: str, key: str = KEY, **arguments: Any) -> ProviderHandle:
    """A handle with a key, and with another for the gateway before the server."""
    headers = {"X-Api-Key": f"Token {GATEWAY}"}
    settings = {"reliability": {"enabled": False}, "extra_headers": headers}
    arguments = {"options": ProviderOptions.model_validate(settings), "clock": FakeClock(), **arguments}
    match kind:
        case "anthropic":
            return AnthropicProvider(key, **arguments)
        case "openai":
            return OpenAIProvider(key, **arguments)
        case "google":
            return GoogleProvider(key, **arguments)
        case _:
            return OpenAICompatibleProvider("http://server.invalid/v1", api_key=key, **arguments)


class Trace:
    """Keeps what a call reports."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def request_body(self, body: JsonValue) -> None:
        self.lines.append(str(body))

    def provider_event(self, name: str, data: str) -> None:
        self.lines.append(data)

    def attempt_failed(self, attempt: int, failure: ProviderFailure) -> None:
        self.lines.append(f"{failure} {failure.raw} {failure.headers}")


@pytest.fixture(params=["anthropic", "openai", "openai-compatible", "google"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def shows_nothing(*texts: object) -> None:
    shown = "\n".join(str(text) for text in texts)
    assert KEY not in shown
    assert GATEWAY not in shown


async def test_a_server_that_repeats_the_keys_it_refuses_is_not_quoted(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="lash")
    sent = list[httpx2.Headers]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.headers)
        error = {"message": f"the key {KEY} of {GATEWAY} is not valid"}
        return httpx2.Response(401, headers={"x-echo": KEY}, json={"error": error})

    trace = Trace()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(ProviderFailure) as raised:
            await made(kind, http_client=client).complete(HELLO, None, trace)
    failure = raised.value
    sent_key = sent[0]["x-goog-api-key"] if kind == "google" else sent[0]["authorization"].removeprefix("Bearer ")
    assert (sent_key, sent[0]["x-api-key"]) == (KEY, f"Token {GATEWAY}")
    assert failure.message == "the key [redacted] of [redacted] is not valid"
    shows_nothing(repr(failure), failure.raw, failure.headers, failure.request_body, failure.attempts)
    shows_nothing(*traceback.format_exception(failure), failure.to_error(), trace.lines, caplog.text)


async def test_a_connection_that_fails_does_not_show_what_was_to_be_sent(kind: str) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError(f"refused: {request.headers}, {KEY}")

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(ProviderFailure) as raised:
            await made(kind, http_client=client).complete(HELLO)
    assert raised.value.kind == "transport"
    shows_nothing(raised.value, *traceback.format_exception(raised.value))


def test_nothing_of_a_handle_shows_its_keys(kind: str) -> None:
    handle = made(kind)
    parts = handle.components
    shows_nothing(repr(handle), repr(parts), repr(parts.state), repr(parts.auth), repr(handle.options))


def test_the_specification_has_the_key_because_it_has_to_build_an_equal_handle(kind: str) -> None:
    assert made(kind).to_spec()["api_key"] == KEY


@pytest.mark.parametrize("broken", [KEY + "\n", f" {KEY}", KEY + "ü", f"{KEY} {KEY}"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(kind: str, broken: str) -> None:
    with pytest.raises(ConfigError, match="api_key") as raised:
        made(kind, broken)
    assert raised.value.code == "invalid_provider_spec"
    shows_nothing(*traceback.format_exception(raised.value))


@pytest.mark.parametrize("headers", [{"X-Api-Key": KEY + "\n"}, {"X-Api-Key": KEY + "ü"}, {"X Api Key": KEY}])
def test_a_header_that_cannot_be_sent_is_refused_without_being_shown(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="extra_headers") as raised:
        ProviderOptions(extra_headers=headers)
    shows_nothing(raised.value)


@pytest.mark.parametrize("kind_", ["anthropic", "openai", "google"])
def test_a_key_is_needed(kind_: str) -> None:
    with pytest.raises(ConfigError, match="api_key"):
        made(kind_, "")


def test_short_words_are_not_taken_for_secrets() -> None:
    failure = ProviderFailure("http", "the key k is not known")
    assert failure.without(["k", ""]).message == "the key k is not known"
