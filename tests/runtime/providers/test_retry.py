from __future__ import annotations

import asyncio
from email.utils import formatdate

import pytest

from lash.runtime.providers.components import AttemptTrace, Credentials, EventSink
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderOptions, ProviderReliability
from lash.runtime.sansio.llm import AnyStreamEvent, AttemptRecord, LlmRequest, LlmResponse, LlmStreamEvent
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.testing.clock import FakeClock, settle
from lash.testing.scripted import HANG, ScriptedProvider, Step, surviving_text
from tests.runtime.providers.helpers import REQUEST, delta, kinds, scripted, waits

BUSY = ProviderFailure("http", "busy", status=500)
LOST = ProviderFailure("transport", "connection lost")


def throttled(seconds: float | None = 7) -> ProviderFailure:
    headers = {} if seconds is None else {"Retry-After": f"{seconds:g}"}
    return ProviderFailure("http", "slow down", status=429, headers=headers)


async def fails(clock: FakeClock, provider: ScriptedProvider) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as raised:
        await clock.run(provider.complete(REQUEST))
    return raised.value


async def test_retryable_failures_are_waited_out_with_doubling_delays() -> None:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    provider = scripted([BUSY, BUSY, "done"], clock, max_attempts=3)
    response = await clock.run(provider.complete(REQUEST, events.append))
    assert response.full_text == "done"
    assert waits(events) == [2, 4]
    assert clock.monotonic() == 6
    provider.assert_exhausted()


async def test_a_retry_status_names_the_attempt_the_reason_and_the_kind() -> None:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    await clock.run(scripted([BUSY, "done"], clock).complete(REQUEST, events.append))
    assert events[0] == LlmStreamEvent.RetryStatus(2, 1, 4, "busy", "http")


async def test_delays_stop_growing_at_their_maximum() -> None:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    provider = scripted([BUSY] * 5 + ["done"], clock, max_attempts=6)
    await clock.run(provider.complete(REQUEST, events.append))
    assert waits(events) == [2, 4, 8, 10, 10]


async def test_jitter_is_added_from_the_injected_source() -> None:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    provider = scripted([BUSY, "done"], clock, jitter_ms=500)

    def half(low: float, high: float) -> float:
        return (low + high) / 2

    provider.uniform = half
    await clock.run(provider.complete(REQUEST, events.append))
    assert waits(events) == [2.25]


async def test_the_last_attempt_raises_its_failure_with_a_record_of_every_attempt() -> None:
    clock = FakeClock()
    failure = await fails(clock, scripted([LOST, BUSY], clock, max_attempts=2))
    assert (failure.kind, failure.status) == ("http", 500)
    assert [(record.attempt, record.kind) for record in failure.attempts] == [(1, "transport"), (2, "http")]


async def test_a_failure_that_is_not_retryable_ends_the_ladder_at_once() -> None:
    clock = FakeClock()
    provider = scripted([ProviderFailure("http", "no", status=400)], clock)
    assert (await fails(clock, provider)).kind == "validation"
    assert clock.monotonic() == 0


async def test_disabled_reliability_makes_one_attempt_even_for_a_named_rate_limit() -> None:
    clock = FakeClock()
    provider = ScriptedProvider(
        [throttled()], options=ProviderOptions(reliability=ProviderReliability.disabled()), clock=clock
    )
    await fails(clock, provider)
    provider.assert_exhausted()


async def test_what_a_failed_attempt_streamed_is_taken_back_before_the_wait() -> None:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    steps = [Step([delta("Hel")], LOST), Step([delta("Hel"), delta("lo")], LlmResponse("Hello"))]
    response = await clock.run(scripted(steps, clock).complete(REQUEST, events.append))
    assert kinds(events) == ["text_delta", "attempt_reset", "retry_status", "text_delta", "text_delta"]
    assert events[1] == LlmStreamEvent.AttemptReset(1)
    assert surviving_text(events) == response.full_text == "Hello"


async def test_an_attempt_that_streamed_nothing_is_not_taken_back() -> None:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    usage = LlmStreamEvent.UsageUpdate(TokenUsage(3))
    await clock.run(scripted([Step([usage], LOST), "x"], clock).complete(REQUEST, events.append))
    assert kinds(events) == ["usage_update", "retry_status", "text_delta"]


