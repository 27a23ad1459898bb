"""One model call of a turn: streaming it through the mode's hook into activities (rlm.md 4, providers.md 3)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

from lash.runtime.plugins.contract import StreamChunk
from lash.runtime.plugins.output import OutputHooks
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.usage import refine_output_limit
from lash.runtime.sansio.activity import AnyTurnEvent, TurnEvent
from lash.runtime.sansio.llm import (
    AnyStreamEvent,
    Block,
    LlmCallError,
    LlmRequest,
    LlmResponse,
    LlmStreamEvent,
    ResponsePart,
)
from lash.runtime.sansio.usage import NO_USAGE
from lash.runtime.seams.clock import Clock
from lash.runtime.turn.mode import StreamHook, StreamPiece
from lash.runtime.turn.trace_calls import Arrival, ModelCallTrace

_log = logging.getLogger("lash.turn")

USAGE_WAIT_S = 0.25
"""How long a call that has said enough may go on for its final usage."""


class ModelCallRun:
    """Runs one model call and shows its text.

    `effect_id` names the rows of a display, `trace` is told of the call. Text goes through the mode's `hook` first, and
    what is left of it through the hooks of plugins, `output`.
    """

    def __init__(
        self,
        model: ProviderHandle,
        clock: Clock,
        emit: Callable[[AnyTurnEvent, str | None], Awaitable[None]],
        hook: StreamHook | None,
        effect_id: int,
        deadline_s: float | None,
        max_context_tokens: int | None,
        output_limit: int | None,
        trace: ModelCallTrace | None,
        output: OutputHooks,
    ) -> None:
        self._max_context_tokens = max_context_tokens
        self._output_limit = output_limit
        self._model = model
        self._clock = clock
        self._emit = emit
        self._hook = hook
        self._effect_id = effect_id
        self._deadline_s = deadline_s
        self._trace = trace
        self._output = output
        self._events: asyncio.Queue[tuple[AnyStreamEvent, Arrival | None] | None] = asyncio.Queue()
        self._attempt = 1
        self._usage = NO_USAGE
        self._texts: dict[int, list[str]] = {}
        self._rows: dict[str, set[str]] = {"prose": set(), "reason": set()}
        self._enough = asyncio.Event()

    @property
    def attempt(self) -> int:
        """The number of the attempt whose text is shown, from 1."""
        return self._attempt

    async def run(self, request: LlmRequest) -> LlmResponse | LlmCallError:
        """The model's answer, or why there is none; a cancellation goes on its way when the call is aborted."""
        if self._trace is not None:
            self._trace.started(request, stream=True)
        showing = asyncio.create_task(self._show())
        calling = asyncio.create_task(
            self._model.complete(
                request, self._take, self._trace, deadline_s=self._deadline_s, output_limit=self._output_limit
            )
        )
        enough = asyncio.create_task(self._enough.wait())
        try:
            await asyncio.wait([calling, enough], return_when=asyncio.FIRST_COMPLETED)
            if not calling.done():
                # The program is complete; what follows it is not wanted, only what the call has used.
                await self._wait_a_little(calling)
            response = await self._result(calling)
        finally:
            enough.cancel()
            if not calling.done():
                calling.cancel()
            # How it ended has been said above; here it only has to be over, also where it raised something else.
            await asyncio.gather(calling, return_exceptions=True)
            self._events.put_nowait(None)
            await showing
        if isinstance(response, LlmCallError):
            return response
        if self._max_context_tokens is not None:
            response = refine_output_limit(response, self._max_context_tokens)
        return await self._output.response(await self._completed(response))

    async def _wait_a_little(self, calling: asyncio.Task[LlmResponse]) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(USAGE_WAIT_S))
        try:
            await asyncio.wait([calling, timer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()

    async def _result(self, calling: asyncio.Task[LlmResponse]) -> LlmResponse | LlmCallError:
        if not calling.done():
            calling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await calling
            return LlmResponse(self._streamed(), self._streamed_parts(), self._usage, "stop")
        try:
            return calling.result()
        except ProviderFailure as failure:
            return failure.to_error()

    def _streamed(self) -> str:
        return "".join(text for index in sorted(self._texts) for text in self._texts[index])

    def _streamed_parts(self) -> tuple[ResponsePart, ...]:
        return tuple(Block.Text("".join(self._texts[index])) for index in sorted(self._texts))

    # --- showing -----------------------------------------------------------------------------------

    def _take(self, event: AnyStreamEvent) -> None:
        """Queue what the provider reports, to be shown in order; the trace has the time when it came."""
        self._events.put_nowait((event, None if self._trace is None else self._trace.arrived(event)))

    async def _show(self) -> None:
        """Turn what the provider reports into activities, in order."""
        while (item := await self._events.get()) is not None:
            event, arrival = item
            visible = await self._show_one(event)
            if self._trace is not None and arrival is not None:
                self._trace.shown(event, arrival, visible)

    async def _show_one(self, event: AnyStreamEvent) -> str | None:
        """Show what an event says; of a reply's text that which is shown, None for events of other kinds."""
        match event:
            case LlmStreamEvent.TextDelta(text=text, part_index=index):
                self._texts.setdefault(index, []).append(text)
                return await self._prose(text, index)
            case LlmStreamEvent.ReasoningDelta(text=text, part_index=index):
                await self._reasoning(text, index)
            case LlmStreamEvent.UsageUpdate(usage=usage):
                self._usage = usage
            case LlmStreamEvent.AttemptReset():
                await self._retract()
            case LlmStreamEvent.RetryStatus():
                await self._emit(_retry_status(event), None)
                self._attempt += 1
            case _:
                pass
        return None

    async def _prose(self, text: str, index: int) -> str:
        """Show what the hooks let through of a text; that."""
        return await self._piece(StreamPiece(text) if self._hook is None else self._hook.feed(text), index)

    async def _piece(self, piece: StreamPiece, index: int) -> str:
        prose = await self._filtered(piece.prose, "prose")
        if prose:
            await self._emit(TurnEvent.AssistantProseDelta(prose), self._row("prose", index))
        for event in piece.events:
            await self._emit(event, None)
        if piece.abort:
            self._enough.set()
        return prose

    async def _reasoning(self, text: str, index: int) -> None:
        shown = await self._filtered(text, "reasoning")
        if shown:
            await self._emit(TurnEvent.ReasoningDelta(shown), self._row("reason", index))

    async def _filtered(self, text: str, kind: Literal["prose", "reasoning"]) -> str:
        """What the hooks of plugins make of a text."""
        if not text:
            return text
        verdict = await self._output.stream(StreamChunk(text, kind))
        if verdict.abort is not None:
            _log.info("a plugin stops model call %d: %s", self._effect_id, verdict.abort)
            self._enough.set()
        return verdict.text

    def _row(self, kind: str, index: int) -> str:
        row = f"{kind}:{self._effect_id}.{self._attempt}.{index}"
        self._rows[kind].add(row)
        return row

    async def _retract(self) -> None:
        """The attempt is void: what was shown of it is taken back."""
        if self._rows["prose"] or self._rows["reason"]:
            prose, reasoning = (tuple(sorted(self._rows[kind])) for kind in ("prose", "reason"))
            await self._emit(TurnEvent.ModelAttemptReset(prose, reasoning), None)
        self._rows = {"prose": set(), "reason": set()}
        self._texts.clear()
        self._usage = NO_USAGE
        if self._hook is not None:
            self._hook.reset()
        await self._output.attempt_reset()

    # --- the end -----------------------------------------------------------------------------------

    async def _completed(self, response: LlmResponse) -> LlmResponse:
        """Show what did not stream, and give the driver the text that the hook has let through."""
        if not self._texts:
            for index, part in enumerate(response.parts):
                if isinstance(part, Block.Text):
                    await self._prose(part.text, index)
            if not response.parts and response.full_text:
                await self._prose(response.full_text, 0)
        if self._hook is None:
            return response
        await self._piece(self._hook.finish(), max(self._texts, default=0))
        rebuilt = self._hook.rebuilt()
        if rebuilt is None:
            return response
        others = tuple(part for part in response.parts if not isinstance(part, Block.Text))
        return replace(response, full_text=rebuilt, parts=(*others, Block.Text(rebuilt)))


def _retry_status(event: LlmStreamEvent.RetryStatus) -> TurnEvent.RetryStatus:
    return TurnEvent.RetryStatus(
        event.wait_seconds, event.attempt, event.max_attempts, event.reason, event.kind, event.deferred
    )
