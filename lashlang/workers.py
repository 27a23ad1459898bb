"""Worker threads for work that must not stop an event loop: blocking tools and long computation.

Daemon threads, unlike those of `concurrent.futures`, so that a tool that never returns cannot keep
the process from ending. Threads are made as needed up to a bound and end after some idle seconds.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")

_IDLE_SECONDS = 10.0

_Job = Callable[[], None]


class Workers:
    """A pool of at most `most` daemon threads; jobs beyond that wait their turn, first come first served."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """Be without threads and jobs, as at first and again in a forked process, which has none of its parent's."""
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._waiting = 0

    def submit(self, function: Callable[[], Result], future: Future[Result] | None = None) -> Future[Result]:
        """Run the function in a worker, in a copy of the caller's context; the future tells how it ended.

        `future` is the one to take: for a caller who has to know it even where KeyboardInterrupt comes out of
        this call, when the function may be running already. RuntimeError where no thread can be had.
        """
        future = Future[Result]() if future is None else future
        context = contextvars.copy_context()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = context.run(function)
            except StopIteration as error:
                # An asyncio future refuses this one, and whoever awaits it would wait for ever.
                future.set_exception(RuntimeError(str(error) or "StopIteration"))
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            self._waiting += 1
            more = self._waiting > self._idle and self._threads < self._most
            if more:
                self._threads += 1
                self._idle += 1
        try:
            self._jobs.put(job)
            if more:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except BaseException:
            # Counted one too few if it does run, the thread costs another; one too many, its job would wait for ever.
            if more:
                with self._lock:
                    self._threads -= 1
                    self._idle -= 1
            future.cancel()
            raise
        return future

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._waiting:
                        continue
                    self._threads -= 1
                    self._idle -= 1
                    return
            with self._lock:
                self._waiting -= 1
                self._idle -= 1
            job()
            with self._lock:
                self._idle += 1


TOOLS = Workers(64, "lashlang-tool")
"""Where plain functions run as tools of asynchronous blocks."""

COMPUTE = Workers(os.cpu_count() or 1, "lashlang-compute")
"""Where long slices of asynchronous blocks run."""


def in_worker(workers: Workers, function: Callable[[], Result]) -> asyncio.Future[Any]:
    """The function's result as a future of the running event loop."""
    return asyncio.wrap_future(workers.submit(function))
