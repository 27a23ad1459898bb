"""Programs written to break the machine: each ends by itself or in the limit it runs into, and the machine goes on."""

from __future__ import annotations

from typing import Any

import pytest

import lashlang
from lashlang.vm.steps import Yielded

SHARED = "x = 1\nfor i in range(100) { x = [x, x] }\n"
"""A list of a hundred objects that is 2^100 elements when written out."""

TWO_SHARED = SHARED + "y = 1\nfor i in range(100) { y = [y, y] }\n"

SHARED_RECORD = "x = 1\nfor i in range(100) { x = { a: x, b: x } }\n"

LONG = "s = 'ab'\nfor i in range(19) { s += s }\n"
"""A text of a mebibyte."""


def between(open_bracket: str, inside: str, close_bracket: str, depth: int) -> str:
    """Brackets inside one another."""
    return open_bracket * depth + inside + close_bracket * depth


def numbered(form: str, count: int, join: str = "\n") -> str:
    """A source of many like pieces, each with its number."""
    return join.join(form.format(i) for i in range(count))


def echo(**arguments: Any) -> dict[str, Any]:
    """A tool that gives back what it is given."""
    return arguments


FINE = {
    "a deep value": "x = 1\nfor i in range(128) { x = [x] }\nsubmit len(json_text(x)) + len(x)",
    "brackets to the limit": "x = " + between("[", "1", "]", 64),
    "branches inside branches": "x = " + between("parallel { 1, ", "2", " }", 60),
    "many branches": "x = parallel { " + "1, " * 20_000 + "}\nsubmit len(x)",
    "many variables": numbered("v{0}x = {0}", 16_000),
    "many constants": "x = [" + numbered("{0}.5", 30_000, ",") + "]\nsubmit len(x)",
    "many constants in use": "x = 0\n" + numbered("x += {0}.5", 15_000),
    "a long chain of operators": "x = 1" + " + 1" * 60_000,
    "a long chain of fields": "x = null" + ".a" * 100_000,
    "a long chain of indexes": "x = null" + "[0]" * 80_000,
    "a long chain of defaults": "x = null" + " ?? null" * 30_000,
    "a long list": "x = [" + "1," * 120_000 + "]",
    "a long record": "x = {" + numbered("k{0}: 1", 20_000, ",") + "}",
    "a long name": "a" * 250_000 + " = 1",
    "a long text": "x = '" + "€" * 80_000 + "'",
    "a text of escapes": "x = '" + "\\n" * 120_000 + "'\nsubmit len(x)",
    "a long comment": "# " + "a" * 250_000,
    "a source of spaces": " " * 262_144,
    "a source of lines": "\n" * 262_144,
    "a source of semicolons": ";" * 100_000,
    "many statements": "x = 1\n" * 40_000,
    "many empty blocks": "if true {}\n" * 20_000,
    "a long chain of else if": "if 0 == 1 {}" + numbered(" else if {0} == -1 {{}}", 256, ""),
    "a record of a million keys": "r = {}\nfor i in range(1000000) { r['k' + i] = i }\nsubmit len(r)",
    "a list that grows in a record": "m = {}\nfor i in range(200000) { k = i % 9  m[k] = push(m[k], i) }",
    "a number deep in a large list": "m = { a: { b: range(99999) } }\nfor i in range(200000) { m.a.b[i % 9999] += i }",
    "a list that grows at the end of a path": "m = { a: [[]] }\nfor i in range(200000) { m.a[0] = push(m.a[0], i) }",
    "text that grows": "x = ''\nfor i in range(200000) { x = x + 'ä' }\nsubmit len(x)",
    "text put in front": "x = ''\nfor i in range(20000) { x = 'a' + x }\nsubmit len(x)",
    "an index into wide text": "x = 'äb'\nfor i in range(16) { x += x }\nfor i in range(len(x)) { y = x[i] }",
    "a list changed while it is looped over": "x = range(3000)\nfor i in x { x = push(x, i) }\nsubmit len(x)",
    "a needle made to be slow": LONG + "submit find(s, slice(s, 0, 400000) + 'bb')",
    "a pattern made to be slow": LONG + "submit len(replace(s, slice(s, 0, 100000) + 'bb', 'x'))",
    "sorting again and again": "x = [i * 7919 % 100003 for i in range(100000)]\nfor i in range(9) { x = sort(x) }",
    "JSON that never closes": "submit try_json(join(['[' for i in range(100000)], '')).ok",
    "a long await": "h = [start call echo { i: i } for i in range(3000)]\nsubmit len(await h)",
}


@pytest.mark.parametrize("name", FINE)
def test_a_program_that_only_looks_dangerous_ends_by_itself(name: str) -> None:
    with lashlang.Machine() as machine:
        outcome = machine.run(FINE[name], tools={"echo": echo})
        assert outcome.error is None
        assert machine.run("submit 1").value == 1


