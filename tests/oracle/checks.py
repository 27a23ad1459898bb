"""The checks of chapter 2.3 that need no tables of the product: items 3 to 5, on a parsed block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import cast

from lashlang.syntax import tree

from .builtin_table import ARITIES


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a block does not run, and the span of the token concerned."""

    kind: str
    message: str
    span: tuple[int, int]


def check(program: tree.Program) -> Refusal | None:
    """The first refusal: loop control, then `submit` in a branch, then builtins, each in source order."""
    for refusals in (loop_control(program, False), branch_submits(program, False), builtin_calls(program)):
        first = min(refusals, key=lambda refusal: refusal.span, default=None)
        if first:
            return first
    return None


def parts(node: object) -> Iterator[object]:
    """The nodes directly inside a node, a step or a tuple of them."""
    if isinstance(node, tuple):
        yield from cast("tuple[object, ...]", node)
    elif is_dataclass(node):
        for field in fields(node):
            yield getattr(node, field.name)


def loop_control(node: object, in_loop: bool) -> Iterator[Refusal]:
    """`break` and `continue` with no loop around them in their branch."""
    if isinstance(node, tree.Break | tree.Continue) and not in_loop:
        word = "break" if isinstance(node, tree.Break) else "continue"
        yield Refusal("loop_control", f"`{word}` is only allowed inside a loop", (node.start, node.start + len(word)))
    if isinstance(node, tree.Branch):
        in_loop = False
    loops = isinstance(node, tree.For | tree.While)
    for part in parts(node):
        yield from loop_control(part, in_loop or (loops and isinstance(part, tree.Block)))


def branch_submits(node: object, in_branch: bool) -> Iterator[Refusal]:
    """`submit` anywhere inside a branch of `parallel`."""
    if isinstance(node, tree.Submit) and in_branch:
        span = (node.start, node.start + len("submit"))
        yield Refusal("submit_in_parallel", "`submit` is not allowed inside `parallel`", span)
    for part in parts(node):
        yield from branch_submits(part, in_branch or isinstance(node, tree.Branch))


def builtin_calls(node: object) -> Iterator[Refusal]:
    """Calls of builtins that do not exist or do not take so many arguments."""
    if isinstance(node, tree.BuiltinCall):
        span = (node.start, node.name_end)
        arity = ARITIES.get(node.name)
        if arity is None:
            yield Refusal("unknown_builtin", f"there is no builtin `{node.name}`", span)
        elif not arity.accepts(len(node.args)):
            message = f"`{node.name}` takes {arity}, got {len(node.args)}"
            yield Refusal("arity_error", message, span)
    for part in parts(node):
        yield from builtin_calls(part)
