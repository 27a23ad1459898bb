"""How the time per element grows with the number of elements: it should not.

Each row is one operation done n times, or on n elements, in a machine with limits wide enough for a million.
A figure is the least over the runs, in nanoseconds per element, because everything else that a machine does
only adds to it. The verdict compares sizes from 10,000 on: below, the cost of starting a block shows. Caches
that a million elements do not fit in account for a factor of about two; a copy per step would show as one of
ten from each column to the next.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lashlang
from benchmarks.engines import check
from benchmarks.report import shown, table

SIZES = (1_000, 10_000, 100_000, 1_000_000)
FROM = 10_000
"""The least size that the verdict looks at."""
FLAT = 2.5
"""The greatest ratio of worst to best figure that is called flat."""
GIB = 1 << 30
LIMITS = lashlang.Limits(
    fuel=10**12, memory=3 * GIB // 2, string_size=GIB // 2, list_size=10_000_000, value_size=GIB // 2
)


@dataclass(frozen=True)
class Row:
    """A program that works on `n` elements, what it finds prepared, and the answer it must submit."""

    title: str
    source: str
    prepare: Callable[[int], dict[str, Any]] = lambda n: {}
    answer: Callable[[int], Any] = lambda n: n


def text_of(n: int, letters: str) -> str:
    """A text of n characters."""
    return (letters * (n // len(letters) + 1))[:n]


def records(n: int) -> list[dict[str, Any]]:
    """A list of n records of two fields."""
    return [{"id": i, "name": f"user {i}"} for i in range(n)]


ROWS = (
    Row("push", "xs = []\nfor i in range(n) { xs = push(xs, i) }\nsubmit len(xs)"),
    Row("record insert", 'm = {}\nfor i in range(n) { m["k" + i] = i }\nsubmit len(m)'),
    Row(
        "nested path, list: m.a.b[i] += 1",
        "for i in range(n) { m.a.b[i] += 1 }\nsubmit sum(m.a.b)",
        lambda n: {"m": {"a": {"b": [0] * n}}},
    ),
    Row(
        'nested path, record: m.a.b["k" + i] += 1',
        'm = { a: { b: {} } }\nfor i in range(n) { m.a.b["k" + i] += 1 }\nsubmit sum(values(m.a.b))',
    ),
    Row('text concat: s += "x"', 's = ""\nfor i in range(n) { s += "x" }\nsubmit len(s)'),
    Row("list concat: xs = xs + [i]", "xs = []\nfor i in range(n) { xs = xs + [i] }\nsubmit len(xs)"),
    Row("split", 'submit len(split(text, " "))', lambda n: {"text": " ".join(["word"] * n)}),
    Row(
        "slice, text walked",
        'seen = 0\nfor i in range(n) { if slice(text, i, i + 1) == "e" { seen += 1 } }\nsubmit seen',
        lambda n: {"text": text_of(n, "lorem ipse ")},
        lambda n: text_of(n, "lorem ipse ").count("e"),
    ),
    Row(
        "slice, text of wide characters walked",
        'seen = 0\nfor i in range(n) { if slice(text, i, i + 1) == "é" { seen += 1 } }\nsubmit seen',
        lambda n: {"text": text_of(n, "naïve café 😀 ")},
        lambda n: text_of(n, "naïve café 😀 ").count("é"),
    ),
    Row(
        "slice, list walked",
        "seen = 0\nfor i in range(n) { seen += len(slice(xs, i, i + 3)) }\nsubmit seen",
        lambda n: {"xs": list(range(n))},
        lambda n: 3 * n - 3,
    ),
)


def measure(runs: int) -> dict[str, Any]:
    """Nanoseconds per element by row and size."""
    figures: dict[str, list[float]] = {}
    for row in ROWS:
        figures[row.title] = [best(lambda row=row, n=n: once(row, n), runs) / n * 1e9 for n in SIZES]
    for title, timed in COPIES.items():
        figures[title] = [
            best(lambda timed=timed, machine=machine: timed(machine), runs) / n * 1e9 for machine, n in filled()
        ]
    return {
        "sizes": list(SIZES),
        "ns_per_element": figures,
        "worst_to_best": {k: spread(v) for k, v in figures.items()},
    }


def best(body: Callable[[], float], runs: int) -> float:
    """The least of what `body` measures."""
    samples: list[float] = []
    for _ in range(runs):
        gc.collect()
        samples.append(body())
    return min(samples)


def once(row: Row, n: int) -> float:
    """Seconds for one run in a fresh machine; what it works on is there before."""
    with lashlang.Machine(LIMITS) as machine:
        for name, value in (row.prepare(n) | {"n": n}).items():
            machine.globals[name] = value
        program = lashlang.compile(row.source)
        begin = time.perf_counter()
        outcome = machine.run(program)
        seconds = time.perf_counter() - begin
        check((outcome.status, outcome.value), ("submitted", row.answer(n)))
        return seconds


def filled() -> Any:
    """A machine of each size that holds so many records, and the size."""
    for n in SIZES:
        with lashlang.Machine(LIMITS) as machine:
            machine.globals["rows"] = records(n)
            yield machine, n


def dumped(machine: lashlang.Machine) -> float:
    """Seconds for a portable snapshot."""
    begin = time.perf_counter()
    machine.snapshot()
    return time.perf_counter() - begin


def loaded(machine: lashlang.Machine) -> float:
    """Seconds for restoring one."""
    data = machine.snapshot()
    begin = time.perf_counter()
    copy = lashlang.Machine.restore(data, limits=LIMITS)
    seconds = time.perf_counter() - begin
    check(list(copy.globals), ["rows"])
    copy.close()
    return seconds


def forked(machine: lashlang.Machine) -> float:
    """Seconds for a fork."""
    begin = time.perf_counter()
    copy = machine.fork()
    seconds = time.perf_counter() - begin
    check(list(copy.globals), ["rows"])
    copy.close()
    return seconds


COPIES: dict[str, Callable[[lashlang.Machine], float]] = {
    "dump, portable, of records": dumped,
    "load, portable, of records": loaded,
    "fork, of records": forked,
}


def spread(figures: Sequence[float]) -> float:
    """Worst to best figure among the sizes that count."""
    kept = [figure for figure, n in zip(figures, SIZES, strict=True) if n >= FROM]
    return round(max(kept) / min(kept), 2)


def report(figures: dict[str, Any], markdown: bool) -> str:
    """The table, and a verdict per row."""
    body: list[list[str]] = []
    for title, line in figures["ns_per_element"].items():
        ratio = figures["worst_to_best"][title]
        cell = f"`{title}`" if markdown and "[" in title else title
        body.append([cell, *map(shown, line), f"{ratio:g}", "flat" if ratio <= FLAT else "not flat"])
    head = ["nanoseconds per element", *(f"{n:,}" for n in SIZES), f"worst / best from {FROM:,} on", ""]
    return table(head, body, markdown)
