"""The two tables that say how each kind of node is compiled, and the three ways to ask for a value.

Compiling an expression is one call, `EXPRESSION[type(node)](emitter, node, want)`, which returns the
register that holds the value. `want` says where the value should go:

    ANY         wherever it is: a variable or a constant stays in place and is borrowed
    FRESH       the next free temporary
    a slot      that variable, written by the last instruction only, so that a fault leaves it unchanged

Handlers look the next handler up themselves instead of calling a common `compile_expression`: the
deepest legal tree then needs about one Python frame per level and fits into the interpreter's default
recursion limit. The tables are filled by the modules that hold the handlers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lashlang.syntax import tree

if TYPE_CHECKING:
    from lashlang.compiler.emit import Emitter

ANY = -1
FRESH = -2

Handler = Callable[["Emitter", Any, int], int]
StatementHandler = Callable[["Emitter", Any, bool], int]

EXPRESSION: dict[type[tree.Node], Handler] = {}
"""Expression node -> handler(emitter, node, want) -> register of the value."""

STATEMENT: dict[type[tree.Node], StatementHandler] = {}
"""Statement node -> handler(emitter, node, wanted) -> register of its value (chapter 9), if `wanted`."""

SIMPLE = frozenset((tree.Literal, tree.Name))
"""Operands whose evaluation does nothing but find a register."""


def bare(node: tree.Expr) -> tree.Expr:
    """The expression inside any parentheses around it."""
    while isinstance(node, tree.Paren):
        node = node.inner
    return node
