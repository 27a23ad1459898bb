"""Constant folding: which expressions have their value known at compile time.

Only what cannot fail and charges no fuel is folded, so no program can tell: literals, negated number
literals, one run of `+ - *` on whole numbers whose every result is exact, lists and records of such,
and types without references (chapter 11).
"""

from __future__ import annotations

from lashlang.compiler.emit import Emitter
from lashlang.compiler.values import UNKNOWN, Unknown, Value
from lashlang.syntax import tree

LEAST_INT = -(2**63)
MOST_INT = 2**63 - 1

SCHEMAS: dict[tree.PrimitiveType, dict[str, Value]] = {
    "any": {},
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "null": {"type": "null"},
    "dict": {"type": "object"},
}
"""Schema of each built-in type name."""


def constant(emitter: Emitter, node: tree.Expr) -> Value | Unknown:
    """The value of an expression, or `UNKNOWN`. Containers are remembered, so that each is walked once."""
    if isinstance(node, tree.Literal):
        return node.value
    if isinstance(node, tree.Paren):
        return constant(emitter, node.inner)
    if isinstance(node, (tree.ListLiteral, tree.RecordLiteral)):
        known = emitter.folded.get(id(node))
        if known is None:
            known = _list(emitter, node) if isinstance(node, tree.ListLiteral) else _record(emitter, node)
            emitter.folded[id(node)] = known
        return known
    if isinstance(node, tree.Unary):
        return _negated(node)
    if isinstance(node, tree.Binary):
        return _whole_number(node)
    return UNKNOWN


def _list(emitter: Emitter, node: tree.ListLiteral) -> Value | Unknown:
    values: list[Value] = []
    for item in node.items:
        value = item.value if isinstance(item, tree.Literal) else constant(emitter, item)
        if isinstance(value, Unknown):
            return UNKNOWN
        values.append(value)
    return values


def _record(emitter: Emitter, node: tree.RecordLiteral) -> Value | Unknown:
    values: dict[str, Value] = {}
    for key, item in node.entries:
        value = constant(emitter, item)
        if isinstance(value, Unknown):
            return UNKNOWN
        values[key] = value
    # On its way into the kernel a map of the image shape becomes an image (chapter 4); a record literal never is one.
    return UNKNOWN if values.get("type") == "image" else values


def _negated(node: tree.Unary) -> Value | Unknown:
    operand = node.operand
    if node.op != "-" or not isinstance(operand, tree.Literal):
        return UNKNOWN
    value = operand.value
    if isinstance(value, (bool, str)) or value is None or value == LEAST_INT:
        return UNKNOWN
    return -value


def _whole_number(node: tree.Binary) -> Value | Unknown:
    total = _whole_operand(node.first)
    if total is None:
        return UNKNOWN
    for op, operand in node.rest:
        value = _whole_operand(operand)
        if value is None:
            return UNKNOWN
        if op == "+":
            total += value
        elif op == "-":
            total -= value
        elif op == "*":
            total *= value
        else:
            return UNKNOWN
        if not LEAST_INT <= total <= MOST_INT:
            return UNKNOWN
    return total


def _whole_operand(node: tree.Expr) -> int | None:
    """The value of a whole-number literal, perhaps negated."""
    value = node.value if isinstance(node, tree.Literal) else _negated(node) if isinstance(node, tree.Unary) else None
    return value if type(value) is int else None


def schema(node: tree.TypeExpr) -> dict[str, Value] | None:
    """The schema record of a type, or None if it has references."""
    if isinstance(node, tree.TypePrimitive):
        return SCHEMAS[node.kind]
    if isinstance(node, tree.TypeEnum):
        return {"type": "string", "enum": list(node.values)}
    if isinstance(node, tree.TypeList):
        item = schema(node.item)
        return None if item is None else {"type": "array", "items": item}
    if isinstance(node, tree.TypeUnion):
        variants: list[Value] = []
        for variant in node.variants:
            known = schema(variant)
            if known is None:
                return None
            variants.append(known)
        return {"anyOf": variants}
    if isinstance(node, tree.TypeRecord):
        properties: dict[str, Value] = {}
        for part in node.fields:
            known = schema(part.type)
            if known is None:
                return None
            properties[part.name] = known
        return {
            "type": "object",
            "properties": properties,
            "required": required(node),
            "additionalProperties": False,
        }
    return None


def required(node: tree.TypeRecord) -> list[Value]:
    """The names of the fields that must be present."""
    return [part.name for part in node.fields if not part.optional]
