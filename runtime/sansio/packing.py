"""msgpack for JSON data.

JSON knows integers of any size, and texts with lone surrogates come in through `\\ud800` escapes. msgpack knows
neither, so big integers travel as an extension type and texts are written with the `surrogatepass` rule.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

BIG_INTEGER: Final = 1
"""The extension type of integers beyond 64 bits: big-endian two's complement."""


def pack(value: object) -> bytes:
    """JSON data, bytes among them allowed, as msgpack. Raises ValueError or TypeError for anything else."""
    return msgpack.packb(value, default=_pack_other, unicode_errors="surrogatepass")


def unpack(data: bytes, *, use_list: bool = True) -> Any:
    """What `pack` made the bytes of.

    Raises ValueError, TypeError, OverflowError, RecursionError and msgpack.UnpackException for bytes of others.
    """
    return msgpack.unpackb(data, ext_hook=_unpack_other, unicode_errors="surrogatepass", use_list=use_list)


def _pack_other(value: object) -> msgpack.ExtType:
    if isinstance(value, int):
        return msgpack.ExtType(BIG_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    raise TypeError(f"{type(value).__name__} is no JSON")


def _unpack_other(code: int, data: bytes) -> int:
    if code != BIG_INTEGER:
        raise ValueError(f"unknown extension {code}")
    return int.from_bytes(data, "big", signed=True)
