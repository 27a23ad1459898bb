"""`TextSource` answers exactly as the operation does on the whole text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lashlang
from lashlang.projection import Projected
from lashlang.textsource import TextSource

TEXTS = st.text(alphabet="ab \n\r\té日😀", max_size=60)
NEEDLES = st.text(alphabet="ab \n\ré", max_size=3)
OFFSETS = st.integers(-70, 70)


def ask(source: TextSource, question: str, *args: Any) -> Any:
    return source.answer(Projected("doc", source), question, args)


def lines_of(text: str) -> list[str]:
    """Chapter 10.1 (`grep_text`), written out: ended by LF, one CR before it dropped, no empty last line."""
    lines: list[str] = []
    while text:
        line, newline, text = text.partition("\n")
        lines.append(line.removesuffix("\r") if newline else line)
    return lines


@given(TEXTS)
def test_length_counts_code_points(text: str) -> None:
    assert ask(TextSource.from_bytes(text.encode()), "len") == len(text)


@given(TEXTS, NEEDLES, st.integers(0, 70))
def test_find_gives_the_first_offset_at_or_after_the_start(text: str, needle: str, start: int) -> None:
    offsets = [at for at in range(start, len(text) + 1) if text[at : at + len(needle)] == needle]
    assert ask(TextSource(text), "find", needle, start) == (offsets[0] if offsets else None)


@given(TEXTS, OFFSETS | st.none(), OFFSETS | st.none())
def test_slice_clamps_both_bounds(text: str, start: int | None, end: int | None) -> None:
    size = len(text)
    first = 0 if start is None else max(0, start + size if start < 0 else min(start, size))
    last = size if end is None else max(0, end + size if end < 0 else min(end, size))
    assert ask(TextSource(text), "slice", start, end) == "".join(text[i] for i in range(first, last))


@given(TEXTS)
def test_lines_end_at_line_feeds(text: str) -> None:
    assert ask(TextSource(text), "lines") == lines_of(text)


@given(TEXTS, NEEDLES.filter(bool))
def test_grep_gives_each_line_with_its_first_match(text: str, needle: str) -> None:
    wanted = [
        {"line": i, "text": line, "match": needle, "start": line.find(needle), "end": line.find(needle) + len(needle)}
        for i, line in enumerate(lines_of(text), 1)
        if needle in line
    ]
    assert ask(TextSource(text), "grep_text", needle) == wanted


@given(TEXTS)
def test_split_without_separator_gives_the_words(text: str) -> None:
    assert ask(TextSource(text), "split", None) == [word for word in re.split(r"[ \n\r\t]+", text) if word]


def test_split_and_trim_use_the_white_space_of_chapter_1() -> None:
    text = "\u3000a\x1cb\u2009c;d\x85"
    assert ask(TextSource(text), "split", None) == ["a\x1cb", "c;d"]
    assert ask(TextSource(text), "trim") == "a\x1cb\u2009c;d"


@given(TEXTS, st.text(alphabet="ab \n", max_size=2))
def test_split_at_a_separator_keeps_empty_pieces(text: str, separator: str) -> None:
    pieces = ask(TextSource(text), "split", separator)
    assert pieces == (list(text) if separator == "" else text.split(separator))
    assert separator.join(pieces) == text


def boundaries_of(text: str, by: str) -> list[int]:
    """Chapter 10.2 (`chunk_spans`), written out."""
    if by == "line":
        return [at + 1 for at, c in enumerate(text) if c == "\n"]
    found: list[int] = []
    if by == "paragraph":
        at, before_is_empty = 0, False
        for line in text.split("\n"):
            is_ended = at + len(line) < len(text)
            shown = line.removesuffix("\r") if is_ended else line
            if shown and before_is_empty:
                found.append(at)
            before_is_empty = not shown
            at += len(line) + 1
    return found


def spans_of(text: str, size: int, overlap: int, by: str) -> list[dict[str, int]]:
    spans: list[dict[str, int]] = []
    start = 0
    while start < len(text):
        if start + size >= len(text):
            return [*spans, {"start": start, "end": len(text)}]
        inside = [p for p in boundaries_of(text, by) if start + overlap < p <= start + size]
        end = inside[-1] if inside else start + size
        spans.append({"start": start, "end": end})
        start = end - overlap
    return spans


@given(TEXTS, st.integers(1, 12), st.integers(0, 11), st.sampled_from(["char", "line", "paragraph"]))
def test_chunk_spans_end_at_the_last_boundary_of_each_window(text: str, size: int, overlap: int, by: str) -> None:
    overlap = min(overlap, size - 1)
    assert ask(TextSource(text), "chunk_spans", size, overlap, by) == spans_of(text, size, overlap, by)


@pytest.mark.parametrize(
    ("question", "args"),
    [
        ("find", ("a", -1)),
        ("find", (1, 0)),
        ("count", ("",)),
        ("grep_text", ("",)),
        ("slice", (True, None)),
        ("slice", ("1", None)),
        ("chunk_spans", (0, 0, "char")),
        ("chunk_spans", (5, 5, "char")),
        ("chunk_spans", (5, 0, "word")),
        ("join", (",",)),
    ],
)
def test_what_is_an_error_is_left_to_the_machine(question: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(lashlang.Unsupported):
        ask(TextSource("abc"), question, *args)


def test_a_file_is_read_when_first_asked_for(tmp_path: Path) -> None:
    source = TextSource.from_file(tmp_path / "later.txt")
    (tmp_path / "later.txt").write_bytes("é\r\n".encode())
    assert ask(source, "whole") == "é\r\n"


def test_a_missing_file_fails_the_read(tmp_path: Path) -> None:
    source = TextSource.from_file(tmp_path / "missing.txt")
    with pytest.raises(lashlang.ProjectionUnavailable, match=r"missing\.txt"):
        Projected("doc", source).read()


def test_a_file_that_is_no_text_fails_the_read_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"ok\xff")
    with pytest.raises(lashlang.ProjectionUnavailable, match="byte 2"):
        Projected("doc", TextSource.from_file(tmp_path / "data.bin")).read()
