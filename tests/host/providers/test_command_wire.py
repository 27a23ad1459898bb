from __future__ import annotations

import json

import pytest

from lash.host.providers.command_wire import MAX_LINE_BYTES, encode_line, request_document
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import (
    Block,
    JsonObjectOutput,
    JsonSchemaOutput,
    LlmAttachment,
    LlmMessage,
    LlmRequest,
    LlmToolSpec,
)


def text(role: str, *texts: str) -> LlmMessage:
    return LlmMessage(role, tuple(Block.Text(part) for part in texts))  # pyright: ignore[reportArgumentType]


def test_leading_system_messages_go_to_system_and_later_ones_stay_in_their_place() -> None:
    messages = (text("system", "a", "b"), text("system", "c"), text("user", "hi"), text("system", "note"))
    document = request_document("7", LlmRequest("m", messages), 50)
    assert document == {
        "id": "7",
        "system": "a\n\nb\n\nc",
        "messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "note"}],
        "max_output_tokens": 50,
        "model": "m",
    }


@pytest.mark.parametrize(
    ("attachment", "shown"),
    [
        (LlmAttachment("image/png", "i1", label="map", width=3, height=4), "[image i1: map 3x4]"),
        (LlmAttachment("image/png", "i1", width=3, height=4), "[image i1: 3x4]"),
        (LlmAttachment("image/png", "i1", label="map"), "[image i1: map]"),
        (LlmAttachment("image/png", "i1"), "[image i1]"),
    ],
)
def test_an_image_is_named_in_the_text(attachment: LlmAttachment, shown: str) -> None:
    message = LlmMessage("user", (Block.Text("see"), Block.Image(0)))
    document = request_document("1", LlmRequest("m", (message,), (attachment,)), 1)
    assert document["messages"] == [{"role": "user", "content": f"see\n\n{shown}"}]


def test_reasoning_is_left_out_and_old_tool_calls_are_told_as_text() -> None:
    messages = (
        LlmMessage("assistant", (Block.Reasoning("hm"), Block.Text("look"), Block.ToolCall("c", "find", '{"a": 1}'))),
        LlmMessage("user", (Block.ToolResult("c", "found", images=(0,)),)),
    )
    document = request_document("1", LlmRequest("m", messages, (LlmAttachment("image/png", "i"),)), 1)
    assert document["messages"] == [
        {"role": "assistant", "content": 'look\n\n[call of tool find: {"a": 1}]'},
        {"role": "user", "content": "found\n\n[image i]"},
    ]


def test_a_wanted_schema_is_the_last_paragraph_of_system() -> None:
    schema = JsonSchemaOutput("answer", {"type": "object"})
    document = request_document("1", LlmRequest("m", (text("system", "be brief"),), output_spec=schema), 1)
    first, last = str(document["system"]).split("\n\n")
    assert first == "be brief"
    assert last.endswith('\n{"type": "object"}')


def test_a_wanted_object_is_asked_for_in_words() -> None:
    document = request_document("1", LlmRequest("m", (), output_spec=JsonObjectOutput()), 1)
    assert "JSON object" in str(document["system"])


def test_native_tools_are_unsupported() -> None:
    with pytest.raises(ProviderFailure, match="no native tools") as raised:
        request_document("1", LlmRequest("m", (), tools=(LlmToolSpec("t", "", {}),)), 1)
    assert raised.value.kind == "unsupported"


def test_a_line_is_utf8_json_without_line_breaks_inside() -> None:
    line = encode_line({"id": "1", "text": "grüß\nGott \ud800"})
    assert line.count(b"\n") == 1
    assert json.loads(line)["text"] == "grüß\nGott ?"


def test_a_request_that_makes_too_long_a_line_is_refused_with_both_sizes() -> None:
    with pytest.raises(ProviderFailure, match=f"{MAX_LINE_BYTES:,}") as raised:
        encode_line({"text": "x" * MAX_LINE_BYTES})
    assert raised.value.kind == "validation"
