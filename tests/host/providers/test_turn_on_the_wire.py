"""A whole RLM turn over each dialect: the program arrives in pieces, a connection drops, the answer is submitted."""

from __future__ import annotations

import json
from typing import Any

import pytest

import lash
from lash import LashCore, ModelInfo, TurnEvent
from lash.runtime.sansio.usage import TokenUsage
from tests.host.providers.dialects import ANTHROPIC, CHAT, DIALECTS, GOOGLE, RESPONSES, Dialect
from tests.host.providers.sse_server import Reply, SseServer


@pytest.fixture(params=DIALECTS, ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return request.param


def events(dialect: Dialect, *pieces: str) -> list[dict[str, Any]]:
    """The events of a reply whose text arrives in these pieces."""
    if dialect is ANTHROPIC:
        start = {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}
        begin = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
        middle = [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
        end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
        return [start, begin, *middle, {"type": "content_block_stop", "index": 0}, end, {"type": "message_stop"}]
    if dialect is RESPONSES:
        place = {"item_id": "m", "output_index": 0, "content_index": 0}
        added = {"type": "response.output_item.added", "output_index": 0, "item": {"id": "m", "type": "message"}}
        middle = [{"type": "response.output_text.delta", **place, "delta": piece} for piece in pieces]
        usage = {"input_tokens": 10, "output_tokens": 5}
        response: dict[str, Any] = {"id": "r", "status": "completed", "output": [], "usage": usage}
        return [added, *middle, {"type": "response.completed", "response": response}]
    if dialect is GOOGLE:
        contents = [{"content": {"role": "model", "parts": [{"text": piece}]}, "index": 0} for piece in pieces]
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 5}
        end = {"candidates": [{"finishReason": "STOP", "index": 0}], "usageMetadata": usage}
        return [*({"candidates": [content]} for content in contents), end]
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": piece}, "finish_reason": None} for piece in pieces
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return [*({"id": "c", "choices": [choice]} for choice in choices), {"id": "c", "choices": [], "usage": usage}]


def chunks(dialect: Dialect, *pieces: str) -> list[bytes]:
    """The same as server-sent events."""
    named = dialect not in (CHAT, GOOGLE)
    return [
        (f"event: {event['type']}\n" if named else "").encode() + b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in events(dialect, *pieces)
    ]


@lash.tool
async def lookup(item: str) -> int:
    """The price of an item."""
    return {"tea": 12}[item]


FIRST = ("I look it up.\n```lash", 'lang\nprice = (call lookup { item: "te', 'a" })?\nprint price\n```')
SECOND = ("```lashlang\nsubmit price * 2\n", "```")


async def test_a_turn_survives_a_connection_that_drops_within_the_program(dialect: Dialect) -> None:
    dropped = Reply(chunks(dialect, *FIRST)[:-4], then="drop")
    replies = (dropped, Reply(chunks(dialect, *FIRST)), Reply(chunks(dialect, *SECOND)))
    shown = ""
    async with SseServer(*replies) as server:
        core = LashCore.rlm(
            provider=dialect.handle(server.url),
            model="some-model",
            max_context_tokens=100_000,
            models={"some-model": ModelInfo(100_000, output=4_096)},
            tools=[lookup],
        )
        async with core, core.session("s") as session:
            turn = session.turn("What do two teas cost?")
            async for activity in turn:
                match activity.event:
                    case TurnEvent.AssistantProseDelta(text=text):
                        shown += text
                    case TurnEvent.ModelAttemptReset():
                        shown = ""
                    case _:
                        pass
            result = await turn
    assert result.submitted_value() == 24
    assert shown.strip() == "I look it up."
    # Anthropic counts from the first event on, so what the dropped attempt used is known there.
    dropped_usage = TokenUsage(10, 1) if dialect is ANTHROPIC else TokenUsage()
    assert result.usage == TokenUsage(20, 10) + dropped_usage
    assert "12" in json.dumps(server.asked[2].body)
    bounds = {_bound(asked.body) for asked in server.asked}
    assert bounds == {4_096}


def _bound(body: dict[str, Any]) -> object:
    """The most tokens that a reply may have."""
    names = ("max_tokens", "max_output_tokens", "maxOutputTokens")
    return next(found[name] for found in (body, body.get("generationConfig", {})) for name in names if name in found)
