"""Execution: any program ends in an outcome within its limits, and the machine can be used and written after it."""

from __future__ import annotations

import random
import zlib

import lashlang
from lashlang.compiler.faults import KINDS
from lashlang.projection import Projected
from tests.fuzz.compiler import begin_with
from tests.fuzz.source import TEXTS
from tests.fuzz.target import Target
from tests.snapshots.attack import ANSWERS, READ_ANSWERS, written_again

LIMITS = lashlang.Limits(fuel=20_000, memory=8 << 20, value_size=1 << 20, string_size=1 << 20, requests=200)
MOST_STEPS = 40

PROJECTED = {
    "input": {"n": 2, "items": ["a", "b"], "text": "one\ntwo\r\n\nthree"},
    "fixed": [3, 1, 2],
    "doc": Projected("doc"),
    "lazy": lashlang.JsonSource({"a": {"b": [1, "two", None]}, "t": "text " * 40}),
}


def run(data: bytes) -> None:
    """Run the bytes as a program, with answers that its own bytes decide."""
    source = data.decode("utf-8", "replace")
    choices = random.Random(zlib.crc32(data))
    limits = choices.choice((LIMITS, LIMITS, lashlang.Limits(fuel=300, memory=400_000, value_depth=6, list_size=50)))
    with lashlang.Machine(limits) as machine:
        machine.globals.update({"given": 7, "t": "naïve 😀", "ns": [3, 1, 2], "r": {"k": {"n": [1]}}})
        outcome = _outcome(machine, source, choices)
        assert outcome.fuel <= limits.fuel
        if outcome.error is not None:
            assert outcome.error.kind in KINDS or outcome.status == "failed"
            assert outcome.error.kind != "internal_error"
            assert outcome.error.render(source)
        machine.limits = lashlang.Limits(memory=16 << 20)
        written_again(machine)
        assert machine.run("submit 1 + 1").value == 2


def _outcome(machine: lashlang.Machine, source: str, choices: random.Random) -> lashlang.Outcome:
    """Take a program to its end, or stop it after some steps."""
    step = machine.start(source, projected=PROJECTED)
    for _ in range(MOST_STEPS):
        if isinstance(step, lashlang.Done):
            return step.outcome
        if choices.random() < 0.2:
            written_again(machine)
        if isinstance(step, lashlang.Reads):
            step = machine.resume(reads={read.id: choices.choice(READ_ANSWERS) for read in step.reads})
        else:
            some = choices.sample(step.pending, choices.randint(1, len(step.pending)))
            step = machine.resume({request.id: choices.choice(ANSWERS) for request in some})
    return step.outcome if isinstance(step, lashlang.Done) else machine.interrupt().outcome


TARGET = Target("execution", run, begin_with, TEXTS, modules=("lashlang.syntax", "lashlang.compiler"))
