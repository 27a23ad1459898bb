"""What SQLite complains about, as errors of lash: the medium failed, or its contents are damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from lash.runtime.errors import StoreBackendError, StoreCorruption, StoreError

DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Primary result codes of a file that is not what SQLite wrote."""

PRIMARY_CODE = 0xFF
"""Extended result codes carry the primary one in their low byte."""

ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this write is stored, free some space and try again",
    sqlite3.SQLITE_READONLY: "it cannot be written; nothing of this write is stored, check its permissions",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that it is there and may be read and written",
    sqlite3.SQLITE_BUSY: "another process keeps it locked; try again, or find out what that process does",
    sqlite3.SQLITE_IOERR: "reading or writing failed; check the disk",
}
"""What to do about the usual failures, by primary result code."""


@contextmanager
def translated(what: str) -> Generator[None]:
    """Raise errors of SQLite as StoreBackendError or StoreCorruption that name `what`, with the original as cause."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _translate(error, what) from error
    except UnicodeDecodeError as error:  # SQLite quotes damaged texts in its messages
        raise StoreCorruption(f"{what} is damaged: {error}") from error
    except UnicodeEncodeError as error:
        raise StoreError("unstorable_value", f"{what}: an id or name is no valid Unicode: {error}") from error
    except OverflowError as error:
        raise StoreError("unstorable_value", f"{what}: a number is beyond 64 bits: {error}") from error
    except OSError as error:
        raise StoreBackendError(f"{what}: {error}") from error


def _translate(error: sqlite3.DatabaseError, what: str) -> Exception:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, sqlite3.ProgrammingError):
        return StoreBackendError(f"{what}: {error}")
    if code is None or code & PRIMARY_CODE in DAMAGED:
        # Without a code it is Python that complains, about a text column that holds no text.
        return StoreCorruption(f"{what} is damaged: {error}")
    advice = ADVICE.get(code & PRIMARY_CODE)
    return StoreBackendError(f"{what}: {advice} ({error})" if advice else f"{what}: {error}")
