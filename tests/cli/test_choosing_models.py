"""Which model answers: flags, environment, the session; and what is said where none can."""

from __future__ import annotations

from typing import Any

import pytest

from lash.cli.exits import CliError, Exit
from lash.cli.models import NO_PROVIDER, ModelFlags, choose
from lash.cli.options import PROVIDERS
from lash.host.providers.environment import PROVIDERS as KNOWN
from lash.persistence import PersistedSessionConfig
from tests.cli.conftest import Lash

ANTHROPIC = {"ANTHROPIC_API_KEY": "a"}
OPENAI = {"OPENAI_API_KEY": "o"}
ROUTER = {"OPENROUTER_API_KEY": "r"}
SERVER = {"OPENAI_COMPATIBLE_BASE_URL": "http://localhost:9/v1"}


def chosen(environment: dict[str, str], stored: PersistedSessionConfig | None = None, **flags: Any) -> tuple[Any, ...]:
    one = choose(ModelFlags(**flags), environment, stored)
    return one.label, one.handle.to_spec().get("base_url"), one.model


def refused(environment: dict[str, str], stored: PersistedSessionConfig | None = None, **flags: Any) -> CliError:
    with pytest.raises(CliError) as raised:
        choose(ModelFlags(**flags), environment, stored)
    return raised.value


@pytest.mark.parametrize(
    ("environment", "flags", "expected"),
    [
        (ANTHROPIC, {}, "anthropic"),
        (ANTHROPIC | OPENAI, {"model": "claude-sonnet-4.6"}, "anthropic"),
        (ANTHROPIC | OPENAI, {"model": "gpt-5.4"}, "openai"),
        (ANTHROPIC | OPENAI, {"model": "openai/gpt-5.4"}, "openai"),
        (ANTHROPIC | OPENAI, {"provider": "openai", "model": "gpt-5.4"}, "openai"),
        (ANTHROPIC | OPENAI | {"LASH_PROVIDER": "openai"}, {"model": "new", "max_context_tokens": 9}, "openai"),
        (ANTHROPIC | {"LASH_MODEL": "claude-sonnet-4.6"}, {}, "anthropic"),
        ({"GEMINI_API_KEY": "g"}, {}, "google"),
        (ANTHROPIC | {"GEMINI_API_KEY": "g"}, {"model": "google/gemini-2.5-pro"}, "google"),
        (ANTHROPIC | {"GEMINI_API_KEY": "g"}, {"model": "gemini-2.5-pro"}, "google"),
        (ROUTER, {"model": "anthropic/claude-sonnet-4.6"}, "openrouter"),
        (ANTHROPIC | ROUTER, {"model": "anthropic/claude-sonnet-4.6"}, "anthropic"),
        (ANTHROPIC | ROUTER, {"model": "openrouter/anthropic/claude-sonnet-4.6"}, "openrouter"),
        (SERVER, {"model": "llama", "max_context_tokens": 9}, "openai-compatible"),
        (ANTHROPIC, {"base_url": "http://x/v1", "model": "m", "max_context_tokens": 9}, "openai-compatible"),
    ],
)
def test_the_provider_is_the_one_meant(environment: dict[str, str], flags: dict[str, Any], expected: str) -> None:
    assert chosen(environment, **flags)[0] == expected


def test_the_name_of_a_gateway_is_no_part_of_the_model() -> None:
    assert chosen(ROUTER, model="openrouter/anthropic/claude-sonnet-4.6")[2] == "anthropic/claude-sonnet-4.6"
    assert chosen(ROUTER, model="anthropic/claude-sonnet-4.6")[2] == "anthropic/claude-sonnet-4.6"


def test_a_key_is_never_sent_to_a_server_that_it_is_not_for() -> None:
    one = choose(ModelFlags(base_url="http://x/v1", model="m", max_context_tokens=9), OPENAI | ANTHROPIC, None)
    assert one.handle.to_spec().get("api_key") in (None, "")


def test_a_base_url_goes_to_the_provider_that_was_named() -> None:
    assert chosen(ANTHROPIC, provider="anthropic", base_url="http://x") == ("anthropic", "http://x", "claude-opus-4-7")


def test_a_bound_of_replies_reaches_the_provider() -> None:
    one = choose(ModelFlags(max_output_tokens=77), ANTHROPIC, None)
    assert one.handle.options.max_output_tokens == 77


