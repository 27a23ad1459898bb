"""`start_command` and `write_stdin`: programs on a terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lash.host.tools.shell.launching import Command
from lash.runtime.tools.result import ToolError
from tests.host.tools.shell.support import failed_record, file_text, record, shell
from tests.runtime.tools.support import failure

WHILE_WAITING = 60_000


async def test_a_program_that_asks_is_answered(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        asked = await sh.start("read -p 'Name? ' name; echo \"Hello $name\"", poll_ms=0)
        assert (asked["status"], asked["done"], asked["running"]) == ("running", False, True)
        await sh.see(asked["session_id"], "Name? ".removeprefix(asked["output"]))
        answered = await sh.write(asked["session_id"], "Ada\n", poll_ms=WHILE_WAITING)
    assert (answered["output"], answered["status"], answered["exit_code"]) == ("Hello Ada\n", "completed", 0)
    assert "session_id" not in answered


async def test_a_command_that_ends_within_the_window_is_done_at_once(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.start("echo hi", poll_ms=WHILE_WAITING)
    assert (found["output"], found["status"], found["exit_code"]) == ("hi\n", "completed", 0)


async def test_a_command_runs_on_a_terminal_of_24_by_80_of_its_own(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.start(
            "test -t 0 && test -t 1 && stty size && stty -a < /dev/tty | grep -o -- '-echo '", poll_ms=WHILE_WAITING
        )
    assert found["output"].split() == ["24", "80", "-echo"]


async def test_each_poll_gives_what_is_new(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        number = (await sh.start("read x; echo one; read x; echo two; read x; echo three", poll_ms=0))["session_id"]
        for line in ("one\n", "two\n"):
            await sh.commands.find(number).write("\n", end=False)
            await sh.see(number, line)
        last = await sh.write(number, "\n", poll_ms=WHILE_WAITING)
    assert last["output"] == "three\n"


@pytest.mark.parametrize("chars", ["a\nb", "a\nb\n", ""])
async def test_the_end_of_input_can_be_sent(tmp_path: Path, chars: str) -> None:
    async with shell(tmp_path) as sh:
        started = await sh.start("cat > got; echo end", poll_ms=0)
        ended = await sh.write(started["session_id"], chars, close_stdin=True, poll_ms=WHILE_WAITING)
    assert (ended["output"], ended["exit_code"]) == ("end\n", 0)
    assert (tmp_path / "got").read_text() == chars


async def test_ctrl_c_interrupts(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        cmd = "trap 'echo stopped; exit 5' INT; read x; echo ready; while :; do read x; done"
        started = await sh.start(cmd, poll_ms=0)
        await sh.commands.find(started["session_id"]).write("\n", end=False)
        await sh.see(started["session_id"], "ready\n")
        call = await sh.call("write_stdin", session_id=started["session_id"], chars="\x03", poll_ms=WHILE_WAITING)
    assert failed_record(call)[2] == "Command exited with code 5\nstopped"


async def test_a_command_that_may_fail_may_do_so_later(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        started = await sh.start("read x; exit 4", poll_ms=0, allow_nonzero_exit=True)
        ended = await sh.write(started["session_id"], "\n", poll_ms=WHILE_WAITING)
    assert ended["exit_code"] == 4


async def test_an_unknown_session_is_an_error(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        assert failure(await sh.call("write_stdin", session_id=7)) == (
            "execution",
            "tool_error",
            "Unknown session id 7",
        )
        ended = await sh.start("true", poll_ms=WHILE_WAITING)
        assert ended["done"] is True
        assert failure(await sh.call("write_stdin", session_id=1))[2] == "Unknown session id 1"


async def test_a_command_of_exec_command_is_no_session(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        await sh.run("sleep 600 & true")
        assert failure(await sh.call("write_stdin", session_id=1))[2] == "Unknown session id 1"


async def test_sixteen_commands_are_the_most(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        started = [await sh.start("read x", poll_ms=0) for _ in range(16)]
        cls, code, message = failure(await sh.call("start_command", cmd="true"))
        assert (cls, code) == ("resource_limit", "too_many_commands")
        assert message.startswith("16 commands are open, which is the most (session ids 1, 2, ")
        await sh.write(started[4]["session_id"], "\n", poll_ms=WHILE_WAITING)
        assert (await sh.start("true", poll_ms=WHILE_WAITING))["exit_code"] == 0


async def test_sixteen_are_the_most_also_where_they_start_side_by_side(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        starting = [sh.commands.start(Command("read x", tmp_path), terminal=True) for _ in range(20)]
        ends = await asyncio.gather(*starting, return_exceptions=True)
        refused = [end for end in ends if isinstance(end, ToolError)]
        assert [one.failure.code for one in refused] == ["too_many_commands"] * 4


async def test_a_command_that_could_not_be_started_takes_no_place(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        for _ in range(17):
            failure(await sh.call("start_command", cmd="true", workdir="missing"))
        assert (await sh.start("true", poll_ms=WHILE_WAITING))["exit_code"] == 0


async def test_a_command_whose_call_was_cancelled_takes_no_place(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        call = asyncio.create_task(sh.call("start_command", cmd="echo $$ > pids; exec sleep 600", poll_ms=60_000))
        await file_text(tmp_path / "pids")
        call.cancel()
        await asyncio.wait((call,))
        assert failure(await sh.call("write_stdin", session_id=1))[2] == "Unknown session id 1"


async def test_the_end_of_a_command_is_told_even_if_it_came_before_the_poll(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        started = await sh.start("read x; echo end; exit 3", poll_ms=0)
        await sh.commands.find(started["session_id"]).write("\n", end=False)
        await sh.commands.find(started["session_id"]).wait(60)
        call = await sh.call("write_stdin", session_id=started["session_id"], chars="more\n", poll_ms=0)
    assert failed_record(call)[2] == "Command exited with code 3\nend"


async def test_input_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        started = await sh.start("stty raw; read -n 1 x; echo ready; exec sleep 600", poll_ms=0)
        await sh.commands.find(started["session_id"]).write("\n", end=False)
        await sh.see(started["session_id"], "ready\n")
        call = await sh.call("write_stdin", session_id=started["session_id"], chars="x" * 200_000, poll_ms=100)
        assert "does not read its input" in failure(call)[2]
        again = record(await sh.call("write_stdin", session_id=started["session_id"], poll_ms=0))
        assert again["running"] is True
