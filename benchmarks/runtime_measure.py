"""How the runtime's figures are taken: the median of the runs with their spread, and how long the event loop stood.

The runtime waits for disks, threads and timers, so that its least figure says less than that of a computation: what is
shown is the median of the runs, with the least and the greatest of them. Inside a run, a job that does the same thing
many times gives the median of those times.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Figures

TICK = 0.005
"""How often the monitor of an event loop wants to run (seconds)."""
BLOCKED = "blocked"
"""The figure that tells for how long an event loop was blocked at most."""

Body = Callable[[int, Path], Awaitable[Figures]]
"""What is measured: given a size and an empty folder, the figures by name, in seconds, bytes or numbers."""


@dataclass(frozen=True)
class Job:
    """Something to be measured.

    `size` is how much of it is done, `smallest` the least with which it makes sense, for tests. `at_most` bounds the
    number of runs of a job that takes minutes.
    """

    body: Body
    size: int
    smallest: int
    at_most: int = 1000


@dataclass(frozen=True)
class Sample:
    """A figure of several runs."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def greatest(self) -> float:
        """The greatest."""
        return max(self.values)


class LoopMonitor:
    """Notes for how long an event loop did not come round.

    It is late where other processes took the processor, too. So the shorter counts of how late it was and how much
    processor time this thread has used meanwhile: only work on the loop makes both long.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        """Run until cancelled."""
        while True:
            wall, busy = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK)
            late = time.perf_counter() - wall - TICK
            self.longest = max(self.longest, min(late, time.thread_time() - busy))


@asynccontextmanager
async def monitored() -> AsyncGenerator[LoopMonitor]:
    """A monitor of the running loop, while the context lasts."""
    monitor = LoopMonitor()
    watching = asyncio.create_task(monitor.watch())
    await asyncio.sleep(0)
    try:
        yield monitor
        # A gap that is open at the end counts too.
        await asyncio.sleep(2 * TICK)
    finally:
        watching.cancel()


async def monitored_run(body: Body, size: int, folder: Path) -> Figures:
    """One run of a job, with how long the loop was blocked."""
    async with monitored() as monitor:
        figures = await body(size, folder)
    return {**figures, BLOCKED: monitor.longest}


def share_of(values: Sequence[float], share: float) -> float:
    """The value below which so large a share of all lies; 0.5 is the median."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


async def timed(work: Awaitable[object]) -> float:
    """Seconds that it takes."""
    begin = time.perf_counter()
    await work
    return time.perf_counter() - begin
