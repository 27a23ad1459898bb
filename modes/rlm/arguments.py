"""Arguments on their way from a program to a tool (rlm.md 9.5): plain JSON, but where a tool wants projected values.

A tool may name one argument in which projected values stay projected: the argument itself is a list or record then, and
those of its entries that are projected are handed over beside the JSON, which has null in their places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from lash.modes.rlm.codec import plain
from lash.modes.rlm.sources import long_text
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.provider import Path
from lashlang import Value
from lashlang.projection import Projected, holds_projection


class TooLongToPass(Exception):
    """A long text would be passed whole."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """Arguments as JSON, and the projected values that stand beside it by their paths."""

    args: dict[str, JsonValue]
    projections: dict[Path, Projected] = field(default_factory=dict[Path, Projected])


async def split_arguments(args: dict[str, Value], preserved: str | None) -> Arguments:
    """The arguments for a tool that keeps projected values in the argument `preserved`.

    Raises TooLongToPass, and ProjectionUnavailable where a value cannot be read.
    """
    if not holds_projection(cast("Value", args)):
        return Arguments({name: plain(value) for name, value in args.items()})
    # A source may take its time, and the program's siblings must go on.
    return await asyncio.to_thread(_split, args, preserved)


def _split(args: dict[str, Value], preserved: str | None) -> Arguments:
    made = Arguments({})
    for name, value in args.items():
        if name == preserved:
            made.args[name] = _kept(name, value, made.projections)
        else:
            made.args[name] = _read(value)
    return made


def _kept(name: str, value: Value, projections: dict[Path, Projected]) -> JsonValue:
    """The argument in which projected entries stay so."""
    if isinstance(value, Projected):
        value = _entries(value)
    if isinstance(value, list):
        return [_entry((name, at), item, projections) for at, item in enumerate(cast("list[Value]", value))]
    if isinstance(value, dict):
        entries = cast("dict[str, Value]", value)
        return {key: _entry((name, key), item, projections) for key, item in entries.items()}
    return _read(value)


def _entries(value: Projected) -> Value:
    """A projected record or list with its entries still projected; anything else read."""
    read = value.read()
    if isinstance(read, dict):
        return {key: value.field(key) for key in cast("dict[str, Value]", read)}
    if isinstance(read, list):
        return [value.index(at) for at in range(len(cast("list[Value]", read)))]
    return read


def _entry(path: Path, value: Value, projections: dict[Path, Projected]) -> JsonValue:
    if isinstance(value, Projected):
        projections[path] = value
        return None
    return _read(value)


def _read(value: Value) -> JsonValue:
    for projected in _projected_in(value):
        text = None if projected.path else long_text(projected.source)
        if text is not None:
            raise TooLongToPass(
                f"`{projected.name}` has {len(text):,} characters and is not passed whole: "
                f"pass a part of it, such as slice({projected.name}, 0, 2000)"
            )
    return plain(value)


def _projected_in(value: Value) -> Iterator[Projected]:
    if isinstance(value, Projected):
        yield value
    elif isinstance(value, list):
        for item in cast("list[Value]", value):
            yield from _projected_in(item)
    elif isinstance(value, dict):
        for item in cast("dict[str, Value]", value).values():
            yield from _projected_in(item)
