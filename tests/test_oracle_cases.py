"""Every conformance case passes on the oracle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.oracle import run_case
from tests.oracle.cases import Case

CASES: list[Case] = json.loads((Path(__file__).parent / "cases" / "lashlang_cases.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case_passes_on_the_oracle(case: Case) -> None:
    assert run_case(case) == []
