"""An open session: its graph, its mode's state and its store, and the one turn that may run on it (runtime.md 3, 4).

A turn is lost whole or committed whole. Until the commit has been answered nothing of a turn is in the session: a turn
that raises, or whose process dies, leaves graph, variables and ledger as the last commit left them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from lash.runtime.errors import (
    HeadRevisionConflict,
    LeaseNotHeld,
    SessionBusyError,
    SessionError,
    StoreCommitFailed,
)
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.sansio.config import TurnMachineConfig
from lash.runtime.sansio.effects import CheckpointKind, SurfaceUpdate
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import Message, Part, SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import TurnFinish, TurnOutcome
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import EffectHost, ExecutionScope, TurnJournal, UnfinishedTurn
from lash.runtime.seams.persistence import (
    BlobRef,
    HydratedCheckpoint,
    InputClaim,
    LeaseClaim,
    LeaseFence,
    LeaseOwner,
    PersistedSessionConfig,
    RuntimeCommit,
    RuntimePersistence,
    TurnCommitStamp,
)
from lash.runtime.session.commit import commit_hash, resume_safe
from lash.runtime.session.graph import SessionGraph
from lash.runtime.session.view import SessionReadView, conversation
from lash.runtime.tools.approvals import ApprovalDesk
from lash.runtime.tools.attempts import ToolLimits
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.dispatch import ToolDispatcher
from lash.runtime.tools.registry import ToolRegistry
from lash.runtime.tools.threads import ToolThreads
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.driver import CheckpointInput, TurnDriver
from lash.runtime.turn.mode import ModePrompt, ModeSession, SurfaceInput, TurnSetup
from lash.runtime.turn.result import AssistantOutput, Execution, TurnResult
from lash.runtime.usage import TURN

_log = logging.getLogger("lash.session")


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
    lease: LeaseTimings = LeaseTimings()
    tool_limits: ToolLimits = ToolLimits()  # noqa: RUF009 - frozen
    llm_deadline_s: float | None = 3600.0
    cancel_grace_s: float = 5.0
    iterator_queue: int = 64


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """Which model a session's turns call, and how often."""

    provider: ProviderHandle
    model: str
    model_variant: str | None
    max_context_tokens: int | None
    max_turns: int | None
    max_turns_set: bool = False


