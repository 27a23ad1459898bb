"""How errors look on a screen: the layout of chapter 17, in colour where the screen can show it."""

from __future__ import annotations

import os
from typing import TextIO

from lashlang.syntax.diagnostics import Diagnostic


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour: on a terminal that can, unless NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def error_text(error: Diagnostic, source: str, *, file: str = "", line_offset: int = 0) -> str:
    """A diagnostic as people read it.

    `file` is named in front of the line, where there is one. `line_offset` is the number of lines before `source`
    in the text that the reader knows, and is added to the line's number.
    """
    text = error.render(source)
    where = f"--> {file}: line" if file else "--> line"
    return text.replace(f"--> line {error.line},", f"{where} {error.line + line_offset},", 1)


def coloured(text: str) -> str:
    """A rendered diagnostic with the escape codes of colours: head, place, marker and hint each in their own."""
    lines = text.split("\n")
    head, colon, message = lines[0].partition(": ")
    lines[0] = f"\x1b[1;31m{head}\x1b[0m{colon}\x1b[1m{message}\x1b[0m"
    lines[1] = f"\x1b[2m{lines[1]}\x1b[0m"
    lines[3] = f"\x1b[31m{lines[3]}\x1b[0m"
    if len(lines) > 4:
        lines[4] = f"\x1b[36m{lines[4]}\x1b[0m"
    return "\n".join(lines)
