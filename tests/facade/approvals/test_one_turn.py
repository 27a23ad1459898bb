"""A session has one turn at a time, and one that is put aside is one: what can be done meanwhile, and the ways out."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import TurnOutcome, TurnStop
from lash.durability import JournalEffectHost
from lash.runtime.errors import EffectReplayMismatch
from lash.runtime.seams.effects import DurabilityTier
from lash.testing.activities import check_activities
from lash.testing.scripted import ScriptExhausted
from tests.facade.approvals.support import TURN_ID, Till, core_at, desk, parked, program, suspended, told
from tests.facade.support import said

PAY = program("x = (call look { n: 3 })?\nr = (call pay { amount: 7 })?\nprint r")
END = program("submit r")
CANCELLED = TurnOutcome.Stopped(TurnStop.Cancelled("enough", request_id="c-1", origin="ann"))


async def test_while_a_turn_is_suspended_nothing_else_is_stored_and_input_is_queued(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    async with desk(tmp_path, END, END) as core, core.session("s") as session:
        attempts: list[Any] = [
            lambda: session.turn("Another."),
            session.queued_turn,
            lambda: session.configure(lash.SessionSpec.new(max_turns=9)),
        ]
        for attempt in attempts:
            with pytest.raises(lash.SessionBusyError) as refused:
                await attempt()
            assert refused.value.code == "turn_suspended"
            for way in (TURN_ID, asked.approval_id, "answer_approval", "resume_turn", "request_cancel"):
                assert way in refused.value.message
        await session.queue("For later.", id="q")
        await core.answer_approval(asked.approval_id, lash.Approve())
        assert (await session.resume_turn()).submitted_value() == 70
        assert [one.state for one in await session.queued()] == ["deferred_next_turn"]
        await session.configure(lash.SessionSpec.new(max_turns=9))
        assert (await session.turn("Next.")).submitted_value() == 70
        assert said(session)[0] == "Go."


async def test_a_suspended_turn_holds_neither_lease_nor_session(tmp_path: Path) -> None:
    async with desk(tmp_path, PAY) as core, core.session("s") as session:
        await suspended(session.turn("Go.", on_wait="park"))
        assert core.stats().running_turns == 0
        assert not session.running
        # Another owner takes the session at once: nobody's lease has to lapse first.
        async with desk(tmp_path) as other, other.session("s") as elsewhere:
            assert await suspended(elsewhere.resume_turn(on_wait="park"))
        assert session.read_view().turn_index == 0
        assert said(session) == []


async def test_a_turn_that_nobody_has_to_be_waited_for_cannot_be_resumed(tmp_path: Path) -> None:
    async with desk(tmp_path) as core, core.session("s") as session:
        with pytest.raises(lash.TurnError) as nothing:
            await session.resume_turn()
        assert nothing.value.code == "no_suspended_turn"
    await parked(tmp_path, PAY)
    async with desk(tmp_path) as core, core.session("s") as session:
        with pytest.raises(lash.TurnError) as nothing:
            await session.resume_turn("t-other")
        assert nothing.value.code == "no_suspended_turn"
        assert await suspended(session.resume_turn(TURN_ID, on_wait="park"))


async def test_a_handle_that_has_not_heard_of_other_turns_resumes_what_another_process_has_suspended(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, END) as core, core.session("s") as session:
        async with desk(tmp_path, program("submit 1"), PAY) as other, other.session("s") as elsewhere:
            await elsewhere.turn("First.")
            (asked,) = await suspended(elsewhere.turn("Second.", turn_id=TURN_ID, on_wait="park"))
        assert session.read_view().turn_index == 0
        assert await suspended(session.resume_turn(on_wait="park")) == (asked,)
        await core.answer_approval(asked.approval_id, lash.Approve())
        assert (await session.resume_turn()).submitted_value() == 70
        assert session.read_view().turn_index == 2


async def test_a_turn_whose_first_input_was_refused_can_be_suspended_and_resumed(tmp_path: Path) -> None:
    async with desk(tmp_path, program("submit (call pay { amount: 7 })?")) as core, core.session("s") as session:
        assert isinstance((await session.turn(" ", turn_id=TURN_ID)).outcome, TurnOutcome.Stopped)
        (asked,) = await suspended(session.turn("Go.", turn_id=TURN_ID, on_wait="park"))
        await core.answer_approval(asked.approval_id, lash.Approve())
        assert (await session.resume_turn()).submitted_value() == 70
        assert said(session)[:1] == ["Go."]


async def test_a_turn_that_found_nothing_queued_looks_again_under_the_same_id(tmp_path: Path) -> None:
    async with desk(tmp_path, program("submit 5")) as core, core.session("s") as session:
        assert await session.queued_turn(turn_id=TURN_ID) is None
        await session.queue("Go.")
        result = await session.queued_turn(turn_id=TURN_ID)
        assert result is not None
        assert result.submitted_value() == 5


# --- cancelling ----------------------------------------------------------------------------------------


async def test_a_suspended_turn_that_is_cancelled_commits_what_it_did_on_the_next_drive(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    async with desk(tmp_path) as core:
        receipt = await core.request_cancel("s", TURN_ID, "c-1", origin="ann", reason="enough")
        assert receipt == lash.CancelReceipt("accepted", DurabilityTier.DURABLE)
        assert (await core.request_cancel("s", TURN_ID, "c-1")).status == "accepted"
        assert (await core.request_cancel("s", TURN_ID, "c-2")).status == "already_requested"
        assert await core.pending_approvals() == []
        with pytest.raises(lash.ApprovalError) as closed:
            await core.answer_approval(asked.approval_id, lash.Approve())
        assert closed.value.code == "approval_closed"
        assert closed.value.record is not None
        assert closed.value.record.state == "withdrawn"
    async with desk(tmp_path) as core, core.session("s") as session:
        with pytest.raises(lash.SessionBusyError, match="to be cancelled"):
            await session.turn("Another.")
        output = await session.resume_turn().output()
        assert output.result.outcome == CANCELLED
        assert output.result.revision == 1
        # What was done before is in the history; nothing new was begun, the model was not asked.
        assert [call.tool_name for call in output.result.tool_calls][:1] == ["look"]
        assert (await core.request_cancel("s", TURN_ID, "c-3")).status == "completion_won"
    check_activities(output.activities)
    assert told(output.activities, lash.TurnEvent.ApprovalAnswered) == [("approval_answered", False)]
    assert Till(tmp_path).paid == []
    async with desk(tmp_path, program("submit 5")) as core, core.session("s") as session:
        assert (await session.turn("Next.")).submitted_value() == 5


@pytest.mark.parametrize("recorded", ["", "llm_call", "prepare_turn"])
async def test_a_turn_that_cannot_be_repeated_any_more_can_still_be_cancelled(tmp_path: Path, recorded: str) -> None:
    await parked(tmp_path, PAY)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as file, file:
        changed = file.execute(
            "UPDATE effect_replay SET envelope_hash='other' WHERE replay_key LIKE ?", (f"%:{recorded}:%",)
        )
        assert bool(changed.rowcount) == bool(recorded)
        if not recorded:
            file.execute("UPDATE effect_replay SET replay_key='gone' WHERE completion=1")
    host = JournalEffectHost(tmp_path / "journal.db", order_timeout_s=0)
    async with desk(tmp_path, program("submit 5"), effect_host=host) as core, core.session("s") as session:
        with pytest.raises(EffectReplayMismatch):
            await session.resume_turn()
        await core.request_cancel("s", TURN_ID, "c-1", origin="ann", reason="enough")
        assert (await session.resume_turn()).outcome == CANCELLED
        assert (await session.turn("Next.")).submitted_value() == 5
    assert Till(tmp_path).paid == []


async def test_an_answered_turn_that_is_cancelled_before_it_is_resumed_runs_nothing(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    async with desk(tmp_path) as core, core.session("s") as session:
        await core.answer_approval(asked.approval_id, lash.Approve())
        assert (await core.request_cancel("s", TURN_ID, "c-1", origin="ann", reason="enough")).status == "accepted"
        output = await session.resume_turn().output()
        assert output.result.outcome == CANCELLED
    check_activities(output.activities)
    assert Till(tmp_path).paid == []


async def test_an_interrupted_turn_that_is_cancelled_keeps_what_was_recorded(tmp_path: Path) -> None:
    async with desk(tmp_path, program("r = (call look { n: 3 })?\nprint r")) as core, core.session("s") as session:
        with pytest.raises(ScriptExhausted):
            await session.turn("Go.", turn_id=TURN_ID)
        await core.request_cancel("s", TURN_ID, "c-1", origin="ann", reason="enough")
        result = await session.resume_turn()
        assert result.outcome == CANCELLED
        assert [call.tool_name for call in result.tool_calls] == ["look"]


async def test_a_turn_that_is_cancelled_while_it_waits_leaves_no_open_question(tmp_path: Path) -> None:
    async with desk(tmp_path, PAY) as core, core.session("s") as session:
        turn = session.turn("Go.", turn_id=TURN_ID, on_wait="block")
        task = asyncio.ensure_future(turn.output())
        while not await core.pending_approvals():
            await asyncio.sleep(0)
        turn.cancel("enough")
        output = await task
        assert output.result.outcome == TurnOutcome.Stopped(TurnStop.Cancelled("enough"))
        assert await core.pending_approvals() == []
    check_activities(output.activities)
    assert told(output.activities, lash.TurnEvent.ApprovalAnswered) == [("approval_answered", False)]


async def test_a_turn_that_waits_in_another_process_is_cancelled_there(tmp_path: Path) -> None:
    async with desk(tmp_path, PAY) as core, core.session("s") as session, desk(tmp_path) as other:
        task = asyncio.ensure_future(session.turn("Go.", turn_id=TURN_ID).output())
        while not await other.pending_approvals():
            await asyncio.sleep(0.01)
        assert (await other.request_cancel("s", TURN_ID, "c-1", origin="ann", reason="enough")).status == "accepted"
        output = await task
    assert output.result.outcome == CANCELLED
    check_activities(output.activities)
    assert Till(tmp_path).paid == []


async def test_a_turn_that_works_in_another_process_is_cancelled_there(tmp_path: Path) -> None:
    begun = asyncio.Event()

    @lash.tool
    async def work(ctx: lash.ToolContext) -> None:
        """Work until it is stopped."""
        begun.set()
        await ctx.cancel_token.wait()

    async with desk(tmp_path, program("call work {}"), tools=[work]) as core, core.session("s") as session:
        task = asyncio.ensure_future(session.turn("Go.", turn_id=TURN_ID).result())
        await begun.wait()
        async with desk(tmp_path) as other:
            assert (await other.request_cancel("s", TURN_ID, "c-1", origin="ann", reason="enough")).status == "accepted"
        assert (await task).outcome == CANCELLED


@pytest.mark.parametrize("durable", [True, False])
async def test_a_turn_of_the_same_core_is_cancelled_at_once(tmp_path: Path, durable: bool) -> None:
    begun = asyncio.Event()

    @lash.tool
    async def work(ctx: lash.ToolContext) -> None:
        """Work until it is stopped."""
        begun.set()
        await ctx.cancel_token.wait()

    knobs: dict[str, Any] = {"tools": [work]} if durable else {"tools": [work], "effect_host": None}
    tier = DurabilityTier.DURABLE if durable else DurabilityTier.INLINE
    async with desk(tmp_path, program("call work {}"), **knobs) as core, core.session("s") as session:
        assert (await core.request_cancel("s", TURN_ID, "c-0")).status == "not_active"
        turn = session.turn("Go.", turn_id=TURN_ID)
        task = asyncio.ensure_future(turn.result())
        await begun.wait()
        assert (await core.request_cancel("s", "t-other", "c-1")).status == "not_active"
        assert await core.request_cancel("s", TURN_ID, "c-1", origin="ann", reason="enough") == lash.CancelReceipt(
            "accepted", tier
        )
        assert (await core.request_cancel("s", TURN_ID, "c-2")).status == "already_requested"
        assert (await task).outcome == CANCELLED


async def test_deleting_a_session_withdraws_its_questions(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    async with desk(tmp_path, program("submit 1")) as core:
        assert await core.delete_session("s")
        assert await core.pending_approvals() == []
        with pytest.raises(lash.ApprovalError):
            await core.answer_approval(asked.approval_id, lash.Approve())
        async with core.session("s") as session:
            assert (await session.turn("Anew.", turn_id=TURN_ID)).submitted_value() == 1


# --- sync ----------------------------------------------------------------------------------------------


def test_scripts_suspend_answer_and_resume_without_await(tmp_path: Path) -> None:
    core = core_at(tmp_path, PAY, END)
    with core.session("s") as session:
        with pytest.raises(lash.TurnSuspended) as waits:
            session.turn("Go.", on_wait="park").result_sync()
        assert core.pending_approvals_sync("s") == list(waits.value.approvals)
        (asked,) = waits.value.approvals
        assert core.answer_approval_sync(asked.approval_id, lash.Approve(), by="me").answered_by == "me"
        assert session.resume_turn().result_sync().submitted_value() == 70
    core.loop.run(core.aclose)
