"""Traces of turns that were driven more than once, and of questions to people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import LashCore, TurnOutcome, TurnStop
from lash.durability import JournalEffectHost
from lash.host.stores.attachments import FileAttachmentStore
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.testing.clock import FakeClock
from lash.testing.scripted import AnyStep, ScriptExhausted
from lash.tracing import MemoryTraceSink, ToolCall, TraceRecord, Turn, fold_calls, read_trace
from tests.runtime.turn.traced import CALL, block, busy, core_with, of_type, records_of, types


@asynccontextmanager
async def durable(folder: Path, *steps: AnyStep, **knobs: Any) -> AsyncGenerator[LashCore]:
    """A core whose turns survive it, with its trace in the folder; what it has left over is tried at once."""
    host = JournalEffectHost(folder / "journal.db")
    given: dict[str, Any] = {
        "store": SqliteSessionStoreFactory(folder / "sessions"),
        "attachments": FileAttachmentStore(folder / "attachments"),
        "effect_host": host,
        "trace_jsonl_path": folder / "trace.jsonl",
    }
    async with core_with(*steps, **(given | knobs)) as core:
        yield core
    await host.aclose()


async def interrupted(folder: Path, *steps: AnyStep, **knobs: Any) -> None:
    """Run a turn whose process, as it were, dies when the model has nothing more to say."""
    async with durable(folder, *steps, **knobs) as core, core.session("s") as session:
        with pytest.raises(ScriptExhausted):
            await session.turn("Tea?", turn_id="t-1")


async def resumed(folder: Path, *steps: AnyStep, **knobs: Any) -> Any:
    """Drive that turn to its end."""
    async with durable(folder, *steps, **knobs) as core, core.session("s") as session:
        return await session.resume_turn()


def again(records: list[TraceRecord]) -> list[tuple[str, bool]]:
    """What was written after a turn was resumed, and whether it is marked as a repetition."""
    start = types(records).index("turn_resumed")
    return [(record.event.type, bool(getattr(record.event, "replayed", False))) for record in records[start:]]


async def test_a_resumed_turn_marks_what_was_recorded_and_begins_no_call_twice(tmp_path: Path) -> None:
    await interrupted(tmp_path, busy(), block(CALL))
    before = len(records_of(tmp_path / "trace.jsonl"))
    await resumed(tmp_path, block("submit r.price"))
    records = records_of(tmp_path / "trace.jsonl")
    assert types(records)[before - 1] == "turn_completed"
    assert again(records) == [
        ("turn_resumed", False),
        ("prompt_built", False),
        ("llm_call_completed", True),
        ("token_usage", True),
        ("tool_call_completed", True),
        ("mode_step", True),
        ("llm_call_started", False),
        ("llm_call_completed", False),
        ("token_usage", False),
        ("mode_step", False),
        ("turn_completed", False),
    ]
    (resume,) = of_type(records, "turn_resumed")
    assert resume.by == "replay"
    assert resume.replayed_effects >= 3
    assert len(of_type(records, "turn_started")) == 1


async def test_a_repetition_has_the_ids_of_what_it_repeats(tmp_path: Path) -> None:
    await interrupted(tmp_path, block(CALL))
    await resumed(tmp_path, block("submit r.price"))
    records = records_of(tmp_path / "trace.jsonl")
    first, repeated, second = (r for r in records if r.event.type == "llm_call_completed")
    assert first.context == repeated.context != second.context
    one, other = of_type(records, "tool_call_completed")
    assert (one.call_id, one.args, one.output) == (other.call_id, other.args, other.output)
    answered = of_type(records, "llm_call_completed")
    assert answered[0].response.text == answered[1].response.text
    assert answered[1].response.duration_ms is None


async def test_a_resumed_turn_is_folded_to_one_of_each(tmp_path: Path) -> None:
    await interrupted(tmp_path, block(CALL))
    await resumed(tmp_path, block("submit r.price"))
    folded = list(fold_calls(read_trace(tmp_path / "trace.jsonl")))
    assert len([one for one in folded if isinstance(one, ToolCall)]) == 1
    turns = [one for one in folded if isinstance(one, Turn)]
    # The interruption was seen by the process here, which a killed one would not have written.
    assert [(one.completed.event.status, one.completed.event.done_reason) for one in turns if one.completed] == [  # type: ignore[union-attr]  # pyright: ignore
        ("failed", "ScriptExhausted"),
        ("completed", "submitted_value"),
    ]


async def test_a_model_call_that_failed_is_repeated_as_failed(tmp_path: Path) -> None:
    host = tmp_path / "journal.db"
    failures = [busy("one"), busy("two"), busy("three")]
    for script, folder in ((failures, "a"), ([], "b")):
        journal = JournalEffectHost(host)
        knobs = {"effect_host": journal, "trace_jsonl_path": tmp_path / folder}
        stores = {
            "store": SqliteSessionStoreFactory(tmp_path / f"{folder}-sessions"),
            "attachments": FileAttachmentStore(tmp_path / "attachments"),
        }
        async with core_with(*script, **knobs, **stores) as core, core.session("s") as session:
            await session.turn("Tea?", turn_id="t-1")
        await journal.aclose()
    assert [(one.attempt, one.replayed) for one in of_type(records_of(tmp_path / "a"), "llm_call_failed")] == [
        (1, None),
        (2, None),
        (3, None),
    ]
    (repeated,) = of_type(records_of(tmp_path / "b"), "llm_call_failed")
    assert (repeated.attempt, repeated.replayed, repeated.error.message) == (3, True, "three")
    assert of_type(records_of(tmp_path / "b"), "llm_call_started") == []


# --- approvals -------------------------------------------------------------------------------------


@lash.tool(needs_approval=True)
async def pay(amount: int) -> str:
    """Pay.

    Args:
        amount: how much
    """
    return f"paid {amount}"


PAY = block("print call pay { amount: 200 }")


async def test_a_question_and_its_answer_are_written_between_the_call_s_ends() -> None:
    clock, sink = FakeClock(), MemoryTraceSink()

    async def ask(pending: lash.PendingApproval) -> lash.Edit:
        await clock.sleep(90)
        return lash.Edit({"amount": 80})

    async with core_with(PAY, block("submit 1"), tools=[pay], approve=ask, clock=clock, trace_sink=sink) as core:
        async with core.session("s") as session:
            await clock.run(session.turn("Pay.").result())
    records = list(sink.records)
    start = types(records).index("tool_call_started")
    assert types(records)[start : start + 5] == [
        "tool_call_started",
        "approval_requested",
        "approval_answered",
        "tool_call_completed",
        "mode_step",
    ]
    (asked,), (answered,) = of_type(records, "approval_requested"), of_type(records, "approval_answered")
    assert (asked.name, asked.args, asked.round, asked.replayed) == ("pay", {"amount": 200}, 1, None)
    assert asked.expires_ms is not None
    assert (answered.answer, answered.args, answered.waited_ms) == ("edit", {"amount": 80}, 90_000)
    assert answered.approval_id == asked.approval_id
    assert answered.call_id == asked.call_id == of_type(records, "tool_call_started")[0].call_id
    (done,) = of_type(records, "tool_call_completed")
    assert (done.args, done.output.outcome.payload) == ({"amount": 80}, "paid 80")


async def test_a_question_that_a_cancellation_withdraws_is_answered_so(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def ask(pending: lash.PendingApproval) -> lash.Approve:
        asked.set()
        await asyncio.Event().wait()
        return lash.Approve()

    file = tmp_path / "trace.jsonl"
    async with core_with(PAY, tools=[pay], approve=ask, trace_jsonl_path=file) as core, core.session("s") as session:
        turn = session.turn("Pay.")
        task = asyncio.ensure_future(turn.result())
        await asked.wait()
        turn.cancel()
        assert (await task).outcome == TurnOutcome.Stopped(TurnStop.Cancelled(None))
    records = records_of(file)
    (answered,) = of_type(records, "approval_answered")
    assert answered.answer == "withdrawn"
    (done,) = of_type(records, "tool_call_completed")
    assert done.output.outcome.status == "cancelled"


async def test_a_resumed_turn_has_question_and_answer_once_without_a_mark(tmp_path: Path) -> None:
    async def ask(pending: lash.PendingApproval) -> lash.Approve:
        return lash.Approve()

    await interrupted(tmp_path, PAY, tools=[pay], approve=ask)
    await resumed(tmp_path, block("submit 1"), tools=[pay], approve=ask)
    records = records_of(tmp_path / "trace.jsonl")
    for kind in ("approval_requested", "approval_answered", "tool_call_completed"):
        assert [bool(one.replayed) for one in of_type(records, kind)] == [False, True], kind
    assert len(of_type(records, "tool_call_started")) == 1


async def test_an_answer_that_comes_after_a_crash_is_not_a_repetition(tmp_path: Path) -> None:
    async def nobody(pending: lash.PendingApproval) -> lash.Approve:
        raise SystemExitLike

    async def somebody(pending: lash.PendingApproval) -> lash.Deny:
        return lash.Deny("too much")

    async with durable(tmp_path, PAY, tools=[pay], approve=nobody) as core, core.session("s") as session:
        with pytest.raises(SystemExitLike):
            await session.turn("Pay.", turn_id="t-1")
    await resumed(tmp_path, block("submit 1"), tools=[pay], approve=somebody)
    records = records_of(tmp_path / "trace.jsonl")
    assert [bool(one.replayed) for one in of_type(records, "approval_requested")] == [False, True]
    (answered,) = of_type(records, "approval_answered")
    assert (answered.answer, answered.reason, answered.replayed) == ("deny", "too much", None)
    assert types(records).index("approval_answered") < types(records).index("tool_call_completed")


class SystemExitLike(BaseException):
    """What no callback's failure is taken for."""


# --- input -----------------------------------------------------------------------------------------


async def test_a_turn_on_queued_input_says_so(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    async with core_with(block("submit 1"), trace_jsonl_path=file) as core, core.session("s") as session:
        assert await session.queued_turn() is None
        await session.queue("One.", next_turn=True)
        await session.queue("Two!!", next_turn=True)
        await session.queued_turn()
    records = records_of(file)
    (begun,) = of_type(records, "turn_started")
    assert begun.metadata == {"input_items": 2, "input_chars": 9, "source": "queue"}
    assert len(of_type(records, "turn_completed")) == 1


async def test_input_that_cannot_be_used_is_a_turn_that_was_stopped(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    async with core_with(trace_jsonl_path=file) as core, core.session("s") as session:
        result = await session.turn("")
    assert isinstance(result.outcome, TurnOutcome.Stopped)
    records = records_of(file)
    assert types(records) == ["session_started", "turn_started", "turn_completed"]
    assert of_type(records, "turn_completed")[0].done_reason == "invalid_input"
