"""The durable effect host of one machine: a journal of outcomes in SQLite (runtime.md 2.4).

Every atomic effect is looked up by its replay key. A recorded outcome is given back without running anything; if it was
asked with other contents, the turn is not the one that was recorded, and `EffectReplayMismatch` says so. Otherwise the
effect is run under a lease and its outcome recorded before it is given.

Outcomes carry a completion number. A re-driven turn gets the recorded ones in that order, whatever the order in which
it asks: so a wave of calls is answered as it was, and a program that runs again issues the same requests. What is not
recorded begins after them: run earlier, what it does to plugins would be undone by the states that they bring back.

A journal whose rows are kept is a recorded run: with `replay="strict"` it answers without provider and tools.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import msgpack

from lash.host.effects.inline import check_scope
from lash.host.sqlite import Database, open_database
from lash.host.system import RandomIds, SystemClock
from lash.runtime.errors import EffectError, EffectLeaseLost, EffectReplayMismatch, LashError, StoreCorruption
from lash.runtime.sansio.values import JsonValue, from_json, to_json
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import (
    AwaitEventKey,
    DurabilityTier,
    EffectController,
    EffectEnvelope,
    EffectOutcome,
    ExecutionScope,
    LocalExecutor,
    Resolution,
    UnfinishedTurn,
    WaitIdentity,
)

LEASE_S = 30.0
"""How long an effect is its runner's; renewed three times as often."""

BUSY_POLL_S = 0.025
EVENT_POLL_S = 0.4
ORDER_TIMEOUT_S = 30.0
"""How long a recorded outcome waits for those recorded before it to be asked for."""

MIGRATIONS = (
    """
    CREATE TABLE effect_replay(
        scope_id TEXT NOT NULL, replay_key TEXT NOT NULL, envelope_hash TEXT NOT NULL,
        status TEXT NOT NULL, outcome BLOB, error TEXT, completion INTEGER,
        lease_token TEXT, lease_expires_ms INTEGER, updated_ms INTEGER NOT NULL,
        PRIMARY KEY(scope_id, replay_key)) STRICT;
    CREATE TABLE effect_scopes(
        scope_id TEXT PRIMARY KEY, session_id TEXT NOT NULL, turn_id TEXT NOT NULL, state TEXT NOT NULL,
        head_revision INTEGER, input BLOB, options BLOB, updated_ms INTEGER NOT NULL) STRICT;
    CREATE TABLE events(
        event_key TEXT PRIMARY KEY, scope_id TEXT NOT NULL, value BLOB, resolved_ms INTEGER) STRICT;
    CREATE INDEX scopes_of_session ON effect_scopes(session_id)
    """,
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

    async def database(self) -> Database:
        """The open journal."""
        async with self._opening:
            if self._opened is None:
                self._opened = await open_database(self._path, MIGRATIONS, what="the journal")
            return self._opened

    @asynccontextmanager
    async def scoped(self, scope: ExecutionScope) -> AsyncGenerator[EffectController]:
        """See `EffectHost`."""
        check_scope(scope)
        database = await self.database()
        recorded = await database.read(lambda connection: _completions(connection, scope.id))
        controller = _JournalController(
            scope, database, self._clock, self._ids, self._strict, recorded, self._lease_s, self._order_timeout_s
        )
        yield controller

    # --- turns -----------------------------------------------------------------------------------

    async def begin_turn(
        self, scope: ExecutionScope, head_revision: int | None, given: JsonValue, options: JsonValue
    ) -> None:
        """Note that a turn runs, with what is needed to run it again; nothing where it is noted already."""
        row = (
            scope.id,
            scope.session_id,
            scope.turn_id,
            "running",
            head_revision,
            msgpack.packb(given),
            msgpack.packb(options),
            self._clock.now_ms(),
        )

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO effect_scopes VALUES(?,?,?,?,?,?,?,?)", row)

        await (await self.database()).transact(work)

    async def seal_turn(self, scope: ExecutionScope) -> None:
        """The turn is committed: it is no longer unfinished. Rows of turns sealed long ago are deleted."""
        now = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE effect_scopes SET state='sealed', updated_ms=? WHERE scope_id=?", (now, scope.id)
            )
            if self._keep_ms is not None:
                old = "SELECT scope_id FROM effect_scopes WHERE state='sealed' AND updated_ms<?"
                limit = (now - self._keep_ms,)
                connection.execute(f"DELETE FROM effect_replay WHERE scope_id IN ({old})", limit)
                connection.execute(f"DELETE FROM events WHERE scope_id IN ({old})", limit)
                connection.execute("DELETE FROM effect_scopes WHERE state='sealed' AND updated_ms<?", limit)

        await (await self.database()).transact(work)

    async def unfinished_turn(self, session_id: str) -> UnfinishedTurn | None:
        """A session's turn that was begun and not sealed."""

        def work(connection: sqlite3.Connection) -> tuple[str, int | None, bytes, bytes, int] | None:
            return connection.execute(
                "SELECT turn_id, head_revision, input, options, (SELECT count(*) FROM effect_replay AS effect "
                "WHERE effect.scope_id=effect_scopes.scope_id AND completion IS NOT NULL) FROM effect_scopes "
                "WHERE session_id=? AND state<>'sealed' ORDER BY updated_ms LIMIT 1",
                (session_id,),
            ).fetchone()

        row = await (await self.database()).read(work)
        if row is None:
            return None
        turn_id, head, given, options, recorded = row
        return UnfinishedTurn(turn_id, head, _json(given), _json(options), recorded)

    async def aclose(self) -> None:
        """Close the file."""
        async with self._opening:
            if self._opened is not None:
                await self._opened.close()
                self._opened = None


