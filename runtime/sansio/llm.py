"""The normalised model request and response, which every provider maps to its own wire (providers.md 2).

A request holds no callbacks and no bytes of attachments, so it can always be written down and compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from lash.runtime.sansio.usage import NO_USAGE, TokenUsage
from lash.runtime.sansio.values import JsonValue

Role = Literal["system", "user", "assistant"]

TerminalReason = Literal[
    "stop",
    "tool_use",
    "output_limit",
    "context_overflow",
    "content_filter",
    "provider_error",
    "cancelled",
    "unknown",
]
"""Why a model call ended."""


@dataclass(frozen=True, slots=True)
class ResponseMeta:
    """What a provider said of a text part, to be sent back as it was; `phase` is `commentary` or `final_answer`."""

    id: str | None = None
    status: str | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCallReplay:
    """Provider state of a tool call, opaque to all but the provider that wrote it."""

    item_id: str | None = None
    opaque: JsonValue = None


@dataclass(frozen=True, slots=True)
class ReasoningReplay:
    """Provider state of a reasoning part, opaque to all but the provider that wrote it."""

    item_id: str | None = None
    encrypted_content: str | None = None
    signature: str | None = None
    redacted: bool = False
    summary: tuple[str, ...] = ()


class Block:
    """Content blocks of a message."""

    @dataclass(frozen=True, slots=True)
    class Text:
        """Plain text; `cache_breakpoint` asks the provider to cache the prompt up to here."""

        text: str
        response_meta: ResponseMeta | None = None
        cache_breakpoint: bool = False
        type: Literal["text"] = "text"

    @dataclass(frozen=True, slots=True)
    class Image:
        """An image, by its index in the request's attachments."""

        attachment_idx: int
        type: Literal["image"] = "image"

    @dataclass(frozen=True, slots=True)
    class ToolCall:
        """A native tool call by the model; `input_json` is the arguments' text as the model wrote it."""

        call_id: str
        tool_name: str
        input_json: str
        replay: ToolCallReplay | None = None
        type: Literal["tool_call"] = "tool_call"

    @dataclass(frozen=True, slots=True)
    class ToolResult:
        """The answer to a tool call; `images` are indexes of attachments."""

        call_id: str
        content: str
        tool_name: str | None = None
        is_error: bool = False
        images: tuple[int, ...] = ()
        type: Literal["tool_result"] = "tool_result"

    @dataclass(frozen=True, slots=True)
    class Reasoning:
        """Reasoning of the model, offered back to the provider that made it and to no other."""

        text: str
        replay: ReasoningReplay | None = None
        type: Literal["reasoning"] = "reasoning"


AnyBlock: TypeAlias = Annotated[
    Block.Text | Block.Image | Block.ToolCall | Block.ToolResult | Block.Reasoning, Field(discriminator="type")
]

ResponsePart: TypeAlias = Annotated[Block.Text | Block.Reasoning | Block.ToolCall, Field(discriminator="type")]
"""What a response consists of, in the order it was emitted."""


@dataclass(frozen=True, slots=True)
class LlmMessage:
    """One message of a request."""

    role: Role
    blocks: tuple[AnyBlock, ...]


@dataclass(frozen=True, slots=True)
class LlmAttachment:
    """An image of a request: its media type, its id in the attachment store, and what is known of it besides.

    `data` is filled in just before the provider is called and never written down.
    """

    mime: str
    reference: str
    label: str | None = None
    width: int | None = None
    height: int | None = None
    data: bytes | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LlmToolSpec:
    """A native tool as a request shows it; `input_projections` are schemas by provider profile (providers.md 9)."""

    name: str
    description: str
    input_schema: dict[str, JsonValue]
    output_schema: dict[str, JsonValue] | None = None
    input_projections: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class JsonObjectOutput:
    """The reply has to be a JSON object."""

    type: Literal["json_object"] = "json_object"


@dataclass(frozen=True, slots=True)
class JsonSchemaOutput:
    """The reply has to be JSON that a schema admits."""

    name: str
    schema: dict[str, JsonValue]
    strict: bool = True
    type: Literal["json_schema"] = "json_schema"


