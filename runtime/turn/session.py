"""An open session: the one turn that may run on it, and what is done between turns (runtime.md 3, 4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from lash.runtime.errors import PluginError, TurnError, TurnSuspended
from lash.runtime.plugins.contract import SessionConfigChanged, TurnCommitted, TurnPersisted
from lash.runtime.sansio.outcome import AnyTurnStop, TurnIssue, TurnOutcome, TurnStop
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import CancelRequest, UnfinishedTurn
from lash.runtime.seams.persistence import Boundary, PendingInput, PendingInputDraft, SessionRelation
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.effects import RecordedWish
from lash.runtime.turn.inputs import (
    InvalidInput,
    SessionAttachments,
    TurnInput,
    input_json,
    refuse_blank,
    with_stored_images,
)
from lash.runtime.turn.journalled import JournalledTurn
from lash.runtime.turn.lane import SessionLane
from lash.runtime.turn.mode import TurnSetup
from lash.runtime.turn.result import AssistantOutput, Execution, TurnResult
from lash.runtime.turn.run import TurnEnd, TurnFrame, TurnRefused, TurnRun
from lash.runtime.turn.settings import SessionParts, SessionPolicy, TurnRequest
from lash.runtime.turn.stored import StoredSession
from lash.runtime.turn.trace_turn import TurnTrace, place_of, session_started
from lash.runtime.turn.turn_plugins import recorded_inputs
from lash.runtime.turn.unfinished import check_finished, unfinished_turn
from lash.runtime.usage import TURN


class OpenSession:
    """One session, open: what can be done with it, one thing at a time; `stored` is what was committed of it."""

    def __init__(self, parts: SessionParts, policy: SessionPolicy) -> None:
        services = parts.services
        self.session_id = parts.session_id
        self.mode = parts.mode
        self.plugins = parts.plugins
        self.stored = StoredSession(parts, policy)
        self._parts = parts
        self._store = parts.store
        self._services = services
        self._tracer = services.tracer.child(session_id=parts.session_id)
        self._lane = SessionLane(
            parts.session_id,
            parts.store,
            parts.owner or services.owner,
            services.lease,
            services.clock,
            services.lock(parts.session_id),
        )
        self._running: tuple[str, CancelToken] | None = None
        self._stream: ActivityStream | None = None

    async def trace_opening(self, lash_version: str) -> None:
        """Write into the trace that the session was opened, and how it came to be. Raises what stores raise."""
        if not self._tracer.enabled:
            return
        meta = await self._store.load_session_meta()
        relation = SessionRelation.Root() if meta is None else meta.relation
        self._tracer = self._tracer.child(**place_of(relation))
        session_started(
            self._tracer,
            relation=relation.type,
            mode=self.mode.mode_id,
            model=self.stored.policy.model,
            provider=self.stored.policy.provider.kind,
            lash_version=lash_version,
        )

    def cancel_turn(self, turn_id: str, wish: CancelRequest) -> Literal["accepted", "already_requested"] | None:
        """Ask a turn to stop; what came of it, None where another one runs, or none."""
        if self._running is None or self._running[0] != turn_id:
            return None
        token = self._running[1]
        if token.cancelled:
            return "already_requested"
        token.cancel(wish.reason, request_id=wish.request_id, origin=wish.origin)
        return "accepted"

    def cancel_running(self, reason: str | None) -> bool:
        """Ask the running turn to stop; whether there is one."""
        if self._running is None:
            return False
        self._running[1].cancel(reason)
        return True

    @property
    def running(self) -> bool:
        """Whether a turn runs."""
        return self._running is not None

    def in_sink(self) -> bool:
        """Whether this is called by a sink of the turn that runs, which the turn waits for."""
        return self._stream is not None and self._stream.in_sink()

    async def aclose(self) -> None:
        """Give up what the session holds in memory; its store stays, without what no turn needs any more."""
        self.cancel_running("the session was closed")
        async with self._lane.quiet():
            try:
                self.mode.close()
                await self.plugins.aclose()
                await self.stored.collect()
            finally:
                await self._store.aclose()

    async def configure(self, policy: SessionPolicy, op_id: str) -> None:
        """Go on under another policy and store it; a session that has no turn yet stores it with its first.

        Raises SessionBusyError while a turn runs or is unfinished, StoreCommitFailed.
        """
        now = self._services.clock.monotonic()
        async with self._lane.hold(now) as held:
            await self.stored.catch_up()
            await self._check_finished()
            before, self.stored.policy = self.stored.policy, policy
            if self.stored.revision is None:
                return
            try:
                await self.stored.commit_change(op_id, held.fence)
            except BaseException:
                self.stored.policy = before
                raise
            await self.plugins.session.notify(SessionConfigChanged(before, policy))

    async def act(self, name: str, args: JsonValue, op_id: str) -> JsonValue:
        """Do a plugin's action; what a command changes is stored, in a session without a turn with its first.

        Raises SessionError (unknown_action, invalid_action_args), PluginError where the plugin fails, and for commands
        SessionBusyError while a turn runs or is unfinished, and StoreCommitFailed.
        """
        action = self.plugins.session.action(name)
        if action.definition.kind == "query":
            return await self.plugins.session.act(action, args)
        now = self._services.clock.monotonic()
        async with self._lane.hold(now) as held:
            await self.stored.catch_up()
            await self._check_finished()
            plugins = self.plugins.session
            try:
                result = await plugins.act(plugins.action(name), args)
                if self.stored.revision is not None and plugins.states.changed:
                    await self.stored.commit_change(op_id, held.fence)
            except BaseException:
                # What it did to the plugin is not stored; the next use begins from the store.
                self.stored.invalidate()
                raise
            return result

    # --- turns -------------------------------------------------------------------------------------

    async def run_turn(
        self, request: TurnRequest, stream: ActivityStream, token: CancelToken
    ) -> TurnResult[Any] | None:
        """Run one turn and commit it; None where it was to take queued input and there is none.

        Raises SessionBusyError while another turn holds the session, TurnError for options that the mode refuses and
        where a plugin's hook before or after the turn fails, PluginError where the state of one cannot be had,
        StoreCommitFailed, what the effect host raises, and CancelledError; then nothing has been committed. Raises
        TurnSuspended where the turn waits for people and is not to wait for them here.
        """
        until = self._services.clock.monotonic() + request.wait_if_busy
        async with self._lane.hold(until) as held:
            await self.stored.catch_up()
            before = await self.stored.state_before(request.turn_id)
            self._running = request.turn_id, token
            self._stream = stream
            run: TurnRun | None = None
            wish: RecordedWish | None = None
            effects = self._services.effects
            journal = JournalledTurn(effects, self.session_id, request, self._services.clock)
            images = SessionAttachments(self._services.attachments, self._store, request.turn_id)
            tracer = self._tracer.child(
                turn_id=request.trace_turn_id or request.turn_id,
                turn_index=(self.stored.turn_index if before is None else before.turn_index) + 1,
            )
            trace = TurnTrace(tracer, request.policy.model)
            self.plugins.ports.begin(stream, tracer)
            try:
                request = replace(request, input=await with_stored_images(request.input, images))
                setup = TurnSetup(request.turn_id, self.stored.turn_index + 1, request.options)
                termination = self.mode.begin_turn(setup)
                recorded_inputs(request.plugin_inputs, (request.effects or effects).durability)
                if before is not None:
                    await self.stored.go_back(before)
                    setup = replace(setup, turn_index=self.stored.turn_index + 1)
                elif journal.is_kept:
                    unfinished = await self._check_finished(request.turn_id)
                    wish = await journal.begin(request.input, unfinished, self.stored.revision, trace, token)
                events = self.stored.events()
                frame = TurnFrame(
                    request,
                    setup,
                    termination,
                    stream,
                    token,
                    held,
                    images,
                    trace,
                    events,
                    again=before is not None,
                    suspend=journal.suspend(),
                    wish=wish,
                )
                run = TurnRun(self._parts, frame)
                async with journal.heeding(token):
                    end = await run.run()
                result = await self._settle(frame, end)
                if before is not None:
                    await self.stored.load()
                await journal.seal()
                if result is not None and result.revision is not None:
                    await self._tell(result)
                return result
            except InvalidInput as error:
                await journal.give_up()
                issue = TurnIssue("input", "invalid_input", error.message)
                refused = self._refused(request, TurnStop.InvalidInput(error.message), issue)
                trace.started((), "host")
                trace.ended(refused.outcome)
                return refused
            except BaseException as error:
                if isinstance(error, TurnSuspended):
                    trace.suspended(tuple(one.approval_id for one in error.approvals))
                else:
                    trace.failed(error)
                if not (run and run.driving) and isinstance(error, TurnError | PluginError):
                    await journal.give_up()
                # The mode's state may have moved on; the next use begins from the store.
                self.stored.invalidate()
                raise
            finally:
                self._running = self._stream = None
                self.plugins.ports.end()
                self.mode.end_turn()

    async def _settle(self, frame: TurnFrame, end: TurnEnd | TurnRefused | None) -> TurnResult[Any] | None:
        """Commit a turn that came to its end; its result."""
        request = frame.request
        match end:
            case None:
                return None
            case TurnRefused(code=code, message=message):
                # What its hooks did to plugins is not stored; the next use begins from the store.
                self.stored.invalidate()
                result = self._refused(request, TurnStop.PluginAbort(code, message), TurnIssue("plugin", code, message))
            case TurnEnd():
                revision = await self.stored.commit_turn(frame, end)
                result = TurnResult(
                    outcome=end.outcome,
                    assistant_output=AssistantOutput.of(end.text),
                    session_id=self.session_id,
                    turn_id=request.turn_id,
                    turn_index=self.stored.turn_index,
                    revision=revision,
                    execution=Execution(self.mode.mode_id, bool(end.tool_calls), end.ran_code),
                    usage=end.own_usage,
                    children_usage=tuple(entry for entry in end.usage if entry.source != TURN),
                    tool_calls=end.tool_calls,
                    errors=tuple(frame.stream.issues),
                    value_type=request.value_type,
                )
        frame.trace.ended(result.outcome)
        return result

    async def _tell(self, result: TurnResult[Any]) -> None:
        """Tell plugins of a turn that is stored."""
        plugins = self.plugins.session
        await plugins.notify(TurnCommitted(result.turn_id, result.turn_index, result.outcome))
        await plugins.notify(TurnPersisted(self.stored.read_view()))

    def _refused(self, request: TurnRequest, stop: AnyTurnStop, issue: TurnIssue) -> TurnResult[Any]:
        """The result of a turn that was not begun; nothing of it is stored."""
        return TurnResult(
            outcome=TurnOutcome.Stopped(stop),
            assistant_output=AssistantOutput.of(""),
            session_id=self.session_id,
            turn_id=request.turn_id,
            turn_index=self.stored.turn_index,
            revision=None,
            execution=Execution(self.mode.mode_id, had_tool_calls=False, had_code_execution=False),
            errors=(issue,),
            value_type=request.value_type,
        )

    async def queue(
        self, given: TurnInput, input_id: str, source_key: str | None, next_turn: bool, min_boundary: Boundary
    ) -> PendingInput:
        """Store input for the running turn, or the next one. Raises InvalidInput, IdempotencyConflict."""
        images = SessionAttachments(self._services.attachments, self._store, None)
        given = await with_stored_images(given, images)
        refuse_blank(given)
        body = input_json(given)
        if self._running is None or next_turn:
            draft = PendingInputDraft(input_id, "next_turn", body, source_key)
        else:
            draft = PendingInputDraft(input_id, "active_turn", body, source_key, self._running[0], min_boundary)
        return await self._store.enqueue_input(draft)

    async def cancel_input(self, input_id: str) -> PendingInput | None:
        """Take queued input back; None once a turn has it."""
        return await self._store.cancel_input(input_id)

    async def list_inputs(self) -> list[PendingInput]:
        """All input that was queued, and what has become of it."""
        return await self._store.list_inputs()

    async def unfinished_turn(self) -> UnfinishedTurn | None:
        """The turn that is to be resumed before anything else; None where there is none."""
        return await unfinished_turn(self._services.effects, self.stored, running=self.running)

    async def _check_finished(self, turn_id: str | None = None) -> UnfinishedTurn | None:
        """What an earlier run has left of the turn `turn_id`; SessionBusyError where another one is unfinished."""
        return await check_finished(self._services.effects, self.stored, turn_id, running=self.running)
