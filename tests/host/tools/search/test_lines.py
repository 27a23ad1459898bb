"""What a line that matches looks like in a result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.host.tools.search.lines import EXCERPT_CHARS, MOST_RANGES, Range, line_hit, text_of


def kind(line: str, wanted: str) -> str:
    at = line.index(wanted)
    hit = line_hit(line, 1, [(at, at + len(wanted))])
    return {0: "definition", 1: "other", 2: "import"}[hit.rank]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("def tea():", "tea"),
        ("    async def make_tea(self):", "tea"),
        ("class Tea(Drink):", "class Tea"),
        ("export default async function* tea() {", "tea"),
        ("export const tea = 1", "tea"),
        ("pub(crate) fn tea<T>() {", "tea"),
        ("func (p *Pot) Tea() error {", "Tea"),
        ("type Tea struct {", "Tea"),
        ("#define TEA 1", "TEA"),
        ("public static final class Tea {", "Tea"),
        ("macro_rules! tea {", "tea"),
        ("let mut tea = 1;", "tea"),
    ],
)
def test_a_line_that_defines_what_was_found_is_a_definition(line: str, wanted: str) -> None:
    assert kind(line, wanted) == "definition"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("def make(tea):", "tea"), ("tea = 1", "tea"), ("return tea", "tea"), ("defer tea", "tea"), ("# def tea", "tea")],
)
def test_a_line_that_uses_what_was_found_is_none(line: str, wanted: str) -> None:
    assert kind(line, wanted) == "other"


@pytest.mark.parametrize(
    "line",
    [
        "import tea",
        "from tea import x",
        "import { tea } from 'x'",
        "export { tea } from 'x'",
        "export * from 'tea'",
        "#include <tea.h>",
        "use tea::x;",
        "using tea;",
        "require 'tea'",
    ],
)
def test_an_import_is_told(line: str) -> None:
    assert kind(line, "tea") == "import"


@given(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=600), st.data())
def test_an_excerpt_has_the_first_match_and_the_ranges_are_the_matches(line: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.lists(st.integers(0, len(line)), min_size=2, max_size=40)))
    spans = [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=False)]
    hit = line_hit(line, 7, spans)
    assert len(hit.excerpt) == min(len(line), EXCERPT_CHARS)
    first, end = next((span for span in spans if span[0] < span[1]), spans[0])
    assert hit.column == first + 1
    assert hit.byte_column == len(line[:first].encode()) + 1
    assert line[first:end].startswith(hit.match)
    assert len(hit.match) == min(end - first, EXCERPT_CHARS)
    assert hit.excerpt[hit.ranges[0].start :].startswith(hit.match)
    assert 1 <= len(hit.ranges) <= MOST_RANGES
    start, shown = hit.excerpt_bytes
    assert line.encode()[start : start + len(shown)] == shown == hit.excerpt.encode()


def test_bytes_that_are_no_utf_8_are_shown_as_such_and_counted() -> None:
    hit = line_hit(text_of(b"\xff\xc3\xa9 tea"), 1, [(3, 6)])
    assert (hit.excerpt, hit.column, hit.byte_column) == ("\ufffdé tea", 4, 5)
    assert hit.excerpt_bytes == (0, b"\xff\xc3\xa9 tea")


def test_a_line_of_empty_matches_alone_shows_one() -> None:
    assert line_hit("ab", 1, [(0, 0), (1, 1)]).ranges == (Range(0, 0),)
    assert line_hit("ab", 1, [(0, 0), (1, 2)]).ranges == (Range(1, 2),)
