"""`Tracer`: what the runtime calls to write its trace.

A tracer holds where it is (the context), the level, clock and limits; `child` gives one for a narrower place. Each
method writes one record and takes plain arguments, so that callers know nothing of record types. Nothing is built
where there is no sink. Whatever goes wrong on the way, in here or in the sink, is counted and logged, and the turn
goes on as if it had not (observability.md 3).
"""

from __future__ import annotations

import hashlib
import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from lash.runtime.sansio.activity import PendingApproval, TurnEvent
from lash.runtime.sansio.llm import LlmRequest, LlmResponse
from lash.runtime.sansio.outcome import AnyTurnOutcome
from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock
from lash.runtime.seams.trace import (
    AnyTraceEvent,
    TraceContext,
    TraceEvent,
    TraceLevel,
    TraceLimits,
    TraceRecord,
    TraceSink,
    TraceStats,
)
from lash.runtime.seams.trace_events import TraceError, TracePromptComponent
from lash.runtime.turn.trace_limits import bounded, cut_text
from lash.runtime.turn.trace_requests import completion_of, output_of, request_of, response_of

_log = logging.getLogger("lash.tracing")

LOG_INTERVAL_S: Final = 60.0
"""A failing sink is reported once in this time; all its failures are counted."""

MESSAGE_BYTES: Final = 512
"""How much of an error's text is logged and kept."""


