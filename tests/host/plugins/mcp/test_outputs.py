"""Structured results against their schemas, also where both are made to last for ever."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from lash.host.plugins.mcp.outputs import output_problem

NUMBER: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize("value", [{"n": 1}, {"n": 1, "more": "is allowed"}])
def test_a_result_that_fits_has_no_problem(value: Any) -> None:
    assert output_problem(value, NUMBER) is None


@pytest.mark.parametrize(
    ("value", "said"), [({"n": "1"}, "n: "), ({}, "result: 'n' is a required property"), ([], "result: ")]
)
def test_a_result_that_does_not_fit_is_told_by_path(value: Any, said: str) -> None:
    problem = output_problem(value, NUMBER)
    assert problem is not None
    assert problem.startswith(said)


def test_a_schema_that_is_none_is_a_problem() -> None:
    assert "its schema is none" in str(output_problem({}, {"type": 3}))
    assert "which is not in it" in str(output_problem({}, {"$ref": "#/$defs/a"}))


def test_nothing_is_fetched_for_a_schema() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        problem = output_problem({}, {"$ref": f"http://127.0.0.1:{server.getsockname()[1]}/schema"})
        assert "which is not in it" in str(problem)
        with pytest.raises(BlockingIOError):
            server.accept()


def doubling(depth: int) -> dict[str, Any]:
    """A schema of a few lines that takes two to the power of `depth` steps."""
    defs: dict[str, Any] = {f"a{at}": {"allOf": [{"$ref": f"#/$defs/a{at + 1}"}] * 2} for at in range(depth)}
    return {"$ref": "#/$defs/a0", "$defs": defs | {f"a{depth}": {"type": "object"}}}


CYCLE: dict[str, Any] = {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}}
UNEVALUATED = {**doubling(40), "unevaluatedProperties": False}


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("a" * 40 + "!", {"pattern": "^(a|aa)+$"}),
        ({"a" * 40 + "!": 1}, {"patternProperties": {"^(a|aa)+$": {}}, "additionalProperties": False}),
        ({"a" * 40 + "!": 1}, {"propertyNames": {"pattern": "^(a|aa)+$"}}),
        ({}, doubling(60)),
        ({"x": 1}, UNEVALUATED),
        ({}, CYCLE),
        ([{"a": at} for at in range(20_000)], {"uniqueItems": True}),
    ],
    ids=["pattern", "patternProperties", "propertyNames", "doubling", "unevaluated", "cycle", "unique"],
)
def test_a_check_that_would_not_end_is_given_up(value: Any, schema: dict[str, Any]) -> None:
    assert output_problem(value, schema) is None
