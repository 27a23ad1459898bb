"""The loader of snapshots survives anything: it refuses by SnapshotError, or the machine it gives is sound."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lashlang
from lashlang.vm.container import Form
from tests.snapshots import attack
from tests.snapshots.attack import GRANTED, SEEDS, SUSPENDED, altered, parts_of, seed, survives
from tests.snapshots.forge import (
    FIBERS,
    NOTHING,
    QUESTIONS,
    READY,
    REQUESTS,
    Ext,
    Map,
    Packed,
    Parts,
    Raw,
    cut,
    encode,
    reference,
    reseal,
)

KEY = b"a key of the tests' own"


def refused(data: bytes, match: str | None = None, limits: lashlang.Limits | None = None) -> None:
    with pytest.raises(lashlang.SnapshotError, match=match):
        lashlang.Machine.restore(data, limits=limits)


def images() -> list[tuple[bytes, bytes | None]]:
    """Images between blocks and within one, with and without a seal."""
    with lashlang.Machine() as machine:
        machine.globals["x"] = ["text"] * 10
        idle = machine.snapshot("image")
        machine.start("call f { x: x }")
        return [(idle, None), (machine.snapshot("image"), None), (machine.snapshot("image", key=KEY), KEY)]


# --- damage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEEDS)
def test_a_snapshot_cut_off_anywhere_is_refused(name: str) -> None:
    data = seed(name)
    for length in random.Random(name).sample(range(len(data)), min(len(data), 300)):
        refused(data[:length])
    refused(data + b"\0")


@pytest.mark.parametrize("name", SEEDS)
def test_a_snapshot_with_any_byte_changed_is_refused(name: str) -> None:
    choices = random.Random(name)
    data = seed(name)
    for at in {*range(48), *choices.sample(range(len(data)), min(len(data), 300))}:
        damaged = bytearray(data)
        damaged[at] ^= 1 << choices.randrange(8)
        refused(bytes(damaged))


def test_a_sealed_snapshot_or_an_image_that_is_damaged_is_refused() -> None:
    with lashlang.Machine.restore(seed("fan out")) as machine:
        sealed = machine.snapshot(key=KEY)
    choices = random.Random(1)
    for data, key in [(sealed, KEY), *images()]:
        for at in {*range(48), *choices.sample(range(len(data)), 100)}:
            damaged = bytearray(data)
            damaged[at] ^= 1 << choices.randrange(8)
            for given_data in (bytes(damaged), data[:at]):
                with pytest.raises(lashlang.SnapshotError):
                    lashlang.Machine.restore(given_data, key=key, trust_image=True)


def test_what_is_no_snapshot_is_refused() -> None:
    for data in (b"", b"L", b"LASHSNAP", b"PK\x03\x04" * 20, b"LASHSNAP" + bytes(40), bytes(200)):
        refused(data)


def test_a_header_longer_than_the_snapshot_is_refused() -> None:
    data = bytearray(seed("between"))
    data[12:16] = struct.pack(">I", 0xFFFF_FFFF)
    refused(bytes(data), "digest")
    refused(reseal(Form.PORTABLE, b"\x80", b"")[:12] + b"\xff" * 4 + bytes(32), "digest")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.randoms(use_true_random=False), st.integers(1, 4))
def test_bytes_changed_under_a_digest_that_fits_do_no_harm(name: str, choices: random.Random, changes: int) -> None:
    data = seed(name)
    size = struct.unpack_from(">I", data, 12)[0]
    inside = bytearray(data[48:])
    for _ in range(changes):
        at = choices.randrange(len(inside))
        match choices.randrange(4):
            case 0:
                inside[at] = choices.randrange(256)
            case 1:
                inside[at] ^= 1 << choices.randrange(8)
            case 2:
                inside.insert(at, choices.randrange(256))
            case _:
                del inside[at : at + choices.randrange(1, 9)]
                inside = inside or bytearray(1)
    survives(reseal(Form.PORTABLE, bytes(inside[:size]), bytes(inside[size:])), choices)


# --- lies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEEDS)
def test_a_snapshot_with_parts_altered_does_no_harm(name: str) -> None:
    for number in range(40):
        choices = random.Random(f"{name} {number}")
        parts = parts_of(name)
        for _ in range(choices.choice((1, 1, 2, 3))):
            parts = altered(parts, choices)
        survives(attack.whole(parts), choices)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.sampled_from(SEEDS), st.randoms(use_true_random=False))
def test_a_snapshot_made_of_two_does_no_harm(one: str, other: str, choices: random.Random) -> None:
    survives(attack.whole(attack.spliced(parts_of(one), parts_of(other), choices)), choices)


@pytest.mark.parametrize("name", SUSPENDED)
def test_a_block_of_another_program_is_refused_or_does_no_harm(name: str) -> None:
    for source in SUSPENDED.values():
        parts = attack.with_other_program(parts_of("call"), source)
        survives(parts.joined())
        parts = parts_of(name)
        parts.block.set("source", source)
        if source != SUSPENDED[name]:
            refused(parts.joined(), "hash")


def change(name: str, at: list[str | int], value: object) -> Parts:
    """A seed with one part replaced; `at` leads there from header (names), account or values."""
    parts = parts_of(name)
    holder: list[object] = {"account": parts.account, "values": parts.values, "shared": parts.shared}[str(at[0])]
    for step in at[1:-1]:
        holder = holder[int(step)]  # pyright: ignore[reportAssignmentType]
    holder[int(at[-1])] = value
    return parts


FIRST_FIBER: list[str | int] = ["account", FIBERS, 0]
FIRST_REQUEST: list[str | int] = ["account", REQUESTS, 0]

WRONG_ACCOUNTS: dict[str, tuple[str, list[str | int], object]] = {
    "negative fuel": ("call", ["account", 0], -1),
    "text for fuel": ("call", ["account", 0], "many"),
    "true for a number": ("call", ["account", 0], True),
    "more requests open than issued": ("call", ["account", 2], 0),
    "an oldest request of 0": ("call", ["account", 3], 0),
    "requests that nobody has seen": ("call", ["account", 4], 1),
    "a question of number 0": ("reads", ["account", 5], 0),
    "a projected name that nobody projected": ("call", ["account", 6], ["x"]),
    "a slot that does not exist": ("call", ["account", 7], [99]),
    "a slot bound twice": ("call", ["account", 7], [0, 0]),
    "no fibers": ("call", ["account", FIBERS], []),
    "a main fiber with a parent": ("call", [*FIRST_FIBER, 0], 0),
    "a fiber that is its own parent": ("parallel", ["account", FIBERS, 1, 0], 1),
    "a parent that comes later": ("parallel", ["account", FIBERS, 1, 0], 2),
    "a branch there twice": ("parallel", ["account", FIBERS, 1, 1], 1),
    "a branch that does not exist": ("parallel", ["account", FIBERS, 4, 1], 4),
    "an instruction beyond the code": ("call", [*FIRST_FIBER, 2], 1 << 31),
    "an address inside an instruction": ("building", [*FIRST_FIBER, 2], 3),
    "an instruction of another branch": ("parallel", ["account", FIBERS, 1, 2], 2),
    "a state that there is not": ("call", [*FIRST_FIBER, 3], 6),
    "a main fiber that is done": ("call", [*FIRST_FIBER, 3], 4),
    "branches at no parallel": ("call", [*FIRST_FIBER, 5], True),
    "a fault of a fiber that waits": ("call", [*FIRST_FIBER, 7], [0, None, 0, 0, 0, "x"]),
    "no place for the answer": ("call", [*FIRST_FIBER, 8], None),
    "places for two answers of one call": ("call", [*FIRST_FIBER, 8], 2),
    "more answers than there are values": ("await", [*FIRST_FIBER, 8], 1 << 31),
    "a result of a fiber that waits": ("call", [*FIRST_FIBER, 9], True),
    "half an answer of a read": ("reads", [*FIRST_FIBER, 10], 3),
    "a request twice": ("await", ["account", REQUESTS, 1, 0], 1),
    "a request of number 0": ("call", [*FIRST_REQUEST, 0], 0),
    "a request of a kind that there is not": ("call", [*FIRST_REQUEST, 1], 5),
    "a request of another kind": ("call", [*FIRST_REQUEST, 1], 1),
    "a request of no fiber": ("call", [*FIRST_REQUEST, 2], 9),
    "an answer beyond its place": ("call", [*FIRST_REQUEST, 3], 1),
    "two answers for one place": ("await", ["account", REQUESTS, 1, 3], 0),
    "a question of no fiber": ("reads", ["account", QUESTIONS, 0, 0], 9),
    "a question without words": ("reads", ["account", QUESTIONS, 0, 2], 0),
    "a fiber that can run and does not stand in the queue": ("call", ["account", READY], [0]),
    "a queue of nobody": ("call", ["account", READY], [7]),
}


@pytest.mark.parametrize("what", WRONG_ACCOUNTS)
def test_an_account_that_contradicts_itself_is_refused(what: str) -> None:
    name, at, value = WRONG_ACCOUNTS[what]
    refused(change(name, at, value).joined())


VALUES: dict[str, Callable[[int], object]] = {
    "a reference to nothing": lambda _: reference(1 << 20),
    "a reference to itself": lambda n: [reference(n + 2)],
    "a reference to what comes later": lambda n: [reference(n + 3)],
    "a slice of nothing": lambda n: cut(n + 9, 0, 1),
    "a slice of what is no text": lambda n: cut(n + 1, 0, 1),
    "a slice beyond its text": lambda n: cut(n, 4, 0x7FFF_FFFF),
    "a slice that begins beyond its text": lambda n: cut(n, 0xFFFF_FFFF, 0),
    "a slice that begins inside a code point": lambda n: cut(n, 1, 1),
    "a slice that ends inside a code point": lambda n: cut(n, 0, 1),
    "a key there twice": lambda _: Map([["a", 1], ["a", 2]]),
    "a key that is no text": lambda _: Map([[1, 2]]),
    "text that is no UTF-8": lambda _: Raw(b"\xa2\xff\xfe"),
    "text with half a surrogate pair": lambda _: Raw(b"\xa3\xed\xa0\x80"),
    "overlong text": lambda _: Raw(b"\xa2\xc0\x80"),
    "a byte string": lambda _: b"bytes",
    "a list longer than the rest": lambda _: Raw(b"\xdd\xff\xff\xff\xff"),
    "a record longer than the rest": lambda _: Raw(b"\xdf\xff\xff\xff\xff"),
    "a text longer than the rest": lambda _: Raw(b"\xdb\xff\xff\xff\xff"),
    "lists inside lists": lambda _: Raw(b"\x91" * 513 + b"\xc0"),
    "records inside records": lambda _: Raw(b"\x81\xa1a" * 513 + b"\xc0"),
    "an unknown extension": lambda _: Ext(99, b"x"),
    "an image without fields": lambda _: Ext(1, b"\x90"),
    "a projection of no source": lambda _: Ext(2, b"\x93\x05\xa1d\x90"),
    "a projection inside a projection's path": lambda _: Ext(2, b"\x93\x00\xa1d\x91" + encode(PROJECTION)),
    "a mark inside a value": lambda _: [NOTHING],
    "a byte that msgpack does not use": lambda _: Raw(b"\xc1"),
}
"""What cannot be a value, given the number of a shared wide text that a shared list follows."""

PROJECTION = Ext(2, b"\x93\x00\xa1d\x90")


@pytest.mark.parametrize("what", VALUES)
@pytest.mark.parametrize("place", ["shared", "variable", "register"])
def test_a_value_that_cannot_be_is_refused(what: str, place: str) -> None:
    parts = parts_of("call")
    parts.header.set("sources", [None])
    value = VALUES[what](len(parts.shared))
    parts.shared.extend(["é" * 10, [1]])
    match place:
        case "shared":
            parts.shared.append(value)
        case "variable":
            parts.variables.append(["new", value])
        case _:
            parts.values[0] = value
    refused(parts.joined())


def test_the_values_around_these_are_accepted() -> None:
    parts = parts_of("call")
    parts.header.set("sources", [None])
    number = len(parts.shared)
    parts.shared.extend(["é" * 10, [1], Raw(b"\x91" * 512 + b"\xc0")])
    parts.variables.append(["new", [reference(number), reference(number + 1), cut(number, 2, 4), PROJECTION]])
    parts.values[0] = reference(number + 2)
    assert survives(parts.joined())


HEADERS: dict[str, tuple[str, object]] = {
    "a format of the future": ("format", 2),
    "a format of 0": ("format", 0),
    "no format": ("format", None),
    "sources that are no list": ("sources", 5),
    "sources that are numbers": ("sources", [5]),
    "a source without a type": ("sources", [Map()]),
    "a source of a type that is no text": ("sources", [Map([["type_name", 5]])]),
    "a source of a ref that is no text": ("sources", [Map([["type_name", "t"], ["ref", 5]])]),
    "a block that is none": ("block", []),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_that_makes_no_sense_is_refused(what: str) -> None:
    name, value = HEADERS[what]
    parts = parts_of("between")
    parts.header.set(name, value)
    refused(parts.joined())


BLOCKS: dict[str, tuple[str, object]] = {
    "no source": ("source", None),
    "a source that is bytes": ("source", b"x = 1"),
    "another hash": ("hash", "0" * 64),
    "names projected that are none": ("projected", [5]),
    "a name projected that is not": ("projected", ["x"]),
    "bytecode of another version": ("bytecode", 1 << 40),
    "a limit less": ("limits", [1] * 7),
    "a limit more": ("limits", [1] * 9),
    "a negative limit": ("limits", [-1] * 8),
    "true for a limit": ("limits", [True] * 8),
    "an account that is a list": ("account", []),
    "an account that is nothing": ("account", b""),
    "an account with a rest": ("account", Packed([[], []])),
    "an account inside an account": ("account", Packed([Raw(b"\x91" * 100_000)])),
    "prints that are no msgpack": ("prints", b"\xc1"),
    "prints that are a number": ("prints", Packed([5])),
    "a print of no number": ("prints", Packed([[["1", "a", "a"]]])),
    "prints out of order": ("prints", Packed([[[2, None, "a"], [1, None, "b"]]])),
    "a print whose text is none": ("prints", Packed([[[1, None, [1]]]])),
    "a print of a projection": ("prints", Packed([[[1, "a", PROJECTION]]])),
    "a print of an image that is none": ("prints", Packed([[[1, "a", Ext(1, b"\x95\x01\x02\x03\x04\x05")]]])),
    "a print of a byte string": ("prints", Packed([[[1, "a", b"x"]]])),
}


@pytest.mark.parametrize("what", BLOCKS)
def test_a_block_that_makes_no_sense_is_refused(what: str) -> None:
    name, value = BLOCKS[what]
    parts = parts_of("call")
    parts.header.set("sources", [None])
    assert survives(parts.joined())
    parts.block.set(name, value)
    refused(parts.joined())


@pytest.mark.parametrize("name", ["if", "true", "a b", "", "1a", "é"])
def test_a_variable_that_no_program_can_have_is_refused(name: str) -> None:
    for before in ("between", "call"):
        parts = parts_of(before)
        parts.variables.append([name, 1])
        refused(parts.joined())


def test_a_source_that_does_not_compile_is_refused() -> None:
    for source in ("x = ", "(" * 1000, "x = 'a", "\ufeff" * 3, "break"):
        refused(attack.with_other_program(parts_of("call"), source).joined(), "compile")


# --- requests ------------------------------------------------------------------------------------------

REQUESTS_ASKED: dict[str, tuple[str, list[object]]] = {
    "a call of a tool that the source does not call": ("call", ["g"]),
    "a call of a tool whose name is no text": ("call", [5]),
    "arguments that are no record": ("call", ["f", [1]]),
    "other arguments than the instruction has": ("call", ["f", Map([["a", 1]])]),
    "a start of another tool": ("start", ["g"]),
    "a wait for what is no handle": ("await", [7]),
    "a wait with a second operand": ("await", [Map([["handle", 1]]), 5]),
    "a stop of what is no handle": ("cancel", [Map([["id", 1]])]),
    "a print whose text is a number": ("print", [Map([["i", 0]]), 5]),
    "a print without its text": ("print", [Map([["i", 0]]), None]),
    "a print of text with another text": ("print", ["a", "b"]),
    "a print of a projection": ("print", [PROJECTION, "p"]),
}


@pytest.mark.parametrize("what", REQUESTS_ASKED)
def test_a_request_that_its_instruction_does_not_make_is_refused(what: str) -> None:
    name, asked = REQUESTS_ASKED[what]
    parts = parts_of(name)
    parts.header.set("sources", [None])
    first = len(parts.values) - 2 * len(parts.account[REQUESTS])
    parts.values[first : first + len(asked)] = asked
    refused(parts.joined())


def doubled(parts: Parts, times: int) -> Ext:
    """A list that is 2^times elements when written out."""
    number = len(parts.shared)
    parts.shared.append([1, 2])
    parts.shared.extend([reference(number + i)] * 2 for i in range(times))
    return reference(number + times)


def test_a_request_larger_than_a_value_may_be_is_refused_and_not_written_out() -> None:
    parts = parts_of("call")
    arguments = reference(len(parts.shared))
    parts.shared.append(Map([["a", 1]]))
    parts.shared[-1] = Map([["a", 1], ["b", 2]])
    number = next(i for i, value in enumerate(parts.values) if value == parts.values[-1])
    parts.values[number] = parts.values[-1] = arguments
    assert survives(parts.joined())
    # The same record, whose member is a list of 2^60.
    parts = parts_of("call")
    large = doubled(parts, 60)
    parts.shared.append(Map([["a", large]]))
    parts.values[number] = parts.values[-1] = reference(len(parts.shared) - 1)
    refused(parts.joined(), "value_size")


def test_the_words_of_a_question_are_no_larger_than_a_value_may_be() -> None:
    parts = parts_of("reads")
    large = doubled(parts, 60)
    parts.account[QUESTIONS][0][2] += 1
    parts.values.insert(len(parts.values) - 2, large)
    refused(parts.joined())


def test_a_gap_between_requests_as_wide_as_memory_is_refused() -> None:
    for width in (500_000, 77_000_000, (1 << 28) - 1, 1 << 28, 1 << 40):
        parts = parts_of("call")
        parts.account[2] = width
        parts.account[REQUESTS][0][0] = 1
        refused(parts.joined(), limits=GRANTED)
