"""Arguments and results against JSON Schema 2020-12, with messages that a model can act on (providers.md 13).

One rule is stricter than the standard: where an object's properties are listed and nothing is said of others, others
are refused. A misspelt argument would be dropped silently otherwise.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing.exceptions import Unresolvable

from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.bounded_validation import (
    CheckTooLong,
    PatternUnusable,
    errors,
    extended,
    make_validator,
    undeclared,
)
from lash.runtime.tools.paths import path_text

Schema = Mapping[str, JsonValue]

CACHED: Final = 512
"""Compiled validators that are kept."""

_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("prefixItems", "anyOf", "oneOf")
_ONES = ("items", "additionalProperties", "contains")
_JOINED = ("allOf", "$ref", "anyOf", "oneOf", "if", "$dynamicRef", "dependentSchemas")
_JSON_NAMES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}


class SchemaUnusable(Exception):
    """A schema is no JSON Schema, or refers to what is not in it; the text says where."""


def check_schema(schema: Schema) -> None:
    """Raise SchemaUnusable for what is no JSON Schema of draft 2020-12."""
    try:
        Draft202012Validator.check_schema(cast("Any", schema))
    except SchemaError as error:
        raise SchemaUnusable(f"{path_text(error.absolute_path, 'schema')}: {error.message}") from error


def problem(value: JsonValue, schema: Schema, root: str = "arguments") -> str | None:
    """The first thing that is wrong with a value, by path, as `path: problem`; None where it fits.

    `root` names the value itself. Raises SchemaUnusable.
    """
    try:
        first = min(errors(_validator(schema), value), key=lambda error: _order(error.absolute_path), default=None)
        return None if first is None else _told(first, root)
    except Unresolvable as error:
        raise SchemaUnusable(f"the schema refers to {error.ref!r}, which is not in it") from error
    except PatternUnusable as error:
        raise SchemaUnusable(str(error)) from error
    except CheckTooLong as error:
        return f"{root}: {error}"


_compiled: OrderedDict[int, tuple[Schema, Any]] = OrderedDict()


def _validator(schema: Schema) -> Any:
    """The schema's validator; kept by the schema's identity, which the kept reference makes unique."""
    found = _compiled.get(id(schema))
    if found is not None and found[0] is schema:
        _compiled.move_to_end(id(schema))
        return found[1]
    check_schema(schema)
    validator = make_validator(_closed(schema), _Validator)
    _compiled[id(schema)] = (schema, validator)
    if len(_compiled) > CACHED:
        _compiled.popitem(last=False)
    return validator


# --- the stricter rule ---------------------------------------------------------------------------


def _closed(schema: Schema) -> dict[str, JsonValue]:
    """The schema with undeclared properties refused wherever nothing is said of them."""
    return cast("dict[str, JsonValue]", _Closing(schema).closed(cast("JsonValue", schema)))


class _Closing:
    """Closes objects. Parts that are joined with others say nothing of the whole, so the whole is closed instead."""

    def __init__(self, document: Schema) -> None:
        self._joined = frozenset(_joined_references(cast("JsonValue", document)))

    def closed(self, schema: JsonValue, part: bool = False, where: str = "#") -> JsonValue:
        """A schema closed, with all below it; a `part` of a joined object stays open itself."""
        if not isinstance(schema, dict):
            return schema
        made = dict(schema)
        for key in _MAPS:
            if isinstance(below := schema.get(key), dict):
                made[key] = {name: self.closed(one, False, f"{where}/{key}/{name}") for name, one in below.items()}
        owns = "properties" in schema
        for key in _LISTS:
            if isinstance(several := schema.get(key), list):
                made[key] = [self.closed(one, owns and key != "prefixItems") for one in several]
        for key in _ONES:
            if key in schema:
                made[key] = self.closed(schema[key])
        if isinstance(parts := schema.get("allOf"), list):
            made["allOf"] = [self.closed(one, True) for one in parts]
        said = schema.keys() & {"additionalProperties", "unevaluatedProperties", "patternProperties"}
        if said or part or where in self._joined or not (owns or "allOf" in schema):
            return made
        joined = any(key in schema for key in _JOINED)
        made["unevaluatedProperties" if joined else "additionalProperties"] = False
        return made


def _joined_references(schema: JsonValue) -> Iterator[str]:
    """References that stand in an `allOf`, or beside other properties."""
    if isinstance(schema, list):
        for below in schema:
            yield from _joined_references(below)
    elif isinstance(schema, dict):
        parts = schema.get("allOf")
        for part in (*(parts if isinstance(parts, list) else ()), *([schema] if "properties" in schema else ())):
            if isinstance(part, dict) and isinstance(reference := part.get("$ref"), str):
                yield reference
        for below in schema.values():
            yield from _joined_references(below)


# --- one error per property, at that property ----------------------------------------------------


def _required(validator: Any, required: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for name in required:
            if name not in instance:
                yield ValidationError("required property missing", path=[name])


def _additional(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for name in undeclared(instance, schema):
            if allowed is False:
                yield ValidationError("unexpected property", path=[name])
            else:
                yield from validator.descend(instance[name], allowed, path=name)


_Validator = extended({"required": _required, "additionalProperties": _additional})


# --- messages ------------------------------------------------------------------------------------


def _order(path: Sequence[str | int]) -> tuple[tuple[bool, str | int], ...]:
    return tuple((isinstance(step, str), step) for step in path)


def _told(error: ValidationError, root: str) -> str:
    error = _closest(error)
    return f"{path_text(error.absolute_path, root)}: {_reason(error)}"


def _closest(error: ValidationError) -> ValidationError:
    """The error inside the alternative that was meant, where it can be told which one that is."""
    while error.validator in ("anyOf", "oneOf") and error.context:
        variants: dict[Any, list[ValidationError]] = {}
        for below in error.context:
            variants.setdefault(below.schema_path[0], []).append(below)
        meant = [errors for errors in variants.values() if not any(_excludes(one, error) for one in errors)]
        if len(meant) != 1:
            return error
        error = min(meant[0], key=lambda one: _order(one.absolute_path))
    return error


def _excludes(below: ValidationError, above: ValidationError) -> bool:
    """Whether an alternative was not meant: another type, or another value of the literal that tells kinds apart."""
    depth = len(below.absolute_path) - len(above.absolute_path)
    return (depth == 0 and below.validator in ("type", "enum", "const")) or (depth == 1 and below.validator == "const")


def _reason(error: ValidationError) -> str:
    """What was expected and what was found."""
    keyword = cast("Any", error.validator)
    wanted, found = cast("Any", error.validator_value), cast("Any", error.instance)
    kind = _kinds(cast("Any", error.schema).get("type", "value"))
    match keyword:
        case "type":
            return f"expected {_kinds(wanted)}, got {_shown(found)}"
        case "enum":
            return f"expected one of {', '.join(map(_shown, wanted))}, got {_shown(found)}"
        case "const":
            return f"expected {_shown(wanted)}, got {_shown(found)}"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            sign = {"minimum": ">=", "maximum": "<=", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}[keyword]
            return f"expected {kind} {sign} {wanted}, got {_shown(found)}"
        case "multipleOf":
            return f"expected {kind} that is a multiple of {wanted}, got {_shown(found)}"
        case "minLength" | "maxLength":
            bound = "at least" if keyword == "minLength" else "at most"
            return f"expected string of {bound} {wanted} characters, got {len(found)}"
        case "minItems" | "maxItems":
            bound = "at least" if keyword == "minItems" else "at most"
            return f"expected array of {bound} {wanted} items, got {len(found)}"
        case "pattern":
            return f"expected string that matches {wanted}, got {_shown(found)}"
        case "uniqueItems":
            return "expected array without repeated items"
        case "unevaluatedProperties":
            return f"unexpected property among {', '.join(found)}" if wanted is False else error.message
        case "anyOf" | "oneOf":
            return f"expected {_alternatives(wanted)}, got {_shown(found)}"
        case _:
            return error.message


def _kinds(kinds: str | list[str]) -> str:
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def _alternatives(variants: Sequence[Any]) -> str:
    """The types of alternatives, or how many there are where a type says too little."""
    named = [cast("dict[str, Any]", one).get("type") if isinstance(one, dict) else None for one in variants]
    kinds = list(dict.fromkeys(cast("Any", kind) for kind in named if isinstance(kind, str)))
    if len(kinds) == len(variants):
        return " or ".join(kinds)
    return f"a value of one of {len(variants)} forms"


def _shown(value: Any) -> str:
    """A value in a message: scalars as JSON and cut, containers by their kind."""
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def json_kind(value: object) -> str:
    """The JSON name of a value's type."""
    return "null" if value is None else _JSON_NAMES.get(type(value), "object")
