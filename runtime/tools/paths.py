"""Places inside JSON as messages name them: `items[0].name`."""

from __future__ import annotations

from collections.abc import Iterable


def path_text(steps: Iterable[str | int], root: str) -> str:
    """The path as text; `root` for the value itself."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".") or root
