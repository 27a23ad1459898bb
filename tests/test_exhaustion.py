"""A machine that runs out of memory at any single allocation of a block says so, loses nothing and goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

import lashlang
from lashlang.vm import engine
from tests.failing_kernel import FailingKernel, FailingLink  # pyright: ignore[reportUnusedImport] - a fixture

LONG = "wide text ä " * 200


@dataclass(frozen=True)
class Scenario:
    """A block to be run again and again, each time with one allocation more that succeeds."""

    source: str
    globals: dict[str, Any] = field(default_factory=dict[str, Any])
    projected: dict[str, Any] = field(default_factory=dict[str, Any])


class Shelf:
    """A projection's source that answers some questions and leaves the others to reading whole."""

    blocking = False

    def answer(self, target: lashlang.Projected, question: str, args: Sequence[lashlang.Value]) -> Any:
        """See `Projection`."""
        if question == "len":
            return 3
        if question == "field":
            return target.field(str(args[0]))
        if question == "whole":
            return {"path": [str(step) for step in target.path], "text": LONG}
        raise lashlang.Unsupported


SHELF = lashlang.Projected("shelf", Shelf())

SCENARIOS = {
    "values": Scenario(
        "a = [1, 2.5, 'x', { k: [null, true], m: {} }]\n"
        "b = { a: a, t: '-' + long + '!' }\n"
        "b.c = [b, b]\n"
        "b.c[0].t = 'changed'\n"
        "a[3].k = push(a[3].k, b)\n"
        "kept.list = push(kept.list, a)\n"
        "kept[long] = [x * 2 for x in range(30) if x % 3 == 0]\n"
        "for k, v in kept { last = [k, v] }\n"
        "submit [a, b, last]",
        {"kept": {"list": [1, 2]}, "long": LONG},
    ),
    "builtins on lists": Scenario(
        "xs = [{ n: i % 7, t: 'item ' + i } for i in range(12)]\n"
        "out = [sort_by(xs, 'n', true), group_by(xs, 'n'), unique(xs), reverse(xs), flatten([xs, [1]]), zip(xs, xs)]\n"
        "out += [enumerate(xs), sort(['b', 'a', long]), sort([3, 1.5, 2]), count(xs, xs[1])]\n"
        "out += [xs[3] in xs, slice(xs, 1, -1)]\n"
        "out += [merge({ a: 1 }, kept), without(kept, 'a'), items(kept), keys(kept), values(kept), range(5)]\n"
        "kept.out = out\n"
        "submit len(out)",
        {"kept": {f"key{i}": i for i in range(20)}, "long": LONG},
    ),
    "builtins on text": Scenario(
        "out = [split(long, ' '), lines(long + '\\n' + long), grep_text(long, 'text'), chunk_spans(long, 100, 10)]\n"
        "out += [upper(long), replace(long, 'text', 'texts'), trim(long), slice(long, 5, 1500), pad_left('x', 900)]\n"
        "out += [json_parse(json_text(kept)), try_json(long), to_string(kept), format('{} {:.2f}', long, 1)]\n"
        "out += [join(['a', long], ','), to_fixed(1.5, 3), try_number('x'), split('äö', ''), reverse(long)]\n"
        "kept.out = out\n"
        "submit len(out)",
        {"kept": {f"key{i}": i for i in range(20)}, "long": LONG},
    ),
    "types": Scenario(
        "T = Type { n: int, t: str | null, more: list[int]?, e: enum['a', 'b']? }\n"
        "U = Type { one: T, many: list[T] | int }\n"
        "x = { n: 1, t: 'x', more: range(20) }\n"
        "kept = [validate(x, T), try_validate({ n: 'no' }, T), try_validate({ one: x, many: [x, { n: 0 }] }, U), U]\n"
        "validate({ one: x, many: [x, { n: 0 }] }, U)",
        {"kept": "old"},
    ),
    "requests": Scenario(
        "r = (call echo { x: [1, { deep: long }] })?\n"
        "hs = [start call echo { i: i } for i in range(5)]\n"
        "print r\n"
        "print { a: 'shown', b: [1.5, long] }\n"
        "got = await { all: hs, first: hs[0], other: [1] }\n"
        "cancel hs[1]\n"
        "bad = call fail {}\n"
        "kept = got\n"
        "submit { got: got, bad: bad, r: r }",
        {"kept": "old", "long": LONG},
    ),
    "parallel": Scenario(
        "x = 1\n"
        "r = parallel {\n"
        "  a: if true { y = [x, long]  z = (call echo { b: y })?\n"
        "    inner = parallel { p: q = 2, s: (call echo { c: 3 })? } }\n"
        "  b: if true { for i in range(3) { w = push(w, i) }  (call echo { w: w })? }\n"
        "  c: if true { print long  v = { long: long } }\n"
        "}\n"
        "kept = [r, v, y, inner]\n"
        "submit kept",
        {"w": [0], "kept": "old", "long": LONG},
    ),
    "many branches": Scenario(
        "r = parallel { " + " ".join(f"call echo {{ n: {i} }}," for i in range(70)) + " }\nkept = len(r)",
        {"kept": "old"},
    ),
    "a branch that fails": Scenario(
        "kept = { before: long }\n"
        "r = parallel { a = (call echo {})?, b = (call fail {})?, c = [long, long] }\n"
        "kept = 'not reached'",
        {"kept": "old", "long": LONG},
    ),
    "projections": Scenario(
        "a = [shelf.one.two, shelf, kept]\n"
        "b = parallel { len(shelf), call echo { p: shelf.four }, [shelf.five.x, shelf.six.y] }\n"
        "kept.deep = [{ s: shelf.seven.z }]\n"
        "held = [(call hold {})?]\n"
        "held[0].text = 'changed'\n"
        "kept.same = held == [(call hold {})?]\n"
        "print [(call hold {})?, 1]\n"
        "for k, v in shelf.eight { kept[k] = v }\n"
        "submit [a, b, kept, to_string((call hold {})?)]",
        {"kept": {}},
        {"shelf": SHELF},
    ),
    "an unfinished loop": Scenario(
        "i = 'before'\n"
        "for i in range(4) {\n"
        "  for j, k in [[1, long], [2, long]] { kept['' + i + j] = k + i  if i == 2 { submit -[1] } } }",
        {"kept": {}, "long": LONG},
    ),
    "images and faults": Scenario(
        "p = (call picture {})?\n"
        "kept = [p, p.label, json_text(p)]\n"
        "submit [json_parse(kept[2]) == p, [json_parse('[' + kept[2] + ']')] == [[p]], missing]",
        {"kept": "old"},
    ),
}


