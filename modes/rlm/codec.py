"""Between the values of the machine and JSON (rlm.md 8.3)."""

from __future__ import annotations

import math
from typing import Any, cast

from lash.runtime.sansio.messages import AttachmentRef
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.result import untagged
from lashlang import Image, Value
from lashlang.projection import Projected


def plain(value: object) -> JsonValue:
    """A value as plain JSON: images as their descriptors, projections read, what JSON has no number for as null.

    Raises what reading a projection raises.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Image):
        return cast("JsonValue", value.to_json())
    if isinstance(value, Projected):
        return plain(value.read())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast("list[Any] | tuple[Any, ...]", value)]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in cast("dict[str, Any]", value).items()}
    return cast("JsonValue", value)


def program_value(value: JsonValue) -> Value:
    """A tool's value, in the runtime's tagged form, as a program gets it: images as images, all else as JSON."""
    return untagged(value, _image)


def _image(reference: AttachmentRef) -> Image:
    return Image(reference.id, reference.label or "", reference.byte_len, reference.width, reference.height)


def images_in(value: object) -> list[Image]:
    """The images in a value, each id once, in order."""
    found: dict[str, Image] = {}
    pending: list[object] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, Image):
            found.setdefault(item.id, item)
        elif isinstance(item, (list, tuple)):
            pending.extend(reversed(cast("list[Any] | tuple[Any, ...]", item)))
        elif isinstance(item, dict):
            pending.extend(reversed(list(cast("dict[str, Any]", item).values())))
    return list(found.values())
