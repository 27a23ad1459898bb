"""Turns that are put aside until a person has answered, and are driven on by whoever comes then."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

import lash
from lash.durability import ExecutionScope, JournalEffectHost
from lash.runtime.sansio.llm import Block
from lash.runtime.sansio.values import to_json
from lash.testing.activities import check_activities
from lash.testing.scripted import reply
from tests.facade.approvals.support import TURN_ID, Till, desk, parked, program, suspended, told
from tests.facade.crash import timeless
from tests.runtime.tools.support import failure

ROUNDS = int(os.environ.get("LASH_LONG_SUSPENSIONS", "40"))

PAY = program("r = (call pay { amount: 7 })?\nprint r")
END = program("submit r")


async def answer_all(folder: Path, approvals: Any, answer: Any = None) -> None:
    """Answer from another worker, the last question first."""
    async with desk(folder) as core:
        for one in reversed(approvals):
            await core.answer_approval(one.approval_id, answer or lash.Approve())


async def test_a_parked_turn_goes_on_in_another_process_when_it_is_answered(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    assert (asked.tool, asked.args, asked.round, asked.turn_id) == ("pay", {"amount": 7}, 1, TURN_ID)
    assert Till(tmp_path).paid == []
    async with desk(tmp_path) as core:
        assert await core.pending_approvals() == [asked]
        assert await core.pending_approvals("s") == [asked]
        assert await core.pending_approvals("other") == []
        record = await core.answer_approval(asked.approval_id, lash.Approve(), by="ann")
        assert (record.state, record.answer, record.answered_by) == ("answered", lash.Approve(), "ann")
        assert await core.pending_approvals() == []
    async with desk(tmp_path, END) as core, core.session("s") as session:
        turn = session.resume_turn()
        output = await turn.output()
        assert turn.state == "done"
        assert output.result.submitted_value() == 70
    check_activities(output.activities)
    assert told(output.activities) == [
        ("tool_call_started", False),
        ("approval_requested", True),
        ("approval_answered", False),
        ("tool_call_completed", False),
    ]
    assert Till(tmp_path).paid == [7]


async def test_who_is_asked_is_told_where_in_the_program_the_call_stands(tmp_path: Path) -> None:
    code = "for n in [1, 2] {\n  r = call pay { amount: n }\n}"
    (asked,) = await parked(tmp_path / "one", program(code))
    assert asked.position == (2, 7)
    twice = program("parallel {\n  call pay { amount: 1 }\n  call pay { amount: 2 }\n}")
    asked_twice = await parked(tmp_path / "two", twice)
    assert [one.position for one in asked_twice] == [None, None]
    async with desk(tmp_path / "one") as core:
        assert [one.position for one in await core.pending_approvals()] == [(2, 7)]


async def test_what_was_shown_before_a_turn_was_parked_keeps_to_the_laws(tmp_path: Path) -> None:
    shown: list[lash.TurnActivity] = []

    class Sink:
        async def emit(self, activity: lash.TurnActivity) -> None:
            shown.append(activity)

    async with desk(tmp_path, PAY) as core, core.session("s") as session:
        await suspended(session.turn("Go.", on_wait="park", sink=Sink()))
    check_activities(shown, raised=True)
    assert told(shown) == [("tool_call_started", False), ("approval_requested", False)]


async def test_the_questions_of_a_wave_are_all_open_before_it_is_parked(tmp_path: Path) -> None:
    branches = ("pay { amount: 1 }", "pay { amount: 2 }", "look { n: 5 }", "pay { amount: 3 }")
    code = "\n".join(["rs = parallel {", *(f"(call {one})?" for one in branches), "}", "print rs"])
    asked = await parked(tmp_path, program(code))
    assert [one.args["amount"] for one in asked] == [1, 2, 3]
    await answer_all(tmp_path, asked)
    async with desk(tmp_path, program("submit rs")) as core, core.session("s") as session:
        output = await session.resume_turn().output()
    check_activities(output.activities)
    assert output.result.submitted_value() == [10, 20, 5, 30]
    assert sorted(Till(tmp_path).paid) == [1, 2, 3]


async def test_a_turn_is_parked_only_when_its_program_can_go_no_further(tmp_path: Path) -> None:
    # The second branch goes on without the first: another call, much computing, a print, and a question of its own.
    code = (
        "parallel {\n  a = (call pay { amount: 1 })?\n  for once in [1] {\n    x = (call look { n: 4 })?\n    t = 0\n"
        "    for i in range(0, 300000) { t = t + i }\n    print t\n    y = (call look { n: x + 1 })?\n"
        "    b = (call pay { amount: y })?\n  }\n}\nsubmit [a, b]"
    )
    asked = await parked(tmp_path, program(code))
    assert [one.args["amount"] for one in asked] == [1, 5]
    await answer_all(tmp_path, asked)
    async with desk(tmp_path) as core, core.session("s") as session:
        assert (await session.resume_turn()).submitted_value() == [10, 50]


async def test_a_call_that_runs_is_waited_for_before_the_turn_is_parked(tmp_path: Path) -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    @lash.tool
    async def slow() -> str:
        """Take a while."""
        begun.set()
        await gate.wait()
        return "done"

    tools = [Till(tmp_path), slow]
    code = program("rs = parallel {\n  call pay { amount: 1 }\n  call slow {}\n}\nprint rs")
    async with desk(tmp_path, code, tools=tools) as core, core.session("s") as session:
        turn = session.turn("Go.", on_wait="park")
        task = asyncio.ensure_future(suspended(turn))
        await begun.wait()
        while not await core.pending_approvals():
            await asyncio.sleep(0)
        for _ in range(200):
            await asyncio.sleep(0)
        assert turn.state == "running"
        gate.set()
        (asked,) = await task
        await core.answer_approval(asked.approval_id, lash.Approve())
    async with desk(tmp_path, program("submit rs"), tools=[Till(tmp_path), slow]) as core, core.session("s") as session:
        result = await session.resume_turn()
    assert [call.tool_name for call in result.tool_calls] == ["pay", "slow"]


async def test_a_print_that_is_still_being_shown_keeps_a_turn_from_being_parked(tmp_path: Path) -> None:
    shown, go_on = asyncio.Event(), asyncio.Event()

    class Slow:
        async def emit(self, activity: lash.TurnActivity) -> None:
            if isinstance(activity.event, lash.TurnEvent.CodeOutput):
                shown.set()
                await go_on.wait()

    looks = "for n in [1, 2, 3] { x = call look { n: n } }"
    code = program(f"parallel {{\n  a = call pay {{ amount: 1 }}\n  {looks}\n  print 5\n}}")
    async with desk(tmp_path, code) as core, core.session("s") as session:
        turn = session.turn("Go.", on_wait="park", sink=Slow())
        task = asyncio.ensure_future(suspended(turn))
        await shown.wait()
        for _ in range(300):
            await asyncio.sleep(0)
        assert turn.state == "running"
        go_on.set()
        assert len(await task) == 1


async def test_a_serial_call_behind_a_question_does_not_keep_the_turn_from_being_parked(tmp_path: Path) -> None:
    @lash.tool(execution_mode="serial")
    async def alone(n: int) -> int:
        """Run alone."""
        return n

    tools = [Till(tmp_path), alone]
    code = program("rs = parallel {\n  call alone { n: 1 }\n  call pay { amount: 1 }\n}\nprint rs")
    (asked,) = await parked(tmp_path, code, tools=tools)
    await answer_all(tmp_path, [asked])
    async with desk(tmp_path, program("submit len(rs)"), tools=tools) as core, core.session("s") as session:
        assert (await session.resume_turn()).submitted_value() == 2


@pytest.mark.parametrize("answered", [0, 1])
async def test_a_turn_that_is_resumed_too_early_is_parked_again(tmp_path: Path, answered: int) -> None:
    asked = await parked(
        tmp_path, program("rs = parallel {\n  call pay { amount: 1 }\n  call pay { amount: 2 }\n}\nprint rs")
    )
    await answer_all(tmp_path, asked[:answered])
    async with desk(tmp_path) as core, core.session("s") as session:
        again = await suspended(session.resume_turn(on_wait="park"))
    assert list(again) == list(asked[answered:])
    assert Till(tmp_path).paid == [1, 2][:answered]
    await answer_all(tmp_path, again)
    async with desk(tmp_path, program("submit len(rs)")) as core, core.session("s") as session:
        assert (await session.resume_turn()).submitted_value() == 2
    assert Till(tmp_path).paid == [1, 2]


async def test_a_turn_that_is_resumed_too_early_waits_and_hears_of_the_answer(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    async with desk(tmp_path, program("submit 1")) as core, core.session("s") as session, desk(tmp_path) as other:
        turn = session.resume_turn()
        task = asyncio.ensure_future(turn.result())
        while session.running is False:
            await asyncio.sleep(0)
        await other.answer_approval(asked.approval_id, lash.Deny("not today"))
        result = await task
    assert isinstance(result.outcome, lash.TurnOutcome.Finished)
    assert [failure(call)[2] for call in result.tool_calls] == ["denied by the user: not today"]


async def test_a_turn_that_is_suspended_again_and_again_comes_to_the_same_end(tmp_path: Path) -> None:
    rounds = ROUNDS
    code = (
        f"total = 0\nfor n in range(0, {rounds}) {{\n  r = call pay {{ amount: n }}\n"
        '  if r.ok { total = total + r.value } else { total = total - 1 }\n  print format("{}: {}", n, total)\n}\n'
        "submit total"
    )
    answers = [lash.Approve(), lash.Deny("no"), lash.Edit({"amount": 1000})]

    async def inline(approval: lash.PendingApproval) -> Any:
        return answers[int(str(approval.args["amount"])) % 3]

    async with desk(tmp_path / "inline", program(code), approve=inline) as core, core.session("s") as session:
        wanted = (await session.turn("Go.", turn_id=TURN_ID)).submitted_value()
        history = history_of(session)
    approvals = await parked(tmp_path, program(code))
    for number in range(rounds):
        async with desk(tmp_path) as core, core.session("s") as session:
            (asked,) = approvals
            assert asked.args == {"amount": number}
            await core.answer_approval(asked.approval_id, answers[number % 3])
            if number < rounds - 1:
                approvals = await suspended(session.resume_turn(on_wait="park"))
            else:
                assert (await session.resume_turn(on_wait="park")).submitted_value() == wanted
                assert history_of(session) == history
    assert Till(tmp_path).paid == [1000 if n % 3 == 2 else n for n in range(rounds) if n % 3 != 1]


def history_of(session: lash.LashSession) -> list[Any]:
    """What is stored of a session's turns, durations left out: programs, prints, fuel and all."""
    return [timeless(to_json(event)) for event in session.read_view().active_events]


