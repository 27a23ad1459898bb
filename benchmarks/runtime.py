"""What the runtime costs beside the model, the tools and the VM: `python -m benchmarks --runtime`.

Every job runs in a process of its own, so that one heap does not weigh on the next. It runs once at its smallest size
to load what is loaded once, and then as often as asked for; each run works in an empty folder. What is measured
against which target stands in `ROWS`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import (
    runtime_journal,
    runtime_machine,
    runtime_sessions,
    runtime_stores,
    runtime_stream,
    runtime_tools,
    runtime_turns,
)
from benchmarks.measure import Figures
from benchmarks.runtime_measure import Job, Sample, monitored_run
from benchmarks.runtime_report import document, report

JOBS: dict[str, Job] = {
    "steps": Job(runtime_machine.steps, 10_000, 20),
    "snapshots": Job(runtime_machine.snapshots, 50, 2),
    "turns": Job(runtime_turns.turns, 1000, 20),
    "iterations": Job(runtime_turns.iterations, 1000, 20),
    "long_session": Job(runtime_turns.long_session, 300, 10),
    "tool_calls": Job(runtime_turns.tool_calls, 500, 5),
    "calls_standard": Job(runtime_tools.calls_in("standard", journal=False), 1000, 10),
    "calls_rlm": Job(runtime_tools.calls_in("rlm", journal=False), 1000, 10),
    "calls_standard_stored": Job(runtime_tools.calls_in("standard", journal=True), 1000, 10),
    "calls_rlm_stored": Job(runtime_tools.calls_in("rlm", journal=True), 1000, 10),
    "activities": Job(runtime_turns.activities, 200_000, 50),
    "stored_turns": Job(runtime_turns.stored_turns, 200, 5),
    "commits_full": Job(runtime_stores.commits_full, 2000, 5),
    "commits_normal": Job(runtime_stores.commits_normal, 2000, 5),
    "growth": Job(runtime_stores.growth, 10_000, 100),
    "side_by_side": Job(runtime_stores.side_by_side, 100, 2),
    "opening": Job(runtime_sessions.opening, 10_000, 20),
    "viewing": Job(runtime_sessions.viewing, 10_000, 20),
    "idle": Job(runtime_sessions.idle, 200, 4, fresh=True),
    "parked": Job(runtime_sessions.parked, 1000, 10, fresh=True),
    "parked_many": Job(runtime_sessions.parked, 10_000, 10, at_most=1, fresh=True),
    "journal": Job(runtime_journal.journal, 1000, 5),
    "decoding": Job(runtime_stream.decoding, 100_000, 50),
    "starting": Job(runtime_stream.starting, 5, 1),
}


def run(job: Job, size: int) -> Figures:
    """One run in an empty folder."""
    gc.collect()
    with tempfile.TemporaryDirectory(prefix="lash-benchmark-") as folder:
        return asyncio.run(monitored_run(job.body, size, Path(folder)))


def child(name: str, runs: int) -> None:
    """Run one job and print the figures of each run as a line of JSON."""
    job = JOBS[name]
    run(job, job.smallest)
    for _ in range(runs):
        print(json.dumps(run(job, job.size)), flush=True)


def measure(names: Sequence[str], runs: int) -> tuple[dict[str, dict[str, Sample]], dict[str, str]]:
    """The figures of every job by name, and what became of jobs that failed."""
    found: dict[str, dict[str, Sample]] = {}
    failed: dict[str, str] = {}
    for name in names:
        # The whole takes some minutes.
        print(f"measuring {name}", file=sys.stderr, flush=True)
        job = JOBS[name]
        wanted = min(runs, job.at_most)
        told: list[Figures] = []
        for share in [1] * wanted if job.fresh else [wanted]:
            command = [sys.executable, "-m", "benchmarks.runtime", name, "--runs", str(share)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            told += map(json.loads, done.stdout.splitlines())
            if done.returncode:
                failed[name] = f"exit status {done.returncode}"
        if told:
            found[name] = {key: Sample(tuple(figures[key] for figures in told)) for key in told[0]}
    return found, failed


def measured(names: Sequence[str], runs: int, info: dict[str, Any], markdown: bool) -> tuple[str, dict[str, Any]]:
    """The report and the document of a run; a job that failed is named in both."""
    found, failed = measure(names, runs)
    return report(found, failed, runs, markdown), document(found, failed, runs, info)


def main() -> None:
    """The process of one job."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtime", description="Run one job of the runtime.")
    parser.add_argument("job", choices=list(JOBS))
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    child(args.job, args.runs)


if __name__ == "__main__":
    main()
