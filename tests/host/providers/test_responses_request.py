"""What an `LlmRequest` is on the wire of OpenAI's Responses API (providers.md 6)."""

from __future__ import annotations

from typing import Any

import pytest

from lash.host.providers.openai_responses_request import encode_request
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.variants import TableModelPolicy
from lash.runtime.sansio.llm import (
    AnyBlock,
    Block,
    JsonObjectOutput,
    JsonSchemaOutput,
    LlmAttachment,
    LlmMessage,
    LlmRequest,
    LlmToolSpec,
    ReasoningReplay,
    ResponseMeta,
    Role,
    ToolCallReplay,
)
from tests.host.providers.dialects import READ_FILE

PICTURE = LlmAttachment("image/png", "store:1", data=b"png")
PICTURE_WIRE = {"type": "input_image", "image_url": "data:image/png;base64,cG5n", "detail": "auto"}


def said(role: Role, *blocks: AnyBlock | str) -> LlmMessage:
    return LlmMessage(role, tuple(Block.Text(block) if isinstance(block, str) else block for block in blocks))


def body(*messages: LlmMessage, options: ProviderOptions | None = None, **fields: Any) -> dict[str, Any]:
    return encode_request(LlmRequest("gpt", messages, **fields), options or ProviderOptions(), None)


def items(*messages: LlmMessage, **fields: Any) -> list[Any]:
    return body(*messages, **fields)["input"]


def test_all_system_texts_are_the_instructions() -> None:
    wire = body(said("system", "Be brief.", "Be kind."), said("user", "hi"), said("system", "It is late."))
    assert wire["instructions"] == "Be brief.\n\nBe kind.\n\nIt is late."
    assert wire["input"] == [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]


def test_what_the_user_says_in_a_row_is_one_item() -> None:
    (item,) = items(said("user", "a", Block.Image(0)), said("user", "b"), attachments=(PICTURE,))
    assert item["content"] == [
        {"type": "input_text", "text": "a"},
        PICTURE_WIRE,
        {"type": "input_text", "text": "b"},
    ]


def test_in_place_of_an_image_that_is_not_there_stands_a_text() -> None:
    (item,) = items(said("user", Block.Image(3)))
    assert item["content"] == [{"type": "input_text", "text": "[Image attached]"}]


def test_a_text_of_the_assistant_goes_back_with_what_the_server_said_of_it() -> None:
    meta = ResponseMeta("msg_1", "incomplete", "commentary")
    assert items(said("assistant", Block.Text("hm", meta))) == [
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "incomplete",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "hm", "annotations": []}],
        }
    ]


def test_texts_of_one_message_go_back_as_one() -> None:
    meta = ResponseMeta("msg_1", "completed")
    (item,) = items(said("assistant", Block.Text("a", meta), Block.Text("b", meta)))
    assert [part["text"] for part in item["content"]] == ["a", "b"]


def test_a_text_of_another_provider_gets_an_id_by_its_place() -> None:
    (_, item, other) = items(said("user", "hi"), said("assistant", "a", "b"))
    assert (item["id"], item["status"], other["id"]) == ("msg_lash_1_0", "completed", "msg_lash_1_1")


def test_encrypted_reasoning_goes_back_and_all_other_is_dropped() -> None:
    replay = ReasoningReplay("rs_1", "ZW5j", summary=("One.", "Two."))
    signed = Block.Reasoning("not ours", ReasoningReplay(signature="sig"))
    assert items(said("assistant", Block.Reasoning("One.\n\nTwo.", replay), signed, Block.Reasoning("plain"))) == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}],
            "encrypted_content": "ZW5j",
        }
    ]


