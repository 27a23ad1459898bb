"""What machines compute inline in one round of a loop is bounded together."""

from __future__ import annotations

import asyncio

import pytest

import lashlang
from lashlang import turns


async def test_a_single_run_never_waits() -> None:
    line = turns.turns_of(asyncio.get_running_loop())
    assert line is turns.turns_of(asyncio.get_running_loop())
    await asyncio.wait_for(line.take(), 1)
    await asyncio.wait_for(line.take(), 1)


async def test_who_comes_too_late_in_a_round_waits_in_line_and_is_let_in_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(turns, "perf_counter", lambda: now)
    line = turns.Turns(asyncio.get_running_loop())
    order: list[int] = []

    async def work(number: int) -> None:
        nonlocal now
        for _ in range(2):
            await line.take()
            order.append(number)
            now += turns.ROUND  # each turn uses a whole round up
            line.spent(turns.ROUND)

    tasks = [asyncio.create_task(work(number)) for number in range(5)]
    rounds = 0
    while not all(task.done() for task in tasks):
        before = len(order)
        await asyncio.sleep(0)
        assert len(order) - before <= 1, "more than one turn in a round that has time for one"
        rounds += 1
    # The first asks for its second turn before the others have come at all; from then on it is first come, first in.
    assert order == [0, 0, 1, 2, 3, 4, 1, 2, 3, 4]


async def test_a_cancelled_waiter_leaves_the_line_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(turns, "perf_counter", lambda: now)
    line = turns.Turns(asyncio.get_running_loop())

    async def use_the_round_up() -> None:
        nonlocal now
        await line.take()
        now = turns.ROUND

    opening = asyncio.create_task(use_the_round_up())
    first, second = asyncio.create_task(line.take()), asyncio.create_task(line.take())
    await asyncio.sleep(0)
    assert (opening.done(), first.done(), second.done()) == (True, False, False)
    first.cancel()
    await asyncio.wait_for(second, 1)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_timers_fire_while_two_hundred_machines_call_tools_that_answer_at_once() -> None:
    rounds_with_calls = 0
    calls = 0

    async def progress(i: int) -> None:
        nonlocal calls
        calls += 1

    program = lashlang.compile("for i in range(50) { call progress { i: i } }")
    machines = [lashlang.Machine() for _ in range(200)]
    runs = asyncio.gather(*(machine.run_async(program, tools={"progress": progress}) for machine in machines))
    while not runs.done():
        before = calls
        await asyncio.sleep(0)
        rounds_with_calls += calls > before
    await runs
    assert calls == 200 * 50
    assert rounds_with_calls >= 8, "the calls of all machines were made in a few rounds of the loop"
    for machine in machines:
        machine.close()
