"""Sessions in large numbers and of great length: opening, viewing, and what one takes up that nobody uses just now."""

from __future__ import annotations

import gc
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import lash
from benchmarks.engines import check
from benchmarks.measure import Figures
from benchmarks.runtime_measure import median, unwatched
from benchmarks.runtime_stores import Committer, event_of, vm_states
from benchmarks.runtime_turns import block
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.host.system import SystemClock
from lash.persistence import FileAttachmentStore
from lash.runtime.providers.components import AttemptTrace, EventSink, ProviderComponents, ProviderState
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.sansio.llm import Block, LlmRequest, LlmResponse
from lash.runtime.seams.persistence import ReadScope

ACTIVE_PATH = 200
"""Nodes on the active path of a session that has more."""
IN_A_RUN = 5
"""How often something is opened in a run."""


Answer = Callable[[int], str]
"""What the model says when it is asked for the n-th time, counted from 0."""


class ForgetfulTransport:
    """A model that answers at once and keeps nothing of what it was asked, so that only the runtime's memory shows."""

    requires_streaming = False

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._asked = 0

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        """The next answer."""
        text = self._answer(self._asked)
        self._asked += 1
        return LlmResponse(text, (Block.Text(text),), terminal_reason="stop")

    async def aclose(self) -> None:
        """There is nothing to give back."""


def core_over(factory: SqliteSessionStoreFactory, answer: Answer) -> lash.LashCore:
    """A core over these files, whose model says these things."""
    clock = SystemClock()
    state = ProviderState("forgetful", ProviderOptions())
    components = ProviderComponents.usual(state, ForgetfulTransport(answer), clock)
    return lash.LashCore.rlm(
        provider=ProviderHandle(components, clock=clock),
        model="m",
        max_context_tokens=10_000_000,
        store=factory,
        attachments=FileAttachmentStore(factory.root / "attachments"),
    )


def submitting(expression: str) -> Answer:
    """Always the same program."""
    return lambda number: block(f"submit {expression}")


# --- length --------------------------------------------------------------------------------------


