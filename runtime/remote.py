"""What of a turn travels as JSON: activities one by one, and the result (cli_and_examples.md 8).

Envelopes carry `protocol_version`, which has to match exactly and rises with every change of meaning.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from lash.runtime.errors import LashError
from lash.runtime.sansio.activity import AnyTurnEvent, PendingApproval, TurnActivity
from lash.runtime.sansio.outcome import AnyTurnOutcome, TurnIssue, TurnOutcome
from lash.runtime.sansio.tools import CompletedToolCall
from lash.runtime.sansio.usage import NO_USAGE, TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.turn.result import AssistantOutput, Execution, TurnResult

REMOTE_PROTOCOL_VERSION: Final = 1


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    protocol_version: Literal[1] = REMOTE_PROTOCOL_VERSION


class RemoteTurnActivity(_Envelope):
    """One activity; `sequence` orders one stream and is no token to resume at."""

    sequence: int
    id: str = Field(min_length=1)
    correlation_id: str = Field(min_length=1)
    event: AnyTurnEvent

    @staticmethod
    def from_core(activity: TurnActivity) -> RemoteTurnActivity:
        """The envelope of an activity."""
        return RemoteTurnActivity(
            sequence=activity.seq, id=activity.id, correlation_id=activity.correlation_id, event=activity.event
        )


class RemoteTurnResult(_Envelope):
    """What a turn came to.

    `status` "finished" and "stopped" are turns that were recorded, with their `outcome`; "failed" is one that could not
    be, with the reason among the `issues`; "suspended" waits for the answers in `pending`. `usage` counts what was used
    on the turn's behalf as well.
    """

    status: Literal["finished", "stopped", "suspended", "failed"]
    outcome: AnyTurnOutcome | None = None
    pending: tuple[PendingApproval, ...] = ()
    assistant_output: AssistantOutput | None = None
    usage: TokenUsage = NO_USAGE
    execution: Execution | None = None
    tool_calls: tuple[CompletedToolCall, ...] = ()
    issues: tuple[TurnIssue, ...] = ()
    activities: tuple[RemoteTurnActivity, ...] = ()
    metadata: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])

    @staticmethod
    def from_core(result: TurnResult[Any], **metadata: JsonValue) -> RemoteTurnResult:
        """The envelope of a recorded turn, without its activities; `metadata` is the host's own."""
        return RemoteTurnResult(
            status="stopped" if isinstance(result.outcome, TurnOutcome.Stopped) else "finished",
            outcome=result.outcome,
            assistant_output=result.assistant_output,
            usage=result.total_usage(),
            execution=result.execution,
            tool_calls=result.tool_calls,
            issues=result.errors,
            metadata={
                "session_id": result.session_id,
                "turn_id": result.turn_id,
                "turn_index": result.turn_index,
                **metadata,
            },
        )

    @staticmethod
    def failed(error: LashError, **metadata: JsonValue) -> RemoteTurnResult:
        """The envelope of a turn that could not be recorded."""
        issue = TurnIssue("runtime", error.code, error.message, retryable=error.retryable)
        return RemoteTurnResult(status="failed", issues=(issue,), metadata=dict(metadata))
