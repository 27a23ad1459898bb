"""The fakes that the other tests stand on: clock, ids, scripted provider."""

from __future__ import annotations

import asyncio

import pytest

from lash.host.system import RandomIds, SystemClock
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import AnyStreamEvent, Block
from lash.testing.clock import FakeClock, SequentialIds, settle
from lash.testing.scripted import ScriptedProvider, ScriptExhausted, reply, surviving_text
from tests.runtime.providers.helpers import REQUEST, kinds


async def sleeper(clock: FakeClock, seconds: float, log: list[tuple[float, float]]) -> None:
    await clock.sleep(seconds)
    log.append((seconds, clock.monotonic()))


async def test_sleepers_wake_in_the_order_of_their_due_times() -> None:
    clock, log = FakeClock(), list[tuple[float, float]]()
    tasks = [asyncio.create_task(sleeper(clock, seconds, log)) for seconds in (3, 1, 2)]
    await clock.advance(2.5)
    assert log == [(1, 1), (2, 2)]
    await clock.advance(0.5)
    assert log[-1] == (3, 3)
    await asyncio.gather(*tasks)


async def test_who_falls_asleep_on_the_way_wakes_on_the_way() -> None:
    clock, times = FakeClock(), list[float]()

    async def ticking() -> None:
        for _ in range(3):
            await clock.sleep(0.1)
            times.append(clock.monotonic())

    task = asyncio.create_task(ticking())
    await clock.advance(10)
    await task
    assert times == pytest.approx([0.1, 0.2, 0.3])  # pyright: ignore[reportUnknownMemberType]
    assert clock.monotonic() == 10


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(5))
    await settle()
    task.cancel()
    await settle()
    assert clock.next_due() is None


async def test_both_readings_of_the_clock_move_together() -> None:
    clock = FakeClock(now_ms=1_000)
    await clock.advance(2.5)
    assert (clock.now_ms(), clock.monotonic()) == (3_500, 2.5)


async def test_work_that_waits_for_something_else_is_reported_and_ended() -> None:
    ended: list[bool] = []

    async def stuck() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    with pytest.raises(AssertionError, match="does not provide"):
        await FakeClock().run(stuck())
    assert ended == [True]


def test_sequential_ids_count_by_prefix() -> None:
    ids = SequentialIds()
    assert [ids.new("turn"), ids.new("turn"), ids.new("session")] == ["turn-1", "turn-2", "session-1"]


def test_random_ids_begin_with_their_prefix_and_do_not_repeat() -> None:
    ids = RandomIds()
    made = {ids.new("turn") for _ in range(100)}
    assert len(made) == 100
    assert all(name.startswith("turn-") for name in made)


async def test_the_system_clock_goes_on_and_sleeps() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.001)
    await clock.sleep(-1)
    assert clock.monotonic() > before
    assert clock.now_ms() > 1_700_000_000_000


async def test_a_script_records_its_requests_and_knows_when_it_is_played() -> None:
    provider = ScriptedProvider(["a", lambda request: f"to {request.model}"], clock=FakeClock())
    await provider.complete(REQUEST)
    with pytest.raises(AssertionError, match="1 of the script's steps"):
        provider.assert_exhausted()
    assert (await provider.complete(REQUEST)).full_text == "to model"
    provider.assert_exhausted()
    assert provider.requests == [REQUEST, REQUEST]


async def test_running_out_of_steps_is_no_failure_of_the_provider() -> None:
    provider = ScriptedProvider([], clock=FakeClock())
    with pytest.raises(ScriptExhausted, match="0 steps"):
        await provider.complete(REQUEST)
    with pytest.raises(AssertionError, match="no step"):
        provider.assert_exhausted()


async def test_a_failure_of_a_script_may_be_raised_twice() -> None:
    clock, failure = FakeClock(), ProviderFailure("transport", "gone")
    provider = ScriptedProvider([failure, failure, "x"], clock=clock)
    response = await clock.run(provider.complete(REQUEST))
    assert len(response.attempts) == 2
    assert failure.attempts == ()


async def test_a_reply_is_streamed_in_pieces_of_the_wanted_size() -> None:
    events = list[AnyStreamEvent]()
    step = reply("Hello", chunk=2, tool_calls=[Block.ToolCall("c", "find", "{}")])
    response = await ScriptedProvider([step], clock=FakeClock()).complete(REQUEST, events.append)
    assert kinds(events) == ["text_delta"] * 3 + ["tool_call_started", "tool_call_delta", "part_done"]
    assert surviving_text(events) == response.full_text == "Hello"
