"""What can be seen of a session without loading it: its newest commit, and who holds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lash.host.stores.memory import MemorySessionStoreFactory
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.runtime.seams.persistence import LeaseClaim, LeaseOwner, SessionStoreFactory
from lash.testing.clock import FakeClock
from lash.testing.conformance.material import play_turns
from lash.testing.conformance.world import request


@pytest.fixture(params=["memory", "sqlite"])
def clock_and_stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[FakeClock, SessionStoreFactory]:
    clock = FakeClock()
    if request.param == "memory":
        return clock, MemorySessionStoreFactory(clock=clock)
    return clock, SqliteSessionStoreFactory(tmp_path, clock=clock)


async def test_the_head_revision_is_the_number_of_the_newest_commit(
    clock_and_stores: tuple[FakeClock, SessionStoreFactory],
) -> None:
    _, stores = clock_and_stores
    store = await stores.open_store(request("s", "s"))
    assert await store.head_revision() is None
    await play_turns(store, 2, session_id="s")
    assert await store.head_revision() == 2
    await stores.aclose()


async def test_the_holder_of_a_session_is_seen_until_its_lease_is_over(
    clock_and_stores: tuple[FakeClock, SessionStoreFactory],
) -> None:
    clock, stores = clock_and_stores
    store = await stores.open_store(request("s", "s"))
    owner = LeaseOwner("worker", "one")
    assert await store.lease_holder() is None
    claim = await store.claim_lease(owner, 30_000)
    assert isinstance(claim, LeaseClaim.Acquired)
    assert await store.lease_holder() == LeaseClaim.Busy(owner, claim.lease.expires_ms)
    await store.release_lease(claim.lease.fence)
    assert await store.lease_holder() is None
    await store.claim_lease(owner, 30_000)
    await clock.advance(31)
    assert await store.lease_holder() is None
    await stores.aclose()
