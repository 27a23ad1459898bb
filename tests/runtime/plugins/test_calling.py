"""Calling hooks: plain or async, within a time, and with the plugin's name on whatever goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from lash.runtime.errors import PluginError
from lash.runtime.plugins.calling import HookCaller, HookTimes, close_all
from lash.runtime.plugins.contract import SessionRestored
from lash.runtime.plugins.registrar import Registered
from lash.testing.clock import FakeClock
from tests.runtime.plugins.support import opened, static


def registered(hook: Callable[..., Any]) -> Registered[Callable[..., Any]]:
    """A hook of the plugin `mine`."""
    return Registered("mine", hook)


async def test_hooks_may_be_plain_or_async() -> None:
    def now(x: int) -> int:
        return x + 1

    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    caller = HookCaller(FakeClock(), HookTimes())
    assert await caller.call(registered(now), "hook", 1) == 2
    assert await caller.call(registered(later), "hook", 1) == 2


@pytest.mark.parametrize(("long", "seconds"), [(False, 30), (True, 300)])
async def test_a_hook_has_its_time_and_not_more(long: bool, seconds: int) -> None:
    clock = FakeClock()
    stopped: list[float] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(clock.monotonic())

    caller = HookCaller(clock, HookTimes())
    with pytest.raises(PluginError, match=rf"'mine'.*its watch did not end within {seconds} s"):
        await clock.run(caller.call(registered(slow), "watch", long=long))
    assert stopped == [seconds]


async def test_a_hook_that_refuses_to_be_stopped_is_left_behind_after_the_grace() -> None:
    clock = FakeClock()
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    caller = HookCaller(clock, HookTimes(hook_s=1.0, grace_s=5.0))
    with pytest.raises(PluginError, match="did not end within 1 s"):
        await clock.run(caller.call(registered(stubborn), "hook"))
    assert clock.monotonic() == 6
    release.set()
    await asyncio.sleep(0)


async def test_a_hook_without_a_limit_may_take_for_ever() -> None:
    clock = FakeClock()

    async def slow() -> int:
        await clock.sleep(10_000)
        return 1

    caller = HookCaller(clock, HookTimes(hook_s=None))
    assert await clock.run(caller.call(registered(slow), "hook")) == 1


async def test_a_hook_that_cancels_itself_is_a_hook_that_fails() -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    caller = HookCaller(FakeClock(), HookTimes())
    with pytest.raises(PluginError, match=r"'mine'.*cancelled itself"):
        await caller.call(registered(cancels), "hook")


async def test_one_listener_that_fails_or_hangs_does_not_keep_the_others_from_hearing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    told: list[object] = []

    async def hangs(event: object) -> None:
        await asyncio.Event().wait()

    def fails(event: object) -> None:
        raise ValueError("broken")

    one, two, three = static("a", on_event=[hangs]), static("b", on_event=[fails]), static("c", on_event=[told.append])
    session = await opened(one, two, three, clock=clock)
    with caplog.at_level(logging.WARNING, "lash.plugins"):
        await clock.run(session.notify(SessionRestored(None)))
    assert told == [SessionRestored(None)]
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("'a'" in text for text in warned)
    assert any("'b'" in text for text in warned)


async def test_closing_goes_backwards_and_past_what_fails() -> None:
    closed: list[str] = []

    class Part:
        def __init__(self, part_id: str) -> None:
            self.id = part_id

        async def aclose(self) -> None:
            closed.append(self.id)
            if self.id == "b":
                raise ValueError("broken")

    await close_all([Part("a"), Part("b"), Part("c")], HookCaller(FakeClock(), HookTimes()))
    assert closed == ["c", "b", "a"]
