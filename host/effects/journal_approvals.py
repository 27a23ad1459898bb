"""Questions in the journal (runtime.md 2.5): functions that run inside one transaction of it.

A question is put in the transaction that records the outcome it is part of. It is open until it is answered, its time
is up, or its turn is over; the first of these counts. Time is looked at when a question is, so one that nobody waits
for expires all the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, cast

from lash.host.effects.journal_rows import readable
from lash.runtime.sansio.activity import PendingApproval
from lash.runtime.sansio.approvals import Answer, ApprovalRecord, ApprovalState, Question, RecordedAnswer
from lash.runtime.sansio.packing import pack
from lash.runtime.sansio.values import JsonValue, to_json
from lash.runtime.seams.effects import CancelRequest, ExecutionScope, Resolution

TABLE = """
    CREATE TABLE approvals(
        approval_id TEXT PRIMARY KEY, event_key TEXT NOT NULL UNIQUE, scope_id TEXT NOT NULL, session_id TEXT NOT NULL,
        parent_session_id TEXT, turn_id TEXT NOT NULL, call_id TEXT NOT NULL, tool TEXT NOT NULL, args BLOB NOT NULL,
        reason TEXT, mutates INTEGER, position BLOB, round INTEGER NOT NULL, requested_ms INTEGER NOT NULL,
        expires_ms INTEGER, input_schema BLOB NOT NULL, state TEXT NOT NULL, answer BLOB, answered_ms INTEGER,
        answered_by TEXT) STRICT;
    CREATE INDEX approvals_of_scope ON approvals(scope_id);
    CREATE INDEX open_approvals ON approvals(session_id) WHERE state='pending'
