"""The driver of RLM mode (rlm.md 2): pure, from model replies and block results to actions.

    PREPARE ── StartLlm ──► reply ── no block ──► prose rule ─► checkpoint, then on or finished
                              └──── block ──► StartExec ──► result ─► control | rejected | submitted | on

Every way of going on passes the limit rule. What has to be known between a reply and the result of its block stands
in the driver state, so that a machine restored in between asks for the same block again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from lash.modes.rlm import notes
from lash.modes.rlm.config import RlmConfig, RlmTermination
from lash.modes.rlm.fence import code_of, count_blocks, first_block, normalised
from lash.modes.rlm.schema import problems
from lash.modes.rlm.types import (
    EVENTS_VERSION,
    MODE_ID,
    PLUGIN_ID,
    RlmDiagnostic,
    RlmTrajectoryEntry,
    StepImage,
    as_event,
    read_event,
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
from lash.runtime.sansio.effects import ExecFailure, ExecResponse, TerminalControl, TerminalSubmit
from lash.runtime.sansio.llm import Block, LlmResponse, Role
from lash.runtime.sansio.messages import Message, Part, PluginOrigin, SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import AnyTurnOutcome, TurnFinish, TurnOutcome, TurnStop
from lash.runtime.sansio.tools import CompletedToolCall, ToolCallRecord, ToolControl, ToolOutput
from lash.runtime.sansio.values import JsonValue

MOST_TOOL_RECORDS = 128
"""Tool calls of one block that are recorded in full."""

LONGEST_SCALAR = 65_536
"""Bytes of a text in a tool record; a longer one is replaced by its size."""


class _DriverState(BaseModel):
    """What the driver remembers while a block runs."""

    model_config = ConfigDict(extra="forbid")

    reasoning: str
    prose: str
    executed_code: str
    blocks_seen: int


class RlmDriver:
    """See `ModeDriver`; made for one turn, `turn_index` is that turn's."""

    mode_id = MODE_ID
    version = EVENTS_VERSION

    def __init__(self, config: RlmConfig, turn_index: int) -> None:
        self._config = config
        self._turn_index = turn_index

    @property
    def handles_output_limit(self) -> bool:
        """Whether a reply that was cut off is tried again."""
        return self._config.output_limit_retries > 0

    def prepare_mode_iteration(self, ctx: DriverContext) -> list[AnyDriverAction]:
        """Call the model, unless its calls are used up: what was injected before the end may ask for another one."""
        termination = _termination(ctx)
        if termination is None:
            return _broken("rlm_turn_options", "the turn's options cannot be read")
        limited = _limited(ctx, termination)
        if limited is not None:
            return limited
        return [DriverAction.StartLlm(ctx.project_llm_request(False), {})]

    # --- replies ---------------------------------------------------------------------------------

    def handle_llm_success(
        self, ctx: DriverContext, waiting: WaitingLlm, response: LlmResponse, text_streamed: bool
    ) -> list[AnyDriverAction]:
        """Take a reply: run its block, or apply the prose rule."""
        termination = _termination(ctx)
        if termination is None:
            return _broken("rlm_turn_options", "the turn's options cannot be read")
        text, reasoning = normalised(_visible(response)), _reasoning(response)
        if response.terminal_reason == "output_limit":
            return self._cut_off(ctx, termination, text, reasoning)
        if not text.strip() and not reasoning.strip():
            return [
                DriverAction.Emit(TurnEvent.Error("the model's reply was empty", "llm_provider", "empty_response")),
                _stop(TurnStop.ProviderError("the model's reply was empty", "empty_response")),
            ]
        span = first_block(text)
        prose = (text if span is None else text[: span.start]).rstrip()
        shown = [] if text_streamed else _shown(prose, reasoning)
        if span is None:
            return [*shown, *self._prose_only(ctx, termination, prose, reasoning)]
        code, blocks = code_of(text, span), count_blocks(text)
        state = _DriverState(reasoning=reasoning, prose=prose, executed_code=code, blocks_seen=blocks)
        return [
            *shown,
            DriverAction.AppendEvents((_diagnostic("execute", text, prose, code, reasoning, blocks),)),
            DriverAction.StartExec(code, state.model_dump(mode="json")),
        ]

    def _cut_off(
        self, ctx: DriverContext, termination: RlmTermination, text: str, reasoning: str
    ) -> list[AnyDriverAction]:
        """A reply that ended at the output limit: its block is never run; the model may try again some times."""
        if self._cut_in_a_row(ctx) >= self._config.output_limit_retries:
            return [_stop(TurnStop.Incomplete())]
        noted = DriverAction.AppendEvents((_diagnostic("request_repair", text, "", "", reasoning, 0),))
        return [noted, *self._go_on(ctx, termination, [_message(ctx, "system", notes.CUT_OFF_NUDGE)])]

    def _cut_in_a_row(self, ctx: DriverContext) -> int:
        count = 0
        for record in reversed(ctx.events):
            event = read_event(record)
            if isinstance(event, RlmDiagnostic) and event.phase == "llm_extraction":
                if event.payload.get("decision") != "request_repair":
                    break
                count += 1
        return count

    def _prose_only(
        self, ctx: DriverContext, termination: RlmTermination, prose: str, reasoning: str
    ) -> list[AnyDriverAction]:
        if termination.kind == "prose_or_submit" and prose.strip():
            finish = TurnOutcome.Finished(TurnFinish.AssistantMessage(prose))
            return [
                DriverAction.AppendEvents((_diagnostic("finish_prose", prose, prose, "", reasoning, 0),)),
                DriverAction.StartCheckpoint("before_completion", FinishWith(finish)),
            ]
        said = [_message(ctx, "assistant", prose)] if prose.strip() else []
        nudge = notes.SUBMIT_NUDGE if termination.output_schema is None else notes.SUBMIT_SCHEMA_NUDGE
        noted = (_diagnostic("request_submit", prose, prose, "", reasoning, 0), *said)
        return [
            DriverAction.AppendEvents(noted),
            *self._go_on(ctx, termination, [_message(ctx, "system", nudge)]),
        ]

    # --- results of blocks -----------------------------------------------------------------------

    def handle_exec_result(
        self, ctx: DriverContext, waiting: WaitingExec, result: ExecResponse | ExecFailure
    ) -> list[AnyDriverAction]:
        """Take what a block came to."""
        termination = _termination(ctx)
        if termination is None:
            return _broken("rlm_turn_options", "the turn's options cannot be read")
        try:
            state = _DriverState.model_validate(waiting.driver_state)
        except ValidationError:
            return _broken("rlm_driver_state", "what the driver noted before the block ran cannot be read")
        if isinstance(result, ExecFailure):
            result = ExecResponse(error=result.message, error_kind=result.code)
        finish = result.terminal_finish
        records = tuple(_tool_records(ctx, result.tool_calls))
        if isinstance(finish, TerminalControl):
            entry = self._entry(ctx, state, result)
            return [DriverAction.AppendEvents((*records, entry)), _completion(_controlled(finish.call))]
        if isinstance(finish, TerminalSubmit):
            wrong = problems(finish.value, termination.output_schema) if termination.output_schema is not None else []
            if wrong:
                entry = self._entry(ctx, state, result, error="; ".join(wrong))
                nudge = _message(ctx, "system", notes.schema_nudge(wrong))
                return [
                    DriverAction.AppendEvents((*records, entry)),
                    *self._go_on(ctx, termination, [nudge], failed=True),
                ]
            entry = self._entry(ctx, state, result, final_output={"value": finish.value})
            outcome = TurnOutcome.Finished(TurnFinish.SubmittedValue(finish.value))
            return [DriverAction.AppendEvents((*records, entry)), _completion(outcome)]
        entry = self._entry(ctx, state, result, error=result.error)
        failed = result.error is not None
        return [DriverAction.AppendEvents((*records, entry)), *self._go_on(ctx, termination, [], failed=failed)]

    def handle_tool_results(self, ctx: DriverContext, completed: Sequence[CompletedToolCall]) -> list[AnyDriverAction]:
        """Never asked for: this mode's tools run inside its programs."""
        return _broken("driver_error", "RLM mode has no native tool calls")

    def _entry(
        self,
        ctx: DriverContext,
        state: _DriverState,
        result: ExecResponse,
        *,
        error: str | None = None,
        final_output: dict[str, JsonValue] | None = None,
    ) -> SessionEvent.Mode:
        return as_event(
            RlmTrajectoryEntry(
                id=f"step:{ctx.turn_id}:{ctx.mode_iteration}",
                turn_id=ctx.turn_id,
                turn_index=self._turn_index,
                mode_iteration=ctx.mode_iteration,
                prose=state.prose,
                reasoning=state.reasoning,
                code=state.executed_code,
                output=result.observations,
                tool_call_ids=tuple(call.call_id for call in result.tool_calls),
                images=tuple(
                    StepImage(
                        id=image.id,
                        media_type=image.media_type,
                        label=image.label,
                        width=image.width,
                        height=image.height,
                        byte_len=image.byte_len,
                    )
                    for image in result.printed_images
                ),
                error=error,
                final_output=final_output,
                duration_ms=result.duration_ms,
                blocks_seen=state.blocks_seen,
            )
        )

    # --- going on --------------------------------------------------------------------------------

    def _go_on(
        self,
        ctx: DriverContext,
        termination: RlmTermination,
        nudges: list[SessionEvent.Conversation],
        *,
        failed: bool = False,
    ) -> list[AnyDriverAction]:
        """The next iteration, unless a limit is reached (rlm.md 13); nudges only where there is one."""
        most_errors = self._config.limits.max_consecutive_errors
        if failed and most_errors is not None:
            in_a_row = 1 + self._errors_in_a_row(ctx)
            if in_a_row >= most_errors:
                return [_stop(TurnStop.LimitExceeded("consecutive_errors", most_errors, in_a_row))]
        go_on: list[AnyDriverAction] = [
            DriverAction.AdvanceModeIteration(),
            DriverAction.StartCheckpoint("after_work", PrepareIteration()),
        ]
        limited = _limited(ctx, termination, DriverAction.AdvanceModeIteration())
        if limited is not None:
            return limited
        said: list[AnyDriverAction] = [DriverAction.AppendEvents(tuple(nudges))] if nudges else []
        return [*said, *go_on]

    def _errors_in_a_row(self, ctx: DriverContext) -> int:
        """Steps of this turn, before the one being handled, that failed without one between them that did not."""
        count = 0
        for record in reversed(ctx.events):
            event = read_event(record)
            if not isinstance(event, RlmTrajectoryEntry):
                continue
            if event.turn_id != ctx.turn_id or event.error is None:
                break
            count += 1
        return count


