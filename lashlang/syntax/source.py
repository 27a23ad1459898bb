"""A program text with its line index: offsets to lines and columns, and excerpts for diagnostics."""

from __future__ import annotations

from bisect import bisect_right

EXCERPT = 200
"""Longest source line a diagnostic shows, in code points (chapter 17)."""


class Source:
    """A source text; positions are code-point offsets into `text`, from which a leading U+FEFF is dropped."""

    __slots__ = ("_starts", "text")

    def __init__(self, text: str) -> None:
        self.text = text.removeprefix("\ufeff")
        self._starts: list[int] | None = None

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            starts = [0]
            at = self.text.find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = self.text.find("\n", at + 1)
            self._starts = starts
        return self._starts

    def position(self, offset: int) -> tuple[int, int]:
        """The 1-based line and column of an offset; only U+000A ends a line."""
        starts = self._line_starts()
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a 1-based line without its line ending (a CR just before the LF belongs to the ending)."""
        starts = self._line_starts()
        begin = starts[number - 1]
        if number < len(starts):
            return self.text[begin : starts[number] - 1].removesuffix("\r")
        return self.text[begin:]

    def excerpt(self, line: int, column: int, end_line: int, end_column: int) -> tuple[str, str, int]:
        """The source line to show, the pad before the marker, and the marker's width (at least 1).

        A line over 200 code points is cut to the 200 around the column.
        """
        text = self.line(line)
        stop = end_column - 1 if end_line == line else len(text)
        first = 0
        if len(text) > EXCERPT:
            first = max(0, min(column - 1 - EXCERPT // 2, len(text) - EXCERPT))
        shown = text[first : first + EXCERPT]
        before = text[first : column - 1]
        pad = "".join("\t" if c == "\t" else " " for c in before)
        width = min(stop, first + len(shown)) - (column - 1)
        return shown, pad, max(1, width)
