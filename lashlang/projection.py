"""Projected bindings: host values that a program sees without their being copied into the VM (chapter 14).

A `Projected` pairs a name with a `Projection`, the object that answers the VM's questions about the
value (`len`, `find`, `slice`, …). A projection answers what it can answer well and raises
`Unsupported` for the rest; the VM then asks for the `whole` value and computes. So a projection of
two methods is complete, and the answers it does give must equal what the operation gives on the
whole value. `TextSource` (in `lashlang.textsource`) and `JsonSource` are ready ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast, runtime_checkable

from lashlang.syntax.diagnostics import LashlangError
from lashlang.values import Image, Value

_SMALL = 64

Step = str | int
"""One step of a path below a projected value: a record key or a list index."""


class Unsupported(Exception):
    """Raised by a projection that leaves a question to the VM, which then reads the whole."""


class ProjectionUnavailable(LashlangError):
    """The value behind a projection cannot be read; the text says why."""


@runtime_checkable
class Projection(Protocol):
    """What stands behind a projected value."""

    blocking: bool
    """Whether an answer may take longer than a moment; the asyncio runner then asks from a worker thread."""

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """The answer to a question of chapter 14 about the value at `target.path` below this one.

        `question` is `field`, `index`, `len`, `keys`, `values`, `contains`, `find`, `grep_text`,
        `count`, `starts_with`, `ends_with`, `split`, `lines`, `join`, `trim`, `slice`,
        `chunk_spans`, `truthy`, `render` or `whole`; every projection must answer `whole`. The answer
        to `field` and `index` may itself be lazy: `target.field(key)`, `target.index(i)`. Raises
        Unsupported to leave the question to the VM, and any other exception where the value cannot
        be read: its text is the program's error.
        """
        ...


@dataclass(frozen=True, slots=True)
class Projected:
    """A lazily read value: bound to a name for one block, or inside a list, record or tool argument.

    `name` is what errors call it, `source` answers for it (None: the tool host does, by
    `ToolHost.read_projection`), `path` leads from the source's own value to this one.
    """

    name: str
    source: Projection | None = None
    path: tuple[Step, ...] = ()

    def field(self, key: str) -> Projected:
        """The projection of the value under a record key, `p.key`."""
        return Projected(f"{self.name}.{key}", self.source, (*self.path, key))

    def index(self, at: Step) -> Projected:
        """The projection of an element, `p[3]` or `p["key"]`."""
        shown = json.dumps(at, ensure_ascii=False)
        return Projected(f"{self.name}[{shown}]", self.source, (*self.path, at))

    def read(self) -> Value:
        """The whole value; ProjectionUnavailable where it has no source or the source fails."""
        if self.source is None:
            raise ProjectionUnavailable(f"the projected value `{self.name}` has no source that could be read")
        try:
            value = self.source.answer(self, "whole", ())
        except Exception as error:
            raise ProjectionUnavailable(
                f"the projected value `{self.name}` cannot be read: {error_text(error)}"
            ) from error
        if isinstance(value, Projected):
            raise ProjectionUnavailable(f"the projected value `{self.name}` was answered with another projection")
        return value


def error_text(error: BaseException) -> str:
    """What an exception says: its text, or its type's name where it has none or cannot tell it."""
    try:
        text = str(error)
    except Exception:  # a broken `__str__` must not take the place of the error it belongs to
        text = ""
    # Text from the system may hold lone surrogates, which are no text to the VM.
    return (text or type(error).__name__).encode("utf-8", "backslashreplace").decode("utf-8")


class Answers:
    """A base for projections: answers a question by the method of that name, else `Unsupported`.

    Subclasses define `whole` and whatever else they answer well; `below` says how to reach a part.
    """

    blocking: bool = False
    answered: ClassVar[frozenset[str]] = frozenset({"whole"})
    """The questions that have a method."""

    def below(self, path: Sequence[Step]) -> Answers:
        """The projection of the value at `path`; Unsupported where there is none."""
        if path:
            raise Unsupported
        return self

    def whole(self) -> Value:
        """The whole value."""
        raise NotImplementedError

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """See `Projection.answer`."""
        part = self.below(target.path)
        if question not in part.answered:
            raise Unsupported
        method = cast("Callable[..., Value]", getattr(part, question))
        return method(*args)


