"""Giving the lease of a session back: with the commit of a turn, or after it where nothing was committed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import lash
from lash.host.effects.journal import JournalEffectHost
from lash.host.stores.memory import MemorySessionStoreFactory
from lash.persistence import SqliteSessionStoreFactory
from lash.runtime.errors import SessionError, StoreBackendError
from lash.runtime.seams.persistence import (
    LeaseClaim,
    LeaseOwner,
    RuntimePersistence,
    SessionMeta,
    SessionRelation,
    SessionStoreCreateRequest,
)
from lash.runtime.turn.lane import LeaseTimings, SessionLane
from lash.testing.clock import FakeClock
from tests.facade.crash_hosts import TappedStores
from tests.facade.support import block, core_with, stored


class Calls:
    """Counts the calls of a store, and fails those commits that it is told to fail."""

    def __init__(self, *, before: bool = False, after: bool = False) -> None:
        self.counts = Counter[str]()
        self.before = before
        self.after = after

    async def tap(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self.counts[name] += 1
        if name == "commit_runtime_state" and self.before:
            raise StoreBackendError("failed before anything was done")
        result = await call()
        if name == "commit_runtime_state" and self.after:
            raise StoreBackendError("failed after it was done")
        return result


def knobs_of(folder: Path, calls: Calls) -> dict[str, Any]:
    return stored(folder) | {"store": TappedStores(SqliteSessionStoreFactory(folder / "sessions"), calls.tap)}


async def holder(folder: Path) -> LeaseClaim.Busy | None:
    """Who holds the session now."""
    factory = SqliteSessionStoreFactory(folder / "sessions")
    store = await factory.find_store("s")
    assert store is not None
    found = await store.lease_holder()
    await store.aclose()
    await factory.aclose()
    return found


async def test_the_commit_of_a_turn_gives_the_lease_back_with_it(tmp_path: Path) -> None:
    calls = Calls()
    async with core_with(block("submit 1"), **knobs_of(tmp_path, calls)) as core, core.session("s") as session:
        await session.turn("Go.")
        assert calls.counts["commit_runtime_state"] == 1
        assert calls.counts["release_lease"] == 0
        assert await holder(tmp_path) is None


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_a_commit_that_fails_leaves_nobody_holding_the_session(tmp_path: Path, fault: str) -> None:
    calls = Calls(**{fault: True})
    async with core_with(block("submit 1"), **knobs_of(tmp_path, calls)) as core, core.session("s") as session:
        with pytest.raises(StoreBackendError):
            await session.turn("Go.")
        assert calls.counts["release_lease"] == 1
        assert await holder(tmp_path) is None


async def test_a_turn_that_was_cancelled_with_its_task_gives_the_lease_back(tmp_path: Path) -> None:
    calls = Calls()
    reached = asyncio.Event()

    async def tool() -> None:
        """Waits."""
        reached.set()
        await asyncio.sleep(3600)

    steps = [block("(call tool {})?\nsubmit 1")]
    knobs = knobs_of(tmp_path, calls) | {"tools": [lash.tool(tool)]}
    async with core_with(*steps, **knobs) as core, core.session("s") as session:
        running = asyncio.ensure_future(session.turn("Go.").result())
        await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (calls.counts["commit_runtime_state"], calls.counts["release_lease"]) == (0, 1)
        assert await holder(tmp_path) is None


async def test_a_turn_is_sealed_in_the_journal_after_its_commit_gave_the_lease_back(tmp_path: Path) -> None:
    calls = Calls()
    knobs = knobs_of(tmp_path, calls) | {"effect_host": JournalEffectHost(tmp_path / "journal.db")}
    async with core_with(block("submit 1"), block("submit 2"), **knobs) as core, core.session("s") as session:
        await session.turn("Go.")
        # A turn that was not sealed would make the next one raise.
        assert (await session.turn("On.")).submitted_value() == 2
        assert calls.counts["release_lease"] == 0


# --- renewals --------------------------------------------------------------------------------------


async def memory_store() -> RuntimePersistence:
    meta = SessionMeta("s", "s", 0, SessionRelation.Root())
    return await MemorySessionStoreFactory().open_store(SessionStoreCreateRequest("s", meta))


def lane_over(store: RuntimePersistence, clock: FakeClock) -> SessionLane:
    return SessionLane("s", store, LeaseOwner("lash", "one"), LeaseTimings(30, 10), clock, asyncio.Lock())


async def test_a_renewal_that_comes_after_the_commit_does_not_stop_the_turn() -> None:
    store, clock = await memory_store(), FakeClock()
    done = False
    async with lane_over(store, clock).hold(0) as held:
        with held.giving_back():
            await store.release_lease(held.fence)
        await clock.advance(10)
        await asyncio.sleep(0)
        done = True
    assert done


async def test_a_renewal_that_finds_the_lease_lost_before_the_commit_stops_the_turn() -> None:
    store, clock = await memory_store(), FakeClock()

    async def turn() -> None:
        async with lane_over(store, clock).hold(0) as held:
            await store.release_lease(held.fence)
            await clock.advance(10)
            await asyncio.Event().wait()

    with pytest.raises(SessionError) as lost:
        await turn()
    assert lost.value.code == "session_execution_lease_lost"


async def test_the_lease_is_given_back_after_the_turn_where_the_commit_fails_that_should_have() -> None:
    store = await memory_store()

    async def turn() -> None:
        async with lane_over(store, FakeClock()).hold(0) as held:
            with held.giving_back():
                raise StoreBackendError("no")

    with pytest.raises(StoreBackendError):
        await turn()
    assert await store.lease_holder() is None
