"""Time and identity, injected everywhere so that tests decide about both and a re-driven turn repeats its ids."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Where the runtime gets time from."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class IdSource(Protocol):
    """Where ids come from that nothing determines (sessions, turns without a given id, activities)."""

    def new(self, prefix: str) -> str:
        """A fresh id that begins with the prefix."""
        ...
