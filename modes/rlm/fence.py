"""Finding the program in a model's reply: the one scanner (rlm.md 3), which the stream mask drives as well.

An *opener* is a run of three or more backticks, anywhere in a line, whose rest of the line, trimmed, is exactly the
label. The program goes from the line after it to the first run of at least as many backticks, wherever that stands;
shorter runs belong to the program. Runs with another label are prose.

The scanner takes a reply in pieces of any size and gives the same spans for every way of cutting it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LABEL = "lashlang"
SHORTEST = 3
"""Backticks that a fence has at least."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where the first program of a reply stands, as offsets into its text.

    `start` is the first backtick of the opener, `body` the first character of the program, `body_end` its end and
    `end` the place behind the closing backticks; `ticks` is the length of the opener. In a program that is not
    `closed` the last two are the end of the text.
    """

    start: int
    body: int
    body_end: int
    end: int
    ticks: int
    closed: bool


_TEXT, _RUN, _LABEL = range(3)
_TICKS = re.compile("`*")


class Scanner:
    """Finds the first block of a reply that comes in pieces, in time linear in the reply, however small they are.

    `opened` are the start, the body's start and the ticks of the block once its opener is complete, `span` is the
    block once it is closed or the reply is over.
    """

    __slots__ = ("_begun", "_held", "_matched", "_parts", "_phase", "_size", "_ticks", "_told", "opened", "span")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0
        self._held: list[str] = []  # what has not been given out as prose: the text from `_told` on
        self._told = 0
        self._phase = _TEXT
        self._begun = 0  # where the run of backticks began that may become an opener
        self._ticks = 0  # how many it has; inside a program, how many the text ends with
        self._matched = 0  # characters of the label that follow it
        self.opened: tuple[int, int, int] | None = None
        self.span: Span | None = None

    @property
    def text(self) -> str:
        """All that was fed."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def feed(self, more: str) -> str:
        """Take the next piece; what is prose for certain now and was not before."""
        begin = self._size
        self._parts.append(more)
        self._size += len(more)
        if self.span is not None:
            return ""
        if self.opened is None:
            self._held.append(more)
            self._find_opener(more, begin)
            if self.opened is None:
                return self._given_out(self._size if self._phase == _TEXT else self._begun)
            prose = self._given_out(self._begun)
            body = self.opened[1]
            self._find_closer(more[body - begin :], body)
            return prose
        self._find_closer(more, begin)
        return ""

    def _given_out(self, until: int) -> str:
        """What is held of the text before a place."""
        length = until - self._told
        if length == 0:
            return ""
        held = "".join(self._held)
        self._held, self._told = [held[length:]], until
        return held[:length]

    def finish(self) -> str:
        """The reply is over: a block that is still open ends with it. What is prose after all."""
        if self.span is not None:
            return ""
        size = self._size
        prose = ""
        if self.opened is None:
            if self._phase != _LABEL or self._matched < len(LABEL):
                return self._given_out(size)
            self.opened = (self._begun, size, self._ticks)
            prose = self._given_out(self._begun)
        start, body, ticks = self.opened
        self.span = Span(start, body, size, size, ticks, closed=False)
        return prose

    def _find_opener(self, piece: str, begin: int) -> None:
        """Go through a piece of prose that begins at `begin`, up to the end of an opener."""
        at = 0
        while at < len(piece):
            if self._phase == _TEXT:
                at = piece.find("`", at)
                if at < 0:
                    return
                self._phase, self._begun, self._ticks = _RUN, begin + at, 0
            if self._phase == _RUN:
                end = _run_end(piece, at)
                self._ticks += end - at
                at = end
                if at == len(piece):
                    return
                self._phase, self._matched = (_LABEL if self._ticks >= SHORTEST else _TEXT), 0
                continue
            char, matched = piece[at], self._matched
            if char == "\n" and matched == len(LABEL):
                self.opened = (self._begun, begin + at + 1, self._ticks)
                self._ticks = 0
                return
            if matched < len(LABEL) and char == LABEL[matched]:
                self._matched += 1
            elif char == "\n" or not char.isspace() or 0 < matched < len(LABEL):
                # Another label: what follows is prose again, and may begin with a backtick.
                self._phase = _TEXT
                continue
            at += 1

    def _find_closer(self, piece: str, begin: int) -> None:
        """Go through a piece of the program that begins at `begin`: to the first run of at least so many backticks."""
        assert self.opened is not None
        start, body, ticks = self.opened
        head = _run_end(piece, 0)
        if self._ticks + head >= ticks:
            closer = begin - self._ticks
        elif head == len(piece):
            self._ticks += head
            return
        else:
            found = piece.find("`" * ticks, head)
            if found < 0:
                self._ticks = len(piece) - len(piece.rstrip("`"))
                return
            closer = begin + found
        self.span = Span(start, body, closer, closer + ticks, ticks, closed=True)


def _run_end(text: str, at: int) -> int:
    """Where the run of backticks at a place ends."""
    found = _TICKS.match(text, at)
    assert found is not None
    return found.end()


def normalised(text: str) -> str:
    """The reply with its line ends as LF; what all offsets refer to."""
    return text.replace("\r\n", "\n")


def first_block(text: str) -> Span | None:
    """The first program of a whole reply (with LF line ends), None where there is none."""
    scanner = Scanner()
    scanner.feed(text)
    scanner.finish()
    return scanner.span


def has_closed_block(text: str) -> bool:
    """Whether the reply holds a program that is closed."""
    span = first_block(text)
    return span is not None and span.closed


def visible_prose(text: str) -> str:
    """The reply up to its program, without trailing white space; all of it where there is none."""
    span = first_block(text)
    return (text if span is None else text[: span.start]).rstrip()


def code_of(text: str, span: Span) -> str:
    """The program without trailing newlines, and without the ruler lines that models put round it."""
    lines = text[span.body : span.body_end].rstrip("\n").split("\n")
    while lines and _is_ruler(lines[0]):
        lines.pop(0)
    while lines and _is_ruler(lines[-1]):
        lines.pop()
    return "\n".join(lines).rstrip("\n")


def _is_ruler(line: str) -> bool:
    bare = line.strip()
    return len(bare) > 0 and not bare.strip("-")


def count_blocks(text: str) -> int:
    """How many programs the reply holds, one after the other."""
    count, begin = 0, 0
    while True:
        scanner, at = Scanner(), begin
        while scanner.span is None and at < len(text):
            scanner.feed(text[at : at + _PIECE])
            at += _PIECE
        scanner.finish()
        if scanner.span is None:
            return count
        count += 1
        begin += scanner.span.end


_PIECE = 4096
"""Characters that are looked at together for the next program, so that many small ones are counted quickly."""
