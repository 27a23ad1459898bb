"""A run that is stopped, at every single step of the event loop, in each of the ways there are.

Afterwards its exception has come through, no tool is running, nothing was left for asyncio to complain of, and the
machine is idle with its variables as the last statement left them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import lashlang
from lashlang import Machine, MachineBusy, Outcome
from tests.vm.stepping import HOUR, NotReached, after, stepped

PADDING = "# " + "a source that is long enough to be compiled in a worker\n# " * 80 + "\n"

EVERYTHING = """
first = 1
plain = call echo { v: 1 }
handle = start call slow { v: 2 }
print "one"
wave = parallel {
  a: (call echo { v: 3 })?
  b: await handle
  c: if true { print "two"
               (call slow { v: 4 })? }
  d: parallel { call slow { v: 5 }
                call slow { v: 6 } }
}
read = [len(doc), lazy.items[1].a, slice(doc, 0, 3)]
sorted = sort([i * 7919 % 100003 for i in range(20000)])
many = await [start call slow { v: i } for i in range(3)]
bad = call none_such {}
cancel handle
last = len(sorted)
submit [last, many]
"""
"""Every kind of request, of reading and of computing, one after the other and side by side."""

NAMES = ["first", "plain", "handle", "wave", "read", "sorted", "many", "bad", "last"]


class Ledger:
    """Tools that note which of their calls have begun, and how each ended."""

    def __init__(self) -> None:
        self.open = 0
        self.ends: Counter[str] = Counter()

    async def slow(self, v: int) -> int:
        """A tool that takes some steps."""
        self.open += 1
        try:
            for _ in range(3):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.ends["cancelled"] += 1
            raise
        finally:
            self.open -= 1
        self.ends["done"] += 1
        return v

    def echo(self, v: int) -> int:
        """A plain function."""
        return v


def a_run(machine: Machine, ledger: Ledger, source: str, **settings: Any) -> Any:
    """The run of a source with the ledger's tools and some projections."""
    return machine.run_async(
        source,
        tools={"slow": ledger.slow, "echo": ledger.echo},
        projected={
            "doc": lashlang.TextSource("abc" * 100_000),
            "lazy": lashlang.JsonSource({"items": [{"a": 1}, {"a": [2] * 100}]}),
        },
        **settings,
    )


def outcome_undisturbed() -> tuple[Outcome, dict[str, Any]]:
    """The outcome, and the variables, of a run that nobody stops."""
    with stepped() as loop, Machine() as machine:
        outcome = loop.run_until_complete(a_run(machine, Ledger(), EVERYTHING))
        return outcome, dict(machine.globals)


def check_stopped(machine: Machine, ledger: Ledger, final: dict[str, Any]) -> None:
    """Nothing runs; the machine is idle, holds what the statements so far assigned, and can be used and dumped."""
    assert ledger.open == 0
    assert not machine.running
    names = list(machine.globals)
    assert names == NAMES[: len(names)]
    assert dict(machine.globals) == {name: final[name] for name in names}
    for form in ("portable", "image"):
        with Machine.restore(machine.snapshot(form), trust_image=True) as twin:
            assert list(twin.globals) == names
    assert machine.run("submit 1 + 1").value == 2


def at_every_step(
    source: str, act: Callable[[asyncio.Task[Any], Any], object], expected: Callable[[Any], bool], **settings: Any
) -> int:
    """Stop the run at its first, second, … step until it ends before that; the number of steps."""
    _, final = outcome_undisturbed()
    steps = 0
    while True:
        ledger = Ledger()
        with stepped() as loop, Machine() as machine:
            run = a_run(machine, ledger, source, **settings)
            result = after(steps, loop, run, lambda task, loop=loop: act(task, loop))
            if result is NotReached:
                return steps
            assert expected(result), (steps, result)
            check_stopped(machine, ledger, final)
        steps += 1


def test_a_run_that_nobody_stops_comes_to_its_end() -> None:
    outcome, final = outcome_undisturbed()
    assert outcome.value == [20_000, [{"ok": True, "value": v} for v in range(3)]]
    assert list(final) == NAMES
    assert [seen.text for seen in outcome.prints] == ["one", "two"]


def test_a_failure_that_nobody_looked_at_is_noticed_when_the_loop_ends() -> None:
    async def lose_a_failure() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError("lost"))
        ring: list[object] = [future]
        ring.append(ring)

    with pytest.raises(AssertionError), stepped() as loop:
        loop.run_until_complete(lose_a_failure())
    assert [str(complaint["exception"]) for complaint in loop.complaints] == ["lost"]


@pytest.mark.parametrize("source", [EVERYTHING, PADDING + EVERYTHING], ids=["short", "compiled in a worker"])
def test_cancelling_at_any_step_stops_everything_and_leaves_the_machine_well(source: str) -> None:
    steps = at_every_step(
        source, lambda task, _: task.cancel(), lambda result: isinstance(result, asyncio.CancelledError)
    )
    assert steps >= 30