def answer(request: lashlang.Request) -> lashlang.Response:
    """What the host says to a request."""
    match request:
        case lashlang.Call(tool="fail"):
            return lashlang.Response.failed({"reason": [LONG]})
        case lashlang.Call(tool="picture"):
            return lashlang.Response.ok(lashlang.Image("id " + LONG, "label", 5, 1, None))
        case lashlang.Call(tool="hold"):
            return lashlang.Response.ok({"a projection": SHELF})
        case lashlang.Call(args=args):
            return lashlang.Response.ok([args, {"echo": LONG}])
        case lashlang.Start(args=args):
            return lashlang.Response.ok({"handle": args})
        case lashlang.AwaitHandle(handle=handle):
            return lashlang.Response.ok({"awaited": handle})
        case _:
            return lashlang.Response.ok(None)


def run(machine: lashlang.Machine, scenario: Scenario) -> lashlang.Outcome:
    """Run a scenario's block, answering the oldest half of what is pending at each stop."""
    step = machine.start(scenario.source, projected=scenario.projected)
    while not isinstance(step, lashlang.Done):
        assert isinstance(step, lashlang.Requests)
        some = step.pending[: len(step.pending) // 2 + 1]
        step = machine.resume({request.id: answer(request) for request in some})
    return step.outcome


def is_memory(outcome: lashlang.Outcome) -> bool:
    """Whether the block ran out of memory."""
    return outcome.error is not None and outcome.error.code == "memory"


def fail_at_every_allocation(
    kernel: FailingKernel, scenario: Scenario
) -> Iterator[tuple[lashlang.Outcome, lashlang.Machine, FailingLink]]:
    """Runs on a machine each, of which the n-th fails at its n-th allocation, until one needs no more."""
    count = 0
    while True:
        machine = lashlang.Machine()
        link = kernel.link
        machine.globals.update(scenario.globals)
        link.fail_after(count)
        outcome = run(machine, scenario)
        failed = link.fail_after(-1)
        yield outcome, machine, link
        machine.close()
        if not failed:
            return
        count += 1


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> FailingKernel:
    """The kernel whose allocations can fail; without a compiler the tests are skipped."""
    pytest.importorskip("ziglang")
    return FailingKernel(tmp_path_factory.mktemp("kernel") / "failing.wasm")


@pytest.fixture
def failing(kernel: FailingKernel, monkeypatch: pytest.MonkeyPatch) -> FailingKernel:
    """The same, in the place of the ordinary kernel."""
    monkeypatch.setattr(engine.Kernel, "shared", lambda: kernel)
    return kernel


def values_on_the_way(scenario: Scenario) -> dict[str, list[Any]]:
    """All values that each variable has at some time, found by stopping the block after every amount of fuel."""
    seen: dict[str, list[Any]] = {}
    with lashlang.Machine() as machine:
        machine.globals.update(scenario.globals)
        fuel = run(machine, scenario).fuel
    for amount in range(fuel + 1):
        with lashlang.Machine(lashlang.Limits(fuel=amount)) as machine:
            machine.globals.update(scenario.globals)
            run(machine, scenario)
            for name, value in machine.globals.items():
                if value not in seen.setdefault(name, []):
                    seen[name].append(value)
    return seen


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_block_that_runs_out_of_memory_anywhere_says_so_and_leaves_a_sound_machine(
    failing: FailingKernel, name: str
) -> None:
    scenario = SCENARIOS[name]
    with lashlang.Machine() as machine:
        machine.globals.update(scenario.globals)
        expected = run(machine, scenario)
        order = list(machine.globals)
    assert not is_memory(expected)
    possible = values_on_the_way(scenario)
    left: set[int] = set()
    runs = 0
    for outcome, machine, link in fail_at_every_allocation(failing, scenario):
        runs += 1
        assert is_memory(outcome) or outcome == expected
        state = dict(machine.globals)
        assert list(state) == order[: len(state)]
        assert all(value in possible[name] for name, value in state.items())
        assert machine.run("again = [1, 2, 3]\nsubmit again").value == [1, 2, 3]
        assert all(machine.globals[name] == value for name, value in state.items())
        assert "again" in machine.globals  # a short answer, so that no long one is left standing
        left.add(link.forget())
    assert runs > 10
    assert len(left) == 1, f"bytes left behind: {sorted(left)}"


def test_a_variable_that_cannot_be_set_read_or_deleted_for_lack_of_memory_is_as_before(failing: FailingKernel) -> None:
    left: set[int] = set()
    count = 0
    failed = True
    while failed:
        with lashlang.Machine() as machine:
            machine.globals["kept"] = {"text": LONG}
            failing.link.fail_after(count)
            with suppress(lashlang.LanguageError):
                machine.globals["new"] = [{"text": LONG, "image": lashlang.Image("i" * 99, "l", 1)}, SHELF]
                machine.globals["kept"] = machine.globals["kept"] | {"more": [LONG]}
                del machine.globals["new"]
            failed = failing.link.fail_after(-1)
            state = dict(machine.globals)
            assert state["kept"] in ({"text": LONG}, {"text": LONG, "more": [LONG]})
            assert state.get("new") in (None, [{"text": LONG, "image": lashlang.Image("i" * 99, "l", 1)}, SHELF])
            assert "kept" in machine.globals
            left.add(failing.link.forget())
        count += 1
    assert count > 10
    assert len(left) == 1, f"bytes left behind: {sorted(left)}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_under_any_limit_of_memory_a_block_ends_properly_and_the_machine_goes_on(
    failing: FailingKernel, name: str
) -> None:
    scenario = SCENARIOS[name]
    ended: set[str] = set()
    for memory in range(0, 120_000, 3_000):
        try:
            machine = lashlang.Machine(lashlang.Limits(memory=memory))
            machine.globals.update(scenario.globals)
        except lashlang.LanguageError:
            ended.add("did not begin")
            continue
        outcome = run(machine, scenario)
        ended.add("memory" if is_memory(outcome) else "done")
        assert set(machine.globals) >= set(scenario.globals)
        state = dict(machine.globals)
        again = machine.run("again = 1\nsubmit again")
        assert is_memory(again) or again.value == 1
        assert all(machine.globals[name] == value for name, value in state.items())
        machine.close()
    assert ended >= {"did not begin", "memory"}


