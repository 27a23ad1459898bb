"""What a host sees of a turn while it runs (runtime.md 6): events with an identity, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from lash.runtime.sansio.messages import Message
from lash.runtime.sansio.tools import AnyToolOutput, ToolOutput
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import JsonValue


@dataclass(frozen=True, slots=True)
class PendingApproval:
    """A tool call that waits for a person (runtime.md 2.5).

    `position` is the line and column of the call in its block, `round` rises when an interrupted run is asked about
    again; times are milliseconds since the epoch.
    """

    approval_id: str
    session_id: str
    parent_session_id: str | None
    turn_id: str
    call_id: str
    tool: str
    args: dict[str, JsonValue]
    reason: str | None
    mutates: bool | None
    position: tuple[int, int] | None
    round: int
    requested_ms: int
    expires_ms: int | None


class TurnEvent:
    """The events of a turn."""

    @dataclass(frozen=True, slots=True)
    class ModelRequestStarted:
        """A model call of the turn's own begins."""

        mode_iteration: int
        type: Literal["model_request_started"] = "model_request_started"

    @dataclass(frozen=True, slots=True)
    class AssistantProseDelta:
        """More visible prose."""

        text: str
        type: Literal["assistant_prose_delta"] = "assistant_prose_delta"

    @dataclass(frozen=True, slots=True)
    class ReasoningDelta:
        """More reasoning."""

        text: str
        type: Literal["reasoning_delta"] = "reasoning_delta"

    @dataclass(frozen=True, slots=True)
    class ModelAttemptReset:
        """The text under these correlation ids is void."""

        prose_ids: tuple[str, ...]
        reasoning_ids: tuple[str, ...]
        type: Literal["model_attempt_reset"] = "model_attempt_reset"

    @dataclass(frozen=True, slots=True)
    class CodeBlockStarted:
        """A program is about to run."""

        language: str
        code: str
        type: Literal["code_block_started"] = "code_block_started"

    @dataclass(frozen=True, slots=True)
    class CodeOutput:
        """A program printed something."""

        text: str
        index: int
        type: Literal["code_output"] = "code_output"

    @dataclass(frozen=True, slots=True)
    class CodeBlockCompleted:
        """A program has ended."""

        language: str
        output: str
        error: str | None
        success: bool
        duration_ms: int
        tool_call_ids: tuple[str, ...] = ()
        type: Literal["code_block_completed"] = "code_block_completed"

    @dataclass(frozen=True, slots=True)
    class ToolCallStarted:
        """A tool is about to run."""

        call_id: str
        name: str
        args: JsonValue
        parent_call_id: str | None = None
        type: Literal["tool_call_started"] = "tool_call_started"

    @dataclass(frozen=True, slots=True)
    class ToolCallCompleted:
        """A tool has ended."""

        call_id: str
        name: str
        args: JsonValue
        output: AnyToolOutput
        duration_ms: int
        parent_call_id: str | None = None
        type: Literal["tool_call_completed"] = "tool_call_completed"

        @property
        def success(self) -> bool:
            """Whether it worked."""
            return isinstance(self.output, ToolOutput.Success)

        @property
        def result(self) -> JsonValue:
            """Its value, or the message of its failure or cancellation."""
            match self.output:
                case ToolOutput.Success(value=value):
                    return value
                case ToolOutput.Failure(failure=failure):
                    return failure.message
                case ToolOutput.Cancelled(message=message):
                    return message

    @dataclass(frozen=True, slots=True)
    class ApprovalRequested:
        """A call waits for a person."""

        approval: PendingApproval
        type: Literal["approval_requested"] = "approval_requested"

    @dataclass(frozen=True, slots=True)
    class ApprovalAnswered:
        """The person has answered, or will not."""

        approval_id: str
        call_id: str
        answer: Literal["approve", "edit", "deny", "timeout", "withdrawn"]
        reason: str | None = None
        args: dict[str, JsonValue] | None = None
        answered_by: str | None = None
        type: Literal["approval_answered"] = "approval_answered"

    @dataclass(frozen=True, slots=True)
    class SubmittedValue:
        """The turn ends with this value, submitted by a program."""

        value: JsonValue
        type: Literal["submitted_value"] = "submitted_value"

    @dataclass(frozen=True, slots=True)
    class ToolValue:
        """The turn ends with this value of a tool."""

        tool_name: str
        value: JsonValue
        type: Literal["tool_value"] = "tool_value"

    @dataclass(frozen=True, slots=True)
    class Usage:
        """What a model call of the turn's own used, and the turn so far."""

        mode_iteration: int
        usage: TokenUsage
        cumulative: TokenUsage
        type: Literal["usage"] = "usage"

    @dataclass(frozen=True, slots=True)
    class ChildUsage:
        """What a model call on behalf of the turn used: a child's, a sub-query's, a side call's."""

        session_id: str
        source: str
        model: str
        mode_iteration: int
        usage: TokenUsage
        cumulative: TokenUsage
        type: Literal["child_usage"] = "child_usage"

    @dataclass(frozen=True, slots=True)
    class RetryStatus:
        """The provider layer waits before it tries again."""

        wait_seconds: int | float
        attempt: int
        max_attempts: int
        reason: str
        kind: str
        deferred: bool = False
        type: Literal["retry_status"] = "retry_status"

    @dataclass(frozen=True, slots=True)
    class SessionSwitched:
        """The turn goes on in another session."""

        from_session_id: str
        to_session_id: str
        reason: str
        type: Literal["session_switched"] = "session_switched"

    @dataclass(frozen=True, slots=True)
    class PluginRuntime:
        """A plugin says something to the host: `status` (key, label, detail in `payload`) or an event of its own."""

        plugin_id: str
        event: Literal["status", "custom"]
        name: str
        payload: JsonValue = None
        type: Literal["plugin_runtime"] = "plugin_runtime"

    @dataclass(frozen=True, slots=True)
    class QueuedInputAccepted:
        """Queued user input was taken into the turn."""

        checkpoint: str
        inputs: tuple[str, ...]
        type: Literal["queued_input_accepted"] = "queued_input_accepted"

    @dataclass(frozen=True, slots=True)
    class QueuedMessagesCommitted:
        """Messages of plugins were taken into the turn."""

        messages: tuple[Message, ...]
        checkpoint: str
        type: Literal["queued_messages_committed"] = "queued_messages_committed"

    @dataclass(frozen=True, slots=True)
    class Error:
        """Something went wrong; the outcome says what it came to."""

        message: str
        kind: str
        code: str
        type: Literal["error"] = "error"


