"""Calling a builtin: its limits, its price, and questions put to projections (chapters 10, 14, 16)."""

from __future__ import annotations

from .arguments import Builtin
from .builtins_lists import LIST_BUILTINS
from .builtins_numbers import NUMBER_BUILTINS
from .builtins_text import TEXT_BUILTINS
from .limits import Meter
from .values import Value

BUILTINS: dict[str, Builtin] = {**TEXT_BUILTINS, **NUMBER_BUILTINS, **LIST_BUILTINS}
"""Every builtin by name."""

QUESTIONS = frozenset(
    "len empty keys values contains find grep_text count starts_with ends_with split lines join trim slice chunk_spans "
    "to_string".split()
)
"""Builtins that a host answers for a projection given as first argument, without reading all of it."""

PASS_THROUGH = frozenset(["push"])
"""Builtins whose arguments may stay unread inside the result."""


def build(meter: Meter, name: str, args: list[Value]) -> tuple[Value, int]:
    """The result of a builtin on arguments that are read, within the limits, and the n of its bulk work."""
    result, work = BUILTINS[name](meter, args)
    if name != "validate":
        meter.check_built(result)
    return result, work
