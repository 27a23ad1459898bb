"""Holding structured results against the schema that their tool was listed with.

Schema and result are both the server's, so they can be made for each other. What cannot be bounded is not checked, and
the check gives up after a number of steps; what is left is what honest servers get wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.bounded_validation import CheckTooLong, PatternUnusable, errors, extended, make_validator
from lash.runtime.tools.paths import path_text

STEPS: Final = 50_000
"""Keywords that one check looks at, a tenth of a second or two."""

SKIPPED: Final = frozenset({"unevaluatedProperties", "unevaluatedItems", "uniqueItems"})
"""Keywords whose work cannot be counted."""


def output_problem(value: JsonValue, schema: Mapping[str, JsonValue]) -> str | None:
    """The first thing that is wrong with a result, as `path: problem`; None where nothing was found.

    A schema that is none is a problem as well: its server promises what nobody can hold it to.
    """
    try:
        Draft202012Validator.check_schema(cast("Any", schema))
        error = next(errors(make_validator(schema, _Checker), value, STEPS), None)
    except SchemaError as wrong:
        return f"its schema is none: {path_text(wrong.absolute_path, 'schema')}: {wrong.message}"
    except PatternUnusable as wrong:
        return f"its schema is none: {wrong}"
    except Unresolvable as wrong:
        return f"its schema refers to {wrong.ref!r}, which is not in it"
    except CheckTooLong:
        return None
    return None if error is None else f"{path_text(error.absolute_path, 'result')}: {error.message}"


def _skipped(validator: Any, wanted: Any, instance: Any, schema: Any) -> None:
    return None


_Checker = extended(dict.fromkeys(SKIPPED, _skipped))
