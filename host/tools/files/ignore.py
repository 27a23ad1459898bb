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
from typing import Any, Final

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from lash.host.tools.files.folders import Folder, LinkFound, SpecialFile
from lash.host.tools.files.resolved import ResolvedPath

_MOST_BYTES: Final = 256 << 10
_MOST_LINES: Final = 4000
_MOST_IN_FORCE: Final = 20_000
"""How many lines may hold in one directory; files of rules that would make them more are left out."""

_BRACKETS: Final = re.compile(r"\\.|\[\^/\]|(?P<class>\[\^?\]?[^\]]*\])", re.DOTALL)
_STAR: Final = re.compile(
    r"\[\^/\]\*(?P<run>(?:\\.|\[\^/\](?!\*)|\(\?!/\)\[\^?\]?[^\]]*\]|[^]\\\[(){}*+?|^$/])+)(?=\[\^/\]\*)", re.DOTALL
)
_SETS: Final = re.compile(r"[\[&|~]|-(?=-)")
"""What may begin an operation on sets in Python's brackets."""

_ANY_BELOW: Final = "(?:/.+)?"
_ANY_ABOVE: Final = "^(?:.+/)?"
"""What `**` becomes inside a pattern and at its beginning."""

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
            own = [_global_rules(), rules_of(_read_within(folder, (".git", "info", "exclude")))]
            rules = IgnoreRules(True, tuple(_File(path, spec) for spec in reversed(own) if spec is not None))
        if rules.inside and (spec := rules_of(_read_within(folder, (".gitignore",)))) is not None:
            files = (_File(path, spec), *rules.files)
            if sum(len(file.spec.patterns) for file in files) <= _MOST_IN_FORCE:
                rules = IgnoreRules(True, files)
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


def rules_of(data: bytes) -> GitIgnoreSpec | None:
    """The rules in a file; None where there are none."""
    patterns = list(_usable(data.decode("utf-8-sig", "surrogateescape").splitlines()[:_MOST_LINES]))
    return GitIgnoreSpec(patterns, backend="simple") if patterns else None


class _LinearPattern(GitIgnoreSpecPattern):
    """A line of rules, matched in a time that grows with the path's length alone.

    A match holds the interpreter's lock until it ends, and the lines are anybody's. What stands before another star
    may be taken where it comes first, once and for all: the later star makes up for the rest. The same holds for what
    stands before another `**`. So the expression never goes back behind a star, as those of `fnmatch` do not.
    """

    __slots__ = ()

    @classmethod
    def pattern_to_regex(cls, pattern: Any) -> tuple[Any, bool | None]:
        """See `GitIgnoreSpecPattern`."""
        expression, include = super().pattern_to_regex(pattern)
        return expression and _linear(expression), include


def _linear(expression: str) -> str:
    expression = _BRACKETS.sub(_bracket, expression)
    first, *below = _STAR.sub(r"(?>[^/]*?\g<run>)", expression).split(_ANY_BELOW)
    if not below:
        return first
    if first.startswith(_ANY_ABOVE):
        first = f"^(?>(?:.+?/)??{first.removeprefix(_ANY_ABOVE)}(?=/))"
    return "".join((first, *(f"(?>(?:/.+?)??{one}(?=/))" for one in below[:-1]), _ANY_BELOW, below[-1]))


def _bracket(found: re.Match[str]) -> str:
    """A bracket as git reads it: without operations on sets, and never for a slash."""
    if found["class"] is None:
        return found[0]
    head = 2 if found[0].startswith("[^") else 1
    return f"(?!/){found[0][:head]}{_SETS.sub(_escaped, found[0][head:])}"


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _usable(lines: list[str]) -> Iterator[_LinearPattern]:
    """The lines that are patterns. A line that git could not use either is passed over, as git does."""
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        try:
            yield _LinearPattern(line)
        except (ValueError, re.error):
            continue


def _global_rules() -> GitIgnoreSpec | None:
    """The user's own excludes: `core.excludesFile` of their git configuration, or where git looks without it."""
    home = Path(os.path.expanduser("~"))
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "git"
    path = config / "ignore"
    for file in (config / "config", home / ".gitconfig"):
        path = _excludes_file(_read_own(file)) or path
    return rules_of(_read_own(path))


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
