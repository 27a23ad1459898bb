"""Single operations that are large: they get a slice of their own and can be stopped there."""

from __future__ import annotations

from typing import Any

import pytest

import lashlang
from lashlang.vm.steps import Yielded

from .program import LONG, echo, numbered

DEEPEST = "x = {leaf}\nfor i in range(510) {{ x = {wrap} }}\ny = {leaf}\nfor i in range(510) {{ y = {wrap_y} }}\n"


@pytest.mark.parametrize("form", ["[{0}]", "{{ a: {0} }}"], ids=["lists", "records"])
@pytest.mark.parametrize(
    "last",
    [
        "submit x == y",
        "submit unique([x, y])",
        "submit x in [y]",
        "submit json_text(x) == json_text(y)",
        "print [x]",
        "submit [call echo { x: 1 }, x]",
        "submit await x",
        "submit validate(1, { '$lash_type': x })",
        "z = parallel { x, y }\nx = null\ny = null\nz = null",
        "for i in range(3) { x = push([], x) }",
    ],
)
def test_values_as_deep_as_any_host_allows_are_walked_within_the_stack(form: str, last: str) -> None:
    leaf = form.format(1)
    made = DEEPEST.format(leaf=leaf, wrap=form.format("x"), wrap_y=form.format("y"))
    with lashlang.Machine(lashlang.Limits(value_depth=512)) as machine:
        outcome = machine.run(made + last, tools={"echo": echo})
        assert outcome.error is None or outcome.error.code == "value_depth"
        assert machine.run("submit 1").value == 1


LARGE = {
    "sort": "x = sort([i * 7919 % 1000003 for i in range(900000)])",
    "compare": "x = range(900000)\ny = range(900000)\nz = x == y",
    "copy on write": "x = range(900000)\ny = x\ny[0] = 1",
    "replace": "s = 'ab'\nfor i in range(22) { s += s }\ns = replace(s, 'ab', 'cd')",
    "parse": "s = json_parse(json_text([{ a: i } for i in range(200000)]))",
    "send": "x = range(500000)\nsubmit x",
    "branch": "parallel { " + numbered("v{0} = {0}", 2_000, ", ") + " }",
    "validate": "x = validate(range(500000), { '$lash_type': { type: 'array', items: { type: 'integer' } } })",
    "spans": LONG + "x = chunk_spans(s, 3, 1)",
    "pad": "x = pad_left('x', 50000000)",
}


def steps(machine: lashlang.Machine, source: str, stop_at: int = -1) -> tuple[list[bool], lashlang.Outcome]:
    """Run a block slice by slice: for each stop, whether it was before a large operation; interrupted at a stop."""
    seen: list[bool] = []
    block: Any = machine.open_block(source, None, None)
    step = block.begin({})
    while isinstance(step, Yielded):
        if len(seen) == stop_at:
            step = block.interrupt("enough")
            break
        seen.append(step.heavy)
        step = block.go_on(heavy=step.heavy)
    assert isinstance(step, lashlang.Done)
    return seen, step.outcome


@pytest.mark.parametrize("name", LARGE)
def test_a_large_operation_asks_for_a_slice_of_its_own_and_can_be_interrupted_there(name: str) -> None:
    with lashlang.Machine() as machine:
        seen, outcome = steps(machine, LARGE[name])
        assert outcome.error is None
        assert True in seen
    with lashlang.Machine() as machine:
        _, outcome = steps(machine, LARGE[name], seen.index(True))
        assert outcome.status == "interrupted"
        assert machine.run("submit 1").value == 1


def test_an_endless_loop_can_be_interrupted_at_each_of_its_slices() -> None:
    for stop in range(0, 60, 7):
        with lashlang.Machine() as machine:
            seen, outcome = steps(machine, "n = 0\nwhile true { n += 1 }", stop)
            assert (len(seen), outcome.status) == (stop, "interrupted")
            assert machine.globals["n"] > 10_000 * stop


def test_branches_woken_by_reads_make_their_requests_in_source_order() -> None:
    source = lashlang.JsonSource({"a": 1, "b": 2, "c": 3})
    with lashlang.Machine() as machine:
        step = machine.start(
            "parallel { call echo { n: p.a + 0 }, call echo { n: p.b + 0 }, call echo { n: p.c + 0 } }",
            projected={"p": lashlang.Projected("p", source)},
        )
        assert isinstance(step, lashlang.Requests)
        assert [request.args for request in step.new if isinstance(request, lashlang.Call)] == [
            {"n": 1},
            {"n": 2},
            {"n": 3},
        ]
