"""What the tests of the syntax layer share: errors as data, trees without spans, spans as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, cast

from lashlang.syntax import CompileError, Diagnostic, parse, tokenize, tree


def error_of(source: str | bytes) -> Diagnostic:
    """The error a source is refused with; fails if it is accepted."""
    try:
        program = parse(source)
    except CompileError as error:
        return error.diagnostic
    raise AssertionError(f"accepted: {plain(program)}")


def kinds(source: str) -> list[str]:
    return [token.kind for token in tokenize(source)]


def plain(node: Any) -> Any:
    """A tree as nested tuples without spans and parentheses; runs of operators are nested to the left."""
    if isinstance(node, tree.Paren):
        return plain(node.inner)
    if isinstance(node, tree.Name):
        return node.name
    if isinstance(node, tree.Literal):
        return ("literal", type(node.value).__name__, node.value)
    if isinstance(node, tree.Binary):
        value = plain(node.first)
        for sign, operand in node.rest:
            value = (sign, value, plain(operand))
        return value
    if isinstance(node, tree.Logic):
        value = plain(node.operands[0])
        for operand in node.operands[1:]:
            value = (node.op, value, plain(operand))
        return value
    if isinstance(node, tree.Postfix):
        value = plain(node.base)
        for step in node.steps:
            value = (type(step).__name__, value, *(plain(part) for part in fields(step)))
        return value
    if dataclasses.is_dataclass(node):
        return (type(node).__name__, *(plain(part) for part in fields(node)))
    if isinstance(node, tuple):
        return tuple(plain(part) for part in cast("tuple[Any, ...]", node))
    return node


def fields(node: Any) -> Iterator[Any]:
    """The parts of a node other than its span."""
    for field in dataclasses.fields(node):
        if field.name not in ("start", "end", "name_end"):
            yield getattr(node, field.name)


def statements(source: str) -> list[Any]:
    """The statements of a program, plain."""
    return [plain(statement) for statement in parse(source).statements]


def expression(source: str) -> tree.Expr:
    """The tree of a source that is one expression."""
    (statement,) = parse(source).statements
    assert isinstance(statement, tree.ExprStatement), statement
    return statement.expr


def same(one: str, other: str) -> bool:
    """Whether two sources mean the same, parentheses and spans apart."""
    return statements(one) == statements(other)


def spans(source: str, kind: type) -> list[str]:
    """The texts that the nodes of one type cover, outermost first."""
    return [source[node.start : node.end] for node in walk(parse(source)) if type(node) is kind]


def walk(node: Any) -> Iterator[Any]:
    """A node and all nodes below it, steps left out."""
    if isinstance(node, tree.Node):
        yield node
    if dataclasses.is_dataclass(node):
        for part in fields(node):
            yield from walk(part)
    elif isinstance(node, tuple):
        for part in cast("tuple[Any, ...]", node):
            yield from walk(part)
