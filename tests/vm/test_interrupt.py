"""Operations that would run for a minute, stopped half-way: by a timeout, a cancellation, a signal, another thread."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

import lashlang
from lashlang.vm.steps import Yielded

VAST = """
a = [[i] for i in range(512)]
b = [[i] for i in range(512)]
for level in range(3) {
  a = [[a[(i + k) % 512] for k in range(512)] for i in range(512)]
  b = [[b[(i + k) % 512] for k in range(512)] for i in range(512)]
}
"""
"""Two equal values of 512^4 elements whose shared parts come up again too late for the comparison to remember them."""

LONG = {
    "a comparison": "submit a == b",
    "a search": "submit a in [b]",
    "a weight": "submit unique([a])",
}


@pytest.fixture
def machine() -> Iterator[lashlang.Machine]:
    with lashlang.Machine() as machine:
        assert machine.run(VAST).status == "continued"
        yield machine
        assert machine.run("submit len(a) + len(b)").value == 1024
        with lashlang.Machine.restore(machine.snapshot()) as restored:
            assert restored.run("submit len(a)").value == 512


@pytest.mark.parametrize("name", LONG)
def test_a_timeout_stops_one_long_operation(machine: lashlang.Machine, name: str) -> None:
    outcome = machine.run(LONG[name], timeout=0.05)
    assert outcome.status == "interrupted"
    assert outcome.fuel < 10, "the operation was not stopped: it ran until it had used up the fuel"


@pytest.mark.parametrize("name", LONG)
async def test_a_timeout_stops_one_long_operation_on_a_loop(machine: lashlang.Machine, name: str) -> None:
    outcome = await machine.run_async(LONG[name], timeout=0.05)
    assert outcome.status == "interrupted"
    assert outcome.fuel < 10


async def test_a_cancelled_task_ends_in_the_middle_of_an_operation(machine: lashlang.Machine) -> None:
    task = asyncio.create_task(machine.run_async("x = 1\nsubmit a == b"))
    for _ in range(30):
        await asyncio.sleep(0.001)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert machine.globals["x"] == 1


def test_another_thread_stops_an_operation_which_then_is_still_ahead(machine: lashlang.Machine) -> None:
    block = machine.open_block("submit a == b", None, None)
    assert not isinstance(block, lashlang.Done)
    step = block.begin({})
    while not (isinstance(step, Yielded) and step.heavy):
        assert isinstance(step, Yielded)
        step = block.go_on(heavy=False)
    assert block.go_on_watched(timeout=0.02) == Yielded(heavy=True)
    assert block.go_on(heavy=True) == Yielded(heavy=True), "a wish to stop holds until it is taken back"
    machine.instance.ask_to_stop(False)
    assert block.go_on_watched(timeout=0.02) == Yielded(heavy=True)
    assert block.interrupt().outcome.status == "interrupted"


@pytest.mark.parametrize("name", LONG)
async def test_the_time_of_computing_bounds_one_long_operation(machine: lashlang.Machine, name: str) -> None:
    outcome = await machine.run_async(LONG[name], compute_timeout=0.05)
    assert outcome.status == "interrupted"
    assert outcome.error is not None
    assert outcome.error.message == "stopped after 0.05 s of computing"
    assert outcome.fuel < 10


async def test_the_time_of_computing_bounds_a_loop_and_not_what_tools_take() -> None:
    async def slow() -> int:
        await asyncio.sleep(0.2)
        return 1

    with lashlang.Machine() as machine:
        waited = await machine.run_async("submit (call slow {})?", tools={"slow": slow}, compute_timeout=0.1)
        assert waited.value == 1
        stopped = await machine.run_async("n = 0\nwhile true { n += 1 }", compute_timeout=0.02, fuel=10**12)
        assert stopped.status == "interrupted"
        small = await machine.run_async(
            "while true { call quick {} }", tools={"quick": lambda: 1}, compute_timeout=0.01
        )
        assert small.status == "interrupted"


@pytest.mark.parametrize("one_at_a_time", [True, False])
async def test_answers_taken_one_at_a_time_let_the_block_go_on_in_the_order_they_come(one_at_a_time: bool) -> None:
    order: list[str] = []
    asked = asyncio.Event()

    async def first(n: int) -> None:
        # All three answers come in one round of the loop, the last one first.
        if n == 3:
            asked.set()
        await asked.wait()
        for _ in range(3 - n):
            await asyncio.sleep(0)

    async def second(n: int) -> None:
        order.append(f"second {n}")

    branches = [f"if true {{ call first {{ n: {n} }} call second {{ n: {n} }} }}" for n in (1, 2, 3)]
    source = "parallel {\n" + "\n".join(branches) + "\n}"
    with lashlang.Machine() as machine:
        tools = {"first": first, "second": second}
        outcome = await machine.run_async(source, tools=tools, one_at_a_time=one_at_a_time)
        assert outcome.error is None
    if one_at_a_time:
        assert order == ["second 3", "second 2", "second 1"]
    assert sorted(order) == ["second 1", "second 2", "second 3"]


async def test_a_long_source_is_compiled_beside_the_loop_and_its_cancellation_leaves_the_machine_free() -> None:
    source = "x = [" + "1," * 50_000 + "]\nsubmit len(x)"
    with lashlang.Machine() as machine:
        task = asyncio.create_task(machine.run_async(source))
        turns = 0
        while not task.done() and turns < 10:
            await asyncio.sleep(0)
            turns += 1
        assert turns == 10, "the loop had no turn while the source was compiled"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await machine.run_async(source)).value == 50_000
        broken = await machine.run_async(source + " )")
        assert broken.error is not None
        assert broken.error.kind == "syntax_error"


CHILD = f"""
import lashlang

machine = lashlang.Machine()
machine.run({VAST!r})
program = lashlang.compile("x = 1\\ncall ready {{}}\\nsubmit a == b")
try:
    machine.run(program, tools={{"ready": lambda: print("ready", flush=True)}})
except KeyboardInterrupt:
    print("interrupted", machine.globals["x"], machine.run("submit len(a)").value, flush=True)
"""


def test_a_key_press_stops_an_operation_of_a_program_without_a_loop() -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child:
        assert child.stdout.readline() == "ready\n"
        # The signal may come before the operation has begun as well as within it; either way it ends the run.
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline().startswith("interrupted")
    assert child.returncode == 0
