"""The conformance cases, as far as the syntax layer decides them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lashlang.syntax import parse
from tests.syntax.helpers import error_of

OURS = {"source_too_large", "lex_error", "syntax_error", "duplicate_name", "nesting_too_deep"}
CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "cases" / "lashlang_cases.json").read_text(encoding="utf-8")
)
REFUSED = [case for case in CASES if case["expect"].get("error", {}).get("kind") in OURS]
ACCEPTED = [case for case in CASES if case not in REFUSED]


def name_of(case: dict[str, Any]) -> str:
    return case["name"]


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_a_case_that_the_syntax_layer_refuses(case: dict[str, Any]) -> None:
    expected: dict[str, Any] = case["expect"]["error"]
    error = error_of(case["source"])
    for key in ("kind", "code", "line", "column"):
        if key in expected:
            assert getattr(error, key) == expected[key]
    assert expected.get("message_contains", "") in error.message
    assert error.hint or not expected.get("hint")
    if "snippet" in expected:
        assert "\n".join(error.render(case["source"]).split("\n")[2:4]) == expected["snippet"]


@pytest.mark.parametrize("case", ACCEPTED, ids=name_of)
def test_a_case_that_the_syntax_layer_accepts(case: dict[str, Any]) -> None:
    assert parse(case["source"]).end == len(case["source"])
    for source in case.get("before", []):
        assert parse(source).end == len(source)
