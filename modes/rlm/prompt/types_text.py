"""The types of live values as the labels that programs write (rlm.md 6.5): `list[{ id: int, tag?: str }]`.

Nothing is promised by a label made from values: only the first elements of long lists are looked at, and shapes that
differ are merged. Record shapes that occur several times get a name, and are written out once.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

from lashlang.projection import Projected
from lashlang.values import Image, Value

MOST_NODES = 200
"""Values inside one variable that are looked at."""

MOST_ELEMENTS = 20
"""Elements of one list that are looked at."""

MOST_FIELDS = 20
"""Fields of a record that is written out; one with more is more of a table than of a type."""

DEEPEST = 4
"""Levels of containers that are written out."""

LONGEST = 240
"""Characters of a label; of a longer one only the outside is told."""

HANDLE_KEY = "__handle__"
"""The key that records of background work have."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A type without parts."""

    name: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; `element` is None where it is empty."""

    element: Shape | None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record; optional where some records of that shape lack it."""

    name: str
    shape: Shape
    optional: bool = False


@dataclass(frozen=True, slots=True)
class RecordOf:
    """A record with these fields."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value of one of several shapes, at most one list and one record among them."""

    members: tuple[Shape, ...]


Shape: TypeAlias = Plain | ListOf | RecordOf | OneOf


# --- from values -----------------------------------------------------------------------------------


def shape_of(value: Value) -> Shape:
    """The shape of a value, as far as it is looked at."""
    return _Looker().shape(value, DEEPEST)


class _Looker:
    def __init__(self) -> None:
        self._left = MOST_NODES

    def shape(self, value: Value, levels: int) -> Shape:
        self._left -= 1
        if isinstance(value, list):
            return self._list(cast("list[Value]", value), levels)
        if isinstance(value, dict):
            return self._record(cast("dict[str, Value]", value), levels)
        if value is None or isinstance(value, bool):
            return Plain("null" if value is None else "bool")
        if isinstance(value, (int, float)):
            return Plain("int" if isinstance(value, int) else "float")
        if isinstance(value, Image):
            return Plain("image")
        return Plain("projected" if isinstance(value, Projected) else "str")

    def _list(self, items: list[Value], levels: int) -> Shape:
        if not items or levels <= 0 or self._left <= 0:
            return ListOf(Plain("any") if items else None)
        element: Shape | None = None
        for item in items[:MOST_ELEMENTS]:
            if self._left <= 0:
                break
            shape = self.shape(item, levels - 1)
            element = shape if element is None else merged(element, shape)
        return ListOf(element)

    def _record(self, record: dict[str, Value], levels: int) -> Shape:
        if isinstance(record.get(HANDLE_KEY), str) and isinstance(record.get("id"), str):
            return Plain(f"handle({record.get('tool', '?')}, {record['id']})")
        if not record or levels <= 0 or self._left <= 0 or len(record) > MOST_FIELDS:
            return Plain("dict")
        return RecordOf(tuple(Field(name, self.shape(item, levels - 1)) for name, item in record.items()))


def merged(one: Shape, other: Shape) -> Shape:
    """The shape of values that have one of two shapes: whole numbers join fractions, records their fields."""
    if one == other:
        return one
    members = list(one.members if isinstance(one, OneOf) else (one,))
    for shape in other.members if isinstance(other, OneOf) else (other,):
        for at, member in enumerate(members):
            joined = _joined(member, shape)
            if joined is not None:
                members[at] = joined
                break
        else:
            members.append(shape)
    return members[0] if len(members) == 1 else OneOf(tuple(members))


def _joined(one: Shape, other: Shape) -> Shape | None:
    """The shape of two that make one, or None where they stay apart."""
    if one == other:
        return one
    match one, other:
        case ListOf(element=first), ListOf(element=second):
            return ListOf(merged(first, second) if first is not None and second is not None else first or second)
        case RecordOf(), RecordOf():
            return _joined_records(one, other)
        case Plain(name="int" | "float"), Plain(name="int" | "float"):
            return Plain("float")
        case Plain(name="dict"), RecordOf():
            return one
        case RecordOf(), Plain(name="dict"):
            return other
        case _:
            return None


