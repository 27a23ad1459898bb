"""`exec_command`: results, failures, and what is wrong with what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.host.tools.shell.support import failed_record, record, shell
from tests.runtime.tools.support import failure


async def test_a_command_that_works_gives_its_record(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.run("printf 'out\\n'; printf 'err\\n' >&2; printf 'again'")
    assert found.pop("wall_time_seconds") >= 0
    assert found == {
        "output": "out\nerr\nagain",
        "status": "completed",
        "done": True,
        "running": False,
        "exit_code": 0,
    }


async def test_a_command_that_fails_is_a_failure_with_its_output_and_its_record(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        cls, code, message, raw = failed_record(await sh.call("exec_command", cmd="echo before; exit 3"))
    assert (cls, code, message) == ("execution", "tool_error", "Command exited with code 3\nbefore")
    assert (raw["exit_code"], raw["output"], raw["error"]) == (3, "before\n", "Command exited with code 3")
    assert raw["status"] == "completed"


async def test_the_message_of_a_failure_holds_the_end_of_a_long_output_and_says_where_the_rest_is(
    tmp_path: Path,
) -> None:
    async with shell(tmp_path) as sh:
        _, _, message, raw = failed_record(await sh.call("exec_command", cmd="seq 1 5000; exit 3"))
    first, second, *rest = message.split("\n")
    assert first == "Command exited with code 3"
    (file,) = (tmp_path / "spill").iterdir()
    assert second == f"[truncated] the whole output is in {file}"
    assert rest == [str(n) for n in range(4701, 5001)]
    assert raw["full_output_path"] == str(file)
    assert raw["output"] == file.read_text() == "".join(f"{n}\n" for n in range(1, 5001))


async def test_a_failure_can_be_allowed(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.run("exit 3", allow_nonzero_exit=True)
    assert (found["exit_code"], found["error"]) == (3, "Command exited with code 3")


async def test_a_signal_counts_from_128(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        found = await sh.run("kill -9 $$", allow_nonzero_exit=True)
    assert found["exit_code"] == 137


async def test_a_failure_within_a_pipe_fails_the_command(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        piped = failure(await sh.call("exec_command", cmd="false | true"))
        plain = await sh.run("false | true", shell="sh")
    assert piped[2] == "Command exited with code 1"
    assert plain["exit_code"] == 0


async def test_a_command_has_no_input(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        assert (await sh.run("cat; echo done"))["output"] == "done\n"


async def test_commands_run_in_the_working_directory_and_relative_ones_start_there(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    async with shell(tmp_path) as sh:
        here = await sh.run("pwd -P")
        below = await sh.run("pwd -P", workdir="sub")
        elsewhere = await sh.run("pwd -P", workdir="/")
    assert here["output"] == f"{tmp_path.resolve()}\n"
    assert below["output"] == f"{(tmp_path / 'sub').resolve()}\n"
    assert elsewhere["output"] == "/\n"


async def test_the_shell_is_that_of_the_user_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own-shell"
    own.write_text('#!/bin/sh\necho "own: $2"\n')
    own.chmod(0o755)
    monkeypatch.setenv("SHELL", str(own))
    async with shell(tmp_path) as sh:
        named = record(await sh.bench.call("exec_command", {"cmd": "x"}))
        monkeypatch.delenv("SHELL")
        unset = record(await sh.bench.call("exec_command", {"cmd": "echo ${BASH_VERSION:+bash}"}))
    assert named["output"] == "own: x\n"
    assert unset["output"] == "bash\n"


async def test_a_login_shell_is_one(tmp_path: Path) -> None:
    async with shell(tmp_path) as sh:
        assert (await sh.run("shopt -q login_shell && echo yes", login=True))["output"].endswith("yes\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"cmd": "true", "shell": "no-such-shell"}, "the shell 'no-such-shell' was not found"),
        ({"cmd": "true", "workdir": "missing"}, "missing' is no directory"),
        pytest.param({"cmd": "true", "workdir": "x" * 5000}, "xxx' is no directory", id="a workdir that is too long"),
        ({"cmd": "true", "shell": "sh", "login": True}, "'sh' has no login shell"),
        ({"cmd": "echo \0"}, "cannot hold a NUL character"),
        ({"cmd": "true", "workdir": "a\0b"}, "cannot hold a NUL character"),
        pytest.param(
            {"cmd": "true #" + "x" * 3_000_000},
            "the command could not be started: Argument list too long",
            id="too long",
        ),
    ],
)
@pytest.mark.parametrize("tool", ["exec_command", "start_command"])
async def test_what_cannot_be_started_says_why(tmp_path: Path, tool: str, args: dict[str, Any], message: str) -> None:
    async with shell(tmp_path) as sh:
        cls, code, text = failure(await sh.call(tool, **args))
    assert (cls, code) == ("execution", "tool_error")
    assert message in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "cmd: required property missing"),
        ({"cmd": "true", "timeout_ms": 0}, "timeout_ms: "),
        ({"cmd": "true", "timeout_ms": 3_600_001}, "timeout_ms: "),
        ({"cmd": "true", "max_output_tokens": 0}, "max_output_tokens: "),
        ({"cmd": "true", "cwd": "/"}, "cwd: unexpected property"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused(tmp_path: Path, args: dict[str, Any], message: str) -> None:
    async with shell(tmp_path) as sh:
        cls, code, text = failure(await sh.bench.call("exec_command", args))
    assert (cls, code) == ("invalid_request", "invalid_tool_args")
    assert text.startswith(message)


async def test_the_tools_are_serial_and_may_change_things_and_say_that_nothing_confines_them(tmp_path: Path) -> None:
    async with shell(tmp_path, needs_approval=True) as sh:
        entries = list(sh.bench.dispatcher.surface.entries.values())
    assert [entry.manifest.name for entry in entries] == ["exec_command", "start_command", "write_stdin"]
    for entry in entries:
        assert (entry.manifest.execution_mode, entry.manifest.mutates) == ("serial", True)
        assert entry.manifest.needs_approval is True
        assert entry.manifest.timeout_ms == 3_605_000
        assert "not bound by the file policy" in entry.manifest.description
        assert entry.contract().output_schema is not None
