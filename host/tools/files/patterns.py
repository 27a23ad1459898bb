"""The globs of a `FilePolicy`: what is denied, and what may be written.

Both err on the side of refusing. A deny pattern without a slash is held against every name on the way, one with a slash
against the path under the root, one that begins with a slash against the whole path; what lies in a denied directory
is denied; case does not count, because on some file systems it does not either. An `allow_write` pattern is the path
under the root and nothing else. Braces are expanded first, so that each of their alternatives is a pattern of its own
kind, and one that could never match anything is refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

import bracex
from wcmatch import glob

from lash.runtime.errors import ConfigError

_SYNTAX: Final = glob.GLOBSTAR | glob.DOTGLOB | glob.FORCEUNIX
_MOST_PATTERNS: Final = 1000
"""How many patterns the braces of one may stand for."""


class DenyGlobs:
    """Patterns of paths that do not exist for the tools."""

    def __init__(self, patterns: Sequence[str]) -> None:
        wanted = [_form(pattern) for pattern in _expanded("deny", patterns)]
        self._names = _matcher([one for one in wanted if "/" not in one])
        self._inside = _matcher([one for one in wanted if "/" in one and not one.startswith("/")])
        self._absolute = _matcher([one for one in wanted if one.startswith("/")])
        self.empty = not wanted

    def match(self, root: str, parts: Sequence[str]) -> bool:
        """Whether a path under a root is denied, or a directory that it lies in, be it the root or one above it."""
        if self.empty:
            return False
        if self._absolute is not None and any(self._absolute.match(str(one)) for one in _with_parents(_form(root))):
            return True
        path = ""
        for name in parts:
            path = f"{path}/{name}" if path else name
            if self.match_one(root, path, name):
                return True
        return False

    def match_one(self, root: str, path: str, name: str) -> bool:
        """The same for the path alone, where what it lies in is known not to be denied; `name` is its last part."""
        if self.empty:
            return False
        path = _form(path)
        if self._names is not None and self._names.match(_form(name)):
            return True
        if self._inside is not None and self._inside.match(path):
            return True
        return self._absolute is not None and self._absolute.match(f"{_form(root).rstrip('/')}/{path}")


class WriteGlobs:
    """Patterns of the paths under the roots that may be written."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._inside = _matcher(_expanded("allow_write", patterns), glob.CASE)

    def match(self, path: str) -> bool:
        """Whether a path under a root may be written."""
        return self._inside is not None and self._inside.match(path)


def _expanded(field: str, patterns: Sequence[str]) -> list[str]:
    """The patterns that globs stand for, without braces, a `./` before them and a `/` behind them."""
    if isinstance(patterns, str) or not all(one.strip("/") for one in patterns):
        raise ConfigError("invalid_file_policy", f"{field} is a list of globs, none of them empty, not {patterns!r}")
    found: list[str] = []
    for pattern in patterns:
        try:
            found += bracex.iexpand(pattern, keep_escapes=True, limit=_MOST_PATTERNS)
        except (bracex.ExpansionLimitException, RecursionError, ValueError):
            raise ConfigError(
                "invalid_file_policy", f"{field}: the braces of {pattern!r} stand for more than {_MOST_PATTERNS} globs"
            ) from None
    return [_tidied(field, one) for one in found]


def _tidied(field: str, pattern: str) -> str:
    tidied = str(PurePosixPath(pattern))  # takes away what does not count: `./`, `//` and the slash at the end
    if tidied == "." or ".." in tidied.split("/") or tidied.startswith("~/"):
        reason = "it is a path under a root, without `..` and `~/`, or a whole one that begins with a slash"
        raise ConfigError("invalid_file_policy", f"{field}: the glob {pattern!r} matches nothing: {reason}")
    return tidied


def _with_parents(path: str) -> list[PurePosixPath]:
    pure = PurePosixPath(path)
    return [pure, *pure.parents]


def _form(text: str) -> str:
    """A text in one of its Unicode forms: file systems that do not tell them apart open either."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _matcher(patterns: list[str], case: int = glob.IGNORECASE) -> glob.WcMatcher[str] | None:
    return glob.compile(patterns, flags=_SYNTAX | case, limit=0) if patterns else None
