"""What is measured of every engine, and of lash alone. Each job gives figures by name: seconds, KiB or bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from benchmarks.engines import Engine, NotOffered, check
from benchmarks.engines.lash import Lash, submitted
from benchmarks.measure import Figures, least_of
from benchmarks.memory import memory
from benchmarks.programs import FIFTY_LINES
from benchmarks.state import state
from benchmarks.workloads import HOST_CALLS, INPUTS, expected


def cold(engine: Engine, runs: int) -> Figures:
    """A new instance that computes 1 + 1, the program compiled before where the engine can keep it.

    A sample is the mean of a hundred in a row, as in a server that is at work; the collection before each
    sample would otherwise measure how fast an empty cache fills.
    """
    source = engine.program("cold")
    wanted = expected()["cold"]

    def body() -> float:
        begin = time.perf_counter()
        for _ in range(100):
            session = engine.new()
            value = engine.run(session, source, {})
            engine.close(session)
            check(value, wanted)
        return (time.perf_counter() - begin) / 100

    return {"cold": least_of(body, runs)}


def program(name: str) -> Callable[[Engine, int], Figures]:
    """The job that runs one program; the inputs are handed over inside the measured time."""

    def job(engine: Engine, runs: int) -> Figures:
        source = engine.program(name)

        def body() -> float:
            session = engine.new()
            begin = time.perf_counter()
            value = engine.run(session, source, INPUTS.get(name, {}))
            seconds = time.perf_counter() - begin
            check(value, expected()[name])
            engine.close(session)
            return seconds

        return {name: least_of(body, runs)}

    return job


def host(engine: Engine, runs: int) -> Figures:
    """One synchronous host call, from a loop of many."""

    def body() -> float:
        session = engine.new()
        begin = time.perf_counter()
        value = engine.host(session)
        seconds = time.perf_counter() - begin
        check(value, expected()["host"])
        engine.close(session)
        return seconds / HOST_CALLS

    return {"host": least_of(body, runs)}


def awaiting(name: str, calls: int) -> Callable[[Engine, int], Figures]:
    """The job that awaits host calls on an event loop: seconds for each of `calls`."""

    def job(engine: Engine, runs: int) -> Figures:
        def body() -> float:
            seconds, value = asyncio.run(engine.run_awaiting(name))
            check(value, expected()[name])
            return seconds / calls

        return {name: least_of(body, runs)}

    return job


def compile_cold(engine: Engine, runs: int) -> Figures:
    """Compiling a program of fifty lines that is in no cache."""
    if not isinstance(engine, Lash):
        raise NotOffered("the fifty lines are Lashlang")
    serial = iter(range(1_000_000))

    def body() -> float:
        source = f"{FIFTY_LINES}\n# {next(serial)}"
        begin = time.perf_counter()
        compiled = engine.module.compile(source)
        seconds = time.perf_counter() - begin
        check(compiled.source, source)
        return seconds

    body()  # builds or loads the parser's tables
    return {"compile": least_of(body, runs * 4)}


def context(engine: Engine, runs: int) -> Figures:
    """A text of ten million characters, some of them wide, behind a projection: open, search, cut out."""
    if not isinstance(engine, Lash):
        raise NotOffered("no projections: a text is handed over whole")
    module = engine.module
    text = ("plain words and a few wide ones: naïve café 😀\n" * 220_000)[:10_000_000] + "needle at the end"
    find = 'submit find(ctx, "needle at")'
    cut = "submit len(slice(ctx, 5000000, 5010000))"
    opened: list[float] = []
    found: list[float] = []
    sliced: list[float] = []
    for _ in range(runs):
        machine = engine.new()
        begin = time.perf_counter()
        source = module.TextSource(text)
        check(submitted(machine.run("submit len(ctx)", projected={"ctx": source})), len(text))
        opened.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        check(submitted(machine.run(find, projected={"ctx": source})), 10_000_000)
        found.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        check(submitted(machine.run(cut, projected={"ctx": source})), 10_000)
        sliced.append(time.perf_counter() - begin)
    return {
        "context_open": min(opened),
        "context_find": min(found),
        "context_slice": min(sliced),
    }


JOBS: dict[str, Callable[[Engine, int], Figures]] = {
    "cold": cold,
    "loop": program("loop"),
    "text": program("text"),
    "records": program("records"),
    "json": program("json"),
    "host": host,
    "host_async": awaiting("host_async", HOST_CALLS),
    "compile": compile_cold,
    "wave": awaiting("wave", 1),
    "context": context,
    "state": state,
    "memory": memory,
}
