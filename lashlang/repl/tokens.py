"""The tokens of a text that is still being written: as the lexer has them, and going on after what it refuses."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from lashlang.syntax.diagnostics import CompileError
from lashlang.syntax.kinds import END, LAST_OPENER, LBRACE, LBRACKET, LPAR, RBRACE, RBRACKET, RPAR, STRING
from lashlang.syntax.lexer import lex
from lashlang.syntax.passes import label
from lashlang.syntax.source import Source

ERROR: Final = END + 1
"""Kind of a piece that the lexer refuses."""

_OPENERS: Final = {RPAR: LPAR, RBRACKET: LBRACKET, RBRACE: LBRACE}

_BOM: Final = "\ufeff"

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_MOST_ERRORS: Final = 50
"""After so many refusals the rest of a text is left without pieces: after each the work begins anew."""


class Piece(NamedTuple):
    """A token: half-open offsets, and what it is by its spelling (`kind`) and by its context (`label`)."""

    start: int
    end: int
    kind: int
    label: int


class Pieces(NamedTuple):
    """The pieces of a text in order; `in_string` tells that the last is a string that is not closed."""

    items: list[Piece]
    in_string: bool


def read_pieces(text: str) -> Pieces:
    """Split any text into pieces; between them is nothing but white space and comments. Never raises."""
    # The lexer refuses these in strings and comments, too, in the middle of which nothing could go on.
    text = _SURROGATE.sub("\ufffd", text)
    found: list[Piece] = []
    at = 0
    for _ in range(_MOST_ERRORS):
        if text.startswith(_BOM, at):
            # The language drops one that begins a source; `Source` would drop any that begins the rest, too.
            if at:
                found.append(Piece(at, at + 1, ERROR, ERROR))
            at += 1
            continue
        try:
            found += _lexed(text[at:], at)
            break
        except CompileError as error:
            diagnostic = error.diagnostic
            start = _offset(text, at, diagnostic.line, diagnostic.column)
            end = _offset(text, at, diagnostic.end_line, diagnostic.end_column)
            found += _lexed_before(text[at:start], at)
            if diagnostic.code == "unterminated_string":
                found.append(Piece(start, len(text), STRING, STRING))
                return Pieces(found, True)
            found.append(Piece(start, end, ERROR, ERROR))
            at = end
    return Pieces(found, False)


def open_brackets(pieces: Pieces, before: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The kinds of the brackets that are open after these pieces, where those of `before` were.

    A wrong closer closes a wrong opener, but not a `{`, as long as a `}` may still come: it is a slip in a body.
    """
    opened = list(before)
    for piece in pieces.items:
        if piece.kind <= LAST_OPENER:
            opened.append(piece.kind)
        elif piece.kind in _OPENERS and opened:
            wanted = _OPENERS[piece.kind]
            if wanted in opened:
                while opened.pop() != wanted:
                    pass
            elif opened[-1] != LBRACE:
                opened.pop()
    return tuple(opened)


def _lexed(text: str, at: int) -> list[Piece]:
    tokens = lex(Source(text))
    label(tokens)
    columns = zip(tokens.starts, tokens.ends, tokens.kinds, tokens.labels, strict=True)
    return [Piece(at + start, at + end, kind, name) for start, end, kind, name in columns if kind != END]


def _lexed_before(text: str, at: int) -> list[Piece]:
    """The pieces before an error; none where that text alone is refused for another reason."""
    try:
        return _lexed(text, at)
    except CompileError:
        return []


def _offset(text: str, at: int, line: int, column: int) -> int:
    """The offset in `text` of a position that counts from `at`."""
    for _ in range(line - 1):
        at = text.index("\n", at) + 1
    return at + column - 1
