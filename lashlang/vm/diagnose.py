"""From a kernel's fault to a diagnostic: the place from the program's spans, the hint from the fault's topic.

The hints are the rows of chapter 17 that can apply while a block runs; those for sources that do not
compile are the syntax package's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from lashlang.compiler import Fact
from lashlang.compiler.faults import KINDS, LIMITS, TOPICS
from lashlang.syntax.diagnostics import Diagnostic
from lashlang.syntax.hints import unknown_name
from lashlang.syntax.source import Source

if TYPE_CHECKING:
    from lashlang.compiler.program import Program


class Fault(NamedTuple):
    """What the kernel says of a failed block: numbers of `faults.py`, its message, the instruction and its site."""

    kind: int
    limit: int
    topic: int
    message: str
    pc: int
    site: int


_BY_KIND = {
    "read_only": "the name belongs to the host for this block; copy it to a new variable: `copy = name`",
    "unwrap_failed": "to handle the failure, leave out the `?` and look at `.ok` and `.error` of the result",
}

_BY_TOPIC = {
    "root": "create it first, for example `x = {}`, `x = []` or `n = 0`",
    "wrapper": "this is the result of a call, `{ ok, value }` or `{ ok, error }`: unwrap it with `?`, or read `.value`",
    "null": 'a value is missing here: test it first, or give a default with `x ?? ""` or `x ?? 0`',
    "iterate_record": "loop over its entries with `for k, v in r`, or over `keys(r)`",
    "iterate_string": 'loop over its characters with `split(s, "")`, or over `lines(s)`',
    "iterate_number": "to count, loop over `range(n)`",
    "pairs": "for positions use `for i, x in enumerate(xs)`, for two lists `for a, b in zip(xs, ys)`",
    "append": "assignment replaces elements only; to add one write `xs = push(xs, v)`",
    "validate": "the second argument is a type: `Type { name: str }`",
    "join": 'the list comes first: `join(xs, ",")`',
    "pair_field": "pairs are lists: take them apart with `for k, v in …`; `sort_by(items(r), 1)` sorts by the value",
    "format": "only `{}`, `{0}`, `{:.2f}` and `{:,}` are known; `pad_left` and `pad_right` make columns",
    "len_image": "the size of an image in bytes is its field `.size`",
    "unwrap_await": "unwrap each element of what `await` gave: `[r? for r in rs]`; a plain `call` needs no `await`",
    "unwrap_handle": "a handle must be awaited first: `(await h)?`",
}


def diagnose(program: Program, fault: Fault, names: Iterable[str]) -> Diagnostic:
    """The diagnostic of a fault; `names` are those bound when the block ended."""
    kind = KINDS[fault.kind]
    source = Source(program.source)
    start, end = program.span(fault.pc, fault.site)
    line, column = source.position(start)
    end_line, end_column = source.position(end)
    code = LIMITS[fault.limit] if fault.limit >= 0 else None
    return Diagnostic(
        kind,
        fault.message,
        line,
        column,
        end_line,
        end_column,
        code,
        hint_for(program, fault, kind, TOPICS[fault.topic], names),
    )


def hint_for(program: Program, fault: Fault, kind: str, topic: str, names: Iterable[str]) -> str | None:
    """The hint of chapter 17 that applies, if any."""
    if topic == "name":
        if Fact.ROOT in program.facts(fault.pc, fault.site):
            return _BY_TOPIC["root"]
        quoted = re.search(r"`([^`]*)`", fault.message)
        return unknown_name(quoted.group(1), names) if quoted else None
    if topic == "index":
        return _hint_for_index(fault.message)
    if topic == "unwrap_null":
        followed = Fact.FOLLOWED in program.facts(fault.pc, 0)
        return "there is no `?.`; reading from null gives null, so write `a.b`" if followed else None
    return _BY_TOPIC.get(topic) or _BY_KIND.get(kind)


def _hint_for_index(message: str) -> str:
    if "null" in message:
        return "the value is missing: test it first"
    if "string" in message:
        return "text that holds a number becomes one with `to_int(x)`; a record key belongs on a record"
    return "positions are whole numbers"
