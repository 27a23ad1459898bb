"""What a session's plugins take part in: its tools and prompt, and its commits (plugins.md 1).

The plugins are built whenever the session is loaded from its store, so that what a lost turn did to them is lost with
it. What they do in the course of a turn is in `turn_plugins.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lash.runtime.errors import TurnError
from lash.runtime.plugins.binding import BoundPlugin, PluginInput, turn_inputs
from lash.runtime.plugins.contract import PluginFactory, PluginSessionContext, SessionPlugin
from lash.runtime.plugins.host import PluginHost
from lash.runtime.plugins.registrar import PluginRegistrar
from lash.runtime.plugins.session import PluginSession
from lash.runtime.sansio.activity import AnyTurnEvent
from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.persistence import BlobRef
from lash.runtime.tools.definition import Availability
from lash.runtime.tools.hooks import EffectState, JoinedState
from lash.runtime.tools.registry import PLUGINS, ToolRegistry
from lash.runtime.tools.state import pack_overrides, restore_overrides
from lash.runtime.tools.surface import ToolSurface
from lash.runtime.turn.activities import ActivityStream
from lash.runtime.turn.mode import ModeSession
from lash.runtime.turn.tracer import Tracer


class SessionPlugins:
    """The plugins of an open session, its mode among them, as the first."""

    def __init__(
        self,
        host: PluginHost,
        context: PluginSessionContext,
        mode: ModeSession,
        registry: ToolRegistry,
        bound: Sequence[BoundPlugin] = (),
    ) -> None:
        self.ports = TurnPorts(context.session_id)
        self._host = host
        self._context = context
        self._mode = mode
        self._registry = registry
        self._bound = tuple(bound)
        self._session: PluginSession | None = None
        self._kept_overrides: Mapping[str, Availability] = {}
        registry.add_source((), PLUGINS)

    @property
    def session(self) -> PluginSession:
        """The plugins as they were built last."""
        assert self._session is not None, "the session is not loaded"
        return self._session

    @property
    def state(self) -> EffectState:
        """What of plugins and tools an effect may change."""
        return JoinedState(self._registry, self.session.states)

    def inputs(self, given: Sequence[PluginInput]) -> Mapping[str, Any]:
        """A turn's inputs by plugin. Raises MissingPluginTurnInput, TurnError (contradictory_options)."""
        return turn_inputs(self._bound, given)

    @property
    def grace_s(self) -> float:
        """How long a hook that was stopped is waited for."""
        return self._host.times.grace_s

    # --- opening -----------------------------------------------------------------------------------

    async def open(self, plugin_snapshot: bytes | None, tool_state: bytes | None) -> None:
        """Build the plugins and give them what was committed; those that were there before are closed.

        Raises PluginError (registration, snapshot, session) naming the plugin, PluginSnapshotVersionError, ConfigError
        (duplicate_plugin, duplicate_tool), and StoreCorruption for state that cannot be read.
        """
        await self.aclose()
        session = await self._host.open_session(
            self._context,
            self.ports,
            snapshot=plugin_snapshot,
            first=(_ModePluginFactory(self._mode),),
            last=tuple(one.factory for one in self._bound),
        )
        try:
            self._registry.replace_source(PLUGINS, session.providers)
            restore_overrides(self._registry, tool_state)
        except BaseException:
            await session.aclose()
            raise
        self._session = session
        self._kept_overrides = dict(self._registry.state.overrides)

    async def aclose(self) -> None:
        """Close the plugins."""
        session, self._session = self._session, None
        if session is not None:
            await session.aclose()

    # --- tools and prompt --------------------------------------------------------------------------

    def list_tools(self) -> None:
        """Take the tools as their providers list them now: what came and went is seen by the next turn.

        Raises ConfigError (duplicate_tool), and what a provider raises; then the tools are as they were.
        """
        self._registry.refresh_source(PLUGINS)

    def surface(self) -> ToolSurface:
        """The tools that the next turn, or the next iteration, sees; PluginError (invoke) where a plugin fails."""
        mode, session = self._mode.mode_id, self.session
        plain = self._registry.surface(mode, native=session.native_tools)
        contributions = session.surface_contributions([entry.manifest for entry in plain.entries.values()])
        if not contributions:
            return plain
        return self._registry.surface(mode, native=session.native_tools, contributions=contributions)

    def prompt(self, surface: ToolSurface) -> tuple[PromptContribution, ...]:
        """What plugins say in the system prompt; PluginError (invoke) where one fails."""
        return tuple(self.session.prompt_contributions(surface))

    # --- commits -----------------------------------------------------------------------------------

    def plugin_snapshot(self, kept: BlobRef | None) -> bytes | BlobRef | None:
        """The state of the plugins as it is committed; what is kept already where none has moved.

        Raises PluginError (snapshot) naming a plugin that cannot write its state.
        """
        states = self.session.states
        return states.packed() if states.changed else kept

    def tool_state(self, kept: BlobRef | None) -> bytes | BlobRef | None:
        """What was decided on the availability of tools, as it is committed."""
        overrides = self._registry.state.overrides
        if overrides == self._kept_overrides:
            return kept
        return pack_overrides(self._registry)

    def committed(self) -> None:
        """What was to be committed is stored."""
        self.session.states.committed()
        self._kept_overrides = dict(self._registry.state.overrides)


class TurnPorts:
    """See `HookPorts`: activities and trace records go to the turn that runs."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._stream: ActivityStream | None = None
        self._tracer: Tracer | None = None

    def begin(self, stream: ActivityStream, tracer: Tracer) -> None:
        """A turn runs."""
        self._stream, self._tracer = stream, tracer

    def end(self) -> None:
        """It is over."""
        self._stream = self._tracer = None

    async def emit(self, event: AnyTurnEvent, correlation_id: str | None) -> None:
        """See `HookPorts`; TurnError (no_running_turn) from a hook that outlived its turn."""
        if self._stream is None:
            raise TurnError("no_running_turn", f"session {self._session_id!r} runs no turn that could show an event")
        await self._stream.emit(self._session_id, event, correlation_id)

    def trace(self, name: str, payload: JsonValue) -> None:
        """See `HookPorts`; nothing for a hook that outlived its turn."""
        if self._tracer is not None:
            self._tracer.custom(name, payload)


class _ModePluginFactory(PluginFactory):
    """The mode in the row of plugins."""

    def __init__(self, mode: ModeSession) -> None:
        self.id = f"mode_{mode.mode_id}"
        self._mode = mode

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        """See `PluginFactory`."""
        return _ModePlugin(self.id, self._mode)


class _ModePlugin(SessionPlugin):
    def __init__(self, plugin_id: str, mode: ModeSession) -> None:
        self.id = plugin_id
        self._mode = mode

    def register(self, reg: PluginRegistrar) -> None:
        """See `SessionPlugin`."""
        reg.mode().session(self._mode)
        for provider in self._mode.native_tools:
            reg.mode().native_tools(provider)