# --- snapshots -----------------------------------------------------------------------------------------

SUSPENDED = {
    "requests": Scenario(
        "kept = [long, [long, kept]]\nr = parallel {\n"
        "  a: (call echo { x: kept })?,\n  b: for i in range(3) { print [i, long] },\n"
        "  c: w = [(call fail {}), long],\n  d: await { one: { handle: 1 }, two: [{ handle: long }] }\n"
        "}\nsubmit [r, w]",
        {"kept": [1], "long": LONG},
    ),
    "reads": Scenario(
        "x = [parallel { (call echo { x: long })?, find(doc, long), doc.one.two }, kept]\nsubmit x",
        {"kept": {"a": [LONG]}, "long": LONG},
        {"doc": lashlang.Projected("doc")},
    ),
    "many registers": Scenario(
        "kept = ["
        + "[long + 1], " * 200
        + "parallel { (call echo { x: long })?, ["
        + "long, " * 63
        + "call echo {}] }]",
        {"kept": [1], "long": LONG},
    ),
    "shared parts": Scenario(
        "for i in range(12) { kept = [kept, slice(long, i, 900 + i), kept] }\ny = (call echo { x: [1, long, long] })?",
        {"kept": {"a": [LONG]}, "long": LONG},
    ),
}


def suspended(scenario: Scenario) -> lashlang.Machine:
    """A machine in the midst of a block."""
    machine = lashlang.Machine()
    machine.globals.update(scenario.globals)
    assert not isinstance(machine.start(scenario.source, projected=scenario.projected), lashlang.Done)
    return machine


