"""Trace records: what the runtime says of itself, one versioned stream for all later analysis (observability.md 2, 3).

A record is a context (where in which session), a time, and an event. The events are the members of `TraceEvent`
(`trace_events.py`); each has a wire name under `type`. Two rules hold for all these types, and sinks and readers go by
them:

* Every field but the ones that name something (a call, a tool, an approval) has a default, so that a reader does
  without what a writer left out. A value that is None, and an empty one where the default is empty too, is not written.
* No field has room for credentials, request headers or bytes of attachments. Signatures and encrypted reasoning are
  told as booleans.

A field's `metadata` names the limit of `TraceLimits` that it is under, besides those that hold for every value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any, Final, Protocol

from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.trace_events import AnyTraceEvent, TraceEvent

__all__ = [
    "CUT_MARK",
    "TRACE_SCHEMA_VERSION",
    "AnyTraceEvent",
    "TraceContext",
    "TraceEvent",
    "TraceLevel",
    "TraceLimits",
    "TraceRecord",
    "TraceSink",
    "TraceStats",
    "UnknownTraceRecord",
]

TRACE_SCHEMA_VERSION: Final = 1
"""Rises when a field is renamed, removed or changes its meaning; new types and optional fields do not raise it."""

CUT_MARK: Final = re.compile(r"…\[cut \d+ chars, sha256 [0-9a-f]{64}\]…")
"""What stands where the middle of a text was taken out; the hash is that of the whole text."""


class TraceLevel(Enum):
    """How much is written: `STANDARD` leaves stream events and the components of prompts out."""

    STANDARD = "standard"
    EXTENDED = "extended"


@dataclass(frozen=True, slots=True)
class TraceLimits:
    """How large a record and its parts may be (observability.md 5). Sizes in bytes are those of the JSON text.

    `string_bytes` is the limit of any text, `payload_bytes` that of arguments and results, `list_items` that of any
    list, `depth` that of nesting. `raw_error_chars` and `stream_json_bytes` hold for texts of providers. Above
    `record_bytes` the longest texts of a record are cut, and `values` bounds the work that one record may make.
    """

    string_bytes: int = 256 * 1024
    payload_bytes: int = 1024 * 1024
    list_items: int = 5_000
    depth: int = 64
    raw_error_chars: int = 4_000
    stream_json_bytes: int = 64 * 1024
    record_bytes: int = 4 * 1024 * 1024
    values: int = 200_000

    def __post_init__(self) -> None:
        for item in fields(self):
            least = 1 if item.name in ("list_items", "depth", "values") else 512
            if getattr(self, item.name) < least:
                raise ValueError(f"TraceLimits.{item.name} is {getattr(self, item.name)}; it is {least} or more")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where a record belongs. All of it is optional.

    `originating_tool_call_id` is the tool call inside which a model was called or a session made. The fields from
    `run_id` to `split` are for harnesses that run many sessions.
    """

    session_id: str | None = None
    parent_session_id: str | None = None
    turn_id: str | None = None
    turn_index: int | None = None
    mode_iteration: int | None = None
    effect_id: str | None = None
    llm_call_id: str | None = None
    graph_node_id: str | None = None
    parent_graph_node_id: str | None = None
    originating_tool_call_id: str | None = None
    run_id: str | None = None
    experiment_id: str | None = None
    candidate_id: str | None = None
    candidate_parent_id: str | None = None
    example_id: str | None = None
    split: str | None = None
    metadata: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    def child(self, **changes: Any) -> TraceContext:
        """This context with fields replaced; TypeError for a name that is no field."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One record. On the wire the event's fields stand beside the others, and `truncated` comes last.

    `id` is a random UUID, `timestamp` UTC as RFC 3339 with milliseconds and `Z`. `truncated` names what a limit cut,
    as paths into the event.
    """

    id: str
    timestamp: str
    event: AnyTraceEvent
    context: TraceContext = TraceContext()
    truncated: tuple[str, ...] = ()
    schema_version: int = TRACE_SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class UnknownTraceRecord:
    """A record of a type that this build does not know, as it was read."""

    raw: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class TraceStats:
    """How many records the sink took, how many times it (or making a record) failed, and the last error in short."""

    written: int = 0
    failed: int = 0
    last_error: str | None = None


class TraceSink(Protocol):
    """Where records go. A class that derives from this one has to give `append` alone."""

    def append(self, record: TraceRecord) -> None:
        """Take a record: at once, from any thread; TraceSinkError where that cannot be done."""
        ...

    def flush(self, timeout: float = 5.0) -> None:
        """Return when what was appended is where it belongs, or after `timeout` seconds."""

    def close(self) -> None:
        """Give back what it holds; nothing is appended after."""
