"""Tool calls in standard mode: their order, what the model is told of them, and calls that cannot be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import lash
from lash import TurnEvent, TurnFinish, TurnOutcome
from lash.modes.standard.calls import arguments, with_own_ids
from lash.runtime.sansio.llm import Block
from lash.runtime.sansio.messages import AttachmentRef
from lash.testing.activities import check_activities
from lash.testing.scripted import ScriptedProvider, reply
from tests.facade.support import GIF
from tests.modes.standard.playing import (
    Meeting,
    call,
    calls,
    completed,
    core_with,
    lookup,
    names_of,
    parts_of,
    results_of,
    told,
)


async def test_a_call_is_run_its_result_told_and_the_answer_ends_the_turn() -> None:
    model = ScriptedProvider([calls(call("lookup", item="tea"), text="I look."), "Twelve."])
    async with core_with(provider=model, tools=[lookup]) as core, core.session("s") as session:
        output = await session.run("What is tea?")
        check_activities(output.activities)
        assert output.result.outcome == TurnOutcome.Finished(TurnFinish.AssistantMessage("Twelve."))
        assert output.result.execution.had_tool_calls
        assert [one.tool_name for one in output.result.tool_calls] == ["lookup"]
        messages = session.read_view().messages
        assert [(m.role, [p.kind for p in m.parts]) for m in messages] == [
            ("user", ["text"]),
            ("assistant", ["prose", "tool_call"]),
            ("user", ["tool_result"]),
            ("assistant", ["prose"]),
        ]
        assert [record.tool for record in session.read_view().tool_calls] == ["lookup"]
    assert [result.content for result in told(model.requests[1])] == ['{"price":12}']
    assert names_of(output) == [
        *("ModelRequestStarted", "AssistantProseDelta", "Usage", "ToolCallStarted", "ToolCallCompleted"),
        *("ModelRequestStarted", "AssistantProseDelta", "Usage"),
    ]


async def test_parallel_calls_run_together_and_their_results_stand_in_the_order_of_the_calls() -> None:
    meeting = Meeting(3)
    made = [call("meet", name, name=name) for name in "abc"]
    async with core_with(calls(*made), "Done.", tools=[meeting]) as core, core.session("s") as session:
        await session.turn("Go.")
        assert meeting.together == 3
        assert results_of(session) == [(name, f"met {name}", False) for name in "abc"]


async def test_serial_calls_wait_for_the_parallel_ones_and_run_one_by_one() -> None:
    running: list[str] = []
    log: list[str] = []
    gate = asyncio.Event()

    async def work(name: str) -> str:
        running.append(name)
        log.append("+".join(sorted(running)))
        if len(running) == 2 and "slow" in running:
            gate.set()
        if name == "slow":
            await gate.wait()
        await asyncio.sleep(0)
        running.remove(name)
        return name

    @lash.tool
    async def fine(name: str) -> str:
        """Runs beside others."""
        return await work(name)

    @lash.tool(execution_mode="serial")
    async def alone(name: str) -> str:
        """Runs alone."""
        return await work(name)

    made = [call("fine", "0", name="slow"), call("alone", "1", name="x"), call("alone", "2", name="y")]
    made.append(call("fine", "3", name="fast"))
    async with core_with(calls(*made), "Done.", tools=[fine, alone]) as core, core.session("s") as session:
        await session.turn("Go.")
        assert [text for _, text, _ in results_of(session)] == ["slow", "x", "y", "fast"]
    assert log == ["slow", "fast+slow", "x", "y"]


@pytest.mark.parametrize(
    ("made", "code", "says"),
    [
        (call("nothing"), "tool_unavailable", "nothing"),
        (call("hidden", item="tea"), "tool_unavailable", "hidden"),
        (call("lookup", thing="tea"), "invalid_tool_args", "item"),
        (Block.ToolCall("a", "lookup", '{"item": "te'), "invalid_tool_args", "did not parse"),
        (Block.ToolCall("a", "lookup", '["tea"]'), "invalid_tool_args", "object"),
        (Block.ToolCall("a", "lookup", '{"item": NaN}'), "invalid_tool_args", "did not parse"),
        (Block.ToolCall("a", "lookup", '{"item": "\\ud800"}'), "invalid_tool_args", "did not parse"),
        (Block.ToolCall("a", "lookup", '{"item": ' + "[" * 5000 + "]" * 5000 + "}"), "invalid_tool_args", "parse"),
        (call("lookup", item="coal"), "tool_exception", "coal"),
    ],
)
async def test_a_call_that_cannot_be_is_answered_and_the_turn_goes_on(
    made: Block.ToolCall, code: str, says: str
) -> None:
    @lash.tool(availability="searchable")
    async def hidden(item: str) -> str:
        """Never called."""
        raise AssertionError

    model = ScriptedProvider([calls(made, call("lookup", "b", item="oil")), "So be it."])
    async with core_with(provider=model, tools=[lookup, hidden]) as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        assert output.assistant_message() == "So be it."
        failed = completed(output)[0] if completed(output)[0].call_id == "a" else completed(output)[1]
        assert failed.output.type == "failure"
        assert failed.output.failure.code == code
        first, second = results_of(session)
        assert first[0] == "a"
        assert first[2]
        assert says in first[1]
        assert second == ("b", '{"price":30}', False)
        assert parts_of(session, "tool_call")[0].text == made.input_json
    assert [result.is_error for result in told(model.requests[1])] == [True, False]


async def test_a_tool_without_parameters_may_be_called_without_arguments() -> None:
    @lash.tool
    async def ping() -> str:
        """Say something."""
        return "pong"

    made = Block.ToolCall("a", "ping", "")
    async with core_with(calls(made), "Done.", tools=[ping]) as core, core.session("s") as session:
        await session.turn("Go.")
        assert results_of(session) == [("a", "pong", False)]


@pytest.mark.parametrize("value", [None, ""])
async def test_a_result_without_output_says_so(value: str | None) -> None:
    @lash.tool
    async def quiet() -> str | None:
        """Do something."""
        return value

    async with core_with(calls(call("quiet")), "Done.", tools=[quiet]) as core, core.session("s") as session:
        await session.turn("Go.")
        assert results_of(session) == [("a", "(no output)", False)]


async def test_ids_that_were_there_before_are_made_unique_within_a_reply_and_over_the_session() -> None:
    seen: list[str] = []

    @lash.tool
    async def key(context: lash.ToolContext) -> str:
        """Note the key."""
        seen.append(context.idempotency_key)
        return "ok"

    steps = [calls(call("key"), call("key")), calls(call("key")), "Done.", calls(call("key")), "Done."]
    model = ScriptedProvider(steps)
    async with core_with(provider=model, tools=[key]) as core, core.session("s") as session:
        check_activities((await session.run("Go.")).activities)
        await session.turn("Again.")
        ids = [part.tool_call_id for part in parts_of(session, "tool_call")]
        assert ids == ["a", "a#2", "a#3", "a#4"]
        assert [number for number, _, _ in results_of(session)] == ids
        assert [record.call_id for record in session.read_view().tool_calls] == ids
    assert len(set(seen)) == 4


def test_a_long_id_stays_within_what_vendors_take() -> None:
    made = [Block.ToolCall("x" * 64, "t", "{}") for _ in range(3)]
    ids = [one.call_id for one in with_own_ids(made, ())]
    assert ids[0] == "x" * 64
    assert len(set(ids)) == 3
    assert max(map(len, ids)) == 64


@pytest.mark.parametrize("text", ["{", "1e999", '"\\udc00"', "Infinity", "[" * 300 + "]" * 300])
def test_what_is_no_json_that_can_be_kept_stays_text(text: str) -> None:
    assert arguments(text) == text


async def test_parts_of_a_reply_keep_their_order_with_what_the_provider_wants_back() -> None:
    from lash.runtime.sansio.llm import LlmResponse, ReasoningReplay, ToolCallReplay

    parts = (
        Block.Reasoning("First I think.", ReasoningReplay(signature="s1")),
        Block.Text("One."),
        Block.ToolCall("a", "lookup", '{"item":"tea"}', ToolCallReplay("item-1", {"x": 1})),
        Block.Reasoning("", ReasoningReplay(encrypted_content="e")),
        Block.Reasoning(" "),
        Block.Text("  "),
        Block.Text("Two."),
        Block.ToolCall("b", "lookup", '{"item":"oil"}'),
    )
    model = ScriptedProvider([LlmResponse("One.Two.", parts), "Done."])
    async with core_with(provider=model, tools=[lookup]) as core, core.session("s") as session:
        await session.turn("Go.")
    sent = next(message for message in model.requests[1].messages if message.role == "assistant")
    assert sent.blocks == (*parts[:4], *parts[6:])


async def test_images_of_a_result_are_shown_behind_its_text_now_and_in_later_turns() -> None:
    @lash.tool
    async def picture(context: lash.ToolContext) -> dict[str, Any]:
        """Take a picture."""
        return {"what": "a dot", "image": await context.put_attachment(GIF, label="dot")}

    def sees(request: Any) -> str:
        (result,) = told(request)
        assert "a dot" in result.content
        (index,) = result.images
        assert request.attachments[index].data == GIF
        assert request.attachments[index].mime == "image/gif"
        return "I see it."

    async with core_with(calls(call("picture")), sees, sees, tools=[picture]) as core, core.session("s") as session:
        assert (await session.turn("Look.")).assistant_message() == "I see it."
        assert (await session.turn("Still?")).assistant_message() == "I see it."
        result, image = session.read_view().messages[2].parts
        assert (result.kind, image.kind, image.tool_call_id) == ("tool_result", "image", "a")
        assert isinstance(image.attachment, AttachmentRef)


async def test_an_image_of_the_user_is_shown_to_the_model_in_its_place() -> None:
    model = ScriptedProvider(["A dot."])
    async with core_with(provider=model) as core, core.session("s") as session:
        await session.turn([lash.Text("Look: "), lash.ImageBlob("i", GIF), lash.Text("What is it?")])
    blocks = model.requests[0].messages[1].blocks
    assert [type(block).__name__ for block in blocks] == ["Text", "Image", "Text"]
    assert model.requests[0].attachments[0].data == GIF


async def test_texts_and_images_of_several_results_stand_in_the_order_of_their_calls() -> None:
    free = asyncio.Event()

    @lash.tool
    async def picture(name: str, context: lash.ToolContext) -> dict[str, Any]:
        """Take a picture; the first one is ready last."""
        if name == "a":
            await free.wait()
        free.set()
        return {"image": await context.put_attachment(GIF, label=name)}

    made = calls(call("picture", "a", name="a"), call("lookup", "b", item="tea"), call("picture", "c", name="c"))
    async with core_with(made, "Done.", tools=[picture, lookup]) as core, core.session("s") as session:
        await session.turn("Look.")
        parts = session.read_view().messages[2].parts
    assert [(part.kind, part.tool_call_id) for part in parts] == [
        *(("tool_result", "a"), ("image", "a"), ("tool_result", "b"), ("tool_result", "c"), ("image", "c")),
    ]


async def test_a_result_that_is_too_large_fails_its_call_and_passes_where_the_limit_is_raised() -> None:
    @lash.tool
    async def much() -> str:
        """A lot of text."""
        return "x" * (17 << 20)

    async def result_of(**knobs: Any) -> tuple[bool, str]:
        # Without the plugin that shortens what the model is told.
        async with core_with(calls(call("much")), "Done.", tools=[much], plugins=[], **knobs) as core:
            async with core.session("s") as session:
                assert (await session.turn("Go.")).assistant_message() == "Done."
                ((_, text, failed),) = results_of(session)
                return failed, text

    failed, text = await result_of()
    assert failed
    assert "much returned 17 MiB of JSON, the limit is 16 MiB: return less, a page, or an attachment" in text
    failed, text = await result_of(runtime=lash.RuntimeConfig(max_tool_result_bytes=18 << 20))
    assert (failed, len(text)) == (False, 17 << 20)


async def test_results_do_not_count_as_what_the_user_said() -> None:
    async with core_with(calls(call("lookup", item="tea")), "Done.", tools=[lookup]) as core:
        async with core.session("s") as session:
            await session.turn("Go.")
        (meta,) = await core.list_sessions()
        assert (meta.user_message_count, meta.first_user_message) == (1, "Go.")


async def test_a_thousand_calls_of_one_reply_are_all_answered_in_order() -> None:
    @lash.tool
    async def double(n: int) -> int:
        """Twice n."""
        return 2 * n

    made = [call("double", f"c{n}", n=n) for n in range(1000)]
    async with core_with(calls(*made), "Done.", tools=[double]) as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        assert [text for _, text, _ in results_of(session)] == [str(2 * n) for n in range(1000)]
    started = [one.event.call_id for one in output.activities if isinstance(one.event, TurnEvent.ToolCallStarted)]
    assert started == [f"c{n}" for n in range(1000)]


async def test_text_that_was_streamed_is_shown_once() -> None:
    streamed = reply("A longer answer.", chunk=3)
    async with core_with(streamed) as core, core.session("s") as session:
        output = await session.run("Go.")
        shown = [one.event.text for one in output.activities if isinstance(one.event, TurnEvent.AssistantProseDelta)]
        assert "".join(shown) == "A longer answer."
        assert [message.text() for message in session.read_view().messages] == ["Go.", "A longer answer."]
