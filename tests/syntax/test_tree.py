"""Chapter 2: precedence, the forms of statements and expressions, and the shape of the tree."""

from __future__ import annotations

import pytest

from lashlang.syntax import parse, tree
from tests.syntax.helpers import error_of, expression, same, spans, statements

# --- precedence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "meaning"),
    [
        ("a + b * c", "a + (b * c)"),
        ("a * b + c", "(a * b) + c"),
        ("a - b - c", "(a - b) - c"),
        ("a / b % c * d", "((a / b) % c) * d"),
        ("-a.b", "-(a.b)"),
        ("-a?", "-(a?)"),
        ("-a * b", "(-a) * b"),
        ("- -a", "-(-a)"),
        ("!a == b", "(!a) == b"),
        ("!a.b", "!(a.b)"),
        ("not a == b", "not (a == b)"),
        ("not a in b", "not (a in b)"),
        ("not not a", "not (not a)"),
        ("not a and b", "(not a) and b"),
        ("a + b < c - d", "(a + b) < (c - d)"),
        ("a < b and c > d", "(a < b) and (c > d)"),
        ("a or b and c", "a or (b and c)"),
        ("a and b or c", "(a and b) or c"),
        ("a || b && c", "a or (b and c)"),
        ("a ?? b or c", "a ?? (b or c)"),
        ("a or b ?? c", "(a or b) ?? c"),
        ("a ?? b ?? c", "(a ?? b) ?? c"),
        ("a ?? b ? c : d", "(a ?? b) ? (c) : (d)"),
        ("a ? b : c ? d : e", "a ? (b) : (c ? (d) : (e))"),
        ("a ? b ? c : d : e", "a ? (b ? (c) : (d)) : (e)"),
        ("a ? b : c ?? d", "a ? (b) : (c ?? d)"),
        ("not a ? b : c", "(not a) ? (b) : (c)"),
        ("a in b + c", "a in (b + c)"),
        ("a not in b", "a not in (b)"),
        ("await a.b[0]", "await (a.b[0])"),
        ("await a + b", "(await a) + b"),
        ("-await a", "-(await a)"),
        ("await -a?", "await (-(a?))"),
    ],
)
def test_operators_bind_as_tightly_as_they_should(source: str, meaning: str) -> None:
    assert same(source, meaning)
    assert same(f"x = [{source}]", f"x = [({meaning})]")