class JsonSource(Answers):
    """A projection of plain JSON data: nested values are read by path, without the rest crossing.

    The data must not change while a machine may ask.
    """

    answered = frozenset({"whole", "field", "index", "len", "keys", "truthy"})

    _value: Value

    def __init__(self, value: Value) -> None:
        self._value = value

    def below(self, path: Sequence[Step]) -> JsonSource:
        """See `Answers.below`."""
        value = self._value
        for step in path:
            value = _step(value, step)
        return JsonSource(value)

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """See `Projection.answer`; parts that are containers or long texts stay lazy."""
        found = super().answer(target, question, args)
        if question in ("field", "index") and _is_long(found):
            return target.field(args[0]) if question == "field" else target.index(args[0])
        return found

    def whole(self) -> Value:
        """The data itself."""
        return self._value

    def field(self, key: Value) -> Value:
        """`p.key` of a record; what chapter 7 makes an error is left to the VM."""
        value = self._value
        if not isinstance(value, dict) or not isinstance(key, str) or _is_special(cast("dict[str, Value]", value)):
            raise Unsupported
        return cast("dict[str, Value]", value).get(key)

    def index(self, index: Value) -> Value:
        """`p[index]` of a list or record."""
        value = self._value
        if isinstance(value, dict):
            return self.field(index)
        if not isinstance(value, (list, tuple)) or not isinstance(index, int) or isinstance(index, bool):
            raise Unsupported
        items = cast("Sequence[Value]", value)
        return items[index] if -len(items) <= index < len(items) else None

    def len(self) -> int:
        """`len(p)` of a string, list, record or null."""
        value = self._value
        if value is None:
            return 0
        if isinstance(value, (str, list, tuple, dict)) and not _may_be_image(value):
            return len(cast("Sequence[Value]", value))
        raise Unsupported

    def keys(self) -> list[str]:
        """`keys(p)` of a record."""
        value = self._value
        if not isinstance(value, dict) or _may_be_image(value):
            raise Unsupported
        return list(cast("dict[str, Value]", value))

    def truthy(self) -> bool:
        """Truthiness by chapter 3."""
        value = self._value
        return value == value and bool(value)  # NaN, unequal to itself, is false


def _is_long(value: Value) -> bool:
    return isinstance(value, (dict, list, tuple, str)) and len(cast("Sequence[Value]", value)) > _SMALL


def _step(value: Value, step: Step) -> Value:
    """One step of access below plain data; Unsupported for anything but what is certainly there."""
    if isinstance(value, dict) and isinstance(step, str):
        entries = cast("dict[str, Value]", value)
        if step in entries:
            return entries[step]
    elif isinstance(value, (list, tuple)) and isinstance(step, int):
        items = cast("Sequence[Value]", value)
        if -len(items) <= step < len(items):
            return items[step]
    raise Unsupported


def _may_be_image(value: Value) -> bool:
    """Whether the VM could take the data for an image (chapter 4), whose fields and errors are its own."""
    return isinstance(value, dict) and cast("dict[str, Value]", value).get("type") == "image"


def _is_special(record: dict[str, Value]) -> bool:
    """Whether fields are read by other rules than a record's: exactly a result wrapper (chapter 3), or an image."""
    keys = record.keys()
    return (
        _may_be_image(record)
        or (keys == {"ok", "value"} and record["ok"] is True)
        or (keys == {"ok", "error"} and record["ok"] is False)
    )


def read_all(value: Value) -> Value:
    """A value with every projection in it replaced by what it stands for.

    Raises ProjectionUnavailable where one cannot be read. The containers given are left alone; new ones
    are made only around projections.
    """
    if isinstance(value, Projected):
        return value.read()
    if isinstance(value, list):
        items = cast("list[Value]", value)
        return [read_all(item) for item in items] if holds_projection(items) else items
    if isinstance(value, dict):
        entries = cast("dict[str, Value]", value)
        return {key: read_all(item) for key, item in entries.items()} if holds_projection(entries) else entries
    return value


def holds_projection(value: Value) -> bool:
    """Whether a projection stands anywhere inside the value."""
    stack: list[Value] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Projected):
            return True
        if isinstance(item, list):
            stack.extend(cast("list[Value]", item))
        elif isinstance(item, dict):
            stack.extend(cast("dict[str, Value]", item).values())
    return False


def images_in(value: Value) -> tuple[Image, ...]:
    """The images anywhere inside a value, depth first, each `id` once (chapter 12)."""
    found: dict[str, Image] = {}
    stack: list[Value] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Image):
            found.setdefault(item.id, item)
        elif isinstance(item, list):
            stack.extend(reversed(cast("list[Value]", item)))
        elif isinstance(item, dict):
            stack.extend(reversed(cast("dict[str, Value]", item).values()))
    return tuple(found.values())
