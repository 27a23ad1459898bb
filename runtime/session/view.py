"""The read side of a session (runtime.md 3.2): an immutable view, and its chronological projection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from lash.runtime.sansio.messages import Message, MessageSequence, SessionEvent, SessionEventRecord
from lash.runtime.sansio.tools import ToolCallRecord
from lash.runtime.sansio.usage import NO_USAGE, TokenLedgerEntry, TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.persistence import PersistedSessionConfig, SessionNode

ChronologicalItem: TypeAlias = Message | ToolCallRecord | SessionEvent.Mode


@dataclass(frozen=True, slots=True)
class ChronologicalProjection:
    """Messages, tool calls and mode events in the order of the active path, each once, transient messages left out."""

    entries: tuple[tuple[int, ChronologicalItem], ...]

    def __iter__(self) -> Iterator[tuple[int, ChronologicalItem]]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @staticmethod
    def of(events: Sequence[SessionEventRecord]) -> ChronologicalProjection:
        """The projection of what an active path says; plugin records are no part of it."""
        items: list[ChronologicalItem] = []
        seen: set[tuple[str, str]] = set()
        for event in events:
            match event:
                case SessionEvent.Conversation(message=message):
                    key, item = ("message", message.id), message
                    if message.transient:
                        continue
                case SessionEvent.Tool(stable_key=stable_key, record=record):
                    key, item = ("tool", stable_key), record
                case SessionEvent.Mode():
                    items.append(event)
                    continue
                case SessionEvent.Plugin():
                    continue
            if key not in seen:
                seen.add(key)
                items.append(item)
        return ChronologicalProjection(tuple(enumerate(items)))


@dataclass(frozen=True)
class SessionReadView:
    """A session as it was committed last. Cheap to share; what is derived is made on first use."""

    session_id: str
    config: PersistedSessionConfig
    revision: int | None
    turn_index: int
    path: tuple[SessionNode, ...]
    usage: tuple[TokenLedgerEntry, ...] = ()
    last_prompt_usage: TokenUsage = NO_USAGE
    successor_session_id: str | None = None
    turn_state: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    @cached_property
    def active_events(self) -> tuple[SessionEventRecord, ...]:
        """What the nodes of the active path say."""
        return tuple(node.payload for node in self.path)

    @cached_property
    def messages(self) -> MessageSequence:
        """The conversation, each message once."""
        return conversation(self.active_events)

    @cached_property
    def tool_calls(self) -> tuple[ToolCallRecord, ...]:
        """The tool calls, each once."""
        projection = self.chronological_projection
        return tuple(item for _, item in projection if isinstance(item, ToolCallRecord))

    @cached_property
    def chronological_projection(self) -> ChronologicalProjection:
        """Everything in order."""
        return ChronologicalProjection.of(self.active_events)

    @cached_property
    def token_usage(self) -> TokenUsage:
        """All tokens that were booked on the session."""
        return sum((entry.usage for entry in self.usage), NO_USAGE)

    def plugin_nodes(self, plugin_type: str) -> list[JsonValue]:
        """What a plugin has recorded, in order."""
        return [
            event.body
            for event in self.active_events
            if isinstance(event, SessionEvent.Plugin) and event.plugin_type == plugin_type
        ]


def conversation(events: Sequence[SessionEventRecord]) -> MessageSequence:
    """The messages among events, each once and in order."""
    by_id: dict[str, Message] = {}
    for event in events:
        if isinstance(event, SessionEvent.Conversation):
            by_id.setdefault(event.message.id, event.message)
    return MessageSequence(by_id.values())
