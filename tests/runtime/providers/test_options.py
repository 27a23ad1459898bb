from __future__ import annotations

import pytest
from pydantic import ValidationError

from lash.runtime.providers.components import ProviderState
from lash.runtime.providers.options import ProviderOptions, ProviderReliability, ThinkingOptions
from lash.testing.clock import FakeClock
from tests.runtime.providers.helpers import scripted

PROFILE = ProviderReliability(idle_timeout_ms=1_000, attempt_timeout_ms=None)


@pytest.mark.parametrize(
    "document",
    [
        {"reliablity": {}},
        {"reliability": {"retries": 3}},
        {"reliability": {"idle_timeout_ms": 0}},
        {"reliability": {"attempt_timeout_ms": -1}},
        {"reliability": {"max_attempts": 0}},
        {"reliability": {"max_attempts": "4"}},
        {"reliability": {"base_delay_ms": -1}},
        {"thinking": {"exposed": True}},
        {"cache_retention": "forever"},
        {"max_output_tokens": 0},
        {"idle_timeout_ms": 0},
    ],
)
def test_unknown_keys_and_impossible_values_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ProviderOptions.model_validate(document)


def test_defaults_are_left_out_when_options_are_written_down() -> None:
    assert ProviderOptions().serialize() == {}
    options = ProviderOptions(reliability=ProviderReliability(max_attempts=2, jitter_ms=0), max_output_tokens=9)
    assert options.serialize() == {"reliability": {"max_attempts": 2}, "max_output_tokens": 9}


def test_a_bound_that_is_switched_off_is_written_out() -> None:
    options = ProviderOptions(reliability=ProviderReliability(idle_timeout_ms=None))
    assert options.serialize() == {"reliability": {"idle_timeout_ms": None}}


def test_a_profile_fills_what_was_not_given() -> None:
    given = ProviderReliability(max_attempts=7, idle_timeout_ms=300_000)
    effective = given.over(PROFILE)
    assert (effective.max_attempts, effective.idle_timeout_ms, effective.attempt_timeout_ms) == (7, 300_000, None)


def test_what_differs_from_the_profile_survives_a_round_trip() -> None:
    options = ProviderOptions(reliability=ProviderReliability(idle_timeout_ms=300_000))
    state = ProviderState("files", options, {"dir": "d"}, PROFILE)
    document = state.serialize_config()
    assert document == {"dir": "d", "options": {"reliability": {"idle_timeout_ms": 300_000}}}
    again = ProviderState("files", ProviderOptions.model_validate(document["options"]), {"dir": "d"}, PROFILE)
    assert again.options == state.options


def test_setting_the_options_in_force_again_changes_nothing() -> None:
    state = ProviderState("files", ProviderOptions(), {}, PROFILE)
    state.set_options(state.options)
    assert state.serialize_config() == {}


def test_the_output_bound_is_the_requests_else_the_options_else_the_default() -> None:
    assert ProviderOptions(max_output_tokens=5).output_bound(3) == 3
    assert ProviderOptions(max_output_tokens=5).output_bound(None) == 5
    assert ProviderOptions().output_bound(None) == 32_768


def test_a_handle_takes_other_options() -> None:
    provider = scripted([], FakeClock())
    provider.set_options(ProviderOptions(thinking=ThinkingOptions(expose=True)))
    assert provider.options.thinking.expose
    assert provider.to_spec() == {"type": "scripted", "options": {"thinking": {"expose": True}}}
