"""An event loop that tests can stop after any step: no threads, and a clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from lashlang.workers import Workers

Result = TypeVar("Result")

HOUR = 3600.0


class SteppedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock is moved by hand, and which keeps what it would have complained of."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.complaints: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.complaints.append(context))

    def time(self) -> float:
        """The time that a test has set."""
        return self.now


def in_the_loop(self: Workers, function: Callable[[], Result]) -> Future[Result]:
    """In the place of `Workers.submit`: the function runs in the loop's own thread, one step later."""
    future: Future[Result] = Future()

    def job() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    asyncio.get_running_loop().call_soon(job)
    return future


@contextmanager
def stepped() -> Generator[SteppedLoop]:
    """A loop on which everything happens in steps; at the end nothing is left on it and nothing was complained of."""
    loop = SteppedLoop()
    # What is there already cannot become garbage of this loop. It is kept out of the collections, of which there is one
    # for every step of some tests: to go through all that a whole test run has in memory would take a second each.
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workers, "submit", in_the_loop)
        try:
            yield loop
            assert not asyncio.all_tasks(loop)
            gc.collect()  # a task or future whose exception nobody has looked at complains when it is freed
            assert loop.complaints == []
        finally:
            gc.unfreeze()
            loop.close()


def after(
    steps: int, loop: SteppedLoop, main: Coroutine[Any, Any, Result], act: Callable[[asyncio.Task[Any]], object]
) -> Any:
    """Run `main` on the loop and `act` on its task after so many steps: its result, or the exception it ended with.

    Gives `NotReached` where it was done before.
    """

    async def drive() -> Any:
        task = asyncio.ensure_future(main)
        for _ in range(steps):
            if task.done():
                return NotReached
            await asyncio.sleep(0)
        if task.done():
            return NotReached
        act(task)
        await asyncio.wait([task])
        return asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()

    return loop.run_until_complete(drive())


class NotReached:
    """Stands for a run that was done before the step at which something should have happened."""
