"""The real clock and the real source of ids, for everything that does not run under test."""

from __future__ import annotations

import asyncio
import time
import uuid


class SystemClock:
    """The clock of the machine; implements `lash.runtime.seams.clock.Clock`."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds; at least one turn of the event loop."""
        await asyncio.sleep(max(0.0, seconds))


class RandomIds:
    """Ids that nobody else has; implements `lash.runtime.seams.clock.IdSource`."""

    def new(self, prefix: str) -> str:
        """`prefix`, a dash and 32 random hex digits."""
        return f"{prefix}-{uuid.uuid4().hex}"
