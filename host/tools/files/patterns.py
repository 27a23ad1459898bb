"""The globs of a `FilePolicy`: what is denied, and what may be written.

Both err on the side of refusing. A deny pattern without a slash is held against every name on the way, one with a slash
against the path under the root, one that begins with a slash against the whole path; what lies in a denied directory
is denied; case does not count, because on some file systems it does not either. An `allow_write` pattern is the path
under the root and nothing else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from wcmatch import glob

from lash.runtime.errors import ConfigError

_SYNTAX = glob.GLOBSTAR | glob.BRACE | glob.DOTGLOB | glob.FORCEUNIX


class DenyGlobs:
    """Patterns of paths that do not exist for the tools."""

    def __init__(self, patterns: Sequence[str]) -> None:
        wanted = [_form(pattern.rstrip("/")) for pattern in _checked("deny", patterns)]
        self._names = _matcher([one for one in wanted if "/" not in one])
        self._inside = _matcher([one for one in wanted if "/" in one and not one.startswith("/")])
        self._absolute = _matcher([one for one in wanted if one.startswith("/")])
        self.empty = not wanted

    def match(self, root: str, parts: Sequence[str]) -> bool:
        """Whether a path under a root is denied, or a directory that it lies in."""
        if self.empty:
            return False
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
        self._inside = _matcher(_checked("allow_write", patterns), glob.CASE)

    def match(self, path: str) -> bool:
        """Whether a path under a root may be written."""
        return self._inside is not None and self._inside.match(path)


def _checked(field: str, patterns: Sequence[str]) -> list[str]:
    if isinstance(patterns, str) or not all(one.strip("/") for one in patterns):
        raise ConfigError("invalid_file_policy", f"{field} is a list of globs, none of them empty, not {patterns!r}")
    return list(patterns)


def _form(text: str) -> str:
    """A text in one of its Unicode forms: file systems that do not tell them apart open either."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _matcher(patterns: list[str], case: int = glob.IGNORECASE) -> glob.WcMatcher[str] | None:
    return glob.compile(patterns, flags=_SYNTAX | case) if patterns else None
