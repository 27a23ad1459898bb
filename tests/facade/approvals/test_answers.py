"""Answering questions from any process: what is taken, what is refused, and who comes first."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import LashCore
from lash.durability import JournalEffectHost
from lash.runtime.tools.definition import ToolDefinition
from lash.testing.activities import check_activities
from lash.testing.scripted import ScriptExhausted
from tests.facade.approvals.support import Till, desk, parked, program, suspended, told
from tests.facade.crash_hosts import LATER_MS, LaterClock
from tests.runtime.tools.support import failure

PAY = program("r = call pay { amount: 7 }\nprint r")
END = program("submit r")


async def refused(core: LashCore, approval_id: str, answer: Any) -> lash.ApprovalError:
    """The error that an answer meets."""
    with pytest.raises(lash.ApprovalError) as error:
        await core.answer_approval(approval_id, answer)
    return error.value


async def resumed(folder: Path, **knobs: Any) -> lash.TurnOutput[Any]:
    """Drive the turn to its end."""
    async with desk(folder, END, **knobs) as core, core.session("s") as session:
        output = await session.resume_turn().output()
    check_activities(output.activities)
    return output


async def test_the_same_answer_again_changes_nothing_and_another_one_is_refused(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    async with desk(tmp_path) as core:
        first = await core.answer_approval(asked.approval_id, lash.Deny("no"), by="ann")
        assert await core.answer_approval(asked.approval_id, lash.Deny("no"), by="bob") == first
        assert first.answered_by == "ann"
        for other in (lash.Approve(), lash.Deny("never"), lash.Edit({"amount": 1})):
            error = await refused(core, asked.approval_id, other)
            assert (error.code, error.record) == ("approval_already_answered", first)
            assert "ann" in error.message
    result = (await resumed(tmp_path)).result
    assert result.submitted_value() == {"ok": False, "error": "denied by the user: no"}
    assert Till(tmp_path).paid == []


async def test_a_question_that_there_is_not_cannot_be_answered(tmp_path: Path) -> None:
    async with desk(tmp_path) as core:
        assert (await refused(core, "ap:00000000000000000000", lash.Approve())).code == "approval_not_found"


async def test_without_a_journal_there_is_nothing_to_answer(tmp_path: Path) -> None:
    async with desk(tmp_path, effect_host=None) as core:
        assert await core.pending_approvals() == []
        assert (await refused(core, "ap:00000000000000000000", lash.Approve())).code == "approvals_not_durable"


async def test_a_reason_that_is_no_unicode_is_mended(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    async with desk(tmp_path) as core:
        record = await core.answer_approval(asked.approval_id, lash.Deny("no \ud800!"))
        assert record.answer == lash.Deny("no \ufffd!")
        assert await core.answer_approval(asked.approval_id, lash.Deny("no \ud800!")) == record
    assert "no \ufffd!" in (await resumed(tmp_path)).result.tool_calls[0].model_return


@pytest.mark.parametrize("answer", ["yes", True, None, lash.Approve])
async def test_what_is_no_answer_is_refused(tmp_path: Path, answer: Any) -> None:
    async with desk(tmp_path) as core:
        with pytest.raises(lash.ConfigError, match=r"Approve\(\), Deny\(reason\) or Edit\(args\)"):
            await core.answer_approval("ap:00000000000000000000", answer)


@pytest.mark.parametrize(
    "args", [{"amount": "much"}, {}, {"amount": 1, "currency": "EUR"}, ["amount"], {"amount": {1, 2}}]
)
async def test_an_edit_that_the_tool_does_not_take_leaves_the_question_open(tmp_path: Path, args: Any) -> None:
    (asked,) = await parked(tmp_path, PAY)
    # The worker who answers has no tools: the schema lies beside the question.
    async with desk(tmp_path, tools=[]) as core:
        error = await refused(core, asked.approval_id, lash.Edit(args))
        assert error.code == "approval_invalid_edit"
        assert error.record is not None
        assert error.record.state == "pending"
        assert await core.pending_approvals() == [asked]
        await core.answer_approval(asked.approval_id, lash.Edit({"amount": 3}))
    output = await resumed(tmp_path)
    assert output.result.submitted_value() == {"ok": True, "value": 30}
    assert [call.args for call in output.result.tool_calls] == [{"amount": 3}]
    assert Till(tmp_path).paid == [3]


async def test_a_tool_known_by_its_schema_alone_is_asked_about_and_edited_like_any(tmp_path: Path) -> None:
    # What a server of tools gives: a definition with a schema, marked by a pattern of its name.
    schema: dict[str, Any] = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
    remote = Remote(ToolDefinition.raw("mcp__shop__delete", "Delete.", schema, needs_approval=True))
    code = program('r = call mcp__shop__delete { id: "a" }\nprint r')
    (asked,) = await parked(tmp_path, code, tools=[remote])
    assert (asked.tool, asked.args, asked.mutates) == ("mcp__shop__delete", {"id": "a"}, None)
    async with desk(tmp_path) as core:
        assert (await refused(core, asked.approval_id, lash.Edit({"id": 5}))).code == "approval_invalid_edit"
        await core.answer_approval(asked.approval_id, lash.Edit({"id": "b"}))
    assert (await resumed(tmp_path, tools=[remote])).result.submitted_value() == {"ok": True, "value": {"id": "b"}}


class Remote:
    """A provider of one tool, which gives its arguments back."""

    def __init__(self, definition: ToolDefinition) -> None:
        self._definition = definition

    def tool_manifests(self) -> Any:
        return (self._definition.manifest,)

    def resolve_contract(self, name: str) -> Any:
        return self._definition.contract if name == self._definition.name else None

    async def execute(self, call: Any) -> lash.ToolResult:
        return lash.ToolResult.success(dict(call.args))


async def test_of_many_answers_at_once_the_first_that_is_recorded_counts(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    hosts = [JournalEffectHost(tmp_path / "journal.db") for _ in range(4)]
    answers = [lash.Approve(), lash.Deny("a"), lash.Deny("b"), *(lash.Edit({"amount": n}) for n in range(7))] * 2
    random.Random(1).shuffle(answers)
    try:
        told = await asyncio.gather(
            *(hosts[at % 4].answer_approval(asked.approval_id, answer) for at, answer in enumerate(answers)),
            return_exceptions=True,
        )
    finally:
        for host in hosts:
            await host.aclose()
    taken = {repr(one.answer) for one in told if isinstance(one, lash.ApprovalRecord)}
    assert len(taken) == 1
    lost = [one for one in told if not isinstance(one, lash.ApprovalRecord)]
    assert len(lost) == len(answers) - 2
    assert {one.code for one in lost if isinstance(one, lash.ApprovalError)} == {"approval_already_answered"}


async def test_an_answer_from_elsewhere_outruns_a_callback_that_is_being_asked(tmp_path: Path) -> None:
    asking = asyncio.Event()

    async def nobody(approval: lash.PendingApproval) -> lash.Approve:
        asking.set()
        await asyncio.Event().wait()
        return lash.Approve()

    async with desk(tmp_path, PAY, END, approve=nobody) as core, desk(tmp_path) as other, core.session("s") as session:
        task = asyncio.ensure_future(session.turn("Go.").output())
        await asking.wait()
        (asked,) = await other.pending_approvals()
        await other.answer_approval(asked.approval_id, lash.Deny("elsewhere"), by="ann")
        output = await task
    check_activities(output.activities)
    assert output.result.submitted_value() == {"ok": False, "error": "denied by the user: elsewhere"}


async def test_an_answer_of_the_callback_is_recorded_like_any_other(tmp_path: Path) -> None:
    async def edit(approval: lash.PendingApproval) -> lash.Edit:
        return lash.Edit({"amount": 2})

    async with desk(tmp_path, PAY, END, approve=edit) as core, core.session("s") as session:
        result = await session.turn("Go.", turn_id="t-1")
        assert result.submitted_value() == {"ok": True, "value": 20}
        (asked,) = [call.call_id for call in result.tool_calls]
        assert asked
        assert await core.pending_approvals() == []


@pytest.mark.parametrize(
    ("callback", "code"),
    [
        ("raises", "approval_callback_failed"),
        ("no answer", "approval_callback_failed"),
        ("misfit", "approval_invalid_edit"),
    ],
)
async def test_a_callback_that_gives_no_usable_answer_denies_for_good(tmp_path: Path, callback: str, code: str) -> None:
    async def ask(approval: lash.PendingApproval) -> Any:
        if callback == "raises":
            raise ValueError("broken")
        return lash.Edit({"amount": "x"}) if callback == "misfit" else "yes"

    async with desk(tmp_path, PAY, END, approve=ask) as core, core.session("s") as session:
        (call,) = (await session.turn("Go.")).tool_calls
        assert failure(call)[:2] == ("permission_denied", code)
        assert Till(tmp_path).paid == []


async def test_several_callbacks_are_asked_one_at_a_time_while_all_questions_are_open(tmp_path: Path) -> None:
    open_then: list[int] = []
    busy = 0

    async def ask(approval: lash.PendingApproval) -> lash.Approve:
        nonlocal busy
        busy += 1
        assert busy == 1
        for _ in range(20):
            await asyncio.sleep(0)
        open_then.append(len(await core.pending_approvals()))
        busy -= 1
        return lash.Approve()

    wave = "rs = parallel {\n  call pay { amount: 1 }\n  call pay { amount: 2 }\n  call pay { amount: 3 }\n}"
    code = program(f"{wave}\nsubmit len(rs)")
    async with desk(tmp_path, code, approve=ask) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() == 3
    assert max(open_then) >= 2
    assert sorted(Till(tmp_path).paid) == [1, 2, 3]


# --- time ----------------------------------------------------------------------------------------------

SHORT = lash.RuntimeConfig(approval_timeout_s=60)


async def test_a_question_expires_while_nobody_runs_its_turn(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY, runtime=SHORT)
    assert asked.expires_ms == asked.requested_ms + 60_000
    assert LATER_MS > 60_000
    async with desk(tmp_path, later=True) as core:
        assert await core.pending_approvals() == []
        error = await refused(core, asked.approval_id, lash.Approve())
        assert error.code == "approval_closed"
        assert error.record is not None
        assert error.record.state == "expired"
    output = await resumed(tmp_path, later=True, runtime=SHORT)
    assert output.result.submitted_value() == {"ok": False, "error": "nobody answered within 60 s"}
    assert told(output.activities, lash.TurnEvent.ApprovalAnswered) == [("approval_answered", False)]
    assert Till(tmp_path).paid == []


async def test_a_question_whose_time_is_up_stays_closed_for_clocks_that_go_slow(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY, runtime=SHORT)
    async with desk(tmp_path, later=True) as core, core.session("s") as session:
        with pytest.raises(ScriptExhausted):
            await session.resume_turn(on_wait="park")
    async with desk(tmp_path) as core:
        assert (await refused(core, asked.approval_id, lash.Approve())).code == "approval_closed"


async def test_an_answer_in_time_counts_however_late_the_turn_is_resumed(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY, runtime=SHORT)
    async with desk(tmp_path) as core:
        await core.answer_approval(asked.approval_id, lash.Approve())
    output = await resumed(tmp_path, later=True, runtime=SHORT)
    assert output.result.submitted_value() == {"ok": True, "value": 70}


async def test_durable_questions_stay_open_for_a_week(tmp_path: Path) -> None:
    (asked,) = await parked(tmp_path, PAY)
    assert asked.expires_ms == asked.requested_ms + 7 * 24 * 3_600_000
    clock = LaterClock()
    async with desk(tmp_path, clock=clock) as core, core.session("s") as session:
        assert await suspended(session.resume_turn(on_wait="park")) == (asked,)
