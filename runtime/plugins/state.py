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
    """Snapshots of plugins by revision; implements `lash.runtime.tools.hooks.EffectState`.

    `changed` says whether the committed bytes would differ from those last made or restored.
    """

    def __init__(self, plugins: Sequence[SessionPlugin], stored: Mapping[str, PluginEntry]) -> None:
        self._plugins = {plugin.id: plugin for plugin in plugins}
        self._carried = {plugin_id: entry for plugin_id, entry in stored.items() if plugin_id not in self._plugins}
        self._entries: dict[str, PluginEntry] = {}
        self._seen = self.mark()
        for plugin_id, entry in stored.items():
            plugin = self._plugins.get(plugin_id)
            if plugin is not None and entry.meta.version == plugin.version:
                self._entries[plugin_id] = entry
        self._committed: Mapping[str, int] = dict(self._seen) if stored else {}

    def mark(self) -> dict[str, int]:
        """The revisions of all plugins now."""
        return {plugin_id: plugin.snapshot_revision() for plugin_id, plugin in self._plugins.items()}

    @property
    def changed(self) -> bool:
        """Whether some plugin's state has moved since the last snapshot."""
        return self.mark() != self._committed

    def snapshot(self) -> bytes:
        """The state of all plugins, absent ones included; PluginError (snapshot) names one that fails."""
        mark = self.mark()
        entries = {plugin_id: self._entry(plugin_id, mark[plugin_id]) for plugin_id in self._plugins}
        packed = pack({**self._carried, **entries})
        self._committed = mark
        return packed

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
                self._entries[plugin.id], self._seen[plugin.id] = entry, plugin.snapshot_revision()


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
