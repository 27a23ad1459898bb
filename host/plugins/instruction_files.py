"""Instructions out of files that people keep beside their work, such as `AGENTS.md` (plugins.md 3).

The host reads them, not the model, so they stand outside any `FilePolicy`.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Final

from lash.runtime.errors import ConfigError

FILE_NAMES: Final = ("AGENTS.md",)
"""The files that are read where nothing else is said."""

MOST_BYTES: Final = 32 * 1024
"""All files together; what is beyond is left out, of the farthest file first."""


@dataclass(frozen=True, slots=True)
class InstructionFile:
    """A file that says something; a `cut` one goes on beyond what was read."""

    path: Path
    text: str
    cut: bool = False

    def titled(self) -> str:
        """The text under a line that says where it is from, and whether there is more of it."""
        note = "\n[The rest of the file is left out.]" if self.cut else ""
        return f"Instructions from {self.path}:\n\n{self.text}{note}"


class InstructionFiles:
    """A source of instructions for `PromptContextPluginFactory`: files of a folder and of those above it.

    Arguments:
        folder: the working directory, the process's own where it is not given.
        names: what the files are called; a folder may have several of them.
        first: folders whose files come before all others, those of a user's own settings, say.

    Outside a repository the folder's own files count alone. A file is read again once its time or size is another. What
    is no text is shown with replacement characters; what cannot be read, or is no regular file, is left out, and so is
    a link out of the repository, by which a stranger's repository could have files of the user sent to the model.
    Raises ConfigError (invalid_instruction_files) for a name that is a path.
    """

    def __init__(
        self, folder: Path | None = None, *, names: Sequence[str] = FILE_NAMES, first: Sequence[Path] = ()
    ) -> None:
        wrong = next((name for name in names if name in ("", ".", "..") or Path(name).name != name), None)
        if isinstance(names, str) or wrong is not None:
            raise ConfigError(
                "invalid_instruction_files", f"names are a list of file names, {wrong or names!r} is none"
            )
        self._folder = folder
        self._names = tuple(names)
        self._first = tuple(first)
        self._read: dict[Path, _Read] = {}

    @property
    def folder(self) -> Path:
        """The working directory."""
        return Path(os.path.abspath(self._folder or Path.cwd()))

    def system_instructions(self) -> str:
        """What holds from the first: the files from the repository's root down to the folder, the nearest last."""
        return "\n\n".join(file.titled() for file in self.files())

    def files(self) -> tuple[InstructionFile, ...]:
        """The files that `system_instructions` consists of, in their order."""
        down = self._path_down()
        return self._files([*self._first, *down], down[0])

    def context_instructions_for_reads(self, paths: Iterable[str]) -> list[str]:
        """What holds for files besides: that of the folders between the repository's root and each of them.

        A path that is not absolute begins at the folder. What is not in the repository has no instructions.
        """
        known = self._path_down()
        root, real_root = known[0], known[0].resolve()
        folders: dict[Path, None] = {}
        for path in paths:
            try:
                place = (self.folder / path).resolve()
                place = place if place.is_dir() else place.parent
            except (OSError, ValueError, RuntimeError):
                continue
            above = [place, *place.parents]
            if real_root in above:
                below = reversed(above[: above.index(real_root)])
                folders |= dict.fromkeys(root / one.relative_to(real_root) for one in below)
        return [file.titled() for file in self._files([one for one in folders if one not in known], root)]

    def _path_down(self) -> list[Path]:
        """The folders from the repository's root to the working directory; the latter alone outside a repository."""
        above = [self.folder, *self.folder.parents]
        root = repository_of(self.folder) or self.folder
        return list(reversed(above[: above.index(root) + 1]))

    def _files(self, folders: Iterable[Path], root: Path) -> tuple[InstructionFile, ...]:
        """The files in these folders that fit, in their order, each once; the last ones have first call on the room."""
        places = list(dict.fromkeys(folder / name for folder in folders for name in self._names))
        left, found = MOST_BYTES, list[InstructionFile]()
        for path in reversed(places):
            data = self._content(path) if path.parent in self._first or _stays_in(root, path) else b""
            text = _whole_characters(data[:left]).strip()
            if text:
                found.append(InstructionFile(path, text, cut=len(data.rstrip()) > left))
            left = max(0, left - len(data))
        return tuple(reversed(found))

    def _content(self, path: Path) -> bytes:
        """The beginning of a file, read once for as long as it is the same; nothing where there is none."""
        try:
            with open(path, "rb", opener=_without_waiting) as file:
                status = os.fstat(file.fileno())
                if not S_ISREG(status.st_mode):
                    return b""
                mark = status.st_mtime_ns, status.st_size
                known = self._read.get(path)
                if known is None or known.mark != mark:
                    # One byte more than there is room for shows that the file goes on.
                    known = self._read[path] = _Read(mark, file.read(MOST_BYTES + 1))
        except OSError:
            return b""
        return known.data


@dataclass(frozen=True, slots=True)
class _Read:
    """What a file held when its time and size were these."""

    mark: tuple[int, int]
    data: bytes = field(repr=False)


def repository_of(folder: Path) -> Path | None:
    """The root of the Git repository that a folder is in; None where it is in none."""
    # Unlike `Path.exists` this takes what may not be looked at for absent.
    return next((one for one in (folder, *folder.parents) if os.path.exists(one / ".git")), None)


def _without_waiting(path: str, flags: int) -> int:
    """An opener that does not wait for somebody to write into a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _stays_in(root: Path, path: Path) -> bool:
    """Whether a file is in the repository wherever links lead."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False


def _whole_characters(data: bytes) -> str:
    """The bytes as text without its byte order mark; a character cut at the end is left out, others are replaced."""
    return codecs.getincrementaldecoder("utf-8-sig")("replace").decode(data)
