"""Cutting a text to a budget of bytes and lines, at its end or at its beginning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a text, and how much of it is missing, in the unit that ran out."""

    preview: str
    missing: int
    unit: Literal["bytes", "lines"]


def cut(text: str, most_bytes: int, most_lines: int, *, tail: bool) -> Cut | None:
    """The beginning (with `tail` the end) of a text that is too long; None for one that is not.

    Whole lines are kept. A line that is longer than the budget is cut between characters, so that the preview is never
    empty.
    """
    data = text.encode("utf-8", "replace")
    within = data
    lines = _count_lines(data)
    if lines > most_lines:
        within = _last_lines(data, most_lines) if tail else _first_lines(data, most_lines)
        if len(within) <= most_bytes:
            return Cut(within.decode(), lines - most_lines, "lines")
    if len(within) <= most_bytes:
        return None
    kept = _tail_bytes(within, most_bytes) if tail else _head_bytes(within, most_bytes)
    return Cut(kept.decode("utf-8", "ignore"), len(data) - len(kept), "bytes")


def _count_lines(data: bytes) -> int:
    return data.count(b"\n") + (1 if data and not data.endswith(b"\n") else 0)


def _first_lines(data: bytes, most: int) -> bytes:
    end = -1
    for _ in range(most):
        end = data.find(b"\n", end + 1)
    return data[: max(end, 0)]


def _last_lines(data: bytes, most: int) -> bytes:
    start = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(most):
        start = data.rfind(b"\n", 0, start)
    return data[start + 1 :]


def _head_bytes(data: bytes, most: int) -> bytes:
    end = data.rfind(b"\n", 0, most + 1)
    if end > 0:
        return data[:end]
    return data[:most].decode("utf-8", "ignore").encode()


def _tail_bytes(data: bytes, most: int) -> bytes:
    start = data.find(b"\n", len(data) - most - 1, len(data) - 1)
    if start >= 0:
        return data[start + 1 :]
    return data[len(data) - most :].decode("utf-8", "ignore").encode()
