"""The state of a session's plugins: what is committed, and what effects carry for a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

from lash.runtime.errors import PluginError
from lash.runtime.plugins.calling import named
from lash.runtime.plugins.contract import SessionPlugin
from lash.runtime.plugins.snapshot import PluginEntry, PluginSnapshotVersionError, SnapshotReader, SnapshotWriter, pack
from lash.runtime.sansio.values import JsonValue, canonical

PREFIX: Final = "plugin:"


class PluginStates:
    """Snapshots of plugins by revision; implements `lash.runtime.tools.hooks.EffectState`."""

    def __init__(self, plugins: Sequence[SessionPlugin], stored: Mapping[str, PluginEntry]) -> None:
        self._plugins = {plugin.id: plugin for plugin in plugins}
        self._stored = set(stored)
        self._brought_back = False
        self._carried = {plugin_id: entry for plugin_id, entry in stored.items() if plugin_id not in self._plugins}
        self._entries: dict[str, PluginEntry] = {}
        self._seen = self.mark()
        for plugin_id, entry in stored.items():
            plugin = self._plugins.get(plugin_id)
            if plugin is not None and entry.meta.version == plugin.version:
                self._entries[plugin_id] = entry
        self._committed = self._with_state(self._seen)

    def mark(self) -> dict[str, int]:
        """The revisions of all plugins now."""
        return {
            plugin_id: named("snapshot", plugin_id, "snapshot_revision", plugin.snapshot_revision)
            for plugin_id, plugin in self._plugins.items()
        }

    def _with_state(self, mark: Mapping[str, int]) -> dict[str, int]:
        """The revisions of those that have a state: one was stored or brought back, or has moved from revision 0."""
        return {plugin_id: revision for plugin_id, revision in mark.items() if revision or plugin_id in self._stored}

    @property
    def changed(self) -> bool:
        """Whether some plugin's state has moved since the last commit."""
        return self._brought_back or self._with_state(self.mark()) != self._committed

    def packed(self) -> bytes | None:
        """The state of all plugins that have one, absent ones included; None where there is none.

        Raises PluginError (snapshot) naming a plugin that cannot write its state.
        """
        mark = self._with_state(self.mark())
        entries = {plugin_id: self._entry(plugin_id, revision) for plugin_id, revision in mark.items()}
        together = {**self._carried, **entries}
        return pack(together) if together else None

    def committed(self) -> None:
        """What `packed` gave is stored."""
        self._committed, self._brought_back = self._with_state(self.mark()), False

    def _entry(self, plugin_id: str, revision: int) -> PluginEntry:
        """A plugin's entry, made anew only where its revision has moved."""
        known = self._entries.get(plugin_id)
        if known is not None and self._seen.get(plugin_id) == revision:
            return known
        plugin, writer = self._plugins[plugin_id], SnapshotWriter()
        try:
            meta = plugin.snapshot(writer)
            canonical(meta.state)  # what is no JSON has to fail here, with the plugin's name
        except Exception as error:
            raise PluginError(
                "snapshot", plugin_id, f"its state could not be written: {type(error).__name__}: {error}"
            ) from error
        entry = PluginEntry(meta, revision, writer.blobs)
        self._entries[plugin_id], self._seen[plugin_id] = entry, revision
        return entry

    def delta(self, mark: object) -> dict[str, JsonValue]:
        """See `EffectState`: entries of the plugins that have moved since the mark."""
        before = cast("dict[str, int]", mark)
        return {
            PREFIX + plugin_id: self._entry(plugin_id, revision).to_json()
            for plugin_id, revision in self.mark().items()
            if before.get(plugin_id) != revision
        }

    def apply(self, delta: dict[str, JsonValue]) -> None:
        """See `EffectState`; entries of others, and of plugins that are absent now, are left alone."""
        for owner, data in delta.items():
            plugin = self._plugins.get(owner.removeprefix(PREFIX)) if owner.startswith(PREFIX) else None
            if plugin is not None:
                entry = PluginEntry.from_json(data)
                restore(plugin, entry)
                self._entries[plugin.id], self._seen[plugin.id] = entry, self.mark()[plugin.id]
                # A plugin need not count what it takes up as a change; for the commit it is one.
                self._stored.add(plugin.id)
                self._brought_back = True


def restore(plugin: SessionPlugin, entry: PluginEntry) -> None:
    """Give a plugin its state back; PluginSnapshotVersionError and PluginError (snapshot) where it cannot take it."""
    stored, reader = entry.meta.version, SnapshotReader(entry.blobs)
    migrate = getattr(plugin, "migrate", None)
    if stored != plugin.version and migrate is not None:
        named("snapshot", plugin.id, "migrate", migrate, entry.meta, reader)
    elif stored > plugin.version:
        raise PluginSnapshotVersionError(plugin.id, stored, plugin.version)
    else:
        named("snapshot", plugin.id, "restore", plugin.restore, entry.meta, reader)
