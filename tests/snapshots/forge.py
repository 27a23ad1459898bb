"""Snapshots taken apart and put together again, with a digest that fits: what somebody who knows the format can write.

A snapshot becomes a tree of Python values that says all the bytes say: maps keep their order and repeated keys
(`Map`), extensions their payload (`Ext`), and the messages inside the header are trees themselves. `Raw` stands for
bytes that are put in as they are.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Any, cast

import msgpack

from lashlang.vm.container import Form, unwrap

REFERENCE, SLICE, SPECIAL = 3, 4, 5
"""Extension types inside a portable snapshot's body (dump.zig)."""

FIBERS, REQUESTS, QUESTIONS, READY = 8, 9, 10, 11
"""Places in an account (lashlang/vm/account.py)."""


class Map(list[Any]):
    """A msgpack map as a list of `[key, value]`."""

    def get(self, name: str) -> Any:
        """The value under a key; KeyError where it is missing."""
        for key, value in self:
            if key == name:
                return value
        raise KeyError(name)

    def set(self, name: str, value: Any) -> None:
        """Put a value under a key, new or not."""
        for pair in self:
            if pair[0] == name:
                pair[1] = value
                return
        self.append([name, value])


@dataclass
class Ext:
    """A msgpack extension."""

    code: int
    payload: bytes


@dataclass
class Raw:
    """Bytes that stand for themselves in the midst of a message."""

    data: bytes


class Packed(list[Any]):
    """A message inside the message, as a byte string; the list's items one after the other."""


@dataclass
class Parts:
    """A snapshot taken apart."""

    form: Form
    header: Map
    body: Any
    key: bytes | None = None

    @property
    def block(self) -> Map:
        """What the header says of a suspended block; empty where there is none."""
        return self.header.get("block") or Map()

    @property
    def account(self) -> list[Any]:
        """The account of a suspended block."""
        return self.block.get("account")[0]

    @property
    def prints(self) -> list[Any]:
        """The observations of a suspended block."""
        return self.block.get("prints")[0]

    @property
    def shared(self) -> list[Any]:
        """The shared parts of a portable snapshot."""
        return self.body[0]

    @property
    def variables(self) -> Map:
        """The variables of a portable snapshot."""
        return self.body[1]

    @property
    def values(self) -> list[Any]:
        """The values of a suspended block, in the order of suspended.zig."""
        return self.body[2]

    def joined(self) -> bytes:
        """The snapshot's bytes, with a digest that fits."""
        body = self.body if isinstance(self.body, bytes) else encode(self.body)
        return reseal(self.form, encode(self.header), body, self.key)


def reseal(form: int, header: bytes, body: bytes, key: bytes | None = None) -> bytes:
    """A snapshot of a packed header and a body; the layout is that of lashlang/vm/container.py."""
    head = struct.pack(">8sBBBBI", b"LASHSNAP", 1, form, key is not None, 0, len(header))
    whole = head + header + body
    digest = hashlib.sha256(whole).digest() if key is None else hmac.digest(key, whole, "sha256")
    return head + digest + header + body


def take_apart(data: bytes, key: bytes | None = None) -> Parts:
    """The parts of a snapshot that is whole."""
    content = unwrap(data, key)
    size = struct.unpack_from(">I", data, 12)[0]
    header = decode(data[48 : 48 + size])
    body: Any = bytes(content.body) if content.form == Form.IMAGE else decode(bytes(content.body))
    parts = Parts(content.form, header, body, key)
    for name in ("account", "prints"):
        if parts.block and (name == "prints" or content.form == Form.PORTABLE):
            parts.block.set(name, Packed([decode(parts.block.get(name))]))
    return parts


def decode(data: bytes) -> Any:
    """A message as a tree."""
    return msgpack.unpackb(
        data,
        ext_hook=Ext,
        object_pairs_hook=lambda pairs: Map([list(pair) for pair in pairs]),
        strict_map_key=False,
        timestamp=0,
    )


def encode(tree: Any) -> bytes:
    """A tree as a message."""
    if isinstance(tree, Map):
        pairs = [cast("list[Any]", pair) if isinstance(pair, list) else [pair] for pair in tree]
        return _head(len(tree), 0x80, 0xDE) + b"".join(encode(part) for pair in pairs for part in pair)
    if isinstance(tree, Packed):
        return encode(b"".join(map(encode, tree)))
    if isinstance(tree, list):
        items = cast("list[Any]", tree)
        return _head(len(items), 0x90, 0xDC) + b"".join(map(encode, items))
    if isinstance(tree, Ext):
        size = len(tree.payload)
        if size in (1, 2, 4, 8, 16):
            return bytes((0xD4 + size.bit_length() - 1, tree.code & 0xFF)) + tree.payload
        return b"\xc9" + struct.pack(">IB", size, tree.code & 0xFF) + tree.payload
    if isinstance(tree, Raw):
        return tree.data
    packed: bytes | None = msgpack.packb(tree, unicode_errors="surrogatepass")
    assert packed is not None
    return packed


def _head(size: int, short: int, wide: int) -> bytes:
    if size < 16:
        return bytes((short | size,))
    return struct.pack(">BH", wide, size) if size < 1 << 16 else struct.pack(">BI", wide + 1, size)


def reference(number: int) -> Ext:
    """A shared part by its number."""
    return Ext(REFERENCE, number.to_bytes(4, "big"))


def cut(number: int, start: int, size: int) -> Ext:
    """A slice of a shared text."""
    return Ext(SLICE, b"\x93" + b"".join(b"\xce" + part.to_bytes(4, "big") for part in (number, start, size)))


NOTHING = Ext(SPECIAL, b"\xc0")
"""Stands for an unbound variable."""


def failure(text: str) -> Raw:
    """The mark of an answer that failed."""
    inside = encode(text)
    return Raw(b"\xc9" + struct.pack(">IB", len(inside), SPECIAL) + inside)