def random_id() -> str:
    """The id of a record: a random UUID."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class PromptComponent:
    """One part of a system prompt, as the tracer is told of it."""

    id: str
    kind: str
    text: str


class Tracer:
    """Writes records; see the module's docstring.

    Arguments: the `sink`, None for a tracer that writes nothing; `clock` for the time of records and the pace of
    complaints; `context`, `level` and `limits` of the records; `new_id` for their ids.
    """

    def __init__(
        self,
        sink: TraceSink | None,
        *,
        clock: Clock,
        context: TraceContext | None = None,
        level: TraceLevel = TraceLevel.STANDARD,
        limits: TraceLimits | None = None,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._guard = None if sink is None else _Guard(sink, clock)
        self._clock = clock
        self._level = level
        self._limits = limits or TraceLimits()
        self._new_id = new_id
        self._place(context or TraceContext())

    def _place(self, context: TraceContext) -> None:
        self._context = context
        self._bounded: tuple[TraceContext, tuple[str, ...]] | None = None

    @property
    def context(self) -> TraceContext:
        """Where the records belong."""
        return self._context

    @property
    def clock(self) -> Clock:
        """The clock of the records."""
        return self._clock

    @property
    def enabled(self) -> bool:
        """Whether anything is written."""
        return self._guard is not None

    @property
    def extended(self) -> bool:
        """Whether stream events and the components of prompts are written."""
        return self._guard is not None and self._level is TraceLevel.EXTENDED

    def child(self, **context: Any) -> Tracer:
        """A tracer with fields of the context replaced, on the same sink; TypeError for a name that is no field."""
        tracer = copy(self)
        tracer._place(self._context.child(**context))
        return tracer

    def trace_stats(self) -> TraceStats:
        """What became of the records of this tracer and all that share its sink."""
        return TraceStats() if self._guard is None else self._guard.stats()

    def flush(self, timeout: float = 5.0) -> None:
        """Have the sink finish what it was given."""
        if self._guard is not None:
            self._guard.flush(timeout)

    def close(self) -> None:
        """Close the sink; to be called by whoever made the root tracer."""
        if self._guard is not None:
            self._guard.close()

    def write(self, event: Callable[[], AnyTraceEvent]) -> None:
        """Write the record of an event; `event` makes it, and is not called where nothing is written."""
        if self._guard is not None:
            self._guard.append(lambda: self._record(event()))

    def _record(self, event: AnyTraceEvent) -> TraceRecord:
        if self._bounded is None:
            self._bounded = bounded(self._context, self._limits, ("context",))
        context, cuts = self._bounded
        event, more = bounded(event, self._limits)
        return TraceRecord(self._new_id(), _timestamp(self._clock.now_ms()), event, context, (*cuts, *more))

    # --- sessions and turns ----------------------------------------------------------------------

    def session_started(self, **metadata: JsonValue) -> None:
        """A session was opened: `relation`, `mode`, `model`, `provider`, `lash_version`, and what else is known."""
        self.write(lambda: TraceEvent.SessionStarted(_known(metadata)))

    def turn_started(self, *, input_items: int, input_chars: int, source: str) -> None:
        """A turn has begun."""
        metadata: dict[str, JsonValue] = {"input_items": input_items, "input_chars": input_chars, "source": source}
        self.write(lambda: TraceEvent.TurnStarted(metadata))

    def turn_suspended(self, approval_ids: Sequence[str]) -> None:
        """The turn waits for approvals and its session is free."""
        self.write(lambda: TraceEvent.TurnSuspended(tuple(approval_ids)))

    def turn_resumed(self, by: Literal["replay", "snapshot"], replayed_effects: int) -> None:
        """A suspended or interrupted turn goes on."""
        self.write(lambda: TraceEvent.TurnResumed(by, replayed_effects))

    def turn_completed(self, outcome: AnyTurnOutcome, duration_ms: int) -> None:
        """The turn's commit was answered (or its outcome is one that is not committed)."""
        self.write(lambda: completion_of(outcome, duration_ms))

    def turn_failed(self, code: str, duration_ms: int) -> None:
        """The turn could not be run or recorded; `code` is the error's."""
        self.write(lambda: TraceEvent.TurnCompleted("failed", code, duration_ms))

    def prompt_built(self, prompt: str, components: Iterable[PromptComponent] = ()) -> None:
        """The system prompt is made; its components are written at the extended level."""

        def made() -> TraceEvent.PromptBuilt:
            parts = components if self.extended else ()
            return TraceEvent.PromptBuilt(
                _hash(prompt),
                len(prompt),
                tuple(TracePromptComponent(part.id, part.kind, _hash(part.text), len(part.text)) for part in parts),
            )

        self.write(made)

    def mode_step(self, mode: str, payload: Mapping[str, JsonValue], *, replayed: bool = False) -> None:
        """A mode has made a step, such as running a block."""
        self.write(lambda: TraceEvent.ModeStep(mode, dict(payload), replayed or None))

    def token_usage(
        self, source: str, model: str, usage: TokenUsage, cumulative: TokenUsage, *, replayed: bool = False
    ) -> None:
        """Tokens were booked; `cumulative` is what the source and model have used so far."""
        self.write(lambda: TraceEvent.TokensUsed(source, model, usage, cumulative, replayed or None))

    def custom(self, name: str, payload: JsonValue) -> None:
        """What a plugin or a host has to tell."""
        self.write(lambda: TraceEvent.Custom(name, payload))

    # --- model calls -----------------------------------------------------------------------------

    def llm_call_started(
        self, request: LlmRequest, *, provider: str, stream: bool, generation: Mapping[str, JsonValue] | None = None
    ) -> None:
        """A model is about to be called; the context holds the call's id."""
        self.write(lambda: TraceEvent.LlmCallStarted(request_of(request, provider, stream, dict(generation or {}))))

    def llm_call_completed(
        self,
        response: LlmResponse,
        *,
        duration_ms: int,
        ttft_ms: int | None = None,
        response_model: str | None = None,
        stream_summary: Mapping[str, JsonValue] | None = None,
        replayed: bool = False,
    ) -> None:
        """A model has answered."""
        self.write(
            lambda: TraceEvent.LlmCallCompleted(
                response_of(response, duration_ms, ttft_ms, response_model),
                response.usage,
                response.provider_usage,
                dict(stream_summary or {}),
                replayed or None,
            )
        )

    def llm_call_failed(
        self,
        message: str,
        *,
        attempt: int,
        retryable: bool = False,
        terminal_reason: str | None = None,
        code: str | None = None,
        raw: str | None = None,
        stream_summary: Mapping[str, JsonValue] | None = None,
        replayed: bool = False,
    ) -> None:
        """Attempt number `attempt` of a model call, from 1, has failed."""
        self.write(
            lambda: TraceEvent.LlmCallFailed(
                TraceError(message, retryable, terminal_reason, code, raw),
                attempt,
                dict(stream_summary or {}),
                replayed or None,
            )
        )

    # --- tool calls and approvals ----------------------------------------------------------------

    def tool_call_started(
        self,
        call_id: str,
        name: str,
        args: JsonValue,
        *,
        parent_call_id: str | None = None,
        graph_key: str | None = None,
    ) -> None:
        """A tool call begins."""
        self.write(lambda: TraceEvent.ToolCallStarted(call_id, name, args, parent_call_id, graph_key))

    def tool_call_completed(
        self,
        call_id: str,
        name: str,
        args: JsonValue,
        output: AnyToolOutput,
        control: AnyToolControl | None,
        *,
        duration_ms: int,
        replayed: bool = False,
    ) -> None:
        """A tool call is over."""
        self.write(
            lambda: TraceEvent.ToolCallCompleted(
                call_id, name, args, output_of(output, control), duration_ms, replayed or None
            )
        )

    def approval_requested(self, pending: PendingApproval, *, replayed: bool = False) -> None:
        """A tool call waits for a person."""
        self.write(
            lambda: TraceEvent.ApprovalRequested(
                pending.approval_id,
                pending.call_id,
                pending.tool,
                dict(pending.args),
                pending.reason,
                pending.round,
                pending.expires_ms,
                replayed or None,
            )
        )

    def approval_answered(
        self, answered: TurnEvent.ApprovalAnswered, *, waited_ms: int | None = None, replayed: bool = False
    ) -> None:
        """The person has answered, or will not."""
        self.write(
            lambda: TraceEvent.ApprovalAnswered(
                answered.approval_id,
                answered.call_id,
                answered.answer,
                answered.reason,
                answered.args,
                answered.answered_by,
                waited_ms,
                replayed or None,
            )
        )


