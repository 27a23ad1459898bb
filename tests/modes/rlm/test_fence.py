"""The scanner of programs, against a slow and obvious one, and the stream mask for every way of cutting a reply."""

from __future__ import annotations

import re
import sys
from itertools import combinations_with_replacement
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lash.modes.rlm.fence import code_of, count_blocks, first_block, has_closed_block, normalised, visible_prose
from lash.modes.rlm.stream_mask import StreamMask

PIECES = ["`", "``", "```", "````", "lashlang", "lash", "lang", "python", "\n", "\r\n", "\r", " ", "x", "-", "---", "€"]
REPLIES = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


def slow(text: str) -> tuple[str, str | None, bool]:
    """Prose, program and whether it is closed, by the rules as one would tell them."""
    for run in re.finditer("`+", text):
        if len(run[0]) < 3:
            continue
        line, newline, _ = text[run.end() :].partition("\n")
        if line.strip() != "lashlang":
            continue
        begin = run.end() + len(line) + len(newline)
        for closer in re.finditer("`+", text[begin:]):
            if len(closer[0]) >= len(run[0]):
                return text[: run.start()], text[begin : begin + closer.start()], True
        return text[: run.start()], text[begin:], False
    return text, None, False


@settings(max_examples=500)
@given(REPLIES)
def test_the_scanner_finds_what_the_rules_say(text: str) -> None:
    text = normalised(text)
    prose, body, closed = slow(text)
    span = first_block(text)
    assert visible_prose(text) == prose.rstrip()
    assert has_closed_block(text) == closed
    if span is None:
        assert body is None
    else:
        assert text[span.body : span.body_end] == body
        assert text[: span.start] == prose


@settings(max_examples=500)
@given(REPLIES, st.data())
def test_the_mask_shows_the_prose_however_a_reply_is_cut(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    mask = StreamMask()
    results = [mask.feed(piece) for piece in pieces]
    results.append(mask.finish())
    whole = normalised(text)
    prose, body, closed = slow(whole)
    assert "".join(result.prose for result in results) == prose
    assert sum(result.fence_started for result in results) == (body is not None)
    assert sum(result.abort for result in results) == closed
    span = first_block(whole)
    assert mask.code() == (None if span is None else code_of(whole, span))


TRICKY = [
    "Plan.````lashlang\ns = '```'\n`````\nmore\n```lashlang\nsubmit 99\n```",
    "a `b` ``c`` ```lash\n``` lashlang\n``lashlang\n```lashlangX\n",
    "```python\nx\n```\n```lashlang \t\r\nx\r\n``\r\n```",
    "``` \u2003lashlang\n`````",
    "``````lashlang\n`````\n``````",
    "``````lashlang",
    "x```lashlang`\n```lashlang\n",
    "```````",
    "\r\n\r",
]


@pytest.mark.parametrize("text", TRICKY)
def test_a_reply_cut_at_any_two_places_comes_to_the_same(text: str) -> None:
    whole = normalised(text)
    prose, body, closed = slow(whole)
    span = first_block(whole)
    for first, second in combinations_with_replacement(range(len(text) + 1), 2):
        mask = StreamMask()
        pieces = (text[:first], text[first:second], text[second:])
        results = [*map(mask.feed, pieces), mask.finish()]
        assert "".join(result.prose for result in results) == prose
        assert sum(result.fence_started for result in results) == (body is not None)
        assert sum(result.abort for result in results) == closed
        assert mask.code() == (None if span is None else code_of(whole, span))


@pytest.mark.parametrize("text", TRICKY)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_reply_in_pieces_of_one_size_comes_to_the_same(text: str, size: int) -> None:
    whole = normalised(text)
    prose, body, _ = slow(whole)
    mask = StreamMask()
    results = [mask.feed(text[at : at + size]) for at in range(0, len(text), size)]
    results.append(mask.finish())
    assert "".join(result.prose for result in results) == prose
    assert (mask.code() is None) == (body is None)
    assert count_blocks(mask.rebuilt()) == count_blocks(whole)


@pytest.mark.parametrize("text", ["`", "```lashlang ", "```lashlang\n``", "x`", "```\n"])
def test_the_work_for_a_reply_in_small_pieces_grows_with_its_length(text: str) -> None:
    def lines_run(times: int) -> int:
        lines = 0

        def count(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal lines
            lines += event == "line"
            return count

        mask, before = StreamMask(), sys.gettrace()
        sys.settrace(count)
        try:
            for _ in range(times):
                mask.feed(text)
            mask.finish()
        finally:
            sys.settrace(before)
        return lines

    assert lines_run(1000) < 12 * lines_run(100)


@given(REPLIES)
def test_what_the_mask_rebuilds_holds_the_same_program(text: str) -> None:
    mask = StreamMask()
    mask.feed(text)
    mask.finish()
    whole = normalised(text)
    rebuilt = mask.rebuilt()
    before, after = first_block(whole), first_block(rebuilt)
    assert visible_prose(rebuilt) == visible_prose(whole)
    if before is None:
        assert rebuilt == whole
    else:
        assert after is not None
        assert after.closed
        assert code_of(rebuilt, after) == code_of(whole, before)
        assert count_blocks(rebuilt) == count_blocks(whole)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```lashlang\nsubmit 1\n```", "submit 1"),
        ("so:```lashlang  \nsubmit 1\n``` and more", "submit 1"),
        ("````lashlang\ns = '```'\n````", "s = '```'"),
        ("```lashlang\nx = 1``` rest", "x = 1"),
        ("```lashlang", ""),
        ("```lashlang\n```", ""),
        ("```lashlang\nsubmit 1", "submit 1"),
        ("```lashlang\n---\nx = 1\n---\n---\n```", "x = 1"),
        ("```lashlang\nx = 1\n---\ny = 2\n```", "x = 1\n---\ny = 2"),
        ("```python\nx\n```\n```lashlang\ny = 1\n```", "y = 1"),
        ("```lashlang\r\nx = 1\r\n```", "x = 1"),
        ("```lashlangX\nx\n```", None),
        ("``lashlang\nx\n``", None),
        ("```rlm\nx\n```", None),
        ("no program", None),
    ],
)
def test_programs_are_found_as_written(text: str, code: str | None) -> None:
    text = normalised(text)
    span = first_block(text)
    assert (None if span is None else code_of(text, span)) == code


def test_a_closer_glued_to_an_opener_gives_two_blocks() -> None:
    text = "```lashlang\na\n``````lashlang\nb\n```"
    span = first_block(text)
    assert span is not None
    assert code_of(text, span) == "a"
    assert count_blocks(text) == 2


def test_prose_is_shown_as_soon_as_it_cannot_become_a_fence() -> None:
    mask = StreamMask()
    assert mask.feed("Plan: `a` ").prose == "Plan: `a` "
    assert mask.feed("``").prose == ""
    assert mask.feed("x").prose == "``x"
    assert mask.feed("```lash").prose == ""
    assert mask.feed("ing").prose == "```lashing"
    result = mask.feed("```lashlang\nx")
    assert (result.prose, result.fence_started, result.abort) == ("", True, False)
    assert mask.feed(" = 1\n```").abort
    assert mask.feed("more").prose == ""
