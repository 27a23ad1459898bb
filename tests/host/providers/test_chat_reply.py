"""What a stream of Chat Completions comes to (providers.md 7)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from lash.host.providers.openai_chat_reply import ChatDecoder
from lash.host.providers.openai_chat_request import encode_request
from lash.host.providers.openai_profiles import PRESETS, EndpointProfile
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.sansio.llm import (
    AnyStreamEvent,
    Block,
    LlmMessage,
    LlmRequest,
    LlmResponse,
    LlmStreamEvent,
    ToolCallReplay,
)
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import JsonValue
from tests.host.providers.dialects import CHAT, Told, told


def made(profile: EndpointProfile = PRESETS["generic"]) -> Callable[[Callable[[AnyStreamEvent], None]], ChatDecoder]:
    numbers = itertools.count(1)
    return lambda sink: ChatDecoder(sink, profile, lambda: f"made_{next(numbers)}", lambda name, arguments: arguments)


def chunk(finish: str | None = None, **delta: object) -> dict[str, object]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(arguments: str = "", **fields: object) -> dict[str, object]:
    """A piece of a tool call: `id`, `index` and `name` where they are given."""
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {**fields, "function": {**name, "arguments": arguments}}


def calls(*pieces: dict[str, object]) -> tuple[Block.ToolCall, ...]:
    """The calls that pieces, each in a chunk of its own, come to."""
    chunks = [chunk(tool_calls=[piece]) for piece in pieces]
    parts = told(made(), *chunks, chunk("tool_calls")).response.parts
    return tuple(part for part in parts if isinstance(part, Block.ToolCall))


def read(*events: object, profile: EndpointProfile = PRESETS["generic"]) -> Told:
    return told(made(profile), *events)


def usage(report: dict[str, Any], profile: EndpointProfile = PRESETS["generic"]) -> TokenUsage:
    return read(chunk("stop", content="Hello"), {"choices": [], "usage": report}, profile=profile).response.usage


def documented() -> Told:
    return read(*CHAT.events("thinking_text_tool"))


def test_the_documented_stream_is_reasoning_text_and_a_call_in_that_order() -> None:
    response = documented().response
    assert response.parts == (
        Block.Reasoning("Two files, I read the first."),
        Block.Text("Grüße 🌍, ich lese."),
        Block.ToolCall("call_01", "read_file", '{"path": "größe.txt"}'),
    )
    assert (response.terminal_reason, response.response_id) == ("tool_use", "chatcmpl-01")
    assert response.response_model == "m"


def test_what_is_heard_of_the_documented_stream() -> None:
    heard = [event.type for event in documented().heard if event.type != "usage_update"]
    assert heard == [
        *("reasoning_delta", "reasoning_delta", "text_delta", "text_delta"),
        *("tool_call_started", "tool_call_delta", "tool_call_delta", "tool_call_delta", "tool_call_delta"),
        *("part_done", "part_done"),
    ]


def test_a_whole_reply_is_the_same_as_its_stream() -> None:
    decoder = made()(lambda event: None)
    decoder.reply(json.loads(CHAT.whole("hello")))
    assert decoder.response() == read(*CHAT.events("hello")).response


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_servers_put_reasoning_in_different_fields(field: str) -> None:
    response = read(chunk(**{field: "h"}), chunk(**{field: "m"}), chunk("stop", content="Hello")).response
    assert response.parts == (Block.Reasoning("hm"), Block.Text("Hello"))


def test_reasoning_that_is_there_twice_counts_once() -> None:
    response = read(chunk(reasoning_content="hm", reasoning="hm"), chunk("stop", content="Hello")).response
    assert response.parts[0] == Block.Reasoning("hm")


def test_reasoning_between_texts_parts_them() -> None:
    response = read(chunk(content="a"), chunk(reasoning="hm"), chunk("stop", content="b")).response
    assert [part.type for part in response.parts] == ["text", "reasoning", "text"]
    assert response.full_text == "ab"


def test_calls_are_told_apart_by_index() -> None:
    assert calls(
        call(index=0, id="a", name="f"),
        call(index=1, id="b", name="g"),
        call('{"x"', index=0),
        call("{}", index=1),
        call(": 1}", index=0),
    ) == (Block.ToolCall("a", "f", '{"x": 1}'), Block.ToolCall("b", "g", "{}"))


def test_without_index_a_new_id_begins_a_call() -> None:
    assert calls(call('{"x"', id="a", name="f"), call(": 1}"), call("{}", id="b", name="g"), call("", id="b")) == (
        Block.ToolCall("a", "f", '{"x": 1}'),
        Block.ToolCall("b", "g", "{}"),
    )


def test_calls_that_all_have_the_same_index_begin_with_a_name_and_a_new_id() -> None:
    assert calls(call("{}", index=0, id="a", name="f"), call("{}", index=0, id="b", name="g")) == (
        Block.ToolCall("a", "f", "{}"),
        Block.ToolCall("b", "g", "{}"),
    )


def test_an_id_that_changes_from_piece_to_piece_is_one_call() -> None:
    assert calls(call('{"x"', index=0, id="a", name="f"), call(": 1}", index=0, id="b")) == (
        Block.ToolCall("a", "f", '{"x": 1}'),
    )


def test_a_call_without_id_gets_one() -> None:
    first, second = calls(call("{}", index=0, name="f"), call("{}", index=1, name="g"))
    assert (first.call_id, second.call_id) == ("made_1", "made_2")


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert calls(call("", index=0, id="a", name="f")) == (Block.ToolCall("a", "f", "{}"),)


def test_what_is_no_json_is_left_for_the_tools_own_check() -> None:
    assert calls(call('{"x":', index=0, id="a", name="f")) == (Block.ToolCall("a", "f", '{"x":'),)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ("stop", "stop"),
        ("tool_calls", "tool_use"),
        ("function_call", "tool_use"),
        ("length", "output_limit"),
        ("max_tokens", "output_limit"),
        ("content_filter", "content_filter"),
        ("safety", "content_filter"),
        ("eos", "provider_error"),
    ],
)
def test_finish_reasons(wire: str, reason: str) -> None:
    assert read(chunk(wire, content="Hello")).response.terminal_reason == reason


def test_a_finish_reason_that_is_not_known_is_named() -> None:
    assert "eos" in (read(chunk("eos", content="Hello")).response.terminal_diagnostic or "")


def test_calls_win_over_a_server_that_says_it_has_stopped() -> None:
    piece = call("{}", index=0, id="a", name="f")
    assert read(chunk("stop", tool_calls=[piece])).response.terminal_reason == "tool_use"
    assert read(chunk("length", tool_calls=[piece])).response.terminal_reason == "output_limit"


def test_a_refusal_alone_is_a_text_and_a_filter() -> None:
    response = read(chunk(refusal="I will "), chunk("stop", refusal="not.")).response
    assert (response.full_text, response.terminal_reason) == ("I will not.", "content_filter")
    assert response.terminal_diagnostic == "I will not."


def test_only_the_first_choice_is_read() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]}
    response = read(other, chunk("stop", content="Hello"), other).response
    assert (response.full_text, response.terminal_reason) == ("Hello", "stop")


def test_a_stream_without_finish_reason_is_truncated() -> None:
    with pytest.raises(ProviderFailure) as raised:
        read(chunk(content="Hel"))
    assert (raised.value.kind, raised.value.wire_code) == ("stream", "truncated_stream")


def test_a_profile_may_do_without_finish_reason() -> None:
    response = read(chunk(content="Hello"), profile=EndpointProfile(require_finish_reason=False)).response
    assert (response.full_text, response.terminal_reason) == ("Hello", "unknown")


def test_a_reply_with_nothing_in_it_is_a_failure() -> None:
    with pytest.raises(ProviderFailure) as raised:
        read(chunk("stop", content=""))
    assert raised.value.wire_code == "empty_response"


def test_an_empty_reply_that_met_its_bound_is_an_answer() -> None:
    assert read(chunk("length")).response.terminal_reason == "output_limit"


@pytest.mark.parametrize("error", [{"message": "no", "code": 429}, "no"])
def test_an_error_in_a_chunk_is_raised_with_what_had_arrived(error: object) -> None:
    with pytest.raises(ProviderFailure, match="no") as raised:
        read(chunk(content="Hel"), {"error": error})
    assert raised.value.partial is not None
    assert raised.value.partial.full_text == "Hel"


def test_cached_and_written_tokens_are_taken_out_of_the_total() -> None:
    expected = TokenUsage(10, 42, cached_input_tokens=5, cache_write_tokens=3, reasoning_tokens=17)
    assert documented().response.usage == expected


def test_writes_that_count_as_reads_are_taken_out_of_them() -> None:
    report = {"prompt_tokens": 18, "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 3}}
    expected = TokenUsage(10, 0, cached_input_tokens=5, cache_write_tokens=3)
    assert usage(report, PRESETS["openrouter"]) == expected


def test_usage_under_other_names() -> None:
    assert usage({"prompt_tokens": 18, "prompt_cache_hit_tokens": 5}) == TokenUsage(13, 0, cached_input_tokens=5)
    details = {"input_tokens_details": {"cached_tokens": 5}, "output_tokens_details": {"reasoning_tokens": 2}}
    assert usage({"input_tokens": 18, "output_tokens": 4, **details}) == TokenUsage(13, 4, 5, reasoning_tokens=2)


def test_more_cached_tokens_than_there_are_is_not_less_than_none() -> None:
    report = {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}
    assert usage(report) == TokenUsage(0, 0, cached_input_tokens=5)


def encrypted(name: str, **fields: JsonValue) -> JsonValue:
    return {"type": "reasoning.encrypted", "data": name, **fields}


def with_details() -> LlmResponse:
    pieces = [call("{}", index=0, id="a", name="f"), call("{}", index=1, id="b", name="g")]
    plain = {"type": "reasoning.text", "text": "hm"}
    details = [encrypted("for b", id="b"), plain, encrypted("for anyone")]
    return read(chunk(reasoning="hm", reasoning_details=details), chunk("tool_calls", tool_calls=pieces)).response


def test_encrypted_reasoning_is_kept_with_the_call_it_is_for() -> None:
    _, first, second = with_details().parts
    assert first == Block.ToolCall("a", "f", "{}", ToolCallReplay(opaque=[encrypted("for anyone")]))
    assert second == Block.ToolCall("b", "g", "{}", ToolCallReplay(opaque=[encrypted("for b", id="b")]))


def test_encrypted_reasoning_goes_back() -> None:
    request = LlmRequest("m", (LlmMessage("assistant", with_details().parts),))
    (message,) = encode_request(request, ProviderOptions(), None, PRESETS["generic"])["messages"]
    assert message["reasoning_details"] == [encrypted("for anyone"), encrypted("for b", id="b")]


def test_usage_is_reported_as_it_is_known() -> None:
    updates = [event.usage for event in documented().heard if isinstance(event, LlmStreamEvent.UsageUpdate)]
    assert [update.output_tokens for update in updates] == [42]
