"""How a query is taken apart."""

from __future__ import annotations

import re

import pytest

from lash.host.tools.search.query import Query, parse_query
from lash.runtime.tools.result import ToolError

PATHS = {"src", "src/", "README.md"}


def parsed(text: str, has_path: bool = False) -> Query:
    return parse_query(text, has_path=has_path, exists=PATHS.__contains__)


@pytest.mark.parametrize(
    ("text", "path", "constraints", "term"),
    [
        ("tea", None, [], "tea"),
        ("  green tea ", None, [], "green tea "),
        ("*.py tea", None, ["*.py"], "tea"),
        ("*.py  !*_test.py lib/ **/x/* tea pot", None, ["*.py", "!*_test.py", "lib/", "**/x/*"], "tea pot"),
        ("*.{ts,tsx} tea", None, ["*.{ts,tsx}"], "tea"),
        ("!lib/ tea", None, ["!lib/"], "tea"),
        ("src tea", "src", [], "tea"),
        ("src/ *.py tea", "src/", ["*.py"], "tea"),
        ("README.md tea", "README.md", [], "tea"),
        ("tea src", None, [], "tea src"),
        ("src", None, [], "src"),
        ("*.py", None, [], "*.py"),
        ("test_*.py tea", None, ["test_*.py"], "tea"),
        ("tea.*pot.py x", None, [], "tea.*pot.py x"),
        ("*.py *.ts", None, ["*.py"], "*.ts"),
        ("lib/", None, [], "lib/"),
        ("!important tea", None, [], "!important tea"),
        ("http:// tea", None, [], "http:// tea"),
        ("//* tea", None, [], "//* tea"),
        (r"^/api/ tea", None, [], "^/api/ tea"),
        (".* tea", None, [], ".* tea"),
        ("a*b tea", None, [], "a*b tea"),
        ("/ tea", None, [], "/ tea"),
    ],
)
def test_a_query_is_a_path_globs_and_a_term(text: str, path: str | None, constraints: list[str], term: str) -> None:
    query = parsed(text)
    assert (query.path, [one.text for one in query.constraints], query.term) == (path, constraints, term)


def test_no_path_is_looked_for_where_the_call_names_one() -> None:
    query = parsed("src/ tea", has_path=True)
    assert (query.path, [one.text for one in query.constraints]) == (None, ["src/"])


FILES = ["a.py", "a_test.py", "src/a.py", "src/b.ts", "lib/src/c.py", "lib/x/d.py", "x/e.py", "lib/x/y/f.py"]


@pytest.mark.parametrize(
    ("constraints", "admitted"),
    [
        ("*.ts", ["src/b.ts"]),
        ("*.{ts,rs}", ["src/b.ts"]),
        ("*.py !*_test.py src/", ["src/a.py", "lib/src/c.py"]),
        ("src/*.py", ["src/a.py"]),
        ("lib/x/", ["lib/x/d.py", "lib/x/y/f.py"]),
        ("x/", ["lib/x/d.py", "x/e.py", "lib/x/y/f.py"]),
        ("**/x/*", ["lib/x/d.py", "x/e.py", "lib/x/y/f.py"]),
        ("!src/ !x/", ["a.py", "a_test.py"]),
        ("l?b/", ["lib/src/c.py", "lib/x/d.py", "lib/x/y/f.py"]),
    ],
)
def test_a_file_has_to_match_all_globs(constraints: str, admitted: list[str]) -> None:
    query = parsed(f"{constraints} tea")
    assert query.term == "tea"
    assert [path for path in FILES if query.admits(path)] == admitted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "The query is empty: give the text or regular expression to look for"),
        ("a\nb", "The query has a line break or NUL in it: lines are searched one by one, so nothing matches"),
        ("a\0b", "The query has a line break or NUL in it: lines are searched one by one, so nothing matches"),
        ("*.{ts tea", "The glob '*.{ts' cannot be used: its braces are not balanced"),
    ],
)
def test_a_query_that_cannot_be_says_why(text: str, message: str) -> None:
    with pytest.raises(ToolError, match=re.escape(message)):
        parsed(text)