# --- standard mode -----------------------------------------------------------------------------------


def calls(*made: tuple[str, str]) -> Any:
    """A reply that makes these tool calls."""
    return reply(tool_calls=[Block.ToolCall(f"call-{at}", tool, args) for at, (tool, args) in enumerate(made)])


async def test_a_turn_of_standard_mode_is_parked_and_resumed(tmp_path: Path) -> None:
    step = calls(("pay", '{"amount": 1}'), ("look", '{"n": 2}'), ("pay", '{"amount": 3}'))
    asked = await parked(tmp_path, step, mode="standard")
    assert [one.args["amount"] for one in asked] == [1, 3]
    async with desk(tmp_path) as core:
        await core.answer_approval(asked[1].approval_id, lash.Edit({"amount": 30}))
        await core.answer_approval(asked[0].approval_id, lash.Deny("no"))
    async with desk(tmp_path, "Done.", mode="standard") as core, core.session("s") as session:
        output = await session.resume_turn().output()
    check_activities(output.activities)
    first, second, third = output.result.tool_calls
    assert first.model_return.endswith("denied by the user: no")
    assert (second.model_return, third.model_return) == ("2", "300\narguments were edited by the user")
    assert Till(tmp_path).paid == [30]


async def test_the_entries_of_a_batch_are_asked_about_one_by_one(tmp_path: Path) -> None:
    entries = (
        '{"tool_calls": [{"tool": "pay", "parameters": {"amount": 1}}, {"tool": "pay", "parameters": {"amount": 2}}]}'
    )
    knobs: dict[str, Any] = {"mode": "standard"}
    asked = await parked(tmp_path, calls(("batch", entries)), **knobs)
    assert [one.args["amount"] for one in asked] == [1, 2]
    await answer_all(tmp_path, asked)
    async with desk(tmp_path, "Done.", **knobs) as core, core.session("s") as session:
        assert len((await session.resume_turn()).tool_calls) == 2
    assert sorted(Till(tmp_path).paid) == [1, 2]


