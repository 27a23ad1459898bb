"""Commands that are ended: by their timeout, by cancellation, with their session; and what they have started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lash.host.tools.shell.launching import Command
from lash.runtime.sansio.tools import ToolOutput
from lash.runtime.tools.result import ToolError
from lash.testing.clock import FakeClock
from tests.host.tools.shell.support import HAS_PROC, Shell, failed_record, file_text, let_time_pass, record, runs, shell
from tests.runtime.tools.support import failure

FAMILIES = {
    "a child": "sleep 600 & echo $! > pids; wait",
    "a child of a child": "(sleep 600 & echo $! > pids; wait) & wait",
    "one that ignores SIGTERM": "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > pids; while :; do sleep 600; done'",
    "one in a session of its own": "setsid sh -c 'echo $$ > pids; exec sleep 600' & wait",
    "one that lost its parent": "(setsid sh -c 'echo $$ > pids; exec sleep 600' &); sleep 600",
    "one without its environment": "env -i /bin/sh -c 'echo $$ > pids; exec sleep 600' & wait",
    "one that is stopped": "sh -c 'echo $$ > pids; kill -STOP $$' & wait",
}
"""Commands that put the number of a process they start into the file `pids`, and do not end."""


NEED_PROC = ("one in a session of its own", "one that lost its parent", "one without its environment")
"""What is found by looking into `/proc`."""

needs_proc = pytest.mark.skipif(not HAS_PROC, reason="without /proc a process group is all that is known of a command")


def parameters() -> pytest.MarkDecorator:
    families = [
        pytest.param(cmd, id=name, marks=[needs_proc] if name in NEED_PROC else []) for name, cmd in FAMILIES.items()
    ]
    return pytest.mark.parametrize("cmd", families)


@parameters()
async def test_a_timeout_ends_the_command_with_all_it_has_started(tmp_path: Path, cmd: str) -> None:
    clock = FakeClock()
    async with shell(tmp_path, clock=clock) as sh:
        running = asyncio.create_task(sh.call("exec_command", cmd=f"echo begun; {cmd}", timeout_ms=300))
        pid = int(await file_text(tmp_path / "pids"))
        assert runs(pid)
        call = await let_time_pass(clock, running)
        assert not runs(pid)
        await let_time_pass(clock, asyncio.create_task(sh.commands.aclose()))
    cls, code, message, raw = failed_record(call)
    assert (cls, code, message) == ("timeout", "command_timeout", "Command timed out after 300 ms\nbegun")
    assert (raw["status"], raw["timed_out"], raw["done"]) == ("timed_out", True, True)
    assert "exit_code" not in raw


async def test_a_command_has_200_ms_to_end_by_itself(tmp_path: Path) -> None:
    cmd = "trap 'echo tidy; exit 0' TERM; echo $$ > pids; while :; do sleep 0.01; done"
    clock = FakeClock()
    async with shell(tmp_path, clock=clock) as sh:
        running = asyncio.create_task(sh.call("exec_command", cmd=cmd, timeout_ms=1000, allow_nonzero_exit=True))
        await file_text(tmp_path / "pids")
        await clock.advance(1.0)
        while not sh.live():
            await asyncio.sleep(0.001)
        found = record(await let_time_pass(clock, running))
        await let_time_pass(clock, asyncio.create_task(sh.commands.aclose()))
    assert found["output"].endswith("tidy\n")
    assert found["timed_out"] is True


async def test_one_that_does_not_end_by_itself_is_killed_after_200_ms(tmp_path: Path) -> None:
    clock = FakeClock()
    async with shell(tmp_path, clock=clock) as sh:
        running = asyncio.create_task(
            sh.call("exec_command", cmd=FAMILIES["one that ignores SIGTERM"], timeout_ms=1000)
        )
        pid = int(await file_text(tmp_path / "pids"))
        await clock.advance(1.0)
        while 0.2 not in clock.slept:
            await asyncio.sleep(0.001)
        await clock.advance(0.19)
        assert runs(pid)
        await clock.advance(0.02)
        await let_time_pass(clock, running)
        assert not runs(pid)
        await let_time_pass(clock, asyncio.create_task(sh.commands.aclose()))


async def cancelled(sh: Shell, tmp_path: Path, tool: str, cmd: str) -> None:
    call = asyncio.create_task(sh.call(tool, cmd=cmd, **({"poll_ms": 60_000} if tool == "start_command" else {})))
    pid = int(await file_text(tmp_path / "pids"))
    sh.bench.token.cancel()
    assert isinstance((await call).output, ToolOutput.Cancelled)
    assert not runs(pid)


@parameters()
async def test_cancelling_the_turn_ends_the_command_with_all_it_has_started(tmp_path: Path, cmd: str) -> None:
    async with shell(tmp_path) as sh:
        await cancelled(sh, tmp_path, "exec_command", cmd)


@parameters()
async def test_cancelling_ends_a_command_on_a_terminal_too(tmp_path: Path, cmd: str) -> None:
    async with shell(tmp_path) as sh:
        await cancelled(sh, tmp_path, "start_command", cmd)


async def test_cancelling_the_task_of_a_call_ends_the_command(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        call = asyncio.create_task(sh.call("exec_command", cmd=FAMILIES["a child"]))
        pid = int(await file_text(tmp_path / "pids"))
        call.cancel()
        await asyncio.wait((call,))
        await sh.commands.aclose()
        assert not runs(pid)


@parameters()
async def test_closing_the_session_ends_commands_that_run(tmp_path: Path, cmd: str) -> None:
    async with shell(tmp_path) as sh:
        await sh.start(cmd, poll_ms=0)
        pid = int(await file_text(tmp_path / "pids"))
        assert runs(pid)
        await sh.commands.aclose()
        assert not runs(pid)


async def test_an_end_that_is_cut_short_at_any_moment_gives_everything_back(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        for moment in range(30):
            command = await sh.commands.start(Command("echo x", tmp_path, "bash"))
            while command.exit_code is None:
                await asyncio.sleep(0)
            for _ in range(moment):
                await asyncio.sleep(0)
            await command.cut_short()


@needs_proc
async def test_what_an_ended_command_left_behind_goes_on_until_the_session_is_closed(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        await sh.run("nohup sleep 600 > log 2>&1 & echo $! > pids")
        pid = int(await file_text(tmp_path / "pids"))
        await sh.run("true")
        assert runs(pid)
        await sh.commands.aclose()
        assert not runs(pid)


async def test_sessions_end_only_what_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with shell(tmp_path / "a") as one:
        await one.start("echo $$ > pids; exec sleep 600", poll_ms=0)
        async with shell(tmp_path / "b") as other:
            await other.start("echo $$ > pids; exec sleep 600", poll_ms=0)
            mine, theirs = [int(await file_text(tmp_path / name / "pids")) for name in "ab"]
        assert runs(mine)
        assert not runs(theirs)
    assert not runs(mine)


async def test_a_command_whose_call_is_cancelled_while_it_starts_is_ended(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        call = asyncio.create_task(sh.commands.start(Command("echo $$ > pids; exec sleep 600", tmp_path, "bash")))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await sh.commands.aclose()
        assert not (tmp_path / "pids").exists() or not runs(int((tmp_path / "pids").read_text()))


async def test_a_closed_session_starts_nothing(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        await sh.commands.aclose()
        cls, _, message = failure(await sh.call("exec_command", cmd="true"))
    assert (cls, message) == ("unavailable", "the session is being closed; no command can be started")


async def test_an_output_that_is_held_open_does_not_keep_a_call(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.run("echo said; sleep 600 & exit 0")
        assert (found["output"], found["exit_code"]) == ("said\n", 0)
        assert found["wall_time_seconds"] >= 0.07


async def test_what_comes_within_the_silence_after_the_end_is_not_lost(tmp_path: Path) -> None:
    clock = FakeClock()
    async with shell(tmp_path, clock=clock) as sh:
        cmd = "(for n in 1 2 3; do sleep 0.02; echo $n; done; exec sleep 600) & exit 0"
        running = asyncio.create_task(sh.run(cmd))
        while "".join(sh.live()) != "1\n2\n3\n":
            await asyncio.sleep(0.001)
        found = await let_time_pass(clock, running)
        await let_time_pass(clock, asyncio.create_task(sh.commands.aclose()))
    assert found["output"] == "1\n2\n3\n"


async def test_somebody_who_never_falls_silent_does_not_keep_a_call(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.run("yes & echo said; exit 0")
    assert (found["status"], found["exit_code"]) == ("completed", 0)


async def test_cancelling_a_poll_ends_the_command_and_its_number(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        number = (await sh.start("echo $$ > pids; exec sleep 600", poll_ms=0))["session_id"]
        pid = int(await file_text(tmp_path / "pids"))
        polling = asyncio.create_task(sh.call("write_stdin", session_id=number, poll_ms=60_000))
        while sh.commands.find(number).progress is None:
            await asyncio.sleep(0)
        sh.bench.token.cancel()
        assert isinstance((await polling).output, ToolOutput.Cancelled)
        assert not runs(pid)
        with pytest.raises(ToolError, match=f"Unknown session id {number}"):
            sh.commands.find(number)
