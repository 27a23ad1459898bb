"""What could stand where somebody is writing: names, fields, tools and their arguments, words of the language."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from lashlang.repl.help import builtins
from lashlang.repl.session import Session
from lashlang.repl.tokens import Piece, read_pieces
from lashlang.syntax.kinds import (
    CALL,
    CLOSERS,
    COMMA,
    DOT,
    IDENT,
    IDENTIFIERS,
    INDEX,
    LAST_OPENER,
    LBRACE,
    MINUS,
    NUMBER,
    RBRACKET,
    RESERVED,
    STRING,
    UNWRAP,
    WORD_KINDS,
)
from lashlang.vm.machine import is_name

_COMMENT: Final = re.compile(r"#|//")

KEYWORDS: Final = (*RESERVED, "break", "continue", "while", "start", "Type")
"""The words that mean something, in one position at least."""


class Candidate(NamedTuple):
    """One thing to insert in the place of the last `replaced` characters, and a word about it."""

    text: str
    replaced: int
    about: str


def candidates(before: str, session: Session) -> Iterator[Candidate]:
    """What could stand at the end of `before`, in the place of a name that is begun there."""
    pieces, in_string = read_pieces(before)
    end = pieces[-1].end if pieces else 0
    if in_string or _COMMENT.search(before, end):
        return
    word = ""
    if pieces and end == len(before) and (pieces[-1].kind in IDENTIFIERS or pieces[-1].kind in WORD_KINDS):
        word = before[pieces.pop().start :]
    for text, about in _choices(before, pieces, session):
        if text.startswith(word) and text != word:
            yield Candidate(text, len(word), about)


def signature(function: Callable[..., Any]) -> str:
    """A tool's arguments as a record in the language: `{ url, timeout? }`."""
    names = [
        f"{name}{'' if parameter.default is parameter.empty else '?'}" for name, parameter in _parameters(function)
    ]
    return f"{{ {', '.join(names)} }}" if names else "{}"


def summary(function: Callable[..., Any]) -> str:
    """The first line of what a tool says of itself."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _choices(before: str, pieces: list[Piece], session: Session) -> Iterable[tuple[str, str]]:
    """All that could stand after these pieces, each with a word about it."""
    last = pieces[-1].kind if pieces else None
    if last == DOT:
        start = _path_start(pieces, len(pieces) - 1)
        if start is None:
            return []
        keys = session.keys_of(before[pieces[start].start : pieces[-1].start])
        return [(key, "field") for key in keys if is_name(key) or key in RESERVED]
    if last == CALL:
        return [(name, f"{signature(tool)} {summary(tool)}".strip()) for name, tool in session.tools.items()]
    tool = _called_tool(before, pieces) if last in (LBRACE, COMMA) else None
    if tool in session.tools:
        return [(f"{name}:", f"argument of {tool}") for name, _ in _parameters(session.tools[tool])]
    return _names(session)


def _names(session: Session) -> Iterator[tuple[str, str]]:
    yield from ((name, "variable") for name in session.names())
    yield from ((name, "read-only") for name in session.projected)
    yield from ((f"{name}(", f"{entry.signature} {entry.text}") for name, entry in builtins().items())
    yield from ((word, "keyword") for word in KEYWORDS)


def _path_start(pieces: list[Piece], end: int) -> int | None:
    """Where the path begins that `pieces[:end]` ends with: names, and literals as indexes; None where there is none."""
    at = end - 1
    while at >= 0:
        kind = pieces[at].kind
        if kind == RBRACKET and at >= 2 and pieces[at - 1].kind in (NUMBER, STRING):
            at -= 3 if pieces[at - 2].kind == MINUS else 2
            if at < 0 or pieces[at].label != INDEX:
                return None
        elif pieces[at].label == UNWRAP:
            pass
        elif kind not in IDENTIFIERS and kind not in WORD_KINDS:
            return None
        elif at and pieces[at - 1].kind == DOT:
            at -= 1
        else:
            return at if kind in IDENTIFIERS else None
        at -= 1
    return None


def _called_tool(before: str, pieces: list[Piece]) -> str | None:
    """The tool in whose argument record the pieces end, if they do."""
    depth = 0
    for at in range(len(pieces) - 1, -1, -1):
        if pieces[at].kind in CLOSERS:
            depth += 1
        elif pieces[at].kind <= LAST_OPENER:
            if depth:
                depth -= 1
            elif at >= 2 and (pieces[at - 2].kind, pieces[at].kind) == (CALL, LBRACE):
                return before[pieces[at - 1].start : pieces[at - 1].end] if pieces[at - 1].kind == IDENT else None
            else:
                return None
    return None


def _parameters(function: Callable[..., Any]) -> list[tuple[str, inspect.Parameter]]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions do not tell
        return []
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [(name, parameter) for name, parameter in parameters.items() if parameter.kind in named]
