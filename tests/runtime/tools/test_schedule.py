"""How the beginnings of many calls are spread over rounds of the event loop."""

from __future__ import annotations

import asyncio

import pytest

from lash.runtime.tools.schedule import Pace, run_batch
from lash.testing.clock import settle


async def test_only_so_many_begin_in_one_round_and_all_in_their_order() -> None:
    pace, begun = Pace(3), list[tuple[int, int]]()
    rounds = 0

    def count() -> None:
        nonlocal rounds
        rounds += 1
        asyncio.get_running_loop().call_soon(count)

    async def one(number: int) -> None:
        await pace.step()
        begun.append((number, rounds))

    asyncio.get_running_loop().call_soon(count)
    await asyncio.gather(*map(one, range(10)))
    assert [number for number, _ in begun] == list(range(10))
    in_round = [at for _, at in begun]
    assert max(map(in_round.count, in_round)) == 3
    assert in_round == sorted(in_round)


async def test_one_that_gives_up_waiting_takes_nobodys_place() -> None:
    pace, begun = Pace(1), list[int]()

    async def one(number: int) -> None:
        await pace.step()
        begun.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert begun == [0, 3]
    await settle()
    await asyncio.wait_for(pace.step(), 1)


async def test_a_call_that_comes_alone_runs_in_the_task_that_it_came_in() -> None:
    async def drive(place: int) -> asyncio.Task[object] | None:
        return asyncio.current_task()

    assert await run_batch(drive, [False], (), Pace()) == (asyncio.current_task(),)
    two = await run_batch(drive, [False, False], (), Pace())
    assert len({*two, asyncio.current_task()}) == 3


@pytest.mark.parametrize("calls", [1, 2])
async def test_a_batch_that_is_cancelled_has_its_calls_cancelled_before_it_ends(calls: int) -> None:
    ended: list[int] = []

    async def drive(place: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(place)

    running = asyncio.create_task(run_batch(drive, [False] * calls, (), Pace()))
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(ended) == list(range(calls))
