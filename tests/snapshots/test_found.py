"""Snapshots that once got past the loader, or broke it: each is refused now, or does no harm."""

from __future__ import annotations

import pytest

import lashlang
from lashlang.compiler.disasm import instructions
from lashlang.compiler.stackmaps import stack_maps
from tests.snapshots import attack
from tests.snapshots.attack import GRANTED, parts_of, survives
from tests.snapshots.forge import FIBERS, NOTHING, READY, REQUESTS, Ext, Raw, encode, failure, take_apart
from tests.snapshots.test_hostile import images, refused


def test_branches_of_a_parallel_that_has_none_are_refused() -> None:
    parts = attack.with_other_program(parts_of("call"), "call f {}\nx = parallel {}")
    pc = next(i for i in range(20) if stack_maps(lashlang.compile("call f {}\nx = parallel {}")).parallel(i))
    parts.account[FIBERS][0][2:10] = [pc, 0, False, True, [], None, None, False]
    refused(parts.joined(), "parallel")


def test_a_projection_in_the_path_of_a_projection_is_refused_however_deep() -> None:
    inside = b"\xa1k"
    for _ in range(20_000):
        inside = encode(Ext(2, b"\x93\x00\xa1p\x91" + inside))
    parts = parts_of("between")
    parts.header.set("sources", [None])
    parts.variables.append(["deep", Raw(inside)])
    refused(parts.joined())


def test_an_answer_to_an_await_is_no_mark_of_a_failure() -> None:
    parts = parts_of("await")
    parts.values[-5] = failure("failed")
    assert parts.account[FIBERS][0][8] == 2
    refused(parts.joined())
    parts = parts_of("cancel")
    parts.account[FIBERS][0][3] = 0
    parts.account[REQUESTS].clear()
    parts.account[3] = parts.account[2] + 1
    parts.account[READY] = [0]
    parts.values[-3:] = [failure("failed")]
    assert survives(parts.joined())


def test_a_hidden_variable_is_not_bound_by_the_block() -> None:
    with lashlang.Machine() as machine:
        machine.globals["x"] = 5
        machine.start("call f {}\nsubmit x", projected={"x": 1})
        parts = take_apart(machine.snapshot())
    parts.account[7] = [0]
    refused(parts.joined())


def test_a_variable_is_bound_once_though_its_register_was_empty() -> None:
    parts = parts_of("call")
    parts.values[0] = NOTHING
    parts.account[7] = [0]
    assert survives(parts.joined())


def test_a_variable_of_the_state_stays_a_value_though_its_register_was_empty() -> None:
    with lashlang.Machine() as machine:
        machine.globals["x"] = 5
        machine.start("call f {}\nsubmit x")
        parts = take_apart(machine.snapshot())
    parts.values[0] = NOTHING
    with lashlang.Machine.restore(parts.joined()) as machine:
        outcome = machine.finish()
        assert outcome.error is not None
        assert outcome.error.kind == "unknown_name"
        assert machine.run("submit x").value is None


def test_requests_that_wait_have_been_seen() -> None:
    parts = parts_of("print")
    parts.account[4] = 1
    refused(parts.joined(), "seen")


def test_iterations_of_a_loop_are_paid_whatever_a_snapshot_says() -> None:
    source = "xs = range(1000)\nfor x in xs { call f {} }\nsubmit 1"
    with lashlang.Machine() as machine:
        machine.start(source)
        parts = take_apart(machine.snapshot())
    program = lashlang.compile("xs = range(1000)\nfor x in xs {}\nsubmit 1")
    loop = next(i.pc for i in instructions(program) if i.opcode.name == "LIST_NEXT")
    attack.with_other_program(parts, program.source)
    parts.account[REQUESTS].clear()
    parts.account[3] = parts.account[2] + 1
    parts.account[READY] = [0]
    fiber = parts.account[FIBERS][0]
    fiber[2:10] = [loop, 0, True, False, [], None, None, False]
    del parts.values[program.code.registers - program.code.preloaded :]
    with lashlang.Machine.restore(parts.joined(), limits=lashlang.Limits(fuel=100)) as machine:
        outcome = machine.finish()
        assert outcome.error is not None
        assert (outcome.error.code, outcome.fuel) == ("fuel", 100)


@pytest.mark.parametrize(
    "stretches",
    [
        [],
        [[0]],
        [[0, 1, 2]],
        [["a", 1]],
        [[-5, 3]],
        [[0, 1 << 40]],
        [[1 << 40, 5]],
        [[0, 5], [0, 5]],
        [[0, -1]],
        [[0, True]],
    ],
)
def test_an_image_that_says_nonsense_of_its_memory_is_refused(stretches: list[object]) -> None:
    parts = take_apart(images()[0][0])
    parts.header.set("stretches", stretches)
    with pytest.raises(lashlang.SnapshotError, match="memory"):
        lashlang.Machine.restore(parts.joined(), trust_image=True)


def test_more_pending_than_memory_can_say_is_refused() -> None:
    source = "x = pad_left('', 100000, 'a')\ny = [x for i in range(9)]\nr = parallel { "
    source += ", ".join("call f { y: y }" for _ in range(60)) + " }"
    with lashlang.Machine() as machine:
        machine.start(source)
        data = machine.snapshot()
    refused(data, "memory", limits=GRANTED)


def test_limits_of_a_snapshot_are_never_wider_than_those_granted() -> None:
    parts = parts_of("fan out")
    parts.block.set("limits", [1 << 62] * 8)
    with lashlang.Machine.restore(parts.joined(), limits=GRANTED) as machine:
        assert machine.limits_in_force == GRANTED
