"""Chapter 1: white space, comments, identifiers, numbers, strings."""

from __future__ import annotations

import pytest

from lashlang.syntax import tokenize, tree
from tests.syntax.helpers import error_of, expression, kinds

WHITE_SPACE = [
    *range(0x09, 0x0E),
    0x20,
    0x85,
    0xA0,
    0x1680,
    *range(0x2000, 0x200B),
    0x2028,
    0x2029,
    0x202F,
    0x205F,
    0x3000,
]


def value(source: str) -> object:
    literal = expression(source)
    assert isinstance(literal, tree.Literal)
    return literal.value


def flags(source: str) -> list[tuple[bool, bool]]:
    return [(token.nl, token.tight) for token in tokenize(source)]


# --- white space and flags -----------------------------------------------------------------------


@pytest.mark.parametrize("point", WHITE_SPACE)
def test_every_white_space_code_point_separates_tokens(point: int) -> None:
    assert [token.text for token in tokenize(f"a{chr(point)}b")] == ["a", "b"]


@pytest.mark.parametrize("point", [0x1C, 0x180E, 0x200B, 0x2060, 0xFEFF, 0x00, 0x1F])
def test_other_invisible_code_points_are_refused(point: int) -> None:
    error = error_of(f"a {chr(point)}b")
    assert (error.kind, error.code, error.column) == ("lex_error", "unexpected_character", 3)


def test_a_semicolon_is_white_space() -> None:
    assert [token.text for token in tokenize("a;;b ; c")] == ["a", "b", "c"]


def test_nl_is_set_by_line_feeds_and_semicolons_and_for_the_first_token() -> None:
    assert [nl for nl, _ in flags("a b\nc;d\re\u2028f")] == [True, False, True, True, False, False]


def test_nl_is_set_after_a_comment() -> None:
    assert [nl for nl, _ in flags("a # x\nb // y\n# z\nc")] == [True, True, True]


def test_tight_means_that_nothing_lies_between() -> None:
    assert [tight for _, tight in flags("a.b ? c\n?")] == [False, True, True, False, False, False]


def test_a_leading_byte_order_mark_is_dropped_and_shifts_no_column() -> None:
    assert tokenize("\ufeffab")[0].start == 0
    assert error_of("\ufeffx = ]").column == 5
    assert error_of("\ufeffx = ]".encode()).column == 5


def test_only_one_byte_order_mark_is_dropped() -> None:
    assert error_of("\ufeff\ufeffx").column == 1
    assert error_of("\ufeff\ufeffx".encode()).column == 1


def test_columns_count_code_points() -> None:
    assert error_of('x = "😀é" ]').column == 10


def test_only_a_line_feed_ends_a_line() -> None:
    assert (error_of("a\r\n\rb\u2028 ]").line, error_of("a\r\n\rb\u2028 ]").column) == (2, 5)


# --- comments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source", ["a # b \n", "a // b", "a //", "#", "//", "# a\n// b\na", "a #= 2", "a // x = 2", "//2", "// = 2\na"]
)
def test_comments_run_to_the_end_of_the_line(source: str) -> None:
    assert {token.text for token in tokenize(source)} <= {"a"}


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("n // 2", 1, 3),
        ("n//2", 1, 2),
        ("n //\t 2", 1, 3),
        ("n //= 2", 1, 3),
        ("n //=", 1, 3),
        ("n; // 2", 1, 4),
        ("a\nn // 2", 2, 3),
        ('"""a\n""" // 2', 2, 5),
    ],
)
def test_a_comment_like_a_division_is_refused(source: str, line: int, column: int) -> None:
    error = error_of(source)
    assert (error.kind, error.code, error.line, error.column) == ("lex_error", "ambiguous_comment", line, column)
    assert error.hint is not None
    assert "floor_div" in error.hint


@pytest.mark.parametrize(
    "source", ["n\n// 2", "n # a\n// 2", "n // a\n//= 2", "n # // 2", "n //\u00a02", "n // -2", "n // == 2 "]
)
def test_a_comment_on_its_own_line_or_of_words_is_none_of_these(source: str) -> None:
    assert kinds(source) == ["IDENT"]


# --- identifiers ---------------------------------------------------------------------------------


def test_identifiers_are_ascii() -> None:
    assert error_of("naïve = 1").column == 3


