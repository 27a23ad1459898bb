"""The state as JSON, for tests, export and people (chapter 15.1); storage uses the portable form (snapshot.py).

    {"lashlang_snapshot":1,"globals":{"name":V, …}}

`V` is the JSON of a value: integers exact to 64 bits, integral floats with `.0`, so that they stay floats, records in
their order. What JSON lacks is an object of one member, whose name begins with `$`:

    {"$num":"NaN"}           a number that is not finite; also "inf", "-inf"
    {"$image":{…}}           an image, by its five fields
    {"$projected":{…}}       a projection, never read: `name`, `type_name` and, if it has one, `ref`, as its source
                             describes itself (sources.py; null for the tool host's own). A part of a source says by
                             `path` which part.
    {"$rec":[[key, V], …]}   a record with a key that begins with `$`

Writing asks the machine for one variable after the other. What is read (statejson_reader.py) becomes a portable
snapshot, which is restored like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from json import JSONEncoder
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import msgpack

from lashlang.errors import LanguageError, SnapshotError
from lashlang.projection import Projected
from lashlang.values import Image, Value
from lashlang.vm.container import Form, wrap
from lashlang.vm.limits import Limits
from lashlang.vm.snapshot import restore
from lashlang.vm.sources import Resolve, describe
from lashlang.vm.statejson_reader import IMAGE, VERSION, Reader
from lashlang.vm.wire import Codec

if TYPE_CHECKING:
    from lashlang.vm.machine import Machine

_FORMAT = 1
"""The format of portable snapshots that reading translates to."""

_INT_MAX = (1 << 63) - 1

M = TypeVar("M", bound="Machine")

_Container: TypeAlias = "list[Value] | dict[str, Value]"

# --- writing -----------------------------------------------------------------------------------------

_json = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def write(machine: Machine) -> str:
    """See `Machine.to_json`."""
    if machine.running:
        raise SnapshotError(
            "a block is suspended, and JSON holds variables only: take the block to its end (`finish`), stop it "
            "(`interrupt`), or use `snapshot()`, which keeps it"
        )
    members = ",".join(f"{_json(name)}:{_variable_text(machine, name)}" for name in machine.globals)
    return f'{{"lashlang_snapshot":{VERSION},"globals":{{{members}}}}}'


def _variable_text(machine: Machine, name: str) -> str:
    try:
        return _text(machine.globals[name])
    except LanguageError as error:
        raise SnapshotError(f"the variable `{name}` cannot be written as JSON: {error}") from error


def _text(value: Value) -> str:
    """A value's JSON, made without recursion: values may be nested deeper than Python's stack allows."""
    parts: list[str] = []
    todo: list[str | _Container] = [_piece(value)]
    while todo:
        piece = todo.pop()
        if isinstance(piece, str):
            parts.append(piece)
        else:
            todo.extend(reversed(_opened(piece)))
    return "".join(parts)


def _opened(container: _Container) -> list[str | _Container]:
    """The pieces of a container's text; containers inside it are pieces still to be opened."""
    if isinstance(container, list):
        start, end, item_end = "[", "]", ""
        items = [("", item) for item in container]
    elif any(key.startswith("$") for key in container):
        start, end, item_end = '{"$rec":[', "]}", "]"
        items = [(f"[{_json(key)},", item) for key, item in container.items()]
    else:
        start, end, item_end = "{", "}", ""
        items = [(f"{_json(key)}:", item) for key, item in container.items()]
    pieces: list[str | _Container] = []
    for item_start, item in items:
        pieces += ("," if pieces else start, item_start, _piece(item), item_end)
    return [*pieces, end] if pieces else [start, end]


def _piece(value: Value) -> str | _Container:
    """A scalar's text; a container as it is."""
    if isinstance(value, (list, dict)):
        return cast("_Container", value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Image):
        return _json({"$image": {name: getattr(value, name) for name in IMAGE}})
    if isinstance(value, Projected):
        return _projected_text(value)
    return _json(value)


def _float_text(x: float) -> str:
    """NUMTEXT (chapter 4), with `.0` where an integer could be read otherwise."""
    if not math.isfinite(x):
        name = "NaN" if math.isnan(x) else "inf" if x > 0 else "-inf"
        return _json({"$num": name})
    if x.is_integer():
        digits = str(int(x)) if abs(x) <= _INT_MAX else format(Decimal(repr(x)), "f")
        return f"{digits}.0"
    return format(Decimal(repr(x)), "f")


def _projected_text(value: Projected) -> str:
    fields: dict[str, Value] = {"name": value.name, "type_name": None} | (describe(value.source) or {})
    if value.path:
        fields["path"] = value.path
    text = _json({"$projected": fields})
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SnapshotError(
            f"the source of the projection `{value.name}` describes itself by what is no text"
        ) from error
    return text


# --- reading -----------------------------------------------------------------------------------------


def read(make: Callable[[Limits | None], M], text: object, limits: Limits, projections: Resolve | None) -> M:
    """See `Machine.from_json`; `make` makes an empty machine."""
    if not isinstance(text, str):
        raise TypeError(f"a JSON snapshot is text, not {type(text).__name__}")
    codec = Codec()
    variables = [codec.pack(name) + codec.pack(value) for name, value in Reader(text, limits).document()]
    # What is shared, the variables, and what a suspended block has: nothing, but for the variables (dump.zig).
    body = [b"\x93\x90", msgpack.Packer().pack_map_header(len(variables)), *variables, b"\x90"]
    header = {"sources": [describe(source) for source in codec.sources], "format": _FORMAT, "block": None}
    return restore(make, wrap(Form.PORTABLE, header, body, None), limits, None, projections, False)
