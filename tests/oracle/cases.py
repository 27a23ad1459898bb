"""Runs conformance cases (chapter 19) on the oracle and says what they miss.

Hints are the product's alone, so `hint` is not looked at here.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from .host import ScriptedHost
from .json_forms import Json, from_json, json_equal, to_json
from .run import Outcome, run


class ExpectedError(TypedDict):
    kind: str
    line: NotRequired[int]
    column: NotRequired[int]
    message_contains: NotRequired[str]
    hint: NotRequired[bool]
    snippet: NotRequired[str]


class Expected(TypedDict):
    submit: NotRequired[Json]
    globals: NotRequired[dict[str, Json]]
    prints: NotRequired[list[str]]
    fuel: NotRequired[int]
    error: NotRequired[ExpectedError]


class Case(TypedDict):
    name: str
    source: str
    before: NotRequired[list[str]]
    globals: NotRequired[dict[str, Json]]
    projected: NotRequired[dict[str, Json]]
    limits: NotRequired[dict[str, int]]
    tools: NotRequired[dict[str, list[dict[str, Json]]]]
    expect: Expected


def run_case(case: Case) -> list[str]:
    """Run one case; each miss is a line of text, so an empty list means that it passes."""
    state: dict[str, object] = dict(case.get("globals", {}))
    host = ScriptedHost(case.get("tools"))
    projected = case.get("projected")
    for source in case.get("before", []):
        run(source, state=state, host=host, projected=projected)
    outcome = run(case["source"], state=state, host=host, projected=projected, limits=case.get("limits"))
    expect = case["expect"]
    misses = error_misses(case["source"], outcome, expect.get("error"))
    if "submit" in expect and not (outcome.status == "submitted" and json_equal(outcome.value, expect["submit"])):
        misses.append(f"submit: wanted {expect['submit']!r}, got {outcome.status} {outcome.value!r}")
    if "globals" in expect:
        kept = {name: to_json(from_json(value)) for name, value in state.items()}
        if not json_equal(kept, expect["globals"]):
            misses.append(f"globals: wanted {expect['globals']!r}, got {kept!r}")
    if "prints" in expect and host.prints != expect["prints"]:
        misses.append(f"prints: wanted {expect['prints']!r}, got {host.prints!r}")
    if "fuel" in expect and outcome.fuel != expect["fuel"]:
        misses.append(f"fuel: wanted {expect['fuel']}, got {outcome.fuel}")
    return misses


def error_misses(source: str, outcome: Outcome, expected: ExpectedError | None) -> list[str]:
    """What is wrong with the error of an outcome, or with there being one or none."""
    error = outcome.error
    if expected is None:
        return [f"failed: {error}"] if error else []
    if error is None:
        return [f"error: wanted {expected['kind']}, got {outcome.status} {outcome.value!r}"]
    misses: list[str] = []
    found = {"kind": error.kind, "line": error.line, "column": error.column}
    for key, value in found.items():
        if key in expected and expected[key] != value:
            misses.append(f"{key}: wanted {expected[key]}, got {value} ({error.message})")
    if expected.get("message_contains", "") not in error.message:
        misses.append(f"message: wanted {expected.get('message_contains')!r} in {error.message!r}")
    drawn = snippet(source, error.line, error.column, error.end_line, error.end_column)
    if expected.get("snippet", drawn) != drawn:
        misses.append(f"snippet: wanted {expected.get('snippet')!r}, got {drawn!r}")
    return misses


def snippet(source: str, line: int, column: int, end_line: int, end_column: int) -> str:
    """The source line and the marker line of an error, for lines short enough to be shown whole."""
    shown = source.removeprefix("\ufeff").split("\n")[line - 1].removesuffix("\r")
    pad = "".join("\t" if c == "\t" else " " for c in shown[: column - 1])
    end = end_column if end_line == line else len(shown) + 1
    return f"{shown}\n{pad}^" + "~" * (end - column - 1)
