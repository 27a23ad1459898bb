"""A branch of a session: a machine, and copies of it from before the last blocks, for `:undo`."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from lashlang.syntax.diagnostics import LashlangError
from lashlang.vm.machine import Machine

MOST_KEPT: Final = 32
"""Most earlier states that a branch keeps."""

MOST_MEMORY: Final = 128 << 20
"""Most bytes that they hold together; the oldest are given up for newer ones."""


class Past(NamedTuple):
    """A state before something was done, and what was done then."""

    machine: Machine
    deed: str


class Branch:
    """One line of states. The branch owns its machines: `close` frees them all."""

    def __init__(self, name: str, machine: Machine) -> None:
        self.name = name
        self.machine = machine
        self._past: deque[Past] = deque()

    def checkpoint(self) -> Machine | None:
        """A copy of the present state; None where it is too large to be kept."""
        return self.machine.fork() if self.machine.heap_used <= MOST_MEMORY else None

    def remember(self, before: Machine | None, deed: str) -> None:
        """Keep the state from before `deed`. Where it is too large, nothing older can be returned to either."""
        if before is None:
            self._forget()
            return
        self._past.append(Past(before, deed))
        while len(self._past) > MOST_KEPT or sum(past.machine.heap_used for past in self._past) > MOST_MEMORY:
            self._past.popleft().machine.close()

    def replace(self, machine: Machine, deed: str) -> None:
        """Go on with another machine; the present one becomes the state before `deed`."""
        before, self.machine = self.machine, machine
        if before.heap_used > MOST_MEMORY:
            before.close()
            self.remember(None, deed)
        else:
            self.remember(before, deed)

    def undo(self) -> str | None:
        """Return to the state before the last deed that changed something: that deed, or None where none is kept."""
        while self._past:
            before, deed = self._past.pop()
            changed = not _same(before, self.machine)
            self.machine.close()
            self.machine = before
            if changed:
                return deed
        return None

    def close(self) -> None:
        """Free the machines."""
        self._forget()
        self.machine.close()

    def _forget(self) -> None:
        while self._past:
            self._past.pop().machine.close()


def _same(one: Machine, other: Machine) -> bool:
    """Whether two machines are in the same state."""
    try:
        return one.snapshot() == other.snapshot()
    except LashlangError:  # one of them has no room for the account of its state
        return False