def finish(machine: lashlang.Machine) -> lashlang.Outcome:
    """Take a suspended block to its end."""
    step: lashlang.Step | None = machine.step
    while not isinstance(step, lashlang.Done):
        if isinstance(step, lashlang.Reads):
            step = machine.resume(reads={read.id: lashlang.ReadResponse.ok([read.question]) for read in step.reads})
        else:
            assert isinstance(step, lashlang.Requests)
            step = machine.resume({request.id: answer(request) for request in step.pending})
    return step.outcome


def between_blocks() -> lashlang.Machine:
    """A machine with a state that shares parts, and no block."""
    machine = suspended(SUSPENDED["shared parts"])
    finish(machine)
    return machine


@pytest.mark.parametrize("name", SUSPENDED)
def test_a_snapshot_that_finds_no_memory_says_so_and_changes_nothing(failing: FailingKernel, name: str) -> None:
    whole = suspended(SUSPENDED[name])
    data = whole.snapshot()
    expected = finish(whole)
    assert "kept" in whole.globals
    left = failing.link.forget()
    machine = suspended(SUSPENDED[name])
    link = failing.link
    count = 0
    failed = True
    while failed:
        link.fail_after(count)
        try:
            assert machine.snapshot() == data
        except lashlang.LashlangError as error:
            assert (type(error), "no room" in str(error)) == (lashlang.LashlangError, True)  # noqa: PT017
        failed = link.fail_after(-1)
        assert machine.snapshot() == data
        count += 1
    assert count > 4
    assert finish(machine) == expected
    assert "kept" in machine.globals
    assert link.forget() == left


