"""What is measured of every engine, and of lash alone. Each job gives figures by name: seconds or KiB."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.engines import Engine, Lash, NotOffered, check, ext_async, submitted
from benchmarks.workloads import FIFTY_LINES, HOST_CALLS, INPUTS, LASHLANG, expected

Figures = dict[str, float]


def median_of(body: Callable[[], float], runs: int) -> float:
    """Median of what `body` measures; a body that takes over three seconds is run three times only."""
    samples: list[float] = []
    while len(samples) < runs:
        gc.collect()
        samples.append(body())
        if samples[0] > 3:
            runs = min(runs, 3)
    return statistics.median(samples)


def cold(engine: Engine, runs: int) -> Figures:
    """A new instance that computes 1 + 1, the program compiled before where the engine can keep it.

    A sample is the mean of a hundred in a row, as in a server that is at work; the collection before each
    sample would otherwise measure how fast an empty cache fills.
    """

    def body() -> float:
        begin = time.perf_counter()
        for _ in range(100):
            session = engine.new()
            value = engine.run(session, engine.programs["cold"], {})
            engine.close(session)
            check(value, expected()["cold"])
        return (time.perf_counter() - begin) / 100

    return {"cold": median_of(body, runs)}


def program(name: str) -> Callable[[Engine, int], Figures]:
    """The job that runs one program; the inputs are handed over inside the measured time."""

    def job(engine: Engine, runs: int) -> Figures:
        def body() -> float:
            session = engine.new()
            begin = time.perf_counter()
            value = engine.run(session, engine.programs[name], INPUTS.get(name, {}))
            seconds = time.perf_counter() - begin
            check(value, expected()[name])
            engine.close(session)
            return seconds

        return {name: median_of(body, runs)}

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

    return {"host": median_of(body, runs)}


def host_async(engine: Engine, runs: int) -> Figures:
    """One awaited host call, from a loop of many."""
    return {"host_async": median_of(lambda: engine.host_async() / HOST_CALLS, runs)}


def pss_kib() -> int:
    """Proportional set size of this process and its descendants, in KiB (Linux)."""
    children: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(int(entry))
    total, queue = 0, [os.getpid()]
    while queue:
        pid = queue.pop()
        queue += children.get(pid, [])
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


def memory(engine: Engine, runs: int) -> Figures:
    """Resident memory of one idle instance that has run something, in KiB."""

    def open_one() -> Any:
        session = engine.new()
        engine.run(session, engine.programs["cold"], {})
        return session

    keep = [open_one() for _ in range(3)]
    gc.collect()
    before = pss_kib()
    keep += [open_one() for _ in range(engine.instances)]
    gc.collect()
    each = (pss_kib() - before) / engine.instances
    for session in keep:
        engine.close(session)
    return {"memory": each}


def compile_cold(engine: Engine, runs: int) -> Figures:
    """Compiling a program of fifty lines that is in no cache."""
    if not isinstance(engine, Lash):
        raise NotOffered("measured of lash only")
    serial = iter(range(1_000_000))

    def body() -> float:
        source = f"{FIFTY_LINES}\n# {next(serial)}"
        begin = time.perf_counter()
        engine.module.compile(source)
        return time.perf_counter() - begin

    body()  # builds or loads the parser's tables
    return {"compile": median_of(body, runs * 4)}


def wave(engine: Engine, runs: int) -> Figures:
    """A thousand calls in flight at once, whole program."""
    if not isinstance(engine, Lash):
        raise NotOffered("measured of lash only")

    async def main() -> float:
        machine = engine.new()
        begin = time.perf_counter()
        outcome = await machine.run_async(LASHLANG["wave"], tools={"ext": ext_async})
        seconds = time.perf_counter() - begin
        check(submitted(outcome), sum(i + 1 for i in range(1000)))
        return seconds

    return {"wave": median_of(lambda: asyncio.run(main()), runs)}


def context(engine: Engine, runs: int) -> Figures:
    """A text of ten million characters, some of them wide, behind a projection: open, search, cut out."""
    if not isinstance(engine, Lash):
        raise NotOffered("measured of lash only")
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
        "context_open": statistics.median(opened),
        "context_find": statistics.median(found),
        "context_slice": statistics.median(sliced),
    }


JOBS: dict[str, Callable[[Engine, int], Figures]] = {
    "cold": cold,
    "loop": program("loop"),
    "text": program("text"),
    "records": program("records"),
    "json": program("json"),
    "host": host,
    "host_async": host_async,
    "compile": compile_cold,
    "wave": wave,
    "context": context,
    "memory": memory,
}
