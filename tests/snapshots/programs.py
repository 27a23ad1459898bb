"""States and suspended blocks that the tests take snapshots of."""

from __future__ import annotations

import lashlang

STATE = """
nothing = null
truths = [true, false]
numbers = [0, -1, 9223372036854775807, -9223372036854775807 - 1, 0.5, -0.0, 1e300, 0 / 0, 1 / 0, -1 / 0, pow(2, 64)]
texts = ["", "a", "naïve 😀", "line\\none", pad_left("", 600, "x"), pad_left("", 2000, "é")]
shape = Type { name: str, tags: list[str], size: int | null? }
nested = { a: { b: { c: [[], {}, [[null]]] } }, "odd key": 1, "": 2 }
shared = [nested, nested, texts, "naïve 😀"]
views = [slice(texts[5], i, 1500 + i) for i in range(20)]
grown = pad_left("", 3000, "z")
for i in range(5) { grown = grown + "y" }
looks_like_an_image = { type: "image", id: "i", label: "l", size: 1 }
"""

FAN_OUT = """
total = 0
parts = parallel {
  left: [(call double { n: n })? for n in range(2, 4)],
  right: await start call slow { n: 10 },
  both: parallel { (call double { n: 7 })?, total = 5 }
}
for row in parts.left { total += row }
print "half way: " + total
handles = { a: start call slow { n: 1 }, b: [start call slow { n: 2 }] }
rest = await handles
for key, value in { x: 1, y: 2 } {
  found = [ (call double { n: value * i })? for i in [1, 2] if i > 0 ]
  print { key: key, found: found }
}
submit { total: total, parts: parts, rest: rest, found: found }
"""
"""A block with branches inside branches, handles, loops and comprehensions around its requests."""


def answer(request: lashlang.Request) -> lashlang.Response:
    """What the tools of `FAN_OUT` answer, which depends on nothing but the request."""
    match request:
        case lashlang.Call(args=args):
            number = args["n"]
            assert isinstance(number, int)
            return lashlang.Response.ok(number * 2)
        case lashlang.Start(args=args):
            return lashlang.Response.ok({"__handle__": "tool", "id": f"h{args['n']}", "tool": "slow"})
        case lashlang.AwaitHandle(handle=handle):
            return lashlang.Response.ok(f"result of {handle['id']}")
        case _:
            return lashlang.Response.ok()


def finish(machine: lashlang.Machine, step: lashlang.Step | None) -> lashlang.Outcome:
    """Take a block to its end, every wave answered whole."""
    while not isinstance(step, lashlang.Done):
        assert isinstance(step, lashlang.Requests)
        step = machine.resume({request.id: answer(request) for request in step.pending})
    return step.outcome
