"""Which files git ignores: `.gitignore` files, `.git/info/exclude` and the user's own excludes, inside a repository.

The repository has to lie under the roots of the policy; nothing above them is looked at. The user's own excludes are
the one file outside that is read, as git reads it, for whoever runs this process. Files of rules come with the tree and
are as hostile as the rest of it, so their size and number are bounded and links to them are not followed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from lash.host.tools.files.folders import Folder, LinkFound, SpecialFile
from lash.host.tools.files.resolved import ResolvedPath

_MOST_BYTES: Final = 256 << 10
_MOST_LINES: Final = 4000
_MOST_STARS: Final = 4
"""A line with more is left out: such patterns take a time that grows with the power of their stars."""

_SECTION: Final = re.compile(r"\s*\[\s*(?P<name>[^\]]*?)\s*\]")
_EXCLUDES: Final = re.compile(r"\s*excludesfile\s*=\s*(?P<path>.*?)\s*(?:[#;].*)?$", re.IGNORECASE)


@dataclass(frozen=True)
class _File:
    """The rules of one file, and the directory they are relative to."""

    folder: str
    spec: GitIgnoreSpec


@dataclass(frozen=True)
class IgnoreRules:
    """The rules that hold in one directory; the last file comes first. Nothing is ignored outside a repository."""

    inside: bool = False
    files: tuple[_File, ...] = ()

    @classmethod
    def above(cls, base: ResolvedPath) -> IgnoreRules:
        """The rules for a directory as they come from its repository, so far as that lies under the root.

        They are empty where the directory is itself ignored: who asks for it wants to see it.
        """
        rules = cls()
        folder = base.root.open()
        for depth, name in enumerate(base.parts):
            path = "/".join(base.parts[:depth])
            with folder:
                rules = rules.enter(folder, path)
                below = f"{path}/{name}" if path else name
                if rules.ignores(below, is_dir=True):
                    rules = cls(inside=rules.inside)
                folder = folder.folder(name)
        folder.close()
        return rules

    def enter(self, folder: Folder, path: str) -> IgnoreRules:
        """The rules inside a directory: with those of its own, or of its own repository alone where it is the top."""
        rules = self
        if _is_there(folder, ".git"):
            own = [_global_rules(), _rules(_read_within(folder, (".git", "info", "exclude")))]
            rules = IgnoreRules(True, tuple(_File(path, spec) for spec in reversed(own) if spec is not None))
        if rules.inside and (spec := _rules(_read_within(folder, (".gitignore",)))) is not None:
            rules = IgnoreRules(True, (_File(path, spec), *rules.files))
        return rules

    def ignores(self, path: str, *, is_dir: bool) -> bool:
        """Whether a path is ignored that lies in a directory that is not."""
        for file in self.files:
            inner = path[len(file.folder) + 1 :] if file.folder else path
            found = file.spec.check_file(f"{inner}/" if is_dir else inner).include
            if found is not None:
                return found
        return False


def _is_there(folder: Folder, name: str) -> bool:
    try:
        folder.stat(name)
    except OSError:
        return False
    return True


def _read_within(folder: Folder, names: tuple[str, ...]) -> bytes:
    """The beginning of a file below a directory; nothing where there is none that can be read."""
    *above, name = names
    opened: list[Folder] = []
    try:
        for one in above:
            folder = folder.folder(one)
            opened.append(folder)
        with os.fdopen(folder.open(name), "rb") as file:
            return file.read(_MOST_BYTES)
    except (OSError, LinkFound, SpecialFile):
        return b""
    finally:
        for one in opened:
            one.close()


def _rules(data: bytes) -> GitIgnoreSpec | None:
    patterns = list(_usable(data.decode("utf-8-sig", "surrogateescape").splitlines()[:_MOST_LINES]))
    return GitIgnoreSpec.from_lines(patterns) if patterns else None


def _usable(lines: list[str]) -> Iterator[str]:
    """The lines that are patterns. A line that git could not use either is passed over, as git does."""
    for line in lines:
        if not line.strip() or line.startswith("#") or len(re.findall(r"\*+", line)) > _MOST_STARS:
            continue
        try:
            GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error):
            continue
        yield line


def _global_rules() -> GitIgnoreSpec | None:
    """The user's own excludes: `core.excludesFile` of their git configuration, or where git looks without it."""
    home = Path(os.path.expanduser("~"))
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "git"
    path = config / "ignore"
    for file in (config / "config", home / ".gitconfig"):
        path = _excludes_file(_read_own(file)) or path
    return _rules(_read_own(path))


def _excludes_file(text: bytes) -> Path | None:
    section, found = "", None
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        if (header := _SECTION.match(line)) is not None:
            section = header["name"].lower()
        elif section == "core" and (value := _EXCLUDES.match(line)) is not None:
            found = Path(os.path.expanduser(value["path"].strip('"')))
    return found


def _read_own(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return b""