# --- small parts -----------------------------------------------------------------------------------


def same_error(one: str | None, other: str | None) -> bool:
    """Whether two steps failed in the same way, positions aside."""
    return one is not None and other is not None and _without_positions(one) == _without_positions(other)


def _without_positions(error: str) -> str:
    kept = [line for line in error.splitlines() if not re.match(r"\s*(-->|\||\d+ \|)", line)]
    return re.sub(r"\b(line|column|offset|index) \d+", r"\1", "\n".join(kept)).strip()


def _termination(ctx: DriverContext) -> RlmTermination | None:
    try:
        return RlmTermination.model_validate(ctx.termination or {})
    except ValidationError:
        return None


def _limited(ctx: DriverContext, termination: RlmTermination, *before: AnyDriverAction) -> list[AnyDriverAction] | None:
    """What the limit of model calls demands, None while there are calls left.

    Where prose may end the turn one more call is granted, once, after the actions `before` and a checkpoint.
    """
    if ctx.max_turns is None or ctx.model_calls < ctx.max_turns + ctx.grace_scheduled:
        return None
    final = ctx.turn_limit_final_to_schedule() if termination.kind == "prose_or_submit" else None
    if final is None:
        return [_stop(TurnStop.MaxTurns(ctx.max_turns))]
    on = DriverAction.StartCheckpoint("after_work", PrepareIteration())
    return [DriverAction.ScheduleTurnLimitFinal(final), *before, on]


