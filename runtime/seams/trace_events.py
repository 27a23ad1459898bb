"""The events of traces, and what they are made of (observability.md 2); `trace.py` has the rules for their fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from lash.runtime.sansio.usage import NO_USAGE, TokenUsage
from lash.runtime.sansio.values import JsonValue

PAYLOAD: Final = {"limit": "payload_bytes"}
RAW_ERROR: Final = {"limit": "raw_error_chars"}
STREAM_JSON: Final = {"limit": "stream_json_bytes"}


class TraceBlock:
    """Content blocks of messages and responses, without what only their provider can read."""

    @dataclass(frozen=True, slots=True)
    class Text:
        """Plain text."""

        text: str = ""
        cache_breakpoint: bool | None = None
        type: Literal["text"] = "text"

    @dataclass(frozen=True, slots=True)
    class Image:
        """An image, by its index in the request's attachments."""

        attachment_idx: int = 0
        type: Literal["image"] = "image"

    @dataclass(frozen=True, slots=True)
    class ToolCall:
        """A native tool call."""

        call_id: str
        tool_name: str
        input_json: str = ""
        item_id: str | None = None
        has_signature: bool = False
        type: Literal["tool_call"] = "tool_call"

    @dataclass(frozen=True, slots=True)
    class ToolResult:
        """The answer to a tool call."""

        call_id: str
        tool_name: str | None = None
        content: str = ""
        type: Literal["tool_result"] = "tool_result"

    @dataclass(frozen=True, slots=True)
    class Reasoning:
        """Reasoning of the model."""

        text: str = ""
        item_id: str | None = None
        summary: tuple[str, ...] = ()
        has_encrypted: bool = False
        redacted: bool = False
        type: Literal["reasoning"] = "reasoning"


AnyTraceBlock: TypeAlias = Annotated[
    TraceBlock.Text | TraceBlock.Image | TraceBlock.ToolCall | TraceBlock.ToolResult | TraceBlock.Reasoning,
    Field(discriminator="type"),
]


