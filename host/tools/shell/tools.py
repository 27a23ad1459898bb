"""`exec_command`, `start_command` and `write_stdin`: commands for a shell (plugins.md 13.5).

No policy of files binds a command: it reaches what the process reaches, with its environment. That is why the tools
are off unless an application asks for them, and why only the operating system can draw a real boundary round them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from lash.host.tools.shell.commands import Commands
from lash.host.tools.shell.launching import Command
from lash.host.tools.shell.record import RECORD_SCHEMA, report
from lash.host.tools.shell.running import RunningCommand
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import ToolContext, ToolProgress
from lash.runtime.tools.decorator import Tool, tool, tools_of
from lash.runtime.tools.definition import ApprovalCheck
from lash.runtime.tools.result import ToolError, ToolResult
from lash.runtime.tools.waiting import discard

DEFAULT_TIMEOUT_MS: Final = 600_000
MOST_TIMEOUT_MS: Final = 3_600_000
DEFAULT_POLL_MS: Final = 250
DEADLINE_MS: Final = MOST_TIMEOUT_MS + 5_000
"""The dispatcher's deadline, which a manifest has one of: 5 s beyond the longest timeout that a call can ask for.

The timeout of a call is kept by the tool itself.
"""

Tokens = Annotated[int, Field(ge=1)] | None
Poll = Annotated[int, Field(ge=0, le=MOST_TIMEOUT_MS)]


class ShellTools:
    """The three tools; `workdir` is where commands run that name no directory, `commands` those of the session.

    A running command is ended, with all that it has started, when its call is cancelled; `lash.host.tools.shell.tree`
    says what is found. What a command has left in the background when it ended goes on until the session is closed.
    """

    def __init__(self, commands: Commands, workdir: Path, needs_approval: bool | ApprovalCheck = False) -> None:
        self._commands = commands
        self._workdir = workdir
        self._needs_approval = needs_approval

    def tools(self) -> list[Tool[..., Any]]:
        """The tools, bound to this object."""
        return [self._offered(one) for one in tools_of(self)]

    def _offered(self, one: Tool[..., Any]) -> Tool[..., Any]:
        definition = one.definition
        one.definition = replace(
            definition,
            manifest=replace(definition.manifest, needs_approval=self._needs_approval),
            contract=replace(definition.contract, output_schema=RECORD_SCHEMA),
        )
        return one

    @tool(execution_mode="serial", mutates=True, timeout_ms=DEADLINE_MS)
    async def exec_command(
        self,
        context: ToolContext,
        progress: ToolProgress,
        cmd: str,
        workdir: str | None = None,
        shell: str | None = None,
        login: bool = False,
        allow_nonzero_exit: bool = False,
        max_output_tokens: Tokens = None,
        timeout_ms: Annotated[int, Field(ge=1, le=MOST_TIMEOUT_MS)] = DEFAULT_TIMEOUT_MS,
    ) -> ToolResult:
        """Run a shell command without input and wait for its end.

        Commands are not bound by the file policy: they reach whatever this process may reach.

        Args:
            cmd: The command line.
            workdir: Where it runs; the session's working directory if left out.
            shell: The shell that runs it; $SHELL, else bash.
            login: Run it in a login shell (bash, zsh, ksh, mksh, fish).
            allow_nonzero_exit: Return the record also where the command fails or times out.
            max_output_tokens: Cut the output to its first so many tokens of 4 characters.
            timeout_ms: End the command, with all it has started, after this time.
        """
        with _Cancelled(context.cancel_token) as cancelled:
            command = await self._commands.start(
                self._command(cmd, workdir, shell, login), allow_nonzero_exit=allow_nonzero_exit
            )
            async with _Watched(self._commands, command, progress):
                status = "completed"
                if not await command.wait(timeout_ms / 1000, cancelled):
                    if command.exit_code is not None:
                        await command.cut_short()
                    else:
                        await self._commands.end(command)
                        status = "cancelled" if cancelled.done() else "timed_out"
                return await report(command, status, max_output_tokens=max_output_tokens, timeout_ms=timeout_ms)

    @tool(execution_mode="serial", mutates=True, timeout_ms=DEADLINE_MS)
    async def start_command(
        self,
        context: ToolContext,
        progress: ToolProgress,
        cmd: str,
        workdir: str | None = None,
        shell: str | None = None,
        login: bool = False,
        allow_nonzero_exit: bool = False,
        max_output_tokens: Tokens = None,
        poll_ms: Poll = DEFAULT_POLL_MS,
    ) -> ToolResult:
        """Start a shell command on a terminal of 24x80 and return once it ends or `poll_ms` have passed.

        While it runs the result has a `session_id`, for `write_stdin`. Commands are not bound by the file policy: they
        reach whatever this process may reach.

        Args:
            cmd: The command line.
            workdir: Where it runs; the session's working directory if left out.
            shell: The shell that runs it; $SHELL, else bash.
            login: Run it in a login shell (bash, zsh, ksh, mksh, fish).
            allow_nonzero_exit: Return the record also where the command fails.
            max_output_tokens: Cut the output to its first so many tokens of 4 characters.
            poll_ms: How long to wait for the end.
        """
        with _Cancelled(context.cancel_token) as cancelled:
            command = await self._commands.start(
                self._command(cmd, workdir, shell, login), terminal=True, allow_nonzero_exit=allow_nonzero_exit
            )
            async with command.polling, _Watched(self._commands, command, progress):
                return await self._poll(command, cancelled, poll_ms, max_output_tokens)

    @tool(execution_mode="serial", mutates=True, timeout_ms=DEADLINE_MS)
    async def write_stdin(
        self,
        context: ToolContext,
        progress: ToolProgress,
        session_id: int,
        chars: str = "",
        poll_ms: Poll = DEFAULT_POLL_MS,
        close_stdin: bool = False,
        max_output_tokens: Tokens = None,
    ) -> ToolResult:
        """Write to a command that `start_command` started, and return what it has printed since the last time.

        Without `chars` it only waits and reads. Commands are not bound by the file policy: they reach whatever this
        process may reach.

        Args:
            session_id: The command, as `start_command` named it.
            chars: What to write; end a line with a line break.
            poll_ms: How long to wait for the end after writing.
            close_stdin: Write the end of input (Ctrl-D) after it.
            max_output_tokens: Cut the output to its first so many tokens of 4 characters.
        """
        with _Cancelled(context.cancel_token) as cancelled:
            command = self._commands.find(session_id)
            async with command.polling, _Watched(self._commands, command, progress):
                if chars or close_stdin:
                    await self._write(command, chars, close_stdin, cancelled, poll_ms)
                return await self._poll(command, cancelled, poll_ms, max_output_tokens)

    def _command(self, cmd: str, workdir: str | None, shell: str | None, login: bool) -> Command:
        return Command(cmd, self._workdir if workdir is None else self._workdir / workdir, shell, login)

    async def _write(
        self, command: RunningCommand, chars: str, end: bool, cancelled: asyncio.Future[None], poll_ms: int
    ) -> None:
        """Write while the command lives. Raises ToolError where it takes no input within the time of the poll."""
        writing = asyncio.create_task(command.write(chars, end=end))
        try:
            await command.wait(max(poll_ms, DEFAULT_POLL_MS) / 1000, cancelled, writing)
            ended = command.ended.done() or cancelled.done()
            if not writing.done() and not ended:
                raise ToolError("the command does not read its input, so not all of it could be written; poll it first")
        finally:
            await discard(writing)
        if not writing.cancelled():
            with suppress(OSError):  # it has ended, which the poll reports
                writing.result()

    async def _poll(
        self, command: RunningCommand, cancelled: asyncio.Future[None], poll_ms: int, max_output_tokens: int | None
    ) -> ToolResult:
        status = "running"
        if await command.wait(poll_ms / 1000, cancelled):
            self._commands.forget(command)
            status = "completed"
        elif cancelled.done():
            await self._commands.end(command)
            status = "cancelled"
        return await report(command, status, max_output_tokens=max_output_tokens)


class _Cancelled:
    """The request to stop as a future of this loop, for as long as a call runs."""

    def __init__(self, token: CancelToken) -> None:
        self._token = token

    def __enter__(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            loop.call_soon_threadsafe(lambda: asked.done() or asked.set_result(None))

        self._asked = asked
        self._forget: Callable[[], None] = self._token.on_cancel(wake)
        return asked

    def __exit__(self, *_: object) -> None:
        self._forget()
        self._asked.cancel()


class _Watched:
    """Shows a command's output as progress of a call; a call that is cancelled ends the command."""

    def __init__(self, commands: Commands, command: RunningCommand, progress: ToolProgress) -> None:
        self._commands = commands
        self._command = command
        self._progress = progress

    async def __aenter__(self) -> None:
        self._command.progress = self._progress

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._command.progress = None
        if kind is not None and not issubclass(kind, ToolError):
            await self._commands.end(self._command)
