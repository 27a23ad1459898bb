"""What a stream of Google's Gemini API comes to (providers.md 8)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from lash.host.providers.google_reply import GoogleDecoder
from lash.host.providers.google_request import SIGNED_TEXT, THOUGHT
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import Block, LlmStreamEvent, ReasoningReplay, ToolCallReplay
from lash.runtime.sansio.usage import TokenUsage
from tests.host.providers.dialects import GOOGLE, Told, surviving_text, told


def decoded(*events: object) -> Told:
    numbers = itertools.count(1)
    return told(lambda sink: GoogleDecoder(sink, lambda: f"made_{next(numbers)}"), *events)


def chunk(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **more}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"text": value, **more}


def used(name: str, call_id: str | None = None, **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args, **({"id": call_id} if call_id else {})}}


def test_thoughts_text_and_call_as_google_documents_them() -> None:
    response = decoded(*GOOGLE.events("thinking_text_tool")).response
    assert response.parts == (
        Block.Reasoning("Two files, I read the first."),
        Block.Text("Grüße 🌍, ich lese."),
        Block.ToolCall("fc_01", "read_file", '{"path": "größe.txt"}', ToolCallReplay(opaque="c2lnbmVk")),
    )
    assert response.terminal_reason == "tool_use"
    assert (response.response_id, response.response_model) == ("resp_01", "gemini-3.1-pro-preview")
    assert response.usage == TokenUsage(13, 42, 5, 0, 17)


def test_the_listener_hears_deltas_and_whole_parts() -> None:
    heard = decoded(*GOOGLE.events("thinking_text_tool")).heard
    kinds = [event.type for event in heard if event.type != "usage_update"]
    assert kinds == [
        *("reasoning_delta", "reasoning_delta", "text_delta", "text_delta"),
        *("tool_call_started", "tool_call_delta", "part_done", "part_done"),
    ]
    deltas = [event for event in heard if isinstance(event, LlmStreamEvent.ToolCallDelta | LlmStreamEvent.TextDelta)]
    assert [delta.part_index for delta in deltas] == [1, 1, 2]


@pytest.mark.parametrize(
    "pieces",
    [
        ("Hel", "Hello", "Hello wor", "Hello world"),
        ("Hello ", "Hello world", "Hello world"),
        ("Hel", "lo ", "world", "Hello world"),
        ("Hello", " ", "world"),
    ],
)
def test_text_that_is_said_again_is_not_doubled(pieces: tuple[str, ...]) -> None:
    told_ = decoded(*(chunk(text(piece)) for piece in pieces))
    assert told_.response.parts == (Block.Text("Hello world"),)
    assert surviving_text(told_.heard) == "Hello world"


def test_thoughts_that_are_said_again_are_not_doubled() -> None:
    first, again = text("Hm", thought=True), text("Hm, yes", thought=True)
    assert decoded(chunk(first), chunk(again)).response.parts == (Block.Reasoning("Hm, yes"),)


def test_a_call_that_is_said_again_is_made_once() -> None:
    call = used("f", "c1", a=1)
    parts = decoded(chunk(text("I"), call), chunk(text("I"), call, used("f", "c2", a=1))).response.parts
    assert [part.call_id for part in parts if isinstance(part, Block.ToolCall)] == ["c1", "c2"]


def test_in_a_whole_reply_nothing_is_said_again() -> None:
    decoder = GoogleDecoder(lambda event: None, str)
    decoder.reply(chunk(text("ha"), used("f", "c1"), text("haha"), finish="STOP"))
    assert decoder.response().full_text == "hahaha"


def test_calls_without_an_id_get_one_each() -> None:
    same = used("f", a=1)
    parts = decoded(chunk(same, same)).response.parts
    assert [part.call_id for part in parts if isinstance(part, Block.ToolCall)] == ["made_1", "made_2"]


@pytest.mark.parametrize("args", [{}, {"args": None}, {"args": {}}])
def test_a_call_without_arguments_has_an_empty_object(args: dict[str, Any]) -> None:
    (part,) = decoded(chunk({"functionCall": {"name": "f", **args}})).response.parts
    assert isinstance(part, Block.ToolCall)
    assert part.input_json == "{}"


def test_a_signature_belongs_to_the_thoughts_before_it() -> None:
    parts = decoded(
        chunk(text("One", thought=True)),
        chunk(text("", thought=True, thoughtSignature="s1")),
        chunk(text("Two", thought=True, thoughtSignature="s2")),
    ).response.parts
    assert parts == (
        Block.Reasoning("One", ReasoningReplay(item_id=THOUGHT, signature="s1")),
        Block.Reasoning("Two", ReasoningReplay(item_id=THOUGHT, signature="s2")),
    )


@pytest.mark.parametrize(
    "chunks",
    [
        (chunk(text("Yes.", thoughtSignature="sig")),),
        (chunk(text("Yes.")), chunk(text("", thoughtSignature="sig"), finish="STOP")),
    ],
)
def test_the_signature_of_a_text_is_kept_behind_it(chunks: tuple[dict[str, Any], ...]) -> None:
    signed = Block.Reasoning("", ReasoningReplay(item_id=SIGNED_TEXT, signature="sig"))
    assert decoded(*chunks).response.parts == (Block.Text("Yes."), signed)


def test_a_signature_does_not_cut_a_text_in_two() -> None:
    parts = decoded(chunk(text("on", thoughtSignature="sig")), chunk(text("e")), chunk(text("!"))).response.parts
    assert [part.type for part in parts] == ["text", "reasoning"]
    assert parts[0] == Block.Text("one!")


def test_a_signature_that_is_said_again_is_kept_once() -> None:
    said = (text("Hm.", thought=True, thoughtSignature="s1"), text("Yes.", thoughtSignature="s2"))
    parts = decoded(chunk(*said), chunk(*said)).response.parts
    assert [part.type for part in parts] == ["reasoning", "text", "reasoning"]


def test_parts_that_a_response_does_not_have_are_left_out() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    assert decoded(chunk(code, text("Yes."))).response.parts == (Block.Text("Yes."),)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "output_limit"),
        *((name, "content_filter") for name in ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "SPII")),
        *((name, "content_filter") for name in ("PROHIBITED_CONTENT", "MODEL_ARMOR", "IMAGE_SAFETY", "IMAGE_OTHER")),
        *((name, "content_filter") for name in ("IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION")),
        *((name, "provider_error") for name in ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER")),
        *((name, "provider_error") for name in ("TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE")),
        *((name, "provider_error") for name in ("MALFORMED_RESPONSE", "OF_TOMORROW")),
    ],
)
def test_reasons_why_a_reply_ends(finish: str, reason: str) -> None:
    response = decoded(chunk(text("x")), chunk(finish=finish)).response
    assert response.terminal_reason == reason
    assert (finish in (response.terminal_diagnostic or "")) is (finish not in ("STOP", "MAX_TOKENS"))


def test_what_the_server_says_of_the_end_is_told() -> None:
    candidate = {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "Malformed: print(f())"}
    assert decoded({"candidates": [candidate]}).response.terminal_diagnostic == (
        "MALFORMED_FUNCTION_CALL: Malformed: print(f())"
    )


@pytest.mark.parametrize(("finish", "reason"), [("STOP", "tool_use"), ("MAX_TOKENS", "output_limit")])
def test_calls_are_why_a_reply_stopped(finish: str, reason: str) -> None:
    assert decoded(chunk(used("f", "c1"), finish=finish)).response.terminal_reason == reason


def test_the_last_reason_counts() -> None:
    response = decoded(chunk(text("a"), finish="STOP"), chunk(text("b"), finish="MAX_TOKENS")).response
    assert (response.full_text, response.terminal_reason) == ("ab", "output_limit")


def test_a_prompt_that_is_blocked_is_filtered() -> None:
    response = decoded({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}).response
    assert (response.parts, response.terminal_reason) == ((), "content_filter")
    assert response.terminal_diagnostic == "the prompt was blocked: PROHIBITED_CONTENT"


def test_feedback_on_a_prompt_that_was_answered_means_nothing() -> None:
    assert decoded(chunk(text("x"), finish="STOP", promptFeedback={"safetyRatings": []})).response.terminal_reason == (
        "stop"
    )


@pytest.mark.parametrize("events", [[], [{}], [chunk()], [{"candidates": None}], [{"candidates": [{"content": 3}]}]])
def test_a_reply_of_nothing_is_left_to_whoever_asked(events: list[dict[str, Any]]) -> None:
    response = decoded(*events).response
    assert (response.parts, response.terminal_reason) == ((), "unknown")


def test_the_prompt_of_tools_counts_into_the_prompt_and_thoughts_into_the_output() -> None:
    usage = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 4,
        "cachedContentTokenCount": 5,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 7,
    }
    assert decoded(chunk(usageMetadata=usage)).response.usage == TokenUsage(9, 10, 5, 0, 7)


def test_counts_that_a_later_chunk_leaves_out_stay() -> None:
    first, last = {"promptTokenCount": 10, "thoughtsTokenCount": 2}, {"candidatesTokenCount": 3}
    told_ = decoded(chunk(usageMetadata=first), chunk(usageMetadata=last))
    assert told_.response.usage == TokenUsage(10, 5, 0, 0, 2)
    updates = [event.usage for event in told_.heard if isinstance(event, LlmStreamEvent.UsageUpdate)]
    assert updates == [TokenUsage(10, 2, 0, 0, 2), TokenUsage(10, 5, 0, 0, 2)]


@pytest.mark.parametrize("count", [-5, "x", None, True, [1]])
def test_counts_that_are_none_are_zero(count: object) -> None:
    assert decoded(chunk(usageMetadata={"promptTokenCount": count})).response.usage == TokenUsage()


def test_an_error_in_a_stream_keeps_what_had_arrived() -> None:
    with pytest.raises(ProviderFailure) as raised:
        decoded(*GOOGLE.events("overloaded"))
    assert raised.value.message == "Overloaded"
    assert raised.value.partial is not None
    assert raised.value.partial.full_text == "Hel"
