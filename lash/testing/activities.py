"""The laws of a turn's activities (runtime.md 6) as a checker that goes round any sink.

    laws = ActivityLaws()
    result = await session.turn("Go.", sink=laws)
    laws.check()

What the laws say:

* `seq` rises by 1 from 1, ids are unique, and all activities belong to one turn.
* Whatever has started completes once, unless the turn raised. Only replayed completions may lack their beginning.
* Prints lie inside their block, are numbered from 0, and joined they are the block's output.
* Text comes between the beginning of a model call and its usage; usage adds up.
* Text that was taken back is of rows that were shown, and these rows get no more of it.
* An approval is asked for while its call is open, and answered once. Only of replayed ones the call may lack its
  beginning.
* A terminal value comes last.

A turn's sink must not raise, so violations are collected and raised by `check`.
"""

from __future__ import annotations

from collections.abc import Iterable

from lash.runtime.sansio.activity import TurnActivity, TurnEvent
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.turn.activities import TurnActivitySink

TERMINAL = (TurnEvent.SubmittedValue, TurnEvent.ToolValue)
"""Events that author the value a turn ends with."""


class ActivityLaws:
    """A sink that holds what it is given against the laws and passes it on to `inner`.

    `violations` has a sentence for every law that was broken; `seen` all activities.
    """

    def __init__(self, inner: TurnActivitySink | None = None) -> None:
        self._inner = inner
        self.seen: list[TurnActivity] = []
        self.violations: list[str] = []
        self._ids: set[str] = set()
        self._prints: dict[str, list[str]] = {}
        self._calls: dict[str, str] = {}
        self._completed: set[str] = set()
        self._asked: dict[str, str] = {}
        self._in_call = False
        self._rows: dict[str, str] = {}
        self._void: set[str] = set()
        self._cumulative = TokenUsage()
        self._terminal: str | None = None

    async def emit(self, activity: TurnActivity) -> None:
        """Take one activity; raises what the inner sink does."""
        self.take(activity)
        if self._inner is not None:
            await self._inner.emit(activity)

    def take(self, activity: TurnActivity) -> None:
        """The same for activities that were collected."""
        self._identity(activity)
        if self._terminal is not None:
            self._broken(activity, f"comes after the terminal value of {self._terminal}")
        self._model(activity)
        self._program(activity)
        self._tool(activity)
        self._approval(activity)
        if isinstance(activity.event, TERMINAL):
            self._terminal = activity.id
        self.seen.append(activity)

    def check(self, *, raised: bool = False) -> None:
        """Raise AssertionError with every violation; `raised` says that the turn did, so what is open may stay so."""
        found = list(self.violations)
        if not raised:
            found += [f"block {row} was started and not completed" for row in self._prints]
            found += [f"tool call {call} was started and not completed" for call in self._calls]
            found += [f"approval {approval} was never answered" for approval in self._asked]
        if found:
            raise AssertionError("the activities break their laws:\n  " + "\n  ".join(found))

    # --- the laws --------------------------------------------------------------------------------

    def _broken(self, activity: TurnActivity, law: str) -> None:
        self.violations.append(f"{activity.seq} {type(activity.event).__name__} ({activity.correlation_id}) {law}")

    def _identity(self, activity: TurnActivity) -> None:
        if activity.seq != len(self.seen) + 1:
            self._broken(activity, f"has a number that does not follow {len(self.seen)}")
        if activity.id in self._ids:
            self._broken(activity, f"has the id {activity.id} of another one")
        self._ids.add(activity.id)
        if self.seen and activity.turn_id != self.seen[0].turn_id:
            self._broken(activity, f"belongs to turn {activity.turn_id!r}")

    def _model(self, activity: TurnActivity) -> None:
        match activity.event:
            case TurnEvent.ModelRequestStarted():
                if self._prints:
                    self._broken(activity, "comes while a program runs")
                self._in_call = True
            case TurnEvent.AssistantProseDelta() | TurnEvent.ReasoningDelta() as delta:
                row = activity.correlation_id
                if not self._in_call:
                    self._broken(activity, "is text outside of a model call")
                if self._rows.setdefault(row, delta.type) != delta.type:
                    self._broken(activity, "mixes prose and reasoning in one row")
                if row in self._void:
                    self._broken(activity, "adds to a row that was taken back")
            case TurnEvent.ModelAttemptReset(prose_ids=prose, reasoning_ids=reasoning):
                for row in (*prose, *reasoning):
                    if row not in self._rows:
                        self._broken(activity, f"takes back {row}, which was never shown")
                    self._void.add(row)
            case TurnEvent.Usage(usage=usage, cumulative=cumulative):
                if not self._in_call:
                    self._broken(activity, "is usage without a model call")
                self._in_call = False
                self._cumulative += usage
                if cumulative != self._cumulative:
                    self._broken(activity, f"adds up to {self._cumulative}, and says {cumulative}")
            case _:
                return

    def _program(self, activity: TurnActivity) -> None:
        row = activity.correlation_id
        match activity.event:
            case TurnEvent.CodeBlockStarted():
                if row in self._prints:
                    self._broken(activity, "was started already")
                self._prints[row] = []
            case TurnEvent.CodeOutput(text=text, index=index):
                prints = self._prints.get(row)
                if prints is None:
                    self._broken(activity, "is a print of no program that runs")
                    return
                if index != len(prints):
                    self._broken(activity, f"is print {index}, and {len(prints)} came before it")
                prints.append(text)
            case TurnEvent.CodeBlockCompleted(output=output, tool_call_ids=calls):
                prints = self._prints.pop(row, None)
                if prints is None:
                    self._broken(activity, "was not started, or completed twice")
                elif output != "\n".join(prints):
                    self._broken(activity, "says another output than its prints")
                for call in calls:
                    if call not in self._completed:
                        self._broken(activity, f"names call {call}, which has not completed")
            case _:
                return

    def _tool(self, activity: TurnActivity) -> None:
        match activity.event:
            case TurnEvent.ToolCallStarted(call_id=call, name=name, parent_call_id=parent):
                self._of_call(activity, call)
                if call in self._calls or call in self._completed:
                    self._broken(activity, "was started already")
                if parent is not None and parent not in self._calls:
                    self._broken(activity, f"belongs to call {parent}, which is not open")
                if activity.replayed:
                    self._broken(activity, "is the beginning of a call, and replayed")
                self._calls[call] = name
            case TurnEvent.ToolCallCompleted(call_id=call, name=name):
                self._of_call(activity, call)
                started = self._calls.pop(call, None)
                if started is None and (call in self._completed or not activity.replayed):
                    self._broken(activity, "was not started, or completed twice")
                if started is not None and started != name:
                    self._broken(activity, f"was started as {started!r}")
                self._completed.add(call)
            case _:
                return

    def _of_call(self, activity: TurnActivity, call: str) -> None:
        if activity.correlation_id != f"tool:{call}":
            self._broken(activity, f"is of call {call} and not in its row")

    def _approval(self, activity: TurnActivity) -> None:
        match activity.event:
            case TurnEvent.ApprovalRequested(approval=approval):
                if approval.call_id not in self._calls and not activity.replayed:
                    self._broken(activity, f"asks for call {approval.call_id}, which is not open")
                if approval.approval_id in self._asked:
                    self._broken(activity, "asks twice")
                self._asked[approval.approval_id] = approval.call_id
            case TurnEvent.ApprovalAnswered(approval_id=approval_id, call_id=call):
                if self._asked.pop(approval_id, None) != call:
                    self._broken(activity, "answers what was not asked")
                if call not in self._calls and not activity.replayed:
                    self._broken(activity, f"comes when call {call} is not open")
            case _:
                return


def check_activities(activities: Iterable[TurnActivity], *, raised: bool = False) -> None:
    """Hold the activities of one turn against the laws; AssertionError names every one that is broken."""
    laws = ActivityLaws()
    for activity in activities:
        laws.take(activity)
    laws.check(raised=raised)
