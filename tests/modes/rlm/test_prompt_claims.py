"""What the execution prompt says of the language is what the kernel does: every example and every claim is run."""

from __future__ import annotations

import re
from typing import Any

import pytest

import lashlang
from lash.modes.rlm.config import PromptFeatures
from lash.modes.rlm.prompt.builtins import BUILTIN_LINES
from lash.modes.rlm.prompt.execution import execution_prompt
from lashlang.compiler.builtins import BUILTINS

PROMPT = execution_prompt(PromptFeatures(), handles=True)
PICTURE = lashlang.Image("i1", "chart", 70, 3, 2)


class Fails:
    """An expected error, by its kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"Fails({self.kind})"


def some_tool(**args: Any) -> Any:
    """Rows for a query, a value for an id, a failure for the id "b", a picture for anything else."""
    if "query" in args:
        return [{"id": 1, "total": 5, "paid": True}, {"id": 2, "total": 7, "paid": False}]
    if "id" in args:
        if args["id"] == "b":
            raise lashlang.ToolFailure("no b")
        return {"value": args["id"]}
    return PICTURE


def run(source: str, machine: lashlang.Machine | None = None) -> lashlang.Outcome:
    bound = {"input": lashlang.JsonSource({"n": 1})}
    return (machine or lashlang.Machine()).run(source, tools={"some_tool": some_tool}, projected=bound)


def result(source: str) -> Any:
    """What a program submits, or how it fails."""
    try:
        outcome = run(source)
    except lashlang.CompileError as error:
        return f"fails: {error.diagnostic.kind}"
    return outcome.value if outcome.error is None else f"fails: {outcome.error.kind}"


# Phrase of the prompt, program, what it submits.
CLAIMS: list[tuple[str, str, Any]] = [
    ("ends the turn at once, even in the middle of a program", "submit 1\nx = nope", 1),
    ("after a syntax error", "print 1\nx = (", Fails("syntax_error")),
    ("an unknown builtin", "print 1\nprint nope(1)", Fails("unknown_builtin")),
    ("a wrong number of arguments", "print 1\nprint len()", Fails("arity_error")),
    ("There is no `try`", "try { x = 1 }", Fails("syntax_error")),
    ("no functions, classes or imports", "def f(x) { }", Fails("syntax_error")),
    ("whole ones exact", "submit 9007199254740993 + 1", 9007199254740994),
    ("`7 / 2` is 3.5", "submit 7 / 2", 3.5),
    ('lists `[1, "a"]`', 'submit [1, "a"]', [1, "a"]),
    ('`{ name: "x", "odd key": 1 }`', 'submit { name: "x", "odd key": 1 }', {"name": "x", "odd key": 1}),
    ("Commas are required", "submit [1 2]", Fails("syntax_error")),
    ("Computed keys are assigned: `r[k] = v`", 'r = {}\nk = "a"\nr[k] = 1\nsubmit r', {"a": 1}),
    ("Values copy", "a = [1]\nb = a\nb[0] = 2\nsubmit a", [1]),
    ("builtins change nothing: `xs = sort(xs)`", "xs = [2, 1]\nsort(xs)\nys = xs\nxs = sort(xs)\nsubmit [ys, xs]",
     [[2, 1], [1, 2]]),
    ("`\"…\"` or `'…'` with", "submit \"a\\n\\t\\\"\\u00e9\" == 'a\\n\\t\"é'", True),
    ("triple-quoted forms too", 'submit """a "b" c"""', 'a "b" c'),
    ('`r"…"` and `r"""…"""` take all verbatim', 'submit [r"\\d\\n", r"""a\\b "c" """]', ["\\d\\n", 'a\\b "c" ']),
    ("All may span lines", "submit \"a\nb\" + 'c\nd' + r\"e\nf\"", "a\nbc\nde\nf"),
    ("No f-strings", 'submit f"{x}"', Fails("lex_error")),
    ("Comments: `#` or `//`", "x = 1 # one\ny = 2 // two\nsubmit x + y", 3),
    ("`x += e`", "x = 1\nx += 2\nsubmit x", 3),
    ("`r.a.b = 1`", "r = { a: {} }\nr.a.b = 1\nsubmit r", {"a": {"b": 1}}),
    ("`rows[i].done = true`", "rows = [{}]\ni = 0\nrows[i].done = true\nsubmit rows", [{"done": True}]),
    ("All but the last step must exist", "r = {}\nr.a.b = 1", Fails("value_error")),
    ("replaced, never appended", "xs = []\nxs[0] = 1", Fails("value_error")),
    ("`xs = push(xs, v)`", "xs = [1]\nxs = push(xs, 2)\nsubmit xs", [1, 2]),
    ("`n[k] += 1`", 'n = {}\nfor k in ["a", "a"] { n[k] += 1 }\nsubmit n', {"a": 2}),
    ("`g[k] = push(g[k], x)`", 'g = {}\nfor x in [1, 2] { g["k"] = push(g["k"], x) }\nsubmit g', {"k": [1, 2]}),
    ("Projected names and `history` are read-only", "input = 2", Fails("read_only")),
    ("copy them to another name to change them", "mine = input\nmine.n = 2\nsubmit mine", {"n": 2}),
    ("a missing key", "submit { a: 1 }.b", None),
    ("an index out of range", "submit [1][5]", None),
    ("any read from null gives null", "x = null\nsubmit [x.a, x[0]]", [None, None]),
    ("`xs[-1]`, `s[0]`", 'xs = [1, 2]\ns = "ab"\nsubmit [xs[-1], s[0]]', [2, "a"]),
    ('`xs["1"]` is an error', 'xs = [1]\nsubmit xs["1"]', Fails("type_error")),
    ("Not `xs[1:3]`", "xs = [1, 2, 3]\nsubmit xs[1:3]", Fails("syntax_error")),
    ("but `slice(xs, 1, 3)`", "xs = [1, 2, 3, 4]\nsubmit slice(xs, 1, 3)", [2, 3]),
    ("A call's `(` and an index's `[` stay on the line", "xs = [5]\ny = xs\n[0]\nsubmit y", [5]),
    ("False are null, false, 0, NaN and what is empty",
     'submit [not x for x in [null, false, 0, 0 / 0, "", [], {}, 1, "0", [0]]]', [True] * 7 + [False] * 3),
    ("`a or b` gives an operand", 'submit [0 or "none", 5 or 6, 0 and 1]', ["none", 5, 0]),
    ("`a ?? b` is b only where a is null", 'submit [0 ?? 1, "" ?? 1, null ?? 1]', [0, "", 1]),
    ("`c ? a : b`", "submit 1 > 2 ? 3 : 4", 4),
    ("`x in y` works on lists, record keys, text", 'submit [1 in [1], "a" in { a: 1 }, "b" in "abc"]', [True] * 3),
    ("`==` never converts", 'submit 1 == "1"', False),
    ("ISO dates sort rightly", 'submit "2024-09-30" < "2024-10-01"', True),
    ("ordering with null is an error", "submit null < 1", Fails("type_error")),
    ("joins if a side is text", 'submit ["n: " + 1, true + "!"]', ["n: 1", "true!"]),
    ('null is refused: `"" + (x ?? "")`', 'x = null\nsubmit "a" + x', Fails("type_error")),
    ("concatenates lists", "submit [1] + [2]", [1, 2]),
    ('reads null as 0 and `"5"` as 5', 'submit [null + 1, "5" * 2, null * 3]', [1, 10, 0]),
    ("No `**`", "submit 2 ** 3", Fails("syntax_error")),
    ("no `//`", "n = 7\nm = n // 2\nsubmit m", Fails("lex_error")),
    ("no chained comparisons", "submit 1 < 2 < 3", Fails("syntax_error")),
    ("is a statement, never an expression", "x = if 1 { 2 }", Fails("syntax_error")),
    ("`if c { } else if d { } else { }`", "if 0 { x = 1 } else if 0 { x = 2 } else { x = 3 }\nsubmit x", 3),
    ("`for x in xs { }`", "t = 0\nfor x in [1, 2] { t += x }\nsubmit t", 3),
    ("`for k, v in r { }` (records, lists of pairs)",
     't = ""\nfor k, v in { a: 1 } { t += k + v }\nfor k, v in [["b", 2]] { t += k + v }\nsubmit t', "a1b2"),
    ("`while c { }`, `break`, `continue`",
     "n = 0\nt = 0\nwhile true {\n n += 1\n if n == 2 { continue }\n if n > 4 { break }\n t += n\n}\nsubmit t", 8),
    ("`[x.name for x in xs if x.ok]`",
     'xs = [{ name: "a", ok: true }, { name: "b", ok: false }]\nsubmit [x.name for x in xs if x.ok]', ["a"]),
    ("Braces are required", "if 1 x = 2", Fails("syntax_error")),
    ("a bare expression is a statement", "1 + 1\nlen([])\nsubmit 2", 2),
    ("gives a **wrapper**", "submit call some_tool { id: 1 }", {"ok": True, "value": {"value": 1}}),
    ("or `{ ok: false, error }`", 'submit call some_tool { id: "b" }', {"ok": False, "error": "no b"}),
    ("a **wrapper**, not the result", "r = call some_tool { id: 1 }\nsubmit r.total", Fails("type_error")),
    ("stops the block with the error", 'x = (call some_tool { id: "b" })?', Fails("unwrap_failed")),
    ("keep the parentheses before `.` and `[`", 'submit (call some_tool { query: "q" })?[0].total', 5),
    ("runs its branches at once and gives a record",
     "submit parallel { a: call some_tool { id: 1 }, b: call some_tool { id: 2 } }",
     {"a": {"ok": True, "value": {"value": 1}}, "b": {"ok": True, "value": {"value": 2}}}),
    ("without names a list", "submit parallel { 1\n 2 }", [1, 2]),
    ("sees the state from before", "x = 1\nr = parallel { a: x = 2\n b: x }\nsubmit [r.b, x]", [1, 2]),
    ("may not assign what another does", "parallel { x = 1\n x = 2 }", Fails("parallel_conflict")),
    ("and cannot `submit`", "parallel { submit 1 }", Fails("submit_in_parallel")),
    ("gives a handle", "h = start call some_tool { id: 1 }\nsubmit type_of(h)", "record"),
    ("`await h` gives the wrapper", "h = start call some_tool { id: 1 }\nsubmit (await h).ok", True),
    ("`await h?` the value", "h = start call some_tool { id: 1 }\nsubmit await h?", {"value": 1}),
    ("a list or record of handles",
     'hs = [start call some_tool { id: i } for i in ["a", "b"]]\n'
     "both = { x: start call some_tool { id: 3 } }\nsubmit [[r.ok for r in await hs], (await both).x.ok]",
     [[True, False], True]),
    ("`cancel h` stops it", "h = start call some_tool { id: 1 }\ncancel h\nsubmit 1", 1),
    ("`id label size width height`",
     "p = (call some_tool {})?\nsubmit [p.id, p.label, p.size, p.width, p.height]", ["i1", "chart", 70, 3, 2]),
    ("`to_string` give its description", "submit json_parse(to_string((call some_tool {})?)).id", "i1"),
    ("`submit` and", "submit (call some_tool {})?", PICTURE),
    ("`len(image)` is an error", "submit len((call some_tool {})?)", Fails("type_error")),
    ('`type_of` is "image"', "submit type_of((call some_tool {})?)", "image"),
    ("never `x.name()`", 'submit "a".upper()', Fails("syntax_error")),
    ("count characters from 0, ends are exclusive", 'submit [slice("añb", 0, 2), find("añb", "b")]', ["añ", 2]),
    ("read null and numbers as their text", "submit [lower(null), trim(12)]", ["null", "12"]),
    ("those on lists refuse null (`xs ?? []`)", "xs = null\nsubmit sum(xs)", Fails("type_error")),
    ("those on lists refuse null (`xs ?? []`)", "xs = null\nsubmit [len(unique(xs ?? [])), sum(xs ?? [])]", [0, 0]),
    ("`str int float bool dict any null`",
     'T = Type { a: str, b: int, c: float, d: bool, e: dict, f: any, g: null }\n'
     'submit validate({ a: "", b: 1, c: 1.5, d: true, e: {}, f: [], g: null }, T).b', 1),
    ("`A | B`", 'T = Type { a: int | str }\nsubmit [try_validate({ a: v }, T).ok for v in [1, "x", true]]',
     [True, True, False]),
    ("the field may be absent", "submit try_validate({}, Type { a: int? }).ok", True),
    ("it may be null", "T = Type { a: int | null }\nsubmit [try_validate({ a: null }, T).ok, try_validate({}, T).ok]",
     [True, False]),
    ("`list[T]`, `enum[", 'T = Type { a: list[int], b: enum["a", "b"] }\n'
     'submit [try_validate({ a: [1], b: "b" }, T).ok, try_validate({ a: [1], b: "c" }, T).ok]', [True, False]),
    ("Unlisted fields are allowed", "submit try_validate({ a: 1, more: 2 }, Type { a: int }).ok", True),
    ("a variable holding a Type is a name",
     "A = Type { n: int }\nB = Type { xs: list[A] }\nsubmit try_validate({ xs: [{ n: 1 }] }, B).ok", True),
]  # fmt: skip

# A program for each builtin that shows what its line claims.
BUILTIN_CLAIMS: dict[str, tuple[str, Any]] = {
    "len": ('[len("ab"), len([1]), len({ a: 1 }), len(null)]', [2, 1, 1, 0]),
    "empty": ('[empty(""), empty([1]), empty(null)]', [True, False, True]),
    "type_of": (
        '[type_of(x) for x in [null, true, 1, "", [], {}]]',
        ["null", "bool", "number", "string", "list", "record"],
    ),
    "to_string": ('[to_string([1, "a"]), to_string(1.5)]', ['[1,"a"]', "1.5"]),
    "to_int": ('[to_int(2.9), to_int(-2.9), to_int("7")]', [2, -2, 7]),
    "to_float": ('to_float("x")', Fails("type_error")),
    "try_number": ('[try_number("x").ok, try_number("2.5").value]', [False, 2.5]),
    "json_parse": ('json_parse("{")', Fails("value_error")),
    "try_json": ('[try_json("{").ok, try_json("[1]").value]', [False, [1]]),
    "json_text": ('json_text({ a: [1, "é"] })', '{"a":[1,"é"]}'),
    "format": (
        '[format("{} {:.2f} {:,} {{}}", "a", 1.25, 12345), format("{1}{0}", "a", "b")]',
        ["a 1.25 12,345 {}", "ba"],
    ),
    "to_fixed": ("to_fixed(2, 2)", "2.00"),
    "contains": (
        '[contains("abc", "b"), contains([1], 1), contains({ a: 1 }, "a"), contains(null, 1)]',
        [True, True, True, False],
    ),
    "find": ('[find("abc", "a"), find("abca", "a", 1), find("abc", "x"), not find("abc", "a")]', [0, 3, None, True]),
    "count": ('[count("abab", "ab"), count([1, 2, 1], 1)]', [2, 2]),
    "grep_text": (
        'grep_text("one\\ntwo", "w")',
        [{"line": 2, "text": "two", "match": "w", "start": 1, "end": 2}],
    ),
    "starts_with": ('starts_with("abc", "ab")', True),
    "ends_with": ('ends_with("abc", "ab")', False),
    "trim": ('trim(" a ")', "a"),
    "lower": ('lower("A")', "a"),
    "upper": ('upper("a")', "A"),
    "replace": ('replace("aXbX", "X", "-")', "a-b-"),
    "split": (
        '[split(" a  b "), split("a,,b", ","), split("ab", "")]',
        [["a", "b"], ["a", "", "b"], ["a", "b"]],
    ),
    "lines": ('[lines("a\\n"), lines("a\\nb")]', [["a"], ["a", "b"]]),
    "join": ("join([[1]], 1)", Fails("type_error")),
    "slice": (
        '[slice("abcd", 1, 3), slice([1, 2, 3], null, 1), slice("abc", -2)]',
        ["bc", [1], "bc"],
    ),
    "reverse": ('[reverse("ab"), reverse([1, 2])]', ["ba", [2, 1]]),
    "pad_left": ('[pad_left(7, 3, "0"), pad_left("a", 2)]', ["007", " a"]),
    "pad_right": ('pad_right("a", 3, ".")', "a.."),
    "chunk_spans": (
        '[chunk_spans("abcde", 2), chunk_spans("a\\nbc\\n", 4, 0, "line"), chunk_spans("abc", 2, 1, "paragraph")]',
        [
            [{"start": 0, "end": 2}, {"start": 2, "end": 4}, {"start": 4, "end": 5}],
            [{"start": 0, "end": 2}, {"start": 2, "end": 5}],
            [{"start": 0, "end": 2}, {"start": 1, "end": 3}],
        ],
    ),
    "range": ("[range(3), range(1, 3), range(3, 0, -2)]", [[0, 1, 2], [1, 2], [3, 1]]),
    "push": ("[push(null, 1), push([1], 2)]", [[1], [1, 2]]),
    "flatten": ("flatten([[1], [[2]]])", [1, [2]]),
    "unique": ("unique([1, 2, 1])", [1, 2]),
    "zip": ("zip([1, 2], [3, 4])", [[1, 3], [2, 4]]),
    "enumerate": ('enumerate(["a"])', [[0, "a"]]),
    "sort": ('[sort([3, 1]), sort(["b", "a"], true), sort([1, 2], false)]', [[1, 3], ["b", "a"], [1, 2]]),
    "sort_by": (
        '[r.i for r in sort_by([{ i: 0 }, { k: 2, i: 1 }, { k: null, i: 2 }, { k: 1, i: 3 }, { k: 1, i: 4 }], "k")]',
        [3, 4, 1, 0, 2],
    ),
    "group_by": ('group_by([{ k: 1 }, { k: 1 }, { k: "b" }], "k")', {"1": [{"k": 1}, {"k": 1}], "b": [{"k": "b"}]}),
    "keys": ("keys({ a: 1 })", ["a"]),
    "values": ("values({ a: 1 })", [1]),
    "items": ("items({ a: 1 })", [["a", 1]]),
    "merge": ("merge({ a: { x: 1 }, b: 1 }, { a: { y: 2 } })", {"a": {"y": 2}, "b": 1}),
    "without": ('without({ a: 1, b: 2 }, "a")', {"b": 2}),
    "sum": ("[sum([]), sum([1, 2])]", [0, 3]),
    "min": ("[min([2, 1]), min(2, 1, 3), min([])]", [1, 1, None]),
    "max": ("[max([2, 1]), max(2, 1, 3), max([])]", [2, 3, None]),
    "any": ("any([0, 1])", True),
    "all": ("all([0, 1])", False),
    "abs": ("abs(-1)", 1),
    "floor": ("floor(1.5)", 1),
    "ceil": ("ceil(1.5)", 2),
    "round": ("[round(2.5), round(-2.5), round(1.25, 1)]", [3, -3, 1.3]),
    "floor_div": ("[floor_div(7, 2), floor_div(-7, 2)]", [3, -4]),
    "ceil_div": ("[ceil_div(7, 2), ceil_div(1.5, 1)]", Fails("type_error")),
    "sqrt": ("sqrt(9)", 3),
    "log": ("log(1)", 0),
    "pow": ("pow(2, 3)", 8),
    "validate": ("validate({ a: 1 }, Type { a: str })", Fails("validation_failed")),
    "try_validate": ("try_validate({ a: 1 }, Type { a: str }).ok", False),
}


@pytest.mark.parametrize(("phrase", "source", "expected"), CLAIMS, ids=[claim[0][:40] for claim in CLAIMS])
def test_a_claim_holds(phrase: str, source: str, expected: Any) -> None:
    assert phrase in PROMPT
    assert result(source) == (f"fails: {expected.kind}" if isinstance(expected, Fails) else expected)


@pytest.mark.parametrize("name", [builtin.name for builtin in BUILTINS])
def test_a_builtin_does_what_its_line_says(name: str) -> None:
    source, expected = BUILTIN_CLAIMS[name]
    assert f"{name}(" in source
    assert result(f"submit {source}") == (f"fails: {expected.kind}" if isinstance(expected, Fails) else expected)


def test_every_line_about_the_language_has_a_claim_that_is_run() -> None:
    section = PROMPT[PROMPT.index("### Lashlang") : PROMPT.index("### Builtins")]
    lines = [line for line in section.splitlines() if line.startswith("- ")]
    assert len(lines) > 10
    bare = [line for line in lines if not any(phrase in line for phrase, _, _ in CLAIMS)]
    assert not bare


def test_the_builtins_listed_are_those_of_the_compiler_with_their_numbers_of_arguments() -> None:
    listed: dict[str, tuple[int, int | None]] = {}
    for signature, _ in BUILTIN_LINES:
        name, inside = signature.removesuffix(")").split("(")
        arguments = inside.split(", ")
        least = sum(not one.startswith("[") and one != "…" for one in arguments)
        listed[name] = (least, None if "…" in arguments else len(arguments))
    assert listed == {builtin.name: (builtin.least, builtin.most) for builtin in BUILTINS}


def test_names_that_cannot_be_used_are_the_ones_listed() -> None:
    listed = re.search(r"Not usable as names: `([a-z ]+)`", PROMPT)
    assert listed is not None
    for word in listed[1].split():
        assert result(f"{word} = 1").startswith("fails: "), word
    for word in ("len", "start", "Type"):
        assert result(f"{word} = 1\nsubmit {word}") == 1, word


def test_what_was_assigned_before_an_error_stays() -> None:
    machine = lashlang.Machine()
    run("x = 1\ny = nope", machine)
    assert dict(machine.globals) == {"x": 1}


def test_nothing_of_a_block_runs_that_does_not_compile() -> None:
    machine = lashlang.Machine()
    assert not machine.run("x = 1\ny = nope(1)").ok
    assert dict(machine.globals) == {}


def test_printing_an_image_shows_it() -> None:
    assert run("print (call some_tool {})?").images == (PICTURE,)


def test_variables_stay_for_the_next_block() -> None:
    machine = lashlang.Machine()
    run("x = 1", machine)
    assert run("submit x + 1", machine).value == 2


@pytest.mark.parametrize("handles", [False, True])
def test_the_programs_of_the_prompt_run(handles: bool) -> None:
    prompt = execution_prompt(PromptFeatures(), handles=handles)
    programs = re.findall(r"^```lashlang\n(.*?)^```", prompt, re.MULTILINE | re.DOTALL)
    machine = lashlang.Machine()
    machine.globals["ids"] = ["a", "b", "c"]
    outcomes = [run(program, machine) for program in programs]
    assert [outcome.error for outcome in outcomes] == [None] * 5
    assert outcomes[1].value == 5
    assert machine.globals["failed"] == [{"id": "b", "error": "no b"}]
    assert machine.globals["box"]["at"] == {"x": 0.5}
    assert machine.globals["good"] == [{"value": "a"}, {"value": "c"}]
