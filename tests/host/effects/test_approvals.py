"""Questions in the journal: the duties of every host that keeps them, and what is the file's own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lash.host.effects import journal_turns
from lash.host.effects.journal import JournalEffectHost
from lash.host.sqlite import Database
from lash.runtime.errors import ApprovalError, StoreBackendError, StoreCorruption, UnsupportedRecordVersion
from lash.runtime.sansio.approvals import Approve, Deny, RecordedAnswer
from lash.runtime.sansio.values import to_json
from lash.runtime.seams.effects import ApprovalJournal, TurnJournal, WaitIdentity
from lash.testing.clock import FakeClock, SequentialIds, settle
from lash.testing.conformance.questions import CASES, OTHER, SCOPE, Case, Work, asked, envelope, put


def journal(folder: Path, clock: FakeClock | None = None) -> JournalEffectHost:
    return JournalEffectHost(folder / "journal.db", clock=clock or FakeClock(), ids=SequentialIds())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_the_journal_does_its_duty(case: Case, tmp_path: Path) -> None:
    await case(lambda clock: journal(tmp_path, clock))


def test_the_journal_is_what_turns_and_questions_are_asked_for(tmp_path: Path) -> None:
    host = journal(tmp_path)
    assert isinstance(host, TurnJournal)
    assert isinstance(host, ApprovalJournal)


async def test_a_failure_in_between_leaves_neither_outcome_nor_question(tmp_path: Path) -> None:
    host = journal(tmp_path)
    async with host.scoped(SCOPE) as controller:
        await controller.execute(envelope("ap:0"), Work(asked("ap:0")))
        with closing(sqlite3.connect(tmp_path / "journal.db")) as file, file:
            file.execute("CREATE TRIGGER full BEFORE INSERT ON approvals BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        with pytest.raises(StoreBackendError, match="disk full"):
            await controller.execute(envelope("second"), Work(asked()))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as file:
        rows = file.execute("SELECT replay_key FROM effect_replay WHERE status='completed'").fetchall()
    assert [key.endswith("ap%3A0") for (key,) in rows] == [True]
    await host.aclose()


async def test_a_wait_for_an_answer_ends_with_it_in_this_process_at_once(tmp_path: Path) -> None:
    host = journal(tmp_path)
    await put(host, asked())
    async with host.scoped(SCOPE) as controller:
        key = await controller.await_event_key(WaitIdentity(SCOPE, "ap:1"))
        waiting = asyncio.create_task(controller.await_event(key))
        await settle()
        await host.answer_approval("ap:1", Deny("no"), by="ann")
        found = await waiting
    assert (found.kind, found.value) == ("value", to_json(RecordedAnswer(Deny("no"), "ann")))
    await host.aclose()


async def test_many_waits_look_at_the_file_together_and_each_ends_with_its_own_answer(tmp_path: Path) -> None:
    clock = FakeClock()
    host, other = journal(tmp_path, clock), journal(tmp_path, clock)
    names = [f"ap:{number}" for number in range(50)]
    await put(host, *map(asked, names))
    async with host.scoped(SCOPE) as controller:
        keys = [await controller.await_event_key(WaitIdentity(SCOPE, name)) for name in names]
        waits = [asyncio.create_task(controller.await_event(key)) for key in keys]
        while len(clock.slept) <= len(names) or 0.4 not in clock.slept:
            await settle()
        await clock.advance(4)
        looks = clock.slept.count(0.4)
        for number, name in enumerate(names):
            await other.answer_approval(name, Deny(str(number)))
        while not all(wait.done() for wait in waits):
            await clock.advance(0.4)
        found = [wait.result().value for wait in waits]
    assert found == [to_json(RecordedAnswer(Deny(str(number)))) for number in range(50)]
    assert 1 <= looks <= 11
    await host.aclose()
    await other.aclose()


async def test_rows_of_turns_that_are_long_over_are_deleted_with_their_questions(tmp_path: Path) -> None:
    clock = FakeClock()
    host = journal(tmp_path, clock)
    await host.begin_turn(SCOPE, None, "given", {})
    await put(host, asked())
    await host.seal_turn(SCOPE)
    await clock.advance(25 * 3600)
    await host.begin_turn(OTHER, None, "given", {})
    await host.seal_turn(OTHER)
    with pytest.raises(ApprovalError) as gone:
        await host.answer_approval("ap:1", Approve())
    assert gone.value.code == "approval_not_found"
    await host.aclose()


async def test_a_journal_of_the_version_before_is_brought_up_to_date_with_its_unfinished_turn(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as file:
        file.execute(
            "CREATE TABLE effect_replay(scope_id TEXT NOT NULL, replay_key TEXT NOT NULL, envelope_hash TEXT NOT NULL, "
            "status TEXT NOT NULL, outcome BLOB, error TEXT, completion INTEGER, lease_token TEXT, "
            "lease_expires_ms INTEGER, updated_ms INTEGER NOT NULL, PRIMARY KEY(scope_id, replay_key)) STRICT"
        )
        file.execute(journal_turns.TABLE)
        file.execute(
            "CREATE TABLE events(event_key TEXT PRIMARY KEY, scope_id TEXT NOT NULL, value BLOB, resolved_ms INTEGER) "
            "STRICT"
        )
        file.execute("INSERT INTO effect_scopes VALUES('turn:s:t', 's', 't', 'running', 3, x'c0', x'c0', 1)")
        file.execute("PRAGMA user_version=1")
    host = journal(tmp_path)
    found = await host.unfinished_turn("s")
    assert found is not None
    assert (found.turn_id, found.head_revision, found.approvals, found.cancel) == ("t", 3, (), None)
    await put(host, asked())
    assert len(await host.pending_approvals()) == 1
    await host.aclose()


@pytest.mark.parametrize("junk", [b"\xc1", b"", b"\x07"])
@pytest.mark.parametrize("column", ["args", "answer", "input_schema", "position"])
async def test_a_question_that_cannot_be_read_is_called_damaged(tmp_path: Path, column: str, junk: bytes) -> None:
    host = journal(tmp_path)
    await put(host, asked())
    with closing(sqlite3.connect(tmp_path / "journal.db")) as file, file:
        file.execute(f"UPDATE approvals SET {column}=?", (junk,))
    with pytest.raises(StoreCorruption, match="cannot be read"):
        await host.answer_approval("ap:1", Approve())
    await host.aclose()


@pytest.mark.parametrize("junk", [b"\xc1", b"", b"\x07"])
async def test_a_wish_that_cannot_be_read_is_called_damaged(tmp_path: Path, junk: bytes) -> None:
    host = journal(tmp_path)
    await host.begin_turn(SCOPE, None, "given", {})
    with closing(sqlite3.connect(tmp_path / "journal.db")) as file, file:
        file.execute("UPDATE effect_scopes SET cancel=?", (junk,))
    with pytest.raises(StoreCorruption, match="cannot be read"):
        await host.cancel_requested(SCOPE)
    await host.aclose()


@pytest.mark.parametrize("column", ["input", "options"])
async def test_a_turn_that_cannot_be_read_is_called_damaged(tmp_path: Path, column: str) -> None:
    host = journal(tmp_path)
    await host.begin_turn(SCOPE, None, "given", {})
    with closing(sqlite3.connect(tmp_path / "journal.db")) as file, file:
        file.execute(f"UPDATE effect_scopes SET {column}=x'c1'")
    with pytest.raises(StoreCorruption, match="cannot be read"):
        await host.unfinished_turn("s")
    await host.aclose()


async def test_who_waits_hears_of_answers_again_when_the_file_could_not_be_looked_at_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    host, other = journal(tmp_path, clock), journal(tmp_path, clock)
    await put(host, asked())
    real, failed = Database.read, 0

    async def failing(self: Database, work: Callable[[sqlite3.Connection], Any]) -> Any:
        nonlocal failed
        if failed == 0 and "_version" in work.__qualname__:
            failed += 1
            raise StoreBackendError("locked")
        return await real(self, work)

    async with host.scoped(SCOPE) as controller:
        key = await controller.await_event_key(WaitIdentity(SCOPE, "ap:1"))
        monkeypatch.setattr(Database, "read", failing)
        waiting = asyncio.create_task(controller.await_event(key))
        while not failed or not clock.slept:
            await settle()
        await other.answer_approval("ap:1", Approve())
        for _ in range(4):
            await clock.advance(0.4)
            await asyncio.to_thread(lambda: None)
            await settle()
        assert waiting.done()
        assert waiting.result().kind == "value"
    await host.aclose()
    await other.aclose()


async def test_a_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as file:
        file.execute("PRAGMA user_version=3")
    with pytest.raises(UnsupportedRecordVersion, match="journal"):
        await journal(tmp_path).pending_approvals()
