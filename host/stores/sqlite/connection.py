"""A session file, open on a thread of its own.

A connection costs a thread, the one that aiosqlite starts, and this thread is the file's only writer in the process.
What a store does is handed over as one function, which runs there from BEGIN to COMMIT: a commit of ten statements is
one hop to the thread and one back. The task that waits may be cancelled; the function runs to its end all the same, so
a commit that was begun is either whole or absent.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, TypeVar, cast

import aiosqlite

from lash.host.stores.sqlite.faults import translated
from lash.host.stores.sqlite.schema import check_tables, check_version, migrate
from lash.host.stores.tables import Failpoint
from lash.runtime.errors import StoreBackendError

T = TypeVar("T")

Synchronous = Literal["FULL", "NORMAL"]

BUSY_TIMEOUT_MS = 15_000
"""How long a transaction waits for one of another process."""


class FileConnection(aiosqlite.Connection):
    """A session file and its thread. Made by `connect`."""

    def __init__(self, path: Path, synchronous: Synchronous) -> None:
        self.path = path
        self._identity = (-1, -1)

        def connector() -> sqlite3.Connection:
            with translated(f"session file {path}"):
                connection = open_file(path, synchronous)
                self._identity = _identity(path)
                return connection

        super().__init__(connector, iter_chunk_size=64)
        # Whoever forgets to close a store must not hang at the end of the program; a write cut short is undone.
        self._thread.daemon = True

    def is_current(self) -> bool:
        """Whether the file still has its name. Where it was deleted or replaced, writes to it would go nowhere."""
        try:
            return _identity(self.path) == self._identity
        except FileNotFoundError:
            return False

    async def close(self) -> None:
        """Close the file and end the thread."""
        await super().close()
        self.join()

    def join(self) -> None:
        """Wait for the end of a thread that was told to end: it would outlive the event loop that it reports to."""
        self._thread.join()

    async def transaction(
        self,
        begin: Literal["BEGIN", "BEGIN IMMEDIATE"],
        job: Callable[[sqlite3.Connection], T],
        failpoint: Failpoint,
        prepare: Callable[[], None] | None = None,
    ) -> T:
        """What a job returns that runs in one transaction on the thread; undone where it raises.

        Raises StoreBackendError and StoreCorruption besides what the job does.
        """
        run = cast("Callable[..., Awaitable[T]]", self._execute)  # pyright: ignore[reportUnknownMemberType]
        return await run(self._transaction, begin, job, failpoint, prepare)

    def _transaction(
        self,
        begin: str,
        job: Callable[[sqlite3.Connection], T],
        failpoint: Failpoint,
        prepare: Callable[[], None] | None,
    ) -> T:
        if prepare is not None:
            prepare()
        connection = self._conn
        with translated(f"session file {self.path}"):
            connection.execute(begin)
            try:
                if not self.is_current():
                    raise StoreBackendError(f"session file {self.path} was deleted")
                result = job(connection)
                failpoint("commit")
                connection.execute("COMMIT")
            except BaseException:
                # A full disk makes SQLite roll back by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        failpoint("committed")
        return result


async def connect(path: Path, synchronous: Synchronous) -> FileConnection:
    """Open a session file that exists.

    Raises StoreBackendError, StoreCorruption, and UnsupportedRecordVersion for one of a later version.
    """
    connection = FileConnection(path, synchronous)
    opening = asyncio.ensure_future(_opened(connection))
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unwanted)
        raise
    return connection


async def _opened(connection: FileConnection) -> FileConnection:
    try:
        await connection
    except BaseException:
        connection.join()
        raise
    return connection


def _close_unwanted(opening: asyncio.Future[FileConnection]) -> None:
    """Close a file that nobody waits for any more; one that could not be opened is closed already."""
    if not opening.cancelled() and opening.exception() is None:
        connection = opening.result()
        connection.stop()  # pyright: ignore[reportUnknownMemberType]
        connection.join()


def open_file(path: Path, synchronous: Synchronous) -> sqlite3.Connection:
    """A plain connection to a session file that exists, set up and of the newest version."""
    connection = sqlite3.connect(file_uri(path, "mode=rw"), uri=True, isolation_level=None)
    try:
        configure(connection, synchronous)
        what = f"session file {path}"
        check_version(connection, what)
        migrate(connection, what)
        check_tables(connection, what)
    except BaseException:
        connection.close()
        raise
    return connection


def configure(connection: sqlite3.Connection, synchronous: Synchronous) -> None:
    """Set what is per connection. The write-ahead log is a property of the file, which is made with it."""
    connection.text_factory = decode_text
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    connection.execute("PRAGMA cache_size = -2000")


def decode_text(data: bytes) -> str:
    """The text of a column; lone surrogates come back as they were given (`tables.text`)."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError(f"a text column holds no text: {error}") from error


def file_uri(path: Path, options: str) -> str:
    """A path as SQLite's URI."""
    return f"{path.absolute().as_uri()}?{options}"


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
