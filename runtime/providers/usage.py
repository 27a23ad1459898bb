"""From the numbers that a wire reports to `TokenUsage` (providers.md 2), and what follows from them."""

from __future__ import annotations

import math
from dataclasses import replace

from lash.runtime.sansio.llm import LlmResponse
from lash.runtime.sansio.usage import TokenUsage

OVERFLOW_SHARE = 0.95
"""The share of the context that a prompt has to fill before an empty reply is taken for an overflow."""


MOST_TOKENS = 2**53 - 1
"""The largest count that is believed: beyond it not all JSON readers agree on what a number is."""


def count(value: object) -> int:
    """A token count as a wire gives it: numbers and numeric texts, up to a bound; anything else, and below 0, is 0."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0
    if isinstance(value, float) and not math.isfinite(value):
        return 0
    return min(max(0, int(value)), MOST_TOKENS) if isinstance(value, int | float) else 0


def split_usage(
    *, uncached: object = 0, cached: object = 0, written: object = 0, output: object = 0, reasoning: object = 0
) -> TokenUsage:
    """Usage of a wire that counts uncached prompt tokens apart from cached ones."""
    return TokenUsage(count(uncached), count(output), count(cached), count(written), count(reasoning))


def inclusive_usage(
    *, prompt: object = 0, cached: object = 0, written: object = 0, output: object = 0, reasoning: object = 0
) -> TokenUsage:
    """Usage of a wire whose prompt total includes what was read from the cache and written to it."""
    uncached = max(0, count(prompt) - count(cached) - count(written))
    return TokenUsage(uncached, count(output), count(cached), count(written), count(reasoning))


def refine_output_limit(response: LlmResponse, context_tokens: int) -> LlmResponse:
    """A reply that hit its limit before its first token, after a prompt that fills the context, is an overflow."""
    usage = response.usage
    if (
        response.terminal_reason == "output_limit"
        and usage.output_tokens == 0
        and usage.prompt() >= OVERFLOW_SHARE * context_tokens
    ):
        return replace(response, terminal_reason="context_overflow")
    return response
