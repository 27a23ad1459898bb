"""The driver of standard mode (providers.md 14): pure, from model replies and results of tools to actions.

    PREPARE ── StartLlm ──► reply ── no calls ──► checkpoint before the end ──► finished, or on where somebody spoke
                              └──── calls ──► StartTools ──► results ─► control | limit | checkpoint, then on

A reply goes into the history whole as soon as it is there, before its calls run and before the end of the turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from lash.modes.standard import batch
from lash.modes.standard.calls import BATCH, with_own_ids
from lash.modes.standard.config import StandardConfig
from lash.modes.standard.messages import (
    CallResult,
    parts_of,
    reply_message,
    results_message,
    tool_record,
    visible_text,
)
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.driver import (
    AnyDriverAction,
    DriverAction,
    DriverContext,
    FinishWith,
    PrepareIteration,
    WaitingExec,
    WaitingLlm,
)
from lash.runtime.sansio.effects import ExecFailure, ExecResponse
from lash.runtime.sansio.llm import Block, LlmResponse, ResponsePart
from lash.runtime.sansio.messages import Message, Part, SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import AnyTurnOutcome, AnyTurnStop, TurnFinish, TurnOutcome, TurnStop
from lash.runtime.sansio.tools import CompletedToolCall, ToolControl, ToolOutput

MODE_ID = "standard"

VERSION = 1
"""Of what the driver leaves behind in the history."""

EMPTY = "the model's reply was empty"

NOT_RUN = "[Tool execution cancelled]\nnot run: the turn limit is reached"
"""What stands in the history for calls in a reply that could not call any more."""


class StandardDriver:
    """See `ModeDriver`."""

    mode_id = MODE_ID
    version = VERSION

    handles_output_limit = True
    """What was said up to the limit is kept."""

    def __init__(self, config: StandardConfig) -> None:
        self._config = config

    def prepare_mode_iteration(self, ctx: DriverContext) -> list[AnyDriverAction]:
        """Call the model, unless its calls are used up: what was injected before the end may ask for another one."""
        limited = self._limited(ctx)
        if limited is not None:
            return limited
        return [DriverAction.StartLlm(ctx.project_llm_request(not ctx.grace_scheduled), {})]

    # --- replies ---------------------------------------------------------------------------------

    def handle_llm_success(
        self, ctx: DriverContext, waiting: WaitingLlm, response: LlmResponse, text_streamed: bool
    ) -> list[AnyDriverAction]:
        """Take a reply: run its calls, or end the turn with its text."""
        parts = parts_of(response)
        shown = [] if text_streamed else _shown(parts)
        if response.terminal_reason == "output_limit":
            # Calls may be cut in the middle and are never run.
            said = [part for part in parts if isinstance(part, Block.Text)]
            return [*shown, *([_appended(_reply(ctx, said))] if said else []), _stop(TurnStop.Incomplete())]
        if not parts:
            return _nothing_said(ctx)
        named = iter(with_own_ids((part for part in parts if isinstance(part, Block.ToolCall)), ctx.events))
        parts = tuple(next(named) if isinstance(part, Block.ToolCall) else part for part in parts)
        calls = [part for part in parts if isinstance(part, Block.ToolCall)]
        kept = _appended(_reply(ctx, parts))
        if not calls:
            return [*shown, kept, _completion(TurnOutcome.Finished(TurnFinish.AssistantMessage(visible_text(parts))))]
        if ctx.grace_scheduled:
            refused = [CallResult(call.call_id, call.tool_name, NOT_RUN, is_error=True) for call in calls]
            told = _appended(SessionEvent.Conversation(results_message(ctx.new_message_id("results"), refused)))
            return [*shown, kept, told, *self._at_limit(ctx)]
        with_batch = any(tool.name == BATCH for tool in waiting.request.tools)
        running = tuple(one for call in calls for one in batch.dispatched(call, with_batch=with_batch))
        return [*shown, kept, DriverAction.StartTools(running)]

    # --- results ---------------------------------------------------------------------------------

    def handle_tool_results(self, ctx: DriverContext, completed: Sequence[CompletedToolCall]) -> list[AnyDriverAction]:
        """Take the results of all calls of a reply: tell the model, or end the turn where one of them asks for it."""
        told = results_message(ctx.new_message_id("results"), batch.answered(_calls_asked(ctx), completed))
        records: list[SessionEventRecord] = [tool_record(call) for call in completed]
        noted = _appended(SessionEvent.Conversation(told), *records)
        deciding = next((call for call in completed if call.succeeded and call.control is not None), None)
        if deciding is not None:
            return [noted, _completion(_controlled(deciding))]
        go_on = [DriverAction.AdvanceModeIteration(), DriverAction.StartCheckpoint("after_work", PrepareIteration())]
        if any(isinstance(call.output, ToolOutput.Cancelled) for call in completed):
            # Whoever cancelled the calls says how the turn ends; the limit is looked at again where nobody does.
            return [noted, *go_on]
        limited = self._limited(ctx, DriverAction.AdvanceModeIteration())
        return [noted, *(go_on if limited is None else limited)]

    def handle_exec_result(
        self, ctx: DriverContext, waiting: WaitingExec, result: ExecResponse | ExecFailure
    ) -> list[AnyDriverAction]:
        """Never asked for: this mode runs no programs."""
        message = "standard mode runs no programs"
        return [
            DriverAction.Emit(TurnEvent.Error(message, "runtime", "driver_error")),
            _stop(TurnStop.RuntimeError(message, "driver_error")),
        ]

    # --- the limit -------------------------------------------------------------------------------

    def _limited(self, ctx: DriverContext, *before: AnyDriverAction) -> list[AnyDriverAction] | None:
        """What the limit of model calls demands, None while there are calls left.

        With grace one more call is granted, once, after the actions `before` and a checkpoint.
        """
        if ctx.max_turns is None or ctx.model_calls < ctx.max_turns + ctx.grace_scheduled:
            return None
        final = ctx.turn_limit_final_to_schedule() if self._config.turn_limit_grace else None
        if final is None:
            return self._at_limit(ctx)
        on = DriverAction.StartCheckpoint("after_work", PrepareIteration())
        return [DriverAction.ScheduleTurnLimitFinal(final), *before, on]

    def _at_limit(self, ctx: DriverContext) -> list[AnyDriverAction]:
        """Stop, and say in the history why the work ends there."""
        assert ctx.max_turns is not None
        number = ctx.new_message_id("turn_limit")
        text = f"turn limit reached: the turn was stopped after {ctx.model_calls} model calls"
        said = SessionEvent.Conversation(Message(number, "system", (Part(f"{number}.p0", "error", text),)))
        return [_appended(said), _stop(TurnStop.MaxTurns(ctx.max_turns))]


# --- small parts -----------------------------------------------------------------------------------


def _reply(ctx: DriverContext, parts: Sequence[ResponsePart]) -> SessionEvent.Conversation:
    return SessionEvent.Conversation(reply_message(ctx.new_message_id("reply"), parts))


def _appended(*events: SessionEventRecord) -> DriverAction.AppendEvents:
    return DriverAction.AppendEvents(events)


def _shown(parts: Sequence[ResponsePart]) -> list[AnyDriverAction]:
    shown: list[AnyDriverAction] = [
        DriverAction.Emit(TurnEvent.ReasoningDelta(part.text))
        for part in parts
        if isinstance(part, Block.Reasoning) and part.text.strip()
    ]
    text = visible_text(parts)
    return [*shown, DriverAction.Emit(TurnEvent.AssistantProseDelta(text))] if text else shown


def _nothing_said(ctx: DriverContext) -> list[AnyDriverAction]:
    """An empty reply: after results of tools it says that all is done, otherwise the provider failed."""
    last = next((message for message in reversed(ctx.messages) if not message.transient), None)
    if last is not None and any(part.kind == "tool_result" for part in last.parts):
        return [_completion(TurnOutcome.Finished(TurnFinish.AssistantMessage("")))]
    return [
        DriverAction.Emit(TurnEvent.Error(EMPTY, "llm_provider", "empty_response")),
        _stop(TurnStop.ProviderError(EMPTY, "empty_response")),
    ]


def _calls_asked(ctx: DriverContext) -> list[Block.ToolCall]:
    """The calls of the reply whose results have come."""
    for message in reversed(ctx.messages):
        if message.role == "assistant":
            return [
                Block.ToolCall(part.tool_call_id, part.tool_name or "", part.text, part.tool_replay)
                for part in message.parts
                if part.kind == "tool_call" and part.tool_call_id is not None
            ]
    return []


def _controlled(call: CompletedToolCall) -> AnyTurnOutcome:
    """How the turn ends by the result of a tool."""
    match call.control:
        case ToolControl.Handoff(session_id=session_id):
            return TurnOutcome.Handoff(session_id)
        case ToolControl.Finish(value=value):
            return TurnOutcome.Finished(TurnFinish.ToolValue(call.tool_name, value))
        case ToolControl.Fail(failure=failure):
            found = {"code": failure.code, "message": failure.message}
            return TurnOutcome.Stopped(TurnStop.ToolError(call.tool_name, {**found}))
        case None:
            raise AssertionError("a result without control decides nothing")


def _completion(outcome: AnyTurnOutcome) -> AnyDriverAction:
    return DriverAction.StartCheckpoint("before_completion", FinishWith(outcome))


def _stop(stop: AnyTurnStop) -> AnyDriverAction:
    return DriverAction.Finish(TurnOutcome.Stopped(stop))
