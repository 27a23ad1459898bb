"""Chapter 17: messages, hints and rendering of the errors found before running."""

from __future__ import annotations

import pytest

from lashlang.syntax import CompileError, Source, hints, parse
from lashlang.syntax.kinds import FOREIGN_WORDS
from tests.syntax.helpers import error_of, expression

# --- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = ]", "expected an expression, found `]`"),
        ("x = [1 2]", "expected `,`, `]` or `for`, found number 2"),
        ("x = [1, 2 3]", "expected `,` or `]`, found number 3"),
        ("f(a 'b')", "expected `)` or `,`, found string"),
        ("(a b)", "expected `)`, found identifier `b`"),
        ("{ a 1 }", "expected `:`, found number 1"),
        ("{ 1: 2 }", "expected `}` or a key, found number 1"),
        ("{ a: 1 b: 2 }", "expected `,` or `}`, found identifier `b`"),
        ("a.1", "expected a key, found number 1"),
        ("x[1", "expected `]`, found end of input"),
        ("if a print", "expected `{`, found `print`"),
        ("if a { x", "expected `}`, found end of input"),
        ("if a { } else x", "expected `if` or `{`, found identifier `x`"),
        ("for 1 in x { }", "expected a name, found number 1"),
        ("for x of y { }", "expected `,` or `in`, found identifier `of`"),
        ("for x, y of z { }", "expected `in`, found identifier `of`"),
        ("call 1", "expected a name, found number 1"),
        ("call t x", "expected `{`, found identifier `x`"),
        ("parallel { a: 1, 2 }", "expected `}` or a key, found number 2"),
        ("Type { a: 1 }", "expected a type, found number 1"),
        ("Type { a: enum[b] }", "expected a string, found identifier `b`"),
        ("Type { a: list[str, int] }", "expected `]`, found `,`"),
        ("Type { a: str b }", "expected `,` or `}`, found identifier `b`"),
        (")", "expected a statement, found `)`"),
        ("x = 1 )", "unexpected `)`"),
        ("a.b(c)", "unexpected `(`"),
        ("f() = 1", "unexpected `=`"),
        ("x = 1.50 += 2", "unexpected `+=`"),
        ("x = a && == b", "expected an expression, found `==`"),
    ],
)
def test_a_message_says_what_was_expected_and_what_was_found(source: str, message: str) -> None:
    assert error_of(source).message == message


def test_a_number_is_named_as_it_is_written() -> None:
    assert error_of("{ 1.50: 2 }").message.endswith("found number 1.50")


def test_a_very_long_token_is_cut_in_messages() -> None:
    assert len(error_of("x = [a " + "b" * 100_000 + "]").message) < 200
    assert len(error_of("1_" + "0" * 100_000).message) < 200


# --- hints: each row of the table, and what it should say ----------------------------------------


