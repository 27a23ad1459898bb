"""Keywords of the wrong shape: refused where they are given, with the name of the keyword and what it has to be.

A value of the wrong type would fail far from its cause otherwise, or be stored with a session that cannot be opened
any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, cast

from lash.config import UNSET
from lash.runtime.errors import ConfigError, LashError
from lash.runtime.sansio.values import lone_surrogate


@dataclass(frozen=True, slots=True)
class Shape:
    """What a keyword takes: in words, and as a question about a value."""

    says: str
    fits: Callable[[Any], bool]


def check(where: str, given: Mapping[str, object], shapes: Mapping[str, Shape], error: type[LashError]) -> None:
    """Raise `error` (contradictory_options) for the first value that does not fit; None and UNSET are not looked at.

    Numbers are told, other values are not: one of them may be a key.
    """
    for name, value in given.items():
        shape = shapes.get(name)
        if shape is None or value is None or value is UNSET or shape.fits(value):
            continue
        told = f"{value!r:.40}" if isinstance(value, int | float) else f"of type {type(value).__name__}"
        raise error("contradictory_options", f"{where}: `{name}` is {told}; it has to be {shape.says}")


def check_id(what: str, given: object, error: type[LashError] = ConfigError) -> None:
    """Raise `error` (contradictory_options) for an id that is no text, is empty, or holds half a surrogate pair."""
    if not isinstance(given, str):
        raise error("contradictory_options", f"{what} is of type {type(given).__name__}; an id is a text")
    if not given:
        raise error("contradictory_options", f"{what} is empty: it needs an id")
    if (wrong := lone_surrogate(given)) is not None:
        raise error("contradictory_options", f"{what} holds {wrong}, which is no character")


def of(*kinds: type[Any]) -> Shape:
    """Instances of one of these."""
    return Shape(f"a {' or a '.join(kind.__name__ for kind in kinds)}", lambda value: isinstance(value, kinds))


def having(attribute: str, says: str) -> Shape:
    """Anything with that attribute: an implementation of a protocol."""
    return Shape(says, lambda value: not isinstance(value, type) and hasattr(value, attribute))


def many(item: Shape, says: str) -> Shape:
    """A sequence of such items."""
    return Shape(says, lambda value: _is_sequence(value) and all(map(item.fits, value)))


def _is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != "" and lone_surrogate(value) is None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value) and value >= 0


def _is_record(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in cast("Mapping[object, object]", value))


TEXT = Shape("a text that is not empty", _is_text)
COUNT = Shape("a whole number of 1 or more", _is_count)
WHOLE = Shape("a whole number of 0 or more", _is_whole)
SECONDS = Shape("a number of seconds, 0 or more", _is_seconds)
FLAG = of(bool)
RECORD = Shape("a mapping of names to values", _is_record)
CALLABLE = Shape("a function", callable)
PATH = of(str, PathLike)
