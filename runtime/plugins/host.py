"""`PluginHost`: builds the plugins of a session and gives them back what they had stored.

The order is: build all, register all, restore each, seal, ready. A plugin that fails on the way is named, those that
were built are closed again, and no session is left behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lash.runtime.errors import ConfigError, PluginError
from lash.runtime.plugins.calling import HookCaller, HookTimes, close_all, named
from lash.runtime.plugins.contract import PluginFactory, PluginSessionContext, SessionPlugin, SessionReadyContext
from lash.runtime.plugins.ports import HookPorts
from lash.runtime.plugins.registrar import PluginRegistrar, Registrations
from lash.runtime.plugins.session import PluginSession
from lash.runtime.plugins.snapshot import unpack
from lash.runtime.plugins.state import restore
from lash.runtime.seams.clock import Clock


class PluginHost:
    """The factories of a core. Raises ConfigError (duplicate_plugin) where two have one id."""

    def __init__(self, factories: Iterable[PluginFactory], *, clock: Clock, times: HookTimes | None = None) -> None:
        self._factories = tuple(factories)
        self._caller = HookCaller(clock, times or HookTimes())
        _check_ids(self._factories)

    @property
    def times(self) -> HookTimes:
        """How long hooks may take."""
        return self._caller.times

    async def open_session(
        self,
        context: PluginSessionContext,
        ports: HookPorts,
        *,
        snapshot: bytes | None = None,
        first: Sequence[PluginFactory] = (),
        last: Sequence[PluginFactory] = (),
    ) -> PluginSession:
        """The plugins of a session, ready; `snapshot` is what was committed.

        `first` (the mode) and `last` (what was bound) are factories of this session alone, round those of the core.

        Raises PluginError (registration, snapshot, session) naming the plugin, PluginSnapshotVersionError,
        ConfigError (duplicate_plugin), and StoreCorruption for a snapshot that cannot be read.
        """
        factories = (*first, *self._factories, *last)
        _check_ids(factories)
        entries = {} if snapshot is None else unpack(snapshot)
        plugins: list[SessionPlugin] = []
        try:
            for factory in factories:
                plugins.append(_build(factory, context))
            registrations = _registered(plugins, context)
            for plugin in plugins:
                if plugin.id in entries:
                    restore(plugin, entries[plugin.id])
            session = PluginSession(context, plugins, registrations, entries, ports, self._caller)
            ready = SessionReadyContext(context, restored=snapshot is not None)
            for plugin in plugins:
                named("session", plugin.id, "session_ready", plugin.session_ready, ready)
        except BaseException:
            await close_all(plugins, self._caller)
            raise
        return session

    async def aclose(self) -> None:
        """Close the factories, the last one first."""
        await close_all(self._factories, self._caller)


def _check_ids(factories: Sequence[PluginFactory]) -> None:
    seen: set[str] = set()
    for factory in factories:
        if factory.id in seen or not factory.id:
            raise ConfigError("duplicate_plugin", f"there are two plugins {factory.id!r}; each needs an id of its own")
        seen.add(factory.id)


def _build(factory: PluginFactory, context: PluginSessionContext) -> SessionPlugin:
    plugin: SessionPlugin = named("session", factory.id, "build", factory.build, context)
    if plugin.id != factory.id:
        raise PluginError("session", factory.id, f"it built a plugin that calls itself {plugin.id!r}")
    return plugin


def _registered(plugins: Sequence[SessionPlugin], context: PluginSessionContext) -> Registrations:
    into = Registrations()
    registrars = [PluginRegistrar(plugin.id, context, into) for plugin in plugins]
    for plugin, registrar in zip(plugins, registrars, strict=True):
        named("registration", plugin.id, "register", plugin.register, registrar)
    for registrar in registrars:
        registrar.seal()
    return into