RenderPrompt = Callable[[ModePrompt, Sequence[ToolSpec]], str]
"""Fills the prompt template with what the mode adds, for these tools."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn: its message, and what was given for it alone; `recorded` is what a journal keeps of the options."""

    turn_id: str
    message: Message
    policy: SessionPolicy
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
        render: RenderPrompt,
        desk: ApprovalDesk,
    ) -> None:
        self.session_id = session_id
        self.mode = mode
        self.registry = registry
        self.policy = policy
        self._store = store
        self._services = services
        self._render = render
        self._desk = desk
        self._graph = SessionGraph()
        self._revision: int | None = None
        self._usage: tuple[TokenLedgerEntry, ...] = ()
        self._last_prompt_usage = TokenUsage()
        self._blobs: dict[str, BlobRef] = {}
        self._successor: str | None = None
        self.turn_index = 0
        self._lane = asyncio.Lock()
        self._stale = False
        self._running: CancelToken | None = None

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
        self._revision = stored.head_revision
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
        self._running.cancel(reason)
        return True

    async def aclose(self) -> None:
        """Give up what the session holds in memory; its store stays."""
        self.cancel_running("the session was closed")
        async with self._lane:
            self.mode.close()
            await self._store.aclose()

    # --- turns -------------------------------------------------------------------------------------

    async def run_turn(self, request: TurnRequest, stream: ActivityStream, token: CancelToken) -> TurnResult[Any]:
        """Run one turn and commit it.

        Raises SessionBusyError while another turn holds the session, TurnError for options that the mode refuses,
        StoreCommitFailed, what the effect host raises, and CancelledError; then nothing has been committed.
        """
        if self._lane.locked():
            raise SessionBusyError("session_execution_busy", f"session {self.session_id!r} runs a turn", retryable=True)
        async with self._lane, self._leased() as fence:
            if self._stale:
                await self.load()
            self._running = token
            scope = ExecutionScope("turn", session_id=self.session_id, turn_id=request.turn_id)
            journal = self._services.effects if isinstance(self._services.effects, TurnJournal) else None
            try:
                if journal is not None:
                    await self._note(journal, scope, request)
                result = await self._run(request, stream, token, fence, scope)
                if journal is not None:
                    await asyncio.shield(journal.seal_turn(scope))
                return result
            except BaseException:
                # The mode's state may have moved on; the next use begins from the store.
                self._stale = True
                raise
            finally:
                self._running = None
                self.mode.end_turn()
                await stream.close()

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

    async def _note(self, journal: TurnJournal, scope: ExecutionScope, request: TurnRequest) -> None:
        """Note in the journal that this turn runs; SessionBusyError while another one is unfinished."""
        unfinished = await self.unfinished_turn()
        if unfinished is not None and unfinished.turn_id != request.turn_id:
            raise SessionBusyError(
                "turn_suspended",
                f"turn {unfinished.turn_id!r} of session {self.session_id!r} was interrupted: "
                "resume it with session.resume_turn() first",
            )
        await journal.begin_turn(scope, self._revision, request.message.text(), request.recorded)

    async def _run(
        self,
        request: TurnRequest,
        stream: ActivityStream,
        token: CancelToken,
        fence: LeaseFence,
        scope: ExecutionScope,
    ) -> TurnResult[Any]:
        services, policy = self._services, request.policy
        setup = TurnSetup(request.turn_id, self.turn_index + 1, request.options)
        termination = self.mode.begin_turn(setup)
        before = self._graph.active_events()
        events = (*before, SessionEvent.Conversation(request.message))
        messages = conversation(events)
        max_turns = policy.max_turns if policy.max_turns_set else self.mode.default_max_turns
        offset = _iterations(before)
        surface = self._surface(policy, messages, events, offset, offset, max_turns)
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
        claims: list[InputClaim] = []

        async def hear(kind: CheckpointKind) -> CheckpointInput:
            if kind == "overflow":
                return CheckpointInput()
            taken = await self._store.claim_inputs(fence, kind, turn_id=request.turn_id)
            claims.extend(taken)
            heard = [(claim.input.draft.input_id, _input_message(claim)) for claim in taken]
            return CheckpointInput(tuple(message for _, message in heard), tuple(number for number, _ in heard))

        def refresh(now: Sequence[SessionEventRecord]) -> SurfaceUpdate:
            return self._surface(policy, machine.messages, now, machine.mode_iteration, offset, max_turns)

        async with services.effects.scoped(scope) as controller:
            dispatcher = ToolDispatcher(
                surface=self.registry.surface(self.mode.mode_id),
                registry=self.registry,
                controller=controller,
                clock=services.clock,
                threads=services.threads,
                token=token,
                emit=lambda event, row: stream.emit(self.session_id, event, row),
                limits=services.tool_limits,
                desk=self._desk,
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
                attachments=services.attachments,
                clock=services.clock,
                token=token,
                llm_deadline_s=services.llm_deadline_s,
                max_context_tokens=policy.max_context_tokens,
                cancel_grace_s=services.cancel_grace_s,
                refresh=refresh,
                hear=hear,
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
        revision = await self._commit(request, made, usage, claims, fence)
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
        policy: SessionPolicy,
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
                max_context_tokens=policy.max_context_tokens,
            )
        )
        return SurfaceUpdate(self._render(prompt, surface.specs), surface.specs, prompt.view)

    # --- commits -----------------------------------------------------------------------------------

    async def _commit(
        self,
        request: TurnRequest,
        made: list[SessionEventRecord],
        usage: tuple[TokenLedgerEntry, ...],
        claims: Sequence[InputClaim],
        fence: LeaseFence,
    ) -> int:
        """Store the turn whole; the session is then what was stored."""
        events = resume_safe(made, f"m:{request.turn_id}:cancelled:0")
        self._graph.append(events, request.turn_id, self._services.clock.now_ms())
        config = self._config(request.policy)
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
        )
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
        self._usage = (*self._usage, *usage)
        self.turn_index += 1
        self.mode.committed()
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
        )

    # --- the lane ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _leased(self) -> AsyncGenerator[LeaseFence]:
        """Hold the session in the store; renewed while the turn runs, given back after it."""
        services = self._services
        ttl_ms = int(services.lease.ttl_s * 1000)
        claim = await self._store.claim_lease(services.owner, ttl_ms)
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


def _iterations(events: Sequence[SessionEventRecord]) -> int:
    """The number of the next mode iteration: one more than the greatest that the session has seen."""
    last = -1
    for event in events:
        if isinstance(event, SessionEvent.Mode):
            number = event.payload.get("mode_iteration")
            if isinstance(number, int) and number > last:
                last = number
    return last + 1


def _input_message(claim: InputClaim) -> Message:
    """Queued input as the user's message."""
    draft = claim.input.draft
    text = draft.body if isinstance(draft.body, str) else ""
    number = f"m:input:{draft.input_id}"
    return Message(number, "user", (Part(f"{number}.p0", "text", text),))
