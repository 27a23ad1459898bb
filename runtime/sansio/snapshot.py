"""The state of a turn machine as a value and as bytes (runtime.md 1.4).

The byte form is `LTM1`, the length of the header as four bytes (big-endian), the header, the payload. Header and
payload are msgpack; the payload is compressed where it has 4 KiB or more. Whatever the bytes are, `decode` gives a
checkpoint or raises a SnapshotError: they may come from a journal that somebody else has written to.

Objects keep the order of their keys: a driver may render them as text, and a restored turn must render the same.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Literal, cast

import msgpack
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from lash.runtime.errors import SnapshotCorrupt, SnapshotFormatError, SnapshotVersionError
from lash.runtime.sansio.effects import AnyEffect, Effect, SurfaceUpdate
from lash.runtime.sansio.messages import Message, SessionEventRecord
from lash.runtime.sansio.packing import pack, unpack
from lash.runtime.sansio.states import WAITING, AnyState, State
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import JsonValue, adapter

MAGIC = b"LTM1"
VERSION = 1
COMPRESSED_FROM = 4096
"""Payloads of this many bytes and more are compressed."""
COMPRESSION_LEVEL = 1
"""A third of the time that the usual level takes, for a third more bytes."""
LARGEST_PAYLOAD = 256 * 1024 * 1024
"""Bytes of an uncompressed payload; more is neither written nor read, so that hostile bytes cannot fill the memory."""
_LONGEST_HEADER = 64 * 1024


@dataclass(frozen=True, slots=True)
class SnapshotOwner:
    """Whose snapshot it is: the mode, and the configuration's fingerprint."""

    mode_id: str
    mode_version: int
    config_fp: str


@dataclass(frozen=True, slots=True)
class TurnCheckpoint:
    """All that a turn machine knows, its configuration aside.

    `pending_effects` are those not yet polled, the outstanding one never among them: `state` says it. `events` from
    `progress_cursor` on have not been told by a Progress. `surface` is what was last synced, in iteration
    `synced_mode_iteration`. `model_calls` counts the turn's own calls whose reply the driver got, so that one which is
    repeated after an overflow counts once. Usage is by source.
    """

    state: AnyState
    pending_effects: tuple[AnyEffect, ...]
    next_effect_id: int
    next_message_seq: int
    messages: tuple[Message, ...]
    events: tuple[SessionEventRecord, ...]
    progress_cursor: int
    mode_iteration: int
    mode_run_offset: int
    model_calls: int
    grace_scheduled: bool
    cumulative_usage: dict[str, TokenUsage]
    termination: JsonValue
    surface: SurfaceUpdate
    synced_mode_iteration: int | None
    overflow_used: bool


