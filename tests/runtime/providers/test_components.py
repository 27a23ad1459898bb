from __future__ import annotations

import asyncio

import pytest

from lash.runtime.providers.classifier import DefaultClassifier
from lash.runtime.providers.components import (
    AttemptTrace,
    Credentials,
    EventSink,
    ReadyOnce,
    StaticAuth,
    Transport,
)
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import LlmRequest, LlmResponse
from lash.testing.clock import FakeClock, settle
from tests.runtime.providers.helpers import REQUEST, scripted


class Counting:
    """A wrapper that counts."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.calls = 0
        self.closed = 0
        self.requires_streaming = inner.requires_streaming

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        self.calls += 1
        return await self.inner.complete(request, sink, trace)

    async def aclose(self) -> None:
        self.closed += 1
        await self.inner.aclose()


async def test_a_transport_can_be_wrapped_and_the_wrapper_is_closed() -> None:
    clock = FakeClock()
    provider = scripted(["x"], clock)
    wrappers: list[Counting] = []

    def wrap(inner: Transport) -> Transport:
        wrappers.append(Counting(inner))
        return wrappers[-1]

    provider.components.map_transport(wrap)
    await clock.run(provider.complete(REQUEST))
    await provider.aclose()
    assert [(wrapper.calls, wrapper.closed) for wrapper in wrappers] == [(1, 1)]


async def test_another_classifier_can_be_used() -> None:
    class Stubborn(DefaultClassifier):
        """Takes everything for retryable."""

        def classify(self, failure: ProviderFailure) -> ProviderFailure:
            return super().classify(failure).replace(retryable=True)

    clock = FakeClock()
    provider = scripted([ProviderFailure("http", "no", status=400), "x"], clock)
    provider.components.with_classifier(Stubborn(clock.now_ms))
    assert (await clock.run(provider.complete(REQUEST))).full_text == "x"


class Preflight:
    """A preflight that ends when it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.gate = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self) -> None:
        self.runs += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure


async def test_concurrent_calls_share_one_preflight_and_its_success_is_kept() -> None:
    preflight = Preflight()
    ready = ReadyOnce(preflight)
    calls = [asyncio.create_task(ready.ensure_ready()) for _ in range(5)]
    await settle()
    preflight.gate.set()
    await asyncio.gather(*calls)
    await ready.ensure_ready()
    assert preflight.runs == 1


async def test_a_preflight_that_failed_is_made_again() -> None:
    preflight = Preflight()
    preflight.gate.set()
    preflight.failure = OSError("no")
    ready = ReadyOnce(preflight)
    with pytest.raises(OSError, match="no"):
        await ready.ensure_ready()
    preflight.failure = None
    await ready.ensure_ready()
    assert preflight.runs == 2


async def test_who_is_cancelled_does_not_end_the_preflight_of_others() -> None:
    preflight = Preflight()
    ready = ReadyOnce(preflight)
    first, second = (asyncio.create_task(ready.ensure_ready()) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    preflight.gate.set()
    await second
    assert first.cancelled()
    assert preflight.runs == 1


async def test_credentials_are_not_in_a_repr() -> None:
    assert "sk-1" not in repr(StaticAuth("sk-1"))
    assert "sk-1" not in repr(Credentials("sk-1"))
    assert await StaticAuth("sk-1").credentials() == Credentials("sk-1")
