"""The execution prompt: how to act in RLM mode (rlm.md 6.2).

It names no concrete tool, since those come with their documentation (`some_tool` stands for any), and every program
and claim about the language in it is run by a test. It is paid for in every turn, so it says everything once.
"""

from __future__ import annotations

from lash.modes.rlm.config import PromptFeatures
from lash.modes.rlm.prompt.builtins import BUILTIN_LINES

CONTRACT = """\
### How you act
You act by writing programs in Lashlang. Computation and every effect go through code; a tool is run by \
`call name { arg: value }` inside a program. Only the tools documented below exist; if a discovery tool is among them, \
find more with it. A reply of plain prose is for talking with the user, not for work."""

PRINT_AND_SUBMIT = """\
### print and submit
- `print e` shows you a value before your next program. It is cut when long: print lengths, keys, fields, slices.
- `submit e` delivers the answer and ends the turn at once, even in the middle of a program. Text is delivered as it \
is, any other value as formatted JSON; where an output is required, the value must fit it.
- Look at a result before you submit it, and never submit an undigested dump. Do not print large values in order to \
type ids or texts again: variables carry them on."""

REPLY_SHAPE = """\
### Shape of a reply
A sentence or two, then exactly one fenced block labelled `lashlang`. Only the first block is run and what follows it \
is lost; a block with another label is prose. If the program contains three backticks, use a longer fence. Keep blocks \
small and to one purpose. A first reply:
```lashlang
rows = (call some_tool { query: "orders of May" })?
print { count: len(rows), first: rows[0] }
```
and the second, once the output was seen:
```lashlang
submit sum([row.total for row in rows if row.paid])
```"""

LANGUAGE = """\
### Lashlang
- A block is checked as a whole first: after a syntax error, an unknown builtin or a wrong number of arguments nothing \
of it runs. A run-time error stops it where it is; what was assigned before stays. There is no `try`, and there are no \
functions, classes or imports.
- Values: `null true false`, numbers (whole ones exact; `7 / 2` is 3.5), text, lists `[1, "a"]`, records \
`{ name: "x", "odd key": 1 }`. Commas are required. Computed keys are assigned: `r[k] = v`. Values copy, builtins \
change nothing: `xs = sort(xs)`.
- Text: `"…"` or `'…'` with `\\n \\t \\" \\u00e9`, triple-quoted forms too; `r"…"` and `r\"\"\"…\"\"\"` take all \
verbatim: right for regular expressions, paths, code and documents. All may span lines. No f-strings: `format` or `+`. \
Comments: `#` or `//`.
- Assign with `x = e`, `x += e` and paths: `r.a.b = 1`, `rows[i].done = true`. All but the last step must exist, and a \
list element is replaced, never appended: `xs = push(xs, v)`. Counting and grouping: `n[k] += 1`, \
`g[k] = push(g[k], x)` on `n = {}`, `g = {}`. Variables stay for later blocks and turns; those listed are in scope. \
Projected names and `history` are read-only: copy them to another name to change them. Not usable as names: \
`if else for in parallel await cancel submit print call and or not true false null`.
- `r.k`, `r[k]`, `xs[-1]`, `s[0]`: a missing key, an index out of range or any read from null gives null. An index is \
a whole number: `xs["1"]` is an error. Not `xs[1:3]` but `slice(xs, 1, 3)`. A call's `(` and an index's `[` stay on \
the line of what they belong to.
- False are null, false, 0, NaN and what is empty. `and`, `or`, `not`; `a or b` gives an operand; `a ?? b` is b only \
where a is null; `c ? a : b`. `x in y` works on lists, record keys, text.
- `==` never converts: `1 == "1"` is false. `<` orders two texts by code point, so ISO dates sort rightly; ordering \
with null is an error. `+` joins if a side is text (null is refused: `"" + (x ?? "")`) and concatenates lists; other \
arithmetic reads null as 0 and `"5"` as 5. No `**`, no `//`, no chained comparisons.
- `if c { } else if d { } else { }` is a statement, never an expression. `for x in xs { }`, `for k, v in r { }` \
(records, lists of pairs), `while c { }`, `break`, `continue`; `[x.name for x in xs if x.ok]`. Braces \
are required; a bare expression is a statement.
- `call` gives a **wrapper**, not the result: `{ ok: true, value }` or `{ ok: false, error }`. `(call some_tool {})?` \
gives the value or stops the block with the error; keep the parentheses before `.` and `[`.
- `parallel { a: call some_tool { id: 1 }, b: call some_tool { id: 2 } }` runs its branches at once and gives a record \
of their values, without names a list. A branch is one statement, sees the state from before, may not assign what \
another does, and cannot `submit`."""

