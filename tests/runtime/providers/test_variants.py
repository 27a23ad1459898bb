from __future__ import annotations

import pytest

from lash.runtime.errors import ConfigError
from lash.runtime.providers.models import ModelCatalog
from lash.runtime.providers.variants import TableModelPolicy, VariantRow, VariantSetting, VariantTable


def adaptive(effort: str) -> VariantSetting:
    return VariantSetting("adaptive", effort)


def effort(name: str) -> VariantSetting:
    return VariantSetting("effort", name)


@pytest.mark.parametrize(
    ("provider", "model", "names", "default"),
    [
        ("anthropic", "claude-opus-4-7", "low medium high xhigh", "xhigh"),
        ("anthropic", "anthropic/claude-opus-4.6", "low medium high max", "max"),
        ("anthropic", "claude-sonnet-4-6-20260101", "low medium high", "high"),
        ("anthropic", "claude-haiku-4-5", "none low medium high", "high"),
        ("anthropic", "claude-opus-4-20250514", "none low medium high", "high"),
        ("openai", "gpt-5.4", "none minimal low medium high xhigh", "medium"),
        ("openai", "gpt-5-2025-08-07", "none minimal low medium high xhigh", "medium"),
        ("openai", "o3", "none minimal low medium high xhigh", "medium"),
        ("openai", "gpt-5.1-codex-mini", "medium high", "medium"),
        ("openrouter", "anthropic/claude-sonnet-4.6", "none minimal low medium high xhigh", "high"),
        ("openrouter", "openai/gpt-5.4", "none minimal low medium high xhigh", "medium"),
        ("google", "google/gemini-3.1-pro-preview", "low medium high", "high"),
        ("google", "gemini-3-pro-preview", "low high", "high"),
        ("google", "gemini-2.5-flash", "high max", "high"),
        ("google", "gemini-2.0-flash", "", None),
        ("openai", "gpt-4.1", "", None),
        ("unheard-of", "gpt-5.4", "", None),
    ],
)
def test_a_model_has_the_variants_of_its_row(provider: str, model: str, names: str, default: str | None) -> None:
    policy = TableModelPolicy(provider)
    assert policy.supported_variants(model) == tuple(names.split())
    assert policy.default_variant(model) == default


@pytest.mark.parametrize(
    ("provider", "model", "variant", "setting"),
    [
        ("anthropic", "claude-opus-4-7", "low", adaptive("low")),
        ("anthropic", "claude-opus-4-7", "max", adaptive("xhigh")),
        ("anthropic", "claude-opus-4-6", "xhigh", adaptive("max")),
        ("anthropic", "claude-sonnet-4-6", "max", adaptive("high")),
        ("anthropic", "claude-sonnet-4-5", "medium", VariantSetting("budget", budget_tokens=4096)),
        ("anthropic", "claude-sonnet-4-5", "none", VariantSetting("none")),
        ("openai", "gpt-5.4", "minimal", effort("low")),
        ("openai", "gpt-5-2025-08-07", "minimal", effort("minimal")),
        ("openai", "gpt-5.1", "xhigh", effort("high")),
        ("openai", "gpt-5.1-codex-mini", "low", effort("medium")),
        ("openai", "gpt-5.5", "none", VariantSetting("none")),
        ("google", "gemini-3.1-pro-preview", "medium", effort("medium")),
        ("google", "gemini-2.5-pro", "max", VariantSetting("budget", budget_tokens=24_576)),
    ],
)
def test_a_variant_reaches_the_wire_as_the_model_takes_it(
    provider: str, model: str, variant: str, setting: VariantSetting
) -> None:
    assert TableModelPolicy(provider).variant_setting(model, variant) == setting


def test_no_variant_is_no_setting() -> None:
    assert TableModelPolicy("openai").variant_setting("gpt-5.4", None) is None


def test_an_unknown_variant_is_refused_with_the_list_of_variants() -> None:
    with pytest.raises(ConfigError, match="low, medium, high, xhigh") as raised:
        TableModelPolicy("anthropic").variant_setting("claude-opus-4-7", "turbo")
    assert raised.value.code == "unknown_variant"


def test_a_variant_of_a_model_without_any_is_refused() -> None:
    with pytest.raises(ConfigError, match="no variants"):
        TableModelPolicy("openai").variant_setting("gpt-4.1", "high")


def test_rows_of_a_host_come_before_the_bundled_ones() -> None:
    row = VariantRow(match=("gpt-5-4",), names=("calm",), default="calm", style="effort")
    policy = TableModelPolicy("openai", variants=VariantTable.bundled().over({"openai": [row]}))
    assert policy.supported_variants("gpt-5.4") == ("calm",)
    assert policy.default_model() == "gpt-5.4"


@pytest.mark.parametrize(
    ("provider", "given", "wire"),
    [
        ("anthropic", "anthropic/claude-sonnet-4.6", "claude-sonnet-4-6"),
        ("anthropic", "claude-sonnet-4-6-20260101", "claude-sonnet-4-6-20260101"),
        ("anthropic", "some-gateway-model-2.1", "some-gateway-model-2.1"),
        ("openai", "openai/gpt-5-4", "gpt-5.4"),
        ("openai", "mistral/large", "mistral/large"),
        ("google", "google/gemini-3-1-pro-preview", "gemini-3.1-pro-preview"),
        ("google", "models/gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("openrouter", "openrouter/anthropic/claude-sonnet-4.6", "anthropic/claude-sonnet-4.6"),
        ("openrouter", "anthropic/claude-sonnet-4.6", "anthropic/claude-sonnet-4.6"),
        ("command", "anything/goes", "anything/goes"),
    ],
)
def test_a_model_is_asked_for_in_the_spelling_of_the_api(provider: str, given: str, wire: str) -> None:
    assert TableModelPolicy(provider).resolve_model(given) == wire


def test_the_model_table_is_asked_with_the_vendor_prefix() -> None:
    assert TableModelPolicy("anthropic").context_lookup_model("claude-x") == "anthropic/claude-x"
    assert TableModelPolicy("anthropic").context_lookup_model("anthropic/claude-x") == "anthropic/claude-x"
    assert TableModelPolicy("command").context_lookup_model("m") == "m"


@pytest.mark.parametrize("provider", ["anthropic", "openai", "google", "openrouter"])
def test_default_models_are_in_the_model_table(provider: str) -> None:
    policy, catalog = TableModelPolicy(provider), ModelCatalog()
    defaults = [policy.default_model(), *(policy.default_agent_model(tier) for tier in ("low", "medium", "high"))]
    assert all(name is not None and catalog.lookup(policy.context_lookup_model(name)) for name in defaults)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"default": "x"}, "'x' is none of the names"),
        ({"clamp": {"max": "x"}}, "'x' is none of the names"),
        ({"style": "budget"}, "needs a budget"),
        ({"colour": "red"}, "openai.variants.0.colour"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(row: dict[str, object], problem: str) -> None:
    whole = {"match": ["m"], "names": ["low"], "default": "low", "style": "effort"} | row
    with pytest.raises(ConfigError, match=problem) as raised:
        VariantTable.parse({"openai": {"variants": [whole]}})
    assert raised.value.code == "invalid_variants"
