from __future__ import annotations

import pytest

from lash.runtime.errors import ConfigError
from lash.runtime.providers.models import ModelCatalog, ModelInfo
from lash.testing.clock import FakeClock
from tests.runtime.providers.helpers import scripted

SONNET = ModelInfo(200_000, 64_000)


@pytest.mark.parametrize(
    "spelling",
    [
        "anthropic/claude-sonnet-4-6",
        "anthropic/claude-sonnet-4.6",
        "Anthropic/Claude-Sonnet-4.6",
        "claude-sonnet-4.6",
        "claude-sonnet-4-6-20260115",
        "claude-sonnet-4-6-2026-01-15",
        "claude-sonnet-4.6-latest",
        "openrouter/anthropic/claude-sonnet-4.6",
    ],
)
def test_a_listed_model_is_found_however_it_is_spelled(spelling: str) -> None:
    assert ModelCatalog().lookup(spelling) == SONNET


@pytest.mark.parametrize(
    "name",
    ["claude-sonnet-4-6-mini", "claude-sonnet", "sonnet-4-6", "claude-sonnet-4-6-12345678", "gpt-5.4-ultra", ""],
)
def test_nothing_is_guessed_by_family(name: str) -> None:
    assert ModelCatalog().lookup(name) is None


def test_a_given_entry_wins_over_the_bundled_one_whatever_its_spelling() -> None:
    catalog = ModelCatalog({"claude-sonnet-4.6": ModelInfo(1_000_000)})
    assert catalog.lookup("anthropic/claude-sonnet-4-6-20260115") == ModelInfo(1_000_000)


def test_an_explicit_number_wins_over_both() -> None:
    catalog = ModelCatalog({"claude-sonnet-4-6": ModelInfo(1_000_000, 5)})
    assert catalog.require("claude-sonnet-4-6", 50_000) == ModelInfo(50_000, 5)
    assert catalog.require("nobody/knows", 50_000) == ModelInfo(50_000)


def test_a_dated_entry_is_for_that_date_alone() -> None:
    catalog = ModelCatalog({"acme/m-20250101": ModelInfo(10)})
    assert catalog.lookup("acme/m-20250101") == ModelInfo(10)
    assert catalog.lookup("acme/m") is None
    assert catalog.lookup("acme/m-20250102") is None


def test_a_bare_name_that_two_vendors_sell_with_different_windows_says_too_little() -> None:
    catalog = ModelCatalog({"a/m": ModelInfo(10), "b/m": ModelInfo(20), "a/same": ModelInfo(5), "b/same": ModelInfo(5)})
    assert catalog.lookup("m") is None
    assert catalog.lookup("b/m") == ModelInfo(20)
    assert catalog.lookup("same") == ModelInfo(5)


def test_an_unknown_model_is_named_with_its_three_nearest_and_the_ways_out() -> None:
    with pytest.raises(ConfigError) as raised:
        ModelCatalog().require("claude-sonet-4-6")
    assert raised.value.code == "missing_max_context_tokens"
    message = raised.value.message
    assert "'claude-sonet-4-6'" in message
    assert "max_context_tokens" in message
    assert message.count("anthropic/") == 3
    assert "anthropic/claude-sonnet-4-6" in message


def test_given_ids_are_among_the_nearest() -> None:
    assert ModelCatalog({"acme/zeta-9": ModelInfo(1)}).nearest("acme/zeta-8")[0] == "acme/zeta-9"


@pytest.mark.parametrize("sizes", [(0, None), (-1, None), (True, None), (5, 0)])
def test_sizes_that_are_no_sizes_are_refused(sizes: tuple[int, int | None]) -> None:
    with pytest.raises(ConfigError, match="positive"):
        ModelInfo(*sizes)


def test_every_bundled_id_finds_itself() -> None:
    catalog = ModelCatalog()
    assert len(catalog.ids()) > 20
    assert [name for name in catalog.ids() if catalog.spelling(name) != name] == []


@pytest.mark.parametrize("name", ["", "two words", "tab\there"])
def test_a_name_that_cannot_be_a_models_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        scripted([], FakeClock()).resolve_model(name)
    assert raised.value.code == "invalid_model_name"


def test_a_handle_resolves_a_model_with_its_sizes() -> None:
    spec = scripted([], FakeClock()).resolve_model_spec("gpt-5.4", ModelCatalog())
    assert (spec.model, spec.context, spec.output) == ("gpt-5.4", 400_000, 128_000)
