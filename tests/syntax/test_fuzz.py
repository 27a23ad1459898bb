"""Any text and any bytes are parsed or refused with a declared error, and nothing else happens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lashlang.syntax import CompileError, Diagnostic, parse, tokenize
from lashlang.syntax.kinds import NAMES as KIND_NAMES
from lashlang.syntax.kinds import RESERVED
from tests.syntax.helpers import walk

SIGNS = "== != < <= > >= && || ?? += -= = ( ) [ ] { } , : ? . ! + - * / % | # // ; & @ \\ `"
LITERALS = "1 2.5 1e9 1_0 's' \"t\" r'u' f''"
NAMES = "break continue while start Type enum list str a b x let return lambda"
WORDS = [
    *RESERVED,
    *f"{SIGNS} {LITERALS} {NAMES}".split(),
    *("\n", " ", "\t", "\r", "\u2028", "😀", "\ufeff", "\ud800", "\x00"),
]

BEGINNINGS = [
    *(
        "x =",
        "x.a[0] +=",
        "print",
        "submit",
        "break",
        "let x",
        "return",
        "if a {",
        "} else {",
        "} else if b {",
        "while a {",
    ),
    *(
        "for x in",
        "for k, v in y {",
        "parallel {",
        "parallel { a:",
        "b:",
        "call t {",
        "start call t { a:",
        "Type { a:",
        "T?,",
    ),
    *(
        "list[",
        "enum['a',",
        "a |",
        "[",
        "[x for x in y",
        "if c",
        "f(",
        "(",
        "{ a:",
        ", b:",
        "a ? b :",
        "a ?",
        "await h?",
        "x--",
    ),
    *("a <", "a not in", "a and", "not", "-", "a +", "a ??", "a.", "a[", "}", "]", ")", "\n"),
]

KINDS = {"lex_error", "syntax_error", "duplicate_name", "nesting_too_deep", "source_too_large"}


def check(source: str | bytes) -> None:
    """Parse a source, and look closely at what comes of it; bytes that are accepted must be UTF-8."""
    try:
        program = parse(source)
    except CompileError as error:
        check_error(error.diagnostic, source)
        return
    if isinstance(source, bytes):
        source.decode()
    for node in walk(program):
        assert 0 <= node.start <= node.end <= program.end
    tokens = tokenize(source)
    assert all(token.kind in KIND_NAMES for token in tokens)


def check_error(error: Diagnostic, source: str | bytes) -> None:
    text = source if isinstance(source, str) else source.decode("utf-8", "surrogateescape")
    lines = text.removeprefix("\ufeff").split("\n")
    assert error.kind in KINDS
    assert (error.code is not None) == (error.kind == "lex_error")
    assert 1 <= error.line <= error.end_line <= len(lines)
    assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    assert 1 <= error.end_column <= len(lines[error.end_line - 1]) + 1
    assert (error.line, error.column) <= (error.end_line, error.end_column)
    assert error.message
    assert "\n" not in (error.hint or "")
    rendered = error.render(text)
    assert rendered.startswith(f"error[{error.kind}]: {error.message}\n--> line {error.line}, column {error.column}\n")
    assert len(rendered) < 1500


@given(st.text())
def test_any_text(source: str) -> None:
    check(source)


@given(st.text(alphabet=st.characters()))
def test_any_text_with_lone_surrogates(source: str) -> None:
    check(source)


@given(st.binary())
def test_any_bytes(source: bytes) -> None:
    check(source)


@settings(max_examples=500)
@given(st.lists(st.sampled_from(WORDS), max_size=60), st.sampled_from(["", " "]))
def test_any_words_of_the_language(words: list[str], between: str) -> None:
    check(between.join(words))


@settings(max_examples=500)
@given(st.lists(st.sampled_from(BEGINNINGS), max_size=8), st.lists(st.sampled_from(WORDS), max_size=8))
def test_any_words_after_beginnings_of_constructs(beginnings: list[str], words: list[str]) -> None:
    check(" ".join([*beginnings, *words]))


@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_text_and_its_bytes_are_parsed_alike(words: list[str]) -> None:
    source = " ".join(words).replace("\ud800", "")

    def outcome(given: str | bytes) -> object:
        try:
            return parse(given)
        except CompileError as error:
            return error.diagnostic

    assert outcome(source) == outcome(source.encode())
