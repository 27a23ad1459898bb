"""What a query of `grep` says: where to look, in which files, for what (plugins.md 13.4).

A query is one term, and before it, if anything, a path to look in and globs that the files have to match:

    def main                    the term alone
    src/ *.py def main          in `src`, Python files
    *.ts !*.test.ts useState    files that match the one glob and not the other
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lash.host.tools.files.globs import Globs
from lash.runtime.tools.result import ToolError

_GLOB: Final = re.compile(r"[\w.*?\[\]{},/@+~-]+")
"""The characters of a glob. What has others in it is a term, like `^/api/` or `http://`."""

_NAMES: Final = re.compile(r"(?!.*\.\*).*\.[\w{},]+")
"""A glob of names with a suffix, like `*.py` or `test_*.py`; with `.*` in it, it is more likely an expression."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query taken apart; `path` is the place to look in that it begins with, None for none."""

    term: str
    path: str | None
    constraints: tuple[Constraint, ...]

    def admits(self, path: str) -> bool:
        """Whether a file is searched, by its path below the place to look in."""
        return all(one.admits(path) for one in self.constraints)


class Constraint:
    """A glob that a file has to match, or with `!` before it must not. Raises ToolError for one that is none.

    Without a slash it is held against the file's name, with one against its path; one that ends with a slash is a
    directory anywhere above the file.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        glob = text.removeprefix("!")
        self._excludes = glob != text
        self._directory = glob.endswith("/")
        self._globs = Globs([f"**/{glob.removeprefix('**/')}" if self._directory else glob], names=True)

    def __repr__(self) -> str:
        return f"Constraint({self.text!r})"

    def admits(self, path: str) -> bool:
        """Whether a file of that path below the place to look in is searched."""
        return self._matches(path) is not self._excludes

    def _matches(self, path: str) -> bool:
        if not self._directory:
            return self._globs.match(path)
        parts = path.split("/")
        return any(self._globs.match("/".join(parts[:depth])) for depth in range(1, len(parts)))


def parse_query(text: str, *, has_path: bool, exists: Callable[[str], bool]) -> Query:
    """Take a query apart. With `has_path` the call names a path itself; `exists` says what is one.

    Raises ToolError for a query that no line can match, and for globs that are none.
    """
    rest = text.strip("\r\n").lstrip()  # a space at the end may be meant
    if not rest:
        raise ToolError("The query is empty: give the text or regular expression to look for")
    if any(one in rest for one in "\n\r\0"):
        raise ToolError("The query has a line break or NUL in it: lines are searched one by one, so nothing matches")
    path: str | None = None
    word, after = _first(rest)
    if not has_path and after and exists(word):
        path, rest = word, after
    constraints: list[Constraint] = []
    while True:
        word, after = _first(rest)
        if not after or not _is_constraint(word):
            return Query(rest, path, tuple(constraints))
        constraints.append(Constraint(word))
        rest = after


def _first(text: str) -> tuple[str, str]:
    """The first word, and what follows it."""
    word, _, rest = text.partition(" ")
    return word, rest.lstrip()


def _is_constraint(word: str) -> bool:
    glob = word.removeprefix("!")
    if _GLOB.fullmatch(glob) is None or "//" in glob:
        return False
    if "*" not in glob:
        return glob.endswith("/") and len(glob) > 1
    return "/" in glob or glob != word or _NAMES.fullmatch(glob) is not None