async def test_calls_that_need_nobody_run_while_a_limited_batch_waits(tmp_path: Path) -> None:
    step = calls(("pay", '{"amount": 1}'), ("look", '{"n": 2}'), ("pay", '{"amount": 3}'))
    runtime = lash.RuntimeConfig(max_parallel_tools=1)
    asked = await parked(tmp_path, step, mode="standard", runtime=runtime)
    assert [one.args["amount"] for one in asked] == [1, 3]


async def test_a_limited_batch_is_resumed_whatever_of_it_was_recorded(tmp_path: Path) -> None:
    # The first call is not recorded, and waits until what is recorded has been gone through: that must not wait for it.
    runtime = lash.RuntimeConfig(max_parallel_tools=1)
    knobs: dict[str, Any] = {"mode": "standard", "runtime": runtime}
    first, second = await parked(tmp_path, calls(("pay", '{"amount": 1}'), ("pay", '{"amount": 3}')), **knobs)
    async with desk(tmp_path, **knobs) as core, core.session("s") as session:
        await core.answer_approval(second.approval_id, lash.Approve())
        assert await suspended(session.resume_turn(on_wait="park")) == (first,)
        await core.answer_approval(first.approval_id, lash.Approve())
    async with desk(tmp_path, "Done.", **knobs) as core, core.session("s") as session:
        assert [call.model_return for call in (await session.resume_turn()).tool_calls] == ["10", "30"]
    assert Till(tmp_path).paid == [3, 1]


