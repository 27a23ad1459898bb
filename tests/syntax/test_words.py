"""Chapters 1 and 2.2: reserved and contextual words, `not in`, keys."""

from __future__ import annotations

import pytest

from lashlang.syntax import parse, tree
from tests.syntax.helpers import error_of, kinds, same, statements

RESERVED = "if else for in parallel await cancel submit print call and or not true false null".split()
CONTEXTUAL = "break continue while start Type enum list str".split()
FOREIGN = (
    "let const var def function fn class return import from try except finally raise throw with pass del elif match "
    "switch case lambda async do"
).split()


# --- reserved words ------------------------------------------------------------------------------


@pytest.mark.parametrize("word", RESERVED)
def test_a_reserved_word_is_no_variable(word: str) -> None:
    assert error_of(f"{word} = 1").kind == "syntax_error"


@pytest.mark.parametrize("word", [*RESERVED, *CONTEXTUAL, *FOREIGN])
def test_any_word_is_a_key(word: str) -> None:
    assert same(f"x = {{ {word}: 1, b: 2 }}", f'x = {{ "{word}": 1, b: 2 }}')
    assert same(f"x = {{ a: 1, {word}: 2, }}", f'x = {{ a: 1, "{word}": 2 }}')
    assert same(f"x = a.{word}.{word}", f'x = a."{word}"."{word}"')
    assert same(f"a.{word} = 1", f'a."{word}" = 1')
    assert same(f"parallel {{ {word}: 1, b: 2 }}", f'parallel {{ "{word}": 1, b: 2 }}')
    assert same(f"parallel {{ b: 1, {word}: 2 }}", f'parallel {{ b: 1, "{word}": 2 }}')
    assert same(f"T = Type {{ {word}: str, b: int }}", f'T = Type {{ "{word}": str, b: int }}')


@pytest.mark.parametrize(
    "word", [word for word in [*RESERVED, *CONTEXTUAL, *FOREIGN] if word not in ("and", "or", "in")]
)
def test_a_named_branch_needs_no_comma_before_it(word: str) -> None:
    assert same(f"parallel {{ b: x {word}: 2 }}", f'parallel {{ b: x, "{word}": 2 }}')


@pytest.mark.parametrize("word", RESERVED)
def test_a_key_without_its_colon_is_reported_at_the_next_token(word: str) -> None:
    error = error_of(f"x = {{ {word} ]")
    assert error.column == len(f"x = {{ {word} ") + 1
    assert error.message == "expected `:`, found `]`"


# --- break, continue, while ----------------------------------------------------------------------


@pytest.mark.parametrize("word", ["break", "continue"])
@pytest.mark.parametrize(
    "before", ["", "x = 1 ", "x = 1\n", "if a { } ", "f(x) ", "call t { } ", "print a? ", "break "]
)
def test_break_and_continue_are_loop_control_at_statement_start(word: str, before: str) -> None:
    last = parse(before + word).statements[-1]
    assert isinstance(last, tree.Break if word == "break" else tree.Continue)


@pytest.mark.parametrize("word", ["break", "continue", "while"])
@pytest.mark.parametrize(
    "rest", [" = 1", " += 1", ".a = 1", "[0] = 1", '.a["k"][f(x)].b -= 1', ".if = 1", ".\na = 1", "\n= 1"]
)
def test_they_are_variables_where_they_are_assigned_to(word: str, rest: str) -> None:
    (assignment,) = parse(word + rest).statements
    assert isinstance(assignment, tree.Assign)
    assert assignment.name == word


@pytest.mark.parametrize("word", ["break", "continue", "while"])
@pytest.mark.parametrize(
    "source",
    [
        "x = V",
        "x = V + V",
        "f(V)",
        "f(a, V)",
        "[V, V]",
        "print V",
        "submit V",
        "x = a ? V : V",
        "for V in V { }",
        "x = { a: V }",
        "x = -V",
        "x = V.a[V]",
        "x = V[1]",
        "x = V(1)",
        "x = V not in a",
        "parallel { a: V }",
        "parallel { a, V }",
        "call V { }",
    ],
)
def test_they_are_variables_elsewhere(word: str, source: str) -> None:
    assert str(statements(source.replace("V", word))) == str(statements(source.replace("V", "v"))).replace(
        "'v'", repr(word)
    )


def test_a_while_loop_needs_no_space_before_its_condition() -> None:
    assert same("while(x < 3) { }", "while (x < 3) { }")
    assert isinstance(parse("while (x < 3) { }").statements[0], tree.While)
    assert isinstance(parse("while [x] { }").statements[0], tree.While)


def test_break_followed_by_a_list_or_parenthesis_is_loop_control() -> None:
    assert statements("break [1]") == statements("break\n[1]")
    assert statements("continue (1)") == statements("continue\n(1)")


