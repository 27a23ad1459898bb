"""Chapter 2.1: rules R1 (application), R2 (index) and R3 (`?`)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lashlang.syntax import CompileError, Token, tokenize
from tests.syntax.helpers import error_of, kinds, same, statements

# --- R1 and R2 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["len(x)", "len (x)", "len\t(x)"])
def test_a_parenthesis_on_the_line_of_an_identifier_applies_it(source: str) -> None:
    assert kinds(source)[1] == "APPLY"
    assert same(source, "len(x)")


@pytest.mark.parametrize("gap", ["\n", ";", " # c\n", "\n\n  "])
def test_a_parenthesis_after_a_line_break_begins_a_statement(gap: str) -> None:
    assert statements(f"len{gap}(x)") == statements("len") + statements("(x)")


@pytest.mark.parametrize(
    "before", ["(a)", "a[0]", "[a]", "a.k", "a.print", "a.'k'", "1", '"s"', "null", "true", "a?", "f(x)"]
)
def test_a_parenthesis_after_a_value_is_refused(before: str) -> None:
    error = error_of(f"x = {before} (b)")
    assert (error.kind, error.column) == ("syntax_error", len(f"x = {before} ") + 1)


@pytest.mark.parametrize("before", ["(a)", "a[0]", "a.k", "1", '"s"', "null", "a?", "f(x)"])
def test_a_parenthesis_on_the_next_line_is_fine_after_any_value(before: str) -> None:
    assert statements(f"x = {before}\n(b)") == statements(f"x = {before}") + statements("(b)")


@pytest.mark.parametrize("before", ["if a { }", "call t { }", "x = { }", "break"])
def test_a_parenthesis_after_a_closing_brace_or_break_begins_a_statement(before: str) -> None:
    assert statements(f"{before} (b)") == statements(before) + statements("(b)")


@pytest.mark.parametrize(
    "before", ["a", "a.k", "(a)", "[a]", "{ a: 1 }", "f(x)", '"s"', "1", "null", "a?", "a[0]", "call t { }"]
)
def test_a_bracket_on_the_same_line_indexes(before: str) -> None:
    assert len(statements(f"x = {before} [0]")) == 1
    assert statements(f"x = {before}\n[0]") == statements(f"x = {before}") + statements("[0]")


@pytest.mark.parametrize("before", ["if a { }", "for x in a { }", "while a { }", "break", "continue"])
def test_a_bracket_after_a_statement_that_has_no_value_begins_a_list(before: str) -> None:
    assert statements(f"{before} [0]") == statements(before) + statements("[0]")


def test_a_dot_continues_across_lines() -> None:
    assert same("x = a\n.b\n.\nc", "x = a.b.c")


@pytest.mark.parametrize(
    "operator", ["+", "-", "*", "/", "%", "==", "<=", "in", "not in", "and", "or", "&&", "||", "??"]
)
def test_every_binary_operator_continues_across_lines(operator: str) -> None:
    assert same(f"x = a\n{operator}\nb", f"x = a {operator} b")


def test_rule_r2_holds_in_assignment_paths() -> None:
    assert len(statements("a[0] = 1")) == 1
    assert error_of("a\n[0] = 1").line == 2


# --- R3 ------------------------------------------------------------------------------------------


def marks(source: str) -> str:
    """One letter for each `?`: U or T."""
    return "".join(token.kind[0] for token in tokenize(source) if token.text == "?")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # 1: what follows cannot start an expression
        ("x = a?", "U"),
        ("a?.b", "U"),
        ("a? + b : c", "U"),
        ("a? not in b", "U"),
        ("a?)", "U"),
        ("a??", ""),
        ("(a?)?", "UU"),
        ("a? == b", "U"),
        ("a?\n.b", "U"),
        # the starters
        ("a ? not b : c", "T"),
        ("a ? -b : c", "T"),
        ("a ? !b : c", "T"),
        ("a ? [b] : c", "T"),
        ("a ? {} : c", "T"),
        ("a ? (b) : c", "T"),
        ("a ? call t {} : c", "T"),
        ("a ? await b : c", "T"),
        ("a ? parallel {} : c", "T"),
        ("a ? null : true", "T"),
        # 2: tight, and a line break after it
        ("a?\nb : c", "U"),
        ("a?;b : c", "U"),
        ("a ?\nb : c", "T"),
        ("a ?b : c", "T"),
        ("a?b : c", "T"),
        # 3: the nearest deciding token
        ("a ? b", "U"),
        ("a ? b, c : d", "U"),
        ("a ? b = c : d", "U"),
        ("a ? b += c : d", "U"),
        ("a ? b print c : d", "U"),
        ("a ? b if c : d", "U"),
        ("[a ? b for c in d : e]", "U"),
        ("(a ? b) : c", "U"),
        ("a ? (b : c)", "U"),
        ("a ? [b, c] : d", "T"),
        ("a ? { k: b } : d", "T"),
        ("a ? b ? c : d : e", "TT"),
        ("a ? b : c ? d : e", "TT"),
        ("a ? b\nc : d", "U"),
        ("a ? b\n- c : d", "T"),
        ("a ? b\n+ c : d", "T"),
        ("a ? b +\nc : d", "T"),
        ("a ? b\nnot c : d", "U"),
        ("a ? b\nnot in c : d", "T"),
        ("a ?\n b\n : c", "T"),
        ("a ? b\n[c] : d", "U"),
        ("a ? b ?\nc : d : e", "UT"),
        # keys that are reserved words decide nothing
        ("a ? b.if : c", "T"),
        ("a ? b.if\nc : d", "U"),
        # unbalanced brackets do no harm
        ("a ? b ) : c", "U"),
        ("( a ? b : c", "T"),
        ("a ? ( b : c", "U"),
    ],
)
def test_rule_r3(source: str, expected: str) -> None:
    assert marks(source) == expected


def test_a_named_branch_after_an_unwrap_needs_a_line_break_or_a_comma() -> None:
    assert same("parallel { a: (h)?\nb: 1 }", "parallel { a: (h)?, b: 1 }")
    assert same("parallel { a: (h)? b: 1 }", "parallel { a: (h) ? (b) : (1) }")


def test_a_question_mark_in_a_type_is_neither() -> None:
    assert [token.kind for token in tokenize("Type { a: b?, c: Type { d: e? }? } ? x : y") if token.text == "?"] == [
        "OPTIONAL",
        "OPTIONAL",
        "OPTIONAL",
        "TERN",
    ]


STARTERS = set(
    "NUMBER STRING IDENT LPAR APPLY CALLED LBRACKET INDEX LBRACE MINUS BANG AWAIT CALL PARALLEL NOT NOT_IN TRUE FALSE "
    "NULL".split()
)
PIECES = [
    "?",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "=",
    "+=",
    "-",
    "+",
    "a",
    "1",
    "\n",
    ";",
    " ",
    "if",
    "print",
    "not",
    "in",
    "??",
]


def by_scanning(tokens: list[Token], at: int) -> str:
    """Rule R3 for one `?` as chapter 2.1 words it, looking to the right token by token."""

    def starts_expression(index: int) -> bool:
        if index >= len(tokens) or tokens[index].kind not in STARTERS:
            return False
        following = tokens[index + 1].text if index + 1 < len(tokens) else ""
        return tokens[index].text != "not" or following != "in"

    following = at + 1
    if not starts_expression(following):
        return "UNWRAP"
    if tokens[at].tight and tokens[following].nl:
        return "UNWRAP"
    depth = 0
    for index in range(following, len(tokens)):
        token = tokens[index]
        if depth == 0 and index != following and token.nl and token.text != "-" and starts_expression(index):
            previous = tokens[index - 1].text
            if previous in (")", "]", "}", "?", "a", "1"):
                return "UNWRAP"
        if token.text in ("(", "[", "{"):
            depth += 1
        elif token.text in (")", "]", "}"):
            if depth == 0:
                return "UNWRAP"
            depth -= 1
        elif depth == 0 and token.text == ":":
            return "TERN"
        elif depth == 0 and token.text in (",", "=", "+=", "if", "print"):
            return "UNWRAP"
    return "UNWRAP"


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_one_pass_decides_as_scanning_to_the_right_does(pieces: list[str]) -> None:
    try:
        tokens = tokenize(" ".join(pieces))
    except CompileError:
        return
    for index, token in enumerate(tokens):
        if token.text == "?":
            assert token.kind == by_scanning(tokens, index)