def test_reserved_words_are_whole_words() -> None:
    assert kinds("iff _if If if") == ["IDENT", "IDENT", "IDENT", "IF"]


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("007", 7),
        ("9223372036854775807", 9223372036854775807),
        ("0" * 5000 + "12", 12),
        ("9007199254740993", 9007199254740993),
        ("2.0", 2),
        ("2.", 2),
        ("1e3", 1000),
        ("1E+3", 1000),
        ("25e-1", 2.5),
        ("1.5", 1.5),
        ("0.1e1", 1),
        ("1e15", 10**15),
        ("9007199254740992.0", 2**53),
        ("1e-400", 0),
    ],
)
def test_number_literals_have_their_exact_value(text: str, expected: float) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9223372036854775808", 2.0**63),
        ("9007199254740993.0", 2.0**53),
        ("9007199254740994.0", 2.0**53 + 2),
        ("1e300", 1e300),
        ("1" + "0" * 300, 1e300),
    ],
)
def test_numbers_that_are_no_exact_integer_are_floats(text: str, expected: float) -> None:
    number = value(text)
    assert number == expected
    assert isinstance(number, (int if abs(expected) <= 2**53 else float))


@pytest.mark.parametrize(
    "text",
    [
        "1_000",
        "12px",
        "1.2.3",
        "1.x",
        "1..2",
        "1e",
        "1e+",
        "0x10",
        "1e999",
        "1é",
        "1²",
        "1e5e",
        "1.e5x",
        "1" + "0" * 400,
        "5_",
    ],
)
def test_malformed_numbers_are_refused_where_they_begin(text: str) -> None:
    error = error_of(f"x = {text} + 1")
    assert (error.kind, error.code, error.line, error.column) == ("lex_error", "bad_number", 1, 5)
    assert error.hint is not None
    assert error.message.startswith(f"malformed number `{text[:50]}")


def test_the_whole_malformed_number_is_marked() -> None:
    assert error_of("x = 1_000 + 1").end_column == 10


def test_a_number_does_not_begin_with_a_dot() -> None:
    assert error_of("x = .5").kind == "syntax_error"


# --- strings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("quote", ['"', "'", '"""', "'''"])
@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", ""),
        ("a b", "a b"),
        ("a\nb\r\nc", "a\nb\r\nc"),
        (r"\n\r\t\\", "\n\r\t\\"),
        (r"\"\'", "\"'"),
        (r"\q\/\0\ ", "q/0 "),
        (r"\u0041\u00e9\u20AC", "Aé€"),
        (r"\ud83d\ude00", "😀"),
        (r"\uD83D\uDE00!", "😀!"),
        (r"\ud83d", "ud83d"),
        (r"\ude00\ud83d", "ude00ud83d"),
        (r"\ud83dx\ude00", "ud83dxude00"),
        (r"\ud83d\u0041", "ud83dA"),
        (r"\u00g0\u12", "u00g0u12"),
        (r"\u{41}", "u{41}"),
        ("\\\n", "\n"),
        ("# // ; {", "# // ; {"),
        ("😀", "😀"),
    ],
)
def test_processed_strings_take_escapes(quote: str, inside: str, expected: str) -> None:
    assert value(f"{quote}{inside}{quote}") == expected


@pytest.mark.parametrize("prefix", ["r", "R"])
@pytest.mark.parametrize("quote", ['"', "'", '"""', "'''"])
@pytest.mark.parametrize("inside", ["", r"\n", r"C:\dir\\", "a\nb", r"\u0041", "\\"])
def test_raw_strings_are_verbatim(prefix: str, quote: str, inside: str) -> None:
    assert value(f"{prefix}{quote}{inside}{quote}") == inside


def test_triple_strings_hold_single_quotes() -> None:
    assert value('"""a "b" ""c"""') == 'a "b" ""c'
    assert value("r'''it's ''x'''") == "it's ''x"


def test_a_triple_string_ends_at_the_first_three_quotes() -> None:
    assert value('""""a"""') == '"a'
    assert [token.text for token in tokenize('"""a""" ""')] == ['"""a"""', '""']


def test_three_quotes_always_open_the_triple_form() -> None:
    error = error_of('x = """')
    assert (error.code, error.column, error.end_column) == ("unterminated_string", 5, 8)


def test_two_quotes_are_the_empty_string() -> None:
    assert value('""') == ""
    assert kinds("'' ''") == ["STRING", "STRING"]


def test_an_escaped_quote_does_not_end_a_triple_string() -> None:
    assert value(r'"""a\""""') == 'a"'


def test_the_raw_prefix_counts_only_at_the_beginning_of_a_token() -> None:
    assert kinds('bar"x"') == ["IDENT", "STRING"]
    assert kinds('r "x"') == ["IDENT", "STRING"]
    assert kinds('r"x"') == ["STRING"]


