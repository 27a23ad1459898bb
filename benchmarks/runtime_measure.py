"""How the runtime's figures are taken: the median of the runs with their spread, and how long the event loop stood.

The runtime waits for disks, threads and timers, so that its least figure says less than that of a computation: what is
shown is the median of the runs, with the least and the greatest of them. Inside a run, a job that does the same thing
many times gives the median of those times.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.measure import Figures

TICK = 0.005
"""How often the monitor of an event loop wants to run (seconds)."""
BLOCKED = "blocked"
"""The figure that tells for how long an event loop was blocked at most."""
COLLECTED = "collected"
"""The figure that tells how long the longest garbage collection took."""

Body = Callable[[int, Path], Awaitable[Figures]]
"""What is measured: given a size and an empty folder, the figures by name, in seconds, bytes or numbers."""


@dataclass(frozen=True)
class Job:
    """Something to be measured.

    `size` is how much of it is done, `smallest` the least with which it makes sense, for tests. `at_most` bounds the
    number of runs of a job that takes minutes. With `fresh` every run has a process of its own: memory that one run
    has given back would be what the next one takes.
    """

    body: Body
    size: int
    smallest: int
    at_most: int = 1000
    fresh: bool = False


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


class Collections:
    """What the garbage collector has taken so far: seconds of anybody's time, and of the event loop's thread."""

    def __init__(self) -> None:
        self._loop_thread = threading.get_ident()
        self._began = (0.0, 0.0)
        self.wall = 0.0
        self.busy = 0.0
        self.longest = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """A collection begins or ends."""
        now = (time.perf_counter(), time.thread_time())
        if phase == "start":
            self._began = now
            return
        wall, busy = now[0] - self._began[0], now[1] - self._began[1]
        self.wall += wall
        self.longest = max(self.longest, busy)
        if threading.get_ident() == self._loop_thread:
            self.busy += busy


class LoopMonitor:
    """Notes for how long an event loop did not come round.

    It is late where other processes took the processor, too. So the shorter counts of how late it was and how much
    processor time this thread has used meanwhile: only work on the loop makes both long. Python's own garbage
    collections are left out and noted apart, and so is what runs inside `unwatched`.
    """

    running: ClassVar[LoopMonitor | None] = None
    """The monitor of the loop that runs now."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.collections = Collections()
        self.breaks = 0
        self.paused = False

    async def watch(self) -> None:
        """Run until cancelled."""
        spent = self.collections
        while True:
            breaks, before = self.breaks, (spent.wall, spent.busy)
            wall, busy = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK)
            late = time.perf_counter() - wall - TICK - (spent.wall - before[0])
            used = time.thread_time() - busy - (spent.busy - before[1])
            if not self.paused and self.breaks == breaks:
                self.longest = max(self.longest, min(late, used))


@contextmanager
def unwatched() -> Generator[None]:
    """Around what the benchmark itself does on the loop: preparations, peers, checks."""
    monitor = LoopMonitor.running
    if monitor is None:
        yield
        return
    monitor.breaks += 1
    monitor.paused = True
    try:
        yield
    finally:
        monitor.paused = False


async def monitored_run(body: Body, size: int, folder: Path) -> Figures:
    """One run of a job, with how long the loop was blocked and how long the longest collection took."""
    monitor = LoopMonitor.running = LoopMonitor()
    gc.callbacks.append(monitor.collections)
    watching = asyncio.create_task(monitor.watch())
    await asyncio.sleep(0)
    try:
        figures = await body(size, folder)
        # A gap that is open at the end counts too.
        await asyncio.sleep(2 * TICK)
    finally:
        watching.cancel()
        gc.callbacks.remove(monitor.collections)
        LoopMonitor.running = None
    return {**figures, BLOCKED: monitor.longest, COLLECTED: monitor.collections.longest}


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
