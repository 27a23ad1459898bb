"""Holding a replayed turn against the recorded one: all that a host could see has to be equal, times aside.

Two things differ by design (runtime.md 2.4): a replayed reply shows its text once, not in pieces and without the
attempts that failed, and a replayed tool call shows its completion alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from lash.runtime.sansio.activity import TurnActivity, TurnEvent
from lash.runtime.sansio.values import JsonValue, to_json
from lash.testing.scenarios_expect import error_text
from lash.testing.scenarios_seen import Seen

TIMES = frozenset({"duration_ms", "timestamp_ms"})


def replay_differences(seen: Seen, again: Seen) -> list[str]:
    """What is not the same, the first difference of each kind."""
    if again.raised is not None:
        return [f"it raised {error_text(again.raised)}"]
    found = [f"the tool {name!r} was called with {args}" for name, args in again.tool_calls]
    one, other = _told(seen), _told(again)
    for key, wanted in one.items():
        if wanted != other[key]:
            found.append(f"{key}: {_first_difference(wanted, other[key])}")
    return found


def _told(seen: Seen) -> dict[str, JsonValue]:
    result = seen.result
    assert result is not None
    return {
        "result": _timeless(
            {
                "outcome": to_json(result.outcome),
                "session_id": result.session_id,
                "text": to_json(result.assistant_output),
                "turn_index": result.turn_index,
                "revision": result.revision,
                "usage": to_json(result.usage),
                "children_usage": [to_json(entry) for entry in result.children_usage],
                "tool_calls": [to_json(call) for call in result.tool_calls],
                "errors": [to_json(issue) for issue in result.errors],
                "execution": to_json(result.execution),
            }
        ),
        "events": [_timeless(event) for event in _events(seen.activities)],
        "nodes": [_timeless(to_json(node)) for node in seen.nodes],
        "variables": cast("JsonValue", dict(seen.variables)),
    }


def _events(activities: Sequence[TurnActivity]) -> Iterator[JsonValue]:
    """The events with their rows: text of a row in one, without beginnings of tool calls and attempts that failed."""
    row, text = "", ""
    for activity in _without_void(activities):
        event = activity.event
        if isinstance(event, TurnEvent.AssistantProseDelta | TurnEvent.ReasoningDelta):
            if activity.correlation_id != row:
                if row:
                    yield {"row": row, "text": text}
                row, text = activity.correlation_id, ""
            text += event.text
            continue
        if row:
            yield {"row": row, "text": text}
            row = ""
        yield {"event": to_json(event)}
    if row:
        yield {"row": row, "text": text}


def _without_void(activities: Sequence[TurnActivity]) -> list[TurnActivity]:
    """The activities without what a live turn shows alone: what was taken back, waits, beginnings of tool calls."""
    kept: list[TurnActivity] = []
    for activity in activities:
        match activity.event:
            case TurnEvent.ModelAttemptReset():
                while not isinstance(kept[-1].event, TurnEvent.ModelRequestStarted):
                    kept.pop()
            case TurnEvent.RetryStatus() | TurnEvent.ToolCallStarted():
                continue
            case _:
                kept.append(activity)
    return kept


def _timeless(value: JsonValue) -> JsonValue:
    """The value with every time and duration taken out."""
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in TIMES}
    return value


def _first_difference(wanted: JsonValue, found: JsonValue) -> str:
    if isinstance(wanted, list) and isinstance(found, list):
        for at, (one, other) in enumerate(zip(wanted, found, strict=False)):
            if one != other:
                return f"at {at}: recorded {_shown(one)}, replayed {_shown(other)}"
        return f"recorded {len(wanted)} of them, replayed {len(found)}: {_shown([*wanted, *found][-1])}"
    return f"recorded {_shown(wanted)}, replayed {_shown(found)}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
