"""An open session: its graph, its mode's state and its store, and the one turn that may run on it (runtime.md 3, 4).

A turn is lost whole or committed whole. Until the commit has been answered nothing of a turn is in the session: a turn
that raises, or whose process dies, leaves graph, variables and ledger as the last commit left them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Literal

from lash.runtime.errors import (
    HeadRevisionConflict,
    LeaseNotHeld,
    PluginError,
    SessionBusyError,
    SessionError,
    StoreCommitFailed,
    TurnError,
    TurnSuspended,
)
from lash.runtime.plugins.contract import SessionConfigChanged, SessionRestored, TurnCommitted, TurnPersisted
from lash.runtime.sansio.messages import SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import AnyTurnStop, TurnIssue, TurnOutcome, TurnStop, ended_as
from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import CancelRequest, ExecutionScope, TurnJournal, UnfinishedTurn
from lash.runtime.seams.persistence import (
    BlobRef,
    Boundary,
    HydratedCheckpoint,
    LeaseFence,
    PendingInput,
    PendingInputDraft,
    PersistedCheckpoint,
    PersistedSessionConfig,
    PersistedSessionRead,
    RuntimeCommit,
    SessionMeta,
    SessionNode,
    SessionRelation,
    TurnCommitStamp,
)
from lash.runtime.session.again import historic_node, is_committed, state_before
from lash.runtime.session.commit import commit_hash, resume_safe
from lash.runtime.session.graph import SessionGraph
from lash.runtime.session.view import SessionReadView
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.effects import RecordedWish
from lash.runtime.turn.handoff import store_successor
from lash.runtime.turn.inputs import (
    InvalidInput,
    SessionAttachments,
    TurnInput,
    input_json,
    refuse_blank,
    with_stored_images,
)
from lash.runtime.turn.journalled import JournalledTurn, ways_out
from lash.runtime.turn.lane import SessionLane, to_its_end
from lash.runtime.turn.mode import TurnSetup
from lash.runtime.turn.result import AssistantOutput, Execution, TurnResult
from lash.runtime.turn.run import TurnEnd, TurnFrame, TurnRefused, TurnRun
from lash.runtime.turn.settings import SessionParts, SessionPolicy, TurnRequest
from lash.runtime.turn.trace_turn import TurnTrace, place_of, session_started
from lash.runtime.turn.turn_plugins import recorded_inputs
from lash.runtime.usage import TURN

_log = logging.getLogger("lash.session")

LONGEST_FIRST_MESSAGE = 200
"""Characters of a session's first message that lists of sessions are given."""


