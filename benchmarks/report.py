"""What is shown of the figures: one table of all engines, and the same as a JSON document.

A row of the table holds lash's figure, its target, and for each peer its figure with the ratio to lash's,
so that a ratio above 1 is in lash's favour.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engines import ENGINES

OURS = "lash"
"""The engine that the others are compared with."""

Row = dict[str, Any]
"""What one engine's child process has told: its name and version, figures by name, and why some are missing."""


class Column(NamedTuple):
    """One line of the table: figure, title, factor from the measured unit to the shown one, unit, target, and
    the figure of lash that peers are compared with, where it is another one."""

    key: str
    title: str
    factor: float
    unit: str
    target: float | None = None
    against: str = ""

    @property
    def ours(self) -> str:
        """The figure of lash that belongs here."""
        return self.against or self.key


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
    Column("dump_portable", "dump 1 MB", 1e3, "ms", 2),
    Column("load_portable", "load 1 MB", 1e3, "ms", 2),
    Column("size_portable", "dump 1 MB: size", 1e-3, "kB"),
    Column("dump_image", "dump 1 MB as image", 1e3, "ms"),
    Column("load_image", "load 1 MB from image", 1e3, "ms"),
    Column("size_image", "dump 1 MB as image: size", 1e-3, "kB"),
    Column("dump_json", "dump 1 MB as JSON", 1e3, "ms", against="dump_portable"),
    Column("load_json", "load 1 MB from JSON", 1e3, "ms", against="load_portable"),
    Column("size_json", "dump 1 MB as JSON: size", 1e-3, "kB", against="size_portable"),
    Column("fork", "fork with 1 MB", 1e3, "ms", 0.5),
    Column("memory", "idle machine", 1, "KiB", 64),
)


def machine_info() -> dict[str, Any]:
    """What the figures were measured on."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in load],
    }


def processor() -> str:
    """The processor's name as Linux gives it, or what the platform module knows."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def headline(info: dict[str, Any]) -> str:
    """The machine in one line."""
    load = "/".join(f"{value:g}" for value in info["load_average"])
    return (
        f"{info['system']}, {info['processor']}, {info['cpus']} CPUs, Python {info['python']}, "
        f"load average {load or 'unknown'}"
    )


def shown(value: float) -> str:
    """Three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def brief(times: float) -> str:
    """A ratio: two significant digits, more where it is a hundred or above."""
    return f"{times:.0f}" if times >= 100 else f"{times:.2g}"


def ratio(row: Row, ours: Row | None, column: Column) -> float | None:
    """How many times lash's figure a peer's is; None where one of them is missing."""
    if ours is None or row is ours or column.key not in row or column.ours not in ours:
        return None
    return row[column.key] / ours[column.ours]


def of_lash(rows: Iterable[Row]) -> Row | None:
    """The row of lash, if it was measured."""
    return next((row for row in rows if row["engine"] == OURS), None)


def verdict(ours: Row | None, column: Column) -> str:
    """Whether lash keeps to the target, and by what factor it misses it; empty without figure or target."""
    if ours is None or column.target is None or column.key not in ours:
        return ""
    times = ours[column.key] * column.factor / column.target
    return "met" if times <= 1 else f"missed ({brief(times)}x)"


def figure_table(rows: list[Row], markdown: bool) -> str:
    """Jobs down; across lash with its target, then every peer as `figure (ratio)`."""
    present = [row for row in rows if "skipped" not in row]
    ours = of_lash(present)
    head = ["job"]
    for row in present:
        head += [f"{row['engine']} {row.get('version', '?')}", *(["target", ""] if row is ours else [])]
    body: list[list[str]] = []
    for column in COLUMNS:
        if not any(column.key in row for row in present):
            continue
        line = [f"{column.title} ({column.unit})"]
        for row in present:
            value = shown(row[column.key] * column.factor) if column.key in row else "-"
            times = ratio(row, ours, column)
            line.append(value if times is None else f"{value} ({brief(times)}x)")
            if row is ours:
                line += [f"<= {column.target:g}" if column.target is not None else "", verdict(ours, column)]
        body.append(line)
    return table(head, body, markdown)


def table(head: list[str], body: list[list[str]], markdown: bool) -> str:
    """Lines of cells as Markdown, or aligned for a terminal."""
    if markdown:
        return "\n".join("| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *body])
    widths = [max(len(r[i]) for r in [head, *body]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)).rstrip() for r in [head, *body]
    )


def notes(rows: list[Row]) -> list[str]:
    """A line per engine: what it is, and which jobs it does not do for which reason."""
    lines: list[str] = []
    for row in rows:
        if "skipped" in row:
            lines.append(f"{row['engine']}: skipped, {row['skipped']}")
            continue
        said = [ENGINES[row["engine"]].note]
        reasons: dict[str, list[str]] = {}
        for job, reason in row.get("not_offered", {}).items():
            reasons.setdefault(reason, []).append(job)
        said += [f"no {' and '.join(jobs)} ({reason})" for reason, jobs in reasons.items()]
        if "died" in row:
            said.append(row["died"])
        lines.append(f"{row['engine']}: {'; '.join(filter(None, said))}")
    return lines


def document(rows: list[Row], runs: int, info: dict[str, Any]) -> dict[str, Any]:
    """Everything as JSON: machine, engines with raw figures (seconds, KiB, bytes), ratios, targets."""
    ours = of_lash(rows)
    named = {column.key: column for column in COLUMNS}
    ratios: dict[str, dict[str, float]] = {}
    for key, column in named.items():
        found = {row["engine"]: ratio(row, ours, column) for row in rows}
        if kept := {name: round(times, 4) for name, times in found.items() if times is not None}:
            ratios[key] = kept
    targets = {
        key: {
            "unit": column.unit,
            "target": column.target,
            "figure": ours[key] * column.factor,
            "met": ours[key] * column.factor <= column.target,
        }
        for key, column in named.items()
        if ours is not None and key in ours and column.target is not None
    }
    engines = [
        {
            "engine": row["engine"],
            "note": ENGINES[row["engine"]].note,
            **{key: row[key] for key in ("version", "skipped", "died", "not_offered") if key in row},
            "figures": {key: row[key] for key in named if key in row},
        }
        for row in rows
    ]
    return {"machine": info, "runs": runs, "engines": engines, "ratios_to_lash": ratios, "targets": targets}
