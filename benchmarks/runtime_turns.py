"""Turns through the facade, with a scripted model that answers at once: what is left is the runtime's own cost.

The peer of a turn is a loop as one would write it by hand on the same parts: ask the scripted provider, cut the
program out of the reply, run it in a `lashlang.Machine`. It shows nothing, stores nothing and cannot be stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import lash
import lashlang
from benchmarks.engines import check
from benchmarks.measure import Figures
from benchmarks.runtime_measure import median, timed, unwatched
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.runtime.sansio.llm import Block, LlmMessage, LlmRequest, LlmResponse
from lash.testing.scripted import AnyStep, ScriptedProvider, Step, reply

TURNS = 20
"""Turns of a session, so that its history has an ordinary length."""
ITERATIONS = 20
"""Iterations of a turn that iterates."""
DELTA = "word "
REQUEST = LlmRequest("m", (LlmMessage("user", (Block.Text("Go."),)),))


@lash.tool
async def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def block(code: str) -> str:
    """A reply that is a program."""
    return f"```lashlang\n{code}\n```"


@asynccontextmanager
async def session_of(steps: Sequence[AnyStep], **knobs: Any) -> AsyncGenerator[lash.LashSession]:
    """A session whose model says these things."""
    provider = ScriptedProvider(steps)
    core = lash.LashCore.rlm(provider=provider, model="m", max_context_tokens=1_000_000, max_turns=None, **knobs)
    async with core, core.session("one", allow_prose_or_submit=True) as session:
        yield session


def stored(folder: Path) -> dict[str, Any]:
    """Keywords of a core that stores its sessions durably."""
    return {"store": SqliteSessionStoreFactory(folder), "attachments": FileAttachmentStore(folder / "attachments")}


def said(result: lash.TurnResult[Any] | None) -> str:
    """The prose that a turn ended with."""
    match result:
        case lash.TurnResult(
            outcome=lash.TurnOutcome.Finished(finish=lash.TurnFinish.AssistantMessage(text=text)),
        ):
            return text
        case _:
            return repr(result)


async def turns(size: int, folder: Path) -> Figures:
    """A turn that a reply in prose ends, without tools, in memory."""
    taken: list[float] = []
    for _ in range(max(1, size // TURNS)):
        async with session_of(["Done."] * TURNS) as session:
            for number in range(TURNS):
                begin = time.perf_counter()
                result = await session.turn("Go.")
                taken.append(time.perf_counter() - begin)
                check((said(result), result.turn_index), ("Done.", number + 1))
    provider = ScriptedProvider(["Done."] * size)
    asked = [await timed(provider.complete(REQUEST)) for _ in range(size)]
    return {"turn": median(taken), "turn.peer": median(asked)}


def block_code(number: int) -> str:
    """The program of one iteration."""
    return f"x{number} = {number} * 2\nprint x{number}"


def iterating(times: list[float]) -> Iterator[AnyStep]:
    """The replies of a turn that iterates; each notes when it was asked for."""

    def at(text: str) -> AnyStep:
        def step(request: LlmRequest) -> str:
            times.append(time.perf_counter())
            return text

        return step

    for number in range(ITERATIONS):
        yield at(block(block_code(number)))
    yield at(block(f"submit x0 + x{ITERATIONS - 1}"))


async def iterations(size: int, folder: Path) -> Figures:
    """One iteration of an RLM turn, from one model call to the next: reply, program, print, history, next prompt."""
    taken: list[float] = []
    by_hand: list[float] = []
    wanted = 2 * (ITERATIONS - 1)
    for _ in range(max(1, size // ITERATIONS)):
        times: list[float] = []
        async with session_of(list(iterating(times))) as session:
            check((await session.turn("Go.")).submitted_value(), wanted)
        taken += [after - before for before, after in pairwise(times)]
        times = []
        check(await hand_written_turn(ScriptedProvider(list(iterating(times)))), wanted)
        by_hand += [after - before for before, after in pairwise(times)]
    return {"iteration": median(taken), "iteration.peer": median(by_hand)}


async def hand_written_turn(provider: ScriptedProvider) -> object:
    """The loop on the same parts; what the program submits."""
    messages = list(REQUEST.messages)
    with lashlang.Machine() as machine:
        while True:
            response = await provider.complete(LlmRequest("m", tuple(messages)))
            code = response.full_text.removeprefix("```lashlang\n").removesuffix("\n```")
            outcome = await machine.run_async(code)
            if outcome.status == "submitted":
                return outcome.value
            messages.append(LlmMessage("assistant", (Block.Text(response.full_text),)))
            messages.append(LlmMessage("user", (Block.Text("\n".join(map(str, outcome.prints))),)))


async def long_session(size: int, folder: Path) -> Figures:
    """The last tenth of so many turns of one session: the history is part of every prompt."""
    taken: list[float] = []
    async with session_of(["Done."] * size) as session:
        for number in range(size):
            begin = time.perf_counter()
            result = await session.turn("Go.")
            taken.append(time.perf_counter() - begin)
            check(result.turn_index, number + 1)
        check(len(session.read_view().messages), 2 * size)
    late = taken[-max(1, size // 10) :]
    return {"late_turn": median(late)}


async def stored_turns(size: int, folder: Path) -> Figures:
    """A turn of one program, stored in SQLite with its variables and FULL synchronisation."""
    steps = [block(f"x = {number}\nsubmit x") for number in range(size)]
    taken: list[float] = []
    async with session_of(steps, **stored(folder)) as session:
        for number in range(size):
            begin = time.perf_counter()
            result = await session.turn("Go.")
            taken.append(time.perf_counter() - begin)
            check((result.submitted_value(), result.revision), (number, number + 1))
    return {"stored_turn": median(taken)}


CALLS = """t = 0
for i in range({count}) {{ t += (call add {{ a: i, b: 1 }})? }}
submit t"""


def fan_out(count: int) -> str:
    """A program that has so many calls in flight."""
    branches = ",\n".join(f"(call add {{ a: {number}, b: 1 }})?" for number in range(count))
    return f"submit sum(parallel {{\n{branches}\n}})"


async def tool_calls(size: int, folder: Path) -> Figures:
    """A tool call of a program: its arguments checked, shown, carried out and shown; the peer is the VM's call."""
    wanted = size * (size + 1) // 2
    figures: Figures = {}

    async def bare(a: int, b: int) -> int:
        return a + b

    for name, code in (("tool_call", CALLS.format(count=size)), ("tool_wave", fan_out(size))):
        async with session_of([block(code)], tools=[add]) as session:
            begin = time.perf_counter()
            result = await session.turn("Go.")
            figures[name] = (time.perf_counter() - begin) / size
            check((result.submitted_value(), len(result.tool_calls)), (wanted, size))
        with lashlang.Machine() as machine:
            begin = time.perf_counter()
            outcome = await machine.run_async(code, tools={"add": bare})
            figures[f"{name}.peer"] = (time.perf_counter() - begin) / size
            check((outcome.status, outcome.value), ("submitted", wanted))
    return figures


