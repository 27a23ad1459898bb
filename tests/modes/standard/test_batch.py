"""`batch`: one call of the model that stands for many."""

from __future__ import annotations

import json
from typing import Any

import pytest

import lash
from lash import StandardConfig
from lash.runtime.sansio.llm import Block
from lash.testing.activities import check_activities
from lash.testing.scripted import ScriptedProvider
from tests.facade.support import GIF
from tests.modes.standard.playing import Meeting, call, calls, completed, core_with, lookup, results_of, told


def entry(tool: str, **parameters: Any) -> dict[str, Any]:
    return {"tool": tool, "parameters": parameters}


async def test_the_calls_of_a_batch_run_together_with_those_beside_it_and_are_told_as_one_result() -> None:
    meeting = Meeting(4)
    inner = [entry("meet", name="a"), entry("meet", name="b"), entry("lookup", item="coal")]
    made = calls(call("meet", "x", name="x"), call("batch", "y", tool_calls=inner), call("meet", "z", name="z"))
    async with core_with(made, "Done.", tools=[meeting, lookup]) as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        results = results_of(session)
    assert meeting.together == 4
    assert [number for number, _, _ in results] == ["x", "y", "z"]
    told = json.loads(results[1][1])["results"]
    assert [(one["index"], one["tool"], one["success"]) for one in told] == [
        (0, "meet", True),
        (1, "meet", True),
        (2, "lookup", False),
    ]
    assert told[0]["result"] == "met a"
    assert "coal" in told[2]["error"]
    assert {one.call_id for one in completed(output)} == {"x", "y:0", "y:1", "y:2", "z"}


async def test_of_a_batch_that_is_too_long_the_rest_fails_and_so_does_a_batch_inside() -> None:
    ran: list[int] = []

    @lash.tool
    async def note(n: int) -> int:
        """Note a number."""
        ran.append(n)
        return n

    inner = [entry("note", n=n) for n in range(27)]
    inner[3] = entry("batch", tool_calls=[entry("note", n=99)])
    async with core_with(calls(call("batch", tool_calls=inner)), "Done.", tools=[note]) as core:
        async with core.session("s") as session:
            await session.turn("Go.")
            told = json.loads(results_of(session)[0][1])["results"]
    assert sorted(ran) == [n for n in range(25) if n != 3]
    assert [one["index"] for one in told] == list(range(27))
    assert [one["index"] for one in told if not one["success"]] == [3, 25, 26]


async def test_a_batch_of_nothing_that_can_run_is_answered_too() -> None:
    inner = [entry("batch", tool_calls=[])]
    async with core_with(calls(call("batch", tool_calls=inner)), "Done.") as core, core.session("s") as session:
        assert (await session.turn("Go.")).assistant_message() == "Done."
        assert [one["success"] for one in json.loads(results_of(session)[0][1])["results"]] == [False]


@pytest.mark.parametrize(
    "args",
    [
        '{"tool_calls": []}',
        '{"tool_calls": [{"tool": "lookup"}]}',
        '{"tool_calls": [{"tool": "lookup", "parameters": "x"}]}',
        '{"tool_calls": [{"tool": "lookup", "parameters": {"item": "tea"}, "id": 1}]}',
        '{"calls": []}',
        "{",
    ],
)
async def test_a_malformed_batch_fails_whole(args: str) -> None:
    made = calls(Block.ToolCall("a", "batch", args))
    async with core_with(made, "Done.", tools=[lookup]) as core, core.session("s") as session:
        output = await session.run("Go.")
        (failed,) = completed(output)
        assert failed.output.type == "failure"
        assert failed.output.failure.code == "invalid_tool_args"
        assert results_of(session)[0][2]


@pytest.mark.parametrize("first", ["batch", "call"])
async def test_ids_of_entries_are_their_own_whatever_the_model_calls_its_calls(first: str) -> None:
    inner = [entry("lookup", item="tea"), entry("lookup", item="oil")]
    made = [call("batch", "b", tool_calls=inner), call("lookup", "b:1", item="oil")]
    if first == "call":
        made.reverse()
    again = calls(call("lookup", "b:0", item="tea"))
    async with core_with(calls(*made), "Done.", again, "Done.", tools=[lookup]) as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        check_activities((await session.run("Again.")).activities)
        assert not any(failed for _, _, failed in results_of(session))
        records = [record.call_id for record in session.read_view().tool_calls]
    assert len(records) == len(set(records)) == 4


async def test_images_of_a_batch_are_shown_with_its_result() -> None:
    @lash.tool
    async def picture(context: lash.ToolContext) -> object:
        """Take a picture."""
        return await context.put_attachment(GIF)

    model = ScriptedProvider([calls(call("batch", tool_calls=[entry("picture"), entry("picture")])), "Done."])
    async with core_with(provider=model, tools=[picture]) as core, core.session("s") as session:
        await session.turn("Go.")
    (result,) = told(model.requests[1])
    assert len(result.images) == 2


async def test_batch_can_be_switched_off_and_is_an_unknown_tool_then() -> None:
    made = calls(call("batch", tool_calls=[entry("lookup", item="tea")]))
    model = ScriptedProvider([made, "Done."])
    async with core_with(provider=model, tools=[lookup], config=StandardConfig(batch=False)) as core:
        async with core.session("s") as session:
            output = await session.run("Go.")
            (failed,) = completed(output)
            assert failed.output.type == "failure"
            assert failed.output.failure.code == "tool_unavailable"
    assert [tool.name for tool in model.requests[0].tools] == ["lookup"]
    assert "batch" not in str(model.requests[0].messages[0])
