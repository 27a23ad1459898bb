"""Which hint fits a misplaced token: the rows of chapter 17 for `syntax_error`, tried in the order given there.

*Found* is the token that does not fit, *before* the one preceding it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lashlang.syntax import hints
from lashlang.syntax.kinds import (
    APPLY,
    AWAIT,
    BANG,
    CALL,
    CALLED,
    CLOSERS,
    COLON,
    COMMA,
    COMPARE,
    COMPOUND,
    DOT,
    ELSE,
    END,
    ENUM,
    EQUAL,
    FOR,
    FOREIGN,
    IDENTIFIERS,
    IF,
    IN,
    INDEX,
    LAST_OPENER,
    LBRACE,
    LBRACKET,
    LITERALS,
    LPAR,
    MINUS,
    MUL,
    NOT,
    NUMBER,
    PARALLEL,
    PIPE,
    PLUS,
    PRINT,
    RBRACE,
    RPAR,
    STRING,
    TYPE,
    UNWRAP,
    WORD_KINDS,
    WORDKEY,
)
from lashlang.syntax.lexer import Tokens


@dataclass(frozen=True, slots=True)
class Failure:
    """A token that does not fit, and what the parser knew there.

    `expected` holds the kinds that could stand instead, `symbols` and `values` the parser's stack. All
    three are empty where the grammar alone would have let the token pass.
    """

    tokens: Tokens
    index: int
    expected: frozenset[int]
    symbols: list[str]
    values: list[Any]

    def kind(self, offset: int = 0) -> int:
        """The kind of the found token, or of one so many tokens away; END outside of the source."""
        at = self.index + offset
        return self.tokens.kinds[at] if 0 <= at < len(self.tokens.kinds) else END

    def label(self, offset: int = 0) -> int:
        """As `kind`, the label."""
        at = self.index + offset
        return self.tokens.labels[at] if 0 <= at < len(self.tokens.labels) else END

    def text(self, offset: int = 0) -> str:
        """As `kind`, the spelling."""
        at = self.index + offset
        return self.tokens.text(at) if 0 <= at < len(self.tokens.kinds) else ""

    def tight(self, offset: int = 0) -> bool:
        """As `kind`, whether the token touches the one before it."""
        at = self.index + offset
        return 0 <= at < len(self.tokens.kinds) and self.tokens.tight(at)

    def after_operand(self) -> bool:
        """Whether *before* can end an expression."""
        return self.kind(-1) in _OPERAND_ENDS or self.label(-1) in (WORDKEY, UNWRAP)

    def after_statement(self) -> bool:
        """Whether *before* is a complete statement, a name alone."""
        return PRINT in self.expected and self.symbols[-2:-1] == ["statements"]

    def in_expression(self) -> bool:
        """Whether an expression, or what continues one, could stand here; a new line tells of a new statement."""
        if self.tokens.nl[self.index] and self.innermost() not in (LPAR, LBRACKET, APPLY, INDEX):
            return False
        return NUMBER in self.expected or self.after_operand()

    def openers(self) -> list[int]:
        """The tokens that open the brackets around the found token, outermost first."""
        opened: list[int] = []
        for at, kind in enumerate(self.tokens.kinds[: self.index]):
            if kind <= LAST_OPENER:
                opened.append(at)
            elif kind in CLOSERS and opened:
                opened.pop()
        return opened

    def innermost(self) -> int:
        """The label of the innermost bracket around the found token, END if there is none."""
        opened = self.openers()
        return self.tokens.labels[opened[-1]] if opened else END

    def in_type(self) -> bool:
        """Whether the found token stands in a type body."""
        labels = self.tokens.labels
        return any(at and labels[at - 1] == TYPE for at in self.openers())


_OPERAND_ENDS: Final = LITERALS | IDENTIFIERS | CLOSERS

_TIGHTER: Final = frozenset({COMPARE, IN, PLUS, MINUS, MUL, BANG, AWAIT})
"""Operators that bind more tightly than `not`."""


def conditional(failure: Failure) -> int | None:
    """For `else` where the block of an `if` should begin (`if c else …`): the token of that `if`, else None."""
    if failure.kind() != ELSE or LBRACE not in failure.expected:
        return None
    for symbol, value in zip(reversed(failure.symbols), reversed(failure.values), strict=True):
        if symbol in ("IF", "else_if"):
            return value
        if symbol in ("statements", "positional", "named", "branch_key", "parallel_open"):
            return None
    return None


def hint(failure: Failure) -> str | None:
    """The text of the first row that applies, or None."""
    for row in _ROWS:
        text = row(failure)
        if text is not None:
            return text
    return None


def _amp(at: Failure) -> str | None:
    return hints.AMP if at.kind() == PIPE and not at.in_type() else None


def _call(at: Failure) -> str | None:
    return hints.CALL if at.kind() == LPAR and at.kind(-1) in IDENTIFIERS and at.kind(-2) == CALL else None


def _arrow(at: Failure) -> str | None:
    found_equal = at.kind() == EQUAL and at.text(1)[:1] == ">" and at.tight(1)
    found_greater = at.text()[:1] == ">" and at.tight() and at.kind(-1) == EQUAL
    # `lambda x: …` reads as a variable `lambda` and a statement `x`, so that the colon is found.
    function = at.text(-1) == "lambda" or (at.kind() in (COLON, COMMA) and at.text(-2) == "lambda")
    return hints.ARROW if found_equal or found_greater or function else None


def _foreign(at: Failure) -> str | None:
    # `try:` and `let [a, b] = …` begin as names do; with something to work on behind it, the word itself is the error.
    if at.kind() == COLON and at.kind(-1) == FOREIGN and at.after_statement():
        return hints.foreign_word(at.text(-1))
    opener = next(reversed(at.openers()), 0) if at.kind() == COMMA else 0
    destructured = opener > 0 and at.tokens.kinds[opener - 1] == FOREIGN and at.tokens.labels[opener] == INDEX
    return hints.foreign_word(at.tokens.text(opener - 1)) if destructured else None


def _inline_if(at: Failure) -> str | None:
    if at.kind() == IF:
        # With a colon it is a key.
        return hints.INLINE_IF if at.kind(1) != COLON and at.in_expression() else None
    # An `else` tells of a conditional whose `if` was taken for a filter: `[x for x in xs if c else y]`.
    return hints.INLINE_IF if at.kind() == ELSE and at.innermost() == LBRACKET else None


def _inline_for(at: Failure) -> str | None:
    return hints.INLINE_FOR if at.kind() == FOR and at.kind(1) != COLON and at.in_expression() else None


def _method(at: Failure) -> str | None:
    if at.label() == CALLED and at.kind(-2) == DOT:
        return hints.method(at.text(-1))
    return None


def _slice(at: Failure) -> str | None:
    return hints.SLICE if at.kind() == COLON and at.innermost() == INDEX else None


def _spread(at: Failure) -> str | None:
    begins = at.label(-1) in (LBRACE, LBRACKET, APPLY, COMMA) and PRINT not in at.expected
    spread = (at.kind() == DOT and at.kind(1) == DOT) or at.text() == "*"
    return hints.SPREAD if begins and spread else None


def _key(at: Failure) -> str | None:
    begins = WORDKEY in at.expected and NUMBER not in at.expected and at.kind(-1) in (LBRACE, COMMA)
    return hints.KEY if at.kind() == LBRACKET and begins and not at.in_type() else None


def _parallel(at: Failure) -> str | None:
    return hints.PARALLEL if at.kind() == LBRACKET and at.kind(-1) == PARALLEL else None


def _chain(at: Failure) -> str | None:
    if not (at.kind() in (COMPARE, IN) or (at.kind() == NOT and at.kind(1) == IN)) or not at.after_operand():
        return None
    for symbol in reversed(at.symbols):
        if symbol in ("COMPARE", "IN"):
            return hints.CHAIN
        if symbol.isupper() and symbol not in ("PLUS", "MINUS", "MUL"):
            return None
    return None


def _not(at: Failure) -> str | None:
    return hints.NOT if at.kind() == NOT and at.kind(-1) in _TIGHTER else None


def _increment(at: Failure) -> str | None:
    tokens = at.tokens
    if at.kind() == PLUS:
        # `x++`: the second sign is found.
        ends = at.kind(1) in (END, RBRACE) or tokens.nl[at.index + 1]
        return hints.INCREMENT if ends and at.kind(-1) == PLUS and at.tight() and at.text() == "+" else None
    # `x--`: both signs may begin an operand, and what follows them is found, or the `=` behind that.
    behind = -1 if at.kind() in (EQUAL, COMPOUND) and at.kind(-1) in IDENTIFIERS else 0
    ends = at.kind() in (END, RBRACE) or tokens.nl[at.index + behind]
    signs = at.kind(behind - 1) == MINUS and at.kind(behind - 2) == MINUS and at.tight(behind - 1)
    return hints.INCREMENT if ends and signs else None


def _equal(at: Failure) -> str | None:
    doubled = at.kind(-1) == COMPARE and at.text(-1) in ("==", "!=") and at.tight()
    operator_fits = at.after_operand() and (PLUS in at.expected or not at.expected)
    if at.kind() != EQUAL or not (doubled or operator_fits):
        return None
    return hints.NAMED_ARGUMENT if at.innermost() == APPLY and not doubled else hints.EQUAL


def _power(at: Failure) -> str | None:
    return hints.POWER if at.text() == "*" and at.text(-1) == "*" else None


def _tuple(at: Failure) -> str | None:
    if (at.kind() == LPAR and at.kind(-1) == FOR) or (at.kind() == EQUAL and at.kind(-2) == FOR):
        return hints.LOOP_HEAD
    if at.kind() == RPAR and at.label(-1) == LPAR:
        return hints.TUPLE
    if at.kind() != COMMA:
        return None
    if at.symbols[-1:] == ["names"]:
        return hints.LOOP_NAMES
    after_statement = PRINT in at.expected and at.after_operand()
    return hints.TUPLE if after_statement or at.innermost() == LPAR else None


def _record(at: Failure) -> str | None:
    separable = COMMA in at.expected and RBRACE in at.expected and PRINT not in at.expected
    begins_key = at.kind() in IDENTIFIERS or at.kind() == STRING or at.kind() in WORD_KINDS
    return hints.RECORD if separable and begins_key else None


def _type(at: Failure) -> str | None:
    if at.kind() not in (LBRACE, LBRACKET) or not at.in_type():
        return None
    return hints.TYPE if ENUM in at.expected or at.kind(-1) in IDENTIFIERS else None


_ROWS: Final[tuple[Callable[[Failure], str | None], ...]] = (
    _amp,
    _call,
    _arrow,
    _foreign,
    _inline_if,
    _inline_for,
    _method,
    _slice,
    _spread,
    _key,
    _parallel,
    _chain,
    _not,
    _increment,
    _equal,
    _power,
    _tuple,
    _record,
    _type,
)
