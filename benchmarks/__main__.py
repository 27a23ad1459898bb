"""Measure lash and its peers in one run and print a table of figures and ratios.

    python -m benchmarks                      every engine that is installed
    python -m benchmarks --engine lash --job loop --runs 9
    python -m benchmarks --json figures.json --markdown

Every engine runs in a child process of its own, so that one heap does not weigh on the next; the
memory job gets another. A figure is the median over the runs. Answers are checked.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from typing import Any, NamedTuple

from benchmarks.engines import Engine, NotOffered
from benchmarks.jobs import JOBS


class Column(NamedTuple):
    """One row of the report: figure, title, factor from the measured unit to the shown one, unit, target."""

    key: str
    title: str
    factor: float
    unit: str
    target: float


COLUMNS = (
    Column("cold", "new machine + 1 + 1", 1e6, "us", 60),
    Column("compile", "compile 50 lines, cold", 1e3, "ms", 10),
    Column("loop", "loop 1 M", 1e3, "ms", 12),
    Column("text", "text 100k lines", 1e3, "ms", 60),
    Column("records", "records 100k", 1e3, "ms", 40),
    Column("json", "JSON 1 MB", 1e3, "ms", 16),
    Column("host", "host call", 1e6, "us", 6),
    Column("host_async", "host call, async", 1e6, "us", 30),
    Column("wave", "1,000 calls in flight", 1e3, "ms", 30),
    Column("context_open", "10 M characters: open", 1e3, "ms", 150),
    Column("context_find", "10 M characters: find", 1e3, "ms", 50),
    Column("context_slice", "10 M characters: slice 10k", 1e3, "ms", 1),
    Column("memory", "idle machine", 1, "KiB", 64),
)


def child(name: str, jobs: list[str], runs: int) -> None:
    """Measure one engine and print one JSON line per result."""
    engine = Engine.registry[name]()
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
            result = {f"no {job}": str(reason)}
        print(json.dumps(result), flush=True)
    engine.stop()


def measure(name: str, jobs: list[str], runs: int) -> dict[str, Any]:
    """All figures of one engine; the process that fails is named in `died`."""
    row: dict[str, Any] = {"engine": name}
    for group in ([job for job in jobs if job != "memory"], [job for job in jobs if job == "memory"]):
        if not group:
            continue
        command = [sys.executable, "-m", "benchmarks", "--child", name, "--runs", str(runs)]
        for job in group:
            command += ["--job", job]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        for line in done.stdout.splitlines():
            row |= json.loads(line)
        if done.returncode:
            row["died"] = f"exit status {done.returncode} in {' '.join(group)}"
    return row


def figure(row: dict[str, Any], column: Column) -> str:
    """A figure in the shown unit, three significant digits."""
    if column.key not in row:
        return "-"
    value = row[column.key] * column.factor
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(rows: list[dict[str, Any]], markdown: bool) -> str:
    """Jobs down, engines across, then how many times the figure of lash each peer takes, and the target."""
    shown = [row for row in rows if "skipped" not in row]
    lash = next((row for row in shown if row["engine"] == "lash"), None)
    peers = [row for row in shown if lash is not None and row is not lash]
    head = ["job", *(f"{row['engine']} {row.get('version', '?')}" for row in shown)]
    head += [*(f"{row['engine']} / lash" for row in peers), "target", ""]
    body: list[list[str]] = []
    for column in COLUMNS:
        if not any(column.key in row for row in shown):
            continue
        line = [f"{column.title} ({column.unit})", *(figure(row, column) for row in shown)]
        for row in peers:
            both = lash is not None and column.key in row and column.key in lash
            line.append(f"{row[column.key] / lash[column.key]:.2f}" if both and lash is not None else "-")
        line.append(f"<= {column.target:g}")
        measured = lash is not None and column.key in lash
        within = measured and lash is not None and lash[column.key] * column.factor <= column.target
        line.append(("met" if within else "missed") if measured else "-")
        body.append(line)
    if markdown:
        return "\n".join("| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *body])
    widths = [max(len(r[i]) for r in [head, *body]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)).rstrip() for r in [head, *body]
    )


def main() -> int:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure lash and its peers in one run.")
    parser.add_argument("--engine", action="append", choices=list(Engine.registry), help="repeatable; default: all")
    parser.add_argument("--job", action="append", choices=list(JOBS), help="repeatable; default: all")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="write the raw figures (seconds, KiB)")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--child", choices=list(Engine.registry), help=argparse.SUPPRESS)
    args = parser.parse_args()
    jobs: list[str] = args.job or list(JOBS)
    if args.child:
        child(args.child, jobs, args.runs)
        return 0
    rows = [measure(name, jobs, args.runs) for name in args.engine or list(Engine.registry)]
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"median of {args.runs} runs")
    print(table(rows, args.markdown))
    for row in rows:
        notes = [row["skipped"]] if "skipped" in row else [Engine.registry[row["engine"]].note, row.get("died", "")]
        print(f"{row['engine']}: {'; '.join(filter(None, notes))}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
    return 1 if any("died" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
