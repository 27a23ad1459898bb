"""Generated turns: a driver and a host that follow scripts, both pure, so that a restored turn meets the same world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.config import TurnMachineConfig
from lash.runtime.sansio.driver import (
    AnyDriverAction,
    DriverAction,
    DriverContext,
    FinishWith,
    PrepareIteration,
    WaitingExec,
    WaitingLlm,
)
from lash.runtime.sansio.effects import (
    AnyEffect,
    AnyResponse,
    Effect,
    ExecFailure,
    ExecResponse,
    Response,
    SurfaceUpdate,
    TerminalSubmit,
)
from lash.runtime.sansio.llm import Block, LlmCallError, LlmResponse, ReasoningReplay, TerminalReason
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import MessageSequence, SessionEvent
from lash.runtime.sansio.outcome import TurnFinish, TurnOutcome, TurnStop
from lash.runtime.sansio.tools import (
    CompletedToolCall,
    PendingToolCall,
    ToolCallReplay,
    ToolFailure,
    ToolOutput,
    ToolSpec,
)
from lash.runtime.sansio.usage import TokenUsage
from tests.runtime.sansio.support import ASKING, config, message

LAST_EFFECT = 24
"""A turn that asks for more is cancelled: scripts may go round in circles."""

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
"""JSON values, with integers beyond 64 bits and lone surrogates in texts."""

TEXT = st.text(max_size=10)
IDENTS = st.sampled_from(["a", "b", "c"])
USAGE = st.builds(TokenUsage, *[st.integers(0, 9)] * 5)
MESSAGES = st.builds(message, TEXT, name=IDENTS, transient=st.booleans())
CALLS = st.lists(
    st.builds(PendingToolCall, IDENTS, IDENTS, JSON, st.none() | st.builds(ToolCallReplay, TEXT, JSON)), max_size=3
).map(tuple)
OUTCOMES = st.one_of(
    st.builds(TurnOutcome.Handoff, IDENTS),
    st.builds(TurnFinish.AssistantMessage, TEXT).map(TurnOutcome.Finished),
    st.builds(TurnFinish.SubmittedValue, JSON).map(TurnOutcome.Finished),
    st.builds(TurnFinish.ToolValue, IDENTS, JSON).map(TurnOutcome.Finished),
    st.builds(TurnStop.ToolError, IDENTS, JSON).map(TurnOutcome.Stopped),
    st.builds(TurnStop.LimitExceeded, st.just("tokens"), st.integers(1, 9), st.integers(1, 9)).map(TurnOutcome.Stopped),
)
ON_EMPTY = st.just(PrepareIteration()) | st.builds(FinishWith, OUTCOMES)

# --- the driver --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CallModel:
    """A move that calls the model with the projected conversation."""

    noted: Any
    source: str


@dataclass(frozen=True)
class LastCall:
    """A move that schedules the call beyond the limit, where it can be."""


@dataclass(frozen=True)
class Fault:
    """A move that raises."""


EVENTS = st.lists(
    st.builds(SessionEvent.Conversation, MESSAGES)
    | st.builds(SessionEvent.Mode, IDENTS, st.dictionaries(TEXT, JSON, max_size=2)),
    max_size=2,
).map(tuple)
STEPS = st.one_of(
    st.builds(DriverAction.Emit, st.builds(TurnEvent.AssistantProseDelta, TEXT), st.none() | IDENTS),
    st.builds(DriverAction.AppendEvents, EVENTS),
    st.just(DriverAction.AdvanceModeIteration()),
    st.just(LastCall()),
)
LASTS = st.one_of(
    *[st.builds(CallModel, JSON, st.sampled_from(["turn", "turn", "turn", "side"]))] * 4,
    *[st.builds(DriverAction.StartTools, CALLS)] * 2,
    *[st.builds(DriverAction.StartExec, TEXT, JSON, IDENTS)] * 2,
    *[st.builds(DriverAction.StartCheckpoint, st.sampled_from(["after_work", "before_completion"]), ON_EMPTY)] * 2,
    st.builds(DriverAction.Finish, OUTCOMES),
    st.just(Fault()),
    st.none(),
)
MOVES = st.lists(st.tuples(st.lists(STEPS, max_size=3), LASTS), min_size=1, max_size=12)
"""What the driver does when it is asked, one after the other and then from the beginning."""


class ScriptedDriver:
    """Makes the script's moves. Which one comes next it reads off the machine's counter of message ids."""

    mode_id = "scripted"
    version = 3

    def __init__(self, moves: Sequence[tuple[Sequence[Any], Any]], handles_output_limit: bool) -> None:
        self._moves = moves
        self.handles_output_limit = handles_output_limit

    def _move(self, ctx: DriverContext) -> list[AnyDriverAction]:
        number = int(ctx.new_message_id("move").rsplit(":", 1)[1])
        steps, last = self._moves[number % len(self._moves)]
        actions: list[Any] = []
        for step in steps:
            if isinstance(step, LastCall):
                final = None if LastCall in map(type, actions) else ctx.turn_limit_final_to_schedule()
                actions += [DriverAction.ScheduleTurnLimitFinal(final)] if final is not None else []
            else:
                actions.append(step)
        match last:
            case CallModel(noted=noted, source=source):
                actions.append(DriverAction.StartLlm(ctx.project_llm_request(True), noted, source))
            case Fault():
                raise ValueError("as scripted")
            case None:
                pass
            case _:
                actions.append(last)
        return actions

    def prepare_mode_iteration(self, ctx: DriverContext) -> list[AnyDriverAction]:
        return self._move(ctx)

    def handle_llm_success(
        self, ctx: DriverContext, waiting: WaitingLlm, response: LlmResponse, text_streamed: bool
    ) -> list[AnyDriverAction]:
        event = TurnEvent.AssistantProseDelta(f"{waiting.driver_state!r} {response.full_text} {text_streamed}")
        return [DriverAction.Emit(event), *self._move(ctx)]

    def handle_tool_results(self, ctx: DriverContext, completed: Sequence[CompletedToolCall]) -> list[AnyDriverAction]:
        return [DriverAction.Emit(TurnEvent.ReasoningDelta(repr(completed))), *self._move(ctx)]

    def handle_exec_result(
        self, ctx: DriverContext, waiting: WaitingExec, result: ExecResponse | ExecFailure
    ) -> list[AnyDriverAction]:
        event = TurnEvent.ReasoningDelta(f"{waiting.code} {waiting.driver_state!r} {result!r}")
        return [DriverAction.Emit(event), *self._move(ctx)]


# --- the host ----------------------------------------------------------------------------------------


def said_by_model(text: str, usage: TokenUsage, reason: TerminalReason) -> LlmResponse:
    """A reply with reasoning and text."""
    return LlmResponse(text, (Block.Reasoning(text, ReasoningReplay("r")), Block.Text(text)), usage, reason)


REASONS = st.sampled_from(["stop", "stop", "tool_use", "unknown", "output_limit", "context_overflow", "cancelled"])
FAILURES = st.sampled_from(["provider_error", "context_overflow"])
REPLIES = st.one_of(
    *[st.builds(said_by_model, TEXT, USAGE, REASONS)] * 5,
    st.builds(LlmCallError, TEXT, st.booleans(), st.none() | TEXT, FAILURES),
)
OUTPUTS = st.one_of(
    st.builds(ToolOutput.Success, JSON),
    st.builds(ToolOutput.Failure, st.builds(ToolFailure, st.just("execution"), IDENTS, TEXT)),
    st.builds(ToolOutput.Cancelled),
)
RAN = st.one_of(
    st.builds(ExecResponse, st.lists(TEXT, max_size=2).map(tuple)),
    st.builds(ExecResponse, terminal_finish=st.builds(TerminalSubmit, JSON)),
    st.builds(ExecFailure, TEXT, IDENTS),
)
SURFACES = st.builds(
    SurfaceUpdate, TEXT, st.lists(st.builds(ToolSpec, IDENTS, TEXT, st.just({})), max_size=2).map(tuple), JSON
)


@dataclass(frozen=True)
class Reaction:
    """What the host has to say to an effect, whichever it is."""

    reply: LlmResponse | LlmCallError
    streamed: bool
    output: Any
    ran: ExecResponse | ExecFailure
    spoken: dict[str, Any]
    surface: SurfaceUpdate | None

    def to(self, effect: AnyEffect) -> AnyResponse:
        """The answer to that effect."""
        match effect:
            case Effect.SyncExecutionSurface(id=number):
                return Response.ExecutionSurfaceSynced(number, self.surface)
            case Effect.LlmCall(id=number):
                return Response.LlmComplete(number, self.reply, self.streamed)
            case Effect.ToolCalls(id=number, calls=calls):
                done = (CompletedToolCall(call.call_id, call.tool_name, call.args, self.output) for call in calls)
                return Response.ToolResults(number, tuple(done))
            case Effect.ExecCode(id=number):
                return Response.ExecResult(number, self.ran)
            case Effect.Checkpoint(id=number):
                return Response.CheckpointDone(number, **self.spoken)
            case _:
                raise AssertionError(f"{effect} expects no answer")


SPOKEN = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries({"messages": st.tuples(MESSAGES)}),
    st.fixed_dictionaries({"transient_messages": st.tuples(MESSAGES)}),
    st.fixed_dictionaries({"rewritten": st.tuples(MESSAGES)}),
    st.just({"abort": ("code", "message")}),
)
REACTIONS = st.lists(
    st.builds(Reaction, REPLIES, st.booleans(), OUTPUTS, RAN, SPOKEN, st.none() | SURFACES), min_size=1, max_size=6
)

# --- the turn ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Script:
    """A whole turn: how it is set up, what its driver does, what its host answers."""

    moves: Sequence[tuple[Sequence[Any], Any]]
    reactions: Sequence[Reaction]
    sync: bool
    max_turns: int | None
    rewrites: bool
    handles_output_limit: bool

    def config(self) -> TurnMachineConfig:
        """The configuration, made anew each time, as a caller that restores would."""
        return config(
            ScriptedDriver(self.moves, self.handles_output_limit),
            sync_execution_surface=self.sync,
            max_turns=self.max_turns,
            can_rewrite_on_overflow=self.rewrites,
            emit_llm_trace=True,
            termination={"kind": "any"},
        )

    def machine(self) -> TurnMachine:
        """A machine at the beginning of the turn."""
        return TurnMachine(self.config(), MessageSequence((message("hello"),)), mode_run_offset=2)

    def answer(self, machine: TurnMachine, effect: Any) -> None:
        """Tell the machine what came of the effect."""
        number: int = effect.id
        if number >= LAST_EFFECT:
            machine.cancel("long enough")
        else:
            assert machine.handle_response(self.reactions[number % len(self.reactions)].to(effect))

    def finish(self, machine: TurnMachine) -> list[AnyEffect]:
        """Drive the machine to the end of the turn; all effects on the way."""
        effects: list[AnyEffect] = []
        while True:
            while (effect := machine.poll_effect()) is not None:
                effects.append(effect)
            if machine.is_done:
                return effects
            outstanding = effects[-1]
            assert isinstance(outstanding, ASKING)
            self.answer(machine, outstanding)


SCRIPTS = st.builds(
    Script, MOVES, REACTIONS, st.booleans(), st.none() | st.integers(1, 6), st.booleans(), st.booleans()
)