# --- start, Type ---------------------------------------------------------------------------------


def test_start_means_something_only_before_call() -> None:
    assert same("start = 2\nx = start + start.start", "start=2 x=start+start.start")
    assert isinstance(parse("start\ncall t { }").statements[0], tree.ExprStatement)
    assert len(parse("start\ncall t { }").statements) == 1
    assert len(parse("r.start\ncall t { }").statements) == 2


def test_type_before_a_brace_is_always_a_type_literal() -> None:
    assert kinds("Type\n{ }")[0] == "TYPE"
    assert kinds("Type = Type.Type")[0] == "IDENT"
    assert error_of("if Type { x = 1 }").kind == "syntax_error"
    assert isinstance(parse("if r.Type { x = 1 }").statements[0], tree.If)


def test_the_words_of_types_are_variables_outside_of_types() -> None:
    assert same("list = enum[0] + str", "list=enum[0]+str")
    assert len(parse("x = list [0]").statements) == 1


def test_list_and_enum_without_a_bracket_refer_to_variables() -> None:
    assert statements("Type { a: list, b: enum }") == [
        (
            "ExprStatement",
            (
                "TypeLiteral",
                (
                    "TypeRecord",
                    (("TypeField", "a", ("TypeRef", "list"), False), ("TypeField", "b", ("TypeRef", "enum"), False)),
                ),
            ),
        )
    ]


# --- in, not in ----------------------------------------------------------------------------------


def test_the_first_in_of_a_loop_belongs_to_it() -> None:
    assert same("for x in a in b { }", "for x in (a in b) { }")
    assert same("[x for x in a not in b]", "[x for x in (a not in b)]")


def test_not_in_is_an_operator_after_an_operand_only() -> None:
    assert same("x = a not\nin b", "x = a not in b")
    assert same("x = r.not in b", 'x = r."not" in b')
    error = error_of("x = not in b")
    assert error.column == 9


def test_not_after_an_operand_begins_a_statement() -> None:
    assert statements("a not b") == statements("a") + statements("not b")


# --- words of other languages --------------------------------------------------------------------


@pytest.mark.parametrize("word", FOREIGN)
def test_a_statement_of_another_language_is_refused_at_its_word(word: str) -> None:
    error = error_of(f"x = 1 {word} x")
    assert (error.kind, error.message) == ("syntax_error", f"unexpected identifier `{word}`")
    assert (error.column, error.end_column) == (7, 7 + len(word))
    assert error.hint


@pytest.mark.parametrize("before", ["", "x = 1\n", "x = 1 ", "if a { ", "parallel { a: ", "parallel { a, "])
def test_it_is_refused_wherever_a_statement_begins(before: str) -> None:
    error = error_of(f"{before}let x = 1")
    assert error.message == "unexpected identifier `let`"
    assert error.column == len(before.rpartition("\n")[2]) + 1


FOLLOWERS = ["x", "f(x)", "1", '"s"', "{ }", "null", "true", "false", "not x", "await x", "call t { }", "parallel { }"]


@pytest.mark.parametrize("rest", FOLLOWERS)
def test_it_is_recognised_by_what_follows_on_its_line(rest: str) -> None:
    assert error_of(f"throw {rest}").message == "unexpected identifier `throw`"


@pytest.mark.parametrize("rest", ["(x)", "[x]", "-x", "!x", "(x) + 1"])
def test_return_is_refused_before_any_expression(rest: str) -> None:
    assert error_of(f"return {rest}").column == 1


@pytest.mark.parametrize("word", ["return", "let", "do"])
@pytest.mark.parametrize("rest", ["", " = 1", ".a = 1", "[0] = 1", " += 1", "\nx", ";{ }", ".a", " + 1", "\n(x)"])
def test_the_same_word_is_a_variable_otherwise(word: str, rest: str) -> None:
    assert str(statements(word + rest)) == str(statements("v" + rest)).replace("'v'", repr(word))


@pytest.mark.parametrize(
    "source", ["x = [let, y]", "f(let)", "print match", "if match { }", "for from in import { }", "call import { }"]
)
def test_the_same_word_is_a_variable_inside_statements(source: str) -> None:
    assert parse(source).statements


# --- submit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["submit", "submit\n# c\n", "if a { submit }", "parallel { submit }"])
def test_submit_is_bare_before_a_closing_brace_or_the_end(source: str) -> None:
    assert "('Submit', None)" in str(statements(source))


@pytest.mark.parametrize("source", ["submit print x", "parallel { submit, x }", "submit\nif a { }", "submit x = 1"])
def test_submit_is_bare_nowhere_else(source: str) -> None:
    assert error_of(source).kind == "syntax_error"


def test_submit_takes_an_expression_from_the_next_line() -> None:
    assert same("submit\nx", "submit x")
