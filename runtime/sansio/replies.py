"""What the end of a model call means for the turn, decided before a driver is asked (runtime.md 1.2)."""

from __future__ import annotations

from typing import Literal, TypeAlias

from lash.runtime.sansio.llm import LlmCallError, LlmResponse, TerminalReason
from lash.runtime.sansio.outcome import AnyTurnStop, TurnStop
from lash.runtime.sansio.usage import NO_USAGE, TokenUsage

Verdict: TypeAlias = Literal["driver", "incomplete", "provider_error", "cancelled"]

VERDICTS: dict[TerminalReason, Verdict] = {
    "stop": "driver",
    "tool_use": "driver",
    "unknown": "driver",
    "output_limit": "incomplete",
    "context_overflow": "provider_error",
    "content_filter": "provider_error",
    "provider_error": "provider_error",
    "cancelled": "cancelled",
}
"""By terminal reason, what comes of the turn: the driver goes on, or the turn is stopped so.

There are two exceptions: a driver may want to handle cut-off replies itself, and the first overflow may be mended.
"""

_UNEXPLAINED: dict[TerminalReason, str] = {
    "context_overflow": "the conversation does not fit into the model's context",
    "content_filter": "the provider withheld the reply",
    "provider_error": "the provider failed",
}


def read_reply(result: LlmResponse | LlmCallError, handles_output_limit: bool) -> LlmResponse | AnyTurnStop:
    """The response where the driver goes on with it, else how the turn is stopped.

    `handles_output_limit` is the driver's: replies that were cut off are its business.
    """
    reason = result.terminal_reason
    verdict = VERDICTS[reason]
    if isinstance(result, LlmResponse):
        if verdict == "driver" or (reason == "output_limit" and handles_output_limit):
            return result
        said, code = result.terminal_diagnostic, None
    else:
        said, code = result.message, result.code
    match verdict:
        case "incomplete":
            return TurnStop.Incomplete()
        case "cancelled":
            return TurnStop.Cancelled(said)
        case "driver" | "provider_error":  # an error has nothing for the driver to go on with, whatever its reason
            message = said or _UNEXPLAINED.get(reason, f"the model call failed with {reason}")
            return TurnStop.ProviderError(message, code or reason)


def usage_of(result: LlmResponse | LlmCallError) -> TokenUsage:
    """All tokens of a call, those of its failed attempts included."""
    total = result.usage if isinstance(result, LlmResponse) else NO_USAGE
    for attempt in result.attempts:
        total += attempt.usage
    return total
