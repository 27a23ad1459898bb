"""What is said about a token that does not fit: the message and place of a `syntax_error` (chapter 17)."""

from __future__ import annotations

from typing import Final

from lashlang.syntax import hints, misuse
from lashlang.syntax.diagnostics import CompileError
from lashlang.syntax.kinds import (
    AND,
    AND_SIGN,
    APPLY,
    CALLED,
    COALESCE,
    COMPARE,
    COMPOUND,
    DOT,
    END,
    ENUM,
    EQUAL,
    FALSE,
    IDENT,
    IDENTIFIERS,
    IN,
    INDEX,
    MINUS,
    MUL,
    NOT_IN,
    NULL,
    NUMBER,
    OPTIONAL,
    OR,
    OR_SIGN,
    PIPE,
    PLUS,
    PRINT,
    RBRACE,
    SIGNS,
    STRING,
    TERN,
    TRUE,
    UNWRAP,
    WORDKEY,
    WORDS,
)
from lashlang.syntax.lexer import Tokens
from lashlang.syntax.misuse import Failure
from lashlang.syntax.report import error_at

_CONTINUATIONS: Final = frozenset(
    {DOT, INDEX, APPLY, UNWRAP, TERN, PIPE, OPTIONAL, PLUS, MINUS, MUL, COMPARE, IN, NOT_IN, EQUAL, COMPOUND}
    | {AND, OR, AND_SIGN, OR_SIGN, COALESCE}
)
"""Kinds that continue a complete expression or type. Messages name what must come, not what may."""

_KEYS: Final = frozenset({IDENT, STRING, WORDKEY, TRUE, FALSE, NULL})
"""Kinds that can be a key where WORDKEY can."""

_NAMINGS: Final = {
    **{kind: f"`{word}`" for word, kind in (*WORDS.items(), *SIGNS.items())},
    IDENT: "a name",
    STRING: "a string",
    END: "end of input",
}
"""How messages name the kinds that they may name as expected."""

_MOST_NAMED: Final = 3
"""Most tokens that a message names as expected."""

_LONGEST_QUOTE: Final = 60
"""Most code points of a token that a message repeats."""


def complain(failure: Failure) -> CompileError:
    """The `syntax_error` for a token that does not fit, for the caller to raise."""
    tokens = failure.tokens
    at = misuse.conditional(failure)
    if at is not None:
        message, hint = "unexpected `if`", hints.INLINE_IF
    else:
        at = failure.index
        wanted = None if tokens.labels[at] == CALLED else _wanted(failure)
        found = _found(tokens, at)
        message = f"unexpected {found}" if wanted is None else f"expected {wanted}, found {found}"
        hint = misuse.hint(failure)
    return error_at(tokens.source, "syntax_error", message, tokens.starts[at], tokens.ends[at], hint=hint)


def _found(tokens: Tokens, index: int) -> str:
    """A token as messages name it."""
    kind = tokens.kinds[index]
    text = tokens.text(index)
    if len(text) > _LONGEST_QUOTE:
        text = text[:_LONGEST_QUOTE] + "…"
    if kind == END:
        return "end of input"
    if kind == STRING:
        return "string"
    if kind == NUMBER:
        return f"number {text}"
    return f"identifier `{text}`" if kind in IDENTIFIERS else f"`{text}`"


def _wanted(failure: Failure) -> str | None:
    """What should stand there, in words or as a few tokens; None if too much could."""
    expected = failure.expected
    if ENUM in expected:
        return "a type"
    if NUMBER in expected:
        if PRINT not in expected:
            return "an expression"
        if failure.kind() == END and RBRACE in expected:
            return "`}`"
        return None if failure.after_operand() else "a statement"
    if expected & _CONTINUATIONS != frozenset({IN}):  # else it is the `in` of a loop
        expected -= _CONTINUATIONS
    words: set[str] = set()
    if WORDKEY in expected:
        words.add("a key")
        expected -= _KEYS
    words.update(_NAMINGS[kind] for kind in expected & _NAMINGS.keys())
    named = sorted(words)
    if not 0 < len(named) <= _MOST_NAMED:
        return None
    return " or ".join([*([", ".join(named[:-1])] if len(named) > 1 else []), named[-1]])
