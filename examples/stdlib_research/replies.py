"""What a model answered to the demo's question, kept so that the demo runs without one.

The programs are real: they run against the sources of the Python at hand, and so the figures are that Python's.
"""

REPLIES = [
    """I look at what there is before I read any of it.

```lashlang
print { files: len(sources), characters: sum([len(f.text) for f in sources]) }
largest = slice(sort_by([{ path: f.path, lines: count(f.text, "\\n") } for f in sources], "lines", true), 0, 5)
print largest
```""",
    """The question has three parts that do not depend on each other, so I ask for them side by side. The tool reads \
every file for a pattern; I keep its answers in variables and print only their sizes.

```lashlang
found = parallel {
  raised: (call search { pattern: "^\\\\s*raise NotImplementedError" })?
  coroutines: (call search { pattern: "^\\\\s*async def " })?
  deprecated: (call search { pattern: "DeprecationWarning" })?
}
print { raised: len(found.raised), coroutines: len(found.coroutines), deprecated: len(found.deprecated) }
print slice(sort_by(found.raised, "count", true), 0, 3)
```""",
    """Before I count on these figures I read one of the places: the file with the most hits, around its first one.

```lashlang
top = sort_by(found.raised, "count", true)[0]
file = [f for f in sources if f.path == top.path][0]
at = find(file.text, "raise NotImplementedError")
print format("{}, character {:,} of {:,}:", file.path, at, len(file.text))
print slice(file.text, at - 120, at + 40)
```""",
    """Now the package of each file, and the totals.

```lashlang
topics = ["raised", "coroutines", "deprecated"]
totals = {}
for name in topics {
  by_package = {}
  for hit in found[name] {
    package = split(hit.path, "/")[0]
    by_package[package] += hit.count
  }
  totals[name] = slice(sort_by(items(by_package), 1, true), 0, 3)
}
answer = [{ topic: name, packages: [{ name: p[0], count: p[1] } for p in totals[name]] } for name in topics]
submit { files: len(sources), topics: answer, note: format("largest file: {}", largest[0].path) }
```""",
]
