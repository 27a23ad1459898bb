"""What a stream of Anthropic's Messages API comes to (providers.md 5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lash.host.providers.anthropic_reply import AnthropicDecoder
from lash.host.providers.anthropic_request import encode_request
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.sansio.llm import Block, LlmMessage, LlmRequest, LlmStreamEvent, ReasoningReplay
from lash.runtime.sansio.usage import TokenUsage
from tests.host.providers.dialects import ANTHROPIC, Told, told

START = {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 7, "output_tokens": 1}}}
STOP = {"type": "message_stop"}


def begin(index: int, **block: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def more(index: int, **delta: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def end(index: int) -> dict[str, object]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str | None = "end_turn", **delta: object) -> dict[str, object]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **delta}, "usage": {"output_tokens": 4}}


def read(*events: object) -> Told:
    return told(AnthropicDecoder, START, *events, STOP)


def documented() -> Told:
    return told(AnthropicDecoder, *ANTHROPIC.events("thinking_text_tool"))


def test_the_documented_stream_is_thinking_text_and_a_call_in_that_order() -> None:
    response = documented().response
    assert response.parts == (
        Block.Reasoning("Two files, I read the first.", ReasoningReplay(signature="c2lnbmVk")),
        Block.Text("Grüße 🌍, ich lese."),
        Block.ToolCall("toolu_01", "read_file", '{"path": "größe.txt"}'),
    )
    assert (response.full_text, response.terminal_reason) == ("Grüße 🌍, ich lese.", "tool_use")
    assert response.response_id == "msg_01"
    assert response.response_model == "claude-opus-4-7"


def test_the_buckets_of_usage_are_those_of_the_wire() -> None:
    response = documented().response
    expected = TokenUsage(10, 42, cached_input_tokens=5, cache_write_tokens=3, reasoning_tokens=17)
    assert response.usage == expected
    assert isinstance(response.provider_usage, dict)
    assert response.provider_usage["cache_read_input_tokens"] == 5


def test_usage_is_reported_as_it_is_known() -> None:
    updates = [event.usage for event in documented().heard if isinstance(event, LlmStreamEvent.UsageUpdate)]
    assert [(usage.prompt(), usage.output_tokens) for usage in updates] == [(18, 1), (18, 42)]


def test_what_is_heard_of_the_documented_stream() -> None:
    heard = [event for event in documented().heard if not isinstance(event, LlmStreamEvent.UsageUpdate)]
    assert [event.type for event in heard] == [
        *("reasoning_delta", "reasoning_delta", "part_done"),
        *("text_delta", "text_delta"),
        *("tool_call_started", "tool_call_delta", "tool_call_delta", "part_done"),
    ]


def test_a_reply_goes_back_as_it_came() -> None:
    request = LlmRequest("claude", (LlmMessage("assistant", documented().response.parts),))
    (turn,) = encode_request(request, ProviderOptions(), None)["messages"]
    assert turn["content"] == [
        {"type": "thinking", "thinking": "Two files, I read the first.", "signature": "c2lnbmVk"},
        {"type": "text", "text": "Grüße 🌍, ich lese."},
        {"type": "tool_use", "id": "toolu_01", "name": "read_file", "input": {"path": "größe.txt"}},
    ]


def test_a_whole_reply_is_the_same_as_its_stream() -> None:
    decoder = AnthropicDecoder(lambda event: None)
    decoder.reply(json.loads(ANTHROPIC.whole("hello")))
    streamed = told(AnthropicDecoder, *ANTHROPIC.events("hello")).response
    assert (decoder.response().parts, decoder.response().usage) == (streamed.parts, streamed.usage)


def test_blocks_that_arrive_interleaved_do_not_mix() -> None:
    response = read(
        begin(0, type="text", text=""),
        begin(1, type="tool_use", id="t1", name="f", input={}),
        more(1, type="input_json_delta", partial_json='{"a"'),
        more(0, type="text_delta", text="He"),
        more(1, type="input_json_delta", partial_json=": 1}"),
        more(0, type="text_delta", text="llo"),
        ended("tool_use"),
    ).response
    assert response.parts == (Block.Text("Hello"), Block.ToolCall("t1", "f", '{"a": 1}'))


def test_arguments_that_are_not_streamed_are_those_of_the_start() -> None:
    response = read(begin(0, type="tool_use", id="t1", name="f", input={"a": "ü"}), end(0), ended("tool_use")).response
    assert response.parts == (Block.ToolCall("t1", "f", '{"a": "ü"}'),)


def test_redacted_thinking_is_kept_with_its_data() -> None:
    response = read(begin(0, type="redacted_thinking", data="hidden"), end(0), ended()).response
    assert response.parts == (Block.Reasoning("", ReasoningReplay(signature="hidden", redacted=True)),)


def test_thinking_that_is_omitted_but_signed_is_kept() -> None:
    start = begin(0, type="thinking", thinking="", signature="")
    response = read(start, more(0, type="signature_delta", signature="sig"), end(0), ended()).response
    assert response.parts == (Block.Reasoning("", ReasoningReplay(signature="sig")),)


def test_text_that_the_start_of_a_block_brings_is_part_of_it() -> None:
    told_ = read(begin(0, type="text", text="He"), more(0, type="text_delta", text="llo"), ended())
    assert told_.response.full_text == "Hello"
    texts = [event.text for event in told_.heard if isinstance(event, LlmStreamEvent.TextDelta)]
    assert texts == ["He", "llo"]


def test_what_is_not_known_says_nothing() -> None:
    response = read(
        {"type": "news"},
        begin(0, type="server_tool_use", id="s", name="web_search", input={}),
        more(0, type="citations_delta", citation={}),
        more(7, type="text_delta", text="of a block that never began"),
        begin(1, type="text", text="Hello"),
        ended(),
    ).response
    assert response.parts == (Block.Text("Hello"),)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("tool_use", "tool_use"),
        ("max_tokens", "output_limit"),
        ("model_context_window_exceeded", "context_overflow"),
        ("refusal", "content_filter"),
        ("compaction", "provider_error"),
        (None, "unknown"),
    ],
)
def test_stop_reasons(wire: str | None, reason: str) -> None:
    assert read(ended(wire)).response.terminal_reason == reason


def test_a_stop_reason_that_is_not_known_is_named() -> None:
    assert "compaction" in (read(ended("compaction")).response.terminal_diagnostic or "")


@pytest.mark.parametrize(
    ("details", "diagnostic"),
    [
        ({"type": "refusal", "category": "bio", "explanation": "Not this."}, "Not this."),
        ({"type": "refusal", "category": "bio", "explanation": None}, "bio"),
        (None, None),
    ],
)
def test_a_refusal_says_why_if_it_can(details: Any, diagnostic: str | None) -> None:
    assert read(ended("refusal", stop_details=details)).response.terminal_diagnostic == diagnostic


def test_a_reply_of_nothing_is_left_to_the_mode() -> None:
    response = read(ended()).response
    assert (response.full_text, response.parts, response.terminal_reason) == ("", (), "stop")


def test_the_end_of_a_message_that_never_began_is_no_end() -> None:
    with pytest.raises(ProviderFailure, match="message_start") as raised:
        told(AnthropicDecoder, STOP)
    assert raised.value.code == "truncated_stream"


def test_a_stream_that_ends_early_leaves_its_usage() -> None:
    with pytest.raises(ProviderFailure, match="message_stop") as raised:
        told(AnthropicDecoder, START, begin(0, type="text", text="Hel"))
    assert raised.value.partial is not None
    assert raised.value.partial.usage == TokenUsage(7, 1)


@pytest.mark.parametrize("nonsense", [-5, "many", True, [], 1.5e400])
def test_counts_that_are_none_are_zero(nonsense: object) -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": nonsense, "output_tokens": "12"}}}
    assert told(AnthropicDecoder, start, STOP).response.usage == TokenUsage(0, 12)
