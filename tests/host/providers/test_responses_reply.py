"""What a stream of OpenAI's Responses API comes to (providers.md 6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lash.host.providers.openai_responses_reply import ResponsesDecoder
from lash.host.providers.openai_responses_request import encode_request
from lash.host.providers.tool_schemas import restorer
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.sansio.llm import (
    AnyStreamEvent,
    Block,
    LlmMessage,
    LlmRequest,
    LlmStreamEvent,
    LlmToolSpec,
    ReasoningReplay,
    ResponseMeta,
    ToolCallReplay,
)
from lash.runtime.sansio.usage import TokenUsage
from tests.host.providers.dialects import RESPONSES, Told, told


def decoder(sink: Callable[[AnyStreamEvent], None]) -> ResponsesDecoder:
    return ResponsesDecoder(sink, lambda name, arguments: arguments)


def added(place: int, **item: object) -> dict[str, object]:
    return {"type": "response.output_item.added", "output_index": place, "item": item}


def done(place: int, **item: object) -> dict[str, object]:
    return {"type": "response.output_item.done", "output_index": place, "item": item}


def about(kind: str, item_id: str, **fields: object) -> dict[str, object]:
    return {"type": f"response.{kind}", "item_id": item_id, **fields}


def message(*texts: str, item_id: str = "m", **fields: object) -> dict[str, object]:
    content: list[dict[str, object]] = [{"type": "output_text", "text": text} for text in texts]
    return {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": content, **fields}


def final(*output: object, kind: str = "completed", **fields: object) -> dict[str, object]:
    response = {"id": "resp", "status": kind, "incomplete_details": None, "output": list(output), **fields}
    return {"type": f"response.{kind}", "response": response}


def read(*events: object) -> Told:
    return told(decoder, *events)


def whole(*output: object, status: str = "completed", **fields: object) -> Told:
    heard = list[AnyStreamEvent]()
    made = decoder(heard.append)
    made.reply({"id": "resp", "status": status, "output": list(output), **fields})
    return Told(made.response(), heard)


def documented() -> Told:
    return read(*RESPONSES.events("thinking_text_tool"))


def test_the_documented_stream_is_reasoning_text_and_a_call_in_that_order() -> None:
    response = documented().response
    assert response.parts == (
        Block.Reasoning(
            "Two files.\n\nI read the first.",
            ReasoningReplay("rs_01", "ZW5j", summary=("Two files.", "I read the first.")),
        ),
        Block.Text("Grüße 🌍, ich lese.", ResponseMeta("msg_01", "completed", "commentary")),
        Block.ToolCall("call_01", "read_file", '{"path": "größe.txt"}', ToolCallReplay("fc_01")),
    )
    assert (response.terminal_reason, response.response_id) == ("tool_use", "resp_01")


def test_cached_and_written_tokens_are_taken_out_of_the_total() -> None:
    expected = TokenUsage(10, 42, cached_input_tokens=5, cache_write_tokens=3, reasoning_tokens=17)
    assert documented().response.usage == expected


def test_the_deltas_of_reasoning_join_to_its_text() -> None:
    heard = documented().heard
    deltas = [event.text for event in heard if isinstance(event, LlmStreamEvent.ReasoningDelta)]
    assert "".join(deltas) == "Two files.\n\nI read the first."


def test_each_part_is_announced_once_when_it_is_done() -> None:
    announced = [event.part.type for event in documented().heard if isinstance(event, LlmStreamEvent.PartDone)]
    assert announced == ["reasoning", "tool_call"]


def test_a_reply_goes_back_as_it_came() -> None:
    request = LlmRequest("gpt", (LlmMessage("assistant", documented().response.parts),))
    wire = encode_request(request, ProviderOptions(), None)["input"]
    summary = [{"type": "summary_text", "text": "Two files."}, {"type": "summary_text", "text": "I read the first."}]
    assert wire[0] == {"type": "reasoning", "id": "rs_01", "summary": summary, "encrypted_content": "ZW5j"}
    assert (wire[1]["id"], wire[1]["phase"]) == ("msg_01", "commentary")
    assert (wire[2]["id"], wire[2]["call_id"]) == ("fc_01", "call_01")


def test_a_whole_reply_is_the_same_as_its_stream() -> None:
    buffered = decoder(lambda event: None)
    buffered.reply(json.loads(RESPONSES.whole("hello")))
    assert buffered.response() == read(*RESPONSES.events("hello")).response


def test_items_that_arrive_interleaved_do_not_mix() -> None:
    response = read(
        added(0, id="m", type="message"),
        added(1, id="f", type="function_call", call_id="c", name="g", arguments=""),
        about("function_call_arguments.delta", "f", delta='{"a"'),
        about("output_text.delta", "m", content_index=0, delta="He"),
        about("function_call_arguments.delta", "f", delta=": 1}"),
        about("output_text.delta", "m", content_index=0, delta="llo"),
        final(),
    ).response
    assert [part.type for part in response.parts] == ["text", "tool_call"]
    assert (response.full_text, response.parts[1]) == (
        "Hello",
        Block.ToolCall("c", "g", '{"a": 1}', ToolCallReplay("f")),
    )


def test_texts_of_one_message_are_parts_of_their_own() -> None:
    response = read(
        added(0, id="m", type="message"),
        about("output_text.delta", "m", content_index=1, delta="b"),
        about("output_text.delta", "m", content_index=0, delta="a"),
        final(),
    ).response
    assert response.full_text == "ab"
    assert [part.text for part in response.parts if isinstance(part, Block.Text)] == ["a", "b"]


def test_what_an_item_finally_is_counts() -> None:
    response = read(
        added(0, id="m", type="message"),
        about("output_text.delta", "m", content_index=0, delta="Hel"),
        done(0, **message("Hello")),
        final(),
    ).response
    assert response.full_text == "Hello"


def test_the_rest_of_a_text_is_sent_when_its_end_is_known() -> None:
    heard = read(
        added(0, id="m", type="message"),
        about("output_text.delta", "m", content_index=0, delta="Hel"),
        about("output_text.done", "m", content_index=0, text="Hello"),
        final(message("Hello there")),
    ).heard
    assert [event.text for event in heard if isinstance(event, LlmStreamEvent.TextDelta)] == ["Hel", "lo", " there"]


def test_the_model_that_answered_is_named() -> None:
    assert whole(message("Hello"), model="gpt-x-2026").response.response_model == "gpt-x-2026"
    assert read(final(message("Hello"), model="gpt-x-2026")).response.response_model == "gpt-x-2026"


def test_items_that_were_not_streamed_come_with_the_whole() -> None:
    told_ = read(
        added(0, id="m", type="message"),
        about("output_text.delta", "m", content_index=0, delta="Hello"),
        final(message("Hello"), {"id": "f", "type": "function_call", "call_id": "c", "name": "g", "arguments": "{}"}),
    )
    assert [part.type for part in told_.response.parts] == ["text", "tool_call"]
    assert [event.type for event in told_.heard if event.type != "usage_update"] == [
        "text_delta",
        "tool_call_started",
        "part_done",
    ]


def test_items_without_ids_are_known_by_their_place() -> None:
    response = read(
        added(0, type="message"),
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hello"},
        final({"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}),
    ).response
    assert response.full_text == "Hello"


def test_an_id_that_is_no_text_is_no_id() -> None:
    response = read(
        added(0, id=[1], type="message"), final({"type": "message", "content": []}, message("Hello"))
    ).response
    assert response.full_text == "Hello"


def test_reasoning_without_summary_or_encryption_is_nothing_and_encrypted_reasoning_is_kept() -> None:
    empty: dict[str, object] = {"id": "r1", "type": "reasoning", "summary": []}
    kept: dict[str, object] = {"id": "r2", "type": "reasoning", "summary": [], "encrypted_content": "ZW5j"}
    response = whole(empty, kept, message("Hello")).response
    assert [part.type for part in response.parts] == ["reasoning", "text"]
    assert response.parts[0] == Block.Reasoning("", ReasoningReplay("r2", "ZW5j"))


def test_reasoning_in_plain_text_is_reasoning() -> None:
    told_ = read(
        added(0, id="r", type="reasoning", summary=[]),
        about("reasoning_text.delta", "r", content_index=0, delta="h"),
        about("reasoning_text.delta", "r", content_index=0, delta="m"),
        final(message("Hello", item_id="m")),
    )
    assert [part.text for part in told_.response.parts if isinstance(part, Block.Reasoning)] == ["hm"]


def test_events_and_items_that_are_not_known_say_nothing() -> None:
    response = read(
        {"type": "response.news.delta", "item_id": "m", "delta": "?"},
        added(0, id="w", type="web_search_call"),
        about("output_text.delta", "of no item", delta="?"),
        added(1, id="m", type="message"),
        about("output_text.delta", "m", content_index=0, delta="Hello"),
        final(),
    ).response
    assert [part.type for part in response.parts] == ["text"]


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        (None, "stop"),
        ({"reason": None}, "stop"),
        ({"reason": "content_filter"}, "content_filter"),
        ({"reason": "max_output_tokens"}, "output_limit"),
        ({"reason": "something_new"}, "output_limit"),
    ],
)
def test_why_a_response_is_incomplete(details: object, reason: str) -> None:
    assert whole(message("Hello"), incomplete_details=details).response.terminal_reason == reason


def test_statuses_of_responses() -> None:
    assert whole(message("Hello"), status="incomplete").response.terminal_reason == "output_limit"
    assert whole(message("Hello"), status="cancelled").response.terminal_reason == "cancelled"


REFUSAL = {"type": "refusal", "refusal": "I will not."}


def test_a_refusal_alone_is_a_text_and_a_filter() -> None:
    told_ = read(
        added(0, id="m", type="message"),
        {**about("refusal.delta", "m", content_index=0), "delta": "I will not."},
        final({"id": "m", "type": "message", "content": [REFUSAL]}),
    )
    assert (told_.response.full_text, told_.response.terminal_reason) == ("I will not.", "content_filter")
    assert told_.response.terminal_diagnostic == "I will not."


def test_a_refusal_beside_an_answer_is_none() -> None:
    content = [{"type": "output_text", "text": "Half of it. "}, REFUSAL]
    response = whole({"id": "m", "type": "message", "content": content}).response
    assert (response.full_text, response.terminal_reason) == ("Half of it. I will not.", "stop")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None},
        final(kind="failed", error={"code": "rate_limit_exceeded", "message": "slow down"}),
    ],
)
def test_errors_are_raised_with_what_had_arrived(event: object) -> None:
    start = (added(0, id="m", type="message"), about("output_text.delta", "m", content_index=0, delta="Hel"))
    with pytest.raises(ProviderFailure, match="slow down") as raised:
        read(*start, event)
    assert raised.value.wire_code == "rate_limit_exceeded"
    assert raised.value.partial is not None
    assert raised.value.partial.full_text == "Hel"


def test_a_failure_without_error_is_one_all_the_same() -> None:
    with pytest.raises(ProviderFailure, match="reported an error"):
        read(final(kind="failed", error=None))


def test_a_failed_response_leaves_its_usage() -> None:
    usage = {"input_tokens": 7, "output_tokens": 4}
    with pytest.raises(ProviderFailure) as raised:
        read(final(kind="failed", error={"code": "server_error", "message": "no"}, usage=usage))
    assert raised.value.partial is not None
    assert raised.value.partial.usage == TokenUsage(7, 4)


def test_a_completed_response_with_nothing_in_it_is_a_failure() -> None:
    with pytest.raises(ProviderFailure) as raised:
        read(final())
    assert (raised.value.kind, raised.value.wire_code) == ("stream", "empty_response")


def test_an_incomplete_response_with_nothing_in_it_is_an_answer() -> None:
    assert whole(incomplete_details={"reason": "max_output_tokens"}).response.terminal_reason == "output_limit"


def test_a_stream_without_its_end_is_truncated() -> None:
    with pytest.raises(ProviderFailure) as raised:
        read(added(0, id="m", type="message"), done(0, **message("Hello")))
    assert raised.value.wire_code == "truncated_stream"


def test_a_null_that_the_server_enforced_is_taken_back() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": ["null"]}}}
    tool = LlmToolSpec("g", "", schema, input_projections={"openai_strict": {"type": "object"}})
    made = ResponsesDecoder(lambda event: None, restorer((tool,)))
    call = {"id": "f", "type": "function_call", "call_id": "c", "name": "g", "arguments": '{"a": null, "b": null}'}
    made.reply({"output": [call]})
    assert made.response().parts == (Block.ToolCall("c", "g", '{"b": null}', ToolCallReplay("f")),)


def test_a_call_without_arguments_has_an_empty_object() -> None:
    call = {"id": "f", "type": "function_call", "call_id": "c", "name": "g", "arguments": ""}
    assert whole(call).response.parts == (Block.ToolCall("c", "g", "{}", ToolCallReplay("f")),)
