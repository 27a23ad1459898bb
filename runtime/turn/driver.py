"""Driving one turn: what the machine asks for is done through the effect host, and its answers are fed back.

The machine decides, this module waits. Every unit of nondeterminism (a model call, a tool call, what is heard at a
checkpoint) goes through the effect controller under its replay key; programs and batches of tools are composite, run
on every re-drive, with keys of their own inside (runtime.md 2).

A cancellation reaches the machine at once and the work under way through the token; work that does not end within the
grace is abandoned. Cancelling the task that drives the turn is another thing: nothing is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from lash.runtime.errors import PluginError, TurnSuspended
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.sansio.activity import AnyTurnEvent, PendingApproval, TurnEvent
from lash.runtime.sansio.effects import (
    AnyEffect,
    AnyResponse,
    Effect,
    Response,
    SurfaceUpdate,
)
from lash.runtime.sansio.llm import Block, LlmCallError, LlmRequest, LlmResponse, LlmResult
from lash.runtime.sansio.machine import TurnMachine
from lash.runtime.sansio.messages import SessionEventRecord
from lash.runtime.sansio.outcome import TurnIssue, TurnOutcome, TurnStop
from lash.runtime.sansio.tools import CompletedToolCall
from lash.runtime.sansio.values import JsonValue, from_json, to_json, whole_texts
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.clock import Clock
from lash.runtime.seams.effects import (
    EffectController,
    EffectEnvelope,
    EffectInvocation,
    EffectKind,
    EffectOutcome,
)
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.dispatch import ToolDispatcher, ToolRequest
from lash.runtime.tools.hooks import CallFrame
from lash.runtime.tools.waiting import discard
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.effects import Work, carry_out
from lash.runtime.turn.mode import ModeSession, StreamHook, StreamPiece
from lash.runtime.turn.model_call import ModelCallRun
from lash.runtime.turn.program import ProgramPort, ProgramRun
from lash.runtime.turn.queued import HeardInput, QueuedInputs
from lash.runtime.turn.request_hash import request_hash
from lash.runtime.turn.trace_turn import TurnTrace
from lash.runtime.turn.turn_plugins import PluginsHeard, TurnPlugins

_log = logging.getLogger("lash.turn")

ANSWERED_POLL_S = 0.05
"""How soon a turn that could not be put aside, since somebody has just answered, is looked at again."""

Suspend = Callable[[Sequence[str]], Awaitable[tuple[PendingApproval, ...] | None]]
"""Puts a turn aside that waits for these questions; gives all its open ones, or None where one was closed meanwhile."""


class TurnDriver:
    """Drives one turn of one session to its outcome.

    `refresh` gives prompt, tools and the mode's view as they are now; `queued` the input that waits. `plugins` take
    part where they may, `trace` is told what happens. With `suspend` the turn is put aside when it only waits for
    people; without, it waits here.
    """

    def __init__(
        self,
        *,
        session_id: str,
        turn_id: str,
        turn_index: int,
        machine: TurnMachine,
        mode: ModeSession,
        provider: ProviderHandle,
        controller: EffectController,
        dispatcher: ToolDispatcher,
        stream: ActivityStream,
        attachments: AttachmentStore,
        clock: Clock,
        token: CancelToken,
        llm_deadline_s: float | None,
        max_context_tokens: int | None,
        output_limit: int | None,
        cancel_grace_s: float,
        refresh: Callable[[Sequence[SessionEventRecord]], SurfaceUpdate],
        queued: QueuedInputs,
        plugins: TurnPlugins,
        trace: TurnTrace,
        suspend: Suspend | None = None,
    ) -> None:
        self._session_id = session_id
        self._turn_id = turn_id
        self._turn_index = turn_index
        self._machine = machine
        self._mode = mode
        self._provider = provider
        self._controller = controller
        self._dispatcher = dispatcher
        self._stream = stream
        self._attachments = attachments
        self._clock = clock
        self._token = token
        self._llm_deadline_s = llm_deadline_s
        self._max_context_tokens = max_context_tokens
        self._output_limit = output_limit
        self._cancel_grace_s = cancel_grace_s
        self._refresh = refresh
        self._queued = queued
        self._plugins = plugins
        self._trace = trace
        self._suspend = suspend
        self._suspended = False
        self._work: asyncio.Task[AnyResponse] | None = None
        self._failed_call: LlmCallError | None = None
        self.tool_calls: list[CompletedToolCall] = []
        self.ran_code = False

    async def run(self) -> None:
        """Take the machine to its end.

        Raises what the effect host raises, TurnSuspended where the turn was put aside, and CancelledError where the
        task is cancelled.
        """
        stopping = asyncio.create_task(self._token.wait())
        try:
            while (effect := self._machine.poll_effect()) is not None:
                if isinstance(effect, Effect.Emit):
                    await self._emit(effect.event, effect.correlation_id)
                elif isinstance(effect, Effect.Log):
                    _log.info("turn %s: %s", self._turn_id, effect.message)
                elif not isinstance(effect, Effect.CancelLlm | Effect.Progress | Effect.Done):
                    await self._answer(effect, stopping)
        finally:
            stopping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await stopping
            await self._abandon()

    async def _emit(self, event: AnyTurnEvent, correlation_id: str | None = None) -> None:
        if isinstance(event, TurnEvent.Error):
            self._note_issue(event)
        await self._stream.emit(self._session_id, event, correlation_id)

    def _note_issue(self, error: TurnEvent.Error) -> None:
        """Keep an error for the turn's result, once, with what is known of the model call that it is about."""
        issue = TurnIssue(error.kind, error.code, error.message)
        failed = self._failed_call
        if failed is not None and failed.message == error.message:
            issue = replace(issue, terminal_reason=failed.terminal_reason, retryable=failed.retryable, raw=failed.raw)
        if issue not in self._stream.issues:
            self._stream.issues.append(issue)

    async def _answer(self, effect: AnyEffect, stopping: asyncio.Task[None]) -> None:
        """Do what an effect asks and tell the machine; when the turn is to stop meanwhile, stop."""
        if self._token.cancelled:
            self._cancel()
            return
        self._work = asyncio.create_task(self._perform(effect))
        await self._ended_or_stopped(self._work, stopping)
        if not self._work.done():
            # The token has reached tools, program and model call: they get a moment to end by themselves.
            if isinstance(effect, Effect.LlmCall):
                self._work.cancel()
            timer = asyncio.ensure_future(self._clock.sleep(self._grace_of(effect)))
            await asyncio.wait([self._work, timer], return_when=asyncio.FIRST_COMPLETED)
            timer.cancel()
            if not self._work.done():
                await self._abandon()
        if self._token.cancelled:
            self._take_what_ended()
            self._cancel()
            return
        self._machine.handle_response(self._work.result())

    def _cancel(self) -> None:
        """End the turn as somebody wished."""
        wish = self._token
        stop = TurnStop.Cancelled(wish.reason, request_id=wish.request_id, origin=wish.origin)
        self._machine.finish_with_outcome(TurnOutcome.Stopped(stop))

    async def _ended_or_stopped(self, work: asyncio.Task[AnyResponse], stopping: asyncio.Task[None]) -> None:
        """Wait for the end of the work, or for the wish that it ends; TurnSuspended where it only waits for people."""
        if self._suspend is None:
            await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
            return
        stillness = self._dispatcher.stillness
        while not work.done() and not stopping.done():
            still = asyncio.ensure_future(stillness.until_still())
            try:
                await asyncio.wait([work, stopping, still], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await discard(still)
            if work.done() or stopping.done():
                return
            # An answer that comes from now on must not begin anything: it belongs to whoever drives the turn next.
            stillness.hold()
            approvals = await self._suspend(stillness.questions)
            if approvals is not None and not stopping.done():
                self._suspended = True
                raise TurnSuspended(self._session_id, self._turn_id, approvals)
            stillness.release()
            if not stopping.done():
                await self._clock.sleep(ANSWERED_POLL_S)

    def _grace_of(self, effect: AnyEffect) -> float:
        """How long work that is to stop is waited for; a batch of tools first gives up those that hear nothing."""
        limits = self._dispatcher.limits
        own = limits.cancel_ms / 1000 + limits.cancel_grace_s if isinstance(effect, Effect.ToolCalls) else 0.0
        return own + self._cancel_grace_s

    def _take_what_ended(self) -> None:
        """A program or batch that was stopped is in the history, with what it did until then."""
        work = self._work
        if work is None or not work.done() or work.cancelled() or work.exception() is not None:
            return
        self._machine.handle_response(work.result())

    async def _abandon(self) -> None:
        work, self._work = self._work, None
        if work is not None and not work.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await work

    # --- effects -----------------------------------------------------------------------------------

    async def _perform(self, effect: AnyEffect) -> AnyResponse:
        match effect:
            case Effect.SyncExecutionSurface():
                return await self._sync(effect)
            case Effect.LlmCall():
                return await self._call_model(effect)
            case Effect.ToolCalls():
                self._trace.at(effect.id, self._machine.mode_iteration)
                frame = self._frame(effect.id)
                requests = [ToolRequest(call) for call in effect.calls]
                results = await self._dispatcher.batch(requests, frame)
                self.tool_calls.extend(results)
                return Response.ToolResults(effect.id, results)
            case Effect.ExecCode():
                self.ran_code = True
                self._trace.at(effect.id, self._machine.mode_iteration)
                return await self._program(effect.id).run(effect, self._machine.events, self.tool_calls)
            case Effect.Checkpoint():
                return await self._checkpoint(effect)
            case _:
                raise AssertionError(f"{type(effect).__name__} expects no answer")

    def _invocation(self, kind: EffectKind, effect_id: int, suffix: tuple[str, ...] = ()) -> EffectInvocation:
        return EffectInvocation(
            self._session_id,
            self._turn_id,
            self._turn_index,
            self._machine.mode_iteration,
            str(effect_id),
            kind,
            suffix,
        )

    def _frame(self, effect_id: int) -> CallFrame:
        return CallFrame(
            self._session_id,
            self._turn_id,
            self._turn_index,
            self._machine.mode_iteration,
            str(effect_id),
            self._mode.mode_id,
        )

    async def _execute(
        self,
        kind: EffectKind,
        effect_id: int,
        command: dict[str, JsonValue],
        work: Work,
    ) -> EffectOutcome:
        self._trace.at(effect_id, self._machine.mode_iteration)
        envelope = EffectEnvelope(self._invocation(kind, effect_id), {"kind": kind, **command})
        outcome = await carry_out(self._controller, envelope, work, self._plugins.state)
        self._trace.carried_out(replayed=outcome.replayed)
        return outcome

    async def _sync(self, effect: Effect.SyncExecutionSurface) -> AnyResponse:
        try:
            # Outside the effect: what stands behind the tools is live, so a turn that is driven again needs it too.
            self._dispatcher.surface = self._plugins.surface()
        except PluginError as error:
            return Response.ExecutionSurfaceSynced(effect.id, error=error.message)

        async def work() -> JsonValue:
            try:
                return to_json(_Synced(self._refresh(self._machine.events)))
            except PluginError as error:
                return to_json(_Synced(error=error.message))

        outcome = await self._execute(
            "sync_execution_surface", effect.id, {"update_machine_config": effect.update_machine_config}, work
        )
        synced = from_json(_Synced, outcome.value)
        update = synced.update if effect.update_machine_config else None
        return Response.ExecutionSurfaceSynced(effect.id, update, synced.error)

    async def _call_model(self, effect: Effect.LlmCall) -> AnyResponse:
        digest = await request_hash(effect.request)
        hook = self._mode.stream_hook()
        self._trace.at(effect.id, self._machine.mode_iteration)
        trace = self._trace.model_call(self._provider.kind)
        call = ModelCallRun(
            self._provider,
            self._clock,
            self._emit,
            hook,
            effect.id,
            self._llm_deadline_s,
            self._max_context_tokens,
            self._output_limit,
            trace,
            self._plugins.output,
        )

        async def work() -> JsonValue:
            result = await call.run(await self._with_bytes(effect.request))
            return whole_texts(to_json(_Answer(result, call.attempt)))

        command: dict[str, JsonValue] = {
            "request": digest,
            "usage_source": effect.usage_source,
        }
        try:
            outcome = await self._execute("llm_call", effect.id, command, work)
        except BaseException as error:
            if trace is not None:
                trace.broken_off(error)
            raise
        self._stream.issues.extend(self._plugins.output.take_issues())
        answer = from_json(_Answer, outcome.value)
        result = answer.result
        self._failed_call = result if isinstance(result, LlmCallError) else None
        if trace is not None:
            trace.ended(result, replayed=outcome.replayed)
        if outcome.replayed and isinstance(result, LlmResponse):
            await self._show_again(result, self._mode.stream_hook(), f"{effect.id}.{answer.attempt}")
        return Response.LlmComplete(effect.id, result, text_streamed=True)

    async def _with_bytes(self, request: LlmRequest) -> LlmRequest:
        """The request with the bytes of its images, which are never written down."""
        if not request.attachments:
            return request
        loaded = [replace(image, data=await self._attachments.get(image.reference)) for image in request.attachments]
        return replace(request, attachments=tuple(loaded))

    async def _show_again(self, response: LlmResponse, hook: StreamHook | None, attempt: str) -> None:
        """A replayed reply's text, once, in the rows of the attempt that gave it; reasoning where it was shown."""
        reasoning_shown = self._provider.options.thinking.expose
        for index, part in enumerate(response.parts):
            if isinstance(part, Block.Reasoning):
                if reasoning_shown and part.text.strip():
                    await self._emit(TurnEvent.ReasoningDelta(part.text), f"reason:{attempt}.{index}")
            elif isinstance(part, Block.Text):
                pieces = [StreamPiece(part.text)] if hook is None else [hook.feed(part.text), hook.finish()]
                prose = "".join(piece.prose for piece in pieces)
                if prose:
                    await self._emit(TurnEvent.AssistantProseDelta(prose), f"prose:{attempt}.{index}")
                for event in (event for piece in pieces for event in piece.events):
                    await self._emit(event)

    def _program(self, effect_id: int) -> ProgramRun:
        port = ProgramPort(
            self._frame(effect_id), self._dispatcher, self._stream, self._attachments, lambda: self._suspended
        )
        return ProgramRun(self._mode, self._dispatcher, port, self._emit, self._clock, self._token, self._trace)

    async def _checkpoint(self, effect: Effect.Checkpoint) -> AnyResponse:
        boundary = None if effect.kind == "overflow" else effect.kind

        machine = self._machine

        async def work() -> JsonValue:
            said = await self._plugins.checkpoint(effect.kind, effect.id, machine.messages, machine.mode_iteration)
            if boundary is None or said.abort is not None:
                return to_json(_Heard(said, HeardInput()))
            return to_json(_Heard(said, await self._queued.take(boundary)))

        outcome = await self._execute("checkpoint", effect.id, {"checkpoint": effect.kind}, work)
        heard = from_json(_Heard, outcome.value)
        said, queued = heard.plugins, heard.queued
        if said.rewritten is not None:
            self._plugins.rewrite(len(machine.events), said.rewritten)
        if said.messages:
            await self._emit(TurnEvent.QueuedMessagesCommitted(said.messages, effect.kind))
        if queued.input_ids:
            if outcome.replayed:
                await self._queued.take_again(boundary, queued.input_ids)
            await self._emit(TurnEvent.QueuedInputAccepted(effect.kind, queued.input_ids))
        return Response.CheckpointDone(
            effect.id, (*said.messages, *queued.messages), said.transient_messages, said.rewritten, said.abort
        )


@dataclass(frozen=True, slots=True)
class _Synced:
    """What came of bringing prompt and tools up to date, as the journal holds it."""

    update: SurfaceUpdate | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Heard:
    """What was heard at a checkpoint, as the journal holds it."""

    plugins: PluginsHeard
    queued: HeardInput


@dataclass(frozen=True, slots=True)
class _Answer:
    """A model call's result as the journal holds it, and the number of the attempt that gave it."""

    result: LlmResult
    attempt: int
