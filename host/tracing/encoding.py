"""Records as lines of JSON, and back (observability.md 2).

One line is one record: UTF-8, keys in a fixed order, no spaces between them. What is None, and what is empty where that
is the default, is left out of a record; values of tools and programs stay exactly as they are. A line that was written
here and is read and written again is the same to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final, NoReturn, cast, get_args

from pydantic import ValidationError

from lash.runtime.errors import TraceSinkError
from lash.runtime.sansio.values import JsonValue, adapter
from lash.runtime.seams.trace import (
    TRACE_SCHEMA_VERSION,
    AnyTraceEvent,
    TraceContext,
    TraceRecord,
    UnknownTraceRecord,
)
from lash.runtime.seams.trace_fields import trace_fields

HEADER: Final = ("schema_version", "id", "timestamp", "context")
"""The keys before the event's."""


class InvalidRecord(ValueError):
    """A text that is no record; the message says why."""


class NotJson(InvalidRecord):
    """A text that is not even JSON."""


@cache
def event_types() -> dict[str, type[Any]]:
    """The classes of events by their wire names."""
    union = get_args(AnyTraceEvent)[0]
    return {str(item.default): kind for kind in get_args(union) for item in fields(kind) if item.name == "type"}


def record_json(record: TraceRecord | UnknownTraceRecord) -> dict[str, JsonValue]:
    """A record as plain JSON, keys in the order of the line."""
    if isinstance(record, UnknownTraceRecord):
        return dict(record.raw)
    header: dict[str, JsonValue] = {
        "schema_version": record.schema_version,
        "id": record.id,
        "timestamp": record.timestamp,
    }
    if context := _plain(record.context):
        header["context"] = context
    plain = {**header, **_plain(record.event)}
    if record.truncated:
        plain["truncated"] = list(record.truncated)
    return plain


def encode_record(record: TraceRecord | UnknownTraceRecord) -> bytes:
    """A record as one line, newline included; TraceSinkError where it holds what is no JSON."""
    try:
        text = json.dumps(record_json(record), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise TraceSinkError(f"the record cannot be written as JSON: {error}") from error
    # A surrogate that stands alone has no UTF-8 form; its escape is valid JSON.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def decode_record(line: str | bytes) -> TraceRecord | UnknownTraceRecord:
    """The record of a line; keys that are not known are ignored.

    A record of an unknown type is an UnknownTraceRecord. Raises InvalidRecord for a text that is no record.
    """
    try:
        data: object = json.loads(line if isinstance(line, str) else line.decode(), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidRecord(f"a record is a JSON object, not {type(data).__name__}")
    raw = cast("dict[str, JsonValue]", data)
    version, kind = raw.get("schema_version"), raw.get("type")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidRecord(f"schema_version is {version!r}; a record has a whole number from 1 there")
    if not isinstance(kind, str):
        raise InvalidRecord(f"type is {kind!r}; a record has a text there")
    if kind not in event_types():
        return UnknownTraceRecord(raw)
    body = {key: value for key, value in raw.items() if key not in (*HEADER, "truncated")}
    try:
        return TraceRecord(
            id=_text(raw, "id"),
            timestamp=_text(raw, "timestamp"),
            event=_read(AnyTraceEvent, body, ""),
            context=_read(TraceContext, raw.get("context", {}), "context"),
            truncated=_read(tuple[str, ...], raw.get("truncated", []), "truncated"),
            schema_version=version,
        )
    except InvalidRecord as error:
        # A later version may have changed what a type means; it is read as far as it can be.
        if version > TRACE_SCHEMA_VERSION:
            return UnknownTraceRecord(raw)
        raise InvalidRecord(f"{kind}: {error}") from error


def _read(kind: Any, value: object, place: str) -> Any:
    """A part of a record; InvalidRecord names `place` and what is wrong there."""
    try:
        return adapter(kind).validate_python(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise InvalidRecord("; ".join(f"{_path(place, item['loc'])}: {item['msg']}" for item in found)) from error


def _path(place: str, steps: tuple[int | str, ...]) -> str:
    return ".".join(filter(None, [place, *map(str, steps)]))


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _text(raw: dict[str, JsonValue], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise InvalidRecord(f"{key} is {value!r}; a record has a text there")
    return value


def _plain(record: object) -> dict[str, JsonValue]:
    """An object of one of the record types as JSON."""
    return dict(_items(record))


def _items(record: object) -> Iterator[tuple[str, JsonValue]]:
    for item in trace_fields(type(record)):
        value: Any = getattr(record, item.name)
        if value is None:
            continue
        if item.kind != "json":
            value = _typed(value)
        if item.empty is not None and value == item.empty:
            continue
        yield item.name, value


def _typed(value: Any) -> JsonValue:
    if isinstance(value, tuple):
        return [_typed(item) for item in cast("tuple[object, ...]", value)]
    return _plain(value) if is_dataclass(value) else value
