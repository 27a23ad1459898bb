"""What plugins do in the course of one turn (plugins.md 1).

Everything is done inside an effect: a turn that is driven again reads from the journal what the plugins said and what
became of their state, and runs none of their hooks.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic_core import PydanticSerializationError

from lash.runtime.errors import EffectError, LashError, PluginError, TurnError
from lash.runtime.plugins.contract import AfterTurnContext, CheckpointContext, HistoryRewrite, TurnHookContext
from lash.runtime.sansio.effects import CheckpointKind
from lash.runtime.sansio.messages import Message, MessageSequence, SessionEvent, SessionEventRecord
from lash.runtime.sansio.outcome import AnyTurnOutcome
from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.values import JsonValue, to_json, told
from lash.runtime.seams.clock import Clock
from lash.runtime.seams.effects import DurabilityTier
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.surface import ToolSurface
from lash.runtime.tools.waiting import run_bounded
from lash.runtime.turn.plugins import SessionPlugins

P = TypeVar("P")

_log = logging.getLogger("lash.turn")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What plugins made of a turn before its first model call.

    `messages` are kept behind the input. `view` is what the model sees of the conversation, None for all of it;
    `rewritten` what the conversation is from now on. `prompt` is their part of the first system prompt. `abort` is
    `(code, message)` of a plugin that does not want the turn.
    """

    messages: tuple[Message, ...] = ()
    view: tuple[Message, ...] | None = None
    rewritten: tuple[Message, ...] | None = None
    prompt: tuple[PromptContribution, ...] = ()
    abort: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PluginsHeard:
    """What plugins said at a checkpoint: messages to be kept, messages for the model alone, or another history.

    `abort` is `(code, message)` of a plugin that stops the turn.
    """

    messages: tuple[Message, ...] = ()
    transient_messages: tuple[Message, ...] = ()
    rewritten: tuple[Message, ...] | None = None
    abort: tuple[str, str] | None = None


