"""What a tool call costs in either mode, beside the same functions under a bare `asyncio.gather`.

A tool that adds two numbers, as `async` and as a plain function, is called once, a hundred and a thousand times in one
reply. What is told is what a turn with the calls takes longer than one without, for each call: in standard mode that
includes the second model call, which the results are for. Sessions are in memory, or in SQLite with every effect in
the journal.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import lash
from benchmarks.engines import check
from benchmarks.measure import Figures
from benchmarks.runtime_measure import Body, median, timed, unwatched
from benchmarks.runtime_turns import fan_out, stored
from lash.durability import JournalEffectHost
from lash.runtime.sansio.llm import Block
from lash.testing.scripted import AnyStep, ScriptedProvider, reply

MODES = ("standard", "rlm")
KINDS = ("async", "plain")

ONE, SOME, ALL = "one", "some", "all"
"""How many calls: one, a tenth of the job's size, all of it."""

TURNS = {ONE: 20, SOME: 5, ALL: 2}
"""Turns that are measured with so many calls."""


@lash.tool(name="add")
async def add_async(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


@lash.tool(name="add")
def add_plain(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def tool_of(kind: str) -> Any:
    """The tool that is called."""
    return add_async if kind == "async" else add_plain


def steps_of(mode: str, count: int) -> list[AnyStep]:
    """What the model says in a turn with so many calls."""
    if mode == "rlm":
        program = fan_out(count) if count else "submit 0"
        return [f"```lashlang\n{program}\n```"]
    if not count:
        return ["Done."]
    made = [Block.ToolCall(f"c{n}", "add", json.dumps({"a": n, "b": 1})) for n in range(count)]
    return [reply(tool_calls=made), "Done."]


@asynccontextmanager
async def core_of(mode: str, kind: str, count: int, turns: int, folder: Path | None) -> AsyncGenerator[lash.LashCore]:
    """A core for so many turns with so many calls; with a folder it keeps sessions and journal there."""
    knobs: dict[str, Any] = {}
    host = None
    if folder is not None:
        host = JournalEffectHost(folder / "journal.db")
        knobs = {**stored(folder / "sessions"), "effect_host": host}
    make: Callable[..., lash.LashCore] = lash.LashCore.standard if mode == "standard" else lash.LashCore.rlm
    model = ScriptedProvider(steps_of(mode, count) * turns)
    core = make(provider=model, model="m", max_context_tokens=10_000_000, tools=[tool_of(kind)], **knobs)
    async with core:
        yield core
    if host is not None:
        await host.aclose()


def sum_of(result: lash.TurnResult[Any]) -> tuple[bool, int, object]:
    """Whether a turn went well, how many calls it made, and the sum of what they gave."""
    values = [call.output.value for call in result.tool_calls if call.output.type == "success"]
    return result.is_success(), len(values), sum(value for value in values if isinstance(value, int))


async def turns_with(mode: str, kind: str, count: int, turns: int, folder: Path | None) -> float:
    """How long a turn with so many calls takes; each is the first of a session, so that no history weighs on it."""
    taken: list[float] = []
    wanted = (True, count, count * (count + 1) // 2)
    async with core_of(mode, kind, count, turns, folder) as core:
        for number in range(turns):
            async with core.session(f"{count}-{number}") as session:
                begin = time.perf_counter()
                result = await session.turn("Go.")
                taken.append(time.perf_counter() - begin)
                check(sum_of(result), wanted)
    return median(taken)


async def gathered(kind: str, count: int, turns: int) -> float:
    """The same functions without anything around them."""

    async def together() -> None:
        if kind == "async":
            got: Sequence[int] = await asyncio.gather(*(add_async(n, 1) for n in range(count)))
        else:
            got = await asyncio.gather(*(asyncio.to_thread(add_plain, n, 1) for n in range(count)))
        check(sum(got), count * (count + 1) // 2)

    with unwatched():
        await together()  # the first one starts the threads
        return median([await timed(together()) for _ in range(turns)])


def calls_in(mode: str, *, journal: bool) -> Body:
    """The job for a mode, with or without store and journal."""

    async def body(size: int, folder: Path) -> Figures:
        figures: Figures = {}
        counts = {ONE: 1, SOME: max(2, size // 10), ALL: size}
        for kind in KINDS:

            async def timed_turns(count: int, name: str, kind: str = kind) -> float:
                place = folder / f"{kind}-{count}" if journal else None
                if place is not None:
                    place.mkdir()
                return await turns_with(mode, kind, count, TURNS[name], place)

            bare = await timed_turns(0, ONE)
            for name, count in counts.items():
                figures[f"{kind}_{name}"] = (await timed_turns(count, name) - bare) / count
                figures[f"{kind}_{name}.peer"] = await gathered(kind, count, TURNS[name]) / count
        return figures

    return body
