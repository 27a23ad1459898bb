"""The globs that a model gives: braces, `**`, and a `*` that goes across `/` (plugins.md 13.3).

They are matched in a time that a hostile pattern cannot blow up: `fnmatch` makes expressions that never go back behind
a star, which matters because a match holds the interpreter's lock until it ends.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import Final

import bracex

from lash.runtime.tools.result import ToolError

_MOST_ALTERNATIVES: Final = 500
_MOST_CHARS: Final = 4096
_MOST_EXPANDED_CHARS: Final = 1 << 16
"""How long the patterns of one call may be with their braces expanded: to compile more would take seconds."""
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_CLASS: Final = re.compile(r"\[[!^]?\]?[^\]]*\]")
_ANY_FOLDERS: Final = re.compile(r"(?<![^/{,])\*\*/")
"""`**/` where it is a part of the path of its own: any number of directories, also none."""


class Globs:
    """Patterns of paths. Raises ToolError for one that cannot be a pattern."""

    def __init__(self, patterns: Sequence[str], *, names: bool = False) -> None:
        """With `names`, a pattern without a slash is held against the last part of a path alone."""
        whole = [one for one in patterns if not names or "/" in one.rstrip("/")]
        self._paths = _compiled(whole)
        self._names = _compiled([one for one in patterns if names and "/" not in one.rstrip("/")])

    def match(self, path: str) -> bool:
        """Whether a path, relative and with `/`, is meant by one of the patterns."""
        if self._paths is not None and self._paths.match(path):
            return True
        return self._names is not None and self._names.match(path.rpartition("/")[2]) is not None


def _compiled(patterns: Sequence[str]) -> re.Pattern[str] | None:
    expressions: list[str] = []
    chars = 0
    for pattern in patterns:
        for one in _alternatives(pattern):
            chars += len(one)
            if chars > _MOST_EXPANDED_CHARS:
                raise _bad(
                    pattern, f"the globs, their braces expanded, have more than {_MOST_EXPANDED_CHARS} characters"
                )
            expressions.append(fnmatch.translate(one))
    return re.compile("|".join(expressions)) if expressions else None


def _alternatives(pattern: str) -> list[str]:
    """The patterns without braces that one with braces stands for."""
    wanted = pattern.removeprefix("./").rstrip("/")
    if not wanted:
        raise _bad(pattern, "it is empty")
    if len(pattern) > _MOST_CHARS:
        raise _bad(pattern, f"it has more than {_MOST_CHARS} characters")
    if wanted.startswith("/") or ".." in wanted.split("/"):
        raise _bad(pattern, "it is relative to `path` and stays below it")
    bare = _CLASS.sub("", _ESCAPE.sub("", wanted))
    if "[" in bare:
        raise _bad(pattern, "a [ has no ]; a bracket itself is written [[]")
    if bare.count("{") != bare.count("}"):
        raise _bad(pattern, "its braces are not balanced")
    try:
        plain = list(bracex.iexpand(_ANY_FOLDERS.sub("{,*/}", wanted), keep_escapes=True, limit=_MOST_ALTERNATIVES))
    except (bracex.ExpansionLimitException, RecursionError, ValueError):
        raise _bad(pattern, f"its braces stand for more than {_MOST_ALTERNATIVES} patterns") from None
    # `fnmatch` has no escapes, and another sign for "none of these".
    return [_ESCAPE.sub(_unescaped, one.replace("[^", "[!")) for one in plain]


def _unescaped(escape: re.Match[str]) -> str:
    return f"[{escape[1]}]" if escape[1] in "*?[" else escape[1]


def _bad(pattern: str, reason: str) -> ToolError:
    shown = pattern if len(pattern) <= 200 else f"{pattern[:200]}..."
    return ToolError(f"The glob {shown!r} cannot be used: {reason}")
