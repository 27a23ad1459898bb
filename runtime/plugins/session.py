"""`PluginSession`: the plugins of one open session, their hooks in order, and their state.

It is what the rest of the runtime talks to. Faults are isolated as plugins.md 1 says: a hook before or after a turn
fails the turn, one at a checkpoint stops it, one round a tool call fails that call, one on streamed text leaves the
text as it was, and one that is told of events is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from lash.runtime.errors import PluginError
from lash.runtime.plugins.calling import HookTimes, call_hook, close_all
from lash.runtime.plugins.contract import (
    AfterToolContext,
    AfterTurnContext,
    CheckpointContext,
    HistoryRewrite,
    LifecycleEvent,
    PluginSessionContext,
    PreparedHistory,
    PromptContext,
    RewriteTrigger,
    SessionPlugin,
    SurfaceContext,
    TurnHookContext,
)
from lash.runtime.plugins.directives import AnyDirective, Directive, HookPoint, checked
from lash.runtime.plugins.output import OutputHooks
from lash.runtime.plugins.ports import HookPorts, PluginPorts
from lash.runtime.plugins.registrar import Registered, Registrations
from lash.runtime.plugins.snapshot import PluginEntry
from lash.runtime.plugins.state import PluginStates
from lash.runtime.sansio.messages import Message, MessageSequence
from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput, ToolControl, ToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.definition import ToolManifest
from lash.runtime.tools.hooks import HookedCall, HookVerdict
from lash.runtime.tools.provider import ToolProvider
from lash.runtime.tools.result import ModelReturn, failed, output_of
from lash.runtime.tools.surface import SurfaceContribution, ToolSurface

_log = logging.getLogger("lash.plugins")


@dataclass(frozen=True, slots=True)
class TurnVerdict:
    """What the hooks of a turn want: messages to be kept, messages for the model alone, or the turn's end.

    `abort` is `(code, message)`.
    """

    messages: tuple[Message, ...] = ()
    transient_messages: tuple[Message, ...] = ()
    abort: tuple[str, str] | None = None


@dataclass(slots=True)
class _Heard:
    """What directives have come to so far."""

    messages: list[Message] = field(default_factory=list[Message])
    abort: tuple[str, str] | None = None
    args: dict[str, JsonValue] | None = None
    output: AnyToolOutput | None = None
    control: AnyToolControl | None = None


class PluginSession:
    """See the module; implements `ToolHooks` for dispatch. `states` implements `EffectState`."""

    def __init__(
        self,
        context: PluginSessionContext,
        plugins: Sequence[SessionPlugin],
        registrations: Registrations,
        entries: Mapping[str, PluginEntry],
        ports: HookPorts,
        clock: Clock,
        times: HookTimes,
    ) -> None:
        self.context = context
        self.plugins = tuple(plugins)
        self.states = PluginStates(plugins, entries)
        self.output = OutputHooks(registrations, clock, times)
        self._has = registrations
        self._ports = ports
        self._clock = clock
        self._times = times
        self._queued: list[Message] = []

    # --- what is registered ----------------------------------------------------------------------

    @property
    def providers(self) -> list[ToolProvider]:
        """The tools of plugins."""
        return [one.hook for one in self._has.providers]

    @property
    def native_tools(self) -> list[ToolProvider]:
        """The tools of the mode."""
        return [one.hook for one in self._has.native_tools]

    @property
    def mode_session(self) -> Any:
        """What the mode registered as its half of the session; None without a mode."""
        return None if self._has.mode_session is None else self._has.mode_session.hook

    @property
    def protocol_driver(self) -> Any:
        """What the mode registered as its driver; None without a mode."""
        return None if self._has.protocol_driver is None else self._has.protocol_driver.hook

    @property
    def can_rewrite(self) -> bool:
        """Whether some plugin can write a shorter history."""
        return bool(self._has.rewrite)

    def surface_contributions(self, manifests: Sequence[ToolManifest]) -> list[SurfaceContribution]:
        """What plugins do to the surface, in order; PluginError (invoke) where one fails."""
        context = SurfaceContext(self.context, tuple(manifests))
        given = [_called(one, "surface contribution", context) for one in self._has.surface]
        return [one for one in given if one is not None]

    def prompt_contributions(self, surface: ToolSurface) -> list[PromptContribution]:
        """What plugins say in the prompt: each thing once, by slot and priority; raises PluginError (invoke)."""
        context = PromptContext(self.context, surface)
        found: dict[tuple[Any, int, str], PromptContribution] = {}
        for one in self._has.prompt:
            for part in _called(one, "prompt contribution", context) or ():
                found.setdefault((part.slot, part.priority, part.content.strip()), part)
        return sorted(found.values(), key=lambda part: (_place(part.slot), part.priority))

    def mutate_config(self, config: Any) -> Any:
        """A session's configuration as the plugins leave it; PluginError (invoke) where one fails."""
        for one in self._has.config_mutators:
            changed = _called(one, "config mutator", config)
            config = config if changed is None else changed
        return config

    # --- the turn --------------------------------------------------------------------------------

    async def before_turn(self, turn: TurnHookContext, inputs: Mapping[str, Any]) -> TurnVerdict:
        """Before the first model call; PluginError (invoke) fails the turn."""
        heard = _Heard()
        for one in self._has.before_turn:
            context = replace(turn, plugin_input=inputs.get(one.plugin_id))
            await self._run(one, "before_turn", f"{turn.turn_id}.before", heard, context)
            if heard.abort is not None:
                break
        return _verdict(heard)

    async def checkpoint(self, context: CheckpointContext, effect_id: str, inputs: Mapping[str, Any]) -> TurnVerdict:
        """What plugins say at a checkpoint, with what was enqueued since; a hook that fails stops the turn."""
        heard = _Heard(messages=self._take_queued())
        if context.kind == "overflow":
            return _verdict(heard)
        for one in self._has.checkpoint:
            own = replace(context, turn=replace(context.turn, plugin_input=inputs.get(one.plugin_id)))
            try:
                await self._run(one, "checkpoint", f"{context.turn.turn_id}.{effect_id}", heard, own)
            except PluginError as error:
                heard.abort = (error.code, error.message)
            if heard.abort is not None:
                break
        return _verdict(heard)

    async def after_turn(self, context: AfterTurnContext, inputs: Mapping[str, Any]) -> TurnVerdict:
        """Once there is an outcome; what was enqueued and not heard yet comes with it. PluginError fails the turn."""
        heard = _Heard(messages=self._take_queued())
        for one in self._has.after_turn:
            own = replace(context, turn=replace(context.turn, plugin_input=inputs.get(one.plugin_id)))
            await self._run(one, "after_turn", f"{context.turn.turn_id}.after", heard, own)
        return _verdict(heard)

    def _take_queued(self) -> list[Message]:
        taken, self._queued = self._queued, []
        return taken

    # --- history ---------------------------------------------------------------------------------

    async def prepare_history(
        self, turn: TurnHookContext, messages: MessageSequence, inputs: Mapping[str, Any]
    ) -> PreparedHistory:
        """What the model sees this turn; the last rewrite that a transform returned is committed."""
        prepared = PreparedHistory(messages)
        for one in _by_priority(self._has.prepare_turn):
            context = replace(turn, messages=prepared.messages, plugin_input=inputs.get(one.plugin_id))
            what = "history transform"
            given = await call_hook(
                self._clock, one.plugin_id, what, self._times.prepare_s, one.hook, context, prepared.messages
            )
            if isinstance(given, PreparedHistory):
                prepared = replace(given, rewrite=given.rewrite or prepared.rewrite)
            elif isinstance(given, MessageSequence):
                prepared = replace(prepared, messages=given)
            elif given is not None:
                raise PluginError(
                    "invoke", one.plugin_id, f"its {what} gave {type(given).__name__}, which is no history"
                )
        return prepared

    async def rewrite_history(self, trigger: RewriteTrigger, messages: MessageSequence) -> HistoryRewrite | None:
        """A shorter history, piped through the plugins that write one; None where none does."""
        rewrite: HistoryRewrite | None = None
        for one in _by_priority(self._has.rewrite):
            limit = self._times.prepare_s
            given = await call_hook(self._clock, one.plugin_id, "history rewrite", limit, one.hook, trigger, messages)
            if given is not None:
                rewrite = given
                messages = MessageSequence(given.messages)
        return rewrite

    # --- tool calls ------------------------------------------------------------------------------

    async def before_tool(self, call: HookedCall) -> HookVerdict:
        """See `ToolHooks`; the first hook that settles the call is the last one asked."""
        heard = _Heard()
        for one in self._has.before_tool:
            await self._run(one, "before_tool", f"{call.frame.turn_id}.{call.call_id}.before", heard, call)
            if heard.args is not None:
                call, heard.args = replace(call, args=heard.args), None
            if heard.abort is not None:
                code, message = heard.abort
                output = failed("permission_denied", code, message, "plugin")
                return HookVerdict(call.args, output, None, tuple(heard.messages))
            if heard.output is not None:
                break
        return HookVerdict(call.args, heard.output, heard.control, tuple(heard.messages))

    async def after_tool(self, call: HookedCall, output: AnyToolOutput, control: AnyToolControl | None) -> HookVerdict:
        """See `ToolHooks`; each hook sees what the last one made of the result."""
        heard = _Heard()
        for one in self._has.after_tool:
            context = AfterToolContext(call, output)
            await self._run(one, "after_tool", f"{call.frame.turn_id}.{call.call_id}.after", heard, context)
            if heard.abort is not None:
                code, message = heard.abort
                output, control = failed("permission_denied", code, message, "plugin"), None
                break
            if heard.output is not None:
                output, control, heard.output = heard.output, heard.control, None
            elif heard.control is not None:
                control, heard.control = heard.control, None
        return HookVerdict(call.args, output, control, tuple(heard.messages))

    async def project_tool_result(self, tool: str, args: JsonValue, output: AnyToolOutput) -> ModelReturn | None:
        """See `ToolHooks`."""
        one = self._has.projector
        if one is None:
            return None
        return await call_hook(
            self._clock, one.plugin_id, "result projector", self._times.hook_s, one.hook, tool, args, output
        )

    def enqueue(self, messages: Sequence[Message]) -> None:
        """See `ToolHooks`."""
        self._queued += messages

    # --- events ----------------------------------------------------------------------------------

    async def notify(self, event: LifecycleEvent) -> None:
        """Tell everybody at once; failures are logged and nothing else."""
        what = f"hook on {type(event).__name__}"
        told = await asyncio.gather(
            *(
                call_hook(self._clock, one.plugin_id, what, self._times.hook_s, one.hook, event)
                for one in self._has.on_event
            ),
            return_exceptions=True,
        )
        for error in told:
            if isinstance(error, PluginError):
                _log.warning("%s", error)
            elif isinstance(error, BaseException):
                raise error

    async def aclose(self) -> None:
        """Close the plugins, the last one first; one that fails is logged."""
        await close_all(self.plugins)

    # --- directives ------------------------------------------------------------------------------

    async def _run(
        self,
        one: Registered[Callable[..., Any]],
        point: HookPoint,
        scope: str,
        heard: _Heard,
        context: Any,
    ) -> None:
        """Call a hook and carry out what it asks for; PluginError (invoke) where it fails or may not ask that."""
        limit = self._times.prepare_s if point == "before_turn" else self._times.hook_s
        given = await call_hook(self._clock, one.plugin_id, f"hook {point}", limit, one.hook, context)
        ports = PluginPorts(self._ports, one.plugin_id)
        for directive in checked(one.plugin_id, point, given):
            await _carry_out(directive, ports, scope, heard)


