"""One model call in the trace: its start, its failed attempts, its stream at the extended level, and its end.

`ModelCallTrace` is what a provider handle calls a `lash.runtime.providers.components.CallTrace`. Nothing here raises.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lash.runtime.sansio.llm import AnyStreamEvent, Block, LlmCallError, LlmRequest, LlmResponse, LlmStreamEvent
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.trace import TraceEvent
from lash.runtime.seams.trace_events import TraceError
from lash.runtime.turn.trace_requests import request_of, response_of
from lash.runtime.turn.tracer import Tracer

if TYPE_CHECKING:
    from lash.runtime.providers.failure import ProviderFailure

REQUEST_EVENT = "lash.request"
"""The name of the stream event that shows what was sent to a provider."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a stream event came: its number in the attempt, and milliseconds since the attempt began."""

    sequence: int
    elapsed_ms: int


class ModelCallTrace:
    """Writes one model call.

    Arguments: a `tracer` whose context holds the call's id, and the `provider`'s kind.
    """

    def __init__(self, tracer: Tracer, provider: str) -> None:
        self._tracer = tracer
        self._provider = provider
        self._open = False
        self._begun = 0.0
        self._failed_attempts = 0
        self._new_attempt()

    def _new_attempt(self) -> None:
        self._attempt_begun = self._tracer.clock.monotonic()
        self._first_output_ms: int | None = None
        self._last_event_ms = 0
        self._provider_events = 0
        self._events = 0
        self._text_chars = 0

    def started(self, request: LlmRequest, *, stream: bool) -> None:
        """The final request is made and the call begins; `stream` says whether somebody wants it piece by piece."""
        self._open = True
        self._begun = self._attempt_begun = self._tracer.clock.monotonic()
        self._tracer.write(lambda: TraceEvent.LlmCallStarted(request_of(request, self._provider, stream=stream)))

    # --- what a provider reports -----------------------------------------------------------------

    def request_body(self, body: JsonValue) -> None:
        """What an attempt sends; the attempt counts from here."""
        self._attempt_begun = self._tracer.clock.monotonic()
        self._raw(REQUEST_EVENT, 0, lambda: json.dumps(body, ensure_ascii=False))

    def provider_event(self, name: str, data: str) -> None:
        """A raw event of the provider."""
        self._provider_events += 1
        self._raw(name, self._provider_events, lambda: data)

    def attempt_failed(self, attempt: int, failure: ProviderFailure) -> None:
        """An attempt has failed."""
        self._failed_attempts = attempt
        reason = failure.terminal_reason
        error = TraceError(failure.message, failure.retryable, reason, failure.code, failure.raw)
        self._write_failure(error, attempt)
        self._new_attempt()

    def _raw(self, name: str, sequence: int, data: Callable[[], str]) -> None:
        """Write what went over the wire, at the extended level."""
        if not self._tracer.extended:
            return
        elapsed = self._elapsed_ms()

        def made() -> TraceEvent.ProviderStreamEvent:
            text = data()
            raw = text.encode("utf-8", "replace")
            return TraceEvent.ProviderStreamEvent(
                self._provider,
                sequence,
                elapsed,
                name,
                raw_len=len(raw),
                raw_sha256=hashlib.sha256(raw).hexdigest(),
                raw_json=text,
            )

        self._tracer.write(made)

    # --- the stream ------------------------------------------------------------------------------

    def arrived(self, event: AnyStreamEvent) -> Arrival | None:
        """Take note of a stream event; what `shown` wants, None where stream events are not written."""
        self._events += 1
        self._last_event_ms = self._elapsed_ms()
        if isinstance(event, LlmStreamEvent.TextDelta):
            self._text_chars += len(event.text)
        if self._first_output_ms is None and not isinstance(event, _NO_OUTPUT):
            self._first_output_ms = self._last_event_ms
        return Arrival(self._events, self._last_event_ms) if self._tracer.extended else None

    def shown(self, event: AnyStreamEvent, arrival: Arrival, visible_text: str | None) -> None:
        """Write a stream event, now that it is known what of its text was shown."""
        self._tracer.write(lambda: _stream_event(event, arrival, visible_text))

    # --- the end ---------------------------------------------------------------------------------

    def ended(self, result: LlmResponse | LlmCallError, *, replayed: bool) -> None:
        """The call is over. A replayed one has no duration; the attempts of one that failed here are written already.

        The time to the first output counts from the beginning of the attempt that worked.
        """
        self._open = False
        if isinstance(result, LlmCallError):
            if replayed:
                error = TraceError(result.message, result.retryable, result.terminal_reason, result.code, result.raw)
                self._write_failure(error, max(1, len(result.attempts)), replayed=True)
            return
        duration = None if replayed else self._since(self._begun)
        first, summary = self._first_output_ms, self._summary()
        self._tracer.write(
            lambda: TraceEvent.LlmCallCompleted(
                response_of(result, duration, first),
                result.usage,
                result.provider_usage,
                summary,
                replayed or None,
            )
        )

    def broken_off(self, error: BaseException) -> None:
        """The call ends without a result, if it was under way: it was cancelled, or what carries effects out failed."""
        if not self._open:
            return
        self._open = False
        cancelled = isinstance(error, asyncio.CancelledError)
        reason = "cancelled" if cancelled else "unknown"
        message = "the call was cancelled" if cancelled else f"{type(error).__name__}: {error}"
        self._write_failure(TraceError(message, terminal_reason=reason), self._failed_attempts + 1)

    def _write_failure(self, error: TraceError, attempt: int, *, replayed: bool = False) -> None:
        summary = self._summary()
        self._tracer.write(lambda: TraceEvent.LlmCallFailed(error, attempt, summary, replayed or None))

    def _summary(self) -> dict[str, JsonValue]:
        if not self._events and not self._provider_events:
            return {}
        return {
            "events": self._events,
            "provider_events": self._provider_events,
            "text_chars": self._text_chars,
            "last_event_ms": self._last_event_ms,
        }

    def _elapsed_ms(self) -> int:
        return self._since(self._attempt_begun)

    def _since(self, begun: float) -> int:
        return round((self._tracer.clock.monotonic() - begun) * 1000)


_NO_OUTPUT = (LlmStreamEvent.UsageUpdate, LlmStreamEvent.RetryStatus, LlmStreamEvent.AttemptReset)


def _stream_event(event: AnyStreamEvent, arrival: Arrival, visible_text: str | None) -> TraceEvent.RuntimeStreamEvent:
    """A stream event as a record shows it."""
    made = TraceEvent.RuntimeStreamEvent(arrival.sequence, arrival.elapsed_ms, event.type, visible_text=visible_text)
    match event:
        case LlmStreamEvent.TextDelta() | LlmStreamEvent.ReasoningDelta():
            return replace(made, raw_text=event.text, output_index=event.part_index)
        case LlmStreamEvent.ToolCallStarted():
            return replace(made, call_id=event.call_id, tool_name=event.name, output_index=event.part_index)
        case LlmStreamEvent.ToolCallDelta():
            return replace(made, input_json=event.arguments_delta, output_index=event.part_index)
        case LlmStreamEvent.PartDone():
            part = event.part
            if isinstance(part, Block.ToolCall):
                return replace(made, call_id=part.call_id, tool_name=part.tool_name, input_json=part.input_json)
            return replace(made, raw_text=part.text)
        case LlmStreamEvent.UsageUpdate():
            return replace(made, usage=event.usage)
        case LlmStreamEvent.RetryStatus():
            return replace(made, raw_text=event.reason)
        case LlmStreamEvent.AttemptReset():
            return made
