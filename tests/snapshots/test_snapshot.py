"""A machine as bytes and back: nothing observable is lost, in either form, wherever it is taken."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable

import pytest

import lashlang
from lashlang.projection import Projected
from tests.snapshots.programs import FAN_OUT, STATE, answer, finish

KEY = b"sixteen bytes or more"

Relay = Callable[[lashlang.Machine], lashlang.Machine]

RELAYS: dict[str, Relay] = {
    "portable": lambda machine: lashlang.Machine.restore(machine.snapshot()),
    "sealed": lambda machine: lashlang.Machine.restore(machine.snapshot(key=KEY), key=KEY),
    "image": lambda machine: lashlang.Machine.restore(machine.snapshot("image"), trust_image=True),
    "sealed image": lambda machine: lashlang.Machine.restore(machine.snapshot("image", key=KEY), key=KEY),
    "fork": lambda machine: machine.fork(),
}


def with_state() -> lashlang.Machine:
    machine = lashlang.Machine()
    machine.globals["picture"] = lashlang.Image("i1", "a picture", 10, 3, None)
    assert machine.run(STATE).error is None
    return machine


@pytest.mark.parametrize("relay", RELAYS.values(), ids=RELAYS)
def test_variables_come_back_in_their_order_with_their_values(relay: Relay) -> None:
    machine = with_state()
    restored = relay(machine)
    assert list(restored.globals) == list(machine.globals)
    for name in machine.globals:
        assert repr(restored.globals[name]) == repr(machine.globals[name])


def test_a_restored_state_written_again_is_the_same_bytes() -> None:
    data = with_state().snapshot()
    assert lashlang.Machine.restore(data).snapshot() == data


def test_an_empty_machine_can_be_written_and_restored() -> None:
    restored = lashlang.Machine.restore(lashlang.Machine().snapshot())
    assert list(restored.globals) == []
    assert restored.run("submit 1").value == 1


@pytest.mark.parametrize("relay", RELAYS.values(), ids=RELAYS)
def test_a_block_goes_on_in_a_fresh_machine_at_every_request(relay: Relay) -> None:
    straight = lashlang.Machine()
    wanted = finish(straight, straight.start(FAN_OUT))
    machine = lashlang.Machine()
    step: lashlang.Step | None = machine.start(FAN_OUT)
    waits = 0
    while not isinstance(step, lashlang.Done):
        waits += 1
        before = machine.pending
        restored = relay(machine)
        machine.close()
        machine = restored
        assert machine.running
        assert machine.pending == before
        # One answer at a time, so that branches are caught in every state.
        request = machine.pending[-1]
        step = machine.resume({request.id: answer(request)})
    assert waits >= 15
    outcome = step.outcome
    assert (outcome.value, outcome.fuel, outcome.requests) == (wanted.value, wanted.fuel, wanted.requests)
    assert [seen.text for seen in outcome.prints] == [seen.text for seen in wanted.prints]
    assert dict(machine.globals) == dict(straight.globals)


def test_taking_a_snapshot_changes_nothing() -> None:
    machine, other = lashlang.Machine(), lashlang.Machine()
    step, same = machine.start(FAN_OUT), other.start(FAN_OUT)
    first = machine.snapshot()
    assert machine.snapshot() == first
    machine.snapshot("image")
    machine.fork().close()
    assert machine.snapshot() == first
    assert finish(machine, step) == finish(other, same)


def test_copies_of_one_block_run_on_their_own() -> None:
    machine = lashlang.Machine()
    machine.start("x = (call f {})?\nprint x\nsubmit x")
    data = machine.snapshot()
    values: list[object] = []
    for value in ("a", "b"):
        copy = lashlang.Machine.restore(data)
        copy.resume({1: lashlang.Response.ok(value)})
        done = copy.resume({2: lashlang.Response.ok()})
        assert isinstance(done, lashlang.Done)
        values.append(done.outcome.value)
    twin = machine.fork()
    assert values == ["a", "b"]
    assert twin.finish(tools={"f": lambda: "twin"}).value == "twin"
    assert machine.finish(tools={"f": lambda: "first"}).value == "first"


def test_another_process_finishes_the_block() -> None:
    machine = lashlang.Machine()
    machine.start(FAN_OUT)
    program = (
        "import sys, lashlang\n"
        "from tests.snapshots.programs import finish\n"
        "machine = lashlang.Machine.restore(sys.stdin.buffer.read())\n"
        "print(finish(machine, machine.step))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=machine.snapshot(), capture_output=True, check=True, cwd="."
    )
    straight = lashlang.Machine()
    assert done.stdout.decode().strip() == str(finish(straight, straight.start(FAN_OUT)))


async def test_a_tool_can_take_a_snapshot_of_the_machine_it_was_called_from() -> None:
    machine = lashlang.Machine()
    taken: list[bytes] = []

    async def ask(n: int) -> int:
        taken.append(machine.snapshot())
        await asyncio.sleep(0)
        return n

    def echo(n: int) -> int:
        return n

    source = "xs = parallel { (call ask { n: 1 })?, (call ask { n: 2 })? }\nsubmit xs"
    wanted = await machine.run_async(source, tools={"ask": ask})
    assert wanted.value == [1, 2]
    assert len(taken) == 2
    for data in taken:
        restored = lashlang.Machine.restore(data)
        assert len(restored.pending) == 2
        again = await restored.finish_async(tools={"ask": echo})
        assert (again.value, again.fuel) == (wanted.value, wanted.fuel)


def test_after_a_limit_the_state_as_it_was_left_can_be_written() -> None:
    machine = lashlang.Machine(lashlang.Limits(fuel=50))
    outcome = machine.run("x = [1, 2]\nfor i in range(100) { x = push(x, i) }")
    assert outcome.error is not None
    restored = lashlang.Machine.restore(machine.snapshot())
    assert restored.globals["x"] == machine.globals["x"]


# --- limits ------------------------------------------------------------------------------------------


def test_a_restored_block_keeps_narrower_limits_and_gets_no_wider_ones() -> None:
    source = "call f {}\nfor i in range(100) {}\nsubmit 1"
    machine = lashlang.Machine(lashlang.Limits(fuel=60))
    machine.start(source)
    narrow = machine.snapshot()
    outcome = lashlang.Machine.restore(narrow, limits=lashlang.Limits(fuel=1_000_000)).finish()
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fuel) == ("fuel", 60)

    machine = lashlang.Machine(lashlang.Limits(fuel=1_000_000))
    machine.start(source)
    for form in ("portable", "image"):
        restored = lashlang.Machine.restore(machine.snapshot(form), limits=lashlang.Limits(fuel=60), trust_image=True)  # pyright: ignore[reportArgumentType]
        outcome = restored.finish()
        assert outcome.error is not None
        assert (outcome.error.code, outcome.fuel) == ("fuel", 60)
        assert restored.run("for i in range(20) {}").error is None


def test_a_block_that_used_more_than_it_is_granted_now_ends_at_once() -> None:
    machine = lashlang.Machine()
    machine.start("for i in range(500) {}\ncall f {}\nsubmit len(range(6400))")
    for form in ("portable", "image"):
        restored = lashlang.Machine.restore(machine.snapshot(form), limits=lashlang.Limits(fuel=60), trust_image=True)  # pyright: ignore[reportArgumentType]
        outcome = restored.finish()
        assert outcome.error is not None
        assert (outcome.error.code, outcome.fuel) == ("fuel", 60)


def test_the_limits_of_a_block_are_its_own_after_restoring_too() -> None:
    machine = lashlang.Machine()
    machine.start("call f {}", fuel=3)
    restored = lashlang.Machine.restore(machine.snapshot())
    restored.finish()
    assert restored.run("for i in range(1000) {}").error is None


def test_a_state_larger_than_the_memory_granted_is_refused() -> None:
    machine = lashlang.Machine()
    machine.run("x = [i for i in range(200000)]")
    small = lashlang.Limits(memory=1 << 20)
    with pytest.raises(lashlang.SnapshotError, match="memory"):
        lashlang.Machine.restore(machine.snapshot(), limits=small)
    with pytest.raises(lashlang.SnapshotError, match="memory"):
        lashlang.Machine.restore(machine.snapshot("image"), limits=small, trust_image=True)


# --- projections -------------------------------------------------------------------------------------


class Kept(lashlang.JsonSource):
    """A source that a host finds again by its name."""

    type_name = "kept"

    def __init__(self, ref: str, value: lashlang.Value) -> None:
        super().__init__(value)
        self.ref = ref


def test_a_projection_with_a_ref_is_found_again() -> None:
    machine = lashlang.Machine()
    machine.start("xs = [doc]\ncall f {}\nsubmit xs[0].title", projected={"doc": Kept("doc/7", {"title": "Seven"})})
    asked: list[tuple[str, str]] = []

    def find(ref: str, type_name: str) -> lashlang.Projection:
        asked.append((ref, type_name))
        return Kept(ref, {"title": "Seven again"})

    for form in ("portable", "image"):
        restored = lashlang.Machine.restore(machine.snapshot(form), projections=find, trust_image=True)  # pyright: ignore[reportArgumentType]
        assert restored.finish().value == "Seven again"
    assert asked == [("doc/7", "kept")] * 2


def test_a_projection_that_is_not_found_is_a_placeholder() -> None:
    machine = lashlang.Machine()
    machine.start("xs = [doc]\ncall f {}\nsubmit xs[0].title", projected={"doc": Kept("doc/7", {"title": "Seven"})})
    data = machine.snapshot()
    restored = lashlang.Machine.restore(data)
    assert restored.snapshot() == data
    outcome = restored.finish()
    assert outcome.error is not None
    assert outcome.error.kind == "projection_unavailable"
    assert "doc/7" in outcome.error.message


def test_a_block_that_waits_for_a_read_of_its_host_is_restored_with_the_same_question() -> None:
    machine = lashlang.Machine()
    step = machine.start("submit find(doc, 'x') ?? -1", projected={"doc": Projected("doc")})
    assert isinstance(step, lashlang.Reads)
    for relay in RELAYS.values():
        restored = relay(machine)
        assert restored.step == step
        done = restored.resume(reads={step.reads[0].id: lashlang.ReadResponse.ok(4)})
        assert isinstance(done, lashlang.Done)
        assert done.outcome.value == 4


# --- sharing -----------------------------------------------------------------------------------------

HUNDRED = "for i in range(100) {{ {0} }}\n"

SHARED = {
    "a list twice in a list": "x = 1\n" + HUNDRED.format("x = [x, x]"),
    "a record twice in a record": "x = 1\n" + HUNDRED.format("x = { a: x, b: x }"),
    "lists and records in turn": "x = 1\n" + HUNDRED.format("x = [{ a: x, b: [x] }, x]").replace("100", "40"),
    "a list that grows by itself": "x = [1]\n" + HUNDRED.format("x = [x, x, x, x, x, x, x, x]"),
    "a text in many places": "t = pad_left('', 5000, 'a')\nx = [t for i in range(2000)]\n",
    "views of one text": "t = pad_left('', 1000000, 'a')\nx = [slice(t, i, -1) for i in range(1000)]\n",
    "views of one wide text": "t = pad_left('', 300000, 'é')\nx = [slice(t, i, -1) for i in range(1000)]\n",
    "a long key in many records": "k = pad_left('', 100000, 'k')\nx = [{} for i in range(2000)]\n"
    "for i in range(2000) { x[i][k] = i }\n",
    "an image in many places": "x = [picture for i in range(5000)]\n",
    "two variables of the same": "x = 1\n" + HUNDRED.format("x = [x, x]") + "y = [x, x]\nz = { x: x, y: y }\n",
}


@pytest.mark.parametrize("source", SHARED.values(), ids=SHARED)
def test_what_is_shared_is_written_once_and_comes_back_shared(source: str) -> None:
    machine = lashlang.Machine()
    machine.globals["picture"] = lashlang.Image("i", "p" * 1000, 1, 1, 1)
    assert machine.run(source).error is None
    data = machine.snapshot()
    assert len(data) < machine.heap_used + 2000
    restored = lashlang.Machine.restore(data)
    assert restored.heap_used < 1.5 * machine.heap_used + 20_000
    assert restored.snapshot() == data


@pytest.mark.parametrize("leave", ["submit [x, x, x]", "print [x, x]", "call f { x: x }", "start call f { x: [x, x] }"])
@pytest.mark.parametrize("name", [name for name in SHARED if "image" not in name])
def test_what_is_shared_leaves_the_machine_only_within_value_size(name: str, leave: str) -> None:
    limits = lashlang.Limits(value_size=10_000_000)
    machine = lashlang.Machine(limits)
    assert machine.run(SHARED[name]).error is None
    restored = lashlang.Machine.restore(machine.snapshot(), limits=limits)
    outcome = restored.run(leave)
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.code) == ("limit_exceeded", "value_size")
    assert restored.run("submit 1 + 1").value == 2


def test_views_keep_no_more_of_their_text_than_they_show() -> None:
    machine = lashlang.Machine()
    machine.run("t = pad_left('', 5000000, 'a')\nx = [slice(t, 10, 2000), slice(t, 3000, 5000)]\nt = null")
    data = machine.snapshot()
    assert len(data) < 6000
    assert lashlang.Machine.restore(data).globals["x"] == machine.globals["x"]


# --- misuse ------------------------------------------------------------------------------------------


def test_an_unknown_form_and_a_short_key_are_refused() -> None:
    machine = lashlang.Machine()
    with pytest.raises(ValueError, match="portable"):
        machine.snapshot("xml")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="16 bytes"):
        machine.snapshot(key=b"short")
    with pytest.raises(TypeError, match="bytes"):
        machine.snapshot(key="text")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="bytes"):
        lashlang.Machine.restore("text")  # pyright: ignore[reportArgumentType]


def test_finishing_an_idle_machine_is_misuse() -> None:
    with pytest.raises(lashlang.MachineMisuse, match="no block"):
        lashlang.Machine().finish()


def test_a_closed_machine_gives_no_snapshot() -> None:
    machine = lashlang.Machine()
    machine.close()
    for take in (machine.snapshot, machine.fork, lambda: machine.snapshot("image")):
        with pytest.raises(lashlang.MachineClosed):
            take()


def test_variables_cannot_be_reached_while_a_restored_block_waits() -> None:
    machine = lashlang.Machine()
    machine.start("call f {}")
    with pytest.raises(lashlang.MachineBusy):
        lashlang.Machine.restore(machine.snapshot()).globals["x"] = 1
