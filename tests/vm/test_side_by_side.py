"""Many machines on one event loop: all get on, none far ahead of another, whatever their neighbours do.

Fairness is shown by the order of events, never by a clock: between two successive events of one machine, no
other machine may have more than a few.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from lashlang import Limits, Machine
from lashlang.runner import BURST
from lashlang.vm.engine import Instance
from lashlang.vm.protocol import Command

MANY = 200

COUNTING = """
total = 0
for i in range(12) {
  for j in range(300) { total += j }
  total += (call tick { who: who })?
}
submit total
"""
COUNTED = 12 * (sum(range(300)) + 1)

LONG = "n = 0\nwhile n < 1000000 { n += 1 }\nsubmit n"
"""More slices than one burst of a worker."""

FOREVER = "n = 0\nwhile true { n += 1 }"

SORTING = """
x = [i * 7919 % 100003 for i in range(40000)]
x = sort(x)
call tick { who: who }
y = unique(x + x)
submit [len(y), x == y]
"""
"""Operations that are large by themselves, each before and after a call."""


def lead(events: Sequence[int]) -> int:
    """The most events that one machine has between two successive ones of another, while both still have some."""
    most = 0
    since: dict[int, Counter[int]] = {}
    for who in events:
        if who in since:
            most = max([most, *since[who].values()])
        since[who] = Counter()
        for other, seen in since.items():
            if other != who:
                seen[who] += 1
    return most


def test_the_lead_of_machines_that_take_turns_is_one() -> None:
    assert lead([1, 2, 3] * 5) == 1
    assert lead([1, 2, 2, 2, 1, 2]) == 3


async def side_by_side(source: str, tick: Callable[[int], Any], machines: Sequence[Machine]) -> list[Any]:
    """The values that all machines submit, run in one loop."""
    runs = [
        machine.run_async(source, tools={"tick": tick}, projected={"who": number})
        for number, machine in enumerate(machines)
    ]
    return [outcome.unwrap() for outcome in await asyncio.gather(*runs)]


@contextmanager
def slices(machines: Sequence[Machine]) -> Generator[list[int]]:
    """The machines by number in the order in which slices of theirs begin."""
    numbers = {id(machine.instance): number for number, machine in enumerate(machines)}
    events: list[int] = []
    command = Instance.command

    def noted(self: Instance, operation: int, data: bytes, decode: Any) -> Any:
        if operation in (Command.RUN, Command.STEP) and id(self) in numbers:
            events.append(numbers[id(self)])
        return command(self, operation, data, decode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Instance, "command", noted)
        yield events


async def test_machines_whose_tools_wait_call_them_in_turn() -> None:
    called: list[int] = []

    async def tick(who: int) -> int:
        called.append(who)
        await asyncio.sleep(0)
        return 1

    machines = [Machine() for _ in range(MANY)]
    assert await side_by_side(COUNTING, tick, machines) == [COUNTED] * MANY
    assert Counter(called) == dict.fromkeys(range(MANY), 12)
    assert lead(called) <= 2


async def test_machines_whose_tools_are_plain_functions_all_get_on() -> None:
    """The tools run in threads, whose order is the system's: no machine is done before another has begun."""
    called: list[int] = []

    def tick(who: int) -> int:
        called.append(who)
        return 1

    machines = [Machine() for _ in range(MANY)]
    assert await side_by_side(COUNTING, tick, machines) == [COUNTED] * MANY
    first = {who: called.index(who) for who in range(MANY)}
    last = {who: len(called) - 1 - called[::-1].index(who) for who in range(MANY)}
    assert max(first.values()) < min(last.values())


async def test_machines_that_compute_for_long_take_turns_in_the_workers() -> None:
    machines = [Machine() for _ in range(MANY)]
    with slices(machines) as events:
        assert await side_by_side(LONG, int, machines) == [1_000_000] * MANY
    assert min(Counter(events).values()) > BURST
    assert lead(events) <= 2 * (BURST + 1)


async def test_machines_with_large_operations_all_come_to_their_right_ends() -> None:
    called: list[int] = []

    async def tick(who: int) -> None:
        called.append(who)
        await asyncio.sleep(0)

    machines = [Machine() for _ in range(MANY)]
    with slices(machines) as events:
        assert await side_by_side(SORTING, tick, machines) == [[40_000, True]] * MANY
    assert sorted(called) == list(range(MANY))
    assert lead(events) <= 2 * (BURST + 1)


async def test_machines_in_endless_loops_starve_nobody() -> None:
    called: list[int] = []

    async def tick(who: int) -> int:
        called.append(who)
        await asyncio.sleep(0)
        return 1

    endless = [Machine(Limits(fuel=1 << 60)) for _ in range(20)]
    loops = [asyncio.create_task(machine.run_async(FOREVER)) for machine in endless]
    machines = [Machine() for _ in range(MANY - len(endless))]
    assert await side_by_side(COUNTING, tick, machines) == [COUNTED] * len(machines)
    assert await side_by_side(LONG, tick, machines[:20]) == [1_000_000] * 20
    assert lead(called) <= 2
    for run in loops:
        assert not run.done()
        run.cancel()
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*loops, return_exceptions=True))
    for machine in endless:
        assert machine.globals["n"] > 0
        assert machine.run("submit 1 + 1").value == 2


async def test_an_endless_loop_does_not_hold_up_the_loops_other_tasks() -> None:
    """Ticks of a task that does nothing else go on at every burst of the machine."""
    machine = Machine(Limits(fuel=1 << 60))
    run = asyncio.create_task(machine.run_async(FOREVER))
    with slices([machine]) as events:
        ticks_at: list[int] = []
        while len(events) < 10 * BURST:
            ticks_at.append(len(events))
            await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    gaps = [after - before for before, after in pairwise(ticks_at)]
    assert max(gaps) <= 2 * (BURST + 1)
    assert len(set(ticks_at)) >= 4


async def test_endless_tools_of_one_machine_leave_the_others_their_workers() -> None:
    """Blocking tools and computation have threads of their own."""
    release = asyncio.Event()

    async def hang() -> None:
        await release.wait()

    stuck = [asyncio.create_task(Machine().run_async("call hang {}", tools={"hang": hang})) for _ in range(100)]
    assert await side_by_side(LONG, int, [Machine() for _ in range(10)]) == [1_000_000] * 10
    release.set()
    assert {outcome.status for outcome in await asyncio.gather(*stuck)} == {"continued"}


def test_machines_in_several_loops_share_the_workers() -> None:
    """Each thread has an event loop of its own; threads of the pool serve them all."""
    results: list[Any] = []

    def work() -> None:
        results.extend(asyncio.run(side_by_side(LONG, int, [Machine() for _ in range(5)])))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1_000_000] * 20


async def test_machines_and_their_twins_get_on_side_by_side() -> None:
    """Forks made at a call run as machines of their own, beside the one they come from."""
    with Machine() as first:
        first.start("n = 1\nn += (call tick {})?\nsubmit n")
        twins = [first.fork() for _ in range(50)]
        runs = [twin.finish_async(tools={"tick": partial(int, number)}) for number, twin in enumerate([first, *twins])]
        values = [outcome.unwrap() for outcome in await asyncio.gather(*runs)]
    assert values == [1 + number for number in range(51)]
