from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lash.runtime.providers.attempt import AttemptSink
from lash.runtime.providers.components import AttemptTrace, EventSink
from lash.runtime.providers.options import ProviderOptions, ThinkingOptions
from lash.runtime.sansio.llm import AnyStreamEvent, Block, LlmRequest, LlmResponse, LlmStreamEvent
from lash.runtime.sansio.usage import TokenUsage
from lash.testing.clock import FakeClock
from lash.testing.scripted import ScriptedProvider, Step, reply, surviving_text
from tests.runtime.providers.helpers import REQUEST, delta, kinds, scripted

CALL = Block.ToolCall("c1", "find", "{}")
THOUGHT = Block.Reasoning("hm")


async def hear(step: Step, *, expose: bool = False) -> tuple[LlmResponse, list[AnyStreamEvent]]:
    clock, events = FakeClock(), list[AnyStreamEvent]()
    options = ProviderOptions(thinking=ThinkingOptions(expose=expose))
    response = await clock.run(ScriptedProvider([step], options=options, clock=clock).complete(REQUEST, events.append))
    return response, events


async def test_a_missing_suffix_is_sent_at_the_end() -> None:
    _, events = await hear(Step([delta("Hel")], LlmResponse("Hello", (Block.Text("Hello"),))))
    assert events == [delta("Hel"), delta("lo")]


async def test_a_reply_that_was_not_streamed_is_sent_whole() -> None:
    parts = (THOUGHT, Block.Text("Hello"))
    _, events = await hear(Step([], LlmResponse("Hello", parts)))
    assert events == [LlmStreamEvent.TextDelta("Hello", 1)]


async def test_a_reply_that_is_no_extension_of_what_was_streamed_replaces_it() -> None:
    _, events = await hear(Step([delta("Help")], LlmResponse("Hello", (Block.Text("Hello"),))))
    assert events == [delta("Help"), LlmStreamEvent.AttemptReset(1), delta("Hello")]


async def test_a_reset_by_the_transport_gets_the_number_of_the_attempt() -> None:
    step = Step([delta("x"), LlmStreamEvent.AttemptReset(0), delta("y")], LlmResponse("y"))
    _, events = await hear(step)
    assert events == [delta("x"), LlmStreamEvent.AttemptReset(1), delta("y")]


@given(st.lists(st.text(max_size=3), max_size=6), st.text(max_size=12))
def test_surviving_deltas_always_join_to_the_text(pieces: list[str], full: str) -> None:
    events = list[AnyStreamEvent]()
    sink = AttemptSink(events.append, 1, expose_thinking=False)
    for piece in pieces:
        sink(delta(piece))
    sink.finish(LlmResponse(full))
    assert surviving_text(events) == full


async def test_reasoning_is_heard_only_where_it_is_exposed() -> None:
    step = Step(
        [LlmStreamEvent.ReasoningDelta("hm", 0), LlmStreamEvent.PartDone(THOUGHT), delta("x")], LlmResponse("x")
    )
    assert kinds((await hear(step))[1]) == ["text_delta"]
    assert kinds((await hear(step, expose=True))[1]) == ["reasoning_delta", "part_done", "text_delta"]


@pytest.mark.parametrize("streamed", [[], [delta("Help")]])
async def test_reasoning_that_was_not_streamed_is_sent_before_the_text(streamed: list[AnyStreamEvent]) -> None:
    step = Step(streamed, LlmResponse("Hello", (THOUGHT, Block.Text("Hello"))))
    _, events = await hear(step, expose=True)
    assert events[-2:] == [LlmStreamEvent.ReasoningDelta("hm", 0), LlmStreamEvent.TextDelta("Hello", 1)]
    _, unseen = await hear(step)
    assert "reasoning_delta" not in kinds(unseen)


async def test_usage_is_told_only_when_it_changes() -> None:
    first, second = LlmStreamEvent.UsageUpdate(TokenUsage(1)), LlmStreamEvent.UsageUpdate(TokenUsage(1, 1))
    _, events = await hear(Step([first, first, second, second], LlmResponse("")))
    assert events == [first, second]


@pytest.mark.parametrize(("step", "reason"), [(reply("x"), "stop"), (reply("x", tool_calls=[CALL]), "tool_use")])
async def test_without_a_reason_tool_calls_or_their_absence_are_one(step: Step, reason: str) -> None:
    assert (await hear(step))[0].terminal_reason == reason


async def test_a_reason_that_was_given_stays() -> None:
    response, _ = await hear(reply("x", tool_calls=[CALL], terminal_reason="output_limit"))
    assert response.terminal_reason == "output_limit"


@pytest.mark.parametrize("required", [True, False])
async def test_a_transport_that_must_stream_gets_a_sink_even_if_nobody_listens(required: bool) -> None:
    given: list[EventSink | None] = []

    class Asking:
        """Says whether it was given a sink."""

        requires_streaming = required

        async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
            given.append(sink)
            if sink is not None:
                sink(delta("x"))
            return LlmResponse("x")

        async def aclose(self) -> None:
            return None

    clock = FakeClock()
    provider = scripted([], clock)
    provider.components.map_transport(lambda inner: Asking())
    assert provider.requires_streaming is required
    await clock.run(provider.complete(REQUEST))
    assert (given[0] is not None) is required
