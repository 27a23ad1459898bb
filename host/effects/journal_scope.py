"""One scope of the journal: effects looked up, run under a lease and recorded, and waits (runtime.md 2.4).

Outcomes carry a completion number. A re-driven turn gets the recorded ones in that order, whatever the order in which
it asks: so a wave of calls is answered as it was, and a program that runs again issues the same requests. What is not
recorded begins after them: run earlier, what it does to plugins would be undone by the states that they bring back.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Literal, TypeAlias, cast

from lash.host.effects import journal_approvals
from lash.host.effects.journal_bell import Bell
from lash.host.effects.journal_rows import readable, unpacked
from lash.host.sqlite import Database
from lash.runtime.errors import EffectError, EffectLeaseLost, EffectReplayMismatch, LashError
from lash.runtime.sansio.approvals import Question, RecordedAnswer
from lash.runtime.sansio.packing import pack
from lash.runtime.sansio.values import JsonValue, from_json, to_json
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import (
    AwaitEventKey,
    DurabilityTier,
    EffectEnvelope,
    EffectOutcome,
    ExecutionScope,
    LocalExecutor,
    Resolution,
    WaitIdentity,
)
from lash.runtime.tools.waiting import discard

LEASE_S = 30.0
"""How long an effect is its runner's; renewed three times as often."""

BUSY_POLL_S = 0.025
LONGEST_LOOK_MS = 30_000
"""How long nobody looks at the clock where nothing happens: it may be set meanwhile."""

ORDER_TIMEOUT_S = 30.0
"""How long a recorded outcome waits for those recorded before it to be asked for."""


def completions(connection: sqlite3.Connection, scope_id: str) -> dict[str, int]:
    """The recorded effects of a scope with their completion numbers, in the order of these."""
    rows = connection.execute(
        "SELECT replay_key, completion FROM effect_replay WHERE scope_id=? AND completion IS NOT NULL "
        "ORDER BY completion",
        (scope_id,),
    )
    return dict(rows.fetchall())


COMPLETIONS_INDEX = "CREATE INDEX completions ON effect_replay(scope_id, completion)"
"""Without it each effect that ends would look at all those of its turn."""

_COMPLETION = "completion=(SELECT coalesce(max(completion), 0) + 1 FROM effect_replay WHERE scope_id=?)"

_Known: TypeAlias = EffectOutcome | EffectError | Literal["busy", "mine"]
"""What there is of an effect: its outcome, its error, somebody who runs it, or a place for this caller to run it."""


