"""Commits of sessions to SQLite files.

A commit here is what a turn of the RLM mode leaves: six nodes and the variables of the VM, 40 KB of them as a portable
snapshot of a real machine, other ones each time. The peer is the least that could be done with SQLite: one row of the
same bytes in one transaction on a bare `sqlite3` connection, opened with the same settings, on this thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import lashlang
from benchmarks.engines import check
from benchmarks.measure import Figures
from benchmarks.runtime_measure import median, share_of, timed, unwatched
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.host.stores.sqlite.connection import Synchronous, configure
from lash.modes.rlm.state import pack_state
from lash.runtime.sansio.messages import Message, Part, SessionEvent, SessionEventRecord
from lash.runtime.sansio.usage import TokenLedgerEntry, TokenUsage
from lash.runtime.sansio.values import adapter
from lash.runtime.seams.persistence import (
    HydratedCheckpoint,
    LeaseClaim,
    LeaseFence,
    LeaseOwner,
    PersistedSessionConfig,
    RuntimeCommit,
    RuntimePersistence,
    SessionMeta,
    SessionRelation,
    SessionStoreCreateRequest,
    TurnCommitStamp,
)
from lash.runtime.session.commit import commit_hash
from lash.runtime.session.graph import SessionGraph

CONFIG = PersistedSessionConfig("rlm", "scripted", "m", max_context_tokens=1_000_000)
NODES = 6
STATE_BYTES = 40_000
NOW_MS = 1_700_000_000_000


def event_of(number: int) -> SessionEvent.Conversation:
    """A message of some 300 characters."""
    text = f"message {number}: " + hashlib.sha256(str(number).encode()).hexdigest() * 4
    role = "user" if number % 2 == 0 else "assistant"
    return SessionEvent.Conversation(Message(f"m{number}", role, (Part(f"m{number}.p0", "text", text),)))


def vm_states() -> Iterator[bytes]:
    """Variables of RLM sessions as they are committed, which change from one to the next."""
    with lashlang.Machine() as machine:
        machine.globals["rows"] = [
            {"id": number, "key": hashlib.sha256(str(number).encode()).hexdigest()} for number in range(550)
        ]
        turn = 0
        while True:
            turn += 1
            machine.globals["turn"] = turn
            yield pack_state(machine.snapshot())


class Committer:
    """One session that is committed to again and again."""

    def __init__(self, store: RuntimePersistence, session_id: str, fence: LeaseFence) -> None:
        self._store = store
        self._session_id = session_id
        self._fence = fence
        self.graph = SessionGraph()
        self.revision: int | None = None
        self.turns = 0

    @classmethod
    async def opened(cls, factory: SqliteSessionStoreFactory, session_id: str) -> Committer:
        """A new session, held under a lease as a turn holds it."""
        meta = SessionMeta(session_id, session_id, NOW_MS, SessionRelation.Root())
        store = await factory.open_store(SessionStoreCreateRequest(session_id, meta))
        claim = await store.claim_lease(LeaseOwner("benchmark", "1"), 3_600_000)
        if not isinstance(claim, LeaseClaim.Acquired):
            raise AssertionError(f"the lease of a new session is {claim}")
        return cls(store, session_id, claim.lease.fence)

    async def commit(self, events: Sequence[SessionEventRecord], state: bytes | None) -> None:
        """Store a turn: graph, hash and commit, as a session does it."""
        self.turns += 1
        turn_id = f"t{self.turns}"
        self.graph.append(events, turn_id, NOW_MS)
        usage = (TokenLedgerEntry("turn", "m", TokenUsage(1000, 100)),)
        digest = await commit_hash(config=CONFIG, events=events, turn_state={"turn_index": self.turns}, usage=usage)
        result = await self._store.commit_runtime_state(
            RuntimeCommit(
                session_id=self._session_id,
                expected_head_revision=self.revision,
                config=CONFIG,
                graph=self.graph.delta(),
                checkpoint=HydratedCheckpoint({"turn_index": self.turns}, execution_state=state),
                op_id=turn_id,
                turn_index=self.turns,
                turn_id=turn_id,
                usage_deltas=usage,
                turn_commit=TurnCommitStamp(self._session_id, turn_id, digest),
                lease=self._fence,
            )
        )
        self.graph.committed()
        check(result.head_revision, (self.revision or 0) + 1)
        self.revision = result.head_revision

    async def fill(self, numbers: Iterable[int]) -> None:
        """Make the session long, which no single turn does."""
        with unwatched():
            await self.commit([event_of(number) for number in numbers], None)

    async def check_stored(self, state: bytes | None) -> None:
        """Read the session back and compare."""
        read = await self._store.load_session("full_graph")
        if read is None:
            raise AssertionError("the session was not stored")
        check((read.head_revision, read.node_count), (self.revision, len(self.graph)))
        with unwatched():
            check((read.nodes, read.execution_state), (tuple(self.graph.nodes()), state))

    async def aclose(self) -> None:
        """Give the lease and the store back."""
        await self._store.release_lease(self._fence)
        await self._store.aclose()


def turn_events(number: int) -> list[SessionEventRecord]:
    """What a turn adds."""
    return [event_of(number * NODES + ordinal) for ordinal in range(NODES)]


async def committing(size: int, folder: Path, synchronous: Synchronous) -> tuple[list[float], list[float]]:
    """Seconds of so many commits, and of as many bare transactions of the same bytes, by turns."""
    factory = SqliteSessionStoreFactory(folder / "sessions", synchronous=synchronous)
    committer = await Committer.opened(factory, "one")
    bare = bare_connection(folder / "bare.db", synchronous)
    ours: list[float] = []
    theirs: list[float] = []
    states = vm_states()
    state = b""
    for number in range(size):
        state, events = next(states), turn_events(number)
        check(len(state) > STATE_BYTES, True)
        ours.append(await timed(committer.commit(events, state)))
        with unwatched():
            nodes = b"".join(adapter(SessionEvent.Conversation).dump_json(event) for event in events)
            begin = time.perf_counter()
            bare_commit(bare, number, nodes, state)
            theirs.append(time.perf_counter() - begin)
    await committer.check_stored(state)
    (rows,) = bare.execute("SELECT count(*) FROM turns").fetchone()
    check(rows, size)
    bare.close()
    await committer.aclose()
    await factory.aclose()
    return ours, theirs


def bare_connection(file: Path, synchronous: Synchronous) -> sqlite3.Connection:
    """A connection without anything above it, set up as a session's is."""
    connection = sqlite3.connect(file, isolation_level=None)
    configure(connection, synchronous)
    connection.execute("CREATE TABLE turns(number INTEGER PRIMARY KEY, nodes BLOB, state BLOB)")
    return connection


