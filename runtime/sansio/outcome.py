"""How a turn ends (runtime.md 1.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from lash.runtime.sansio.values import JsonValue


class TurnFinish:
    """A turn that reached its end."""

    @dataclass(frozen=True, slots=True)
    class AssistantMessage:
        """The model's prose; its message is written once, with the commit."""

        text: str
        type: Literal["assistant_message"] = "assistant_message"

    @dataclass(frozen=True, slots=True)
    class SubmittedValue:
        """The value a program submitted."""

        value: JsonValue
        type: Literal["submitted_value"] = "submitted_value"

    @dataclass(frozen=True, slots=True)
    class ToolValue:
        """The value with which a tool ended the turn."""

        tool_name: str
        value: JsonValue
        type: Literal["tool_value"] = "tool_value"


AnyTurnFinish: TypeAlias = Annotated[
    TurnFinish.AssistantMessage | TurnFinish.SubmittedValue | TurnFinish.ToolValue, Field(discriminator="type")
]

LimitKind = Literal[
    "handoffs", "tool_calls", "sub_calls", "children", "depth", "tokens", "cost", "wall", "consecutive_errors"
]


class TurnStop:
    """A turn that was stopped, and by what."""

    @dataclass(frozen=True, slots=True)
    class Cancelled:
        """Somebody asked for it."""

        reason: str | None = None
        request_id: str | None = None
        origin: str | None = None
        type: Literal["cancelled"] = "cancelled"

    @dataclass(frozen=True, slots=True)
    class Incomplete:
        """The model's reply was cut by its output limit."""

        type: Literal["incomplete"] = "incomplete"

    @dataclass(frozen=True, slots=True)
    class InvalidInput:
        """The input could not be used; nothing is committed."""

        message: str
        type: Literal["invalid_input"] = "invalid_input"

    @dataclass(frozen=True, slots=True)
    class MaxTurns:
        """The limit of model calls is reached."""

        max_turns: int
        type: Literal["max_turns"] = "max_turns"

    @dataclass(frozen=True, slots=True)
    class LimitExceeded:
        """A budget is used up; whole numbers stay whole when they are written down."""

        kind: LimitKind
        limit: int | float
        observed: int | float
        type: Literal["limit_exceeded"] = "limit_exceeded"

    @dataclass(frozen=True, slots=True)
    class ToolFailure:
        """No outcome was found and a tool failure is open."""

        message: str
        type: Literal["tool_failure"] = "tool_failure"

    @dataclass(frozen=True, slots=True)
    class ProviderError:
        """The model could not be had, refused, or said nothing."""

        message: str
        code: str | None = None
        type: Literal["provider_error"] = "provider_error"

    @dataclass(frozen=True, slots=True)
    class PluginAbort:
        """A plugin's hook ended the turn."""

        code: str
        message: str
        type: Literal["plugin_abort"] = "plugin_abort"

    @dataclass(frozen=True, slots=True)
    class RuntimeError:  # noqa: A001 - the name that runtime.md gives it, reached as TurnStop.RuntimeError only
        """An internal fault."""

        message: str
        code: str
        type: Literal["runtime_error"] = "runtime_error"

    @dataclass(frozen=True, slots=True)
    class SubmittedError:
        """A child session gave up with `submit_error`; `value` is `{reason}`."""

        value: JsonValue
        type: Literal["submitted_error"] = "submitted_error"

    @dataclass(frozen=True, slots=True)
    class ToolError:
        """A tool's control result stopped the turn."""

        tool_name: str
        value: JsonValue
        type: Literal["tool_error"] = "tool_error"


AnyTurnStop: TypeAlias = Annotated[
    TurnStop.Cancelled
    | TurnStop.Incomplete
    | TurnStop.InvalidInput
    | TurnStop.MaxTurns
    | TurnStop.LimitExceeded
    | TurnStop.ToolFailure
    | TurnStop.ProviderError
    | TurnStop.PluginAbort
    | TurnStop.RuntimeError
    | TurnStop.SubmittedError
    | TurnStop.ToolError,
    Field(discriminator="type"),
]


class TurnOutcome:
    """How a turn ended."""

    @dataclass(frozen=True, slots=True)
    class Finished:
        """It reached its end."""

        finish: AnyTurnFinish
        type: Literal["finished"] = "finished"

    @dataclass(frozen=True, slots=True)
    class Handoff:
        """It goes on in another session."""

        session_id: str
        type: Literal["handoff"] = "handoff"

    @dataclass(frozen=True, slots=True)
    class Stopped:
        """It was stopped."""

        stop: AnyTurnStop
        type: Literal["stopped"] = "stopped"


AnyTurnOutcome: TypeAlias = Annotated[
    TurnOutcome.Finished | TurnOutcome.Handoff | TurnOutcome.Stopped, Field(discriminator="type")
]


def ended_as(outcome: AnyTurnOutcome) -> str:
    """How a turn ended in one word: the name of its finish or stop, or `handoff`."""
    match outcome:
        case TurnOutcome.Finished(finish=finish):
            return finish.type
        case TurnOutcome.Stopped(stop=stop):
            return stop.type
        case TurnOutcome.Handoff():
            return outcome.type


@dataclass(frozen=True, slots=True)
class TurnIssue:
    """Something that went wrong in a turn; `raw` is at most 4,000 characters."""

    kind: str
    code: str
    message: str
    terminal_reason: str | None = None
    retryable: bool = False
    raw: str | None = None
