from __future__ import annotations

import pytest

from lash.runtime.providers.usage import count, inclusive_usage, refine_output_limit, split_usage
from lash.runtime.sansio.llm import LlmResponse, TerminalReason
from lash.runtime.sansio.usage import TokenUsage


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        (5, 5),
        (5.9, 5),
        ("12", 12),
        ("12.0", 12),
        (-3, 0),
        ("-3", 0),
        (None, 0),
        (True, 0),
        ("many", 0),
        (float("nan"), 0),
        (float("inf"), 0),
        (10**400, 2**53 - 1),
        (1e308, 2**53 - 1),
        ("1e999", 0),
        ("inf", 0),
        ([1], 0),
    ],
)
def test_a_count_is_read_leniently(value: object, tokens: int) -> None:
    assert count(value) == tokens


def test_the_same_prompt_gives_the_same_buckets_on_both_sorts_of_wire() -> None:
    split = split_usage(uncached=10, cached=5, written=3, output=7, reasoning=2)
    assert split == TokenUsage(10, 7, 5, 3, 2)
    assert inclusive_usage(prompt=18, cached=5, written=3, output=7, reasoning=2) == split


def test_a_total_smaller_than_its_parts_leaves_no_uncached_tokens() -> None:
    assert inclusive_usage(prompt=4, cached=5).input_tokens == 0


@pytest.mark.parametrize(
    ("usage", "reason", "refined"),
    [
        (TokenUsage(50, 0, 40, 5), "output_limit", "context_overflow"),
        (TokenUsage(50, 0, 40, 4), "output_limit", "output_limit"),
        (TokenUsage(99, 1), "output_limit", "output_limit"),
        (TokenUsage(99, 0), "stop", "stop"),
    ],
)
def test_an_empty_reply_to_a_prompt_that_fills_the_context_is_an_overflow(
    usage: TokenUsage, reason: TerminalReason, refined: TerminalReason
) -> None:
    response = LlmResponse("", usage=usage, terminal_reason=reason)
    assert refine_output_limit(response, 100).terminal_reason == refined
