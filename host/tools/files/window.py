"""A window over the lines of a text that is read in pieces, however long the text or a line of it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lash.runtime.tools.result import ToolError

LINE_CHARS: Final = 2000
OUTPUT_BYTES: Final = 50 * 1024
_NOTE_BYTES: Final = 160
"""What is kept free for the note at the end."""

_KEPT_BYTES: Final = 4 * (LINE_CHARS + 1)
"""So many bytes of a line hold more characters than are shown."""


class Lines:
    """The lines of a text that comes in pieces; a pass over it that never holds more than a piece and a line."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0

    def skip(self, count: int) -> int:
        """Pass over so many lines; how many there were."""
        done, begun = 0, False
        while done < count:
            if not self._more():
                return done + begun
            newlines = self._piece.count(b"\n", self._at)
            if newlines < count - done:
                begun = not self._piece.endswith(b"\n")  # it counts when it ends, here or in a later piece
                self._at = len(self._piece)
                done += newlines
                continue
            for _ in range(count - done):
                self._at = self._piece.index(b"\n", self._at) + 1
            done = count
        return done

    def next(self) -> str | None:
        """The next line as it is shown, None at the end."""
        kept, begun, cut = bytearray(), False, False
        while self._more():
            begun = True
            end = self._piece.find(b"\n", self._at)
            stop = len(self._piece) if end < 0 else end
            room = _KEPT_BYTES - len(kept)
            cut = cut or stop - self._at > room
            kept += self._piece[self._at : min(stop, self._at + room)]
            self._at = stop if end < 0 else end + 1
            if end >= 0:
                break
        return _shown(bytes(kept), cut) if begun else None

    def count(self, most_bytes: int) -> int | None:
        """How many lines are left; None where they take more bytes than that."""
        lines, begun = 0, False
        while self._more():
            most_bytes -= len(self._piece) - self._at
            if most_bytes < 0:
                return None
            lines += self._piece.count(b"\n", self._at)
            begun = not self._piece.endswith(b"\n")
            self._at = len(self._piece)
        return lines + begun

    def _more(self) -> bool:
        """Whether there is anything left to read."""
        while self._at >= len(self._piece):
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._piece, self._at = piece, 0
        return True


def _shown(line: bytes, cut: bool) -> str:
    text = line.removesuffix(b"\r").decode("utf-8", "replace")
    return f"{text[:LINE_CHARS]}..." if cut or len(text) > LINE_CHARS else text


def window(
    lines: Lines, offset: int, limit: int, *, header: str = "", count_bytes: int = 0, total: int | None = None
) -> str:
    """The lines from `offset` on, numbered, at most `limit` and 50 KiB of them, with a note of what is not shown.

    `header` is a line to put first. `total` is how many lines there are; where it is not known, those that are left
    are counted within `count_bytes`. Raises ToolError where there are fewer lines than `offset`.
    """
    skipped = lines.skip(offset - 1)
    line = lines.next()
    if line is None and offset > 1:
        raise ToolError(f"Offset {offset} is out of range for this file ({skipped} items)")
    shown = [header] if header else []
    room = OUTPUT_BYTES - _NOTE_BYTES - len(header.encode())
    number = offset
    while line is not None and number < offset + limit:
        row = f"{number}: {line}"
        room -= len(row.encode()) + 1
        if room < 0:
            break
        shown.append(row)
        number += 1
        line = lines.next()
    text = "\n".join(shown)
    if line is None and (total is None or total < number):
        return text
    went_on = f"Use offset={number} to continue.]"
    if room < 0:
        return f"{text}\n\n[output capped at 50 KB. Showing lines {offset}-{number - 1}. {went_on}"
    if total is None and (left := lines.count(count_bytes)) is not None:
        total = number + left
    of_total = "" if total is None else f" of {total}"
    return f"{text}\n\n[results truncated: showing lines {offset}-{number - 1}{of_total}. {went_on}"
