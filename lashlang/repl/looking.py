"""Looking into a machine between blocks without pulling more out of it than a screen can show."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, cast

from lashlang.errors import LanguageError
from lashlang.projection import Projected
from lashlang.values import Image, Value
from lashlang.vm.machine import Machine

_WHOLE: Final = 1 << 20
"""Values up to this expanded size are read whole; of larger ones only the beginning."""

_FUEL: Final = 1_000_000
_FIRST: Final = 200
_FIRST_CHARACTERS: Final = 4000
_MOST_KEYS: Final = 500


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a value: its type and, of texts, lists and records, its length.

    `value` is the value, or where that is too large its beginning; `seen` is False where not even that could be read.
    """

    type_name: str
    size: int | None
    value: Value
    seen: bool = True


def look(machine: Machine, name: str) -> Look:
    """What a variable holds. Raises KeyError where there is none of that name, MachineBusy while a block runs."""
    with _small_values(machine):
        try:
            return as_look(machine.globals[name])
        except LanguageError:
            return _beginning(machine, name)


def keys_of(machine: Machine, expression: str) -> list[str]:
    """The first keys of the record that a path such as `a.b[0]` leads to; none where it leads to something else."""
    with _small_values(machine):
        found = machine.run(f"submit slice(keys({expression}), 0, {_MOST_KEYS})", fuel=_FUEL)
    return found.value if found.status == "submitted" else []


def as_look(value: Value) -> Look:
    """What there is to know of a value that Python holds whole."""
    if isinstance(value, (str, list, dict)):
        name = "string" if isinstance(value, str) else "list" if isinstance(value, list) else "record"
        return Look(name, len(cast("list[Value]", value)), value)
    if isinstance(value, Image):
        return Look("image", None, value)
    if isinstance(value, Projected):
        return Look("projected", None, value)
    return Look("null" if value is None else "bool" if isinstance(value, bool) else "number", None, value)


def _beginning(machine: Machine, name: str) -> Look:
    """What is known of a variable that is too large to be read: a text, list or record."""
    found = machine.run(f"submit [type_of({name}), len({name})]", fuel=_FUEL).value
    type_name, size = cast("tuple[str, int]", found)
    key = "key" if name != "key" else "field"
    for most in (_FIRST, 10, 1):
        part = {
            "string": f"slice({name}, 0, {most * (_FIRST_CHARACTERS // _FIRST)})",
            "list": f"slice({name}, 0, {most})",
            "record": f"[[{key}, {name}[{key}]] for {key} in slice(keys({name}), 0, {most})]",
        }[type_name]
        outcome = machine.run(f"submit {part}", fuel=_FUEL)
        if outcome.status == "submitted":
            value = dict(outcome.value) if type_name == "record" else outcome.value
            return Look(type_name, size, value)
    return Look(type_name, size, None, seen=False)


@contextmanager
def _small_values(machine: Machine) -> Generator[None]:
    """A machine that hands out small values only."""
    before = machine.limits
    machine.limits = replace(before, value_size=min(_WHOLE, before.value_size), fuel=_FUEL)
    try:
        yield
    finally:
        machine.limits = before
