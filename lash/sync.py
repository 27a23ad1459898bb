"""Calling lash without `await`: from scripts, notebooks, and code inside a running loop (runtime.md 5.1).

All such calls of a process share one event loop in a thread of its own, begun at first use. A core belongs to the loop
that it was first used on; a call from elsewhere is handed to that loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

from lash.runtime.errors import ConfigError, TurnError

T = TypeVar("T")

_lock = threading.Lock()


def shared_loop() -> asyncio.AbstractEventLoop:
    """The loop of the process's sync calls."""
    with _lock:
        return _begin_loop()


@cache
def _begin_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="lash-sync", daemon=True).start()
    return loop


class BoundLoop:
    """The loop that a core belongs to, once it has been used."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self) -> None:
        """Bind to the running loop. Raises ConfigError (core_bound_to_other_loop) where another one has the core."""
        running = asyncio.get_running_loop()
        if self._loop is not None and self._loop.is_closed():
            self._loop = None
        if self._loop is None:
            self._loop = running
        elif self._loop is not running:
            raise ConfigError(
                "core_bound_to_other_loop",
                "this core was first used on another event loop: make one core for each loop, or use the sync calls",
            )

    def run(self, work: Callable[[], Coroutine[Any, Any, T]], stop: Callable[[], None] | None = None) -> T:
        """Run the work on the core's loop and wait for it.

        Ctrl+C calls `stop` and goes on waiting; a second one raises KeyboardInterrupt at once. Raises TurnError
        (sync_in_own_loop) from the thread that the core's loop runs in, and what the work raises.
        """
        loop = self._loop
        if loop is None or loop.is_closed() or not loop.is_running():
            self._loop = loop = shared_loop()
        if _running_loop() is loop:
            raise TurnError(
                "sync_in_own_loop",
                "this call would wait for the loop it stands in: use `await` here, or open the session with `with`",
            )
        future = asyncio.run_coroutine_threadsafe(work(), loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            if stop is None or future.done():
                future.cancel()
                raise
            stop()
            return _after_interrupt(future)


def _after_interrupt(future: concurrent.futures.Future[T]) -> T:
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
