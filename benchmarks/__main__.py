"""Measure lash and its peers in one run and print a table of figures and ratios.

    python -m benchmarks                      every engine that is installed
    python -m benchmarks --engine lash --job loop --runs 9
    python -m benchmarks --json figures.json --markdown
    python -m benchmarks --scaling            nanoseconds per element, from a thousand to a million of them
    python -m benchmarks --loop-gaps          what an event loop feels of machines that compute
    python -m benchmarks --runtime            what the runtime costs: turns, commits, sessions, journal
    python -m benchmarks --runtime --job turns --job commits_full

Every engine runs in a child process of its own, so that one heap does not weigh on the next; the
memory job gets another. A figure is the least of the runs. Answers are checked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from benchmarks import loop_gaps, runtime, scaling
from benchmarks.engines import ENGINES, NotOffered
from benchmarks.jobs import JOBS
from benchmarks.report import Row, document, figure_table, headline, machine_info, notes


def child(name: str, jobs: list[str], runs: int) -> None:
    """Measure one engine and print one JSON line per result."""
    engine = ENGINES[name]()
    try:
        engine.start()
    except ImportError as error:
        print(json.dumps({"skipped": str(error)}), flush=True)
        return
    print(json.dumps({"version": engine.version()}), flush=True)
    for job in jobs:
        try:
            result: dict[str, Any] = dict(JOBS[job](engine, runs))
        except NotOffered as reason:
            result = {"not_offered": {job: str(reason)}}
        print(json.dumps(result), flush=True)
    engine.stop()


def measure(name: str, jobs: list[str], runs: int) -> Row:
    """All figures of one engine; the process that fails is named in `died`."""
    row: Row = {"engine": name}
    for group in ([job for job in jobs if job != "memory"], [job for job in jobs if job == "memory"]):
        if not group:
            continue
        command = [sys.executable, "-m", "benchmarks", "--child", name, "--runs", str(runs)]
        for job in group:
            command += ["--job", job]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        for line in done.stdout.splitlines():
            told = json.loads(line)
            row["not_offered"] = row.get("not_offered", {}) | told.pop("not_offered", {})
            row |= told
        if done.returncode:
            row["died"] = f"exit status {done.returncode} in {' '.join(group)}"
    return row


def write(file: str | None, figures: Any) -> None:
    """Write a JSON document where one was asked for."""
    if file:
        with open(file, "w", encoding="utf-8") as target:
            json.dump(figures, target, indent=1)
            target.write("\n")


def main() -> int:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure lash and its peers in one run.")
    parser.add_argument("--engine", action="append", choices=list(ENGINES), help="repeatable; default: all")
    parser.add_argument("--job", action="append", choices=[*JOBS, *runtime.JOBS], help="repeatable; default: all")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="write raw figures (seconds, KiB, bytes), ratios and targets")
    parser.add_argument("--markdown", action="store_true", help="print tables as Markdown")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--scaling", action="store_true", help="time per element of lash, by number of elements")
    other.add_argument("--loop-gaps", action="store_true", help="responsiveness of an event loop and fairness")
    other.add_argument("--runtime", action="store_true", help="what the runtime costs beside the model and the VM")
    other.add_argument("--child", choices=list(ENGINES), help=argparse.SUPPRESS)
    args = parser.parse_args()
    known = runtime.JOBS if args.runtime else JOBS
    jobs: list[str] = args.job or list(known)
    if unknown := [job for job in jobs if job not in known]:
        parser.error(f"job {unknown[0]!r} {'does not go' if args.runtime else 'goes'} with --runtime")
    if args.child:
        child(args.child, jobs, args.runs)
        return 0
    info = machine_info()
    print(headline(info))
    if args.scaling or args.loop_gaps:
        program = scaling if args.scaling else loop_gaps
        figures = program.measure(args.runs)
        print(program.report(figures, args.markdown))
        write(args.json, {"machine": info, "runs": args.runs, **figures})
        return 0
    if args.runtime:
        told, figures = runtime.measured(jobs, args.runs, info, args.markdown)
        print(told)
        write(args.json, figures)
        return 1 if figures["failed"] else 0
    rows = [measure(name, jobs, args.runs) for name in ENGINES if not args.engine or name in args.engine]
    print(f"least of {args.runs} runs; (2x): twice the figure of lash")
    print(figure_table(rows, args.markdown))
    print(*notes(rows), sep="\n")
    write(args.json, document(rows, args.runs, info))
    return 1 if any("died" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
