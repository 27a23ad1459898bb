"""Lexer and parser: any bytes are a tree, or a diagnostic of a known kind at a place that there is."""

from __future__ import annotations

from tests.fuzz.target import Target, case_sources
from tests.syntax.test_fuzz import BEGINNINGS, WORDS, check

TEXTS = tuple(word.encode("utf-8", "surrogatepass") for word in [*WORDS, *BEGINNINGS])
"""Words of the language and beginnings of its constructs."""


def run(data: bytes) -> None:
    """Parse bytes, and the same as text where they are one."""
    check(data)
    check(data.decode("utf-8", "replace"))


TARGET = Target("source", run, lambda _: case_sources(), TEXTS, modules=("lashlang.syntax",))
