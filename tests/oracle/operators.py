"""Operators (chapter 6) with their fuel (chapter 16.1). Operands are read: they hold no projection."""

from __future__ import annotations

from typing import TypeVar

from .failure import type_error
from .limits import Meter
from .numbers import ARITHMETIC, NUMBER_TEXT, Number, negate, read_number
from .text import WHITE_SPACE, as_text, text
from .values import (
    Comparison,
    ListValue,
    RecordValue,
    Value,
    is_number,
    type_name,
    utf8,
)

OrderedT = TypeVar("OrderedT", str, Number)


def text_to_number(s: str) -> Number | None:
    """The number NUM makes of a string, or None where it makes none. A blank string gives 0."""
    stripped = s.strip(WHITE_SPACE)
    if not stripped:
        return 0
    return read_number(stripped) if NUMBER_TEXT.fullmatch(stripped) else None


def as_number(meter: Meter, v: Value) -> Number:
    """NUM (chapter 5). Reading a string is an operation of its own and is charged at once."""
    if v is None:
        return 0
    if isinstance(v, bool):
        return int(v)
    if is_number(v):
        return v
    if not isinstance(v, str):
        raise type_error(f"expected a number, got {type_name(v)}")
    x = text_to_number(v)
    if x is None:
        raise type_error("expected a number, got text that is not one")
    meter.bulk(len(v))
    return x


def negative(meter: Meter, v: Value) -> Number:
    """`-v`."""
    return negate(as_number(meter, v))


def binary(meter: Meter, op: str, a: Value, b: Value) -> Value:
    """`a op b` for `+ - * / %`."""
    if op == "+" and (isinstance(a, str) or isinstance(b, str)):
        return join_text(meter, a, b)
    if op == "+" and isinstance(a, ListValue) and isinstance(b, ListValue):
        both = meter.check_built(ListValue([*a, *b]))
        meter.bulk(len(b))
        return both
    x = as_number(meter, a)
    return ARITHMETIC[op](x, as_number(meter, b))


def join_text(meter: Meter, a: Value, b: Value) -> str:
    """`a + b` where one is a string; the other may be anything but null."""
    if a is None or b is None:
        raise type_error(f"`+` cannot join {'null and text' if a is None else 'text and null'}")
    for operand in (a, b):
        if not isinstance(operand, str):
            meter.check_leaving(operand)
    left, right = text(a), text(b)
    meter.check_bytes(utf8(left) + utf8(right))
    meter.bulk(len(right) + (0 if isinstance(a, str) else len(left)))
    return left + right


def equal(meter: Meter, a: Value, b: Value) -> bool:
    """`a == b`."""
    same, units = Comparison().compare(a, b)
    meter.bulk(units)
    return same


def ordered(meter: Meter, op: str, a: Value, b: Value) -> bool:
    """`a op b` for `< <= > >=`: two strings by code point, everything else as numbers; null is refused."""
    if a is None or b is None:
        raise type_error(f"`{op}` cannot order {type_name(a)} and {type_name(b)}")
    if isinstance(a, str) and isinstance(b, str):
        meter.bulk(min(len(a), len(b)))
        return holds(op, a, b)
    x = as_number(meter, a)
    return holds(op, x, as_number(meter, b))


def holds(op: str, a: OrderedT, b: OrderedT) -> bool:
    """The comparison itself; Python compares integers with floats exactly and NaN with nothing."""
    match op:
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
        case _:
            return a >= b


def contains(name: str, h: Value, x: Value) -> tuple[bool, int]:
    """`contains(h, x)`, also asked by `in`: whether it does, and the bulk work."""
    if h is None:
        return False, 0
    if isinstance(h, str):
        needle = as_text(x)
        at = h.find(needle)
        return at >= 0, at + len(needle) if at >= 0 else len(h)
    if isinstance(h, RecordValue):
        return as_text(x) in h, 0
    if isinstance(h, ListValue):
        comparison, work = Comparison(), 0
        for element in h:
            same, units = comparison.compare(element, x)
            work += units
            if same:
                return True, work
        return False, work
    raise type_error(f"`{name}` needs a string, list, record or null, got {type_name(h)}")
