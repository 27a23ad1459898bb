"""An instance of the kernel becomes a copy of another one, over the fast link and over the public one."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from lashlang.errors import KernelFault, MachineBusy, MachineClosed
from lashlang.vm.engine import Instance, Kernel
from lashlang.vm.protocol import Command, Status

LIMITS = [10_000_000, 64 << 20, 1 << 20, 100_000, 128, 1 << 24, 100, 10_000]
BOTH = pytest.mark.parametrize("public", [False, True], ids=["fast", "public"])


def made(public: bool, memory: int = 128 << 20, **variables: Any) -> Instance:
    instance = Kernel.shared().instantiate(memory, public=public)
    tell(instance, Command.CONFIGURE, LIMITS)
    for name, value in variables.items():
        tell(instance, Command.SET, [name, value])
    return instance


def tell(instance: Instance, command: int, message: Any) -> Any:
    status, reply = instance.command(command, msgpack.packb(message), lambda data: data and msgpack.unpackb(data))
    assert status == Status.OK
    return reply


def copied(one: Instance, other: Instance) -> None:
    with one.contents() as contents:
        other.become(contents)


@BOTH
@pytest.mark.parametrize("other_public", [False, True], ids=["fast", "public"])
def test_a_copy_has_the_same_variables(public: bool, other_public: bool) -> None:
    value = {"text": "x" * 100_000, "rows": [{"n": i} for i in range(5000)]}
    one, other = made(public, x=value), made(other_public, y="gone")
    copied(one, other)
    assert other.heap_used == one.heap_used
    assert tell(other, Command.NAMES, []) == ["x"]
    assert tell(other, Command.GET, ["x"]) == [True, value]


@BOTH
def test_a_copy_goes_its_own_way(public: bool) -> None:
    one, other = made(public, x=1), made(public)
    copied(one, other)
    tell(other, Command.SET, ["x", [2] * 50_000])
    tell(one, Command.SET, ["z", 3])
    assert tell(one, Command.GET, ["x"]) == [True, 1]
    assert tell(other, Command.NAMES, []) == ["x"]


@BOTH
def test_stretches_ascend_and_do_not_overlap(public: bool) -> None:
    one = made(public, x=["text" * 1000] * 500)
    for name in ("a", "b", "c"):
        tell(one, Command.SET, [name, "y" * 200_000])
    tell(one, Command.DELETE, ["b"])
    with one.contents() as contents:
        ends = [start + len(stretch) for start, stretch in contents]
        starts = [start for start, _ in contents]
        assert starts[0] == 0
        assert all(end < start for end, start in zip(ends, starts[1:], strict=False))
        assert sum(len(stretch) for _, stretch in contents) < ends[-1]


@BOTH
def test_a_copy_larger_than_an_instance_can_grow_is_refused(public: bool) -> None:
    one, small = made(public, x="y" * 1_000_000), made(public, memory=1 << 20, kept=1)
    with one.contents() as contents, pytest.raises(MemoryError):
        small.become(contents)
    assert tell(small, Command.GET, ["kept"]) == [True, 1]


@BOTH
def test_nobody_else_comes_in_while_the_contents_are_looked_at(public: bool) -> None:
    one = made(public, x=1)
    with one.contents():
        with pytest.raises(MachineBusy), one.contents():
            pass
        with pytest.raises(MachineBusy):
            one.become([(0, memoryview(b""))])
    assert tell(one, Command.GET, ["x"]) == [True, 1]


@BOTH
def test_a_closed_instance_has_no_contents(public: bool) -> None:
    one, other = made(public), made(public)
    with other.contents() as contents:
        one.close()
        with pytest.raises(MachineClosed):
            one.become(contents)
    with pytest.raises(MachineClosed), one.contents():
        pass


@BOTH
def test_a_dead_instance_has_no_contents(public: bool) -> None:
    one = made(public)
    one.retire("found dead")
    with pytest.raises(KernelFault, match="found dead"), one.contents():
        pass
