"""What a turn machine remembers, and the few ways in which it changes: every rule of bookkeeping stands here once."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from lash.runtime.sansio.activity import AnyTurnEvent, TurnEvent
from lash.runtime.sansio.effects import AnyEffect, Effect
from lash.runtime.sansio.messages import MessageSequence, SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import AnyTurnOutcome, TurnFinish, TurnOutcome, TurnStop
from lash.runtime.sansio.snapshot import TurnCheckpoint
from lash.runtime.sansio.states import AnyState, Cause, State, check_transition


class TurnRecord:
    """The machine's memory: the parts of a `TurnCheckpoint`, which says what each is, free to change.

    `asked` says whether the outstanding effect was polled. It is no part of checkpoints: that is how a restored
    machine comes to ask again.
    """

    __slots__ = (
        "asked",
        "cumulative_usage",
        "events",
        "grace_scheduled",
        "messages",
        "mode_iteration",
        "mode_run_offset",
        "model_calls",
        "next_effect_id",
        "next_message_seq",
        "overflow_used",
        "progress_cursor",
        "queue",
        "state",
        "surface",
        "synced_mode_iteration",
        "termination",
    )

    def __init__(self, checkpoint: TurnCheckpoint) -> None:
        self.load(checkpoint)

    def load(self, checkpoint: TurnCheckpoint) -> None:
        """Become what the checkpoint says."""
        self.asked = False
        self.state: AnyState = checkpoint.state
        self.queue: deque[AnyEffect] = deque(checkpoint.pending_effects)
        self.next_effect_id = checkpoint.next_effect_id
        self.next_message_seq = checkpoint.next_message_seq
        self.messages = MessageSequence(checkpoint.messages)
        self.events = checkpoint.events
        self.progress_cursor = checkpoint.progress_cursor
        self.mode_iteration = checkpoint.mode_iteration
        self.mode_run_offset = checkpoint.mode_run_offset
        self.model_calls = checkpoint.model_calls
        self.grace_scheduled = checkpoint.grace_scheduled
        self.cumulative_usage = checkpoint.cumulative_usage
        self.termination = checkpoint.termination
        self.surface = checkpoint.surface
        self.synced_mode_iteration = checkpoint.synced_mode_iteration
        self.overflow_used = checkpoint.overflow_used

    def checkpoint(self) -> TurnCheckpoint:
        """The memory as a value that does not change any more."""
        return TurnCheckpoint(
            state=self.state,
            pending_effects=tuple(self.queue),
            next_effect_id=self.next_effect_id,
            next_message_seq=self.next_message_seq,
            messages=tuple(self.messages),
            events=self.events,
            progress_cursor=self.progress_cursor,
            mode_iteration=self.mode_iteration,
            mode_run_offset=self.mode_run_offset,
            model_calls=self.model_calls,
            grace_scheduled=self.grace_scheduled,
            cumulative_usage=self.cumulative_usage,
            termination=self.termination,
            surface=self.surface,
            synced_mode_iteration=self.synced_mode_iteration,
            overflow_used=self.overflow_used,
        )

    @contextmanager
    def all_or_nothing(self) -> Generator[None]:
        """Undo all changes where something raises inside."""
        # Every part but the queue is immutable, so keeping the parts keeps the whole.
        before = {name: getattr(self, name) for name in self.__slots__} | {"queue": deque(self.queue)}
        try:
            yield
        except BaseException:
            for name, value in before.items():
                setattr(self, name, value)
            raise

    # --- changes ---------------------------------------------------------------------------------

    def enter(self, cause: Cause, state: AnyState) -> None:
        """Go into a state; IllegalTransition where no row of the table allows it."""
        check_transition(self.state, cause, state)
        self.state = state
        self.asked = False

    def new_effect_id(self) -> int:
        """The number of the effect that is asked for next."""
        number, self.next_effect_id = self.next_effect_id, self.next_effect_id + 1
        return number

    def emit(self, event: AnyTurnEvent, correlation_id: str | None = None) -> None:
        """Show an event."""
        self.queue.append(Effect.Emit(event, correlation_id))

    def append(self, events: Iterable[SessionEventRecord]) -> None:
        """Add to the history; messages also to the conversation, transient ones to that alone."""
        added = tuple(events)
        said = [event.message for event in added if isinstance(event, SessionEvent.Conversation)]
        if said:
            self.messages = self.messages.extended(said)
        self.events += tuple(event for event in added if not _transient(event))

    def untold(self) -> tuple[SessionEventRecord, ...]:
        """The events that no Progress has told yet; from now on they count as told."""
        delta, self.progress_cursor = self.events[self.progress_cursor :], len(self.events)
        return delta

    def finish(self, cause: Cause, outcome: AnyTurnOutcome, error: TurnEvent.Error | None = None) -> None:
        """End the turn: show the error, or the value that a program or tool ended it with, then Done."""
        self.enter(cause, State.Finished(outcome))
        if error is not None:
            self.emit(error)
        match outcome:
            case TurnOutcome.Finished(finish=TurnFinish.SubmittedValue(value=value)):
                self.emit(TurnEvent.SubmittedValue(value))
            case TurnOutcome.Finished(finish=TurnFinish.ToolValue(tool_name=name, value=value)):
                self.emit(TurnEvent.ToolValue(name, value))
            case _:  # prose was shown as it came, and a stop has no value
                pass
        self.queue.append(Effect.Done(self.untold(), self.mode_iteration))

    def fail(self, cause: Cause, message: str, code: str) -> None:
        """End the turn because of a fault that is not the model's."""
        stop = TurnOutcome.Stopped(TurnStop.RuntimeError(message, code))
        self.finish(cause, stop, TurnEvent.Error(message, "runtime", code))


def _transient(event: SessionEventRecord) -> bool:
    return isinstance(event, SessionEvent.Conversation) and event.message.transient
