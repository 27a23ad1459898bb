"""When is what somebody has typed a whole block, and where does a stream of lines fall into blocks?

Decided by the language's own lexer and parser. A text goes on while a string or a bracket is open, errors inside
the brackets or not: a mistake in the body of a loop must not turn the rest of the body into statements of their
own. Without open brackets it goes on where the parser fails at the very end (`x = 1 +`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

from lashlang.repl.tokens import ERROR, open_brackets, read_pieces
from lashlang.syntax import parse
from lashlang.syntax.diagnostics import CompileError
from lashlang.syntax.kinds import MINUS
from lashlang.syntax.source import Source
from lashlang.syntax.tables import load_tables

INDENT: Final = "  "
"""What a block's lines are indented by."""

_COMMAND: Final = re.compile(r":(?:[A-Za-z?]|\Z)")


def is_command(text: str) -> bool:
    """Whether this is for the session and not for the machine: `:` and a word. No program begins with `:`."""
    return _COMMAND.match(text.strip()) is not None


def is_blank(text: str) -> bool:
    """Whether a text holds no token: nothing but white space and comments."""
    return not read_pieces(text).items


def is_complete(text: str) -> bool:
    """Whether a text is a whole block, right or wrong, to which nothing must be added."""
    pieces = read_pieces(text)
    return not pieces.in_string and not open_brackets(pieces) and not _ends_early(text)


def is_finished(text: str) -> bool:
    """Whether somebody who presses Enter after `text` is done with it: it is a command or a whole block, or ends in an
    empty line, which inside triple quotes belongs to the string."""
    if is_command(text) or is_complete(text):
        return True
    before, _, last = text.rpartition("\n")
    return bool(before) and not last.strip() and not _in_triple_quotes(text)


def _in_triple_quotes(text: str) -> bool:
    pieces = read_pieces(text)
    opener = text[pieces.items[-1].start :].lstrip("rR") if pieces.in_string else ""
    return opener.startswith(('"""', "'''"))


def indentation(text: str) -> str:
    """White space for the line after `text`: two blanks for each open bracket, none inside a string."""
    pieces = read_pieces(text)
    return "" if pieces.in_string else INDENT * len(open_brackets(pieces))


class Entry(NamedTuple):
    """One thing to carry out: a block or a command, and the number of its first line in the stream."""

    line: int
    text: str


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """The blocks and commands of a stream of lines (without their line feeds).

    A block is given out when the line after it is known not to continue it (`else`, `+ 1`), so that a program's
    text means what it does in a file.
    """
    block = _Pending()
    first = 1
    for number, line in enumerate(lines, 1):
        if block.lines and block.complete():
            if is_blank(line) or (not is_command(line) and _continues(block.text, line)):
                block.add(line)
                continue
            yield Entry(first, block.text)
            block = _Pending()
        if not block.lines:
            if is_command(line):
                yield Entry(number, line.strip())
                continue
            if is_blank(line):
                continue
            first = number
        block.add(line)
    if block.lines:
        yield Entry(first, block.text)


class _Pending:
    """The lines of a block so far. Each line is lexed once, whatever the block's length, and the block parsed
    only where no bracket is open."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._brackets: tuple[int, ...] = ()
        self._open = ""  # from the line on in which an unclosed string begins
        self._ended: bool | None = None

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def add(self, line: str) -> None:
        self.lines.append(line)
        self._ended = None
        text = f"{self._open}\n{line}" if self._open else line
        pieces = read_pieces(text)
        if pieces.in_string:
            self._open = text
        else:
            self._open = ""
            self._brackets = open_brackets(pieces, self._brackets)

    def complete(self) -> bool:
        if self._ended is None:
            self._ended = not self._open and not self._brackets and not _ends_early(self.text)
        return self._ended


def _ends_early(text: str) -> bool:
    """Whether the parser would have liked more."""
    found = _refused_at(text)
    return found is not None and found == len(Source(text).text)


def _refused_at(text: str) -> int | None:
    """The offset of the token that the parser refuses; None where it refuses none."""
    try:
        parse(text)
    except CompileError as error:
        diagnostic = error.diagnostic
        if diagnostic.kind != "syntax_error":
            return None
        lines = Source(text).text.split("\n")
        return sum(len(line) + 1 for line in lines[: diagnostic.line - 1]) + diagnostic.column - 1
    return None


@cache
def _beginners() -> frozenset[int]:
    """The kinds of tokens that can begin a program, and so a statement."""
    return frozenset(kind for kind, action in enumerate(load_tables().actions[0]) if action)


def _continues(text: str, line: str) -> bool:
    """Whether `line` goes on with the last statement of the complete `text` (`else`, `.field`, an operator)."""
    joined = f"{text}\n{line}"
    piece = next((piece for piece in read_pieces(joined).items if piece.start > len(text)), None)
    if piece is None or piece.kind == ERROR or (piece.label in _beginners() and piece.label != MINUS):
        return False
    return _refused_at(joined) != piece.start
