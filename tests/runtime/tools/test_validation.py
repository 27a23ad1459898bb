"""Arguments against schemas: what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from lash.runtime.tools.validation import Schema, SchemaUnusable, problem

OBJECT: Any = {
    "type": "object",
    "properties": {
        "value": {"type": "string", "minLength": 2, "pattern": "^[a-z]*$"},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
        "x": {"type": "object", "properties": {"z": {"type": "number"}}},
        "kind": {"enum": ["a", "b"]},
        "const": {"const": 3},
        "list": {"type": "array", "items": {"type": ["string", "null"]}, "maxItems": 2, "uniqueItems": True},
        "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
    "required": ["value"],
}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "value: required property missing"),
        ({"value": 1}, "value: expected string, got 1"),
        ({"value": "a"}, "value: expected string of at least 2 characters, got 1"),
        ({"value": "AB"}, 'value: expected string that matches ^[a-z]*$, got "AB"'),
        ({"value": "ab", "limit": 500}, "limit: expected integer <= 100, got 500"),
        ({"value": "ab", "limit": 1.5}, "limit: expected integer, got 1.5"),
        ({"value": "ab", "limit": True}, "limit: expected integer, got true"),
        ({"value": "ab", "x": {"y": 1}}, "x.y: unexpected property"),
        ({"value": "ab", "kind": "c"}, 'kind: expected one of "a", "b", got "c"'),
        ({"value": "ab", "const": 4}, "const: expected 3, got 4"),
        ({"value": "ab", "list": ["a", 1]}, "list[1]: expected string or null, got 1"),
        ({"value": "ab", "list": ["a", "b", "c"]}, "list: expected array of at most 2 items, got 3"),
        ({"value": "ab", "list": ["a", "a"]}, "list: expected array without repeated items"),
        ({"value": "ab", "either": "x"}, 'either: expected integer or null, got "x"'),
        ({"value": "ab", "extra": 1}, "extra: unexpected property"),
        ({"value": {"a": 1}}, "value: expected string, got object"),
        ([], "arguments: expected object, got array"),
    ],
)
def test_the_message_says_where_and_what(args: Any, message: str) -> None:
    assert problem(args, OBJECT) == message


def test_the_first_problem_by_path_is_told() -> None:
    assert problem({"x": {"z": "s"}, "limit": 0, "value": "ab"}, OBJECT) == "limit: expected integer >= 1, got 0"


def test_what_fits_has_no_problem() -> None:
    assert problem({"value": "ab", "limit": 100, "x": {"z": 1}, "list": ["a", None], "either": None}, OBJECT) is None


OPEN: list[Schema] = [
    {"type": "object"},
    {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
    {"type": "object", "properties": {"a": {}}, "patternProperties": {"^b": {}}},
]


@pytest.mark.parametrize("schema", OPEN)
def test_undeclared_properties_are_fine_where_the_schema_says_so(schema: Schema) -> None:
    assert problem({"b": 1}, schema) is None


JOINED: Any = {
    "$defs": {"A": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}},
    "allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {"type": "integer"}}}],
}


def test_joined_parts_admit_what_any_of_them_declares_and_nothing_else() -> None:
    assert problem({"a": 1, "b": 2}, JOINED) is None
    assert "unexpected property" in (problem({"a": 1, "c": 2}, JOINED) or "")


def test_properties_beside_alternatives_are_joined_too() -> None:
    schema: Schema = {
        "type": "object",
        "properties": {"k": {"type": "string"}},
        "anyOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}],
    }
    assert problem({"k": "x", "b": 1}, schema) is None
    assert problem({"k": "x", "b": 1, "c": 1}, schema) is not None


TAGGED: Any = {
    "oneOf": [
        {"type": "object", "properties": {"t": {"const": "x"}, "n": {"type": "integer"}}, "required": ["t", "n"]},
        {"type": "object", "properties": {"t": {"const": "y"}, "s": {"type": "string"}}, "required": ["t"]},
        {"type": "string"},
    ]
}


def test_the_error_is_that_of_the_alternative_that_was_meant() -> None:
    assert problem({"t": "x", "n": "s"}, TAGGED) == 'n: expected integer, got "s"'
    assert problem({"t": "y", "q": 1}, TAGGED) == "q: unexpected property"
    assert problem(3, TAGGED) == "arguments: expected a value of one of 3 forms, got 3"


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(problem({"value": "A" * 10_000}, OBJECT) or "") < 200


def test_the_root_can_be_named() -> None:
    assert problem(1, {"type": "string"}, "result") == "result: expected string, got 1"


@pytest.mark.parametrize("schema", [{"type": "strng"}, {"$ref": "#/$defs/None"}, {"$ref": "https://x.example/s"}])
def test_a_schema_that_cannot_be_used_says_so(schema: Any) -> None:
    with pytest.raises(SchemaUnusable):
        problem({}, schema)


def test_values_that_are_nested_too_deeply_are_a_problem_and_no_crash() -> None:
    schema: Any = {"$defs": {"T": {"type": "array", "items": {"$ref": "#/$defs/T"}}}, "$ref": "#/$defs/T"}
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    assert problem(deep, schema) == "arguments: nested too deeply"