class _Header(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    v: int
    mode_id: str
    mode_version: int
    config_fp: str
    codec: Literal["raw", "zlib"]
    raw_len: int
    sha256: bytes


def encode(checkpoint: TurnCheckpoint, owner: SnapshotOwner) -> bytes:
    """The checkpoint as bytes; equal checkpoints give equal bytes.

    Raises SnapshotFormatError where the turn holds what cannot be written down.
    """
    try:
        plain = adapter(TurnCheckpoint).dump_python(checkpoint, warnings="error")
        raw = pack(plain)
    except (PydanticSerializationError, ValueError, TypeError) as error:
        raise SnapshotFormatError(f"the turn holds a value that is no JSON: {error}") from error
    if len(raw) > LARGEST_PAYLOAD:
        raise SnapshotFormatError(f"the turn's state has {len(raw):,} bytes; at most {LARGEST_PAYLOAD:,} are written")
    codec = "zlib" if len(raw) >= COMPRESSED_FROM else "raw"
    header = {
        "v": VERSION,
        "mode_id": owner.mode_id,
        "mode_version": owner.mode_version,
        "config_fp": owner.config_fp,
        "codec": codec,
        "raw_len": len(raw),
        "sha256": hashlib.sha256(raw).digest(),
    }
    packed = pack(header)
    payload = zlib.compress(raw, COMPRESSION_LEVEL) if codec == "zlib" else raw
    return b"".join((MAGIC, struct.pack(">I", len(packed)), packed, payload))


def decode(data: bytes) -> tuple[TurnCheckpoint, SnapshotOwner]:
    """The checkpoint in these bytes, and whose it is.

    Raises SnapshotFormatError, SnapshotVersionError or SnapshotCorrupt, and nothing else.
    """
    header, payload = _split(data)
    raw = _unpacked(header, payload)
    if hashlib.sha256(raw).digest() != header.sha256:
        raise SnapshotCorrupt("the payload is not what was written: its SHA-256 differs")
    try:
        checkpoint = cast("TurnCheckpoint", adapter(TurnCheckpoint).validate_python(_unpack(raw)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise SnapshotCorrupt(f"the payload is no state of a turn, at {where}: {first['msg']}") from error
    check(checkpoint)
    return checkpoint, SnapshotOwner(header.mode_id, header.mode_version, header.config_fp)


def check(checkpoint: TurnCheckpoint) -> None:
    """Raise SnapshotCorrupt where the parts of a checkpoint contradict each other."""
    state = checkpoint.state
    if isinstance(state, WAITING) and state.id != checkpoint.next_effect_id - 1:
        raise SnapshotCorrupt(
            f"effect {state.id} is outstanding, but the next one would be {checkpoint.next_effect_id}"
        )
    if checkpoint.next_effect_id < 1 or checkpoint.next_message_seq < 1:
        raise SnapshotCorrupt("a counter of ids is below 1")
    if not 0 <= checkpoint.progress_cursor <= len(checkpoint.events):
        raise SnapshotCorrupt(f"{checkpoint.progress_cursor} of {len(checkpoint.events)} events are told")
    if not 0 <= checkpoint.mode_run_offset <= checkpoint.mode_iteration or checkpoint.model_calls < 0:
        raise SnapshotCorrupt("a counter of iterations or calls is out of range")
    for effect in checkpoint.pending_effects:
        if isinstance(effect, Effect.Done) and not isinstance(state, State.Finished):
            raise SnapshotCorrupt("the end of a turn is announced that has not ended")
        if not isinstance(effect, Effect.CancelLlm | Effect.Emit | Effect.Log | Effect.Progress | Effect.Done):
            raise SnapshotCorrupt(f"a {effect.type} is among the effects that expect no answer")


def _split(data: bytes) -> tuple[_Header, bytes]:
    if data[: len(MAGIC)] != MAGIC:
        raise SnapshotFormatError("the bytes are no snapshot of a turn machine: they do not begin with LTM1")
    start = len(MAGIC) + 4
    if len(data) < start:
        raise SnapshotCorrupt("the snapshot ends before its header")
    (length,) = struct.unpack_from(">I", data, len(MAGIC))
    if length > _LONGEST_HEADER or start + length > len(data):
        raise SnapshotCorrupt(f"the header is said to have {length} bytes")
    plain = _unpack(data[start : start + length])
    version = cast("dict[object, object]", plain).get("v") if isinstance(plain, dict) else None
    if isinstance(version, int) and version != VERSION:
        raise SnapshotVersionError(f"the snapshot has version {version}; this build reads version {VERSION}")
    try:
        return _Header.model_validate(plain), data[start + length :]
    except ValidationError as error:
        raise SnapshotCorrupt(f"the header cannot be read: {error.errors(include_input=False)[0]['msg']}") from error


def _unpacked(header: _Header, payload: bytes) -> bytes:
    if not 0 <= header.raw_len <= LARGEST_PAYLOAD:
        raise SnapshotCorrupt(f"the payload is said to have {header.raw_len} bytes")
    if header.codec == "zlib":
        inflate = zlib.decompressobj()
        try:
            # One byte more than announced is enough to see that there is more.
            payload = inflate.decompress(payload, header.raw_len + 1)
        except zlib.error as error:
            raise SnapshotCorrupt(f"the payload cannot be decompressed: {error}") from error
        if inflate.unused_data or (not inflate.eof and len(payload) == header.raw_len):
            raise SnapshotCorrupt("the compressed payload does not end where it should")
    if len(payload) != header.raw_len:
        raise SnapshotCorrupt(f"the payload does not have the {header.raw_len} bytes that the header announces")
    return payload


def _unpack(data: bytes) -> object:
    try:
        return unpack(data)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise SnapshotCorrupt(f"the bytes are no msgpack: {error}") from error
