"""Running on an event loop: concurrency, cancellation, timeouts, a loop that stays live."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

import lashlang
from lashlang import FunctionHost, Machine, Projected, ToolFailure, Unsupported

FOREVER = "i = 0\nwhile true { i = i + 1 }"
PLENTY = lashlang.Limits(fuel=1 << 60)


class Gate:
    """A tool whose calls wait until they are let through, one name at a time."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.cancelled: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}
        self._news = asyncio.Event()

    async def __call__(self, name: str) -> str:
        self.arrived.append(name)
        self._news.set()
        try:
            await self._gates.setdefault(name, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        return name

    def open(self, name: str) -> None:
        self._gates.setdefault(name, asyncio.Event()).set()

    async def until(self, *names: str) -> None:
        """Wait until calls of these names have come, in this order."""
        while self.arrived[-len(names) :] != list(names):
            self._news.clear()
            await self._news.wait()


async def test_a_wave_runs_concurrently_and_answers_resume_branches_as_they_come() -> None:
    gate = Gate()
    source = """
    submit parallel {
      one: (call gate { name: (call gate { name: "a" })? + "2" })?
      two: (call gate { name: "b" })?
    }"""
    run = asyncio.create_task(Machine().run_async(source, tools={"gate": gate}))
    await gate.until("a", "b")
    gate.open("a")
    await gate.until("a2")
    gate.open("a2")
    gate.open("b")
    assert (await run).value == {"one": "a2", "two": "b"}


async def test_a_thousand_calls_are_in_flight_at_once() -> None:
    arrived = 0
    everyone = asyncio.Event()

    async def tool(i: int) -> int:
        nonlocal arrived
        arrived += 1
        if arrived == 1000:
            everyone.set()
        await everyone.wait()
        return i

    source = "submit sum([r? for r in await [start call t { i: i } for i in range(1000)]])"
    assert (await Machine().run_async(source, tools={"t": tool})).value == 499_500


async def test_cancelling_stops_the_block_and_its_tools_and_leaves_the_machine_usable() -> None:
    gate, machine = Gate(), Machine()
    source = 'x = 1\nparallel { call gate { name: "a" }\ncall gate { name: "b" } }'
    run = asyncio.create_task(machine.run_async(source, tools={"gate": gate}))
    await gate.until("a", "b")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sorted(gate.cancelled) == ["a", "b"]
    assert dict(machine.globals) == {"x": 1}
    assert machine.run("submit x").value == 1


async def test_cancelling_a_lone_call_stops_it() -> None:
    gate, machine = Gate(), Machine()
    run = asyncio.create_task(machine.run_async('call gate { name: "a" }', tools={"gate": gate}))
    await gate.until("a")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert gate.cancelled == ["a"]
    assert not machine.running


async def test_what_was_started_ends_with_the_run() -> None:
    gate = Gate()
    done = await Machine().run_async(
        'h = start call gate { name: "a" }\ncall pause {}', tools={"gate": gate, "pause": lambda: None}
    )
    assert done.status == "continued"
    assert gate.cancelled == gate.arrived == ["a"]


async def test_a_timeout_stops_a_waiting_block() -> None:
    gate, machine = Gate(), Machine()
    done = await machine.run_async('x = 1\ncall gate { name: "a" }', tools={"gate": gate}, timeout=0.01)
    assert done.status == "interrupted"
    assert done.error is not None
    assert (done.error.message, done.error.line) == ("stopped after 0.01 s", 2)
    assert gate.cancelled == ["a"]
    assert machine.run("submit x").value == 1


async def test_a_timeout_stops_a_computing_block() -> None:
    machine = Machine(PLENTY)
    done = await machine.run_async(FOREVER, timeout=0.05)
    assert done.status == "interrupted"
    assert machine.run("submit i > 0").value is True


def test_a_timeout_stops_a_computing_block_in_this_thread() -> None:
    machine = Machine(PLENTY)
    done = machine.run(FOREVER, timeout=0.05)
    assert (done.status, done.error and done.error.message) == ("interrupted", "stopped after 0.05 s")
    assert machine.run("submit i > 0").value is True


def test_a_timeout_stops_a_block_of_many_calls_in_this_thread() -> None:
    machine = Machine()
    done = machine.run("while true { call t {} }", tools={"t": lambda: None}, timeout=0.02)
    assert done.status == "interrupted"


def test_an_exception_that_is_no_failure_leaves_the_machine_usable() -> None:
    machine = Machine()

    def tool() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        machine.run("x = 1\ncall t {}", tools={"t": tool})
    assert machine.run("submit x").value == 1


async def test_the_loop_stays_live_while_blocks_compute() -> None:
    """Other tasks go on; how quickly is not for a test to say."""
    machines = [Machine(PLENTY) for _ in range(4)]
    runs = [asyncio.create_task(machine.run_async(FOREVER)) for machine in machines]
    for _ in range(200):
        await asyncio.sleep(0)
    done = await Machine().run_async("submit 1")
    assert done.value == 1
    for run in runs:
        run.cancel()
    await asyncio.gather(*runs, return_exceptions=True)
    for machine in machines:
        assert machine.run("submit i > 0").value is True


async def test_long_computation_leaves_the_loops_thread() -> None:
    """More slices than run inline: the fuel comes out as in a synchronous run."""
    source = "x = 0\nfor i in range(300000) { x = x + i }\nsubmit x"
    alone = Machine().run(source)
    done = await Machine().run_async(source)
    assert (done.value, done.fuel) == (alone.value, alone.fuel)


async def test_plain_functions_run_outside_the_loops_thread() -> None:
    seen: list[threading.Thread] = []
    await Machine().run_async("call t {}", tools={"t": lambda: seen.append(threading.current_thread())})
    assert seen[0] is not threading.current_thread()


async def test_blocking_tools_of_one_wave_overlap() -> None:
    barrier = threading.Barrier(3)
    source = "submit parallel { (call t {})?\n(call t {})?\n(call t {})? }"
    done = await Machine().run_async(source, tools={"t": lambda: barrier.wait() >= 0})
    assert done.value == [True, True, True]


class Archive:
    """A host of its own kind, with one projected record."""

    def __init__(self) -> None:
        self.questions: list[str] = []

    async def call(self, name: str, args: dict[str, Any]) -> Any:
        if name == "fail":
            raise ToolFailure(["no", "way"])
        return [name, args]

    async def start(self, name: str, args: dict[str, Any]) -> Any:
        return {"__handle__": name}

    async def await_handle(self, handle: dict[str, Any]) -> Any:
        return handle["__handle__"]

    async def cancel(self, handle: dict[str, Any]) -> Any:
        return None

    async def print(self, value: Any, text: str) -> None:
        return None

    async def read_projection(self, target: Projected, question: str, args: Sequence[Any]) -> Any:
        self.questions.append(f"{target.name} {question}")
        if question == "len":
            return 3
        if question == "whole" and target.name == "doc":
            return [1, 2, 3]
        if question == "whole":
            raise OSError("gone")
        raise Unsupported


async def test_a_tool_host_answers_all_kinds_of_requests() -> None:
    source = "h = start call job {}\nprint h\nr = await h\nx = call fail {}\ncancel h\nsubmit [call a { k: 1 }, r, x]"
    done = await Machine().run_async(source, host=Archive())
    assert done.value == [
        {"ok": True, "value": ["a", {"k": 1}]},
        {"ok": True, "value": "job"},
        {"ok": False, "error": '["no","way"]'},
    ]


async def test_a_tool_host_answers_for_projections_without_a_source() -> None:
    host = Archive()
    done = await Machine().run_async("submit [len(doc), sum(doc)]", host=host, projected={"doc": Projected("doc")})
    assert done.value == [3, 6]
    assert host.questions == ["doc len", "doc whole"]


async def test_a_projection_the_host_cannot_read_is_unavailable() -> None:
    done = await Machine().run_async("submit lost + 1", host=Archive(), projected={"lost": Projected("lost")})
    assert done.error is not None
    assert done.error.kind == "projection_unavailable"
    assert "lost" in done.error.message


async def test_a_machine_is_busy_while_it_runs_on_the_loop() -> None:
    gate, machine = Gate(), Machine()
    run = asyncio.create_task(machine.run_async('call gate { name: "a" }', tools={"gate": gate}))
    await gate.until("a")
    with pytest.raises(lashlang.MachineBusy):
        await machine.run_async("submit 1")
    gate.open("a")
    assert (await run).status == "continued"


async def test_a_started_tool_can_be_cancelled_while_it_is_awaited() -> None:
    gate = Gate()
    source = 'h = start call gate { name: "a" }\nsubmit (parallel { await h\ncancel h })[0]'
    done = await Machine().run_async(source, host=FunctionHost({"gate": gate}))
    assert done.value["ok"] is False
    assert gate.cancelled == ["a"]
