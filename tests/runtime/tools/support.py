"""A dispatcher on its own: no session, no mode, a clock that stands still, and a list of what was shown."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from lash.host.effects.inline import InlineEffectHost
from lash.runtime.sansio.activity import AnyTurnEvent
from lash.runtime.sansio.tools import CompletedToolCall, PendingToolCall, ToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import EffectHost, ExecutionScope
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.decorator import as_providers
from lash.runtime.tools.dispatch import ToolDispatcher, ToolRequest
from lash.runtime.tools.hooks import CallFrame
from lash.runtime.tools.registry import ToolRegistry
from lash.runtime.tools.threads import ToolThreads
from lash.testing.clock import FakeClock

FRAME = CallFrame("s", "t", 0, 0, "1", "stub")
SCOPE = ExecutionScope("turn", "s", "t")


class Bench:
    """A dispatcher with all its surroundings at hand."""

    def __init__(self, dispatcher: ToolDispatcher, shown: list[tuple[AnyTurnEvent, str | None]]) -> None:
        self.dispatcher = dispatcher
        self.shown = shown
        self.clock: FakeClock = dispatcher.clock  # type: ignore[assignment]
        self.token = dispatcher.token
        self.threads = dispatcher.execution.threads
        self.registry = dispatcher.registry

    async def call(self, name: str, args: JsonValue = None, call_id: str = "c1", **more: Any) -> CompletedToolCall:
        """One call."""
        request = ToolRequest(PendingToolCall(call_id, name, {} if args is None else args), **more)
        return await self.dispatcher.dispatch(request, FRAME)

    async def batch(self, *calls: tuple[str, JsonValue]) -> tuple[CompletedToolCall, ...]:
        """Calls with ids c0, c1 and so on."""
        requests = [ToolRequest(PendingToolCall(f"c{at}", name, args)) for at, (name, args) in enumerate(calls)]
        return await self.dispatcher.batch(requests, FRAME)

    def types(self) -> list[str]:
        """The kinds of what was shown."""
        return [event.type for event, _ in self.shown]


@asynccontextmanager
async def bench(
    tools: Sequence[object], host: EffectHost | None = None, clock: FakeClock | None = None, **more: Any
) -> AsyncGenerator[Bench]:
    """A dispatcher for these tools; `more` goes to `ToolDispatcher`."""
    clock = clock or FakeClock()
    registry = more.pop("registry", None) or ToolRegistry()
    registry.add_source(as_providers(tools), "plugins")
    shown: list[tuple[AnyTurnEvent, str | None]] = []
    threads = ToolThreads()
    async with (host or InlineEffectHost(clock)).scoped(SCOPE) as controller:
        dispatcher = ToolDispatcher(
            surface=registry.surface("stub", native=more.pop("native", ())),
            registry=registry,
            controller=controller,
            clock=clock,
            threads=threads,
            token=CancelToken(),
            emit=lambda event, row: shown.append((event, row)),
            **more,
        )
        try:
            yield Bench(dispatcher, shown)
        finally:
            threads.close()


def value(call: CompletedToolCall) -> JsonValue:
    """The value of a call that worked."""
    assert isinstance(call.output, ToolOutput.Success), call.output
    return call.output.value


def failure(call: CompletedToolCall) -> tuple[str, str, str]:
    """Class, code and message of a call that failed."""
    assert isinstance(call.output, ToolOutput.Failure), call.output
    return call.output.failure.cls, call.output.failure.code, call.output.failure.message
