"""A projected value is the value it stands for, whatever host answers for it, and is charged by chapter 14.

The programs are the conformance cases that read given names: each runs with those names projected inline
and then with the same names projected lazily, by hosts that answer much, little or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

import lashlang
from lash.testing import cases
from lashlang import JsonSource, Machine, Projected, Projection, TextSource, Unsupported
from lashlang.projection import read_all
from lashlang.values import Value

CASES = [case for file in sorted((Path(__file__).parent / "cases").glob("*.json")) for case in cases.load(file)]

SIZED = ("string", "list", "record")


class Unwilling:
    """A host that answers no question but the one that every host must."""

    blocking = False

    def __init__(self, value: Value) -> None:
        self.value = value

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """See `Projection.answer`."""
        del args
        if question != "whole" or target.path:
            raise Unsupported
        return self.value


class Eager(Unwilling):
    """A host that answers every question it can, each with what the language gives on the plain value."""

    CALLS: Mapping[str, str] = {"truthy": "!!v", "render": "to_string(v)", "whole": "v", "field": "v[a]", "index": "v[a]"}

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """See `Projection.answer`; parts stay projections however small they are."""
        names = ("a", "b", "c")[: len(args)]
        source = self.CALLS.get(question) or f"{question}({', '.join(('v', *names))})"
        steps = "".join(f"[s{number}]" for number in range(len(target.path)))
        given: dict[str, Value] = {"base": self.value, **dict(zip(names, args, strict=True))}
        given.update({f"s{number}": step for number, step in enumerate(target.path)})
        outcome = Machine().run(f"v = base{steps}\nsubmit {source}", projected=given)
        if outcome.error is not None:
            raise Unsupported
        if question == "field" and outcome.value is not None:
            return target.field(cast("str", args[0]))
        if question == "index" and outcome.value is not None and isinstance(args[0], (str, int)):
            return target.index(args[0])
        return outcome.value


class Failing(Unwilling):
    """A host that has lost what it stood for."""

    def answer(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """See `Projection.answer`."""
        raise OSError("the disk is gone")


def by_kind(value: Value) -> Projection:
    """The library's own source for a value."""
    return TextSource(value) if isinstance(value, str) else JsonSource(value)


HOSTS: dict[str, Callable[[Value], Projection]] = {"library": by_kind, "unwilling": Unwilling, "eager": Eager}


def run(case: cases.Case, projected: Mapping[str, Any]) -> tuple[lashlang.Outcome, list[tuple[str, Value]]]:
    """The last block of a case and the state after it."""
    with Machine() as machine:
        host = cases.ScriptedHost(case.get("tools", {}))
        for source in case.get("before", ()):
            cases.drive(machine, source, host)
        step = machine.start(case["source"], projected=projected)
        while isinstance(step, lashlang.Requests):
            step = machine.resume({request.id: host.answer(delivered(request)) for request in step.new})
        assert isinstance(step, lashlang.Done)
        return step.outcome, list(machine.globals.items())


def delivered(request: lashlang.Request) -> lashlang.Request:
    """A request as a tool gets it, with the projections in its arguments read."""
    if isinstance(request, (lashlang.Call, lashlang.Start)):
        return replace(request, args=cast("dict[str, Value]", read_all(request.args)))
    return request


def plain(value: Value) -> Value:
    """A value with its projections read."""
    return read_all(value)


def observed(outcome: lashlang.Outcome) -> tuple[Any, ...]:
    """What a run can be told by, its cost aside; numbers and NaN as text."""
    error = outcome.error
    failure = None if error is None else (error.kind, error.message, error.line, error.column, error.hint)
    return outcome.status, repr(plain(outcome.value)), [seen.text for seen in outcome.prints], failure


READING = [
    (case["name"], case, {**case.get("globals", {}), **case.get("projected", {})})
    for case in CASES
    if "limits" not in case and (case.get("globals") or case.get("projected"))
]


@pytest.mark.parametrize("host", HOSTS)
def test_every_case_reads_a_lazy_projection_as_it_reads_an_inline_one(host: str) -> None:
    different: list[tuple[Any, ...]] = []
    for name, case, given in READING:
        inline, _ = run(case, given)
        lazy, _ = run(case, {key: HOSTS[host](value) for key, value in given.items()})
        if observed(lazy) != observed(inline):
            different.append((name, case["source"], observed(inline), observed(lazy)))
    for d in different: print(*d, sep="\n   ")
    assert different == []
