"""What lists of sessions show, without opening every file each time.

The files are the truth, and there is no second one that a commit would have to keep in step: writing a session does
nothing for the list. Instead the list remembers what it read, with the state of the file at that time (inode, size and
time of change, of the log as well), and reads again only what has changed since. Sessions that are parked do not
change, so a list of thousands costs a look at the folder. What is remembered lies in one file beside the sessions,
which may be deleted at any time and is not missed if it is damaged.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from pathlib import Path

from lash.host.stores.records import decode_as, encode_as
from lash.host.stores.session import newest_first
from lash.host.stores.sqlite.connection import BUSY_TIMEOUT_MS, decode_text, file_uri
from lash.host.stores.sqlite.faults import translated
from lash.host.stores.sqlite.naming import is_session_file
from lash.host.stores.sqlite.schema import check_version
from lash.host.stores.sqlite.tables import SELECT_META, read_meta
from lash.runtime.errors import StoreBackendError, StoreCorruption, StoreError, UnsupportedRecordVersion
from lash.runtime.seams.persistence import SessionMeta

MEMORY_FILE = ".sessions.cache"

FileState = tuple[int, ...]
"""Inode, size and change time of a session file, then the same of its log, zeros where it has none."""

Remembered = dict[str, tuple[FileState, SessionMeta]]
"""By file name: what was read, and the state that the file was in."""

SETTLED_NS = 2_000_000_000
"""A file that changed so shortly before it was read is read again: another change might have got the same time."""


class SessionList:
    """Reads the metas of all session files of a folder. Not for several threads at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._remembered: Remembered | None = None

    def read(self) -> list[SessionMeta]:
        """The metas of all sessions, newest first.

        Raises StoreCorruption where files cannot be read, naming all of them: a list that silently lacks a session is
        worse than none. StoreBackendError where the folder cannot be read.
        """
        before = self._recall() if self._remembered is None else self._remembered
        metas: dict[str, SessionMeta] = {}
        settled: Remembered = {}
        damaged: list[str] = []
        for name in self._names():
            try:
                state, meta = self._read_one(name, before.get(name))
            except FileNotFoundError:
                continue  # deleted meanwhile
            except StoreError as error:
                damaged.append(str(error))
                continue
            metas[name] = meta
            if max(state[2], state[5]) + SETTLED_NS < time.time_ns():
                settled[name] = (state, meta)
        if settled != before:
            self._remember(settled)
        self._remembered = settled
        if damaged:
            raise StoreCorruption(
                f"{len(damaged)} of the sessions in {self._root} cannot be read; move their files away to list the"
                f" others: {'; '.join(damaged)}"
            )
        return newest_first(list(metas.values()))

    def _names(self) -> list[str]:
        try:
            with os.scandir(self._root) as entries:
                return sorted(entry.name for entry in entries if is_session_file(entry.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreBackendError(f"the folder of sessions {self._root} cannot be read: {error}") from error

    def _read_one(self, name: str, known: tuple[FileState, SessionMeta] | None) -> tuple[FileState, SessionMeta]:
        """State and meta of one file; the meta is the remembered one where the state is."""
        path = self._root / name
        state = _state(path)
        if known is not None and known[0] == state:
            return known
        # A file without a log is complete, and reading it as one that cannot change takes neither locks nor companions.
        # Somebody may open it right then; so what was read counts only if the file is afterwards as it was before.
        if not state[4]:
            try:
                meta = _read_meta(path, "mode=ro&immutable=1")
            except StoreError:
                if _state(path) == state:
                    raise
            else:
                if _state(path) == state:
                    return state, meta
        return _state(path), _read_meta(path, "mode=ro")

    def _recall(self) -> Remembered:
        try:
            return decode_as(Remembered, (self._root / MEMORY_FILE).read_bytes(), MEMORY_FILE)
        except (OSError, StoreCorruption, UnsupportedRecordVersion):
            return {}

    def _remember(self, entries: Remembered) -> None:
        """Write what was read; where that is impossible, the next process reads it again."""
        draft = self._root / f"{MEMORY_FILE}.{secrets.token_hex(8)}"
        try:
            draft.write_bytes(encode_as(Remembered, entries))
            os.replace(draft, self._root / MEMORY_FILE)
        except OSError:
            draft.unlink(missing_ok=True)


def _state(path: Path) -> FileState:
    """The state of a session file and its log. Raises FileNotFoundError."""
    file = path.stat()
    try:
        log = path.with_name(path.name + "-wal").stat()
    except FileNotFoundError:
        return (file.st_ino, file.st_size, file.st_mtime_ns, 0, 0, 0)
    return (file.st_ino, file.st_size, file.st_mtime_ns, log.st_ino, log.st_size, log.st_mtime_ns)


def _read_meta(path: Path, options: str) -> SessionMeta:
    what = f"session file {path}"
    with translated(what):
        connection = sqlite3.connect(file_uri(path, options), uri=True, isolation_level=None)
        try:
            connection.text_factory = decode_text
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            check_version(connection, what)
            row = connection.execute(SELECT_META).fetchone()
        finally:
            connection.close()
    if row is None:
        raise StoreCorruption(f"{what} does not say which session it is")
    return read_meta(row)
