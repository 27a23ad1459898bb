"""A whole turn with two parallel calls over each dialect, against a server on the loopback."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lash import LashCore, ModelInfo
from lash.testing.activities import check_activities
from tests.host.providers.dialects import ANTHROPIC, CHAT, DIALECTS, GOOGLE, RESPONSES, Dialect
from tests.host.providers.sse_server import Reply, SseServer
from tests.host.providers.test_turn_on_the_wire import chunks
from tests.modes.standard.playing import Meeting, parts_of, results_of

CALLS = (("call_1", '{"name": "a"}'), ("call_2", '{"name": "b"}'))

SUMMARY = [{"type": "summary_text", "text": "Both."}]


def anthropic_events() -> list[dict[str, Any]]:
    """Signed thinking, text, and the calls, their arguments in two pieces."""
    said: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        (
            {"type": "thinking", "thinking": ""},
            [{"type": "thinking_delta", "thinking": "Both."}, {"type": "signature_delta", "signature": "sig"}],
        ),
        ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "They meet."}]),
    ]
    for number, arguments in CALLS:
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in (arguments[:5], arguments[5:])]
        said.append(({"type": "tool_use", "id": number, "name": "meet", "input": {}}, pieces))
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {"usage": {"input_tokens": 9}}}]
    for index, (begin, deltas) in enumerate(said):
        events.append({"type": "content_block_start", "index": index, "content_block": begin})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}}
    return [*events, end, {"type": "message_stop"}]


def responses_events() -> list[dict[str, Any]]:
    """Encrypted reasoning and the calls."""
    items: list[dict[str, Any]] = [{"type": "reasoning", "id": "rs_1", "summary": SUMMARY, "encrypted_content": "ZW5j"}]
    items += [
        {"type": "function_call", "id": f"fc_{number}", "call_id": number, "name": "meet", "arguments": arguments}
        for number, arguments in CALLS
    ]
    events: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        begun = {**item, "arguments": ""} if "arguments" in item else item
        events.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    usage = {"input_tokens": 9, "output_tokens": 5}
    response = {"id": "r", "status": "completed", "output": items, "usage": usage}
    return [*events, {"type": "response.completed", "response": response}]


def chat_events() -> list[dict[str, Any]]:
    """Text and the calls, their arguments in two pieces."""
    deltas: list[dict[str, Any]] = [{"content": "They meet."}]
    for index, (number, arguments) in enumerate(CALLS):
        function = {"name": "meet", "arguments": arguments[:5]}
        deltas.append({"tool_calls": [{"index": index, "id": number, "type": "function", "function": function}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": arguments[5:]}}]})
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    usage = {"prompt_tokens": 9, "completion_tokens": 5}
    return [*({"id": "c", "choices": [choice]} for choice in choices), {"id": "c", "choices": [], "usage": usage}]


THOUGHT = {"text": "Both.", "thought": True, "thoughtSignature": "sig"}


def google_calls() -> list[dict[str, Any]]:
    """The calls as parts."""
    return [{"functionCall": {"id": one, "name": "meet", "args": json.loads(args)}} for one, args in CALLS]


def google_events() -> list[dict[str, Any]]:
    """Signed thoughts, text and the calls, each in a chunk of its own."""
    parts = [THOUGHT, {"text": "They meet."}, *google_calls()]
    said: list[dict[str, Any]] = [{"candidates": [{"content": {"role": "model", "parts": [part]}}]} for part in parts]
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 5}
    return [*said, {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}]


EVENTS = {ANTHROPIC: anthropic_events, RESPONSES: responses_events, CHAT: chat_events, GOOGLE: google_events}


def two_calls(dialect: Dialect) -> list[bytes]:
    """The reply with the calls as server-sent events."""
    return [
        (b"" if dialect in (CHAT, GOOGLE) else f"event: {event['type']}\n".encode())
        + b"data: "
        + json.dumps(event).encode()
        + b"\n\n"
        for event in EVENTS[dialect]()
    ]


def told_back(dialect: Dialect, body: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What the second request says of the first reply, and the results in it."""
    if dialect is ANTHROPIC:
        _, reply, results = body["messages"]
        return (
            [{key: value for key, value in block.items() if key != "cache_control"} for block in reply["content"]],
            [(block["tool_use_id"], block["content"]) for block in results["content"]],
        )
    if dialect is RESPONSES:
        items = body["input"]
        results = [item for item in items if item.get("type") == "function_call_output"]
        return [item for item in items[1:] if item not in results], [(one["call_id"], one["output"]) for one in results]
    if dialect is GOOGLE:
        _, reply, results = body["contents"]
        answers = [part["functionResponse"] for part in results["parts"]]
        return reply["parts"], [(one["id"], one["response"]["output"]) for one in answers]
    if dialect is GOOGLE:
        _, reply, results = body["contents"]
        answers = [part["functionResponse"] for part in results["parts"]]
        return reply["parts"], [(answer["id"], answer["response"]["output"]) for answer in answers]
    _, _, reply, *results = body["messages"]
    return [reply], [(one["tool_call_id"], one["content"]) for one in results]


