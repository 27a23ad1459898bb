"""An open session: its graph, its mode's state and its store, and the one turn that may run on it (runtime.md 3, 4).

A turn is lost whole or committed whole. Until the commit has been answered nothing of a turn is in the session: a turn
that raises, or whose process dies, leaves graph, variables and ledger as the last commit left them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from lash.runtime.errors import (
    HeadRevisionConflict,
    LeaseNotHeld,
    PluginError,
    SessionBusyError,
    SessionError,
    StoreCommitFailed,
    StoreError,
    TurnError,
)
from lash.runtime.plugins.contract import SessionConfigChanged, SessionRestored, TurnCommitted, TurnPersisted
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.config import TurnMachineConfig
from lash.runtime.sansio.effects import SurfaceUpdate
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import Message, MessageSequence, Part, SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import AnyTurnStop, TurnFinish, TurnIssue, TurnOutcome, TurnStop, ended_as
from lash.runtime.sansio.prompt import PromptContribution, PromptLayer, render_prompt, resolve
from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.sansio.values import JsonValue, from_json, to_json
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import (
    EffectController,
    EffectEnvelope,
    EffectHost,
    EffectInvocation,
    ExecutionScope,
    TurnJournal,
    UnfinishedTurn,
)
from lash.runtime.seams.persistence import (
    BlobRef,
    Boundary,
    HydratedCheckpoint,
    InputClaim,
    LeaseClaim,
    LeaseFence,
    LeaseOwner,
    PendingInput,
    PendingInputDraft,
    PersistedCheckpoint,
    PersistedSessionConfig,
    RuntimeCommit,
    RuntimePersistence,
    SessionMeta,
    SessionNode,
    SessionRelation,
    SessionStoreFactory,
    TurnCommitStamp,
)
from lash.runtime.session.again import committed_already, is_committed, state_before
from lash.runtime.session.commit import commit_hash, resume_safe
from lash.runtime.session.graph import SessionGraph
from lash.runtime.session.view import SessionReadView, conversation
from lash.runtime.tools.approvals import ApprovalDesk, ApproveCallback
from lash.runtime.tools.attempts import ToolLimits
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.dispatch import ToolDispatcher
from lash.runtime.tools.registry import ToolRegistry
from lash.runtime.tools.surface import ToolSurface
from lash.runtime.tools.threads import ToolThreads
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.driver import TurnDriver
from lash.runtime.turn.effects import Watched, carry_out
from lash.runtime.turn.handoff import store_successor
from lash.runtime.turn.inputs import (
    InvalidInput,
    SessionAttachments,
    TurnInput,
    input_json,
    user_message,
    with_stored_images,
)
from lash.runtime.turn.mode import ModeSession, SurfaceInput, TurnSetup
from lash.runtime.turn.plugins import SessionPlugins
from lash.runtime.turn.queued import HeardInput, QueuedInputs
from lash.runtime.turn.result import AssistantOutput, Execution, TurnResult
from lash.runtime.turn.tool_services import TurnToolServices
from lash.runtime.turn.trace_turn import TurnTrace, place_of, session_started
from lash.runtime.turn.tracer import Tracer
from lash.runtime.turn.turn_plugins import Prepared, TurnPlugins, recorded_inputs
from lash.runtime.usage import TURN

_log = logging.getLogger("lash.session")

T = TypeVar("T")

PREPARE_EFFECT = "0"
"""The id of the effect before the first of the turn machine's."""

FINALIZE_EFFECT = "end"
"""The id of the effect after its last."""

LONGEST_FIRST_MESSAGE = 200
"""Characters of a session's first message that lists of sessions are given."""

BUSY_POLL_S = 0.05
"""How often a turn that waits for another one looks again."""


@dataclass(frozen=True, slots=True)
class LeaseTimings:
    """How long a session is held and how often that is renewed; ValueError where it would lapse between."""

    ttl_s: float = 30.0
    renew_s: float = 10.0

    def __post_init__(self) -> None:
        if self.ttl_s < 3 * self.renew_s * (1 - 1e-9):  # 0.3 s are three times 0.1 s
            raise ValueError(f"a lease of {self.ttl_s:g} s has to be renewed every {self.ttl_s / 3:g} s at least")


