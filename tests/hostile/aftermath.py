"""Running a hostile program, and what must be true of the machine afterwards however it ended."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from lashlang import LanguageError, Machine, Outcome
from lashlang.compiler.faults import LIMITS

from .program import MIB, Hostile

HANGS = 120
"""Seconds after which a program counts as one that hangs: many times what the slowest takes."""


def run_to_its_end(program: Hostile) -> tuple[Machine, Outcome]:
    """A machine that has run the program, and the outcome."""
    machine = Machine(program.limits)
    outcome = machine.run(program.source, tools=program.served_by, projected=program.projected(), timeout=HANGS)
    return machine, outcome


def how_it_ended(outcome: Outcome) -> str:
    """The end of a block as the tables name it: a limit, another kind of error, or a status."""
    error = outcome.error
    if error is None:
        return outcome.status
    if error.kind == "limit_exceeded":
        assert error.code in LIMITS
        return error.code
    return error.kind


def check_budget(program: Hostile, outcome: Outcome) -> None:
    """No outcome reports more than the limits allow, and a limit that was run into has been used up."""
    limits = program.limits
    printed = sum(len(seen.text.encode()) for seen in outcome.prints)
    assert 0 <= outcome.fuel <= limits.fuel
    assert 0 <= outcome.requests <= limits.requests
    assert printed <= limits.output
    end = how_it_ended(outcome)
    if end == "fuel":
        assert outcome.fuel == limits.fuel
    if end in LIMITS:
        assert outcome.error is not None
        assert str(getattr(limits, end)) in outcome.error.message


def memory_of(machine: Machine) -> int:
    """Bytes of the instance's linear memory, which never shrinks: the most the block ever had."""
    instance: Any = machine.instance
    return instance._link.memory_size()


def check_memory(program: Hostile, machine: Machine) -> None:
    """The machine holds what its limits allow, and took no more of its host at any time."""
    assert machine.heap_used <= program.limits.memory
    assert memory_of(machine) <= 2 * program.limits.memory + 16 * MIB


def check_running(machine: Machine) -> None:
    """The machine runs a block, also one that is full to the last byte."""
    outcome = machine.run("submit 1 + 1")
    assert (outcome.value, outcome.error) == (2, None)


def check_alive(machine: Machine) -> None:
    """The machine runs another block, and its variables can be read, or are refused for their size alone."""
    assert not machine.running
    check_running(machine)
    for name in machine.globals:
        with suppress(LanguageError):
            assert machine.globals[name] is not machine


def check_dumpable(program: Hostile, machine: Machine) -> None:
    """Both forms of snapshot can be taken, and give a machine with the same variables that runs."""
    names = list(machine.globals)
    for form in ("portable", "image"):
        data = machine.snapshot(form)
        with Machine.restore(data, limits=program.limits, trust_image=True) as twin:
            assert list(twin.globals) == names
            check_running(twin)
    with machine.fork() as twin:
        assert list(twin.globals) == names


def endures(program: Hostile) -> None:
    """Run the program and check all of the above."""
    machine, outcome = run_to_its_end(program)
    with machine:
        assert how_it_ended(outcome) == program.end, outcome.render_error()[:500]
        check_budget(program, outcome)
        check_memory(program, machine)
        check_alive(machine)
        check_dumpable(program, machine)
        check_memory(program, machine)
