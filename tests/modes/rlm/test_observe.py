"""How much of a print is shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lash.modes.rlm.config import ObserveBudget
from lash.modes.rlm.observe import MOST_STORED, head_tail, observe, stored


def test_a_text_within_the_limit_is_unchanged() -> None:
    assert head_tail("abcde", 5) == "abcde"


def test_a_limit_of_zero_is_none() -> None:
    assert head_tail("x" * 100_000, 0) == "x" * 100_000


def test_a_long_text_keeps_its_two_ends_and_says_what_is_missing() -> None:
    assert head_tail("HEAD" + "x" * 92 + "TAIL", 9, "history[1].output[0]") == (
        "HEAD\n[… 91 chars hidden; whole: history[1].output[0] …]\nxTAIL"
    )


def test_a_limit_of_one_keeps_the_last_character() -> None:
    assert head_tail("abc", 1) == "\n[… 2 chars hidden …]\nc"


@given(st.text(max_size=60), st.integers(1, 70))
def test_head_and_tail_are_exactly_the_limit(text: str, limit: int) -> None:
    shown = head_tail(text, limit, "h")
    if len(text) <= limit:
        assert shown == text
    else:
        head, tail = text[: limit // 2], text[len(text) - (limit - limit // 2) :]
        assert shown == f"{head}\n[… {len(text) - limit} chars hidden; whole: h …]\n{tail}"


def test_what_is_stored_of_a_print_is_bounded() -> None:
    assert stored("x" * MOST_STORED) == "x" * MOST_STORED
    assert "1 chars hidden" in stored("x" * (MOST_STORED + 1))


def test_a_short_print_is_shown_whole() -> None:
    shown, metrics = observe("a\nb\n", ObserveBudget())
    assert shown == "a\nb\n"
    assert (metrics.truncated, metrics.original_lines, metrics.projected_lines) == (False, 2, 2)


def test_lines_are_cut_before_bytes() -> None:
    shown, metrics = observe("aaaa\nbbbb\ncccc", ObserveBudget(limit=7, max_lines=2))
    assert shown == "aaaa\nbb"
    assert metrics.truncated
    assert (metrics.original_chars, metrics.projected_chars) == (14, 7)
    assert (metrics.original_lines, metrics.projected_lines) == (3, 2)
    assert (metrics.limit, metrics.limit_mode, metrics.max_lines) == (7, "bytes", 2)


def test_a_line_end_after_the_last_line_allowed_is_kept() -> None:
    assert observe("a\nb\n", ObserveBudget(max_lines=2))[0] == "a\nb\n"
    assert observe("a\nb\nc", ObserveBudget(max_lines=2))[0] == "a\nb"


def test_a_budget_in_tokens_counts_four_bytes_for_one() -> None:
    assert observe("x" * 100, ObserveBudget(mode="tokens", limit=2))[0] == "x" * 8


def test_a_character_is_never_cut_in_two() -> None:
    assert observe("aéé", ObserveBudget(limit=4))[0] == "aé"


def test_budgets_of_zero_are_none() -> None:
    text = "line\n" * 10_000
    assert observe(text, ObserveBudget(limit=0, max_lines=0))[0] == text


@given(st.text(alphabet="aé\n😀", max_size=40), st.integers(1, 30), st.integers(1, 5))
def test_what_is_shown_is_a_beginning_within_the_budget(text: str, limit: int, lines: int) -> None:
    shown, metrics = observe(text, ObserveBudget(limit=limit, max_lines=lines))
    assert text.startswith(shown)
    assert len(shown.encode()) <= limit
    assert metrics.projected_lines <= lines
    assert metrics.truncated == (shown != text)
