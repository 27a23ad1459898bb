"""The routes by which one program can be run, in one form that can be compared (chapter 15; design, section 6).

    python -m tests.routes --programs 100000 --seed 7

generates programs and runs each by every route; a difference is printed with its smallest program and the seed
that finds it again. The routes are: the oracle; the kernel straight; the kernel restored in a fresh machine at
every request, in the portable form, in the image form and as a fork; restored from an image, and from a portable
snapshot, at every n-th slice; and replayed from its start with the answers recorded.
"""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from hypothesis import HealthCheck, Phase, given, seed, settings

import lashlang
from lashlang.projection import Projected, Unsupported
from lashlang.vm.protocol import Command
from lashlang.vm.steps import Yielded
from tests import oracle
from tests.programs import Generated, programs

KEY = b"a key that only the tests have"

Relay = Callable[[lashlang.Machine], lashlang.Machine]
"""Gives a machine to go on with in the place of another."""


@dataclass(frozen=True)
class Result:
    """Everything a program's run can be observed by; JSON values as canonical text."""

    status: str
    value: str
    error: tuple[Any, ...] | None
    prints: tuple[str, ...]
    state: str
    fuel: int
    requests: tuple[tuple[str, str | None], ...]


@dataclass
class Way:
    """How the kernel is to run a program.

    `at_rest` replaces the machine whenever it waits, `at_slice` after every `every`-th slice of `slice_fuel` units,
    both together `most` times. With `slice_fuel`, operations of more units than that count as large; `stops` has each
    of them stopped half-way before it is done.
    `subset` chooses which of the pending requests are answered next, all of them where it is None.
    """

    at_rest: Relay | None = None
    at_slice: Relay | None = None
    every: int = 1
    most: int = 40
    slice_fuel: int | None = None
    stops: bool = False
    subset: random.Random | None = None


@dataclass
class Recorded:
    """The answers of a run in the order they were given, to be given again."""

    answers: list[dict[int, lashlang.Response]] = field(default_factory=list[dict[int, lashlang.Response]])
    reads: list[dict[int, lashlang.ReadResponse]] = field(default_factory=list[dict[int, lashlang.ReadResponse]])


def text(value: object) -> str:
    """A JSON value as text in which equal values are equal texts (numbers by exact value, keys sorted)."""
    if isinstance(value, lashlang.Image):
        return text(value.to_json())
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return repr(value)
    if isinstance(value, float) and value != value:
        return repr(None)
    if isinstance(value, (int, float)):
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            return repr(None)
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, Mapping):
        items = sorted(cast("Mapping[str, object]", value).items(), key=lambda item: item[0])
        return "{" + ", ".join(f"{key!r}: {text(item)}" for key, item in items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(text, cast("Sequence[object]", value))) + "]"
    if isinstance(value, Projected):
        return f"<{value.name}>"
    raise TypeError(f"no JSON value: {value!r}")


def shown(state: Mapping[str, str]) -> str:
    """A state in its order."""
    return "; ".join(f"{name} = {value}" for name, value in state.items())


# --- the oracle --------------------------------------------------------------------------------------


def by_oracle(case: Generated) -> Result:
    """The oracle's run; its projections are inline."""
    state: dict[str, object] = {"given": 7}
    host = oracle.ScriptedHost(case.tools)
    for source in case.before:
        oracle.run(source, state=state, host=host)
    outcome = oracle.run(case.source, state=state, host=host, projected=case.projected, limits=case.limits)
    error = outcome.error
    return Result(
        outcome.status,
        text(outcome.value),
        (error.kind, error.code, error.line, error.column, error.end_line, error.end_column) if error else None,
        tuple(outcome.prints),
        shown({name: text(oracle.to_json(oracle.from_json(value))) for name, value in state.items()}),
        outcome.fuel,
        tuple((request.kind, request.name) for request in outcome.requests),
    )


# --- the kernel --------------------------------------------------------------------------------------


def by_kernel(
    case: Generated, way: Way | None = None, *, record: Recorded | None = None, replay: Recorded | None = None
) -> Result:
    """The kernel's run, every wave answered whole unless `way` says otherwise.

    `record` takes the answers down; `replay` gives them in the place of the tools.
    """
    run = _KernelRun(case, way or Way(), record, replay)
    result = run.result()
    run.machine.close()
    return result


