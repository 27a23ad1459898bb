"""Attacks on the loader of snapshots: what they begin with, how they are altered, and what must come of each.

`survives` says what must hold for any bytes whatever. It is used by test_hostile.py and by the fuzz target.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import lashlang
from lashlang.compiler.program import source_hash
from lashlang.projection import Projected
from tests.snapshots.forge import NOTHING, Ext, Map, Parts, Raw, cut, failure, reference, take_apart
from tests.snapshots.programs import FAN_OUT, STATE

GRANTED = lashlang.Limits(fuel=20_000, memory=4 << 20, value_size=1 << 20, requests=200, output=100_000)
"""What a machine made of hostile bytes is granted."""

MOST_STEPS = 12

SUSPENDED = {
    "call": "kept = [1, 'two']\nr = (call f { a: kept, b: 'é' })?\nkept = push(kept, r)\nsubmit kept",
    "start": "h = start call f { n: 1 }\nsubmit (await h)?",
    "await": "hs = { a: { handle: 1 }, b: [{ handle: 2 }] }\nsubmit await hs",
    "cancel": "h = { __handle__: 'tool', id: 7 }\ncancel h\nsubmit 1",
    "print": "for i in range(3) { print { i: i } }\nsubmit 'done'",
    "parallel": "r = parallel { a: (call f { n: 1 })?, b: x = [2, (call g {})?], c: await { handle: 3 }, d: 5 }\n"
    "submit [r, x]",
    "loops": "for k, v in { a: 1, b: 2 } { xs = [[x, i, call f {}] for x in [k, v] for i in range(2)] }\nsubmit xs",
    "building": "x = [" + "1 + 1, " * 70 + "call f {}]\nr = { a: 1, b: [call g { x: x }] }\nsubmit r",
    "texts": "t = pad_left('', 3000, 'é')\nx = [slice(t, i, 1500 + i) for i in range(5)]\nr = call f { x: x, t: t }\n"
    "submit len(x)",
    "shared": "x = 1\nfor i in range(30) { x = [x, x] }\nfor i in range(2) { y = call f { i: i } }\nz = [x, x, y]",
}
"""Blocks, each suspended at its first request."""

LAZY = {
    "reads": "submit [find(doc, 'x'), doc.title]",
    "reads in branches": "r = parallel { a: len(doc), b: (call f {})?, c: doc.x.y }\nsubmit r",
}
"""Blocks suspended at reads of a projection."""

SEEDS = ("state", "fan out", "between", *SUSPENDED, *LAZY)


@cache
def seed(name: str) -> bytes:
    """The portable snapshot of that name."""
    with lashlang.Machine() as machine:
        if name == "state":
            machine.globals["picture"] = lashlang.Image("i1", "a picture", 10, 3, None)
            machine.run(STATE)
        elif name == "between":
            machine.run(
                "p = [doc]\nx = { a: [1, 2.5], b: 'long text ' + pad_left('', 300, 'é') }\ny = [x, x, x.b]", **KEPT
            )
        elif name == "fan out":
            step = machine.start(FAN_OUT)
            assert isinstance(step, lashlang.Requests)
            machine.resume({request.id: lashlang.Response.ok(4) for request in step.pending[:2]})
        elif name in LAZY:
            machine.start(LAZY[name], **KEPT)
        else:
            machine.globals["x"] = {"from": ["before", "before"]}
            machine.start(SUSPENDED[name])
        return machine.snapshot()


KEPT: dict[str, Any] = {"projected": {"doc": Projected("doc")}}


def parts_of(name: str) -> Parts:
    """A seed taken apart, to be altered."""
    return copy.deepcopy(_parts(name))


@cache
def _parts(name: str) -> Parts:
    return take_apart(seed(name))


# --- what must hold ------------------------------------------------------------------------------------


def survives(data: bytes, choices: random.Random | None = None, limits: lashlang.Limits = GRANTED) -> bool:
    """Restore a machine from any bytes and use it; whether they were accepted.

    The only error is SnapshotError. What is restored runs to an end within its limits, and can be written and
    restored again at any time, which gives the same bytes.
    """
    choices = choices or random.Random(1)
    try:
        machine = lashlang.Machine.restore(data, limits=limits)
    except lashlang.SnapshotError as error:
        assert str(error)  # noqa: PT017
        return False
    with machine:
        outcome = _driven(machine, choices)
        if outcome is not None:
            assert outcome.fuel <= limits.fuel
            if outcome.error is not None:
                assert outcome.error.render(outcome.source)
        for name in machine.globals:
            try:
                assert name in machine.globals
                machine.globals[name]
            except lashlang.LanguageError as error:
                assert "value_size" in str(error) or "memory" in str(error)  # noqa: PT017
        written_again(machine)
        done = machine.run("submit 1 + 1")
        assert done.value == 2 or (done.error is not None and done.error.kind == "limit_exceeded")
    return True


def _driven(machine: lashlang.Machine, choices: random.Random) -> lashlang.Outcome | None:
    """Take a block to its end, or stop it after some steps; None where none was suspended."""
    step: lashlang.Step | None = machine.step
    if machine.running and step is None:
        return machine.finish()
    if step is None:
        return None
    for _ in range(MOST_STEPS):
        written_again(machine)
        if isinstance(step, lashlang.Done):
            return step.outcome
        if isinstance(step, lashlang.Reads):
            step = machine.resume(reads={read.id: choices.choice(READ_ANSWERS) for read in step.reads})
        else:
            assert isinstance(step, lashlang.Requests)
            some = choices.sample(step.pending, choices.randint(1, len(step.pending)))
            step = machine.resume({request.id: choices.choice(ANSWERS) for request in some})
    return step.outcome if isinstance(step, lashlang.Done) else machine.interrupt().outcome


ANSWERS = [
    lashlang.Response.ok(None),
    lashlang.Response.ok({"n": 2, "xs": [1, "a"]}),
    lashlang.Response.ok({"__handle__": "tool", "id": "h"}),
    lashlang.Response.failed("no luck"),
]
READ_ANSWERS = [
    lashlang.ReadResponse.ok(3),
    lashlang.ReadResponse.ok({"title": "T", "x": {"y": 1}}),
    lashlang.ReadResponse.unsupported(),
    lashlang.ReadResponse.failed("gone"),
]


def written_again(machine: lashlang.Machine) -> None:
    """A machine's own snapshot is accepted, and what it gives is written the same."""
    data = machine.snapshot()
    # What is written needs no more memory than it had, but for the room of the message.
    with lashlang.Machine.restore(data, limits=lashlang.Limits(memory=16 << 20)) as again:
        assert again.snapshot() == data


