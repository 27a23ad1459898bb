"""The state that is kept with a turn, as blobs: a manifest, and what it names.

The manifest is a blob too, of kind `manifest`: the turn state, which is small, and for each of the other parts the hash
of its bytes. Its own hash is the reference of the checkpoint, so a checkpoint that equals another costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from lash.host.stores.records import BlobRow, Compression, decode, encode, pack_blob, unpack_blob
from lash.host.stores.tables import Tables
from lash.runtime.errors import StoreCorruption
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.persistence import BlobRef, HydratedCheckpoint

PartName = Literal["tool_state", "plugin_snapshot", "execution_state"]
PARTS: tuple[PartName, ...] = ("tool_state", "plugin_snapshot", "execution_state")
MANIFEST = "manifest"


@dataclass(frozen=True, slots=True)
class PackedState:
    """A checkpoint ready to be stored: its manifest, new bytes, and which stored blobs it relies on."""

    manifest: BlobRow
    refs: dict[str, BlobRef]
    new_blobs: tuple[BlobRow, ...]

    def write(self, tables: Tables) -> None:
        """Store what is not stored yet. Raises StoreCorruption where a blob that it relies on is not there."""
        for row in (*self.new_blobs, self.manifest):
            if not tables.has_blob(row.hash):
                tables.insert_blob(row)
        for name, ref in self.refs.items():
            if not tables.has_blob(ref.hash):
                raise StoreCorruption(f"the commit reuses the {name} {ref.hash}, which is not stored")


@dataclass(frozen=True, slots=True)
class LoadedState:
    """A checkpoint as read, every part checked against its hash."""

    turn_state: dict[str, JsonValue]
    tool_state: bytes | None
    plugin_snapshot: bytes | None
    execution_state: bytes | None
    refs: dict[str, BlobRef]


NO_STATE = LoadedState({}, None, None, None, {})
"""The state before the first turn."""


def pack_state(checkpoint: HydratedCheckpoint, compression: Compression) -> PackedState:
    """Hash and compress a checkpoint. Raises StoreError (unstorable_value)."""
    refs: dict[str, BlobRef] = {}
    blobs: list[BlobRow] = []
    given: dict[PartName, bytes | BlobRef | None] = {
        "tool_state": checkpoint.tool_state,
        "plugin_snapshot": checkpoint.plugin_snapshot,
        "execution_state": checkpoint.execution_state,
    }
    for name, part in given.items():
        if isinstance(part, bytes):
            blobs.append(pack_blob(name, part, compression))
            refs[name] = BlobRef(blobs[-1].hash, name)
        elif part is not None:
            refs[name] = BlobRef(part.hash, name)
    named: dict[str, JsonValue] = {name: ref.hash for name, ref in refs.items()}
    manifest = encode({"turn_state": checkpoint.turn_state, "blobs": named})
    return PackedState(pack_blob(MANIFEST, manifest, compression), refs, tuple(blobs))


def load_state(tables: Tables, manifest_hash: str) -> LoadedState:
    """A stored checkpoint. Raises StoreCorruption and UnsupportedRecordVersion."""
    manifest = _blob(tables, manifest_hash, MANIFEST)
    refs = manifest_blobs(manifest, manifest_hash)
    parts = {name: _blob(tables, ref.hash, name) for name, ref in refs.items()}
    return LoadedState(
        _fields(manifest, manifest_hash)[0],
        parts.get("tool_state"),
        parts.get("plugin_snapshot"),
        parts.get("execution_state"),
        refs,
    )


def manifest_blobs(manifest: bytes, manifest_hash: str) -> dict[str, BlobRef]:
    """What a manifest names. Raises StoreCorruption and UnsupportedRecordVersion."""
    _, named = _fields(manifest, manifest_hash)
    return {name: BlobRef(cast("str", blob_hash), name) for name, blob_hash in named.items()}


def _fields(manifest: bytes, manifest_hash: str) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    match decode(manifest, f"manifest {manifest_hash}"):
        case {"turn_state": dict(turn_state), "blobs": dict(named)} if all(
            name in PARTS and isinstance(blob_hash, str) for name, blob_hash in named.items()
        ):
            return turn_state, named
        case _:
            raise StoreCorruption(f"manifest {manifest_hash} is none")


def _blob(tables: Tables, blob_hash: str, name: str) -> bytes:
    row = tables.blob(blob_hash)
    if row is None:
        raise StoreCorruption(f"the {name} {blob_hash} is gone")
    return unpack_blob(row)
