"""The form in which a session's variables are committed (rlm.md 10): a portable snapshot in an envelope.

The envelope says whose state it is, so that a later version can tell what it cannot read.
"""

from __future__ import annotations

from typing import Any, cast

import msgpack

from lash.modes.rlm.codec import plain
from lash.modes.rlm.sources import found_again
from lash.modes.rlm.types import MODE_ID
from lash.runtime.sansio.values import JsonValue
from lashlang import Machine, SnapshotError, Value
from lashlang.projection import Projected, ProjectionUnavailable

STATE_VERSION = 1
ENGINE = "lashlang"


def pack_state(snapshot: bytes) -> bytes:
    """The committed form of a snapshot of a machine at rest."""
    return msgpack.packb({"v": STATE_VERSION, "owner": MODE_ID, "engine": ENGINE, "snapshot": snapshot})


def unpack_state(state: bytes) -> bytes:
    """The snapshot in a committed state; SnapshotError for another mode's, another version's, or no state at all."""
    try:
        envelope: object = msgpack.unpackb(state)
    except (ValueError, msgpack.UnpackException) as error:
        raise SnapshotError(f"the bytes are no committed state: {error}") from error
    if not isinstance(envelope, dict):
        raise SnapshotError("the bytes are no committed state")
    given = cast("dict[str, Any]", envelope)
    found = (given.get("owner"), given.get("v"), given.get("engine"))
    if found != (MODE_ID, STATE_VERSION, ENGINE):
        owner, version, engine = found
        raise SnapshotError(
            f"the state belongs to mode {owner!r} version {version!r} with the engine {engine!r}; "
            f"this build reads {MODE_ID!r} version {STATE_VERSION} with {ENGINE!r}"
        )
    snapshot = given.get("snapshot")
    if not isinstance(snapshot, bytes):
        raise SnapshotError("the state holds no snapshot")
    return snapshot


def committed_variables(state: bytes) -> dict[str, JsonValue]:
    """The variables that a committed state holds, by name, as JSON.

    Projected values in them that the state does not hold itself stand as `<projected NAME>`. Raises SnapshotError.
    """
    machine = Machine.restore(unpack_state(state), projections=lambda ref, _: found_again(ref, {}))
    try:
        return {name: _json(value) for name, value in machine.globals.items()}
    finally:
        machine.close()


def _json(value: Value) -> JsonValue:
    if isinstance(value, Projected):
        try:
            return plain(value)
        except ProjectionUnavailable:
            return f"<projected {value.name}>"
    if isinstance(value, list):
        return [_json(item) for item in cast("list[Value]", value)]
    if isinstance(value, dict):
        return {name: _json(item) for name, item in cast("dict[str, Value]", value).items()}
    return plain(value)
