"""Holding structured results against the schema that their tool was listed with.

Schema and result are both the server's, so they can be made for each other: an expression that tries every way to
match, references that double with every step. Python cannot interrupt either. So texts are not matched against
expressions here, and the check gives up after a number of steps; what is left is what honest servers get wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.paths import path_text

_NOTHING_FETCHED: Final = cast("Any", Registry)()

STEPS: Final = 50_000
"""Keywords that one check looks at, a tenth of a second or two."""

SKIPPED: Final = frozenset(
    {"pattern", "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "uniqueItems"}
)
"""Keywords that match expressions, or whose work cannot be counted."""

_Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class _TooLong(Exception):
    """The check has used up its steps."""


class _Steps:
    """What is left of the steps of the check that runs; a check never waits, so there is only one."""

    left = 0


def output_problem(value: JsonValue, schema: Mapping[str, JsonValue]) -> str | None:
    """The first thing that is wrong with a result, as `path: problem`; None where nothing was found.

    A schema that is none is a problem as well: its server promises what nobody can hold it to.
    """
    _Steps.left = STEPS
    try:
        Draft202012Validator.check_schema(cast("Any", schema))
        error = next(iter(_Checker(schema, registry=_NOTHING_FETCHED).iter_errors(value)), None)
    except SchemaError as wrong:
        return f"its schema is none: {path_text(wrong.absolute_path, 'schema')}: {wrong.message[:200]}"
    except Unresolvable as wrong:
        return f"its schema refers to {wrong.ref!r}, which is not in it"
    except (_TooLong, RecursionError):
        return None
    return None if error is None else f"{path_text(error.absolute_path, 'result')}: {error.message[:200]}"


def _counted(keyword: _Keyword) -> _Keyword:
    def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        _Steps.left -= 1
        if _Steps.left < 0:
            raise _TooLong
        yield from keyword(validator, wanted, instance, schema) or ()

    return check


def _skipped(validator: Any, wanted: Any, instance: Any, schema: Any) -> None:
    return None


def _additional(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
    if "patternProperties" in schema:
        return None
    return cast("_Keyword", Draft202012Validator.VALIDATORS["additionalProperties"])(
        validator, wanted, instance, schema
    )


_STANDARD = cast("Mapping[str, _Keyword]", Draft202012Validator.VALIDATORS)
_Checker = cast("Any", validators).extend(
    Draft202012Validator,
    {name: _skipped if name in SKIPPED else _counted(keyword) for name, keyword in _STANDARD.items()}
    | {"additionalProperties": _counted(_additional)},
)
