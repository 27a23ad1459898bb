"""The model's tool calls as the runtime dispatches them: ids that name one call each, arguments as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pydantic import ValidationError

from lash.runtime.sansio.llm import Block
from lash.runtime.sansio.messages import SessionEvent, SessionEventRecord
from lash.runtime.sansio.tools import PendingToolCall
from lash.runtime.sansio.values import JsonValue, adapter, canonical

BATCH = "batch"
"""The tool whose one call stands for many."""

MOST_ENTRIES = 25
"""Entries of one batch that are run."""

LONGEST_BASE = 48
"""Characters of an id that are kept before a number; vendors take no more than 64 in all."""


def with_own_ids(calls: Iterable[Block.ToolCall], events: Sequence[SessionEventRecord]) -> list[Block.ToolCall]:
    """The calls under ids that no other call of the session has.

    Some models count their calls anew in every reply. An id that was there before gets a number, `<id>#2`: results,
    rows of activities and idempotency keys are found by it. The same goes for ids that entries of a batch have.
    """
    taken = {
        one
        for event in events
        if isinstance(event, SessionEvent.Conversation)
        for part in event.message.parts
        if part.kind == "tool_call" and part.tool_call_id is not None
        for one in _ids(part.tool_call_id, part.tool_name)
    }
    named: list[Block.ToolCall] = []
    numbers: dict[str, int] = {}
    for call in calls:
        wished = call.call_id or "call"
        number = numbers.get(wished, 1)
        while not taken.isdisjoint(_ids(own := _numbered(wished, number), call.tool_name)):
            number += 1
        numbers[wished] = number
        taken.update(_ids(own, call.tool_name))
        named.append(call if own == call.call_id else replace(call, call_id=own))
    return named


def _numbered(wished: str, number: int) -> str:
    return wished if number == 1 else f"{wished[:LONGEST_BASE]}#{number}"


def entry_id(batch_id: str, index: int) -> str:
    """The id of an entry of a batch."""
    return f"{batch_id}:{index}"


def _ids(call_id: str, tool: str | None) -> Iterator[str]:
    """The ids that a call takes: its own, and those of the entries that it may have."""
    yield call_id
    if tool == BATCH:
        for index in range(MOST_ENTRIES):
            yield entry_id(call_id, index)


def pending(call: Block.ToolCall) -> PendingToolCall:
    """The call to be dispatched."""
    return PendingToolCall(call.call_id, call.tool_name, arguments(call.input_json), call.replay)


def arguments(input_json: str) -> JsonValue:
    """The arguments that a text says; the text itself where it is no JSON that can be kept. No text is no arguments."""
    if not input_json.strip():
        return {}
    try:
        value: JsonValue = _DECODER.decode(input_json)
        # Numbers beyond all bounds, halves of surrogate pairs and very deep nesting are read and cannot be written.
        canonical(value)
        adapter(JsonValue).validate_python(value)
    except (ValueError, RecursionError, ValidationError):
        return input_json
    return value


def _no_constant(name: str) -> object:
    """Refuse NaN and the infinities, which Python reads."""
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
"""Made once: `json.loads` makes a decoder for each call."""