@pytest.mark.parametrize("opener", ['"', "'", '"""', "'''", 'r"', "R'", 'r"""', "R'''"])
def test_an_unclosed_string_is_reported_at_its_opener(opener: str) -> None:
    error = error_of(f"x = 1\ny = {opener}abc\n")
    assert (error.kind, error.code, error.line, error.column) == ("lex_error", "unterminated_string", 2, 5)
    assert error.message == "string is never closed"


def test_a_backslash_does_not_close_a_processed_string() -> None:
    assert error_of('x = "abc\\"').code == "unterminated_string"


@pytest.mark.parametrize("prefix", ["f", "F", "b", "B", "u", "U"])
def test_foreign_string_prefixes_are_refused(prefix: str) -> None:
    error = error_of(f'x = {prefix}"a"')
    assert (error.kind, error.code, error.column, error.end_column) == ("lex_error", "string_prefix", 5, 6)
    assert error.hint is not None
    assert "format" in error.hint


def test_a_prefix_letter_apart_from_the_string_is_a_variable() -> None:
    assert kinds('f "a"') == ["IDENT", "STRING"]
    assert kinds('ff"a"') == ["IDENT", "STRING"]


# --- other errors --------------------------------------------------------------------------------


@pytest.mark.parametrize("char", ["@", "~", "^", "\\", "$", "é", "😀", "“"])
def test_an_unknown_character_is_named(char: str) -> None:
    error = error_of(f"x = {char}")
    assert (error.kind, error.code, error.column) == ("lex_error", "unexpected_character", 5)
    assert error.message == f"unexpected character `{char}`"


def test_an_invisible_character_is_named_by_its_number() -> None:
    assert "U+0007" in error_of("x = \x07").message


@pytest.mark.parametrize(("source", "word"), [("x = `a`", "format"), ("x = a & b", "`and`")])
def test_some_unknown_characters_have_a_hint(source: str, word: str) -> None:
    hint = error_of(source).hint
    assert hint is not None
    assert word in hint


def test_the_first_lexical_error_wins() -> None:
    assert error_of("@ 1_0").code == "unexpected_character"
    assert error_of("1_0 @").code == "bad_number"


def test_a_lexical_error_anywhere_comes_before_a_syntax_error() -> None:
    assert error_of("x = ]\ny = 1_0").kind == "lex_error"


@pytest.mark.parametrize(
    ("source", "line", "column", "byte"),
    [
        (b"x = \xff", 1, 5, "0xFF"),
        ('é = "'.encode() + b'\xc3"', 1, 1, "é"),
        (b'x = "\xc3\xa9\n\xe2\x82"', 2, 1, "0xE2"),
        (b"# \xed\xa0\x80", 1, 3, "0xED"),
        (b"x\n# caf\xe9", 2, 6, "0xE9"),
    ],
)
def test_bytes_that_are_not_utf8_are_refused_where_they_stand(source: bytes, line: int, column: int, byte: str) -> None:
    error = error_of(source)
    assert (error.kind, error.code, error.line, error.column) == ("lex_error", "unexpected_character", line, column)
    assert byte in error.message


@pytest.mark.parametrize("source", ["x = \ud800", 'x = "\ud800"', "x = 1 # \udfff"])
def test_a_lone_surrogate_is_refused_wherever_it_stands(source: str) -> None:
    error = error_of(source)
    assert (error.kind, error.code) == ("lex_error", "unexpected_character")
    assert error.column == max(source.find("\ud800"), source.find("\udfff")) + 1
    assert "U+D" in error.message


def test_an_error_before_a_lone_surrogate_wins() -> None:
    assert error_of('x = 1_0 "\ud800"').code == "bad_number"
    assert error_of('x = "\ud800" 1_0').code == "unexpected_character"


# --- size ----------------------------------------------------------------------------------------

LIMIT = 256 * 1024


@pytest.mark.parametrize("source", ["#" * LIMIT, "\ufeff" + "#" * LIMIT, "#" + "é" * (LIMIT // 2 - 1) + " "])
def test_a_source_of_exactly_the_limit_is_accepted(source: str) -> None:
    assert tokenize(source) == []
    assert tokenize(source.encode()) == []


@pytest.mark.parametrize(
    "source", ["#" * (LIMIT + 1), "#" + "é" * (LIMIT // 2), "`" * (LIMIT + 1), "#" + "😀" * (LIMIT // 4)]
)
def test_a_source_over_the_limit_is_refused_before_anything_else(source: str) -> None:
    for given in (source, source.encode()):
        error = error_of(given)
        assert (error.kind, error.line, error.column) == ("source_too_large", 1, 1)
        assert str(LIMIT) in error.message