def test_cancelling_twice_at_any_step_is_as_cancelling_once() -> None:
    def twice(task: asyncio.Task[Any], loop: Any) -> None:
        task.cancel()
        loop.call_soon(task.cancel)

    at_every_step(EVERYTHING, twice, lambda result: isinstance(result, asyncio.CancelledError))


def test_a_timeout_at_any_step_interrupts_the_block() -> None:
    def pass_time(_: asyncio.Task[Any], loop: Any) -> None:
        loop.now += HOUR

    def is_fitting(result: Any) -> bool:
        # One that expires in the very last steps comes too late.
        return result.status == "interrupted" or (result.status == "submitted" and result.value[0] == 20_000)

    assert at_every_step(EVERYTHING, pass_time, is_fitting, timeout=HOUR / 2) >= 30


def test_a_run_with_a_timeout_that_is_cancelled_at_any_step_is_cancelled_and_not_late() -> None:
    at_every_step(
        EVERYTHING,
        lambda task, _: task.cancel(),
        lambda result: isinstance(result, asyncio.CancelledError),
        timeout=HOUR,
    )


def test_a_machine_cannot_be_closed_under_a_run_at_any_step() -> None:
    def close_then_cancel(task: asyncio.Task[Any], machine: Machine) -> None:
        if machine.running:
            with pytest.raises(MachineBusy):
                machine.close()
        task.cancel()

    _, final = outcome_undisturbed()
    for step in range(0, 40, 3):
        ledger = Ledger()
        with stepped() as loop, Machine() as machine:
            run = a_run(machine, ledger, EVERYTHING)
            result = after(step, loop, run, lambda task, machine=machine: close_then_cancel(task, machine))
            assert isinstance(result, asyncio.CancelledError)
            check_stopped(machine, ledger, final)


def test_a_suspended_block_can_be_closed_over_and_cannot_be_resumed() -> None:
    machine = Machine()
    machine.start("x = 1\ncall t {}")
    machine.close()
    with pytest.raises(lashlang.MachineError):
        machine.resume({1: lashlang.Response.ok(1)})
    machine.close()


class Out(BaseException):
    """What a tool raises to get out of everything."""


@pytest.mark.parametrize("kind", ["call", "start"])
@pytest.mark.parametrize("number", range(1, 8))
def test_a_tools_base_exception_leaves_the_run_and_stops_the_other_tools(kind: str, number: int) -> None:
    ledger, calls = Ledger(), 0

    async def slow(v: int) -> int:
        nonlocal calls
        calls += 1
        if calls == number:
            raise Out
        return await ledger.slow(v)

    wave = "(call slow { v: 1 })?\n" * 4
    source = f"x = 1\nparallel {{ {wave} }}\nparallel {{ {wave} }}"
    if kind == "start":
        source = "x = 1\nhs = [start call slow { v: i } for i in range(8)]\ny = await hs"
    with stepped() as loop, Machine() as machine:
        with pytest.raises(Out):
            loop.run_until_complete(machine.run_async(source, tools={"slow": slow}))
        assert ledger.open == 0
        assert machine.globals["x"] == 1
        assert machine.run("submit 1 + 1").value == 2


def test_of_many_base_exceptions_at_once_one_leaves_the_run_and_none_is_complained_of() -> None:
    async def out() -> None:
        raise Out

    with stepped() as loop, Machine() as machine:
        with pytest.raises(Out):
            loop.run_until_complete(machine.run_async("parallel { " + "call out {}, " * 9 + " }", tools={"out": out}))
        assert machine.run("submit 1 + 1").value == 2


def test_a_plain_tools_base_exception_leaves_the_run() -> None:
    def tool() -> None:
        raise Out

    with stepped() as loop, Machine() as machine:
        with pytest.raises(Out):
            loop.run_until_complete(machine.run_async("x = 1\ncall t {}", tools={"t": tool}))
        assert machine.run("submit x").value == 1
        with pytest.raises(Out):
            machine.run("x = 2\ncall t {}", tools={"t": tool})
        assert machine.run("submit x").value == 2


def test_a_snapshot_taken_in_a_tool_goes_on_after_the_run_was_cancelled() -> None:
    ledger, kept = Ledger(), list[bytes]()
    source = "x = (call slow { v: 1 })?\ny = parallel { (call slow { v: 2 })?\n(call slow { v: 3 })? }\nsubmit [x, y]"
    with stepped() as loop, Machine() as machine:

        async def slow(v: int) -> int:
            kept.append(machine.snapshot())
            return await ledger.slow(v)

        run = machine.run_async(source, tools={"slow": slow})
        assert isinstance(after(9, loop, run, lambda task: task.cancel()), asyncio.CancelledError)
    assert len(kept) == 3
    for data in kept:
        with stepped() as loop, Machine.restore(data) as twin:
            assert loop.run_until_complete(twin.finish_async(tools={"slow": ledger.slow})).value == [1, [2, 3]]
