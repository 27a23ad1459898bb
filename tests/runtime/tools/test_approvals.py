"""Calls that need a person's yes: every answer, every way not to answer, and who is asked when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lash.host.effects.journal import JournalEffectHost
from lash.runtime.sansio.activity import PendingApproval, TurnEvent
from lash.runtime.sansio.tools import ToolOutput
from lash.runtime.seams.effects import EffectEnvelope, EffectOutcome, LocalExecutor
from lash.runtime.tools.approvals import ApprovalDesk, Approve, Deny, Edit, approval_id
from lash.runtime.tools.attempts import ToolLimits
from lash.runtime.tools.context import ToolContext
from lash.runtime.tools.decorator import Tool, tool
from lash.runtime.tools.definition import ApprovalCheck
from lash.testing.clock import FakeClock, SequentialIds, settle
from tests.runtime.tools.support import Bench, bench, failure, value


class Till:
    """A tool that needs approval, what it was run with, and what was asked."""

    def __init__(self, answer: Any = None, needs: Any = True, **options: Any) -> None:
        self.ran: list[int] = []
        self.asked: list[PendingApproval] = []
        self._answer = answer

        @tool(name="pay", needs_approval=needs, **options)
        async def pay(amount: int) -> str:
            self.ran.append(amount)
            return f"paid {amount}"

        self.tool: Tool[..., Any] = pay

    async def ask(self, approval: PendingApproval) -> Any:
        self.asked.append(approval)
        assert self.ran == []
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    @property
    def desk(self) -> ApprovalDesk:
        return ApprovalDesk(self.ask)


def answers(on: Bench) -> list[tuple[str, str | None]]:
    return [(event.answer, event.reason) for event, _ in on.shown if isinstance(event, TurnEvent.ApprovalAnswered)]


async def test_an_approved_call_runs_with_the_arguments_as_asked() -> None:
    till = Till(Approve())
    async with bench([till.tool], desk=till.desk) as on:
        assert value(await on.call("pay", {"amount": 5})) == "paid 5"
        assert on.types() == [
            "tool_call_started",
            "approval_requested",
            "approval_answered",
            "tool_call_completed",
        ]
        (asked,) = till.asked
        assert (asked.tool, asked.args, asked.reason, asked.round) == ("pay", {"amount": 5}, None, 1)
        assert asked.approval_id == approval_id("s:t:0:0:tool_call:1:c1", 1)
        assert asked.approval_id.startswith("ap:")
        assert asked.expires_ms == asked.requested_ms + 3_600_000
        assert {row for _, row in on.shown} == {"tool:c1"}


async def test_edited_arguments_are_what_runs_and_what_is_recorded() -> None:
    till = Till(Edit({"amount": 3}))
    async with bench([till.tool], desk=till.desk) as on:
        called = await on.call("pay", {"amount": 5})
        assert value(called) == "paid 3"
        assert called.args == {"amount": 3}
        assert called.model_return == "paid 3\narguments were edited by the user"


async def test_edited_arguments_that_do_not_fit_are_a_denial() -> None:
    till = Till(Edit({"amount": "all"}))
    async with bench([till.tool], desk=till.desk) as on:
        assert failure(await on.call("pay", {"amount": 5}))[:2] == ("permission_denied", "approval_invalid_edit")
        assert till.ran == []


async def test_a_denied_call_does_not_run_and_says_why() -> None:
    till = Till(Deny("too much"))
    async with bench([till.tool], desk=till.desk) as on:
        called = await on.call("pay", {"amount": 5})
        assert failure(called) == ("permission_denied", "approval_denied", "denied by the user: too much")
        assert isinstance(called.output, ToolOutput.Failure)
        assert called.output.failure.source == "policy"
        assert answers(on) == [("deny", "too much")]
        assert till.ran == []


async def test_a_question_that_nobody_answers_is_denied_after_its_time() -> None:
    async def never(_: PendingApproval) -> Any:
        await asyncio.Event().wait()

    till = Till()
    async with bench([till.tool], desk=ApprovalDesk(never)) as on:
        called = await on.clock.run(on.call("pay", {"amount": 5}))
        assert failure(called) == ("permission_denied", "approval_timeout", "nobody answered within 3600 s")
        assert on.clock.monotonic() == 3600
        assert answers(on) == [("timeout", None)]


async def test_where_nobody_can_be_asked_the_call_is_denied_at_once() -> None:
    till = Till()
    async with bench([till.tool]) as on:
        assert failure(await on.call("pay", {"amount": 5})) == (
            "permission_denied",
            "approval_unavailable",
            "pay needs approval and nobody can be asked: pass approve=... to LashCore, core.session or session.turn",
        )
        assert on.types() == ["tool_call_started", "tool_call_completed"]


@pytest.mark.parametrize("answer", [ValueError("broken"), "yes", None])
async def test_a_callback_that_fails_is_a_denial(answer: Any) -> None:
    till = Till(answer)
    async with bench([till.tool], desk=till.desk) as on:
        assert failure(await on.call("pay", {"amount": 5}))[1] == "approval_callback_failed"
        assert till.ran == []


Check = Callable[[dict[str, Any], ToolContext], bool | str]


def plain(check: Check) -> Check:
    return check


def asynchronous(check: Check) -> Callable[[dict[str, Any], ToolContext], Awaitable[bool | str]]:
    async def checked(args: dict[str, Any], ctx: ToolContext) -> bool | str:
        return check(args, ctx)

    return checked


@pytest.mark.parametrize("wrap", [plain, asynchronous])
async def test_a_check_decides_by_the_arguments_and_gives_the_reason(wrap: Callable[[Check], ApprovalCheck]) -> None:
    def check(args: dict[str, Any], ctx: ToolContext) -> bool | str:
        assert ctx.tool_call_id == "c1"
        return f"{args['amount']} is a lot" if args["amount"] > 9 else False

    till = Till(Approve(), wrap(check))
    async with bench([till.tool], desk=till.desk) as on:
        await on.call("pay", {"amount": 50})
        assert [one.reason for one in till.asked] == ["50 is a lot"]
        await on.call("pay", {"amount": 5})
        assert len(till.asked) == 1
        assert till.ran == [50, 5]


async def test_a_check_that_raises_or_hangs_fails_the_call() -> None:
    def broken(args: dict[str, Any], ctx: ToolContext) -> bool:
        raise KeyError("limit")

    async def hangs(args: dict[str, Any], ctx: ToolContext) -> bool:
        await asyncio.Event().wait()
        return True

    for check in (broken, hangs):
        till = Till(Approve(), check)
        async with bench([till.tool], desk=till.desk) as on:
            called = await on.clock.run(on.call("pay", {"amount": 5}))
            assert failure(called)[:2] == ("internal", "approval_check_failed")
            assert till.ran == []


async def test_arguments_are_checked_before_anybody_is_asked() -> None:
    till = Till(Approve())
    async with bench([till.tool], desk=till.desk) as on:
        assert failure(await on.call("pay", {"amount": "x"}))[1] == "invalid_tool_args"
        assert till.asked == []


async def test_calls_without_approval_run_while_others_wait_and_questions_come_one_at_a_time_in_call_order() -> None:
    gates = {5: asyncio.Event(), 7: asyncio.Event()}
    asked: list[int] = []
    looked: list[str] = []

    async def ask(approval: PendingApproval) -> Approve:
        amount = approval.args["amount"]
        assert isinstance(amount, int)
        asked.append(amount)
        await gates[amount].wait()
        return Approve()

    @tool
    async def look() -> None:
        looked.append("seen")

    till = Till(needs=asynchronous(lambda args, _: True))
    async with bench([till.tool, look], desk=ApprovalDesk(ask)) as on:
        task = asyncio.create_task(on.batch(("pay", {"amount": 5}), ("look", {}), ("pay", {"amount": 7})))
        await settle()
        assert (asked, looked) == ([5], ["seen"])
        gates[5].set()
        await settle()
        assert asked == [5, 7]
        assert till.ran == [5]
        gates[7].set()
        assert [one.succeeded for one in await task] == [True, True, True]


async def test_waiting_for_an_answer_does_not_count_for_the_tools_deadline() -> None:
    clock = FakeClock()

    async def slow(_: PendingApproval) -> Approve:
        await clock.sleep(1000)
        return Approve()

    till = Till()
    async with bench([till.tool], desk=ApprovalDesk(slow), clock=clock) as on:
        assert value(await clock.run(on.call("pay", {"amount": 5}))) == "paid 5"


async def test_cancelling_the_turn_withdraws_questions_and_cancels_their_calls() -> None:
    async def never(_: PendingApproval) -> Any:
        await asyncio.Event().wait()

    till = Till()
    async with bench([till.tool], desk=ApprovalDesk(never)) as on:
        task = asyncio.create_task(on.batch(("pay", {"amount": 5}), ("pay", {"amount": 6})))
        await settle()
        on.token.cancel()
        await settle()
        assert [one.output for one in await task] == [ToolOutput.Cancelled("tool call cancelled")] * 2
        assert answers(on) == [("withdrawn", None)]
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_answer_without_time_limit_may_take_for_ever() -> None:
    async def never(_: PendingApproval) -> Any:
        await asyncio.Event().wait()

    till = Till()
    async with bench([till.tool], desk=ApprovalDesk(never), limits=ToolLimits(approval_timeout_s=None)) as on:
        task = asyncio.create_task(on.call("pay", {"amount": 5}))
        await on.clock.advance(10_000_000)
        assert not task.done()
        on.token.cancel()
        await task


# --- durable -------------------------------------------------------------------------------------


class Interrupted:
    """An effect host that finds the first run of the tool begun and not recorded."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.commands: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def execute(self, envelope: EffectEnvelope, local: LocalExecutor) -> EffectOutcome:
        self.commands.append((envelope.invocation.kind, envelope.invocation.suffix, envelope.repeatable))
        if envelope.invocation.kind == "tool_call" and envelope.invocation.suffix == ("c1",):
            return EffectOutcome(None, interrupted=True, replayed=True)
        return await self._inner.execute(envelope, local)


