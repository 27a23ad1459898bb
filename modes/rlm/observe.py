"""How much of a print is shown: to people a beginning (rlm.md 8.4), to the model both ends (rlm.md 7.3)."""

from __future__ import annotations

from lash.modes.rlm.config import ObserveBudget
from lash.modes.rlm.prompt.anchors import CHARS_HIDDEN
from lash.runtime.sansio.effects import ObservationMetrics

MOST_STORED = 1_000_000
"""Characters of one print that a session keeps."""

BYTES_OF_TOKEN = 4
"""What a token counts for where a budget is in tokens: UTF-8 bytes."""


def head_tail(text: str, limit: int, handle: str = "") -> str:
    """A text of at most `limit` characters, or its two ends with a line between them that says what is missing.

    `handle` is the expression that gives the whole text to a program, for that line. A limit of 0 is none.
    """
    if limit == 0 or len(text) <= limit:
        return text
    head = limit // 2
    where = f"; whole: {handle}" if handle else ""
    return f"{text[:head]}\n[… {len(text) - limit} {CHARS_HIDDEN}{where} …]\n{text[len(text) - (limit - head) :]}"


def stored(text: str) -> str:
    """The text as a session keeps it: whole, or the two ends of one that is very long."""
    return head_tail(text, MOST_STORED)


def observe(text: str, budget: ObserveBudget) -> tuple[str, ObservationMetrics]:
    """The beginning of a print for displays, and how much of it that is.

    First whole lines up to `max_lines`, then characters up to `limit` bytes or tokens; 0 is no limit.
    """
    shown = _first_lines(text, budget.max_lines) if budget.max_lines else text
    most_bytes = budget.limit * (BYTES_OF_TOKEN if budget.mode == "tokens" else 1)
    # A character takes four bytes at most, so only texts longer than a quarter have to be measured.
    if most_bytes and len(shown) * 4 > most_bytes:
        shown = shown[:most_bytes].encode("utf-8", "surrogatepass")[:most_bytes].decode("utf-8", "ignore")
    return shown, ObservationMetrics(
        truncated=len(shown) < len(text),
        original_chars=len(text),
        projected_chars=len(shown),
        original_lines=_lines(text),
        projected_lines=_lines(shown),
        limit=budget.limit,
        limit_mode=budget.mode,
        max_lines=budget.max_lines,
    )


def _first_lines(text: str, most: int) -> str:
    end = -1
    for _ in range(most):
        end = text.find("\n", end + 1)
        if end < 0 or end == len(text) - 1:
            return text
    return text[:end]


def _lines(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n")) if text else 0
