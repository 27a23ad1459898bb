"""The shell's tools behind a dispatcher, with a check that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from lash.host.plugins.spill import SpillDirectory
from lash.host.system import SystemClock
from lash.host.tools.shell.commands import Commands
from lash.host.tools.shell.tools import ShellTools
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.tools import CompletedToolCall, ToolOutput
from lash.runtime.seams.clock import Clock
from lash.testing.clock import FakeClock
from tests.runtime.tools.support import Bench, bench, value

FEW_ROUNDS = 2000
HAS_PROC = Path("/proc/self/stat").exists()

T = TypeVar("T")


class Shell:
    """A session's shell."""

    def __init__(self, on: Bench, commands: Commands) -> None:
        self.bench = on
        self.commands = commands

    async def call(self, tool: str, **args: Any) -> CompletedToolCall:
        """A call's end."""
        return await self.bench.call(tool, {"shell": "bash", **args} if "cmd" in args else args)

    async def run(self, cmd: str, **args: Any) -> dict[str, Any]:
        """The record of a command that worked."""
        return record(await self.call("exec_command", cmd=cmd, **args))

    async def start(self, cmd: str, **args: Any) -> dict[str, Any]:
        """The record of a command that was started."""
        return record(await self.call("start_command", cmd=cmd, **args))

    async def write(self, session_id: int, chars: str = "", **args: Any) -> dict[str, Any]:
        """The record of a command that was written to."""
        return record(await self.call("write_stdin", session_id=session_id, chars=chars, **args))

    async def see(self, session_id: int, text: str) -> None:
        """Poll until the output since the last poll is this text."""
        seen = ""
        while seen != text:
            found = await self.write(session_id, poll_ms=20)
            assert found["running"] is True, found
            seen += found["output"]
            assert text.startswith(seen)

    def live(self) -> list[str]:
        """The chunks that were shown as they came."""
        return [
            event.payload["text"]
            for event, _ in self.bench.shown
            if isinstance(event, TurnEvent.PluginRuntime) and isinstance(event.payload, dict)
        ]  # type: ignore[misc]


@asynccontextmanager
async def shell(folder: Path, *, clock: Clock | None = None, **more: Any) -> AsyncGenerator[Shell]:
    """A shell that works in a folder; afterwards no descriptor, task or process of it is left."""
    fds, tasks = open_files(), asyncio.all_tasks()
    commands = Commands(SpillDirectory(folder / "spill", SystemClock()), clock or SystemClock())
    try:
        async with bench(ShellTools(commands, folder, **more).tools()) as on:
            yield Shell(on, commands)
    finally:
        await commands.aclose()
    assert open_files() == fds
    assert asyncio.all_tasks() == tasks


async def let_time_pass(clock: FakeClock, work: asyncio.Task[T]) -> T:
    """Run work that waits for processes as well as for the clock, which goes on in small steps until it is done."""
    while not work.done():
        await clock.advance(0.02)
        await asyncio.sleep(0.001)
    return work.result()


def open_files() -> dict[str, str]:
    """The open descriptors of this process, and of what where the system tells; the one of the look itself left out."""
    found: dict[str, str] = {}
    for fd in os.listdir("/dev/fd"):
        try:
            os.fstat(int(fd))
            found[fd] = os.readlink(f"/proc/self/fd/{fd}") if HAS_PROC else fd
        except OSError:
            continue
    return found


def record(call: CompletedToolCall) -> dict[str, Any]:
    """The record of a call that worked."""
    found = value(call)
    assert isinstance(found, dict)
    return found


def failed_record(call: CompletedToolCall) -> tuple[str, str, str, dict[str, Any]]:
    """Class, code, message and record of a call that failed."""
    assert isinstance(call.output, ToolOutput.Failure), call.output
    failure = call.output.failure
    return failure.cls, failure.code, failure.message, failure.raw  # type: ignore[return-value]


def runs(pid: int) -> bool:
    """Whether a process runs; one that waits for its parent to notice its end does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


async def file_text(path: Path) -> str:
    """What a process has written to a file, as soon as there is a line of it."""
    for _ in range(FEW_ROUNDS):
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return text
        await asyncio.sleep(0.01)
    raise AssertionError(f"nothing was written to {path}")
