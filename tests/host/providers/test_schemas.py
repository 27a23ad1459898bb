"""JSON Schemas as the vendors' APIs take them (providers.md 9)."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from lash.host.providers.schemas import Profile, adapt
from lash.host.providers.tool_schemas import function_schema, restorer, tool_schema
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import LlmToolSpec
from tests.host.providers.dialects import FIXTURES


def stored(name: str) -> dict[str, Any]:
    return json.loads((FIXTURES / "schemas" / f"{name}.json").read_text())


def made(schema: object, profile: Profile, *, output: bool = False) -> Any:
    """The schema `{"p": schema}` for a profile, and of it what has become of p."""
    whole: Any = {"type": "object", "properties": {"p": schema}, "required": ["p"]}
    return adapt(whole, profile, output=output).schema["properties"]["p"]


def refused(schema: Any, profile: Profile = "openai_strict") -> str:
    with pytest.raises(ProviderFailure) as raised:
        adapt(schema, profile, output=True)
    assert (raised.value.kind, raised.value.wire_code) == ("validation", "schema_projection")
    assert raised.value.retry_verdict is False
    return str(raised.value)


@pytest.mark.parametrize(
    ("profile", "output", "golden"),
    [
        ("openai_lax", False, "order.openai_lax"),
        ("openai_strict", True, "order.openai_strict"),
        ("anthropic", False, "order.anthropic"),
        ("anthropic", True, "order.anthropic_output"),
    ],
)
def test_one_schema_for_every_profile(profile: Profile, output: bool, golden: str) -> None:
    schema = stored("order")
    assert adapt(schema, profile, output=output).schema == stored(golden)
    assert schema == stored("order")


# OpenAI, not enforced


@pytest.mark.parametrize("keyword", ["not", "if", "then", "else", "patternProperties", "dependentRequired"])
def test_what_openai_does_not_take_is_dropped_and_named(keyword: str) -> None:
    value: Any = {} if keyword != "patternProperties" else {"^x": {}}
    adapted = adapt({"type": "object", "properties": {"p": {"type": "object", keyword: value}}}, "openai_lax")
    assert adapted.dropped == (f"$.properties.p.{keyword}",)
    assert adapted.schema["properties"]["p"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"properties": {}}, "object"),
        ({"required": ["a"]}, "object"),
        ({"items": {}}, "array"),
        ({"enum": ["a", "b"]}, "string"),
        ({"enum": ["a", 1, None]}, ["string", "integer", "null"]),
        ({"const": True}, "boolean"),
    ],
)
def test_a_missing_type_is_the_one_that_the_rest_gives_away(schema: object, kind: object) -> None:
    assert made(schema, "openai_lax")["type"] == kind


def test_a_root_without_anything_is_an_object() -> None:
    assert adapt({}, "openai_lax").schema == {"type": "object", "properties": {}}


def test_a_root_that_is_no_object_is_refused() -> None:
    assert "$: the root has to be an object" in refused({"type": "array"}, "openai_lax")


def test_plain_objects_in_all_of_are_merged() -> None:
    first = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    second = {"properties": {"b": {"const": 1}}, "required": ["a", "b"], "description": "both"}
    assert made({"allOf": [first, {"allOf": [second]}, True]}, "openai_lax") == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer", "enum": [1]}},
        "required": ["a", "b"],
        "description": "both",
    }


@pytest.mark.parametrize("member", [{"type": "string"}, {"minProperties": 1}, False, {"additionalProperties": False}])
def test_what_cannot_be_merged_stays_as_it_is(member: object) -> None:
    assert "allOf" in made({"allOf": [{"type": "object"}, member]}, "openai_lax")


def test_combinations_at_the_root_are_dropped() -> None:
    adapted = adapt({"type": "object", "oneOf": [{"required": ["a"]}]}, "openai_lax")
    assert (adapted.schema, adapted.dropped) == ({"type": "object", "properties": {}}, ("$.anyOf",))


# OpenAI, enforced


def test_merged_objects_are_closed_afterwards() -> None:
    first, second = ({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]} for name in "ab")
    closed = made({"allOf": [first, second]}, "openai_strict")
    assert (closed["required"], closed["additionalProperties"]) == (["a", "b"], False)


@pytest.mark.parametrize(
    ("schema", "nullable"),
    [
        ({"type": "string"}, {"type": ["string", "null"]}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"anyOf": [{"type": "string"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"$ref": "#/$defs/x"}, {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]}),
    ],
)
def test_what_was_optional_may_be_null(schema: object, nullable: object) -> None:
    whole: Any = {"type": "object", "properties": {"p": schema}, "$defs": {"x": {"type": "string"}}}
    adapted = adapt(whole, "openai_strict", output=True).schema
    assert (adapted["properties"]["p"], adapted["required"]) == (nullable, ["p"])


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "object", "properties": {"p": {"not": {}}}}, "$.properties.p.not"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "$.additionalProperties"),
        ({"type": "object", "properties": {"p": {"type": "array", "uniqueItems": True}}}, "$.properties.p.uniqueItems"),
        ({"type": "object", "properties": {"p": False}}, "$.properties.p"),
        ({"anyOf": [{"type": "object"}]}, "anyOf at the root"),
        (
            {"type": "object", "properties": {"p": {"allOf": [{"type": "string"}, {"minLength": 1}]}}},
            "$.properties.p.allOf",
        ),
    ],
)
def test_what_cannot_be_enforced_is_refused_with_its_place(schema: object, said: str) -> None:
    message = refused(schema)
    assert said in message
    assert "openai_strict" in message


@pytest.mark.parametrize("profile", ["openai_lax", "openai_strict", "anthropic"])
@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"properties": 3}, "$.properties"),
        ({"properties": {"a": {"required": "a"}}}, "$.properties.a.required"),
        ({"allOf": []}, "$.allOf"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(schema: object, path: str, profile: Profile) -> None:
    assert f"{path}: " in refused(schema, profile)


# Anthropic


def test_anthropic_gets_an_object_at_the_root_and_the_rest_as_it_is() -> None:
    schema: Any = {"anyOf": [{"required": ["a"]}], "properties": {"a": {"not": {"type": "null"}}}, "$defs": {"x": True}}
    adapted = adapt(schema, "anthropic")
    assert adapted.schema == {"type": "object", "properties": {"a": {"not": {"type": "null"}}}, "$defs": {"x": True}}
    assert adapted.dropped == ("$.anyOf",)


def test_bounds_become_words_for_anthropics_output() -> None:
    bounded = {"type": "integer", "minimum": 1, "multipleOf": 5, "description": "how many"}
    assert made(bounded, "anthropic", output=True) == {
        "type": "integer",
        "description": "how many (minimum: 1, multipleOf: 5)",
    }


def test_an_object_that_does_not_say_so_is_closed_too() -> None:
    assert made({"properties": {}}, "anthropic", output=True)["additionalProperties"] is False


# Tools


def test_a_tools_own_projection_is_used_as_it_is() -> None:
    own: Any = {"type": "object", "x-own": True}
    tool = LlmToolSpec("f", "", {"type": "object"}, input_projections={"anthropic": own})
    assert tool_schema(tool, "anthropic") == own
    assert tool_schema(tool, "openai_lax") == {"type": "object", "properties": {}}


def test_a_tool_is_enforced_if_it_brings_a_schema_for_that() -> None:
    own: Any = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    tool = LlmToolSpec("f", "", {"type": "object"}, input_projections={"openai_strict": own})
    assert function_schema(tool) == (own, True)
    assert function_schema(LlmToolSpec("f", "", {"type": "object"})) == ({"type": "object", "properties": {}}, False)


def test_what_is_dropped_of_a_tool_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="lash.providers.schemas")
    tool = LlmToolSpec("only_here", "", {"type": "object", "not": {"required": ["never seen elsewhere"]}})
    for _ in range(3):
        tool_schema(tool, "openai_lax")
    (message,) = caplog.messages
    assert "only_here" in message
    assert "$.not" in message


NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "must": {"type": ["string", "null"]},
        "may": {"type": "string"},
        "nullable": {"type": ["integer", "null"]},
        "list": {"type": "array", "items": {"type": "object", "properties": {"may": {"type": "string"}}}},
    },
    "required": ["must"],
}


def restored(arguments: str, *, strict: bool = True) -> str:
    projections: dict[str, Any] = {"openai_strict": {"type": "object"}} if strict else {}
    return restorer((LlmToolSpec("f", "", NESTED, input_projections=projections),))("f", arguments)


def test_nulls_that_stand_for_nothing_are_taken_out() -> None:
    arguments = '{"must": null, "may": null, "nullable": null, "list": [{"may": null}], "other": null}'
    assert json.loads(restored(arguments)) == {"must": None, "nullable": None, "list": [{}], "other": None}


@pytest.mark.parametrize("arguments", ['{"may": null', "[null]", '{"may":  "null"}'])
def test_arguments_without_such_nulls_stay_as_they_were_written(arguments: str) -> None:
    assert restored(arguments) == arguments


def test_arguments_of_tools_that_are_not_enforced_stay_as_they_are() -> None:
    assert restored('{"may": null}', strict=False) == '{"may": null}'
