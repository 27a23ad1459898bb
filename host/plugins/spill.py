"""Where texts go that are too long for the model: files of this user alone, pruned by age and size."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from lash.runtime.sansio.values import JsonValue, canonical
from lash.runtime.seams.clock import Clock

MOST_BYTES: Final = 500 << 20
MOST_AGE_S: Final = 7 * 24 * 3600

_NO_NAME: Final = re.compile(r"[^\w.-]")
"""What the name of a tool, which may be anybody's, does not bring into the name of a file."""

_log = logging.getLogger("lash.plugins")


def default_directory() -> Path:
    """`lash-tool-output` in the system's directory for temporary files."""
    return Path(tempfile.gettempdir()) / "lash-tool-output"


class SpillDirectory:
    """A directory of spilled texts; made when it is needed, and pruned once, at first or by `prune_early`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._opening = threading.Lock()
        self._pruned = False

    def write(self, tool: str, args: JsonValue, text: str) -> Path | None:
        """The file that holds a text, written unless it is there; None where that fails, which is logged. It blocks."""
        data = text.encode("utf-8", "replace")
        digest = hashlib.sha256(canonical([tool, args]) + b"\0" + data).hexdigest()[:12]
        target = self.path / f"{_NO_NAME.sub('_', tool)}-{digest}.txt"
        try:
            self._open()
            if target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data:
                return target
            handle, temporary = tempfile.mkstemp(dir=self.path, prefix=".spill-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                Path(temporary).replace(target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            _log.warning("a tool's output could not be kept at %s: %s", self.path, error)
            return None
        return target

    def create(self, name: str) -> tuple[BinaryIO, Path]:
        """A new file of that name for the caller to write and close, and where it is. It blocks.

        Raises OSError where it cannot be made.
        """
        self._open()
        target = self.path / name
        return open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"), target

    def prune_early(self) -> None:
        """Prune the directory of an earlier process, in a thread of its own; nothing where there is none.

        So what was kept goes away in time also where nothing more is kept. What fails is logged.
        """

        def prune() -> None:
            try:
                if self.path.is_dir():
                    self._open()
            except OSError as error:
                _log.warning("the tools' outputs at %s could not be pruned: %s", self.path, error)

        threading.Thread(target=prune, name="lash-spill", daemon=True).start()

    def _open(self) -> None:
        with self._opening:
            # Each time, for what lies among temporary files may be cleaned away while this process runs.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Others may have made a directory of that name first: what tools print is nobody else's business.
            found = self.path.lstat()
            if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
                raise PermissionError(f"{self.path} is no directory of this user")
            if found.st_mode & 0o077:
                self.path.chmod(0o700)
            if not self._pruned:
                self._prune()
                self._pruned = True

    def _prune(self) -> None:
        """Remove files that are too old, then the oldest until what is left is small enough."""
        oldest_s = self._clock.now_ms() / 1000 - MOST_AGE_S
        files: list[tuple[float, int, str]] = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process prunes as well
                    if entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        files.append((found.st_mtime, found.st_size, entry.path))
        total = 0
        for modified, size, path in sorted(files, reverse=True):
            total += size
            if modified < oldest_s or total > MOST_BYTES:
                Path(path).unlink(missing_ok=True)
