"""`FilePolicy`: which files tools may reach, and the only way in which they open them (plugins.md 13.0).

    policy = FilePolicy([Path.cwd()], allow_write=True, deny=["**/.env"])
    found = policy.resolve("src/main.py")                 # ToolError (path_not_allowed) for what is not allowed
    found.shown, found.real                               # for results, for the eyes of this process alone
    found.read()                                          # bytes; ToolError (file_too_large) above max_read_bytes
    with found.open(any_size=True) as file: ...           # an unbuffered file to read in pieces
    found.stat(), found.kind()                            # kind: "file", "dir", None for nothing; links never
    with found.folder() as folder: folder.entries()       # an open directory, see `folders.py`
    target = policy.resolve("out/a.txt", write=True)
    target.write(b"...", overwrite=True, parents=True)    # temporary file, fsync, rename; whether it is new
    target.delete()
    made = target.make_parents(); target.remove_parents(made)

Everything blocks, so it belongs into a thread. What is refused raises ToolError; what the disk refuses raises OSError
that names the path as it was given (FileNotFoundError, IsADirectoryError and so on), so that its text can be shown.
Neither says anything of what lies outside of the roots, not even whether it is there.

`..` is taken off the text of a path before links are looked at, as a shell's `cd` does. Then the links are resolved,
the result has to lie under a root, and it is opened name by name through descriptors of directories, no link
followed: a link that is exchanged after the check is refused. Without descriptors of directories (Windows) each name is
checked before and after it is opened instead, which leaves a race. Hard links are not told from other files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from lash.host.plugins.spill import default_directory
from lash.host.tools.files.patterns import DenyGlobs, WriteGlobs
from lash.host.tools.files.resolved import Limits, ResolvedPath, Root, printable, refusal
from lash.runtime.errors import ConfigError
from lash.runtime.tools.result import ToolError

MAX_READ_BYTES: Final = 64 << 20
MAX_WRITE_BYTES: Final = 16 << 20
_MOST_PATH_CHARS: Final = 4096
"""No system takes longer paths, and to resolve their links takes a time that grows with the square of their length."""

AnyPath: TypeAlias = "str | os.PathLike[str]"


@dataclass(frozen=True, init=False)
class FilePolicy:
    """Which files the tools that hold it may reach.

    Arguments:
        roots: the directories under which everything is allowed that nothing else forbids. The first one is where
            relative paths begin.
        allow_write: whether files under the roots may be written, or globs of those that may ("out/**").
        deny: globs of what is not there for the tools; see `patterns.py` for what they are held against.
        max_read_bytes: how large a file may be to be read as a whole.
        max_write_bytes: how much may be written to a file.
        spill_dir: where the plugin `tool_output_budget` keeps whole outputs, a root to read only; None is its default.

    Raises ConfigError (invalid_file_policy) for roots that are no directories and for limits below one.
    """

    roots: tuple[Path, ...]
    allow_write: bool | tuple[str, ...]
    deny: tuple[str, ...]
    max_read_bytes: int
    max_write_bytes: int
    spill_dir: Path
    _roots: tuple[Root, ...] = field(repr=False, compare=False)
    _denied: DenyGlobs = field(repr=False, compare=False)
    _writable: WriteGlobs = field(repr=False, compare=False)

    def __init__(
        self,
        roots: AnyPath | Sequence[AnyPath],
        *,
        allow_write: bool | Sequence[str] = False,
        deny: Sequence[str] = (),
        max_read_bytes: int = MAX_READ_BYTES,
        max_write_bytes: int = MAX_WRITE_BYTES,
        spill_dir: AnyPath | None = None,
    ) -> None:
        listed: Sequence[AnyPath] = [roots] if isinstance(roots, (str, os.PathLike)) else list(roots)
        if not listed:
            raise ConfigError("invalid_file_policy", "a FilePolicy has at least one root")
        if max_read_bytes < 1 or max_write_bytes < 1:
            raise ConfigError("invalid_file_policy", "max_read_bytes and max_write_bytes are at least 1")
        given = tuple(Path(os.path.abspath(one)) for one in listed)
        spill = Path(os.path.abspath(spill_dir or default_directory()))
        # The spill directory itself may not be a link: others can write where it lies.
        spill_root = Root(str(spill), Path(os.path.realpath(spill.parent)) / spill.name, spill=True)
        values: dict[str, Any] = {
            "roots": given,
            "allow_write": allow_write if isinstance(allow_write, bool) else tuple(allow_write),
            "deny": tuple(deny),
            "max_read_bytes": max_read_bytes,
            "max_write_bytes": max_write_bytes,
            "spill_dir": spill,
            "_roots": (*(Root(str(one), _real_root(one)) for one in given), spill_root),
            "_denied": DenyGlobs(deny),
            "_writable": WriteGlobs(() if isinstance(allow_write, bool) else allow_write),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def may_write(self) -> bool:
        """Whether there is anything that may be written."""
        return bool(self.allow_write)

    def resolve(self, path: AnyPath, write: bool = False, base: AnyPath | None = None) -> ResolvedPath:
        """The file or directory that a path means, be it there or not; `write` where it is to be changed.

        A relative path begins at `base`, or at the first root. Raises ToolError (path_not_allowed) where the policy
        does not allow it.
        """
        given = os.fspath(path)
        if len(given) > _MOST_PATH_CHARS:
            raise refusal(f"{printable(given[:80])}... is too long: a path has at most {_MOST_PATH_CHARS} characters")
        start = os.path.join(self.roots[0], base or "")
        try:
            joined = _one_slash(os.path.normpath(os.path.join(start, given)))
            real = Path(_one_slash(os.path.realpath(joined)))
        except (ValueError, OSError, RecursionError):
            # NUL bytes, texts that are no name on this system, links that lead to links without end: whatever they
            # mean, it is under no root.
            raise self._outside(given) from None
        root = self._root_of(real)
        if root is None:
            raise self._outside(given)
        parts = real.relative_to(root.real).parts
        if self._is_denied(joined) or self._is_denied(str(real)):
            raise self._outside(given)
        if write and not self._may_write(real):
            raise refusal(f"{printable(given)} may not be written: {self._writing_rule()}")
        limits = Limits(self.max_read_bytes, self.max_write_bytes)
        return ResolvedPath(given, _shown(given), real, root, parts, write, limits, self._outside_text(given))

    def denied_in(self, folder: Path) -> Callable[[str], bool]:
        """What says of the names in a directory whether they are denied; its real path was resolved by this policy."""
        if self._denied.empty:
            return lambda name: False
        prefixes: list[tuple[str, str]] = []
        for root in self._roots:
            if folder.is_relative_to(root.real):
                path = folder.relative_to(root.real).as_posix()
                prefixes += [(spelling, "" if path == "." else f"{path}/") for spelling in root.spellings]
        return lambda name: any(self._denied.match_one(root, f"{path}{name}", name) for root, path in prefixes)

    def _root_of(self, real: Path) -> Root | None:
        found = [root for root in self._roots if real.is_relative_to(root.real)]
        return max(found, key=lambda root: len(root.real.parts), default=None)

    def _is_denied(self, path: str) -> bool:
        if self._denied.empty:
            return False
        pure = Path(path)
        for root in self._roots:
            for spelling in root.spellings:
                if pure.is_relative_to(spelling):
                    # A pattern of whole paths may be of the one spelling where the path at hand is of the other.
                    parts = pure.relative_to(spelling).parts
                    if any(self._denied.match(one, parts) for one in root.spellings):
                        return True
        return False

    def _may_write(self, real: Path) -> bool:
        under = [root for root in self._roots if real.is_relative_to(root.real)]
        if not self.may_write or any(root.spill for root in under):
            return False
        if self.allow_write is True:
            return True
        return any(self._writable.match(real.relative_to(root.real).as_posix()) for root in under)

    def _named_roots(self) -> str:
        return ", ".join(printable(str(root)) for root in self.roots)

    def _outside_text(self, given: str) -> str:
        return f"{printable(given)} is not allowed: files can be reached under {self._named_roots()}"

    def _outside(self, given: str) -> ToolError:
        return refusal(self._outside_text(given))

    def _writing_rule(self) -> str:
        if not self.may_write:
            return f"files under {self._named_roots()} can only be read"
        if isinstance(self.allow_write, tuple):
            return f"under {self._named_roots()} what matches {', '.join(self.allow_write)} can be written"
        return "the directory of whole tool outputs can only be read"


def require_policy(policy: FilePolicy | None, tool: str) -> FilePolicy:
    """The policy of a tool; ConfigError (file_policy_required) where it has none, or something else in its place."""
    if not isinstance(policy, FilePolicy):
        raise ConfigError(
            "file_policy_required",
            f"{tool} reaches files only under a policy: give it policy=FilePolicy([directory, ...]), not {policy!r}",
        )
    return policy


def _real_root(path: Path) -> Path:
    real = Path(os.path.realpath(path))
    if not real.is_dir():
        raise ConfigError("invalid_file_policy", f"the root {path} is no directory")
    return real


def _one_slash(path: str) -> str:
    """POSIX lets a path begin with two slashes, and `normpath` keeps them."""
    return path[1:] if path.startswith("//") else path


def _shown(given: str) -> str:
    """A path as it was given, tidied, with `/`."""
    return printable(_one_slash(os.path.normpath(given)).replace(os.sep, "/"))
