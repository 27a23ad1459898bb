"""Large values cross in many small steps.

One call of msgpack's C code holds Python's lock from its first byte to its last, which for a result of
tens of megabytes is long enough to be felt on every other thread, an event loop's among them. In pieces
it takes as long, but others get their turns in between.

Python's cyclic collector, which the mere number of new containers starts, would go through all that has
been made so far again and again, holding the lock each time; while a large message is unpacked it is
switched off, as msgpack's documentation advises. Its next pass is the process's own affair.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import islice
from typing import Any, cast

import msgpack

BULKY_TEXT = 1 << 20
"""Characters of a text that take a millisecond or so to encode."""

BULKY = 5_000
"""Values that take a millisecond or so to pack."""

_PIECE = 64 * 1024
_AT_ONCE = 2_000
_SHORT = 16
_LEVELS = 6


def is_bulky(value: object) -> bool:
    """Whether a value may take milliseconds to pack."""
    return extent(value) > BULKY


def extent(value: object, levels: int = _LEVELS) -> int:
    """About how many values a value consists of; a guess that looks at a few of them.

    All entries of a short container are looked at, of a long one the first, which stands for them all.
    """
    if isinstance(value, str):
        return 1 + len(value) * BULKY // BULKY_TEXT
    if isinstance(value, (list, tuple)):
        parts: Any = cast("list[Any] | tuple[Any, ...]", value)
    elif isinstance(value, dict):
        parts = cast("dict[Any, Any]", value).values()
    else:
        return 1
    count = len(parts)
    if levels == 0 or count == 0:
        return 1 + count
    if count <= _SHORT:
        return 1 + sum(extent(part, levels - 1) for part in parts)
    return 1 + count * extent(next(iter(parts)), levels - 1)


def pack(packer: msgpack.Packer, value: object) -> bytes:
    """What `packer.pack(value)` gives, made in pieces; raises as that does."""
    pieces: list[bytes] = []
    _pack(packer, value, pieces, 0)
    return b"".join(pieces)


def _pack(packer: msgpack.Packer, value: object, pieces: list[bytes], level: int) -> None:
    size = extent(value) if level < _LEVELS and type(value) in (list, dict) else 0
    if size <= _AT_ONCE:
        pieces.append(packer.pack(value))
        return
    if type(value) is list:
        items = cast("list[Any]", value).copy()  # the header must stay true whoever changes the list meanwhile
        pieces.append(packer.pack_array_header(len(items)))
        at_once = max(1, _AT_ONCE * len(items) // size)
        for start in range(0, len(items), at_once):
            some = items[start : start + at_once]
            if at_once == 1:
                _pack(packer, some[0], pieces, level + 1)
            else:
                pieces.append(_without_header(packer.pack(some), len(some)))
        return
    fields = cast("dict[Any, Any]", value).copy()
    pieces.append(packer.pack_map_header(len(fields)))
    at_once = max(1, _AT_ONCE * len(fields) // size)
    entries = iter(fields.items())
    while some := dict(islice(entries, at_once)):
        if at_once == 1:
            ((key, item),) = some.items()
            pieces.append(packer.pack(key))
            _pack(packer, item, pieces, level + 1)
        else:
            pieces.append(_without_header(packer.pack(some), len(some)))


def _without_header(packed: bytes, count: int) -> bytes:
    """What follows the header of a list or map of at most `_AT_ONCE` entries."""
    return packed[1 if count < 16 else 3 :]


def unpack(data: memoryview, decode: Callable[[int, bytes], object]) -> Any:
    """What one message says; `decode` makes values of extensions. In pieces where it is long.

    Raises as `msgpack.unpackb` does, ValueError for a message that is cut.
    """
    if len(data) <= _PIECE:
        return msgpack.unpackb(data, ext_hook=decode)
    unpacker = msgpack.Unpacker(ext_hook=decode, max_buffer_size=len(data))
    with _COLLECTOR.off():
        for start in range(0, len(data), _PIECE):
            unpacker.feed(data[start : start + _PIECE])
            try:
                return unpacker.unpack()
            except msgpack.OutOfData:
                continue
    raise ValueError("the message is cut")


class _Collector:
    """Switches the cyclic collector off while at least one thread wants it so, and on again if it was on before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted_off = 0
        self._was_on = False

    @contextmanager
    def off(self) -> Generator[None]:
        with self._lock:
            if self._wanted_off == 0:
                self._was_on = gc.isenabled()
                gc.disable()
            self._wanted_off += 1
        try:
            yield
        finally:
            with self._lock:
                self._wanted_off -= 1
                if self._wanted_off == 0 and self._was_on:
                    gc.enable()


_COLLECTOR = _Collector()
