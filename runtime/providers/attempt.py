"""One attempt of a model call: its timers (providers.md 4.5), and what the listener sees of its stream (section 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from lash.runtime.providers.components import EventSink
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderReliability
from lash.runtime.sansio.llm import AnyStreamEvent, Block, LlmResponse, LlmStreamEvent
from lash.runtime.sansio.usage import NO_USAGE, TokenUsage
from lash.runtime.seams.clock import Clock

T = TypeVar("T")


class TimeIsUp(Exception):
    """Raised by `within`; an exception of its own, because the work may raise TimeoutError for its own reasons."""


async def within(clock: Clock, work: Coroutine[Any, Any, T], due: Callable[[], float | None]) -> T:
    """Run `work` until the monotonic clock reaches `due()`, which may move while it runs; None is no bound.

    Returns and raises what `work` does. Raises TimeIsUp when time is up; `work` is cancelled then, and has ended.
    Cancelling the caller cancels `work` and waits for its end too.
    """
    if due() is None:
        return await work
    loop = asyncio.get_running_loop()
    running, watch = loop.create_task(work), loop.create_task(_watch(clock, due))
    try:
        await asyncio.wait((running, watch), return_when=asyncio.FIRST_COMPLETED)
        overdue = not running.done()
    finally:
        running.cancel()
        watch.cancel()
        await asyncio.gather(running, watch, return_exceptions=True)
    if not running.cancelled():
        return running.result()
    if overdue:
        raise TimeIsUp
    raise ProviderFailure("cancelled", "the provider's transport cancelled itself")


async def _watch(clock: Clock, due: Callable[[], float | None]) -> None:
    """Return when the time is up."""
    while (end := due()) is None or end > clock.monotonic():
        await clock.sleep(end - clock.monotonic() if end is not None else 60)


class Timers:
    """When an attempt has taken too long: without a byte, or in all."""

    def __init__(self, clock: Clock, reliability: ProviderReliability) -> None:
        self._clock = clock
        self._idle_ms = reliability.idle_timeout_ms
        self._attempt_ms = reliability.attempt_timeout_ms
        self._begun = self._heard = clock.monotonic()

    def received(self) -> None:
        """Bytes have arrived."""
        self._heard = self._clock.monotonic()

    def due(self) -> float | None:
        """The time at which the attempt ends unless more bytes arrive."""
        ends = [end for end in (self._idle_end(), self._attempt_end()) if end is not None]
        return min(ends, default=None)

    def failure(self) -> ProviderFailure:
        """The failure of an attempt whose time is up."""
        idle, whole = self._idle_end(), self._attempt_end()
        if whole is not None and self._attempt_ms is not None and (idle is None or whole <= idle):
            said, code = f"the attempt took longer than {self._attempt_ms / 1000:g} s", "attempt_timeout"
        else:
            said, code = f"the provider sent nothing for {(self._idle_ms or 0) / 1000:g} s", "idle_timeout"
        return ProviderFailure("timeout", said, code=code)

    def _idle_end(self) -> float | None:
        return None if self._idle_ms is None else self._heard + self._idle_ms / 1000

    def _attempt_end(self) -> float | None:
        return None if self._attempt_ms is None else self._begun + self._attempt_ms / 1000


class AttemptSink:
    """Between a transport and the listener: keeps the rules of the stream, and knows what an attempt has shown.

    `emitted` says that there is something to take back, `usage` is the last the attempt reported, `error` what the
    listener itself raised: that is a fault of the listener, and no reason to ask the provider again.
    """

    def __init__(self, listener: EventSink | None, attempt: int, *, expose_thinking: bool) -> None:
        self._listener = listener
        self._attempt = attempt
        self._expose = expose_thinking
        self._text: list[str] = []
        self._last_text_index: int | None = None
        self._open = True
        self._reasoned = False
        self.emitted = False
        self.usage: TokenUsage = NO_USAGE
        self.error: Exception | None = None

    def __call__(self, event: AnyStreamEvent) -> None:
        """Take an event of the transport."""
        if not self._open:
            return
        match event:
            case LlmStreamEvent.UsageUpdate(usage=usage):
                if usage == self.usage:
                    return
                self.usage = usage
            case LlmStreamEvent.ReasoningDelta() | LlmStreamEvent.PartDone(part=Block.Reasoning()):
                if not self._expose:
                    return
                self._reasoned = self._reasoned or isinstance(event, LlmStreamEvent.ReasoningDelta)
                self.emitted = True
            case LlmStreamEvent.TextDelta(text=text, part_index=index):
                if not text:
                    return
                self._text.append(text)
                self._last_text_index = index
                self.emitted = True
            case LlmStreamEvent.AttemptReset():
                self._text.clear()
                self._reasoned = self.emitted = False
                event = LlmStreamEvent.AttemptReset(self._attempt)
            case LlmStreamEvent.RetryStatus():
                pass
            case _:
                self.emitted = True
        self._tell(event)

    def finish(self, response: LlmResponse) -> None:
        """Make what was streamed join to the response's text: send what is missing, or all of it after a reset.

        Reasoning of which nothing was streamed is sent before it.
        """
        streamed = "".join(self._text)
        texts = [index for index, part in enumerate(response.parts) if isinstance(part, Block.Text)]
        replaced = not response.full_text.startswith(streamed)
        if replaced:
            self(LlmStreamEvent.AttemptReset(self._attempt))
        if not self._reasoned:
            for index, part in enumerate(response.parts):
                if isinstance(part, Block.Reasoning) and part.text.strip():
                    self(LlmStreamEvent.ReasoningDelta(part.text, index))
        if replaced:
            self(LlmStreamEvent.TextDelta(response.full_text, texts[0] if texts else 0))
        elif len(streamed) < len(response.full_text):
            last = self._last_text_index or 0
            self(LlmStreamEvent.TextDelta(response.full_text[len(streamed) :], texts[-1] if texts else last))
        self.close()

    def close(self) -> None:
        """Let nothing through any more: the attempt is over, whatever its transport still says."""
        self._open = False

    def _tell(self, event: AnyStreamEvent) -> None:
        """Pass an event on, and remember if the listener breaks."""
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception as error:
            self.error = error
            raise
