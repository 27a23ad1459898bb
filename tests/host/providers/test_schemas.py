"""JSON Schemas as the vendors' APIs take them (providers.md 9)."""

from __future__ import annotations

import copy
import json
import logging
from typing import Any

import pytest
from jsonschema import Draft202012Validator

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
        ("gemini", False, "order.gemini"),
        ("gemini", True, "order.gemini"),
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


@pytest.mark.parametrize("profile", ["openai_lax", "openai_strict", "anthropic", "gemini"])
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


# Google


def test_gemini_gets_no_names_of_schemas_and_no_references() -> None:
    schema: Any = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://host/root",
        "type": "object",
        "properties": {
            "plain": {"$ref": "#/$defs/x"},
            "anchored": {"$ref": "#here"},
            "named": {"$ref": "https://host/other"},
            "escaped": {"$ref": "#/$defs/a~1b%20c"},
            "$ref": {"type": "string"},
        },
        "$defs": {
            "x": {"type": "string"},
            "y": {"$anchor": "here", "type": "integer"},
            "z": {"$id": "https://host/other", "type": "array", "items": {"$ref": "#/$defs/w"}, "$defs": {"w": True}},
            "a/b c": {"const": None},
        },
    }
    adapted = adapt(schema, "gemini")
    assert adapted.schema == {
        "type": "object",
        "properties": {
            "plain": {"type": "string"},
            "anchored": {"type": "integer"},
            "named": {"type": "array", "items": {}},
            "escaped": {"enum": [None]},
            "$ref": {"type": "string"},
        },
    }
    assert adapted.dropped == ()


def in_defs(target: object, beside: dict[str, Any]) -> Any:
    """What becomes of a property that refers to a target and says something besides."""
    whole: Any = {"type": "object", "properties": {"p": {"$ref": "#/$defs/x", **beside}}, "$defs": {"x": target}}
    return adapt(whole, "gemini")


@pytest.mark.parametrize(
    ("target", "beside", "both"),
    [
        ({"type": "string", "title": "t"}, {"title": "own"}, {"type": "string", "title": "own"}),
        ({"required": ["a"]}, {"required": ["b", "a"]}, {"required": ["a", "b"]}),
        (
            {"properties": {"a": {"type": "string"}}},
            {"properties": {"b": {"type": "integer"}}},
            {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}},
        ),
        (True, {"minLength": 1}, {"minLength": 1}),
        (False, {}, {"not": {}}),
    ],
)
def test_what_stands_beside_a_reference_is_put_together_with_what_it_names(
    target: object, beside: dict[str, Any], both: object
) -> None:
    adapted = in_defs(target, beside)
    assert (adapted.schema["properties"]["p"], adapted.dropped) == (both, ())


def test_what_cannot_be_put_together_is_dropped_and_named() -> None:
    adapted = in_defs({"type": "string", "minLength": 1}, {"minLength": 5, "maxLength": 9})
    assert adapted.schema["properties"]["p"] == {"type": "string", "minLength": 1, "maxLength": 9}
    assert adapted.dropped == ("$.properties.p.minLength",)


