from __future__ import annotations

import asyncio

import pytest

from lash.runtime.providers.components import AttemptTrace, EventSink, Transport
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import AnyStreamEvent, LlmRequest, LlmResponse, LlmStreamEvent
from lash.runtime.sansio.usage import TokenUsage
from lash.testing.clock import FakeClock, settle
from lash.testing.scripted import HANG, ScriptedProvider, Step
from tests.runtime.providers.helpers import REQUEST, delta, kinds, scripted


async def fails(clock: FakeClock, provider: ScriptedProvider, deadline_s: float | None = None) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as raised:
        await clock.run(provider.complete(REQUEST, deadline_s=deadline_s))
    return raised.value


class Talking:
    """Sends a byte every `every` seconds, for ever; says whether it was closed."""

    requires_streaming = False

    def __init__(self, clock: FakeClock, every: float) -> None:
        self.clock = clock
        self.every = every
        self.closed = 0

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        try:
            while True:
                await self.clock.sleep(self.every)
                trace.received()
        finally:
            self.closed += 1

    async def aclose(self) -> None:
        return None


async def test_silence_ends_an_attempt_which_is_retried() -> None:
    clock = FakeClock()
    response = await clock.run(scripted([HANG, "late"], clock).complete(REQUEST))
    assert response.full_text == "late"
    assert [(record.kind, record.code) for record in response.attempts] == [("timeout", "idle_timeout")]
    assert clock.monotonic() == 300 + 2


async def test_pings_keep_an_attempt_alive_until_its_own_bound() -> None:
    clock = FakeClock()
    provider = scripted([], clock, max_attempts=1)
    talking = Talking(clock, 10)
    provider.components.map_transport(lambda inner: talking)
    failure = await fails(clock, provider)
    assert (failure.kind, failure.code, failure.retryable) == ("timeout", "attempt_timeout", True)
    assert clock.monotonic() == 1800
    assert talking.closed == 1


async def test_silence_counts_from_the_last_byte() -> None:
    clock = FakeClock()
    provider = scripted([], clock, max_attempts=1)
    provider.components.map_transport(lambda inner: Talking(clock, 299))
    running = asyncio.create_task(provider.complete(REQUEST))
    await clock.advance(900)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_bounds_that_are_switched_off_end_nothing() -> None:
    clock = FakeClock()
    provider = scripted([HANG], clock, idle_timeout_ms=None, attempt_timeout_ms=None)
    running = asyncio.create_task(provider.complete(REQUEST))
    await clock.advance(10_000_000)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_waiting_for_admission_is_not_silence() -> None:
    clock = FakeClock()
    provider = scripted([HANG, "second"], clock, max_concurrency=1, max_attempts=1, attempt_timeout_ms=1_000)
    first = asyncio.create_task(provider.complete(REQUEST))
    await settle()
    second = await clock.run(provider.complete(REQUEST))
    assert second.full_text == "second"
    assert second.attempts == ()
    with pytest.raises(ProviderFailure):
        await first


async def test_a_preflight_that_hangs_is_ended_too() -> None:
    clock = FakeClock()

    class Never:
        """Never ready."""

        async def ensure_ready(self) -> None:
            await asyncio.get_running_loop().create_future()

    provider = scripted([], clock, max_attempts=1)
    provider.components.readiness = Never()
    assert (await fails(clock, provider)).kind == "timeout"


async def test_the_deadline_ends_the_whole_call_and_nothing_is_retried() -> None:
    clock = FakeClock()
    provider = scripted([HANG] * 4, clock)
    failure = await fails(clock, provider, deadline_s=700)
    assert (failure.kind, failure.retryable, failure.code) == ("timeout", False, "llm_deadline")
    assert clock.monotonic() == 700
    assert [record.code for record in failure.attempts] == ["idle_timeout", "idle_timeout", "llm_deadline"]


async def test_a_person_who_answers_is_not_hurried_by_the_deadline() -> None:
    clock = FakeClock()
    provider = scripted([HANG], clock, max_attempts=1, idle_timeout_ms=7_200_000)
    provider.components.state.by_hand = True
    failure = await fails(clock, provider, deadline_s=700)
    assert (failure.code, clock.monotonic()) == ("attempt_timeout", 1800)


async def test_a_deadline_during_a_wait_adds_no_attempt() -> None:
    clock = FakeClock()
    provider = scripted([ProviderFailure("http", "busy", status=500)], clock)
    failure = await fails(clock, provider, deadline_s=1)
    assert [record.kind for record in failure.attempts] == ["http"]


async def test_usage_of_the_attempt_that_the_deadline_ended_is_kept() -> None:
    clock = FakeClock()
    provider = scripted([Step([LlmStreamEvent.UsageUpdate(TokenUsage(9))], HANG)], clock)
    with pytest.raises(ProviderFailure) as raised:
        await clock.run(provider.complete(REQUEST, lambda event: None, deadline_s=5))
    assert raised.value.attempts[0].usage == TokenUsage(9)


async def test_events_of_an_attempt_that_is_over_reach_nobody() -> None:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    sinks: list[EventSink] = []

    class Leaky:
        """Gives its sink away."""

        requires_streaming = False

        def __init__(self, inner: Transport) -> None:
            self.inner = inner

        async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
            assert sink is not None
            sinks.append(sink)
            return await self.inner.complete(request, sink, trace)

        async def aclose(self) -> None:
            await self.inner.aclose()

    provider = scripted([HANG, "fine"], clock)
    provider.components.map_transport(Leaky)
    await clock.run(provider.complete(REQUEST, events.append))
    sinks[0](delta("late"))
    sinks[1](delta("later"))
    assert kinds(events) == ["retry_status", "text_delta"]


async def test_a_transports_own_timeout_error_is_a_timeout_and_no_deadline() -> None:
    clock = FakeClock()

    def slow(request: LlmRequest) -> str:
        raise TimeoutError("read")

    failure = await fails(clock, scripted([slow], clock, max_attempts=1), deadline_s=50)
    assert (failure.kind, failure.retryable, failure.message) == ("timeout", True, "TimeoutError: read")


async def test_a_transport_that_cancels_itself_has_failed() -> None:
    clock = FakeClock()

    def suicidal(request: LlmRequest) -> str:
        raise asyncio.CancelledError

    assert (await fails(clock, scripted([suicidal], clock))).kind == "cancelled"
