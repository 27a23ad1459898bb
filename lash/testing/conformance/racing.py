"""Cases of writers at the same time: tasks of one process, and processes."""

from __future__ import annotations

import asyncio

from lash.runtime.errors import HeadRevisionConflict
from lash.runtime.seams.persistence import LeaseClaim, LeaseOwner, RuntimeCommitResult
from lash.testing.conformance import children
from lash.testing.conformance.material import append_until_it_works, read_whole, turn_commit
from lash.testing.conformance.world import World, case, request


@case(4)
async def many_writers(world: World) -> None:
    """Writers that reload on every conflict all get through: a revision for each commit, each node and token once."""
    store = await world.store()
    writers, commits = world.size(8, 16), world.size(20, 100)

    async def write(writer: int) -> None:
        for number in range(commits):
            await append_until_it_works(store, f"w{writer}.{number}", on_branch=True)

    await asyncio.gather(*map(write, range(writers)))
    read = await read_whole(store)
    assert read.head_revision == writers * commits
    assert len({node.node_id for node in read.nodes}) == len(read.nodes) == 2 * writers * commits
    assert sum(entry.usage.input_tokens for entry in read.usage) == 10 * writers * commits


@case(5)
async def one_winner(world: World) -> None:
    """Of 16 writers with the same expectation one succeeds, and 15 are told of a conflict."""
    factory = world.factory()
    store = await factory.open_store(request())
    other = await world.again(factory).open_store(request())

    async def write(writer: int) -> RuntimeCommitResult | HeadRevisionConflict:
        try:
            return await (store, other)[writer % 2].commit_runtime_state(turn_commit(f"w{writer}", 1, None, None))
        except HeadRevisionConflict as error:
            return error

    outcomes = await asyncio.gather(*map(write, range(16)))
    assert sum(isinstance(outcome, RuntimeCommitResult) for outcome in outcomes) == 1
    assert (await read_whole(store)).node_count == 2


@case(6)
async def two_processes(world: World) -> None:
    """Two processes that write to the same session all get through."""
    factory = world.factory()
    store = await factory.open_store(request())
    opener, commits = world.killable(factory), world.size(40, 200)
    endings = await children.run(
        [children.Job(children.commit_many, (opener, world.clock.now_ms(), f"p{n}", commits)) for n in range(2)]
    )
    assert [ending.result for ending in endings] == [commits, commits], endings
    read = await read_whole(store)
    assert read.head_revision == 2 * commits
    assert read.node_count == len({node.node_id for node in read.nodes}) == 4 * commits
    active = await store.load_session("active_path")
    assert active is not None
    assert len(active.nodes) == 4 * commits, "a commit hangs on another head than the one it replaced"
    assert sum(entry.usage.input_tokens for entry in read.usage) == 20 * commits


@case(23)
async def first_claims(world: World) -> None:
    """Of 32 first claims at the same time one gets the lease, and the others are told who has it."""
    factory = world.factory()
    store = await factory.open_store(request())
    other = await world.again(factory).open_store(request())
    owners = [LeaseOwner("worker", f"life {number}") for number in range(32)]
    claims = await asyncio.gather(
        *((store, other)[number % 2].claim_lease(owner, 30_000) for number, owner in enumerate(owners))
    )
    [held] = [claim for claim in claims if isinstance(claim, LeaseClaim.Acquired)]
    busy = [claim for claim in claims if isinstance(claim, LeaseClaim.Busy)]
    assert {claim.holder for claim in busy} == {held.lease.fence.owner}
    assert len(busy) == 31
