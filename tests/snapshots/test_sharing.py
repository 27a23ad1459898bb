"""Values that share parts: their snapshots are as large as the memory they take, not as what they would be written out.

Every program here makes in `n` steps a value that doubles with each. Sizes are counted in bytes, never in time.
"""

from __future__ import annotations

import pytest

import lashlang
from lashlang.projection import Projected

STEPS = "for i in range({n}) {{ {step} }}\n"

PROGRAMS: dict[str, tuple[str, str]] = {
    "a list of itself": ("x = [1]", "x = [x, x]"),
    "a record of itself": ("x = { a: 1 }", "x = { a: x, b: x }"),
    "lists and records in turn": ("x = [1]", "x = i % 2 == 0 ? [x, x] : { a: x, b: x }"),
    "a list of many of itself": ("x = [1]", "x = [x, x, x, x, x]"),
    "pushed onto itself": ("x = []", "x = push([x], x)"),
    "merged with itself": ("x = { a: 1 }", "x = merge({ a: x }, { b: x })"),
    "zipped with itself": ("x = [1]", "x = [zip([x], [x]), x]"),
    "assigned by path": ("x = {}", "y = x  x = { a: null, b: null }  x.a = y  x.b = y"),
    "two variables of each other": ("x = [1]\ny = [2]", "z = [x, y]  y = [z, z, x]  x = [z, y]"),
    "grouped": ("x = [1]", "x = group_by([{ k: 'a', v: x }, { k: 'b', v: x }], 'k')"),
}
"""What a value begins with, and what is done to it again and again."""

LIMITS = lashlang.Limits(value_size=100_000, value_depth=512, fuel=10_000_000)


def made(name: str, steps: int, limits: lashlang.Limits = LIMITS) -> lashlang.Machine:
    begin, step = PROGRAMS[name]
    machine = lashlang.Machine(limits)
    outcome = machine.run(f"{begin}\n" + STEPS.format(n=steps, step=step))
    assert outcome.error is None
    return machine


@pytest.mark.parametrize("name", PROGRAMS)
def test_twice_the_levels_are_about_twice_the_bytes(name: str) -> None:
    sizes = [len(made(name, steps).snapshot()) for steps in (30, 60, 120)]
    first, second = sizes[1] - sizes[0], sizes[2] - sizes[1]
    assert 0 < first < 60 * 30
    assert 1.5 * first < second < 2.5 * first


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_restored_shares_as_much(name: str) -> None:
    machine = made(name, 100)
    data = machine.snapshot()
    restored = lashlang.Machine.restore(data, limits=LIMITS)
    assert restored.snapshot() == data
    assert restored.heap_used < 1.2 * machine.heap_used + 4096
    # Restored once more, and forked, it is no larger either.
    again = lashlang.Machine.restore(restored.snapshot(), limits=LIMITS)
    assert again.heap_used <= restored.heap_used + 4096


WAYS_OUT = {
    "submit": "submit x",
    "submit inside": "submit { a: [x] }",
    "print": "print x",
    "call": "call f { x: x }",
    "start": "start call f { a: [x, x] }",
    "await": "await [x]",
    "json_text": "y = json_text(x)",
    "to_string": "y = to_string(x)",
    "joined to text": "y = 'a' + x",
    "formatted": "y = format('{}', x)",
    "asked of a projection": "y = contains(doc, x)",
    "sought in a projection": "y = x in doc",
    "counted in a projection": "y = count(doc, x)",
}


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_leaves_the_restored_machine_by_no_way_out(name: str, way: str) -> None:
    restored = lashlang.Machine.restore(made(name, 60).snapshot(), limits=LIMITS)
    step = restored.start(WAYS_OUT[way], projected={"doc": Projected("doc")})
    assert isinstance(step, lashlang.Done)
    error = step.outcome.error
    assert error is not None
    assert (error.kind, error.code) == ("limit_exceeded", "value_size")
    assert restored.run("submit 1").value == 1


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_host_does_not_read_it(name: str) -> None:
    restored = lashlang.Machine.restore(made(name, 60).snapshot(), limits=LIMITS)
    with pytest.raises(lashlang.LanguageError, match="value_size"):
        restored.globals["x"]


# --- across the block -----------------------------------------------------------------------------------

ACROSS = """
{begin}
{steps}
kept = x
small = [1, 2, 3]
for e in [x] {{
  r = [x, [x], (call f {{ all: [1, small], wide: t }})?, parallel {{ a: (call g {{ wide: t }})?, b: y = [x, t] }}]
}}
"""


def suspended(name: str, steps: int) -> lashlang.Machine:
    begin, step = PROGRAMS[name]
    machine = lashlang.Machine(lashlang.Limits(value_size=1 << 20, value_depth=512))
    machine.globals["t"] = "wide text é " * 2000
    source = ACROSS.format(begin=begin, steps=STEPS.format(n=steps, step=step))
    assert isinstance(machine.start(source), lashlang.Requests)
    return machine


@pytest.mark.parametrize("name", PROGRAMS)
def test_variables_registers_and_requests_share_after_restoring_too(name: str) -> None:
    machine = suspended(name, 40)
    data = machine.snapshot()
    # The text is in the state, in a register and in the arguments; the value in variables and in a loop.
    assert len(data) < 40_000 + 40 * 100
    restored = lashlang.Machine.restore(data, limits=machine.limits)
    assert restored.snapshot() == data
    assert restored.heap_used < 1.2 * machine.heap_used + 8192
    for each in (machine, restored):
        each.resume({each.pending[0].id: lashlang.Response.ok("an answer")})
    assert restored.snapshot() == machine.snapshot()


@pytest.mark.parametrize("name", PROGRAMS)
def test_twice_the_levels_inside_a_block_are_about_twice_the_bytes(name: str) -> None:
    sizes = [len(suspended(name, steps).snapshot()) for steps in (30, 60, 120)]
    assert 1.5 * (sizes[1] - sizes[0]) < sizes[2] - sizes[1] < 2.5 * (sizes[1] - sizes[0])


# --- texts ---------------------------------------------------------------------------------------------


def test_a_text_that_doubles_is_as_large_as_the_text() -> None:
    machine = lashlang.Machine()
    machine.run("s = 'ab'\nfor i in range(18) { s = s + s }\nxs = [s, s, { s: s }]")
    data = machine.snapshot()
    assert len(data) < (2 << 18) + 1000
    restored = lashlang.Machine.restore(data)
    assert restored.heap_used < 1.1 * machine.heap_used + 4096
    assert restored.snapshot() == data


def test_slices_of_slices_stay_slices_of_one_text() -> None:
    machine = lashlang.Machine()
    machine.run("t = pad_left('', 200000, 'é')\nx = []\nfor i in range(500) { t = slice(t, 1)  x = push(x, t) }")
    data = machine.snapshot()
    assert len(data) < 400_000 + 500 * 30
    restored = lashlang.Machine.restore(data)
    assert restored.heap_used < 1.2 * machine.heap_used
    assert restored.snapshot() == data
    assert restored.run("submit [len(x[0]), len(x[499])]").value == [199_999, 199_500]


def test_pieces_of_a_split_text_share_it() -> None:
    machine = lashlang.Machine()
    machine.run("t = join([pad_left(i, 2000, 'x') for i in range(200)], ',')\nparts = split(t, ',')\nall = [parts, t]")
    data = machine.snapshot()
    assert len(data) < 400_000 + 200 * 40 + 2000
    assert lashlang.Machine.restore(data).snapshot() == data