async def _carry_out(directive: AnyDirective, ports: PluginPorts, scope: str, heard: _Heard) -> None:
    match directive:
        case Directive.AbortTurn(code=code, message=message):
            heard.abort = (code, message)
        case Directive.EnqueueMessages(messages=messages):
            heard.messages += [ports.message(scope, len(heard.messages) + at, one) for at, one in enumerate(messages)]
        case Directive.ReplaceToolArgs(args=args):
            heard.args = args
        case Directive.ShortCircuitTool(result=result):
            heard.output = output_of(result)
            heard.control = result.control if isinstance(heard.output, ToolOutput.Success) else None
        case Directive.HandoffSession(session_id=session_id):
            heard.control = ToolControl.Handoff(session_id)
        case Directive.CreateSession(session_id=session_id, options=options):
            await ports.create_session(session_id, options)
        case Directive.EmitRuntimeEvents(events=events):
            for event in events:
                await ports.emit(event)
        case Directive.EmitTrace(name=name, payload=payload):
            ports.trace(name, payload)


def _verdict(heard: _Heard) -> TurnVerdict:
    kept = tuple(one for one in heard.messages if not one.transient)
    return TurnVerdict(kept, tuple(one for one in heard.messages if one.transient), heard.abort)


def _called(one: Registered[Callable[..., Any]], what: str, context: Any) -> Any:
    """What a plain hook gives; PluginError (invoke) names the plugin where it raises."""
    try:
        return one.hook(context)
    except Exception as error:
        raise PluginError("invoke", one.plugin_id, f"its {what} raised {type(error).__name__}: {error}") from error


def _by_priority(hooks: Sequence[Registered[Any]]) -> list[Registered[Any]]:
    return sorted(hooks, key=lambda one: -one.priority)


def _place(slot: object) -> int:
    """Where a slot stands among its kind."""
    return list(type(slot)).index(slot) if isinstance(slot, Enum) else 0
