"""`value_depth` of values that share parts: finding out how deep one is takes no longer than looking at its memory."""

from __future__ import annotations

import pytest

import lashlang
from tests import oracle

TOO_DEEP = {
    "pushed onto itself": "x = []\nwhile true { x = push(x, x) }",
    "pushed with a list of itself": "x = []\nwhile true { x = push(x, [x, 'a']) }",
    "put under every index of itself": "x = {}\nwhile true { x[len(x)] = [x] }",
    "both elements by assignment": "x = [0, 0]\nwhile true { y = x  x[0] = y  x[1] = [y, x] }",
    "replaced below its top": "x = { a: [[[[]]]] }\nwhile true { y = x  x.a = null  x.a = [y.a, y]  x.b = [x.a] }",
    "appended to itself": "x = [[]]\nwhile true { x = x + [x] }",
}


@pytest.mark.parametrize("name", TOO_DEEP)
def test_a_value_that_holds_all_it_ever_was_ends_at_its_depth(name: str) -> None:
    with lashlang.Machine() as machine:
        outcome = machine.run(TOO_DEEP[name])
        assert outcome.error is not None
        assert outcome.error.code == "value_depth"
        assert machine.run("submit 1").value == 1


EXACT = {
    "a deep part is replaced by a flat one": "x = [[[[[[1]]]]], 2]\nx[0] = 3\ny = [[x]]",
    "a deep part is replaced by an update": "x = [[[[1]]], 2]\nx[0] += 'text'\ny = [[[x]]]",
    "a deep part of a record is replaced": "x = { a: { b: [[[1]]] } }\nx.a.b = 1\ny = [[x]]",
    "only one of two deep parts is replaced": "x = [[[[[1]]]], [[[[1]]]]]\nx[0] = 1\ny = [[x]]",
    "a copy is changed": "x = [[[[[1]]]]]\ny = x\ny[0] = 1\nz = [[[y]]]\nw = [[[x]]]",
    "a loose part is put elsewhere": "x = [[[[[1]]]]]\nx[0] = 1\ny = { x: x }\nz = [[y]]",
    "replaced, and deep again": "x = [[[[[1]]]]]\nx[0] = 1\nx[0] = [[[1]]]\ny = [x, [x]]\nz = [[y]]",
    "merged over a deep part": "x = merge({ a: [[[[1]]]] }, { a: 1 })\ny = [[[x]]]",
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("depth", range(3, 9))
def test_depth_is_counted_exactly_after_parts_were_replaced(name: str, depth: int) -> None:
    wanted = oracle.run(EXACT[name], state={}, host=oracle.ScriptedHost(), limits={"value_depth": depth})
    with lashlang.Machine(lashlang.Limits(value_depth=depth)) as machine:
        outcome = machine.run(EXACT[name])
        assert (outcome.error is None) == (wanted.error is None)
        if outcome.error is not None and wanted.error is not None:
            assert (outcome.error.code, outcome.error.line) == (wanted.error.code, wanted.error.line)
