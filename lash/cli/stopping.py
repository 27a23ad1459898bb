"""Stopping a run: signals, `--timeout`, a reader that has gone. The turn is asked to stop, and commits what it has."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from lash import CancelToken
from lash.cli.exits import CliError, Exit
from lash.cli.live import LiveView

T = TypeVar("T")

REASONS: Final[dict[int, str]] = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
}
"""The signals that ask to stop, and what the turn is told."""

if hasattr(signal, "SIGHUP"):  # which Windows lacks
    REASONS[signal.SIGHUP] = "the terminal was closed"


class Stopper:
    """Asks what runs to stop.

    `begun` is set once a turn has begun, so that there is something to commit; `resumable` where its effects are
    recorded, so that what ends the process leaves it to be driven on.
    """

    def __init__(self, view: LiveView) -> None:
        self.token = CancelToken()
        self.begun = False
        self.resumable = False
        self.timed_out = False
        self._view = view
        self._running: asyncio.Future[Any] | None = None
        self._interrupts = 0

    def stop(self, reason: str) -> None:
        """Ask the turn to stop; what runs before a turn has begun is given up."""
        self.token.cancel(reason)
        if self._running is not None and not self.begun:
            self._running.cancel()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for work. Raises CliError where it is given up."""
        running = asyncio.ensure_future(work)
        self._running, self.begun = running, False
        try:
            return await running
        except asyncio.CancelledError:
            if not self.token.cancelled:
                raise
            code = Exit.LIMIT if self.timed_out else Exit.CANCELLED
            raise CliError(f"cancelled before the turn began ({self.token.reason})", code) from None

    @contextmanager
    def within(self, seconds: float | None) -> Generator[None]:
        """Stop what takes longer."""

        def overdue() -> None:
            self.timed_out = True
            self.stop(f"timeout after {seconds:g} s")

        timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, overdue)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    @contextmanager
    def on_signals(self) -> Generator[None]:
        """Have Ctrl+C ask to stop; a second one ends the process, whatever the loop is doing.

        So do SIGTERM and SIGHUP (the terminal was closed), unless the turn can be resumed: then they end the process.
        """
        loop = asyncio.get_running_loop()

        def stopped(number: int, _: object) -> None:
            if number != signal.SIGINT and self.resumable:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
                return
            self._interrupts += 1
            if self._interrupts > 1:
                self._view.finish()
                os._exit(Exit.CANCELLED)
            loop.call_soon_threadsafe(self._cancel, REASONS[number])

        # What whoever started us wants ignored (nohup) stays ignored.
        before = {number: signal.getsignal(number) for number in REASONS}
        taken = {number: how for number, how in before.items() if how is not signal.SIG_IGN or number == signal.SIGINT}
        for number in taken:
            signal.signal(number, stopped)
        try:
            yield
        finally:
            for number, how in taken.items():
                signal.signal(number, how)

    def _cancel(self, reason: str) -> None:
        self._view.note("cancelling; Ctrl+C again ends at once")
        self.stop(reason)
