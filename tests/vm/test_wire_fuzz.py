"""Messages that break the contract, in any state of a block: the kernel refuses them, and nothing has changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lashlang
from lashlang.vm.account import Account
from lashlang.vm.engine import Instance, Kernel
from lashlang.vm.protocol import EXT_PROJECTION, Command, Status
from tests.snapshots.attack import parts_of
from tests.snapshots.forge import encode

SOURCE = """
n = 0
for i in range(70000) { n += i }
a = call first { n: n }
b = parallel { (call second { a: a })?, len(shelf), call third {} }
hs = [start call fourth { i: i } for i in range(3)]
print b
c = await hs
kept = [b, c, shelf.title]
submit kept
"""

LIMITS = [10_000_000, 64 << 20, 1 << 20, 100_000, 128, 1 << 20, 100, 10_000]

PROJECTION = msgpack.ExtType(EXT_PROJECTION, b"\x93\x00\xa5shelf\x90")

NONE: list[Any] = []

DEFINED = set(range(Status.REFUSED + 1))

NOT_MESSAGES = {Command.DUMP_MORE, Command.HOLES}
"""Commands whose answers are pieces of something else."""


@dataclass
class Wire:
    """A kernel driven by raw messages; the last status and reply."""

    instance: Instance = field(default_factory=lambda: Kernel.shared().instantiate(128 << 20))
    status: int = Status.OK
    reply: Any = None

    def send(self, command: int, message: bytes) -> int:
        """Give a command; its status."""
        decode = bytes if command in NOT_MESSAGES else _decoded
        self.status, self.reply = self.instance.command(command, message, decode)
        return self.status


def _decoded(data: memoryview) -> Any:
    return data and msgpack.unpackb(data, ext_hook=lambda code, payload: [code, bytes(payload)])


def begin(wire: Wire) -> None:
    """Configure, set a variable, and start the block."""
    assert wire.send(Command.CONFIGURE, msgpack.packb(LIMITS)) == Status.OK
    assert wire.send(Command.SET, msgpack.packb(["kept", "old"])) == Status.OK
    wire.send(Command.RUN, RUN)


def proper_step(status: int, reply: Any) -> bytes:
    """The message with which a well-behaved host goes on."""
    if status == Status.WAITING:
        answers = [[number, 0, {"kind": kind, "n": number}] for number, kind, _, _ in reply[2]]
        return pack(0, answers, NONE)
    if status == Status.READS:
        return pack(0, NONE, [[number, 0, 5] for number, _, _, _ in reply[2]])
    return pack(1 if status == Status.HEAVY else 0, NONE, NONE)


def pack(flags: int, requests: list[Any], reads: list[Any]) -> bytes:
    """The message of a step."""
    return msgpack.packb([flags, requests, reads])


RUN = b"\x92" + msgpack.packb({"shelf": PROJECTION}) + lashlang.compile(SOURCE).packed
FINAL = {Status.SUBMITTED, Status.CONTINUED, Status.FAILED}


def replies(disturb: Callable[[Wire, int], bool]) -> list[tuple[int, Any]]:
    """All replies of the block up to its end. `disturb` is called at each stop, and ends the run by False."""
    wire = Wire()
    begin(wire)
    seen = [(wire.status, wire.reply)]
    while wire.status not in FINAL:
        status, reply = wire.status, wire.reply
        if not disturb(wire, status):
            return []
        wire.send(Command.STEP, proper_step(status, reply))
        seen.append((wire.status, wire.reply))
    wire.send(Command.GET, msgpack.packb(["kept"]))
    return [*seen, (wire.status, wire.reply)]


UNDISTURBED = replies(lambda _wire, _status: True)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.integers(-9, 9), inner, max_size=4)
    ),
    max_leaves=12,
)
numbers = st.integers(0, 12)
answers = st.lists(st.tuples(numbers, st.integers(0, 5), values) | values, max_size=4)
messages = (
    st.binary(max_size=40)
    | values.map(msgpack.packb)
    | st.tuples(st.integers(0, 3), answers, answers).map(msgpack.packb)
    | st.tuples(st.text(max_size=3), values).map(msgpack.packb)
    | st.integers(0, len(RUN) - 1).map(lambda length: RUN[:length])
    | st.deferred(lambda: loads)
)


def load_message(name: str) -> bytes:
    """The message with which the host has a snapshot loaded."""
    parts = parts_of(name)
    body = encode(parts.body)
    if not parts.block:
        return b"\x95" + encode(len(parts.header.get("sources"))) + b"\xc0\xc0\xc0" + body
    program = lashlang.compile(parts.block.get("source"))
    packed = encode(parts.account)
    needs = Account(packed).check(program)
    return b"\x95" + encode(len(parts.header.get("sources"))) + program.packed + packed + encode(needs) + body


LOADS = [load_message(name) for name in ("between", "call", "parallel", "texts", "reads")]


@st.composite
def spoilt_loads(draw: st.DrawFn) -> bytes:
    """The message of a LOAD, as it should be or with its values damaged."""
    data = bytearray(draw(st.sampled_from(LOADS)))
    body = len(data) // 2
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(body, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


loads = spoilt_loads()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A well-formed message of answers with a few bytes changed, put in, left out, or with its end cut off."""
    data = bytearray(msgpack.packb([draw(st.integers(0, 1)), draw(answers), draw(answers)]))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["set", "insert", "delete", "cut"])):
            case "set" if data:
                data[at] = draw(st.integers(0, 255))
            case "insert":
                data.insert(at, draw(st.integers(0, 255)))
            case "delete" if data:
                del data[at]
            case _:
                del data[at:]
    return bytes(data)


