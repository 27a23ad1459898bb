"""`CancelToken`: asks running work to stop, from any task or thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class CancelToken:
    """A request to stop that is made once and stays.

    Work looks at `cancelled`, waits with `wait` (in a task) or `wait_blocking` (in a thread), or gives a callback.
    """

    __slots__ = ("__weakref__", "_callbacks", "_event", "_lock", "_reason")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._reason: str | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}

    @property
    def cancelled(self) -> bool:
        """Whether it was asked for."""
        return self._event.is_set()

    @property
    def reason(self) -> str | None:
        """Why, where somebody said so."""
        return self._reason

    def cancel(self, reason: str | None = None) -> None:
        """Ask; callable from any task or thread. A second time changes nothing."""
        with self._lock:
            if self._event.is_set():
                return
            self._reason = reason
            self._event.set()
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once, in the thread that cancels, or now where that has happened; gives what takes it back."""
        with self._lock:
            if not self._event.is_set():
                key = id(callback)
                self._callbacks[key] = callback
                return lambda: self._forget(key)
        callback()
        return lambda: None

    def _forget(self, key: int) -> None:
        with self._lock:
            self._callbacks.pop(key, None)

    async def wait(self) -> None:
        """Wait until it is asked for."""
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(asked.set)

        forget = self.on_cancel(wake)
        try:
            await asked.wait()
        finally:
            forget()

    def wait_blocking(self, seconds: float | None = None) -> bool:
        """Wait in a thread, so long at most; whether it was asked for."""
        return self._event.wait(seconds)
