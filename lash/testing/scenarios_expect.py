"""Holding a turn against what a scenario expects of it: every key that is given, and each difference in full."""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from lash.modes.rlm.types import RlmTrajectoryEntry
from lash.runtime.errors import LashError
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.llm import Block, LlmMessage
from lash.runtime.sansio.outcome import TurnFinish, TurnOutcome
from lash.runtime.sansio.values import JsonValue, to_json
from lash.testing.cases import equal
from lash.testing.scenarios_format import Expect, OutcomeCheck, PromptCheck, StepCheck
from lash.testing.scenarios_seen import Seen
from lash.testing.scripted import ScriptExhausted


def differences(expect: Expect, seen: Seen) -> list[str]:
    """What is not as expected."""
    found: list[str] = []
    given = expect.model_fields_set
    if isinstance(seen.raised, BaseException) and (expect.outcome is None or expect.outcome.raises is None):
        found.append(f"it raised {error_text(seen.raised)}")
    for key in (key for key in _CHECKS if key in given):
        found += [f"{key}: {difference}" for difference in _CHECKS[key](expect, seen)]
    if "model_calls" not in given and seen.replies_left and not found:
        found.append(f"{seen.replies_left} replies of the scenario were not asked for")
    return found


def error_text(error: BaseException) -> str:
    """What an exception says; where in the code it was raised if that is not one of lash's own."""
    if isinstance(error, LashError | ScriptExhausted):
        return f"{type(error).__name__}: {error}"
    return "".join(traceback.format_exception(error)).rstrip()


# --- the end of the turn ---------------------------------------------------------------------------


def _outcome(expect: Expect, seen: Seen) -> Iterator[str]:
    assert expect.outcome is not None
    wanted, found = _outcome_name(expect.outcome), _seen_outcome(seen)
    if wanted != found:
        yield _wanted(wanted, found)


def _outcome_name(outcome: OutcomeCheck) -> JsonValue:
    return cast("JsonValue", outcome.model_dump(exclude_unset=True))


def _seen_outcome(seen: Seen) -> JsonValue:
    if seen.raised is not None:
        return {"raises": seen.raised.code if isinstance(seen.raised, LashError) else type(seen.raised).__name__}
    assert seen.result is not None
    match seen.result.outcome:
        case TurnOutcome.Finished(finish=finish):
            return {"finished": finish.type}
        case TurnOutcome.Stopped(stop=stop):
            return {"stopped": stop.type}
        case TurnOutcome.Handoff(session_id=session_id):
            return {"handoff": session_id}


def _value(expect: Expect, seen: Seen) -> Iterator[str]:
    match None if seen.result is None else seen.result.outcome:
        case TurnOutcome.Finished(
            finish=TurnFinish.SubmittedValue(value=value) | TurnFinish.ToolValue(value=value)
        ) if equal(cast("Any", value), cast("Any", expect.value)):
            return
        case TurnOutcome.Finished(finish=TurnFinish.SubmittedValue(value=value) | TurnFinish.ToolValue(value=value)):
            yield _wanted(expect.value, value)
        case other:
            yield f"wanted {_shown(expect.value)}, and the turn has no value: {other}"


def _text(expect: Expect, seen: Seen) -> Iterator[str]:
    found = None if seen.result is None else seen.result.assistant_message()
    if found != expect.text:
        yield _wanted(expect.text, found)


def _reason(expect: Expect, seen: Seen) -> Iterator[str]:
    assert expect.reason is not None
    told = [event.message for event in seen.events if isinstance(event, TurnEvent.Error)]
    if seen.raised is not None:
        told.append(str(seen.raised))
    if seen.result is not None:
        told += _texts(to_json(seen.result.outcome))
    if not any(expect.reason in text for text in told):
        yield f"wanted {_shown(expect.reason)} in one of {_shown(told)}"