@pytest.mark.parametrize(
    ("target", "opened"),
    [
        ({"type": "object", "properties": {"p": {"$ref": "#/$defs/x"}}}, {"type": "object"}),
        ({"type": "array", "items": {"$ref": "#/$defs/x"}}, {"type": "array"}),
        ({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/x"}]}, {"type": "object"}),
        (
            {"description": "a node", "properties": {"p": {"$ref": "#/$defs/x"}}},
            {"type": "object", "description": "a node"},
        ),
    ],
)
def test_a_schema_that_is_part_of_itself_is_open_where_it_comes_again(target: Any, opened: object) -> None:
    made_ = in_defs(target, {}).schema["properties"]["p"]
    inner = made_.get("properties", {}).get("p") or made_.get("items") or made_["anyOf"][1]
    assert inner == opened


def test_references_to_the_root_and_to_what_is_around_them_are_open_too() -> None:
    schema: Any = {"type": "object", "properties": {"p": {"properties": {"up": {"$ref": "#/properties/p"}}}}}
    schema["properties"]["whole"] = {"$ref": "#"}
    properties = adapt(schema, "gemini").schema["properties"]
    assert properties == {"p": {"properties": {"up": {"type": "object"}}}, "whole": {"type": "object"}}


def test_shared_parts_do_not_make_a_schema_exponential() -> None:
    defs: dict[str, Any] = {"d0": {"type": "string"}}
    for number in range(1, 40):
        both = {side: {"$ref": f"#/$defs/d{number - 1}"} for side in ("left", "right")}
        defs[f"d{number}"] = {"type": "object", "properties": both}
    adapted = adapt({"type": "object", "properties": {"p": {"$ref": "#/$defs/d39"}}, "$defs": defs}, "gemini")
    assert len(json.dumps(adapted.schema)) < 5_000_000
    assert adapted.dropped


@pytest.mark.parametrize(
    "reference", ["#/$defs/none", "#none", "https://elsewhere/schema", "other.json", "//[", "#/allOf/x"]
)
def test_a_reference_that_leads_nowhere_is_refused_with_its_place(reference: str) -> None:
    within = {"p": {"items": {"$ref": reference}}}
    message = refused({"type": "object", "properties": within, "allOf": [{"type": "object"}]}, "gemini")
    assert "gemini: $.properties.p.items.$ref: " in message
    assert reference in message


def test_an_id_that_is_none_is_refused_with_its_place() -> None:
    message = refused({"$id": "https://here/", "type": "object", "properties": {"p": {"$id": "//["}}}, "gemini")
    assert "gemini: $.properties.p.$id: '//[' is no id" in message


def test_a_tool_of_gemini_takes_an_object_and_its_reply_may_be_anything() -> None:
    assert adapt({}, "gemini").schema == {"type": "object"}
    assert adapt({"type": "array"}, "gemini", output=True).schema == {"type": "array"}
    with pytest.raises(ProviderFailure, match=r"gemini: \$: the root has to be an object"):
        adapt({"type": "array"}, "gemini")


# A reference at the root, as pydantic writes it for a model that is part of itself

NODE: dict[str, Any] = {
    "$ref": "#/$defs/Node",
    "description": "a tree",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"value": {"type": "string"}, "next": {"$ref": "#/$defs/Node"}},
            "required": ["value"],
        }
    },
}


@pytest.mark.parametrize("output", [False, True])
@pytest.mark.parametrize("profile", ["openai_lax", "openai_strict", "anthropic", "gemini"])
def test_a_reference_at_the_root_gives_way_to_what_it_names(profile: Profile, output: bool) -> None:
    schema = copy.deepcopy(NODE)
    adapted = adapt(schema, profile, output=output).schema
    assert "$ref" not in adapted
    assert (adapted["type"], adapted["description"]) == ("object", "a tree")
    assert adapted["properties"].keys() == {"value", "next"}
    assert schema == NODE
    # Where nothing is optional, what would be left out is null.
    leaf = {"value": "b", "next": None} if profile == "openai_strict" else {"value": "b"}
    validator: Any = Draft202012Validator(adapted)
    assert validator.is_valid({"value": "a", "next": leaf})
    assert not validator.is_valid({"next": leaf})


@pytest.mark.parametrize("profile", ["openai_lax", "openai_strict", "anthropic", "gemini"])
@pytest.mark.parametrize("reference", ["#", "#/$defs/loop", "#/$defs/none"])
def test_a_root_that_refers_to_nothing_is_refused(reference: str, profile: Profile) -> None:
    schema = {"$ref": reference, "$defs": {"loop": {"$ref": "#/$defs/loop"}}}
    if profile == "gemini" and reference != "#/$defs/none":
        assert adapt(schema, profile).schema == {"type": "object"}
    else:
        assert "$.$ref: " in refused(schema, profile)


@pytest.mark.parametrize("profile", ["openai_lax", "openai_strict", "anthropic", "gemini"])
def test_a_schema_that_is_nested_without_end_is_refused(profile: Profile) -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"type": "object", "properties": {"p": deep}}
    assert "$: it is nested too deeply" in refused(deep, profile)
    with pytest.raises(ProviderFailure, match="nested too deeply"):
        tool_schema(LlmToolSpec("f", "", deep), profile)


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


@pytest.mark.parametrize("arguments", ['{"may": null', "[null]", '{"may":  "null"}', '{"a": ' * 100_000 + "null"])
def test_arguments_without_such_nulls_stay_as_they_were_written(arguments: str) -> None:
    assert restored(arguments) == arguments


def test_arguments_of_tools_that_are_not_enforced_stay_as_they_are() -> None:
    assert restored('{"may": null}', strict=False) == '{"may": null}'