class TurnPlugins:
    """The plugins of a session in one turn; `inputs` are what the turn was given for them."""

    def __init__(
        self, plugins: SessionPlugins, turn_id: str, turn_index: int, inputs: Mapping[str, Any], clock: Clock
    ) -> None:
        self._plugins = plugins
        self._turn_id = turn_id
        self._turn_index = turn_index
        self._inputs = inputs
        self._clock = clock
        self._rewritten: tuple[int, tuple[Message, ...]] | None = None
        self.state = plugins.state
        self.tools = plugins.session.tools
        self.output = plugins.session.output

    def surface(self) -> ToolSurface:
        """The tools as they are on offer now; PluginError (invoke) where a plugin fails."""
        return self._plugins.surface()

    def prompt(self, surface: ToolSurface) -> tuple[PromptContribution, ...]:
        """What plugins say in the system prompt now; PluginError (invoke) where one fails."""
        return self._plugins.prompt(surface)

    def _context(self, messages: MessageSequence) -> TurnHookContext:
        return TurnHookContext(self._plugins.session.context, self._turn_id, self._turn_index, messages)

    # --- before ------------------------------------------------------------------------------------

    def list_tools(self) -> None:
        """Look which tools there are; TurnError (plugin_prepare_turn) where they cannot be listed."""
        try:
            self._plugins.list_tools()
        except Exception as error:
            said = error.message if isinstance(error, LashError) else told(error)
            message = f"the tools cannot be listed: {said}"
            raise TurnError("plugin_prepare_turn", message, retryable=True) from error

    def first_surface(self) -> ToolSurface:
        """The tools that the turn begins with; TurnError (plugin_prepare_turn) where a plugin fails."""
        try:
            return self._plugins.surface()
        except PluginError as error:
            raise _failed("plugin_prepare_turn", error) from error

    def policy(self, policy: P) -> P:
        """The turn's configuration as the plugins leave it; TurnError (plugin_prepare_turn) where one fails."""
        try:
            return self._plugins.session.mutate_config(policy)
        except PluginError as error:
            raise _failed("plugin_prepare_turn", error) from error

    async def prepare(self, messages: MessageSequence, token: CancelToken) -> Prepared:
        """Run the hooks before the turn, then the transforms of its history; nothing where the turn is cancelled.

        Raises TurnError (plugin_prepare_turn, context_prepare_turn) naming the plugin that failed.
        """
        if not self._plugins.session.prepares_turns:
            return Prepared()
        own = CancelToken()
        forget = token.on_cancel(lambda: own.cancel(token.reason))
        try:
            ended = await run_bounded(
                self._clock,
                self._prepare(messages),
                token=own,
                deadline_s=None,
                cancel_s=0.0,
                grace_s=self._plugins.grace_s,
                name=f"preparation of turn {self._turn_id}",
            )
        finally:
            forget()
        return Prepared() if ended.how == "cancelled" else ended.task.result()

    async def _prepare(self, messages: MessageSequence) -> Prepared:
        session = self._plugins.session
        try:
            said = await session.before_turn(self._context(messages), self._inputs)
            if said.abort is not None:
                return Prepared(abort=said.abort)
            prompt = self._plugins.prompt(self._plugins.surface())
        except PluginError as error:
            raise _failed("plugin_prepare_turn", error) from error
        kept = messages.extended(said.messages)
        whole = kept.extended(said.transient_messages)
        try:
            history = await session.prepare_history(self._context(whole), self._inputs)
        except PluginError as error:
            raise _failed("context_prepare_turn", error) from error
        view = None if history.messages == kept else tuple(history.messages)
        rewritten = self._rewritten_by(history.rewrite)
        return Prepared(said.messages, view, rewritten, prompt)

    # --- in the middle -----------------------------------------------------------------------------

    async def checkpoint(
        self, kind: CheckpointKind, effect_id: int, messages: MessageSequence, mode_iteration: int
    ) -> PluginsHeard:
        """What plugins say at a checkpoint; one that fails stops the turn."""
        session = self._plugins.session
        context = CheckpointContext(self._context(messages), kind, mode_iteration)
        said = await session.checkpoint(context, effect_id, self._inputs)
        if said.abort is not None:
            return PluginsHeard(abort=said.abort)
        rewritten = None
        if kind == "overflow":
            try:
                rewrite = await session.rewrite_history("overflow", messages)
            except PluginError as error:
                return PluginsHeard(abort=(error.code, error.message))
            rewritten = self._rewritten_by(rewrite)
        return PluginsHeard(said.messages, said.transient_messages, rewritten)

    def _rewritten_by(self, rewrite: HistoryRewrite | None) -> tuple[Message, ...] | None:
        if rewrite is None:
            return None
        _log.info("turn %s: a plugin rewrites the history: %s", self._turn_id, rewrite.reason)
        return rewrite.messages

    # --- after -------------------------------------------------------------------------------------

    async def finish(self, outcome: AnyTurnOutcome, messages: MessageSequence) -> tuple[Message, ...]:
        """Run the hooks after the turn; what they, and hooks of tools since the last checkpoint, want to be kept.

        Raises TurnError (plugin_finalize_turn) naming the plugin that failed.
        """
        try:
            said = await self._plugins.session.after_turn(
                AfterTurnContext(self._context(messages), outcome), self._inputs
            )
        except PluginError as error:
            raise _failed("plugin_finalize_turn", error) from error
        return said.messages

    # --- rewritten history -------------------------------------------------------------------------

    def rewrite(self, events: int, messages: Sequence[Message]) -> None:
        """Note that these messages stand for those of the session's first `events` events."""
        self._rewritten = events, tuple(message for message in messages if not message.transient)

    def path(self, events: Sequence[SessionEventRecord]) -> list[SessionEventRecord] | None:
        """What the session's active path says after the turn; None where no history was rewritten."""
        if self._rewritten is None:
            return None
        count, messages = self._rewritten
        return [*with_conversation(events[:count], messages), *events[count:]]


def recorded_inputs(inputs: Mapping[str, Any], durability: DurabilityTier) -> dict[str, JsonValue]:
    """A turn's inputs for plugins as a journal holds them; nothing where the effect host keeps none.

    Raises EffectError (durable_effect_live_plugin_input) for one that cannot be written down.
    """
    if durability is not DurabilityTier.DURABLE:
        return {}
    recorded: dict[str, JsonValue] = {}
    for plugin_id, value in inputs.items():
        try:
            recorded[plugin_id] = to_json(value)
        except PydanticSerializationError as error:
            raise EffectError(
                "durable_effect_live_plugin_input",
                f"the input for plugin {plugin_id!r} cannot be written down, which a durable effect host needs: "
                f"give a pydantic model or JSON ({error})",
            ) from error
    return recorded


def with_conversation(events: Sequence[SessionEventRecord], messages: Sequence[Message]) -> list[SessionEventRecord]:
    """Events with another conversation among them.

    Messages that stay keep their places, new ones stand before the next that stays, and what is no message stays too.
    """
    told = [SessionEvent.Conversation(message) for message in messages]
    place = {message.id: at for at, message in enumerate(messages)}
    path: list[SessionEventRecord] = []
    done = 0
    for event in events:
        if not isinstance(event, SessionEvent.Conversation):
            path.append(event)
            continue
        at = place.get(event.message.id, -1)
        if at >= done and told[at] == event:
            path += told[done : at + 1]
            done = at + 1
    return [*path, *told[done:]]


def _failed(code: str, error: PluginError) -> TurnError:
    """A plugin's fault as the turn's; not recorded by a journal, so that the same turn may be tried again."""
    return TurnError(code, error.message, retryable=True)