def _known(metadata: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in metadata.items() if value is not None}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _timestamp(now_ms: int) -> str:
    whole = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{now_ms % 1000:03}Z"


def _described(error: Exception) -> str:
    """An error in short; the text of a foreign one need not be to be had."""
    try:
        return cut_text(f"{type(error).__name__}: {error}", MESSAGE_BYTES)
    except Exception as second:
        return f"{type(error).__name__}, whose text raised {type(second).__name__}"


class _Guard:
    """Keeps the failures of a sink, and of making records for it, away from the turn."""

    def __init__(self, sink: TraceSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._lock = threading.Lock()
        self._written = 0
        self._failed = 0
        self._last_error: str | None = None
        self._logged_at: float | None = None
        self._logged_failures = 0

    def append(self, record: Callable[[], TraceRecord]) -> None:
        """Make a record and give it to the sink."""
        try:
            self._sink.append(record())
        except Exception as error:
            self._note(error)
        else:
            with self._lock:
                self._written += 1

    def flush(self, timeout: float) -> None:
        """Flush the sink."""
        try:
            self._sink.flush(timeout)
        except Exception as error:
            self._note(error)

    def close(self) -> None:
        """Close the sink."""
        try:
            self._sink.close()
        except Exception as error:
            self._note(error)

    def stats(self) -> TraceStats:
        """The counts so far."""
        with self._lock:
            return TraceStats(self._written, self._failed, self._last_error)

    def _note(self, error: Exception) -> None:
        """Count a failure; log it if none was logged in the last minute."""
        text = _described(error)
        with self._lock:
            self._failed += 1
            self._last_error = text
            now = self._clock.monotonic()
            if self._logged_at is not None and now - self._logged_at < LOG_INTERVAL_S:
                return
            self._logged_at = now
            count, self._logged_failures = self._failed - self._logged_failures, self._failed
        _log.warning("the trace is incomplete: %d failures since the last report, the latest %s", count, text)
        _log.debug("the latest failure of the trace", exc_info=error)