@pytest.mark.parametrize(
    ("source", "column", "part"),
    [
        # H-FSTRING, H-BACKTICK, H-NUMBER, H-AMP, H-COMMENT
        ('x = f"a"', 5, "format("),
        ("x = `a`", 5, "format("),
        ("x = 1_000", 5, "exponent"),
        ("x = a & b", 7, "`and`"),
        ("x = a | b", 7, "`or`"),
        ("x = f(a | b)", 9, "`or`"),
        ("n // 2", 3, "floor_div(a, b)"),
        # H-CALL
        ("x = call t(1)", 11, "call name { key: value }"),
        ("x = start call t (1)", 18, "call name { key: value }"),
        # H-ARROW
        ("x = (r) => r", 9, "comprehension"),
        ("f = r => r", 7, "comprehension"),
        ("r => r", 4, "comprehension"),
        ("xs = sort_by(rows, lambda r: r.k)", 27, "comprehension"),
        ("f = lambda x: x", 13, "comprehension"),
        ("f = lambda x, y: x", 13, "comprehension"),
        # H-WORD
        ("return x", 1, "submit x"),
        ("let x = 1", 1, "x = 1"),
        ("if a { }\nelif b { }", 1, "else if"),
        ("def f(x) { }", 1, "functions"),
        ("class A { }", 1, "functions or classes"),
        ("import os", 1, "imports"),
        ("try { }", 1, "exceptions"),
        ("try:\n  x = 1", 4, "exceptions"),
        ("if a { finally: }", 15, "exceptions"),
        ("const [a, b] = c", 9, "x = 1"),
        ("let [a, b] = c", 7, "x = 1"),
        # H-INLINE-IF, H-INLINE-FOR
        ("x = if a { b }", 5, "cond ? a : b"),
        ("x = [a if b else c for d in e]", 8, "cond ? a : b"),
        ("x = a if b else c", 7, "cond ? a : b"),
        ("sum(x for x in xs)", 7, "[f(x) for x in xs]"),
        ("x = { k: v for k in xs }", 12, "[f(x) for x in xs]"),
        # H-METHOD
        ('s.split(",")', 8, "split(value, …)"),
        ("xs.append(1)", 10, "push(xs, v)"),
        ("xs.push(1)", 8, "xs = push(xs, v)"),
        ('",".join(xs)', 9, "join(xs, sep)"),
        ("xs.map(f)", 7, "[f(x) for x in xs if cond]"),
        ("xs.length()", 10, "len("),
        ("s.strip()", 8, "trim("),
        ("s.startswith(a)", 13, "starts_with("),
        ("s.endswith(a)", 11, "ends_with("),
        ("s.includes(a)", 11, "x in xs"),
        ("r.get(a)", 6, "rec[key]"),
        ("r.entries()", 10, "items("),
        ("s.splitlines()", 13, "lines("),
        ("s.toLowerCase()", 14, "lower("),
        ("s.toUpperCase()", 14, "upper("),
        ("s.zfill(3)", 8, "pad_left("),
        ("s.ljust(3)", 8, "pad_right("),
        ("x.toFixed(3)", 10, "to_fixed("),
        ("xs.pop()", 7, "slice("),
        ("r.update(s)", 9, "merge("),
        ("a.whatever()", 11, "methods"),
        ("a.b?.c.split(d)", 13, "split(value, …)"),
        # H-SLICE, H-SPREAD, H-KEY, H-PARALLEL
        ("xs[0:1]", 5, "slice(xs, a, b)"),
        ("xs[:1]", 4, "slice(xs, a, b)"),
        ("xs[1:]", 5, "slice(xs, a, b)"),
        ("x = [...xs]", 6, "xs + ys"),
        ("x = [1, ...xs]", 9, "xs + ys"),
        ("x = { ...r }", 7, "merge("),
        ("x = { a: 1, ...r }", 13, "merge("),
        ("f(...xs)", 3, "xs + ys"),
        ("x = [*xs, 1]", 6, "xs + ys"),
        ("x = { **r }", 7, "merge("),
        ("x = { [k]: 1 }", 7, "r[k] = v"),
        ("x = { a: 1, [k]: 1 }", 13, "r[k] = v"),
        ("parallel [a]", 10, "parallel {"),
        # H-CHAIN, H-NOT
        ("x = a < b < c", 11, "a < b and b < c"),
        ("if a == b != c { }", 11, "a < b and b < c"),
        ("x = [a in b in c]", 13, "a < b and b < c"),
        ("x = a == not b", 10, "!x"),
        ("x = -not b", 6, "!x"),
        ("x = await not b", 11, "!x"),
        # H-INCREMENT, H-EQ, H-POW
        ("x++", 3, "x += 1"),
        ("x++\ny = 1", 3, "x += 1"),
        ("if a { x++ }", 10, "x += 1"),
        ("x--", 4, "x -= 1"),
        ("if a { x-- }", 12, "x -= 1"),
        ("x--\nprint x", 1, "x -= 1"),
        ("x--\ny = 1", 3, "x -= 1"),
        ("x--\ny += 1", 3, "x -= 1"),
        ("if a = b { }", 6, "=="),
        ("while a and b = c { }", 15, "=="),
        ("f(a = b)", 5, "=="),
        ("a === b", 5, "=="),
        ("if a === b { }", 8, "=="),
        ("if a !== b { }", 8, "=="),
        ("f() = 1", 5, "assignment is a statement"),
        ("sort(xs, key=k)", 13, "no names"),
        ("x = 2 ** 3", 8, "pow(x, y)"),
        # H-TUPLE, H-RECORD, H-TYPE
        ("x = (a, b)", 7, "[a, b]"),
        ("a, b", 2, "[a, b]"),
        ("a, b = 1, 2", 2, "[a, b]"),
        ("x = 1, 2", 6, "[a, b]"),
        ("print a, b", 8, "[a, b]"),
        ("if a { print a, b }", 15, "[a, b]"),
        ("()", 2, "[a, b]"),
        ("for a, b, c in d { }", 9, "for k, v in r"),
        ("for (a, b) in d { }", 5, "for k, v in r"),
        ("for i = 0; i < 3; i += 1 { }", 7, "range(n)"),
        ("x = { a: 1 b: 2 }", 12, "commas"),
        ("x = { a: 1 'b': 2 }", 12, "commas"),
        ("x = { a: 1\nif: 2 }", 1, "commas"),
        ("x = Type { a: { b: str } }", 15, "Type { … }"),
        ("x = Type { a: [str] }", 15, "list[str]"),
        ("x = Type { a: str[] }", 18, "list[str]"),
        ("x = Type { a: list[{ b: str }] }", 20, "Type { … }"),
    ],
)
def test_a_mistake_that_other_languages_suggest_has_a_hint(source: str, column: int, part: str) -> None:
    error = error_of(source)
    assert error.column == column
    assert error.hint is not None
    assert part in error.hint


