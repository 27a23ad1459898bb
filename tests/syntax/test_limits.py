"""Chapters 2.3 and 16: nesting limits, repeated names, the order of checks, and hostile sources."""

from __future__ import annotations

from typing import Any

import pytest

from lashlang.syntax import CompileError, parse, tokenize
from lashlang.syntax.lexer import lex, read_source
from lashlang.syntax.passes import label
from tests.syntax.helpers import error_of

KIB_256 = 256 * 1024


def too_deep_at(source: str) -> int:
    """The column at which nesting is too deep."""
    error = error_of(source)
    assert (error.kind, error.line) == ("nesting_too_deep", 1), error
    assert error.end_column > error.column
    return error.column


# --- each limit, on both sides -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opener", "closer"), [("(", ")"), ("[", "]"), ("{a:", "}"), ("f(", ")"), ("x[", "]"), ("([", "])")]
)
def test_64_brackets_may_be_open(opener: str, closer: str) -> None:
    count = 64 // sum(opener.count(char) for char in "([{")
    assert parse(opener * count + "x" + closer * count)
    source = opener * count + "(x)" + closer * count
    assert too_deep_at(source) == len(opener) * count + 1


def test_blocks_and_type_bodies_are_brackets() -> None:
    assert parse("if a {" * 64 + "}" * 64)
    assert too_deep_at("if a {" * 65 + "}" * 65) == 6 * 65
    assert parse("x = " + "Type { a: " * 64 + "str" + "}" * 64)
    assert too_deep_at("x = " + "Type { a: " * 65 + "str" + "}" * 65)


def test_brackets_side_by_side_do_not_add_up() -> None:
    assert parse("[" + "[[x]]," * 1000 + "]")


@pytest.mark.parametrize("operator", ["- ", "! ", "not ", "await "])
def test_64_prefix_operators_may_stand_in_a_row(operator: str) -> None:
    assert parse("x = " + operator * 64 + "y")
    assert too_deep_at("x = " + operator * 65 + "y") == 5 + 64 * len(operator)


def test_prefix_operators_of_all_kinds_make_one_row() -> None:
    assert too_deep_at("not " * 30 + "-" * 35 + "y") == 30 * 4 + 35


def test_rows_of_prefix_operators_are_counted_apart() -> None:
    assert parse("x = " + "-" * 64 + "a + " + "-" * 64 + "b")
    assert parse("x = " + "-" * 64 + "(" + "-" * 64 + "a)")


def test_64_ternaries_may_nest_in_either_arm() -> None:
    assert parse("x = " + "a ? b : " * 64 + "c")
    assert too_deep_at("x = " + "a ? b : " * 65 + "c") == 5 + 64 * 8 + 2
    assert parse("x = " + "a ? " * 64 + "b" + " : c" * 64)
    assert too_deep_at("x = " + "a ? " * 65 + "b" + " : c" * 65) == 5 + 64 * 4 + 2


def test_ternaries_that_are_complete_do_not_count() -> None:
    assert parse("x = [" + "a ? b : c, " * 300 + "]")
    assert parse("x = " + "(a ? b : c) + " * 300 + "d")


def test_256_links_of_else_if_may_follow() -> None:
    head = "if a { } "
    link = "else if b { } "
    assert parse(head + link * 256 + "else { }")
    assert too_deep_at(head + link * 257) == len(head) + 256 * len(link) + len("else ") + 1


def test_chains_of_else_if_are_counted_apart() -> None:
    assert parse(("if a { } " + "else if b { } " * 200) * 3)


def test_the_total_depth_counts_brackets_and_prefixes() -> None:
    # 51 times 5 is 255: one more is allowed, two are not.
    nest = "(----" * 51
    assert parse("x = " + nest + "-a" + ")" * 51)
    assert too_deep_at("x = " + nest + "--a" + ")" * 51) == 5 + 51 * 5 + 1
    assert too_deep_at("x = " + nest + "-(a)" + ")" * 51) == 5 + 51 * 5 + 1


def test_the_total_depth_counts_ternaries() -> None:
    nest = "(a ? ---" * 51
    ends = " : c)" * 51
    assert parse("x = " + nest + "-b" + ends)
    assert too_deep_at("x = " + nest + "-(b)" + ends) == 5 + 51 * 8 + 1
    assert parse("x = " + nest + "(b)" + ends)
    assert too_deep_at("x = " + nest + "(b ? c : d)" + ends) == 5 + 51 * 8 + 3


def test_an_operand_that_is_complete_counts_no_longer() -> None:
    assert parse("x = " + "(----a + " * 51 + "----b" + ")" * 51)


def test_the_brackets_of_an_index_stand_inside_the_operand() -> None:
    assert too_deep_at("x = " + "----a[" * 52 + "0" + "]" * 52) == 5 + 6 * 51 + 1


# --- what has no limit ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "x = 1" + " + 1" * 50_000,
        "x = 1" + " * 1 - 1" * 25_000,
        "x = a" + " and a" * 40_000,
        "x = a" + " ?? a" * 40_000,
        "x = a" + ".b" * 100_000,
        "x = a" + "[0]" * 60_000,
        "x = (a)" + "?\n" * 1,
        "x = a" + "?.b" * 60_000,
        "x = [" + "1," * 100_000 + "]",
        "x = f(" + "1," * 100_000 + ")",
        "x = [a" + " for a in b if c" * 10_000 + "]",
        "x = Type { a: b" + " | b" * 50_000 + "}",
        "x = 1\n" * 40_000,
        "if a { } " * 20_000,
        "parallel {" + "x," * 100_000 + "}",
    ],
)
def test_what_does_not_nest_may_be_long(source: str) -> None:
    assert len(source) <= KIB_256
    assert parse(source)


