"""Where a session's words go: values to standard output, everything else to standard error.

On a terminal both are the screen. There, characters that control it are shown as escapes: what a tool or a program
writes must not move the cursor.
"""

from __future__ import annotations

import shutil
import sys

from lashlang.repl.display import printable, show
from lashlang.repl.looking import Look
from lashlang.screen import coloured, error_text, wants_colour
from lashlang.syntax.diagnostics import Diagnostic

_WIDEST = 120


class Console:
    """Writes what a session has to say, at once."""

    def __init__(self) -> None:
        self._colour = wants_colour(sys.stderr)
        self._guarded = sys.stderr.isatty()

    def value(self, found: Look) -> None:
        """The value of an expression or of a `submit`."""
        if found.seen:
            text = show(found.value, self.width, found.size)
        else:
            text = f"<{found.type_name} of {found.size:,}, too large to be shown; look at its parts>"
        print(text, flush=True)

    def printed(self, text: str) -> None:
        """What a program prints."""
        self._write(text)

    def note(self, text: str) -> None:
        """What the session itself has to say."""
        self._write(text)

    def interrupted(self) -> None:
        """A block was stopped from the keyboard; a terminal shows the keys, and the cursor stands behind them."""
        lead = "\n" if self._guarded else ""
        self._write(f"{lead}interrupted; what was assigned before stays")

    def error(self, error: Diagnostic, source: str, line_offset: int = 0) -> None:
        """A program's error; `line_offset` is the number of lines before its source in the stream."""
        text = error_text(error, source, line_offset=line_offset)
        sys.stdout.flush()
        text = printable(text) if self._guarded else text
        print(coloured(text) if self._colour else text, file=sys.stderr, flush=True)

    @property
    def width(self) -> int:
        """Columns to use."""
        return min(shutil.get_terminal_size().columns, _WIDEST) - 1 if sys.stdout.isatty() else 80

    def _write(self, text: str) -> None:
        sys.stdout.flush()
        print(printable(text) if self._guarded else text, file=sys.stderr, flush=True)
