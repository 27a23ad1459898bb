"""Plain functions run in threads of their own; those that do not end are abandoned, counted and replaced."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from lash.runtime.tools.attempts import ToolLimits
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import ToolContext, ToolProgress
from lash.runtime.tools.decorator import tool
from lash.runtime.tools.threads import ToolThreads, ToolThreadsExhausted
from tests.runtime.tools.support import bench, failure, value

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


async def test_a_plain_function_runs_in_another_thread_with_the_context_variables() -> None:
    @tool
    def where() -> list[str]:
        return [threading.current_thread().name, WHO.get()]

    WHO.set("ann")
    async with bench([where]) as on:
        assert value(await on.call("where")) == ["lash-tool", "ann"]


async def test_a_plain_function_may_stop_when_its_token_is_set() -> None:
    begun = threading.Event()

    @tool
    def patient(ctx: ToolContext) -> bool:
        begun.set()
        return ctx.cancel_token.wait_blocking(10)

    async with bench([patient]) as on:
        task = asyncio.create_task(on.call("patient"))
        while not begun.is_set():
            await asyncio.sleep(0)
        on.token.cancel()
        assert not (await task).succeeded
        assert on.threads.abandoned_total == 0


async def test_a_stuck_function_leaves_one_abandoned_thread_that_the_error_names() -> None:
    begun, release = threading.Event(), threading.Event()

    @tool
    def stuck() -> None:
        begun.set()
        release.wait(30)

    async with bench([stuck]) as on:
        task = asyncio.create_task(on.call("stuck"))
        while not begun.is_set():
            await asyncio.sleep(0)
        await on.clock.advance(606)
        assert failure(await task) == (
            "timeout",
            "tool_timeout",
            "stuck did not end within 600 s; its thread could not be stopped and was abandoned (1 so far), "
            "it may still act",
        )
        assert (on.threads.abandoned, on.threads.abandoned_total) == (1, 1)
        release.set()
        while on.threads.abandoned:
            await asyncio.sleep(0)
        assert on.threads.abandoned_total == 1


async def test_abandoned_threads_are_replaced_and_calls_refused_when_there_are_too_many() -> None:
    release = threading.Event()
    threads = ToolThreads(size=2)
    owners = [object(), object(), object()]
    try:
        for owner in owners:
            begun = threading.Event()

            def stuck(begun: threading.Event = begun) -> None:
                begun.set()
                release.wait(30)

            task = asyncio.create_task(threads.run(stuck, owner=owner))
            while not begun.is_set():
                await asyncio.sleep(0)
            assert threads.abandon(owner) == 1
            with pytest.raises(asyncio.CancelledError):
                await task
        with pytest.raises(ToolThreadsExhausted):
            await threads.run(lambda: 1, owner=object())
        release.set()
        while threads.abandoned:
            await asyncio.sleep(0)
        assert await threads.run(lambda: 1, owner=object()) == 1
    finally:
        release.set()
        threads.close()


async def test_exhausted_threads_make_the_call_unavailable() -> None:
    @tool
    def plain() -> None: ...

    async with bench([plain]) as on:
        on.threads.abandoned = 33
        assert failure(await on.call("plain"))[:2] == ("unavailable", "tool_threads_exhausted")


async def test_more_calls_than_threads_wait_for_their_turn() -> None:
    threads = ToolThreads(size=2)
    try:
        done = await asyncio.gather(*(threads.run(lambda n=n: n * n, owner=object()) for n in range(20)))
        assert done == [n * n for n in range(20)]
    finally:
        threads.close()


async def test_a_call_that_is_cancelled_before_it_begins_never_does() -> None:
    release, ran = threading.Event(), list[int]()
    threads = ToolThreads(size=1)
    try:
        first = asyncio.create_task(threads.run(lambda: release.wait(30), owner=object()))
        second = asyncio.create_task(threads.run(lambda: ran.append(1), owner=object()))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
        assert await first is True
        assert ran == []
    finally:
        release.set()
        threads.close()


async def test_closed_threads_take_no_calls_and_end() -> None:
    threads = ToolThreads(size=2)
    await threads.run(lambda: None, owner=object())
    (worker,) = [one for one in threading.enumerate() if one.name == "lash-tool"][-1:]
    threads.close()
    worker.join(10)
    assert not worker.is_alive()


async def test_a_plain_function_tells_its_progress_and_waits_for_the_display() -> None:
    @tool
    def build(progress: ToolProgress) -> None:
        progress.output_blocking("compiling")
        progress.status_blocking("linking")

    async with bench([build]) as on:
        await on.call("build")
        assert on.types() == ["tool_call_started", "plugin_runtime", "plugin_runtime", "tool_call_completed"]


async def test_stop_iteration_from_a_function_is_an_ordinary_failure() -> None:
    @tool
    def ends() -> None:
        raise StopIteration("no more")

    async with bench([ends], limits=ToolLimits()) as on:
        assert failure(await on.call("ends"))[1] == "tool_exception"


async def test_a_token_wakes_who_waits_and_calls_back_once_from_any_thread() -> None:
    token, called = CancelToken(), list[int]()
    token.on_cancel(lambda: called.append(1))
    forget = token.on_cancel(lambda: called.append(2))
    forget()
    waiting = asyncio.create_task(token.wait())
    await asyncio.sleep(0)
    thread = threading.Thread(target=lambda: token.cancel("why"))
    thread.start()
    await waiting
    thread.join()
    token.cancel("again")
    token.on_cancel(lambda: called.append(3))
    assert (called, token.reason, token.wait_blocking(0)) == ([1, 3], "why", True)
