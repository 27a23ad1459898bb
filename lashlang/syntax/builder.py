"""From reductions to the tree, statements; see `lashlang.syntax.expressions` for how the methods work."""

from __future__ import annotations

from typing import Any, NamedTuple

from lashlang.syntax import tree
from lashlang.syntax.checks import Misfit
from lashlang.syntax.expressions import Expressions

_Arm = tuple[int, tree.Expr, tree.Block]
"""An `if` being gathered: the keyword's token, condition, block."""


class _Target(NamedTuple):
    """What is assigned to, and the operator's token."""

    root: tree.Name
    steps: tuple[tree.FieldStep | tree.IndexStep, ...]
    operator: int


class Builder(Expressions):
    """Makes the nodes of one program: a method for every action that `grammar/lashlang.lark` names."""

    def program(self, statements: list[tree.Statement]) -> tree.Program:
        """The whole."""
        return tree.Program(0, len(self._tokens.source.text), tuple(statements))

    def block(self, opener: int, statements: list[tree.Statement], closer: int) -> tree.Block:
        """`{ … }`."""
        return tree.Block(self._starts[opener], self._ends[closer], tuple(statements))

    def expression_statement(self, expr: tree.Expr) -> tree.ExprStatement:
        """An expression as a statement."""
        return tree.ExprStatement(expr.start, expr.end, expr)

    # --- control flow ----------------------------------------------------------------------------

    def first_arm(self, word: int, condition: tree.Expr, body: tree.Block) -> list[_Arm]:
        """`if c { … }`."""
        return [(word, condition, body)]

    def next_arm(self, arms: list[_Arm], word: int, condition: tree.Expr, body: tree.Block) -> list[_Arm]:
        """`else if c { … }`."""
        arms.append((word, condition, body))
        return arms

    def if_statement(self, arms: list[_Arm]) -> tree.If:
        """A complete `if` without `else`."""
        return self._if(arms, arms[-1][2].end, None)

    def if_else_statement(self, arms: list[_Arm], _else: int, otherwise: tree.Block) -> tree.If:
        """A complete `if` with `else`."""
        return self._if(arms, otherwise.end, otherwise)

    def _if(self, arms: list[_Arm], end: int, otherwise: tree.Block | None) -> tree.If:
        nodes = tuple(tree.IfArm(self._starts[word], end, condition, body) for word, condition, body in arms)
        return tree.If(nodes[0].start, end, nodes, otherwise)

    def for_statement(
        self, word: int, names: tuple[str, ...], _in: int, iterable: tree.Expr, body: tree.Block
    ) -> tree.For:
        """`for x in xs { … }`."""
        return tree.For(self._starts[word], body.end, names, iterable, body)

    def while_statement(self, word: int, condition: tree.Expr, body: tree.Block) -> tree.While:
        """`while c { … }`."""
        return tree.While(self._starts[word], body.end, condition, body)

    def break_statement(self, word: int) -> tree.Break:
        """`break`."""
        return tree.Break(self._starts[word], self._ends[word])

    def continue_statement(self, word: int) -> tree.Continue:
        """`continue`."""
        return tree.Continue(self._starts[word], self._ends[word])

    # --- submit, print, cancel, assignment -------------------------------------------------------

    def submit_statement(self, word: int, value: tree.Expr) -> tree.Submit:
        """`submit x`."""
        return tree.Submit(self._starts[word], value.end, value)

    def bare_submit(self, word: int) -> tree.Submit:
        """`submit` alone."""
        return tree.Submit(self._starts[word], self._ends[word], None)

    def print_statement(self, word: int, value: tree.Expr) -> tree.Print:
        """`print x`."""
        return tree.Print(self._starts[word], value.end, value)

    def cancel_statement(self, word: int, value: tree.Expr) -> tree.Cancel:
        """`cancel x`."""
        return tree.Cancel(self._starts[word], value.end, value)

    def assign_open(self, target: tree.Expr, operator: int) -> _Target:
        """`target =` or a compound operator; only a name, or a path of keys and indexes on one, can be assigned to."""
        root, path = (target.base, target.steps) if isinstance(target, tree.Postfix) else (target, ())
        steps = tuple(step for step in path if not isinstance(step, tree.UnwrapStep))
        if not isinstance(root, tree.Name) or len(steps) < len(path):
            raise Misfit(operator)
        return _Target(root, steps, operator)

    def assignment(self, target: _Target, value: tree.Expr) -> tree.Assign:
        """`target = x`."""
        root = target.root
        sign: Any = self._word(target.operator)
        return tree.Assign(root.start, value.end, root.name, root.end, target.steps, sign, value)