@pytest.mark.parametrize("first", ["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
@pytest.mark.parametrize("second", ["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
def test_comparisons_do_not_chain(first: str, second: str) -> None:
    error = error_of(f"x = a {first} b {second} c")
    assert (error.kind, error.column) == ("syntax_error", len(f"x = a {first} b ") + 1)
    assert error.hint is not None
    assert "`a < b and b < c`" in error.hint


@pytest.mark.parametrize("operator", ["==", "<", "in", "not in", "+", "-", "*", "/"])
def test_not_is_no_operand_of_a_tighter_operator(operator: str) -> None:
    error = error_of(f"x = a {operator} not b")
    assert error.column == len(f"x = a {operator} ") + 1
    assert error.hint is not None
    assert "!x" in error.hint


# --- await and unwrap ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "meaning"),
    [
        ("await h?", "(await h)?"),
        ("(await h?)?", "((await h)?)?"),
        ("await r?.h", "await ((r?).h)"),
        ("await r?[0]?", "(await ((r?)[0]))?"),
        ("await (r?)", "await ((r)?)"),
        ("await (r?)?", "(await ((r)?))?"),
        ("await await h?", "await ((await h)?)"),
        ("await start call t { }?", "(await (start call t { }))?"),
        ("call t { }?", "(call t { })?"),
        ("call t { }?.a", "((call t { })?).a"),
        ("await h? + 1", "((await h)?) + 1"),
        ("-await h?", "-((await h)?)"),
        ("await [a?, b?]", "await ([(a?), (b?)])"),
    ],
)
def test_trailing_unwraps_apply_to_the_result_of_await(source: str, meaning: str) -> None:
    assert same(source, meaning)


def test_the_unwrap_of_an_await_is_its_step() -> None:
    node = expression("await h?")
    assert isinstance(node, tree.Postfix)
    assert isinstance(node.base, tree.Await)
    assert isinstance(node.base.operand, tree.Name)
    assert [type(step) for step in node.steps] == [tree.UnwrapStep]


# --- flat runs -----------------------------------------------------------------------------------


def test_runs_of_one_level_are_one_node() -> None:
    node = expression("a + b - c + d")
    assert isinstance(node, tree.Binary)
    assert [sign for sign, _ in node.rest] == ["+", "-", "+"]
    logic = expression("a and b and c")
    assert isinstance(logic, tree.Logic)
    assert len(logic.operands) == 3


def test_a_postfix_chain_is_one_node() -> None:
    node = expression("a.b[c]?.'d e'")
    assert isinstance(node, tree.Postfix)
    assert [type(step).__name__ for step in node.steps] == ["FieldStep", "IndexStep", "UnwrapStep", "FieldStep"]


def test_an_else_if_chain_is_one_node() -> None:
    (node,) = parse("if a { } else if b { } else if c { } else { x }").statements
    assert isinstance(node, tree.If)
    assert len(node.arms) == 3
    assert node.otherwise is not None


# --- expressions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "meaning"),
    [
        ("[1, 2,]", "[1, 2]"),
        ("[a,\nb]", "[a, b]"),
        ("{ a: 1, 'b c': 2, }", '{ "a": 1, "b c": 2 }'),
        ("{ a\n:\n1 }", "{ a: 1 }"),
        ("f(a, b,)", "f(a, b)"),
        ("f\t()", "f()"),
        ("{ a: 1 }.a", "({ a: 1 }).a"),
        ("[1][0]", "([1])[0]"),
        ("x == { a: 1 }", "x == ({ a: 1 })"),
        ("[a for a in b]", "[(a) for a in (b)]"),
        ("[a for a, b in c if d for e in f if g if h]", "[(a) for a, b in (c) if (d) for e in (f) if (g) if (h)]"),
        ("[a ? b : c for d in e ? f : g]", "[(a ? (b) : (c)) for d in (e ? (f) : (g))]"),
        ("[x for x in a if x ?? b]", "[x for x in (a) if (x ?? b)]"),
        ("call t { a: 1 }.b", "(call t { a: 1 }).b"),
        ("start call t { }", "(start call t { })"),
        ("start\ncall\nt\n{ }", "start call t { }"),
        ("parallel { 1 2, 3\n4, }", "parallel { 1, 2, 3, 4 }"),
        ("parallel { a: 1 b: 2, c: 3, }", 'parallel { "a": 1, "b": 2, "c": 3 }'),
        ("parallel { x = 1, print y }", "parallel { x = 1\nprint y }"),
        ("parallel { a: x = 1 b: for y in z { } }", "parallel { a: x = 1, b: for y in z { } }"),
        ("parallel { }[0]", "(parallel { })[0]"),
        ("a && b || !c", "a and b or !c"),
        ('"a" "b"', '"a"\n"b"'),
    ],
)
def test_forms_of_expressions(source: str, meaning: str) -> None:
    assert same(source, meaning)


def test_a_repeated_record_key_is_kept_for_the_compiler() -> None:
    node = expression("{ a: 1, a: 2 }")
    assert isinstance(node, tree.RecordLiteral)
    assert [key for key, _ in node.entries] == ["a", "a"]


@pytest.mark.parametrize(
    ("source", "named", "keys"),
    [
        ("parallel { }", False, []),
        ("parallel { a }", False, [None]),
        ("parallel { a: b }", True, ["a"]),
        ("parallel { 'a b': c = 1, d: e }", True, ["a b", "d"]),
        ("parallel { a ? b : c }", False, [None]),
    ],
)
def test_the_first_branch_decides_the_form_of_parallel(source: str, named: bool, keys: list[str | None]) -> None:
    node = expression(source)
    assert isinstance(node, tree.Parallel)
    assert (node.named, [branch.key for branch in node.branches]) == (named, keys)


REFUSED = """
[,]  f(,)  {,}  [1,,]  f(1,,2)  { a: 1,, }  [1 2]  ()  (a, b)  a, b  f(a b)  f(a: 1)  a[]  a[1, 2]
[for x in y]  [x for x in y, z]  [a, x for x in y]  [x if y for x in z]
{ a }  { a: }  { 1: 2 }  { (a): 2 }  { x = 1 }  { print x }
call t  call t()  call t { }.  call (t) { }  parallel  parallel x
parallel { , }  parallel { a,, b }  parallel { a: 1, 2 }  parallel { 1, a: 2 }
+a  a +  a..b  a.1  a.(b)  a.  !  |  x | y  ?  : a  .  ,
await  not  print  cancel  if  if a  if a { } else  else { }  while  while a
for  for x  for x in  for x in y  for x, in y { }  for x in y, z { }  for x, y, z in a { }  for (x, y) in a { }
x =  x = = 1  = 1  x = y = 1  1 = x  f() = 1  (x) = 1  x? = 1  x?.a = 1  -x = 1  [x] = 1  { a: 1 } = 1  await x = 1
f() += 1  x + y -= 1  x.a? += 1  call t { } = 1  if x = 1 { }  f(x = 1)  print x = 1
}  )  ]  {  (  [  (]  [)  { a: 1 ]
Type { a }  Type { a: }  Type { a: { } }  Type { a: [str] }  Type { a: 'x' }  Type { a: 1 }  Type { a: str, , }
Type { , }  Type { a: str b: str }  Type { a: enum[] }  Type { a: enum['a',] }  Type { a: enum[b] }  Type { a: list[] }
Type { a: list[str,] }  Type { a: str | }  Type { a: | str }  Type { a: (str) }  Type { a: str?? }  Type { a: true }
Type { a?: str }  Type { a: str[] }
"""


@pytest.mark.parametrize("source", [item for line in REFUSED.splitlines() for item in line.split("  ") if item])
def test_what_the_grammar_has_not_is_a_syntax_error(source: str) -> None:
    assert error_of(source).kind == "syntax_error"


@pytest.mark.parametrize("source", ["[1\n2]", "f(1\n2)", "{ a: 1\nb: 2 }", "Type { a: str\nb: str }"])
def test_a_line_break_is_no_comma(source: str) -> None:
    assert error_of(source).line == 2


# --- statements ----------------------------------------------------------------------------------


def test_a_brace_after_a_complete_head_is_the_block() -> None:
    assert same("if x == { a: 1 } { y }", "if (x == ({ a: 1 })) { y }")
    assert same("for x in call t { } { }", "for x in (call t { }) { }")
    assert same("while Type { } { }", "while (Type { }) { }")
    assert same("if { a: 1 }.a { }", "if (({ a: 1 }).a) { }")


def test_statements_may_share_a_line() -> None:
    assert statements("x = 1 y = 2 print x if x { } f(x)") == statements("x = 1\ny = 2\nprint x\nif x { }\nf(x)")


def test_a_record_may_begin_a_statement() -> None:
    assert statements("x = 1 { a: 1 }.a") == statements("x = 1\n({ a: 1 }).a")


def test_an_assignment_has_its_path_and_operator() -> None:
    (node,) = parse("a.b[c].'d' %= e").statements
    assert isinstance(node, tree.Assign)
    assert (node.name, node.op, len(node.steps)) == ("a", "%=", 3)


def test_a_loop_over_two_names() -> None:
    (node,) = parse("for k, v in r { }").statements
    assert isinstance(node, tree.For)
    assert node.names == ("k", "v")


def test_call_and_parallel_begin_expression_statements() -> None:
    assert same("call t { }?.a", "(call t { })?.a")
    assert same("parallel { a }[0]", "(parallel { a })[0]")


@pytest.mark.parametrize(
    "source",
    [
        "if c else { }",
        "x = 1 if c else 2",
        "x = (1) if a + b == c else 2",
        "if a { } else if c else 2",
        "if c ? a : b else 2",
        "f(x) if (c) else 2",
    ],
)
def test_else_where_a_block_should_begin_is_reported_at_its_if(source: str) -> None:
    error = error_of(source)
    assert (error.kind, error.column) == ("syntax_error", source.rindex("if") + 1)
    assert error.hint is not None
    assert "? a : b" in error.hint


# --- types ---------------------------------------------------------------------------------------


def test_type_names_have_a_long_and_a_short_spelling() -> None:
    long = "Type { a: string, b: integer, c: number, d: boolean, e: object, f: any, g: null }"
    short = "Type { a: str, b: int, c: float, d: bool, e: dict, f: any, g: null }"
    assert same(long, short)


def test_types_nest() -> None:
    (statement,) = statements("Type { a: list[enum['x', \"y\"] | null]?, b: Type { c: T } | int, }")
    inner = ("TypeRecord", (("TypeField", "c", ("TypeRef", "T"), False),))
    union = ("TypeUnion", (("TypeEnum", ("x", "y")), ("TypePrimitive", "null")))
    fields = (
        ("TypeField", "a", ("TypeList", union), True),
        ("TypeField", "b", ("TypeUnion", (inner, ("TypePrimitive", "int"))), False),
    )
    assert statement == ("ExprStatement", ("TypeLiteral", ("TypeRecord", fields)))


# --- spans ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        ("  x  ", tree.Name, ["x"]),
        (" ( a ) ", tree.Paren, ["( a )"]),
        ("( a )", tree.Name, ["a"]),
        ("(a) + b", tree.Binary, ["(a) + b"]),
        ("a + b * c - d", tree.Binary, ["a + b * c - d", "b * c"]),
        ("a and b or c", tree.Logic, ["a and b or c", "a and b"]),
        ("not in_ == b", tree.Unary, ["not in_ == b"]),
        ("a not in b", tree.Compare, ["a not in b"]),
        ("x = a ? b : c ", tree.Ternary, ["a ? b : c"]),
        ('("x").y', tree.Postfix, ['("x").y']),
        ("a [0]", tree.Postfix, ["a [0]"]),
        ("await h ? ", tree.Postfix, ["await h ?"]),
        ("await h.a?", tree.Await, ["await h.a"]),
        ("await h.a?", tree.Name, ["h"]),
        ("f ( a, b ) ", tree.BuiltinCall, ["f ( a, b )"]),
        ("[ a , ]", tree.ListLiteral, ["[ a , ]"]),
        ("{ a : 1 , }", tree.RecordLiteral, ["{ a : 1 , }"]),
        ("[x for x in a if b]", tree.CompFor, ["for x in a"]),
        ("[x for x in a if b]", tree.CompIf, ["if b"]),
        ("call t { }", tree.ToolCall, ["call t { }"]),
        ("start call t { }", tree.ToolCall, ["start call t { }"]),
        ("parallel { a: x = 1, }", tree.Parallel, ["parallel { a: x = 1, }"]),
        ("parallel { a: x = 1, }", tree.Branch, ["x = 1"]),
        ("Type { a: T? , }", tree.TypeField, ["a: T?"]),
        ("Type { 'a': list[T] | null }", tree.TypeUnion, ["list[T] | null"]),
        ("Type { a: enum['b'] }", tree.TypeEnum, ["enum['b']"]),
        ("Type { a: b }", tree.TypeLiteral, ["Type { a: b }"]),
        ("if a { } else if b { c } else { }", tree.If, ["if a { } else if b { c } else { }"]),
        ("if a { } else if b { c } else { }", tree.IfArm, ["if a { } else if b { c } else { }", "if b { c } else { }"]),
        ("if a { } else { } x", tree.Block, ["{ }", "{ }"]),
        ("for a in b { } ", tree.For, ["for a in b { }"]),
        ("while a { } ", tree.While, ["while a { }"]),
        ("break ", tree.Break, ["break"]),
        ("submit a ", tree.Submit, ["submit a"]),
        ("submit ", tree.Submit, ["submit"]),
        ("print (a) ", tree.Print, ["print (a)"]),
        ("cancel a ", tree.Cancel, ["cancel a"]),
        ("a.b [0] = (c) ", tree.Assign, ["a.b [0] = (c)"]),
        ("(a) ", tree.ExprStatement, ["(a)"]),
        (" a\n", tree.Program, [" a\n"]),
        ('"😀" + b', tree.Name, ["b"]),
    ],
)
def test_nodes_cover_their_first_to_their_last_token(source: str, kind: type, expected: list[str]) -> None:
    assert spans(source, kind) == expected


def test_steps_end_where_they_end() -> None:
    source = "(a).b [ 0 ] ?.'c'"
    node = expression(source)
    assert isinstance(node, tree.Postfix)
    assert [source[: step.end] for step in node.steps] == ["(a).b", "(a).b [ 0 ]", "(a).b [ 0 ] ?", "(a).b [ 0 ] ?.'c'"]


def test_names_of_calls_and_targets_end_where_they_end() -> None:
    call = expression("len (x)")
    (assign,) = parse("abc.d = 1").statements
    assert isinstance(call, tree.BuiltinCall)
    assert isinstance(assign, tree.Assign)
    assert (call.name_end, assign.name_end) == (3, 3)
