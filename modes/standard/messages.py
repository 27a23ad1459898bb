"""What standard mode writes into the history: the model's replies and the results of its calls (providers.md 14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lash.runtime.sansio.llm import Block, LlmResponse, ResponsePart
from lash.runtime.sansio.messages import AttachmentRef, Message, Part, SessionEvent
from lash.runtime.sansio.tools import CompletedToolCall, ToolCallRecord, ToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.result import untagged

NO_OUTPUT = "(no output)"
"""What the model is told of a call that worked and gave nothing."""

LONGEST_SCALAR = 65_536
"""Bytes of a text in a tool record; a longer one is replaced by its size."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """What the model is told of one call of its own."""

    call_id: str
    tool_name: str
    text: str
    is_error: bool = False
    images: tuple[AttachmentRef, ...] = ()


# --- replies -----------------------------------------------------------------------------------------


def parts_of(response: LlmResponse) -> tuple[ResponsePart, ...]:
    """What of a response is kept, in its order: nothing blank but reasoning that the provider wants back."""
    parts = response.parts or (Block.Text(response.full_text),)
    return tuple(part for part in parts if _says_something(part))


def _says_something(part: ResponsePart) -> bool:
    match part:
        case Block.Text(text=text):
            return bool(text.strip())
        case Block.Reasoning(text=text, replay=replay):
            return bool(text.strip()) or replay is not None
        case Block.ToolCall():
            return True


def visible_text(parts: Sequence[ResponsePart]) -> str:
    """The text of a reply, a blank line at least between its parts."""
    whole = ""
    for part in parts:
        if isinstance(part, Block.Text):
            missing = 2 - (len(whole) - len(whole.rstrip("\n"))) - (len(part.text) - len(part.text.lstrip("\n")))
            whole += "\n" * max(0, missing) + part.text if whole else part.text
    return whole


def reply_message(message_id: str, parts: Sequence[ResponsePart]) -> Message:
    """The reply as one message, its parts in the order in which they came, which providers insist on."""
    return Message(message_id, "assistant", tuple(_part(f"{message_id}.p{i}", part) for i, part in enumerate(parts)))


def _part(part_id: str, part: ResponsePart) -> Part:
    match part:
        case Block.Text(text=text, response_meta=meta):
            return Part(part_id, "prose", text, response_meta=meta)
        case Block.Reasoning(text=text, replay=replay):
            return Part(part_id, "reasoning", text, reasoning_replay=replay)
        case Block.ToolCall(call_id=call_id, tool_name=name, input_json=arguments, replay=replay):
            return Part(part_id, "tool_call", arguments, tool_call_id=call_id, tool_name=name, tool_replay=replay)


# --- results -----------------------------------------------------------------------------------------


def call_result(call: CompletedToolCall) -> CallResult:
    """What the model is told of a call that was dispatched for itself."""
    return CallResult(call.call_id, call.tool_name, _told(call), not call.succeeded, images_of(call))


def _told(call: CompletedToolCall) -> str:
    gave_nothing = isinstance(call.output, ToolOutput.Success) and call.output.value in (None, "")
    return (
        NO_OUTPUT
        if not call.model_return.strip() or (gave_nothing and call.model_return == "null")
        else call.model_return
    )


def images_of(call: CompletedToolCall) -> tuple[AttachmentRef, ...]:
    """The images that the model is shown of a call; those of which nothing but the id is known are in its text."""
    if not isinstance(call.output, ToolOutput.Success) or not call.model_attachments:
        return ()
    known: dict[str, AttachmentRef] = {}

    def note(reference: AttachmentRef) -> None:
        known[reference.id] = reference

    untagged(call.output.value, note)
    return tuple(known[one] for one in call.model_attachments if one in known)


def results_message(message_id: str, results: Sequence[CallResult]) -> Message:
    """All results in one message, in the order of the calls, each one's text before its images."""
    parts: list[Part] = []
    for result in results:
        number = f"{message_id}.p{len(parts)}"
        parts.append(
            Part(
                number,
                "tool_result",
                result.text,
                tool_call_id=result.call_id,
                tool_name=result.tool_name,
                is_error=result.is_error,
            )
        )
        for image in result.images:
            number = f"{message_id}.p{len(parts)}"
            parts.append(Part(number, "image", image.label or "", attachment=image, tool_call_id=result.call_id))
    return Message(message_id, "user", tuple(parts))


def tool_record(call: CompletedToolCall) -> SessionEvent.Tool:
    """The call as the session's list of tool calls has it; the model is not shown it."""
    output = call.output
    if isinstance(output, ToolOutput.Success):
        output = ToolOutput.Success(_bounded(output.value))
    record = ToolCallRecord(call.call_id, call.tool_name, _bounded(call.args), output, call.duration_ms)
    return SessionEvent.Tool(call.call_id, record)


def _bounded(value: JsonValue) -> JsonValue:
    """The value with every text that is too long for a record replaced by its size."""
    if isinstance(value, str):
        size = len(value.encode())
        return value if size <= LONGEST_SCALAR else f"[text of {size:,} bytes]"
    if isinstance(value, list):
        return [_bounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _bounded(item) for key, item in value.items()}
    return value
