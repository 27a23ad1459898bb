"""Starting a command: which shell runs it and how, and the pipe or terminal that it prints to."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lash.host.tools.shell.channel import Channel
from lash.host.tools.shell.tree import MARK_VARIABLE
from lash.runtime.tools.result import ToolError

DEFAULT_SHELL: Final = "bash"
LOGIN_SHELLS: Final = frozenset({"bash", "zsh", "ksh", "mksh", "fish"})
PIPEFAIL_SHELLS: Final = frozenset({"bash", "zsh", "ksh", "mksh"})

ROWS, COLUMNS = 24, 80

QUIET: Final = {"TERM": "dumb", "PAGER": "cat", "GIT_PAGER": "cat"}
"""Variables that keep programs from drawing on the terminal and from waiting for somebody to turn the page."""

_TAKE_TERMINAL: Final = 'exec 0<>"$1" 1>&0 2>&0 || exit 126; shift; exec "$@"'
"""Opens the terminal, which makes it the controlling one of a new session (so that Ctrl-C works), and runs the rest.

Doing the same by `preexec_fn` would run Python between fork and exec, which is unsafe in a process with threads.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be run: a line for a shell, and where."""

    cmd: str
    workdir: Path
    shell: str | None = None
    login: bool = False

    def argv(self, environ: Mapping[str, str]) -> list[str]:
        """The program and its arguments.

        Raises ToolError for a shell or directory that there is not, a shell without login, and text with a NUL.
        """
        shell = self.shell or environ.get("SHELL") or DEFAULT_SHELL
        if "\0" in self.cmd or "\0" in shell or "\0" in str(self.workdir):
            raise ToolError("a command, its shell and its workdir cannot hold a NUL character")
        found = shutil.which(shell, path=environ.get("PATH", os.defpath))
        if found is None:
            raise ToolError(f"the shell {shell!r} was not found; name another one in `shell`")
        if not os.path.isdir(self.workdir):  # `Path.is_dir` raises OSError for a path that is too long
            raise ToolError(f"the workdir {str(self.workdir)!r} is no directory")
        name = Path(shell).name
        if self.login and name not in LOGIN_SHELLS:
            known = ", ".join(sorted(LOGIN_SHELLS))
            raise ToolError(f"{name!r} has no login shell that is known of; leave `login` out or use one of {known}")
        cmd = f"set -o pipefail; {self.cmd}" if "|" in self.cmd and name in PIPEFAIL_SHELLS else self.cmd
        return [found, *(["-l"] if self.login else []), "-c", cmd]


async def launch(
    command: Command, environ: Mapping[str, str], mark: str, *, terminal: bool
) -> tuple[asyncio.subprocess.Process, Channel]:
    """Start a command in a session of its own, printing to one pipe or, with `terminal`, to a terminal of 24x80.

    One pipe for both outputs keeps them in the order in which they were written. `mark` goes into the environment, by
    which what the command starts is recognised (`lash.host.tools.shell.tree`). Raises ToolError where it cannot start.
    """
    argv = command.argv(environ)
    marks = f"{environ[MARK_VARIABLE]} {mark}" if MARK_VARIABLE in environ else mark
    env = {**environ, **QUIET, MARK_VARIABLE: marks}
    if terminal:
        ours, theirs = _open_terminal()
        argv = ["/bin/sh", "-c", _TAKE_TERMINAL, "sh", os.ttyname(theirs), *argv]
        stdin = theirs
    else:
        ours, theirs = os.pipe()
        stdin = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=stdin, stdout=theirs, stderr=theirs, cwd=command.workdir, env=env, start_new_session=True
        )
    except (OSError, ValueError) as error:
        os.close(ours)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ToolError(f"the command could not be started: {reason}") from error
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return process, Channel(ours)


def _open_terminal() -> tuple[int, int]:
    """Both ends of a new terminal that does not echo what it is sent."""
    import pty
    import termios

    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        raise ToolError(f"no terminal could be had: {error}") from error
    try:
        settings = termios.tcgetattr(theirs)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, settings)
        termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
    except BaseException:
        os.close(ours)
        os.close(theirs)
        raise
    return ours, theirs
