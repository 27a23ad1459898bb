"""Tool calls of a turn, for any mode or none (providers.md 13): what is called, in which order, with what at hand.

What becomes of one call is in `call_run.py`, and in `asked_call.py` where a person may have to allow it.

Whatever fails inside a call is its result and stops nothing else. Two things pass through: cancellation, and the errors
of the effect host. A call that the turn's cancellation stopped is completed here as cancelled and not recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from lash.runtime.sansio.activity import AnyTurnEvent
from lash.runtime.sansio.tools import CompletedToolCall
from lash.runtime.sansio.usage import TokenLedgerEntry
from lash.runtime.seams.clock import Clock
from lash.runtime.seams.effects import EffectController
from lash.runtime.tools.approvals import ApprovalDesk
from lash.runtime.tools.asked_call import AskedCallRun
from lash.runtime.tools.attempts import Execution, ToolLimits
from lash.runtime.tools.call_run import CallRun, ToolRequest
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.context import Emit, ToolServices
from lash.runtime.tools.definition import Availability
from lash.runtime.tools.hooks import CallFrame, EffectState, ToolHooks, ToolObserver
from lash.runtime.tools.registry import MODE, ToolRegistry
from lash.runtime.tools.schedule import Pace, Turnstile, run_batch
from lash.runtime.tools.stillness import Stillness
from lash.runtime.tools.surface import CatalogEntry, SurfaceEntry, ToolSurface
from lash.runtime.tools.threads import ToolThreads

__all__ = ["ToolDispatcher", "ToolRequest"]


class ToolDispatcher:
    """Runs the tool calls of one turn.

    `surface` is what the turn sees and may be replaced between iterations. `emit` shows activities, `desk` knows whom
    to ask for approvals, `services` stands behind the contexts of tools; hooks, state and observer are optional.
    `stillness` is told what runs and what waits; `repeats` of each event that is about to be shown and was shown by an
    earlier run of the turn. `usage` is what tools have used of the model, recorded calls included.
    """

    def __init__(
        self,
        *,
        surface: ToolSurface,
        registry: ToolRegistry,
        controller: EffectController,
        clock: Clock,
        threads: ToolThreads,
        token: CancelToken,
        emit: Emit,
        limits: ToolLimits | None = None,
        desk: ApprovalDesk | None = None,
        services: ToolServices | None = None,
        hooks: ToolHooks | None = None,
        state: EffectState | None = None,
        observer: ToolObserver | None = None,
        stillness: Stillness | None = None,
        repeats: Callable[[AnyTurnEvent], None] = lambda _: None,
    ) -> None:
        self.surface = surface
        self.registry = registry
        self.controller = controller
        self.limits = limits or ToolLimits()
        self.desk = desk or ApprovalDesk()
        self.hooks = hooks
        self.state = state
        self.observer = observer
        self.stillness = stillness or Stillness()
        self.repeats = repeats
        self.usage: list[TokenLedgerEntry] = []
        self._pace = Pace()
        self.token = token
        self.emit = emit
        self.clock = clock
        self.execution = Execution(clock, self.limits, threads, services, _Access(self), emit, token, observer)

    async def dispatch(self, request: ToolRequest, frame: CallFrame) -> CompletedToolCall:
        """Run one call."""
        return (await self.batch([request], frame))[0]

    async def batch(self, requests: Sequence[ToolRequest], frame: CallFrame) -> tuple[CompletedToolCall, ...]:
        """Run calls: the parallel ones together, then the serial ones one by one; results in the order of the calls.

        Raises what the effect host raises, after the other calls were stopped.
        """
        entries = [self.resolve(one.call.tool_name, internal=one.internal) for one in requests]
        starting, asking = Turnstile(), Turnstile()
        serial = [entry is not None and entry.manifest.execution_mode == "serial" for entry in entries]
        most = self.limits.max_parallel
        gate = None if most is None else asyncio.Semaphore(most)

        def drive(at: int) -> Awaitable[CompletedToolCall]:
            entry = entries[at]
            kind = CallRun if entry is None or entry.manifest.needs_approval is False else AskedCallRun
            own_gate = None if serial[at] else gate
            return kind(self, requests[at], entry, frame, starting, asking, at, own_gate).run()

        return await run_batch(drive, serial, (starting, asking), self._pace)

    def resolve(self, name: str, *, internal: bool = False) -> SurfaceEntry | None:
        """The tool that a call of that name reaches now; None where it reaches none."""
        entry = self.surface.entry(name)
        if entry is None:
            if name in self.surface.hidden:
                return None
            entry = self.registry.lazy_entry(name, self.surface.mode)
            entry = entry and self.surface.asking(entry)
        elif entry.source_id != MODE and not self.registry.is_live(entry.source_id, entry.manifest.name):
            return None
        if entry is None:
            return None
        reachable = entry.availability >= Availability.CALLABLE if internal else entry.callable
        return entry if reachable else None


class _Access:
    """What tools may do to the surface of their turn."""

    def __init__(self, dispatcher: ToolDispatcher) -> None:
        self._dispatcher = dispatcher

    def catalog(self) -> Sequence[CatalogEntry]:
        return self._dispatcher.surface.catalog()

    def set_availability(self, names: Sequence[str], level: Availability | None) -> None:
        self._dispatcher.registry.set_availability(names, level)
