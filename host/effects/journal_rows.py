"""Reading what the journal holds packed, with a clear word where the file is damaged."""

from __future__ import annotations

from typing import Any, TypeVar

import msgpack

from lash.runtime.errors import StoreCorruption
from lash.runtime.sansio.packing import unpack
from lash.runtime.sansio.values import from_json

T = TypeVar("T")


def readable(kind: type[T], packed: bytes, what: str) -> T:
    """The value of that kind that was packed. Raises StoreCorruption where it is none; `what` names it."""
    data = unpacked(packed, what)
    try:
        return from_json(kind, data)
    except ValueError as error:
        raise StoreCorruption(f"{what} in the journal cannot be read: {error}") from error


def unpacked(packed: bytes, what: str) -> Any:
    """The JSON that was packed. Raises StoreCorruption where it is none; `what` names it."""
    try:
        return unpack(packed)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise StoreCorruption(f"{what} in the journal cannot be read: {str(error) or type(error).__name__}") from error
