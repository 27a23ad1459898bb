"""Opening one SQLite file from many places at once."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from lash.host import sqlite


class _Opened(sqlite3.Connection):
    """A connection that is told a few times that somebody else is setting the file up."""

    refusals = 2
    code = sqlite3.SQLITE_BUSY

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if "journal_mode" in sql and self.refusals:
            self.refusals -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = self.code
            raise error
        return super().execute(sql, *parameters)


class _Broken(_Opened):
    code = sqlite3.SQLITE_IOERR


def prepared(kind: type[_Opened]) -> int:
    """Set such a connection up; the version of its schema."""
    connection = kind(":memory:", isolation_level=None)
    try:
        sqlite._prepare(connection, ("CREATE TABLE t(n)",), "FULL", "the file")  # pyright: ignore[reportPrivateUsage]
        return connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()


def test_a_new_file_that_somebody_else_is_setting_up_is_waited_for() -> None:
    assert prepared(_Opened) == 1


def test_a_medium_that_fails_is_not_waited_for() -> None:
    with pytest.raises(sqlite3.OperationalError):
        prepared(_Broken)
