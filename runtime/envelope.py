"""The envelope round state that is committed with a turn: plugins, tools and a mode's own (runtime.md 8).

It says whose state it is, in which version of its format, and the SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from lash.runtime.errors import StoreCorruption, UnsupportedRecordVersion

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Envelope:
    """Opened state: whose it is, the version of its format, and its bytes."""

    owner: str
    version: int
    payload: bytes


def seal(owner: str, version: int, payload: bytes) -> bytes:
    """State in its envelope."""
    digest = hashlib.sha256(payload).hexdigest()
    packed: bytes = msgpack.packb(
        {"v": VERSION, "owner": owner, "version": version, "sha256": digest, "payload": payload}
    )
    return packed


def unseal(data: bytes, owner: str) -> Envelope:
    """The state in an envelope.

    Raises StoreCorruption where it is none, is somebody else's or was damaged, and UnsupportedRecordVersion for an
    envelope of a later build.
    """
    try:
        record: Any = msgpack.unpackb(data)
        v, found, version = record["v"], record["owner"], record["version"]
        digest, payload = record["sha256"], record["payload"]
    except Exception as error:  # msgpack raises whatever comes to mind on bytes that are not its own
        raise StoreCorruption(f"the state of {owner} is in no envelope: {error}") from error
    if not isinstance(v, int) or v > VERSION:
        raise UnsupportedRecordVersion(f"the envelope of {owner}", v, VERSION)
    if found != owner:
        raise StoreCorruption(f"the state is that of {found!r}, not of {owner!r}")
    if not isinstance(payload, bytes) or not isinstance(version, int) or hashlib.sha256(payload).hexdigest() != digest:
        raise StoreCorruption(f"the state of {owner} is damaged")
    return Envelope(owner, version, payload)
