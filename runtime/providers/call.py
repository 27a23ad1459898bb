"""One model call from its first attempt to its end: the loop around ladder, admission and transport."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Literal, TypeVar

from lash.runtime.providers.attempt import AttemptSink, TimeIsUp, Timers, within
from lash.runtime.providers.components import AttemptTrace, CallTrace, EventSink, ProviderComponents
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.ladder import RetryLadder
from lash.runtime.sansio.llm import (
    AnyStreamEvent,
    AttemptRecord,
    Block,
    LlmRequest,
    LlmResponse,
    LlmStreamEvent,
)
from lash.runtime.seams.clock import Clock

T = TypeVar("T")

log = logging.getLogger("lash.providers")


class ModelCall:
    """A call in progress: where it is on the ladder, and what its attempts used."""

    def __init__(
        self,
        components: ProviderComponents,
        clock: Clock,
        uniform: Callable[[float, float], float],
        request: LlmRequest,
        listener: EventSink | None,
        trace: CallTrace | None,
    ) -> None:
        self._parts = components
        self._clock = clock
        self._options = components.state.options
        self._ladder = RetryLadder(self._options.reliability, uniform)
        self._request = request
        self._listener = listener
        self._trace = trace
        self._records: list[AttemptRecord] = []
        self._sink = self._new_sink()
        self._sent = AttemptTrace()
        self._running = False
        self._refresh: Literal["possible", "due", "done"] = "possible" if components.auth.refreshable else "done"

    async def run(self) -> LlmResponse:
        """Attempt after attempt until one works.

        Raises the failure that ends the ladder, and what the listener raised.
        """
        while True:
            self._sink = self._new_sink()
            self._running = True
            try:
                response = await self._attempt()
            except Exception as error:
                self._sink.close()
                if self._sink.error is not None:
                    raise self._sink.error from None
                failure = self._record(error)
            else:
                return replace(response, attempts=(*response.attempts, *self._records))
            self._running = False
            await self._before_next(failure)

    def overdue(self, message: str) -> ProviderFailure:
        """The failure of a call whose deadline has come; the attempt that ran then is among its attempts."""
        failure = ProviderFailure("timeout", message, retryable=False, code="llm_deadline")
        self._sink.close()
        return self._note(failure) if self._running else failure.replace(attempts=tuple(self._records))

    def _new_sink(self) -> AttemptSink:
        number = len(self._records) + 1
        return AttemptSink(self._listener, number, expose_thinking=self._options.thinking.expose)

    async def _attempt(self) -> LlmResponse:
        """One attempt, from readiness to a settled response; raises as the transport does."""
        reliability = self._options.reliability
        self._sent = AttemptTrace(call=self._trace)
        await self._timed(Timers(self._clock, reliability), self._prepare())
        await self._parts.rate_limiter.acquire()
        try:
            timers = Timers(self._clock, reliability)
            self._sent = AttemptTrace(timers.received, self._trace)
            wanted = self._listener is not None or self._parts.transport.requires_streaming
            sink = self._sink if wanted else None
            response = await self._timed(timers, self._parts.transport.complete(self._request, sink, self._sent))
        finally:
            self._parts.rate_limiter.release()
        self._sink.finish(response)
        return _settled(response)

    async def _prepare(self) -> None:
        """What has to be done before admission: the preflight, and new credentials where the last were refused."""
        if self._refresh == "due":
            self._refresh = "done"
            await self._parts.auth.credentials(force_refresh=True)
        await self._parts.readiness.ensure_ready()

    async def _timed(self, timers: Timers, work: Coroutine[Any, Any, T]) -> T:
        """Run work under the timers of an attempt."""
        try:
            return await within(self._clock, work, timers.due)
        except TimeIsUp:
            raise timers.failure() from None

    def _record(self, error: Exception) -> ProviderFailure:
        """Classify what an attempt raised, and note what it used."""
        classifier = self._parts.classifier
        failure = classifier.classify(classifier.recognise(error))
        if failure.request_body is None and self._sent.sent_body is not None:
            failure = failure.replace(request_body=self._sent.sent_body)
        return self._note(failure)

    def _note(self, failure: ProviderFailure) -> ProviderFailure:
        """Add the attempt that failed to the records; the failure with all of them."""
        number = len(self._records) + 1
        usage = failure.partial.usage if failure.partial is not None else self._sink.usage
        self._records.append(AttemptRecord(number, usage, failure.kind, failure.message, failure.wire_code))
        log.debug("attempt %d of a call of model %r failed: %s", number, self._request.model, failure)
        if self._trace is not None:
            self._trace.attempt_failed(number, failure)
        return failure.replace(attempts=tuple(self._records))

    async def _before_next(self, failure: ProviderFailure) -> None:
        """Wait until the next attempt may be made; raises the failure where there is none."""
        if failure.status == 401 and self._refresh == "possible":
            self._refresh = "due"
            self._take_back()
            return
        rung = self._ladder.rung
        wait = self._ladder.after(failure)
        if wait is None:
            raise failure
        self._take_back()
        self._tell(
            LlmStreamEvent.RetryStatus(
                wait_seconds=wait.seconds,
                attempt=rung,
                max_attempts=self._ladder.max_attempts,
                reason=failure.message,
                kind=failure.kind,
                deferred=wait.deferred,
            )
        )
        await self._clock.sleep(wait.seconds)

    def _take_back(self) -> None:
        """Tell the listener that what the last attempt showed is void, if it showed anything."""
        if self._sink.emitted:
            self._tell(LlmStreamEvent.AttemptReset(len(self._records)))

    def _tell(self, event: AnyStreamEvent) -> None:
        if self._listener is not None:
            self._listener(event)


def _settled(response: LlmResponse) -> LlmResponse:
    """The response with a reason why it ended: tool calls are one, and a text that says nothing else has stopped."""
    if response.terminal_reason != "unknown":
        return response
    calls = any(isinstance(part, Block.ToolCall) for part in response.parts)
    return replace(response, terminal_reason="tool_use" if calls else "stop")
