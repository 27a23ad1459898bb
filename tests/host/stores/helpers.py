"""What the tests of the SQLite store share."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lash.host.stores.session import SessionStore
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.testing.conformance.material import play_turns
from lash.testing.conformance.world import request


async def played(factory: SqliteSessionStoreFactory, session_id: str = "s", turns: int = 2) -> SessionStore:
    """A new session with so many turns."""
    store = await factory.open_store(request(session_id))
    await play_turns(store, turns, session_id=session_id)
    return store


@contextmanager
def raw(path: Path) -> Generator[sqlite3.Connection]:
    """A plain connection to a session file, beside the store."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()
