"""Values (chapter 3) and what can be measured of them (chapters 3 and 16).

null, booleans, numbers and strings are Python's own. Lists and records are subclasses of `list` and
`dict` that are never changed once built, so that values may share parts while seeming to copy. Because
they never change, each remembers its depth, expanded size and weight; the figures of a value built
from shared parts (`x = [x, x]` a hundred times) are then exact and cheap, however large they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TypeGuard

from .numbers import Number


class ListValue(list["Value"]):
    """A list; never changed after it is built."""

    __slots__ = ("depth", "expanded", "lazy", "weight")

    def __init__(self, items: Iterable[Value] = ()) -> None:
        super().__init__(items)
        self.depth: int | None = None
        self.expanded: int | None = None
        self.weight: int | None = None
        self.lazy: bool | None = None


class RecordValue(dict[str, "Value"]):
    """A record in insertion order; never changed after it is built."""

    __slots__ = ("depth", "expanded", "lazy", "weight")

    def __init__(self, entries: Iterable[tuple[str, Value]] = ()) -> None:
        super().__init__(entries)
        self.depth: int | None = None
        self.expanded: int | None = None
        self.weight: int | None = None
        self.lazy: bool | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image handle; equality is by the five fields."""

    id: str
    label: str
    size: int
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True)
class LazyValue:
    """A projection read on demand (chapter 14). The oracle is its host too, so it knows what it stands for."""

    value: Value


Value = None | bool | int | float | str | ListValue | RecordValue | Image | LazyValue

IMAGE_FIELDS = tuple(field.name for field in fields(Image))


def is_number(v: Value) -> TypeGuard[Number]:
    """Whether a value is a number (Python counts booleans as integers, the language does not)."""
    return isinstance(v, int | float) and not isinstance(v, bool)


def type_name(v: Value) -> str:
    """The type as errors print it."""
    if isinstance(v, LazyValue):
        return type_name(v.value)
    if v is None:
        return "null"
    if isinstance(v, bool):
        return "bool"
    if isinstance(v, int | float):
        return "number"
    if isinstance(v, str):
        return "string"
    if isinstance(v, ListValue):
        return "list"
    return "record" if isinstance(v, RecordValue) else "image"


def truthy(v: Value) -> bool:
    """Truthiness (chapter 3)."""
    if isinstance(v, LazyValue):
        return truthy(v.value)
    if isinstance(v, Image):
        return True
    if isinstance(v, float) and math.isnan(v):
        return False
    return bool(v)


def is_wrapper(v: Value) -> bool:
    """Whether a value is exactly a result wrapper."""
    if not isinstance(v, RecordValue) or len(v) != 2:
        return False
    return (v.get("ok") is True and "value" in v) or (v.get("ok") is False and "error" in v)


def is_handle(v: Value) -> TypeGuard[RecordValue]:
    """Whether a value is a handle record."""
    return isinstance(v, RecordValue) and ("__handle__" in v or "handle" in v)


def elements(v: ListValue | RecordValue) -> Iterable[Value]:
    """The elements of a list or the values of a record."""
    return v if isinstance(v, ListValue) else v.values()


def size(v: Value) -> int:
    """|v|: code points of a string, entries of a list or record, else 0."""
    return len(v) if isinstance(v, str | ListValue | RecordValue) else 0


def utf8(text: str) -> int:
    """Bytes of a string in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def depth(v: Value) -> int:
    """Nested containers of a value: 0 for a scalar, 1 for `[]`. An unread projection counts as a scalar."""
    if not isinstance(v, ListValue | RecordValue):
        return 0
    if v.depth is None:
        v.depth = 1 + max((depth(x) for x in elements(v)), default=0)
    return v.depth


def expanded_size(v: Value) -> int:
    """Expanded size (chapter 16); shared parts count each time they occur, unread projections 16."""
    if isinstance(v, str):
        return 16 + utf8(v)
    if isinstance(v, Image):
        return 16 + utf8(v.id) + utf8(v.label)
    if not isinstance(v, ListValue | RecordValue):
        return 16
    if v.expanded is None:
        keys = sum(utf8(key) for key in v) if isinstance(v, RecordValue) else 0
        v.expanded = 16 + keys + sum(expanded_size(x) for x in elements(v))
    return v.expanded


def weight(v: Value) -> int:
    """The weight of a value (chapter 16.1)."""
    if isinstance(v, str):
        return 1 + len(v)
    if not isinstance(v, ListValue | RecordValue):
        return 1
    if v.weight is None:
        v.weight = 1 + sum(weight(x) for x in elements(v))
    return v.weight


def holds_lazy(v: Value) -> bool:
    """Whether a value is, or contains, a projection not yet read."""
    if not isinstance(v, ListValue | RecordValue):
        return isinstance(v, LazyValue)
    if v.lazy is None:
        v.lazy = any(holds_lazy(x) for x in elements(v))
    return v.lazy


class Comparison:
    """One operation's comparisons: equality (chapter 3) and its cost in units (chapter 16.1).

    Pairs of containers met before are not walked again, so shared parts cost no more than their number.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[bool, int]] = {}

    def compare(self, a: Value, b: Value) -> tuple[bool, int]:
        """Whether two values are equal, and the units it costs to say so. Projections are read beforehand."""
        if isinstance(a, str) and isinstance(b, str):
            return a == b, 1 + min(len(a), len(b))
        if isinstance(a, ListValue) and isinstance(b, ListValue) and len(a) == len(b):
            return self._containers(a, b, zip(a, b, strict=True))
        if isinstance(a, RecordValue) and isinstance(b, RecordValue) and len(a) == len(b):
            return self._containers(a, b, ((x, b.get(key, MISSING)) for key, x in a.items()))
        if is_number(a) and is_number(b):
            return a == b, 1
        if isinstance(a, ListValue | RecordValue) or type(a) is not type(b):
            return False, 1
        return a == b, 1

    def _containers(
        self, a: ListValue | RecordValue, b: ListValue | RecordValue, pairs: Iterable[tuple[Value, Value | Missing]]
    ) -> tuple[bool, int]:
        known = self._known.get((id(a), id(b)))
        if known is None:
            known = self._known[id(a), id(b)] = self._pairs(pairs)
        return known

    def _pairs(self, pairs: Iterable[tuple[Value, Value | Missing]]) -> tuple[bool, int]:
        units = 1
        for x, y in pairs:
            equal, cost = (False, 1) if isinstance(y, Missing) else self.compare(x, y)
            units += cost
            if not equal:
                return False, units
        return True, units


class Missing:
    """Stands for the value of a key that is absent."""


MISSING = Missing()