def expected_back(dialect: Dialect) -> list[Any]:
    """The first reply as the provider wants it back."""
    if dialect is ANTHROPIC:
        used = [{"type": "tool_use", "id": one, "name": "meet", "input": json.loads(args)} for one, args in CALLS]
        thought = {"type": "thinking", "thinking": "Both.", "signature": "sig"}
        return [thought, {"type": "text", "text": "They meet."}, *used]
    if dialect is RESPONSES:
        return [
            {"type": "reasoning", "id": "rs_1", "summary": SUMMARY, "encrypted_content": "ZW5j"},
            *(
                {"type": "function_call", "id": f"fc_{one}", "call_id": one, "name": "meet", "arguments": args}
                for one, args in CALLS
            ),
        ]
    if dialect is GOOGLE:
        return [THOUGHT, {"text": "They meet."}, *google_calls()]
    if dialect is GOOGLE:
        return [part for event in google_events()[:-1] for part in event["candidates"][0]["content"]["parts"]]
    function_calls = [
        {"id": one, "type": "function", "function": {"name": "meet", "arguments": args}} for one, args in CALLS
    ]
    return [{"role": "assistant", "content": "They meet.", "tool_calls": function_calls}]


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
async def test_two_calls_run_together_and_the_next_request_has_reply_and_results_in_order(dialect: Dialect) -> None:
    meeting = Meeting(2)
    dropped = Reply(two_calls(dialect)[:-3], then="drop")
    async with SseServer(dropped, Reply(two_calls(dialect)), Reply(chunks(dialect, "They ", "met."))) as server:
        core = LashCore.standard(
            provider=dialect.handle(server.url),
            model="some-model",
            models={"some-model": ModelInfo(100_000, output=4_096)},
            tools=[meeting],
        )
        async with core, core.session("s") as session:
            output = await session.run("Let them meet.")
            check_activities(output.activities)
            assert output.assistant_message() == "They met."
            assert results_of(session) == [("call_1", "met a", False), ("call_2", "met b", False)]
            assert [part.text for part in parts_of(session, "tool_call")] == [arguments for _, arguments in CALLS]
    assert meeting.together == 2
    reply, results = told_back(dialect, server.asked[2].body)
    assert results == [("call_1", "met a"), ("call_2", "met b")]
    assert reply == expected_back(dialect)


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@pytest.mark.parametrize("other", DIALECTS, ids=str)
async def test_reasoning_goes_back_to_nobody_but_its_own_provider(dialect: Dialect, other: Dialect) -> None:
    async with SseServer(
        Reply(two_calls(dialect)), Reply(chunks(dialect, "They met.")), Reply(chunks(other, "Yes."))
    ) as server:
        core = LashCore.standard(
            provider=dialect.handle(server.url), model="m", max_context_tokens=100_000, tools=[Meeting(2)]
        )
        second = other.handle(server.url)
        async with core, core.session("s") as session:
            await session.turn("Let them meet.")
            again = await session.turn("Did they?", provider=second, model="m")
            assert again.assistant_message() == "Yes."
        await second.aclose()
    sent = json.dumps(server.asked[2].body)
    assert "met a" in sent
    replayed = [mark for mark in ("sig", "Both.", "ZW5j") if json.dumps(mark) in sent]
    own = {ANTHROPIC: ["sig", "Both."], RESPONSES: ["Both.", "ZW5j"], CHAT: [], GOOGLE: ["sig", "Both."]}[dialect]
    assert replayed == (own if other is dialect else [])