"""
"""The `answer` is a `RecordedAnswer`; `event_key` is the wait for it."""

_QUESTION = (
    "approval_id, session_id, parent_session_id, turn_id, call_id, tool, args, reason, mutates, position, round, "
    "requested_ms, expires_ms"
)


def event_key(scope_id: str, name: str) -> str:
    """What a wait inside a scope is called."""
    return f"{scope_id}:{name}"


def event_key_of(asked: PendingApproval) -> str:
    """What the wait for an answer is called."""
    scope = ExecutionScope("turn", session_id=asked.session_id, turn_id=asked.turn_id)
    return event_key(scope.id, asked.approval_id)


def put(connection: sqlite3.Connection, scope: ExecutionScope, question: Question) -> None:
    """Open a question. One of the same id that is there already is from a turn that was forgotten."""
    asked = question.approval
    connection.execute(
        f"INSERT OR REPLACE INTO approvals(event_key, scope_id, input_schema, state, {_QUESTION}) "
        "VALUES(?,?,?,'pending',?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            event_key(scope.id, asked.approval_id),
            scope.id,
            pack(question.schema),
            asked.approval_id,
            asked.session_id,
            asked.parent_session_id,
            asked.turn_id,
            asked.call_id,
            asked.tool,
            pack(asked.args),
            asked.reason,
            asked.mutates,
            None if asked.position is None else pack(asked.position),
            asked.round,
            asked.requested_ms,
            asked.expires_ms,
        ),
    )


def expire(connection: sqlite3.Connection, now_ms: int) -> None:
    """Close the questions whose time is up."""
    connection.execute(
        "UPDATE approvals SET state='expired', answered_ms=expires_ms WHERE state='pending' AND expires_ms<=?",
        (now_ms,),
    )


def withdraw(connection: sqlite3.Connection, scope_ids: Iterable[str], now_ms: int) -> None:
    """Close the open questions of scopes that are over."""
    connection.executemany(
        "UPDATE approvals SET state='withdrawn', answered_ms=? WHERE scope_id=? AND state='pending'",
        [(now_ms, scope_id) for scope_id in scope_ids],
    )


def pending(
    connection: sqlite3.Connection, now_ms: int, *, session_id: str | None = None, scope_id: str | None = None
) -> list[PendingApproval]:
    """The open questions, of one session or one scope where that is named; oldest first."""
    rows = connection.execute(
        f"SELECT {_QUESTION} FROM approvals WHERE state='pending' AND (expires_ms IS NULL OR expires_ms>?) "
        "AND (? IS NULL OR session_id=?) AND (? IS NULL OR scope_id=?) ORDER BY requested_ms, rowid",
        (now_ms, session_id, session_id, scope_id, scope_id),
    )
    return [_approval(row) for row in rows.fetchall()]


def all_pending(connection: sqlite3.Connection, approval_ids: Sequence[str]) -> bool:
    """Whether every one of these is open."""
    select = "SELECT 1 FROM approvals WHERE state='pending' AND approval_id=?"
    return all(connection.execute(select, (one,)).fetchone() is not None for one in approval_ids)


def read(connection: sqlite3.Connection, approval_id: str) -> tuple[ApprovalRecord, dict[str, JsonValue]] | None:
    """A question with what has become of it, and the schema of its arguments; None where there is none."""
    row = connection.execute(
        f"SELECT {_QUESTION}, state, answer, answered_ms, answered_by, input_schema FROM approvals WHERE approval_id=?",
        (approval_id,),
    ).fetchone()
    if row is None:
        return None
    *question, state, answer, answered_ms, answered_by, schema = row
    given: Answer | None = None if answer is None else _recorded(answer).answer
    record = ApprovalRecord(_approval(question), cast("ApprovalState", state), given, answered_by, answered_ms)
    return record, readable(dict[str, JsonValue], schema, f"the schema of question {approval_id}")


def answer(connection: sqlite3.Connection, name: str, given: RecordedAnswer, now_ms: int) -> bool:
    """Answer a question, named by its id or by the wait for it; False where it is not open any more."""
    expire(connection, now_ms)
    changed = connection.execute(
        "UPDATE approvals SET state='answered', answer=?, answered_ms=?, answered_by=? "
        "WHERE (approval_id=? OR event_key=?) AND state='pending'",
        (pack(to_json(given)), now_ms, given.by, name, name),
    )
    return changed.rowcount == 1


def is_question(connection: sqlite3.Connection, key: str) -> bool:
    """Whether a wait is one for an answer."""
    return connection.execute("SELECT 1 FROM approvals WHERE event_key=?", (key,)).fetchone() is not None


def resolution(connection: sqlite3.Connection, key: str, now_ms: int) -> Resolution | None:
    """How the wait for an answer has ended; None while it has not. The wait must be one for an answer."""
    state, given, expires_ms, cancel = connection.execute(
        "SELECT approvals.state, answer, expires_ms, cancel FROM approvals LEFT JOIN effect_scopes USING(scope_id) "
        "WHERE event_key=?",
        (key,),
    ).fetchone()
    if state == "pending":
        return None if expires_ms is None or now_ms < expires_ms else Resolution("timeout")
    if state == "answered":
        return Resolution("value", to_json(_recorded(given)))
    if state == "expired":
        return Resolution("timeout")
    return Resolution(
        "withdrawn", None if cancel is None else to_json(readable(CancelRequest, cancel, "a wish that a turn stops"))
    )


def _recorded(packed: bytes) -> RecordedAnswer:
    return readable(RecordedAnswer, packed, "an answer")


def _approval(row: Sequence[Any]) -> PendingApproval:
    approval_id, session, parent, turn, call, tool, args, reason, mutates, position, number, requested, expires = row
    return PendingApproval(
        approval_id=approval_id,
        session_id=session,
        parent_session_id=parent,
        turn_id=turn,
        call_id=call,
        tool=tool,
        args=readable(dict[str, JsonValue], args, f"the arguments of question {approval_id}"),
        reason=reason,
        mutates=None if mutates is None else bool(mutates),
        position=None
        if position is None
        else readable(tuple[int, int], position, f"the position of question {approval_id}"),
        round=number,
        requested_ms=requested,
        expires_ms=expires,
    )