LIMITED = {
    "submit shared parts": ("value_size", SHARED + "submit x"),
    "print shared parts": ("value_size", SHARED + "print x"),
    "shared parts to a tool": ("value_size", SHARED + "submit call echo { x: x }"),
    "shared parts to a start": ("value_size", SHARED + "submit start call echo { x: x }"),
    "await shared parts": ("value_size", SHARED + "submit await x"),
    "await shared handles": ("value_size", SHARED.replace("x = 1", "x = { handle: 1 }") + "submit await x"),
    "cancel shared parts": ("value_size", SHARED_RECORD + "cancel { handle: x }"),
    "shared parts as text": ("value_size", SHARED + "submit to_string(x)"),
    "shared parts as JSON": ("value_size", SHARED_RECORD + "submit json_text(x)"),
    "shared parts joined to text": ("value_size", SHARED + "submit '' + x"),
    "shared parts formatted": ("value_size", SHARED + "submit format('{}', x)"),
    "an error of shared parts": ("value_size", SHARED + "submit { ok: false, error: x }?"),
    "a type of shared parts": ("value_size", SHARED_RECORD + "submit validate(1, { '$lash_type': x })"),
    "compare shared parts": ("fuel", TWO_SHARED + "submit x == y"),
    "compare shared parts with themselves": ("fuel", SHARED + "submit x == x"),
    "look for shared parts": ("fuel", TWO_SHARED + "submit y in [1, x]"),
    "count shared parts": ("fuel", TWO_SHARED + "submit count([x, x], y)"),
    "unique shared parts": ("fuel", TWO_SHARED + "submit unique([x, y, [x]])"),
    "validate shared parts": (
        "fuel",
        SHARED + "t = { type: 'number' }\nfor i in range(100) { t = { type: 'array', items: t } }\n"
        "submit validate(x, { '$lash_type': t })",
    ),
    "unions inside unions": (
        "value_size",
        "t = { type: 'string' }\nfor i in range(50) { t = { anyOf: [t, t] } }\nsubmit validate(1, { '$lash_type': t })",
    ),
    "a value too deep": ("value_depth", "x = 1\nwhile true { x = [x] }"),
    "a record too deep": ("value_depth", "x = {}\nwhile true { x = { a: x.a, b: x } }"),
    "a path too deep": ("value_depth", "x = []\nwhile true { x = push([], x) }"),
    "a huge range": ("list_size", "x = range(1000001)"),
    "a loop over a huge range": ("list_size", "for i in range(9223372036854775807) {}"),
    "a comprehension without end": (
        "list_size",
        "x = [1 for a in range(999) for b in range(999) for c in range(999)]",
    ),
    "a comprehension that keeps nothing": (
        "fuel",
        "x = [1 for a in range(9999) for b in range(9999) for c in range(9999) if false]",
    ),
    "a list that doubles": ("list_size", "x = [1]\nwhile true { x += x }"),
    "a list that doubles by flatten": ("list_size", "x = [1]\nwhile true { x = flatten([x, x]) }"),
    "a text that doubles": ("string_size", "x = 'x'\nwhile true { x += x }"),
    "a text that is replaced by a larger one": ("string_size", LONG + "submit replace(s, 'a', slice(s, 0, 1000))"),
    "a join that is too large": ("string_size", LONG + "submit join([s for i in range(99)], s)"),
    "endless padding": ("string_size", "submit pad_left('x', 9223372036854775807, '€')"),
    "too many pieces": ("list_size", LONG + "submit split(s, '')"),
    "too many spans": ("list_size", LONG + "submit chunk_spans(s + s, 2, 1)"),
    "texts that are kept": ("memory", LONG + "x = []\nwhile true { x = push(x, s + len(x)) }"),
    "branches with many variables each": ("memory", "parallel { " + numbered("v{0} = {0}", 9_000, ", ") + " }"),
    "an endless loop": ("fuel", "while true {}"),
    "endless loops inside one another": ("fuel", "while true { while true { break } }"),
    "prints without end": ("output", "w = pad_left('x', 1000)\nwhile true { print w }"),
    "one print that is too long": ("output", LONG + "print s + s"),
    "calls without end": ("requests", "while true { call echo {} }"),
    "too many branches that call": ("requests", "parallel { " + "call echo {}, " * 10_001 + "}"),
    "starts without end": ("requests", "h = [start call echo {} for i in range(10001)]"),
}


@pytest.mark.parametrize("name", LIMITED)
def test_a_program_that_asks_for_too_much_ends_in_the_limit_for_that(name: str) -> None:
    limit, source = LIMITED[name]
    with lashlang.Machine(lashlang.Limits(fuel=20_000_000)) as machine:
        outcome = machine.run(source, tools={"echo": echo})
        assert outcome.error is not None
        assert (outcome.error.kind, outcome.error.code) == ("limit_exceeded", limit)
        assert machine.run("x = null\nsubmit 1").value == 1
        assert machine.globals["x"] is None


REFUSED = {
    "digits": ("lex_error", "x = " + "1" * 250_000),
    "open brackets": ("nesting_too_deep", "x = " + "[" * 250_000),
    "open braces": ("nesting_too_deep", "x = " + "{" * 250_000),
    "closing brackets": ("syntax_error", "]" * 250_000),
    "signs": ("nesting_too_deep", "x = " + "-" * 250_000 + "1"),
    "negations": ("nesting_too_deep", "x = " + "not " * 60_000 + "1"),
    "ternaries": ("nesting_too_deep", "x = " + "1 ? 1 : " * 30_000 + "1"),
    "calls inside calls": ("nesting_too_deep", "x = " + between("abs(", "1", ")", 65)),
    "else if": ("nesting_too_deep", "if 1 == 2 {}" + " else if 1 == 2 {}" * 257),
    "question marks": ("syntax_error", "x = { ok: true }" + "?" * 200_000),
    "comparisons": ("syntax_error", "x = 1" + " < 1" * 60_000),
    "arguments": ("source_too_large", "x = max(" + "1," * 100_000 + "1)"),
    "more than fits": ("source_too_large", " " * 262_145),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_source_that_cannot_be_compiled_is_refused_whatever_its_size(name: str) -> None:
    kind, source = REFUSED[name]
    with lashlang.Machine() as machine:
        outcome = machine.run(source)
        assert outcome.error is not None
        assert (outcome.error.kind, outcome.fuel) == (kind, 0)
        assert machine.run("submit 1").value == 1


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
