"""Text for a terminal that somebody else wrote: nothing in it controls the screen, and it fits where it is put."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from typing import Final, TextIO

PLAIN_WIDTH: Final = 200
"""Columns of a line where there is no terminal."""

LEAST_WIDTH: Final = 20
"""A terminal that is narrower, or says so, is written to as if it were this wide."""

_SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|\x9b[0-?]*[ -/]*[@-~]"
)
_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]")
"""Control characters but line feed and tab, separators of lines, and marks that turn the direction of writing."""

_ASCII: Final = str.maketrans({"✓": "+", "✗": "x", "│": "|", "…": "~", "·": "-", "→": ">", "«": "<", "»": ">"})


def clean(text: str) -> str:
    """The text without escape sequences and control characters; line feeds and tabs stay."""
    return _STEERING.sub("", _SEQUENCE.sub("", text.replace("\r\n", "\n")))


_BEGUN: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)?\Z")
"""A sequence of which the end is still to come."""

LONGEST_SEQUENCE: Final = 256
"""An unfinished sequence that is longer is none."""


class Cleaner:
    """`clean` for a text that comes in pieces, cut anywhere."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> str:
        """The next piece; the beginning of an escape sequence at its end is kept back for the one after."""
        text = self._rest + text
        begun = _BEGUN.search(text[-LONGEST_SEQUENCE:])
        kept = len(begun.group()) if begun else 0
        self._rest = text[len(text) - kept :]
        return clean(text[: len(text) - kept])

    def reset(self) -> None:
        """Another text begins."""
        self._rest = ""


def cells(text: str) -> int:
    """Columns that a cleaned text of one line takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1


def cut(text: str, width: int) -> str:
    """The text in at most so many columns, with `…` where something is missing."""
    if cells(text) <= width:
        return text
    taken = 0
    for at, character in enumerate(text):
        taken += _cell(character)
        if taken > width - 1:
            return f"{text[:at]}…"
    return text


def one_line(text: str, width: int) -> str:
    """A text of any length in one line of so many columns; says how many lines there were."""
    # Of a text of megabytes only the beginning is looked at, but for its line feeds.
    head = clean(text[: 8 * width + 256]).strip()
    first, _, rest = head.partition("\n")
    more = text.rstrip().count("\n") if rest else 0
    note = f" (+{more} {'line' if more == 1 else 'lines'})" if more else ""
    shown = first.replace("\t", " ").rstrip()
    if len(text) > 8 * width + 256 and not more:
        shown += "…"
    return cut(shown, max(1, width - cells(note))) + note


class Screen:
    """Where a stream goes: a terminal with its width and colours, or a file.

    Colours are used on a terminal that can show them, unless NO_COLOR is set (no-color.org); a progress line is, where
    the cursor can be moved.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.is_terminal = _is_terminal(stream)
        dumb = os.environ.get("TERM", "") in ("", "dumb")
        self.colours = self.is_terminal and not dumb and not os.environ.get("NO_COLOR")
        self.moves = self.is_terminal and not dumb
        self._ascii = not (getattr(stream, "encoding", None) or "ascii").lower().startswith("utf")

    @property
    def width(self) -> int:
        """Columns of the terminal as it is now."""
        if not self.is_terminal:
            return PLAIN_WIDTH
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        return max(LEAST_WIDTH, columns or 80)

    def signs(self, text: str) -> str:
        """Our own text with its signs replaced where the stream has only ASCII."""
        return text.translate(_ASCII) if self._ascii else text

    def dim(self, text: str) -> str:
        """Of less importance."""
        return self._coloured("2", text)

    def bold(self, text: str) -> str:
        """A heading."""
        return self._coloured("1", text)

    def good(self, text: str) -> str:
        """Something that worked."""
        return self._coloured("32", text)

    def bad(self, text: str) -> str:
        """Something that did not."""
        return self._coloured("31", text)

    def accent(self, text: str) -> str:
        """A name."""
        return self._coloured("36", text)

    def _coloured(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours and text else text


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def open_streams() -> None:
    """Give a process that was started with closed standard streams empty ones.

    Else the files that it opens would take their places, and what is said would be written into them.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8"))


def tolerate_any_text() -> None:
    """Let both output streams take characters that they cannot show, rather than fail at the first."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
