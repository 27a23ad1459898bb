"""`run_bounded`: work that ends by itself, by its deadline, and because it was asked to stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.waiting import Ended, run_bounded
from lash.testing.clock import FakeClock


async def value() -> int:
    return 7


async def for_ever() -> int:
    return await asyncio.get_running_loop().create_future()


async def bounded(
    clock: FakeClock, work: Coroutine[Any, Any, int], token: CancelToken, deadline_s: float | None = 5.0
) -> Ended[int]:
    return await run_bounded(clock, work, token=token, deadline_s=deadline_s, cancel_s=0.5, grace_s=1.0)


async def test_work_that_never_waits_needs_no_timer() -> None:
    clock = FakeClock()
    ended = await bounded(clock, value(), CancelToken())
    assert (ended.how, ended.task.result(), clock.slept) == ("done", 7, [])


async def test_work_that_waits_is_stopped_at_its_deadline() -> None:
    clock, token = FakeClock(), CancelToken()
    ended = await clock.run(bounded(clock, for_ever(), token))
    assert (ended.how, ended.abandoned, token.cancelled) == ("timeout", False, True)
    assert clock.slept[0] == 5.0
    assert ended.task.cancelled()


@pytest.mark.parametrize("when", ["before", "meanwhile", "by another thread"])
async def test_work_whose_token_is_set_is_stopped(when: str) -> None:
    clock, token = FakeClock(), CancelToken()
    if when == "before":
        token.cancel()
    running = asyncio.ensure_future(bounded(clock, for_ever(), token, None))
    await asyncio.sleep(0)
    if when == "meanwhile":
        token.cancel()
    elif when == "by another thread":
        thread = threading.Thread(target=token.cancel)
        thread.start()
        thread.join()
    await clock.advance(0.5)
    ended = await running
    assert (ended.how, ended.abandoned) == ("cancelled", False)
    assert ended.task.cancelled()


async def test_nothing_is_left_behind() -> None:
    before = asyncio.all_tasks()
    clock, token = FakeClock(), CancelToken()
    await bounded(clock, value(), token)
    assert asyncio.all_tasks() == before
    await clock.run(bounded(clock, for_ever(), token))
    assert asyncio.all_tasks() == before
