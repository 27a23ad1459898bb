"""Bounded waiting on the injected clock, and the one rule by which running work is stopped (runtime.md 13).

The rule: the token is set; after `cancel_s` the task is cancelled; `grace_s` after the request what is still open is
abandoned.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from lash.runtime.seams.clock import Clock
from lash.runtime.tools.cancel import CancelToken

T = TypeVar("T")

_log = logging.getLogger("lash.tools")


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """How work ended: by itself (its task is done), stopped by its deadline, or stopped because its token was set.

    `abandoned` says that it still runs, with nobody waiting.
    """

    how: Literal["done", "timeout", "cancelled"]
    task: asyncio.Task[T]
    abandoned: bool = False


async def ended_within(clock: Clock, seconds: float, task: asyncio.Task[Any]) -> bool:
    """Wait for a task, so long at most; whether it ended."""
    if not task.done():
        timer = asyncio.ensure_future(clock.sleep(seconds))
        try:
            await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await discard(timer)
    return task.done()


async def discard(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel tasks that nobody needs any more, and wait until they are gone."""
    open_tasks = [task for task in tasks if task is not None]
    for task in open_tasks:
        task.cancel()
    if open_tasks:
        await asyncio.gather(*open_tasks, return_exceptions=True)


async def stop(
    clock: Clock,
    task: asyncio.Task[Any],
    token: CancelToken,
    cancel_s: float,
    grace_s: float,
    give_up: Callable[[], int],
) -> bool:
    """Stop a task by the rule; whether it had to be abandoned. `give_up` abandons what cannot be cancelled."""
    token.cancel()
    task.add_done_callback(_dropped)
    if await ended_within(clock, cancel_s, task):
        return False
    task.cancel()
    if await ended_within(clock, max(0.0, grace_s - cancel_s), task):
        return False
    given_up = give_up()
    # What waited for an abandoned thread can end now; what refuses to be cancelled is left behind.
    if given_up == 0 or not await ended_within(clock, cancel_s, task):
        _log.warning("a task did not end when it was cancelled and was abandoned: %s", task.get_name())
    return True


def _dropped(task: asyncio.Task[Any]) -> None:
    """Take notice of how a stopped task ended, which is nobody's concern any more."""
    if not task.cancelled():
        task.exception()


async def run_bounded(
    clock: Clock,
    work: Coroutine[Any, Any, T],
    *,
    token: CancelToken,
    deadline_s: float | None,
    cancel_s: float,
    grace_s: float,
    give_up: Callable[[], int] = lambda: 0,
    name: str = "work",
) -> Ended[T]:
    """Run work until it ends, its deadline passes or its token is set; the latter two stop it by the rule.

    When the awaiting task is cancelled the work is stopped at once: cancelled, given `cancel_s`, then abandoned.
    """
    task = asyncio.create_task(work, name=name)
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        loop.call_soon_threadsafe(_settle, asked)

    forget = token.on_cancel(wake)
    timer: asyncio.Future[None] | None = None
    try:
        # Much work ends without ever waiting: it gets one pass of the loop before anything is set up to wait for it.
        await asyncio.sleep(0)
        if not task.done():
            timer = None if deadline_s is None else asyncio.ensure_future(clock.sleep(deadline_s))
            await asyncio.wait({task, asked, *([] if timer is None else [timer])}, return_when=asyncio.FIRST_COMPLETED)
        if task.done() and not token.cancelled:
            return Ended("done", task)
        how: Literal["timeout", "cancelled"] = "cancelled" if token.cancelled else "timeout"
        return Ended(how, task, await stop(clock, task, token, cancel_s, grace_s, give_up))
    except asyncio.CancelledError:
        await stop(clock, task, token, 0.0, cancel_s, give_up)
        raise
    finally:
        forget()
        asked.cancel()
        await discard(timer)


def _settle(asked: asyncio.Future[None]) -> None:
    """Wake whoever waits for this, if somebody still does."""
    if not asked.done():
        asked.set_result(None)
