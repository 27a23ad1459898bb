"""Turns in the journal (runtime.md 2.4, 2.5): functions that run inside one transaction of it.

A turn's row says whether it runs, is put aside (`suspended`) or is over (`sealed`), and what it takes to run it again.
A wish that it stops is kept there as well, so that whoever drives it next meets it.
"""

from __future__ import annotations

import sqlite3
from typing import cast

from lash.host.effects import journal_approvals
from lash.host.effects.journal_rows import readable, unpacked
from lash.runtime.sansio.packing import pack
from lash.runtime.sansio.values import JsonValue, to_json
from lash.runtime.seams.effects import CancelReceipt, CancelRequest, DurabilityTier, ExecutionScope, UnfinishedTurn

TABLE = """
    CREATE TABLE effect_scopes(
        scope_id TEXT PRIMARY KEY, session_id TEXT NOT NULL, turn_id TEXT NOT NULL, state TEXT NOT NULL,
        head_revision INTEGER, input BLOB, options BLOB, updated_ms INTEGER NOT NULL) STRICT
"""
CANCEL_COLUMN = "ALTER TABLE effect_scopes ADD COLUMN cancel BLOB"


def begin(
    connection: sqlite3.Connection,
    scope: ExecutionScope,
    head_revision: int | None,
    given: JsonValue,
    options: JsonValue,
    now_ms: int,
    *,
    again: bool,
) -> None:
    """Note that a turn runs; one that is noted already and not over runs again, as it was noted.

    One that is over without a commit (its input was refused, or nothing was queued) begins anew `again`, as given now;
    otherwise its note stays as it is, for a recorded run that is only replayed.
    """
    if again:
        connection.execute("DELETE FROM effect_scopes WHERE scope_id=? AND state='sealed'", (scope.id,))
    connection.execute(
        "INSERT INTO effect_scopes(scope_id, session_id, turn_id, state, head_revision, input, options, updated_ms) "
        "VALUES(?,?,?,'running',?,?,?,?) ON CONFLICT(scope_id) DO UPDATE SET state='running' WHERE state='suspended'",
        (
            scope.id,
            scope.session_id,
            scope.turn_id,
            head_revision,
            pack(given),
            pack(options),
            now_ms,
        ),
    )


def suspend(connection: sqlite3.Connection, scope: ExecutionScope, now_ms: int) -> None:
    """Note that a turn is put aside."""
    connection.execute(
        "UPDATE effect_scopes SET state='suspended', updated_ms=? WHERE scope_id=? AND state='running'",
        (now_ms, scope.id),
    )


def seal(connection: sqlite3.Connection, scope: ExecutionScope, now_ms: int) -> None:
    """Note that a turn is over, and withdraw what it still asks."""
    connection.execute("UPDATE effect_scopes SET state='sealed', updated_ms=? WHERE scope_id=?", (now_ms, scope.id))
    journal_approvals.withdraw(connection, [scope.id], now_ms)


def unfinished(connection: sqlite3.Connection, session_id: str, now_ms: int) -> UnfinishedTurn | None:
    """A session's turn that is not over."""
    row = connection.execute(
        "SELECT scope_id, turn_id, head_revision, input, options, cancel, "
        "(SELECT count(*) FROM effect_replay AS effect WHERE effect.scope_id=effect_scopes.scope_id "
        "AND completion IS NOT NULL) FROM effect_scopes "
        "WHERE session_id=? AND state<>'sealed' ORDER BY updated_ms LIMIT 1",
        (session_id,),
    ).fetchone()
    if row is None:
        return None
    scope_id, turn_id, head, given, options, cancel, recorded = row
    return UnfinishedTurn(
        turn_id,
        head,
        cast("JsonValue", unpacked(given, f"the input of turn {turn_id}")),
        cast("JsonValue", unpacked(options, f"the options of turn {turn_id}")),
        recorded,
        tuple(journal_approvals.pending(connection, now_ms, scope_id=scope_id)),
        _cancel(cancel),
    )


def request_cancel(
    connection: sqlite3.Connection, scope: ExecutionScope, request: CancelRequest, now_ms: int
) -> CancelReceipt:
    """Note a wish that a turn stops; the first one counts, and the same one again is accepted again."""
    row = connection.execute("SELECT state, cancel FROM effect_scopes WHERE scope_id=?", (scope.id,)).fetchone()
    if row is None:
        return CancelReceipt("not_active", DurabilityTier.DURABLE)
    state, before = row
    if state == "sealed":
        return CancelReceipt("completion_won", DurabilityTier.DURABLE)
    wish = _cancel(before)
    if wish is not None:
        same = wish.request_id == request.request_id
        return CancelReceipt("accepted" if same else "already_requested", DurabilityTier.DURABLE)
    connection.execute("UPDATE effect_scopes SET cancel=? WHERE scope_id=?", (pack(to_json(request)), scope.id))
    journal_approvals.withdraw(connection, [scope.id], now_ms)
    return CancelReceipt("accepted", DurabilityTier.DURABLE)


def cancel_requested(connection: sqlite3.Connection, scope: ExecutionScope) -> CancelRequest | None:
    """The wish that a turn stops, where there is one."""
    row = connection.execute("SELECT cancel FROM effect_scopes WHERE scope_id=?", (scope.id,)).fetchone()
    return None if row is None else _cancel(row[0])


def forget(connection: sqlite3.Connection, session_id: str, now_ms: int, *, keep: bool) -> None:
    """The turns of a deleted session are over; what is recorded of them is deleted too, unless it is to be kept."""
    scopes = [
        row[0] for row in connection.execute("SELECT scope_id FROM effect_scopes WHERE session_id=?", (session_id,))
    ]
    if keep:
        connection.execute(
            "UPDATE effect_scopes SET state='sealed', updated_ms=? WHERE session_id=?", (now_ms, session_id)
        )
        journal_approvals.withdraw(connection, scopes, now_ms)
    else:
        _delete(connection, scopes)


def prune(connection: sqlite3.Connection, before_ms: int) -> None:
    """Delete what is recorded of turns that were over before then."""
    old = connection.execute("SELECT scope_id FROM effect_scopes WHERE state='sealed' AND updated_ms<?", (before_ms,))
    _delete(connection, [row[0] for row in old])


def _delete(connection: sqlite3.Connection, scopes: list[str]) -> None:
    for table in ("effect_replay", "events", "approvals", "effect_scopes"):
        connection.executemany(f"DELETE FROM {table} WHERE scope_id=?", [(scope_id,) for scope_id in scopes])


def _cancel(packed: bytes | None) -> CancelRequest | None:
    return None if packed is None else readable(CancelRequest, packed, "a wish that a turn stops")