@dataclass(frozen=True, slots=True)
class SessionServices:
    """What every session of a core shares."""

    effects: EffectHost
    stores: SessionStoreFactory
    attachments: AttachmentStore
    clock: Clock
    ids: IdSource
    threads: ToolThreads
    owner: LeaseOwner
    tracer: Tracer
    lease: LeaseTimings = LeaseTimings()
    tool_limits: ToolLimits = ToolLimits()  # noqa: RUF009 - frozen
    llm_deadline_s: float | None = 3600.0
    cancel_grace_s: float = 5.0
    keep_checkpoints: int | None = 32


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """Which model a session's turns call, and how often; `own` names what was said for this session itself.

    `output_limit` is what the model can write in a reply at most, where that is known.
    """

    provider: ProviderHandle
    model: str
    model_variant: str | None
    max_context_tokens: int | None
    max_turns: int | None
    max_turns_set: bool = False
    own: tuple[str, ...] = ()
    output_limit: int | None = None


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn: its input, and what was given for it alone; `recorded` is what a journal keeps of the options.

    `layers` are the turn's own prompt layers, `plugin_inputs` what plugins are given by their ids; `approve` and
    `effects` stand for the session's. For `wait_if_busy` seconds the turn waits for another one to end. `trace_turn_id`
    is its id in the trace. `queued_only` says that it takes what is queued, and does nothing where nothing is.
    """

    turn_id: str
    input: TurnInput
    policy: SessionPolicy
    layers: tuple[PromptLayer, ...] = ()
    plugin_inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    approve: ApproveCallback | None = None
    effects: EffectController | None = None
    wait_if_busy: float = 0.0
    trace_turn_id: str | None = None
    queued_only: bool = False
    handed_on: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    recorded: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    value_type: type[Any] | None = None
    autonomous: bool = False


@dataclass(frozen=True, slots=True)
class _Start:
    """What a turn begins with besides its own input, as the journal holds it."""

    heard: HeardInput
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class _Finished:
    """What plugins want to be kept behind a turn, as the journal holds it."""

    messages: tuple[Message, ...] = ()


class OpenSession:
    """One session, open. `turn_index` counts the turns that were committed."""

    def __init__(
        self,
        session_id: str,
        store: RuntimePersistence,
        mode: ModeSession,
        registry: ToolRegistry,
        plugins: SessionPlugins,
        services: SessionServices,
        policy: SessionPolicy,
        layers: tuple[PromptLayer, ...],
        desk: ApprovalDesk,
    ) -> None:
        self.session_id = session_id
        self.mode = mode
        self.registry = registry
        self.plugins = plugins
        self.policy = policy
        self._store = store
        self._services = services
        self._layers = layers
        self._desk = desk
        self._graph = SessionGraph()
        self._path: tuple[SessionNode, ...] = ()
        self._revision: int | None = None
        self._loaded_revision = 0
        self._usage: tuple[TokenLedgerEntry, ...] = ()
        self._last_prompt_usage = TokenUsage()
        self._blobs: dict[str, BlobRef] = {}
        self._successor: str | None = None
        self._tracer = services.tracer.child(session_id=session_id)
        self.turn_index = 0
        self._lane = asyncio.Lock()
        self._stale = False
        self._again = False
        self._running: tuple[str, CancelToken] | None = None
        self._driving = False

    # --- opening -----------------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what the store has. Raises SessionError (session_mode_mismatch), PluginError, what stores raise."""
        stored = await self._store.load_session("full_graph")
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
        graph = SessionGraph(stored.nodes, stored.leaf_node_id)
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

    async def aclose(self) -> None:
        """Give up what the session holds in memory; its store stays, without what no turn needs any more."""
        self.cancel_running("the session was closed")
        async with self._lane:
            self.mode.close()
            try:
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
        async with self._in_lane(now), self._leased(now) as fence:
            await self._catch_up()
            await self._check_finished()
            before, self.policy = self.policy, policy
            if self._revision is None:
                return
            try:
                await self._commit_change(op_id, fence)
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
        async with self._in_lane(now), self._leased(now) as fence:
            await self._catch_up()
            await self._check_finished()
            plugins = self.plugins.session
            try:
                result = await plugins.act(plugins.action(name), args)
                if self._revision is not None and plugins.states.changed:
                    await self._commit_change(op_id, fence)
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
        StoreCommitFailed, what the effect host raises, and CancelledError; then nothing has been committed.
        """
        until = self._services.clock.monotonic() + request.wait_if_busy
        async with self._in_lane(until), self._leased(until) as fence:
            await self._catch_up()
            before = await state_before(self._store, self._graph, request.turn_id)
            self._running = request.turn_id, token
            self._driving = False
            scope = ExecutionScope("turn", session_id=self.session_id, turn_id=request.turn_id)
            effects = self._services.effects
            journal = effects if isinstance(effects, TurnJournal) and request.effects is None else None
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
                elif journal is not None:
                    await self._note(journal, scope, request, trace)
                self._again = before is not None
                result = await self._run(request, setup, termination, stream, token, fence, scope, images, trace)
                if before is not None:
                    await self.load()
                if journal is not None:
                    await asyncio.shield(journal.seal_turn(scope))
                if result is not None and result.revision is not None:
                    await self._tell(result)
                return result
            except InvalidInput as error:
                if journal is not None:
                    await asyncio.shield(journal.seal_turn(scope))
                issue = TurnIssue("input", "invalid_input", error.message)
                refused = self._refused(request, TurnStop.InvalidInput(error.message), issue)
                trace.started((), "host")
                trace.ended(refused.outcome)
                return refused
            except BaseException as error:
                trace.failed(error)
                if journal is not None and not self._driving and isinstance(error, TurnError | PluginError):
                    # It has not begun, so there is nothing that could be resumed.
                    await asyncio.shield(journal.seal_turn(scope))
                # The mode's state may have moved on; the next use begins from the store.
                self._stale = True
                raise
            finally:
                self._running = None
                self.plugins.ports.end()
                self.mode.end_turn()

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
        body = input_json(await with_stored_images(given, images))
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
        if self._stale:
            await self.load()
        found = await effects.unfinished_turn(self.session_id)
        if found is None or found.head_revision == self._revision or is_committed(self._graph, found.turn_id):
            return found
        await effects.seal_turn(ExecutionScope("turn", session_id=self.session_id, turn_id=found.turn_id))
        return None

    async def _note(self, journal: TurnJournal, scope: ExecutionScope, request: TurnRequest, trace: TurnTrace) -> None:
        """Note in the journal that this turn runs; SessionBusyError while another one is unfinished."""
        unfinished = await self._check_finished(request.turn_id)
        if unfinished is not None:
            trace.resumed(unfinished.recorded_effects)
        await journal.begin_turn(scope, self._revision, input_json(request.input), request.recorded)

    async def _check_finished(self, turn_id: str | None = None) -> UnfinishedTurn | None:
        """The unfinished turn `turn_id`, if it is that; SessionBusyError where another one is unfinished.

        One that is committed is not unfinished: only its answer was lost, and that is noted now.
        """
        unfinished = await self.unfinished_turn()
        if unfinished is not None and is_committed(self._graph, unfinished.turn_id):
            effects = self._services.effects
            assert isinstance(effects, TurnJournal)
            await effects.seal_turn(ExecutionScope("turn", session_id=self.session_id, turn_id=unfinished.turn_id))
            return None
        if unfinished is not None and unfinished.turn_id != turn_id:
            raise SessionBusyError(
                "turn_suspended",
                f"turn {unfinished.turn_id!r} of session {self.session_id!r} was interrupted: "
                "resume it with session.resume_turn() first",
            )
        return unfinished

    async def _prepare(
        self,
        controller: EffectController,
        queued: QueuedInputs,
        plugins: TurnPlugins,
        request: TurnRequest,
        begin: Callable[[HeardInput], Sequence[SessionEventRecord]],
        iteration: int,
        token: CancelToken,
    ) -> _Start:
        """What waited for a turn to begin, and what plugins make of it with what the turn `begin`s with then.

        It is an effect, so that a turn that is driven again begins with the same.
        """

        async def work() -> JsonValue:
            if self._again:
                raise committed_already(request.turn_id)
            heard = await queued.take(None)
            if request.queued_only and not heard.input_ids:
                return to_json(_Start(heard, Prepared()))
            return to_json(_Start(heard, await plugins.prepare(conversation(begin(heard)), token)))

        inputs = recorded_inputs(request.plugin_inputs, controller.durability)
        command: dict[str, JsonValue] = {"plugin_inputs": inputs} if inputs else {}
        invocation = EffectInvocation(
            self.session_id, request.turn_id, self.turn_index + 1, iteration, PREPARE_EFFECT, "prepare_turn"
        )
        envelope = EffectEnvelope(invocation, {"kind": "prepare_turn", **command})
        outcome = await carry_out(controller, envelope, work, plugins.state)
        start = from_json(_Start, outcome.value)
        if outcome.replayed and start.heard.input_ids:
            await queued.take_again(None, start.heard.input_ids)
        return start

    async def _finish(
        self, controller: EffectController, plugins: TurnPlugins, request: TurnRequest, machine: TurnMachine
    ) -> tuple[Message, ...]:
        """What plugins want to be kept behind the turn; an effect where one of them has a hook."""
        outcome = machine.outcome
        assert outcome is not None

        async def work() -> JsonValue:
            return to_json(_Finished(await plugins.finish(outcome, machine.messages)))

        if not self.plugins.session.finalises_turns:
            return await plugins.finish(outcome, machine.messages)
        invocation = EffectInvocation(
            self.session_id,
            request.turn_id,
            self.turn_index + 1,
            machine.mode_iteration,
            FINALIZE_EFFECT,
            "finalize_turn",
        )
        envelope = EffectEnvelope(invocation, {"kind": "finalize_turn"})
        done = await carry_out(controller, envelope, work, plugins.state)
        return from_json(_Finished, done.value).messages

    async def _run(
        self,
        request: TurnRequest,
        setup: TurnSetup,
        termination: JsonValue,
        stream: ActivityStream,
        token: CancelToken,
        fence: LeaseFence,
        scope: ExecutionScope,
        images: SessionAttachments,
        trace: TurnTrace,
    ) -> TurnResult[Any] | None:
        services = self._services
        plugins = TurnPlugins(self.plugins, request.turn_id, setup.turn_index, request.plugin_inputs, services.clock)
        policy = plugins.policy(request.policy)
        request = replace(request, policy=policy)
        before = self._graph.active_events()
        offset = _iterations(before)
        max_turns = policy.max_turns if policy.max_turns_set else self.mode.default_max_turns
        queued = QueuedInputs(self._store, fence, request.turn_id, images)
        said = await user_message(request.input, f"m:{request.turn_id}:input:0", images)

        def given(heard: HeardInput) -> tuple[Message, ...]:
            return heard.messages if said is None else (*heard.messages, said)

        def begin(heard: HeardInput) -> list[SessionEventRecord]:
            # Told here and not when all is prepared: hooks before the turn may write into its trace.
            trace.started(given(heard), "handoff" if request.handed_on else "host" if said else "queue")
            return [*before, *(SessionEvent.Conversation(message) for message in given(heard))]

        async with _controller(services.effects, request.effects, scope) as carrier:
            controller = Watched(carrier, lambda replayed: stream.after_effect(replayed=replayed))
            start = await self._prepare(controller, queued, plugins, request, begin, offset, token)
            heard, prepared = start.heard, start.prepared
            if request.queued_only and not heard.input_ids:
                return None
            begun = begin(heard)
            trace.listen(stream)
            if prepared.abort is not None:
                # What its hooks did to plugins is not stored; the next use begins from the store.
                self._stale = True
                return self._aborted(request, trace, *prepared.abort)
            events = (*begun, *(SessionEvent.Conversation(message) for message in prepared.messages))
            messages = conversation(events) if prepared.view is None else MessageSequence(prepared.view)
            if prepared.rewritten is not None:
                plugins.rewrite(len(events), prepared.rewritten)
            tools = plugins.first_surface()
            surface = self._surface(request, trace, tools, prepared.prompt, messages, events, offset, offset, max_turns)
            machine = TurnMachine(
                TurnMachineConfig(
                    driver=self.mode.driver(setup),
                    projector=self.mode.projector,
                    model=policy.provider.resolve_model(policy.model),
                    model_variant=policy.model_variant,
                    session_id=self.session_id,
                    turn_id=request.turn_id,
                    max_turns=max_turns,
                    autonomous=request.autonomous,
                    sync_execution_surface=self.mode.sync_execution_surface,
                    system_prompt=surface.system_prompt,
                    tool_specs=surface.tool_specs,
                    mode_view=surface.mode_view,
                    termination=termination,
                    can_rewrite_on_overflow=self.plugins.session.can_rewrite,
                    turn_limit_final_message=self.mode.turn_limit_message,
                ),
                messages,
                events,
                mode_run_offset=offset,
            )
            if heard.input_ids and not request.handed_on:
                await stream.emit(self.session_id, TurnEvent.QueuedInputAccepted("prepare_turn", heard.input_ids))
            if prepared.messages:
                taken = TurnEvent.QueuedMessagesCommitted(prepared.messages, "prepare_turn")
                await stream.emit(self.session_id, taken)

            def refresh(now: Sequence[SessionEventRecord]) -> SurfaceUpdate:
                tools, iteration = dispatcher.surface, machine.mode_iteration
                said = plugins.prompt(tools)
                return self._surface(request, trace, tools, said, machine.messages, now, iteration, offset, max_turns)

            dispatcher = ToolDispatcher(
                surface=tools,
                registry=self.registry,
                controller=controller,
                clock=services.clock,
                threads=services.threads,
                token=token,
                emit=lambda event, row: stream.emit(self.session_id, event, row),
                limits=services.tool_limits,
                desk=self._desk if request.approve is None else ApprovalDesk(request.approve),
                services=TurnToolServices(
                    session_id=self.session_id,
                    mode_id=self.mode.mode_id,
                    turn_index=setup.turn_index,
                    machine=machine,
                    provider=policy.provider,
                    model=policy.model,
                    llm_deadline_s=services.llm_deadline_s,
                    stores=services.stores,
                    images=images,
                    inputs=request.plugin_inputs,
                    emit=lambda event, row: stream.emit(self.session_id, event, row),
                    trace=trace,
                ),
                hooks=plugins.tools if plugins.tools.has_any else None,
                state=plugins.state,
                observer=trace.tools,
            )
            driver = TurnDriver(
                session_id=self.session_id,
                turn_id=request.turn_id,
                turn_index=setup.turn_index,
                machine=machine,
                mode=self.mode,
                provider=policy.provider,
                controller=controller,
                dispatcher=dispatcher,
                stream=stream,
                attachments=images,
                clock=services.clock,
                token=token,
                llm_deadline_s=services.llm_deadline_s,
                max_context_tokens=policy.max_context_tokens,
                output_limit=policy.output_limit,
                cancel_grace_s=services.cancel_grace_s,
                refresh=refresh,
                queued=queued,
                plugins=plugins,
                trace=trace,
            )
            self._driving = True
            await driver.run()
            closing = await self._finish(controller, plugins, request, machine)
        made = list(machine.events[len(before) :])
        outcome = machine.outcome
        assert outcome is not None
        match outcome:
            case TurnOutcome.Finished(finish=TurnFinish.AssistantMessage(text=text)):
                number = f"m:{request.turn_id}:final:0"
                said = Message(number, "assistant", (Part(f"{number}.p0", "prose", text),))
                made.append(SessionEvent.Conversation(said))
            case _:
                text = ""
        made.extend(SessionEvent.Conversation(message) for message in closing)
        own = [TokenLedgerEntry(source, policy.model, used) for source, used in machine.cumulative_usage.items()]
        usage = (*own, *dispatcher.usage)
        successor = outcome.session_id if isinstance(outcome, TurnOutcome.Handoff) else None
        revision = await self._commit(
            request, plugins, made, usage, queued.claims, fence, tuple(images.used), successor, ended_as(outcome)
        )
        trace.ended(outcome)
        return TurnResult(
            outcome=outcome,
            assistant_output=AssistantOutput.of(text),
            session_id=self.session_id,
            turn_id=request.turn_id,
            turn_index=self.turn_index,
            revision=revision,
            execution=Execution(self.mode.mode_id, bool(driver.tool_calls), driver.ran_code),
            usage=machine.cumulative_usage.get(TURN, TokenUsage()),
            children_usage=tuple(entry for entry in usage if entry.source != TURN),
            tool_calls=tuple(driver.tool_calls),
            errors=tuple(stream.issues),
            value_type=request.value_type,
        )

    def _aborted(self, request: TurnRequest, trace: TurnTrace, code: str, message: str) -> TurnResult[Any]:
        """The result of a turn that a plugin did not want."""
        refused = self._refused(request, TurnStop.PluginAbort(code, message), TurnIssue("plugin", code, message))
        trace.ended(refused.outcome)
        return refused

    def _surface(
        self,
        request: TurnRequest,
        trace: TurnTrace,
        surface: ToolSurface,
        contributions: Sequence[PromptContribution],
        messages: Sequence[Message],
        events: Sequence[SessionEventRecord],
        iteration: int,
        offset: int,
        max_turns: int | None,
    ) -> SurfaceUpdate:
        """Prompt, tools and the mode's view as they are now; `contributions` are those of plugins."""
        prompt = self.mode.prompt(
            SurfaceInput(
                tool_specs=surface.specs,
                tool_notes=surface.notes,
                messages=messages,
                events=events,
                mode_iteration=iteration,
                mode_run_offset=offset,
                max_turns=max_turns,
                max_context_tokens=request.policy.max_context_tokens,
            )
        )
        mode_and_plugins = PromptLayer().add(*prompt.contributions).add(*contributions)
        layer = resolve([mode_and_plugins, *self._layers, *request.layers])
        text = render_prompt(layer, prompt.execution, surface.specs)
        trace.prompt(text, layer, prompt.execution)
        return SurfaceUpdate(text, surface.specs, prompt.view)

    # --- commits -----------------------------------------------------------------------------------

    async def _commit(
        self,
        request: TurnRequest,
        plugins: TurnPlugins,
        made: list[SessionEventRecord],
        usage: tuple[TokenLedgerEntry, ...],
        claims: Sequence[InputClaim],
        fence: LeaseFence,
        attachment_ids: tuple[str, ...],
        successor: str | None,
        ended: str,
    ) -> int:
        """Store the turn whole; the session is then what was stored. A successor is stored before it."""
        events = resume_safe(made, f"m:{request.turn_id}:cancelled:0")
        rewritten = plugins.path([*self._graph.active_events(), *events])
        now_ms = self._services.clock.now_ms()
        if rewritten is None:
            self._graph.append(events, request.turn_id, now_ms)
        else:
            events = rewritten
            self._graph.rewrite(events, request.turn_id, now_ms)
        config = self._config(self.policy)
        turn_state: dict[str, JsonValue] = {"turn_index": self.turn_index + 1, "ended": ended}
        state = self.mode.state()
        execution_state = state if state is not None else self._blobs.get("execution_state")
        if successor is not None:
            await self._store_successor(successor, config)
        digest = commit_hash(
            config=config,
            events=events,
            turn_state=turn_state,
            usage=usage,
            completed_inputs=claims,
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
            usage_deltas=usage,
            turn_commit=TurnCommitStamp(self.session_id, request.turn_id, digest),
            lease=fence,
            completed_inputs=tuple(claims),
            committed_attachment_ids=attachment_ids,
            successor_session_id=successor,
            meta=_after(await self._store.load_session_meta(), made, self.policy.model),
        )
        revision = await self._store_commit(commit)
        self._successor = successor
        self._usage = (*self._usage, *usage)
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

    @asynccontextmanager
    async def _in_lane(self, until: float) -> AsyncGenerator[None]:
        """Hold the session in this process; SessionBusyError where another turn still does at `until`."""
        while self._lane.locked():
            if not await self._wait_a_little(until):
                raise SessionBusyError(
                    "session_execution_busy", f"session {self.session_id!r} runs a turn", retryable=True
                )
        async with self._lane:
            yield

    async def _wait_a_little(self, until: float) -> bool:
        """Sleep, unless it is too late already."""
        left = until - self._services.clock.monotonic()
        if left > 0:
            await self._services.clock.sleep(min(left, BUSY_POLL_S))
        return left > 0

    @asynccontextmanager
    async def _leased(self, until: float) -> AsyncGenerator[LeaseFence]:
        """Hold the session in the store; renewed while the turn runs, given back after it.

        SessionBusyError where somebody else still holds it at `until`, SessionError (session_execution_lease_lost)
        where somebody else took it before the turn was over.
        """
        services = self._services
        ttl_ms = int(services.lease.ttl_s * 1000)
        while True:
            claim = await self._claim(ttl_ms)
            if isinstance(claim, LeaseClaim.Acquired) or not await self._wait_a_little(until):
                break
        if isinstance(claim, LeaseClaim.Busy):
            raise SessionBusyError(
                "session_execution_busy",
                f"session {self.session_id!r} is held by {claim.holder.owner_id!r}",
                retryable=True,
            )
        fence = claim.lease.fence
        turn, lost = asyncio.current_task(), asyncio.Event()
        assert turn is not None
        renewing = asyncio.create_task(self._renew(fence, ttl_ms, turn, lost))
        try:
            yield fence
        except asyncio.CancelledError:
            if lost.is_set() and not turn.uncancel():
                raise SessionError(
                    "session_execution_lease_lost",
                    f"session {self.session_id!r} was taken over while its turn ran; nothing of the turn is stored",
                    retryable=True,
                ) from None
            raise
        finally:
            renewing.cancel()
            await to_its_end(self._release(fence, renewing))

    async def _claim(self, ttl_ms: int) -> LeaseClaim.Acquired | LeaseClaim.Busy:
        """Ask for the session's lease; one that comes when nobody waits for it any more is given back."""
        claiming = asyncio.ensure_future(self._store.claim_lease(self._services.owner, ttl_ms))
        try:
            return await to_its_end(claiming)
        except asyncio.CancelledError:
            if claiming.exception() is None and isinstance(claim := claiming.result(), LeaseClaim.Acquired):
                await to_its_end(self._store.release_lease(claim.lease.fence))
            raise

    async def _release(self, fence: LeaseFence, renewing: asyncio.Task[None]) -> None:
        """Give the lease back once nobody renews it any more."""
        await asyncio.wait([renewing])
        await self._store.release_lease(fence)

    async def _renew(self, fence: LeaseFence, ttl_ms: int, turn: asyncio.Task[Any], lost: asyncio.Event) -> None:
        """Keep the lease; give the turn up where somebody else has it."""
        while True:
            await self._services.clock.sleep(self._services.lease.renew_s)
            try:
                await self._store.renew_lease(fence, ttl_ms)
            except LeaseNotHeld:
                _log.error("session %s: its lease was lost; the turn is given up", self.session_id)
                lost.set()
                turn.cancel()
                return
            except StoreError as error:
                # The lease lasts for two more tries.
                _log.warning("session %s: its lease could not be renewed: %s", self.session_id, error)


