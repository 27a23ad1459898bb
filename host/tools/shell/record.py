"""What the shell's tools tell of a command, and which of that is a failure."""

from __future__ import annotations

import math
from typing import Final, Literal

from lash.host.plugins.truncation import cut
from lash.host.tools.shell.output import MARK
from lash.host.tools.shell.running import RunningCommand
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.result import CANCELLED, ToolResult

CHARACTERS_OF_TOKEN: Final = 4

MESSAGE_BYTES: Final = 12 << 10
MESSAGE_LINES: Final = 300
"""How much output the message of a failure holds: less than the model is told of a failure by default."""

_OPTIONAL: Final[dict[str, JsonValue]] = {
    "exit_code": {"type": "integer", "description": "128 and the signal's number where a signal ended it"},
    "session_id": {"type": "integer", "description": "the number of the command, only while it runs"},
    "original_token_count": {"type": "integer", "description": "the length of an output that is cut"},
    "full_output_path": {"type": "string", "description": "the file that holds all output"},
    "timed_out": {"type": "boolean"},
    "error": {"type": "string"},
}

RECORD_SCHEMA: Final[dict[str, JsonValue]] = {
    "type": "object",
    "properties": {
        "output": {"type": "string", "description": "standard output and error, in the order they were written"},
        "status": {"enum": ["completed", "running", "timed_out"]},
        "done": {"type": "boolean"},
        "running": {"type": "boolean"},
        "wall_time_seconds": {"type": "number"},
        **_OPTIONAL,
    },
    "required": ["output", "status", "done", "running", "wall_time_seconds"],
}
"""The record of a command as a schema."""


async def report(
    command: RunningCommand,
    status: Literal["completed", "running", "timed_out", "cancelled"],
    *,
    max_output_tokens: int | None,
    timeout_ms: int | None = None,
) -> ToolResult:
    """The result of a call: the record of the command with its new output.

    A status other than 0 and a timeout are failures that have the record in `raw` and the output in the message,
    unless the command was allowed to end so.
    """
    most = None if max_output_tokens is None else max_output_tokens * CHARACTERS_OF_TOKEN
    taken = await command.take()
    output = taken.text
    shortened = most is not None and len(output) > most
    if shortened:
        await command.keep_all()
        output = f"{output[:most]}\n{MARK}"
    running = status == "running"
    record: dict[str, JsonValue] = {
        "output": output,
        "status": "completed" if status == "cancelled" else status,
        "done": not running,
        "running": running,
        "wall_time_seconds": round(command.wall_time_s, 3),
    }
    if shortened or taken.lost:
        record["original_token_count"] = math.ceil(taken.characters / CHARACTERS_OF_TOKEN)
    if command.output_path is not None:
        record["full_output_path"] = str(command.output_path)
    if running:
        record["session_id"] = command.number
        return ToolResult.success(record)
    if status == "cancelled":
        return ToolResult.cancelled(CANCELLED, record)
    if status == "timed_out":
        record |= {"timed_out": True, "error": f"Command timed out after {timeout_ms} ms"}
    else:
        record["exit_code"] = command.exit_code
        if command.exit_code != 0:
            record["error"] = f"Command exited with code {command.exit_code}"
    if "error" not in record or command.allow_nonzero_exit:
        return ToolResult.success(record)
    message = await _message(command, f"{record['error']}", output)
    if command.output_path is not None:
        record["full_output_path"] = str(command.output_path)
    if status == "timed_out":
        return ToolResult.failure("timeout", "command_timeout", message, raw=record)
    return ToolResult.failure("execution", "tool_error", message, raw=record)


async def _message(command: RunningCommand, error: str, output: str) -> str:
    """How a command failed, and what it has printed.

    Of a long output it is the end, with the file that holds all: a budget for what the model is told keeps the end of
    a failure, and would cut how the command failed.
    """
    found = cut(output, MESSAGE_BYTES, MESSAGE_LINES, tail=True)
    if found is None:
        return f"{error}\n{output}".rstrip("\n")
    await command.keep_all()
    where = "" if command.output_path is None else f" the whole output is in {command.output_path}"
    return f"{error}\n{MARK}{where}\n{found.preview}".rstrip("\n")
