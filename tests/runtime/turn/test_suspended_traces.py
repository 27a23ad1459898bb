"""Traces of turns that were put aside: what was asked and answered is there once, and repetitions are marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lash
from lash.tracing import Turn, fold_calls, read_trace
from tests.facade.approvals.support import TURN_ID, desk, program, suspended
from tests.runtime.turn.traced import of_type, records_of, types

PAY = program("x = (call look { n: 3 })?\nr = (call pay { amount: 7 })?\nprint r")
END = program("submit r")


async def suspended_and_resumed(folder: Path, answer: Any) -> list[Any]:
    """Suspend a turn, answer it and drive it on, each in a process of its own; the records of one trace."""
    file = folder / "trace.jsonl"
    async with desk(folder, PAY, trace_jsonl_path=file) as core, core.session("s") as session:
        (asked,) = await suspended(session.turn("Go.", turn_id=TURN_ID, on_wait="park"))
    async with desk(folder) as core:
        await core.answer_approval(asked.approval_id, answer, by="ann")
    async with desk(folder, END, END, trace_jsonl_path=file) as core, core.session("s") as session:
        await session.resume_turn()
    return records_of(file)


async def test_a_suspended_turn_has_each_fact_once_without_a_mark(tmp_path: Path) -> None:
    records = await suspended_and_resumed(tmp_path, lash.Edit({"amount": 8}))
    found = types(records)
    assert found.count("turn_suspended") == found.count("turn_resumed") == found.count("turn_completed") == 1
    assert found.index("turn_suspended") < found.index("turn_resumed") < found.index("turn_completed")
    assert [bool(one.replayed) for one in of_type(records, "approval_requested")] == [False, True]
    (answered,) = of_type(records, "approval_answered")
    assert (answered.answer, answered.args, answered.answered_by, answered.replayed) == (
        "edit",
        {"amount": 8},
        "ann",
        None,
    )
    assert answered.waited_ms is not None
    (aside,), (again,) = of_type(records, "turn_suspended"), of_type(records, "turn_resumed")
    assert aside.approval_ids == (answered.approval_id,)
    assert (again.by, again.replayed_effects >= 4) == ("replay", True)
    assert [(one.name, bool(one.replayed)) for one in of_type(records, "tool_call_completed")] == [
        ("look", False),
        ("look", True),
        ("pay", False),
    ]
    assert [one.name for one in of_type(records, "tool_call_started")] == ["look", "pay"]
    assert [bool(one.replayed) for one in of_type(records, "llm_call_completed")] == [False, True, False]


async def test_a_suspended_turn_is_folded_to_one_turn_with_its_suspension(tmp_path: Path) -> None:
    await suspended_and_resumed(tmp_path, lash.Approve())
    (turn,) = [one for one in fold_calls(read_trace(tmp_path / "trace.jsonl")) if isinstance(one, Turn)]
    assert [record.event.type for record in turn.suspensions] == ["turn_suspended", "turn_resumed"]  # type: ignore[union-attr]  # pyright: ignore
    assert turn.completed is not None


async def test_a_turn_that_is_suspended_twice_asks_once_without_a_mark(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    async with desk(tmp_path, PAY, trace_jsonl_path=file) as core, core.session("s") as session:
        await suspended(session.turn("Go.", turn_id=TURN_ID, on_wait="park"))
        await suspended(session.resume_turn(on_wait="park"))
    records = records_of(file)
    assert [bool(one.replayed) for one in of_type(records, "approval_requested")] == [False, True]
    assert [one.name for one in of_type(records, "tool_call_started")] == ["look", "pay"]
    assert types(records).count("turn_suspended") == 2
    assert "turn_completed" not in types(records)
