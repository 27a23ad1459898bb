"""The value codec: any message is refused or taken, and a value that is taken comes out of the kernel as it went in."""

from __future__ import annotations

import math
import struct
from typing import Any, cast

import msgpack

import lashlang
from lashlang.vm.protocol import Command, Status
from lashlang.vm.wire import Codec, explain
from tests.fuzz.target import Target
from tests.snapshots.attack import ODD
from tests.snapshots.forge import encode

LIMITS = lashlang.Limits(memory=8 << 20, value_size=1 << 20)


def run(data: bytes) -> None:
    """Give the bytes to the codec and to the kernel, and the value they stand for, if any, to a machine."""
    try:
        value: object = Codec([None]).unpack(data)
        explain(value)
    except (lashlang.KernelFault, lashlang.HostValueError):
        value = None
    with lashlang.Machine(LIMITS) as machine:
        _as_message(machine, data)
        _as_value(machine, value)
        assert machine.run("submit 1 + 1").value == 2


def _as_message(machine: lashlang.Machine, data: bytes) -> None:
    """The kernel takes the bytes as a value, or refuses them whole."""
    status = _set(machine, b"x", data)
    assert status in (Status.OK, Status.FAILED, Status.REFUSED)
    found = _get(machine, b"x")
    assert (found is not None) == (status == Status.OK)
    if found:
        assert _set(machine, b"y", found) == Status.OK
        assert _get(machine, b"y") == found


def _set(machine: lashlang.Machine, name: bytes, value: bytes) -> int:
    return machine.instance.command(Command.SET, b"\x92\xa1" + name + value, bytes)[0]


def _get(machine: lashlang.Machine, name: bytes) -> bytes | None:
    """A variable as the kernel says it; nothing where it is larger than a value may be, None where there is none."""
    status, reply = machine.instance.command(Command.GET, b"\x91\xa1" + name, bytes)
    if status == Status.FAILED:
        return b""
    assert reply[:1] == b"\x92"
    return reply[2:] if reply[1] == 0xC3 else None


def _as_value(machine: lashlang.Machine, value: object) -> None:
    try:
        machine.globals["z"] = cast("lashlang.Value", value)
        found = machine.globals["z"]
    except lashlang.HostValueError as error:
        assert error.path.startswith("$")  # noqa: PT017
        return
    except lashlang.LanguageError as error:
        assert "limit_exceeded" in str(error)  # noqa: PT017
        return
    assert canonical(found) == canonical(value)


def canonical(value: Any) -> Any:
    """A value as the language tells values apart: numbers by what they are, maps of the shape of an image as images."""
    match value:
        case bool() | None | str():
            return repr(value)
        case int():
            return canonical(float(value)) if not -(1 << 63) <= value < 1 << 63 else value
        case float():
            if math.isnan(value):
                return "nan"
            whole = math.isfinite(value) and value.is_integer() and abs(value) <= 1 << 53
            return int(value) if whole else ("float", value)
        case list():
            items = cast("list[Any]", value)
            return [canonical(item) for item in items]
        case dict():
            entries = cast("dict[str, Any]", value)
            if entries.get("type") == "image":  # it may be one to the VM (chapter 4)
                return "image"
            return {key: canonical(item) for key, item in entries.items()}
        case lashlang.Image():
            return "image"
        case _:
            return repr(value)


def begin_with(_: int) -> list[bytes]:
    """Values of every kind, in every width that msgpack has."""
    plain: list[Any] = [
        *(0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
        *(-1, -32, -33, -129, -(1 << 31), -(1 << 63), 0.5, 1e300, float("inf"), float("nan"), 2.0**53, 2.0**53 + 2),
        *("", "a" * 31, "a" * 32, "é" * 300, "😀", [1] * 20, [[[[]]]], {"a": {"b": [None, True, False]}}),
        {"type": "image", "id": "i", "label": "l", "size": 1, "width": 2, "height": None},
        {f"key{i}": i for i in range(20)},
    ]
    packed = [msgpack.packb(value) for value in plain]
    packed += [struct.pack(">Bf", 0xCA, 1.5), b"\xdd\0\0\0\1\xc0", b"\xdf\0\0\0\1\xa1a\xc0", b"\xda\0\1x"]
    return packed + [encode(part) for part in ODD]


TARGET = Target("values", run, begin_with, modules=("lashlang.vm.wire",))
