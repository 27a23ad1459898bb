"""Going through a directory tree by descriptors: bounded in what it holds open, stopped by a cancellation.

Links are entries like others and never entered, so there are no loops. `.git` is left out always.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Literal

from lash.host.tools.files.folders import Folder, LinkFound
from lash.host.tools.files.globs import Globs
from lash.host.tools.files.ignore import IgnoreRules
from lash.host.tools.files.policy import FilePolicy
from lash.host.tools.files.resolved import ResolvedPath
from lash.host.tools.files.tool import stop_if
from lash.runtime.tools.cancel import CancelToken

Kind = Literal["file", "dir", "symlink", "other"]

_MOST_OPEN: Final = 64
"""How many directories are held open at a time; a deeper one is found again from the start."""

_MOST_PATH_BYTES: Final = 4096
"""Deeper than a path can be long nothing is entered: no other tool could reach it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in the tree: its path below the start, with `/`, and what it was when it was seen."""

    path: str
    kind: Kind
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class WalkOptions:
    """What a walk leaves out. `depth` None is the whole tree, 1 the entries of the directory itself."""

    depth: int | None = None
    include_hidden: bool = True
    respect_gitignore: bool = True
    ignore: Globs | None = None


@dataclass(slots=True)
class _Level:
    """A directory whose entries have been seen; of those, the directories that are still to be entered."""

    path: str
    folder: Folder | None
    rules: IgnoreRules
    below: list[str]


class Walk:
    """One pass over a tree, which raises what opening the start raises, and Stopped.

    An iterator that is not used up is to be closed.
    """

    def __init__(self, policy: FilePolicy, base: ResolvedPath, options: WalkOptions, token: CancelToken) -> None:
        self._policy = policy
        self._base = base
        self._options = options
        self._token = token
        self._levels: list[_Level] = []

    def __iter__(self) -> Generator[Entry]:
        try:
            with self._base.told():
                rules = IgnoreRules.above(self._base) if self._options.respect_gitignore else IgnoreRules()
            yield from self._enter("", self._base.folder(), rules)
            while self._levels:
                level = self._levels[-1]
                if not level.below:
                    self._levels.pop()
                    _close(level)
                    continue
                name = level.below.pop()
                path = f"{level.path}/{name}" if level.path else name
                folder = self._open(level, name)
                if not level.below:
                    # Nothing is to be entered from here any more, so that a chain of directories holds but one open.
                    self._levels.pop()
                    _close(level)
                if folder is not None:
                    yield from self._enter(path, folder, level.rules)
        finally:
            for level in self._levels:
                _close(level)

    def _enter(self, path: str, folder: Folder, rules: IgnoreRules) -> Generator[Entry]:
        """The entries of a directory; those to be entered later become a level."""
        below: list[str] = []
        self._levels.append(_Level(path, folder, rules, below))
        if len(self._levels) > _MOST_OPEN:
            _close(self._levels[-_MOST_OPEN - 1])
        level = self._levels[-1]
        if self._options.respect_gitignore:
            level.rules = rules.enter(folder, self._from_root(path))
        enters = self._options.depth is None or path.count("/") + bool(path) + 1 < self._options.depth
        denied = self._policy.denied_in(self._base.real / path)
        with closing(folder.entries()) as entries:
            for found in entries:
                stop_if(self._token)
                entry = None if denied(found.name) else self._seen(path, found, level.rules)
                if entry is None:
                    continue
                yield entry
                if entry.kind == "dir" and enters and len(os.fsencode(entry.path)) < _MOST_PATH_BYTES:
                    below.append(found.name)

    def _seen(self, path: str, found: os.DirEntry[str], rules: IgnoreRules) -> Entry | None:
        """An entry, None for one that is left out or has gone."""
        name = found.name
        if name == ".git" or (not self._options.include_hidden and name.startswith(".")):
            return None
        whole = f"{path}/{name}" if path else name
        is_dir = found.is_dir(follow_symlinks=False)
        if self._options.ignore is not None and self._options.ignore.match(whole):
            return None
        if rules.files and rules.ignores(self._from_root(whole), is_dir=is_dir):
            return None
        try:
            known = found.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError:
            # Names can be read in a directory in which nothing may be looked at.
            return Entry(whole, "dir" if is_dir else "symlink" if found.is_symlink() else "other", 0, 0)
        kind = _kind(known.st_mode)
        return Entry(whole, kind, 0 if kind == "dir" else known.st_size, known.st_mtime_ns)

    def _open(self, level: _Level, name: str) -> Folder | None:
        """A directory of a level; None for one that has gone, was exchanged for a link or may not be listed."""
        try:
            if level.folder is not None:
                return level.folder.folder(name, listing=True)
            return self._found_again(f"{level.path}/{name}" if level.path else name)
        except (OSError, LinkFound):
            return None

    def _found_again(self, path: str) -> Folder:
        folder = self._base.folder()
        for name in path.split("/"):
            with folder:
                folder = folder.folder(name, listing=True)
        return folder

    def _from_root(self, path: str) -> str:
        return "/".join((*self._base.parts, path) if path else self._base.parts)


def _close(level: _Level) -> None:
    if level.folder is not None:
        level.folder.close()
        level.folder = None


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "dir"
    return "symlink" if stat.S_ISLNK(mode) else "other"
