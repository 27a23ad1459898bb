"""The jobs every engine does, written as one would in its language: the same work, the same answer.

A program is a key of these tables; `host` calls the host's function `ext`, which adds one, 10,000 times,
`host_async` awaits it as often, `wave` has a thousand calls of it in flight together.
"""

from __future__ import annotations

from typing import Final

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
    "wave": "import asyncio\nsum(await asyncio.gather(*[ext(i) for i in range(1000)]))",
}

STARLARK: Final[dict[str, str]] = {
    "cold": PYTHON["cold"],
    "loop": PYTHON["loop"],
    "text": PYTHON["text"],
    "records": PYTHON["records"],
    "json": PYTHON["json"].replace("import json\n", "").replace("json.loads", "json.decode"),
    "host": PYTHON["host"],
}

JAVASCRIPT: Final[dict[str, str]] = {
    "cold": "1 + 1",
    "loop": "let total = 0;\nfor (let i = 1; i <= 1000000; i++) total += i;\ntotal",
    "text": """
const lines = text.split("\\n");
const kept = lines.filter(line => line.includes("needle"));
const counts = new Map();
for (const line of lines) {
  for (const word of line.split(" ")) counts.set(word, (counts.get(word) ?? 0) + 1);
}
[kept.join("\\n").length, counts.size, Math.max(...counts.values())]
""",
    "records": """
const rows = [];
for (let i = 0; i < 100000; i++) {
  rows.push({ id: i, name: "user" + i, tags: [i % 7, i % 13], nested: { score: i * 3 } });
}
let total = 0;
for (const row of rows) total += row.nested.score;
total
""",
    "json": """
let total = 0;
for (const r of JSON.parse(doc)) total += r.id + r.pos.x + r.pos.y + r.tags.length;
total
""",
    "host": "let total = 0;\nfor (let i = 0; i < 10000; i++) total += ext(i);\ntotal",
    "host_async": """
const ext = i => new Promise(resolve => begin(i, resolve));
(async () => {
  let total = 0;
  for (let i = 0; i < 10000; i++) total += await ext(i);
  return total;
})().then(finish);
""",
    "wave": """
const ext = i => new Promise(resolve => begin(i, resolve));
Promise.all(Array.from({ length: 1000 }, (_, i) => ext(i))).then(all => finish(all.reduce((a, b) => a + b, 0)));
""",
}

LUA: Final[dict[str, str]] = {
    "cold": "return 1 + 1",
    "loop": "local total = 0\nfor i = 1, 1000000 do total = total + i end\nreturn total",
    "text": """
local kept, counts = {}, {}
for line in text:gmatch("[^\\n]+") do
  if line:find("needle", 1, true) then kept[#kept + 1] = line end
  for word in line:gmatch("[^ ]+") do counts[word] = (counts[word] or 0) + 1 end
end
local distinct, most = 0, 0
for _, count in pairs(counts) do
  distinct = distinct + 1
  most = math.max(most, count)
end
return { #table.concat(kept, "\\n"), distinct, most }
""",
    "records": """
local rows = {}
for i = 0, 99999 do
  rows[#rows + 1] = { id = i, name = "user" .. i, tags = { i % 7, i % 13 }, nested = { score = i * 3 } }
end
local total = 0
for _, row in ipairs(rows) do total = total + row.nested.score end
return total
""",
    "host": "local total = 0\nfor i = 0, 9999 do total = total + ext(i) end\nreturn total",
    "host_async": """
return function()
  local total = 0
  for i = 0, 9999 do total = total + coroutine.yield(i) end
  return total
end
""",
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
    "host_async": "total = 0\nfor i in range(10000) { total += (call ext { i: i })? }\nsubmit total",
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
