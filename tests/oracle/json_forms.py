"""JSON to values and back (chapter 4): JSON texts, and JSON as Python data from a host."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from .failure import value_error
from .numbers import canonical, exact_or_float, read_number
from .text import image_record
from .values import Image, LazyValue, ListValue, RecordValue, Value

Json: TypeAlias = "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]"

DEEPEST = 128
"""The nesting `json_parse` accepts, whatever the limit `value_depth` says."""

SPACE = " \t\n\r"
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
PLAIN = re.compile(r"[^\"\\\x00-\x1f]*")
HEX = re.compile(r"[0-9a-fA-F]{4}")
SIMPLE_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
WORDS: tuple[tuple[str, Value], ...] = (("null", None), ("true", True), ("false", False))


def parse_json(source: str) -> Value:
    """`json_parse`: RFC 8259, the whole text; anything else is a `value_error`."""
    return Parser(source).document()


class Parser:
    """A reader of one JSON text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.depth = 0

    def refuse(self, why: str) -> Exception:
        """The error for a text that is not JSON."""
        return value_error(f"`json_parse`: {why} at offset {self.at}")

    def skip(self) -> None:
        """Pass white space."""
        while self.source[self.at : self.at + 1] in tuple(SPACE):
            self.at += 1

    def take(self, token: str) -> bool:
        """Pass a token if it stands here."""
        if not self.source.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def expect(self, token: str) -> None:
        """Pass a token that must stand here."""
        if not self.take(token):
            raise self.refuse(f"expected `{token}`")

    def document(self) -> Value:
        """The whole text."""
        v, _ = self.value()
        if self.at < len(self.source):
            raise self.refuse("the text goes on")
        return v

    def value(self) -> tuple[Value, bool]:
        """One value with the white space around it, and whether it is a number written as an integer."""
        self.skip()
        v, integer = self.bare_value()
        self.skip()
        return v, integer

    def bare_value(self) -> tuple[Value, bool]:
        """One value, as `value` gives it."""
        for word, v in WORDS:
            if self.take(word):
                return v, False
        if self.take('"'):
            return self.string(), False
        if self.take("["):
            return self.nested(self.list_value), False
        if self.take("{"):
            return self.nested(self.record_value), False
        return self.number()

    def nested(self, read: Callable[[], Value]) -> Value:
        """A list or record, one level deeper."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.refuse(f"nested deeper than {DEEPEST}")
        v = read()
        self.depth -= 1
        return v

    def list_value(self) -> Value:
        """A list after its bracket."""
        items: list[Value] = []
        self.skip()
        if self.take("]"):
            return ListValue()
        while True:
            items.append(self.value()[0])
            if not self.take(","):
                self.expect("]")
                return ListValue(items)

    def record_value(self) -> Value:
        """A record, or an image, after the brace. A repeated key keeps its first position and last value."""
        entries: dict[str, tuple[Value, bool]] = {}
        self.skip()
        if self.take("}"):
            return RecordValue()
        while True:
            self.skip()
            self.expect('"')
            key = self.string()
            self.skip()
            self.expect(":")
            entries[key] = self.value()
            if not self.take(","):
                self.expect("}")
                break
        integers = {key for key, (_, integer) in entries.items() if integer}
        return image_or_record(RecordValue((key, v) for key, (v, _) in entries.items()), integers)

    def number(self) -> tuple[Value, bool]:
        """A number, and whether it was written without fraction and exponent."""
        match = NUMBER.match(self.source, self.at)
        if not match:
            raise self.refuse("expected a value")
        x = read_number(match[0])
        if not math.isfinite(x):
            raise self.refuse("a number is too large")
        self.at = match.end()
        return x, match[2] is None and match[3] is None

    def string(self) -> str:
        """A string after its opening quote."""
        parts: list[str] = []
        while True:
            match = PLAIN.match(self.source, self.at)
            if match:
                parts.append(match[0])
                self.at = match.end()
            if self.take('"'):
                return "".join(parts)
            if not self.take("\\"):
                raise self.refuse("a string is not closed or has a control character")
            parts.append(self.escape())

    def escape(self) -> str:
        """What a backslash and its letters stand for."""
        letter = self.source[self.at : self.at + 1]
        self.at += 1
        if letter in SIMPLE_ESCAPES:
            return SIMPLE_ESCAPES[letter]
        if letter != "u":
            raise self.refuse("unknown escape")
        unit = self.hex_digits()
        if 0xD800 <= unit < 0xDC00 and self.take("\\u"):
            low = self.hex_digits()
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        if 0xD800 <= unit < 0xE000:
            raise self.refuse("lone surrogate")
        return chr(unit)

    def hex_digits(self) -> int:
        """Four hexadecimal digits."""
        match = HEX.match(self.source, self.at)
        if not match:
            raise self.refuse("expected four hexadecimal digits")
        self.at = match.end()
        return int(match[0], 16)


def image_or_record(record: RecordValue, integers: set[str]) -> Value:
    """An image if an object has its shape, else the record; `integers` names the members written as integers."""

    def whole(key: str, beyond: int | None) -> bool:
        v = record.get(key)
        return key in integers and isinstance(v, int) and v >= 0 and (beyond is None or v < beyond)

    def side(key: str) -> bool:
        return key in record and (record[key] is None or whole(key, 2**32))

    match record:
        case {"type": "image", "id": str(id), "label": str(label), "size": int(size), **rest} if (
            whole("size", None) and side("width") and side("height")
        ):
            width, height = rest["width"], rest["height"]
            assert width is None or isinstance(width, int)
            assert height is None or isinstance(height, int)
            return Image(id, label, size, width, height)
        case _:
            return record


def from_json(data: object) -> Value:
    """A value from JSON as Python data. Values of the language pass unchanged."""
    if isinstance(data, ListValue | RecordValue | Image | LazyValue) or data is None:
        return data
    if isinstance(data, bool | str):
        return data
    if isinstance(data, int):
        return exact_or_float(data)
    if isinstance(data, float):
        return canonical(data)
    if isinstance(data, Mapping):
        entries = cast("Mapping[str, object]", data)
        integers = {key for key, v in entries.items() if isinstance(v, int) and not isinstance(v, bool)}
        return image_or_record(RecordValue((key, from_json(v)) for key, v in entries.items()), integers)
    if isinstance(data, Sequence):
        return ListValue(from_json(v) for v in cast("Sequence[object]", data))
    raise TypeError(f"not JSON: {type(data).__name__}")


def to_json(v: Value) -> Json:
    """The JSON a host gets for a value, as Python data: non-finite numbers are None, images objects."""
    if isinstance(v, LazyValue):
        return to_json(v.value)
    if isinstance(v, Image):
        return to_json(image_record(v))
    if isinstance(v, ListValue):
        return [to_json(x) for x in v]
    if isinstance(v, RecordValue):
        return {key: to_json(x) for key, x in v.items()}
    if isinstance(v, float) and not math.isfinite(v):
        return None
    return v


def json_equal(a: object, b: object) -> bool:
    """Whether two pieces of JSON are the same: numbers by exact mathematical value, key order ignored (chapter 19)."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        left, right = cast("Mapping[str, object]", a), cast("Mapping[str, object]", b)
        return left.keys() == right.keys() and all(json_equal(v, right[key]) for key, v in left.items())
    if isinstance(a, list) and isinstance(b, list):
        xs, ys = cast("list[object]", a), cast("list[object]", b)
        return len(xs) == len(ys) and all(json_equal(x, y) for x, y in zip(xs, ys, strict=True))
    return a == b
