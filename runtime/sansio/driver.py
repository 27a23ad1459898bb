"""The contract between the turn machine and a mode: read-only views in, actions out (runtime.md 1.3).

A driver is pure: the same context and response give the same actions. Whatever it has to remember between a start
and its response it puts into `driver_state`, a JSON value that the machine keeps and snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from lash.runtime.sansio.activity import AnyTurnEvent
from lash.runtime.sansio.effects import ExecFailure, ExecResponse
from lash.runtime.sansio.llm import LlmRequest, LlmResponse
from lash.runtime.sansio.messages import Message, MessageSequence, SessionEventRecord
from lash.runtime.sansio.outcome import AnyTurnOutcome
from lash.runtime.sansio.tools import CompletedToolCall, PendingToolCall, ToolSpec
from lash.runtime.sansio.values import JsonValue

TURN_SOURCE = "turn"
"""What a turn's own model calls are booked under."""


@dataclass(frozen=True, slots=True)
class PrepareIteration:
    """After an empty checkpoint: go on with the next iteration."""

    type: Literal["prepare_iteration"] = "prepare_iteration"


@dataclass(frozen=True, slots=True)
class FinishWith:
    """After an empty checkpoint: end the turn."""

    outcome: AnyTurnOutcome
    type: Literal["finish"] = "finish"


OnEmpty: TypeAlias = PrepareIteration | FinishWith


class DriverAction:
    """What a driver may answer."""

    @dataclass(frozen=True, slots=True)
    class Emit:
        """Show an event."""

        event: AnyTurnEvent
        correlation_id: str | None = None

    @dataclass(frozen=True, slots=True)
    class AppendEvents:
        """Add to the history; conversation events also become messages the model sees."""

        events: tuple[SessionEventRecord, ...]

    @dataclass(frozen=True, slots=True)
    class StartLlm:
        """Call the model; another `usage_source` than `turn` makes it a side call."""

        request: LlmRequest
        driver_state: JsonValue
        usage_source: str = TURN_SOURCE

    @dataclass(frozen=True, slots=True)
    class StartTools:
        """Run tool calls."""

        calls: tuple[PendingToolCall, ...]

    @dataclass(frozen=True, slots=True)
    class StartExec:
        """Run a program."""

        code: str
        driver_state: JsonValue
        language: str = "lashlang"

    @dataclass(frozen=True, slots=True)
    class StartCheckpoint:
        """Let plugins and queued input speak; what comes next where they say nothing."""

        kind: Literal["after_work", "before_completion"]
        on_empty: OnEmpty

    @dataclass(frozen=True, slots=True)
    class AdvanceModeIteration:
        """The next model call is another iteration."""

    @dataclass(frozen=True, slots=True)
    class ScheduleTurnLimitFinal:
        """Append this message and allow one model call beyond the limit."""

        message: Message

    @dataclass(frozen=True, slots=True)
    class Finish:
        """End the turn."""

        outcome: AnyTurnOutcome


AnyDriverAction: TypeAlias = (
    DriverAction.Emit
    | DriverAction.AppendEvents
    | DriverAction.StartLlm
    | DriverAction.StartTools
    | DriverAction.StartExec
    | DriverAction.StartCheckpoint
    | DriverAction.AdvanceModeIteration
    | DriverAction.ScheduleTurnLimitFinal
    | DriverAction.Finish
)


@dataclass(frozen=True, slots=True)
class DriverContext:
    """What a driver may look at.

    `messages` is the conversation as the model sees it, `events` all that the session remembers on its active path and
    this turn has added; `mode_iteration` counts from 0, `mode_run_offset` is the first one of this turn. `termination`
    is the mode's own. `model_calls` counts the turn's own calls so far. `project_llm_request(use_tools)` makes the
    request of the mode's projector, `turn_limit_final_to_schedule()` the message for a grace call, or None where it is
    scheduled already, `new_message_id(scope)` an id that a re-driven turn makes again.
    """

    session_id: str
    turn_id: str
    messages: MessageSequence
    events: Sequence[SessionEventRecord]
    mode_iteration: int
    mode_run_offset: int
    max_turns: int | None
    model_calls: int
    grace_scheduled: bool
    termination: JsonValue
    autonomous: bool
    project_llm_request: Callable[[bool], LlmRequest]
    turn_limit_final_to_schedule: Callable[[], Message | None]
    new_message_id: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class WaitingLlm:
    """A model call that has been answered: its effect id, what was asked, and what the driver noted."""

    id: int
    request: LlmRequest
    driver_state: JsonValue
    usage_source: str


@dataclass(frozen=True, slots=True)
class WaitingExec:
    """A program that has been run."""

    id: int
    code: str
    driver_state: JsonValue


class ModeDriver(Protocol):
    """A mode's half of the turn."""

    @property
    def mode_id(self) -> str:
        """The mode's name, part of the fingerprint of snapshots."""
        ...

    @property
    def version(self) -> int:
        """The version of `driver_state` and of the mode's events."""
        ...

    @property
    def handles_output_limit(self) -> bool:
        """Whether replies cut by the output limit come to the driver instead of ending the turn."""
        ...

    def prepare_mode_iteration(self, ctx: DriverContext) -> list[AnyDriverAction]:
        """Begin an iteration."""
        ...

    def handle_llm_success(
        self, ctx: DriverContext, waiting: WaitingLlm, response: LlmResponse, text_streamed: bool
    ) -> list[AnyDriverAction]:
        """Take the model's answer."""
        ...

    def handle_tool_results(self, ctx: DriverContext, completed: Sequence[CompletedToolCall]) -> list[AnyDriverAction]:
        """Take the results of a batch."""
        ...

    def handle_exec_result(
        self, ctx: DriverContext, waiting: WaitingExec, result: ExecResponse | ExecFailure
    ) -> list[AnyDriverAction]:
        """Take what a program came to."""
        ...


@dataclass(frozen=True, slots=True)
class ProjectionInput:
    """What a projector works from.

    `system_prompt`, `tool_specs` and `mode_view` are those last synced; `mode_view` is the mode's own (variables to
    show, say). The rest is as in `DriverContext`.
    """

    session_id: str
    turn_id: str
    messages: MessageSequence
    events: Sequence[SessionEventRecord]
    mode_iteration: int
    mode_run_offset: int
    max_turns: int | None
    termination: JsonValue
    autonomous: bool
    model: str
    model_variant: str | None
    system_prompt: str
    tool_specs: tuple[ToolSpec, ...]
    mode_view: JsonValue


class ContextProjector(Protocol):
    """Turns what a driver sees into a model request."""

    def project(self, ctx: ProjectionInput, use_tools: bool) -> LlmRequest:
        """The request for the next model call."""
        ...
