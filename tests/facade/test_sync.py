"""lash without `await`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

import lash
from tests.facade.support import block, core_with


def test_a_script_opens_a_session_runs_turns_and_forks() -> None:
    core = core_with(block("x = 1\nsubmit x"), block("x = 2\nsubmit x"), block("submit x"))
    with core.session("lab") as session:
        assert session.run_sync("One.").result.submitted_value() == 1
        assert session.turn("Two.").result_sync().submitted_value() == 2
        with session.fork(turn=1) as twin:
            assert twin.run_sync("Again.").result.submitted_value() == 1
    assert core.stats().open_sessions == 0


async def test_inside_a_running_loop_sync_calls_work_on_their_own_loop() -> None:
    core = core_with(block("submit 1"))
    with core.session("lab") as session:
        assert session.run_sync("One.").result.submitted_value() == 1
        with pytest.raises(lash.ConfigError) as bound:
            await session.turn("Two.")
        assert bound.value.code == "core_bound_to_other_loop"


async def test_a_sync_call_in_the_loop_of_its_core_says_to_await() -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        with pytest.raises(lash.TurnError) as refused:
            session.run_sync("One.")
        assert refused.value.code == "sync_in_own_loop"
        assert (await session.turn("One.")).submitted_value() == 1


async def test_another_thread_may_call_into_the_loop_of_a_core() -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        output = await asyncio.to_thread(session.run_sync, "One.")
        assert output.result.submitted_value() == 1


def test_two_threads_share_the_loop_of_sync_calls() -> None:
    core = core_with(*[block("submit 1")] * 6)
    done: list[object] = []

    def work(n: int) -> None:
        with core.session(f"s-{n}") as session:
            done.append(session.run_sync("Go.").result.submitted_value())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [1] * 6


INTERRUPTED = """
import threading, os, signal
from lash.testing.scripted import HANG, Step
from tests.facade.support import core_with

core = core_with(Step([], HANG))
with core.session("s") as session:
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    result = session.turn("Go.").result_sync()
    print(type(result.outcome.stop).__name__, result.revision)
"""


def test_ctrl_c_cancels_the_turn_and_waits_for_its_commit() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Cancelled 1\n"), done.stderr
