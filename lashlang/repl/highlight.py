"""Which part of a text is what, for colouring: decided by the language's lexer and the passes after it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from lashlang.compiler.builtins import BY_NAME
from lashlang.repl.tokens import ERROR, Piece, read_pieces
from lashlang.syntax.kinds import (
    APPLY,
    BARE_SUBMIT,
    BREAK,
    CALL,
    CONTINUE,
    FALSE,
    FOREIGN,
    IDENTIFIERS,
    NOT_IN,
    NULL,
    NUMBER,
    START,
    STRING,
    TRUE,
    TYPE,
    WHILE,
    WORD_KINDS,
)

_COMMENT: Final = re.compile(r"(?:#|//)[^\n]*")
_COMMAND: Final = re.compile(r"\s*:\S*")

_CLASSES: Final = {
    **dict.fromkeys((*WORD_KINDS, NOT_IN, BARE_SUBMIT, BREAK, CONTINUE, WHILE, START, TYPE), "keyword"),
    **dict.fromkeys((TRUE, FALSE, NULL), "constant"),
    NUMBER: "number",
    STRING: "string",
    FOREIGN: "error",
    ERROR: "error",
}


class Stretch(NamedTuple):
    """Half-open offsets, and what stands there: `keyword`, `string`, … or nothing in particular."""

    start: int
    end: int
    name: str


def stretches(text: str) -> list[Stretch]:
    """A text in coloured stretches, without gaps, whatever it holds."""
    command = _COMMAND.match(text)
    if command is not None:
        return [Stretch(0, command.end(), "command"), Stretch(command.end(), len(text), "")]
    found: list[Stretch] = []
    at = 0
    pieces = read_pieces(text).items
    for index, piece in enumerate(pieces):
        found += _gap(text, at, piece.start)
        found.append(Stretch(piece.start, piece.end, _class(text, pieces, index)))
        at = piece.end
    return found + _gap(text, at, len(text))


def _gap(text: str, start: int, end: int) -> list[Stretch]:
    """What lies between two tokens: white space and comments."""
    found: list[Stretch] = []
    at = start
    for comment in _COMMENT.finditer(text, start, end):
        found += [Stretch(at, comment.start(), ""), Stretch(comment.start(), comment.end(), "comment")]
        at = comment.end()
    found.append(Stretch(at, end, ""))
    return [stretch for stretch in found if stretch.start < stretch.end]


def _class(text: str, pieces: list[Piece], index: int) -> str:
    piece = pieces[index]
    if piece.label not in _CLASSES and piece.kind in IDENTIFIERS:
        if index and pieces[index - 1].label == CALL:
            return "tool"
        called = index + 1 < len(pieces) and pieces[index + 1].label == APPLY
        return "builtin" if called and text[piece.start : piece.end] in BY_NAME else ""
    return _CLASSES.get(piece.label, "")