async def test_what_was_streamed_before_the_last_failure_stays() -> None:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    provider = scripted([Step([delta("Hel")], LOST)], clock, max_attempts=1)
    with pytest.raises(ProviderFailure):
        await clock.run(provider.complete(REQUEST, events.append))
    assert kinds(events) == ["text_delta"]


async def test_a_rate_limit_with_retry_after_costs_no_attempt() -> None:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    provider = scripted([throttled()] * 3 + ["done"], clock, max_attempts=2)
    response = await clock.run(provider.complete(REQUEST, events.append))
    assert response.full_text == "done"
    assert clock.monotonic() == 21
    assert [(e.attempt, e.deferred) for e in events if isinstance(e, LlmStreamEvent.RetryStatus)] == [(1, True)] * 3


async def test_without_a_budget_rate_limits_cost_attempts() -> None:
    clock = FakeClock()
    provider = scripted([throttled()] * 2, clock, max_attempts=2, throttle_wait_budget_ms=0)
    assert (await fails(clock, provider)).kind == "rate_limit"
    assert clock.monotonic() == 7
    provider.assert_exhausted()


async def test_a_rate_limit_that_says_now_is_charged_a_second() -> None:
    clock = FakeClock()
    provider = scripted([throttled(0)] * 4, clock, max_attempts=2, throttle_wait_budget_ms=2_000)
    await fails(clock, provider)
    provider.assert_exhausted()


async def test_a_rate_limit_without_retry_after_costs_an_attempt() -> None:
    clock = FakeClock()
    provider = scripted([throttled(None)] * 2, clock, max_attempts=2)
    await fails(clock, provider)
    assert clock.monotonic() == 2


async def test_a_named_wait_is_capped() -> None:
    clock = FakeClock()
    date = formatdate(clock.now_ms() / 1000 + 600, usegmt=True)
    busy = ProviderFailure("http", "busy", status=503, headers={"retry-after": date})
    await clock.run(scripted([busy, "x"], clock).complete(REQUEST))
    assert clock.monotonic() == 60


async def test_a_date_as_retry_after_is_measured_against_the_clock() -> None:
    clock = FakeClock()
    date = formatdate(clock.now_ms() / 1000 + 25, usegmt=True)
    busy = ProviderFailure("http", "busy", status=503, headers={"Retry-After": date})
    await clock.run(scripted([busy, "x"], clock).complete(REQUEST))
    assert clock.monotonic() == 25


async def test_the_servers_word_stops_the_ladder() -> None:
    clock = FakeClock()
    provider = scripted([ProviderFailure("http", "no", status=500, headers={"X-Should-Retry": "false"})], clock)
    assert (await fails(clock, provider)).retryable is False


async def test_usage_of_failed_attempts_is_kept() -> None:
    clock = FakeClock()
    streamed = Step([LlmStreamEvent.UsageUpdate(TokenUsage(5, 1))], LOST)
    partial = ProviderFailure("stream", "cut", partial=LlmResponse("", usage=TokenUsage(7, 2)))
    response = await clock.run(scripted([streamed, partial, "x"], clock).complete(REQUEST))
    # Without a listener nothing is streamed; the partial response is known all the same.
    assert [record.usage for record in response.attempts] == [TokenUsage(), TokenUsage(7, 2)]
    heard = await clock.run(scripted([streamed, "x"], clock).complete(REQUEST, lambda event: None))
    assert heard.attempts == (AttemptRecord(1, TokenUsage(5, 1), "transport", "connection lost"),)


async def test_cancelling_a_call_frees_its_permit() -> None:
    clock = FakeClock()
    provider = scripted([Step([delta("Hel")], HANG), "next"], clock, max_concurrency=1)
    running = asyncio.create_task(provider.complete(REQUEST, lambda event: None))
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await clock.run(provider.complete(REQUEST))).full_text == "next"


async def test_a_cancelled_wait_ends_the_call() -> None:
    clock = FakeClock()
    running = asyncio.create_task(scripted([BUSY], clock).complete(REQUEST))
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_permit_is_not_held_during_the_wait_between_attempts() -> None:
    clock = FakeClock()
    provider = scripted([BUSY, "other", "first"], clock, max_concurrency=1)
    first = asyncio.create_task(provider.complete(REQUEST))
    await settle()
    assert (await provider.complete(REQUEST)).full_text == "other"
    await clock.advance(2)
    assert (await first).full_text == "first"


