"""The value codec: Python values to the kernel's msgpack and back (chapter 4).

Packing is msgpack's C code. It refuses most of what is no Lashlang value; what it lets through
(mappings with other keys, bytes) the kernel refuses, changing nothing. Only then does `explain` walk
the value in Python to name the place, so the ordinary path never does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgpack

from lashlang.errors import HostValueError, KernelFault
from lashlang.projection import Projected, Projection, Step, error_text
from lashlang.values import Image, Value
from lashlang.vm import bulk
from lashlang.vm.protocol import EXT_IMAGE, EXT_PROJECTION

DEEPEST = 1000
"""Containers inside one another that are looked into; beyond it a value is too deep, or contains itself."""

_BUFFER = 1024
"""First size of a packer's buffer, which grows as needed; msgpack's default of 1 MiB is a machine's greatest cost."""

_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1


class TooDeep(HostValueError):
    """A value that is nested too deeply to be packed, or contains itself."""


class Sources:
    """The numbers by which projections name their sources inside one machine.

    The machine keeps every source that entered it, since its state may refer to it for ever.
    """

    __slots__ = ("_known", "_numbers")

    def __init__(self, known: Iterable[Projection | None] = ()) -> None:
        self._known: list[Projection | None] = []
        self._numbers: dict[int, int] = {}
        for source in known:
            self.append(source)

    def append(self, source: Projection | None) -> None:
        """Give the next number to a source."""
        self._numbers[id(source)] = len(self._known)
        self._known.append(source)

    def __iter__(self) -> Iterator[Projection | None]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def number(self, source: Projection | None) -> int:
        """The number of a source, the same each time."""
        number = self._numbers.get(id(source))
        if number is None:
            number = len(self._known)
            self.append(source)
        return number

    def __getitem__(self, number: int) -> Projection | None:
        return self._known[number]

    def encode(self, value: object) -> object:
        """What msgpack's C code does not take as it is: tuples, subclasses, wide integers, images, projections."""
        # Payloads are packed apart: the machine's own packer is at work when this is called.
        if isinstance(value, Image):
            fields = [value.id, value.label, value.size, value.width, value.height]
            return msgpack.ExtType(EXT_IMAGE, msgpack.packb(fields))
        if isinstance(value, Projected):
            fields = [self.number(value.source), value.name, list(value.path)]
            return msgpack.ExtType(EXT_PROJECTION, msgpack.packb(fields))
        return _plain(value)


class Codec:
    """Packs and unpacks for one machine.

    `sources` are those that its projections name. `seen_projection` is set when an unpacked message held a
    projection; the caller clears it.
    """

    __slots__ = ("_packer", "seen_projection", "sources")

    def __init__(self, sources: Iterable[Projection | None] = ()) -> None:
        self.sources = Sources(sources)
        # Not a method of this object: the packer, which the collector does not see into, would keep it alive for ever.
        self._packer = msgpack.Packer(strict_types=True, default=self.sources.encode, buf_size=_BUFFER)
        self.seen_projection = False

    def pack(self, value: Any, *, bulky: bool = False) -> bytes:
        """One message or value as msgpack; HostValueError (TooDeep for depth) where it holds no Lashlang value.

        With `bulky`, other threads get their turns meanwhile. MemoryError where Python itself has no room for the
        message.
        """
        try:
            return bulk.pack(self._packer, value) if bulky else self._packer.pack(value)
        except MemoryError:
            raise
        except Exception as error:  # the methods of a subclass in the value may raise anything
            explain(value)
            raise HostValueError("$", error_text(error)) from error

    def unpack(self, data: bytes | memoryview) -> Any:
        """What the kernel's message says, None where it is empty; KernelFault where it is no msgpack."""
        if not data:
            return None
        try:
            return bulk.unpack(memoryview(data), self._decode)
        except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
            raise KernelFault(f"the kernel's message is malformed: {error}") from error

    def _decode(self, code: int, data: bytes) -> object:
        fields = cast("list[Any]", msgpack.unpackb(data))
        if code == EXT_IMAGE:
            return Image(*fields)
        if code == EXT_PROJECTION:
            self.seen_projection = True
            number, name, path = cast("tuple[int, str, list[Step]]", fields)
            return Projected(name, self.sources[number], tuple(path))
        raise ValueError(f"unknown extension {code}")