@dataclass(frozen=True, slots=True)
class TraceMessage:
    """One message of a request."""

    role: Literal["system", "user", "assistant"]
    blocks: tuple[AnyTraceBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class TraceAttachment:
    """An attachment by its hash; `bytes_len` is None where the bytes were not at hand."""

    mime: str
    filename: str | None = None
    bytes_sha256: str | None = None
    bytes_len: int | None = None


@dataclass(frozen=True, slots=True)
class TraceTool:
    """A native tool as the model was told of it."""

    name: str
    description: str = ""
    input_schema: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    output_schema: dict[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class TraceMessagesBase:
    """An earlier record of the same file, and how many messages of its request another request begins with."""

    record_id: str
    keep: int


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """A model call as it is asked for, before a provider maps it to its wire.

    With a `messages_base` its messages are those that it names there, and `messages_tail`.
    """

    model: str = ""
    model_variant: str | None = None
    provider: str | None = None
    messages: tuple[TraceMessage, ...] = ()
    messages_base: TraceMessagesBase | None = None
    messages_tail: tuple[TraceMessage, ...] = ()
    attachments: tuple[TraceAttachment, ...] = ()
    tools: tuple[TraceTool, ...] = ()
    tool_choice: str | None = None
    output_spec: JsonValue = None
    generation: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    stream: bool | None = None


@dataclass(frozen=True, slots=True)
class TraceResponse:
    """What a model call came to."""

    text: str = ""
    duration_ms: int | None = None
    ttft_ms: int | None = None
    terminal_reason: str | None = None
    response_id: str | None = None
    response_model: str | None = None
    parts: tuple[AnyTraceBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class TraceError:
    """Why an attempt of a model call failed."""

    message: str = ""
    retryable: bool = False
    terminal_reason: str | None = None
    code: str | None = None
    raw: str | None = field(default=None, metadata=RAW_ERROR)


@dataclass(frozen=True, slots=True)
class TraceToolOutcome:
    """A success has its value as payload, a failure class, code and message, a cancelled call its message."""

    status: Literal["success", "failure", "cancelled"]
    payload: JsonValue = field(default=None, metadata=PAYLOAD)


@dataclass(frozen=True, slots=True)
class TraceToolOutput:
    """What a tool call came to, and what it asked of the turn."""

    outcome: TraceToolOutcome
    control: JsonValue = field(default=None, metadata=PAYLOAD)


@dataclass(frozen=True, slots=True)
class TracePromptComponent:
    """One part of a system prompt."""

    id: str
    kind: str = ""
    hash: str = ""
    chars: int = 0


@dataclass(frozen=True, slots=True)
class TraceHandoff:
    """Where a turn went on."""

    successor_session_id: str


class TraceEvent:
    """What happened. `replayed` marks a fact of a re-driven turn that an earlier run has come to before."""

    @dataclass(frozen=True, slots=True)
    class SessionStarted:
        """A session was opened: relation, mode, model, provider and version of lash as metadata."""

        metadata: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
        type: Literal["session_started"] = "session_started"

    @dataclass(frozen=True, slots=True)
    class TurnStarted:
        """A turn has begun: number of input items, their characters and where they come from as metadata."""

        metadata: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
        type: Literal["turn_started"] = "turn_started"

    @dataclass(frozen=True, slots=True)
    class PromptBuilt:
        """The system prompt is made; its components are for the extended level."""

        prompt_hash: str = ""
        prompt_chars: int = 0
        components: tuple[TracePromptComponent, ...] = ()
        type: Literal["prompt_built"] = "prompt_built"

    @dataclass(frozen=True, slots=True)
    class LlmCallStarted:
        """A model is about to be called, with this final request."""

        request: TraceRequest = TraceRequest()
        type: Literal["llm_call_started"] = "llm_call_started"

    @dataclass(frozen=True, slots=True)
    class LlmCallCompleted:
        """The model has answered; `provider_usage` is its own count of tokens, as it was sent."""

        response: TraceResponse = TraceResponse()
        usage: TokenUsage = NO_USAGE
        provider_usage: JsonValue = None
        stream_summary: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
        replayed: bool | None = None
        type: Literal["llm_call_completed"] = "llm_call_completed"

    @dataclass(frozen=True, slots=True)
    class LlmCallFailed:
        """One attempt of a model call, numbered from 1, has failed."""

        error: TraceError = TraceError()
        attempt: int = 1
        stream_summary: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
        replayed: bool | None = None
        type: Literal["llm_call_failed"] = "llm_call_failed"

    @dataclass(frozen=True, slots=True)
    class ToolCallStarted:
        """A tool call begins."""

        call_id: str
        name: str
        args: JsonValue = field(default_factory=dict[str, JsonValue], metadata=PAYLOAD)
        parent_call_id: str | None = None
        graph_key: str | None = None
        type: Literal["tool_call_started"] = "tool_call_started"

    @dataclass(frozen=True, slots=True)
    class ToolCallCompleted:
        """A tool call is over; `args` are the final ones, after hooks."""

        call_id: str
        name: str
        args: JsonValue = field(default_factory=dict[str, JsonValue], metadata=PAYLOAD)
        output: TraceToolOutput | None = None
        duration_ms: int | None = None
        replayed: bool | None = None
        type: Literal["tool_call_completed"] = "tool_call_completed"

    @dataclass(frozen=True, slots=True)
    class ApprovalRequested:
        """A tool call waits for a person; `round` rises when an interrupted run is asked about again."""

        approval_id: str
        call_id: str
        name: str
        args: JsonValue = field(default_factory=dict[str, JsonValue], metadata=PAYLOAD)
        reason: str | None = None
        round: int = 1
        expires_ms: int | None = None
        replayed: bool | None = None
        type: Literal["approval_requested"] = "approval_requested"

    @dataclass(frozen=True, slots=True)
    class ApprovalAnswered:
        """The person has answered, or will not; `args` are those of an edit."""

        approval_id: str
        call_id: str
        answer: Literal["approve", "edit", "deny", "timeout", "withdrawn"]
        reason: str | None = None
        args: dict[str, JsonValue] | None = field(default=None, metadata=PAYLOAD)
        answered_by: str | None = None
        waited_ms: int | None = None
        replayed: bool | None = None
        type: Literal["approval_answered"] = "approval_answered"

    @dataclass(frozen=True, slots=True)
    class TurnSuspended:
        """The turn waits for these approvals and holds nothing meanwhile."""

        approval_ids: tuple[str, ...] = ()
        type: Literal["turn_suspended"] = "turn_suspended"

    @dataclass(frozen=True, slots=True)
    class TurnResumed:
        """A suspended turn goes on."""

        by: Literal["replay", "snapshot"]
        replayed_effects: int = 0
        type: Literal["turn_resumed"] = "turn_resumed"

    @dataclass(frozen=True, slots=True)
    class ModeStep:
        """A step of a mode, in the mode's own form."""

        mode: str
        payload: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue], metadata=PAYLOAD)
        replayed: bool | None = None
        type: Literal["mode_step"] = "mode_step"

    @dataclass(frozen=True, slots=True)
    class TokensUsed:
        """Tokens were booked: those of this call, and those of the source and model so far."""

        source: str
        model: str
        usage: TokenUsage = NO_USAGE
        cumulative: TokenUsage = NO_USAGE
        replayed: bool | None = None
        type: Literal["token_usage"] = "token_usage"

    @dataclass(frozen=True, slots=True)
    class TurnCompleted:
        """The turn is committed or has failed; `done_reason` names finish or stop, or the error's code."""

        status: Literal["completed", "stopped", "failed", "handoff"]
        done_reason: str | None = None
        duration_ms: int | None = None
        handoff: TraceHandoff | None = None
        type: Literal["turn_completed"] = "turn_completed"

    @dataclass(frozen=True, slots=True)
    class ProviderStreamEvent:
        """A raw event of a provider; length in bytes and hash are those of its whole text."""

        provider: str
        sequence: int = 0
        elapsed_ms: int = 0
        event_name: str = ""
        item_id: str | None = None
        output_index: int | None = None
        raw_len: int = 0
        raw_sha256: str = ""
        raw_json: str | None = field(default=None, metadata=STREAM_JSON)
        type: Literal["provider_stream_event"] = "provider_stream_event"

    @dataclass(frozen=True, slots=True)
    class RuntimeStreamEvent:
        """A stream event as the runtime got it; `visible_text` is what the user saw of `raw_text`."""

        sequence: int = 0
        elapsed_ms: int = 0
        event_name: str = ""
        raw_text: str | None = None
        visible_text: str | None = None
        item_id: str | None = None
        output_index: int | None = None
        call_id: str | None = None
        tool_name: str | None = None
        input_json: str | None = None
        usage: TokenUsage | None = None
        type: Literal["runtime_stream_event"] = "runtime_stream_event"

    @dataclass(frozen=True, slots=True)
    class Custom:
        """What a plugin or a host adds; a plugin's names begin with `plugin.<id>.`."""

        name: str
        payload: JsonValue = field(default_factory=dict[str, JsonValue], metadata=PAYLOAD)
        type: Literal["custom"] = "custom"


AnyTraceEvent: TypeAlias = Annotated[
    TraceEvent.SessionStarted
    | TraceEvent.TurnStarted
    | TraceEvent.PromptBuilt
    | TraceEvent.LlmCallStarted
    | TraceEvent.LlmCallCompleted
    | TraceEvent.LlmCallFailed
    | TraceEvent.ToolCallStarted
    | TraceEvent.ToolCallCompleted
    | TraceEvent.ApprovalRequested
    | TraceEvent.ApprovalAnswered
    | TraceEvent.TurnSuspended
    | TraceEvent.TurnResumed
    | TraceEvent.ModeStep
    | TraceEvent.TokensUsed
    | TraceEvent.TurnCompleted
    | TraceEvent.ProviderStreamEvent
    | TraceEvent.RuntimeStreamEvent
    | TraceEvent.Custom,
    Field(discriminator="type"),
]
