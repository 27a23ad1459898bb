"""The state of plugins in a commit: JSON and named blobs, by plugin, each under its version and revision.

A plugin whose revision did not move is not serialised again; an entry of a plugin that is absent is carried along.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Final, cast

from lash.runtime.envelope import seal, unseal
from lash.runtime.errors import PluginError, StoreCorruption
from lash.runtime.sansio import packing
from lash.runtime.sansio.values import JsonValue

OWNER: Final = "plugins"
FORMAT: Final = 1


class PluginSnapshotVersionError(PluginError):
    """A plugin's stored state is newer than the plugin, and it cannot migrate it."""

    def __init__(self, plugin_id: str, stored: int, known: int) -> None:
        super().__init__(
            "snapshot_version",
            plugin_id,
            f"its state was stored in version {stored}; the installed one reads up to {known}: install a newer one",
        )
        self.stored = stored
        self.known = known


@dataclass(frozen=True, slots=True)
class PluginSnapshotMeta:
    """A plugin's state: the version of its format, and JSON; blobs stand beside it."""

    version: int
    state: JsonValue = None


class SnapshotWriter:
    """Takes a plugin's blobs."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def write_blob(self, name: str, data: bytes) -> None:
        """Keep bytes under a name; ValueError for a name that is used already."""
        if name in self.blobs:
            raise ValueError(f"there is a blob {name!r} already")
        self.blobs[name] = bytes(data)


class SnapshotReader:
    """Gives a plugin its blobs."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self._blobs = blobs

    @property
    def names(self) -> tuple[str, ...]:
        """The blobs that there are."""
        return tuple(self._blobs)

    def read_blob(self, name: str) -> bytes:
        """The bytes under a name; KeyError where there are none."""
        return self._blobs[name]


@dataclass(frozen=True, slots=True)
class PluginEntry:
    """What is stored of one plugin."""

    meta: PluginSnapshotMeta
    revision: int
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def to_json(self) -> JsonValue:
        """The entry as it travels in an effect's outcome."""
        blobs: dict[str, JsonValue] = {
            name: base64.b64encode(data).decode("ascii") for name, data in self.blobs.items()
        }
        return {
            "version": self.meta.version,
            "state": self.meta.state,
            "revision": self.revision,
            "blobs": blobs,
        }

    @classmethod
    def from_json(cls, data: JsonValue) -> PluginEntry:
        """The entry that `to_json` wrote; StoreCorruption where it is none."""
        try:
            record = cast("dict[str, Any]", data)
            blobs = {name: base64.b64decode(text, validate=True) for name, text in record["blobs"].items()}
            return cls(PluginSnapshotMeta(record["version"], record["state"]), record["revision"], blobs)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise StoreCorruption(f"the recorded state of a plugin cannot be read: {error}") from error


def pack(entries: dict[str, PluginEntry]) -> bytes:
    """Entries by plugin id as the bytes of a commit."""
    records = {
        plugin_id: [entry.meta.version, entry.meta.state, entry.revision, entry.blobs]
        for plugin_id, entry in sorted(entries.items())
    }
    payload = packing.pack(records)
    return seal(OWNER, FORMAT, payload)


def unpack(data: bytes) -> dict[str, PluginEntry]:
    """The entries in the bytes of a commit; StoreCorruption and UnsupportedRecordVersion as `unseal`."""
    envelope = unseal(data, OWNER)
    if envelope.version != FORMAT:
        raise StoreCorruption(f"the state of plugins is in format {envelope.version}, not {FORMAT}")
    try:
        records = cast("dict[str, Any]", packing.unpack(envelope.payload))
        return {
            plugin_id: PluginEntry(PluginSnapshotMeta(version, state), revision, dict(blobs))
            for plugin_id, (version, state, revision, blobs) in records.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreCorruption(f"the state of plugins cannot be read: {error}") from error
