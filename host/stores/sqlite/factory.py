"""Sessions in SQLite files, one each."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TypeVar, get_args

from lash.host.stores.records import PROFILES, BlobProfile
from lash.host.stores.session import SessionStore
from lash.host.stores.sqlite.connection import FileConnection, Synchronous, connect
from lash.host.stores.sqlite.creation import create_file, remove_file
from lash.host.stores.sqlite.files import OpenFiles
from lash.host.stores.sqlite.listing import SessionList
from lash.host.stores.sqlite.naming import file_name
from lash.host.stores.sqlite.tables import SELECT_META, SqliteTables
from lash.host.stores.tables import Failpoint, Tables, no_failpoint
from lash.host.system import RandomIds, SystemClock
from lash.runtime.errors import ConfigError, SessionBindingMismatch, StoreCorruption
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import DurabilityTier
from lash.runtime.seams.persistence import SessionMeta, SessionStoreCreateRequest

T = TypeVar("T")


class SqliteMedium:
    """The rows of one session in its file; implements `lash.host.stores.tables.Medium`."""

    durability = DurabilityTier.DURABLE

    def __init__(self, path: Path, session_id: str, files: OpenFiles, failpoint: Failpoint) -> None:
        self._path = path
        self._session_id = session_id
        self._files = files
        self._failpoint = failpoint

    async def read(self, job: Callable[[Tables], T]) -> T:
        """What the job finds, at one moment. Raises StoreBackendError and StoreCorruption."""
        async with self._files.using(self._path) as file:
            return await file.transaction("BEGIN", self._over_tables(job), no_failpoint)

    async def write(self, job: Callable[[Tables], T], *, prepare: Callable[[], None] | None = None) -> T:
        """All that the job writes, or nothing. Raises StoreBackendError and StoreCorruption."""
        async with self._files.using(self._path) as file:
            return await file.transaction("BEGIN IMMEDIATE", self._over_tables(job), self._failpoint, prepare)

    async def aclose(self) -> None:
        """Close the file unless it is in use: a parked session has no thread, and its log is in its file."""
        await self._files.close(self._path)

    def _over_tables(self, job: Callable[[Tables], T]) -> Callable[[sqlite3.Connection], T]:
        def run(connection: sqlite3.Connection) -> T:
            return job(SqliteTables(connection, self._session_id))

        return run


class SqliteSessionStoreFactory:
    """Stores in SQLite files below `root`; implements `lash.runtime.seams.persistence.SessionStoreFactory`.

    `synchronous` FULL makes every commit durable before it is answered; NORMAL is faster and may lose the last turns on
    power loss, not on a crash of the process. `blob_profile` says what is compressed: from 4 KiB on (balanced), from
    1 KiB on and harder (compact), nothing (low_latency). At most `max_open` files, hence threads, are open at a time.
    `clock` decides when leases end, `ids` names them, `failpoint` is for the conformance suite.
    """

    durability = DurabilityTier.DURABLE

    def __init__(
        self,
        root: str | PathLike[str],
        *,
        synchronous: Synchronous = "FULL",
        blob_profile: BlobProfile = "balanced",
        max_open: int = 64,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        failpoint: Failpoint = no_failpoint,
    ) -> None:
        _check_choice("synchronous", synchronous, get_args(Synchronous))
        _check_choice("blob_profile", blob_profile, tuple(PROFILES))
        if max_open < 1:
            raise ConfigError("contradictory_options", f"max_open is at least 1, not {max_open}")
        self._root = Path(root)
        self._synchronous: Synchronous = synchronous
        self._blob_profile: BlobProfile = blob_profile
        self._clock = clock or SystemClock()
        self._ids = ids or RandomIds()
        self._failpoint = failpoint
        self._files = OpenFiles(max_open, self._connect)
        self._list = SessionList(self._root)
        self._listing = asyncio.Lock()

    @property
    def root(self) -> Path:
        """The folder of the session files."""
        return self._root

    def path_of(self, session_id: str) -> Path:
        """Where the file of a session lies, or would."""
        return self._root / file_name(session_id)

    async def open_store(self, request: SessionStoreCreateRequest) -> SessionStore:
        """Create or reopen a session's store; the meta of a session that exists stays as it is.

        Raises SessionBindingMismatch, StoreBackendError, StoreCorruption and UnsupportedRecordVersion.
        """
        if request.meta.session_id != request.session_id:
            raise SessionBindingMismatch(request.session_id, request.meta.session_id)
        path = self.path_of(request.session_id)
        if not path.exists():
            await asyncio.to_thread(create_file, path, request.meta)
        return await self._open(path, request.session_id)

    async def find_store(self, session_id: str) -> SessionStore | None:
        """The store of a session that exists; raises as `open_store` does."""
        path = self.path_of(session_id)
        return await self._open(path, session_id) if path.exists() else None

    async def delete_store(self, session_id: str) -> bool:
        """Remove a session's file; whether there was one. Its open stores raise StoreBackendError from now on."""
        path = self.path_of(session_id)
        await self._files.close(path)
        return await asyncio.to_thread(remove_file, path)

    async def list_sessions(self) -> list[SessionMeta]:
        """What lists of all sessions show, newest first (`lash.host.stores.sqlite.listing`)."""
        async with self._listing:
            return await asyncio.to_thread(self._list.read)

    async def aclose(self) -> None:
        """Close every file; work under way is finished first."""
        await self._files.aclose()

    async def _connect(self, path: Path) -> FileConnection:
        return await connect(path, self._synchronous)

    async def _open(self, path: Path, session_id: str) -> SessionStore:
        """A store on a file that exists, after a look whether it is the session's."""
        async with self._files.using(path) as file:
            bound = await file.transaction("BEGIN", _bound_session, no_failpoint)
        if bound is None:
            raise StoreCorruption(f"session file {path} does not say which session it is")
        if bound != session_id:
            raise SessionBindingMismatch(bound, session_id)
        return SessionStore(
            session_id,
            SqliteMedium(path, session_id, self._files, self._failpoint),
            clock=self._clock,
            ids=self._ids,
            blob_profile=self._blob_profile,
            failpoint=self._failpoint,
        )


def _bound_session(connection: sqlite3.Connection) -> str | None:
    """Which session a file holds."""
    row = connection.execute(SELECT_META).fetchone()
    return None if row is None else str(row[0])


def _check_choice(name: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ConfigError("contradictory_options", f"{name} is one of {', '.join(known)}, not {given!r}")
