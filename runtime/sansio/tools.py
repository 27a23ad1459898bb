"""Tool calls as the runtime sees them: what is asked, what came of it (providers.md 12, 13)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from lash.runtime.sansio.llm import ToolCallReplay
from lash.runtime.sansio.values import JsonValue

FailureClass = Literal[
    "invalid_request",
    "unavailable",
    "permission_denied",
    "timeout",
    "execution",
    "external",
    "resource_limit",
    "internal",
]
FailureSource = Literal["runtime", "tool", "plugin", "policy", "cancellation"]


@dataclass(frozen=True, slots=True)
class RetryAdvice:
    """Whether a failed call may be tried again: `never`, `safe` (after `after_ms`), or `exhausted` after `attempts`."""

    kind: Literal["never", "safe", "exhausted"] = "never"
    after_ms: int | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class ToolFailure:
    """Why a tool call failed; `cls` is the class of failure, `code` is stable, `message` is for the model."""

    cls: FailureClass
    code: str
    message: str
    source: FailureSource = "tool"
    retry: RetryAdvice = RetryAdvice()
    raw: JsonValue = None


class ToolOutput:
    """What a tool call came to."""

    @dataclass(frozen=True, slots=True)
    class Success:
        """It worked; attachments stand in the value in the tagged form of providers.md 12."""

        value: JsonValue
        type: Literal["success"] = "success"

    @dataclass(frozen=True, slots=True)
    class Failure:
        """It did not."""

        failure: ToolFailure
        type: Literal["failure"] = "failure"

    @dataclass(frozen=True, slots=True)
    class Cancelled:
        """It was stopped."""

        message: str = "tool call cancelled"
        raw: JsonValue = None
        type: Literal["cancelled"] = "cancelled"


AnyToolOutput: TypeAlias = Annotated[
    ToolOutput.Success | ToolOutput.Failure | ToolOutput.Cancelled, Field(discriminator="type")
]


class ToolControl:
    """What a successful result may ask of the turn; the first in call order decides."""

    @dataclass(frozen=True, slots=True)
    class Handoff:
        """Go on in another session."""

        session_id: str
        type: Literal["handoff"] = "handoff"

    @dataclass(frozen=True, slots=True)
    class Finish:
        """End the turn with this value."""

        value: JsonValue
        type: Literal["finish"] = "finish"

    @dataclass(frozen=True, slots=True)
    class Fail:
        """Stop the turn with this failure."""

        failure: ToolFailure
        type: Literal["fail"] = "fail"


AnyToolControl: TypeAlias = Annotated[
    ToolControl.Handoff | ToolControl.Finish | ToolControl.Fail, Field(discriminator="type")
]


@dataclass(frozen=True, slots=True)
class PendingToolCall:
    """A call that the model made; `args` is the parsed JSON, or the text itself where it did not parse."""

    call_id: str
    tool_name: str
    args: JsonValue
    replay: ToolCallReplay | None = None


@dataclass(frozen=True, slots=True)
class CompletedToolCall:
    """A call with its output.

    `model_return` is what the model is told (text, and ids of attachments after it); `args` are the final ones.
    """

    call_id: str
    tool_name: str
    args: JsonValue
    output: AnyToolOutput
    control: AnyToolControl | None = None
    model_return: str = ""
    model_attachments: tuple[str, ...] = ()
    duration_ms: int = 0
    replay: ToolCallReplay | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the tool said that it worked."""
        return isinstance(self.output, ToolOutput.Success)


@dataclass(frozen=True, slots=True)
class ToolCallRecord:
    """A tool call as the session keeps it."""

    call_id: str
    tool: str
    args: JsonValue
    output: AnyToolOutput
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A callable tool as prompts and requests show it.

    `availability` is `searchable`, `callable` or `showcased`; `signature` is the Lashlang form, `output_schema` None
    where nothing is promised; `needs_approval` True also where only some calls need one.
    """

    name: str
    description: str
    input_schema: dict[str, JsonValue]
    output_schema: dict[str, JsonValue] | None = None
    availability: Literal["searchable", "callable", "showcased"] = "showcased"
    examples: tuple[str, ...] = ()
    needs_approval: bool = False
    execution_mode: Literal["parallel", "serial"] = "parallel"
    preserve_projected: str | None = None
    result_type_field: str | None = None
    input_projections: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