# --- alterations ---------------------------------------------------------------------------------------

NUMBERS = [
    *(0, 1, 2, 3, 5, 7, -1, 127, 255, 256, 65535, 1 << 28, (1 << 31) - 1, (1 << 32) - 1, 1 << 32, 1 << 62),
    *((1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 63)),
]

ODD: list[Any] = [
    *NUMBERS,
    *(
        None,
        True,
        False,
        0.5,
        float("nan"),
        -0.0,
        "",
        "a",
        "f",
        "é" * 40,
        b"",
        b"bytes",
        [],
        Map(),
        [[]],
        Map([["a", 1]]),
    ),
    *(NOTHING, Ext(5, b"\x00"), Ext(5, b"\x07"), Ext(5, b"\x08"), failure("failed")),
    *(
        reference(0),
        reference(1),
        reference(5),
        reference(0xFFFFFFFF),
        Ext(3, b"\x00"),
        Ext(3, b"\x01\x00"),
        Ext(3, b""),
    ),
    *(cut(0, 0, 1), cut(0, 1, 2), cut(0, 0xFFFFFFFF, 2), cut(0, 0, 0), cut(9, 0, 0), Ext(4, bytes(16))),
    *(
        Ext(1, b"\x95\xa1i\xa1l\x01\x02\xc0"),
        Ext(1, b"\x90"),
        Ext(2, b"\x93\x00\xa1d\x91\xa1k"),
        Ext(2, b"\x93\x07\xa1d\x90"),
    ),
    *(Ext(2, b"\x93\x00\xa1d\x91\xd6\x02\x93\x00\xa0\x90"), Ext(-1, bytes(8)), Ext(99, b"x")),
    *(Raw(b"\xc1"), Raw(b"\xdd\xff\xff\xff\xff"), Raw(b"\xdf\xff\xff\xff\xff"), Raw(b"\xdb\xff\xff\xff\xff")),
    *(Raw(b"\xa2\xff\xfe"), Raw(b"\xa3\xed\xa0\x80"), Raw(b"\x91" * 600 + b"\xc0"), Raw(b"\x81\xa1a" * 600 + b"\xc0")),
    *(Map([["a", 1], ["a", 2]]), Map([[1, 2]]), Map([["a" * 40, reference(0)]]), Raw(b"")),
]
"""What is put in the place of something else."""


