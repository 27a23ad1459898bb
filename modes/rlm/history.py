"""What has happened in a session, as its programs and its prompts count it (rlm.md 7.1).

The `history` binding and every `history[N]` in a prompt mean the same item, because both are made here: messages,
executed blocks and tool calls that belong to no block, in the order of the active path and without gaps. Diagnostics,
seeds, transient messages and calls inside blocks have no index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lash.modes.rlm.driver import MOST_TOOL_RECORDS
from lash.modes.rlm.types import RlmTrajectoryEntry, read_event
from lash.runtime.sansio.messages import Message, Part, PruneState, SessionEvent, SessionEventRecord
from lash.runtime.sansio.tools import ToolCallRecord, ToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.session.view import ChronologicalProjection

HISTORY = "history"
"""The name under which programs see it."""


@dataclass(frozen=True, slots=True)
class MessageItem:
    """A message."""

    message: Message

    def to_json(self) -> dict[str, JsonValue]:
        """The item as a program reads it."""
        message = self.message
        attachments: list[JsonValue] = []
        for part in message.parts:
            if (ref := part.attachment) is not None:
                label: dict[str, JsonValue] = {} if ref.label is None else {"label": ref.label}
                attachments.append({"id": ref.id, "media_type": ref.media_type, **label, "reference": ref.id})
        return {
            "kind": "message",
            "id": message.id,
            "role": message.role,
            "content": content_of(message),
            "attachments": attachments,
        }


@dataclass(frozen=True, slots=True)
class StepItem:
    """An executed block, with the records of its tool calls as far as there are any."""

    entry: RlmTrajectoryEntry
    calls: tuple[ToolCallRecord, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """The item as a program reads it; `error` and `final_output` are there only where the step has them."""
        entry = self.entry
        images: list[JsonValue] = []
        for image in entry.images:
            known = {"width": image.width, "height": image.height, "label": image.label}
            there: dict[str, JsonValue] = {key: value for key, value in known.items() if value is not None}
            images.append({"id": image.id, "media_type": image.media_type, "bytes": image.byte_len, **there})
        item: dict[str, JsonValue] = {
            "kind": "rlm_step",
            "id": entry.id,
            "turn_index": entry.turn_index,
            "mode_iteration": entry.mode_iteration,
            "prose": entry.prose,
            "reasoning": entry.reasoning,
            "code": entry.code,
            "output": list(entry.output),
            "tool_calls": [
                {"id": call.call_id, "tool": call.tool, "status": status_of(call)}
                for call in self.calls[:MOST_TOOL_RECORDS]
            ],
            "images": images,
        }
        if entry.error is not None:
            item["error"] = entry.error
        if entry.final_output is not None:
            item["final_output"] = entry.final_output.get("value")
        item["duration_ms"] = entry.duration_ms
        return item


@dataclass(frozen=True, slots=True)
class ToolCallItem:
    """A tool call that no block made: that of a turn in another mode."""

    record: ToolCallRecord

    def to_json(self) -> dict[str, JsonValue]:
        """The item as a program reads it; the result of a call that failed is the text of its failure."""
        record = self.record
        return {
            "kind": "tool_call",
            "id": record.call_id,
            "tool": record.tool,
            "args": record.args,
            "result": result_of(record),
            "status": status_of(record),
            "duration_ms": record.duration_ms,
        }


HistoryItem: TypeAlias = MessageItem | StepItem | ToolCallItem


class History:
    """The items of a session; `items[n]` is what a program reads as `history[n]`."""

    __slots__ = ("items",)

    def __init__(self, items: Sequence[HistoryItem]) -> None:
        self.items = tuple(items)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[HistoryItem]:
        return iter(self.items)

    def to_json(self) -> list[JsonValue]:
        """The whole binding; a caller that needs few items converts those alone."""
        return [item.to_json() for item in self.items]

    @staticmethod
    def of(events: Sequence[SessionEventRecord]) -> History:
        """The history that the active path tells; pydantic.ValidationError for a broken event of this mode."""
        steps = {id(event): entry for event in events if isinstance(entry := read_event(event), RlmTrajectoryEntry)}
        # Calls that have no index of their own, or have it already.
        counted = {call_id for entry in steps.values() for call_id in _owned_by(entry)}
        records: dict[str, ToolCallRecord] = {}
        for event in events:
            if isinstance(event, SessionEvent.Tool):
                records.setdefault(event.record.call_id, event.record)
        items: list[HistoryItem] = []
        for _, found in ChronologicalProjection.of(events):
            match found:
                case Message():
                    items.append(MessageItem(found))
                case ToolCallRecord(call_id=call_id):
                    if call_id not in counted:
                        counted.add(call_id)
                        items.append(ToolCallItem(found))
                case SessionEvent.Mode():
                    entry = steps.get(id(found))
                    if entry is not None:
                        calls = tuple(records[one] for one in entry.tool_call_ids if one in records)
                        items.append(StepItem(entry, calls))
        return History(items)


def _owned_by(entry: RlmTrajectoryEntry) -> Iterator[str]:
    yield from entry.tool_call_ids
    # The driver's record of the calls beyond the most that are kept in full.
    yield f"overflow:{entry.turn_id}:{entry.mode_iteration}"


# --- parts of items --------------------------------------------------------------------------------


def content_of(message: Message) -> str:
    """A message's text and prose, parts trimmed and joined by a blank line; of pruned parts what stands for them."""
    texts = (part_text(part).strip() for part in message.parts if part.kind in ("text", "prose"))
    return "\n\n".join(filter(None, texts))


def part_text(part: Part) -> str:
    """A part's text, or what is left of it."""
    match part.prune:
        case PruneState.Intact():
            return part.text
        case PruneState.Cleared():
            return f"[{part.kind} cleared]"
        case PruneState.Deleted(breadcrumb=breadcrumb):
            return f"[{part.kind} deleted: {breadcrumb}]"
        case PruneState.Summarized(summary=summary):
            return f"[summary: {summary}]"


def status_of(record: ToolCallRecord) -> str:
    """How a call ended: `ok`, `error` or `cancelled`."""
    match record.output:
        case ToolOutput.Success():
            return "ok"
        case ToolOutput.Failure():
            return "error"
        case ToolOutput.Cancelled():
            return "cancelled"


def result_of(record: ToolCallRecord) -> JsonValue:
    """What a call gave: its value, or the text that says why there is none."""
    match record.output:
        case ToolOutput.Success(value=value):
            return value
        case ToolOutput.Failure(failure=failure):
            return failure.message
        case ToolOutput.Cancelled(message=message):
            return message
