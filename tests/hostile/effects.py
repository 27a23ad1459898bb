"""Hostile effects: floods of output and requests, tools that answer with anything, and branches in numbers."""

from __future__ import annotations

from typing import Any, NoReturn

import lashlang
from lashlang import Limits

from .program import LONG, MIB, Hostile, cyclic, deep, numbered


class Untextual(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError


def fail(error: BaseException) -> NoReturn:
    """Raise, where a tool is an expression."""
    raise error


FLOODS = {
    "prints without end": Hostile("output", "w = pad_left('x', 1000)\nwhile true { print w }"),
    "prints of single letters": Hostile("output", "while true { print 'x' }", Limits(output=5_000)),
    "prints of nothing": Hostile("requests", "while true { print '' }"),
    "one print that is too long": Hostile("output", LONG + "print s + s"),
    "one print of a long list": Hostile("output", "print range(900000)"),
    "prints in branches": Hostile("output", LONG + "parallel { " + "print slice(s, 0, 9999), " * 200 + " }"),
    "prints of texts that grow": Hostile("output", "x = 'x'\nwhile true { x += x  print x }"),
    "calls without end": Hostile("requests", "while true { call echo {} }"),
    "calls in a comprehension": Hostile("requests", "x = [call echo { i: i } for i in range(999999)]"),
    "calls in the filter of a comprehension": Hostile(
        "requests", "x = [i for i in range(999999) if (call echo { i: i }).ok]"
    ),
    "failing calls without end": Hostile("requests", "while true { call none_such {} }"),
    "too many branches that call": Hostile("requests", "parallel { " + "call echo {}, " * 10_001 + "}"),
    "waves without end": Hostile("requests", "while true { parallel { " + "call echo {}, " * 3_000 + "} }"),
    "starts without end": Hostile("requests", "h = [start call echo {} for i in range(10001)]"),
    "starts that nobody awaits": Hostile("requests", "while true { start call echo {} }"),
    "one handle awaited without end": Hostile("requests", "h = start call echo {}\nwhile true { await h }"),
    "one handle awaited too often at once": Hostile(
        "requests", "h = start call echo {}\nx = await [h for i in range(10000)]"
    ),
    "one handle cancelled without end": Hostile("requests", "h = start call echo {}\nwhile true { cancel h }"),
    "handles that nobody knows": Hostile("requests", "while true { await { handle: 'none' } }"),
    "too many handles in one record": Hostile(
        "requests", "r = {}\nfor i in range(10001) { r['k' + i] = { handle: i } }\nx = await r"
    ),
    "calls with all the values there are": Hostile(
        "requests", LONG + "while true { x = call echo { s: slice(s, 0, 9999), l: [1, [2]] } }", Limits(requests=2_000)
    ),
    "a call with a text that is too long": Hostile(
        "value_size", LONG + "call echo { " + numbered("a{0}: s", 64, ", ") + " }"
    ),
    "a wave of 10,000 and one more": Hostile(
        "requests", "x = parallel { " + "call echo {}, " * 10_000 + "}\ncall echo {}"
    ),
}
"""More output and more requests than a block may make."""

ANSWERS = {
    "a tool that answers too deep": Hostile("value_depth", "x = call t {}", tools={"t": lambda: deep(500)}),
    "a tool that answers far too deep": Hostile("value_depth", "x = call t {}", tools={"t": lambda: deep(100_000)}),
    "a tool that answers with a cycle": Hostile("value_depth", "x = call t {}", tools={"t": cyclic}),
    "a tool that answers too much": Hostile("list_size", "x = call t {}", tools={"t": lambda: [0] * 1_000_001}),
    "a tool that answers with too many keys": Hostile(
        "list_size", "x = call t {}", Limits(list_size=999), tools={"t": lambda: dict.fromkeys(map(str, range(1_000)))}
    ),
    "a tool that answers with too long a text": Hostile(
        "string_size", "x = call t {}", Limits(string_size=MIB), tools={"t": lambda: "x" * (MIB + 1)}
    ),
    "a tool that answers with more than the memory": Hostile(
        "memory", "x = call t {}", tools={"t": lambda: ["x" * MIB] * 200}
    ),
    "a tool that answers with shared parts": Hostile(
        "memory", "x = call t {}", tools={"t": lambda: [[[["x" * 1000] * 50] * 50] * 50]}
    ),
    "a tool that answers a little more each time": Hostile(
        "memory", "x = []\nwhile true { x = push(x, call t {}) }", tools={"t": lambda: "x" * MIB}
    ),
    "a tool that answers with an object": Hostile("unwrap_failed", "x = (call t {})?", tools={"t": object}),
    "a tool that answers with a set": Hostile("unwrap_failed", "x = (call t {})?", tools={"t": lambda: {1, 2}}),
    "a tool that answers with bytes": Hostile("unwrap_failed", "x = (call t {})?", tools={"t": lambda: b"x"}),
    "a tool that answers with a key that is no text": Hostile(
        "unwrap_failed", "x = (call t {})?", tools={"t": lambda: {1: 2}}
    ),
    "a tool that answers with half a character": Hostile(
        "unwrap_failed", "x = (call t {})?", tools={"t": lambda: "\ud800"}
    ),
    "a tool that answers with a generator": Hostile(
        "unwrap_failed", "x = (call t {})?", tools={"t": lambda: (i for i in range(9))}
    ),
    "a tool that answers with itself": Hostile("unwrap_failed", "x = (call t {})?", tools={"t": lambda: lashlang}),
    "a tool that fails with an error of a hundred megabytes": Hostile(
        "memory", "x = call t {}", tools={"t": lambda: fail(ValueError("x" * 100_000_000))}
    ),
    "a tool that fails with a value that is too deep": Hostile(
        "unwrap_failed", "x = (call t {})?", tools={"t": lambda: fail(lashlang.ToolFailure(deep(1000)))}
    ),
    "a tool that fails with a cycle": Hostile(
        "value_depth", "x = (call t {})?", tools={"t": lambda: fail(lashlang.ToolFailure(cyclic()))}
    ),
    "a tool that fails without a word": Hostile(
        "unwrap_failed", "x = (call t {})?", tools={"t": lambda: fail(Untextual())}
    ),
    "a tool that fails with half a character": Hostile(
        "unwrap_failed", "x = (call t {})?", tools={"t": lambda: fail(ValueError("\udc80"))}
    ),
    "a tool that stops its own iteration": Hostile(
        "unwrap_failed", "x = (call t {})?", tools={"t": lambda: fail(StopIteration())}
    ),
    "a tool that recurses without end": Hostile("unwrap_failed", "x = (call t {})?", tools={"t": lambda: recurse(0)}),
    "a start of a tool that does not exist": Hostile("effect_failed", "h = start call none_such {}"),
}
"""Tools and hosts that answer with what they should not."""


def recurse(depth: int) -> Any:
    """Never come back."""
    return [recurse(depth + 1)]


BRANCHES = {
    "parallel without end": Hostile("fuel", "while true { parallel { 1, 2 } }", Limits(fuel=2_000_000)),
    "branches that never end": Hostile("fuel", "parallel { while true {}\nwhile true {} }"),
    "a thousand branches that never end": Hostile("fuel", "parallel { " + "while true {}\n" * 1_000 + " }"),
    "a branch that never ends beside a call": Hostile("fuel", "parallel { call echo {}\nwhile true {} }"),
    "a branch that never ends beside a read": Hostile(
        "fuel", "parallel { len(p)\nwhile true {} }", projected=lambda: {"p": lashlang.TextSource("abc")}
    ),
    "branches inside branches that never end": Hostile(
        "fuel", "parallel { " * 60 + "while true {}" + "\nwhile true {} }" * 60
    ),
    "branches that call without end": Hostile("requests", "parallel { " + "while true { call echo {} }\n" * 100 + " }"),
    "branches that grow without end": Hostile(
        "memory", LONG + "x = []\nparallel { " + "while true { x = push(x, s + len(x)) }\n" * 10 + " }"
    ),
    "branches that all assign one name": Hostile(
        "parallel_conflict", "parallel { " + "if true { x = 1 }\n" * 10_000 + " }"
    ),
    "branches that all fail": Hostile("type_error", "parallel { " + "[] + 1, " * 10_000 + " }"),
    "a wide wave inside every branch": Hostile(
        "requests", "parallel { " + ("parallel { " + "call echo {}, " * 150 + " }, ") * 100 + " }"
    ),
    "many branches over many variables": Hostile(
        "memory", numbered("v{0} = {0}", 3_000) + "\nparallel { " + "1, " * 8_000 + " }"
    ),
}
"""Branches in numbers, and branches that never end."""

FINE = {
    "a long await": Hostile("submitted", "h = [start call echo { i: i } for i in range(3000)]\nsubmit len(await h)"),
    "a wave of 10,000": Hostile("submitted", "submit len(parallel { " + "call echo {}, " * 10_000 + "})"),
    "handles awaited again and again": Hostile(
        "submitted", "h = start call echo {}\nfor i in range(99) { x = await [h, h] }\nsubmit x == await [h, h]"
    ),
    "a tool that answers with too long a number": Hostile(
        "submitted", "submit 1 / (call t {})?[0]", tools={"t": lambda: [10**400]}
    ),
    "a handle awaited after it was cancelled": Hostile(
        "submitted", "h = start call echo {}\ncancel h\ncancel h\nsubmit await [h, h, { handle: 1 }, null]"
    ),
    "a failure as long as it may be": Hostile(
        "submitted", "submit len((call t {}).error)", tools={"t": lambda: fail(ValueError("x" * 10_000_000))}
    ),
}
"""Effects that only look dangerous."""
