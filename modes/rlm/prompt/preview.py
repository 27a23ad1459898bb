"""Values in a few words: compact JSON where it is short, else the beginning of each part (rlm.md 6.5).

Both are one line, so that no text inside a value can pass for a part of the prompt. The work is bounded by what is
shown, not by the value: its parts may be shared, so that there is no end to walking through them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

from lashlang.projection import Projected, Projection
from lashlang.textsource import TextSource
from lashlang.values import Image, Value

PREVIEW_BYTES = 1024
DEEPEST = 3
HEAD_ITEMS = 8
TAIL_ITEMS = 2
MOST_FIELDS = 12
LONGEST_TEXT = 160
"""Characters of a text inside a preview that are shown."""

DIAGNOSTIC_FIELDS = (
    "status",
    "success",
    "ok",
    "error",
    "code",
    "exit_code",
    "stderr",
    "stdout",
    "message",
    "duration_ms",
)
"""Fields that say how something went: they come first where not all can be shown."""


def inline(value: Value, most: int) -> str | None:
    """The value as compact JSON of at most so many characters, or None where it is longer or not all there."""
    if _least_size(value, most) > most:
        return None
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_image)
    return text if len(text) <= most else None


def preview(value: Value) -> str:
    """The beginning of a value, and of its parts, in at most `PREVIEW_BYTES`."""
    if isinstance(value, str):
        return cut(_quoted(value, PREVIEW_BYTES), PREVIEW_BYTES)
    return cut(_brief(value, DEEPEST), PREVIEW_BYTES)


def cut(text: str, most_bytes: int) -> str:
    """The text, or as much of its beginning as fits with a sign that there is more."""
    if len(text) * 4 <= most_bytes:
        return text
    data = text[: most_bytes + 1].encode("utf-8", "replace")
    return text if len(data) <= most_bytes else data[: most_bytes - 3].decode("utf-8", "ignore") + "…"


def _least_size(value: Value, most: int) -> int:
    """A lower bound of the JSON's length; stops soon after it passes `most`, and there too for projections."""
    size = 0
    stack: list[Value] = [value]
    while stack and size <= most:
        item = stack.pop()
        if isinstance(item, str):
            size += len(item) + 2
        elif isinstance(item, list):
            items = cast("list[Value]", item)
            size += len(items) + 1
            stack += items[:most]
        elif isinstance(item, dict):
            fields = cast("dict[str, Value]", item)
            size += 4 * len(fields) + 1 if fields else 2
            if size <= most:
                size += sum(map(len, fields))
                stack += fields.values()
        else:
            size += most + 1 if isinstance(item, Projected | Projection) else 1
    return size


def _image(value: object) -> Value:
    if isinstance(value, Image):
        return value.to_json()
    raise TypeError(f"{type(value).__name__} is no Lashlang value")


def _brief(value: Value, levels: int) -> str:
    if isinstance(value, str):
        return _quoted(value, LONGEST_TEXT)
    if isinstance(value, list):
        items = cast("list[Value]", value)
        return f"[{', '.join(_elements(items, levels))}]" if levels > 0 or not items else f"[… {len(items)}]"
    if isinstance(value, dict):
        fields = cast("dict[str, Value]", value)
        return f"{{{', '.join(_fields(fields, levels))}}}" if levels > 0 or not fields else f"{{… {len(fields)}}}"
    if isinstance(value, Projected):
        return f"<{_quoted(value.name, LONGEST_TEXT)[1:-1]}, not read>"
    if isinstance(value, TextSource):
        return f"<text, {value.len()} characters>"
    if isinstance(value, Projection):
        return "<read lazily>"
    return json.dumps(value, default=_image)


def _elements(items: list[Value], levels: int) -> Iterator[str]:
    left_out = len(items) - HEAD_ITEMS - TAIL_ITEMS
    for item in items if left_out <= 0 else items[:HEAD_ITEMS]:
        yield _brief(item, levels - 1)
    if left_out > 0:
        yield f"… {left_out} more"
        for item in items[-TAIL_ITEMS:]:
            yield _brief(item, levels - 1)


def _fields(record: dict[str, Value], levels: int) -> Iterator[str]:
    for name in _chosen(record):
        yield f"{_quoted(name, LONGEST_TEXT)}: {_brief(record[name], levels - 1)}"
    if len(record) > MOST_FIELDS:
        yield f"… {len(record) - MOST_FIELDS} more"


def _chosen(record: dict[str, Value]) -> list[str]:
    if len(record) <= MOST_FIELDS:
        return list(record)
    first = [name for name in DIAGNOSTIC_FIELDS if name in record]
    for name in record:
        if len(first) >= MOST_FIELDS:
            break
        if name not in first:
            first.append(name)
    return first


def _quoted(text: str, most: int) -> str:
    shown = text if len(text) <= most else f"{text[:most]}…"
    return json.dumps(shown, ensure_ascii=False)
