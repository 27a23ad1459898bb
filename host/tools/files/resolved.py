"""`ResolvedPath`: a path that a policy allows, and what can be done with it.

Every operation begins at the directory of the root and goes down by one name at a time; nothing is kept open between
two of them. What a text of this module says to the model names the path as it was given and nothing else.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, Final, Literal, cast

from lash.host.tools.files.folders import Folder, LinkFound, SpecialFile, open_folder, require_plain
from lash.runtime.tools.result import ToolError

_PERMISSIONS = 0o777
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")


REPLACING: Final = threading.Lock()
"""Held in this process while files are replaced: who compares a file before that holds it from then on."""


@dataclass(frozen=True)
class Root:
    """A directory under which tools may reach files: as it was given, and as it really is.

    `spill` is the one of whole tool outputs. It lies where others can make directories, too, so it counts only as
    long as it is this user's.
    """

    given: str
    real: Path
    spill: bool = False

    @property
    def spellings(self) -> frozenset[str]:
        """The paths that lead to it."""
        return frozenset((self.given, str(self.real)))

    def open(self, *, listing: bool = False) -> Folder:
        """The directory, opened."""
        folder = open_folder(self.real, listing=listing)
        if self.spill and hasattr(os, "getuid") and folder.own_stat().st_uid != os.getuid():
            folder.close()
            raise LinkFound
        return folder


@dataclass(frozen=True)
class Limits:
    """How large files may be."""

    max_read_bytes: int
    max_write_bytes: int


@dataclass(frozen=True)
class ResolvedPath:
    """A path that a policy allows. `shown` is for results; `real` has no links in it and is not for the model."""

    given: str
    shown: str
    real: Path
    root: Root
    parts: tuple[str, ...] = field(repr=False)
    writable: bool
    limits: Limits = field(repr=False)
    outside: str = field(repr=False)
    """What is said where the path turns out to lead elsewhere after all."""

    def stat(self) -> os.stat_result:
        """What is there now. Raises ToolError for what is neither file nor directory, FileNotFoundError for nothing."""
        with self.told():
            if not self.parts:
                with self.root.open() as root:
                    return root.own_stat()
            with self._parent() as parent:
                found = parent.stat(self.parts[-1])
            if not stat.S_ISDIR(found.st_mode):
                require_plain(found)
            return found

    def kind(self) -> Literal["file", "dir"] | None:
        """Whether a file is there, a directory, or nothing. Raises ToolError for anything else."""
        try:
            return "dir" if stat.S_ISDIR(self.stat().st_mode) else "file"
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, *, any_size: bool = False) -> BinaryIO:
        """The file, to be read without a buffer. Raises ToolError (file_too_large) unless `any_size`, and OSError."""
        with self.told():
            with self._parent() as parent:
                fd = parent.open(self.parts[-1])
            try:
                if not any_size:
                    self._check_size(os.fstat(fd).st_size)
                return cast("BinaryIO", os.fdopen(fd, "rb", buffering=0))
            except BaseException:
                os.close(fd)
                raise

    def read(self) -> bytes:
        """The whole file. Raises as `open`, also where the file grows beyond the limit while it is read."""
        pieces: list[bytes] = []
        total = 0
        with self.open() as file, self.told():
            while piece := file.read(1 << 20):
                pieces.append(piece)
                total += len(piece)
                self._check_size(total)
        return b"".join(pieces)

    def folder(self) -> Folder:
        """The directory, opened for listing. Raises NotADirectoryError for a file."""
        with self.told():
            if not self.parts:
                return self.root.open(listing=True)
            with self._parent() as parent:
                return parent.folder(self.parts[-1], listing=True)

    def write(self, data: bytes, *, overwrite: bool = True, parents: bool = False, mode: int | None = None) -> bool:
        """Put these bytes there, all or nothing; whether the file is new.

        The mode bits of a file that is replaced stay; a new one gets `mode`, or what the umask leaves of 0666. Raises
        ToolError (file_too_large) before anything is written, FileNotFoundError where the directory is missing and
        `parents` does not make it, FileExistsError without `overwrite`, and what the disk raises; then the old file is
        whole, and nothing is left of the new one.
        """
        self._require_writable()
        most = self.limits.max_write_bytes
        if len(data) > most:
            raise _too_large(f"{len(data)} bytes for {printable(self.given)}", "written", most)
        made = self.make_parents() if parents else []
        try:
            with self.told(), self._parent() as parent:
                return _replace(parent, self.parts[-1], data, overwrite=overwrite, mode=mode)
        except BaseException:
            self.remove_parents(made)
            raise

    def stage(self, data: bytes, *, mode: int | None = None, any_size: bool = False) -> str:
        """Write these bytes to a temporary file in the same directory; its name, for `put` and `unstage`.

        So several files can be made ready before the first one is changed. The mode is that of `write` for a new file;
        raises as `write`. `any_size` is for copies of what is there already.
        """
        self._require_writable()
        most = self.limits.max_write_bytes
        if len(data) > most and not any_size:
            raise _too_large(f"{len(data)} bytes for {printable(self.given)}", "written", most)
        with self.told(), self._parent() as parent:
            return _temporary(parent, data, mode)

    def put(self, staged: str) -> None:
        """Give a staged file this path's name, in the place of the file that has it, if any."""
        self._require_writable()
        with self.told(), self._parent() as parent:
            with suppress(FileNotFoundError):
                require_plain(parent.stat(self.parts[-1]))
            parent.rename(staged, self.parts[-1])

    def unstage(self, staged: str) -> None:
        """Remove a staged file."""
        self._require_writable()
        with self.told(), self._parent() as parent:
            parent.unlink(staged)

    def delete(self) -> None:
        """Remove the file. Raises IsADirectoryError for a directory, FileNotFoundError for nothing."""
        self._require_writable()
        with self.told(), self._parent() as parent:
            require_plain(parent.stat(self.parts[-1]))
            parent.unlink(self.parts[-1])

    def make_parents(self) -> list[int]:
        """Make the directories that are missing above. Where one cannot be made, none is left.

        Gives what `remove_parents` needs to undo this: how deep each of those lies that were made.
        """
        self._require_writable()
        made: list[int] = []
        try:
            with self.told():
                folder = self.root.open()
                for depth, name in enumerate(self.parts[:-1]):
                    with folder:
                        try:
                            folder.mkdir(name)
                            made.append(depth)
                        except FileExistsError:
                            pass  # and if it is no directory, the next line says so
                        folder = folder.folder(name)
                folder.close()
        except BaseException:
            self.remove_parents(made)
            raise
        return made

    def remove_parents(self, made: Sequence[int]) -> None:
        """Take away the directories that `make_parents` has made, as far as they are still empty."""
        for depth in reversed(made):
            try:
                with self._folder_above(depth) as parent:
                    parent.rmdir(self.parts[depth])
            except (OSError, LinkFound):
                return  # somebody uses it by now, or has moved it

    def _folder_above(self, depth: int) -> Folder:
        """The directory that so many names lead to, opened to pass through."""
        folder = self.root.open()
        for name in self.parts[:depth]:
            with folder:
                folder = folder.folder(name)
        return folder

    def _parent(self) -> Folder:
        """The directory that the path lies in; IsADirectoryError for the root, where nothing can be but a directory."""
        if not self.parts:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return self._folder_above(len(self.parts) - 1)

    def _check_size(self, size: int) -> None:
        if size > self.limits.max_read_bytes:
            raise _too_large(f"{printable(self.given)} has {size} bytes", "read", self.limits.max_read_bytes)

    def _require_writable(self) -> None:
        if not self.writable:
            raise ValueError("this path was resolved for reading: resolve it with write=True")

    @contextmanager
    def told(self) -> Generator[None]:
        """Errors as the model may be told of them: with the path as it was given."""
        try:
            yield
        except LinkFound:
            raise refusal(self.outside) from None
        except SpecialFile:
            raise refusal(f"{printable(self.given)} is neither a file nor a directory") from None
        except OSError as error:
            raise OSError(error.errno, error.strerror or "error", printable(self.given)) from None


