"""A turn in the trace: all that session and driver tell of it goes through one `TurnTrace`.

The driver says which effect it is at (`at`), and everything that happens until the next one is recorded there. Tool
calls are observed at the dispatcher, usage and approvals in the stream of activities, which both modes share.

A re-driven turn comes to the same facts again. An effect that was recorded by an earlier run writes its completion with
`replayed` and no start, so that each fact is in the trace at least once and its repetitions can be told apart. Programs
are run again whatever is recorded; theirs is a repetition where the last effect before their end was one.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from typing import Final

from lash.runtime.errors import LashError
from lash.runtime.sansio.activity import TurnActivity, TurnEvent
from lash.runtime.sansio.effects import ExecOutcome
from lash.runtime.sansio.messages import Message
from lash.runtime.sansio.outcome import AnyTurnOutcome
from lash.runtime.sansio.prompt import PromptLayer
from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.persistence import AnySessionRelation, SessionRelation
from lash.runtime.seams.trace import TraceEvent
from lash.runtime.tools.hooks import CallFrame, ToolObserver
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.trace_calls import ModelCallTrace
from lash.runtime.turn.trace_requests import (
    completion_of,
    components_of,
    input_of,
    known,
    output_of,
    step_of,
    text_hash,
)
from lash.runtime.turn.tracer import Tracer
from lash.runtime.usage import TURN

CANCELLED: Final = "cancelled"
"""The reason of a turn whose task was cancelled: nothing of it is stored."""


TOOL_EXCEPTION: Final = "lash.tool_exception"
"""The name of the record with the traceback of a tool's exception."""


def session_started(tracer: Tracer, **metadata: JsonValue) -> None:
    """A session was opened: `relation`, `mode`, `model`, `provider`, `lash_version`."""
    tracer.write(lambda: TraceEvent.SessionStarted(known(metadata)))


def place_of(relation: AnySessionRelation) -> dict[str, str | None]:
    """What the context of a session's records says of how the session came to be."""
    match relation:
        case SessionRelation.Child(parent_session_id=parent, originating_tool_call_id=call):
            return {"parent_session_id": parent, "originating_tool_call_id": call}
        case SessionRelation.Handoff(parent_session_id=parent):
            return {"parent_session_id": parent}
        case SessionRelation.Root():
            return {}


