"""What the turn machine asks for, and what it is told (runtime.md 1.1).

Effects that expect an answer carry an id, counted from 1 in the turn; at most one of them is outstanding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from lash.runtime.sansio.activity import AnyTurnEvent
from lash.runtime.sansio.llm import LlmRequest, LlmResult
from lash.runtime.sansio.messages import Message, SessionEventRecord
from lash.runtime.sansio.tools import CompletedToolCall, PendingToolCall, ToolSpec
from lash.runtime.sansio.values import JsonValue

CheckpointKind = Literal["after_work", "before_completion", "overflow"]


@dataclass(frozen=True, slots=True)
class ObservationMetrics:
    """How much of a print its projection for displays shows (rlm.md 8.4)."""

    truncated: bool
    original_chars: int
    projected_chars: int
    original_lines: int
    projected_lines: int
    limit: int
    limit_mode: Literal["bytes", "tokens"]
    max_lines: int


@dataclass(frozen=True, slots=True)
class PrintedImage:
    """An image that a program printed."""

    id: str
    media_type: str
    label: str | None = None
    width: int | None = None
    height: int | None = None
    byte_len: int = 0


@dataclass(frozen=True, slots=True)
class TerminalSubmit:
    """A program submitted a value."""

    value: JsonValue
    type: Literal["submit"] = "submit"


@dataclass(frozen=True, slots=True)
class TerminalControl:
    """A tool's control result halted the program: `call` is that tool's."""

    call: CompletedToolCall
    type: Literal["control"] = "control"


TerminalFinish: TypeAlias = Annotated[TerminalSubmit | TerminalControl, Field(discriminator="type")]


@dataclass(frozen=True, slots=True)
class ExecResponse:
    """What running a program came to; `observations` are its prints in full, `error` is the diagnostic's text."""

    observations: tuple[str, ...] = ()
    observation_metrics: tuple[ObservationMetrics, ...] = ()
    tool_calls: tuple[CompletedToolCall, ...] = ()
    printed_images: tuple[PrintedImage, ...] = ()
    error: str | None = None
    error_kind: str | None = None
    terminal_finish: TerminalFinish | None = None
    duration_ms: int = 0
    fuel: int = 0
    halted_by: str | None = None
    type: Literal["exec"] = "exec"


@dataclass(frozen=True, slots=True)
class ExecFailure:
    """The program could not be run at all, or its machine broke."""

    message: str
    code: str
    type: Literal["exec_failure"] = "exec_failure"


ExecOutcome: TypeAlias = Annotated[ExecResponse | ExecFailure, Field(discriminator="type")]


class Effect:
    """What the machine asks its host to do."""

    @dataclass(frozen=True, slots=True)
    class SyncExecutionSurface:
        """Bring tools and system prompt up to date."""

        id: int
        update_machine_config: bool
        type: Literal["sync_execution_surface"] = "sync_execution_surface"

    @dataclass(frozen=True, slots=True)
    class LlmCall:
        """Call the model."""

        id: int
        request: LlmRequest
        usage_source: str
        type: Literal["llm_call"] = "llm_call"

    @dataclass(frozen=True, slots=True)
    class ToolCalls:
        """Run a batch of tool calls."""

        id: int
        calls: tuple[PendingToolCall, ...]
        type: Literal["tool_calls"] = "tool_calls"

    @dataclass(frozen=True, slots=True)
    class ExecCode:
        """Run a program."""

        id: int
        code: str
        language: str
        type: Literal["exec_code"] = "exec_code"

    @dataclass(frozen=True, slots=True)
    class Checkpoint:
        """Let plugins and queued input speak."""

        id: int
        kind: CheckpointKind
        type: Literal["checkpoint"] = "checkpoint"

    @dataclass(frozen=True, slots=True)
    class CancelLlm:
        """Abort the model call of that id; no answer is expected."""

        id: int
        type: Literal["cancel_llm"] = "cancel_llm"

    @dataclass(frozen=True, slots=True)
    class Emit:
        """Show an event; `correlation_id` where the machine knows the row it belongs to."""

        event: AnyTurnEvent
        correlation_id: str | None = None
        type: Literal["emit"] = "emit"

    @dataclass(frozen=True, slots=True)
    class Log:
        """Tell developers."""

        message: str
        type: Literal["log"] = "log"

    @dataclass(frozen=True, slots=True)
    class Progress:
        """The history has grown by `event_delta`; an in-memory draft may follow."""

        event_delta: tuple[SessionEventRecord, ...]
        mode_iteration: int
        type: Literal["progress"] = "progress"

    @dataclass(frozen=True, slots=True)
    class Done:
        """The turn has its outcome; `event_delta` is what no Progress has told yet."""

        event_delta: tuple[SessionEventRecord, ...]
        mode_iteration: int
        type: Literal["done"] = "done"


AnyEffect: TypeAlias = Annotated[
    Effect.SyncExecutionSurface
    | Effect.LlmCall
    | Effect.ToolCalls
    | Effect.ExecCode
    | Effect.Checkpoint
    | Effect.CancelLlm
    | Effect.Emit
    | Effect.Log
    | Effect.Progress
    | Effect.Done,
    Field(discriminator="type"),
]


@dataclass(frozen=True, slots=True)
class SurfaceUpdate:
    """The system prompt and the tools as they are now, and what the mode's projector wants to know besides."""

    system_prompt: str
    tool_specs: tuple[ToolSpec, ...]
    mode_view: JsonValue = None


class Response:
    """What the machine is told."""

    @dataclass(frozen=True, slots=True)
    class ExecutionSurfaceSynced:
        """`update` is None where nothing is to change; `error` says why it could not be done."""

        id: int
        update: SurfaceUpdate | None = None
        error: str | None = None
        type: Literal["execution_surface_synced"] = "execution_surface_synced"

    @dataclass(frozen=True, slots=True)
    class LlmComplete:
        """The model's answer, or why there is none; `text_streamed` says that its text has been shown already."""

        id: int
        result: LlmResult
        text_streamed: bool = False
        type: Literal["llm_complete"] = "llm_complete"

    @dataclass(frozen=True, slots=True)
    class ToolResults:
        """The calls of the batch with their outputs, in call order."""

        id: int
        results: tuple[CompletedToolCall, ...]
        type: Literal["tool_results"] = "tool_results"

    @dataclass(frozen=True, slots=True)
    class ExecResult:
        """What the program came to."""

        id: int
        result: ExecOutcome
        type: Literal["exec_result"] = "exec_result"

    @dataclass(frozen=True, slots=True)
    class CheckpointDone:
        """What was said at the checkpoint: messages to be kept, messages for the model alone, or a new history.

        `abort` is `(code, message)` of a plugin that stops the turn.
        """

        id: int
        messages: tuple[Message, ...] = ()
        transient_messages: tuple[Message, ...] = ()
        rewritten: tuple[Message, ...] | None = None
        abort: tuple[str, str] | None = None
        type: Literal["checkpoint_done"] = "checkpoint_done"


AnyResponse: TypeAlias = Annotated[
    Response.ExecutionSurfaceSynced
    | Response.LlmComplete
    | Response.ToolResults
    | Response.ExecResult
    | Response.CheckpointDone,
    Field(discriminator="type"),
]