class _KernelRun:
    """One run on the kernel, perhaps on one machine after the other."""

    def __init__(self, case: Generated, way: Way, record: Recorded | None, replay: Recorded | None) -> None:
        self.case = case
        self.way = way
        self.record = record
        self.replay = replay
        self.host = oracle.ScriptedHost(case.tools)
        self.requests: list[tuple[str, str | None]] = []
        self.answered = 0
        self.read = 0
        self.slices = 0
        self.relays = 0
        self.machine = lashlang.Machine()

    def result(self) -> Result:
        self.machine.globals["given"] = 7
        for source in self.case.before:
            self.drive(source, {}, Way(), _Silent())
        self.machine.limits = lashlang.Limits(**self.case.limits)
        if self.way.slice_fuel is not None:
            values = [*self.machine.limits.as_list(), 1, self.way.slice_fuel]
            self.machine.between_blocks(Command.CONFIGURE, values)
        projected = {
            name: Projected(name) if name in self.case.lazy else value for name, value in self.case.projected.items()
        }
        outcome = self.drive(self.case.source, projected, self.way, self)
        self.machine.limits = (
            lashlang.Limits()
        )  # the block's are over; they must not keep its variables from being read
        state = {name: text(self.machine.globals[name]) for name in self.machine.globals}
        error = outcome.error
        return Result(
            outcome.status,
            text(outcome.value),
            (error.kind, error.code, error.line, error.column, error.end_line, error.end_column) if error else None,
            tuple(observation.text for observation in outcome.prints),
            shown(state),
            outcome.fuel,
            tuple(self.requests),
        )

    def drive(self, source: str, projected: Mapping[str, Any], way: Way, log: _KernelRun | _Silent) -> lashlang.Outcome:
        """Take a block to its end, slice by slice."""
        block = self.machine.open_block(source, projected, None)
        if isinstance(block, lashlang.Done):
            return block.outcome
        step = block.begin(projected)
        stopped = False
        while not isinstance(step, lashlang.Done):
            relay = way.at_slice if isinstance(step, Yielded) else way.at_rest
            if isinstance(step, Yielded):
                self.slices += 1
                if self.slices % way.every:
                    relay = None
            if relay is not None and self.relays < way.most:
                self.relays += 1
                machine = relay(self.machine)
                block.abandon()
                self.machine.close()
                self.machine, block = machine, machine.take_turn()
            if isinstance(step, Yielded):
                # Every large operation is stopped once, then done.
                stop = way.stops and step.heavy and not stopped
                self.machine.instance.ask_to_stop(stop)
                step = block.go_on(heavy=True)
                stopped = stop and isinstance(step, Yielded) and step.heavy
            elif isinstance(step, lashlang.Reads):
                step = block.deliver(reads=self.answer_reads(tuple(block.reads.values())))
            else:
                log.note(step.new)
                step = block.deliver(self.answer(tuple(block.pending.values()), way.subset))
        return step.outcome

    def note(self, new: Sequence[lashlang.Request]) -> None:
        """Take down the requests of a wave."""
        self.requests += [(asked.kind, asked.name) for asked in map(as_oracle, new)]

    def answer(self, pending: Sequence[lashlang.Request], subset: random.Random | None) -> dict[int, lashlang.Response]:
        """The answers that are given next."""
        if self.replay is not None:
            self.answered += 1
            return self.replay.answers[self.answered - 1]
        chosen = list(pending)
        if subset is not None:
            chosen = subset.sample(chosen, subset.randint(1, len(chosen)))
        wave = [as_oracle(request) for request in chosen]
        answers = {
            request.id: lashlang.Response.ok(answer.value) if answer.ok else lashlang.Response.failed(answer.value)
            for request, answer in zip(wave, self.host.answer(wave), strict=True)
        }
        if self.record is not None:
            self.record.answers.append(answers)
        return answers

    def answer_reads(self, reads: Sequence[lashlang.Read]) -> dict[int, lashlang.ReadResponse]:
        """The answers to questions about projections."""
        if self.replay is not None:
            self.read += 1
            return self.replay.reads[self.read - 1]
        answers = {read.id: self.answer_read(read) for read in reads}
        if self.record is not None:
            self.record.reads.append(answers)
        return answers

    def answer_read(self, read: lashlang.Read) -> lashlang.ReadResponse:
        root = read.target.name.split(".")[0].split("[")[0]
        source = lashlang.JsonSource(self.case.projected[root])
        try:
            return lashlang.ReadResponse.ok(source.answer(read.target, read.question, read.args))
        except Unsupported:
            return lashlang.ReadResponse.unsupported()


class _Silent:
    """Takes nothing down."""

    def note(self, new: Sequence[lashlang.Request]) -> None:
        """See `_KernelRun.note`."""


