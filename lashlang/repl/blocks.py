"""Blocks as a REPL runs them: the value of an expression that ends one is kept, under a name of its own, to be shown.

The tree is changed, and not the text, so that errors are told at the place where somebody wrote them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final, NamedTuple

from lashlang.compiler import Program
from lashlang.compiler import compile as compile_source
from lashlang.compiler.compilation import compile_tree
from lashlang.syntax import parse, tree
from lashlang.syntax.kinds import COMPOUND, EQUAL, NAMES
from lashlang.syntax.parser import tokenize

_ASSIGNS: Final = frozenset({NAMES[EQUAL], NAMES[COMPOUND]})


class Block(NamedTuple):
    """A compiled block.

    `kept` is the variable that holds the last statement's value when the block has run to its end, None where the
    last statement is no expression. `assigns` is False for a block that cannot change a variable for good.
    """

    program: Program
    kept: str | None
    assigns: bool


def compile_block(text: str, bound: Collection[str]) -> Block:
    """Compile what was entered; `bound` are the names in use. Raises CompileError."""
    program = parse(text)
    tokens = tokenize(text)
    assigns = any(token.kind in _ASSIGNS for token in tokens)
    last = program.statements[-1] if program.statements else None
    if not isinstance(last, tree.ExprStatement):
        return Block(compile_source(text), None, assigns)
    kept = "_value"
    used = {*bound, *(token.text for token in tokens)}
    while kept in used:
        kept += "_"
    keep = tree.Assign(last.start, last.end, kept, last.start, (), "=", last.expr)
    # What refuses a source refuses it before the change, too, and is then said of the text alone.
    compile_source(text)
    return Block(compile_tree(replace(program, statements=(*program.statements[:-1], keep)), text), kept, assigns)
