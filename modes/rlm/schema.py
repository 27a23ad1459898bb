"""Checking a submitted value against the schema that a host requires (rlm.md 11)."""

from __future__ import annotations

from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.bounded_validation import CheckTooLong, errors, make_validator

Schema = dict[str, JsonValue] | bool

MOST_PROBLEMS = 20
"""Problems that are told; a large value may have a great many."""


def check_schema(schema: Schema) -> None:
    """Raise ValueError, saying where, for what is no JSON Schema of draft 2020-12."""
    try:
        Draft202012Validator.check_schema(cast("Any", schema))
    except SchemaError as error:
        raise ValueError(f"the required output is no JSON Schema: {_pointer(error)}: {error.message}") from error


def problems(value: JsonValue, schema: Schema) -> list[str]:
    """What is wrong with a value, each with a JSON pointer (RFC 6901) to the place; empty where it fits."""
    try:
        found = sorted(errors(make_validator(schema), value), key=_pointer)
    except CheckTooLong as error:
        return [f"(root): {error}"]
    told = [f"{_pointer(error)}: {_short(error.message)}" for error in found[:MOST_PROBLEMS]]
    if len(found) > MOST_PROBLEMS:
        told.append(f"and {len(found) - MOST_PROBLEMS} more")
    return told


def _pointer(error: ValidationError | SchemaError) -> str:
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in error.absolute_path]
    return "".join(f"/{step}" for step in steps) or "(root)"


def _short(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:150]} … {message[-140:]}"
