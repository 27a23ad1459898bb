"""The commands of one session: those that the model can come back to, and all that have to end with the session."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from typing import Final

from lash.host.plugins.spill import SpillDirectory
from lash.host.tools.shell.launching import Command, launch
from lash.host.tools.shell.output import Output
from lash.host.tools.shell.running import RunningCommand
from lash.host.tools.shell.tree import Tree, end_tree
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.result import ToolError

MOST_COMMANDS: Final = 16
"""How many commands a session can have begun and not seen the end of."""


class Commands:
    """Starts commands and knows them by number until their end was reported."""

    def __init__(self, spill: SpillDirectory, clock: Clock) -> None:
        self._spill = spill
        self._clock = clock
        self._mark = secrets.token_hex(8)
        self._count = 0
        self._starting: set[asyncio.Task[RunningCommand]] = set()
        self._running: set[RunningCommand] = set()
        self._known: dict[int, RunningCommand] = {}
        self._opening = 0
        self._closed = False

    async def start(
        self, command: Command, *, terminal: bool = False, allow_nonzero_exit: bool = False
    ) -> RunningCommand:
        """Start a command; to one on a terminal the model can come back by its number until `forget`.

        Raises ToolError where it cannot be started, too many are open (too_many_commands), or the session is being
        closed. Where the caller is cancelled meanwhile the command is ended again.
        """
        if self._closed:
            raise ToolError("the session is being closed; no command can be started", cls="unavailable")
        if terminal:
            self._check_room()
        self._opening += terminal
        starting = asyncio.create_task(self._start(command, terminal, allow_nonzero_exit))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        try:
            started = await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_end_again)
            raise
        finally:
            self._opening -= terminal
        if terminal:
            self._known[started.number] = started
        return started

    async def _start(self, command: Command, terminal: bool, allow_nonzero_exit: bool) -> RunningCommand:
        self._count += 1
        number = self._count
        mark = f"{self._mark}:{number}"
        process, channel = await launch(command, os.environ, mark, terminal=terminal)
        output = Output(self._spill, f"exec_command-{number}-{time.time_ns()}.log")
        running = RunningCommand(
            number, mark, process, channel, output, self._clock, allow_nonzero_exit=allow_nonzero_exit
        )
        self._running.add(running)
        running.ended.add_done_callback(lambda _: self._running.discard(running))
        return running

    def _check_room(self) -> None:
        """Raises ToolError (too_many_commands) where no further command can be kept."""
        if len(self._known) + self._opening >= MOST_COMMANDS:
            numbers = ", ".join(map(str, self._known))
            raise ToolError(
                f"{MOST_COMMANDS} commands are open, which is the most (session ids {numbers}): "
                "end one, or read what an ended one has left, with write_stdin",
                cls="resource_limit",
                code="too_many_commands",
            )

    def find(self, number: int) -> RunningCommand:
        """The command of that number. Raises ToolError where there is none."""
        found = self._known.get(number)
        if found is None:
            raise ToolError(f"Unknown session id {number}")
        return found

    def forget(self, command: RunningCommand) -> None:
        """The end of a command was reported."""
        self._known.pop(command.number, None)

    async def end(self, command: RunningCommand) -> None:
        """End a command that nobody will ask for any more."""
        self.forget(command)
        await command.stop()

    async def aclose(self) -> None:
        """End all commands, and what ended ones have left behind."""
        self._closed = True
        self._known.clear()
        if self._starting:
            await asyncio.wait(self._starting)
        if self._running:
            await asyncio.gather(*(command.stop() for command in tuple(self._running)))
        if self._count:
            await end_tree(Tree(None, self._belongs), self._clock)

    def _belongs(self, mark: str) -> bool:
        return mark.startswith(f"{self._mark}:")


def _end_again(starting: asyncio.Task[RunningCommand]) -> None:
    """Nobody waits for this command any more; the session's end waits for its end."""
    if not starting.cancelled() and starting.exception() is None:
        asyncio.ensure_future(starting.result().stop())  # noqa: RUF006 - the command holds the task that does it
