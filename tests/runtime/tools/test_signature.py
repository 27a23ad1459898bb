"""Tools as Lashlang calls: labels of schemas, signatures, lines of parameters and results."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel, Field, JsonValue

from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.tools.signature import label, parameter_lines, return_lines, signature


def spec(properties: dict[str, JsonValue], required: tuple[str, ...] = (), **more: JsonValue) -> ToolSpec:
    schema: dict[str, JsonValue] = {"type": "object", "properties": properties, "required": list(required), **more}
    return ToolSpec("search", "Find things.", schema)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (None, "any"),
        (True, "any"),
        ({}, "any"),
        ({"type": "string"}, "str"),
        ({"type": "integer"}, "int"),
        ({"type": "number"}, "float"),
        ({"type": "boolean"}, "bool"),
        ({"type": "null"}, "null"),
        ({"type": "object"}, "dict"),
        ({"type": "array"}, "list[any]"),
        ({"type": "array", "items": {"type": "string"}}, "list[str]"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, "list[str | int]"),
        ({"enum": ["a", "b"]}, 'enum["a", "b"]'),
        ({"enum": ["a", None]}, 'enum["a"] | null'),
        ({"enum": [1, 2]}, "int"),
        ({"const": "x"}, 'enum["x"]'),
        ({"type": ["null", "string"]}, "str | null"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}, {"type": "integer"}]}, "int | null"),
        ({"oneOf": [{"type": "string"}, {}]}, "any"),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, "{ a: int }"),
        ({"$ref": "#/$defs/N", "$defs": {"N": {"type": "string"}}}, "str"),
        ({"$ref": "https://elsewhere/schema"}, "any"),
        ({"$ref": "#"}, "any"),
    ],
)
def test_a_schema_has_a_label(schema: JsonValue, expected: str) -> None:
    assert label(schema) == expected


def test_a_signature_shows_optional_parameters_constraints_and_defaults() -> None:
    tool = spec({"a": {"type": "string"}, "b": {"type": "integer", "minimum": 0, "default": 3}}, ("a",))
    assert signature(tool) == "call search { a: str, b?: int >= 0 = 3 } -> any"


def test_bounds_of_a_nullable_parameter_are_shown() -> None:
    tool = spec({"n": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}], "default": None}})
    assert signature(tool) == "call search { n?: int | null <= 9 = null } -> any"


def test_a_dash_in_a_name_is_called_as_an_underscore() -> None:
    assert (
        signature(ToolSpec("search-docs", "", {"type": "object", "properties": {}, "additionalProperties": False}))
        == "call search_docs {} -> any"
    )


def test_a_tool_without_declared_parameters_takes_any() -> None:
    assert signature(ToolSpec("free", "", {"type": "object"})) == "call free { ... } -> any"


def test_a_parameter_that_is_no_identifier_is_quoted() -> None:
    assert '"content-type"?: str' in signature(spec({"content-type": {"type": "string"}}))


def test_a_tool_whose_result_type_is_an_argument_shows_it() -> None:
    tool = ToolSpec(
        "ask",
        "",
        {"type": "object", "properties": {"task": {"type": "string"}, "output": {}}, "required": ["task"]},
        {"type": "string"},
        result_type_field="output",
    )
    assert signature(tool) == "call ask<T = str> { task: str, output?: TypeSpec<T> } -> T"
    assert return_lines(tool) == []


def test_parameters_are_listed_with_their_descriptions_on_one_line() -> None:
    tool = spec({"q": {"type": "string", "description": "What\n  to find."}, "n": {"type": "integer"}}, ("q",))
    assert parameter_lines(tool) == ["- `q: str` — What to find.", "- `n?: int`"]


class Place(BaseModel):
    city: str = Field(description="Its town.")
    zip: str | None = None


class Person(BaseModel):
    name: str
    homes: list[Place] = Field(description="Where they live.")
    friends: list[Person] = []


def test_described_fields_of_nested_models_are_listed_by_their_path() -> None:
    tool = ToolSpec("find", "", {"type": "object", "properties": {}}, Person.model_json_schema())
    assert return_lines(tool)[:3] == [
        "- `name: str`",
        "- `homes: list[{ city: str, zip?: str | null = null }]` — Where they live.",
        "- `homes[].city: str` — Its town.",
    ]


def test_a_schema_that_holds_itself_ends() -> None:
    assert "friends?: list[dict]" in label(Person.model_json_schema())


def test_definitions_that_multiply_give_a_label_of_bounded_size() -> None:
    definitions: dict[str, JsonValue] = {
        f"L{n}": {"type": "object", "properties": {f"p{k}": {"$ref": f"#/$defs/L{n + 1}"} for k in range(30)}}
        for n in range(5)
    }
    assert len(label({"$ref": "#/$defs/L0", "$defs": definitions})) < 60_000


def test_all_of_joins_the_fields_of_its_parts() -> None:
    schema: JsonValue = {
        "$defs": {"A": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}},
        "allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {"type": "integer"}}}],
    }
    assert label(schema) == "{ a: str, b?: int }"


def test_a_described_scalar_result_has_a_line() -> None:
    tool = ToolSpec("count", "", {"type": "object"}, {"type": "integer", "description": "How many."})
    assert return_lines(tool) == ["- `int` — How many."]


def test_a_long_default_is_cut() -> None:
    shown = signature(spec({"a": {"type": "string", "default": "x" * 1000}}))
    assert len(shown) < 300
    assert re.search(r'"x+…', shown)