AnyTurnEvent: TypeAlias = Annotated[
    TurnEvent.ModelRequestStarted
    | TurnEvent.AssistantProseDelta
    | TurnEvent.ReasoningDelta
    | TurnEvent.ModelAttemptReset
    | TurnEvent.CodeBlockStarted
    | TurnEvent.CodeOutput
    | TurnEvent.CodeBlockCompleted
    | TurnEvent.ToolCallStarted
    | TurnEvent.ToolCallCompleted
    | TurnEvent.ApprovalRequested
    | TurnEvent.ApprovalAnswered
    | TurnEvent.SubmittedValue
    | TurnEvent.ToolValue
    | TurnEvent.Usage
    | TurnEvent.ChildUsage
    | TurnEvent.RetryStatus
    | TurnEvent.SessionSwitched
    | TurnEvent.PluginRuntime
    | TurnEvent.QueuedInputAccepted
    | TurnEvent.QueuedMessagesCommitted
    | TurnEvent.Error,
    Field(discriminator="type"),
]


@dataclass(frozen=True, slots=True)
class TurnActivity:
    """One event of a turn.

    `id` is unique per emission, `correlation_id` names the row of a display that the event belongs to and is the same
    after a replay, `seq` rises by one over the whole turn, handoffs included.
    """

    id: str
    correlation_id: str
    seq: int
    session_id: str
    turn_id: str
    replayed: bool
    event: AnyTurnEvent
