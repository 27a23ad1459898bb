"""JSON Schema validation of draft 2020-12 with bounds, for schemas that may come from anywhere.

Tools are described by their servers, and arguments are written by models. So a schema fetches nothing, a check gives up
after a number of steps (references can double the work with each level), and texts are matched against patterns with a
time limit (a pattern can try every way to match). The standard library's `re` cannot be interrupted; `regex` can.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Final, cast

import regex
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from referencing import Registry

Keyword = Callable[[Any, Any, Any, Any], "Iterator[ValidationError] | None"]
"""How jsonschema checks one keyword: validator, the keyword's value, the instance, the schema it stands in."""

STEPS: Final = 500_000
"""Keywords that a check of arguments looks at before it gives up."""

DEPTH: Final = 150
"""Keywords inside each other that a check goes down; Python's own limit would strike at any place."""

PATTERN_SECONDS: Final = 1.0
"""How long a check may match texts against patterns, all of them together."""

_NOTHING_FETCHED: Final = cast("Any", Registry)()


class CheckTooLong(Exception):
    """A check has used up what it was given; the text says of what."""


class PatternUnusable(Exception):
    """A pattern of the schema is no regular expression."""


class _Budget(threading.local):
    """What is left to the check that runs in this thread; a check never waits, so there is one at a time."""

    steps = 0
    depth = 0
    seconds = 0.0


_budget = _Budget()


def make_validator(schema: Any, cls: Any = None) -> Any:
    """A validator of a schema, of this module's class or one that `extended` made."""
    return (BoundedValidator if cls is None else cls)(schema, registry=_NOTHING_FETCHED)


def errors(validator: Any, value: object, steps: int = STEPS) -> Iterator[ValidationError]:
    """What is wrong with a value.

    Raises CheckTooLong, PatternUnusable, and `referencing.exceptions.Unresolvable` for references that lead out of the
    schema.
    """
    _budget.steps, _budget.depth, _budget.seconds = steps, 0, PATTERN_SECONDS
    yield from cast("Iterator[ValidationError]", validator.iter_errors(value))


def extended(keywords: Mapping[str, Keyword]) -> Any:
    """The validator class with some keywords checked in another way, within the same bounds."""
    made = {name: _counted(keyword) for name, keyword in keywords.items()}
    return cast("Any", validators).extend(BoundedValidator, made)


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text (JSON Schema patterns are not anchored)."""
    began = time.monotonic()
    try:
        return regex.search(pattern, text, timeout=max(_budget.seconds, 0.001)) is not None
    except TimeoutError:
        raise CheckTooLong(f"a text takes too long to be matched against the pattern {pattern!r}") from None
    except regex.error as error:
        raise PatternUnusable(f"the pattern {pattern!r} is no regular expression: {error}") from error
    finally:
        _budget.seconds -= time.monotonic() - began


def _counted(keyword: Keyword) -> Keyword:
    def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        _budget.steps -= 1
        if _budget.steps < 0:
            raise CheckTooLong("the value takes too many steps to be checked against the schema")
        if _budget.depth == DEPTH:
            raise CheckTooLong("nested too deeply")
        _budget.depth += 1
        try:
            yield from keyword(validator, wanted, instance, schema) or ()
        finally:
            _budget.depth -= 1

    return check


def _pattern(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not matches(wanted, instance):
        yield ValidationError(f"{instance!r} does not match {wanted!r}")


def _pattern_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, below in wanted.items():
            for name, value in instance.items():
                if matches(pattern, name):
                    yield from validator.descend(value, below, path=name, schema_path=pattern)


def _unique(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """The library's own compares every item with every other."""
    if wanted and validator.is_type(instance, "array"):
        try:
            several = len({_identity(item) for item in instance}) < len(instance)
        except RecursionError:
            raise CheckTooLong("nested too deeply") from None
        if several:
            yield ValidationError("the items are not all different")


def _identity(value: Any) -> Hashable:
    """What is equal for values that are equal in JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, list):
        return tuple(map(_identity, cast("list[Any]", value)))
    if isinstance(value, dict):
        return frozenset((name, _identity(below)) for name, below in cast("dict[str, Any]", value).items())
    return (isinstance(value, bool), value)


def _multiple_of(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    try:
        yield from _STANDARD["multipleOf"](validator, wanted, instance, schema) or ()
    except OverflowError:  # an integer that is no float
        if Fraction(instance) % Fraction(str(wanted)):
            yield ValidationError(f"the number is not a multiple of {wanted}")


def undeclared(instance: Mapping[str, object], schema: Mapping[str, Any]) -> list[str]:
    """The properties of which a schema says nothing, neither by name nor by pattern."""
    declared, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return [
        name for name in instance if name not in declared and not any(matches(pattern, name) for pattern in patterns)
    ]


def _additional(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    for name in undeclared(instance, schema):
        yield from validator.descend(instance[name], wanted, path=name)


_STANDARD = cast("Mapping[str, Keyword]", Draft202012Validator.VALIDATORS)
_OWN: Final[Mapping[str, Keyword]] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional,
    "uniqueItems": _unique,
    "multipleOf": _multiple_of,
}

BoundedValidator: Any = cast("Any", validators).extend(
    Draft202012Validator, {name: _counted(_OWN.get(name, keyword)) for name, keyword in _STANDARD.items()}
)
"""Draft 2020-12 within bounds; made by `make_validator`, used by `errors`."""
