"""The kinds of tokens as small integers, named like the terminals of `grammar/lashlang.lark`.

The lexer gives each token a kind by its spelling. The passes give it a *label*, the kind the parser
first takes it for, which differs where context decides: `(` may be `LPAR` or `APPLY`.
"""

from __future__ import annotations

from typing import Final

# Openers stand first: one comparison with LAST_OPENER recognises them.
# fmt: off
NAMES: Final = (
    "LPAR", "APPLY", "CALLED", "LBRACKET", "INDEX", "LBRACE",
    "RPAR", "RBRACKET", "RBRACE",
    "COMMA", "COLON", "DOT", "PIPE", "EQUAL", "COMPOUND", "COMPARE", "PLUS", "MINUS", "MUL", "BANG",
    "AND_SIGN", "OR_SIGN", "COALESCE", "QUESTION", "TERN", "UNWRAP", "OPTIONAL",
    "IDENT", "NUMBER", "STRING",
    "IF", "ELSE", "FOR", "IN", "PARALLEL", "AWAIT", "CANCEL", "SUBMIT", "PRINT", "CALL", "AND", "OR", "NOT",
    "TRUE", "FALSE", "NULL",
    "NOT_IN", "WORDKEY", "BARE_SUBMIT",
    "BREAK", "CONTINUE", "WHILE", "START", "TYPE", "ENUM", "LIST", "FOREIGN",
    "END",
)
"""Names of the kinds; a kind is the index of its name. All but CALLED and QUESTION are terminals of the grammar."""

(
    LPAR, APPLY, CALLED, LBRACKET, INDEX, LBRACE,
    RPAR, RBRACKET, RBRACE,
    COMMA, COLON, DOT, PIPE, EQUAL, COMPOUND, COMPARE, PLUS, MINUS, MUL, BANG,
    AND_SIGN, OR_SIGN, COALESCE, QUESTION, TERN, UNWRAP, OPTIONAL,
    IDENT, NUMBER, STRING,
    IF, ELSE, FOR, IN, PARALLEL, AWAIT, CANCEL, SUBMIT, PRINT, CALL, AND, OR, NOT,
    TRUE, FALSE, NULL,
    NOT_IN, WORDKEY, BARE_SUBMIT,
    BREAK, CONTINUE, WHILE, START, TYPE, ENUM, LIST, FOREIGN,
    END,
) = range(58)
# fmt: on

LAST_OPENER: Final = LBRACE

CLOSERS: Final = frozenset({RPAR, RBRACKET, RBRACE})

FOREIGN_WORDS: Final = frozenset(
    "let const var def function fn class return import from try except finally raise throw with pass del elif match "
    "switch case lambda async do".split()
)
"""Words that begin statements in other languages; here ordinary identifiers, unless one begins such a statement."""

RESERVED: Final[dict[str, int]] = {
    "if": IF,
    "else": ELSE,
    "for": FOR,
    "in": IN,
    "parallel": PARALLEL,
    "await": AWAIT,
    "cancel": CANCEL,
    "submit": SUBMIT,
    "print": PRINT,
    "call": CALL,
    "and": AND,
    "or": OR,
    "not": NOT,
    "true": TRUE,
    "false": FALSE,
    "null": NULL,
}
"""The reserved words."""

WORDS: Final[dict[str, int]] = {
    **RESERVED,
    "break": BREAK,
    "continue": CONTINUE,
    "while": WHILE,
    "start": START,
    "Type": TYPE,
    "enum": ENUM,
    "list": LIST,
    **dict.fromkeys(FOREIGN_WORDS, FOREIGN),
}
"""Kinds of the words that are more than identifiers, reserved or contextual."""

SIGNS: Final[dict[str, int]] = {
    "(": LPAR,
    "[": LBRACKET,
    "{": LBRACE,
    ")": RPAR,
    "]": RBRACKET,
    "}": RBRACE,
    ",": COMMA,
    ":": COLON,
    ".": DOT,
    "|": PIPE,
    "=": EQUAL,
    **dict.fromkeys(("+=", "-=", "*=", "/=", "%="), COMPOUND),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), COMPARE),
    "+": PLUS,
    "-": MINUS,
    **dict.fromkeys(("*", "/", "%"), MUL),
    "!": BANG,
    "&&": AND_SIGN,
    "||": OR_SIGN,
    "??": COALESCE,
    "?": QUESTION,
}
"""Kinds of operators and punctuation."""

IDENTIFIERS: Final = frozenset({IDENT, BREAK, CONTINUE, WHILE, START, TYPE, ENUM, LIST, FOREIGN})
"""Kinds of tokens that are identifiers by chapter 1; all but IDENT mean more in one position."""

WORD_KINDS: Final = frozenset(RESERVED.values())
"""Kinds of the reserved words."""

LITERALS: Final = frozenset({NUMBER, STRING, TRUE, FALSE, NULL})
"""Kinds of tokens that are constants."""
