from __future__ import annotations

import pytest

from lash.host.providers import register_all
from lash.runtime.errors import ConfigError
from lash.runtime.providers.registry import ProviderRegistry, Surroundings
from lash.runtime.sansio.values import JsonValue
from lash.testing.clock import FakeClock
from lash.testing.scripted import register_test_kinds
from tests.runtime.providers.helpers import REQUEST


def registry() -> ProviderRegistry:
    registered = ProviderRegistry(Surroundings(FakeClock()))
    register_all(registered)
    register_test_kinds(registered)
    return registered


@pytest.mark.parametrize("spec", [None, [], "scripted", {}, {"type": 3}, {"type": ""}, {"steps": []}])
def test_what_is_no_specification_is_refused(spec: object) -> None:
    with pytest.raises(ConfigError) as raised:
        registry().build(spec)
    assert raised.value.code == "invalid_provider_spec"


def test_an_unknown_kind_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'telepathy'.*command, files") as raised:
        registry().build({"type": "telepathy"})
    assert raised.value.code == "unknown_provider_kind"


def test_a_kind_is_registered_once() -> None:
    registered = registry()
    with pytest.raises(ConfigError) as raised:
        register_test_kinds(registered)
    assert raised.value.code == "duplicate_provider_kind"


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "unconfigured"},
        {"type": "scripted", "steps": ["a", {"text": "b", "chunk": 1}]},
        {"type": "command", "argv": ["model", "--fast"], "concurrent": False, "cwd": "/tmp", "env": {"A": "b"}},
        {"type": "command", "argv": ["model"], "options": {"reliability": {"max_attempts": 2}}},
        {"type": "files", "dir": "here", "options": {"reliability": {"idle_timeout_ms": None}}},
        {"type": "anthropic", "api_key": "k"},
        {"type": "anthropic", "api_key": "k", "base_url": "https://gateway/a", "options": {"cache_retention": "long"}},
        {"type": "openai", "api_key": "k", "options": {"extra_body": {"temperature": 0.5}}},
        {"type": "openai-compatible", "base_url": "http://localhost:8000/v1"},
        {"type": "openai-compatible", "base_url": "http://localhost/v1", "api_key": "k", "profile": "ollama"},
    ],
)
def test_a_specification_survives_the_round_trip(spec: dict[str, JsonValue]) -> None:
    built = registry().build(spec)
    assert built.to_spec() == spec
    assert registry().build(spec) == built


def test_handles_with_other_options_are_not_equal() -> None:
    one = registry().build({"type": "files", "dir": "a"})
    assert one != registry().build({"type": "files", "dir": "b"})
    assert one != registry().build({"type": "unconfigured"})


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"type": "files", "dir": "d", "colour": 1}, "colour"),
        ({"type": "files"}, "dir"),
        ({"type": "command", "argv": []}, "argv"),
        ({"type": "files", "dir": "d", "options": {"idle": 1}}, "options.idle"),
        ({"type": "files", "dir": "d", "options": {"reliability": {"idle_timeout_ms": 0}}}, "idle_timeout_ms"),
        ({"type": "scripted", "steps": [{"what": 1}]}, "steps.0"),
        ({"type": "anthropic"}, "api_key"),
        ({"type": "anthropic", "api_key": "k", "base_url": "gateway"}, "base_url"),
        ({"type": "anthropic", "api_key": "k", "base_url": "https://host:port/"}, "base_url"),
        ({"type": "openai", "api_key": "k", "base_url": "https://other/v1"}, "base_url"),
        ({"type": "openai-compatible", "api_key": "k"}, "base_url"),
        ({"type": "openai-compatible", "base_url": "https:///v1"}, "base_url"),
        ({"type": "openai-compatible", "base_url": "https://host/v1?key=1"}, "base_url"),
        ({"type": "openai-compatible", "base_url": "http://host/v1", "profile": "lm_studio"}, "profile"),
        ({"type": "openai-compatible", "base_url": "http://host/v1", "profile": {"stream": True}}, "profile"),
    ],
)
def test_a_key_that_does_not_fit_is_named_with_its_place(spec: dict[str, JsonValue], where: str) -> None:
    with pytest.raises(ConfigError, match=where) as raised:
        registry().build(spec)
    assert raised.value.code == "invalid_provider_spec"


def test_values_of_a_refused_specification_are_not_shown() -> None:
    with pytest.raises(ConfigError) as raised:
        registry().build({"type": "files", "dir": "d", "api_key": "sk-secret"})
    assert "sk-secret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


async def test_a_script_may_be_written_as_json() -> None:
    clock = FakeClock()
    registered = ProviderRegistry(Surroundings(clock))
    register_test_kinds(registered)
    provider = registered.build(
        {
            "type": "scripted",
            "steps": [
                {"failure": {"kind": "http", "status": 500}, "text": "Hel"},
                {"hang": True},
                {"text": "Hello", "chunk": 2, "usage": {"input_tokens": 4}},
            ],
        }
    )
    response = await clock.run(provider.complete(REQUEST))
    assert (response.full_text, response.usage.input_tokens) == ("Hello", 4)
    assert [record.kind for record in response.attempts] == ["http", "timeout"]
