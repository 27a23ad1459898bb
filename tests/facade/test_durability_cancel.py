"""A turn that is stopped at any moment: by its token it is committed as cancelled, by its task it leaves nothing."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import TurnFinish, TurnOutcome, TurnStop
from lash.durability import JournalEffectHost
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.runtime.sansio.messages import Message
from lash.runtime.seams.persistence import LeaseClaim, LeaseOwner
from lash.testing.activities import ActivityLaws
from lash.testing.scripted import ScriptedProvider, Step, reply
from tests.facade.crash_hosts import Tap, TappedStores

MOMENTS = int(os.environ.get("LASH_LONG_CANCELLATIONS", "30"))
"""How many moments are tried in each test; 200 in a long run."""

STEPS = 400
"""About how many turns of the event loop the turn takes."""


@lash.tool
async def add(n: int) -> int:
    """Add ten."""
    for _ in range(20):
        await asyncio.sleep(0)
    return n + 10


@lash.tool
def blocking(n: int) -> int:
    """The same in a thread."""
    return n


@lash.tool
async def fail() -> int:
    """Fail."""
    raise lash.ToolError("no luck")


def program(request: Any) -> Step:
    """Four programs, the last of which submits."""
    done = sum("step = " in str(message) for message in request.messages if message.role == "assistant")
    body = "rs = parallel { call add { n: 1 }, call blocking { n: 2 }, call fail {}, call add { n: 3 } }\nprint rs"
    code = f"step = {done}\n{body}" if done < 3 else "submit step"
    return reply(f"Thinking.\n```lashlang\n{code}\n```", chunk=7)


async def plainly(name: str, call: Callable[[], Awaitable[Any]]) -> Any:
    """A tap through which everything goes as it is."""
    return await call()


@asynccontextmanager
async def opened(
    folder: Path, *, durable: bool = False, tap: Tap = plainly
) -> AsyncGenerator[tuple[lash.LashCore, lash.LashSession]]:
    """A session whose next turns take a while."""
    core = lash.LashCore.rlm(
        provider=ScriptedProvider([program] * 10_000),
        model="m",
        max_context_tokens=10_000_000,
        tools=[add, blocking, fail],
        runtime=lash.RuntimeConfig(tool_cancel_ms=50, cancel_grace_s=2),
        effect_host=JournalEffectHost(folder / "journal.db") if durable else None,
        store=TappedStores(SqliteSessionStoreFactory(folder / "sessions"), tap),
        attachments=FileAttachmentStore(folder / "attachments"),
    )
    async with core, core.session("s") as session:
        yield core, session


async def some_steps(number: int) -> None:
    """Let the event loop turn so often."""
    for _ in range(number):
        await asyncio.sleep(0)


def is_resume_safe(messages: Any) -> bool:
    """Whether every native tool call has its one result behind it."""
    open_calls: list[str] = []
    for message in messages:
        assert isinstance(message, Message)
        for part in message.parts:
            if part.kind == "tool_call":
                open_calls.append(str(part.tool_call_id))
            elif part.kind == "tool_result":
                open_calls.remove(str(part.tool_call_id))
    return not open_calls


def open_files() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("durable", [False, True], ids=["inline", "journal"])
async def test_a_turn_that_is_cancelled_at_any_moment_is_committed_and_the_next_one_works(
    tmp_path: Path, durable: bool
) -> None:
    moments = random.Random(5)
    async with opened(tmp_path, durable=durable) as (_, session):
        await session.turn("First.")
        tasks, threads, files = len(asyncio.all_tasks()), threading.active_count(), open_files()
        stopped = 0
        for number in range(MOMENTS):
            laws = ActivityLaws()
            turn = session.turn("Go.", sink=laws, turn_id=f"t-{number}")
            running = asyncio.ensure_future(turn.result())
            await some_steps(moments.randrange(STEPS))
            turn.cancel("enough")
            result = await asyncio.wait_for(running, 20)
            laws.check()
            match result.outcome:
                case TurnOutcome.Stopped(stop=TurnStop.Cancelled(reason="enough")):
                    stopped += 1
                case TurnOutcome.Finished(finish=TurnFinish.SubmittedValue()):
                    pass
                case other:
                    pytest.fail(f"the turn ended as {other}")
            assert result.revision == number + 2
            assert is_resume_safe(session.read_view().messages)
        assert stopped
        last = await session.turn("And now?")
        assert isinstance(last.outcome, TurnOutcome.Finished)
        await some_steps(50)
        assert len(asyncio.all_tasks()) <= tasks
        assert threading.active_count() <= threads + 1, "a thread was left behind"
        assert open_files() <= files + 1, "a descriptor was left behind"


async def test_a_turn_whose_task_is_cancelled_leaves_nothing_unless_its_commit_was_sent(tmp_path: Path) -> None:
    moments = random.Random(6)
    sent = 0

    async def watched(name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        nonlocal sent
        sent += name == "commit_runtime_state"
        return await call()

    async with opened(tmp_path, tap=watched) as (core, session):
        await session.turn("First.")
        stores = SqliteSessionStoreFactory(tmp_path / "sessions")
        store = await stores.find_store("s")
        assert store is not None
        stopped = 0
        for number in range(MOMENTS):
            before, commits = session.read_view(), sent
            running = asyncio.ensure_future(session.turn("Go.", turn_id=f"t-{number}").result())
            await some_steps(moments.randrange(STEPS))
            running.cancel()
            await asyncio.wait([running])
            stopped += running.cancelled()
            claim = await store.claim_lease(LeaseOwner("other", "one"), 10_000)
            assert isinstance(claim, LeaseClaim.Acquired), "the lease was not given back"
            await store.release_lease(claim.lease.fence)
            kept = await store.load_session("active_path")
            assert kept is not None
            was_sent = sent > commits
            assert kept.head_revision == (before.revision or 0) + was_sent
            if was_sent:
                await session.turn("Look.")
            else:
                assert session.read_view().messages == before.messages
        assert stopped
        last = await session.turn("And now?")
        assert isinstance(last.outcome, TurnOutcome.Finished)
        assert core.stats().running_turns == 0
        await stores.aclose()


async def test_a_turn_whose_task_is_cancelled_under_a_journal_goes_on_where_it_was(tmp_path: Path) -> None:
    moments = random.Random(7)
    async with opened(tmp_path, durable=True) as (_, session):
        for number in range(max(MOMENTS // 3, 5)):
            turn_id, revision = f"t-{number}", session.read_view().revision or 0
            running = asyncio.ensure_future(session.turn("Go.", turn_id=turn_id).result())
            await some_steps(moments.randrange(5 * STEPS))
            running.cancel()
            await asyncio.wait([running])
            laws = ActivityLaws()
            try:
                result = await session.resume_turn(sink=laws)
            except lash.TurnError as error:
                # It had not begun, or was over.
                assert error.code == "no_suspended_turn"  # noqa: PT017 - either is right
                continue
            laws.check()
            assert result.turn_id == turn_id
            assert isinstance(result.outcome, TurnOutcome.Finished)
            assert result.revision == revision + 1


async def test_a_commit_that_was_sent_is_waited_for_when_the_task_is_cancelled(tmp_path: Path) -> None:
    held, reached, go = False, asyncio.Event(), asyncio.Event()

    async def hold(name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if held and name == "commit_runtime_state":
            reached.set()
            await go.wait()
        return await call()

    async with opened(tmp_path, tap=hold) as (_, session):
        await session.turn("First.")
        held = True
        running = asyncio.ensure_future(session.turn("Go.").result())
        await reached.wait()
        running.cancel()
        await some_steps(20)
        assert not running.done(), "the turn did not wait for its commit"
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        held = False
        assert (await session.turn("More.")).revision == 3
        assert [message.text() for message in session.read_view().messages] == ["First.", "Go.", "More."]
