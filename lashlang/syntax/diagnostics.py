"""What an error of the language looks like, and how it is shown (chapter 17 of the specification)."""

from __future__ import annotations

from dataclasses import dataclass

from lashlang.syntax.source import Source


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error, before or while a block runs.

    `kind` is stable (`syntax_error`, `type_error`, …), `code` says which variant or limit where the
    kind has several (`bad_number`, `fuel`). Lines and columns are 1-based, columns count code
    points, and the end is exclusive (`end_column` is one past the last code point).
    """

    kind: str
    message: str
    line: int
    column: int
    end_line: int
    end_column: int
    code: str | None = None
    hint: str | None = None

    def render(self, source: str | Source) -> str:
        """The error as text with its source line and marker, exactly as chapter 17 lays it out."""
        text = source if isinstance(source, Source) else Source(source)
        line, pad, width = text.excerpt(self.line, self.column, self.end_line, self.end_column)
        rendered = (
            f"error[{self.kind}]: {self.message}\n"
            f"--> line {self.line}, column {self.column}\n"
            f"{line}\n{pad}^{'~' * (width - 1)}"
        )
        return f"{rendered}\nhint: {self.hint}" if self.hint else rendered


class LashlangError(Exception):
    """Base of every error this package raises on purpose."""


class CompileError(LashlangError):
    """A source that was refused before anything ran; `diagnostic` says what, where and what to do."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(
            f"{diagnostic.kind}: {diagnostic.message} (line {diagnostic.line}, column {diagnostic.column})"
        )
        self.diagnostic = diagnostic
