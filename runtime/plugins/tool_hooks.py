"""The hooks of plugins round tool calls, as dispatch wants them (`lash.runtime.tools.hooks.ToolHooks`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from lash.runtime.errors import PluginError
from lash.runtime.plugins.calling import HookCaller
from lash.runtime.plugins.contract import AfterToolContext
from lash.runtime.plugins.registrar import Registrations
from lash.runtime.plugins.running import Heard, HookRunner
from lash.runtime.sansio.messages import Message
from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.hooks import HookedCall, HookVerdict
from lash.runtime.tools.result import ModelReturn, failed


class PluginToolHooks:
    """See the module. What a hook enqueues waits here for the next checkpoint."""

    def __init__(self, registrations: Registrations, caller: HookCaller, runner: HookRunner) -> None:
        self._has = registrations
        self._caller = caller
        self._runner = runner
        self._queued: list[Message] = []

    @property
    def has_any(self) -> bool:
        """Whether any plugin hooks into tool calls; where none does, calls are spared the way here."""
        return bool(self._has.before_tool or self._has.after_tool or self._has.projector)

    @property
    def has_before(self) -> bool:
        """See `ToolHooks`."""
        return bool(self._has.before_tool)

    @property
    def has_after(self) -> bool:
        """See `ToolHooks`."""
        return bool(self._has.after_tool)

    async def before_tool(self, call: HookedCall) -> HookVerdict:
        """See `ToolHooks`; the first hook that settles the call is the last one asked."""
        heard = Heard()
        for one in self._has.before_tool:
            await self._runner.run(one, "before_tool", call.frame.turn_id, f"{call.call_id}.before", heard, call)
            if heard.args is not None:
                call, heard.args = replace(call, args=heard.args), None
            if heard.abort is not None:
                return HookVerdict(call.args, _aborted(heard.abort), None, tuple(heard.messages))
            if heard.output is not None:
                break
        return HookVerdict(call.args, heard.output, heard.control, tuple(heard.messages))

    async def after_tool(self, call: HookedCall, output: AnyToolOutput, control: AnyToolControl | None) -> HookVerdict:
        """See `ToolHooks`; each hook sees what the last one made of the result."""
        heard = Heard()
        for one in self._has.after_tool:
            context = AfterToolContext(call, output)
            await self._runner.run(one, "after_tool", call.frame.turn_id, f"{call.call_id}.after", heard, context)
            if heard.abort is not None:
                output, control = _aborted(heard.abort), None
                break
            if heard.output is not None:
                output, control, heard.output, heard.control = heard.output, heard.control, None, None
            elif heard.control is not None:
                control, heard.control = heard.control, None
        return HookVerdict(call.args, output, control, tuple(heard.messages))

    async def project_tool_result(self, tool: str, args: JsonValue, output: AnyToolOutput) -> ModelReturn | None:
        """See `ToolHooks`."""
        one = self._has.projector
        if one is None:
            return None
        told: object = await self._caller.call(one, "result projector", tool, args, output)
        if told is not None and not isinstance(told, ModelReturn):
            raise PluginError("invoke", one.plugin_id, f"its result projector gave {type(told).__name__}, no text")
        return told

    def enqueue(self, messages: Sequence[Message]) -> None:
        """See `ToolHooks`."""
        self._queued += messages

    def take_queued(self, said: Collection[str]) -> list[Message]:
        """What was enqueued and has not been said; a replayed call enqueues again what a replayed checkpoint said."""
        taken, self._queued = self._queued, []
        return [message for message in taken if message.id not in said]


def _aborted(abort: tuple[str, str]) -> AnyToolOutput:
    """A hook that wants the turn stopped fails the call."""
    code, message = abort
    return failed("permission_denied", code, message, "plugin")
