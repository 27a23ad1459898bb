"""Hostile programs and tools on an event loop: floods that are in flight at once, and waits that never end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

import lashlang
from lashlang import Limits, Machine, Outcome

from . import effects
from .aftermath import HANGS, check_alive, check_budget, check_dumpable, check_memory, how_it_ended
from .program import Answering, Hostile


class Crowd:
    """Asynchronous tools that count how many of their calls are open."""

    def __init__(self) -> None:
        self.open = 0
        self.begun = 0

    async def never(self, **_: Any) -> None:
        """Wait for ever."""
        self.begun += 1
        self.open += 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.open -= 1

    async def echo(self, **arguments: Any) -> Mapping[str, Any]:
        """Give the arguments back, a step later."""
        self.begun += 1
        self.open += 1
        try:
            await asyncio.sleep(0)
        finally:
            self.open -= 1
        return arguments


async def endures(program: Hostile, crowd: Crowd, timeout: float = HANGS) -> Outcome:
    """As `aftermath.endures`, with a run on the loop, and nothing left on that."""
    with Machine(program.limits) as machine:
        outcome = await machine.run_async(
            program.source,
            tools={"never": crowd.never, "echo": crowd.echo},
            projected=program.projected(),
            timeout=timeout,
        )
        assert how_it_ended(outcome) == program.end, outcome.render_error()[:500]
        assert crowd.open == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        check_budget(program, outcome)
        check_memory(program, machine)
        check_alive(machine)
        check_dumpable(program, machine)
    return outcome


PROGRAMS = {
    **{f"floods: {name}": program for name, program in effects.FLOODS.items()},
    "a branch that never ends beside a tool that never answers": Hostile(
        "fuel", "parallel { call never {}\nwhile true {} }"
    ),
    "a branch that fails beside one that never ends": Hostile("fuel", "parallel { [] + 1\nwhile true {} }"),
    "loops beside a thousand waiting tools": Hostile(
        "fuel", "parallel { " + "call never {}, " * 1_000 + "0\nwhile true { x = 1 } }", Limits(fuel=3_000_000)
    ),
    "floods beside a thousand waiting tools": Hostile(
        "requests", "parallel { " + "call never {}, " * 1_000 + "0\nwhile true { call echo {} } }"
    ),
    "memory that runs out beside a waiting tool": Hostile(
        "memory",
        "x = []\nparallel { call never {}\nwhile true { x = push(x, range(1000) + [1]) } }",
        Limits(memory=8 << 20),
    ),
    "ten thousand starts that nobody awaits": Hostile("continued", "for i in range(10000) { start call never {} }"),
    "ten thousand starts and one more": Hostile("requests", "for i in range(10001) { start call never {} }"),
    "thousands of starts, all cancelled": Hostile(
        "continued",
        "hs = [start call never {} for i in range(4999)]\nfor h in hs { cancel h }\nx = await [hs[0], hs[9]]",
    ),
    "one handle awaited by a thousand branches": Hostile(
        "continued", "h = start call echo {}\nx = parallel { " + "await h, " * 1_000 + " }"
    ),
    "one handle cancelled while a thousand branches await it": Hostile(
        "continued", "h = start call never {}\nx = parallel { " + "await h, " * 1_000 + "0\ncancel h }"
    ),
    "a wave of 10,000 in flight": Hostile("continued", "x = parallel { " + "call echo {}, " * 10_000 + " }"),
}
"""Programs whose requests are answered concurrently, some never."""


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_flood_on_the_loop_ends_in_its_limit_and_leaves_no_tool_running(name: str) -> None:
    await endures(PROGRAMS[name], Crowd())


WAITING = {
    "a call": "call never {}",
    "a wave": "parallel { call never {}, call never {} }",
    "an await": "h = start call never {}\nawait [h, h]",
    "a started tool and a call": "h = start call never {}\ncall never {}",
}


@pytest.mark.parametrize("name", WAITING)
async def test_a_wait_that_never_ends_is_ended_by_the_timeout(name: str) -> None:
    crowd = Crowd()
    outcome = await endures(Hostile("interrupted", WAITING[name]), crowd, timeout=0.02)
    assert outcome.status == "interrupted"
    assert crowd.begun > 0


async def test_a_source_that_never_answers_is_left_behind() -> None:
    """Its thread cannot be stopped; the block, its machine and the loop go on without it."""
    asked, let_go = threading.Event(), threading.Event()

    def hang() -> int:
        asked.set()
        let_go.wait()
        return 1

    source = Answering({"len": hang})
    source.blocking = True
    with Machine() as machine:
        run = asyncio.create_task(machine.run_async("x = 1\nx = len(p)", projected={"p": source}))
        await asyncio.to_thread(asked.wait)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert machine.globals["x"] == 1
        assert machine.run("submit 1 + 1").value == 2
        let_go.set()


async def test_a_tool_that_ignores_its_cancellation_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends all the same, after the moment that tools have to end in."""
    monkeypatch.setattr("lashlang.runner.GRACE", 0.01)
    stubborn = asyncio.Event()

    async def ignore() -> str:
        while not stubborn.is_set():
            try:
                await stubborn.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    with Machine() as machine:
        outcome = await machine.run_async(
            "x = 1\nparallel { call ignore {}\nwhile true {} }",
            host=lashlang.FunctionHost({"ignore": ignore}),
            fuel=100_000,
        )
        assert outcome.error is not None
        assert (outcome.error.code, machine.globals["x"]) == ("fuel", 1)
        assert machine.run("submit 1 + 1").value == 2
    stubborn.set()
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)