def test_help_lists_the_providers_that_there_are() -> None:
    assert tuple(KNOWN) == PROVIDERS


# --- sessions that have run ------------------------------------------------------------------------


def test_a_session_keeps_its_provider_and_model() -> None:
    stored = PersistedSessionConfig("rlm", "openai", "gpt-5.4", "high", 400_000)
    assert chosen(ANTHROPIC | OPENAI, stored)[0] == "openai"


def test_a_session_can_be_given_another_model() -> None:
    stored = PersistedSessionConfig("rlm", "openai", "gpt-5.4", None, 400_000)
    assert chosen(ANTHROPIC | OPENAI, stored, model="claude-sonnet-4.6")[::2] == ("anthropic", "claude-sonnet-4.6")


def test_the_model_of_the_environment_is_for_new_sessions() -> None:
    stored = PersistedSessionConfig("rlm", "openai", "gpt-5.4", None, 400_000)
    assert chosen(OPENAI | {"LASH_MODEL": "gpt-5.2"}, stored)[2] == "gpt-5.4"


@pytest.mark.parametrize(
    ("kind", "way"), [("command", "command:ARGV"), ("files", "files:DIR"), ("openai", "OPENAI_API_KEY")]
)
def test_a_session_whose_provider_is_gone_says_how_to_name_it(kind: str, way: str) -> None:
    error = refused({}, PersistedSessionConfig("rlm", kind, "m", None, 1000))
    assert error.code == Exit.NO_PROVIDER
    assert way in str(error)


# --- what cannot be --------------------------------------------------------------------------------


def test_without_any_model_the_ways_to_one_are_listed(lash: Lash) -> None:
    ran = lash("-p", "hi")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == f"lash: {NO_PROVIDER.format(path=lash.home / 'config.toml')}\n"
    for way in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "--base-url", "command:", "files:DIR"):
        assert way in ran.err


def test_a_missing_key_is_named() -> None:
    error = refused({}, provider="anthropic")
    assert (error.code, "ANTHROPIC_API_KEY" in str(error)) == (Exit.NO_PROVIDER, True)


@pytest.mark.parametrize("environment", [{}, ANTHROPIC])
@pytest.mark.parametrize("model", ["openai/gpt-5.4", "gpt-5.4"])
def test_a_model_is_not_sent_to_another_vendor(environment: dict[str, str], model: str) -> None:
    error = refused(environment, model=model)
    assert (error.code, "OPENAI_API_KEY" in str(error)) == (Exit.NO_PROVIDER, True)


def test_a_gateway_takes_models_of_every_vendor() -> None:
    assert chosen(ROUTER, model="openai/gpt-5.4")[::2] == ("openrouter", "openai/gpt-5.4")


def test_an_unknown_model_is_told_with_three_neighbours_and_the_flag() -> None:
    error = refused(ANTHROPIC, model="claude-sonet-5")
    assert error.code == Exit.USAGE
    assert "--max-context-tokens" in str(error)
    assert str(error).count("anthropic/claude-sonnet-") == 3


@pytest.mark.parametrize(
    ("environment", "flags", "said"),
    [
        (ANTHROPIC | OPENAI, {}, "several providers can be used (anthropic, openai)"),
        (ANTHROPIC, {"provider": "antropic"}, "Did you mean anthropic?"),
        (ANTHROPIC, {"variant": "huge"}, "choose one of"),
        (SERVER, {}, "--model"),
        (SERVER, {"model": "a b", "max_context_tokens": 9}, "no blanks"),
        ({}, {"provider": "command:"}, "names no command"),
        ({}, {"provider": "command:'x"}, "split into words"),
        ({}, {"provider": "files:"}, "names no directory"),
        (OPENAI, {"provider": "openai", "base_url": "http://x"}, "--provider openai-compatible"),
        ({}, {"base_url": "nowhere", "model": "m", "max_context_tokens": 9}, "base_url"),
    ],
)
def test_what_cannot_be_chosen_is_told(environment: dict[str, str], flags: dict[str, Any], said: str) -> None:
    error = refused(environment, **flags)
    assert error.code == Exit.USAGE
    assert said in str(error)


def test_a_message_never_holds_a_key() -> None:
    error = refused({"ANTHROPIC_API_KEY": "very-secret"}, base_url="no address", provider="anthropic")
    assert "very-secret" not in str(error)
