"""The tracer as those see it who run calls: `ToolTrace` for tool dispatch, `ModelCallTrace` for one model call.

`ToolTrace` is a `lash.runtime.tools.hooks.ToolObserver`, `ModelCallTrace` a
`lash.runtime.providers.components.CallTrace`. Neither raises.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lash.runtime.sansio.llm import AnyStreamEvent, Block, LlmRequest, LlmResponse, LlmStreamEvent
from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.trace import TraceEvent
from lash.runtime.turn.tracer import Tracer

if TYPE_CHECKING:
    from lash.runtime.providers.failure import ProviderFailure
    from lash.runtime.tools.hooks import CallFrame

REQUEST_EVENT = "lash.request"
"""The name of the stream event that shows what was sent to a provider."""


class ToolTrace:
    """Writes the tool calls of a turn; `tracer` is the turn's, `replayed` calls have a completion and no start."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def started(self, frame: CallFrame, call_id: str, name: str, args: JsonValue, parent_call_id: str | None) -> None:
        """A call begins."""
        self._at(frame).tool_call_started(call_id, name, args, parent_call_id=parent_call_id)

    def completed(
        self,
        frame: CallFrame,
        call_id: str,
        name: str,
        args: JsonValue,
        output: AnyToolOutput,
        control: AnyToolControl | None,
        duration_ms: int,
        parent_call_id: str | None,
        replayed: bool,
    ) -> None:
        """A call is over."""
        self._at(frame).tool_call_completed(
            call_id, name, args, output, control, duration_ms=duration_ms, replayed=replayed
        )

    def _at(self, frame: CallFrame) -> Tracer:
        """The tracer at a place in the turn. A turn id that the host chose for the trace stays."""
        context = self._tracer.context
        return self._tracer.child(
            session_id=context.session_id or frame.session_id,
            parent_session_id=context.parent_session_id or frame.parent_session_id,
            turn_id=context.turn_id or frame.turn_id,
            turn_index=frame.turn_index if context.turn_index is None else context.turn_index,
            mode_iteration=frame.mode_iteration,
            effect_id=frame.effect_id,
        )


class ModelCallTrace:
    """Writes one model call: its start, its failed attempts, its stream at the extended level, and its end.

    Arguments: the turn's `tracer`; `llm_call_id`, which the call's records share; the `provider`'s kind; `context`
    for what else is known of the place (mode_iteration, effect_id, originating_tool_call_id).
    """

    def __init__(self, tracer: Tracer, llm_call_id: str, provider: str, **context: object) -> None:
        self._tracer = tracer.child(llm_call_id=llm_call_id, **context)
        self._provider = provider
        self._begun = self._attempt_begun = tracer.clock.monotonic()
        self._first_text_ms: int | None = None
        self._provider_events = 0
        self._runtime_events = 0
        self._last_event_ms = 0
        self._characters = 0

    def started(
        self, request: LlmRequest, *, stream: bool = True, generation: Mapping[str, JsonValue] | None = None
    ) -> None:
        """The final request is made and the call begins."""
        self._begun = self._attempt_begun = self._tracer.clock.monotonic()
        self._tracer.llm_call_started(request, provider=self._provider, stream=stream, generation=generation)

    def request_body(self, body: JsonValue) -> None:
        """What an attempt sends; written as a stream event."""
        self._raw(REQUEST_EVENT, 0, lambda: json.dumps(body, ensure_ascii=False))

    def provider_event(self, name: str, data: str) -> None:
        """A raw event of the provider."""
        self._provider_events += 1
        self._raw(name, self._provider_events, lambda: data)

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

    def stream_event(self, event: AnyStreamEvent, visible_text: str | None = None) -> None:
        """A stream event as the runtime got it; `visible_text` is what of it was shown."""
        self._runtime_events += 1
        sequence, elapsed = self._runtime_events, self._elapsed_ms()
        self._last_event_ms = elapsed
        if isinstance(event, LlmStreamEvent.TextDelta):
            self._characters += len(event.text)
            if self._first_text_ms is None:
                self._first_text_ms = elapsed
        if self._tracer.extended:
            self._tracer.write(lambda: _runtime_event(event, sequence, elapsed, visible_text))

    def attempt_failed(self, attempt: int, failure: ProviderFailure) -> None:
        """An attempt has failed; the next one, if there is one, is counted from here."""
        self._tracer.llm_call_failed(
            failure.message,
            attempt=attempt,
            retryable=failure.retryable,
            terminal_reason=failure.terminal_reason,
            code=failure.code,
            raw=failure.raw,
            stream_summary=self._summary(),
        )
        self._forget_attempt()

    def completed(self, response: LlmResponse, *, response_model: str | None = None, replayed: bool = False) -> None:
        """The model has answered; a replayed answer took no time. Time to the first text counts from the attempt."""
        self._tracer.llm_call_completed(
            response,
            duration_ms=0 if replayed else _ms(self._tracer.clock.monotonic() - self._begun),
            ttft_ms=self._first_text_ms,
            response_model=response_model,
            stream_summary=self._summary(),
            replayed=replayed,
        )

    def _elapsed_ms(self) -> int:
        return _ms(self._tracer.clock.monotonic() - self._attempt_begun)

    def _summary(self) -> dict[str, JsonValue]:
        if not self._runtime_events and not self._provider_events:
            return {}
        return {
            "events": self._runtime_events,
            "provider_events": self._provider_events,
            "text_chars": self._characters,
            "last_event_ms": self._last_event_ms,
        }

    def _forget_attempt(self) -> None:
        self._attempt_begun = self._tracer.clock.monotonic()
        self._first_text_ms = None
        self._provider_events = self._runtime_events = self._last_event_ms = self._characters = 0


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _runtime_event(
    event: AnyStreamEvent, sequence: int, elapsed_ms: int, visible_text: str | None
) -> TraceEvent.RuntimeStreamEvent:
    """A stream event as a record shows it."""
    made = TraceEvent.RuntimeStreamEvent(sequence, elapsed_ms, event.type, visible_text=visible_text)
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
