"""Every case of every file in `tests/cases` passes on the kernel, and the runner that says so can also say no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lash.testing import cases

FILES = sorted((Path(__file__).parent / "cases").glob("*.json"))
CASES = [case for file in FILES for case in cases.load(file)]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case_passes_on_the_kernel(case: cases.Case) -> None:
    assert cases.run_case(case) == []


@pytest.mark.parametrize(
    ("source", "expect", "miss"),
    [
        ("submit 1", {"submit": 2}, "submit: wanted 2, found 1"),
        ("submit 1", {"submit": True}, "submit: wanted true, found 1"),
        ("submit [1]", {"submit": [1, 2]}, "submit: wanted [1, 2], found [1]"),
        ("submit { a: 1 }", {"submit": {"b": 1}}, "submit: wanted"),
        ("x = 1", {"submit": None}, "status: wanted"),
        ("x = 1", {"fuel": 2}, "fuel: wanted 2, found 1"),
        ("x = 1", {"globals": {"x": 2}}, "globals: wanted"),
        ("print 1", {"prints": ["2"]}, "prints: wanted"),
        ("x = y", {}, "failed:\nerror[unknown_name]"),
        ("x = 1", {"error": {"kind": "type_error"}}, "wanted type_error, found continued"),
        ("x = y", {"error": {"kind": "type_error"}}, "error kind: wanted type_error"),
        ("x = y", {"error": {"kind": "unknown_name", "column": 1}}, "error column: wanted 1, found 5"),
        ("x = y", {"error": {"kind": "unknown_name", "message_contains": "z"}}, "error message"),
        ("x = [1][null]", {"error": {"kind": "type_error", "snippet": "x = [1]"}}, "error snippet"),
        ("x = {} x.a.b = validate(1, Type { a: int })", {"error": {"kind": "validation_failed", "hint": True}}, "hint"),
    ],
)
def test_a_miss_is_reported(source: str, expect: dict[str, Any], miss: str) -> None:
    misses = cases.run_case({"name": "n", "source": source, "expect": expect})
    assert len(misses) == 1
    assert miss in misses[0]


def test_the_command_prints_misses_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cases.json"
    good = {"name": "good", "source": "submit 9007199254740993", "expect": {"submit": 9007199254740993}}
    bad = {"name": "bad", "source": "submit 1", "expect": {"submit": 2}}
    file.write_text(json.dumps([good, bad]))
    assert cases.main([str(file)]) == 1
    assert capsys.readouterr().out == "bad:\n    submit: wanted 2, found 1\n1 of 2 cases pass\n"
    file.write_text(json.dumps([good]))
    assert cases.main([str(file)]) == 0


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "n"}]', "\xff"])
def test_a_file_that_holds_no_cases_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    file = tmp_path / "cases.json"
    file.write_bytes(text.encode("latin-1"))
    assert cases.main([str(file)]) == 2
    assert str(file) in capsys.readouterr().err


def test_without_files_the_command_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert cases.main([]) == 2
    assert capsys.readouterr().err.startswith("usage:")
