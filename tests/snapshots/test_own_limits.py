"""What a machine wrote under its limits loads under the same limits, however narrow; narrower ones are checked."""

from __future__ import annotations

import pytest

import lashlang
from lashlang import JsonSource
from tests.snapshots.attack import parts_of
from tests.snapshots.test_hostile import refused

PRINTED = 1
"""The place of the bytes printed in an account (lashlang/vm/account.py)."""


def run(source: str, limits: lashlang.Limits, *, restoring: bool) -> lashlang.Outcome:
    """Take a block to its end, every answer null; if `restoring`, in a fresh machine from each request on."""
    machine = lashlang.Machine(limits)
    step = machine.start(source)
    while isinstance(step, lashlang.Requests):
        if restoring:
            data = machine.snapshot()
            machine.close()
            machine = lashlang.Machine.restore(data, limits=limits)
        step = machine.resume({request.id: lashlang.Response.ok() for request in machine.pending})
    machine.close()
    assert isinstance(step, lashlang.Done)
    return step.outcome


@pytest.mark.parametrize(
    ("source", "limits"),
    [
        ("print -0", {"value_size": 16}),
        ("print 1e300", {"value_size": 16}),
        ("x = '" + "\\u0001" * 40 + "'\nprint [x]", {"value_size": 72}),
        ("print 'twelve bytes'", {"value_size": 28, "output": 12}),
        ("print [1, 2, 3, 4]", {"output": 9}),
        ("for i in range(3) { print i }", {"value_size": 16, "output": 3}),
        ("parallel { print 1, print 22, print 333 }", {"value_size": 16, "output": 6}),
        ("call a_tool_with_a_name {}", {"value_size": 16}),
        ("h = start call a_tool_with_a_name {}", {"value_size": 16}),
        ("await { handle: 7 }", {"value_size": 38}),
        ("await [{ handle: 7 }]", {"value_size": 54}),
        ("cancel { handle: 7 }", {"value_size": 38}),
    ],
)
def test_a_request_at_the_edge_of_a_limit_is_restored_under_that_limit(source: str, limits: dict[str, int]) -> None:
    straight = run(source, lashlang.Limits(**limits), restoring=False)
    assert straight.status == "continued"
    restored = run(source, lashlang.Limits(**limits), restoring=True)
    assert (restored.status, restored.fuel, restored.prints) == (straight.status, straight.fuel, straight.prints)


@pytest.mark.parametrize("lazy", [False, True], ids=["inline", "lazy"])
@pytest.mark.parametrize("source", ["await p", "await [p]", "await { a: p }", "cancel p"])
def test_a_handle_that_is_read_for_a_request_is_measured_as_one_that_is_given(source: str, lazy: bool) -> None:
    handle: dict[str, lashlang.Value] = {"handle": 7, "about": "x" * 100}
    with lashlang.Machine(lashlang.Limits(value_size=200)) as machine:
        assert isinstance(machine.start(source, projected={"p": handle}), lashlang.Requests)
    with lashlang.Machine(lashlang.Limits(value_size=100)) as machine:
        outcome = machine.run(source, projected={"p": JsonSource(handle) if lazy else handle})
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.code) == ("limit_exceeded", "value_size")


def test_a_print_narrower_limits_have_no_room_for_is_refused() -> None:
    with lashlang.Machine() as machine:
        machine.start("parallel { print [1, 2, 3], print [4, 5, 6] }")
        data = machine.snapshot()
    lashlang.Machine.restore(data, limits=lashlang.Limits(output=14)).close()
    refused(data, "output", limits=lashlang.Limits(output=13))
    refused(data, "value_size", limits=lashlang.Limits(value_size=16))


def test_the_text_of_a_print_is_no_longer_than_what_was_printed() -> None:
    parts = parts_of("print")
    text = parts.values[-1]
    assert parts.account[PRINTED] == len(text)
    parts.values[-1] = text + " "
    refused(parts.joined(), "fit")
    parts.account[PRINTED] += 1
    lashlang.Machine.restore(parts.joined()).close()
