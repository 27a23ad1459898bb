"""Local admission (providers.md 4.4): how many attempts run at once, and how many begin in a window of time.

Admission waits and never fails. Who asks first is admitted first. Windows are fixed: one begins with the first attempt
after the last one's end, and when it is full the next attempt waits for its end.
"""

from __future__ import annotations

import asyncio

from lash.runtime.providers.options import ProviderReliability
from lash.runtime.seams.clock import Clock


class LocalRateLimiter:
    """The limits of one handle; `ceiling` is a bound on concurrency that the kind itself sets, whatever the options."""

    def __init__(self, reliability: ProviderReliability, clock: Clock, *, ceiling: int | None = None) -> None:
        self._clock = clock
        self._ceiling = ceiling
        self._rules = reliability
        self._active = 0
        self._window_start = 0.0
        self._window_count = 0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def active(self) -> int:
        """Attempts that hold a permit."""
        return self._active

    def configure(self, reliability: ProviderReliability) -> None:
        """Other limits from now on, for those who wait as well."""
        self._rules = reliability
        self._changed.set()

    async def acquire(self) -> None:
        """Wait until an attempt may begin; `release` must follow. Cancelled while it waits, it holds nothing."""
        async with self._turn:
            while True:
                self._changed.clear()
                if self._full():
                    await self._changed.wait()
                elif (wait := self._window_wait()) > 0:
                    await self._sleep_or_change(wait)
                else:
                    break
            self._active += 1
            self._window_count += 1

    def release(self) -> None:
        """Give a permit back."""
        self._active -= 1
        self._changed.set()

    def _full(self) -> bool:
        """Whether as many attempts run as may."""
        bounds = [bound for bound in (self._rules.max_concurrency, self._ceiling) if bound is not None]
        return bool(bounds) and self._active >= min(bounds)

    def _window_wait(self) -> float:
        """Seconds until the window admits another attempt."""
        now = self._clock.monotonic()
        end = self._window_start + self._rules.request_window_ms / 1000
        if self._window_count == 0 or now >= end:
            self._window_start, self._window_count = now, 0
            return 0.0
        bound = self._rules.requests_per_window
        return end - now if bound is not None and self._window_count >= bound else 0.0

    async def _sleep_or_change(self, seconds: float) -> None:
        """Wait so long, or until limits or permits have changed."""
        loop = asyncio.get_running_loop()
        slept, changed = loop.create_task(self._clock.sleep(seconds)), loop.create_task(self._changed.wait())
        try:
            await asyncio.wait((slept, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            slept.cancel()
            changed.cancel()
            await asyncio.gather(slept, changed, return_exceptions=True)
