"""Running one turn, from what it begins with to what is to be committed of it (runtime.md 1, 2)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.config import TurnMachineConfig
from lash.runtime.sansio.effects import SurfaceUpdate
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import Message, MessageSequence, Part, SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import AnyTurnOutcome, TurnFinish, TurnOutcome
from lash.runtime.sansio.prompt import PromptContribution, PromptLayer, render_prompt, resolve
from lash.runtime.sansio.tools import CompletedToolCall
from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.sansio.values import JsonValue, from_json, to_json
from lash.runtime.seams.effects import (
    EffectController,
    EffectEnvelope,
    EffectHost,
    EffectInvocation,
    ExecutionScope,
)
from lash.runtime.seams.persistence import InputClaim
from lash.runtime.session.again import committed_already
from lash.runtime.session.view import conversation
from lash.runtime.tools.approvals import ApprovalDesk
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.dispatch import ToolDispatcher
from lash.runtime.tools.surface import ToolSurface
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.driver import Suspend, TurnDriver
from lash.runtime.turn.effects import RecordedWish, Watched, carry_out
from lash.runtime.turn.inputs import SessionAttachments, user_message
from lash.runtime.turn.lane import HeldLease
from lash.runtime.turn.mode import SurfaceInput, TurnSetup
from lash.runtime.turn.queued import HeardInput, QueuedInputs
from lash.runtime.turn.settings import SessionParts, TurnRequest
from lash.runtime.turn.tool_services import TurnToolServices
from lash.runtime.turn.trace_turn import TurnTrace
from lash.runtime.turn.turn_plugins import Prepared, TurnPlugins, recorded_inputs
from lash.runtime.usage import TURN

PREPARE_EFFECT = "0"
"""The id of the effect before the first of the turn machine's."""

FINALIZE_EFFECT = "end"
"""The id of the effect after its last."""


@dataclass(frozen=True, slots=True)
class TurnFrame:
    """What one turn runs in.

    `before` is what the session has. `again` says that the turn is committed already and only its answer is wanted.
    `suspend` puts it aside when it only waits for people. `wish` is one that it stops, from before it was driven again.
    """

    request: TurnRequest
    setup: TurnSetup
    termination: JsonValue
    stream: ActivityStream
    token: CancelToken
    lease: HeldLease
    images: SessionAttachments
    trace: TurnTrace
    before: Sequence[SessionEventRecord]
    again: bool = False
    suspend: Suspend | None = None
    wish: RecordedWish | None = None


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """A turn that came to its end: what is to be committed of it, and what its host is told."""

    outcome: AnyTurnOutcome
    text: str
    made: list[SessionEventRecord]
    usage: tuple[TokenLedgerEntry, ...]
    own_usage: TokenUsage
    tool_calls: tuple[CompletedToolCall, ...]
    ran_code: bool
    claims: Sequence[InputClaim]
    attachment_ids: tuple[str, ...]
    plugins: TurnPlugins