def _joined_records(one: RecordOf, other: RecordOf) -> Shape:
    fields = {field.name: field for field in one.fields}
    theirs = {field.name: field for field in other.fields}
    for name, field in fields.items():
        if name in theirs:
            fields[name] = Field(name, merged(field.shape, theirs[name].shape), field.optional or theirs[name].optional)
        else:
            fields[name] = Field(name, field.shape, optional=True)
    for name, field in theirs.items():
        fields.setdefault(name, Field(name, field.shape, optional=True))
    return RecordOf(tuple(fields.values())) if len(fields) <= MOST_FIELDS else Plain("dict")


# --- names for shared shapes -----------------------------------------------------------------------


def names_of_shared(shapes: Iterable[tuple[str, Shape]]) -> dict[RecordOf, str]:
    """Names for the record shapes that occur more than once among variables, in the order of first use.

    A name comes from the variable or field where the shape is first met.
    """
    places = [place for path, shape in shapes for place in _records(path, shape)]
    often = Counter(record for _, record in places)
    names: dict[RecordOf, str] = {}
    taken: set[str] = set()
    for path, record in places:
        if often[record] > 1 and len(record.fields) > 1 and record not in names:
            name = _free(type_name(path), taken)
            taken.add(name)
            names[record] = name
    return names


def _records(path: str, shape: Shape) -> Iterator[tuple[str, RecordOf]]:
    match shape:
        case Plain() | ListOf(element=None):
            return
        case ListOf(element=element):
            assert element is not None
            yield from _records(path, element)
        case OneOf(members=members):
            for member in members:
                yield from _records(path, member)
        case RecordOf(fields=fields):
            yield path, shape
            for field in fields:
                yield from _records(field.name, field.shape)


def type_name(path: str) -> str:
    """A name for what a variable or field of that name holds: singular, in camel case."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", path) if word]
    if not words:
        return "Item"
    words[-1] = _singular(words[-1])
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if not name[0].isdigit() else f"Item{name}"


def _singular(word: str) -> str:
    lower = word.lower()
    if len(word) > 3 and lower.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and lower.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if len(word) > 2 and lower.endswith("s") and not lower.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _free(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while candidate in taken or candidate == "Type":
        number += 1
        candidate = f"{name}{number}"
    return candidate


# --- to text ---------------------------------------------------------------------------------------


def label(shape: Shape, names: dict[RecordOf, str]) -> str:
    """The shape as a label; what would be too long is told by its outside alone."""
    for levels in (DEEPEST, 1, 0):
        text = _label(shape, names, levels)
        if len(text) <= LONGEST:
            return text
    return _outside(shape)


def definition(record: RecordOf, names: dict[RecordOf, str]) -> str:
    """The line that says what a name stands for."""
    own = {shape: name for shape, name in names.items() if shape != record}
    return f"type {names[record]} = {label(record, own)}"


def names_used(shape: Shape, names: dict[RecordOf, str]) -> set[str]:
    """The names that a label or the definitions behind it can mention."""
    return {names[record] for _, record in _records("", shape) if record in names}


def _label(shape: Shape, names: dict[RecordOf, str], levels: int) -> str:
    match shape:
        case Plain(name=name):
            return name
        case ListOf(element=element):
            return "list" if element is None else f"list[{_label(element, names, levels)}]"
        case OneOf(members=members):
            ordered = sorted(members, key=lambda member: member == Plain("null"))
            return " | ".join(_label(member, names, levels) for member in ordered)
        case RecordOf(fields=fields):
            if shape in names:
                return names[shape]
            if levels <= 0:
                return "dict"
            told = ", ".join(
                f"{_key(field.name)}{'?' if field.optional else ''}: {_label(field.shape, names, levels - 1)}"
                for field in fields
            )
            return f"{{ {told} }}"


def _outside(shape: Shape) -> str:
    match shape:
        case Plain(name=name):
            return name if len(name) <= LONGEST else f"{name[:LONGEST]}…"
        case ListOf():
            return "list"
        case RecordOf():
            return "dict"
        case OneOf():
            return "any"


def _key(name: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return name
    return json.dumps(name if len(name) <= 40 else f"{name[:40]}…", ensure_ascii=False)