# --- where a turn cannot be parked ---------------------------------------------------------------------


async def test_without_a_journal_a_turn_cannot_be_parked(tmp_path: Path) -> None:
    async with desk(tmp_path, PAY, effect_host=None) as core, core.session("s") as session:
        with pytest.raises(lash.TurnError, match="JournalEffectHost") as refused:
            await session.turn("Go.", on_wait="park")
        assert refused.value.code == "contradictory_options"
        with pytest.raises(lash.TurnError, match='"block" or "park"'):
            session.turn("Go.", on_wait="wait")  # type: ignore[arg-type]  # pyright: ignore


async def test_a_turn_that_asks_nobody_is_not_parked(tmp_path: Path) -> None:
    async with desk(tmp_path, program("submit (call look { n: 3 })?")) as core, core.session("s") as session:
        assert (await session.turn("Go.", on_wait="park")).submitted_value() == 3


async def test_a_callback_is_asked_before_a_turn_is_parked(tmp_path: Path) -> None:
    async def allow(approval: lash.PendingApproval) -> lash.Approve:
        return lash.Approve()

    async with desk(tmp_path, PAY, END, approve=allow) as core, core.session("s") as session:
        assert (await session.turn("Go.", on_wait="park")).submitted_value() == 70


async def test_with_a_controller_of_its_own_a_turn_cannot_be_parked(tmp_path: Path) -> None:
    host = JournalEffectHost(tmp_path / "own.db")
    async with desk(tmp_path, PAY) as core, core.session("s") as session:
        async with host.scoped(ExecutionScope("turn", "s", "t")) as controller:
            with pytest.raises(lash.TurnError, match="no `effects` of the turn's own"):
                await session.turn("Go.", turn_id="t", effects=controller, on_wait="park")
    await host.aclose()


async def to_the_end(turn: lash.Turn[Any], seen: list[str]) -> None:
    """Iterate over a turn's activities."""
    async for activity in turn:
        assert turn.state == "running"
        seen.append(activity.event.type)


