"""Running hooks that may give directives, and what the directives come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lash.runtime.errors import PluginError
from lash.runtime.plugins.calling import HookCaller
from lash.runtime.plugins.directives import AnyDirective, Directive, HookPoint, checked
from lash.runtime.plugins.ports import HookPorts, PluginPorts
from lash.runtime.plugins.registrar import Registered
from lash.runtime.sansio.messages import Message
from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput, ToolControl, ToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.result import output_of


@dataclass(slots=True)
class Heard:
    """What the directives of a row of hooks have come to so far."""

    messages: list[Message] = field(default_factory=list[Message])
    abort: tuple[str, str] | None = None
    args: dict[str, JsonValue] | None = None
    output: AnyToolOutput | None = None
    control: AnyToolControl | None = None


class HookRunner:
    """Calls hooks and carries out what they ask for."""

    def __init__(self, caller: HookCaller, ports: HookPorts) -> None:
        self._caller = caller
        self._ports = ports

    async def run(
        self,
        one: Registered[Callable[..., Any]],
        point: HookPoint,
        turn_id: str,
        place: str,
        heard: Heard,
        context: Any,
    ) -> None:
        """Call a hook; `turn_id` and `place` name where in the session messages of it are written.

        PluginError (invoke) where it fails or asks for what it may not; then nothing that it asked for is done, and
        where what it asks for cannot be done.
        """
        given = await self._caller.call(one, f"hook {point}", context)
        ports = PluginPorts(self._ports, one.plugin_id)
        for directive in checked(one.plugin_id, point, given):
            try:
                await _carry_out(directive, ports, turn_id, place, heard)
            except Exception as error:
                what = f"{type(directive).__name__} of its hook at {point} cannot be carried out: {error}"
                raise PluginError("invoke", one.plugin_id, what) from error


async def _carry_out(directive: AnyDirective, ports: PluginPorts, turn_id: str, place: str, heard: Heard) -> None:
    match directive:
        case Directive.AbortTurn(code=code, message=message):
            heard.abort = (code, message)
        case Directive.EnqueueMessages(messages=messages):
            for message in messages:
                heard.messages.append(ports.message(turn_id, place, len(heard.messages), message))
        case Directive.ReplaceToolArgs(args=args):
            heard.args = args
        case Directive.ShortCircuitTool(result=result):
            heard.output = output_of(result)
            heard.control = result.control if isinstance(heard.output, ToolOutput.Success) else None
        case Directive.HandoffSession(session_id=session_id):
            heard.control = ToolControl.Handoff(session_id)
        case Directive.EmitRuntimeEvents(events=events):
            for event in events:
                await ports.emit(event)
        case Directive.EmitTrace(name=name, payload=payload):
            ports.trace(name, payload)
