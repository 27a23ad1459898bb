"""SQLite files on a thread of their own: whole transactions as single jobs.

A connection of aiosqlite has one thread. Here a transaction is one function that runs on it, from BEGIN to COMMIT: one
hop instead of one per statement, and a caller that is cancelled meanwhile cannot leave it half done.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar, cast

import aiosqlite

from lash.runtime.errors import StoreBackendError, StoreCorruption, UnsupportedRecordVersion

T = TypeVar("T")

BUSY_S = 15
"""How long a locked file is waited for."""

PRAGMAS = (
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_S * 1000}",
    "PRAGMA wal_autocheckpoint=1000",
    "PRAGMA cache_size=-2000",
)


class Database(aiosqlite.Connection):
    """One file. `transact` and `read` run functions of the plain connection on its thread."""

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one write transaction, which any exception out of it rolls back.

        Raises StoreBackendError where the medium fails (full, read-only, locked for 15 seconds) and StoreCorruption
        where the file is none.
        """
        return await self._job(_guarded, self._conn, work, True)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one read transaction: all that it sees is of one moment. Raises as `transact`."""
        return await self._job(_guarded, self._conn, work, False)

    async def _job(self, function: Callable[..., T], *arguments: object) -> T:
        execute = cast("Callable[..., Awaitable[T]]", self._execute)  # pyright: ignore[reportUnknownMemberType]
        return await execute(function, *arguments)

    async def prepare(self, migrations: tuple[str, ...], synchronous: str, what: str) -> None:
        """Set the connection up and run the migrations that the file lacks; see `open_database`."""
        await self._job(_prepare, self._conn, migrations, synchronous, what)


def _prepare(connection: sqlite3.Connection, migrations: tuple[str, ...], synchronous: str, what: str) -> None:
    _to_wal(connection)
    for pragma in (*PRAGMAS, f"PRAGMA synchronous={synchronous}"):
        connection.execute(pragma)
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute("COMMIT")
    if version > len(migrations):
        raise UnsupportedRecordVersion(what, version, len(migrations))
    for number, script in enumerate(migrations[version:], version + 1):
        # executescript would commit before it begins, so the statements are run one by one.
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] < number:
                for statement in filter(None, map(str.strip, script.split(";"))):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _to_wal(connection: sqlite3.Connection) -> None:
    """Have the file write ahead. Where several open a new one together, SQLite calls it locked without waiting."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _guarded(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], writes: bool) -> T:
    try:
        connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result
    except sqlite3.DatabaseError as error:
        raise translated(error) from error


def translated(error: sqlite3.DatabaseError) -> StoreBackendError | StoreCorruption:
    """What a driver's error means to the runtime."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreCorruption(f"the database file is damaged: {error}")
    return StoreBackendError(f"the database cannot be used: {error}")


async def open_database(
    file: Path, migrations: tuple[str, ...], *, synchronous: str = "FULL", what: str = "the database"
) -> Database:
    """Open or create a file and bring its schema up to date.

    `migrations` are scripts; `PRAGMA user_version` counts those that have been run, each in a transaction of its own.
    Raises UnsupportedRecordVersion for a file that a newer version has written, otherwise as `Database.transact`.
    """

    def connect() -> sqlite3.Connection:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return sqlite3.connect(file, isolation_level=None)

    database = Database(connect, 64)
    try:
        await database
        await database.prepare(migrations, synchronous, what)
    except sqlite3.DatabaseError as error:
        await database.close()
        raise translated(error) from error
    except OSError as error:
        raise StoreBackendError(f"{file} cannot be opened: {error}") from error
    except BaseException:
        await database.close()
        raise
    return database
