"""An open session: its graph, its mode's state and its store, and the one turn that may run on it (runtime.md 3, 4).

A turn is lost whole or committed whole. Until the commit has been answered nothing of a turn is in the session: a turn
that raises, or whose process dies, leaves graph, variables and ledger as the last commit left them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from lash.runtime.errors import (
    HeadRevisionConflict,
    LeaseNotHeld,
    SessionBusyError,
    SessionError,
    StoreCommitFailed,
)
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.config import TurnMachineConfig
from lash.runtime.sansio.effects import SurfaceUpdate
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import Message, Part, SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import TurnFinish, TurnIssue, TurnOutcome, TurnStop
from lash.runtime.sansio.prompt import PromptLayer, render_prompt, resolve
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
    PersistedSessionConfig,
    RuntimeCommit,
    RuntimePersistence,
    TurnCommitStamp,
)
from lash.runtime.session.commit import commit_hash, resume_safe
from lash.runtime.session.graph import SessionGraph
from lash.runtime.session.view import SessionReadView, conversation
from lash.runtime.tools.approvals import ApprovalDesk, ApproveCallback
from lash.runtime.tools.attempts import ToolLimits
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.dispatch import ToolDispatcher
from lash.runtime.tools.registry import ToolRegistry
from lash.runtime.tools.threads import ToolThreads
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.driver import LocalWork, TurnDriver
from lash.runtime.turn.inputs import (
    InvalidInput,
    SessionAttachments,
    TurnInput,
    input_json,
    user_message,
    with_stored_images,
)
from lash.runtime.turn.mode import ModeSession, SurfaceInput, TurnSetup
from lash.runtime.turn.queued import HeardInput, QueuedInputs
from lash.runtime.turn.result import AssistantOutput, Execution, TurnResult
from lash.runtime.turn.trace_turn import TurnTrace
from lash.runtime.turn.tracer import Tracer
from lash.runtime.usage import TURN

_log = logging.getLogger("lash.session")

PREPARE_EFFECT = "0"
"""The id of the effect before the first of the turn machine's."""

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

    `layers` are the turn's own prompt layers; `approve` and `effects` stand for the session's. For `wait_if_busy`
    seconds the turn waits for another one to end. `trace_turn_id` is its id in the trace. `queued_only` says that it
    takes what is queued, and does nothing where nothing is.
    """

    turn_id: str
    input: TurnInput
    policy: SessionPolicy
    layers: tuple[PromptLayer, ...] = ()
    approve: ApproveCallback | None = None
    effects: EffectController | None = None
    wait_if_busy: float = 0.0
    trace_turn_id: str | None = None
    queued_only: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    recorded: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    value_type: type[Any] | None = None
    autonomous: bool = False


class OpenSession:
    """One session, open. `turn_index` counts the turns that were committed."""

    def __init__(
        self,
        session_id: str,
        store: RuntimePersistence,
        mode: ModeSession,
        registry: ToolRegistry,
        services: SessionServices,
        policy: SessionPolicy,
        layers: tuple[PromptLayer, ...],
        desk: ApprovalDesk,
    ) -> None:
        self.session_id = session_id
        self.mode = mode
        self.registry = registry
        self.policy = policy
        self._store = store
        self._services = services
        self._layers = layers
        self._desk = desk
        self._graph = SessionGraph()
        self._revision: int | None = None
        self._loaded_revision = 0
        self._usage: tuple[TokenLedgerEntry, ...] = ()
        self._last_prompt_usage = TokenUsage()
        self._blobs: dict[str, BlobRef] = {}
        self._successor: str | None = None
        self.turn_index = 0
        self._lane = asyncio.Lock()
        self._stale = False
        self._running: tuple[str, CancelToken] | None = None

    # --- opening -----------------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what the store has. Raises SessionError (session_mode_mismatch) and what stores raise."""
        stored = await self._store.load_session("full_graph")
        if stored is None:
            self._graph = SessionGraph()
            self.mode.opened((), None)
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
        self._graph = graph
        self._revision = self._loaded_revision = stored.head_revision
        self._usage = stored.usage
        self._blobs = dict(stored.manifest)
        self._successor = stored.successor_session_id
        turns = stored.turn_state.get("turn_index")
        self.turn_index = turns if isinstance(turns, int) else 0
        self._stale = False

    def read_view(self) -> SessionReadView:
        """The session as it was committed last."""
        return SessionReadView(
            self.session_id,
            self._config(self.policy),
            self._revision,
            self.turn_index,
            tuple(self._graph.active_path()),
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

        Raises SessionBusyError while a turn runs, StoreCommitFailed.
        """
        now = self._services.clock.monotonic()
        async with self._in_lane(now), self._leased(now) as fence:
            if self._stale:
                await self.load()
            before, self.policy = self.policy, policy
            if self._revision is None:
                return
            try:
                await self._store_commit(
                    RuntimeCommit(
                        session_id=self.session_id,
                        expected_head_revision=self._revision,
                        config=self._config(policy),
                        graph=self._graph.delta(),
                        checkpoint=HydratedCheckpoint({"turn_index": self.turn_index}, **self._blobs),
                        op_id=op_id,
                        turn_index=self.turn_index,
                        lease=fence,
                    )
                )
            except BaseException:
                self.policy = before
                raise

    # --- turns -------------------------------------------------------------------------------------

    async def run_turn(
        self, request: TurnRequest, stream: ActivityStream, token: CancelToken
    ) -> TurnResult[Any] | None:
        """Run one turn and commit it; None where it was to take queued input and there is none.

        Raises SessionBusyError while another turn holds the session, TurnError for options that the mode refuses,
        StoreCommitFailed, what the effect host raises, and CancelledError; then nothing has been committed.
        """
        until = self._services.clock.monotonic() + request.wait_if_busy
        async with self._in_lane(until), self._leased(until) as fence:
            if self._stale:
                await self.load()
            self._running = request.turn_id, token
            scope = ExecutionScope("turn", session_id=self.session_id, turn_id=request.turn_id)
            effects = self._services.effects
            journal = effects if isinstance(effects, TurnJournal) and request.effects is None else None
            images = SessionAttachments(self._services.attachments, self._store, request.turn_id)
            trace = self._trace_of(request)
            try:
                request = replace(request, input=await with_stored_images(request.input, images))
                if journal is not None:
                    await self._note(journal, scope, request, trace)
                result = await self._run(request, stream, token, fence, scope, images, trace)
                if journal is not None:
                    await asyncio.shield(journal.seal_turn(scope))
                return result
            except InvalidInput as error:
                if journal is not None:
                    await asyncio.shield(journal.seal_turn(scope))
                refused = self._refused(request, error)
                trace.started(())
                trace.ended(refused.outcome)
                return refused
            except BaseException as error:
                trace.failed(error)
                # The mode's state may have moved on; the next use begins from the store.
                self._stale = True
                raise
            finally:
                self._running = None
                self.mode.end_turn()
                await stream.close()

    def _trace_of(self, request: TurnRequest) -> TurnTrace:
        """The trace of a turn; what the host calls the turn there stands for its id."""
        place = {"session_id": self.session_id, "turn_id": request.trace_turn_id or request.turn_id}
        return TurnTrace(self._services.tracer.child(**place, turn_index=self.turn_index + 1), request.policy.model)

    def _refused(self, request: TurnRequest, error: InvalidInput) -> TurnResult[Any]:
        """The result of a turn whose input cannot be used; nothing of it is stored."""
        return TurnResult(
            outcome=TurnOutcome.Stopped(TurnStop.InvalidInput(error.message)),
            assistant_output=AssistantOutput.of(""),
            session_id=self.session_id,
            turn_id=request.turn_id,
            turn_index=self.turn_index,
            revision=None,
            execution=Execution(self.mode.mode_id, had_tool_calls=False, had_code_execution=False),
            errors=(TurnIssue("input", "invalid_input", error.message),),
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
        """The turn that a crash has left in the journal; None where there is none, or no journal.

        One that was committed before its end could be noted is noted now.
        """
        effects = self._services.effects
        if not isinstance(effects, TurnJournal):
            return None
        found = await effects.unfinished_turn(self.session_id)
        if found is not None and found.head_revision != self._revision:
            await effects.seal_turn(ExecutionScope("turn", session_id=self.session_id, turn_id=found.turn_id))
            return None
        return found

    async def _note(self, journal: TurnJournal, scope: ExecutionScope, request: TurnRequest, trace: TurnTrace) -> None:
        """Note in the journal that this turn runs; SessionBusyError while another one is unfinished."""
        unfinished = await self.unfinished_turn()
        if unfinished is not None and unfinished.turn_id != request.turn_id:
            raise SessionBusyError(
                "turn_suspended",
                f"turn {unfinished.turn_id!r} of session {self.session_id!r} was interrupted: "
                "resume it with session.resume_turn() first",
            )
        if unfinished is not None:
            trace.resumed(unfinished.recorded_effects)
        await journal.begin_turn(scope, self._revision, input_json(request.input), request.recorded)

    async def _prepare(
        self, controller: EffectController, queued: QueuedInputs, turn_id: str, iteration: int
    ) -> HeardInput:
        """What waited for a turn to begin: an effect, so that a turn that is driven again begins with the same."""

        async def work() -> JsonValue:
            return to_json(await queued.take(None))

        invocation = EffectInvocation(
            self.session_id, turn_id, self.turn_index + 1, iteration, PREPARE_EFFECT, "prepare_turn"
        )
        envelope = EffectEnvelope(invocation, {"kind": "prepare_turn"})
        outcome = await controller.execute(envelope, LocalWork(work))
        heard = from_json(HeardInput, outcome.value)
        if outcome.replayed and heard.input_ids:
            await queued.take_again(None, heard.input_ids)
        return heard

    async def _run(
        self,
        request: TurnRequest,
        stream: ActivityStream,
        token: CancelToken,
        fence: LeaseFence,
        scope: ExecutionScope,
        images: SessionAttachments,
        trace: TurnTrace,
    ) -> TurnResult[Any] | None:
        services, policy = self._services, request.policy
        setup = TurnSetup(request.turn_id, self.turn_index + 1, request.options)
        termination = self.mode.begin_turn(setup)
        before = self._graph.active_events()
        offset = _iterations(before)
        max_turns = policy.max_turns if policy.max_turns_set else self.mode.default_max_turns
        queued = QueuedInputs(self._store, fence, request.turn_id, images)
        async with _controller(services.effects, request.effects, scope) as controller:
            heard = await self._prepare(controller, queued, request.turn_id, offset)
            if request.queued_only and not heard.input_ids:
                return None
            said = await user_message(request.input, f"m:{request.turn_id}:input:0", images)
            new = heard.messages if said is None else (*heard.messages, said)
            trace.started(new, queued=said is None)
            trace.listen(stream)
            events = (*before, *(SessionEvent.Conversation(message) for message in new))
            messages = conversation(events)
            surface = self._surface(request, trace, messages, events, offset, offset, max_turns)
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
                ),
                messages,
                events,
                mode_run_offset=offset,
            )
            if heard.input_ids:
                await stream.emit(self.session_id, TurnEvent.QueuedInputAccepted("prepare_turn", heard.input_ids))

            def refresh(now: Sequence[SessionEventRecord]) -> SurfaceUpdate:
                return self._surface(request, trace, machine.messages, now, machine.mode_iteration, offset, max_turns)

            dispatcher = ToolDispatcher(
                surface=self.registry.surface(self.mode.mode_id),
                registry=self.registry,
                controller=controller,
                clock=services.clock,
                threads=services.threads,
                token=token,
                emit=lambda event, row: stream.emit(self.session_id, event, row),
                limits=services.tool_limits,
                desk=self._desk if request.approve is None else ApprovalDesk(request.approve),
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
                trace=trace,
            )
            await driver.run()
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
        usage = tuple(TokenLedgerEntry(source, policy.model, used) for source, used in machine.cumulative_usage.items())
        revision = await self._commit(request, made, usage, queued.claims, fence, tuple(images.used))
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

    def _surface(
        self,
        request: TurnRequest,
        trace: TurnTrace,
        messages: Sequence[Message],
        events: Sequence[SessionEventRecord],
        iteration: int,
        offset: int,
        max_turns: int | None,
    ) -> SurfaceUpdate:
        """Prompt, tools and the mode's view as they are now."""
        surface = self.registry.surface(self.mode.mode_id)
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
        layer = resolve([PromptLayer().add(*prompt.contributions), *self._layers, *request.layers])
        text = render_prompt(layer, prompt.execution, surface.specs)
        trace.prompt(text, layer, prompt.execution)
        return SurfaceUpdate(text, surface.specs, prompt.view)

    # --- commits -----------------------------------------------------------------------------------

    async def _commit(
        self,
        request: TurnRequest,
        made: list[SessionEventRecord],
        usage: tuple[TokenLedgerEntry, ...],
        claims: Sequence[InputClaim],
        fence: LeaseFence,
        attachment_ids: tuple[str, ...],
    ) -> int:
        """Store the turn whole; the session is then what was stored."""
        events = resume_safe(made, f"m:{request.turn_id}:cancelled:0")
        self._graph.append(events, request.turn_id, self._services.clock.now_ms())
        config = self._config(self.policy)
        turn_state: dict[str, JsonValue] = {"turn_index": self.turn_index + 1}
        state = self.mode.state()
        execution_state = state if state is not None else self._blobs.get("execution_state")
        digest = commit_hash(config=config, events=events, turn_state=turn_state, usage=usage, completed_inputs=claims)
        commit = RuntimeCommit(
            session_id=self.session_id,
            expected_head_revision=self._revision,
            config=config,
            graph=self._graph.delta(),
            checkpoint=HydratedCheckpoint(turn_state, execution_state=execution_state),
            op_id=request.turn_id,
            turn_index=self.turn_index + 1,
            turn_id=request.turn_id,
            usage_deltas=usage,
            turn_commit=TurnCommitStamp(self.session_id, request.turn_id, digest),
            lease=fence,
            completed_inputs=tuple(claims),
            committed_attachment_ids=attachment_ids,
        )
        revision = await self._store_commit(commit)
        self._usage = (*self._usage, *usage)
        self.turn_index += 1
        self.mode.committed()
        return revision

    async def _store_commit(self, commit: RuntimeCommit) -> int:
        """Send a commit and take up what it came to; the new revision. Raises StoreCommitFailed."""
        # A commit that has been sent is waited for, whatever happens to this task.
        sent = asyncio.ensure_future(self._store.commit_runtime_state(commit))
        try:
            result = await asyncio.shield(sent)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await sent
            raise
        except (HeadRevisionConflict, LeaseNotHeld) as error:
            raise StoreCommitFailed(
                "store_commit_failed", f"the turn is not stored: {error}", retryable=True
            ) from error
        self._graph.committed()
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

        SessionBusyError where somebody else still holds it at `until`.
        """
        services = self._services
        ttl_ms = int(services.lease.ttl_s * 1000)
        while True:
            claim = await self._store.claim_lease(services.owner, ttl_ms)
            if isinstance(claim, LeaseClaim.Acquired) or not await self._wait_a_little(until):
                break
        if isinstance(claim, LeaseClaim.Busy):
            raise SessionBusyError(
                "session_execution_busy",
                f"session {self.session_id!r} is held by {claim.holder.owner_id!r}",
                retryable=True,
            )
        fence = claim.lease.fence
        renewing = asyncio.create_task(self._renew(fence, ttl_ms, asyncio.current_task()))
        try:
            yield fence
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            await asyncio.shield(self._store.release_lease(fence))

    async def _renew(self, fence: LeaseFence, ttl_ms: int, turn: asyncio.Task[Any] | None) -> None:
        while True:
            await self._services.clock.sleep(self._services.lease.renew_s)
            try:
                await self._store.renew_lease(fence, ttl_ms)
            except LeaseNotHeld:
                _log.error("session %s: its lease was lost; the turn is given up", self.session_id)
                if turn is not None:
                    turn.cancel()
                return


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
