"""Exit codes of `lash`, and the errors that a person at a shell is told (cli_and_examples.md 2)."""

from __future__ import annotations

from enum import IntEnum

from lash import ConfigError, LashError, SessionBusyError, TurnOutcome, TurnStop
from lash.runtime.sansio.outcome import AnyTurnOutcome, AnyTurnStop


class Exit(IntEnum):
    """What the exit code of a command says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_PROVIDER = 3
    GAVE_UP = 4
    LIMIT = 5
    SUSPENDED = 6
    BUSY = 7
    CANCELLED = 130


class CliError(Exception):
    """A command cannot be carried out. The text is for the person who gave it: what, where, what to do."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code


ASKED_WRONGLY = frozenset(
    {
        *("unknown_turn", "unknown_session", "checkpoint_not_kept", "session_mode_mismatch"),
        *("mode_option", "mode_turn_extension", "contradictory_options"),
    }
)
"""Codes that say that something was asked for which is not there, or cannot be."""


def exit_of(outcome: AnyTurnOutcome, *, timed_out: bool = False) -> Exit:
    """The exit code for how a turn ended; `timed_out` where the cancellation came from `--timeout`."""
    if not isinstance(outcome, TurnOutcome.Stopped):
        return Exit.OK
    match outcome.stop:
        case TurnStop.Cancelled():
            return Exit.LIMIT if timed_out else Exit.CANCELLED
        case TurnStop.MaxTurns() | TurnStop.LimitExceeded() | TurnStop.Incomplete():
            return Exit.LIMIT
        case TurnStop.SubmittedError() | TurnStop.ToolError():
            return Exit.GAVE_UP
        case TurnStop.InvalidInput():
            return Exit.USAGE
        case _:
            return Exit.FAILED


def exit_of_error(error: LashError) -> Exit:
    """The exit code for a turn that could not be recorded, or a session that could not be opened."""
    if isinstance(error, SessionBusyError):
        return Exit.BUSY
    if isinstance(error, ConfigError) or error.code in ASKED_WRONGLY:
        return Exit.USAGE
    return Exit.FAILED


def why_stopped(stop: AnyTurnStop) -> str:
    """What stopped a turn, in one line."""
    match stop:
        case TurnStop.Cancelled(reason=reason):
            return f"cancelled ({reason})" if reason else "cancelled"
        case TurnStop.Incomplete():
            return "the model's reply was cut off by its output limit; --max-output-tokens raises it"
        case TurnStop.MaxTurns(max_turns=number):
            return f"no answer within {number} model calls; --max-turns raises the limit"
        case TurnStop.LimitExceeded(kind=kind, limit=limit, observed=observed):
            return f"the limit of {kind} is {limit}, and {observed} were needed"
        case TurnStop.SubmittedError(value=value):
            return f"the model gave up: {_reason(value)}"
        case TurnStop.ToolError(tool_name=name, value=value):
            return f"tool {name} ended the turn: {_reason(value)}"
        case TurnStop.ProviderError(message=message, code=code):
            return f"the model could not answer: {message}" + (f" [{code}]" if code else "")
        case TurnStop.RuntimeError(message=message, code=code) | TurnStop.PluginAbort(message=message, code=code):
            return f"{message} [{code}]"
        case TurnStop.InvalidInput(message=message) | TurnStop.ToolFailure(message=message):
            return message


def _reason(value: object) -> str:
    """The reason in a value that ended a turn; the value itself where it has none."""
    if isinstance(value, dict):
        for key in ("reason", "message"):
            text: object = value.get(key)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            if isinstance(text, str):
                return text
    return str(value)  # pyright: ignore[reportUnknownArgumentType]
