"""What a search has found so far: the best lines and files, and counts of all of them.

Searches add from a thread while the tool may already be giving up, so a look at it is possible at any time. No more is
kept than can be shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lash.host.tools.search.lines import LineHit

MATCHES_PER_FILE: Final = 10


@dataclass(frozen=True, slots=True)
class FileHits:
    """A file in which something was found.

    `path` is below the place that is searched. `more` says that lines of it are left out; `offset` gives where each
    line begins in the file.
    """

    path: str
    size: int
    lines: tuple[LineHit, ...]
    offsets: tuple[int, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Match:
    """One line of a file; `offset` is where its excerpt begins in the file."""

    path: str
    hit: LineHit
    offset: int

    @property
    def key(self) -> tuple[int, str, int]:
        """The order in which matches are shown."""
        return self.hit.rank, self.path, self.hit.line


@dataclass(frozen=True, slots=True)
class FileCount:
    """How many lines were found in a file; `rank` is that of the best."""

    path: str
    size: int
    count: int
    rank: int
    is_binary: bool = False

    @property
    def key(self) -> tuple[int, str]:
        """The order in which files are shown."""
        return self.rank, self.path


@dataclass(slots=True)
class Found:
    """Collects up to `limit` matches and files, the best ones, and counts the rest.

    Matches that are not `trusted` are not shown: what they say has not come in the way of the policy.
    """

    limit: int
    trusted: bool = True
    count: int = 0
    files: int = 0
    cut: bool = False
    _matches: list[Match] = field(default_factory=list[Match])
    _counts: list[FileCount] = field(default_factory=list[FileCount])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, file: FileHits) -> None:
        """Take in a file's lines, which are MATCHES_PER_FILE at most."""
        with self._lock:
            self.files += 1
            self.count += len(file.lines)
            self.cut = self.cut or file.more
            self._counts.append(FileCount(file.path, file.size, len(file.lines), min(one.rank for one in file.lines)))
            for hit, offset in zip(file.lines, file.offsets, strict=True):
                self._matches.append(Match(file.path, hit, offset + hit.excerpt_bytes[0]))
            if len(self._matches) > 4 * self.limit + 1000:
                self._prune()

    def add_binary(self, path: str, size: int) -> None:
        """Note that the one file that was to be searched is none of text."""
        with self._lock:
            self._counts.append(FileCount(path, size, 0, 1, is_binary=True))

    def keep(self, is_true: Callable[[Match], bool]) -> None:
        """Leave out matches that are not true, and trust the others; no more are looked at than can be shown."""
        with self._lock:
            self._prune()
            matches = list(self._matches)
        # The disk is looked at without the lock, for somebody may want to know what there is meanwhile.
        kept: list[Match] = []
        untrue = 0
        for match in matches:
            if len(kept) == self.limit:
                break
            if is_true(match):
                kept.append(match)
            else:
                untrue += 1
        with self._lock:
            self._matches = kept
            self.count -= untrue
            self.trusted = True

    def best(self) -> tuple[list[Match], list[FileCount]]:
        """The matches and files to be shown."""
        with self._lock:
            self._prune()
            return self._matches[: self.limit] if self.trusted else [], self._counts[: self.limit]

    def _prune(self) -> None:
        self._matches.sort(key=lambda one: one.key)
        self._counts.sort(key=lambda one: one.key)
        # Twice as many as are shown, for some may turn out not to be true.
        del self._matches[2 * self.limit + 100 :]
        del self._counts[2 * self.limit + 100 :]
