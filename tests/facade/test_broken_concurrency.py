"""A session in several hands at once: two handles, two loops, closing it from within."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import LashSession, RuntimeConfig, SessionBusyError, SessionError, Turn, TurnActivity, TurnOutcome
from tests.facade.support import block, core_with, stored


class Gate:
    """A tool that says when it was called and waits until it may go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    @lash.tool
    async def wait(self) -> int:
        """Wait."""
        self.reached.set()
        await self.open.wait()
        return 1


WAITS = block("submit (call wait {})?")


@pytest.mark.parametrize("durable", [False, True])
async def test_a_second_handle_of_the_same_core_is_busy_while_the_first_runs_a_turn(
    tmp_path: Path, durable: bool
) -> None:
    gate, knobs = Gate(), stored(tmp_path) if durable else {}
    async with core_with(WAITS, block("submit 2"), tools=[gate], **knobs) as core:
        async with core.session("s") as one, core.session("s") as two, one.turn("Go.") as running:
            await gate.reached.wait()
            with pytest.raises(SessionBusyError) as busy:
                await two.turn("Go.")
            assert busy.value.code == "session_execution_busy"
            gate.open.set()
            assert (await running).submitted_value() == 1
            assert (await two.turn("Go.")).turn_index == 2


async def test_turns_of_two_handles_run_one_after_the_other() -> None:
    async with core_with(*[block("submit 1")] * 4) as core, core.session("s") as one, core.session("s") as two:
        results = await asyncio.gather(*(handle.turn("Go.", wait_if_busy=60) for handle in (one, two) * 2))
        assert sorted(result.turn_index for result in results) == [1, 2, 3, 4]


async def test_a_handle_can_be_closed_while_another_one_runs_a_turn() -> None:
    gate = Gate()
    async with core_with(WAITS, tools=[gate]) as core, core.session("s") as one, one.turn("Go.") as running:
        await gate.reached.wait()
        async with core.session("s"):
            pass
        assert running.state == "running"
        gate.open.set()
        assert (await running).submitted_value() == 1


class OnThird:
    """A sink that does something with the third activity."""

    def __init__(self, action: Callable[[], Awaitable[Any]]) -> None:
        self._action = action
        self._taken = 0

    async def emit(self, activity: TurnActivity) -> None:
        self._taken += 1
        if self._taken == 3:
            await self._action()


async def test_a_sink_that_closes_its_session_stops_the_turn_and_does_not_wait_for_it() -> None:
    async with core_with(block("print 1"), block("submit 1")) as core, core.session("s") as session:
        async with asyncio.timeout(10):
            result = await session.turn("Go.", sink=OnThird(session.aclose))
            assert isinstance(result.outcome, TurnOutcome.Stopped)
            await session.aclose()
        assert core.stats().open_sessions == 0


async def test_a_sink_that_waits_for_its_own_turn_is_told_so() -> None:
    async with core_with(block("print 1"), block("submit 1")) as core, core.session("s") as session:
        turns: list[Turn[Any]] = []

        async def wait() -> None:
            await turns[0]

        turns.append(session.turn("Go.", sink=OnThird(wait)))
        async with asyncio.timeout(10):
            result = await turns[0]
        assert result.submitted_value() == 1
        assert "turn_waits_for_itself" in result.errors[0].message


async def test_a_cancelled_error_out_of_a_sink_is_a_failure_of_the_sink() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    async with core_with(block("print 1"), block("submit 1")) as core, core.session("s") as session:
        result = await session.turn("Go.", sink=OnThird(give_up))
        assert result.submitted_value() == 1
        assert [issue.code for issue in result.errors] == ["sink_failed"]


async def test_a_session_whose_closing_was_cancelled_is_closed_all_the_same() -> None:
    gate = Gate()
    async with core_with(WAITS, tools=[gate]) as core:
        session = await core.session("s")
        turn = asyncio.ensure_future(session.turn("Go.").result())
        await gate.reached.wait()
        closing = asyncio.ensure_future(session.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert isinstance((await turn).outcome, TurnOutcome.Stopped)
        await session.aclose()
        assert core.stats().open_sessions == 0


async def test_a_tool_that_closes_its_session_leaves_it_closed() -> None:
    sessions: list[LashSession] = []

    @lash.tool
    async def close() -> None:
        """Close."""
        await sessions[0].aclose()

    quick = RuntimeConfig(tool_cancel_ms=1, cancel_grace_s=1)
    async with core_with(block("call close {}\nsubmit 1"), tools=[close], runtime=quick) as core:
        sessions.append(await core.session("s"))
        assert isinstance((await sessions[0].turn("Go.")).outcome, TurnOutcome.Stopped)
        await sessions[0].aclose()
        assert core.stats().open_sessions == 0


async def test_a_turn_that_was_made_before_its_session_was_closed_does_not_begin() -> None:
    async with core_with(block("submit 1")) as core:
        session = await core.session("s")
        turn = session.turn("Go.")
        await session.aclose()
        with pytest.raises(SessionError) as refused:
            await turn
        assert refused.value.code == "session_closed"


async def test_a_core_closes_the_rest_where_one_session_cannot_be_closed() -> None:
    core = core_with()
    broken, whole = await core.session("a"), await core.session("b")

    async def fail() -> None:
        raise OSError("gone")

    broken._session.plugins.aclose = fail  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(OSError, match="gone"):
        await core.aclose()
    with pytest.raises(SessionError):
        whole.turn("Go.")
    assert core.stats().open_sessions == 0


async def test_a_turn_whose_context_is_left_ends_though_its_iterator_is_full_and_the_iterator_ends_too() -> None:
    small = RuntimeConfig(iterator_queue=1)
    async with (
        core_with(block("print 1\nprint 2\nprint 3\nsubmit 1"), runtime=small) as core,
        core.session("s") as session,
    ):
        async with asyncio.timeout(10):
            async with session.turn("Go.") as turn:
                activities = aiter(turn)
                await anext(activities)
            assert turn.state == "done"
            assert [activity async for activity in activities] == []


async def test_a_cancelled_turn_ends_though_nobody_empties_its_iterator() -> None:
    quick = RuntimeConfig(iterator_queue=1, tool_cancel_ms=1, cancel_grace_s=0.01)
    async with (
        core_with(block("print 1\nprint 2\nprint 3\nsubmit 1"), runtime=quick) as core,
        core.session("s") as session,
    ):
        turn = session.turn("Go.")
        activities = aiter(turn)
        await anext(activities)
        turn.cancel()
        async with asyncio.timeout(10):
            assert isinstance((await turn).outcome, TurnOutcome.Stopped)
            left = [activity async for activity in activities]
        assert len(left) <= 1
