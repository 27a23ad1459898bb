"""What a hostile program is in the tables of this package, and the pieces that many of them are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import lashlang
from lashlang import Limits

MIB = 1 << 20


def echo(**arguments: Any) -> dict[str, Any]:
    """A tool that gives back what it is given."""
    return arguments


def nothing() -> Mapping[str, Any]:
    """No projected values."""
    return {}


TIGHT = Limits(fuel=20_000_000, memory=64 * MIB)
"""Limits under which most of the programs run: the defaults but for fuel and memory, to have them end soon."""


SHORT = replace(TIGHT, string_size=4 * MIB)
"""As `TIGHT`, with texts that are short enough to be held twice."""


@dataclass(frozen=True)
class Hostile:
    """A program and how it must end.

    `end` is the name of a limit, the kind of another error, or the status of a block that ends by itself.
    `projected` makes the projected values anew for each run.
    """

    end: str
    source: str
    limits: Limits = TIGHT
    tools: Mapping[str, Callable[..., Any]] | None = None
    projected: Callable[[], Mapping[str, Any]] = nothing

    @property
    def served_by(self) -> Mapping[str, Callable[..., Any]]:
        """The tools it is run with."""
        return {"echo": echo} if self.tools is None else self.tools


def doubled(name: str, times: int, form: str = "[{0}, {0}]", leaf: str = "1") -> str:
    """A program for a value of `times` objects that is 2^times leaves when written out."""
    return f"{name} = {leaf}\nfor i in range({times}) {{ {name} = {form.format(name)} }}\n"


def text(name: str, times: int, leaf: str = "ab") -> str:
    """A program for a text that is 2^times the leaf."""
    return f"{name} = '{leaf}'\nfor i in range({times}) {{ {name} += {name} }}\n"


def numbered(form: str, count: int, join: str = "\n") -> str:
    """A source of many like pieces, each with its number."""
    return join.join(form.format(i) for i in range(count))


def between(open_bracket: str, inside: str, close_bracket: str, depth: int) -> str:
    """Brackets inside one another."""
    return open_bracket * depth + inside + close_bracket * depth


SHARED = doubled("x", 100)
"""A list of a hundred objects that is 2^100 elements when written out."""

TWO_SHARED = SHARED + doubled("y", 100)
SHARED_RECORD = doubled("x", 100, "{{ a: {0}, b: {0} }}")
LONG = text("s", 19)
"""A text of a mebibyte."""


def deep(levels: int) -> list[Any]:
    """Lists inside one another."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def cyclic() -> list[Any]:
    """A list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


class Answering(lashlang.Answers):
    """A projection that answers every question by looking it up, whatever it says of itself."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    def answer(self, target: lashlang.Projected, question: str, args: Any) -> Any:
        """The prepared answer; an exception is raised, a function called with the arguments."""
        if question not in self._answers:
            raise lashlang.Unsupported
        found = self._answers[question]
        if isinstance(found, BaseException):
            raise found
        return found(*args) if callable(found) else found
