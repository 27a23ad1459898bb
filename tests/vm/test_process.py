"""What the process does to its machines: Ctrl-C at any moment, and a fork."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lashlang
from lashlang import Machine
from lashlang.vm.block import Block

COMMON = """
import asyncio, os, signal, threading
import lashlang
from lashlang import Limits, Machine
from lashlang.vm.engine import Instance

PLENTY = Limits(fuel=1 << 60)
"""

INTERRUPTED = """
def interrupt_at(number):
    "Have the process interrupted, as by Ctrl-C, when the given command reaches a kernel."
    command, seen = Instance.command, 0
    def counting(self, operation, data, decode):
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGINT)
        return command(self, operation, data, decode)
    Instance.command = counting
    return command

async def slow(i):
    await asyncio.sleep(0)
    return i

TOOLS = {"plain": {"t": lambda i: i}, "async": {"t": slow}}
SOURCES = {
    "loop": "x = 1\\nwhile true { x += 1 }",
    "heavy": "x = range(100000)\\nwhile true { x = sort(x) }",
    "calls": "x = 1\\nwhile true { call t { i: 1 } }",
    "waves": "x = 1\\nwhile true { parallel { call t { i: 1 }, call t { i: 2 } } }",
    "reads": "x = 1\\nwhile true { x += len(p) }",
    "prints": "x = 1\\nwhile true { print '' }",
}
endings = []
for tools in TOOLS.values():
    for source in SOURCES.values():
        for number in (2, 3, 4, 5, 8, 13, 21):
            machine = Machine(Limits(fuel=1 << 60, requests=1 << 60))
            command = interrupt_at(number)
            try:
                machine.run(source, tools=tools, projected={"p": lashlang.TextSource("abc")})
            except KeyboardInterrupt:
                endings.append("interrupted")
            else:
                endings.append("swallowed")
            finally:
                Instance.command = command
            assert not machine.running
            assert machine.run("submit 1 + 1").value == 2
            assert list(Machine.restore(machine.snapshot()).globals) == list(machine.globals)
print(len(endings), set(endings))
"""

FORKED = """
machine = Machine()
machine.run("x = 1\\nxs = range(1000)")
suspended = Machine()
suspended.start("y = 2\\ny += (call t {})?\\nsubmit y")
asyncio.run(Machine().run_async("submit len(sort([i for i in range(200000)]))"))

child = os.fork()
if child == 0:
    code = 1
    try:
        assert machine.globals["x"] == 1
        machine.globals["x"] = 99
        assert machine.run("xs = push(xs, 1)\\nsubmit [x, len(xs)]").value == [99, 1001]
        long = "submit len(sort([i for i in range(200000)]))"
        assert asyncio.run(machine.run_async(long)).value == 200000
        assert suspended.finish(tools={"t": lambda: 40}).value == 42
        assert Machine.restore(machine.snapshot()).globals["x"] == 99
        with Machine() as fresh:
            assert fresh.run("submit 1 + 1").value == 2
        code = 0
    finally:
        os._exit(code)
_, status = os.waitpid(child, 0)
assert machine.run("submit [x, len(xs)]").value == [1, 1000]
assert suspended.finish(tools={"t": lambda: 5}).value == 7
print("child", status)
"""

FORKED_MEANWHILE = """
entered, leave = threading.Event(), threading.Event()
def tool():
    entered.set()
    leave.wait()
in_a_tool, computing, idle = Machine(), Machine(PLENTY), Machine()
waiting = threading.Thread(target=lambda: in_a_tool.run("x = 1\\ncall t {}", tools={"t": tool}))
looping = threading.Thread(target=lambda: computing.run("x = 1\\nwhile true { x += 1 }", timeout=3600), daemon=True)
waiting.start()
looping.start()
entered.wait()
while not computing.running:
    pass

def refused(use):
    try:
        use()
    except lashlang.MachineBusy:
        return True
    return False

child = os.fork()
if child == 0:
    code = 1
    try:
        for machine in (in_a_tool, computing):
            assert refused(lambda: machine.run("submit 1"))
            assert refused(lambda: machine.globals["x"])
            assert refused(machine.close)
        assert idle.run("submit 1 + 1").value == 2
        assert asyncio.run(Machine().run_async("submit len(sort([i for i in range(200000)]))")).value == 200000
        code = 0
    finally:
        os._exit(code)
_, status = os.waitpid(child, 0)
leave.set()
waiting.join()
assert in_a_tool.run("submit x").value == 1
print("child", status)
"""


def run_apart(script: str) -> str:
    """What a script prints, run in a process of its own; a process that dies or complains fails the test."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", COMMON + script],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(lashlang.__path__[0]).parent,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_ctrl_c_comes_through_whatever_the_block_is_doing_and_leaves_the_machine_well() -> None:
    assert run_apart(INTERRUPTED) == "84 {'interrupted'}\n"


@pytest.mark.parametrize("moment", ["__init__", "serve_with", "begin"])
def test_an_interruption_before_the_first_slice_leaves_the_machine_usable(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    machine = Machine()
    with monkeypatch.context() as patch:
        patch.setattr(Block, moment, interrupted)
        with pytest.raises(KeyboardInterrupt):
            machine.run("submit 1")
    assert machine.run("submit 1 + 1").value == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_machines_go_on_in_a_forked_process_and_share_nothing_with_their_parents() -> None:
    assert run_apart(FORKED) == "child 0\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_machine_that_another_thread_was_running_is_refused_in_a_forked_process() -> None:
    assert run_apart(FORKED_MEANWHILE) == "child 0\n"
