"""Effects run, are recorded, and are given back: the inline host and the journal."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lash.host.effects.inline import InlineEffectHost
from lash.host.effects.journal import LEASE_S, JournalEffectHost
from lash.host.system import SystemClock
from lash.runtime.errors import EffectError, EffectLeaseLost, EffectReplayMismatch, LashError
from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import (
    EffectController,
    EffectEnvelope,
    EffectHost,
    EffectInvocation,
    EffectKind,
    EffectOutcome,
    ExecutionScope,
    UnfinishedTurn,
    WaitIdentity,
)
from lash.testing.clock import FakeClock, SequentialIds, settle

SCOPE = ExecutionScope("turn", session_id="s", turn_id="t")


def envelope(number: int, *, kind: EffectKind = "tool_call", command: JsonValue = None) -> EffectEnvelope:
    return EffectEnvelope(EffectInvocation("s", "t", 0, 0, str(number), kind), {"asked": command})


class Work:
    """A local executor that counts its runs; `hold` makes it wait until it is set."""

    def __init__(self, value: JsonValue = "done", *, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error
        self.runs = 0
        self.hold: asyncio.Event | None = None

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        self.runs += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        return EffectOutcome(self.value, (TokenLedgerEntry("child", "m", TokenUsage(1, 2)),), {"plugin": [1]})


def journal(path: Path, **options: object) -> JournalEffectHost:
    known: dict[str, object] = {"clock": FakeClock(), "ids": SequentialIds()} | options
    return JournalEffectHost(path, **known)  # pyright: ignore[reportArgumentType]


@asynccontextmanager
async def on(host: EffectHost) -> AsyncGenerator[EffectController]:
    async with host.scoped(SCOPE) as controller:
        yield controller
    if isinstance(host, JournalEffectHost):
        await host.aclose()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["inline", "journal"])
def host(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> EffectHost:
    if request.param == "inline":
        return InlineEffectHost(clock)
    return JournalEffectHost(tmp_path / "journal.db", clock=clock, ids=SequentialIds())


async def test_an_effect_is_run_and_its_outcome_given(host: EffectHost) -> None:
    async with on(host) as controller:
        outcome = await controller.execute(envelope(1), Work({"a": [1, None, "ä"]}))
    assert (outcome.value, outcome.replayed) == ({"a": [1, None, "ä"]}, False)
    assert outcome.usage == (TokenLedgerEntry("child", "m", TokenUsage(1, 2)),)


async def test_a_scope_without_ids_is_refused(host: EffectHost) -> None:
    with pytest.raises(LashError) as refused:
        async with host.scoped(ExecutionScope("turn", session_id="s")):
            pass
    assert refused.value.code == "missing_execution_scope_id"
    if isinstance(host, JournalEffectHost):
        await host.aclose()


async def test_a_wait_ends_with_the_value_it_is_resolved_with_once(host: EffectHost, clock: FakeClock) -> None:
    async with on(host) as controller:
        key = await controller.await_event_key(WaitIdentity(SCOPE, "answer"))
        assert key == await controller.await_event_key(WaitIdentity(SCOPE, "answer"))
        waiting = asyncio.create_task(controller.await_event(key))
        await settle()
        assert await controller.resolve_event(key, {"yes": True})
        assert not await controller.resolve_event(key, {"yes": False})
        while not waiting.done():
            await clock.advance(1)
        assert (waiting.result().kind, waiting.result().value) == ("value", {"yes": True})


async def test_a_wait_without_an_answer_ends_at_its_deadline(host: EffectHost, clock: FakeClock) -> None:
    async with on(host) as controller:
        key = await controller.await_event_key(WaitIdentity(SCOPE, "answer"))
        waiting = asyncio.create_task(controller.await_event(key, deadline_ms=clock.now_ms() + 5_000))
        await settle()
        begin = clock.now_ms()
        while not waiting.done():
            await clock.advance(0.5)
        assert waiting.result().kind == "timeout"
        assert clock.now_ms() - begin >= 5_000


async def test_a_recorded_outcome_is_given_back_without_running_anything(tmp_path: Path) -> None:
    first, again = Work("one"), Work("two")
    async with on(journal(tmp_path / "j.db")) as controller:
        await controller.execute(envelope(1), first)
    async with on(journal(tmp_path / "j.db")) as controller:
        outcome = await controller.execute(envelope(1), again)
    assert (outcome.value, outcome.replayed, outcome.state_delta) == ("one", True, {"plugin": [1]})
    assert (first.runs, again.runs) == (1, 0)


async def test_other_contents_under_a_recorded_key_are_a_mismatch(tmp_path: Path) -> None:
    async with on(journal(tmp_path / "j.db")) as controller:
        await controller.execute(envelope(1, command="a"), Work())
        with pytest.raises(EffectReplayMismatch):
            await controller.execute(envelope(1, command="b"), Work())


async def test_a_strict_replay_runs_nothing(tmp_path: Path) -> None:
    async with on(journal(tmp_path / "j.db")) as controller:
        await controller.execute(envelope(1), Work("one"))
    unwanted = Work()
    async with on(journal(tmp_path / "j.db", replay="strict")) as controller:
        assert (await controller.execute(envelope(1), unwanted)).value == "one"
        with pytest.raises(EffectReplayMismatch, match="strictly"):
            await controller.execute(envelope(2), unwanted)
    assert unwanted.runs == 0


async def test_a_composite_effect_is_run_every_time(tmp_path: Path) -> None:
    work = Work()
    async with on(journal(tmp_path / "j.db")) as controller:
        for _ in range(2):
            await controller.execute(envelope(1, kind="exec_code"), work)
    assert work.runs == 2


async def test_recorded_outcomes_come_in_the_order_in_which_they_were_completed(tmp_path: Path) -> None:
    async with on(journal(tmp_path / "j.db")) as controller:
        for number in (3, 1, 2):
            await controller.execute(envelope(number), Work(number))
    order: list[JsonValue] = []
    async with on(journal(tmp_path / "j.db")) as controller:

        async def ask(number: int) -> None:
            order.append((await controller.execute(envelope(number), Work())).value)

        await asyncio.gather(*(ask(number) for number in (1, 2, 3)))
    assert order == [3, 1, 2]


async def test_a_recorded_outcome_that_is_not_asked_for_any_more_is_a_mismatch(tmp_path: Path) -> None:
    async with on(journal(tmp_path / "j.db")) as controller:
        for number in (1, 2):
            await controller.execute(envelope(number), Work(number))
    async with on(journal(tmp_path / "j.db", order_timeout_s=0.01)) as controller:
        with pytest.raises(EffectReplayMismatch, match="not asked for"):
            await controller.execute(envelope(2), Work())


async def test_an_error_that_is_final_is_recorded_and_raised_again(tmp_path: Path) -> None:
    work = Work(error=LashError("some_code", "no"))
    async with on(journal(tmp_path / "j.db")) as controller:
        with pytest.raises(LashError):
            await controller.execute(envelope(1), work)
        with pytest.raises(EffectError) as again:
            await controller.execute(envelope(1), work)
    assert (again.value.code, again.value.message, work.runs) == ("some_code", "no", 1)


@pytest.mark.parametrize("error", [LashError("busy", "later", retryable=True), OSError("gone")])
async def test_an_error_that_may_pass_is_not_recorded(tmp_path: Path, error: Exception) -> None:
    work = Work(error=error)
    async with on(journal(tmp_path / "j.db")) as controller:
        for _ in range(2):
            with pytest.raises(type(error)):
                await controller.execute(envelope(1), work)
    assert work.runs == 2


async def test_a_cancelled_effect_is_not_recorded_and_can_be_run_at_once(tmp_path: Path) -> None:
    work = Work()
    work.hold = asyncio.Event()
    async with on(journal(tmp_path / "j.db", clock=SystemClock())) as controller:
        task = asyncio.create_task(controller.execute(envelope(1), work))
        while not work.runs:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        work.hold.set()
        assert not (await controller.execute(envelope(1), work)).replayed
    assert work.runs == 2


async def test_an_effect_that_another_worker_runs_is_waited_for(tmp_path: Path) -> None:
    work, unwanted = Work("theirs"), Work()
    work.hold = asyncio.Event()
    mine, theirs = (journal(tmp_path / "j.db", clock=SystemClock()) for _ in range(2))
    async with on(mine) as me, on(theirs) as them:
        running = asyncio.create_task(them.execute(envelope(1), work))
        while not work.runs:
            await asyncio.sleep(0.001)
        waiting = asyncio.create_task(me.execute(envelope(1), unwanted))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        work.hold.set()
        assert (await waiting).value == (await running).value == "theirs"
    assert unwanted.runs == 0


async def test_a_worker_whose_lease_was_taken_over_cannot_record(tmp_path: Path) -> None:
    old_clock, new_clock = FakeClock(), FakeClock()
    old, new = Work("old"), Work("new")
    old.hold = asyncio.Event()
    late = journal(tmp_path / "j.db", clock=old_clock, ids=SequentialIds())
    thief = journal(tmp_path / "j.db", clock=new_clock, ids=SequentialIds())
    await new_clock.advance(LEASE_S + 1)
    async with on(late) as slow, on(thief) as quick:
        task = asyncio.create_task(slow.execute(envelope(1), old))
        while not old.runs:
            await asyncio.sleep(0.001)
        thief._ids.new("x")  # type: ignore[attr-defined]  # pyright: ignore
        assert (await quick.execute(envelope(1), new)).value == "new"
        old.hold.set()
        with pytest.raises(EffectLeaseLost):
            await task


async def test_an_unfinished_turn_is_known_until_it_is_sealed_and_its_rows_go_after_a_while(tmp_path: Path) -> None:
    clock = FakeClock()
    host = journal(tmp_path / "j.db", clock=clock)
    async with on(host) as controller:
        await host.begin_turn(SCOPE, 4, {"text": "hi"}, {"schema": None})
        await controller.execute(envelope(1), Work())
        known = UnfinishedTurn("t", 4, {"text": "hi"}, {"schema": None}, recorded_effects=1)
        assert await host.unfinished_turn("s") == known
        await host.seal_turn(SCOPE)
        assert await host.unfinished_turn("s") is None
        assert (await controller.execute(envelope(1), Work())).replayed
        await clock.advance(25 * 3600)
        await host.seal_turn(ExecutionScope("turn", session_id="s", turn_id="another"))
    async with on(journal(tmp_path / "j.db", replay="strict")) as controller:
        with pytest.raises(EffectReplayMismatch):
            await controller.execute(envelope(1), Work())


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.host.effects.test_effect_hosts import SCOPE, Work, envelope, journal

async def main():
    host = journal(Path(sys.argv[1]))
    async with host.scoped(SCOPE) as controller:
        await controller.execute(envelope(1), Work("kept"))
        class Killed(Work):
            async def run(self, asked):
                os.kill(os.getpid(), signal.SIGKILL)
        await controller.execute(envelope(2), Killed())

asyncio.run(main())
"""


async def test_what_was_recorded_before_a_kill_is_not_run_again_and_what_was_not_is(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path / "j.db")], check=False)
    assert done.returncode == -signal.SIGKILL
    clock = FakeClock()
    await clock.advance(LEASE_S + 1)
    kept, lost = Work(), Work("again")
    async with on(journal(tmp_path / "j.db", clock=clock)) as controller:
        assert (await controller.execute(envelope(1), kept)).value == "kept"
        assert (await controller.execute(envelope(2), lost)).value == "again"
    assert (kept.runs, lost.runs) == (0, 1)


def test_keys_do_not_collide_where_ids_hold_colons() -> None:
    one = EffectInvocation("a:b", "c", 0, 0, "1", "llm_call")
    other = EffectInvocation("a", "b:c", 0, 0, "1", "llm_call")
    assert one.replay_key == "a%3Ab:c:0:0:llm_call:1"
    assert one.replay_key != other.replay_key
