"""One model call of a turn: streaming it through the mode's hook into activities (rlm.md 4, providers.md 3)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

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

USAGE_WAIT_S = 0.25
"""How long a call that has said enough may go on for its final usage."""


class ModelCallRun:
    """Runs one model call and shows its text. `effect_id` names the rows of a display."""

    def __init__(
        self,
        model: ProviderHandle,
        clock: Clock,
        emit: Callable[[AnyTurnEvent, str | None], Awaitable[None]],
        hook: StreamHook | None,
        effect_id: int,
        deadline_s: float | None,
        max_context_tokens: int | None = None,
    ) -> None:
        self._max_context_tokens = max_context_tokens
        self._model = model
        self._clock = clock
        self._emit = emit
        self._hook = hook
        self._effect_id = effect_id
        self._deadline_s = deadline_s
        self._events: asyncio.Queue[AnyStreamEvent | None] = asyncio.Queue()
        self._attempt = 1
        self._usage = NO_USAGE
        self._texts: dict[int, str] = {}
        self._rows: dict[str, set[str]] = {"prose": set(), "reason": set()}
        self._enough = asyncio.Event()

    async def run(self, request: LlmRequest) -> LlmResponse | LlmCallError:
        """The model's answer, or why there is none; a cancellation goes on its way when the call is aborted."""
        showing = asyncio.create_task(self._show())
        calling = asyncio.create_task(
            self._model.complete(request, self._events.put_nowait, deadline_s=self._deadline_s)
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
            with contextlib.suppress(asyncio.CancelledError, ProviderFailure):
                await calling
            self._events.put_nowait(None)
            await showing
        if isinstance(response, LlmCallError):
            return response
        if self._max_context_tokens is not None:
            response = refine_output_limit(response, self._max_context_tokens)
        return await self._completed(response)

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
        return "".join(self._texts[index] for index in sorted(self._texts))

    def _streamed_parts(self) -> tuple[ResponsePart, ...]:
        return tuple(Block.Text(self._texts[index]) for index in sorted(self._texts))

    # --- showing -----------------------------------------------------------------------------------

    async def _show(self) -> None:
        """Turn what the provider reports into activities, in order."""
        while (event := await self._events.get()) is not None:
            match event:
                case LlmStreamEvent.TextDelta(text=text, part_index=index):
                    self._texts[index] = self._texts.get(index, "") + text
                    await self._prose(text, index)
                case LlmStreamEvent.ReasoningDelta(text=text, part_index=index):
                    row = self._row("reason", index)
                    await self._emit(TurnEvent.ReasoningDelta(text), row)
                case LlmStreamEvent.UsageUpdate(usage=usage):
                    self._usage = usage
                case LlmStreamEvent.AttemptReset():
                    await self._retract()
                case LlmStreamEvent.RetryStatus():
                    await self._emit(_retry_status(event), None)
                    self._attempt += 1
                case _:
                    continue

    async def _prose(self, text: str, index: int) -> None:
        if self._hook is None:
            await self._emit(TurnEvent.AssistantProseDelta(text), self._row("prose", index))
            return
        await self._piece(self._hook.feed(text), index)

    async def _piece(self, piece: StreamPiece, index: int) -> None:
        if piece.prose:
            await self._emit(TurnEvent.AssistantProseDelta(piece.prose), self._row("prose", index))
        for event in piece.events:
            await self._emit(event, None)
        if piece.abort:
            self._enough.set()

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

    # --- the end -----------------------------------------------------------------------------------

    async def _completed(self, response: LlmResponse) -> LlmResponse:
        """Show what did not stream, and give the driver the text that the hook has let through."""
        if not self._texts:
            for index, part in enumerate(response.parts):
                if isinstance(part, Block.Text):
                    await self._prose(part.text, index)
                elif isinstance(part, Block.Reasoning) and part.text.strip() and not self._rows["reason"]:
                    await self._emit(TurnEvent.ReasoningDelta(part.text), self._row("reason", index))
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