class CountingSink:
    """Takes activities and does nothing with them but count those that are prose."""

    def __init__(self) -> None:
        self.deltas = 0

    async def emit(self, activity: lash.TurnActivity) -> None:
        """Take one."""
        self.deltas += isinstance(activity.event, lash.TurnEvent.AssistantProseDelta)


def long_reply(size: int) -> Step:
    """A reply in prose of so many deltas."""
    return reply(DELTA * size, chunk=len(DELTA))


async def activities(size: int, folder: Path) -> Figures:
    """Deltas of a reply through a turn, to a sink and to an iterator, per second."""
    figures: Figures = {}
    with unwatched():
        step = long_reply(size)
    async with session_of([step]) as session:
        sink = CountingSink()
        begin = time.perf_counter()
        result = await session.turn("Go.", sink=sink)
        figures["to_sink"] = size / (time.perf_counter() - begin)
        check((sink.deltas, said(result)), (size, (DELTA * size).rstrip()))
    async with session_of([step]) as session:
        begin = time.perf_counter()
        deltas = 0
        turn = session.turn("Go.")
        async for activity in turn:
            deltas += isinstance(activity.event, lash.TurnEvent.AssistantProseDelta)
        figures["to_iterator"] = size / (time.perf_counter() - begin)
        check((deltas, said(await turn)), (size, (DELTA * size).rstrip()))
    figures["to_sink.peer"] = size / await timed(_provider_to_sink(step, size))
    figures["to_iterator.peer"] = size / await timed(_provider_to_queue(step, size))
    return figures


async def _provider_to_sink(step: Step, size: int) -> None:
    """The provider's own callback, without a turn."""
    seen: list[object] = []
    response = await ScriptedProvider([step]).complete(REQUEST, seen.append)
    check((len(seen), len(response.full_text)), (size, size * len(DELTA)))


async def _provider_to_queue(step: Step, size: int) -> None:
    """The same through an `asyncio.Queue`."""
    queue: asyncio.Queue[object] = asyncio.Queue()

    async def ask() -> LlmResponse:
        response = await ScriptedProvider([step]).complete(REQUEST, queue.put_nowait)
        queue.put_nowait(None)
        return response

    asking = asyncio.create_task(ask())
    seen = 0
    while await queue.get() is not None:
        seen += 1
    check((seen, len((await asking).full_text)), (size, size * len(DELTA)))
