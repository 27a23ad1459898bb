"""The parser: a small loop that drives Lark's LALR(1) tables over the labelled tokens.

The tree is made during the reductions (`lashlang.syntax.builder`), so there is no tree of the parser's
own and no recursion: the stacks are lists. Work is linear in the number of tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lashlang.syntax import tree
from lashlang.syntax.builder import Builder
from lashlang.syntax.checks import MAX_DEPTH, Misfit
from lashlang.syntax.complaints import complain
from lashlang.syntax.kinds import LAST_OPENER, NAMES
from lashlang.syntax.lexer import MAX_BRACKETS, Tokens, lex, read_source
from lashlang.syntax.misuse import Failure
from lashlang.syntax.passes import label
from lashlang.syntax.tables import Tables, load_tables

_SLACK: Final = MAX_DEPTH - MAX_BRACKETS
"""While no more than this is pending, brackets alone cannot make the total depth too great."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as editors and tests want it: what it is, its spelling and offsets, its two flags of chapter 1.

    `kind` is the name of a terminal of the grammar, after the passes: `APPLY` for the `(` of a call.
    """

    kind: str
    text: str
    start: int
    end: int
    nl: bool
    tight: bool


def tokenize(source: str | bytes) -> list[Token]:
    """The tokens of a source; raises `CompileError` as `parse` does for errors found before parsing."""
    tokens = _labelled(source)
    return [
        Token(
            NAMES[tokens.labels[index]],
            tokens.text(index),
            tokens.starts[index],
            tokens.ends[index],
            tokens.nl[index],
            tokens.tight(index),
        )
        for index in range(len(tokens.kinds) - 1)
    ]


def parse(source: str | bytes) -> tree.Program:
    """The tree of a program.

    Raises `CompileError` with the first error of chapter 2.3, in the order given there, of the kinds
    `source_too_large`, `lex_error`, `syntax_error`, `duplicate_name` and `nesting_too_deep`. The checks
    that need the whole tree are the compiler's. Whatever the source holds, nothing else is raised.
    """
    return _run(_labelled(source), load_tables())


def _labelled(source: str | bytes) -> Tokens:
    tokens = lex(read_source(source), from_bytes=isinstance(source, bytes))
    label(tokens)
    return tokens


def _run(tokens: Tokens, tables: Tables) -> tree.Program:
    """Shift and reduce until the program is complete."""
    actions, gotos, _, rules, accept = tables
    labels, seconds = tokens.labels, tokens.seconds
    states = [0]
    values: list[Any] = []
    builder = Builder(tokens, values)
    methods: list[Callable[..., Any] | None] = [
        None if rule.action is None else getattr(builder, rule.action) for rule in rules
    ]
    index = 0
    kind = labels[0]
    state = 0
    while True:
        action = actions[state][kind]
        if action > 0:
            if kind <= LAST_OPENER and builder.pending > _SLACK:
                builder.check_depth(index)
            state = action
            states.append(state)
            values.append(index)
            index += 1
            kind = labels[index]
        elif action < 0:
            origin, size, _ = rules[-action]
            method = methods[-action]
            if method is not None:
                if size:
                    arguments = values[-size:]
                    del values[-size:]
                    del states[-size:]
                else:
                    arguments = ()
                try:
                    values.append(method(*arguments))
                except Misfit as misfit:
                    raise complain(Failure(tokens, misfit.index, frozenset(), [], [])) from None
                state = gotos[states[-1]][origin]
                states.append(state)
                if state == accept:
                    return values[0]
            else:
                states.pop()
                state = gotos[states[-1]][origin]
                states.append(state)
        elif kind != seconds[index]:
            kind = seconds[index]
        else:
            symbols = [tables.symbols[state] for state in states[1:]]
            raise complain(Failure(tokens, index, _expected(tables, states), symbols, values))


def _expected(tables: Tables, states: list[int]) -> frozenset[int]:
    """The kinds of tokens that could stand next: those that are shifted after the reductions they cause."""
    return frozenset(kind for kind in range(len(NAMES)) if _fits(tables, states, kind))


def _fits(tables: Tables, states: list[int], kind: int) -> bool:
    states = states.copy()
    while True:
        action = tables.actions[states[-1]][kind]
        if action >= 0:
            return action > 0
        rule = tables.rules[-action]
        del states[len(states) - rule.size :]
        states.append(tables.gotos[states[-1]][rule.origin])
        if states[-1] == tables.accept:
            return True
