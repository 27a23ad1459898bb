"""Checks that builtins make on their arguments; each gives the argument back in the type asked for."""

from __future__ import annotations

from collections.abc import Callable

from .failure import Failure, type_error
from .limits import Meter
from .numbers import Number
from .values import ListValue, RecordValue, Value, is_number, type_name

Built = tuple[Value, int]
"""What a builtin gives: its result and the n of its bulk work (chapter 16.1)."""

Builtin = Callable[[Meter, list[Value]], Built]
"""A builtin: arguments are evaluated and read, the 1 of the call is charged, the bulk work is not yet."""


def wrong(name: str, wanted: str, got: Value) -> Failure:
    """The `type_error` of a builtin that needs something else."""
    return type_error(f"`{name}` needs {wanted}, got {type_name(got)}")


def need_list(name: str, v: Value) -> ListValue:
    """A list."""
    if not isinstance(v, ListValue):
        raise wrong(name, "a list", v)
    return v


def need_record(name: str, v: Value) -> RecordValue:
    """A record; null stands for an empty one."""
    if v is None:
        return RecordValue()
    if not isinstance(v, RecordValue):
        raise wrong(name, "a record or null", v)
    return v


def need_string(name: str, v: Value) -> str:
    """A string, without coercion."""
    if not isinstance(v, str):
        raise wrong(name, "a string", v)
    return v


def need_number(name: str, v: Value) -> Number:
    """A number, without coercion."""
    if not is_number(v):
        raise wrong(name, "a number", v)
    return v


def need_flag(name: str, v: Value) -> bool:
    """An optional boolean; null counts as absent, which is false."""
    if v is None:
        return False
    if not isinstance(v, bool):
        raise wrong(name, "a boolean", v)
    return v


def optional(args: list[Value], at: int) -> Value:
    """An argument that may be left out, in which case it is null."""
    return args[at] if at < len(args) else None


def need_comparable(name: str, xs: list[Value]) -> list[Number] | list[str]:
    """Elements that are all numbers or all strings."""
    numbers: list[Number] = []
    texts: list[str] = []
    for at, x in enumerate(xs):
        if is_number(x) and not texts:
            numbers.append(x)
        elif isinstance(x, str) and not numbers:
            texts.append(x)
        else:
            raise type_error(f"`{name}` needs all numbers or all strings, got {type_name(x)} at index {at}")
    return texts or numbers