@dataclass(frozen=True, slots=True)
class TurnRefused:
    """A turn that a plugin did not want; nothing of it is committed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class _Start:
    """What a turn begins with besides its own input, as the journal holds it."""

    heard: HeardInput
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class _Finished:
    """What plugins want to be kept behind a turn, as the journal holds it."""

    messages: tuple[Message, ...] = ()


class _NothingQueued(Exception):
    """There is no input to be taken. Raised, so that it is not recorded: later there may be some."""


class TurnRun:
    """One turn of a session, run once. `driving` says that it has begun: from then on a crash leaves it resumable."""

    def __init__(self, parts: SessionParts, frame: TurnFrame) -> None:
        self._parts = parts
        self._frame = frame
        self.driving = False

    async def run(self) -> TurnEnd | TurnRefused | None:
        """Take the turn to its end; None where it was to take queued input and there is none.

        Raises what hooks of plugins, the effect host and stores raise, InvalidInput, and CancelledError.
        """
        parts, frame, services = self._parts, self._frame, self._parts.services
        request, setup, trace, stream, images = frame.request, frame.setup, frame.trace, frame.stream, frame.images
        plugins = TurnPlugins(parts.plugins, request.turn_id, setup.turn_index, request.plugin_inputs, services.clock)
        plugins.list_tools()
        policy = plugins.policy(request.policy)
        request = replace(request, policy=policy)
        before, offset = frame.before, next_iteration(frame.before)
        max_turns = policy.max_turns if policy.max_turns_set else parts.mode.default_max_turns
        queued = QueuedInputs(parts.store, frame.lease.fence, request.turn_id, images)
        said = await user_message(request.input, f"m:{request.turn_id}:input:0", images)

        def given(heard: HeardInput) -> tuple[Message, ...]:
            return heard.messages if said is None else (*heard.messages, said)

        def begin(heard: HeardInput) -> list[SessionEventRecord]:
            # Told here and not when all is prepared: hooks before the turn may write into its trace.
            trace.started(given(heard), "handoff" if request.handed_on else "host" if said else "queue")
            return [*before, *(SessionEvent.Conversation(message) for message in given(heard))]

        scope = ExecutionScope("turn", session_id=parts.session_id, turn_id=request.turn_id)
        async with _controller(services.effects, request.effects, scope) as carrier:
            controller = Watched(carrier, lambda replayed: stream.after_effect(replayed=replayed), frame.wish)
            try:
                start = await self._prepare(controller, queued, plugins, request, begin, offset)
            except _NothingQueued:
                return None
            heard, prepared = start.heard, start.prepared
            begun = begin(heard)
            trace.listen(stream)
            if prepared.abort is not None:
                return TurnRefused(*prepared.abort)
            events = (*begun, *(SessionEvent.Conversation(message) for message in prepared.messages))
            messages = conversation(events) if prepared.view is None else MessageSequence(prepared.view)
            if prepared.rewritten is not None:
                plugins.rewrite(len(events), prepared.rewritten)
            tools = plugins.first_surface()
            surface = self._surface(request, tools, prepared.prompt, messages, events, offset, offset, max_turns)
            machine = TurnMachine(
                TurnMachineConfig(
                    driver=parts.mode.driver(setup),
                    projector=parts.mode.projector,
                    model=policy.provider.resolve_model(policy.model),
                    model_variant=policy.model_variant,
                    session_id=parts.session_id,
                    turn_id=request.turn_id,
                    max_turns=max_turns,
                    autonomous=request.autonomous,
                    sync_execution_surface=parts.mode.sync_execution_surface,
                    system_prompt=surface.system_prompt,
                    tool_specs=surface.tool_specs,
                    mode_view=surface.mode_view,
                    termination=frame.termination,
                    can_rewrite_on_overflow=parts.plugins.session.can_rewrite,
                    turn_limit_final_message=parts.mode.turn_limit_message,
                ),
                messages,
                events,
                mode_run_offset=offset,
            )
            if heard.input_ids and not request.handed_on:
                await stream.emit(parts.session_id, TurnEvent.QueuedInputAccepted("prepare_turn", heard.input_ids))
            if prepared.messages:
                taken = TurnEvent.QueuedMessagesCommitted(prepared.messages, "prepare_turn")
                await stream.emit(parts.session_id, taken)

            def refresh(now: Sequence[SessionEventRecord]) -> SurfaceUpdate:
                tools, iteration = dispatcher.surface, machine.mode_iteration
                said = plugins.prompt(tools)
                return self._surface(request, tools, said, machine.messages, now, iteration, offset, max_turns)

            dispatcher = ToolDispatcher(
                surface=tools,
                registry=parts.registry,
                controller=controller,
                clock=services.clock,
                threads=services.threads,
                token=frame.token,
                emit=lambda event, row: stream.emit(parts.session_id, event, row),
                limits=services.tool_limits,
                desk=parts.desk if request.approve is None else ApprovalDesk(request.approve),
                services=TurnToolServices(
                    session_id=parts.session_id,
                    mode_id=parts.mode.mode_id,
                    turn_index=setup.turn_index,
                    machine=machine,
                    provider=policy.provider,
                    model=policy.model,
                    llm_deadline_s=services.llm_deadline_s,
                    stores=services.stores,
                    images=images,
                    inputs=request.plugin_inputs,
                    emit=lambda event, row: stream.emit(parts.session_id, event, row),
                    trace=trace,
                ),
                hooks=plugins.tools if plugins.tools.has_any else None,
                state=plugins.state,
                observer=trace.tools,
                repeats=stream.repeats,
            )
            driver = TurnDriver(
                session_id=parts.session_id,
                turn_id=request.turn_id,
                turn_index=setup.turn_index,
                machine=machine,
                mode=parts.mode,
                provider=policy.provider,
                controller=controller,
                dispatcher=dispatcher,
                stream=stream,
                attachments=images,
                clock=services.clock,
                token=frame.token,
                llm_deadline_s=services.llm_deadline_s,
                max_context_tokens=policy.max_context_tokens,
                output_limit=policy.output_limit,
                cancel_grace_s=services.cancel_grace_s,
                refresh=refresh,
                queued=queued,
                plugins=plugins,
                trace=trace,
                suspend=frame.suspend,
            )
            self.driving = True
            await driver.run()
            closing = await self._finish(controller, plugins, request, machine)
        made = list(machine.events[len(before) :])
        outcome = machine.outcome
        assert outcome is not None
        match outcome:
            case TurnOutcome.Finished(finish=TurnFinish.AssistantMessage(text=text)):
                if text.strip() and not _ends_with_reply(made):
                    number = f"m:{request.turn_id}:final:0"
                    said = Message(number, "assistant", (Part(f"{number}.p0", "prose", text),))
                    made.append(SessionEvent.Conversation(said))
            case _:
                text = ""
        made.extend(SessionEvent.Conversation(message) for message in closing)
        own = [TokenLedgerEntry(source, policy.model, used) for source, used in machine.cumulative_usage.items()]
        usage = (*own, *dispatcher.usage)
        return TurnEnd(
            outcome=outcome,
            text=text,
            made=made,
            usage=usage,
            own_usage=machine.cumulative_usage.get(TURN, TokenUsage()),
            tool_calls=tuple(driver.tool_calls),
            ran_code=driver.ran_code,
            claims=queued.claims,
            attachment_ids=tuple(images.used),
            plugins=plugins,
        )

    async def _prepare(
        self,
        controller: EffectController,
        queued: QueuedInputs,
        plugins: TurnPlugins,
        request: TurnRequest,
        begin: Callable[[HeardInput], Sequence[SessionEventRecord]],
        iteration: int,
    ) -> _Start:
        """What waited for a turn to begin, and what plugins make of it with what the turn `begin`s with then.

        It is an effect, so that a turn that is driven again begins with the same.
        """

        async def work() -> JsonValue:
            if self._frame.again:
                raise committed_already(request.turn_id)
            heard = await queued.take(None)
            if request.queued_only and not heard.input_ids:
                raise _NothingQueued
            return to_json(_Start(heard, await plugins.prepare(conversation(begin(heard)), self._frame.token)))

        inputs = recorded_inputs(request.plugin_inputs, controller.durability)
        command: dict[str, JsonValue] = {"plugin_inputs": inputs} if inputs else {}
        invocation = EffectInvocation(
            self._parts.session_id,
            request.turn_id,
            self._frame.setup.turn_index,
            iteration,
            PREPARE_EFFECT,
            "prepare_turn",
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

        if not self._parts.plugins.session.finalises_turns:
            return await plugins.finish(outcome, machine.messages)
        invocation = EffectInvocation(
            self._parts.session_id,
            request.turn_id,
            self._frame.setup.turn_index,
            machine.mode_iteration,
            FINALIZE_EFFECT,
            "finalize_turn",
        )
        envelope = EffectEnvelope(invocation, {"kind": "finalize_turn"})
        done = await carry_out(controller, envelope, work, plugins.state)
        return from_json(_Finished, done.value).messages

    def _surface(
        self,
        request: TurnRequest,
        surface: ToolSurface,
        contributions: Sequence[PromptContribution],
        messages: Sequence[Message],
        events: Sequence[SessionEventRecord],
        iteration: int,
        offset: int,
        max_turns: int | None,
    ) -> SurfaceUpdate:
        """Prompt, tools and the mode's view as they are now; `contributions` are those of plugins."""
        prompt = self._parts.mode.prompt(
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
        layer = resolve([mode_and_plugins, *self._parts.layers, *request.layers])
        text = render_prompt(layer, prompt.execution, surface.specs)
        self._frame.trace.prompt(text, layer, prompt.execution)
        return SurfaceUpdate(text, surface.specs, prompt.view)


def _controller(
    effects: EffectHost, given: EffectController | None, scope: ExecutionScope
) -> contextlib.AbstractAsyncContextManager[EffectController]:
    """What carries the turn's effects out: what was given for it, or the host's controller."""
    return effects.scoped(scope) if given is None else contextlib.nullcontext(given)


def _ends_with_reply(made: Sequence[SessionEventRecord]) -> bool:
    """Whether the model's last message is in the history already, as modes keep it that keep all its parts."""
    last = next((event.message for event in reversed(made) if isinstance(event, SessionEvent.Conversation)), None)
    return last is not None and last.role == "assistant" and last.origin is None


def next_iteration(events: Sequence[SessionEventRecord]) -> int:
    """The number of the next mode iteration: one more than the greatest that the session has seen."""
    last = -1
    for event in events:
        if isinstance(event, SessionEvent.Mode):
            number = event.payload.get("mode_iteration")
            if isinstance(number, int) and number > last:
                last = number
    return last + 1