LAST_COMMAND = Command.HOLES

commands = st.integers(0, LAST_COMMAND + 1) | st.just(Command.STEP)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), commands, messages | damaged()), max_size=25))
def test_a_refused_message_changes_nothing(disturbances: list[tuple[int, int, bytes]]) -> None:
    stops = 0

    def disturb(wire: Wire, status: int) -> bool:
        nonlocal stops
        for stop, command, message in disturbances:
            if stop != stops or (command == Command.STEP and is_step(message)):
                continue
            assert wire.send(command, message) in DEFINED
            if wire.status != Status.REFUSED:
                return False
        stops += 1
        return True

    seen = replies(disturb)
    assert seen in ([], UNDISTURBED)


def is_step(message: bytes) -> bool:
    """Whether a message is what a host could mean: a step without answers, which the block would take."""
    return message[:1] == b"\x93" and message[2:4] == b"\x90\x90"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, LAST_COMMAND + 1), messages | damaged()), max_size=30))
def test_between_blocks_any_message_has_a_defined_answer_and_a_block_can_run_after_it(
    sent: list[tuple[int, bytes]],
) -> None:
    wire = Wire()
    wire.send(Command.CONFIGURE, msgpack.packb(LIMITS))
    for command, message in sent:
        if command != Command.CONFIGURE:
            assert wire.send(command, message) in DEFINED
    if wire.send(Command.DESCRIBE, b"") != Status.REFUSED:  # a LOAD has succeeded
        assert wire.send(Command.INTERRUPT, b"\x91\xa1i") == Status.FAILED
    block = b"\x92\x80" + lashlang.compile("submit 7").packed
    assert wire.send(Command.RUN, block) == Status.SUBMITTED
    assert wire.reply[2] == 7


@pytest.mark.parametrize("number", range(LAST_COMMAND + 2))
def test_before_it_is_configured_a_kernel_answers_any_command_without_a_fault(number: int) -> None:
    for message in (
        b"",
        b"\x90",
        b"\x91\xa1x",
        RUN[:5000],
        msgpack.packb(["x", "y" * 50]),
        *(load[:4000] for load in LOADS),
    ):
        wire = Wire()
        if number != Command.CONFIGURE:
            assert wire.send(number, message) in DEFINED
        assert wire.send(Command.CONFIGURE, msgpack.packb(LIMITS)) == Status.OK
        assert wire.send(Command.SET, msgpack.packb(["x", 1])) == Status.OK


def test_a_program_cut_anywhere_is_refused_or_out_of_memory_and_never_begun() -> None:
    wire = Wire()
    wire.send(Command.CONFIGURE, msgpack.packb(LIMITS))
    for length in random.Random(1).sample(range(len(RUN)), 150):
        assert wire.send(Command.RUN, RUN[:length]) in {Status.REFUSED, Status.FAILED}
        assert wire.send(Command.STEP, b"\x93\x00\x90\x90") == Status.REFUSED
