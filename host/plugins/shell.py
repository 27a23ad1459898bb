"""The plugin `shell`: lets a session's model run commands. It is in no stack unless an application asks for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lash.host.plugins.spill import SpillDirectory, default_directory
from lash.host.system import SystemClock
from lash.host.tools.shell.commands import Commands
from lash.host.tools.shell.tools import ShellTools
from lash.runtime.errors import ConfigError
from lash.runtime.plugins.contract import PluginFactory, PluginSessionContext, PromptContext, SessionPlugin
from lash.runtime.plugins.registrar import PluginRegistrar
from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.definition import ApprovalCheck

ID: Final = "shell"

GUIDANCE: Final = {
    "exec_command": "- `exec_command` for commands that end by themselves; it waits for them.",
    "start_command": "- `start_command` for servers, watchers and programs that ask questions.",
    "write_stdin": "- `write_stdin` to answer such a program, to end its input, or to read what it has printed since.",
}
"""A line of the prompt for each tool."""

CAUTION: Final = (
    "Commands are not bound by the file policy. Do not run git commands that discard work, such as `git reset --hard`, "
    "`git checkout --` or `git clean`, unless you were asked to."
)


class StandardShellPluginFactory(PluginFactory):
    """Makes the plugin `shell`, with the tools `exec_command`, `start_command` and `write_stdin`.

    **A command is not confined.** It runs as this process's user with this process's environment, and reaches whatever
    the process may reach; no `FilePolicy` binds it. Where that is not wanted, run the application in a container.

    When a command times out, its call is cancelled, or the session or the core is closed, the command is ended with all
    that it has started: SIGTERM, and SIGKILL 200 ms later. On Linux that reaches children in other process groups and
    sessions and those that lost their parent, as long as they keep the environment that they inherited
    (`lash.host.tools.shell.tree` has the details); elsewhere it reaches the process group of commands that still run.
    Where this process itself is killed, commands run on.

    Arguments: `needs_approval` True has every call ask, a check decides (`ToolManifest.needs_approval`). `workdir` is
    where commands run that name no directory (None: the directory of the process). `spill_dir` is where long outputs
    are kept (None: that of `ToolOutputBudget`). Raises ConfigError (shell_unsupported) on Windows.
    """

    id = ID

    def __init__(
        self,
        needs_approval: bool | ApprovalCheck = False,
        *,
        workdir: str | os.PathLike[str] | None = None,
        spill_dir: str | os.PathLike[str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if os.name != "posix":
            raise ConfigError("shell_unsupported", "the plugin `shell` needs Linux or macOS")
        self._needs_approval = needs_approval
        self._workdir = None if workdir is None else Path(workdir).absolute()
        self._clock = clock or SystemClock()
        self._spill = SpillDirectory(default_directory() if spill_dir is None else Path(spill_dir), self._clock)
        self._open: set[_ShellPlugin] = set()

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        """See `PluginFactory`."""
        commands = Commands(self._spill, self._clock)
        plugin = _ShellPlugin(commands, ShellTools(commands, self._workdir or Path.cwd(), self._needs_approval))
        self._open.add(plugin)
        plugin.closed = lambda: self._open.discard(plugin)
        return plugin

    async def aclose(self) -> None:
        """The core is closed: ends the commands of sessions whose own closing did not."""
        for plugin in tuple(self._open):
            await plugin.aclose()


class _ShellPlugin(SessionPlugin):
    id = ID

    def __init__(self, commands: Commands, tools: ShellTools) -> None:
        self._commands = commands
        self._tools = tools

    def closed(self) -> None:
        """Called once all commands have ended."""

    def register(self, reg: PluginRegistrar) -> None:
        """See `SessionPlugin`."""
        for one in self._tools.tools():
            reg.tools().provider(one)
        reg.prompt().contribute(_guidance)

    async def aclose(self) -> None:
        """See `SessionPlugin`: ends all commands."""
        await self._commands.aclose()
        self.closed()


def _guidance(ctx: PromptContext) -> Sequence[PromptContribution]:
    """Which tool to use when, of those that can be called."""
    lines = [
        line for name, line in GUIDANCE.items() if (entry := ctx.surface.entry(name)) is not None and entry.callable
    ]
    return [PromptContribution.guidance("Shell", "\n".join([*lines, "", CAUTION]))] if lines else []