def test_a_call_goes_back_with_its_item_id_if_it_has_one() -> None:
    ours = Block.ToolCall("c1", "f", '{"a": 1}', ToolCallReplay("fc_1"))
    call, other = items(said("assistant", ours, Block.ToolCall("c2", "f", "{}")))
    assert call == {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
    assert "id" not in other


def test_a_result_is_a_text_and_with_images_a_list() -> None:
    plain, seen = Block.ToolResult("c1", "ok"), Block.ToolResult("c2", "seen", images=(0,))
    first, second = items(said("user", plain, seen), attachments=(PICTURE,))
    assert first == {"type": "function_call_output", "call_id": "c1", "output": "ok"}
    assert second["output"] == [{"type": "input_text", "text": "seen"}, PICTURE_WIRE]


def test_tools_are_not_enforced_by_the_server_unless_they_bring_a_schema_for_it() -> None:
    strict: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    enforced = LlmToolSpec("g", "Does g.", {"type": "object"}, input_projections={"openai_strict": strict})
    first, second = body(said("user", "hi"), tools=(READ_FILE, enforced))["tools"]
    assert first == {
        "type": "function",
        "name": "read_file",
        "description": "Reads a file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
        "strict": False,
    }
    assert (second["parameters"], second["strict"]) == (strict, True)


def test_what_concerns_tools_goes_with_tools_only() -> None:
    with_tools = body(said("user", "hi"), tools=(READ_FILE,), tool_choice="required")
    assert (with_tools["tool_choice"], with_tools["parallel_tool_calls"]) == ("required", True)
    assert {"tools", "tool_choice", "parallel_tool_calls"}.isdisjoint(body(said("user", "hi"), tool_choice="required"))


def test_nothing_is_stored_at_the_server_and_reasoning_comes_encrypted() -> None:
    wire = body(said("user", "hi"))
    assert (wire["store"], wire["include"]) == (False, ["reasoning.encrypted_content"])
    assert (wire["text"], wire["max_output_tokens"]) == ({"verbosity": "medium"}, 32_768)
    assert "temperature" not in wire


def test_output_by_a_schema_is_enforced_by_the_server() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    wire = body(said("user", "hi"), output_spec=JsonSchemaOutput("answer", schema))
    assert wire["text"]["format"] == {
        "type": "json_schema",
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"n": {"type": ["integer", "null"]}},
            "required": ["n"],
            "additionalProperties": False,
        },
    }


def test_output_by_a_loose_schema_and_any_object() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    loose = body(said("user", "hi"), output_spec=JsonSchemaOutput("answer", schema, strict=False))
    assert (loose["text"]["format"]["strict"], loose["text"]["format"]["schema"]) == (False, schema)
    assert body(said("user", "hi"), output_spec=JsonObjectOutput())["text"]["format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("variant", "expose", "wire"),
    [
        ("high", False, {"effort": "high"}),
        ("high", True, {"effort": "high", "summary": "auto"}),
        ("minimal", False, {"effort": "low"}),
        ("none", True, None),
        (None, True, None),
    ],
)
def test_a_variant_is_an_effort(variant: str | None, expose: bool, wire: object) -> None:
    options = ProviderOptions.model_validate({"thinking": {"expose": expose}})
    setting = TableModelPolicy("openai").variant_setting("gpt-5.4", variant)
    assert encode_request(LlmRequest("gpt-5.4", (said("user", "hi"),)), options, setting).get("reasoning") == wire


@pytest.mark.parametrize(
    ("retention", "session", "wire"),
    [
        ("none", "s", (None, None)),
        ("short", None, (None, None)),
        ("short", "s", ("s", None)),
        ("long", "s", ("s", "24h")),
    ],
)
def test_a_session_has_its_own_cache(retention: Any, session: str | None, wire: object) -> None:
    sent = body(said("user", "hi"), options=ProviderOptions(cache_retention=retention), session_id=session)
    assert (sent.get("prompt_cache_key"), sent.get("prompt_cache_retention")) == wire


def test_a_session_id_that_is_too_long_for_a_cache_key_is_hashed() -> None:
    keys = [body(said("user", "hi"), session_id="s" * 65 + end)["prompt_cache_key"] for end in ("a", "b", "a")]
    assert [len(key) for key in keys] == [64, 64, 64]
    assert (keys[0] == keys[2], keys[0] == keys[1]) == (True, False)


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    assert body(said("system", "a\ud83cb"))["instructions"] == "a\ufffdb"