def refusal(message: str) -> ToolError:
    """What is raised for what a policy does not allow."""
    return ToolError(message, cls="permission_denied", code="path_not_allowed")


def printable(path: str) -> str:
    """A path as JSON can hold it: what is no UTF-8 is shown as U+FFFD."""
    return path if path.isascii() else _SURROGATE.sub("\ufffd", path)


def one_line(name: str) -> str:
    """A name that is printable and keeps to its line."""
    return _CONTROL.sub("\ufffd", printable(name))


def _too_large(what: str, done: str, most: int) -> ToolError:
    return ToolError(f"{what}; at most {most} bytes can be {done} at once", cls="resource_limit", code="file_too_large")


def _replace(parent: Folder, name: str, data: bytes, *, overwrite: bool, mode: int | None) -> bool:
    """Write a temporary file and give it the name; whether there was no file of that name."""
    try:
        found = parent.stat(name)
    except FileNotFoundError:
        found = None
    if found is not None:
        require_plain(found)
        if not overwrite:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        mode = found.st_mode & _PERMISSIONS
    temporary = _temporary(parent, data, mode)
    try:
        with REPLACING:
            if not overwrite:
                # The name is taken first, for a rename would replace a file that has appeared since.
                os.close(parent.make(name, 0o600))
            try:
                parent.rename(temporary, name)
            except BaseException:
                if not overwrite:
                    _discard(parent, name)
                raise
    except BaseException:
        _discard(parent, temporary)
        raise
    return found is None


def _temporary(parent: Folder, data: bytes, mode: int | None) -> str:
    """Write a temporary file that is on the disk when this returns; its name."""
    name = f".lash-{token_hex(8)}.tmp"
    fd = parent.make(name, 0o666 if mode is None else mode)
    try:
        try:
            _write_all(fd, data)
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        _discard(parent, name)
        raise
    return name


def _discard(parent: Folder, name: str) -> None:
    """Remove a file after an error. That error is the one to tell, whatever becomes of this."""
    with suppress(OSError):
        parent.unlink(name)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
