"""What can be set on a provider: `ProviderOptions` and, within them, `ProviderReliability` (providers.md 4.3-4.5, 4.8).

Unknown keys are refused. What equals its default is left out when options are written down, so that a configuration
says only what its author decided.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lash.runtime.sansio.values import JsonValue

DEFAULT_MAX_OUTPUT_TOKENS = 32_768
"""What is asked of a wire that needs a bound, where neither request nor options name one."""

Positive = Annotated[int, Field(gt=0, strict=True)]
NotNegative = Annotated[int, Field(ge=0, strict=True)]


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    """The headers; ValueError where HTTP cannot carry one: sent, it would fail with its value in the text."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} has a line break or a character outside ASCII")
    return headers


class _Settings(BaseModel):
    """Base of the settings: frozen, strict about keys, and silent about values, which may be secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ProviderReliability(_Settings):
    """Retry, timeouts and local admission of one provider. Times are milliseconds.

    Retry: at most `max_attempts` per call; the wait before retry i (from 0) is `base_delay_ms * 2**i`, at most
    `max_delay_ms`, plus up to `jitter_ms`; a wait that the server asks for is taken up to `retry_after_cap_ms`. Such
    waits for rate limits cost no attempt until they add up to `throttle_wait_budget_ms`.

    Timeouts, per attempt: `idle_timeout_ms` without a byte, `attempt_timeout_ms` in all; None switches one off.

    Admission: at most `max_concurrency` attempts at once, at most `requests_per_window` begun in a fixed window of
    `request_window_ms`; None is no limit.
    """

    enabled: bool = True
    max_attempts: Positive = 4
    base_delay_ms: NotNegative = 2_000
    max_delay_ms: NotNegative = 10_000
    jitter_ms: NotNegative = 0
    retry_after_cap_ms: NotNegative = 60_000
    throttle_wait_budget_ms: NotNegative = 90_000
    idle_timeout_ms: Positive | None = 300_000
    attempt_timeout_ms: Positive | None = 1_800_000
    max_concurrency: Positive | None = None
    requests_per_window: Positive | None = None
    request_window_ms: Positive = 60_000

    @classmethod
    def disabled(cls) -> ProviderReliability:
        """One attempt, no retry of any sort."""
        return cls(enabled=False)

    def over(self, profile: ProviderReliability) -> ProviderReliability:
        """These settings where they were given, those of `profile` where they were not."""
        return profile.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


class ThinkingOptions(_Settings):
    """What is done with a model's reasoning: `expose` shows it to the listener."""

    expose: bool = False


class ProviderOptions(_Settings):
    """The options of a provider, the same for every kind.

    `max_output_tokens` bounds replies where a request does not. `cache_retention` says how long a prompt prefix stays
    in the provider's cache. `extra_headers` and `extra_body` are merged into each HTTP request last, for what has no
    option of its own.
    """

    reliability: ProviderReliability = ProviderReliability()
    thinking: ThinkingOptions = ThinkingOptions()
    max_output_tokens: Positive | None = None
    cache_retention: Literal["none", "short", "long"] = "short"
    extra_headers: Annotated[dict[str, str], AfterValidator(_sendable)] = Field(
        default_factory=dict[str, str], repr=False
    )
    extra_body: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])

    def over(self, profile: ProviderReliability) -> ProviderOptions:
        """These options with `profile` in place of the reliability settings that were not given."""
        return self.model_copy(update={"reliability": self.reliability.over(profile)})

    def output_bound(self, requested: int | None) -> int:
        """Tokens a reply may have: the request's bound, else these options', else the default of all wires."""
        return requested or self.max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS

    def serialize(self, profile: ProviderReliability | None = None) -> dict[str, JsonValue]:
        """The options as JSON without what equals its default; `profile` is the kind's own default reliability."""
        document: dict[str, JsonValue] = self.model_dump(mode="json", exclude_defaults=True)
        usual = (profile or ProviderReliability()).model_dump(mode="json")
        chosen = {
            name: value for name, value in self.reliability.model_dump(mode="json").items() if value != usual[name]
        }
        document.pop("reliability", None)
        return {"reliability": chosen, **document} if chosen else document
