"""What the jobs work on, and the answers they must give; the programs are in `benchmarks.programs`.

A program that does less work would give another answer, so it cannot look fast.
"""

from __future__ import annotations

import functools
import json
from typing import Any, Final

LINES: Final = 100_000
RECORDS: Final = 100_000
HOST_CALLS: Final = 10_000
IN_FLIGHT: Final = 1000
WORDS: Final = "alpha beta gamma delta needle epsilon zeta eta theta iota kappa lambda mu".split()


def make_text() -> str:
    """100,000 lines of seven words picked by arithmetic, about 4 MB."""
    n = len(WORDS)
    return "\n".join(" ".join(WORDS[(i * k + k * k) % n] for k in (1, 2, 3, 5, 7, 11, 12)) for i in range(LINES))


def make_json() -> str:
    """A list of 12,500 records with a nested list and a nested record each, about 1 MB."""
    return json.dumps(
        [
            {"id": i, "name": f"user {i}", "tags": ["a", "bb", "ccc"], "pos": {"x": i % 17, "y": i % 23}}
            for i in range(12_500)
        ]
    )


TEXT: Final = make_text()
JSON: Final = make_json()
INPUTS: Final[dict[str, dict[str, Any]]] = {"text": {"text": TEXT}, "json": {"doc": JSON}}


@functools.cache
def expected() -> dict[str, Any]:
    """The right answer of each job, computed by plain Python."""
    lines = TEXT.split("\n")
    counts: dict[str, int] = {}
    for line in lines:
        for word in line.split(" "):
            counts[word] = counts.get(word, 0) + 1
    rows = json.loads(JSON)
    return {
        "cold": 2,
        "loop": 500_000_500_000,
        "text": [len("\n".join(line for line in lines if "needle" in line)), len(counts), max(counts.values())],
        "records": sum(i * 3 for i in range(RECORDS)),
        "json": sum(r["id"] + r["pos"]["x"] + r["pos"]["y"] + len(r["tags"]) for r in rows),
        "host": sum(i + 1 for i in range(HOST_CALLS)),
        "host_async": sum(i + 1 for i in range(HOST_CALLS)),
        "wave": sum(i + 1 for i in range(IN_FLIGHT)),
    }
