"""A turn as an object: when it begins, who may wait for it, and what becomes of it when nobody does."""

from __future__ import annotations

import asyncio

import pytest

import lash
from lash import TurnEvent, TurnOutcome, TurnStop
from lash.testing.scripted import HANG, Step, reply
from tests.facade.support import block, core_with


class Kept:
    """A sink that keeps what it is given, and waits for leave where it is told to."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self.seen: list[lash.TurnActivity] = []
        self._gate = gate

    async def emit(self, activity: lash.TurnActivity) -> None:
        if self._gate is not None:
            await self._gate.wait()
        self.seen.append(activity)


async def test_nothing_happens_before_somebody_waits_and_then_it_happens_once() -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        turn = session.turn("Go.")
        await asyncio.sleep(0)
        assert (turn.state, session.running) == ("new", False)
        first, second = await asyncio.gather(turn.result(), turn.result())
        assert first is second is await turn
        assert turn.state == "done"
        assert session.read_view().turn_index == 1


async def test_a_turn_has_one_iterator_and_its_activities_go_there() -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        turn = session.turn("Go.")
        async for _ in turn:
            with pytest.raises(lash.TurnError) as twice:
                aiter(turn)
            assert twice.value.code == "turn_already_iterated"
        with pytest.raises(lash.TurnError) as collected:
            await turn.output()
        assert collected.value.code == "turn_not_collected"
        assert (await turn).submitted_value() == 1


async def test_an_iteration_that_is_broken_off_leaves_the_turn_running() -> None:
    runtime = lash.RuntimeConfig(iterator_queue=1)
    steps = [reply("Many words. " * 50 + block("submit 1"), chunk=3)]
    async with core_with(*steps, runtime=runtime) as core, core.session("s") as session:
        turn = session.turn("Go.")
        async for _ in turn:
            break
        assert (await turn).submitted_value() == 1


async def test_leaving_a_turn_early_cancels_it_and_waits_for_its_commit() -> None:
    async with core_with(Step([], HANG)) as core, core.session("s") as session:
        async with session.turn("Go.") as turn:
            await asyncio.sleep(0.01)
        assert turn.state == "done"
        assert isinstance((await turn).outcome, TurnOutcome.Stopped)
        assert session.read_view().turn_index == 1


async def test_closing_the_session_cancels_its_turn() -> None:
    async with core_with(Step([], HANG)) as core:
        session = await core.session("s")
        turn = session.turn("Go.")
        running = asyncio.ensure_future(turn.result())
        while not session.running:
            await asyncio.sleep(0.001)
        await session.aclose()
        outcome = (await running).outcome
        assert isinstance(outcome, TurnOutcome.Stopped)
        assert isinstance(outcome.stop, TurnStop.Cancelled)
        with pytest.raises(lash.SessionError) as closed:
            session.turn("Again.")
        assert closed.value.code == "session_closed"


async def test_what_a_turn_raises_is_raised_to_the_iterator_and_to_every_waiter() -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        turn = session.turn("Go.", require_submit={"type": "nonsense"})
        with pytest.raises(lash.TurnError):
            async for _ in turn:
                pass
        for _ in range(2):
            with pytest.raises(lash.TurnError):
                await turn


async def test_a_turn_waits_for_another_one_as_long_as_it_is_told_to() -> None:
    async with core_with(Step([], HANG), block("submit 2")) as core, core.session("s") as session:
        first = session.turn("One.")
        running = asyncio.ensure_future(first.result())
        while not session.running:
            await asyncio.sleep(0.001)
        with pytest.raises(lash.SessionBusyError):
            await session.turn("Impatient.", wait_if_busy=0.01)
        second = asyncio.ensure_future(session.turn("Two.", wait_if_busy=60).result())
        await asyncio.sleep(0.01)
        first.cancel()
        await running
        assert (await second).submitted_value() == 2


async def test_a_buffered_sink_gives_everything_on_before_the_result() -> None:
    kept = Kept()
    steps = [reply("Some words. " + block("print 1\nsubmit 2"), chunk=2)]
    async with core_with(*steps) as core, core.session("s") as session:
        output = await session.turn("Go.", sink=lash.BufferedSink(kept, maxsize=3)).output()
        assert kept.seen == list(output.activities)


async def test_a_full_buffer_joins_pieces_of_one_text() -> None:
    gate = asyncio.Event()
    kept = Kept(gate)
    sink = lash.BufferedSink(kept, maxsize=1, overflow="coalesce")

    def delta(number: int, text: str, row: str) -> lash.TurnActivity:
        return lash.TurnActivity(f"a:{number}", row, number, "s", "t", False, TurnEvent.AssistantProseDelta(text))

    for number, text in enumerate(["a", "b", "c", "d"]):
        await sink.emit(delta(number, text, "row"))
        await asyncio.sleep(0)
    waiting = asyncio.ensure_future(sink.emit(delta(9, "x", "other")))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    gate.set()
    await waiting
    await sink.flush()
    assert [getattr(one.event, "text", "") for one in kept.seen] == ["a", "bcd", "x"]


async def test_a_sink_that_always_fails_is_noted_and_left_out() -> None:
    class Broken:
        calls = 0

        async def emit(self, activity: lash.TurnActivity) -> None:
            self.calls += 1
            raise OSError("the screen is gone")

    broken = Broken()
    steps = [reply("Word. " * 40 + block("submit 1"), chunk=2)]
    async with core_with(*steps) as core, core.session("s") as session:
        result = await session.turn("Go.", sink=broken)
        assert result.submitted_value() == 1
        assert broken.calls == 16
        assert {(issue.kind, issue.code) for issue in result.errors} == {("sink", "sink_failed")}


async def test_a_buffered_sink_that_fails_tells_at_the_next_activity() -> None:
    class Broken:
        async def emit(self, activity: lash.TurnActivity) -> None:
            raise OSError("the screen is gone")

    steps = [reply("Word. " * 40 + block("submit 1"), chunk=2)]
    async with core_with(*steps) as core, core.session("s") as session:
        result = await session.turn("Go.", sink=lash.BufferedSink(Broken()))
        assert result.submitted_value() == 1
        assert {issue.code for issue in result.errors} == {"sink_failed"}


def test_a_buffer_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="0"):
        lash.BufferedSink(Kept(), maxsize=0)
