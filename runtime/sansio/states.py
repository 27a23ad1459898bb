"""The states of the turn machine and the table of its transitions.

The table is the whole control flow: `machine.py` cannot enter a state that no row allows, and `diagram.py` draws its
picture from the same rows. A waiting state keeps what its effect says, so that a restored machine can ask again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from lash.runtime.errors import LashError
from lash.runtime.sansio.driver import OnEmpty
from lash.runtime.sansio.effects import CheckpointKind, Effect, Response
from lash.runtime.sansio.llm import LlmRequest
from lash.runtime.sansio.outcome import AnyTurnOutcome
from lash.runtime.sansio.tools import PendingToolCall
from lash.runtime.sansio.values import JsonValue


class IllegalTransition(LashError):
    """The machine was asked for something that its state does not allow; nothing has changed."""

    def __init__(self, message: str) -> None:
        super().__init__("illegal_transition", message)


class State:
    """Where a turn stands."""

    @dataclass(frozen=True, slots=True)
    class PreparingMode:
        """Nothing has happened yet."""

        type: Literal["preparing_mode"] = "preparing_mode"

    @dataclass(frozen=True, slots=True)
    class WaitingExecutionSurface:
        """The host brings tools and system prompt up to date."""

        id: int
        update_machine_config: bool
        type: Literal["waiting_execution_surface"] = "waiting_execution_surface"

    @dataclass(frozen=True, slots=True)
    class PrepareIteration:
        """The driver is to begin an iteration."""

        type: Literal["prepare_iteration"] = "prepare_iteration"

    @dataclass(frozen=True, slots=True)
    class WaitingLlm:
        """A model call runs."""

        id: int
        request: LlmRequest
        driver_state: JsonValue
        usage_source: str
        type: Literal["waiting_llm"] = "waiting_llm"

    @dataclass(frozen=True, slots=True)
    class WaitingTools:
        """A batch of tool calls runs."""

        id: int
        calls: tuple[PendingToolCall, ...]
        type: Literal["waiting_tools"] = "waiting_tools"

    @dataclass(frozen=True, slots=True)
    class WaitingExec:
        """A program runs."""

        id: int
        code: str
        language: str
        driver_state: JsonValue
        type: Literal["waiting_exec"] = "waiting_exec"

    @dataclass(frozen=True, slots=True)
    class WaitingCheckpoint:
        """Plugins and queued input may speak."""

        id: int
        kind: CheckpointKind
        on_empty: OnEmpty
        type: Literal["waiting_checkpoint"] = "waiting_checkpoint"

    @dataclass(frozen=True, slots=True)
    class Finished:
        """The turn has its outcome."""

        outcome: AnyTurnOutcome
        type: Literal["finished"] = "finished"


AnyState: TypeAlias = Annotated[
    State.PreparingMode
    | State.WaitingExecutionSurface
    | State.PrepareIteration
    | State.WaitingLlm
    | State.WaitingTools
    | State.WaitingExec
    | State.WaitingCheckpoint
    | State.Finished,
    Field(discriminator="type"),
]

WaitingState: TypeAlias = (
    State.WaitingExecutionSurface | State.WaitingLlm | State.WaitingTools | State.WaitingExec | State.WaitingCheckpoint
)
"""States in which one effect is outstanding, the one with the state's id."""

WAITING = (
    State.WaitingExecutionSurface,
    State.WaitingLlm,
    State.WaitingTools,
    State.WaitingExec,
    State.WaitingCheckpoint,
)
"""The classes of `WaitingState`, for isinstance."""

Cause = Literal[
    "surface is to be synced",
    "surface is current",
    "surface synced",
    "surface not synced",
    "driver calls the model",
    "driver calls tools",
    "driver runs a program",
    "driver asks for a checkpoint",
    "driver ends the turn",
    "driver is at fault",
    "turn limit is passed",
    "reply ends the turn",
    "context overflows",
    "checkpoint changed the conversation",
    "checkpoint goes on",
    "checkpoint ends the turn",
    "host ends the turn",
]
"""Why a state is left."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: from this state, for this reason, into that one. All three are names, states' being their `type`."""

    source: str
    cause: Cause
    target: str