async def test_what_a_listener_raises_is_raised_and_not_retried() -> None:
    clock = FakeClock()
    provider = scripted(["text"], clock)

    def broken(event: AnyStreamEvent) -> None:
        raise KeyError("listener")

    with pytest.raises(KeyError):
        await clock.run(provider.complete(REQUEST, broken))
    provider.assert_exhausted()


async def test_an_unexpected_exception_of_a_transport_is_a_failure_with_its_cause() -> None:
    clock = FakeClock()

    def fault(request: LlmRequest) -> str:
        raise ValueError("a fault")

    failure = await fails(clock, scripted([fault], clock))
    assert (failure.kind, failure.retryable, failure.message) == ("unknown", False, "ValueError: a fault")
    assert isinstance(failure.__cause__, ValueError)


class Recorder:
    """A trace that keeps what it is told."""

    def __init__(self) -> None:
        self.bodies: list[JsonValue] = []
        self.failed: list[tuple[int, str]] = []

    def request_body(self, body: JsonValue) -> None:
        self.bodies.append(body)

    def provider_event(self, name: str, data: str) -> None:
        raise AssertionError("the script has no raw events")

    def attempt_failed(self, attempt: int, failure: ProviderFailure) -> None:
        self.failed.append((attempt, failure.kind))


async def test_failed_attempts_are_traced() -> None:
    clock, recorder = FakeClock(), Recorder()
    await clock.run(scripted([LOST, BUSY, "x"], clock).complete(REQUEST, trace=recorder))
    assert recorder.failed == [(1, "transport"), (2, "http")]


class BodyTransport:
    """Reports a body with a secret in it and fails."""

    requires_streaming = False

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        trace.request_body({"model": request.model, "headers": {"Authorization": "Bearer secret"}})
        raise ConnectionResetError("gone")

    async def aclose(self) -> None:
        return None


async def test_a_failure_carries_the_redacted_body_that_was_sent() -> None:
    clock, recorder = FakeClock(), Recorder()
    provider = scripted([], clock, max_attempts=1)
    provider.components.map_transport(lambda inner: BodyTransport())
    with pytest.raises(ProviderFailure) as raised:
        await clock.run(provider.complete(REQUEST, trace=recorder))
    shown = {"model": "model", "headers": {"Authorization": "[redacted]"}}
    assert raised.value.request_body == shown
    assert recorder.bodies == [shown]


class Rotating:
    """Credentials that can be had anew; `broken` raises when they are."""

    refreshable = True

    def __init__(self, broken: ProviderFailure | None = None) -> None:
        self.refreshes = 0
        self.broken = broken

    async def credentials(self, *, force_refresh: bool = False) -> Credentials:
        self.refreshes += force_refresh
        if self.broken is not None and force_refresh:
            raise self.broken
        return Credentials("token")


REFUSED = ProviderFailure("http", "who are you", status=401)


async def test_refused_credentials_are_refreshed_once_without_a_wait() -> None:
    clock = FakeClock()
    provider, auth = scripted([REFUSED, "in"], clock, max_attempts=1), Rotating()
    provider.components.auth = auth
    assert (await clock.run(provider.complete(REQUEST))).full_text == "in"
    assert (auth.refreshes, clock.monotonic()) == (1, 0)


async def test_credentials_refused_twice_end_the_call() -> None:
    clock = FakeClock()
    provider, auth = scripted([REFUSED, REFUSED], clock), Rotating()
    provider.components.auth = auth
    assert (await fails(clock, provider)).kind == "auth"
    assert auth.refreshes == 1


async def test_a_refresh_that_fails_is_a_failed_attempt() -> None:
    clock = FakeClock()
    provider = scripted([REFUSED, "in"], clock)
    provider.components.auth = Rotating(LOST)
    response = await clock.run(provider.complete(REQUEST))
    assert [record.kind for record in response.attempts] == ["auth", "transport"]


async def test_a_preflight_that_fails_is_a_failed_attempt() -> None:
    clock = FakeClock()

    class Sluggish:
        """Ready at the second try."""

        tries = 0

        async def ensure_ready(self) -> None:
            self.tries += 1
            if self.tries == 1:
                raise LOST

    provider = scripted(["in"], clock)
    provider.components.readiness = Sluggish()
    response = await clock.run(provider.complete(REQUEST))
    assert [record.kind for record in response.attempts] == ["transport"]
    provider.assert_exhausted()