async def test_a_run_that_may_have_happened_is_asked_about_again() -> None:
    till = Till(Approve())
    async with bench([till.tool], desk=till.desk) as on:
        host = Interrupted(on.dispatcher.controller)
        on.dispatcher.controller = host  # type: ignore[assignment]
        assert value(await on.call("pay", {"amount": 5})) == "paid 5"
        assert [one.round for one in till.asked] == [1, 2]
        assert "may already have happened" in (till.asked[1].reason or "")
        assert till.asked[0].approval_id != till.asked[1].approval_id
        assert host.commands == [
            ("tool_ask", ("c1", "ask"), True),
            ("tool_call", ("c1",), False),
            ("tool_ask", ("c1", "ask", "2"), True),
            ("tool_call", ("c1", "2"), False),
        ]


async def test_a_round_after_an_edit_shows_the_edited_arguments_and_the_model_hears_of_them() -> None:
    answers_in_turn = [Edit({"amount": 3}), Approve()]

    async def ask(approval: PendingApproval) -> Any:
        shown.append(approval.args)
        return answers_in_turn.pop(0)

    shown: list[Any] = []
    till = Till()
    async with bench([till.tool], desk=ApprovalDesk(ask)) as on:
        on.dispatcher.controller = Interrupted(on.dispatcher.controller)  # type: ignore[assignment]
        called = await on.call("pay", {"amount": 5})
        assert shown == [{"amount": 5}, {"amount": 3}]
        assert called.model_return == "paid 3\narguments were edited by the user"


