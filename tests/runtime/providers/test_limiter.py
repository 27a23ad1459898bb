from __future__ import annotations

import asyncio

import pytest

from lash.runtime.providers.limiter import LocalRateLimiter
from lash.runtime.providers.options import ProviderReliability
from lash.testing.clock import FakeClock, settle


def limiter(clock: FakeClock, ceiling: int | None = None, **rules: int) -> LocalRateLimiter:
    return LocalRateLimiter(ProviderReliability.model_validate(rules), clock, ceiling=ceiling)


async def enter(rates: LocalRateLimiter, order: list[str], name: str) -> None:
    await rates.acquire()
    order.append(name)


async def test_without_limits_everybody_is_admitted_at_once() -> None:
    rates = limiter(FakeClock())
    for _ in range(1_000):
        await rates.acquire()
    assert rates.active == 1_000


async def test_at_most_so_many_hold_a_permit_and_the_first_to_ask_is_the_next() -> None:
    rates, order = limiter(FakeClock(), max_concurrency=2), list[str]()
    tasks = [asyncio.create_task(enter(rates, order, name)) for name in "abcd"]
    await settle()
    assert order == ["a", "b"]
    rates.release()
    await settle()
    assert order == ["a", "b", "c"]
    rates.release()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c", "d"]


async def test_a_ceiling_holds_whatever_the_options_say() -> None:
    rates, order = limiter(FakeClock(), ceiling=1, max_concurrency=5), list[str]()
    tasks = [asyncio.create_task(enter(rates, order, name)) for name in "ab"]
    await settle()
    assert order == ["a"]
    rates.release()
    await asyncio.gather(*tasks)


async def test_a_full_window_admits_again_when_it_ends() -> None:
    clock = FakeClock()
    rates, times = limiter(clock, requests_per_window=2, request_window_ms=10_000), list[float]()

    async def work() -> None:
        for _ in range(5):
            await rates.acquire()
            times.append(clock.monotonic())

    await clock.run(work())
    assert times == [0, 0, 10, 10, 20]


async def test_a_window_begins_with_its_first_attempt() -> None:
    clock = FakeClock()
    rates = limiter(clock, requests_per_window=1, request_window_ms=10_000)
    await clock.advance(95)
    await rates.acquire()
    await clock.run(rates.acquire())
    assert clock.monotonic() == 105


async def test_who_is_cancelled_while_waiting_holds_nothing_and_keeps_nobody_waiting() -> None:
    rates, order = limiter(FakeClock(), max_concurrency=1), list[str]()
    await rates.acquire()
    waiting = [asyncio.create_task(enter(rates, order, name)) for name in "ab"]
    await settle()
    waiting[0].cancel()
    await settle()
    rates.release()
    await waiting[1]
    assert order == ["b"]
    assert rates.active == 1
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]


async def test_looser_limits_let_in_who_waits() -> None:
    clock = FakeClock()
    rates = limiter(clock, requests_per_window=1, request_window_ms=3_600_000)
    await rates.acquire()
    waiting = asyncio.create_task(rates.acquire())
    await settle()
    rates.configure(ProviderReliability())
    await waiting
    assert clock.monotonic() == 0
