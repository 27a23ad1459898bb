"""Values on the screen: whole where they fit, cut where not, and saying what was left out."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lashlang
from lashlang.repl.display import MOST_LINES, preview, printable, show
from lashlang.values import Image, Value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (9007199254740993, "9007199254740993"),
        (1.5, "1.5"),
        (1e20, "100000000000000000000"),
        (2.0**60, "1152921504606846976"),
        (1e-7, "0.0000001"),
        (float("inf"), "inf"),
        (float("nan"), "NaN"),
        ('a"\n', '"a\\"\\n"'),
        ("ü😀", '"ü😀"'),
        ([], "[]"),
        ({}, "{}"),
        ({"a b": [1, {"c": None}]}, '{"a b": [1, {"c": null}]}'),
    ],
)
def test_a_small_value_is_one_line_of_json(value: Value, shown: str) -> None:
    assert show(value) == shown


def test_numbers_are_written_as_the_language_writes_them() -> None:
    for number in (1e22, 1.5e300, 5e-324, 0.1, 123456789.125, -2.5e-8, 2.0**63):
        assert show(number) == lashlang.Machine().run(f"submit to_string({number!r})").value


def test_an_image_is_shown_by_its_fields() -> None:
    assert json.loads(show(Image("i", "a label", 10))) == Image("i", "a label", 10).to_json()


@pytest.mark.parametrize("char", ["\x1b", "\x07", "\x7f", "\x9b", "\u202e", "\u2028"])
def test_nothing_in_a_value_controls_the_screen(char: str) -> None:
    assert char not in show([char, {char: char}])
    assert json.loads(show(char)) == char
    assert char not in printable(f"a{char}b")


def test_printing_keeps_line_feeds_and_tabs() -> None:
    assert printable("a\n\tb\x00") == "a\n\tb\\u0000"


def test_a_long_text_is_cut_and_says_by_how_much() -> None:
    shown = show("x" * 5000)
    kept = re.fullmatch(r'"(x+)"… \(([\d,]+) more\)', shown)
    assert kept is not None
    assert len(kept[1]) + int(kept[2].replace(",", "")) == 5000


@pytest.mark.parametrize(
    "value", [list(range(100_000)), {f"k{n}": n for n in range(5000)}, [[n] * 9 for n in range(999)]]
)
def test_a_long_container_is_cut_and_says_by_how_much(value: list[Value] | dict[str, Value]) -> None:
    lines = show(value).split("\n")
    left_out = re.fullmatch(r"  … \(([\d,]+) more\)", lines[-2])
    assert left_out is not None
    assert 0 < int(left_out[1].replace(",", "")) < len(value)
    assert len(lines) <= MOST_LINES + 3


def test_the_rest_is_counted_from_the_true_size_where_only_the_beginning_is_known() -> None:
    assert "997 more" in show([1, 2, 3], size=1000)
    assert "(7 more)" in show("abc", size=10)
    assert "4 more" in show({"a": 1}, size=5)
    assert "997 more" in preview([1, 2, 3], 40, size=1000)


def test_what_fits_on_several_lines_is_whole() -> None:
    value = {"name": "Ada", "tags": ["one", "two"], "rows": [{"id": n, "text": "t" * 20} for n in range(4)]}
    assert json.loads(show(value)) == value


def test_values_that_share_their_parts_are_cut_without_walking_through_them() -> None:
    value: Value = [1]
    for _ in range(60):
        value = [value, value]
    assert len(show(value).split("\n")) <= 3 * MOST_LINES


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=6),
    max_leaves=30,
)


@given(values, st.integers(20, 120))
def test_a_preview_is_one_printable_line_of_about_its_room(value: Value, room: int) -> None:
    text = preview(value, room)
    assert text.isprintable()
    assert len(text) <= 8 * room + 400


@given(values)
def test_every_line_that_is_shown_is_printable(value: Value) -> None:
    assert all(line.isprintable() for line in show(value).split("\n"))
