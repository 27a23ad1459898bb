"""The outside of a snapshot: what it is, whether it is whole, and whether it is the host's own.

    0    8   the text LASHSNAP
    8    1   version of this layout
    9    1   form: 1 portable, 2 image
    10   1   1 where the digest is keyed (sealed), else 0
    11   1   zero
    12   4   length of the header, big-endian
    16   32  SHA-256 of all other bytes; HMAC-SHA-256 (RFC 2104) of them where sealed
    48   …   the header, a msgpack map, then the body

A plain digest finds damage; only a keyed one shows that nobody but the host made the snapshot.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple, cast

import msgpack

from lashlang.errors import SnapshotError

LAYOUT_VERSION = 1
"""Raised whenever the layout of the first 48 bytes changes."""

_MAGIC = b"LASHSNAP"
_FIXED = struct.Struct(">8sBBBBI32s")
_SMALLEST_KEY = 16


class Form(IntEnum):
    """What kind of snapshot it is."""

    PORTABLE = 1
    IMAGE = 2


class Content(NamedTuple):
    """What a snapshot holds: its form, whether a key sealed it, its header and its body."""

    form: Form
    sealed: bool
    header: dict[str, Any]
    body: memoryview


def check_key(key: object) -> bytes | None:
    """A sealing key, or None for none; TypeError or ValueError where it can be neither."""
    if key is None:
        return None
    if not isinstance(key, (bytes, bytearray)):
        raise TypeError(f"a snapshot's key is bytes, not {type(key).__name__}")
    if len(key) < _SMALLEST_KEY:
        raise ValueError(f"a snapshot's key has {_SMALLEST_KEY} bytes or more, got {len(key)}")
    return bytes(key)


def wrap(form: Form, header: dict[str, Any], body: Sequence[bytes | memoryview], key: bytes | None) -> bytes:
    """A snapshot of a header and a body given in pieces, sealed where there is a key."""
    packed = msgpack.packb(header)
    fields = (_MAGIC, LAYOUT_VERSION, form, key is not None, 0, len(packed))
    digest = _digest(key, _FIXED.pack(*fields, bytes(32))[:16], packed, *body)
    return b"".join((_FIXED.pack(*fields, digest), packed, *body))


def unwrap(data: object, key: bytes | None) -> Content:
    """What is inside a snapshot that is whole and, with a key, sealed with it; SnapshotError otherwise.

    The body is not looked at. TypeError where `data` is no bytes.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"a snapshot is bytes, not {type(data).__name__}")
    view = memoryview(cast("bytes", data)).cast("B")
    if bytes(view[: len(_MAGIC)]) != _MAGIC[: len(view)] or not view:
        raise SnapshotError("this is no snapshot: it does not begin as one")
    if len(view) < _FIXED.size:
        raise SnapshotError(f"the snapshot is cut off: it ends after {len(view)} bytes")
    _, version, form, sealed, zero, header_size, digest = _FIXED.unpack_from(view)
    if version != LAYOUT_VERSION:
        raise SnapshotError(f"the snapshot has layout version {version}; this version of lash reads {LAYOUT_VERSION}")
    if form not in (Form.PORTABLE, Form.IMAGE) or sealed > 1 or zero:
        raise SnapshotError("the snapshot was altered: its first bytes make no sense")
    if sealed and key is None:
        raise SnapshotError("the snapshot is sealed: give the `key` it was made with")
    if key is not None and not sealed:
        raise SnapshotError("the snapshot is not sealed: only leave out the `key` for one from a source you trust")
    end = _FIXED.size + header_size
    wanted = _digest(key, view[:16], view[_FIXED.size :])
    if not hmac.compare_digest(wanted, digest) or end > len(view):
        what = "was sealed with another key, was cut off or was altered" if sealed else "was cut off or altered"
        raise SnapshotError(f"the snapshot {what}: its digest does not fit")
    return Content(Form(form), bool(sealed), _header(view[_FIXED.size : end]), view[end:])


def _digest(key: bytes | None, *parts: bytes | memoryview) -> bytes:
    made = hashlib.sha256() if key is None else hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        made.update(part)
    return made.digest()


def _header(packed: memoryview) -> dict[str, Any]:
    try:
        header: object = msgpack.unpackb(packed)
    except (ValueError, msgpack.UnpackException) as error:
        raise SnapshotError(f"the snapshot's header cannot be read: {error}") from error
    if not isinstance(header, dict):
        raise SnapshotError("the snapshot's header is no map")
    return cast("dict[str, Any]", header)
