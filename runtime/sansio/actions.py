"""What a driver's list of actions comes to: its steps in order, then the one thing that starts or ends.

A list is checked whole before any of it is carried out, so that a wrong one changes nothing (runtime.md 1.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias, cast, get_args

from pydantic import JsonValue, ValidationError

from lash.runtime.sansio.driver import DriverAction, FinishWith, PrepareIteration
from lash.runtime.sansio.messages import SessionEvent
from lash.runtime.sansio.values import adapter

Step: TypeAlias = (
    DriverAction.Emit
    | DriverAction.AppendEvents
    | DriverAction.AdvanceModeIteration
    | DriverAction.ScheduleTurnLimitFinal
)
"""An action after which the turn is still where it was."""

Start: TypeAlias = (
    DriverAction.StartLlm | DriverAction.StartTools | DriverAction.StartExec | DriverAction.StartCheckpoint
)
"""An action that the host has to answer."""

_STEPS: tuple[type, ...] = get_args(Step)
_STARTS: tuple[type, ...] = get_args(Start)
_EVENTS = (SessionEvent.Conversation, SessionEvent.Tool, SessionEvent.Mode, SessionEvent.Plugin)


class BrokenAnswer(Exception):
    """A list of actions that breaks the contract of drivers."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked list: what to do in order, and what to do last (None where the driver leaves the turn stranded)."""

    steps: tuple[Step, ...]
    last: Start | DriverAction.Finish | None

    @property
    def worth_a_draft(self) -> bool:
        """Whether a step changed history or counters, so that a `Progress` is due."""
        return any(
            step != DriverAction.AppendEvents(()) and not isinstance(step, DriverAction.Emit) for step in self.steps
        )


def plan(actions: object, *, max_turns: int | None, grace_scheduled: bool) -> Plan:
    """Check what a driver answered.

    `max_turns` and `grace_scheduled` are the turn's. Raises BrokenAnswer for what is no list of actions, for a second
    start, for anything after the end, for an end after a start, for a grace call that cannot be, and for a start whose
    contents could not be written down.
    """
    if not isinstance(actions, list | tuple):
        raise BrokenAnswer(f"it answered with {type(actions).__name__}, not with a list of actions")
    steps: list[Step] = []
    last: Start | DriverAction.Finish | None = None
    for action in cast("list[object]", actions):
        if isinstance(last, DriverAction.Finish):
            raise BrokenAnswer(f"{type(action).__name__} comes after Finish, which has to be the last action")
        if isinstance(action, _STARTS):
            if last is not None:
                raise BrokenAnswer(f"{type(action).__name__} is a second start after {type(last).__name__}")
            last = _checked_start(cast("Start", action))
        elif isinstance(action, DriverAction.Finish):
            if last is not None:
                raise BrokenAnswer(f"it ends the turn although {type(last).__name__} is to be answered")
            last = action
        elif isinstance(action, _STEPS):
            if isinstance(action, DriverAction.ScheduleTurnLimitFinal):
                if max_turns is None:
                    raise BrokenAnswer("it schedules the last call of a turn that has no limit")
                if grace_scheduled:
                    raise BrokenAnswer("it schedules the last call of the turn a second time")
                grace_scheduled = True
            steps.append(_checked_step(cast("Step", action)))
        else:
            raise BrokenAnswer(f"{type(action).__name__} is no driver action")
    return Plan(tuple(steps), last)


def _checked_step(step: Step) -> Step:
    if isinstance(step, DriverAction.AppendEvents):
        for event in step.events:
            if not isinstance(event, _EVENTS):  # pyright: ignore[reportUnnecessaryIsInstance] - drivers are foreign code
                raise BrokenAnswer(f"it appends {type(event).__name__}, which is no session event")
        return replace(step, events=tuple(step.events))
    return step


def _checked_start(start: Start) -> Start:
    match start:
        case DriverAction.StartLlm():
            if any(attachment.data is not None for attachment in start.request.attachments):
                raise BrokenAnswer("its model request carries bytes of attachments; requests hold references only")
            return replace(start, driver_state=_noted(start.driver_state))
        case DriverAction.StartExec():
            return replace(start, driver_state=_noted(start.driver_state))
        case DriverAction.StartTools():
            return replace(start, calls=tuple(start.calls))
        case DriverAction.StartCheckpoint():
            if not isinstance(start.on_empty, PrepareIteration | FinishWith):  # pyright: ignore[reportUnnecessaryIsInstance] - drivers are foreign code
                raise BrokenAnswer("its checkpoint does not say how the turn goes on (PrepareIteration or FinishWith)")
            return start


def _noted(driver_state: JsonValue) -> JsonValue:
    """The driver's note as the machine keeps it: a copy, and certainly JSON."""
    try:
        return cast("JsonValue", adapter(JsonValue).validate_python(driver_state))
    except ValidationError as error:
        raise BrokenAnswer(f"its driver_state is no JSON value: {error.errors()[0]['msg']}") from error
