"""Where in a TOML file a key stands. The parser of the standard library does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

Path = tuple[str, ...]

_HEADER: Final = re.compile(r"\s*\[(?P<keys>[^\[\]].*?)\]\s*(#.*)?$")
_KEY: Final = re.compile(r"(?P<keys>(?:[A-Za-z0-9_.\- \t]|\"(?:[^\"\\]|\\.)*\"|'[^']*')+)=")
"""No two of its branches begin alike, so that a long line takes no longer than it is: a file may be anybody's."""


def lines(text: str) -> dict[Path, int]:
    """The line of each table and key that begins one; only what looks like a key inside a longer text is mistaken."""
    found: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _path(header["keys"]) or table
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            path = _path(key["keys"])
            if path:
                found.setdefault((*table, *path), number)
    return found


def line_of(found: Mapping[Path, int], path: Path) -> int | None:
    """The line of a key, or of the nearest thing around it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in found:
            return found[path[:length]]
    return None


def _path(keys: str) -> Path:
    """The names in a key as it is written, dotted and quoted; none where it is no key."""
    try:
        value: Any = tomllib.loads(f"{keys} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    return tuple(_descend(value))


def _descend(value: Any) -> Iterator[str]:
    while isinstance(value, dict):
        name, value = next(iter(cast("dict[str, Any]", value).items()))
        yield name


_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def dotted(path: tuple[object, ...]) -> str:
    """A path as TOML writes it; numbers are places in a list."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            name = str(part)
            shown += ("." if shown else "") + (name if _BARE.fullmatch(name) else quoted(name))
    return shown


def quoted(text: str) -> str:
    """A text as TOML writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'


def as_toml(value: Any) -> str:
    """A value on one line of TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case dict():
            table = cast("dict[str, Any]", value)
            inside = ", ".join(f"{dotted((name,))} = {as_toml(item)}" for name, item in table.items())
            return f"{{ {inside} }}" if inside else "{}"
        case list():
            return f"[{', '.join(as_toml(item) for item in cast('list[Any]', value))}]"
        case _:
            return str(value)
