"""What is taken for an expression, and what for the text that it is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lash.host.tools.search.term import METACHARACTERS, parse_term
from tests.host.tools.search.support import RG


@pytest.mark.parametrize(
    ("text", "literal", "ignore_case"),
    [
        ("tea", True, True),
        ("Tea", True, False),
        ("été", True, True),
        ("É", True, False),
        ("t.a", False, True),
        (r"\S+tea", False, True),
        (r"\STea", False, False),
        (r"\p{Lu}", False, False),
        ("[A-Z]", False, False),
        (r"(?i)Tea", False, False),
        (r"(?P<name>a|b)+?[^]x]{2,3}\.\x41", False, True),
    ],
)
def test_a_term_with_metacharacters_is_an_expression_and_capitals_count(
    text: str, literal: bool, ignore_case: bool
) -> None:
    term = parse_term(text)
    assert (term.literal, term.error) == (literal, None)
    assert term.ignore_case == ignore_case


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("foo(", "1 group is not closed; a ( itself is written \\("),
        ("((a", "2 groups are not closed; a ( itself is written \\("),
        ("a)", "the ) at 1 closes no group"),
        ("[a", "the [ at 0 is not closed; a [ itself is written \\["),
        ("[[:alpha:]]", "the [ at 1 in a class is written \\["),
        ("[a&&b]", "the & at 2 in a class is written \\&"),
        (r"[\b]", "the \\b at 1 stands in a class"),
        (r"[\d-x]", "the \\d before 3 is no end of a range; a - itself is written \\-"),
        (r"[a-\w]", "the \\w before 5 is no end of a range; a - itself is written \\-"),
        ("*a", "the * at 0 repeats nothing; a * itself is written \\*"),
        ("^*", "the * at 1 repeats nothing; a * itself is written \\*"),
        ("a|+", "the + at 2 repeats nothing; a + itself is written \\+"),
        ("a++", "the + at 2 repeats a repetition"),
        ("a{2}{3}", "the { at 4 repeats nothing; a { itself is written \\{"),
        ("a {", "the { at 2 begins no repetition; a { itself is written \\{"),
        ("a{,3}", "the { at 1 begins no repetition; a { itself is written \\{"),
        ("a{1001}", "the repetition at 1 is of more than 1000 times"),
        ("(?=a)b", "the group at 0 is of a kind that is not supported, like look-around"),
        ("(?<!a)b", "the group at 0 is of a kind that is not supported, like look-around"),
        (r"(a)\1", "the \\1 at 3 refers back to a group"),
        (r"\k<a>.", "the \\k at 0 refers back to a group"),
        (r"a\n", "the \\n at 1 is not supported"),
        (r"\b{start}a", "the \\b{ at 0 is not supported"),
        ("a.\\", "the \\ at 2 is not supported"),
        ("((a{1000}){1000}){1000}", "its repetitions written out have more than 50000 parts"),
        ("[a-z]{1000}" * 60, "its repetitions written out have more than 50000 parts"),
        ("(" * 101 + ")" * 101, "more than 100 groups are within each other"),
    ],
)
def test_what_not_all_engines_read_alike_is_looked_for_as_it_is_written(text: str, error: str) -> None:
    term = parse_term(text)
    assert (term.literal, term.error) == (True, error)
    assert term.pattern.search(f"x{text}x") is not None


def test_what_python_does_not_take_is_looked_for_as_it_is_written() -> None:
    term = parse_term("[b-a]")
    assert term.literal
    assert "bad character range" in str(term.error)


LINES = ["", "tea", "TEA tea", "a b  c", "(x)", "foo(bar) {", "a1_b2", "é È ñ", "aa ab ba bb", "x-y", "[z]", "100%"]

PARTS = [
    *("a", "b", "x", "T", "é", ".", r"\d", r"\w", r"\s", r"\W", r"\b", r"\B", "^", "$", "*", "+", "?", "{2}", "{1,}"),
    *("|", "(", "(?:", ")", "[ab]", "[^a]", "[a-c]", r"[\w-]", "[]a]", r"\(", r"\.", r"\-", "-", "_", " ", "*?", "??"),
    *(r"\pL", r"\p{Lu}", r"\x61", "(?P<n>", "(?i:", r"\#", "{", "}", "[", "]", r"\S", r"\u00e9", "{1,2}?"),
]


@pytest.mark.skipif(RG is None, reason="rg is not installed")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much], max_examples=60)
@given(parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=6))
def test_an_expression_matches_the_same_lines_in_rg(tmp_path: Path, parts: list[str]) -> None:
    text = "".join(parts)
    term = parse_term(text)
    if term.literal or not METACHARACTERS.intersection(text):
        return
    (tmp_path / "lines.txt").write_text("\n".join(LINES) + "\n")
    case = "--ignore-case" if term.ignore_case else "--case-sensitive"
    command = [str(RG), "--json", "--no-config", "--crlf", case, "--regexp", text, "--", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, check=False)
    assert said.returncode in (0, 1), said.stderr
    messages = [json.loads(line) for line in said.stdout.splitlines()]
    found = [one["data"]["line_number"] for one in messages if one["type"] == "match"]
    assert found == [number for number, line in enumerate(LINES, 1) if term.pattern.search(line)]
