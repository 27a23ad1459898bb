"""`JsonlTraceSink`: records as lines of a file that several processes may share (observability.md 3).

Each record is one `write` on a descriptor opened for appending, which a kernel carries out as a whole, at the file's
end. What a crash or a full disk has left of a line is ended before the next, so that one record is lost and no more.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lash.host.tracing.encoding import encode_record
from lash.host.tracing.redaction import Redactor
from lash.host.tracing.sharing import PrefixSharing
from lash.host.tracing.sinks import RedactedSink
from lash.runtime.errors import TraceSinkError
from lash.runtime.seams.trace import TraceRecord

if sys.platform != "win32":
    import fcntl


LOOKS: Final = 100
"""How often the end of a file is looked at before a line without end is taken for what a crash has left."""


class JsonlTraceSink(RedactedSink):
    """Appends records to a file.

    Arguments: `path` of the file; folders above it are made. Where the file would grow over `max_bytes` it is renamed
    to `<path>.1`, that to `<path>.2` and so on, and `keep` of these are kept; a record that alone is larger gets a
    file to itself. `fsync` has every record on the disk before `append` returns. `mode` is that of new files. If
    somebody else renames or removes the file, the next record goes into a new one. `prefix_sharing` leaves out of a
    request what the session's last request in the file has said as well; `lash.tracing.expand_messages` brings it back.

    Raises ValueError for limits below 1 and TraceSinkError where the file cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int | None = None,
        keep: int = 5,
        fsync: bool = False,
        mode: int = 0o600,
        prefix_sharing: bool = False,
        redactor: Redactor | None = None,
    ) -> None:
        for name, value in (("max_bytes", max_bytes), ("keep", keep)):
            if value is not None and value < 1:
                raise ValueError(f"JsonlTraceSink: {name} is {value}; it is at least 1")
        super().__init__(redactor)
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._keep = keep
        self._fsync = fsync
        self._mode = mode
        self._sharing = PrefixSharing() if prefix_sharing else None
        self._lock = threading.Lock()
        self._file: int | None = None
        self._identity: tuple[int, int] | None = None
        self._mid_line = False
        self._closed = False
        with self._lock, self._reported():
            self._open()

    @property
    def path(self) -> Path:
        """Where the current file is."""
        return self._path

    def append(self, record: TraceRecord) -> None:
        """Write the record; TraceSinkError where it cannot be written, or not whole."""
        record = self.redactor.redact(record)
        whole = encode_record(record)
        with self._lock:
            if self._closed:
                raise TraceSinkError(f"the trace {self._path} is closed")
            line = whole if self._sharing is None else encode_record(self._sharing.shared(record))
            with self._reported():
                before = self._identity
                file = self._ready(len(line))
                self._write(file, line if self._identity == before else whole)
            if self._sharing is not None:
                self._sharing.wrote(record)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        with self._lock:
            self._closed = True
            self._release()

    @contextmanager
    def _reported(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise TraceSinkError(f"cannot write the trace {self._path}: {error.strerror or error}") from error

    def _write(self, file: int, line: bytes) -> None:
        data = b"\n" + line if self._mid_line else line
        written = os.write(file, data)
        if written:
            self._mid_line = data[written - 1 : written] != b"\n"
        if written < len(data):
            raise TraceSinkError(
                f"only {written} of {len(data)} bytes went into the trace {self._path}: is the disk full?"
            )
        if self._fsync:
            os.fsync(file)

    def _ready(self, size: int) -> int:
        """The descriptor of the file that a line of `size` bytes belongs into."""
        found = self._stat()
        if self._file is None or found is None or (found.st_dev, found.st_ino) != self._identity:
            self._release()
            file = self._open()
            found = os.fstat(file)
        else:
            file = self._file
        if self._max_bytes is None or found.st_size == 0 or found.st_size + size <= self._max_bytes:
            return file
        self._rotate(file)
        self._release()
        return self._open()

    def _stat(self) -> os.stat_result | None:
        try:
            return os.stat(self._path)
        except FileNotFoundError:
            return None

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        try:
            file = os.open(self._path, flags | os.O_EXCL, self._mode)
            if sys.platform != "win32":
                os.fchmod(file, self._mode)  # the process's mask may have taken rights away
        except FileExistsError:
            file = os.open(self._path, flags, self._mode)
        found = os.fstat(file)
        self._file = file
        if self._sharing is not None:
            self._sharing.forget()
        self._identity = (found.st_dev, found.st_ino)
        self._mid_line = stat.S_ISREG(found.st_mode) and _ends_mid_line(file)
        return file

    def _release(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    def _rotate(self, file: int) -> None:
        """Rename the full files, unless another process has done so meanwhile."""
        with _locked(file):
            found = self._stat()
            if found is None or (found.st_dev, found.st_ino) != self._identity:
                return
            names = [self._path, *(Path(f"{self._path}.{number}") for number in range(1, self._keep + 1))]
            for older, newer in reversed(list(zip(names[1:], names, strict=False))):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(newer, older)


def _ends_mid_line(file: int) -> bool:
    """Whether a file's last line has no end. One that another process is writing just now has one soon."""
    for _ in range(LOOKS):
        if os.lseek(file, 0, os.SEEK_END) == 0:
            return False
        os.lseek(file, -1, os.SEEK_END)
        if os.read(file, 1) == b"\n":
            return False
    return True


@contextmanager
def _locked(file: int) -> Generator[None]:
    """Keep other processes that have the same file open from renaming it at the same time."""
    if sys.platform == "win32":
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