def _completions(connection: sqlite3.Connection, scope_id: str) -> dict[str, int]:
    """The recorded effects of a scope with their completion numbers, in the order of these."""
    rows = connection.execute(
        "SELECT replay_key, completion FROM effect_replay WHERE scope_id=? AND completion IS NOT NULL "
        "ORDER BY completion",
        (scope_id,),
    )
    return dict(rows.fetchall())


_Known: TypeAlias = EffectOutcome | EffectError | Literal["busy", "mine"]
"""What there is of an effect: its outcome, its error, somebody who runs it, or a place for this caller to run it."""


class _JournalController:
    """One scope of the journal."""

    durability = DurabilityTier.DURABLE

    def __init__(
        self,
        scope: ExecutionScope,
        database: Database,
        clock: Clock,
        ids: IdSource,
        strict: bool,
        recorded: dict[str, int],
        lease_s: float,
        order_timeout_s: float,
    ) -> None:
        self.scope = scope
        self._database = database
        self._clock = clock
        self._ids = ids
        self._strict = strict
        self._undelivered = recorded
        self._lease_s = lease_s
        self._order_timeout_s = order_timeout_s
        self._delivered = asyncio.Condition()

    async def execute(self, envelope: EffectEnvelope, local: LocalExecutor) -> EffectOutcome:
        """See `EffectController`."""
        if envelope.composite:
            return await local.run(envelope)
        key, digest = envelope.invocation.replay_key, envelope.stable_hash()
        token = self._ids.new("lease")
        if key not in self._undelivered and self._undelivered:
            await self._wait_until(lambda: not self._undelivered, key)
        while True:
            claim = await self._asked(key, digest, token)
            if claim != "busy":
                break
            await self._clock.sleep(BUSY_POLL_S)
        if isinstance(claim, str):
            return await self._run(envelope, local, key, token)
        await self._in_order(key)
        if isinstance(claim, EffectError):
            raise claim
        return claim

    async def _asked(self, key: str, digest: str, token: str) -> _Known:
        """What the journal has of an effect; see `_claim`."""
        work: Coroutine[Any, Any, _Known] = self._database.transact(
            lambda connection: self._claim(connection, key, digest, token)
        )
        claiming = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # Else whoever drives the turn again would wait for an effect that nobody runs.
            await asyncio.wait([claiming])
            if not claiming.cancelled() and claiming.exception() is None and claiming.result() == "mine":
                await asyncio.shield(self._give_up(key, token))
            raise

    def _claim(self, connection: sqlite3.Connection, key: str, digest: str, token: str) -> _Known:
        """The recorded outcome or error, or whether the effect is being run elsewhere or is this caller's."""
        now = self._clock.now_ms()
        row = connection.execute(
            "SELECT envelope_hash, status, outcome, error, lease_expires_ms FROM effect_replay "
            "WHERE scope_id=? AND replay_key=?",
            (self.scope.id, key),
        ).fetchone()
        if row is not None:
            known, status, packed, error, expires = row
            if known != digest:
                raise EffectReplayMismatch(key)
            if status == "completed":
                return _unpacked(packed, key)
            if status == "failed":
                code, _, message = str(error).partition("\n")
                return EffectError(code, message)
            if expires > now:
                return "busy"
        if self._strict:
            raise EffectReplayMismatch(key, "the journal has no outcome, and it is replayed strictly")
        connection.execute(
            "INSERT INTO effect_replay(scope_id, replay_key, envelope_hash, status, lease_token, lease_expires_ms, "
            "updated_ms) VALUES(?,?,?,'in_progress',?,?,?) ON CONFLICT(scope_id, replay_key) DO UPDATE SET "
            "lease_token=excluded.lease_token, lease_expires_ms=excluded.lease_expires_ms",
            (self.scope.id, key, digest, token, now + int(self._lease_s * 1000), now),
        )
        return "mine"

    async def _run(self, envelope: EffectEnvelope, local: LocalExecutor, key: str, token: str) -> EffectOutcome:
        """Run an effect that is not recorded, and record what comes of it."""
        renewing = asyncio.create_task(self._renew(key, token))
        try:
            outcome = await local.run(envelope)
        except LashError as error:
            if not error.retryable:
                await self._finish(key, token, "failed", None, f"{error.code}\n{error.message}")
            else:
                await self._give_up(key, token)
            raise
        except BaseException:
            # Nothing is known of its end: whoever drives the turn again has to run it.
            await asyncio.shield(self._give_up(key, token))
            raise
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
        packed = msgpack.packb(to_json(outcome))
        # A recording that has been sent is waited for: a cancellation between both would run the effect twice.
        await asyncio.shield(self._finish(key, token, "completed", packed, None))
        return outcome

    async def _renew(self, key: str, token: str) -> None:
        while True:
            await self._clock.sleep(self._lease_s / 3)
            expires = self._clock.now_ms() + int(self._lease_s * 1000)

            def work(connection: sqlite3.Connection, expires: int = expires) -> None:
                connection.execute(
                    "UPDATE effect_replay SET lease_expires_ms=? WHERE scope_id=? AND replay_key=? AND lease_token=?",
                    (expires, self.scope.id, key, token),
                )

            await self._database.transact(work)

    async def _finish(self, key: str, token: str, status: str, outcome: bytes | None, error: str | None) -> None:
        now = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> None:
            changed = connection.execute(
                "UPDATE effect_replay SET status=?, outcome=?, error=?, updated_ms=?, lease_token=NULL, completion="
                "(SELECT coalesce(max(completion), 0) + 1 FROM effect_replay WHERE scope_id=?) "
                "WHERE scope_id=? AND replay_key=? AND lease_token=?",
                (status, outcome, error, now, self.scope.id, self.scope.id, key, token),
            )
            if changed.rowcount != 1:
                raise EffectLeaseLost(key)

        await self._database.transact(work)

    async def _give_up(self, key: str, token: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM effect_replay WHERE scope_id=? AND replay_key=? AND lease_token=?",
                (self.scope.id, key, token),
            )

        await self._database.transact(work)

    async def _in_order(self, key: str) -> None:
        """Wait until everything recorded earlier has been given back; what was recorded by now is not waited for."""
        number = self._undelivered.get(key)
        if number is None:
            return
        await self._wait_until(lambda: next(iter(self._undelivered.values()), number) >= number, key)
        async with self._delivered:
            self._undelivered.pop(key, None)
            self._delivered.notify_all()

    async def _wait_until(self, ready: Callable[[], bool], key: str) -> None:
        """Wait until recorded outcomes have been given back; EffectReplayMismatch where nobody asks for them."""
        async with self._delivered:
            if ready():
                return
            try:
                await asyncio.wait_for(self._delivered.wait_for(ready), self._order_timeout_s)
            except TimeoutError:
                raise EffectReplayMismatch(
                    key, "an outcome that was recorded earlier is not asked for any more"
                ) from None

    # --- waits -----------------------------------------------------------------------------------

    async def await_event_key(self, wait: WaitIdentity) -> AwaitEventKey:
        """See `EffectController`."""
        key = f"{wait.scope.id}:{wait.name}"

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO events(event_key, scope_id) VALUES(?,?)", (key, wait.scope.id))

        await self._database.transact(work)
        return AwaitEventKey(key)

    async def await_event(self, key: AwaitEventKey, *, deadline_ms: int | None = None) -> Resolution:
        """See `EffectController`; events resolved by other processes are seen within 400 ms."""
        while True:
            row = await self._database.read(
                lambda connection: connection.execute(
                    "SELECT value, resolved_ms FROM events WHERE event_key=?", (key.key,)
                ).fetchone()
            )
            if row is None:
                return Resolution("withdrawn")
            if row[1] is not None:
                return Resolution("value", _json(row[0]))
            if deadline_ms is not None and self._clock.now_ms() >= deadline_ms:
                return Resolution("timeout")
            await self._clock.sleep(EVENT_POLL_S)

    async def resolve_event(self, key: AwaitEventKey, value: JsonValue) -> bool:
        """See `EffectController`."""
        packed, now = msgpack.packb(value), self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> bool:
            changed = connection.execute(
                "UPDATE events SET value=?, resolved_ms=? WHERE event_key=? AND resolved_ms IS NULL",
                (packed, now, key.key),
            )
            return changed.rowcount == 1

        return await self._database.transact(work)


def _json(packed: bytes) -> JsonValue:
    return cast("JsonValue", msgpack.unpackb(packed))


def _unpacked(packed: bytes, key: str) -> EffectOutcome:
    try:
        outcome = from_json(EffectOutcome, msgpack.unpackb(packed))
    except (ValueError, msgpack.UnpackException) as error:
        raise StoreCorruption(f"the journal's outcome of {key} cannot be read: {error}") from error
    return EffectOutcome(outcome.value, outcome.usage, outcome.state_delta, replayed=True)