def _after(meta: SessionMeta | None, made: Sequence[SessionEventRecord], model: str) -> SessionMeta | None:
    """What lists show of a session behind a turn that made these events."""
    if meta is None:
        return None
    said = [
        event.message.text()
        for event in made
        if isinstance(event, SessionEvent.Conversation) and event.message.role == "user" and not event.message.origin
    ]
    first = meta.first_user_message or next((text[:LONGEST_FIRST_MESSAGE] for text in said if text), None)
    return replace(meta, model=model, first_user_message=first, user_message_count=meta.user_message_count + len(said))


async def to_its_end(work: Awaitable[T]) -> T:
    """What the work gives, which is not stopped with this task: its cancellation is raised when the work has ended."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and (lost := task.exception()) is not None:
            _log.warning("work of a cancelled task failed: %s", lost)
        raise cancelled
    return task.result()


def _controller(
    effects: EffectHost, given: EffectController | None, scope: ExecutionScope
) -> contextlib.AbstractAsyncContextManager[EffectController]:
    """What carries the turn's effects out: what was given for it, or the host's controller."""
    return effects.scoped(scope) if given is None else contextlib.nullcontext(given)


def _iterations(events: Sequence[SessionEventRecord]) -> int:
    """The number of the next mode iteration: one more than the greatest that the session has seen."""
    last = -1
    for event in events:
        if isinstance(event, SessionEvent.Mode):
            number = event.payload.get("mode_iteration")
            if isinstance(number, int) and number > last:
                last = number
    return last + 1