def _visible(response: LlmResponse) -> str:
    texts = [part.text for part in response.parts if isinstance(part, Block.Text)]
    return _joined(texts) if response.parts else response.full_text


def _reasoning(response: LlmResponse) -> str:
    texts: list[str] = []
    for part in response.parts:
        if isinstance(part, Block.Reasoning):
            summary = "\n".join(part.replay.summary) if part.replay is not None else ""
            texts.append(part.text if part.text.strip() else summary)
    return _joined([text for text in texts if text.strip()])


def _joined(texts: Sequence[str]) -> str:
    """The texts with at least two newlines between them."""
    whole = ""
    for text in texts:
        if whole and text:
            missing = 2 - (len(whole) - len(whole.rstrip("\n"))) - (len(text) - len(text.lstrip("\n")))
            whole += "\n" * max(0, missing)
        whole += text
    return whole


def _shown(prose: str, reasoning: str) -> list[AnyDriverAction]:
    shown: list[AnyDriverAction] = []
    if reasoning.strip():
        shown.append(DriverAction.Emit(TurnEvent.ReasoningDelta(reasoning)))
    if prose.strip():
        shown.append(DriverAction.Emit(TurnEvent.AssistantProseDelta(prose)))
    return shown


def _diagnostic(
    decision: str, text: str, prose: str, code: str, reasoning: str, blocks_seen: int
) -> SessionEventRecord:
    payload: dict[str, JsonValue] = {
        "decision": decision,
        "text_chars": len(text),
        "prose_chars": len(prose),
        "code_chars": len(code),
        "reasoning_chars": len(reasoning),
        "blocks_seen": blocks_seen,
    }
    return as_event(RlmDiagnostic(phase="llm_extraction", payload=payload))


