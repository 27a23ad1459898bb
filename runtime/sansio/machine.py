"""The turn machine: what a turn does next, as a pure function of what it was told (runtime.md 1).

A turn is a loop. The model is called, its reply makes the mode's driver run tools or a program, what they came to goes
into the history, and the model is called again, until the driver ends the turn. The machine is that loop without the
waiting. It says what it needs (`poll_effect`) and is told what came of it (`handle_response`); between the two it does
nothing, and it has no clock, no chance, no files and no sockets. So the same answers always lead to the same turn.

States and transitions stand in a table (`states.py`, drawn in `docs/turn-machine.md`). Five states wait:

    state                       effect that is outstanding    left by
    waiting_execution_surface   SyncExecutionSurface          ExecutionSurfaceSynced
    waiting_llm                 LlmCall                       LlmComplete
    waiting_tools               ToolCalls                     ToolResults
    waiting_exec                ExecCode                      ExecResult
    waiting_checkpoint          Checkpoint                    CheckpointDone

At most one effect is outstanding, and effects that expect an answer are numbered 1, 2, 3 ... in the order in which the
turn asks. An answer counts only where kind and number are those of the waiting state. Every other answer comes too
late, twice, or from somewhere else: it is refused with False, and nothing changes.

Effects are polled in this order: those queued (events, progress, the end of the turn), first in first out; then the
outstanding one, once; then the machine takes its next step. The outstanding effect is made from the state whenever it
is polled and is never in the queue. That is why a machine restored in a waiting state asks again, once, with the same
number and the same contents, while what was polled before the snapshot never comes back.

What a mode decides comes as a list of actions. It is checked whole before any of it is carried out (`actions.py`);
steps are done in their order, then comes one `Progress` if the history or a counter moved, then what the list starts
or ends. A driver that breaks the contract, raises, or leaves the turn stranded ends it with a named error.

Whatever raises here leaves the machine as it was. After the end the machine keeps its outcome: the first one counts.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from lash.runtime.errors import SnapshotConfigMismatch
from lash.runtime.sansio.actions import BrokenAnswer, Plan, plan
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.config import TurnMachineConfig
from lash.runtime.sansio.driver import (
    TURN_SOURCE,
    AnyDriverAction,
    DriverAction,
    DriverContext,
    FinishWith,
    WaitingExec,
    WaitingLlm,
)
from lash.runtime.sansio.effects import AnyEffect, AnyResponse, Effect, Response, SurfaceUpdate
from lash.runtime.sansio.llm import LlmCallError, LlmResponse
from lash.runtime.sansio.messages import MessageSequence, SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import AnyTurnOutcome, TurnOutcome, TurnStop
from lash.runtime.sansio.record import TurnRecord
from lash.runtime.sansio.replies import read_reply, usage_of
from lash.runtime.sansio.snapshot import SnapshotOwner, TurnCheckpoint, check, decode, encode
from lash.runtime.sansio.states import (
    WAITING,
    AnyState,
    IllegalTransition,
    State,
    outstanding_effect,
)
from lash.runtime.sansio.usage import NO_USAGE, TokenUsage
from lash.runtime.sansio.views import driver_context


class TurnMachine:
    """One turn; see the module for how it works.

    `messages` is the conversation as the model sees it, the turn's input included; `events` is what the session
    remembers. `mode_run_offset` is the number of the turn's first iteration.
    """

    def __init__(
        self,
        config: TurnMachineConfig,
        messages: MessageSequence,
        events: Sequence[SessionEventRecord] = (),
        *,
        mode_run_offset: int = 0,
    ) -> None:
        self._config = config
        self._fingerprint = config.fingerprint()
        self._record = TurnRecord(
            TurnCheckpoint(
                state=State.PreparingMode(),
                pending_effects=(),
                next_effect_id=1,
                next_message_seq=1,
                messages=tuple(messages),
                events=tuple(events),
                progress_cursor=len(events),
                mode_iteration=mode_run_offset,
                mode_run_offset=mode_run_offset,
                model_calls=0,
                grace_scheduled=False,
                cumulative_usage={},
                termination=config.termination,
                surface=SurfaceUpdate(config.system_prompt, config.tool_specs, config.mode_view),
                synced_mode_iteration=None,
                overflow_used=False,
            )
        )

    # --- what can be seen ------------------------------------------------------------------------

    @property
    def state(self) -> AnyState:
        """Where the turn stands."""
        return self._record.state

    @property
    def is_done(self) -> bool:
        """Whether the turn has its outcome; effects may still be queued."""
        return isinstance(self._record.state, State.Finished)

    @property
    def outcome(self) -> AnyTurnOutcome | None:
        """How the turn ended, or None where it has not."""
        return self._record.state.outcome if isinstance(self._record.state, State.Finished) else None

    @property
    def mode_iteration(self) -> int:
        """The number of the current iteration."""
        return self._record.mode_iteration

    @property
    def messages(self) -> MessageSequence:
        """The conversation as the model sees it, transient messages included."""
        return self._record.messages

    @property
    def events(self) -> Sequence[SessionEventRecord]:
        """What the session remembers, with what this turn has added."""
        return self._record.events

    @property
    def surface(self) -> SurfaceUpdate:
        """System prompt, tools and mode view as last synced."""
        return self._record.surface

    @property
    def cumulative_usage(self) -> Mapping[str, TokenUsage]:
        """Tokens of the turn so far, by source; `turn` are its own."""
        return self._record.cumulative_usage

    # --- the loop --------------------------------------------------------------------------------

    def poll_effect(self) -> AnyEffect | None:
        """The next thing to do, or None where an answer is missing or all is done."""
        record = self._record
        while True:
            if record.queue:
                return record.queue.popleft()
            state = record.state
            if isinstance(state, WAITING):
                if record.asked:
                    return None
                record.asked = True
                return outstanding_effect(state)
            if isinstance(state, State.Finished):
                return None
            with record.all_or_nothing():
                self._step(state)

    def handle_response(self, r: AnyResponse) -> bool:
        """Take an answer; False where the machine does not wait for it, and then nothing has changed.

        Raises IllegalTransition for results of tools that are not those of the batch, in its order.
        """
        state = self._record.state
        if not isinstance(state, WAITING) or r.id != state.id:
            return False
        match state, r:
            case State.WaitingExecutionSurface(), Response.ExecutionSurfaceSynced():
                take = partial(self._take_surface, state, r)
            case State.WaitingLlm(), Response.LlmComplete():
                take = partial(self._take_reply, state, r)
            case State.WaitingTools(), Response.ToolResults():
                take = partial(self._take_tool_results, state, r)
            case State.WaitingExec(), Response.ExecResult():
                take = partial(self._take_exec_result, state, r)
            case State.WaitingCheckpoint(), Response.CheckpointDone():
                take = partial(self._take_checkpoint, state, r)
            case _:
                return False
        with self._record.all_or_nothing():
            take()
        return True

    # --- ending it from outside ------------------------------------------------------------------

    def cancel(self, reason: str | None = None) -> None:
        """Stop the turn; a model call under way is to be aborted. Nothing happens to a turn that has ended."""
        self.finish_with_outcome(TurnOutcome.Stopped(TurnStop.Cancelled(reason)))

    def fail_turn(self, event: TurnEvent.Error) -> None:
        """Stop the turn because of an internal fault, and show it. Nothing happens to a turn that has ended."""
        self._end_from_outside(TurnOutcome.Stopped(TurnStop.RuntimeError(event.message, event.code)), event)

    def finish_with_outcome(self, outcome: AnyTurnOutcome) -> None:
        """End the turn so. Nothing happens to a turn that has ended."""
        self._end_from_outside(outcome, None)

    def _end_from_outside(self, outcome: AnyTurnOutcome, error: TurnEvent.Error | None) -> None:
        record = self._record
        if self.is_done:
            return
        with record.all_or_nothing():
            if isinstance(record.state, State.WaitingLlm):
                # Also where the call was not polled yet: whether it was is not part of the state, and aborting an
                # unknown call does no harm.
                record.queue.append(Effect.CancelLlm(record.state.id))
            record.finish("host ends the turn", outcome, error)

    # --- snapshots -------------------------------------------------------------------------------

    def checkpoint(self) -> TurnCheckpoint:
        """All that the machine knows, as a value."""
        return self._record.checkpoint()

    def snapshot(self) -> bytes:
        """The checkpoint as bytes; SnapshotFormatError where the turn holds what cannot be written down."""
        driver = self._config.driver
        return encode(self.checkpoint(), SnapshotOwner(driver.mode_id, driver.version, self._fingerprint))

    @classmethod
    def restore(cls, config: TurnMachineConfig, data: bytes | TurnCheckpoint, *, strict: bool = True) -> TurnMachine:
        """A machine that goes on where the snapshot was taken.

        What the snapshot says of surface and termination counts, not the configuration. Raises SnapshotError;
        SnapshotConfigMismatch only with `strict`, and only for bytes, as a checkpoint does not say whose it is.
        """
        machine = cls(config, MessageSequence())
        if isinstance(data, TurnCheckpoint):
            check(data)
            machine._record.load(data)
            return machine
        checkpoint, owner = decode(data)
        if strict and owner.config_fp != machine._fingerprint:
            raise SnapshotConfigMismatch(
                f"the snapshot was taken in mode {owner.mode_id!r} version {owner.mode_version}, this machine has mode "
                f"{config.driver.mode_id!r} version {config.driver.version}: mode, model, system prompt and tools must "
                "be those of the start of the turn (strict=False restores nevertheless)"
            )
        machine._record.load(checkpoint)
        return machine

    # --- steps and answers -----------------------------------------------------------------------

    def _step(self, state: State.PreparingMode | State.PrepareIteration) -> None:
        record = self._record
        if self._config.sync_execution_surface and record.synced_mode_iteration != record.mode_iteration:
            # At the first sync only the host prepares itself: the machine's configuration is fresh.
            update = record.synced_mode_iteration is not None
            waiting = State.WaitingExecutionSurface(record.new_effect_id(), update)
            record.enter("surface is to be synced", waiting)
        elif isinstance(state, State.PreparingMode):
            record.enter("surface is current", State.PrepareIteration())
        else:
            self._ask_driver(self._config.driver.prepare_mode_iteration)

    def _take_surface(self, state: State.WaitingExecutionSurface, r: Response.ExecutionSurfaceSynced) -> None:
        record = self._record
        if r.error is not None:
            record.fail("surface not synced", r.error, "reconfigure_failed")
            return
        if r.update is not None:
            if state.update_machine_config:
                record.surface = r.update
            else:
                record.queue.append(Effect.Log("the update in the answer to the first surface sync is not used"))
        record.synced_mode_iteration = record.mode_iteration
        record.enter("surface synced", State.PrepareIteration())

    def _take_reply(self, state: State.WaitingLlm, r: Response.LlmComplete) -> None:
        record, config = self._record, self._config
        self._record_usage(state, r.result)
        read = read_reply(r.result, config.driver.handles_output_limit)
        if isinstance(read, LlmResponse):
            if state.usage_source == TURN_SOURCE:
                record.model_calls += 1
            waiting = WaitingLlm(state.id, state.request, state.driver_state, state.usage_source)
            self._ask_driver(lambda ctx: config.driver.handle_llm_success(ctx, waiting, read, r.text_streamed))
            return
        stopped = TurnOutcome.Stopped(read)
        overflows = r.result.terminal_reason == "context_overflow"
        if overflows and config.can_rewrite_on_overflow and not record.overflow_used:
            record.overflow_used = True
            waits = State.WaitingCheckpoint(record.new_effect_id(), "overflow", FinishWith(stopped))
            record.enter("context overflows", waits)
        else:
            record.finish("reply ends the turn", stopped, _error_of(stopped))

    def _take_tool_results(self, state: State.WaitingTools, r: Response.ToolResults) -> None:
        asked, answered = [call.call_id for call in state.calls], [call.call_id for call in r.results]
        if asked != answered:
            raise IllegalTransition(
                f"the batch has the calls {asked}, the results are for {answered}: answer each once, in order"
            )
        self._ask_driver(lambda ctx: self._config.driver.handle_tool_results(ctx, r.results))

    def _take_exec_result(self, state: State.WaitingExec, r: Response.ExecResult) -> None:
        waiting = WaitingExec(state.id, state.code, state.driver_state)
        self._ask_driver(lambda ctx: self._config.driver.handle_exec_result(ctx, waiting, r.result))

    def _take_checkpoint(self, state: State.WaitingCheckpoint, r: Response.CheckpointDone) -> None:
        record = self._record
        if r.rewritten is not None:
            record.messages = MessageSequence(r.rewritten)
        record.append(SessionEvent.Conversation(message) for message in r.messages)
        record.messages = record.messages.extended(r.transient_messages)
        # More messages do not make an overflowing conversation fit.
        changed = r.rewritten is not None or (state.kind != "overflow" and (r.messages or r.transient_messages))
        if r.abort is not None:
            code, message = r.abort
            stopped = TurnOutcome.Stopped(TurnStop.PluginAbort(code, message))
            record.finish("checkpoint ends the turn", stopped, TurnEvent.Error(message, "plugin", code))
        elif changed:
            if state.kind == "before_completion":
                record.mode_iteration += 1
            record.enter("checkpoint changed the conversation", State.PrepareIteration())
        elif isinstance(state.on_empty, FinishWith):
            outcome = state.on_empty.outcome
            # A driver shows its own errors; the overflow is the machine's.
            error = _error_of(outcome) if state.kind == "overflow" else None
            record.finish("checkpoint ends the turn", outcome, error)
        else:
            record.enter("checkpoint goes on", State.PrepareIteration())

    def _record_usage(self, state: State.WaitingLlm, result: LlmResponse | LlmCallError) -> None:
        record, source, used = self._record, state.usage_source, usage_of(result)
        total = record.cumulative_usage.get(source, NO_USAGE) + used
        record.cumulative_usage = {**record.cumulative_usage, source: total}
        if source == TURN_SOURCE:
            record.emit(TurnEvent.Usage(record.mode_iteration, used, total))
        else:
            session, model = self._config.session_id, state.request.model
            event = TurnEvent.ChildUsage(session, source, model, record.mode_iteration, used, total)
            record.emit(event, f"child:{session}")
        self._trace(f"model call {state.id} ({source}) ended: {result.terminal_reason}, {used.total()} tokens")

    # --- the driver ------------------------------------------------------------------------------

    def _ask_driver(self, question: Callable[[DriverContext], list[AnyDriverAction]]) -> None:
        record, config = self._record, self._config
        try:
            answer = question(driver_context(config, record))
            decided = plan(answer, max_turns=config.max_turns, grace_scheduled=record.grace_scheduled)
        except BrokenAnswer as error:
            record.fail("driver is at fault", f"the {config.driver.mode_id} driver: {error}", "driver_error")
        except Exception as error:  # whatever a mode raises ends its turn with a named error
            record.queue.append(Effect.Log("".join(traceback.format_exception(error))))
            text = f"the {config.driver.mode_id} driver raised {type(error).__name__}: {error}"
            record.fail("driver is at fault", text, "driver_error")
        else:
            self._carry_out(decided)

    def _carry_out(self, decided: Plan) -> None:
        record = self._record
        for step in decided.steps:
            match step:
                case DriverAction.Emit(event=event, correlation_id=correlation_id):
                    record.emit(event, correlation_id)
                case DriverAction.AppendEvents(events=events):
                    record.append(events)
                case DriverAction.AdvanceModeIteration():
                    record.mode_iteration += 1
                case DriverAction.ScheduleTurnLimitFinal(message=message):
                    record.grace_scheduled = True
                    record.append([SessionEvent.Conversation(message)])
        if decided.worth_a_draft:
            record.queue.append(Effect.Progress(record.untold(), record.mode_iteration))
        match decided.last:
            case None:
                text = f"the {self._config.driver.mode_id} driver neither started nor ended anything"
                record.fail("driver is at fault", text, "driver_stalled")
            case DriverAction.Finish(outcome=outcome):
                record.finish("driver ends the turn", outcome)
            case DriverAction.StartLlm():
                self._start_llm(decided.last)
            case DriverAction.StartTools(calls=calls):
                record.enter("driver calls tools", State.WaitingTools(record.new_effect_id(), calls))
            case DriverAction.StartExec(code=code, language=language, driver_state=noted):
                waits = State.WaitingExec(record.new_effect_id(), code, language, noted)
                record.enter("driver runs a program", waits)
            case DriverAction.StartCheckpoint(kind=kind, on_empty=on_empty):
                waits = State.WaitingCheckpoint(record.new_effect_id(), kind, on_empty)
                record.enter("driver asks for a checkpoint", waits)

    def _start_llm(self, start: DriverAction.StartLlm) -> None:
        record, limit = self._record, self._config.max_turns
        if start.usage_source == TURN_SOURCE:
            if limit is not None and record.model_calls >= limit + record.grace_scheduled:
                record.finish("turn limit is passed", TurnOutcome.Stopped(TurnStop.MaxTurns(limit)))
                return
            record.emit(TurnEvent.ModelRequestStarted(record.mode_iteration))
        waits = State.WaitingLlm(record.new_effect_id(), start.request, start.driver_state, start.usage_source)
        self._trace(f"model call {waits.id} ({waits.usage_source}): {len(start.request.messages)} messages")
        record.enter("driver calls the model", waits)

    def _trace(self, message: str) -> None:
        if self._config.emit_llm_trace:
            self._record.queue.append(Effect.Log(message))


def _error_of(outcome: AnyTurnOutcome) -> TurnEvent.Error | None:
    """The event of a stop that the provider caused; others need none."""
    if isinstance(outcome, TurnOutcome.Stopped) and isinstance(outcome.stop, TurnStop.ProviderError):
        stop = outcome.stop
        return TurnEvent.Error(stop.message, "llm_provider", stop.code or "provider_error")
    return None
