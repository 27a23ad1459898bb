"""Text of others on a screen: cleaned, measured, cut."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.cli.screen import LEAST_WIDTH, PLAIN_WIDTH, Cleaner, Screen, cells, clean, cut, one_line

HOSTILE = st.text(st.sampled_from("ab \n\t\x1b[]31m;?\x07\x9b\\PX\u202e\u0301\u6771\U0001f600\x00\x7f\r"), max_size=60)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPpayload\x1b\\after", "after"),
        ("\x1b(Bplain\x1b=", "plain"),
        ("\x9b2Jgone", "gone"),
        ("a\rb\x08c\x00", "abc"),
        ("dos\r\nlines", "dos\nlines"),
        ("left\u202eright\u2069", "leftright"),
        ("one\u2028two", "onetwo"),
        ("tab\tand\nline", "tab\tand\nline"),
    ],
)
def test_nothing_is_left_that_controls_a_screen(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(HOSTILE)
def test_no_text_brings_a_control_character_through(text: str) -> None:
    assert not set(clean(text)) & set(map(chr, [*range(9), *range(11, 32), *range(127, 160), 0x202E]))


@given(HOSTILE, st.lists(st.integers(0, 60)))
def test_a_text_in_pieces_brings_none_through_either(text: str, places: list[int]) -> None:
    cleaner, cuts = Cleaner(), sorted({0, *(place for place in places if place < len(text)), len(text)})
    shown = "".join(cleaner.feed(text[a:b]) for a, b in itertools.pairwise(cuts))
    assert "\x1b" not in shown


@pytest.mark.parametrize("at", range(1, 14))
def test_a_sequence_that_is_cut_anywhere_is_still_left_out(at: int) -> None:
    text = "a\x1b[38;5;196mred"
    cleaner = Cleaner()
    assert cleaner.feed(text[:at]) + cleaner.feed(text[at:]) == "ared"


def test_a_sequence_that_never_ends_holds_nothing_back_for_ever() -> None:
    cleaner = Cleaner()
    shown = cleaner.feed("\x1b]0;") + "".join(cleaner.feed("x" * 100) for _ in range(10))
    assert len(shown) >= 500


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("東京", 4), ("e\u0301", 1), ("😀!", 3), ("", 0), ("a\u200db", 2)]
)
def test_columns_are_counted_as_a_terminal_does(text: str, width: int) -> None:
    assert cells(text) == width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("東京都", 5, "東京…"),
        ("東京都", 4, "東…"),
        ("東京", 4, "東京"),
    ],
)
def test_a_text_is_cut_at_a_column(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("one", 20, "one"),
        ("one\ntwo", 20, "one (+1 line)"),
        ("one\ntwo\nthree\n", 20, "one (+2 lines)"),
        ("\n\n one\ttwo ", 20, "one two"),
        ("x" * 50, 20, "x" * 19 + "…"),
        ("x" * 50 + "\ny", 20, "xxxxxx… (+1 line)".replace("xxxxxx", "x" * 9)),
        ("", 20, ""),
    ],
)
def test_a_text_becomes_one_line(text: str, width: int, shown: str) -> None:
    assert one_line(text, width) == shown


@given(HOSTILE, st.integers(LEAST_WIDTH, 100))
def test_one_line_is_one_line_and_fits(text: str, width: int) -> None:
    shown = one_line(text, width)
    assert "\n" not in shown
    assert cells(shown) <= width


def test_of_a_text_of_megabytes_only_the_beginning_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counting(text: str) -> str:
        seen.append(len(text))
        return clean(text)

    monkeypatch.setattr("lash.cli.screen.clean", counting)
    assert one_line("x" * 10_000_000, 80) == "x" * 79 + "…"
    assert max(seen) < 10_000


def test_a_stream_that_is_no_terminal_has_no_colours_and_its_own_width() -> None:
    screen = Screen(io.StringIO())
    assert (screen.is_terminal, screen.colours, screen.moves, screen.width) == (False, False, False, PLAIN_WIDTH)
    assert screen.bad("x") == "x"
