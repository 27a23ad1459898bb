"""The benchmarks check what they measure: a wrong answer is never a figure, and the report holds the ratios."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import scaling
from benchmarks.engines import Form
from benchmarks.engines.lash import Lash
from benchmarks.jobs import JOBS
from benchmarks.report import document, figure_table


def another_program(source: str) -> Any:
    return SimpleNamespace(source="another")


def wrong_outcome(program: str, **inputs: Any) -> Any:
    return SimpleNamespace(status="submitted", value="wrong", error=None)


def minus_one(n: int) -> int:
    return -1


class Wrong(Lash):
    """An engine that offers everything and whose answers are all wrong."""

    instances = 1

    def __init__(self) -> None:
        self.module = SimpleNamespace(compile=another_program, TextSource=str)

    def new(self) -> Any:
        return SimpleNamespace(run=wrong_outcome)

    def run(self, session: Any, program: str, inputs: Mapping[str, Any]) -> Any:
        return "wrong"

    def host(self, session: Any) -> Any:
        return "wrong"

    async def run_awaiting(self, job: str) -> tuple[float, Any]:
        return 0.0, "wrong"

    def set(self, session: Any, name: str, value: Any) -> None:
        pass

    def get(self, session: Any, name: str) -> Any:
        return "wrong"

    def forms(self) -> dict[str, Form]:
        return {"portable": Form(lambda session: b"", lambda data: None)}

    def close(self, session: Any) -> None:
        pass


@pytest.mark.parametrize("job", JOBS)
def test_a_wrong_answer_is_no_figure(job: str) -> None:
    with pytest.raises(AssertionError, match="answered"):
        JOBS[job](Wrong(), 1)


@pytest.mark.parametrize("row", scaling.ROWS, ids=lambda row: row.title)
def test_a_row_of_the_scaling_report_answers_right_and_notices_another_answer(row: scaling.Row) -> None:
    assert scaling.once(row, 100) > 0
    with pytest.raises(AssertionError, match="answered"):
        scaling.once(dataclasses.replace(row, answer=minus_one), 100)


ROWS = [
    {"engine": "lash", "version": "1", "loop": 0.010, "dump_portable": 0.004},
    {"engine": "cpython", "version": "2", "loop": 0.025, "dump_json": 0.002, "died": "exit status 1 in text"},
]


def test_the_document_holds_ratios_to_lash_and_targets() -> None:
    told = json.loads(json.dumps(document(ROWS, 1, {"cpus": 2})))
    assert told["ratios_to_lash"] == {"loop": {"cpython": 2.5}, "dump_json": {"cpython": 0.5}}
    assert told["targets"] == {
        "loop": {"unit": "ms", "target": 12, "figure": 10, "met": True},
        "dump_portable": {"unit": "ms", "target": 2, "figure": 4, "met": False},
    }
    assert [engine["figures"] for engine in told["engines"]] == [
        {"loop": 0.010, "dump_portable": 0.004},
        {"loop": 0.025, "dump_json": 0.002},
    ]


def test_a_cell_of_the_table_shows_figure_and_ratio() -> None:
    lines = figure_table(ROWS, markdown=True).splitlines()
    assert "| loop 1 M (ms) | 10 | <= 12 | met | 25 (2.5x) |" in lines
    assert "| dump 1 MB (ms) | 4 | <= 2 | missed (2x) | - |" in lines