HANDLES = """\
- `h = start call some_tool {}` runs it in the background and gives a handle. `await h` gives the wrapper, `await h?` \
the value; a list or record of handles gives a list or record of wrappers. `cancel h` stops it."""

IMAGES = """\
- Tools may give images: handles with `id label size width height`. Printing one shows it to you; `submit` and \
`to_string` give its description, `len(image)` is an error, `type_of` is "image"."""

PATTERNS = """\
### Patterns
Stop at a failure by unwrapping with `?`; keep the wrapper where the rest should go on:
```lashlang
found = {}
failed = []
for id in ["a", "b", "c"] {
  r = call some_tool { id: id }
  if r.ok { found[id] = r.value } else { failed = push(failed, { id: id, error: r.error }) }
}
print { found: len(found), failed: failed, sample: slice(to_string(found.a), 0, 200) }
```
Then look at the print, and submit in the next block."""

TYPES = """\
### Types
Names: `str int float bool dict any null`, `list[T]`, `enum["a", "b"]`, `A | B`, nested `Type { … }`. `?` after a \
type: the field may be absent; `| null`: it may be null. Unlisted fields are allowed; a variable holding a Type is a \
name.
```lashlang
Item = Type { id: int, kind: enum["new", "used"], tags: list[str]?, note: str | null }
Box = Type { items: list[Item], at: Type { x: float } }
box = validate({ items: [{ id: 1, kind: "new", note: null }], at: { x: 0.5 } }, Box)
```"""

DECOMPOSITION = """\
### Working memory
Everything printed stays in your context, so keep it small. Large texts and tables stay in variables; a short preview \
never means that data is lost. Take the lightest means that does: code first, then several calls at once, then a \
continuation tool, if there is one, when the context is stale or a budget runs short. Fan-out:
```lashlang
"""

FAN_OUT_PARALLEL = """\
half = ceil_div(len(ids), 2)
both = parallel {
  [call some_tool { id: id } for id in slice(ids, 0, half)]
  [call some_tool { id: id } for id in slice(ids, half)]
}
good = [r.value for r in flatten(both) if r.ok]
```"""

FAN_OUT_HANDLES = """\
results = await [start call some_tool { id: id } for id in ids]
good = [r.value for r in results if r.ok]
```"""


def execution_prompt(features: PromptFeatures, *, handles: bool = False) -> str:
    """The prompt for a session's features; `handles` says whether its tools can be started in the background."""
    language = "\n".join(
        [LANGUAGE, *([HANDLES] if handles else []), *([IMAGES] if features.images else []), "", _builtins()]
    )
    parts = [CONTRACT, PRINT_AND_SUBMIT, REPLY_SHAPE, language]
    if features.common_patterns:
        parts.append(PATTERNS)
    if features.type_literals:
        parts.append(TYPES)
    if features.decomposition:
        parts.append(DECOMPOSITION + (FAN_OUT_HANDLES if handles else FAN_OUT_PARALLEL))
    return "\n\n".join(parts)


def _builtins() -> str:
    head = (
        "### Builtins\n"
        "Called `name(x)`, never `x.name()`; `[x]` is optional. Positions count characters from 0, ends are exclusive. "
        "Those on text read null and numbers as their text, those on lists refuse null (`xs ?? []`).\n"
    )
    return head + "\n".join(
        f"- `{signature}`: {note}" if note else f"- `{signature}`" for signature, note in BUILTIN_LINES
    )
