"""Values as people read them: JSON, in one line where it fits, cut where it is long, and saying how much was cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from math import isfinite
from typing import Final, cast

from lashlang.projection import Projected
from lashlang.values import Image, Value

MOST_LINES: Final = 40
"""Most lines that a value gets, about."""

MOST_TEXT: Final = 2000
"""Most characters of a text that are shown where it is the value itself."""

_SCALAR_ROOM: Final = 40
_LEAST_ROOM: Final = 12


def show(value: Value, width: int = 80, size: int | None = None) -> str:
    """A value as one or more lines of at most about `width` characters.

    `size` is the length of the text, list or record of which `value` is only the beginning.
    """
    if isinstance(value, str):
        return _quoted(value, MOST_TEXT, size)[0]
    whole = size is None or not isinstance(value, (list, dict)) or size == len(cast("list[Value]", value))
    text, complete = _brief(value, width)
    if complete and whole:
        return text
    return "\n".join(_spread(value, width, size, MOST_LINES))


def preview(value: Value, room: int, size: int | None = None) -> str:
    """A value in one line of about `room` characters; `size` as for `show`."""
    if isinstance(value, str):
        return _quoted(value, room, size)[0]
    return _brief(value, room, size)[0]


def printable(text: str) -> str:
    """A text in which nothing but line feeds and tabs controls the screen: other such characters as `\\u001b`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else _escape(char) for char in text)


# --- one line ----------------------------------------------------------------------------------------


def _brief(value: Value, room: int, size: int | None = None) -> tuple[str, bool]:
    """A value in one line, and whether that is all of it."""
    if isinstance(value, str):
        return _quoted(value, room, size)
    if isinstance(value, (list, dict)):
        return _brief_container(value, room, size)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, Image):
        return _brief_container(value.to_json(), room, None)
    return _scalar(value), True


def _brief_container(value: list[Value] | dict[str, Value], room: int, size: int | None) -> tuple[str, bool]:
    opener, closer = "[]" if isinstance(value, list) else "{}"
    total = len(value) if size is None else size
    if total and room < _LEAST_ROOM:
        # Also what bounds the work: values may share parts, so that there is no end to walking through them.
        return f"{opener}… ({total:,}){closer}", False
    parts: list[str] = []
    used = 2
    complete = True
    for key, item in _members(value):
        prefix = "" if key is None else f"{_quoted(key, _SCALAR_ROOM)[0]}: "
        text, whole = _brief(item, room - used - len(prefix))
        used += len(prefix) + len(text) + 2
        rest = total - len(parts) - 1
        if used - 2 + (len(f", … ({rest:,} more)") if rest and not whole else 0) > room:
            break
        parts.append(prefix + text)
        complete = complete and whole
    if len(parts) < total:
        parts.append(f"… ({total - len(parts):,}{' more' if parts else ''})")
        complete = False
    return f"{opener}{', '.join(parts)}{closer}", complete


def _members(value: list[Value] | dict[str, Value]) -> Iterator[tuple[str | None, Value]]:
    if isinstance(value, list):
        return ((None, item) for item in value)
    return iter(value.items())


def _scalar(value: Value) -> str:
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Projected):
        return f"<{printable(value.name)}, not read>"
    return json.dumps(value)


def _number(value: float) -> str:
    """The number as the language writes it: never an exponent; `NaN`, `inf` and `-inf` as in `to_string`."""
    if not isfinite(value):
        return "NaN" if value != value else "inf" if value > 0 else "-inf"
    if value.is_integer() and abs(value) < 2**63:
        return str(int(value))
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def _quoted(text: str, room: int, size: int | None = None) -> tuple[str, bool]:
    """A text in quotes, cut to `room`; and whether that is all of it. `size` as for `show`."""
    total = len(text) if size is None else size
    kept = text if len(text) <= room else text[: max(room - 16, 8)]
    shown = json.dumps(kept, ensure_ascii=False)
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else _escape(char) for char in shown)
    if len(kept) == total:
        return shown, True
    return f"{shown}… ({total - len(kept):,} more)", False


def _escape(char: str) -> str:
    """A character as an escape that the language reads; two where it lies beyond the first plane."""
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


# --- several lines -----------------------------------------------------------------------------------


def _spread(value: Value, width: int, size: int | None, most: int) -> list[str]:
    """A container over several lines, its brackets on lines of their own."""
    members: list[Value] | dict[str, Value] = value.to_json() if isinstance(value, Image) else value
    opener, closer = "[]" if isinstance(members, list) else "{}"
    total = len(members) if size is None else size
    room = max(width - 2, _LEAST_ROOM)
    if isinstance(members, list) and all(map(_is_small, members)):
        lines, shown = _filled(members, total, room, most)
    else:
        lines, shown = _listed(members, total, room, most)
    if shown < total:
        lines.append(f"… ({total - shown:,} more)")
    return [opener, *("  " + line for line in lines), closer]


def _is_small(value: Value) -> bool:
    return not isinstance(value, (list, dict, Image)) and (not isinstance(value, str) or len(value) <= _SCALAR_ROOM)


def _filled(items: list[Value], total: int, room: int, most: int) -> tuple[list[str], int]:
    """Small elements side by side; the lines, and how many elements they hold."""
    lines: list[str] = []
    line = ""
    for number, item in enumerate(items, 1):
        text = _brief(item, room)[0] + ("," if number < total else "")
        if line and len(line) + 1 + len(text) > room:
            lines.append(line)
            line = ""
            if len(lines) >= most // 4:
                return lines, number - 1
        line = f"{line} {text}" if line else text
    return [*lines, line], len(items)


def _listed(value: list[Value] | dict[str, Value], total: int, room: int, most: int) -> tuple[list[str], int]:
    """Each member on a line, or on several while there is room for them; the lines, and how many members they hold."""
    lines: list[str] = []
    for number, (key, item) in enumerate(_members(value), 1):
        if len(lines) >= most:
            return lines, number - 1
        prefix = "" if key is None else f"{_quoted(key, _SCALAR_ROOM)[0]}: "
        text, whole = _brief(item, max(room - len(prefix) - 1, _LEAST_ROOM))
        left = (most - len(lines)) // 2
        on_one_line = whole or isinstance(item, str) or left < 4
        spread = [text] if on_one_line else _spread(item, room, None, left)
        spread[0] = prefix + spread[0]
        if number < total:
            spread[-1] += ","
        lines += spread
    return lines, len(value)
