"""Reading a state that is JSON (statejson.py): hostile text to variables, within the limits of a machine.

A parser of its own, because the text may come from anybody and may be nested far deeper than Python's stack: it needs
no recursion, stops at the limits, and says where in which variable it stopped. Everything it refuses is a
SnapshotError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from json import JSONDecodeError, loads
from typing import NoReturn, TypeAlias, cast

from lashlang.errors import HostValueError, SnapshotError
from lashlang.projection import Projected, Projection, Step
from lashlang.values import Image, Value
from lashlang.vm.limits import Limits
from lashlang.vm.machine import RESERVED, is_name
from lashlang.vm.sources import Missing
from lashlang.vm.wire import explain

VERSION = 1
"""Version of this form; every later version of lash reads it."""

IMAGE = ("id", "label", "size", "width", "height")
"""An image's fields, in the order they are written."""

_PROJECTED = ("name", "type_name")
_PROJECTED_OPTIONAL = ("ref", "path")
_NOT_FINITE = {"NaN": math.nan, "inf": math.inf, "-inf": -math.inf}

_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1
_LONGEST_INTEGER = 20

_Container: TypeAlias = "list[Value] | dict[str, Value]"

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\.)*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?([eE][+-]?[0-9]++)?")
_WORD = re.compile(r"null|true|false")
_WORDS = {"null": None, "true": True, "false": False}


