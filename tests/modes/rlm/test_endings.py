"""How turns end that do not go well: limits, bad programs, models that never submit, cancellations."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, Field

import lash
from lash import TurnOutcome, TurnStop
from lash.modes.rlm.config import RlmConfig, RlmLimits
from lash.runtime.sansio.outcome import TurnFinish
from lash.sessions import LashSession
from lash.testing.scripted import ScriptedProvider, reply
from tests.modes.rlm.playing import block, core_with, said, steps_of


class Answer(BaseModel):
    total: int = Field(ge=0)
    note: str | None = None


async def test_a_value_that_misses_the_model_is_told_and_can_be_repaired() -> None:
    model = ScriptedProvider([block("submit { total: -1, more: 2 }"), block("submit { total: 1 }")])
    async with core_with(provider=model) as core, core.session("s") as session:
        result = await session.turn("Go.", require_submit=Answer)
        assert result.value == Answer(total=1)
        assert result.submitted_as(Answer) == Answer(total=1)
        first, second = steps_of(session)
        assert first.final_output is None
        assert first.error is not None
        assert first.error.startswith("/total: ")
        assert second.final_output == {"value": {"total": 1}}
    assert "submit rejected" in said(model.requests[1])
    assert "/total: " in said(model.requests[1])


async def test_a_schema_is_checked_only_where_the_turn_has_to_be_submitted() -> None:
    async with core_with(block('submit "anything"')) as core:
        async with core.session("s", require_submit={"type": "integer"}) as session:
            result = await session.turn("Go.", allow_prose_or_submit=True)
            assert result.submitted_value() == "anything"


async def test_a_schema_that_is_none_is_refused_when_the_session_is_made() -> None:
    async with core_with() as core:
        with pytest.raises(lash.TurnError, match="no JSON Schema"):
            await core.session("s", require_submit={"type": "nonsense"})


@pytest.mark.parametrize("text", ["I will.", block("x = 1"), block("x = "), block('submit "text"')])
async def test_a_model_that_never_submits_is_stopped_by_the_limit(text: str) -> None:
    model = ScriptedProvider([text] * 3)
    async with core_with(provider=model, max_turns=3) as core, core.session("s") as session:
        result = await session.turn("Go.", require_submit={"type": "integer"})
        assert result.outcome == TurnOutcome.Stopped(TurnStop.MaxTurns(3))
        assert result.revision == 1
    assert len(model.requests) == 3
    assert "last iteration" in said(model.requests[2])


async def test_without_a_limit_of_its_own_a_turn_has_that_of_the_mode() -> None:
    config = RlmConfig(default_max_turns=2)
    async with core_with("a", "b", config=config) as core, core.session("s") as session:
        assert (await session.turn("Go.")).outcome == TurnOutcome.Stopped(TurnStop.MaxTurns(2))


@pytest.mark.parametrize("text", ["", "   \n"])
async def test_an_empty_reply_is_an_error_of_the_provider(text: str) -> None:
    async with core_with(reply(text)) as core, core.session("s") as session:
        output = await session.run("Go.")
        stop = output.result.outcome
        assert isinstance(stop, TurnOutcome.Stopped)
        assert isinstance(stop.stop, TurnStop.ProviderError)
        assert stop.stop.code == "empty_response"
        errors = [one.event for one in output.activities if isinstance(one.event, lash.TurnEvent.Error)]
        assert [error.code for error in errors] == ["empty_response"]


async def test_serial_calls_that_wait_for_their_turn_do_not_begin_once_the_turn_is_cancelled() -> None:
    begun = asyncio.Event()

    @lash.tool(execution_mode="serial")
    async def slow(name: str) -> None:
        """Take for ever."""
        begun.set()
        await asyncio.Event().wait()

    code = 'parallel { call slow { name: "a" }, call slow { name: "b" } }'
    runtime = lash.RuntimeConfig(tool_cancel_ms=1)
    async with core_with(block(code), tools=[slow], runtime=runtime) as core, core.session("s") as session:
        turn = session.turn("Go.")
        running = asyncio.ensure_future(turn.output())
        await begun.wait()
        turn.cancel()
        output = await running
        events = [one.event for one in output.activities]
        started = [event.args for event in events if isinstance(event, lash.TurnEvent.ToolCallStarted)]
        ended = [event.args for event in events if isinstance(event, lash.TurnEvent.ToolCallCompleted)]
        assert started == ended == [{"name": "a"}]


@pytest.mark.parametrize("chunk", [None, 5])
async def test_a_program_of_a_megabyte_is_refused_by_name_and_the_turn_goes_on(chunk: int | None) -> None:
    code = "x = 1\n" * 170_000
    async with core_with(reply(block(code), chunk=chunk), block("submit 2")) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() == 2
        first = steps_of(session)[0]
        assert first.error is not None
        assert first.error.startswith("error[source_too_large]: ")
        assert first.code == code.rstrip()


async def test_a_limit_of_the_language_stops_the_block_and_keeps_what_it_assigned() -> None:
    config = RlmConfig(limits=RlmLimits(kernel={"fuel": 2000}))
    model = ScriptedProvider([block("n = 0\nwhile true { n += 1 }"), block("submit n > 0")])
    async with core_with(provider=model, config=config) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() is True
        assert "limit_exceeded" in (steps_of(session)[0].error or "")
    assert "is kept" in said(model.requests[1])


async def test_a_block_that_computes_for_too_long_is_stopped_and_undone() -> None:
    config = RlmConfig(limits=RlmLimits(block_timeout_s=0.05, kernel={"fuel": 10**15}))
    steps = [block("n = 1"), block("n = 2\nwhile true { n = n }"), block("submit n")]
    async with core_with(*steps, config=config) as core, core.session("s") as session:
        assert (await session.turn("Go.")).submitted_value() == 1
        error = steps_of(session)[1].error or ""
        assert "stopped after 0.05 s" in error
        assert "variables are as they were before the block" in error


async def test_a_program_that_computes_is_stopped_by_a_cancellation() -> None:
    config = RlmConfig(limits=RlmLimits(kernel={"fuel": 10**15}))
    steps = [block("n = 1"), block("n = 2\nprint n\nwhile true { n += 1 }"), block("submit n")]
    async with core_with(*steps, config=config) as core, core.session("s") as session:
        turn = session.turn("Go.")
        async for activity in turn:
            if isinstance(activity.event, lash.TurnEvent.CodeOutput):
                turn.cancel("enough")
        result = await turn
        assert result.outcome == TurnOutcome.Stopped(TurnStop.Cancelled("enough"))
        last = steps_of(session)[1]
        assert (last.output, (last.error or "").splitlines()[0]) == (("2",), "cancelled")
        assert (await session.turn("And?")).submitted_value() == 1


async def test_a_program_goes_no_further_once_the_turn_is_cancelled() -> None:
    called: list[str] = []
    begun = asyncio.Event()

    @lash.tool
    async def slow(name: str) -> str:
        """Take for ever."""
        called.append(name)
        begun.set()
        await asyncio.Event().wait()
        return name

    code = 'parallel { call slow { name: "a" }, call slow { name: "b" } }\ncall slow { name: "c" }\nprint 1'
    runtime = lash.RuntimeConfig(tool_cancel_ms=1)
    async with core_with(block(code), tools=[slow], runtime=runtime) as core, core.session("s") as session:
        turn = session.turn("Go.")
        running = asyncio.ensure_future(turn.output())
        await begun.wait()
        turn.cancel()
        output = await running
        names = [type(one.event).__name__ for one in output.activities]
        assert called == ["a", "b"]
        assert names.count("ToolCallStarted") == names.count("ToolCallCompleted") == 2
        step = steps_of(session)[0]
        assert step.output == ()
        assert len(step.tool_call_ids) == 2
        assert [call.succeeded for call in output.result.tool_calls] == [False, False]


def asking(session: list[LashSession]) -> Any:
    @lash.tool
    async def ask() -> None:
        """Have the user say something more before the turn ends."""
        await session[0].queue("And another thing.", min_boundary="before_completion")

    return ask


async def test_an_injection_before_the_end_counts_against_the_limit() -> None:
    held: list[LashSession] = []
    model = ScriptedProvider([block("call ask {}\nsubmit 1"), block("submit 2")])
    async with core_with(provider=model, tools=[asking(held)], max_turns=1) as core, core.session("s") as session:
        held.append(session)
        result = await session.turn("Go.")
        assert result.outcome == TurnOutcome.Stopped(TurnStop.MaxTurns(1))
        assert [m.text() for m in session.read_view().messages] == ["Go.", "And another thing."]
        assert steps_of(session)[0].final_output == {"value": 1}
    assert len(model.requests) == 1


async def test_an_injection_before_the_end_gets_the_one_reply_beyond_the_limit_where_prose_may_end_the_turn() -> None:
    held: list[LashSession] = []
    model = ScriptedProvider([block("call ask {}\nsubmit 1"), "That as well."])
    async with core_with(provider=model, tools=[asking(held)], max_turns=1) as core, core.session("s") as session:
        held.append(session)
        result = await session.turn("Go.", allow_prose_or_submit=True)
        assert result.outcome == TurnOutcome.Finished(TurnFinish.AssistantMessage("That as well."))
    assert "iteration limit reached" in said(model.requests[1])
    assert "And another thing." in said(model.requests[1])


async def test_an_injection_before_the_end_goes_on_where_there_are_calls_left() -> None:
    held: list[LashSession] = []
    steps = [block("call ask {}\nsubmit 1"), block("submit 2")]
    async with core_with(*steps, tools=[asking(held)], max_turns=2) as core, core.session("s") as session:
        held.append(session)
        output = await session.run("Go.")
        assert output.result.submitted_value() == 2
        submitted = [one for one in output.activities if isinstance(one.event, lash.TurnEvent.SubmittedValue)]
        assert len(submitted) == 1


async def test_a_first_turn_that_failed_leaves_no_variables() -> None:
    class Broken(BaseException):
        pass

    def breaks(request: object) -> str:
        raise Broken

    steps = [block("x = 1"), breaks, block("submit x"), block("submit 0")]
    async with core_with(*steps) as core, core.session("s") as session:
        with pytest.raises(Broken):
            await session.turn("One.")
        assert (await session.turn("Two.")).submitted_value() == 0
        assert "unknown_name" in (steps_of(session)[0].error or "")
