"""How an error of the language travels inside the oracle, and how it is reported (chapter 17).

An operation that fails raises `Failure` without a place. The node whose own operation it was gives
it its span on the way out; a limit takes the span of the innermost statement instead. The first
place given stays.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass


class Failure(Exception):
    """An error of the running program; `span` is None until a node or a statement has claimed it."""

    def __init__(self, kind: str, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.code = code
        self.span: tuple[int, int] | None = None

    @property
    def stops_block(self) -> bool:
        """Whether it ends the whole block at once, also from inside a branch (chapter 13)."""
        return self.kind in ("limit_exceeded", "interrupted")

    def place(self, start: int, end: int) -> None:
        """Give the error its span, unless an inner node has done so."""
        if self.span is None:
            self.span = (start, end)


def type_error(message: str) -> Failure:
    """A value of the wrong type met an operation."""
    return Failure("type_error", message)


def value_error(message: str) -> Failure:
    """A value of the right type that the operation cannot use."""
    return Failure("value_error", message)


@contextmanager
def operation(start: int, end: int) -> Generator[None]:
    """Place the errors of one node's own operation; limits pass, they belong to the statement."""
    try:
        yield
    except Failure as failure:
        if not failure.stops_block:
            failure.place(start, end)
        raise


@contextmanager
def statement(start: int, end: int) -> Generator[None]:
    """Place what no node inside has claimed: limits, and the statement's own failures."""
    try:
        yield
    except Failure as failure:
        failure.place(start, end)
        raise


@dataclass(frozen=True, slots=True)
class OracleError:
    """An error as reported: offsets are half-open code-point offsets, lines and columns 1-based."""

    kind: str
    code: str | None
    message: str
    start: int
    end: int
    line: int
    column: int
    end_line: int
    end_column: int


def locate(source: str, offset: int) -> tuple[int, int]:
    """The 1-based line and column of an offset; only a line feed ends a line."""
    return source.count("\n", 0, offset) + 1, offset - (source.rfind("\n", 0, offset) + 1) + 1


def report(source: str, kind: str, message: str, span: tuple[int, int], code: str | None = None) -> OracleError:
    """An error with its lines and columns worked out from the source (byte-order mark already dropped)."""
    start, end = span
    return OracleError(kind, code, message, start, end, *locate(source, start), *locate(source, end))
