"""The linear passes over the tokens that settle what depends on context, so that the grammar is LALR(1).

They fill two lists. `labels` holds how the parser reads each token first; `seconds` how it reads the
token where the first reading fits nowhere (the same, if there is no second reading). `break`, for one,
is labelled BREAK with IDENT as its second reading: loop control where a statement can begin, a
variable elsewhere. The rules R1, R2 and R3 are those of chapter 2.1, the words those of 2.2.

Every pass looks at each token a fixed number of times, whatever the source holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lashlang.syntax.kinds import (
    AND,
    APPLY,
    AWAIT,
    BANG,
    BARE_SUBMIT,
    BREAK,
    CALL,
    CALLED,
    CANCEL,
    CLOSERS,
    COLON,
    COMMA,
    COMPOUND,
    CONTINUE,
    DOT,
    ELSE,
    END,
    ENUM,
    EQUAL,
    FOR,
    FOREIGN,
    IDENT,
    IDENTIFIERS,
    IF,
    IN,
    INDEX,
    LAST_OPENER,
    LBRACE,
    LBRACKET,
    LIST,
    LITERALS,
    LPAR,
    MINUS,
    NOT,
    NOT_IN,
    OPTIONAL,
    OR,
    PARALLEL,
    PRINT,
    QUESTION,
    RBRACE,
    RBRACKET,
    RPAR,
    START,
    SUBMIT,
    TERN,
    TYPE,
    UNWRAP,
    WHILE,
    WORD_KINDS,
    WORDKEY,
)
from lashlang.syntax.lexer import Tokens

_STARTERS: Final = LITERALS | IDENTIFIERS | {LPAR, LBRACKET, LBRACE, MINUS, BANG, AWAIT, CALL, PARALLEL, NOT}
"""Kinds that can start an expression (`not` unless `in` follows)."""

_ENDERS: Final = LITERALS | IDENTIFIERS | CLOSERS | {QUESTION}
"""Kinds that can end an expression."""

_UNWRAP_DECIDERS: Final = frozenset({EQUAL, COMPOUND, COMMA, PRINT, SUBMIT, CANCEL, IF, ELSE, FOR})
"""Kinds that decide rule R3 for UNWRAP."""

_NOT_CALLABLE: Final = LITERALS | {RPAR, RBRACKET, UNWRAP}
"""Labels after which `(` on the same line is an error, keys after `.` apart (rule R1)."""

_OPERAND_ENDS: Final = LITERALS | CLOSERS | {IDENT, UNWRAP}
"""Labels that end a postfix expression, keys after `.` apart."""

_INFIX_WORDS: Final = frozenset({AND, OR, IN, ELSE})
"""Words that continue what stands before them, and are a key only where they cannot."""

_TYPE_WORDS: Final = frozenset({TYPE, LIST, ENUM})

_FOLLOW_FOREIGN: Final = IDENTIFIERS | LITERALS | {LBRACE, NOT, AWAIT, CALL, PARALLEL}
"""Kinds that show, on the line of a word of other languages, that it is meant as a statement."""

_UNDECIDED: Final = frozenset({BREAK, CONTINUE, WHILE, FOREIGN})
"""Labels of identifiers whose second reading is a variable."""


def label(tokens: Tokens) -> None:
    """Fill `labels` and `seconds` of the tokens; no token is refused here."""
    tokens.labels = list(tokens.kinds)
    tokens.seconds = tokens.labels.copy()
    if not _TYPE_WORDS.isdisjoint(tokens.kinds):
        _label_types(tokens)
    if QUESTION in tokens.kinds:
        _decide_questions(tokens)
    _Labeller(tokens).run()


def _label_types(tokens: Tokens) -> None:
    """`Type` directly before `{`, and inside the braces it opens `?`, `list[`, `enum[`; else these words are plain."""
    kinds, labels, depths = tokens.kinds, tokens.labels, tokens.depths
    outside = -1  # brackets open before the outermost type body we are in; -1 outside of type bodies
    for index, kind in enumerate(kinds):
        if kind == TYPE:
            if kinds[index + 1] == LBRACE and not _after_dot(kinds, index):
                if outside < 0:
                    outside = depths[index]
                continue
        elif outside >= 0:
            if kind in CLOSERS:
                if depths[index] <= outside:
                    outside = -1
            elif kind == QUESTION:
                labels[index] = OPTIONAL
            elif kind in (LIST, ENUM) and kinds[index + 1] == LBRACKET:
                continue
        if kind in _TYPE_WORDS:
            labels[index] = tokens.seconds[index] = IDENT


def _decide_questions(tokens: Tokens) -> None:
    """Rule R3: every `?` outside type bodies becomes UNWRAP or TERN, in one pass from the last token to the first."""
    kinds, labels, nl = tokens.kinds, tokens.labels, tokens.nl
    # Per bracket open to the right, and once for the outermost level: what the nearest deciding token there says.
    verdicts = [UNWRAP]
    # The innermost verdict before the token to the right counted as the start of another statement.
    verdict = UNWRAP
    for index in range(len(kinds) - 1, -1, -1):
        kind = kinds[index]
        if kind == QUESTION:
            if labels[index] == QUESTION:
                cut = not _starts_expression(kinds, index + 1) or (nl[index + 1] and tokens.tight(index))
                labels[index] = UNWRAP if cut else verdict
        elif kind in CLOSERS:
            verdicts.append(UNWRAP)
        elif kind <= LAST_OPENER:
            if len(verdicts) > 1:
                verdicts.pop()
            else:
                verdicts[0] = UNWRAP
        elif kind == COLON:
            verdicts[-1] = TERN
        elif kind in _UNWRAP_DECIDERS and not _after_dot(kinds, index):
            verdicts[-1] = UNWRAP
        verdict = verdicts[-1]
        if (
            nl[index]
            and index
            and kind != MINUS
            and _starts_expression(kinds, index)
            and (kinds[index - 1] in _ENDERS or _after_dot(kinds, index - 1))
        ):
            verdicts[-1] = UNWRAP


def _starts_expression(kinds: list[int], index: int) -> bool:
    kind = kinds[index]
    return kind in _STARTERS and (kind != NOT or kinds[index + 1] != IN)


def _after_dot(kinds: list[int], index: int) -> bool:
    return index > 0 and kinds[index - 1] == DOT


class _Labeller:
    """The pass from the first token to the last: brackets, words, `not in`."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.kinds = tokens.kinds
        self.labels = tokens.labels
        self.nl = tokens.nl
        self.closings: dict[int, int] | None = None

    def run(self) -> None:
        handlers: dict[int, Callable[[int], None]] = {
            LPAR: self.parenthesis,
            LBRACKET: self.bracket,
            **dict.fromkeys(WORD_KINDS, self.reserved),
            **dict.fromkeys((BREAK, CONTINUE, WHILE), self.loop_word),
            START: self.start,
            FOREIGN: self.foreign,
        }
        handler_of = handlers.get
        for index, kind in enumerate(self.kinds):
            handler = handler_of(kind)
            if handler is not None:
                handler(index)

    def read_as(self, index: int, first: int, second: int) -> None:
        self.labels[index] = first
        self.tokens.seconds[index] = second

    def ends_operand(self, index: int) -> bool:
        """Whether a token ends a postfix expression, as far as it is known before parsing."""
        return self.labels[index] in _OPERAND_ENDS or _after_dot(self.kinds, index)

    def parenthesis(self, index: int) -> None:
        """Rule R1. CALLED fits nowhere: there are no calls of methods and values."""
        if self.nl[index]:
            return
        if _after_dot(self.kinds, index - 1) or self.labels[index - 1] in _NOT_CALLABLE:
            self.read_as(index, CALLED, CALLED)
        elif self.kinds[index - 1] in IDENTIFIERS:
            self.read_as(index, APPLY, LPAR)

    def bracket(self, index: int) -> None:
        """Rule R2. After the `}` of a block or `break` nothing can be indexed; the second reading begins a list."""
        if not self.nl[index] and (self.ends_operand(index - 1) or self.labels[index - 1] in _UNDECIDED):
            self.read_as(index, INDEX, LBRACKET)

    def reserved(self, index: int) -> None:
        """Keys, `not in`, and `submit` without a value."""
        kind = self.kinds[index]
        before = self.kinds[index - 1] if index else END
        after = self.kinds[index + 1]
        if before == DOT:
            self.read_as(index, WORDKEY, WORDKEY)
        elif kind in LITERALS:
            return  # the grammar itself takes them as keys: `c ? null : x` shows that `:` does not tell
        elif after == COLON:
            if kind in _INFIX_WORDS:
                self.read_as(index, kind, WORDKEY)
            else:
                self.read_as(index, WORDKEY, kind)
        elif kind == NOT and after == IN and index:
            if self.ends_operand(index - 1):
                self.read_as(index, NOT_IN, NOT_IN)
            elif self.labels[index - 1] in _UNDECIDED:
                self.read_as(index, NOT_IN, NOT)
        elif kind == SUBMIT and after in (RBRACE, END):
            self.read_as(index, BARE_SUBMIT, SUBMIT)
        elif before in (LBRACE, COMMA):
            # A record's key without its `:`, to be reported at the token that should be the colon.
            self.read_as(index, kind, WORDKEY)

    def loop_word(self, index: int) -> None:
        """`break`, `continue`, `while`: variables after `:` and `,`, as keys, and where they are assigned to."""
        before = self.kinds[index - 1] if index else END
        if before in (DOT, COLON, COMMA) or self.kinds[index + 1] == COLON or self.is_assigned(index):
            self.read_as(index, IDENT, IDENT)
        else:
            self.read_as(index, self.kinds[index], IDENT)

    def start(self, index: int) -> None:
        """`start` means something only directly before `call`."""
        if self.kinds[index + 1] != CALL or _after_dot(self.kinds, index):
            self.read_as(index, IDENT, IDENT)

    def foreign(self, index: int) -> None:
        """A word of other languages is one only with something to work on behind it, on its line."""
        follower = self.kinds[index + 1]
        works = follower in _FOLLOW_FOREIGN or (
            follower in _STARTERS and self.tokens.text(index) == "return" and not self.is_assigned(index)
        )
        if works and not self.nl[index + 1] and not _after_dot(self.kinds, index):
            self.read_as(index, FOREIGN, IDENT)
        else:
            self.read_as(index, IDENT, IDENT)

    def is_assigned(self, index: int) -> bool:
        """Whether an identifier is followed by the rest of an assignment path and an assignment operator."""
        at = index + 1
        kinds = self.kinds
        while True:
            kind = kinds[at]
            if kind == DOT and kinds[at + 1] != END:
                at += 2
            elif kind == LBRACKET and not self.nl[at]:
                if self.closings is None:
                    self.closings = _closing_brackets(self.tokens)
                at = self.closings.get(at, len(kinds) - 2) + 1
            else:
                return kind in (EQUAL, COMPOUND)


def _closing_brackets(tokens: Tokens) -> dict[int, int]:
    """For each opener that is closed, the token that closes it."""
    closings: dict[int, int] = {}
    opened: list[int] = []
    for index, kind in enumerate(tokens.kinds):
        if kind <= LAST_OPENER:
            opened.append(index)
        elif kind in CLOSERS and opened:
            closings[opened.pop()] = index
    return closings
