"""Noticing that somebody has written into the journal, with one look for all who wait (runtime.md 2.5).

A turn may wait for hundreds of answers. Whoever waits sleeps until the bell rings for its event: at once where the
event was written in this process, and within 400 ms where another process has written anything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable

from lash.runtime.errors import LashError
from lash.runtime.seams.clock import Clock

POLL_S = 0.4
"""How often it is looked whether other processes have written."""


class Bell:
    """Rings for those who wait; `version` gives a number that is another one when somebody else has written."""

    def __init__(self, clock: Clock, version: Callable[[], Awaitable[int]]) -> None:
        self._clock = clock
        self._version = version
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._looking: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def listening(self, key: str) -> AsyncGenerator[asyncio.Event]:
        """Inside, the event is set when it rings for this key; who clears it looks afterwards."""
        rung = asyncio.Event()
        self._waiting[key].add(rung)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield rung
        finally:
            self._waiting[key].discard(rung)
            if not self._waiting[key]:
                del self._waiting[key]
            if not self._waiting:
                await self._stop()

    def ring(self, key: str | None = None) -> None:
        """Wake those who wait for this key, or all."""
        heard = self._waiting.values() if key is None else [self._waiting.get(key, set())]
        for rung in [one for several in heard for one in several]:
            rung.set()

    async def _look(self) -> None:
        """Ring for all whenever another process has written. Where that cannot be seen, those who wait find out why."""
        seen: int | None = None
        while True:
            # The first time it rings, too: who has looked before may have missed what was written meanwhile.
            version: int | None = None
            with contextlib.suppress(LashError):
                version = await self._version()
            if version is None or version != seen:
                self.ring()
            seen = version
            await self._clock.sleep(POLL_S)

    async def _stop(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.wait([looking])
