"""Schemas that were made to do harm: they fetch nothing, and no check of theirs goes on for ever."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from lash.runtime.tools.bounded_validation import CheckTooLong, errors, make_validator
from lash.runtime.tools.validation import SchemaUnusable, problem

EVERY_WAY = "^(a|aa)+$"
TEXT = "a" * 60 + "!"


def _doubling(levels: int) -> dict[str, Any]:
    """A schema in which every level looks at the next one twice."""
    defs: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"type": "object", "$defs": {**defs, f"d{levels}": {}}, "$ref": "#/$defs/d0"}


def test_a_reference_to_elsewhere_is_not_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        with pytest.raises(SchemaUnusable, match="which is not in it"):
            problem({"a": 1}, {"type": "object", "properties": {"a": {"$ref": address}}})
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ({"a": TEXT}, {"properties": {"a": {"type": "string", "pattern": EVERY_WAY}}}),
        ({TEXT: 1}, {"patternProperties": {EVERY_WAY: {"type": "integer"}}}),
        ({TEXT: 1}, {"patternProperties": {EVERY_WAY: {}}, "additionalProperties": False}),
        ({TEXT: 1}, {"propertyNames": {"pattern": EVERY_WAY}}),
    ],
    ids=["pattern", "patternProperties", "additionalProperties", "propertyNames"],
)
def test_a_pattern_that_tries_every_way_is_given_up_and_the_arguments_are_refused(value: Any, schema: Any) -> None:
    told = problem(value, {"type": "object", **schema})
    assert told is not None
    assert "takes too long to be matched" in told


def test_a_schema_that_doubles_its_work_with_each_level_is_given_up() -> None:
    told = problem({}, _doubling(40))
    assert told is not None
    assert "too many steps" in told


def test_each_check_begins_with_all_of_its_steps() -> None:
    validator = make_validator({"type": "object"})
    with pytest.raises(CheckTooLong):
        list(errors(make_validator(_doubling(12)), {}, steps=100))
    assert list(errors(validator, {}, steps=1)) == []


def test_a_pattern_that_is_none_is_a_fault_of_the_schema() -> None:
    with pytest.raises(SchemaUnusable, match="no regular expression"):
        problem({"a": "x"}, {"type": "object", "properties": {"a": {"pattern": "x{i"}}})


@pytest.mark.parametrize(("name", "fits"), [("x-1", True), ("known", True), ("x-", False), ("other", False)])
def test_properties_are_declared_by_name_or_by_pattern(name: str, fits: bool) -> None:
    schema: Any = {
        "type": "object",
        "properties": {"known": {}},
        "patternProperties": {"^x-[0-9]+$": {}},
        "additionalProperties": False,
    }
    told = problem({name: 1}, schema)
    assert told is None if fits else told == f"{name}: unexpected property"


def test_other_properties_are_held_against_their_schema() -> None:
    schema: Any = {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "integer"}}
    assert problem({"a": "x", "b": 1}, schema) is None
    assert problem({"b": "x"}, schema) == 'b: expected integer, got "x"'


@pytest.mark.parametrize(
    ("items", "fits"),
    [
        ([1, True, "1", None], True),
        ([1, 1.0], False),
        ([{"a": [1], "b": 2}, {"b": 2, "a": [1]}], False),
        ([[1, 2], [2, 1], {"a": 1}, {"a": True}], True),
        ([{"row": n} for n in range(20_000)], True),
    ],
    ids=["kinds", "numbers", "order of names", "order of items", "many"],
)
def test_items_are_held_against_each_other_by_their_values(items: list[Any], fits: bool) -> None:
    assert (list(errors(make_validator({"uniqueItems": True}), items)) == []) is fits


@pytest.mark.parametrize(("number", "fits"), [(10**400, True), (10**400 + 1, False)])
def test_a_number_beyond_all_floats_is_checked_like_others(number: int, fits: bool) -> None:
    assert (list(errors(make_validator({"multipleOf": 2.5}), number)) == []) is fits
