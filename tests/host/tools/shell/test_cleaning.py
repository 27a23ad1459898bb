"""From bytes to clean text, whole and in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.host.tools.shell.cleaning import OPEN_LINE, OPEN_SEQUENCE, Cleaner


def clean(*pieces: bytes) -> str:
    cleaner = Cleaner()
    return "".join(cleaner.feed(piece) for piece in pieces) + cleaner.finish()


CASES = [
    (b"plain\ttext\n", "plain\ttext\n"),
    (b"\x1b[1;31mred\x1b[0m\n", "red\n"),
    (b"\x1b]0;title\x07text", "text"),
    (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
    (b"\x1bPsixel\x1b\\after", "after"),
    (b"\x1b(B\x1b[mnormal", "normal"),
    (b"\x1b7saved\x1b8", "saved"),
    (b"a\r\nb\r\n", "a\nb\n"),
    (b"10%\r20%\r\n", "10%\n20%\n"),
    (b"a\r\r\nb", "a\nb"),
    (b"end\r", "end\n"),
    (b"a\r\x1b[m\nb", "a\nb"),
    (b"a\r\x1b\nb", "a\nb"),
    (b"a\r\x00\nb", "a\nb"),
    (b"abc\b\bX", "aX"),
    (b"N\bNA\bA", "NA"),
    (b"\b\bx\n\by", "x\ny"),
    (b"be\x07ll\x00\x0b\x0c\x7f", "bell"),
    ("\u0085\u009b31mx".encode(), "x"),
    ("\u009d0;title\u009ctext \u0090sixel\x1b\\after".encode(), "text after"),
    (b"\x1b]0;given up\x18text", "text"),
    (b"\x1b]0;given up\x1b[1mtext", "text"),
    (b"\x1b]" + b"x" * OPEN_SEQUENCE + b"\x07text", "text"),
    (b"\x1b]" + b"x" * (OPEN_SEQUENCE + 1) + b"\x07text", "x" * (OPEN_SEQUENCE + 1) + "text"),
    (b"\x1b[" + b"1" * (OPEN_SEQUENCE + 1) + b"mtext", "1mtext"),
    ("ä€😀".encode(), "ä€😀"),
    (b"\xff\xfe", "\ufffd\ufffd"),
    (b"\xe2\x82", "\ufffd"),
    (b"cut\x1b[3", "cut"),
    (b"broken\x1b[3\nnext", "broken\nnext"),
    (b"\x1b\x1b[1mx", "x"),
    (b"", ""),
]


@pytest.mark.parametrize(("data", "text"), CASES)
def test_output_is_cleaned(data: bytes, text: str) -> None:
    assert clean(data) == text


@pytest.mark.parametrize(("data", "text"), CASES)
def test_byte_by_byte_gives_the_same(data: bytes, text: str) -> None:
    assert clean(*(data[at : at + 1] for at in range(len(data)))) == text


@given(
    st.lists(
        st.sampled_from([b"a", b"\n", b"\r", b"\b", b"\x1b", b"[", b"]", b"3", b"m", b"\x07", b"\\", b"\xc3", b"\xa4"])
    ),
    st.data(),
)
def test_where_the_output_is_split_makes_no_difference(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert clean(*pieces) == clean(whole)


def test_a_sequence_that_never_ends_is_shown_in_the_end() -> None:
    assert clean(b"\x1b]" + b"x" * (2 * OPEN_SEQUENCE), b" and text\n") == "x" * (2 * OPEN_SEQUENCE) + " and text\n"


def test_a_line_is_held_back_no_longer_than_a_backspace_reaches() -> None:
    cleaner = Cleaner()
    assert len(cleaner.feed(b"x" * (OPEN_LINE + 10))) == 10


def test_what_was_shown_is_not_taken_back() -> None:
    cleaner = Cleaner()
    assert cleaner.feed(b"Name? ") == ""
    assert cleaner.take_open() == "Name? "
    assert cleaner.feed(b"\b\bx\n") == "x\n"


HOSTILE = {
    "carriage returns": b"\r" * 300_000 + b"x",
    "escapes": b"\x1b" * 300_000,
    "beginnings of sequences": b"\x1b[" * 150_000,
    "backspaces": b"a\b" * 150_000,
    "beginnings of titles": b"\x1b]" * 150_000,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_output_is_cleaned_in_one_pass(data: bytes) -> None:
    pieces = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
    assert len(clean(*pieces)) <= len(data)
