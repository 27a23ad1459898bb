"""Making a turn's commit: its hash, and a history that every provider accepts (runtime.md 1.6, 4.1)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, cast

from lash.runtime.sansio.messages import Message, Part, SessionEvent, SessionEventRecord
from lash.runtime.sansio.usage import TokenLedgerEntry
from lash.runtime.sansio.values import JsonValue, canonical, to_json
from lash.runtime.seams.persistence import InputClaim, PersistedSessionConfig

CANCELLED_RESULT = "tool call cancelled"

AT_A_STRETCH = 64 * 1024
"""Bytes that are hashed before others get a turn of the event loop."""


async def commit_hash(
    *,
    config: PersistedSessionConfig,
    events: Sequence[SessionEventRecord],
    turn_state: dict[str, JsonValue],
    usage: Sequence[TokenLedgerEntry],
    completed_inputs: Sequence[InputClaim] = (),
    successor_session_id: str | None = None,
) -> str:
    """What tells one turn's contents from another's: the same for a re-driven turn, other as soon as a text differs.

    Ids of nodes, messages and parts, times, durations and the bytes of snapshots are left out.
    """
    # The names in their order, so that this is the hash of the whole as canonical JSON, without a text of the whole.
    before: dict[str, JsonValue] = {"config": to_json(config)}
    after: dict[str, JsonValue] = {
        "inputs": [claim.input.draft.input_id for claim in completed_inputs],
        "successor": successor_session_id,
        "turn_state": turn_state,
        "usage": [to_json(entry) for entry in usage],
    }
    digest, stretch = hashlib.sha256(canonical(before)[:-1] + b',"events":['), 0
    for number, event in enumerate(events):
        piece = (b"," if number else b"") + canonical(_content(event))
        digest.update(piece)
        stretch += len(piece)
        if stretch >= AT_A_STRETCH:
            stretch = 0
            await asyncio.sleep(0)
    digest.update(b"]," + canonical(after)[1:])
    return digest.hexdigest()


def _content(event: SessionEventRecord) -> JsonValue:
    """What an event says, without the fields that a re-driven turn makes anew."""
    made = cast("dict[str, Any]", to_json(event))
    match event:
        case SessionEvent.Conversation():
            for named in (made["message"], *made["message"]["parts"]):
                named["id"] = ""
        case SessionEvent.Tool():
            made["record"]["duration_ms"] = 0
        case SessionEvent.Mode():
            made["payload"].pop("duration_ms", None)
        case SessionEvent.Plugin():
            pass
    return made


def resume_safe(events: Sequence[SessionEventRecord], message_id: str) -> list[SessionEventRecord]:
    """The events of a turn with a result for every native tool call that has none.

    Calls that a cancellation left open get the result that they were cancelled, in one message of the given id behind
    the message that made them (or behind the results that are there already).
    """
    answered = {
        part.tool_call_id
        for event in events
        if isinstance(event, SessionEvent.Conversation)
        for part in event.message.parts
        if part.kind == "tool_result"
    }
    safe: list[SessionEventRecord] = []
    missing: list[str] = []
    for event in events:
        if missing and isinstance(event, SessionEvent.Conversation) and not _is_results(event.message):
            safe.append(_cancelled(missing, message_id))
            missing = []
        safe.append(event)
        if isinstance(event, SessionEvent.Conversation) and event.message.role == "assistant":
            missing += [
                part.tool_call_id
                for part in event.message.parts
                if part.kind == "tool_call" and part.tool_call_id is not None and part.tool_call_id not in answered
            ]
    if missing:
        safe.append(_cancelled(missing, message_id))
    return safe


def _is_results(message: Message) -> bool:
    return any(part.kind == "tool_result" for part in message.parts)


def _cancelled(calls: Sequence[str], message_id: str) -> SessionEvent.Conversation:
    parts = tuple(
        Part(f"{message_id}.p{i}", "tool_result", CANCELLED_RESULT, tool_call_id=call, is_error=True)
        for i, call in enumerate(calls)
    )
    return SessionEvent.Conversation(Message(message_id, "user", parts))