async def test_who_iterates_over_a_turn_hears_that_it_is_suspended(tmp_path: Path) -> None:
    seen: list[str] = []
    async with desk(tmp_path, PAY) as core, core.session("s") as session:
        turn = session.turn("Go.", on_wait="park")
        assert turn.state == "new"
        with pytest.raises(lash.TurnSuspended):
            await to_the_end(turn, seen)
        assert turn.state == "suspended"
        with pytest.raises(lash.TurnSuspended):
            await turn
    assert seen[-2:] == ["tool_call_started", "approval_requested"]


async def test_a_resumption_that_cannot_begin_leaves_the_turn_as_it_was(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    async with desk(tmp_path, END) as core, core.session("s") as session:
        with pytest.raises(lash.TurnError):
            await session.resume_turn(projected={"not a name": 1})
        assert await core.pending_approvals() == [asked]
        await core.answer_approval(asked.approval_id, lash.Approve())
        assert (await session.resume_turn()).submitted_value() == 70


async def test_a_turn_whose_tool_is_not_there_is_resumed_when_it_is_back(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    async with desk(tmp_path, tools=[]) as core, core.session("s") as session:
        await core.answer_approval(asked.approval_id, lash.Approve())
        with pytest.raises(lash.EffectError, match="are its input, model, prompts, tools, plugins and options") as gone:
            await session.resume_turn()
        assert gone.value.code == "effect_replay_mismatch"
    async with desk(tmp_path, END) as core, core.session("s") as session:
        assert (await session.resume_turn()).submitted_value() == 70


async def test_an_answer_that_comes_while_a_turn_is_put_aside_is_not_lost(tmp_path: Path) -> None:
    class Hasty(JournalEffectHost):
        """A journal whose questions are answered at the last moment."""

        tried = 0

        async def suspend_turn(self, scope: ExecutionScope, waiting: Any) -> Any:
            self.tried += 1
            other = JournalEffectHost(tmp_path / "journal.db")
            for name in waiting:
                await other.answer_approval(name, lash.Approve())
            await other.aclose()
            return await super().suspend_turn(scope, waiting)

    host = Hasty(tmp_path / "journal.db")
    async with desk(tmp_path, PAY, END, effect_host=host) as core, core.session("s") as session:
        output = await session.turn("Go.", on_wait="park").output()
    check_activities(output.activities)
    assert output.result.submitted_value() == 70
    assert host.tried >= 1
    assert Till(tmp_path).paid == [7]


async def test_a_turn_that_is_cancelled_while_it_is_put_aside_is_cancelled(tmp_path: Path) -> None:
    class Slow(JournalEffectHost):
        """A journal in which somebody stops a turn while it is put aside."""

        async def suspend_turn(self, scope: ExecutionScope, waiting: Any) -> Any:
            found = await super().suspend_turn(scope, waiting)
            turn.cancel("enough")
            for _ in range(5):
                await asyncio.sleep(0)
            return found

    async with desk(tmp_path, PAY, effect_host=Slow(tmp_path / "journal.db")) as core, core.session("s") as session:
        turn = session.turn("Go.", on_wait="park")
        assert (await turn).outcome == lash.TurnOutcome.Stopped(lash.TurnStop.Cancelled("enough"))
        assert await core.pending_approvals() == []
        with pytest.raises(lash.TurnError):
            await session.resume_turn()


async def test_an_answer_that_comes_when_a_turn_has_been_put_aside_begins_nothing(tmp_path: Path) -> None:
    class Prompt(JournalEffectHost):
        """A journal whose questions are answered as soon as their turn is put aside."""

        async def suspend_turn(self, scope: ExecutionScope, waiting: Any) -> Any:
            found = await super().suspend_turn(scope, waiting)
            for name in waiting:
                await self.answer_approval(name, lash.Approve())
            for _ in range(200):
                await asyncio.sleep(0)
            return found

    async with desk(tmp_path, PAY, effect_host=Prompt(tmp_path / "journal.db")) as core, core.session("s") as session:
        await suspended(session.turn("Go.", on_wait="park"))
        assert Till(tmp_path).paid == []
    async with desk(tmp_path, END) as core, core.session("s") as session:
        assert (await session.resume_turn()).submitted_value() == 70
    assert Till(tmp_path).paid == [7]