# --- hostile sources: they end, and with a declared error if any ---------------------------------

PIECES = (
    *"?(-[{!}])':.,=|\"\\0#@\n; é",
    *("? ", "a? ", "a?\n", "a?b:", "a ? (", "- ", "not ", "await ", "not in ", "x not in ", "??", ".if", "x.y[0]?"),
    *('"""', "''' ", '"" ', "r'", '"\\', "\\u", "//1\n", "#\n", "1e", "1."),
    *("break ", "break.", "break[", "break[x] ", "while ", "return[", "let ", "let x ", "submit ", "for x in "),
    *("Type {", "Type { a:", "list[", "enum[", "if a {", "else if a { } ", "parallel {", "a:", "x=", "call t {", "f("),
)


def answered(piece: str, before: str, size: int) -> None:
    """Parse a source of so many bytes that repeats a piece; any error must be declared and renderable."""
    source = before + piece * ((size - len(before)) // len(piece.encode()))
    try:
        parse(source)
    except CompileError as error:
        text = error.diagnostic.render(source)
        assert text.startswith("error[")


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("before", ["", "x = [a, "])
def test_one_piece_again_and_again_is_answered(piece: str, before: str) -> None:
    answered(piece, before, 32 * 1024)


@pytest.mark.parametrize("piece", ["?", "? ", "a? ", "a?b:", "(", "-", "[", "not ", "break[", '"', "//1\n"])
def test_so_is_the_largest_source_of_it(piece: str) -> None:
    answered(piece, "", KIB_256)


def test_the_passes_take_a_fixed_number_of_looks_at_each_token() -> None:
    def looks(count: int) -> int:
        """How often the kind of a token is looked at to label so many statements."""
        seen = 0

        class Counted(list[int]):
            def __getitem__(self, index: Any) -> Any:
                nonlocal seen
                seen += 1
                base: Any = super()
                return base.__getitem__(index)

        tokens = lex(read_source("a? (b ? c) break[break[x]].y return[a ? b] " * count))
        tokens.kinds = Counted(tokens.kinds)
        label(tokens)
        return seen

    assert 0 < looks(2000) <= 2 * looks(1000)


# --- repeated names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "column", "message"),
    [
        ("parallel { a: 1, b: 2, a: 3 }", 24, "duplicate branch `a`"),
        ("parallel { a: 1 'a': 3 }", 17, "duplicate branch `a`"),
        ("parallel { 'x y': 1, \"x y\": 3 }", 22, "duplicate branch `x y`"),
        ("x = Type { a: str, a: int }", 20, "duplicate field `a`"),
        ("x = Type { a: Type { b: str, b: str } }", 30, "duplicate field `b`"),
        ("for a, a in b { }", 8, "duplicate loop variable `a`"),
        ("[a for a, a in b]", 11, "duplicate loop variable `a`"),
    ],
)
def test_a_repeated_name_is_reported_where_it_is_repeated(source: str, column: int, message: str) -> None:
    error = error_of(source)
    assert (error.kind, error.column, error.message) == ("duplicate_name", column, message)


@pytest.mark.parametrize(
    "source",
    [
        "parallel { a: parallel { a: 1 }, b: parallel { a: 1, b: 2 } }",
        "parallel { a: 1 }\nparallel { a: 2 }",
        "Type { a: Type { a: str }, b: list[Type { a: str }] }",
        "x = { a: 1, a: 2 }",
        "call t { a: 1, a: 2 }",
        "for a, b in c { for a, b in d { } }",
        "[a for a in b for a in c]",
    ],
)
def test_names_repeated_in_different_places_are_fine(source: str) -> None:
    assert parse(source)


# --- the order of checks -------------------------------------------------------------------------


def test_a_lexical_error_comes_before_a_bracket_too_many() -> None:
    assert error_of("(" * 100 + "@").kind == "lex_error"


def test_a_byte_that_is_no_utf8_comes_before_a_bracket_too_many() -> None:
    assert error_of(b"(" * 100 + b'"\xff"').kind == "lex_error"


def test_a_bracket_too_many_comes_before_a_syntax_error() -> None:
    assert error_of("] " + "(" * 100).kind == "nesting_too_deep"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("parallel { a: 1, a: ] }", "duplicate_name"),
        ("parallel { a: ], a: 1 }", "syntax_error"),
        ("Type { a: str, a: ] }", "duplicate_name"),
        ("for a, a ] b { }", "duplicate_name"),
        ("x = ] " + "-" * 65 + "y", "syntax_error"),
        ("x = " + "-" * 65 + "]", "nesting_too_deep"),
        ("f() = " + "-" * 65 + "y", "syntax_error"),
        ("f() = ]", "syntax_error"),
        ("x = " + "a ? b : " * 65 + "]", "nesting_too_deep"),
        ("if a { } " + "else if b { } " * 257 + "]", "nesting_too_deep"),
        ("if a { } " + "else if b { } " * 256 + "else if", "nesting_too_deep"),
        ("let x = ]", "syntax_error"),
    ],
)
def test_of_the_other_checks_the_first_in_the_source_wins(source: str, kind: str) -> None:
    assert error_of(source).kind == kind


def test_a_wrong_target_is_reported_before_what_follows_it() -> None:
    assert error_of("f() = ]").column == 5


def test_tokens_are_given_whatever_the_grammar_says() -> None:
    assert [token.text for token in tokenize(") x = ]")] == [")", "x", "=", "]"]