def _driver_decides(source: str) -> tuple[Transition, ...]:
    """What a driver can make of the turn wherever it is asked."""
    return (
        Transition(source, "driver calls the model", "waiting_llm"),
        Transition(source, "driver calls tools", "waiting_tools"),
        Transition(source, "driver runs a program", "waiting_exec"),
        Transition(source, "driver asks for a checkpoint", "waiting_checkpoint"),
        Transition(source, "driver ends the turn", "finished"),
        Transition(source, "driver is at fault", "finished"),
        Transition(source, "turn limit is passed", "finished"),
    )


TRANSITIONS: tuple[Transition, ...] = (
    Transition("preparing_mode", "surface is to be synced", "waiting_execution_surface"),
    Transition("preparing_mode", "surface is current", "prepare_iteration"),
    Transition("waiting_execution_surface", "surface synced", "prepare_iteration"),
    Transition("waiting_execution_surface", "surface not synced", "finished"),
    Transition("prepare_iteration", "surface is to be synced", "waiting_execution_surface"),
    *_driver_decides("prepare_iteration"),
    *_driver_decides("waiting_llm"),
    Transition("waiting_llm", "reply ends the turn", "finished"),
    Transition("waiting_llm", "context overflows", "waiting_checkpoint"),
    *_driver_decides("waiting_tools"),
    *_driver_decides("waiting_exec"),
    Transition("waiting_checkpoint", "checkpoint changed the conversation", "prepare_iteration"),
    Transition("waiting_checkpoint", "checkpoint goes on", "prepare_iteration"),
    Transition("waiting_checkpoint", "checkpoint ends the turn", "finished"),
    *(
        Transition(source, "host ends the turn", "finished")
        for source in (
            "preparing_mode",
            "waiting_execution_surface",
            "prepare_iteration",
            "waiting_llm",
            "waiting_tools",
            "waiting_exec",
            "waiting_checkpoint",
        )
    ),
)
"""All that can happen. `finished` is never left."""

_ALLOWED = frozenset(TRANSITIONS)

ASKS: dict[type[WaitingState], type] = {
    State.WaitingExecutionSurface: Effect.SyncExecutionSurface,
    State.WaitingLlm: Effect.LlmCall,
    State.WaitingTools: Effect.ToolCalls,
    State.WaitingExec: Effect.ExecCode,
    State.WaitingCheckpoint: Effect.Checkpoint,
}
"""Which effect is outstanding in each waiting state."""

ANSWERED_BY: dict[type[WaitingState], type] = {
    State.WaitingExecutionSurface: Response.ExecutionSurfaceSynced,
    State.WaitingLlm: Response.LlmComplete,
    State.WaitingTools: Response.ToolResults,
    State.WaitingExec: Response.ExecResult,
    State.WaitingCheckpoint: Response.CheckpointDone,
}
"""Which response each waiting state is left by."""


def check_transition(source: AnyState, cause: Cause, target: AnyState) -> None:
    """Raise IllegalTransition unless a row of the table allows the step."""
    if Transition(source.type, cause, target.type) not in _ALLOWED:
        raise IllegalTransition(f"no transition from {source.type} to {target.type} because {cause!r}")


def outstanding_effect(
    state: WaitingState,
) -> Effect.SyncExecutionSurface | Effect.LlmCall | Effect.ToolCalls | Effect.ExecCode | Effect.Checkpoint:
    """The effect that a waiting state waits for, the same each time."""
    match state:
        case State.WaitingExecutionSurface():
            return Effect.SyncExecutionSurface(state.id, state.update_machine_config)
        case State.WaitingLlm():
            return Effect.LlmCall(state.id, state.request, state.usage_source)
        case State.WaitingTools():
            return Effect.ToolCalls(state.id, state.calls)
        case State.WaitingExec():
            return Effect.ExecCode(state.id, state.code, state.language)
        case State.WaitingCheckpoint():
            return Effect.Checkpoint(state.id, state.kind)
