"""The account of a suspended block: what the kernel writes is accepted, and every field is looked at."""

from __future__ import annotations

import copy
from typing import Any

import msgpack
import pytest

import lashlang
from lashlang.compiler.stackmaps import Kind
from lashlang.errors import SnapshotError
from lashlang.vm.account import Account
from tests.snapshots.attack import LAZY, SUSPENDED, parts_of
from tests.snapshots.forge import FIBERS, Map, encode

BLOCKS = [*SUSPENDED, *LAZY, "fan out"]


def program_of(name: str) -> lashlang.Program:
    return lashlang.compile(parts_of(name).block.get("source"))


@pytest.mark.parametrize("name", BLOCKS)
def test_what_the_kernel_writes_fits_its_program(name: str) -> None:
    account = Account(encode(parts_of(name).account))
    needs = account.check(program_of(name))
    assert len(needs) == len(account.fibers)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_fiber_that_has_ended_needs_nothing(name: str) -> None:
    account = Account(encode(parts_of(name).account))
    for fiber, needs in zip(account.fibers, account.check(program_of(name)), strict=True):
        assert not (fiber.status in (4, 5) and needs)


def test_needs_are_registers_with_what_they_have_to_hold() -> None:
    program = program_of("loops")
    [needs] = Account(encode(parts_of("loops").account)).check(program)
    first = len(program.code.variables) + program.code.preloaded
    registers, kinds = needs[::2], needs[1::2]
    assert all(first <= register < program.code.registers for register in registers)
    assert {Kind.PARKED, Kind.INTEGER, Kind.OWN_LIST} <= {Kind(kind) for kind in kinds}


@pytest.mark.parametrize(
    "packed", [b"", b"\xc1", b"\x80", b"\xc0", b"\x9b" + b"\0" * 11, b"\x91" * 2000, b"\xdd\xff\xff\xff\xff"]
)
def test_what_is_no_account_is_refused(packed: bytes) -> None:
    with pytest.raises(SnapshotError):
        Account(packed)


def fields(name: str) -> list[tuple[int, ...]]:
    """The places of all fields of an account."""
    found: list[tuple[int, ...]] = []
    stack: list[tuple[tuple[int, ...], Any]] = [((), parts_of(name).account)]
    while stack:
        path, part = stack.pop()
        if path:
            found.append(path)
        if isinstance(part, list) and not isinstance(part, Map):
            stack.extend(((*path, i), item) for i, item in enumerate(part))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return found


@pytest.mark.parametrize("name", ["parallel", "reads", "fan out"])
@pytest.mark.parametrize("value", [{}, -1, 1 << 63, 0.5, "text", b"bytes"])
def test_a_field_of_another_type_is_refused_wherever_it_is(name: str, value: Any) -> None:
    program = program_of(name)
    original = parts_of(name).account
    for path in fields(name):
        account: Any = copy.deepcopy(original)
        holder = account
        for step in path[:-1]:
            holder = holder[step]
        if isinstance(holder[path[-1]], str):
            continue
        holder[path[-1]] = value
        packed: bytes | None = msgpack.packb(account)
        assert packed is not None
        with pytest.raises(SnapshotError):
            Account(packed).check(program)


def test_an_account_of_another_program_is_refused() -> None:
    for name in ("parallel", "fan out", "loops"):
        account = Account(encode(parts_of(name).account))
        with pytest.raises(SnapshotError):
            account.check(lashlang.compile("x = 1"))


def test_the_fault_of_a_branch_is_one_that_there_is() -> None:
    with lashlang.Machine() as machine:
        machine.start("r = parallel { a: nope, b: call f {} }")
        from tests.snapshots.forge import take_apart

        parts = take_apart(machine.snapshot())
    program = lashlang.compile("r = parallel { a: nope, b: call f {} }")
    failed = next(fiber for fiber in parts.account[FIBERS] if fiber[7] is not None)
    fault = failed[7]
    Account(encode(parts.account)).check(program)
    for wrong in ([*fault, 1], fault[:5], [99, *fault[1:]], [fault[0], 99, *fault[2:]], [*fault[:5], "x" * 3000]):
        failed[7] = wrong
        with pytest.raises(SnapshotError):
            Account(encode(parts.account))
