"""JSON values, and how the runtime's frozen dataclasses become JSON and come back.

Values of the hot path are frozen slotted dataclasses. A *union* is a namespace of such classes, each with a `type`
field that holds its wire name, so that `match` works on the classes and pydantic tells them apart by the field.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import JsonValue, TypeAdapter

__all__ = [
    "JsonValue",
    "adapter",
    "canonical",
    "from_json",
    "lone_surrogate",
    "stable_hash",
    "to_json",
    "told",
    "whole_texts",
]

T = TypeVar("T")


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """The pydantic adapter of a dataclass or union, made once."""
    return TypeAdapter(kind)


def to_json(value: object, kind: Any = None) -> JsonValue:
    """A dataclass (or a union's member) as plain JSON; `kind` where the type of the object says too little."""
    return cast("JsonValue", adapter(kind or type(value)).dump_python(value, mode="json"))


def from_json(kind: type[T], data: object) -> T:
    """The dataclass that `to_json` made `data` from; pydantic.ValidationError where it is none."""
    return cast("T", adapter(kind).validate_python(data))


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
"""Made once: `json.dumps` makes an encoder for each call."""


def canonical(data: object) -> bytes:
    """JSON text of plain data that is the same for equal data: keys sorted, no spaces, UTF-8."""
    return _encode(data).encode()


def lone_surrogate(text: str) -> str | None:
    """The first half of a surrogate pair that stands alone in a text, as errors name it; None where there is none."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"the lone surrogate U+{ord(text[error.start]):04X} at offset {error.start}"
    return None


def whole_texts(data: JsonValue) -> JsonValue:
    """The data with texts that are Unicode: halves of a surrogate pair that meet are joined, lone ones replaced.

    Servers cut a reply where they like, also between two `\\u` escapes of one character.
    """
    match data:
        case str():
            if lone_surrogate(data) is None:
                return data
            return data.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case list():
            return [whole_texts(item) for item in data]
        case dict():
            return {cast("str", whole_texts(key)): whole_texts(item) for key, item in data.items()}
        case _:
            return data


def told(error: BaseException) -> str:
    """An exception as a line for people and models: its kind and text, also where the text is broken."""
    try:
        text = str(error)
    except Exception as second:
        text = f"its text cannot be had, {type(second).__name__}"
    return cast("str", whole_texts(f"{type(error).__name__}: {text}"))


def stable_hash(data: object) -> str:
    """SHA-256 over the canonical JSON of plain data, as 64 hex digits."""
    return hashlib.sha256(canonical(data)).hexdigest()
