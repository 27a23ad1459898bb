"""Access, unwrapping and assignment through paths (chapters 6, 7 and 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .failure import Failure, type_error, value_error
from .limits import Meter
from .text import as_offset, as_text, text
from .values import IMAGE_FIELDS, Image, LazyValue, ListValue, RecordValue, Value, is_wrapper, type_name


@dataclass(frozen=True, slots=True)
class FieldKey:
    """`.name` in a path."""

    name: str


@dataclass(frozen=True, slots=True)
class IndexKey:
    """`[value]` in a path, evaluated."""

    value: Value


PathKey = FieldKey | IndexKey
Read = Callable[[Value], Value]
"""What reads a projection that stands in the way."""


def get(container: Value, key: PathKey) -> Value:
    """`t.k` or `t[i]`. A part of a projection is a projection, unless it is a scalar that needs no reading."""
    if isinstance(container, LazyValue):
        part = get(container.value, key)
        return LazyValue(part) if isinstance(part, str | ListValue | RecordValue | Image) else part
    return get_field(container, key.name) if isinstance(key, FieldKey) else get_index(container, key.value)


def get_field(container: Value, key: str) -> Value:
    """`t.key`."""
    if container is None:
        return None
    if isinstance(container, RecordValue):
        return get_key(container, key)
    if isinstance(container, Image):
        return image_field(container, key)
    raise type_error(f"cannot read field `{key}` of a {type_name(container)}")


def get_key(record: RecordValue, key: str) -> Value:
    """A key of a record; a wrapper refuses keys that are not its own."""
    if key not in record and is_wrapper(record) and key not in ("ok", "value", "error"):
        raise type_error(f"cannot read field `{key}` of a result wrapper")
    return record.get(key)


def image_field(image: Image, key: str) -> Value:
    """A field of an image, or null."""
    value: Value = getattr(image, key) if key in IMAGE_FIELDS else None
    return value


def get_index(container: Value, index: Value) -> Value:
    """`t[index]`."""
    if container is None:
        return None
    if isinstance(container, RecordValue):
        return get_key(container, as_text(index))
    if isinstance(container, ListValue | str):
        at = as_offset(index, "index")
        return container[at] if -len(container) <= at < len(container) else None
    raise type_error(f"cannot index a {type_name(container)}")


def unwrap(meter: Meter, v: Value) -> Value:
    """`v?`."""
    if not isinstance(v, RecordValue):
        raise type_error(f"`?` needs a result wrapper, got {type_name(v)}")
    ok = v.get("ok")
    if not isinstance(ok, bool):
        raise type_error("`?` needs a result wrapper, got record without a boolean `ok`")
    if not ok:
        error = v.get("error", "unknown error")
        meter.check_leaving(error)
        raise Failure("unwrap_failed", f"tool result was an error: {text(error)}")
    if "value" not in v:
        raise type_error("`?` needs a result wrapper, got record without `value`")
    return v["value"]


def put(meter: Meter, read: Read, container: Value, path: list[PathKey], value: Value) -> Value:
    """`container` with `value` stored at `path`; everything off the path is shared with the original."""
    container = read(container)
    key, rest = path[0], path[1:]
    if isinstance(container, RecordValue):
        name = key.name if isinstance(key, FieldKey) else as_text(key.value)
        if rest and name not in container:
            raise value_error(f"no key `{name}` to assign through")
        part = put(meter, read, container[name], rest, value) if rest else value
        if name not in container:
            meter.check_entries(len(container) + 1)
        return RecordValue({**container, name: part}.items())
    if isinstance(container, ListValue) and isinstance(key, IndexKey):
        at = list_position(container, key.value)
        part = put(meter, read, container[at], rest, value) if rest else value
        return ListValue([*container[:at], part, *container[at + 1 :]])
    step = f"field `{key.name}`" if isinstance(key, FieldKey) else "an index"
    raise type_error(f"cannot assign {step} of a {type_name(container)}")


def list_position(items: ListValue, index: Value) -> int:
    """Where an index points that must name an existing element."""
    at = as_offset(index, "index")
    if not -len(items) <= at < len(items):
        raise value_error(f"list index {at} is out of range for assignment (length {len(items)})")
    return at % len(items)
