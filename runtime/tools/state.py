"""What of the tools is committed with a turn: how far they were offered by those who may decide about it."""

from __future__ import annotations

import json

from lash.runtime.envelope import seal, unseal
from lash.runtime.errors import StoreCorruption
from lash.runtime.sansio.values import canonical
from lash.runtime.tools.registry import OWNER, ToolRegistry

FORMAT = 1


def pack_overrides(registry: ToolRegistry) -> bytes:
    """The state of a registry as the bytes of a commit."""
    return seal(OWNER, FORMAT, canonical(registry.snapshot()))


def restore_overrides(registry: ToolRegistry, data: bytes | None) -> None:
    """Take up what was committed; None is a session in which nothing was decided.

    Raises StoreCorruption and UnsupportedRecordVersion as `unseal`, LashError (tool_state) for what is no such state.
    """
    if data is None:
        registry.restore({"generation": 0, "overrides": {}})
        return
    envelope = unseal(data, OWNER)
    if envelope.version != FORMAT:
        raise StoreCorruption(f"the state of tools is in format {envelope.version}, not {FORMAT}")
    try:
        state = json.loads(envelope.payload)
    except ValueError as error:
        raise StoreCorruption(f"the state of tools cannot be read: {error}") from error
    registry.restore(state)
