"""Ending a command with everything that it has started.

A process group is not enough: a child that calls `setsid` leaves it, and one that forks twice loses its parent. What is
known of a command is therefore collected from `/proc`, where there is one. To it belong

* its shell, and all processes in the shell's session or process group;
* their children, and the children's children;
* every process that has the command's mark in its environment, which children inherit through forks and `setsid`.

They are stopped before they are killed, so that nothing is born between the look and the kill. What gets away has to
leave session and group, lose its parent *and* run with another environment (or belong to another user): `env -i setsid`
from a shell that ends, say. Making this process a subreaper would catch that too, but that is a setting of the whole
process, and an application's other children would come to be reaped here.

Elsewhere (macOS) there is no `/proc`, and the process group is all that is ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lash.runtime.seams.clock import Clock

MARK_VARIABLE: Final = "LASH_SHELL_COMMAND"
"""The variable that carries the marks of a command, and of those it runs inside of."""

GRACE_S: Final = 0.2
"""Between SIGTERM and SIGKILL."""

DYING_S: Final = 1.0
"""How long the kernel is given to clear away what was killed."""

_LOOK_AGAIN_S: Final = 0.005
_ROUNDS: Final = 20
"""How often a tree that keeps growing is looked at before what is there is killed."""

_log = logging.getLogger("lash.tools.shell")


@dataclass(frozen=True, slots=True)
class Tree:
    """The processes of a command: below the shell `leader`, or with a mark that `marked` recognises.

    `leader` is None once the shell has ended: its number may be somebody else's by then.
    """

    leader: int | None
    marked: Callable[[str], bool]

    def members(self) -> set[int]:
        """The processes that run now; it reads files of every process, so call it in a thread."""
        known = _processes()
        inside = {pid for pid, one in known.items() if self._belongs(pid, one)}
        children: dict[int, list[int]] = {}
        for pid, one in known.items():
            children.setdefault(one.parent, []).append(pid)
        pending = list(inside)
        while pending:
            for child in children.get(pending.pop(), ()):
                if child not in inside:
                    inside.add(child)
                    pending.append(child)
        return inside - {os.getpid()}

    def _belongs(self, pid: int, one: _Process) -> bool:
        if self.leader is not None and self.leader in (pid, one.group, one.session):
            return True
        return any(map(self.marked, _marks(pid)))

    def signal(self, number: signal.Signals) -> bool:
        """Signal every process; whether there was one."""
        if _HAS_PROC:
            members = self.members()
            _send(members, number)
            return bool(members)
        return self.leader is not None and _try(os.killpg, self.leader, number)

    def kill(self) -> None:
        """Stop and kill every process, and those that are born meanwhile."""
        if not _HAS_PROC:
            self.signal(signal.SIGKILL)
            return
        stopped: set[int] = set()
        for _ in range(_ROUNDS):
            fresh = self.members() - stopped
            if not fresh:
                break
            _send(fresh, signal.SIGSTOP)
            stopped |= fresh
        _send(stopped, signal.SIGKILL)


async def end_tree(tree: Tree, clock: Clock, exited: asyncio.Future[int] | None = None) -> None:
    """SIGTERM to all, 200 ms, SIGKILL to those that are left. `exited` is the end of the shell, where it still runs."""
    if not await asyncio.to_thread(tree.signal, signal.SIGTERM):
        return
    timer = asyncio.ensure_future(clock.sleep(GRACE_S))
    try:
        if exited is not None:
            await asyncio.wait((timer, exited), return_when=asyncio.FIRST_COMPLETED)
        if exited is None or not exited.done() or await _alive(tree):
            await timer
    finally:
        timer.cancel()
    await asyncio.to_thread(tree.kill)
    due = clock.monotonic() + DYING_S
    while await _alive(tree):
        if clock.monotonic() >= due:
            _log.warning("processes of a command are still there after SIGKILL; the kernel holds them")
            return
        await clock.sleep(_LOOK_AGAIN_S)


async def _alive(tree: Tree) -> bool:
    return _HAS_PROC and bool(await asyncio.to_thread(tree.members))


# --- /proc -------------------------------------------------------------------------------------------

_PROC: Final = Path("/proc")
_HAS_PROC: Final = (_PROC / "self" / "stat").exists()


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    group: int
    session: int


def _processes() -> dict[int, _Process]:
    """What runs on this machine, those left out that have ended and wait for their parent to notice."""
    found: dict[int, _Process] = {}
    for name in os.listdir(_PROC):
        if not name.isdigit():
            continue
        try:
            # The name of the program stands in parentheses and may hold anything, parentheses included.
            fields = (_PROC / name / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields and fields[0] not in (b"Z", b"X"):
            found[int(name)] = _Process(int(fields[1]), int(fields[2]), int(fields[3]))
    return found


def _marks(pid: int) -> list[str]:
    """The marks in the environment that a process was started with; none where it is not ours to read."""
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return []
    name = MARK_VARIABLE.encode() + b"="
    for entry in environment.split(b"\0"):
        if entry.startswith(name):
            return entry[len(name) :].decode("ascii", "replace").split(" ")
    return []


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        _try(os.kill, pid, number)


def _try(send: Callable[[int, int], None], target: int, number: signal.Signals) -> bool:
    try:
        send(target, number)
    except (ProcessLookupError, PermissionError) as error:
        # It has ended by itself, or has become another user's.
        _log.debug("signal %d did not reach %d: %s", number, target, error)
        return False
    return True
