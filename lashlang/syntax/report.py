"""Making a `CompileError` from offsets into a source."""

from __future__ import annotations

from lashlang.syntax.diagnostics import CompileError, Diagnostic
from lashlang.syntax.source import Source


def error_at(
    source: Source, kind: str, message: str, start: int, end: int, *, code: str | None = None, hint: str | None = None
) -> CompileError:
    """The error of one kind at the half-open range of code points `start` to `end`, for the caller to raise."""
    line, column = source.position(start)
    end_line, end_column = source.position(end)
    return CompileError(Diagnostic(kind, message, line, column, end_line, end_column, code, hint))