def as_oracle(request: lashlang.Request) -> oracle.Request:
    """A request of the kernel in the oracle's form."""
    match request:
        case lashlang.Call(id=number, tool=tool, args=args):
            return oracle.Request(number, "call", tool, args)
        case lashlang.Start(id=number, tool=tool, args=args):
            return oracle.Request(number, "start", tool, args)
        case lashlang.AwaitHandle(id=number, handle=handle):
            return oracle.Request(number, "await", None, handle)
        case lashlang.CancelHandle(id=number, handle=handle):
            return oracle.Request(number, "cancel", None, handle)
        case lashlang.Print(id=number, value=value, text=shown):
            return oracle.Request(number, "print", None, value, shown)
    raise TypeError(f"unknown request {request!r}")


# --- relays ------------------------------------------------------------------------------------------


def by_portable(machine: lashlang.Machine) -> lashlang.Machine:
    """The machine restored from its portable snapshot, which written again is the same."""
    data = machine.snapshot()
    restored = lashlang.Machine.restore(data, limits=machine.limits)
    again = restored.snapshot()
    assert again == data, f"a restored machine gives another snapshot:\n{data!r}\n{again!r}"
    return restored


def by_image(machine: lashlang.Machine) -> lashlang.Machine:
    """The machine restored from its image."""
    restored = lashlang.Machine.restore(machine.snapshot("image", key=KEY), limits=machine.limits, key=KEY)
    return restored


def by_fork(machine: lashlang.Machine) -> lashlang.Machine:
    """A fork of the machine, which itself goes another way."""
    twin = machine.fork()
    return twin


def differences(case: Generated, choices: random.Random) -> list[str]:
    """What differs between the routes of one program; nothing, if all is well."""
    found: list[str] = []
    straight = by_kernel(case)
    if not case.lazy and (other := by_oracle(case)) != straight:
        found.append(f"oracle   {other}\nkernel   {straight}")

    def by_any(machine: lashlang.Machine) -> lashlang.Machine:
        return choices.choice(RELAYS)(machine)

    ways = {
        "portable at every request": Way(at_rest=by_portable),
        "image at every request": Way(at_rest=by_image),
        "either form at every request": Way(at_rest=by_any),
    }
    every, fuel = choices.randint(1, 5), choices.choice((8, 17, 200))
    ways["image at slices"] = Way(at_slice=by_image, every=every, slice_fuel=fuel)
    ways["portable at slices"] = Way(at_slice=by_portable, every=every, slice_fuel=fuel)
    ways["stopped in large operations"] = Way(slice_fuel=fuel, stops=True)
    for name, way in ways.items():
        other = by_kernel(case, way)
        if other != straight:
            found.append(f"straight {straight}\n{name} {other}")
    # Answers one at a time and in any order may change what the tools are asked; the same answers again may not.
    recorded = Recorded()
    once = by_kernel(case, Way(subset=random.Random(choices.random())), record=recorded)
    again = by_kernel(case, Way(at_rest=by_portable), replay=recorded)
    if once != again:
        found.append(f"recorded {once}\nreplayed {again}")
    inline = by_kernel(replace(case, lazy=frozenset())) if case.lazy else straight
    limited = "limit_exceeded" in repr((inline.error, straight.error))
    if inline.value != straight.value and not limited:
        found.append(f"inline {inline}\nlazy   {straight}")
    return found


RELAYS: tuple[Relay, ...] = (by_portable, by_image, by_fork)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run many programs; the exit code says whether all routes agreed."""
    parser = argparse.ArgumentParser(prog="python -m tests.routes", description="Compare all routes on many programs.")
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--no-shrink", action="store_true", help="show a difference as it was found")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    ends: dict[str, int] = {}

    @seed(options.seed)
    @settings(
        max_examples=options.programs,
        deadline=None,
        database=None,
        phases=[Phase.generate] if options.no_shrink else [Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(programs())
    def compare(case: Generated) -> None:
        end = by_kernel(case)
        kind = end.status if end.error is None else str(end.error[0])
        ends[kind] = ends.get(kind, 0) + 1
        found = differences(case, random.Random(case.source))
        assert not found, "\n".join([case.source, repr(case), *found])

    try:
        compare()
    except Exception as difference:
        traceback.print_exception(difference, file=sys.stdout)
        print(f"found again by: python -m tests.routes --programs {options.programs} --seed {options.seed}")
        return 1
    finally:
        print({kind: ends[kind] for kind in sorted(ends, key=lambda kind: -ends[kind])})
    return 0


if __name__ == "__main__":
    sys.exit(main())
