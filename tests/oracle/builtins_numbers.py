"""Builtins on numbers (chapters 10.1 and 10.2)."""

from __future__ import annotations

import math

from .arguments import Built, Builtin, need_comparable, need_list, need_number, optional, wrong
from .failure import type_error, value_error
from .limits import Meter
from .numbers import (
    Number,
    add,
    canonical,
    ceiling,
    exact_or_float,
    fits,
    floor,
    ieee_divide,
    is_whole,
    negate,
    round_number,
    truncate,
)
from .operators import as_number
from .text import as_offset
from .values import ListValue, Value, is_number, type_name, weight

MOST_DOUBLINGS = 63
"""The largest exponent with which an integer beyond -1, 0 and 1 can stay inside 64 bits."""


def to_int(meter: Meter, args: list[Value]) -> Built:
    """`to_int(x)`; NUM charges its own work."""
    return truncate(as_number(meter, args[0])), 0


def to_float(meter: Meter, args: list[Value]) -> Built:
    """`to_float(x)`; NUM charges its own work."""
    return as_number(meter, args[0]), 0


def range_builtin(meter: Meter, args: list[Value]) -> Built:
    """`range(end)`, `range(a, b)`, `range(a, b, step)`."""
    bounds: list[int] = []
    for v in args:
        bound = as_offset(v, "`range` argument")
        if not fits(bound):
            raise type_error(f"`range` argument must fit 64 bits, got {bound}")
        bounds.append(bound)
    if len(bounds) == 3 and bounds[2] == 0:
        raise value_error("`range` step must not be 0")
    items = range(*bounds)
    first, last, step = items.start, items.stop, items.step
    count = max(0, -((first - last) // step))
    meter.check_entries(count)
    return ListValue(items), count


def divided(name: str, args: list[Value], up: bool) -> Number:
    """The quotient rounded up or down."""
    a, b = (as_offset(v, f"`{name}` argument") for v in args)
    if b == 0:
        raise value_error(f"`{name}` cannot divide by 0")
    if fits(a) and fits(b):
        return exact_or_float(-(-a // b) if up else a // b)
    quotient = ieee_divide(float(a), float(b))
    return canonical(float(math.ceil(quotient) if up else math.floor(quotient)))


def ceil_div(meter: Meter, args: list[Value]) -> Built:
    """`ceil_div(a, b)`."""
    return divided("ceil_div", args, True), 0


def floor_div(meter: Meter, args: list[Value]) -> Built:
    """`floor_div(a, b)`."""
    return divided("floor_div", args, False), 0


def sum_builtin(meter: Meter, args: list[Value]) -> Built:
    """`sum(xs)`."""
    total: Number = 0
    xs = need_list("sum", args[0])
    for at, x in enumerate(xs):
        if not is_number(x):
            raise type_error(f"`sum` needs numbers, got {type_name(x)} at index {at}")
        total = add(total, x)
    return total, len(xs)


def chosen(name: str, args: list[Value], greatest: bool) -> Built:
    """The first least or greatest of a list, or of several arguments."""
    xs = need_list(name, args[0]) if len(args) == 1 else ListValue(args)
    found = need_comparable(name, xs)
    work = weight(xs)
    if not found:
        return None, work
    if any(isinstance(x, float) and math.isnan(x) for x in found):
        return math.nan, work
    return max(found) if greatest else min(found), work


def min_builtin(meter: Meter, args: list[Value]) -> Built:
    """`min(xs)`, `min(a, b, …)`."""
    return chosen("min", args, False)


def max_builtin(meter: Meter, args: list[Value]) -> Built:
    """`max(xs)`, `max(a, b, …)`."""
    return chosen("max", args, True)


def abs_builtin(meter: Meter, args: list[Value]) -> Built:
    """`abs(x)`."""
    x = need_number("abs", args[0])
    return negate(x) if x < 0 else x, 0


def floor_builtin(meter: Meter, args: list[Value]) -> Built:
    """`floor(x)`."""
    return floor(need_number("floor", args[0])), 0


def ceil_builtin(meter: Meter, args: list[Value]) -> Built:
    """`ceil(x)`."""
    return ceiling(need_number("ceil", args[0])), 0


def round_builtin(meter: Meter, args: list[Value]) -> Built:
    """`round(x, digits?)`."""
    x = need_number("round", args[0])
    digits = optional(args, 1)
    return round_number(x, 0 if digits is None else as_offset(digits, "`round` digits")), 0


def sqrt(meter: Meter, args: list[Value]) -> Built:
    """`sqrt(x)`."""
    x = need_number("sqrt", args[0])
    if x < 0:
        raise value_error("`sqrt` of a number below 0")
    return canonical(math.sqrt(float(x))), 0


def log(meter: Meter, args: list[Value]) -> Built:
    """`log(x)`, the natural logarithm."""
    x = need_number("log", args[0])
    if x <= 0:
        raise value_error("`log` needs a number above 0")
    return canonical(math.log(float(x))), 0


def pow_builtin(meter: Meter, args: list[Value]) -> Built:
    """`pow(x, y)`: exact for integers while it fits, else IEEE 754."""
    x, y = need_number("pow", args[0]), need_number("pow", args[1])
    if isinstance(x, int) and isinstance(y, int) and y >= 0:
        exact = integer_power(x, y)
        if exact is not None:
            return exact, 0
    if x == 0 and y < 0:
        raise value_error("`pow` of 0 to a negative power")
    if x < 0 and math.isfinite(y) and not is_whole(y):
        raise value_error("`pow` of a number below 0 to a power that is not whole")
    try:
        return canonical(math.pow(float(x), float(y))), 0
    except OverflowError:
        odd = is_whole(y) and int(y) % 2 == 1
        return -math.inf if x < 0 and odd else math.inf, 0


def integer_power(x: int, y: int) -> int | None:
    """`x` to the power `y` if that fits 64 bits."""
    if x in (-1, 0, 1):
        return 1 if y == 0 else x if y % 2 else x * x
    if y > MOST_DOUBLINGS:
        return None
    power = x**y
    return power if fits(power) else None


def length(name: str, v: Value) -> int:
    """What `len` and `empty` look at."""
    if v is None:
        return 0
    if isinstance(v, str | ListValue | dict):
        return len(v)
    raise wrong(name, "a string, list, record or null", v)


def len_builtin(meter: Meter, args: list[Value]) -> Built:
    """`len(x)`."""
    return length("len", args[0]), 0


def empty(meter: Meter, args: list[Value]) -> Built:
    """`empty(x)`."""
    return length("empty", args[0]) == 0, 0


def type_of(meter: Meter, args: list[Value]) -> Built:
    """`type_of(x)`."""
    return type_name(args[0]), 0


NUMBER_BUILTINS: dict[str, Builtin] = {
    "to_int": to_int,
    "to_float": to_float,
    "range": range_builtin,
    "ceil_div": ceil_div,
    "floor_div": floor_div,
    "sum": sum_builtin,
    "min": min_builtin,
    "max": max_builtin,
    "abs": abs_builtin,
    "floor": floor_builtin,
    "ceil": ceil_builtin,
    "round": round_builtin,
    "sqrt": sqrt,
    "log": log,
    "pow": pow_builtin,
    "len": len_builtin,
    "empty": empty,
    "type_of": type_of,
}
"""The builtins of this module by name."""