async def test_a_tool_that_changes_nothing_may_be_run_again_silently() -> None:
    till = Till(Approve(), mutates=False)
    async with bench([till.tool], desk=till.desk) as on:
        host = Interrupted(on.dispatcher.controller)
        on.dispatcher.controller = host  # type: ignore[assignment]
        await on.call("pay", {"amount": 5})
        assert host.commands[1] == ("tool_call", ("c1",), True)


async def test_a_durable_host_needs_no_callback_and_repeats_neither_question_nor_run(tmp_path: Path) -> None:
    clock = FakeClock()
    host = JournalEffectHost(tmp_path / "journal.db", clock=clock, ids=SequentialIds())
    try:
        till = Till(needs=lambda args, ctx: "money")  # pyright: ignore[reportUnknownLambdaType]
        async with bench([till.tool], host=host, clock=clock) as on:
            calling = asyncio.create_task(on.call("pay", {"amount": 5}))
            while not (asked := await host.pending_approvals("s")):
                await settle()
            await host.answer_approval(asked[0].approval_id, Approve(), by="ann")
            assert value(await calling) == "paid 5"
            (answered,) = [event for event, _ in on.shown if isinstance(event, TurnEvent.ApprovalAnswered)]
            assert answered.answered_by == "ann"
        async with bench([till.tool], host=host, clock=clock) as on:
            assert value(await on.call("pay", {"amount": 5})) == "paid 5"
            assert till.ran == [5]
            assert "tool_call_started" not in on.types()
    finally:
        await host.aclose()
