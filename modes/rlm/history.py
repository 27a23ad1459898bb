"""What has happened in a session, as its programs and its prompts count it (rlm.md 7.1).

The `history` binding and every `history[N]` in a prompt mean the same item, because both are made here: messages,
executed blocks and tool calls that belong to no block, in the order of the active path and without gaps. Diagnostics,
seeds, transient messages and calls inside blocks have no index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import is_
from typing import TypeAlias

from lash.modes.rlm.driver import MOST_TOOL_RECORDS
from lash.modes.rlm.types import RlmEvent, RlmTrajectoryEntry, read_event
from lash.runtime.sansio.messages import Message, Part, PruneState, SessionEvent, SessionEventRecord
from lash.runtime.sansio.tools import ToolCallRecord, ToolOutput
from lash.runtime.sansio.values import JsonValue
from lashlang import JsonSource, Value
from lashlang.projection import Step, Unsupported

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
        return HistoryReader().read(events)


class HistoryReader:
    """Reads the history of one session again and again, each event once.

    An active path mostly grows at its end. Events never change, so those that are the same objects as before, in the
    same places, tell what they told before, and only those behind them are read. A path that was rewritten, or that
    belongs to another branch, is gone through from its beginning; also then no event is validated twice.
    `read_record` is what reads an event of this mode.
    """

    def __init__(self, read_record: Callable[[object], RlmEvent | None] = read_event) -> None:
        self._read_record = read_record
        self._known: dict[int, tuple[SessionEventRecord, RlmTrajectoryEntry | None]] = {}
        self._begin()

    def read(self, events: Sequence[SessionEventRecord]) -> History:
        """The history that the active path tells; pydantic.ValidationError for a broken event of this mode."""
        path = tuple(events)
        kept = len(self._path)
        if len(path) < kept or not all(map(is_, self._path, path)):
            self._begin()
            kept = 0
        if kept == len(path):
            return self._history
        added = path[kept:]
        steps = [self._entry(event) for event in added]
        if kept and self._changes_items(added, steps):
            self._begin()
            added, steps = path, [self._entry(event) for event in path]
        self._take(added, steps)
        if len(self._known) > 2 * len(path):
            self._known = {id(event): self._known[id(event)] for event in path}
        self._path = path
        self._history = History(self._items)
        return self._history

    def _begin(self) -> None:
        """Have gone through nothing; what was validated stays known."""
        self._path: tuple[SessionEventRecord, ...] = ()
        self._items: list[HistoryItem] = []
        self._records: dict[str, ToolCallRecord] = {}
        self._owned: set[str] = set()
        self._shown: set[str] = set()
        self._seen: set[tuple[str, str]] = set()
        self._history = History(())

    def _entry(self, event: SessionEventRecord) -> RlmTrajectoryEntry | None:
        """The step that an event tells of."""
        # The event is kept with what it says: its id belongs to it for as long.
        known = self._known.get(id(event))
        if known is None:
            read = self._read_record(event)
            known = self._known[id(event)] = (event, read if isinstance(read, RlmTrajectoryEntry) else None)
        return known[1]

    def _changes_items(self, added: Sequence[SessionEventRecord], steps: Sequence[RlmTrajectoryEntry | None]) -> bool:
        """Whether new events say something of items before them: a call's record that comes behind its step."""
        owned = {call_id for entry in steps if entry is not None for call_id in _owned_by(entry)}
        if not owned.isdisjoint(self._shown):
            return True
        calls = {event.record.call_id for event in added if isinstance(event, SessionEvent.Tool)}
        return not (calls - self._records.keys()).isdisjoint(self._owned)

    def _take(self, added: Sequence[SessionEventRecord], steps: Sequence[RlmTrajectoryEntry | None]) -> None:
        """Add the items of these events. A record that came twice counts once."""
        for entry in steps:
            if entry is not None:
                self._owned.update(_owned_by(entry))
        for event in added:
            if isinstance(event, SessionEvent.Tool):
                self._records.setdefault(event.record.call_id, event.record)
        for event, entry in zip(added, steps, strict=True):
            match event:
                case SessionEvent.Conversation(message=message):
                    if not message.transient and self._is_new("message", message.id):
                        self._items.append(MessageItem(message))
                case SessionEvent.Tool(stable_key=stable_key, record=record):
                    known = record.call_id in self._owned or record.call_id in self._shown
                    if self._is_new("tool", stable_key) and not known:
                        self._shown.add(record.call_id)
                        self._items.append(ToolCallItem(record))
                case SessionEvent.Mode():
                    if entry is not None:
                        calls = (self._records.get(one) for one in entry.tool_call_ids)
                        self._items.append(StepItem(entry, tuple(call for call in calls if call is not None)))
                case SessionEvent.Plugin():
                    pass

    def _is_new(self, kind: str, key: str) -> bool:
        if (kind, key) in self._seen:
            return False
        self._seen.add((kind, key))
        return True


class HistorySource(JsonSource):
    """The `history` binding: a list whose items are made when a program reads them."""

    def __init__(self, history: History) -> None:
        super().__init__([])
        self._items = history.items

    def below(self, path: Sequence[Step]) -> JsonSource:
        """See `Answers.below`."""
        if not path:
            return self
        at = path[0]
        if not isinstance(at, int) or not -len(self._items) <= at < len(self._items):
            raise Unsupported
        return JsonSource(self._items[at].to_json()).below(path[1:])

    def whole(self) -> Value:
        """All items."""
        return [item.to_json() for item in self._items]

    def index(self, index: Value) -> Value:
        """`history[index]`."""
        if not isinstance(index, int) or isinstance(index, bool):
            raise Unsupported
        return self._items[index].to_json() if -len(self._items) <= index < len(self._items) else None

    def len(self) -> int:
        """`len(history)`."""
        return len(self._items)

    def truthy(self) -> bool:
        """Whether there are items."""
        return bool(self._items)


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
