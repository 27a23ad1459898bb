"""Misuse of a machine from many threads ends in declared errors, not in a crash of the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lashlang
from lashlang import Machine, MachineBusy
from lashlang.workers import Workers

MISUSE = """
import random, threading
import lashlang

machines = [lashlang.Machine() for _ in range(3)]
unexpected = []
busy = 0

def work(seed):
    global busy
    rng = random.Random(seed)
    for _ in range(300):
        machine = rng.choice(machines)
        try:
            action = rng.randrange(5)
            if action == 0:
                machine.run("x = 0 for i in range(2000) { x = x + i } submit x")
            elif action == 1:
                machine.globals["x"] = rng.random()
            elif action == 2:
                list(machine.globals)
            elif action == 3:
                machine.start("submit (call t {})? + 1")
            else:
                machine.resume({request.id: lashlang.Response.ok(1) for request in machine.pending})
        except (lashlang.MachineBusy, lashlang.MachineMisuse):
            busy += 1
        except BaseException as error:
            unexpected.append(repr(error))

threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for machine in machines:
    if machine.running:
        machine.interrupt()
    assert machine.run("submit 1").value == 1
print("busy" if busy else "idle", unexpected)
"""


def test_misuse_from_many_threads_is_told_and_survived() -> None:
    root = str(Path(lashlang.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", MISUSE],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "busy []\n", "")


def test_machines_of_their_own_run_in_several_threads_at_once() -> None:
    values: list[Any] = []

    def work(number: int) -> None:
        with Machine() as machine:
            for _ in range(20):
                values.append(machine.run(f"x = {number}\nfor i in range(20000) {{ x += 1 }}\nsubmit x").value - number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [20_000] * 160


class Occupied:
    """A machine whose block waits in a tool in a thread of its own, for as long as the context lasts."""

    def __init__(self) -> None:
        self.machine = Machine()
        self._entered, self._leave = threading.Event(), threading.Event()
        source = "x = 1\ncall t {}\nx = 2"
        self._thread = threading.Thread(target=lambda: self.machine.run(source, tools={"t": self._tool}))

    def _tool(self) -> None:
        self._entered.set()
        self._leave.wait()

    def __enter__(self) -> Machine:
        self._thread.start()
        self._entered.wait()
        return self.machine

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._thread.join()


USES: dict[str, Callable[[Machine], object]] = {
    "run": lambda machine: machine.run("submit 1"),
    "run_async": lambda machine: asyncio.run(machine.run_async("submit 1")),
    "start": lambda machine: machine.start("submit 1"),
    "resume": lambda machine: machine.resume({1: lashlang.Response.ok(1)}),
    "finish": lambda machine: machine.finish(tools={"t": lambda: 1}),
    "interrupt": lambda machine: machine.interrupt(),
    "read a global": lambda machine: machine.globals["x"],
    "set a global": lambda machine: machine.globals.update(x=3),
    "list the globals": lambda machine: list(machine.globals),
    "set limits": lambda machine: setattr(machine, "limits", lashlang.Limits()),
    "close": lambda machine: machine.close(),
}


@pytest.mark.parametrize("use", USES)
def test_a_machine_that_another_thread_runs_refuses_every_other_use_by_name(use: str) -> None:
    occupied = Occupied()
    with occupied as machine, pytest.raises(MachineBusy):
        USES[use](machine)
    assert occupied.machine.globals["x"] == 2


def test_a_snapshot_and_a_fork_can_be_taken_by_another_thread_while_the_block_waits_in_a_tool() -> None:
    with Occupied() as machine:
        copies = [machine.fork(), Machine.restore(machine.snapshot())]
    for copy in copies:
        copy.finish(tools={"t": lambda: None})
        assert copy.globals["x"] == 2


def test_a_pool_that_could_not_make_a_thread_makes_one_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers(1, "test")
    begun: list[int] = []

    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError):
            workers.submit(lambda: begun.append(1))
    assert workers.submit(lambda: begun.append(2)).result(timeout=60) is None
    assert begun == [2]


def test_a_pool_of_few_threads_does_all_its_jobs_in_order() -> None:
    workers = Workers(1, "test")
    done: list[int] = []
    for future in [workers.submit(lambda number=number: done.append(number)) for number in range(500)]:
        future.result(timeout=60)
    assert done == list(range(500))
