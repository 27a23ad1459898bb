"""Finding a chunk's lines in a file.

A run of lines is looked for exactly first, then with ever looser eyes: trailing space ignored, space at both ends
ignored, and typographic dashes, quotes and spaces taken for their plain forms. A looser pass is only tried where the
stricter one finds nothing in all the rest of the file.

Each pass writes the file as a string with one character for each line, equal lines as equal characters. A run of
lines is then a substring, and `str.find` finds it in time that grows with the file's length alone: an index that many
chunks share, and no patch, however made, becomes quadratic by comparing lines again and again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from lash.host.tools.patch.operations import PatchError

_PLAIN: Final = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-")
    | dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"')
    | dict.fromkeys(
        "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
    )
)
"""Typographic characters and what they are typed as."""


def _exact(line: str) -> str:
    return line


def _plain(line: str) -> str:
    return line.translate(_PLAIN).strip()


PASSES: Final[tuple[Callable[[str], str], ...]] = (_exact, str.rstrip, str.strip, _plain)
"""What two lines must have in common to be taken for equal, from strict to loose."""

_OTHER: Final = "\0"
"""A line of the file that nobody looks for."""


class LineIndex:
    """The lines of a file, to be searched for the `wanted` lines; PatchError for more different ones than it can tell
    apart (a million)."""

    def __init__(self, lines: Sequence[str], wanted: Iterable[str]) -> None:
        self._lines = lines
        self._wanted = set(wanted)
        if len(self._wanted) >= sys.maxunicode:
            raise PatchError(
                f"The patch looks for {len(self._wanted)} different lines in one file; the limit is "
                f"{sys.maxunicode - 1}: split it"
            )
        self._passes: list[_Pass] = []

    def find(self, run: Sequence[str], start: int, *, at_end: bool = False) -> int | None:
        """Where a run of lines begins, at `start` or after it; with `at_end` only where it ends the file.

        None where it is not. The run is not empty, and its lines are wanted ones.
        """
        for number in range(len(PASSES)):
            found = self._pass(number).find(run, start, at_end)
            if found >= 0:
                return found
        return None

    def _pass(self, number: int) -> _Pass:
        """A pass, made when it is first needed: most patches need the exact one only."""
        while len(self._passes) <= number:
            self._passes.append(_Pass(PASSES[len(self._passes)], self._lines, self._wanted))
        return self._passes[number]


class _Pass:
    """The file as one pass sees it."""

    def __init__(self, seen: Callable[[str], str], lines: Sequence[str], wanted: Iterable[str]) -> None:
        self._seen = seen
        self._letters: dict[str, str] = {}
        for line in wanted:
            self._letters.setdefault(seen(line), chr(len(self._letters) + 1))
        self._text = "".join([self._letters.get(seen(line), _OTHER) for line in lines])

    def find(self, run: Sequence[str], start: int, at_end: bool) -> int:
        """See `LineIndex.find`; -1 for not found."""
        word = "".join([self._letters[self._seen(line)] for line in run])
        if not at_end:
            return self._text.find(word, start)
        at = len(self._text) - len(word)
        return at if at >= start and self._text.endswith(word) else -1
