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

    CALLS: Mapping[str, str] = {
        "truthy": "!!v",
        "render": "to_string(v)",
        "whole": "v",
        "field": "v[a]",
        "index": "v[a]",
    }

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


def observed(case: cases.Case, projected: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the run of a case can be told by, its cost aside; values as text, in which NaN is equal to itself."""
    outcome, state = run(case, projected)
    error = outcome.error
    failure = None if error is None else (error.kind, error.message, error.line, error.column, error.hint)
    prints = [seen.text for seen in outcome.prints]
    return outcome.status, repr(plain(outcome.value)), prints, failure, repr([(key, plain(v)) for key, v in state])


READING = [
    (case, {**case.get("globals", {}), **case.get("projected", {})})
    for case in CASES
    if "limits" not in case and (case.get("globals") or case.get("projected"))
]


@pytest.mark.parametrize("host", HOSTS)
def test_every_case_reads_a_lazy_projection_as_it_reads_an_inline_one(host: str) -> None:
    different: list[tuple[str, Any, Any]] = []
    for case, given in READING:
        inline = observed(case, given)
        lazy = observed(case, {key: HOSTS[host](value) for key, value in given.items()})
        if lazy != inline:
            different.append((case["name"], inline, lazy))
    assert different == []


def test_every_case_reads_an_inline_projection_at_the_cost_of_a_variable() -> None:
    different: list[tuple[str, Any, Any]] = []
    for case, given in READING:
        expect = case["expect"]
        outcome, _ = run(case, given)
        if "fuel" in expect and "before" not in case and not (outcome.error and outcome.error.kind == "read_only"):
            found = (outcome.fuel, None if outcome.error is None else outcome.error.kind)
            wanted = (expect["fuel"], expect.get("error", {}).get("kind"))
            if found != wanted:
                different.append((case["name"], wanted, found))
    assert different == []


LINES = "word line\n" * 64
"""640 code points in 64 lines."""


@pytest.mark.parametrize(
    ("source", "bulk"),
    [
        ("x = p ? 1 : 2", 0),
        ("x = p[0]", 0),
        ("x = 'line' in p", 1),
        ("x = len(p)", 1),
        ("x = find(p, 'nowhere')", 1),
        ("x = contains(p, 'line')", 1),
        ("x = count(p, 'o')", 1),
        ("x = starts_with(p, 'word')", 1),
        ("x = slice(p, 0, 63)", 1),
        ("x = slice(p, 0, 64)", 1 + 1),
        ("x = slice(p, -128)", 1 + 2),
        ("x = trim(p)", 1 + 639 // 64),
        ("x = lines(p)", 1 + 1),
        ("x = lines(slice(p, 10))", 1 + 630 // 64 + 1 + 630 // 64),
        ("x = split(p, 'z')", 1),
        ("x = split(p)", 1 + 2),
        ("x = grep_text(p, 'line')", 1 + 1),
        ("x = grep_text(p, 'nowhere')", 1),
        ("x = chunk_spans(p, 10)", 1 + 1),
        ("x = p", 640 // 64),
        ("x = p + '!'", 640 // 64),
        ("x = '' + p", 640 // 64 + 640 // 64),
        ("x = upper(p)", 1 + 640 // 64 + 640 // 64),
        ("x = p == 'a'", 640 // 64),
        ("x = [p, { k: p }]", 0),
        ("x = find(p, '', -1)", 1 + 640 // 64),
    ],
)
def test_what_a_host_answers_is_charged_by_the_size_that_crosses(source: str, bulk: int) -> None:
    outcome = Machine().run(source, projected={"p": TextSource(LINES)})
    assert outcome.fuel == 1 + bulk


@pytest.mark.parametrize(
    ("source", "bulk"),
    [
        ("x = len(p)", 1 + 640 // 64),
        ("x = find(p, 'nowhere')", 1 + 640 // 64 + 640 // 64),
        ("x = 'word' in p", 1 + 640 // 64),
        ("x = p[5]", 640 // 64),
        ("x = p ? 1 : 2", 640 // 64),
        ("x = slice(p, 0, 64)", 1 + 640 // 64 + 1),
    ],
)
def test_what_a_host_leaves_to_the_machine_is_charged_as_a_reading_and_as_usual(source: str, bulk: int) -> None:
    outcome = Machine().run(source, projected={"p": Unwilling(LINES)})
    assert outcome.fuel == 1 + bulk


@pytest.mark.parametrize(
    ("source", "bulk"),
    [
        ("x = len(p.rows)", 1),
        ("x = [p.rows, p.rows[3]]", 0),
        ("x = p.rows[-1].n", 0),
        ("x = keys(p.wide)", 1 + 1),
        ("x = values(p.wide)", 1 + 1),
        ("x = 'k7' in p.wide", 1),
        ("x = p.rows", 2),
        ("x = p.wide", 1),
        ("x = join(p.words, '')", 1 + 130 // 64),
        ("x = sum(p.numbers)", 1 + 2 + 2),
    ],
)
def test_data_that_a_host_answers_for_is_charged_by_the_size_that_crosses(source: str, bulk: int) -> None:
    data: Value = {
        "rows": [{"n": number} for number in range(128)],
        "wide": {f"k{number}": number for number in range(64)},
        "words": ["ab"] * 65,
        "numbers": [1] * 130,
    }
    outcome = Machine().run(source, projected={"p": Eager(data)})
    assert outcome.error is None
    assert outcome.fuel == 1 + bulk


@pytest.mark.parametrize(
    ("source", "fuel"),
    [
        ("x = p", 1),
        ("x = len(p)", 2),
        ("x = find(p, 'a')", 2),
        ("x = upper(p)", 2),
        ("x = p.k", 1),
        ("x = p[0]", 1),
        ("x = 1 + p", 1),
        ("x = [1] == p", 1),
        ("x = 'a' in p", 2),
        ("x = !p", 1),
        ("x = p ?? 1", 1),
        ("x = (p)?", 1),
        ("if p { x = 1 }", 1),
        ("for x in p { y = x }", 1),
        ("print p", 1),
        ("x = await p", 1),
        ("x = to_string([{ k: p }])", 2),
    ],
)
def test_a_host_that_fails_makes_the_value_unavailable_and_charges_nothing(source: str, fuel: int) -> None:
    with Machine() as machine:
        outcome = machine.run(f"a = 1\n{source}", projected={"p": Failing("lost")})
        assert outcome.error is not None
        assert (outcome.error.kind, outcome.error.line) == ("projection_unavailable", 2)
        assert "`p`" in outcome.error.message
        assert "the disk is gone" in outcome.error.message
        assert outcome.fuel == 1 + fuel
        assert dict(machine.globals) == {"a": 1}


def test_a_projection_that_is_only_passed_on_is_not_read() -> None:
    outcome = Machine().run("x = [p, { k: p }]\nsubmit len(push(x, p))", projected={"p": Failing("lost")})
    assert outcome.value == 3


@pytest.mark.parametrize(
    "reading", ["y = x.n", 'y = x["n"]', "for k, v in x { }", "for v in x { }", "y = x?", "y = x.error"]
)
def test_a_record_literal_whose_ok_is_a_projection_is_a_wrapper(reading: str) -> None:
    data: Value = {"yes": True, "no": False}
    for source in (f"x = {{ ok: p.yes, value: 1 }}\n{reading}", f"x = {{ ok: p.no, error: 'e' }}\n{reading}"):
        case = {"source": source}
        assert observed(case, {"p": Eager(data)}) == observed(case, {"p": data})
