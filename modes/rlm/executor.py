"""Running the programs of a session (rlm.md 8, 10): the machine that keeps its variables, block after block.

A language error keeps what the program assigned before it. Whatever is no fault of the program (a machine that broke,
a block that computed for too long, a cancelled turn) leaves the variables as they were before the block: the machine
is forked before each one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from lash.modes.rlm.bridge import ProgramHalted, RlmBridge
from lash.modes.rlm.codec import plain
from lash.modes.rlm.config import RlmLimits
from lash.modes.rlm.prompt.variables import MOST_VARIABLES, Described, describe, variables_view
from lash.modes.rlm.view import VariablesView
from lash.runtime.sansio.effects import ExecResponse, TerminalControl, TerminalSubmit
from lash.runtime.sansio.values import JsonValue
from lashlang import KernelFault, Limits, Machine, Outcome, Projection, SnapshotError, Value
from lashlang.projection import ProjectionUnavailable, holds_projection
from lashlang.vm.sources import Resolve

SMALL_HEAP = 8 << 20
"""Bytes of a machine's heap up to which its variables are read whole for the prompt."""

_BEGINNING = """submit type_of(NAME) == "record" ? [[[k, NAME[k]] for k in slice(keys(NAME), 0, 12)], len(NAME), true]
  : type_of(NAME) == "string" ? [slice(NAME, 0, 2000), len(NAME), false]
  : type_of(NAME) == "list" ? [slice(NAME, 0, 12), len(NAME), false]
  : [NAME, null, false]"""

UNAVAILABLE = "projection_unavailable"

ROLLED_BACK = "The variables are as they were before the block."


class RlmExecutor:
    """The machine of one session.

    `seconds` is a clock that never goes back. `dirty` says that the state is not yet in a snapshot that was taken.
    """

    def __init__(self, limits: RlmLimits, seconds: Callable[[], float]) -> None:
        self._limits = limits
        self._seconds = seconds
        self._machine = Machine(Limits(**limits.kernel))
        self.dirty = False

    def close(self) -> None:
        """Give the machine's memory back."""
        self._machine.close()

    # --- state -------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """The variables, in the portable form that every later version reads."""
        return self._machine.snapshot()

    def reset(self) -> None:
        """Have no variables."""
        self._machine.close()
        self._machine = Machine(Limits(**self._limits.kernel))
        self.dirty = False

    def restore(self, data: bytes, projections: Resolve | None = None) -> None:
        """Have the variables of a snapshot. Raises SnapshotError, changing nothing."""
        restored = Machine.restore(data, limits=Limits(**self._limits.kernel), projections=projections)
        if restored.step is not None:
            restored.close()
            raise SnapshotError("the snapshot holds a block that is not finished; a session keeps none")
        self._machine.close()
        self._machine = restored
        self.dirty = False

    @property
    def variables(self) -> Mapping[str, Value]:
        """The variables, by name in state order; reading one larger than `value_size` raises LanguageError."""
        return self._machine.globals

    def set_default(self, values: Mapping[str, Value]) -> None:
        """Set those variables that are not bound."""
        for name, value in values.items():
            if name not in self._machine.globals:
                self._machine.globals[name] = value
                self.dirty = True

    def remove(self, names: list[str]) -> list[str]:
        """Remove variables; those that there were."""
        removed = [name for name in names if name in self._machine.globals]
        for name in removed:
            del self._machine.globals[name]
            self.dirty = True
        return removed

    def view(self, hidden: Collection[str]) -> VariablesView:
        """What the prompt tells of the variables, but for those hidden.

        Of a machine that holds much only the beginnings of texts, lists and records are read.
        """
        names = sorted(name for name in self._machine.globals if name not in hidden)
        described, told = names[:MOST_VARIABLES], names[MOST_VARIABLES:]
        if self._machine.heap_used <= SMALL_HEAP:
            return variables_view([describe(name, self._machine.globals[name]) for name in described], told)
        found: list[Described] = []
        for name in described:
            outcome = self._machine.run(_BEGINNING.replace("NAME", name))
            if outcome.error is not None:  # a part of it is larger than may leave the machine
                told.append(name)
                continue
            value, length, is_record = outcome.value
            found.append(describe(name, dict(value) if is_record else value, length))
        return variables_view(found, told)

    # --- blocks ------------------------------------------------------------------------------------

    async def run(
        self, code: str, bridge: RlmBridge, projected: Mapping[str, Value | Projection] | None = None
    ) -> ExecResponse:
        """Run one block to its end. A cancellation rolls the variables back and goes on its way."""
        before = self._machine.fork()
        kept = False
        began = self._seconds()
        try:
            try:
                outcome = await self._machine.run_async(
                    code,
                    host=bridge,
                    projected=projected,
                    compute_timeout=self._limits.block_timeout_s,
                    one_at_a_time=True,
                )
            except ProgramHalted:
                outcome = None
            except KernelFault as fault:
                return _response(
                    bridge,
                    self._seconds() - began,
                    error=f"The machine broke: {fault}\n{ROLLED_BACK}",
                    kind="kernel_fault",
                )
            if outcome is not None and outcome.status == "interrupted":
                error = f"{outcome.render_error()}\n{ROLLED_BACK}"
                return _response(bridge, self._seconds() - began, error=error, kind="interrupted", fuel=outcome.fuel)
            kept = True
            self.dirty = True
            return await _ended(bridge, self._seconds() - began, outcome)
        finally:
            if kept:
                before.close()
            else:
                self._machine.close()
                self._machine = before


async def _ended(bridge: RlmBridge, seconds: float, outcome: Outcome | None) -> ExecResponse:
    """The response of a block that ended by itself, or (None) was halted by a tool."""
    if outcome is None:
        assert bridge.halted is not None
        return _response(bridge, seconds, terminal=TerminalControl(bridge.halted), halted_by=bridge.halted.tool_name)
    if outcome.error is not None:
        return _response(bridge, seconds, error=outcome.render_error(), kind=str(outcome.error.kind), fuel=outcome.fuel)
    if outcome.status != "submitted":
        return _response(bridge, seconds, fuel=outcome.fuel)
    try:
        value = await _submitted(outcome.value)
    except ProjectionUnavailable as error:
        told = f"error[{UNAVAILABLE}]: {error}"
        return _response(bridge, seconds, error=told, kind=UNAVAILABLE, fuel=outcome.fuel)
    return _response(bridge, seconds, terminal=TerminalSubmit(value), fuel=outcome.fuel)


async def _submitted(value: Value) -> JsonValue:
    """A submitted value as JSON. Raises ProjectionUnavailable where a part of it cannot be read."""
    if not holds_projection(value):
        return plain(value)
    # A source may take its time, and may need the event loop.
    return await asyncio.to_thread(plain, value)


def _response(
    bridge: RlmBridge,
    seconds: float,
    *,
    error: str | None = None,
    kind: str | None = None,
    terminal: TerminalSubmit | TerminalControl | None = None,
    fuel: int = 0,
    halted_by: str | None = None,
) -> ExecResponse:
    return ExecResponse(
        observations=tuple(bridge.observations),
        observation_metrics=tuple(bridge.metrics),
        tool_calls=bridge.calls,
        printed_images=tuple(bridge.images),
        error=error,
        error_kind=kind,
        terminal_finish=terminal,
        duration_ms=round(seconds * 1000),
        fuel=fuel,
        halted_by=halted_by,
    )