def _message(ctx: DriverContext, role: Role, text: str) -> SessionEvent.Conversation:
    number = ctx.new_message_id("rlm")
    part = Part(f"{number}.p0", "prose" if role == "assistant" else "text", text)
    return SessionEvent.Conversation(Message(number, role, (part,), PluginOrigin(PLUGIN_ID)))


def _completion(outcome: AnyTurnOutcome) -> AnyDriverAction:
    return DriverAction.StartCheckpoint("before_completion", FinishWith(outcome))


def _stop(stop: object) -> AnyDriverAction:
    return DriverAction.Finish(TurnOutcome.Stopped(stop))  # pyright: ignore[reportArgumentType]


def _broken(code: str, message: str) -> list[AnyDriverAction]:
    return [
        DriverAction.Emit(TurnEvent.Error(message, "runtime", code)),
        _stop(TurnStop.RuntimeError(message, code)),
    ]


def _controlled(call: CompletedToolCall) -> AnyTurnOutcome:
    match call.control:
        case ToolControl.Handoff(session_id=session_id):
            return TurnOutcome.Handoff(session_id)
        case ToolControl.Finish(value=value):
            return TurnOutcome.Finished(TurnFinish.ToolValue(call.tool_name, value))
        case ToolControl.Fail(failure=failure):
            value: JsonValue = {"code": failure.code, "message": failure.message}
            return TurnOutcome.Stopped(TurnStop.ToolError(call.tool_name, value))
        case None:
            return TurnOutcome.Stopped(
                TurnStop.RuntimeError("a tool without a control result halted the program", "driver_error")
            )


def _tool_records(ctx: DriverContext, calls: Sequence[CompletedToolCall]) -> list[SessionEventRecord]:
    """The block's tool calls as the session keeps them: the first ones in full, the rest as one record of counts."""
    records: list[SessionEventRecord] = [
        SessionEvent.Tool(
            call.call_id,
            ToolCallRecord(call.call_id, call.tool_name, _bounded(call.args), _bounded_output(call), call.duration_ms),
        )
        for call in calls[:MOST_TOOL_RECORDS]
    ]
    rest = calls[MOST_TOOL_RECORDS:]
    if rest:
        number = f"overflow:{ctx.turn_id}:{ctx.mode_iteration}"
        by_tool: dict[str, JsonValue] = {}
        for call in rest:
            counted = by_tool.setdefault(call.tool_name, 0)
            assert isinstance(counted, int)
            by_tool[call.tool_name] = counted + 1
        summary: JsonValue = {"calls": by_tool, "failed": sum(not call.succeeded for call in rest)}
        records.append(
            SessionEvent.Tool(number, ToolCallRecord(number, "(more calls)", {}, ToolOutput.Success(summary)))
        )
    return records


def _bounded_output(call: CompletedToolCall) -> ToolOutput.Success | ToolOutput.Failure | ToolOutput.Cancelled:
    output = call.output
    return ToolOutput.Success(_bounded(output.value)) if isinstance(output, ToolOutput.Success) else output


def _bounded(value: JsonValue) -> JsonValue:
    """The value with every text that is too long for a record replaced by its size."""
    if isinstance(value, str):
        size = len(value.encode())
        return value if size <= LONGEST_SCALAR else f"[text of {size:,} bytes]"
    if isinstance(value, list):
        return [_bounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _bounded(item) for key, item in value.items()}
    return value
