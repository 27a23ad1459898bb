"""Threads for tools that are plain functions.

A thread cannot be stopped. A call that does not end in time is *abandoned*: nobody waits for it any more, its result is
dropped, and another thread takes its place, up to a number; beyond it calls are refused until some of them end. The
threads are daemons, so that an abandoned one does not keep the process alive.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from lash.runtime.errors import LashError

SIZE = 32
"""Calls that run at a time, and abandoned calls that are replaced."""

T = TypeVar("T")


class ToolThreadsExhausted(LashError):
    """Too many threads have been abandoned and still run."""

    def __init__(self, abandoned: int) -> None:
        super().__init__(
            "tool_threads_exhausted",
            f"{abandoned} threads of tools that did not end are still running: plain functions wait until some do",
            retryable=True,
        )


@dataclass(eq=False, slots=True)
class _Job:
    work: Callable[[], Any]
    owner: object
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    state: Literal["queued", "running", "abandoned"] = "queued"


class ToolThreads:
    """A pool of threads, started as they are needed.

    `abandoned` counts abandoned calls that still run, `abandoned_total` all there ever were.
    """

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._queue: deque[_Job] = deque()
        self._running: set[_Job] = set()
        self._threads = 0
        self._idle = 0
        self._closed = False
        self.abandoned = 0
        self.abandoned_total = 0

    async def run(self, function: Callable[[], T], *, owner: object) -> T:
        """Run a function in a thread, in a copy of this task's context variables.

        When the awaiting task is cancelled, a function that has not begun never does; one that runs is waited for
        until it ends or `abandon(owner)` gives it up, and its result is dropped.
        Raises ToolThreadsExhausted, and whatever the function raises.
        """
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        job = _Job(lambda: context.run(function), owner, loop, loop.create_future())
        self._submit(job)
        cancelled = False
        while True:
            try:
                await asyncio.wait([job.future])
            except asyncio.CancelledError:
                if not self._withdraw(job):
                    raise
                cancelled = True
                continue
            if cancelled:
                job.future.exception()  # retrieved: a failure after the cancellation is nobody's any more
                raise asyncio.CancelledError
            return job.future.result()

    def abandon(self, owner: object) -> int:
        """Give up the running calls of an owner; how many there were."""
        with self._lock:
            jobs = [job for job in self._running if job.owner is owner and job.state == "running"]
            for job in jobs:
                job.state = "abandoned"
                self.abandoned += 1
                self.abandoned_total += 1
            self._start_threads()
        for job in jobs:
            job.future.cancel()
        return len(jobs)

    def close(self) -> None:
        """Let idle threads end; calls that run go on, nothing new is begun."""
        with self._lock:
            self._closed = True
            self._wake.notify_all()

    def _submit(self, job: _Job) -> None:
        with self._lock:
            if self._closed:
                raise LashError("tool_threads_closed", "the threads of tools are closed")
            if self.abandoned > self._size:
                raise ToolThreadsExhausted(self.abandoned)
            self._queue.append(job)
            self._start_threads()
            self._wake.notify()

    def _start_threads(self) -> None:
        """As many threads as there is work for; abandoned ones are replaced, up to the size. Called under the lock."""
        most = self._size + min(self.abandoned, self._size)
        while len(self._queue) > self._idle and self._threads < most:
            self._threads += 1
            self._idle += 1
            threading.Thread(target=self._work, name="lash-tool", daemon=True).start()

    def _withdraw(self, job: _Job) -> bool:
        """Take back a call that has not begun; whether it has begun and still has to be waited for."""
        with self._lock:
            if job.state == "queued":
                self._queue.remove(job)
                return False
            return job.state == "running" and not job.future.done()

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._queue:
                    if self._closed:
                        self._threads -= 1
                        self._idle -= 1
                        return
                    self._wake.wait()
                job = self._queue.popleft()
                self._idle -= 1
                job.state = "running"
                self._running.add(job)
            result, error = _outcome(job.work)
            with self._lock:
                self._running.discard(job)
                self._idle += 1
                abandoned = _was_abandoned(job)
                if abandoned:
                    self.abandoned -= 1
                    surplus = self._threads > self._size + min(self.abandoned, self._size)
                    if surplus:
                        self._threads -= 1
                        self._idle -= 1
                        return
            if not abandoned:
                _deliver(job, result, error)
            del job, result, error  # an idle thread must not keep the last call's values alive


def _was_abandoned(job: _Job) -> bool:
    return job.state == "abandoned"


def _outcome(work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return work(), None
    except BaseException as error:
        return None, error


def _deliver(job: _Job, result: Any, error: BaseException | None) -> None:
    def set_outcome() -> None:
        if job.future.done():
            return
        if isinstance(error, StopIteration):
            # A future refuses StopIteration, which would end the generator that awaits it.
            job.future.set_exception(RuntimeError(f"the function raised StopIteration: {error}"))
        elif error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    try:
        job.loop.call_soon_threadsafe(set_outcome)
    except RuntimeError:
        if not job.loop.is_closed():
            raise
