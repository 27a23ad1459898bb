"""Text forms and the coercions to text and offsets (chapters 1, 4 and 5)."""

from __future__ import annotations

import math

from .failure import type_error
from .numbers import is_whole, number_text
from .values import Image, ListValue, RecordValue, Value, is_number, type_name

WHITE_SPACE = "".join(
    map(chr, [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000])
)
"""Every code point with the White_Space property; the semicolon is white space of the source only."""

ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def quoted(text: str) -> str:
    """A string as JSON text."""
    escaped = [ESCAPES.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text]
    return '"' + "".join(escaped) + '"'


def json_text(v: Value) -> str:
    """JSONTEXT: compact JSON, keys in record order. Projections are read beforehand."""
    if isinstance(v, str):
        return quoted(v)
    if isinstance(v, ListValue):
        return "[" + ",".join(json_text(x) for x in v) + "]"
    if isinstance(v, RecordValue):
        return "{" + ",".join(f"{quoted(key)}:{json_text(x)}" for key, x in v.items()) + "}"
    if isinstance(v, Image):
        return json_text(image_record(v))
    if is_number(v) and not math.isfinite(v):
        return "null"
    return text(v)


def text(v: Value) -> str:
    """TEXT, the form `print`, `to_string`, `format` and string `+` use."""
    if isinstance(v, str):
        return v
    if v is None or isinstance(v, bool):
        return {None: "null", True: "true", False: "false"}[v]
    return number_text(v) if is_number(v) else json_text(v)


def image_record(image: Image) -> RecordValue:
    """The fields of an image as its JSON object has them, `type` first."""
    return RecordValue(
        [
            ("type", "image"),
            ("id", image.id),
            ("label", image.label),
            ("size", image.size),
            ("width", image.width),
            ("height", image.height),
        ]
    )


def as_text(v: Value) -> str:
    """STR: the text of a scalar; containers and images are refused."""
    if isinstance(v, ListValue | RecordValue | Image):
        raise type_error(f"expected text, got {type_name(v)}")
    return text(v)


def as_offset(v: Value, what: str) -> int:
    """OFFSET: a finite integral number; `what` names the operation in the error."""
    if not is_number(v):
        raise type_error(f"{what} must be a whole number, got {type_name(v)}")
    if not is_whole(v):
        raise type_error(f"{what} must be a whole number, got {number_text(v)}")
    return int(v)


def split_lines(s: str) -> list[str]:
    """The lines of a text: each ends at a line feed, less one CR before it; no extra empty last line."""
    *ended, rest = s.split("\n")
    lines = [line.removesuffix("\r") for line in ended]
    return [*lines, rest] if rest else lines


def split_words(s: str) -> list[str]:
    """The pieces between runs of white space, none of them empty."""
    words: list[str] = []
    begin = None
    for at, c in enumerate(s + " "):
        if c in WHITE_SPACE:
            if begin is not None:
                words.append(s[begin:at])
            begin = None
        elif begin is None:
            begin = at
    return words
