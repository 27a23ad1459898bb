"""The checks that are made while the tree is built, at the token concerned, in source order (chapter 2.3).

These are repeated names and the nesting limits of chapter 16, brackets apart, which the lexer counts.
The checks that need the whole tree belong to the compiler.
"""

from __future__ import annotations

from typing import Any, Final

from lashlang.syntax import hints
from lashlang.syntax.diagnostics import CompileError
from lashlang.syntax.lexer import Tokens
from lashlang.syntax.report import error_at

MAX_PREFIXES: Final = 64
"""Most prefix operators in a row."""

MAX_TERNARIES: Final = 64
"""Most ternaries inside one another."""

MAX_DEPTH: Final = 256
"""Greatest total depth: open brackets, prefix operators and ternaries being read."""

MAX_ELSE_IFS: Final = 256
"""Most `else if` links of one `if`."""


class Misfit(Exception):
    """The token at `index` cannot stand there, although the grammar let it pass."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Checks:
    """What is being read at the moment, as far as checks need to know it; the base of the builder.

    The grammar reduces the symbols whose methods stand here as soon as their tokens have been read.
    """

    def __init__(self, tokens: Tokens, values: list[Any]) -> None:
        """`values` is the parser's stack of values."""
        self._tokens = tokens
        self._starts = tokens.starts
        self._ends = tokens.ends
        self._values = values
        # The names used so far, for each `parallel` and type body that is open.
        self._names: list[set[str]] = []
        self._in_a_row = 0
        self._last_prefix = -1
        self._ternaries = 0
        self.pending = 0
        """Prefix operators whose operand is being read, and ternaries whose arms are."""

    def check_depth(self, index: int) -> None:
        """Raise `nesting_too_deep` if the total depth at a token is over the limit."""
        if self.pending + self._tokens.depths[index] > MAX_DEPTH:
            raise self._too_deep(f"more than {MAX_DEPTH} open brackets, prefix operators and ternaries", index)

    def open_prefix(self, operator: int) -> int:
        """A prefix operator; its operand follows."""
        self._in_a_row = self._in_a_row + 1 if self._last_prefix == operator - 1 else 1
        self._last_prefix = operator
        if self._in_a_row > MAX_PREFIXES:
            raise self._too_deep(f"more than {MAX_PREFIXES} prefix operators in a row", operator)
        self.pending += 1
        self.check_depth(operator)
        return operator

    def close_prefix(self) -> None:
        """The operand of a prefix operator is complete."""
        self.pending -= 1

    def open_ternary(self, mark: int) -> int:
        """The `?` of a ternary; its arms follow."""
        self._ternaries += 1
        if self._ternaries > MAX_TERNARIES:
            raise self._too_deep(f"more than {MAX_TERNARIES} ternaries inside one another", mark)
        self.pending += 1
        self.check_depth(mark)
        return mark

    def close_ternary(self) -> None:
        """A ternary is complete."""
        self._ternaries -= 1
        self.pending -= 1

    def else_if(self, _otherwise: int, condition: int) -> int:
        """`else if`; the arms read so far lie on top of the parser's stack."""
        if len(self._values[-1]) > MAX_ELSE_IFS:
            raise self._too_deep(f"more than {MAX_ELSE_IFS} links of `else if`", condition)
        return condition

    def names_open(self, word: int, _brace: int) -> int:
        """`parallel {` or `Type {`: names follow that must differ."""
        self._names.append(set())
        return word

    def names_close(self) -> None:
        """The construct that `names_open` began is complete."""
        self._names.pop()

    def branch_key(self, key: str, colon: int) -> str:
        """`key:` of a named branch."""
        self._use_name("branch", key, colon - 1)
        return key

    def field_key(self, key: str, colon: int) -> tuple[str, int]:
        """`key:` in a type body: the key and its token."""
        self._use_name("field", key, colon - 1)
        return key, colon - 1

    def one_name(self, name: int) -> tuple[str, ...]:
        """The variable of a loop."""
        return (self._word(name),)

    def two_names(self, first: int, _comma: int, second: int) -> tuple[str, ...]:
        """The two variables of a loop."""
        names = self._word(first), self._word(second)
        if names[0] == names[1]:
            raise self._duplicate("loop variable", names[1], second)
        return names

    def foreign_word(self, word: int) -> None:
        """A statement of another language; always refused."""
        text = self._word(word)
        raise self._error("syntax_error", f"unexpected identifier `{text}`", word, hints.foreign_word(text))

    def _use_name(self, what: str, name: str, index: int) -> None:
        names = self._names[-1]
        if name in names:
            raise self._duplicate(what, name, index)
        names.add(name)

    def _duplicate(self, what: str, name: str, index: int) -> CompileError:
        return self._error("duplicate_name", f"duplicate {what} `{name}`", index)

    def _too_deep(self, what: str, index: int) -> CompileError:
        return self._error("nesting_too_deep", f"nesting is too deep: {what}", index)

    def _error(self, kind: str, message: str, index: int, hint: str | None = None) -> CompileError:
        return error_at(self._tokens.source, kind, message, self._starts[index], self._ends[index], hint=hint)

    def _word(self, index: int) -> str:
        return self._tokens.text(index)