async def opening(size: int, folder: Path) -> Figures:
    """A session of `size` nodes, 200 of them on the active path, opened cold: path, whole graph, and the facade.

    The peer is a bare connection that reads the rows of all nodes and decodes nothing.
    """
    factory = SqliteSessionStoreFactory(folder, synchronous="NORMAL")
    path = min(ACTIVE_PATH, size // 2)
    committer = await Committer.opened(factory, "one")
    await committer.fill(range(size - path))
    committer.graph.branch_to(None)
    state = next(vm_states())
    await committer.commit([event_of(size + number) for number in range(path)], state)
    await committer.check_stored(state)
    await committer.aclose()
    figures: Figures = {
        "open_path": await median_of(lambda: _read(factory, "active_path", path)),
        "open_path.peer": await median_of(lambda: _read_bare(factory.path_of("one"), path)),
        "open_full": await median_of(lambda: _read(factory, "full_graph", size)),
        "open_full.peer": await median_of(lambda: _read_bare(factory.path_of("one"), size)),
    }
    async with core_over(factory, submitting("0")) as core:
        figures["open_session"] = await median_of(lambda: _open(core, path))
    return figures


async def median_of(work: Callable[[], Awaitable[float]]) -> float:
    """The median of a few times."""
    return median([await work() for _ in range(IN_A_RUN)])


async def _read(factory: SqliteSessionStoreFactory, scope: ReadScope, nodes: int) -> float:
    begin = time.perf_counter()
    store = await factory.find_store("one")
    read = None if store is None else await store.load_session(scope)
    seconds = time.perf_counter() - begin
    if store is None or read is None:
        raise AssertionError("the session was not stored")
    check(len(read.nodes), nodes)
    await store.aclose()
    return seconds


async def _read_bare(file: Path, nodes: int) -> float:
    begin = time.perf_counter()
    with unwatched():
        connection = sqlite3.connect(file)
        rows = connection.execute("SELECT * FROM graph_nodes ORDER BY seq DESC LIMIT ?", (nodes,)).fetchall()
    seconds = time.perf_counter() - begin
    connection.close()
    check(len(rows), nodes)
    return seconds


async def _open(core: lash.LashCore, nodes: int) -> float:
    begin = time.perf_counter()
    session = await core.session("one")
    seconds = time.perf_counter() - begin
    check(len(session.read_view().messages), nodes)
    await session.aclose()
    return seconds


async def viewing(size: int, folder: Path) -> Figures:
    """The view of a session of `size` nodes, right after a commit, and the conversation in it."""
    factory = SqliteSessionStoreFactory(folder, synchronous="NORMAL")
    committer = await Committer.opened(factory, "one")
    await committer.fill(range(size))
    await committer.aclose()
    viewed: list[float] = []
    derived: list[float] = []
    async with core_over(factory, submitting("1")) as core, core.session("one") as session:
        for _ in range(IN_A_RUN):
            result = await session.turn("Go.")
            begin = time.perf_counter()
            view = session.read_view()
            viewed.append(time.perf_counter() - begin)
            check((view.revision, view.turn_index), (result.revision, result.turn_index))
            begin = time.perf_counter()
            messages = view.messages
            derived.append(time.perf_counter() - begin)
            check(messages[-1].text(), "Go.")
            check(len(view.path) > size, True)
    return {"read_view": median(viewed), "view_messages": median(derived)}


# --- numbers -------------------------------------------------------------------------------------


async def parked(size: int, folder: Path) -> Figures:
    """So many sessions that each had a turn and are parked: memory of each, and opening them in any order."""
    factory = SqliteSessionStoreFactory(folder, synchronous="NORMAL")
    order = random.Random(size).sample(range(size), size // 10)
    warm_up = max(10, size // 5)  # what a process takes up once is not counted

    def answer(number: int) -> str:
        return block(f"x = {number - warm_up}\nsubmit x" if number < size + warm_up else "submit x + 1")

    async with core_over(factory, answer) as core:

        async def park(name: str) -> lash.ParkedSession:
            session = await core.session(name)
            await session.turn("Go.")
            return await session.park()

        for number in range(warm_up):
            await park(f"warm-up {number}")
        before = settled_kib(core)
        begin = time.perf_counter()
        keep = [await park(f"session {number}") for number in range(size)]
        each = (time.perf_counter() - begin) / size
        memory = (settled_kib(core) - before) * 1024 / size
        opened: list[float] = []
        for number in order:
            begin = time.perf_counter()
            session = await core.resume(keep[number])
            opened.append(time.perf_counter() - begin)
            check((await session.turn("Go.")).submitted_value(), number + 1)
            await session.aclose()
    return {"parked": memory, "park": each, "resume": median(opened)}


def anonymous_kib() -> float:
    """Memory of this process that no file stands behind (Linux): what is shared with others would move with them."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous:"))


def settled_kib(core: lash.LashCore) -> float:
    """Memory of this process after a collection, with no session open."""
    check(core.stats().open_sessions, 0)
    gc.collect()
    return anonymous_kib()


async def idle(size: int, folder: Path) -> Figures:
    """So many open sessions of 200 nodes, each with 40 KB of variables in its VM, that wait for a turn."""
    factory = SqliteSessionStoreFactory(folder, synchronous="NORMAL")
    state = next(vm_states())
    for number in range(size):
        committer = await Committer.opened(factory, f"session {number}")
        await committer.commit([event_of(ordinal) for ordinal in range(ACTIVE_PATH)], state)
        await committer.aclose()
    async with core_over(factory, submitting("rows[0].id + turn")) as core:
        sessions = [await core.session(f"session {number}") for number in range(2)]
        check((await sessions[0].turn("Go.")).submitted_value(), 1)
        gc.collect()
        before = anonymous_kib()
        sessions += [await core.session(f"session {number}") for number in range(2, size)]
        gc.collect()
        each = (anonymous_kib() - before) * 1024 / (size - 2)
        check((await sessions[-1].turn("Go.")).submitted_value(), 1)
        check(core.stats().open_sessions, size)
    return {"idle": each}
