"""`PluginSession`: the plugins of one open session, their hooks in order, and their state.

It is what the rest of the runtime talks to. Faults are isolated as plugins.md 1 says: a hook before or after a turn
fails the turn, one at a checkpoint stops it, one round a tool call fails that call, one on streamed text leaves the
text as it was, and one that is told of events is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lash.runtime.errors import PluginError, SessionError
from lash.runtime.plugins.actions import Action, ActionDefinition
from lash.runtime.plugins.calling import HookCaller, call_plain, close_all
from lash.runtime.plugins.contract import (
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
from lash.runtime.plugins.output import OutputHooks
from lash.runtime.plugins.ports import HookPorts
from lash.runtime.plugins.registrar import Registered, Registrations
from lash.runtime.plugins.running import Heard, HookRunner
from lash.runtime.plugins.snapshot import PluginEntry
from lash.runtime.plugins.state import PluginStates
from lash.runtime.plugins.tool_hooks import PluginToolHooks
from lash.runtime.sansio.messages import Message, MessageSequence
from lash.runtime.sansio.prompt import PromptContribution, PromptSlot
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.definition import ToolManifest
from lash.runtime.tools.provider import ToolProvider
from lash.runtime.tools.surface import SurfaceContribution, ToolSurface

_log = logging.getLogger("lash.plugins")

_SLOTS = tuple(PromptSlot)


@dataclass(frozen=True, slots=True)
class TurnVerdict:
    """What the hooks of a turn want: messages to be kept, messages for the model alone, or the turn's end.

    `abort` is `(code, message)`.
    """

    messages: tuple[Message, ...] = ()
    transient_messages: tuple[Message, ...] = ()
    abort: tuple[str, str] | None = None


class PluginSession:
    """See the module. `tools` is for dispatch, `states` for effects and commits, `output` for model calls."""

    def __init__(
        self,
        context: PluginSessionContext,
        plugins: Sequence[SessionPlugin],
        registrations: Registrations,
        entries: Mapping[str, PluginEntry],
        ports: HookPorts,
        caller: HookCaller,
    ) -> None:
        self.context = context
        self.plugins = tuple(plugins)
        self.states = PluginStates(plugins, entries)
        self.output = OutputHooks(registrations, caller)
        self._runner = HookRunner(caller, ports)
        self.tools = PluginToolHooks(registrations, caller, self._runner)
        self._has = registrations
        self._caller = caller

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
    def prepares_turns(self) -> bool:
        """Whether some plugin takes part in what comes before the first model call."""
        return bool(self._has.before_turn or self._has.prepare_turn or self._has.prompt)

    @property
    def finalises_turns(self) -> bool:
        """Whether some plugin has a hook after the turn."""
        return bool(self._has.after_turn)

    @property
    def can_rewrite(self) -> bool:
        """Whether some plugin can write a shorter history."""
        return bool(self._has.rewrite)

    def surface_contributions(self, manifests: Sequence[ToolManifest]) -> list[SurfaceContribution]:
        """What plugins do to the surface, in order; PluginError (invoke) where one fails."""
        context = SurfaceContext(self.context, tuple(manifests))
        found: list[SurfaceContribution] = []
        for one in self._has.surface:
            given: object = call_plain(one, "surface contribution", context)
            if isinstance(given, SurfaceContribution):
                found.append(given)
            elif given is not None:
                raise _wrong(one, "surface contribution", given)
        return found

    def prompt_contributions(self, surface: ToolSurface) -> list[PromptContribution]:
        """What plugins say in the prompt: each thing once, by slot and priority; raises PluginError (invoke)."""
        context = PromptContext(self.context, surface)
        found: dict[tuple[PromptSlot, int, str], PromptContribution] = {}
        for one in self._has.prompt:
            parts: list[object] = call_plain(one, "prompt contribution", context, into=list)
            for part in parts:
                if not isinstance(part, PromptContribution):
                    raise _wrong(one, "prompt contribution", part)
                found.setdefault((part.slot, part.priority, part.content), part)
        return sorted(found.values(), key=lambda part: (_SLOTS.index(part.slot), part.priority))

    def mutate_config(self, config: Any) -> Any:
        """A session's configuration as the plugins leave it; PluginError (invoke) where one fails."""
        for one in self._has.config_mutators:
            changed: object = call_plain(one, "config mutator", config)
            if changed is not None and not isinstance(changed, type(config)):
                raise _wrong(one, "config mutator", changed)
            config = config if changed is None else changed
        return config

    # --- the turn --------------------------------------------------------------------------------

    async def before_turn(self, turn: TurnHookContext, inputs: Mapping[str, Any]) -> TurnVerdict:
        """Before the first model call; PluginError (invoke) fails the turn."""
        heard = Heard()
        for one in self._has.before_turn:
            context = replace(turn, plugin_input=inputs.get(one.plugin_id))
            await self._runner.run(one, "before_turn", turn.turn_id, "before", heard, context)
            if heard.abort is not None:
                break
        return _verdict(heard)

    async def checkpoint(self, context: CheckpointContext, effect_id: int, inputs: Mapping[str, Any]) -> TurnVerdict:
        """What plugins say at a checkpoint, with what was enqueued since; a hook that fails stops the turn."""
        turn = context.turn
        heard = Heard(messages=self.tools.take_queued(_ids(turn.messages)))
        if context.kind == "overflow":
            return _verdict(heard)
        for one in self._has.checkpoint:
            own = replace(context, turn=replace(turn, plugin_input=inputs.get(one.plugin_id)))
            try:
                await self._runner.run(one, "checkpoint", turn.turn_id, f"checkpoint.{effect_id}", heard, own)
            except PluginError as error:
                heard.abort = (error.code, error.message)
            if heard.abort is not None:
                break
        return _verdict(heard)

    async def after_turn(self, context: AfterTurnContext, inputs: Mapping[str, Any]) -> TurnVerdict:
        """Once there is an outcome; what was enqueued and not heard yet comes with it. PluginError fails the turn."""
        turn = context.turn
        heard = Heard(messages=self.tools.take_queued(_ids(turn.messages)))
        for one in self._has.after_turn:
            own = replace(context, turn=replace(turn, plugin_input=inputs.get(one.plugin_id)))
            await self._runner.run(one, "after_turn", turn.turn_id, "after", heard, own)
        return _verdict(heard)

    # --- history ---------------------------------------------------------------------------------

    async def prepare_history(self, turn: TurnHookContext, inputs: Mapping[str, Any]) -> PreparedHistory:
        """What the model sees this turn; the last rewrite that a transform returned is committed."""
        prepared = PreparedHistory(turn.messages)
        for one in _by_priority(self._has.prepare_turn):
            context = replace(turn, messages=prepared.messages, plugin_input=inputs.get(one.plugin_id))
            what = "history transform"
            given: object = await self._caller.call(one, what, context, prepared.messages, long=True)
            if isinstance(given, PreparedHistory):
                prepared = replace(given, rewrite=given.rewrite or prepared.rewrite)
            elif isinstance(given, MessageSequence):
                prepared = replace(prepared, messages=given)
            elif given is not None:
                raise _wrong(one, what, given)
            _check_messages(one, what, prepared.messages)
            if prepared.rewrite is not None:
                _check_messages(one, what, prepared.rewrite.messages)
        return prepared

    async def rewrite_history(self, trigger: RewriteTrigger, messages: MessageSequence) -> HistoryRewrite | None:
        """A shorter history, piped through the plugins that write one; None where none does."""
        rewrite: HistoryRewrite | None = None
        for one in _by_priority(self._has.rewrite):
            given: object = await self._caller.call(one, "history rewrite", trigger, messages, long=True)
            if isinstance(given, HistoryRewrite):
                _check_messages(one, "history rewrite", given.messages)
                rewrite, messages = given, MessageSequence(given.messages)
            elif given is not None:
                raise _wrong(one, "history rewrite", given)
        return rewrite

    # --- actions ---------------------------------------------------------------------------------

    @property
    def actions(self) -> tuple[ActionDefinition, ...]:
        """What the host may ask of plugins."""
        return tuple(one.definition for one in self._has.actions.values())

    def action(self, name: str) -> Action:
        """The action of that name; SessionError (unknown_action) where there is none."""
        found = self._has.actions.get(name)
        if found is None:
            known = ", ".join(self._has.actions) or "none"
            raise SessionError("unknown_action", f"no plugin has an action {name!r}; there are: {known}")
        return found

    async def act(self, action: Action, args: JsonValue) -> JsonValue:
        """Do an action. Raises SessionError (invalid_action_args) and PluginError (invoke)."""
        taken = action.arguments(args)
        what = f"action {action.definition.name!r}"
        return action.result(await self._caller.call(Registered(action.plugin_id, action.hook), what, taken))

    # --- events ----------------------------------------------------------------------------------

    async def notify(self, event: LifecycleEvent) -> None:
        """Tell everybody at once; failures are logged and nothing else."""
        what = f"hook on {type(event).__name__}"
        told = await asyncio.gather(
            *(self._caller.call(one, what, event) for one in self._has.on_event), return_exceptions=True
        )
        for error in told:
            if isinstance(error, PluginError):
                _log.warning("%s", error)
            elif isinstance(error, BaseException):
                raise error

    async def aclose(self) -> None:
        """Close the plugins, the last one first; one that fails is logged."""
        await close_all(self.plugins, self._caller)


def _verdict(heard: Heard) -> TurnVerdict:
    kept = tuple(one for one in heard.messages if not one.transient)
    return TurnVerdict(kept, tuple(one for one in heard.messages if one.transient), heard.abort)


def _ids(messages: Sequence[Message]) -> set[str]:
    return {message.id for message in messages}


def _by_priority(hooks: Sequence[Registered[Any]]) -> list[Registered[Any]]:
    return sorted(hooks, key=lambda one: -one.priority)


def _check_messages(one: Registered[Any], what: str, messages: Iterable[object]) -> None:
    for message in messages:
        if not isinstance(message, Message):
            raise _wrong(one, what, message)


def _wrong(one: Registered[Any], what: str, given: object) -> PluginError:
    return PluginError("invoke", one.plugin_id, f"its {what} gave {type(given).__name__}, which is none")
