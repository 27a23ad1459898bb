"""Cutting a byte stream into lines of which none is longer than it may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ENDS_BYTES = 256
"""How much is kept of either end of a line that is too long: enough to see which request it answers."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line that was dropped: its two ends and its size."""

    head: bytes
    tail: bytes
    size: int


class EndlessLine(Exception):
    """A line goes on and on."""


class LineCutter:
    """Cuts what it is fed into lines; those of more than `longest` bytes are dropped while they arrive.

    `feed` raises EndlessLine for one that has no end after `endless` bytes.
    """

    def __init__(self, longest: int, endless: int) -> None:
        self._longest = longest
        self._endless = endless
        self._line = bytearray()
        self._head = b""
        self._dropped = 0

    def feed(self, chunk: bytes) -> Iterator[bytes | TooLong]:
        """The lines that end in this chunk, without their ends."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._take(chunk[start:end])
            yield self._ended()
            start = end + 1
        self._take(chunk[start:])

    def _take(self, part: bytes) -> None:
        self._line += part
        size = self._dropped + len(self._line)
        if size <= self._longest:
            return
        if size > self._endless:
            raise EndlessLine(f"a line of more than {self._endless} bytes")
        if not self._dropped:
            self._head = bytes(self._line[:ENDS_BYTES])
        self._dropped += max(0, len(self._line) - ENDS_BYTES)
        del self._line[:-ENDS_BYTES]

    def _ended(self) -> bytes | TooLong:
        line, head, dropped = bytes(self._line), self._head, self._dropped
        self._line.clear()
        self._head, self._dropped = b"", 0
        return TooLong(head, line, dropped + len(line)) if dropped else line
