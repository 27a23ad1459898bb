"""Open directories, through which everything below them is reached by one name at a time.

A path is a promise about links that anybody may break between two system calls. So nothing here takes a path of more
than one name: a `Folder` is an open directory, and what it is asked for is opened relative to its descriptor with
O_NOFOLLOW. A link that has appeared where there was none raises `LinkFound`; it is never followed.

Where the platform cannot open relative to a descriptor (Windows), `CheckedFolder` does what can be done with paths: it
looks at each name before and after it opens it. Between two looks a race remains there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Final, Protocol

DIR_FD: Final = os.open in os.supports_dir_fd and os.scandir in os.supports_fd
"""Whether this platform opens files relative to an open directory."""

_NOFOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)
_NOCTTY: Final[int] = getattr(os, "O_NOCTTY", 0)
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)
_DIRECTORY: Final[int] = getattr(os, "O_DIRECTORY", 0)
_PASS: Final[int] = getattr(os, "O_PATH", os.O_RDONLY) | _DIRECTORY | _NOFOLLOW
"""To pass through a directory; where there is O_PATH, the right to search it is enough."""

_LIST: Final[int] = os.O_RDONLY | _DIRECTORY | _NOFOLLOW | _NONBLOCK
_READ: Final[int] = os.O_RDONLY | _NOFOLLOW | _NONBLOCK | _NOCTTY | _BINARY
_MAKE: Final[int] = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _BINARY


class LinkFound(Exception):
    """A name that has to be a file or directory is a symbolic link."""


class SpecialFile(Exception):
    """A name is a device, pipe or socket, which is never opened."""


class Folder(Protocol):
    """An open directory. Names are single names; `close` ends it, `with` does as well.

    All methods raise OSError, and LinkFound where a link stands in the way.
    """

    def __enter__(self) -> Folder: ...

    def __exit__(self, *exc: object) -> None: ...

    def close(self) -> None:
        """Let go of the directory; a second time does nothing."""
        ...

    def folder(self, name: str, *, listing: bool = False) -> Folder:
        """A directory in this one; only with `listing` can its entries be listed."""
        ...

    def open(self, name: str) -> int:
        """A descriptor to read a regular file with; SpecialFile for what is none, IsADirectoryError for a directory."""
        ...

    def make(self, name: str, mode: int) -> int:
        """A descriptor to write a file with that this call has made; FileExistsError where the name is taken."""
        ...

    def stat(self, name: str) -> os.stat_result:
        """What stands under a name, links not followed."""
        ...

    def own_stat(self) -> os.stat_result:
        """What the directory itself is."""
        ...

    def entries(self) -> Generator[os.DirEntry[str]]:
        """The entries of a directory opened for listing, in the order of the disk; to be closed if not used up."""
        ...

    def mkdir(self, name: str) -> None:
        """Make a directory."""
        ...

    def rmdir(self, name: str) -> None:
        """Remove an empty directory."""
        ...

    def unlink(self, name: str) -> None:
        """Remove a file."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of what has that name."""
        ...


def open_folder(path: Path, *, listing: bool = False) -> Folder:
    """The directory of an absolute path without links in it; LinkFound where there is one by now."""
    if not DIR_FD:
        return CheckedFolder(path)
    if not hasattr(os, "O_PATH"):
        # Passing through what lies above would need the right to list it; the last name is still not followed.
        return DescriptorFolder(_opened(str(path), None, _LIST if listing else _PASS))
    folder: Folder = DescriptorFolder(os.open("/", _LIST if listing and len(path.parts) == 1 else _PASS))
    for at, name in enumerate(path.parts[1:], 2):
        with folder:
            folder = folder.folder(name, listing=listing and at == len(path.parts))
    return folder


def require_plain(found: os.stat_result) -> None:
    """Nothing for a regular file; LinkFound, IsADirectoryError or SpecialFile for anything else."""
    if stat.S_ISLNK(found.st_mode):
        raise LinkFound
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise SpecialFile


