"""`CancelToken`: asks running work to stop, from any task or thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class CancelToken:
    """A request to stop that is made once and stays.

    Work looks at `cancelled`, waits with `wait` (in a task) or `wait_blocking` (in a thread), or gives a callback.
    """

    __slots__ = ("__weakref__", "_callbacks", "_cancelled", "_lock", "_origin", "_reason", "_request_id")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._reason: str | None = None
        self._request_id: str | None = None
        self._origin: str | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}

    @property
    def cancelled(self) -> bool:
        """Whether it was asked for."""
        return self._cancelled

    @property
    def reason(self) -> str | None:
        """Why, where somebody said so."""
        return self._reason

    @property
    def request_id(self) -> str | None:
        """The id of the request, where it was made with one."""
        return self._request_id

    @property
    def origin(self) -> str | None:
        """Whose wish it was, where that was said."""
        return self._origin

    def cancel(self, reason: str | None = None, *, request_id: str | None = None, origin: str | None = None) -> None:
        """Ask; callable from any task or thread. A second time changes nothing."""
        with self._lock:
            if self._cancelled:
                return
            self._reason, self._request_id, self._origin = reason, request_id, origin
            self._cancelled = True
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once, in the thread that cancels, or now where that has happened; gives what takes it back."""
        with self._lock:
            if not self._cancelled:
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
        asked = threading.Event()
        forget = self.on_cancel(asked.set)
        try:
            return asked.wait(seconds)
        finally:
            forget()
