"""Every case of every file in `tests/cases` passes on the oracle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.oracle import run_case
from tests.oracle.cases import Case

CASES: list[Case] = [
    case
    for file in sorted((Path(__file__).parent / "cases").glob("*.json"))
    for case in json.loads(file.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case_passes_on_the_oracle(case: Case) -> None:
    assert run_case(case) == []
