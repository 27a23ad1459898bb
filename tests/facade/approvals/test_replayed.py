"""What is replayed round a question is what was: value, prints, fuel, history, also without model and tools."""

from __future__ import annotations

import shutil
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

import lash
from lash.durability import JournalEffectHost
from lash.modes.rlm.executor import RlmExecutor
from lash.runtime.sansio.values import to_json
from lash.testing.activities import check_activities
from tests.facade.approvals.support import TURN_ID, Till, desk, parked, program, suspended, told
from tests.facade.crash import timeless

WAVE = program(
    "rs = parallel {\n  a: call pay { amount: 1 }\n  b: call pay { amount: 2 }\n  c: call pay { amount: 3 }\n}\n"
    "print rs\nfor k in keys(rs) { print rs[k] }\nsubmit rs"
)
ANSWERS = {1: lash.Approve(), 2: lash.Deny("no"), 3: lash.Edit({"amount": 33})}


@pytest.fixture
def fuel(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The fuel of every block that came to its end."""
    used: list[int] = []
    run = RlmExecutor.run

    async def counted(self: RlmExecutor, *args: Any) -> Any:
        response = await run(self, *args)
        used.append(response.fuel)
        return response

    monkeypatch.setattr(RlmExecutor, "run", counted)
    return used


def history(session: lash.LashSession) -> list[Any]:
    """What is stored, durations left out."""
    return [timeless(to_json(event)) for event in session.read_view().active_events]


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
async def test_three_questions_answered_in_any_order_come_to_the_same(
    tmp_path: Path, order: tuple[int, ...], fuel: list[int]
) -> None:
    async def at_once(approval: lash.PendingApproval) -> Any:
        return ANSWERS[int(str(approval.args["amount"]))]

    async with desk(tmp_path / "inline", WAVE, effect_host=None, approve=at_once) as core, core.session("s") as session:
        wanted = (await session.turn("Go.", turn_id=TURN_ID)).submitted_value()
        expected = history(session)
    waiting = {int(str(one.args["amount"])): one for one in await parked(tmp_path, WAVE)}
    for number, amount in enumerate(order):
        async with desk(tmp_path) as core, core.session("s") as session:
            await core.answer_approval(waiting[amount].approval_id, ANSWERS[amount])
            turn = session.resume_turn(on_wait="park")
            if number < 2:
                left = await suspended(turn)
                assert sorted(str(one.args["amount"]) for one in left) == sorted(map(str, order[number + 1 :]))
            else:
                assert (await turn).submitted_value() == wanted
                assert history(session) == expected
    assert sorted(Till(tmp_path).paid) == [1, 33]
    assert fuel[0] == fuel[-1] > 0


async def test_a_suspended_loop_burns_the_fuel_of_one_that_was_not_suspended(tmp_path: Path, fuel: list[int]) -> None:
    code = program("t = 0\nfor n in range(0, 5) {\n  t = t + (call pay { amount: n })?\n  print t\n}\nsubmit t")

    async def allow(approval: lash.PendingApproval) -> lash.Approve:
        return lash.Approve()

    async with desk(tmp_path / "inline", code, effect_host=None, approve=allow) as core, core.session("s") as session:
        await session.turn("Go.")
    (asked,) = await parked(tmp_path, code)
    for number in range(5):
        async with desk(tmp_path) as core, core.session("s") as session:
            await core.answer_approval(asked.approval_id, lash.Approve())
            if number < 4:
                (asked,) = await suspended(session.resume_turn(on_wait="park"))
            else:
                assert (await session.resume_turn()).submitted_value() == 100
    assert fuel[0] == fuel[-1] > 0


async def test_a_recorded_run_with_questions_is_replayed_without_model_tools_and_people(tmp_path: Path) -> None:
    async def at_once(approval: lash.PendingApproval) -> Any:
        return ANSWERS[int(str(approval.args["amount"]))]

    recorded = JournalEffectHost(tmp_path / "journal.db", keep_hours=None)
    async with desk(tmp_path, WAVE, effect_host=recorded, approve=at_once) as core, core.session("s") as session:
        output = await session.turn("Go.", turn_id=TURN_ID).output()
        expected = history(session)
    (tmp_path / "again").mkdir()
    shutil.copy(tmp_path / "journal.db", tmp_path / "again" / "journal.db")
    strict = JournalEffectHost(tmp_path / "again" / "journal.db", replay="strict", keep_hours=None)
    async with desk(tmp_path / "again", effect_host=strict) as core, core.session("s") as session:
        again = await session.turn("Go.", turn_id=TURN_ID).output()
        assert history(session) == expected
    check_activities(again.activities)
    assert again.result.submitted_value() == output.result.submitted_value()
    each = [("approval_requested", True), ("approval_answered", True), ("tool_call_completed", True)]
    assert told(again.activities) == each * 3
    assert Till(tmp_path / "again").paid == []


async def test_answers_stand_in_the_way_of_no_recorded_outcome(tmp_path: Path) -> None:
    # While the first call waits for a person, the second one's question, answer and run are recorded.
    code = program("rs = parallel {\n  call pay { amount: 1 }\n  call pay { amount: 2 }\n}\nprint rs\nsubmit len(rs)")
    first, second = await parked(tmp_path, code)
    async with desk(tmp_path) as core, core.session("s") as session:
        await core.answer_approval(second.approval_id, lash.Approve())
        assert await suspended(session.resume_turn(on_wait="park")) == (first,)
    assert Till(tmp_path).paid == [2]
    async with desk(tmp_path) as core, core.session("s") as session:
        await core.answer_approval(first.approval_id, lash.Approve())
        output = await session.resume_turn().output()
    check_activities(output.activities)
    assert output.result.submitted_value() == 2
    assert Till(tmp_path).paid == [2, 1]
