"""The SQLite store under the suite: places in a folder, and instruments that reach into its files."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.host.stores.sqlite.connection import FileConnection
from lash.host.stores.tables import no_failpoint
from lash.runtime.seams.persistence import SessionStoreFactory
from lash.testing.clock import FakeClock
from lash.testing.conformance.world import Opener

AMPLE_PAGES = 2**30
"""More pages than any disk has: no limit."""

LOG_TAIL = 64 * 1024
"""Bits are flipped in so much of the log's end."""


class LimitedFactory(SqliteSessionStoreFactory):
    """The SQLite store, with a handle on how far its files may grow."""

    def __init__(self, root: Path, **options: Any) -> None:
        super().__init__(root, **options)
        self._connections: list[FileConnection] = []

    async def _connect(self, path: Path) -> FileConnection:
        connection = await super()._connect(path)
        self._connections.append(connection)
        return connection

    async def limit(self, spare_pages: int | None) -> None:
        """Let every open file grow by so many pages (None: as it likes)."""

        def set_limit(connection: sqlite3.Connection) -> None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            most = AMPLE_PAGES if spare_pages is None else int(pages) + spare_pages
            connection.execute(f"PRAGMA max_page_count = {most}")

        for connection in self._connections:
            await connection.transaction("BEGIN", set_limit, no_failpoint)


def open_sqlite(root: Path, *, clock: FakeClock, failpoint: Callable[[str], None]) -> SqliteSessionStoreFactory:
    """The factory over a folder, as the suite wants it."""
    return LimitedFactory(root, clock=clock, failpoint=failpoint)


class SqlitePlaces:
    """Everything that `conformance.run` takes, for the SQLite store; places are folders below `base`.

    conformance.run(places.make_store, reopen=places.reopen, kill=places.reopen, instruments=places)
    """

    def __init__(self, base: Path) -> None:
        self._base = base

    def make_store(self, *, clock: FakeClock, failpoint: Callable[[str], None]) -> SqliteSessionStoreFactory:
        """A factory over a new folder."""
        return open_sqlite(Path(mkdtemp(dir=self._base)), clock=clock, failpoint=failpoint)

    def reopen(self, factory: SessionStoreFactory) -> Opener:
        """Opens a factory's folder again, here or in another process."""
        return cast("Opener", partial(open_sqlite, _sqlite(factory).root))

    # --- instruments -----------------------------------------------------------------------------

    @contextmanager
    def counting_rows(self, factory: SessionStoreFactory, session_id: str) -> Generator[Callable[[], int]]:
        """Count by triggers, which see every statement of every connection."""
        connection = sqlite3.connect(_sqlite(factory).path_of(session_id), isolation_level=None)
        try:
            connection.execute("CREATE TABLE counted(what TEXT) STRICT")
            for what in ("INSERT", "UPDATE", "DELETE"):
                connection.execute(
                    f"CREATE TRIGGER count_{what} AFTER {what} ON graph_nodes"
                    f" BEGIN INSERT INTO counted VALUES('{what}'); END"
                )
            yield lambda: int(connection.execute("SELECT count(*) FROM counted").fetchone()[0])
        finally:
            connection.close()

    def flip_blob(self, factory: SessionStoreFactory, session_id: str, blob_hash: str) -> None:
        """Flip a bit in the middle of a blob's bytes, in the file itself; for blobs that fit into one page."""
        path = _sqlite(factory).path_of(session_id)
        connection = sqlite3.connect(path)
        (body,) = connection.execute("SELECT body FROM blobs WHERE hash = ?", (blob_hash,)).fetchone()
        connection.close()
        data = bytearray(path.read_bytes())
        data[data.index(body) + len(body) // 2] ^= 0x04
        path.write_bytes(data)

    def damaged_logs(self, factory: SessionStoreFactory, session_id: str, count: int) -> Iterator[Opener]:
        """Copies of the folder with the session's log cut off at random, then with a bit flipped near its end."""
        root = _sqlite(factory).root
        name = f"{_sqlite(factory).path_of(session_id).name}-wal"
        log = (root / name).read_bytes()
        chance = random.Random(2)
        for number in range(2 * count):
            damaged = bytearray(log)
            if number < count:
                del damaged[chance.randrange(len(log)) :]
            else:
                damaged[chance.randrange(max(0, len(log) - LOG_TAIL), len(log))] ^= 1 << chance.randrange(8)
            copy = Path(mkdtemp(dir=self._base))
            shutil.copytree(root, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*-shm", "*-wal"))
            (copy / name).write_bytes(damaged)
            yield cast("Opener", partial(open_sqlite, copy))
            shutil.rmtree(copy)

    async def limit_disk(self, factory: SessionStoreFactory, spare_pages: int | None) -> None:
        """Limit the pages of the open files."""
        assert isinstance(factory, LimitedFactory)
        await factory.limit(spare_pages)

    def make_newer(self, factory: SessionStoreFactory, session_id: str) -> None:
        """Raise the count of migrations."""
        connection = sqlite3.connect(_sqlite(factory).path_of(session_id), isolation_level=None)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {int(version) + 1}")
        connection.close()


def _sqlite(factory: SessionStoreFactory) -> SqliteSessionStoreFactory:
    assert isinstance(factory, SqliteSessionStoreFactory)
    return factory