OutputSpec: TypeAlias = Annotated[JsonObjectOutput | JsonSchemaOutput, Field(discriminator="type")]


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """One model call, before a provider maps it to its wire. `model` is resolved already."""

    model: str
    messages: tuple[LlmMessage, ...]
    attachments: tuple[LlmAttachment, ...] = ()
    tools: tuple[LlmToolSpec, ...] = ()
    tool_choice: Literal["auto", "none", "required"] = "auto"
    model_variant: str | None = None
    session_id: str | None = None
    output_spec: OutputSpec | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """A failed attempt of a model call: what it used, as far as the provider said, and why it failed."""

    attempt: int
    usage: TokenUsage
    kind: str
    message: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class LlmResponse:
    """What a model call came to; `parts` are in emission order and `full_text` is its visible text.

    `response_model` is the model that answered, as the provider calls it: a name may stand for changing ones.
    """

    full_text: str
    parts: tuple[ResponsePart, ...] = ()
    usage: TokenUsage = NO_USAGE
    terminal_reason: TerminalReason = "unknown"
    terminal_diagnostic: str | None = None
    provider_usage: JsonValue = None
    request_body: JsonValue = None
    http_summary: str | None = None
    response_id: str | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    response_model: str | None = None
    type: Literal["response"] = "response"


@dataclass(frozen=True, slots=True)
class LlmCallError:
    """A model call that failed for good; `raw` is cut to 4,000 characters, half head and half tail."""

    message: str
    retryable: bool = False
    code: str | None = None
    terminal_reason: TerminalReason = "provider_error"
    raw: str | None = None
    request_body: JsonValue = None
    attempts: tuple[AttemptRecord, ...] = ()
    type: Literal["error"] = "error"


LlmResult: TypeAlias = Annotated[LlmResponse | LlmCallError, Field(discriminator="type")]


class LlmStreamEvent:
    """What a provider reports while it answers, in wire order (providers.md 3); the response is what counts."""

    @dataclass(frozen=True, slots=True)
    class TextDelta:
        """More visible text."""

        text: str
        part_index: int
        type: Literal["text_delta"] = "text_delta"

    @dataclass(frozen=True, slots=True)
    class ReasoningDelta:
        """More reasoning, where the options expose it."""

        text: str
        part_index: int
        type: Literal["reasoning_delta"] = "reasoning_delta"

    @dataclass(frozen=True, slots=True)
    class ToolCallStarted:
        """A native tool call has begun; advisory."""

        part_index: int
        call_id: str
        name: str
        type: Literal["tool_call_started"] = "tool_call_started"

    @dataclass(frozen=True, slots=True)
    class ToolCallDelta:
        """More of a tool call's arguments; advisory."""

        part_index: int
        arguments_delta: str
        type: Literal["tool_call_delta"] = "tool_call_delta"

    @dataclass(frozen=True, slots=True)
    class PartDone:
        """A tool call, or reasoning that is exposed, is complete."""

        part: ResponsePart
        type: Literal["part_done"] = "part_done"

    @dataclass(frozen=True, slots=True)
    class UsageUpdate:
        """The attempt's usage so far."""

        usage: TokenUsage
        type: Literal["usage_update"] = "usage_update"

    @dataclass(frozen=True, slots=True)
    class RetryStatus:
        """A retry comes after a wait; `deferred` says that it does not consume an attempt."""

        wait_seconds: int | float
        attempt: int
        max_attempts: int
        reason: str
        kind: str
        deferred: bool = False
        type: Literal["retry_status"] = "retry_status"

    @dataclass(frozen=True, slots=True)
    class AttemptReset:
        """All that was reported of the attempt is void."""

        attempt: int
        type: Literal["attempt_reset"] = "attempt_reset"


AnyStreamEvent: TypeAlias = Annotated[
    LlmStreamEvent.TextDelta
    | LlmStreamEvent.ReasoningDelta
    | LlmStreamEvent.ToolCallStarted
    | LlmStreamEvent.ToolCallDelta
    | LlmStreamEvent.PartDone
    | LlmStreamEvent.UsageUpdate
    | LlmStreamEvent.RetryStatus
    | LlmStreamEvent.AttemptReset,
    Field(discriminator="type"),
]