def _opened(name: str, within: int | None, flags: int, mode: int = 0o666) -> int:
    """`os.open` that tells a link in the way from other errors."""
    try:
        return os.open(name, flags, mode, dir_fd=within)
    except OSError as error:
        # A link in the place of a directory is ENOTDIR on some systems, ELOOP or EMLINK on others.
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR) and _is_link(name, within):
            raise LinkFound from None
        raise


def _is_link(name: str, within: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode)
    except OSError:
        return False


class DescriptorFolder:
    """A `Folder` by its descriptor."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> DescriptorFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """See `Folder`."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def folder(self, name: str, *, listing: bool = False) -> DescriptorFolder:
        """See `Folder`."""
        return DescriptorFolder(_opened(name, self._fd, _LIST if listing else _PASS))

    def open(self, name: str) -> int:
        """See `Folder`."""
        # The look comes first because to open a device may set it off; the one after it is the one that counts.
        require_plain(self.stat(name))
        fd = _opened(name, self._fd, _READ)
        try:
            require_plain(os.fstat(fd))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def make(self, name: str, mode: int) -> int:
        """See `Folder`."""
        return _opened(name, self._fd, _MAKE, mode)

    def stat(self, name: str) -> os.stat_result:
        """See `Folder`."""
        return os.stat(name, dir_fd=self._fd, follow_symlinks=False)

    def own_stat(self) -> os.stat_result:
        """See `Folder`."""
        return os.fstat(self._fd)

    def entries(self) -> Generator[os.DirEntry[str]]:
        """See `Folder`."""
        with os.scandir(self._fd) as found:
            yield from found

    def mkdir(self, name: str) -> None:
        """See `Folder`."""
        os.mkdir(name, dir_fd=self._fd)

    def rmdir(self, name: str) -> None:
        """See `Folder`."""
        os.rmdir(name, dir_fd=self._fd)

    def unlink(self, name: str) -> None:
        """See `Folder`."""
        os.unlink(name, dir_fd=self._fd)

    def rename(self, old: str, new: str) -> None:
        """See `Folder`."""
        os.replace(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)


class CheckedFolder:
    """A `Folder` by its path, for platforms without descriptors of directories: every name is looked at, twice."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._check()

    def __enter__(self) -> CheckedFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _check(self) -> None:
        if os.path.realpath(self._path) != str(self._path):
            raise LinkFound
        if not stat.S_ISDIR(self._path.lstat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def close(self) -> None:
        """See `Folder`."""

    def folder(self, name: str, *, listing: bool = False) -> CheckedFolder:
        """See `Folder`."""
        return CheckedFolder(self._path / name)

    def open(self, name: str) -> int:
        """See `Folder`."""
        before = self.stat(name)
        require_plain(before)
        self._check()
        fd = os.open(self._path / name, _READ)
        try:
            after = os.fstat(fd)
            require_plain(after)
            if not os.path.samestat(before, after):
                raise LinkFound
        except BaseException:
            os.close(fd)
            raise
        return fd

    def make(self, name: str, mode: int) -> int:
        """See `Folder`."""
        self._check()
        return os.open(self._path / name, _MAKE, mode)

    def stat(self, name: str) -> os.stat_result:
        """See `Folder`."""
        return (self._path / name).lstat()

    def own_stat(self) -> os.stat_result:
        """See `Folder`."""
        return self._path.lstat()

    def entries(self) -> Generator[os.DirEntry[str]]:
        """See `Folder`."""
        self._check()
        with os.scandir(self._path) as found:
            yield from found

    def mkdir(self, name: str) -> None:
        """See `Folder`."""
        self._check()
        (self._path / name).mkdir()

    def rmdir(self, name: str) -> None:
        """See `Folder`."""
        self._check()
        (self._path / name).rmdir()

    def unlink(self, name: str) -> None:
        """See `Folder`."""
        self._check()
        (self._path / name).unlink()

    def rename(self, old: str, new: str) -> None:
        """See `Folder`."""
        self._check()
        (self._path / old).replace(self._path / new)
