"""What a session remembers: messages with their parts, tool calls, and events of its mode (runtime.md 3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, overload

from pydantic import Field

from lash.runtime.sansio.llm import ReasoningReplay, ResponseMeta, Role, ToolCallReplay
from lash.runtime.sansio.tools import ToolCallRecord
from lash.runtime.sansio.values import JsonValue

PartKind = Literal["text", "image", "code", "output", "error", "prose", "tool_call", "tool_result", "reasoning"]


class PruneState:
    """What has become of a part's content."""

    @dataclass(frozen=True, slots=True)
    class Intact:
        """It is there."""

        type: Literal["intact"] = "intact"

    @dataclass(frozen=True, slots=True)
    class Cleared:
        """It is no longer shown to the model."""

        type: Literal["cleared"] = "cleared"

    @dataclass(frozen=True, slots=True)
    class Deleted:
        """It was taken out; `breadcrumb` says what stood there, `archive_hash` where it is kept."""

        breadcrumb: str
        archive_hash: str | None = None
        type: Literal["deleted"] = "deleted"

    @dataclass(frozen=True, slots=True)
    class Summarized:
        """A summary stands in its place."""

        summary: str
        archive_hash: str | None = None
        type: Literal["summarized"] = "summarized"


AnyPruneState: TypeAlias = Annotated[
    PruneState.Intact | PruneState.Cleared | PruneState.Deleted | PruneState.Summarized, Field(discriminator="type")
]


@dataclass(frozen=True, slots=True)
class AttachmentRef:
    """An image in the attachment store: the id is the SHA-256 of its bytes."""

    id: str
    media_type: str
    byte_len: int
    width: int | None = None
    height: int | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message.

    For tool calls `tool_name` and `tool_call_id` are set and `text` is the arguments' JSON; for tool results
    `tool_call_id` is set and `is_error` says whether the call failed.
    """

    id: str
    kind: PartKind
    text: str = ""
    attachment: AttachmentRef | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    is_error: bool = False
    response_meta: ResponseMeta | None = None
    tool_replay: ToolCallReplay | None = None
    reasoning_replay: ReasoningReplay | None = None
    prune: AnyPruneState = PruneState.Intact()


@dataclass(frozen=True, slots=True)
class PluginOrigin:
    """A message that a plugin (or mode) wrote; a transient one reaches the model and is never stored."""

    plugin_id: str
    transient: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation; `origin` is None for what the user, the model or the runtime wrote."""

    id: str
    role: Role
    parts: tuple[Part, ...]
    origin: PluginOrigin | None = None

    @property
    def transient(self) -> bool:
        """Whether it reaches the model without being stored."""
        return self.origin is not None and self.origin.transient

    def text(self) -> str:
        """Its text and prose, parts trimmed and joined by a blank line."""
        return "\n\n".join(filter(None, (part.text.strip() for part in self.parts if part.kind in ("text", "prose"))))


class MessageSequence(Sequence[Message]):
    """An immutable sequence of messages that shares its beginning with those it was extended from."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[Message] = ()) -> None:
        self._items: tuple[Message, ...] = tuple(items)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> MessageSequence: ...
    def __getitem__(self, index: int | slice) -> Message | MessageSequence:
        if isinstance(index, slice):
            return MessageSequence(self._items[index])
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MessageSequence) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"MessageSequence({list(self._items)!r})"

    def extended(self, more: Iterable[Message]) -> MessageSequence:
        """This sequence with more at its end."""
        return MessageSequence((*self._items, *more))


class SessionEvent:
    """What a turn adds to its session, in order, besides nothing else: the payloads of graph nodes."""

    @dataclass(frozen=True, slots=True)
    class Conversation:
        """A message."""

        message: Message
        type: Literal["conversation"] = "conversation"

    @dataclass(frozen=True, slots=True)
    class Tool:
        """A tool call and its result; `stable_key` is the same for every recording of the same call."""

        stable_key: str
        record: ToolCallRecord
        type: Literal["tool"] = "tool"

    @dataclass(frozen=True, slots=True)
    class Mode:
        """An event of a mode, opaque to the runtime."""

        mode_id: str
        payload: dict[str, JsonValue]
        type: Literal["mode"] = "mode"

    @dataclass(frozen=True, slots=True)
    class Plugin:
        """A plugin's own record."""

        plugin_type: str
        body: JsonValue
        type: Literal["plugin"] = "plugin"


SessionEventRecord: TypeAlias = Annotated[
    SessionEvent.Conversation | SessionEvent.Tool | SessionEvent.Mode | SessionEvent.Plugin,
    Field(discriminator="type"),
]
