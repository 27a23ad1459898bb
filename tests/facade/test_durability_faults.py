"""Stores that fail now and then, leases that are lost, sinks that misbehave: no turn is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import lash
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.runtime.errors import StoreBackendError
from lash.runtime.sansio.llm import LlmRequest
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.seams.persistence import (
    LeaseClaim,
    LeaseOwner,
)
from lash.testing.activities import ActivityLaws
from lash.testing.scripted import HANG, ScriptedProvider, Step, reply
from tests.facade.crash_hosts import LaterClock, TappedStores
from tests.facade.support import block, core_with, said, stored

SESSIONS, TURNS = (50, 20) if os.environ.get("LASH_LONG_FAULTS") else (10, 5)
FAULTS = 0.05


class Faults:
    """Decides which call of a store fails, and whether before or after it was done."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.failed = Counter[str]()

    async def tap(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """A call of a store, perhaps with a failure before or after it was done."""
        if self._strikes(name):
            raise StoreBackendError(f"{name} failed before anything was done")
        result = await call()
        if self._strikes(name):
            raise StoreBackendError(f"{name} failed after it was done")
        return result

    def _strikes(self, name: str) -> bool:
        hit = self._random.random() < FAULTS / 2
        self.failed[name] += hit
        return hit


def counted(request: LlmRequest) -> Step:
    """A program that counts its turns, at a price that the turn's input names."""
    asked = [str(block.text) for one in request.messages for block in one.blocks if hasattr(block, "text")]  # type: ignore[union-attr]  # pyright: ignore
    number = int(next(text for text in reversed(asked) if text.startswith("turn ")).split()[1])
    return reply(
        f"```lashlang\nn = n + 1\nseen = push(seen, {number})\nsubmit n\n```", usage=TokenUsage(1000 * number, number)
    )


async def test_sessions_with_stores_that_fail_lose_and_double_no_turn(tmp_path: Path) -> None:
    faults = Faults(3)
    stores = TappedStores(SqliteSessionStoreFactory(tmp_path / "sessions", synchronous="NORMAL"), faults.tap)
    core = lash.LashCore.rlm(
        provider=ScriptedProvider([counted] * 100_000),
        model="m",
        max_context_tokens=1_000_000,
        store=stores,
        attachments=FileAttachmentStore(tmp_path / "attachments"),
    )
    tries = Counter[str]()

    async def drive(name: str) -> None:
        session = await opened(name)
        for number in range(1, TURNS + 1):
            turn_id = f"{name}-{number}"
            while True:
                laws = ActivityLaws()
                tries[turn_id] += 1
                try:
                    result = await session.turn(f"turn {number}", turn_id=turn_id, sink=laws)
                except lash.StoreError:
                    laws.check(raised=True)
                    continue
                except lash.TurnError as error:
                    if error.code != "turn_commit_conflict":
                        raise
                    break  # its commit was done, and only the answer was lost
                laws.check()
                assert result.submitted_value() == number
                break
        await session.aclose()

    async def opened(name: str) -> lash.LashSession:
        while True:
            try:
                return await core.session(name, globals={"n": 0, "seen": []})
            except lash.StoreError:
                continue

    async with core:
        names = [f"s-{number}" for number in range(SESSIONS)]
        await asyncio.gather(*map(drive, names))
    assert faults.failed.total() > SESSIONS
    assert faults.failed["commit_runtime_state"], "no commit has failed"
    assert max(tries.values()) > 1
    plain = SqliteSessionStoreFactory(tmp_path / "sessions")
    steps = [block("submit { n: n, seen: seen }")] * SESSIONS
    async with core_with(*steps, store=plain, attachments=FileAttachmentStore(tmp_path / "attachments")) as again:
        for name in names:
            async with again.session(name) as session:
                view = session.read_view()
                assert said(session) == [f"turn {number}" for number in range(1, TURNS + 1)]
                assert (view.revision, view.turn_index) == (TURNS, TURNS)
                total = sum(range(1, TURNS + 1))
                assert view.token_usage == TokenUsage(1000 * total, total)
                value: Any = (await session.turn("And?")).submitted_value()
                assert value == {"n": TURNS, "seen": list(range(1, TURNS + 1))}


async def test_a_commit_that_fails_leaves_the_session_as_it_was(tmp_path: Path) -> None:
    failing = True

    async def tap(name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if name == "commit_runtime_state" and failing:
            raise StoreBackendError("no")
        return await call()

    knobs = stored(tmp_path) | {"store": TappedStores(SqliteSessionStoreFactory(tmp_path / "sessions"), tap)}
    async with core_with(block("submit 1"), block("submit 2"), **knobs) as core, core.session("s") as session:
        with pytest.raises(lash.StoreError):
            await session.turn("One.")
        assert said(session) == []
        failing = False
        assert (await session.turn("Two.")).revision == 1
        assert said(session) == ["Two."]


async def test_a_turn_whose_lease_is_taken_over_is_given_up_by_name(tmp_path: Path) -> None:
    knobs = {"lease": lash.LeaseTimings(ttl_s=0.15, renew_s=0.05), **stored(tmp_path)}
    async with core_with(Step([], HANG), block("submit 1"), **knobs) as core, core.session("s") as session:
        running = asyncio.ensure_future(session.turn("Go.").result())
        while not session.running:
            await asyncio.sleep(0.001)
        late = SqliteSessionStoreFactory(tmp_path / "sessions", clock=LaterClock())
        thief = await late.find_store("s")
        assert thief is not None
        claim = await thief.claim_lease(LeaseOwner("other", "one"), 1)
        assert isinstance(claim, LeaseClaim.Acquired)
        with pytest.raises(lash.SessionError) as lost:
            await running
        assert (lost.value.code, lost.value.retryable) == ("session_execution_lease_lost", True)
        await thief.release_lease(claim.lease.fence)
        await late.aclose()
        assert said(session) == []
        assert (await session.turn("Again.")).submitted_value() == 1


async def test_sinks_that_raise_or_are_slow_change_nothing_of_a_turn() -> None:
    class Raising:
        async def emit(self, activity: lash.TurnActivity) -> None:
            raise ValueError("no")

    class Slow:
        async def emit(self, activity: lash.TurnActivity) -> None:
            for _ in range(20):
                await asyncio.sleep(0)

    shapes: list[list[str]] = []
    for inner in (None, Raising(), Slow()):
        laws = ActivityLaws(inner)
        steps = [reply("Now.\n" + block("xs = parallel { 1, 2 }\nprint xs"), chunk=5), block("submit xs")]
        async with core_with(*steps) as core, core.session("s") as session:
            result = await session.turn("Go.", sink=laws)
            laws.check()
            assert result.submitted_value() == [1, 2]
            assert bool(result.errors) == isinstance(inner, Raising)
        shapes.append([type(one.event).__name__ for one in laws.seen])
    # A sink that raises is left out after a while.
    assert shapes[0] == shapes[2]
    assert shapes[1] == shapes[0][: len(shapes[1])]
    assert len(shapes[1]) == min(16, len(shapes[0]))
