"""The jobs every engine does, in the languages of the engines, with the answers they must give.

A program that does less work would give another answer, so it cannot look fast.
"""

from __future__ import annotations

import functools
import json
from typing import Any, Final

LINES: Final = 100_000
RECORDS: Final = 100_000
HOST_CALLS: Final = 10_000
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
    }


PYTHON: Final[dict[str, str]] = {
    "cold": "1 + 1",
    "loop": "total = 0\nfor i in range(1, 1000001):\n    total += i\ntotal",
    "text": """
lines = text.split("\\n")
kept = [line for line in lines if "needle" in line]
counts = {}
for line in lines:
    for word in line.split(" "):
        counts[word] = counts.get(word, 0) + 1
[len("\\n".join(kept)), len(counts), max(counts.values())]
""",
    "records": """
rows = []
for i in range(100000):
    rows.append({"id": i, "name": "user" + str(i), "tags": [i % 7, i % 13], "nested": {"score": i * 3}})
total = 0
for row in rows:
    total += row["nested"]["score"]
total
""",
    "json": """
import json
total = 0
for r in json.loads(doc):
    total += r["id"] + r["pos"]["x"] + r["pos"]["y"] + len(r["tags"])
total
""",
    "host": "total = 0\nfor i in range(10000):\n    total += ext(i)\ntotal",
    "host_async": "total = 0\nfor i in range(10000):\n    total += await ext(i)\ntotal",
}

LASHLANG: Final[dict[str, str]] = {
    "cold": "submit 1 + 1",
    "loop": "total = 0\nfor i in range(1, 1000001) { total += i }\nsubmit total",
    "text": """
rows = split(text, "\\n")
kept = [line for line in rows if "needle" in line]
counts = {}
for line in rows {
  for word in split(line, " ") { counts[word] += 1 }
}
submit [len(join(kept, "\\n")), len(counts), max(values(counts))]
""",
    "records": """
rows = []
for i in range(100000) {
  rows = push(rows, { id: i, name: "user" + i, tags: [i % 7, i % 13], nested: { score: i * 3 } })
}
total = 0
for row in rows { total += row.nested.score }
submit total
""",
    "json": """
total = 0
for r in json_parse(doc) { total += r.id + r.pos.x + r.pos.y + len(r.tags) }
submit total
""",
    "host": "total = 0\nfor i in range(10000) { total += (call ext { i: i })? }\nsubmit total",
    "wave": "hs = [start call ext { i: i } for i in range(1000)]\nsubmit sum([r? for r in await hs])",
}

FIFTY_LINES: Final = "\n".join(
    f"""rows_{n} = (call list_rows {{ table: "orders_{n}", limit: {n} }})?
kept = [r for r in rows_{n} if r.total >= {n * 10} and r.state != "void"]
for k, v in group_by(kept, "state") {{
  totals[k + "_{n}"] = round(sum([r.total for r in v]) / max(1, len(v)), 2)
}}
if len(kept) > {n} {{ print {{ n: {n}, kept: len(kept), first: kept[0].name }} }} else {{ missing += 1 }}
names = sort(unique([lower(trim(r.name)) for r in kept]))
text = join(names, ", ") + format(" ({{}} of {{}})", len(names), len(rows_{n}))
best = sort_by(kept, "total", true)[0] ?? {{ name: "none", total: 0 }}
summary[best.name] = {{ total: best.total, share: best.total / (totals["sum"] ?? 1), note: text }}"""
    for n in range(1, 6)
)
"""A program of fifty lines as a model might write it."""
