"""Where in a program a tool is called, for the person who is asked about the call (runtime.md 2.5)."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from lashlang.syntax import CompileError, Source, tokenize


@lru_cache(maxsize=16)
def place_of(code: str, tool: str) -> tuple[int, int] | None:
    """Line and column of the call of a tool in a program; None where it has several, which nothing tells apart."""
    try:
        tokens = tokenize(code)
    except CompileError:
        return None
    found = [call.start for call, name in pairwise(tokens) if call.text == "call" and name.text == tool]
    return Source(code).position(found[0]) if len(found) == 1 else None