class OpenSession:
    """One session, open. `turn_index` counts the turns that were committed."""

    def __init__(self, parts: SessionParts, policy: SessionPolicy) -> None:
        self.session_id = parts.session_id
        self.mode = parts.mode
        self.plugins = parts.plugins
        self.policy = policy
        self._parts = parts
        self._store = parts.store
        self._services = parts.services
        self._graph = SessionGraph()
        self._path: tuple[SessionNode, ...] = ()
        self._revision: int | None = None
        self._loaded_revision = 0
        self._usage: tuple[TokenLedgerEntry, ...] = ()
        self._last_prompt_usage = TokenUsage()
        self._blobs: dict[str, BlobRef] = {}
        self._successor: str | None = None
        self._tracer = parts.services.tracer.child(session_id=parts.session_id)
        self.turn_index = 0
        services = parts.services
        self._lane = SessionLane(
            parts.session_id,
            parts.store,
            parts.owner or services.owner,
            services.lease,
            services.clock,
            services.lock(parts.session_id),
        )
        self._stale = False
        self._running: tuple[str, CancelToken] | None = None
        self._stream: ActivityStream | None = None

    # --- opening -----------------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what the store has. Raises what `take_up` raises, and what stores raise."""
        await self.take_up(await self._store.load_session(self._services.read_scope))

    async def take_up(self, stored: PersistedSessionRead | None) -> None:
        """Take up what was read from the store. Raises SessionError (session_mode_mismatch), PluginError."""
        if stored is None:
            self._graph = SessionGraph()
            self.mode.opened((), None)
            await self.plugins.open(None, None)
            self._stale = False
            return
        if stored.config.mode != self.mode.mode_id:
            raise SessionError(
                "session_mode_mismatch",
                f"session {self.session_id!r} runs in mode {stored.config.mode!r}, not {self.mode.mode_id!r}: "
                "open it without `mode`, or take another session",
            )
        whole = len(stored.nodes) == stored.node_count
        graph = SessionGraph(stored.nodes, stored.leaf_node_id, whole=whole)
        if graph.heal_orphaned_leaf():
            _log.warning("session %s: its leaf was missing; it goes on behind its newest message", self.session_id)
        self.mode.opened(graph.active_events(), stored.execution_state)
        await self.plugins.open(stored.plugin_snapshot, stored.tool_state)
        self._graph = graph
        self._path = tuple(graph.active_path())
        self._revision = self._loaded_revision = stored.head_revision
        self._usage = stored.usage
        self._blobs = dict(stored.manifest)
        self._successor = stored.successor_session_id
        turns = stored.turn_state.get("turn_index")
        self.turn_index = turns if isinstance(turns, int) else 0
        self._stale = False
        await self.plugins.session.notify(SessionRestored(self.read_view()))

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
            model=self.policy.model,
            provider=self.policy.provider.kind,
            lash_version=lash_version,
        )

    def read_view(self) -> SessionReadView:
        """The session as it was committed last."""
        return SessionReadView(
            self.session_id,
            self._config(self.policy),
            self._revision,
            self.turn_index,
            self._path,
            self._usage,
            self._last_prompt_usage,
            self._successor,
        )

    async def get_historic_node(self, node_id: str) -> SessionNode | None:
        """A node of the session on any branch, read where it is not loaded; None where there is none."""
        return await historic_node(self._store, self._graph, node_id)

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
                await self._collect()
            finally:
                await self._store.aclose()

    async def _collect(self) -> None:
        """Drop states that nobody can fork any more, once in as many commits as are kept."""
        keep = self._services.keep_checkpoints
        if keep is not None and self._revision is not None and self._revision // keep > self._loaded_revision // keep:
            await self._store.gc_unreachable(keep)

    async def configure(self, policy: SessionPolicy, op_id: str) -> None:
        """Go on under another policy and store it; a session that has no turn yet stores it with its first.

        Raises SessionBusyError while a turn runs or is unfinished, StoreCommitFailed.
        """
        now = self._services.clock.monotonic()
        async with self._lane.hold(now) as held:
            await self._catch_up()
            await self._check_finished()
            before, self.policy = self.policy, policy
            if self._revision is None:
                return
            try:
                await self._commit_change(op_id, held.fence)
            except BaseException:
                self.policy = before
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
            await self._catch_up()
            await self._check_finished()
            plugins = self.plugins.session
            try:
                result = await plugins.act(plugins.action(name), args)
                if self._revision is not None and plugins.states.changed:
                    await self._commit_change(op_id, held.fence)
            except BaseException:
                # What it did to the plugin is not stored; the next use begins from the store.
                self._stale = True
                raise
            return result

    async def _commit_change(self, op_id: str, fence: LeaseFence) -> None:
        """Store what was changed outside a turn. Raises StoreCommitFailed."""
        await self._store_commit(
            RuntimeCommit(
                session_id=self.session_id,
                expected_head_revision=self._revision,
                config=self._config(self.policy),
                graph=self._graph.delta(),
                checkpoint=HydratedCheckpoint(
                    {"turn_index": self.turn_index},
                    tool_state=self.plugins.tool_state(self._blobs.get("tool_state")),
                    plugin_snapshot=self.plugins.plugin_snapshot(self._blobs.get("plugin_snapshot")),
                    execution_state=self._blobs.get("execution_state"),
                ),
                op_id=op_id,
                turn_index=self.turn_index,
                lease=fence,
            )
        )
        self.plugins.committed()

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
            await self._catch_up()
            before = await state_before(self._store, self._graph, request.turn_id)
            self._running = request.turn_id, token
            self._stream = stream
            run: TurnRun | None = None
            wish: RecordedWish | None = None
            effects = self._services.effects
            journal = JournalledTurn(effects, self.session_id, request, self._services.clock)
            images = SessionAttachments(self._services.attachments, self._store, request.turn_id)
            tracer = self._tracer.child(
                turn_id=request.trace_turn_id or request.turn_id,
                turn_index=(self.turn_index if before is None else before.turn_index) + 1,
            )
            trace = TurnTrace(tracer, request.policy.model)
            self.plugins.ports.begin(stream, tracer)
            try:
                request = replace(request, input=await with_stored_images(request.input, images))
                setup = TurnSetup(request.turn_id, self.turn_index + 1, request.options)
                termination = self.mode.begin_turn(setup)
                recorded_inputs(request.plugin_inputs, (request.effects or effects).durability)
                if before is not None:
                    await self._go_back(before)
                    setup = replace(setup, turn_index=self.turn_index + 1)
                elif journal.is_kept:
                    unfinished = await self._check_finished(request.turn_id)
                    wish = await journal.begin(request.input, unfinished, self._revision, trace, token)
                events = self._graph.active_events()
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
                    await self.load()
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
                self._stale = True
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
                self._stale = True
                result = self._refused(request, TurnStop.PluginAbort(code, message), TurnIssue("plugin", code, message))
            case TurnEnd():
                revision = await self._commit(frame, end)
                result = TurnResult(
                    outcome=end.outcome,
                    assistant_output=AssistantOutput.of(end.text),
                    session_id=self.session_id,
                    turn_id=request.turn_id,
                    turn_index=self.turn_index,
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

    async def _go_back(self, before: PersistedCheckpoint) -> None:
        """Be as the session was, in memory; the next use begins from the store."""
        self._stale = True
        leaf = before.path[-1].node_id if before.path else None
        self._graph = SessionGraph(before.path, leaf)
        self.mode.opened(self._graph.active_events(), before.execution_state)
        await self.plugins.open(before.plugin_snapshot, before.tool_state)
        self._blobs = dict(before.manifest)
        self.turn_index = before.turn_index

    async def _tell(self, result: TurnResult[Any]) -> None:
        """Tell plugins of a turn that is stored."""
        plugins = self.plugins.session
        await plugins.notify(TurnCommitted(result.turn_id, result.turn_index, result.outcome))
        await plugins.notify(TurnPersisted(self.read_view()))

    def _refused(self, request: TurnRequest, stop: AnyTurnStop, issue: TurnIssue) -> TurnResult[Any]:
        """The result of a turn that was not begun; nothing of it is stored."""
        return TurnResult(
            outcome=TurnOutcome.Stopped(stop),
            assistant_output=AssistantOutput.of(""),
            session_id=self.session_id,
            turn_id=request.turn_id,
            turn_index=self.turn_index,
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
        """The turn that a crash has left in the journal, if only between its commit and its answer.

        None where there is none, or no journal; also where the session has gone on without the turn, which cannot be
        driven again then.
        """
        effects = self._services.effects
        if not isinstance(effects, TurnJournal):
            return None
        found = await effects.unfinished_turn(self.session_id)
        if found is not None and self._running is None:
            # Looked up after it was found: a turn that began behind what this handle knows has not been passed over.
            await self._catch_up()
        if found is None or found.head_revision == self._revision or await self._is_committed(found.turn_id):
            return found
        await effects.seal_turn(ExecutionScope("turn", session_id=self.session_id, turn_id=found.turn_id))
        return None

    async def _is_committed(self, turn_id: str) -> bool:
        return await is_committed(self._store, self._graph, turn_id)

    async def _check_finished(self, turn_id: str | None = None) -> UnfinishedTurn | None:
        """The unfinished turn `turn_id`, if it is that; SessionBusyError where another one is unfinished.

        One that is committed is not unfinished: only its answer was lost, and that is noted now.
        """
        unfinished = await self.unfinished_turn()
        if unfinished is not None and await self._is_committed(unfinished.turn_id):
            effects = self._services.effects
            assert isinstance(effects, TurnJournal)
            await effects.seal_turn(ExecutionScope("turn", session_id=self.session_id, turn_id=unfinished.turn_id))
            return None
        if unfinished is not None and unfinished.turn_id != turn_id:
            raise SessionBusyError("turn_suspended", ways_out(self.session_id, unfinished))
        return unfinished

    # --- commits -----------------------------------------------------------------------------------

    async def _commit(self, frame: TurnFrame, end: TurnEnd) -> int:
        """Store the turn whole and give its lease back; the session is then what was stored.

        A successor is stored before it.
        """
        request = frame.request
        successor = end.outcome.session_id if isinstance(end.outcome, TurnOutcome.Handoff) else None
        events = resume_safe(end.made, f"m:{request.turn_id}:cancelled:0")
        rewritten = end.plugins.path([*self._graph.active_events(), *events])
        now_ms = self._services.clock.now_ms()
        if rewritten is None:
            self._graph.append(events, request.turn_id, now_ms)
        else:
            events = rewritten
            self._graph.rewrite(events, request.turn_id, now_ms)
        config = self._config(self.policy)
        turn_state: dict[str, JsonValue] = {"turn_index": self.turn_index + 1, "ended": ended_as(end.outcome)}
        state = self.mode.state()
        execution_state = state if state is not None else self._blobs.get("execution_state")
        if successor is not None:
            await self._store_successor(successor, config)
        digest = await commit_hash(
            config=config,
            events=events,
            turn_state=turn_state,
            usage=end.usage,
            completed_inputs=end.claims,
            successor_session_id=successor,
        )
        commit = RuntimeCommit(
            session_id=self.session_id,
            expected_head_revision=self._revision,
            config=config,
            graph=self._graph.delta(),
            checkpoint=HydratedCheckpoint(
                turn_state,
                tool_state=self.plugins.tool_state(self._blobs.get("tool_state")),
                plugin_snapshot=self.plugins.plugin_snapshot(self._blobs.get("plugin_snapshot")),
                execution_state=execution_state,
            ),
            op_id=request.turn_id,
            turn_index=self.turn_index + 1,
            turn_id=request.turn_id,
            usage_deltas=end.usage,
            turn_commit=TurnCommitStamp(self.session_id, request.turn_id, digest),
            lease=frame.lease.fence,
            # One that is answered by the stamp of the first does nothing, hence gives nothing back.
            release_lease=not frame.again,
            completed_inputs=tuple(end.claims),
            committed_attachment_ids=end.attachment_ids,
            successor_session_id=successor,
            meta=_after(await self._store.load_session_meta(), end.made, self.policy.model),
        )
        with frame.lease.giving_back() if commit.release_lease else nullcontext():
            revision = await self._store_commit(commit)
        self._successor = successor
        self._usage = (*self._usage, *end.usage)
        self.turn_index += 1
        self.mode.committed()
        self.plugins.committed()
        return revision

    async def _store_successor(self, session_id: str, config: PersistedSessionConfig) -> None:
        """Store the session that the turn goes on in; one that the mode did not ask for is there already."""
        successor = self.mode.successor(session_id)
        if successor is not None:
            await store_successor(
                self._services.stores,
                session_id,
                successor,
                parent_session_id=self.session_id,
                config=config,
                turn_index=self.turn_index + 1,
                plugin_snapshot=self.plugins.session.states.packed(),
                now_ms=self._services.clock.now_ms(),
            )

    async def _store_commit(self, commit: RuntimeCommit) -> int:
        """Send a commit and take up what it came to; the new revision. Raises StoreCommitFailed."""
        try:
            result = await to_its_end(self._store.commit_runtime_state(commit))
        except (HeadRevisionConflict, LeaseNotHeld) as error:
            raise StoreCommitFailed(
                "store_commit_failed", f"the turn is not stored: {error}", retryable=True
            ) from error
        self._graph.committed()
        self._path = tuple(self._graph.active_path())
        self._revision = result.head_revision
        self._blobs = dict(result.manifest)
        return result.head_revision

    def _config(self, policy: SessionPolicy) -> PersistedSessionConfig:
        return PersistedSessionConfig(
            mode=self.mode.mode_id,
            provider=policy.provider.kind,
            model=policy.model,
            model_variant=policy.model_variant,
            max_context_tokens=policy.max_context_tokens,
            max_turns=policy.max_turns,
            max_turns_set=policy.max_turns_set,
            extras={"own": list(policy.own)} if policy.own else {},
        )

    async def _catch_up(self) -> None:
        """Take up what others have committed since the session was loaded; only who holds the lease can rely on it."""
        if self._stale or await self._store.head_revision() != self._revision:
            await self.load()

    # --- the lane ----------------------------------------------------------------------------------


def _after(meta: SessionMeta | None, made: Sequence[SessionEventRecord], model: str) -> SessionMeta | None:
    """What lists show of a session behind a turn that made these events."""
    if meta is None:
        return None
    said = [
        event.message.text()
        for event in made
        if isinstance(event, SessionEvent.Conversation) and event.message.role == "user" and not event.message.origin
        if all(part.kind != "tool_result" for part in event.message.parts)
    ]
    first = meta.first_user_message or next((text[:LONGEST_FIRST_MESSAGE] for text in said if text), None)
    return replace(meta, model=model, first_user_message=first, user_message_count=meta.user_message_count + len(said))
