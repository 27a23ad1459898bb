"""What a turn came to, as a host gets it (runtime.md 5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from lash.runtime.errors import TurnError
from lash.runtime.sansio.activity import TurnActivity
from lash.runtime.sansio.outcome import AnyTurnOutcome, TurnFinish, TurnIssue, TurnOutcome
from lash.runtime.sansio.tools import CompletedToolCall
from lash.runtime.sansio.usage import NO_USAGE, TokenLedgerEntry, TokenUsage
from lash.runtime.sansio.values import JsonValue

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Execution:
    """What kind of work a turn did."""

    mode: str
    had_tool_calls: bool
    had_code_execution: bool


@dataclass(frozen=True, slots=True)
class AssistantOutput:
    """The prose of a turn: `raw_text` as the model wrote it, `safe_text` what can be shown."""

    safe_text: str
    raw_text: str
    state: Literal["usable", "empty_output"]

    @staticmethod
    def of(text: str) -> AssistantOutput:
        """The output of a turn whose prose is this."""
        return AssistantOutput(text.strip(), text, "usable" if text.strip() else "empty_output")


@dataclass(frozen=True, slots=True)
class TurnResult(Generic[T]):
    """A turn that was recorded; `revision` is None where nothing was committed (refused input).

    `usage` are the turn's own model calls, `children_usage` those made on its behalf, by source and model.
    `partial_value` is what a stopped program had so far, where the mode keeps one. `turns` are the links before this
    one, each in its own session, of a turn that was handed on.
    """

    outcome: AnyTurnOutcome
    assistant_output: AssistantOutput
    session_id: str
    turn_id: str
    turn_index: int
    revision: int | None
    execution: Execution
    usage: TokenUsage = NO_USAGE
    children_usage: tuple[TokenLedgerEntry, ...] = ()
    tool_calls: tuple[CompletedToolCall, ...] = ()
    errors: tuple[TurnIssue, ...] = ()
    partial_value: JsonValue = None
    turns: tuple[TurnResult[Any], ...] = ()
    value_type: type[T] | None = field(default=None, compare=False)

    def total_usage(self) -> TokenUsage:
        """All tokens of the turn, each once."""
        return sum((entry.usage for entry in self.children_usage), self.usage)

    def handoff_count(self) -> int:
        """How often the turn was handed on."""
        return len(self.turns)

    def is_success(self) -> bool:
        """Whether the turn reached its end."""
        return isinstance(self.outcome, TurnOutcome.Finished | TurnOutcome.Handoff)

    def assistant_message(self) -> str | None:
        """The prose that ended the turn; None where something else did."""
        match self.outcome:
            case TurnOutcome.Finished(finish=TurnFinish.AssistantMessage(text=text)):
                return text
            case _:
                return None

    def submitted_value(self) -> JsonValue:
        """The value that a program submitted. TurnError (no_submitted_value) where none was."""
        match self.outcome:
            case TurnOutcome.Finished(finish=TurnFinish.SubmittedValue(value=value)):
                return value
            case other:
                raise TurnError("no_submitted_value", f"the turn submitted no value: it ended as {other!r:.200}")

    def submitted_as(self, model: type[M]) -> M:
        """The submitted value as an instance of a pydantic model.

        Raises TurnError (no_submitted_value), and pydantic.ValidationError for a value that is none.
        """
        return model.model_validate(self.submitted_value())

    @property
    def value(self) -> T:
        """The submitted value in the type that the turn required. Raises as `submitted_as`."""
        submitted: object = self.submitted_value()
        if self.value_type is not None and issubclass(self.value_type, BaseModel):
            submitted = self.value_type.model_validate(submitted)
        return submitted  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def tool_value(self) -> JsonValue:
        """The value with which a tool ended the turn; None where none did."""
        match self.outcome:
            case TurnOutcome.Finished(finish=TurnFinish.ToolValue(value=value)):
                return value
            case _:
                return None


@dataclass(frozen=True, slots=True)
class TurnOutput(Generic[T]):
    """A turn's result with all its activities, in order; what is asked of a result can be asked of it."""

    result: TurnResult[T]
    activities: Sequence[TurnActivity]

    @property
    def value(self) -> T:
        """See `TurnResult.value`."""
        return self.result.value

    def total_usage(self) -> TokenUsage:
        """See `TurnResult.total_usage`."""
        return self.result.total_usage()

    def is_success(self) -> bool:
        """See `TurnResult.is_success`."""
        return self.result.is_success()

    def assistant_message(self) -> str | None:
        """See `TurnResult.assistant_message`."""
        return self.result.assistant_message()

    def submitted_value(self) -> JsonValue:
        """See `TurnResult.submitted_value`."""
        return self.result.submitted_value()

    def submitted_as(self, model: type[M]) -> M:
        """See `TurnResult.submitted_as`."""
        return self.result.submitted_as(model)

    def tool_value(self) -> JsonValue:
        """See `TurnResult.tool_value`."""
        return self.result.tool_value()