class Reader:
    """A reader of one text.

    Members of objects and items of lists are read by generators: each yields a name or an index, and its user reads
    the value there before it asks for the next. So a value's open containers are a plain list of generators.
    """

    def __init__(self, text: str, limits: Limits) -> None:
        self._text = text
        self._at = 0
        self._limits = limits
        self._variable = ""
        # Where the reader is in that variable: a step for every open container, None before its first.
        self._path: list[Step | None] = []
        self._size = 0
        self._sources: dict[tuple[str | None, str | None], Projection | None] = {}

    def document(self) -> Iterator[tuple[str, Value]]:
        """The variables, each as soon as it is read. Raises SnapshotError for a text that is no snapshot."""
        seen: set[str] = set()
        for member in self._members(seen):
            seen.add(member)
            if member == "lashlang_snapshot":
                self._check_version()
            elif member == "globals":
                yield from self._variables()
            else:
                self._refuse(f"a snapshot has no member {_shown(member)}")
        for member in ("lashlang_snapshot", "globals"):
            if member not in seen:
                self._refuse(f"`{member}` is missing")
        if self._peek():
            self._refuse("the text goes on after the snapshot")

    def _check_version(self) -> None:
        version = self._scalar()
        if type(version) is not int or version != VERSION:
            self._refuse(f"the snapshot has version {_shown(version)}; this version of lash reads {VERSION}")

    def _variables(self) -> Iterator[tuple[str, Value]]:
        seen: set[str] = set()
        for name in self._members(seen):
            seen.add(name)
            if not is_name(name):
                self._refuse(f"{_shown(name)} is not a Lashlang name")
            if name in RESERVED:
                self._refuse(f"`{name}` is a name of the host")
            self._variable = name
            yield name, self._value()
            self._variable = ""

    # --- values ------------------------------------------------------------------------------------

    def _value(self) -> Value:
        """The value of a variable that follows, within the limits."""
        self._size = 0
        whole: list[Value] = []
        opened: list[tuple[_Container, Iterator[Step]]] = [(whole, iter((0,)))]
        self._path = [None]
        while opened:
            container, places = opened[-1]
            place = next(places, None)
            if place is None:
                opened.pop()
                self._path.pop()
                continue
            self._path[-1] = place
            item, inside = self._begin()
            self._put(container, place, item)
            if inside is not None:
                if len(opened) > self._limits.value_depth:
                    self._exceeded("value_depth", "a value is nested deeper than")
                opened.append((item, inside))
                self._path.append(None)
        return whole[0]

    def _begin(self) -> tuple[Value, Iterator[Step] | None]:
        """What follows: a scalar, or an empty container with the places in it that are to be filled."""
        self._count(16)
        first = self._peek()
        if first == "[":
            return [], self._items()
        if first != "{":
            scalar = self._scalar()
            if isinstance(scalar, str):
                self._measure(scalar)
            return scalar, None
        record: dict[str, Value] = {}
        names = self._members(record)
        name = next(names, None)
        if name is None:
            return record, iter(())
        if name == "$rec":
            return record, self._pairs(record, names)
        if name.startswith("$"):
            marked = self._marked(name)
            self._close(names)
            return marked, None
        return record, self._plain_names(name, names)

    def _put(self, container: _Container, place: Step, item: Value) -> None:
        if isinstance(container, list):
            container.append(item)
            return
        key = cast("str", place)
        self._measure(key)
        container[key] = item
        if len(container) > self._limits.list_size:
            self._exceeded("list_size", "a record has more entries than")

    def _plain_names(self, first: str, rest: Iterator[str]) -> Iterator[str]:
        for name in chain((first,), rest):
            if name.startswith("$"):
                self._refuse(f"a record with a key such as {_shown(name)} is written as `$rec`")
            yield name

    def _pairs(self, record: dict[str, Value], names: Iterator[str]) -> Iterator[str]:
        """The keys of a `$rec`."""
        for _ in self._items():
            self._expect("[")
            key = self._string()
            self._check_new(key, record)
            self._expect(",")
            yield key
            self._expect("]")
        self._close(names)

    def _marked(self, marker: str) -> Value:
        """What a marker other than `$rec` stands for, read from its content."""
        if marker == "$num":
            name = self._string()
            if name not in _NOT_FINITE:
                self._refuse(f"`$num` is one of {', '.join(_NOT_FINITE)}, got {_shown(name)}")
            return _NOT_FINITE[name]
        if marker == "$image":
            return self._image(self._fields(marker, IMAGE))
        if marker == "$projected":
            return self._projected(self._fields(marker, _PROJECTED, _PROJECTED_OPTIONAL))
        self._refuse(f"unknown marker {_shown(marker)}")

    def _fields(self, marker: str, wanted: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Value]:
        """A marker's content: members that are scalars, or lists of scalars."""
        fields: dict[str, Value] = {}
        for name in self._members(fields):
            if name not in wanted and name not in optional:
                self._refuse(f"`{marker}` has no member {_shown(name)}")
            is_list = self._peek() == "["
            fields[name] = [self._scalar() for _ in self._items()] if is_list else self._scalar()
        for name in wanted:
            if name not in fields:
                self._refuse(f"`{marker}` lacks `{name}`")
        return fields

    def _image(self, fields: dict[str, Value]) -> Image:
        image = Image(**fields)
        try:
            explain(image)
        except HostValueError as error:
            self._refuse(error.reason)
        self._measure(image.id)
        self._measure(image.label)
        return image

    def _projected(self, fields: dict[str, Value]) -> Projected:
        name, type_name, ref, path = (fields.get(field) for field in (*_PROJECTED, *_PROJECTED_OPTIONAL))
        if not isinstance(name, str) or not isinstance(type_name, str | None):
            self._refuse("a projection's `name` and `type_name` are texts")
        if "ref" in fields and not (isinstance(ref, str) and type_name is not None):
            self._refuse("a projection's `ref` is a text, beside a `type_name`")
        steps = cast("list[Step]", path) if isinstance(path, list) else []
        if "path" in fields and not (steps and all(type(step) in (str, int) for step in steps)):
            self._refuse("a projection's `path` is a list of texts and whole numbers")
        described = type_name, ref
        if described not in self._sources:
            self._sources[described] = None if type_name is None else Missing(type_name, ref)
        return Projected(name, self._sources[described], tuple(steps))

    # --- limits ------------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        """Add to the variable's expanded size (chapter 16)."""
        self._size += size
        if self._size > self._limits.value_size:
            self._exceeded("value_size", "the variable is larger than")

    def _measure(self, text: str) -> None:
        size = len(text) if text.isascii() else len(text.encode("utf-8"))
        if size > self._limits.string_size:
            self._exceeded("string_size", "a text is longer than")
        self._count(size)

    def _exceeded(self, limit: str, what: str) -> NoReturn:
        self._refuse(f"{what} the limit `{limit}` of {getattr(self._limits, limit)}")

    # --- JSON --------------------------------------------------------------------------------------

    def _members(self, filled: Collection[str]) -> Iterator[str]:
        """The names of the object that follows; `filled` are those whose values have been read."""
        self._expect("{")
        if not self._take("}"):
            more = True
            while more:
                name = self._string()
                self._check_new(name, filled)
                self._expect(":")
                yield name
                more = self._take(",")
            self._expect("}")

    def _items(self) -> Iterator[int]:
        """The indexes of the list that follows."""
        self._expect("[")
        if not self._take("]"):
            index, more = 0, True
            while more:
                if index >= self._limits.list_size:
                    self._exceeded("list_size", "a list has more elements than")
                yield index
                index, more = index + 1, self._take(",")
            self._expect("]")

    def _check_new(self, name: str, filled: Collection[str]) -> None:
        if name in filled:
            self._refuse(f"the name {_shown(name)} is there twice")

    def _close(self, names: Iterator[str]) -> None:
        if next(names, None) is not None:
            self._refuse("a marker stands alone in its object")

    def _scalar(self) -> None | bool | int | float | str:
        first = self._peek()
        if first == '"':
            return self._string()
        word = _WORD.match(self._text, self._at)
        if word is not None:
            self._at = word.end()
            return _WORDS[word[0]]
        number = _NUMBER.match(self._text, self._at)
        if number is None:
            self._refuse("a value is expected here" if first else "the text ends too early")
        x = self._integer(number[0]) if number[1] is number[2] is None else float(number[0])
        if math.isinf(x):
            self._refuse("a number is too large")
        self._at = number.end()
        return x

    def _integer(self, digits: str) -> int:
        # The length first: Python refuses to read very long integers.
        integer = int(digits) if len(digits) <= _LONGEST_INTEGER else None
        if integer is None or not _INT_MIN <= integer <= _INT_MAX:
            self._refuse("an integer does not fit 64 bits (a float ends in `.0`)")
        return integer

    def _string(self) -> str:
        if self._peek() != '"':
            self._refuse("a text in quotes is expected here")
        found = _STRING.match(self._text, self._at)
        if found is None:
            self._refuse("a text is not closed, or has a control character")
        try:
            text = cast("str", loads(found[0])) if "\\" in found[0] else found[0][1:-1]
            text.encode("utf-8")
        except JSONDecodeError:
            self._refuse("a text has an unknown escape")
        except UnicodeEncodeError:
            self._refuse("a text has a lone surrogate")
        self._at = found.end()
        return text

    def _peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        space = _SPACE.match(self._text, self._at)
        assert space is not None  # it matches nothing, too
        self._at = space.end()
        return self._text[self._at : self._at + 1]

    def _take(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._at += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            self._refuse(f"`{token}` is expected here" if self._peek() else "the text ends too early")

    def _refuse(self, what: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - self._text.rfind("\n", 0, self._at)
        inside = "".join(_step_text(step) for step in self._path[1:] if step is not None)
        place = f" (in `{self._variable}{inside:.60}`)" if self._variable else ""
        raise SnapshotError(f"the JSON snapshot is refused at line {line}, column {column}{place}: {what}")


def _step_text(step: Step) -> str:
    return f".{step}" if is_name(step) else f"[{_shown(step)}]"


def _shown(value: object) -> str:
    return f"{value!a:.40}"
