"""Finding the program in a model's reply: the one scanner (rlm.md 3), which the stream mask drives as well.

An *opener* is a run of three or more backticks, anywhere in a line, whose rest of the line, trimmed, is exactly the
label. The program goes from the line after it to the first run of at least as many backticks, wherever that stands;
shorter runs belong to the program. Runs with another label are prose.

The scanner takes a reply in pieces of any size and gives the same spans for every way of cutting it.
"""

from __future__ import annotations

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


class Scanner:
    """Finds the blocks of a reply that comes in pieces.

    After each `feed`: `span` is the first block once it is closed, `opened` the start, the body's start and the ticks
    of the first block once its opener is complete, and everything before `settled` is prose for certain as long as no
    block is open.
    """

    __slots__ = ("_at", "_text", "blocks", "opened", "settled", "span")

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self.settled = 0
        self.opened: tuple[int, int, int] | None = None
        self.span: Span | None = None
        self.blocks = 0

    @property
    def text(self) -> str:
        """All that was fed."""
        return self._text

    def feed(self, more: str) -> None:
        """Take the next piece; once the first block is closed, only for `text`."""
        self._text += more
        self._advance(at_end=False)

    def finish(self) -> None:
        """The reply is over: a block that is still open ends with it."""
        self._advance(at_end=True)
        if self.span is None and self.opened is not None:
            start, body, ticks = self.opened
            size = len(self._text)
            self.span = Span(start, body, size, size, ticks, closed=False)
        if self.span is None:
            self.settled = len(self._text)

    def _advance(self, *, at_end: bool) -> None:
        while self.span is None:
            if self.opened is None:
                found = self._find_opener(at_end=at_end)
                if found is None:
                    return
                self.opened = found
                self.settled, self._at = found[0], found[1]
            start, body, ticks = self.opened
            closer = self._find_run(ticks, at_end=at_end)
            if closer is None:
                return
            self.span = Span(start, body, closer, closer + ticks, ticks, closed=True)

    def _find_opener(self, *, at_end: bool) -> tuple[int, int, int] | None:
        text = self._text
        while True:
            tick = text.find("`", self._at)
            if tick < 0:
                self._at = self.settled = len(text)
                return None
            after = _run_end(text, tick)
            if after == len(text) and not at_end:
                self._at = self.settled = tick  # the run may go on
                return None
            if after - tick < SHORTEST:
                self._at = self.settled = after
                continue
            line_end = text.find("\n", after)
            label = text[after:] if line_end < 0 else text[after:line_end]
            if line_end < 0 and not at_end and _may_become_label(label):
                self._at = self.settled = tick
                return None
            if label.strip() == LABEL and (line_end >= 0 or at_end):
                return tick, len(text) if line_end < 0 else line_end + 1, after - tick
            self._at = self.settled = after

    def _find_run(self, ticks: int, *, at_end: bool) -> int | None:
        """Where the first run of at least so many backticks begins, from `_at` on."""
        text = self._text
        wanted = "`" * ticks
        at = text.find(wanted, self._at)
        if at < 0:
            # The text may end within the run.
            held = len(text)
            while held > self._at and text[held - 1] == "`":
                held -= 1
            self._at = held
            return None
        return at


def _run_end(text: str, at: int) -> int:
    while at < len(text) and text[at] == "`":
        at += 1
    return at


def _may_become_label(rest: str) -> bool:
    """Whether a line that goes on like this can still be the label and nothing else."""
    stripped = rest.lstrip()
    if not stripped:
        return True
    bare = stripped.rstrip()
    return bare == LABEL or (bare == stripped and LABEL.startswith(stripped))


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
    count = 0
    while (span := first_block(text)) is not None:
        count += 1
        text = text[span.end :]
    return count