@pytest.mark.parametrize(
    "source",
    [
        "x = ]",
        "x = [1 2]",
        "f(a b)",
        "if a",
        "call 1 { }",
        "Type { a: | b }",
        "x = 1 + + 2",
        "(a)(b)",
        "x = * 2",
        "x = < 2",
        "a.1",
        ", a",
        "x = { a = 1 }",
        "call t { a = 1 }",
        "call if { }",
        "for if in a { }",
        "if a { .b }",
        "x = [.5]",
        "f(.a)",
        "x =\nif a { }",
        "for a in b\nif a { }",
    ],
)
def test_an_error_without_a_known_cause_has_no_hint(source: str) -> None:
    assert error_of(source).hint is None


@pytest.mark.parametrize("word", sorted(FOREIGN_WORDS))
def test_every_word_of_other_languages_has_advice(word: str) -> None:
    assert "`" in hints.foreign_word(word) or "there are no" in hints.foreign_word(word)


# --- hints that need only names ------------------------------------------------------------------


def called(source: str) -> str | None:
    """The hint for the call of an unknown builtin."""
    from lashlang.syntax import tree

    call = expression(source)
    assert isinstance(call, tree.BuiltinCall)
    return hints.unknown_builtin(call.name, call.args)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("get_user({ id: 1 })", "call name { key: value }"),
        ("lem({ id: 1 })", "call name { key: value }"),
        ("str(1)", "`to_string`"),
        ("parseInt(1)", "`to_int`"),
        ("json_dumps(1)", "`json_text`"),
        ("isinstance(1, 2)", "`type_of`"),
        ("map(a, b)", "comprehension"),
        ("reduce(a, b)", "loop"),
        ("lenn(x)", "`len`"),
        ("start_with(x)", "`starts_with`"),
        ("splti(x)", "`split`"),
    ],
)
def test_an_unknown_builtin_has_a_hint_where_a_name_is_near(source: str, part: str) -> None:
    hint = called(source)
    assert hint is not None
    assert part in hint


@pytest.mark.parametrize("source", ["frobnicate(x)", "frob({ a: 1 }, 2)", "x" * 50_000 + "(1)"])
def test_an_unknown_builtin_far_from_all_has_none(source: str) -> None:
    assert called(source) is None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("True", "`true`"),
        ("False", "`false`"),
        ("None", "`null`"),
        ("undefined", "`null`"),
        ("return", "no such statement"),
        ("len", "call it"),
        ("totl", "`total`"),
        ("toatl", "`total`"),
        ("itemz", "`items(…)`"),
    ],
)
def test_an_unbound_name_has_a_hint(name: str, part: str) -> None:
    hint = hints.unknown_name(name, ["alpha", "total", "total_2"])
    assert hint is not None
    assert part in hint


def test_the_nearest_bound_name_is_offered_before_a_builtin() -> None:
    hint = hints.unknown_name("itemz", ["items_a", "itemx"])
    assert hint == "did you mean `itemx`?"