class JournalController:
    """See `EffectController`; `recorded` are the completions of the scope, `bell` rings when something has changed."""

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
        bell: Bell,
    ) -> None:
        self.scope = scope
        self._bell = bell
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
            claim = await self._asked(key, digest, token, repeatable=envelope.repeatable)
            if claim != "busy":
                break
            await self._clock.sleep(BUSY_POLL_S)
        if isinstance(claim, str):
            return await self._run(envelope, local, key, token)
        await self._in_order(key)
        if isinstance(claim, EffectError):
            raise claim
        return claim

    async def _asked(self, key: str, digest: str, token: str, *, repeatable: bool) -> _Known:
        """What the journal has of an effect; see `_claim`."""
        work: Coroutine[Any, Any, _Known] = self._database.transact(
            lambda connection: self._claim(connection, key, digest, token, repeatable)
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

    def _claim(self, connection: sqlite3.Connection, key: str, digest: str, token: str, repeatable: bool) -> _Known:
        """The recorded outcome or error, or whether the effect is being run elsewhere or is this caller's.

        One that is not repeatable and was begun by a worker that is gone has this outcome from now on.
        """
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
        if row is not None and not repeatable:
            outcome = EffectOutcome(None, replayed=True, interrupted=True)
            connection.execute(
                f"UPDATE effect_replay SET status='completed', outcome=?, updated_ms=?, lease_token=NULL, "
                f"{_COMPLETION} WHERE scope_id=? AND replay_key=?",
                (pack(to_json(outcome)), now, self.scope.id, self.scope.id, key),
            )
            return outcome
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
                await self._give_up(key, token, begun=not envelope.repeatable)
            raise
        except BaseException:
            # Nothing is known of its end: whoever drives the turn again has to run it, or to ask whether to.
            await asyncio.shield(self._give_up(key, token, begun=not envelope.repeatable))
            raise
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
        packed = pack(to_json(outcome))
        # A recording that has been sent is waited for: a cancellation between both would run the effect twice.
        await asyncio.shield(self._finish(key, token, "completed", packed, None, outcome.question))
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

    async def _finish(
        self,
        key: str,
        token: str,
        status: str,
        outcome: bytes | None,
        error: str | None,
        question: Question | None = None,
    ) -> None:
        """Record how an effect has ended, and open the question that it has led to."""
        now = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> None:
            changed = connection.execute(
                f"UPDATE effect_replay SET status=?, outcome=?, error=?, updated_ms=?, lease_token=NULL, {_COMPLETION} "
                "WHERE scope_id=? AND replay_key=? AND lease_token=?",
                (status, outcome, error, now, self.scope.id, self.scope.id, key, token),
            )
            if changed.rowcount != 1:
                raise EffectLeaseLost(key)
            if question is not None:
                journal_approvals.put(connection, self.scope, question)

        await self._database.transact(work)

    async def _give_up(self, key: str, token: str, *, begun: bool = False) -> None:
        """Leave an effect to whoever drives the turn again; of one that was `begun` it stays noted that it was."""
        statement = "UPDATE effect_replay SET lease_expires_ms=0" if begun else "DELETE FROM effect_replay"

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                f"{statement} WHERE scope_id=? AND replay_key=? AND lease_token=?", (self.scope.id, key, token)
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
        key = journal_approvals.event_key(wait.scope.id, wait.name)

        def work(connection: sqlite3.Connection) -> None:
            if not journal_approvals.is_question(connection, key):
                connection.execute(
                    "INSERT OR IGNORE INTO events(event_key, scope_id) VALUES(?,?)", (key, wait.scope.id)
                )

        await self._database.transact(work)
        return AwaitEventKey(key)

    async def await_event(self, key: AwaitEventKey, *, deadline_ms: int | None = None) -> Resolution:
        """See `EffectController`; events resolved by other processes are seen within 400 ms."""
        async with self._bell.listening(key.key) as rung:
            while True:
                rung.clear()
                found = await self.peek_event(key)
                if found is not None:
                    return found
                left_ms = LONGEST_LOOK_MS if deadline_ms is None else deadline_ms - self._clock.now_ms()
                if left_ms <= 0:
                    return Resolution("timeout")
                timer = asyncio.ensure_future(self._clock.sleep(min(left_ms, LONGEST_LOOK_MS) / 1000))
                ringing = asyncio.ensure_future(rung.wait())
                try:
                    await asyncio.wait({timer, ringing}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await discard(timer, ringing)

    async def peek_event(self, key: AwaitEventKey) -> Resolution | None:
        """See `EffectController`."""
        now = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> Resolution | None:
            if journal_approvals.is_question(connection, key.key):
                return journal_approvals.resolution(connection, key.key, now)
            row = connection.execute("SELECT value, resolved_ms FROM events WHERE event_key=?", (key.key,)).fetchone()
            if row is None:
                return Resolution("withdrawn")
            return None if row[1] is None else Resolution("value", _json(row[0]))

        found = await self._database.read(work)
        if found is not None and found.kind == "timeout":
            # That nobody has answered in time is recorded like an answer: later ones are too late for good.
            await self._database.transact(lambda connection: journal_approvals.expire(connection, now))
            return await self._database.read(work)
        return found

    async def resolve_event(self, key: AwaitEventKey, value: JsonValue) -> bool:
        """See `EffectController`."""
        now = self._clock.now_ms()

        def work(connection: sqlite3.Connection) -> bool:
            if journal_approvals.is_question(connection, key.key):
                return journal_approvals.answer(connection, key.key, from_json(RecordedAnswer, value), now)
            changed = connection.execute(
                "UPDATE events SET value=?, resolved_ms=? WHERE event_key=? AND resolved_ms IS NULL",
                (pack(value), now, key.key),
            )
            return changed.rowcount == 1

        try:
            return await self._database.transact(work)
        finally:
            self._bell.ring(key.key)


def _json(packed: bytes) -> JsonValue:
    return cast("JsonValue", unpacked(packed, "an event"))


def _unpacked(packed: bytes, key: str) -> EffectOutcome:
    return replace(readable(EffectOutcome, packed, f"the outcome of {key}"), replayed=True)