@pytest.mark.parametrize("name", SUSPENDED)
def test_a_block_can_end_after_a_snapshot_that_found_no_memory(failing: FailingKernel, name: str) -> None:
    whole = suspended(SUSPENDED[name])
    expected = finish(whole)
    assert "kept" in whole.globals
    left = failing.link.forget()
    for count in range(8):
        with suspended(SUSPENDED[name]) as machine:
            failing.link.fail_after(count)
            with suppress(lashlang.LashlangError):
                machine.snapshot()
            failing.link.fail_after(-1)
            assert finish(machine) == expected
            assert "kept" in machine.globals
            assert failing.link.forget() == left


@pytest.mark.parametrize("form", ["portable", "image"])
def test_a_machine_whose_memory_is_full_can_be_written(failing: FailingKernel, form: Any) -> None:
    limits = lashlang.Limits(memory=2 << 20)
    machine = lashlang.Machine(limits)
    outcome = machine.run("kept = []\nwhile true { kept = push(kept, ['x' + len(kept)]) }")
    assert is_memory(outcome)
    restored = lashlang.Machine.restore(
        machine.snapshot(form), limits=lashlang.Limits(memory=4 << 20), trust_image=True
    )
    assert restored.run("submit len(kept)").value == machine.run("submit len(kept)").value


def test_a_snapshot_of_variables_that_finds_no_memory_says_so_and_changes_nothing(failing: FailingKernel) -> None:
    machine = between_blocks()
    data = machine.snapshot()
    count = 0
    failed = True
    while failed:
        failing.link.fail_after(count)
        with suppress(lashlang.LashlangError):
            assert machine.snapshot() == data
        failed = failing.link.fail_after(-1)
        assert machine.snapshot() == data
        count += 1
    assert count > 2
    assert lashlang.Machine.restore(data).globals["y"] == machine.globals["y"]


@pytest.mark.parametrize("name", SUSPENDED)
def test_a_machine_that_cannot_be_restored_for_lack_of_memory_is_none(
    failing: FailingKernel, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole = suspended(SUSPENDED[name])
    data = whole.snapshot()
    expected = finish(whole)
    count = 0
    failed = True
    while failed:
        count += 1
        monkeypatch.setattr(failing, "first", count)
        try:
            machine = lashlang.Machine.restore(data)
        except (lashlang.SnapshotError, lashlang.LanguageError) as error:
            assert "memory" in str(error)  # noqa: PT017
            continue
        failed = failing.link.fail_after(-1)
        assert machine.snapshot() == data
        assert finish(machine) == expected
        assert "kept" in machine.globals
        machine.close()
    assert count > 20


def test_restored_variables_leave_nothing_behind(failing: FailingKernel) -> None:
    data = between_blocks().snapshot()
    made: list[int] = []
    for restored in (False, True):
        machine = lashlang.Machine.restore(data) if restored else between_blocks()
        assert "kept" in machine.globals
        made.append(failing.link.forget())
    assert made[0] == made[1]


@pytest.mark.parametrize("name", SUSPENDED)
def test_a_restored_block_leaves_nothing_behind(failing: FailingKernel, name: str) -> None:
    left: set[int] = set()
    machine = suspended(SUSPENDED[name])
    data = machine.snapshot()
    for restored in (False, True):
        machine = lashlang.Machine.restore(data) if restored else machine
        link = failing.link
        finish(machine)
        assert "kept" in machine.globals
        left.add(link.forget())
    assert len(left) == 1


@pytest.mark.parametrize("name", SUSPENDED)
def test_what_a_block_waits_for_cannot_be_said_without_memory_and_can_be_later(
    failing: FailingKernel, name: str
) -> None:
    machine = suspended(SUSPENDED[name])
    waits = machine.step
    data = machine.snapshot()
    assert machine.block is not None
    count = 0
    failed = True
    while failed:
        failing.link.fail_after(count)
        with suppress(lashlang.LanguageError):
            machine.block.look()
        failed = failing.link.fail_after(-1)
        machine.block.look()
        assert machine.step == waits
        assert machine.snapshot() == data
        count += 1
    assert count > 1
    machine.interrupt()