def _texts(value: JsonValue) -> Iterator[str]:
    """All texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)


# --- counts ----------------------------------------------------------------------------------------


def _model_calls(expect: Expect, seen: Seen) -> Iterator[str]:
    yield from _count(expect.model_calls, seen, "model_request_started")


def _handoffs(expect: Expect, seen: Seen) -> Iterator[str]:
    yield from _count(expect.handoffs, seen, "session_switched")


def _side_calls(wanted: int | None, seen: Seen, child: bool) -> Iterator[str]:
    """Model calls that were booked to others than the turn: those of child sessions, or those of tools."""
    booked = [event for event in seen.events if isinstance(event, TurnEvent.ChildUsage)]
    found = sum((event.source == "subagent") == child for event in booked)
    if found != wanted:
        yield _wanted(wanted, found)


def _count(wanted: int | None, seen: Seen, name: str) -> Iterator[str]:
    found = seen.event_names.count(name)
    if found != wanted:
        yield _wanted(wanted, found)


# --- events ----------------------------------------------------------------------------------------


def _events(expect: Expect, seen: Seen) -> Iterator[str]:
    found = iter(seen.event_names)
    for number, name in enumerate(expect.events):
        if not any(one == name for one in found):
            before = ", ".join(expect.events[:number]) or "the beginning"
            yield f"no {name!r} after {before}, in {_shown(_runs(seen.event_names))}"
            return


def _events_forbidden(expect: Expect, seen: Seen) -> Iterator[str]:
    for activity in seen.activities:
        if activity.event.type in expect.events_forbidden:
            yield f"{activity.event.type!r} is forbidden, and there is {activity.event}"


def _event_counts(expect: Expect, seen: Seen) -> Iterator[str]:
    found = Counter(seen.event_names)
    for name, wanted in expect.event_counts.items():
        if found[name] != wanted:
            yield f"{name!r}: {_wanted(wanted, found[name])}"


def _runs(names: Sequence[str]) -> list[str]:
    """The names, repetitions in a row once."""
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def _visible_prose(expect: Expect, seen: Seen) -> Iterator[str]:
    yield from _lists(expect.visible_prose, seen.visible_prose())


def _usage_sources(expect: Expect, seen: Seen) -> Iterator[str]:
    assert expect.usage_sources is not None
    booked = () if seen.result is None else seen.result.children_usage
    wanted, found = sorted(set(expect.usage_sources)), sorted({entry.source for entry in booked})
    if wanted != found:
        yield f"wanted {wanted}, found {found}"


# --- programs --------------------------------------------------------------------------------------


def _prints(expect: Expect, seen: Seen) -> Iterator[str]:
    assert expect.prints is not None
    yield from _lists([list(block) for block in expect.prints], [list(step.output) for step in seen.steps])


def _steps(expect: Expect, seen: Seen) -> Iterator[str]:
    assert expect.steps is not None
    if len(expect.steps) != len(seen.steps):
        yield f"wanted {len(expect.steps)} steps, found {_shown([step.code for step in seen.steps])}"
        return
    for number, (wanted, step) in enumerate(zip(expect.steps, seen.steps, strict=True), 1):
        yield from (f"step {number}: {difference}" for difference in _step(wanted, step))


def _step(wanted: StepCheck, step: RlmTrajectoryEntry) -> Iterator[str]:
    final = None if step.final_output is None else step.final_output.get("value")
    for key in sorted(wanted.model_fields_set):
        if key == "error_contains":
            if (wanted.error_contains or "") not in (step.error or ""):
                yield f"wanted {_shown(wanted.error_contains)} in the error {_shown(step.error)}"
            continue
        expected: Any = getattr(wanted, key)
        found: Any = final if key == "final_output" else getattr(step, key)
        if not equal(expected, found):
            yield f"{key}: {_wanted(expected, found)}"


def _globals(expect: Expect, seen: Seen) -> Iterator[str]:
    for name, wanted in expect.globals.items():
        if name not in seen.variables:
            yield f"there is no variable {name!r}, only {sorted(seen.variables)}"
        elif not equal(cast("Any", wanted), seen.variables[name]):
            yield f"{name!r}: {_wanted(wanted, seen.variables[name])}"


def _globals_absent(expect: Expect, seen: Seen) -> Iterator[str]:
    for name in expect.globals_absent:
        if name in seen.variables:
            yield f"{name!r} is there: {_shown(seen.variables[name])}"


def _tools(expect: Expect, seen: Seen) -> Iterator[str]:
    assert expect.tools is not None
    started = [event.name for event in seen.events if isinstance(event, TurnEvent.ToolCallStarted)]
    yield from _lists(list(expect.tools), started)


def _tool_args(expect: Expect, seen: Seen) -> Iterator[str]:
    assert expect.tool_args is not None
    yield from _lists(list(expect.tool_args), [args for _, args in seen.tool_calls])


# --- prompts ---------------------------------------------------------------------------------------


def _prompts(expect: Expect, seen: Seen) -> Iterator[str]:
    for check in expect.prompts:
        request = seen.requests.get(check.call)
        if request is None:
            yield f"there was no call {check.call}, only {sorted(seen.requests)}"
            continue
        system = "\n".join(_message_text(one) for one in request.messages if one.role == "system")
        rest = "\n".join(_message_text(one) for one in request.messages if one.role != "system")
        yield from _prompt(check, system, rest)


def _prompt(check: PromptCheck, system: str, rest: str) -> Iterator[str]:
    where = f"call {check.call}"
    for text in check.contains:
        if text not in rest:
            yield f"{where}: {_shown(text)} is not in the messages:\n{rest}"
    for text in check.not_contains:
        if text in rest:
            yield f"{where}: {_shown(text)} is in the messages:\n{rest}"
    for text in check.system_contains:
        if text not in system:
            yield f"{where}: {_shown(text)} is not in the system prompt:\n{system}"


def _message_text(message: LlmMessage) -> str:
    return "\n".join(block.text for block in message.blocks if isinstance(block, Block.Text))


# --- small parts -----------------------------------------------------------------------------------


def _lists(wanted: object, found: object) -> Iterator[str]:
    if not equal(cast("Any", _plain(wanted)), cast("Any", _plain(found))):
        yield _wanted(_plain(wanted), _plain(found))


def _plain(value: object) -> JsonValue:
    return cast("JsonValue", list(cast("Sequence[Any]", value)) if isinstance(value, tuple) else value)


def _wanted(wanted: JsonValue, found: JsonValue) -> str:
    return f"wanted {_shown(wanted)}, found {_shown(found)}"


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


_CHECKS: Mapping[str, Callable[[Expect, Seen], Iterator[str]]] = {
    "outcome": _outcome,
    "value": _value,
    "text": _text,
    "reason": _reason,
    "model_calls": _model_calls,
    "sub_call_count": lambda expect, seen: _side_calls(expect.sub_call_count, seen, child=False),
    "child_calls": lambda expect, seen: _side_calls(expect.child_calls, seen, child=True),
    "handoffs": _handoffs,
    "events": _events,
    "events_forbidden": _events_forbidden,
    "event_counts": _event_counts,
    "prints": _prints,
    "steps": _steps,
    "prompts": _prompts,
    "tools": _tools,
    "tool_args": _tool_args,
    "globals": _globals,
    "globals_absent": _globals_absent,
    "visible_prose": _visible_prose,
    "usage_sources": _usage_sources,
}
