"""The runtime's benchmarks, each at its smallest size: they answer right, notice what is wrong, and all have a row."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lash
from benchmarks import (
    runtime,
    runtime_compare,
    runtime_journal,
    runtime_stores,
    runtime_stream,
    runtime_tools,
    runtime_turns,
)
from benchmarks.runtime_measure import BLOCKED, COLLECTED, Sample, monitored_run, unwatched
from benchmarks.runtime_report import ROWS, document, report

JOBS = list(runtime.JOBS)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_answers_right_and_every_figure_of_it_has_a_row(name: str) -> None:
    job = runtime.JOBS[name]
    figures = runtime.run(job, job.smallest)
    rows = [row for row in ROWS if row.job == name]
    ours = {row.key for row in rows}
    peers = {f"{row.key}.peer" for row in rows if row.peer}
    assert figures.keys() == ours | peers | {BLOCKED, COLLECTED}
    assert ours, "a job without a row"


@lash.tool(name="add")
async def wrong_sum(a: int, b: int) -> int:
    """Not the sum."""
    return a + b + 1


def wrong_code(number: int) -> str:
    return f"x{number} = 1"


def other_events(number: int) -> list[Any]:
    return [runtime_stores.event_of(number)] * 2


whole_stream = runtime_stream.anthropic_stream


def shortened(size: int) -> Any:
    return whole_stream(size - 1)


def short_reply(size: int) -> Any:
    return runtime_turns.reply("word")


class Forgetting(runtime_journal.JournalEffectHost):
    """A journal that records nothing of what it is given."""

    def scoped(self, scope: Any) -> Any:
        return runtime_journal.InlineEffectHost(runtime_journal.SystemClock()).scoped(scope)


WRONG: list[tuple[str, Any, str, Any]] = [
    ("tool_calls", runtime_turns, "add", wrong_sum),
    ("calls_standard", runtime_tools, "add_async", wrong_sum),
    ("calls_rlm_stored", runtime_tools, "add_plain", wrong_sum),
    ("iterations", runtime_turns, "block_code", wrong_code),
    ("activities", runtime_turns, "long_reply", short_reply),
    ("journal", runtime_journal, "JournalEffectHost", Forgetting),
    ("decoding", runtime_stream, "anthropic_stream", shortened),
]


@pytest.mark.parametrize(("job", "module", "name", "wrong"), WRONG)
def test_a_wrong_answer_is_no_figure(
    job: str, module: Any, name: str, wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(AssertionError, match="answered"):
        runtime.run(runtime.JOBS[job], runtime.JOBS[job].smallest)


FOUND = {
    "turns": {
        "turn": Sample((0.002, 0.001, 0.006)),
        "turn.peer": Sample((0.001, 0.001)),
        BLOCKED: Sample((0.05,)),
        COLLECTED: Sample((0.03,)),
    },
    "activities": {"to_sink": Sample((25_000.0,)), BLOCKED: Sample((0.002,)), COLLECTED: Sample((0.0,))},
}


def test_the_table_holds_the_median_its_spread_the_verdict_and_the_peer() -> None:
    lines = report(FOUND, {"idle": "exit status 1"}, 3, markdown=True).splitlines()
    title = "turn, no tools, in memory (ms)"
    assert f"| {title} | 2 | 1 - 6 | <= 3 | met | provider alone: 1 (0.5x) |" in lines
    assert "| activities to a sink (k/s) | 25 | 25 - 25 | >= 50 | missed (2x) |  |" in lines
    assert "| turns | 50 | 50 | missed (2.5x) | 30 |" in lines
    assert "| activities | 2 | 2 | met | 0 |" in lines
    assert lines[-1] == "idle: failed, exit status 1"


def test_the_document_holds_raw_figures_targets_and_ratios() -> None:
    told = json.loads(json.dumps(document(FOUND, {}, 3, {"cpus": 2})))
    assert told["machine"] == {"cpus": 2}
    turn, sink = told["rows"]
    assert (turn["median"], turn["least"], turn["greatest"], turn["met"]) == (2, 1, 6, True)
    assert turn["raw"] == [0.002, 0.001, 0.006]
    assert turn["peer"]["ratio_to_lash"] == 0.5
    assert (sink["met"], sink["at_least"], "peer" in sink) == (False, True, False)
    assert told["event_loop_blocked_ms"] == {"target": 20, "jobs": {"turns": [50], "activities": [2]}}


def written(file: Path, turn_ms: float, per_second: float) -> str:
    """A report with these two figures, as a file."""
    found = {
        "turns": {"turn": Sample((turn_ms / 1000,))},
        "activities": {"to_sink": Sample((per_second,))},
    }
    file.write_text(json.dumps(document(found, {}, 1, {"processor": "p", "load_average": [0.1]})))
    return str(file)


@pytest.mark.parametrize(
    ("turn_ms", "per_second", "worse"),
    [
        (2.3, 90_000.0, "nothing"),
        (1.0, 200_000.0, "nothing"),
        (2.5, 100_000.0, "turn, no tools, in memory"),
        (2.0, 80_000.0, "activities to a sink"),
    ],
)
def test_figures_that_are_worse_by_more_than_a_fifth_are_named(
    turn_ms: float, per_second: float, worse: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = written(tmp_path / "before.json", 2.0, 100_000.0)
    after = written(tmp_path / "after.json", turn_ms, per_second)
    status = runtime_compare.main([before, after])
    assert capsys.readouterr().out.splitlines()[-1] == f"worse by more than 20%: {worse}"
    assert status == (0 if worse == "nothing" else 1)


async def test_the_monitor_notes_what_blocks_a_loop_and_leaves_out_what_the_benchmark_does(tmp_path: Path) -> None:
    def compute() -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass

    async def blocking(size: int, folder: Path) -> dict[str, float]:
        await asyncio.sleep(0)
        if size:
            compute()
        else:
            with unwatched():
                compute()
        return {}

    assert (await monitored_run(blocking, 1, tmp_path))[BLOCKED] > 0.03
    assert (await monitored_run(blocking, 0, tmp_path))[BLOCKED] < 0.03