class TurnTrace:
    """Writes one turn; does nothing where `tracer`, whose context holds session and turn, has no sink.

    `model` is the one that the turn calls.
    """

    def __init__(self, tracer: Tracer, model: str) -> None:
        self._tracer = self._here = tracer
        self._model = model
        self._begun = tracer.clock.monotonic()
        self._open = False
        self._effect_id: int | None = None
        self._prompt: str | None = None
        self._replaying = False
        self._calls_of_tools = 0
        self._tools = _ToolTrace(self)

    # --- the turn --------------------------------------------------------------------------------

    def resumed(self, replayed_effects: int) -> None:
        """A turn that was interrupted is driven again; so many of its effects are recorded. It does not start again."""
        self._open = True
        self._tracer.write(lambda: TraceEvent.TurnResumed("replay", replayed_effects))

    def started(self, given: Sequence[Message], source: str) -> None:
        """The turn has begun with these messages; told again, it does nothing.

        `source` is "host" for input that came with the turn, "queue" for what had been waiting for one, "handoff" for
        what the turn of another session has left to do.
        """
        if self._open:
            return
        self._open = True
        self._tracer.write(lambda: TraceEvent.TurnStarted(input_of(given, source)))

    def ended(self, outcome: AnyTurnOutcome) -> None:
        """The commit was answered, or the outcome is one that is not committed."""
        self._open = False
        duration = self._duration_ms()
        self._tracer.write(lambda: completion_of(outcome, duration))

    def failed(self, error: BaseException) -> None:
        """The turn could not be run or recorded; one that had not begun is not in the trace."""
        if not self._open:
            return
        self._open = False
        cancelled = isinstance(error, asyncio.CancelledError)
        code = error.code if isinstance(error, LashError) else CANCELLED if cancelled else type(error).__name__
        duration = self._duration_ms()
        self._tracer.write(lambda: TraceEvent.TurnCompleted("failed", code, duration))

    def suspended(self, approval_ids: tuple[str, ...]) -> None:
        """The turn is put aside until these are answered."""
        self._open = False
        self._tracer.write(lambda: TraceEvent.TurnSuspended(approval_ids))

    def _duration_ms(self) -> int:
        return round((self._tracer.clock.monotonic() - self._begun) * 1000)

    def prompt(self, prompt: str, layer: PromptLayer, execution: str) -> None:
        """The system prompt was made of this; written where it is not the one that it was before."""
        if not self._tracer.enabled or prompt == self._prompt:
            return
        self._prompt = prompt
        extended = self._tracer.extended
        self._here.write(
            lambda: TraceEvent.PromptBuilt(
                text_hash(prompt), len(prompt), components_of(prompt, layer, execution) if extended else ()
            )
        )

    # --- effects ---------------------------------------------------------------------------------

    def at(self, effect_id: int, mode_iteration: int) -> None:
        """What follows belongs to this effect."""
        if self._tracer.enabled and effect_id != self._effect_id:
            self._effect_id = effect_id
            self._here = self._tracer.child(effect_id=str(effect_id), mode_iteration=mode_iteration)

    def carried_out(self, *, replayed: bool) -> None:
        """An effect has its outcome; `replayed` says that an earlier run has recorded it."""
        self._replaying = replayed

    def model_call(self, provider: str) -> ModelCallTrace | None:
        """What writes the model call of the current effect; None where nothing is written."""
        if not self._tracer.enabled:
            return None
        context = self._here.context
        self._here = self._here.child(llm_call_id=f"llm:{context.turn_id}:{context.effect_id}")
        return ModelCallTrace(self._here, provider)

    def model_call_of_tool(self, call_id: str, provider: str) -> ModelCallTrace | None:
        """The same for a model call that a tool makes on its own account; it is no effect of the turn."""
        if not self._tracer.enabled:
            return None
        self._calls_of_tools += 1
        llm_call_id = f"llm:{self._tracer.context.turn_id}:{call_id}:{self._calls_of_tools}"
        return ModelCallTrace(self._here.child(llm_call_id=llm_call_id, originating_tool_call_id=call_id), provider)

    def step(self, mode: str, code: str, result: ExecOutcome) -> None:
        """A program has ended."""
        here, replayed = self._here, self._replaying
        here.write(
            lambda: TraceEvent.ModeStep(mode, step_of(here.context.mode_iteration or 0, code, result), replayed or None)
        )

    # --- what others show ------------------------------------------------------------------------

    @property
    def tools(self) -> ToolObserver | None:
        """What observes the tool calls of the turn; None where nothing is written."""
        return self._tools if self._tracer.enabled else None

    def listen(self, stream: ActivityStream) -> None:
        """Take usage and approvals from the turn's activities."""
        if self._tracer.enabled:
            stream.add_sink(self)

    async def emit(self, activity: TurnActivity) -> None:
        """See `TurnActivitySink`. The turn of another session, which may share the stream, has a trace of its own."""
        if activity.session_id != self._tracer.context.session_id:
            return
        match activity.event:
            case TurnEvent.Usage(usage=usage, cumulative=cumulative):
                self._used(TURN, self._model, usage, cumulative)
            case TurnEvent.ChildUsage(source=source, model=model, usage=usage, cumulative=cumulative):
                self._used(source, model, usage, cumulative)
            case TurnEvent.ApprovalRequested():
                self._tools.asked(activity.event, replayed=activity.replayed)
            case TurnEvent.ApprovalAnswered():
                self._tools.answered(activity.event, replayed=activity.replayed)
            case _:
                return

    def _used(self, source: str, model: str, usage: TokenUsage, cumulative: TokenUsage) -> None:
        replayed = self._replaying or None
        self._here.write(lambda: TraceEvent.TokensUsed(source, model, usage, cumulative, replayed))

    @property
    def here(self) -> Tracer:
        """A tracer for the current effect."""
        return self._here


class _ToolTrace:
    """Tool calls and approvals; a `lash.runtime.tools.hooks.ToolObserver`."""

    def __init__(self, turn: TurnTrace) -> None:
        self._turn = turn
        self._asked_ms: dict[str, int] = {}

    def started(self, frame: CallFrame, call_id: str, name: str, args: JsonValue, parent_call_id: str | None) -> None:
        """A call begins."""
        self._turn.here.write(lambda: TraceEvent.ToolCallStarted(call_id, name, args, parent_call_id))

    def raised(self, call_id: str, name: str, error: BaseException) -> None:
        """A tool has raised what it should not: here, and not in what the model is told, stands where."""

        def made() -> TraceEvent.Custom:
            text = "".join(traceback.format_exception(error))
            return TraceEvent.Custom(TOOL_EXCEPTION, {"call_id": call_id, "name": name, "traceback": text})

        self._turn.here.write(made)

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
        self._turn.carried_out(replayed=replayed)
        self._turn.here.write(
            lambda: TraceEvent.ToolCallCompleted(
                call_id, name, args, output_of(output, control), duration_ms, replayed or None
            )
        )

    def asked(self, event: TurnEvent.ApprovalRequested, *, replayed: bool) -> None:
        """A person is asked."""
        pending = event.approval
        self._asked_ms[pending.approval_id] = pending.requested_ms
        self._turn.here.write(
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

    def answered(self, event: TurnEvent.ApprovalAnswered, *, replayed: bool) -> None:
        """The person has answered, or will not."""
        asked, now = self._asked_ms.get(event.approval_id), self._turn.here.clock.now_ms()
        self._turn.here.write(
            lambda: TraceEvent.ApprovalAnswered(
                event.approval_id,
                event.call_id,
                event.answer,
                event.reason,
                event.args,
                event.answered_by,
                None if asked is None or replayed else now - asked,
                replayed or None,
            )
        )