def test_an_unbound_name_far_from_all_has_no_hint() -> None:
    assert hints.unknown_name("frobnicate", ["alpha"]) is None


@pytest.mark.parametrize("name", ["n", "z", "qq"])
def test_a_short_name_is_not_likened_to_one_it_shares_nothing_with(name: str) -> None:
    assert hints.unknown_name(name, ["x", "y"]) is None


# --- rendering -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("x = ]", ["--> line 1, column 5", "x = ]", "    ^"]),
        ("a\r\nx = ]\r\nb", ["--> line 2, column 5", "x = ]", "    ^"]),
        ("if a {\n\tx\t= ]\n}", ["--> line 2, column 6", "\tx\t= ]", "\t \t  ^"]),
        ("\ufeffx = ]", ["--> line 1, column 5", "x = ]", "    ^"]),
        ('x = "😀" ]', ["--> line 1, column 9", 'x = "😀" ]', "        ^"]),
        ("x = 1_000", ["--> line 1, column 5", "x = 1_000", "    ^~~~~"]),
        ("x = [1 'a\nb' ]", ["--> line 1, column 8", "x = [1 'a", "       ^~"]),
        ("x = [1,", ["--> line 1, column 8", "x = [1,", "       ^"]),
        ("if a {\n", ["--> line 2, column 1", "", "^"]),
        ("if a {\r\n", ["--> line 2, column 1", "", "^"]),
        ("if a { # c", ["--> line 1, column 11", "if a { # c", "          ^"]),
        ("x\u2028= ]", ["--> line 1, column 5", "x\u2028= ]", "    ^"]),
    ],
)
def test_an_error_is_rendered_with_its_line_and_marker(source: str, lines: list[str]) -> None:
    error = error_of(source)
    rendered = error.render(source).split("\n")
    assert rendered[0] == f"error[{error.kind}]: {error.message}"
    assert rendered[1 : 1 + len(lines)] == lines
    assert rendered[1 + len(lines) :] == ([f"hint: {error.hint}"] if error.hint else [])


@pytest.mark.parametrize("before", [0, 50, 99, 100, 101, 150, 300, 1000])
@pytest.mark.parametrize("after", [0, 50, 150, 1000])
def test_a_long_line_is_cut_around_the_column(before: int, after: int) -> None:
    source = f"{'a' * before} ) {'b' * after}" if before else f") {'b' * after}"
    line, marker = error_of(source).render(source).split("\n")[2:4]
    assert len(line) == min(200, len(source))
    assert line in source
    assert line[len(marker) - 1] == ")"


def test_a_marker_stops_at_the_end_of_a_cut_line() -> None:
    source = "x = [a " + "b" * 500 + "]"
    line, marker = error_of(source).render(source).split("\n")[2:4]
    assert (len(line), len(marker)) == (200, 200)


def test_tabs_in_the_pad_of_a_cut_line_stay_tabs() -> None:
    source = "\t" * 300 + ")"
    line, marker = error_of(source).render(source).split("\n")[2:4]
    assert (line, marker) == ("\t" * 199 + ")", "\t" * 199 + "^")


def test_the_end_of_an_error_is_exclusive() -> None:
    error = error_of("a\nx = [1 bcd]")
    assert (error.line, error.column, error.end_line, error.end_column) == (2, 8, 2, 11)


def test_the_end_of_input_is_one_past_the_last_code_point() -> None:
    error = error_of("x = 😀"[:4])
    assert (error.line, error.column) == (1, 5)
    assert (error_of("x = [\n\n").line, error_of("x = [\n\n").column) == (3, 1)


def test_a_compile_error_reads_well_as_an_exception() -> None:
    with pytest.raises(CompileError, match=r"syntax_error: expected an expression, found `\]` \(line 1, column 5\)"):
        parse("x = ]")


def test_a_source_finds_lines_and_columns() -> None:
    source = Source("a\r\n\nbc")
    assert [source.position(offset) for offset in (0, 1, 2, 3, 4, 6)] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (3, 1),
        (3, 3),
    ]
    assert [source.line(number) for number in (1, 2, 3)] == ["a", "", "bc"]
