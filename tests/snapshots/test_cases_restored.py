"""Every case runs as it does otherwise when its machine is replaced at each request (chapter 19)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lashlang
from lash.testing import cases
from tests.snapshots.test_stack_maps import ASKING_CASES

Relay = Callable[[lashlang.Machine], lashlang.Machine]


def restored(machine: lashlang.Machine) -> lashlang.Machine:
    """The machine from its portable snapshot, under its own limits."""
    return lashlang.Machine.restore(machine.snapshot(), limits=machine.limits)


def observed(case: cases.Case, relay: Relay) -> tuple[Any, ...]:
    """What a case's run shows, with another machine from each request on."""
    host = cases.ScriptedHost(case.get("tools", {}))
    machine = lashlang.Machine()
    for name, value in case.get("globals", {}).items():
        machine.globals[name] = value
    for source in case.get("before", ()):
        cases.drive(machine, source, host)
    machine.limits = lashlang.Limits(**case.get("limits", {}))
    step = machine.start(case["source"], projected=case.get("projected"))
    while isinstance(step, lashlang.Requests):
        answers = {request.id: host.answer(request) for request in step.new}
        other = relay(machine)
        if other is not machine:
            machine.close()
            machine = other
        step = machine.resume(answers)
    assert isinstance(step, lashlang.Done)
    machine.limits = lashlang.Limits()  # the block's must not keep its variables from being read
    outcome = step.outcome
    error = outcome.error
    failure = None if error is None else (error.kind, error.code, error.message, error.line, error.column)
    state = [(name, shown(machine, name)) for name in machine.globals]
    machine.close()
    return outcome.status, repr(outcome.value), [seen.text for seen in outcome.prints], failure, outcome.fuel, state


def shown(machine: lashlang.Machine, name: str) -> str:
    """A variable as text, or why it is too large to be read."""
    try:
        return repr(machine.globals[name])
    except lashlang.LanguageError as error:
        return str(error)


@pytest.mark.parametrize("case", ASKING_CASES, ids=[case["name"] for case in ASKING_CASES])
def test_a_case_restored_at_every_request_runs_as_without(case: cases.Case) -> None:
    assert observed(case, restored) == observed(case, lambda machine: machine)
