"""Token counts of model calls (normalised by the providers) and what they are booked under."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one or more model calls. No prompt token is in two of the first three buckets.

    `input_tokens` are uncached prompt tokens, `cached_input_tokens` were read from the provider's cache and
    `cache_write_tokens` written to it. `output_tokens` are all that was generated; `reasoning_tokens` is a part of
    them, for display only.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def prompt(self) -> int:
        """Tokens of the prompt, cached or not."""
        return self.input_tokens + self.cached_input_tokens + self.cache_write_tokens

    def total(self) -> int:
        """All tokens, each counted once."""
        return self.prompt() + self.output_tokens

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    def __sub__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
            self.cached_input_tokens - other.cached_input_tokens,
            self.cache_write_tokens - other.cache_write_tokens,
            self.reasoning_tokens - other.reasoning_tokens,
        )


NO_USAGE = TokenUsage()
"""No tokens at all."""


@dataclass(frozen=True, slots=True)
class TokenLedgerEntry:
    """What one (source, model) pair used in a turn or operation; see `lash.runtime.usage` for the sources."""

    source: str
    model: str
    usage: TokenUsage