def bare_commit(connection: sqlite3.Connection, number: int, nodes: bytes, state: bytes) -> None:
    """One transaction of one row."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO turns VALUES(?, ?, ?)", (number, nodes, state))
    connection.execute("COMMIT")


async def commits_full(size: int, folder: Path) -> Figures:
    """Commits that are on the disk when they are answered, and what the disk alone takes for it."""
    ours, theirs = await committing(size, folder, "FULL")
    with unwatched():
        written = list(synced_writes(folder / "plain", size))
    return {
        "commit_full": median(ours),
        "commit_full.peer": median(theirs),
        "commit_full_p99": share_of(ours, 0.99),
        "commit_full_p99.peer": share_of(theirs, 0.99),
        "fsync": median(written),
    }


def synced_writes(file: Path, size: int) -> Iterator[float]:
    """Seconds of each of so many writes of as many bytes to the end of a file, fsync included."""
    data = bytes(STATE_BYTES)
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    try:
        for _ in range(size):
            begin = time.perf_counter()
            os.write(descriptor, data)
            os.fsync(descriptor)
            yield time.perf_counter() - begin
    finally:
        os.close(descriptor)


async def commits_normal(size: int, folder: Path) -> Figures:
    """Commits that a power failure may lose."""
    ours, theirs = await committing(size, folder, "NORMAL")
    return {"commit_normal": median(ours), "commit_normal.peer": median(theirs)}


async def growth(size: int, folder: Path) -> Figures:
    """The same commits by turns to a session of `size` nodes and to one of a hundredth, as a ratio."""
    factory = SqliteSessionStoreFactory(folder, synchronous="NORMAL")
    sessions: list[Committer] = []
    for nodes in (size, max(1, size // 100)):
        committer = await Committer.opened(factory, f"of {nodes}")
        await committer.fill(-1 - number for number in range(nodes))
        sessions.append(committer)
    taken: tuple[list[float], list[float]] = ([], [])
    states = vm_states()
    state = b""
    for number in range(max(5, size // 50)):
        state, events = next(states), turn_events(number)
        for committer, seconds in zip(sessions, taken, strict=True):
            seconds.append(await timed(committer.commit(events, state)))
    for committer in sessions:
        await committer.check_stored(state)
        await committer.aclose()
    await factory.aclose()
    return {"growth": median(taken[0]) / median(taken[1])}


async def side_by_side(size: int, folder: Path) -> Figures:
    """Sixteen sessions that commit at the same time: commits per second in all."""
    factory = SqliteSessionStoreFactory(folder, synchronous="NORMAL")
    committers = [await Committer.opened(factory, f"session {number}") for number in range(16)]
    states = vm_states()
    with unwatched():
        prepared = [next(states) for _ in range(size)]

    async def work(committer: Committer) -> None:
        for number, state in enumerate(prepared):
            await committer.commit(turn_events(number), state)

    seconds = await timed(asyncio.gather(*map(work, committers)))
    for committer in committers:
        await committer.check_stored(prepared[-1])
        await committer.aclose()
    await factory.aclose()
    return {"side_by_side": len(committers) * size / seconds}
