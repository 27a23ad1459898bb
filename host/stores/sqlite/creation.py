"""Making and removing session files so that there is never half of one.

A new file is written under another name, with its tables and the session's meta, made durable, and only then linked to
its own name, which fails where another process was quicker. So a file that is there is whole.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path

from lash.host.stores.sqlite.connection import BUSY_TIMEOUT_MS, file_uri
from lash.host.stores.sqlite.faults import translated
from lash.host.stores.sqlite.schema import migrate
from lash.host.stores.sqlite.tables import SqliteTables
from lash.runtime.seams.persistence import SessionMeta

COMPANIONS = ("-wal", "-shm")
"""Endings of the files that SQLite keeps beside an open one."""


def create_file(path: Path, meta: SessionMeta) -> bool:
    """Make a session file; whether there was none before. Raises StoreBackendError."""
    with translated(f"session file {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
        try:
            _write(draft, meta)
            _sync(draft)
            try:
                os.link(draft, path)
            except FileExistsError:
                return False
            _sync(path.parent)
        finally:
            for file in _with_companions(draft):
                file.unlink(missing_ok=True)
    return True


def remove_file(path: Path) -> bool:
    """Remove a session file; whether there was one. Raises StoreBackendError and StoreCorruption.

    The write lock is held meanwhile, so that whoever waits for it finds the file gone instead of writing to a file
    without a name. The log goes first: left behind, it would be played into the next file of that name.
    """
    with translated(f"session file {path}"):
        if not path.exists():
            return False
        connection = sqlite3.connect(file_uri(path, "mode=rw"), uri=True, isolation_level=None)
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            for file in reversed(_with_companions(path)):
                file.unlink(missing_ok=True)
            _sync(path.parent)
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    return True


def _write(draft: Path, meta: SessionMeta) -> None:
    connection = sqlite3.connect(draft, isolation_level=None)
    try:
        # Nobody sees this file before it is whole and synced, so SQLite need not take care of that.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, f"session file {draft}")
        connection.execute("BEGIN IMMEDIATE")
        SqliteTables(connection, meta.session_id).put_meta(meta)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _with_companions(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + ending) for ending in COMPANIONS)]