def places(tree: Any) -> Iterator[tuple[list[Any], int]]:
    """All places in a tree, as the list that holds a part and its index there."""
    stack: list[list[Any]] = [tree]
    while stack:
        holder = stack.pop()
        for index, part in enumerate(holder):
            yield holder, index
            if isinstance(part, list):
                stack.append(part)  # pyright: ignore[reportUnknownArgumentType]


def altered(parts: Parts, choices: random.Random) -> Parts:
    """A snapshot with one part of it changed, in place."""
    tree = choices.choice([parts.header, parts.body])
    found = list(places(tree))
    if not found:
        return parts
    holder, index = choices.choice(found)
    choices.choice(CHANGES)(holder, index, choices)
    return parts


def _replace(holder: list[Any], index: int, choices: random.Random) -> None:
    holder[index] = copy.deepcopy(choices.choice(ODD))


def _nudge(holder: list[Any], index: int, choices: random.Random) -> None:
    part = holder[index]
    match part:
        case bool():
            holder[index] = not part
        case int():
            holder[index] = choices.choice([part + 1, part - 1, -part, part * 2, part ^ (1 << choices.randrange(62))])
        case str():
            holder[index] = choices.choice([part + "x", part[1:], part[:-1], part.upper(), part * 3])
        case Ext():
            payload = bytearray(part.payload or b"\0")
            payload[choices.randrange(len(payload))] = choices.randrange(256)
            holder[index] = Ext(part.code, bytes(payload))
        case _:
            _replace(holder, index, choices)


def _delete(holder: list[Any], index: int, choices: random.Random) -> None:
    if isinstance(holder, Map) or len(holder) != 2:
        del holder[index]
    else:
        _replace(holder, index, choices)


def _repeat(holder: list[Any], index: int, choices: random.Random) -> None:
    holder.insert(choices.randint(0, len(holder)), copy.deepcopy(holder[index]))


def _swap(holder: list[Any], index: int, choices: random.Random) -> None:
    other = choices.randrange(len(holder))
    holder[index], holder[other] = holder[other], holder[index]


CHANGES: list[Callable[[list[Any], int, random.Random], None]] = [
    _replace,
    _replace,
    _nudge,
    _nudge,
    _delete,
    _repeat,
    _swap,
]


def whole(parts: Parts) -> bytes:
    """The bytes of a snapshot that was altered; a part that msgpack cannot say becomes null."""
    try:
        return parts.joined()
    except OverflowError:
        for tree in (parts.header, parts.body):
            for holder, index in places(tree):
                if isinstance(holder[index], int) and not -(1 << 63) <= holder[index] < 1 << 64:
                    holder[index] = None
        return parts.joined()


def with_other_program(parts: Parts, source: str) -> Parts:
    """A suspended block that claims to have another source."""
    parts.block.set("source", source)
    parts.block.set("hash", source_hash(source))
    return parts


def spliced(one: Parts, other: Parts, choices: random.Random) -> Parts:
    """A snapshot with a part of another one in the place of its own."""
    place = choices.randrange(4)
    if place == 3 or not one.block or not other.block:
        one.header = other.header
    else:
        one.body[place] = other.body[place]
    return one