def _plain(value: object) -> object:
    """The plain Python value that a tuple or an instance of a subclass stands for; TypeError for anything else."""
    if isinstance(value, tuple):
        return list(cast("tuple[Value, ...]", value))
    if isinstance(value, int):
        number = int.__int__(value)
        return number if _INT_MIN <= number <= _INT_MAX else _nearest(number)  # the kernel narrows up to 2^64 itself
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, list):
        return list(cast("list[Value]", value))
    if isinstance(value, dict):
        return dict(cast("dict[str, Value]", value))
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _nearest(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def explain(value: Any) -> None:
    """Raise HostValueError at the first place that is no Lashlang value; do nothing where all is well."""
    stack: list[tuple[Any, str, int]] = [(value, "$", 0)]
    while stack:
        item, path, depth = stack.pop()
        if depth > DEEPEST:
            raise TooDeep(_shortened(path), f"nested more than {DEEPEST} levels deep, or inside itself")
        try:
            inside = _look_into(item, path)
        except HostValueError:
            raise
        except Exception as error:
            raise HostValueError(path, f"{type(item).__name__} cannot be read: {error_text(error)}") from error
        stack.extend((below, f"{path}{step}", depth + 1) for step, below in reversed(inside))


def _look_into(item: Any, path: str) -> list[tuple[str, Any]]:
    """What a value holds, each part with its step of the path; HostValueError where it is no Lashlang value itself.

    Raises whatever the methods of a subclass raise.
    """
    if isinstance(item, str):
        _check_text(item, path)
    elif isinstance(item, Image):
        _check_image(item, path)
    elif isinstance(item, dict):
        entries = list(cast("dict[object, Any]", item).items())
        for key, _ in entries:
            if not isinstance(key, str):
                shown = f" {key!r:.40}" if key is None or isinstance(key, (int, float, bytes)) else ""
                raise HostValueError(path, f"a record key must be text, got {type(key).__name__}{shown}")
            _check_text(key, path)
        return [(_key_text(key), below) for key, below in entries]
    elif isinstance(item, (list, tuple)):
        return [(f"[{index}]", below) for index, below in enumerate(cast("Iterable[Any]", item))]
    elif isinstance(item, Projected):
        _check_projected(item, path)
    elif item is not None and not isinstance(item, (bool, int, float)):
        raise HostValueError(path, f"{type(item).__name__} is not a JSON value")
    return []


def _key_text(key: object) -> str:
    if isinstance(key, str) and key.isascii() and key.isidentifier():
        return f".{key}"
    return f"[{key!a:.40}]"


def _shortened(path: str) -> str:
    return path if len(path) <= 60 else f"{path[:57]}..."


def _check_text(text: str, path: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        reason = f"text with the lone surrogate U+{ord(text[error.start]):04X} at offset {error.start}"
        raise HostValueError(path, reason) from None


def _check_projected(projected: Projected, path: str) -> None:
    """What chapter 14 asks of a projection's name and path."""
    name = cast("object", projected.name)
    if not isinstance(name, str):
        raise HostValueError(path, f"a projection's `name` must be text, got {type(name).__name__}")
    _check_text(name, path)
    for step in cast("tuple[object, ...]", projected.path):
        if isinstance(step, str):
            _check_text(step, path)
        elif not isinstance(step, int) or isinstance(step, bool) or not _INT_MIN <= step <= _INT_MAX:
            raise HostValueError(path, f"a projection's path has keys and indexes, got {step!r:.40}")


def _check_image(image: Image, path: str) -> None:
    """The shape chapter 4 asks of an image."""
    for name in ("id", "label"):
        field: object = getattr(image, name)
        if not isinstance(field, str):
            raise HostValueError(path, f"an image's `{name}` must be text, got {type(field).__name__}")
        _check_text(field, path)
    for name, bound in (("size", _INT_MAX), ("width", 0xFFFF_FFFF), ("height", 0xFFFF_FFFF)):
        field = getattr(image, name)
        if field is None and name != "size":
            continue
        if not isinstance(field, int) or isinstance(field, bool) or not 0 <= field <= bound:
            raise HostValueError(
                path, f"an image's `{name}` must be a whole number from 0 to {bound}, got {field!r:.40}"
            )
