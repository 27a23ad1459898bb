"""The durable effect host of one machine: a journal of outcomes in SQLite (runtime.md 2.4).

Every atomic effect is looked up by its replay key. A recorded outcome is given back without running anything; if it was
asked with other contents, the turn is not the one that was recorded, and `EffectReplayMismatch` says so. Otherwise the
effect is run under a lease and its outcome recorded before it is given.

A journal whose rows are kept is a recorded run: with `replay="strict"` it answers without provider and tools.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeVar

from lash.host.effects import journal_approvals, journal_turns
from lash.host.effects.inline import check_scope
from lash.host.effects.journal_bell import Bell
from lash.host.effects.journal_scope import COMPLETIONS_INDEX, LEASE_S, ORDER_TIMEOUT_S, JournalController, completions
from lash.host.sqlite import Database, open_database
from lash.host.system import RandomIds, SystemClock
from lash.runtime.errors import ApprovalError
from lash.runtime.sansio.activity import PendingApproval
from lash.runtime.sansio.approvals import Answer, ApprovalRecord, RecordedAnswer
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import (
    CancelReceipt,
    CancelRequest,
    DurabilityTier,
    EffectController,
    ExecutionScope,
    UnfinishedTurn,
)
from lash.runtime.tools.approvals import misfit, whole

T = TypeVar("T")

MIGRATIONS = (
    """
    CREATE TABLE effect_replay(
        scope_id TEXT NOT NULL, replay_key TEXT NOT NULL, envelope_hash TEXT NOT NULL,
        status TEXT NOT NULL, outcome BLOB, error TEXT, completion INTEGER,
        lease_token TEXT, lease_expires_ms INTEGER, updated_ms INTEGER NOT NULL,
        PRIMARY KEY(scope_id, replay_key)) STRICT;
    """
    + journal_turns.TABLE
    + """;
    CREATE TABLE events(
        event_key TEXT PRIMARY KEY, scope_id TEXT NOT NULL, value BLOB, resolved_ms INTEGER) STRICT;
    CREATE INDEX scopes_of_session ON effect_scopes(session_id)
    """,
    journal_turns.CANCEL_COLUMN + ";" + COMPLETIONS_INDEX + ";" + journal_approvals.TABLE,
)


class JournalEffectHost:
    """See `EffectHost`. The file is opened on first use; `aclose` closes it.

    `replay` "strict" fails on what is not recorded. Rows of a turn that was committed are deleted `keep_hours` later,
    never for None.
    """

    durability = DurabilityTier.DURABLE

    def __init__(
        self,
        path: str | Path,
        *,
        replay: Literal["extend", "strict"] = "extend",
        keep_hours: float | None = 24,
        lease_s: float = LEASE_S,
        order_timeout_s: float = ORDER_TIMEOUT_S,
        clock: Clock | None = None,
        ids: IdSource | None = None,
    ) -> None:
        self._path = Path(path)
        self._clock = clock or SystemClock()
        self._ids = ids or RandomIds()
        self._strict = replay == "strict"
        self._keep_ms = None if keep_hours is None else int(keep_hours * 3_600_000)
        self._lease_s = lease_s
        self._order_timeout_s = order_timeout_s
        self._opened: Database | None = None
        self._opening = asyncio.Lock()
        self._bell = Bell(self._clock, self._version)

    async def database(self) -> Database:
        """The open journal."""
        async with self._opening:
            if self._opened is None:
                self._opened = await open_database(self._path, MIGRATIONS, what="the journal")
            return self._opened

    async def _version(self) -> int:
        """A number that is another one when another process has written since."""
        row = await (await self.database()).read(
            lambda connection: connection.execute("PRAGMA data_version").fetchone()
        )
        return row[0]

    @asynccontextmanager
    async def scoped(self, scope: ExecutionScope) -> AsyncGenerator[EffectController]:
        """See `EffectHost`."""
        check_scope(scope)
        database = await self.database()
        recorded = await database.read(lambda connection: completions(connection, scope.id))
        controller = JournalController(
            scope,
            database,
            self._clock,
            self._ids,
            self._strict,
            recorded,
            self._lease_s,
            self._order_timeout_s,
            self._bell,
        )
        yield controller

    # --- turns -----------------------------------------------------------------------------------

    async def begin_turn(
        self, scope: ExecutionScope, head_revision: int | None, given: JsonValue, options: JsonValue
    ) -> None:
        """Note that a turn runs, with what is needed to run it again; see `TurnJournal`."""
        await self._write(
            lambda connection, now: journal_turns.begin(
                connection, scope, head_revision, given, options, now, again=not self._strict
            )
        )

    async def suspend_turn(self, scope: ExecutionScope, waiting: Sequence[str]) -> tuple[PendingApproval, ...] | None:
        """Note that a turn is put aside, unless one of the questions it is `waiting` for is closed by now."""

        def work(connection: sqlite3.Connection, now: int) -> tuple[PendingApproval, ...] | None:
            journal_approvals.expire(connection, now)
            if not journal_approvals.all_pending(connection, waiting):
                return None
            journal_turns.suspend(connection, scope, now)
            return tuple(journal_approvals.pending(connection, now, scope_id=scope.id))

        return await self._write(work)

    async def seal_turn(self, scope: ExecutionScope) -> None:
        """The turn is over: it is no longer unfinished. Rows of turns sealed long ago are deleted."""

        def work(connection: sqlite3.Connection, now: int) -> None:
            journal_turns.seal(connection, scope, now)
            if self._keep_ms is not None:
                journal_turns.prune(connection, now - self._keep_ms)

        await self._write(work)

    async def unfinished_turn(self, session_id: str) -> UnfinishedTurn | None:
        """A session's turn that was begun and not sealed."""
        now = self._clock.now_ms()
        return await (await self.database()).read(
            lambda connection: journal_turns.unfinished(connection, session_id, now)
        )

    async def request_cancel(self, scope: ExecutionScope, request: CancelRequest) -> CancelReceipt:
        """Note that a turn is to stop, and withdraw its open questions; see `TurnJournal`."""
        receipt = await self._write(
            lambda connection, now: journal_turns.request_cancel(connection, scope, request, now)
        )
        self._bell.ring()
        return receipt

    async def cancel_requested(self, scope: ExecutionScope) -> CancelRequest | None:
        """The wish that the turn stops, where there is one."""
        return await (await self.database()).read(lambda connection: journal_turns.cancel_requested(connection, scope))

    async def forget_session(self, session_id: str) -> None:
        """The session is deleted: its turns are over."""
        keep = self._keep_ms is None
        await self._write(lambda connection, now: journal_turns.forget(connection, session_id, now, keep=keep))

    # --- approvals -------------------------------------------------------------------------------

    async def pending_approvals(self, session_id: str | None = None) -> list[PendingApproval]:
        """The open questions of a session or (None) of all, oldest first."""
        now = self._clock.now_ms()
        return await (await self.database()).read(
            lambda connection: journal_approvals.pending(connection, now, session_id=session_id)
        )

    async def answer_approval(self, approval_id: str, answer: Answer, by: str | None = None) -> ApprovalRecord:
        """Record an answer, if it is the first one; see `ApprovalJournal` for what it raises."""
        database = await self.database()
        found = await database.read(lambda connection: journal_approvals.read(connection, approval_id))
        if found is None:
            raise ApprovalError("approval_not_found", f"there is no approval {approval_id!r}: see pending_approvals()")
        record, schema = found
        wrong = misfit(answer, schema)
        if wrong is not None and record.state == "pending":
            raise ApprovalError("approval_invalid_edit", f"{wrong}; the question stays open", record)
        given = RecordedAnswer(whole(answer), by)

        def work(connection: sqlite3.Connection, now: int) -> tuple[bool, ApprovalRecord]:
            taken = journal_approvals.answer(connection, approval_id, given, now)
            return taken, (journal_approvals.read(connection, approval_id) or found)[0]

        taken, record = await self._write(work)
        self._bell.ring(journal_approvals.event_key_of(record.approval))
        if taken or (record.state == "answered" and record.answer == given.answer):
            return record
        if record.state == "answered":
            who = f" by {record.answered_by}" if record.answered_by else ""
            raise ApprovalError("approval_already_answered", f"{approval_id} was answered already{who}", record)
        why = "nobody answered it in time" if record.state == "expired" else "its turn is over"
        raise ApprovalError("approval_closed", f"{approval_id} cannot be answered any more: {why}", record)

    async def _write(self, work: Callable[[sqlite3.Connection, int], T]) -> T:
        """Do this in one transaction, with the time."""
        now = self._clock.now_ms()
        return await (await self.database()).transact(lambda connection: work(connection, now))

    async def aclose(self) -> None:
        """Close the file."""
        async with self._opening:
            if self._opened is not None:
                await self._opened.close()
                self._opened = None
