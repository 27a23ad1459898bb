"""What an event loop feels of machines that compute under `run_async`.

Three questions: for how long can a task that wants to run every millisecond not do so while one machine does
something large; how evenly do 200 machines come on that run side by side; how long after a cancellation or
a timeout is the run over. The figures are those of this process: other processes that take the processors
away show in them too, so the first row is the same without any machine.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import lashlang
from benchmarks.engines import check
from benchmarks.report import shown, table

TICK = 0.001
GOAL = 0.010
"""The gap that long computation should not exceed (seconds)."""
MACHINES = 200
HEAD_START = 0.01
"""Seconds that a run gets before it is cancelled or timed out."""
MIB = 1 << 20
LIMITS = lashlang.Limits(fuel=10**12, memory=1024 * MIB, list_size=10_000_000, value_size=512 * MIB)


@dataclass(frozen=True)
class Job:
    """A block that works on what a block before it has prepared, which is not measured."""

    title: str
    prepare: str
    source: str
    answer: Any


RECORDS = """
rows = []
for i in range(200000) { rows = push(rows, { id: i, name: "user" + i, tags: [i % 7, i % 13] }) }
"""

JOBS = (
    Job("loop of 10 M", "", "t = 0\nfor i in range(10000000) { t += i }\nsubmit t", 49_999_995_000_000),
    Job(
        "sort of 1 M numbers",
        "xs = [(i * 7919) % 1000003 for i in range(1000000)]",
        "submit sort(xs)[0]",
        0,
    ),
    Job(
        "sort_by of 200 k records",
        RECORDS,
        'submit sort_by(rows, "name")[0].id',
        0,
    ),
    Job("JSON text of 200 k records", RECORDS, "submit len(json_text(rows)) > 8000000", True),
    Job("JSON parse of 200 k records", RECORDS + "text = json_text(rows)", "submit len(json_parse(text))", 200_000),
    Job(
        "replace in 20 MB, grown",
        's = join(["hay needle hay" for i in range(1400000)], " ")',
        'submit len(replace(s, "needle", "threads"))',
        1_400_000 * 16 - 1,
    ),
    Job(
        "split of 20 MB",
        's = join(["hay needle hay" for i in range(1400000)], " ")',
        'submit len(split(s, " "))',
        4_200_000,
    ),
    Job(
        "comparison of two lists of 200 k records",
        RECORDS + "a = rows\nb = json_parse(json_text(rows))",
        "submit a == b",
        True,
    ),
    Job(
        "unique of 1 M numbers",
        "xs = [(i * 7919) % 1000003 for i in range(1000000)]",
        "submit len(unique(xs))",
        1_000_000,
    ),
    Job("submit of 200 k records", RECORDS, "submit rows", None),
)


# --- gaps --------------------------------------------------------------------------------------------


async def ticker(gaps: list[float], stop: asyncio.Event) -> None:
    """Sleep for a millisecond again and again and note how long each took."""
    before = time.perf_counter()
    while not stop.is_set():
        await asyncio.sleep(TICK)
        now = time.perf_counter()
        gaps.append(now - before)
        before = now


async def gaps_during(work: Callable[[], Awaitable[Any]]) -> tuple[float, float, int]:
    """Seconds that the work took, the longest gap meanwhile, and how many gaps were over the goal."""
    gaps: list[float] = []
    stop = asyncio.Event()
    watch = asyncio.create_task(ticker(gaps, stop))
    await asyncio.sleep(5 * TICK)
    gaps.clear()
    begin = time.perf_counter()
    await work()
    seconds = time.perf_counter() - begin
    # The gap that was open when the work ended counts too.
    await asyncio.sleep(2 * TICK)
    stop.set()
    await watch
    return seconds, max(gaps), sum(gap > GOAL for gap in gaps)


def prepared(job: Job) -> lashlang.Machine:
    """A machine in which the job can run."""
    machine = lashlang.Machine(LIMITS)
    check(machine.run(job.prepare or "none = 0").error, None)
    return machine


async def measure_gaps(job: Job | None) -> tuple[float, float, int]:
    """One run of a job, or of nothing at all for a second."""
    if job is None:
        return await gaps_during(lambda: asyncio.sleep(1))
    with prepared(job) as machine:
        outcomes: list[lashlang.Outcome] = []

        async def work() -> None:
            outcomes.append(await machine.run_async(job.source))

        gc.collect()
        figures = await gaps_during(work)
        check(outcomes[0].status, "submitted")
        if job.answer is not None:
            check(outcomes[0].value, job.answer)
        return figures


# --- side by side ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mix:
    """What each of many machines does: so many rounds of a loop and a call of a tool that answers at once."""

    title: str
    rounds: int
    loop: int

    @property
    def source(self) -> str:
        """The block."""
        return (
            f"t = 0\nfor i in range({self.rounds}) {{\n  for k in range({self.loop}) {{ t += k }}\n"
            "  call progress { i: i }\n}\nsubmit t"
        )


MIXES = (
    Mix("many calls, little computing between them", 1000, 1_000),
    Mix("few calls, each after 1.5 ms of computing", 40, 200_000),
)


async def side_by_side(mix: Mix) -> dict[str, float]:
    """Progress of many machines with the same work, at the time when half of all of it is done, and their ends."""
    done = [0] * MACHINES
    half = MACHINES * mix.rounds // 2
    halfway: list[int] = []
    ends: list[float] = []
    machines = [lashlang.Machine(LIMITS) for _ in range(MACHINES)]
    gaps: list[float] = []
    stop = asyncio.Event()

    async def one(number: int) -> None:
        async def progress(i: int) -> None:
            nonlocal half
            done[number] += 1
            half -= 1
            if half == 0:
                halfway.extend(done)

        outcome = await machines[number].run_async(mix.source, tools={"progress": progress})
        check(outcome.value, mix.rounds * sum(range(mix.loop)))
        ends.append(time.perf_counter() - begin)

    watch = asyncio.create_task(ticker(gaps, stop))
    await asyncio.sleep(5 * TICK)
    begin = time.perf_counter()
    await asyncio.gather(*map(one, range(MACHINES)))
    stop.set()
    await watch
    for machine in machines:
        machine.close()
    return {
        "least_progress": min(halfway) / mix.rounds,
        "most_progress": max(halfway) / mix.rounds,
        "least_to_most": min(halfway) / max(halfway),
        "first_end": min(ends),
        "last_end": max(ends),
        "longest_gap": max(gaps),
    }


# --- latency -----------------------------------------------------------------------------------------


async def cancelled(job: Job) -> float | None:
    """Seconds from cancelling a run to its end; None where it was over before."""
    with prepared(job) as machine:
        task = asyncio.create_task(machine.run_async(job.source))
        await asyncio.sleep(HEAD_START)
        if task.done():
            return None
        begin = time.perf_counter()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return time.perf_counter() - begin


async def timed_out(job: Job) -> float | None:
    """Seconds by which a run outlasts its timeout; None where it was over before."""
    with prepared(job) as machine:
        begin = time.perf_counter()
        await machine.run_async(job.source, timeout=HEAD_START)
        late = time.perf_counter() - begin - HEAD_START
        return late if late > 0 else None


# --- all of it ---------------------------------------------------------------------------------------


def measure(runs: int) -> dict[str, Any]:
    """All figures, in seconds: of gaps the median and the worst run, of latencies the worst."""
    gaps: dict[str, dict[str, float]] = {}
    for job in (None, *JOBS):
        taken = [asyncio.run(measure_gaps(job)) for _ in range(runs)]
        gaps["no machine at all, 1 s" if job is None else job.title] = {
            "seconds": statistics.median(seconds for seconds, _, _ in taken),
            "longest_gap": statistics.median(gap for _, gap, _ in taken),
            "worst_gap": max(gap for _, gap, _ in taken),
            "gaps_over_goal": statistics.median(over for _, _, over in taken),
        }
    latency: dict[str, dict[str, float | None]] = {}
    for job in JOBS:
        latency[job.title] = {
            "cancel": worst([asyncio.run(cancelled(job)) for _ in range(runs)]),
            "timeout": worst([asyncio.run(timed_out(job)) for _ in range(runs)]),
        }
    together: dict[str, dict[str, float]] = {}
    for mix in MIXES:
        all_of = [asyncio.run(side_by_side(mix)) for _ in range(min(runs, 3))]
        together[mix.title] = {key: statistics.median(one[key] for one in all_of) for key in all_of[0]}
    return {"gaps": gaps, "latency": latency, "side_by_side": together}


def worst(samples: list[float | None]) -> float | None:
    """The greatest; None where the job was over each time before it could be stopped."""
    return max((sample for sample in samples if sample is not None), default=None)


def milliseconds(seconds: float | None) -> str:
    """A cell; a dash where nothing was measured."""
    return "-" if seconds is None else shown(seconds * 1e3)


def report(figures: dict[str, Any], markdown: bool) -> str:
    """Two tables: gaps and latencies of one machine, and many machines side by side."""
    body: list[list[str]] = []
    for title, line in figures["gaps"].items():
        stop = figures["latency"].get(title, {"cancel": None, "timeout": None})
        body.append(
            [
                title,
                *map(milliseconds, (line["seconds"], line["longest_gap"], line["worst_gap"])),
                f"{line['gaps_over_goal']:g}",
                *map(milliseconds, (stop["cancel"], stop["timeout"])),
            ]
        )
    head = [
        "one machine, milliseconds",
        "takes",
        "longest gap, median",
        "longest gap, worst run",
        f"gaps over {GOAL * 1e3:g}, median",
        "cancel to end, worst",
        "timeout to end, worst",
    ]
    second = [
        [
            title,
            f"{one['least_progress']:.0%}",
            f"{one['most_progress']:.0%}",
            f"{one['least_to_most']:.2f}",
            *(milliseconds(one[key]) for key in ("first_end", "last_end", "longest_gap")),
        ]
        for title, one in figures["side_by_side"].items()
    ]
    second_head = [
        f"{MACHINES} machines side by side",
        "least progress at half time",
        "most",
        "ratio",
        "first end (ms)",
        "last end (ms)",
        "longest gap (ms)",
    ]
    return f"{table(head, body, markdown)}\n\n{table(second_head, second, markdown)}"
