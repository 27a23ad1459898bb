"""What an `LlmRequest` is on the wire of Chat Completions (providers.md 7)."""

from __future__ import annotations

from typing import Any

import pytest

from lash.host.providers.openai_chat import OpenAICompatibleProvider
from lash.host.providers.openai_chat_request import encode_request
from lash.host.providers.openai_profiles import PRESETS, EndpointProfile, PresetName, profile_for
from lash.runtime.errors import ConfigError
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.variants import TableModelPolicy, VariantSetting
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
    Role,
    ToolCallReplay,
)
from tests.host.providers.dialects import READ_FILE

GENERIC = PRESETS["generic"]

PICTURE = LlmAttachment("image/png", "store:1", data=b"png")
PICTURE_WIRE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}


def said(role: Role, *blocks: AnyBlock | str) -> LlmMessage:
    return LlmMessage(role, tuple(Block.Text(block) if isinstance(block, str) else block for block in blocks))


def body(
    *messages: LlmMessage,
    profile: EndpointProfile = GENERIC,
    options: ProviderOptions | None = None,
    setting: VariantSetting | None = None,
    model: str = "m",
    **fields: Any,
) -> dict[str, Any]:
    return encode_request(LlmRequest(model, messages, **fields), options or ProviderOptions(), setting, profile)


def wire(*messages: LlmMessage, **fields: Any) -> list[Any]:
    return body(*messages, **fields)["messages"]


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def test_one_plain_text_is_a_text_and_more_are_a_list() -> None:
    assert wire(said("system", "s"), said("user", "a", "b"), said("assistant", "c")) == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": "c"},
    ]


def test_system_messages_stay_where_they_are() -> None:
    roles = [message["role"] for message in wire(said("system", "s"), said("user", "a"), said("system", "t"))]
    assert roles == ["system", "user", "system"]


def test_what_is_empty_is_left_out() -> None:
    assert wire(said("system", ""), said("user", ""), said("assistant", Block.Reasoning("hm")), said("user", "a")) == [
        {"role": "user", "content": "a"}
    ]


def test_an_image_is_a_data_url() -> None:
    (message,) = wire(said("user", "look", Block.Image(0)), attachments=(PICTURE,))
    assert message["content"] == [text("look"), PICTURE_WIRE]


def test_in_place_of_an_image_that_is_not_there_stands_a_text() -> None:
    assert wire(said("user", Block.Image(0))) == [{"role": "user", "content": "[Image attached]"}]


def test_calls_stand_beside_the_text_of_their_message() -> None:
    call = Block.ToolCall("c", "f", '{"a": 1}')
    with_text, alone = wire(said("assistant", "I call.", call), said("assistant", call))
    function = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    assert with_text == {"role": "assistant", "content": "I call.", "tool_calls": [function]}
    assert alone == {"role": "assistant", "content": None, "tool_calls": [function]}


def test_results_come_first_then_their_images_then_what_the_user_says() -> None:
    results = (Block.ToolResult("c1", "one", "f", images=(0,)), Block.ToolResult("c2", "two"))
    messages = wire(said("user", "now", results[0]), said("user", results[1], "then"), attachments=(PICTURE,))
    assert messages == [
        {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {"role": "user", "content": [PICTURE_WIRE]},
        {"role": "user", "content": "now"},
        {"role": "user", "content": "then"},
    ]


def test_encrypted_reasoning_goes_back_with_the_message_of_its_call() -> None:
    details: Any = [{"type": "reasoning.encrypted", "data": "ZW5j"}]
    call = Block.ToolCall("c", "f", "{}", ToolCallReplay(opaque=details))
    (message,) = wire(said("assistant", call))
    assert message["reasoning_details"] == details


def test_reasoning_itself_is_not_sent_back() -> None:
    thought = Block.Reasoning("hm", ReasoningReplay(signature="sig"))
    assert wire(said("assistant", thought, "Hello")) == [{"role": "assistant", "content": "Hello"}]


def test_tools_are_functions() -> None:
    sent = body(said("user", "hi"), tools=(READ_FILE,), tool_choice="required")
    parameters = {"type": "object", "properties": {"path": {"type": "string"}}}
    function = {"name": "read_file", "description": "Reads a file.", "parameters": parameters}
    assert sent["tools"] == [{"type": "function", "function": function}]
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ("required", True)


def test_what_concerns_tools_goes_with_tools_only() -> None:
    assert {"tools", "tool_choice", "parallel_tool_calls"}.isdisjoint(body(said("user", "hi"), tool_choice="required"))


def test_a_tool_that_brings_a_schema_for_it_is_enforced_by_the_server() -> None:
    strict: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    tool = LlmToolSpec("f", "", {"type": "object"}, input_projections={"openai_strict": strict})
    ((sent),) = body(said("user", "hi"), tools=(tool,))["tools"]
    assert (sent["function"]["parameters"], sent["function"]["strict"]) == (strict, True)


def test_a_stream_with_its_usage_is_asked_for() -> None:
    sent = body(said("user", "hi"))
    assert (sent["stream"], sent["stream_options"], sent["max_tokens"]) == (True, {"include_usage": True}, 32_768)


SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}}


def test_output_by_a_schema() -> None:
    (kind, wanted) = body(said("user", "hi"), output_spec=JsonSchemaOutput("a", SCHEMA))["response_format"].values()
    assert (kind, wanted["name"], wanted["strict"]) == ("json_schema", "a", True)
    assert wanted["schema"]["required"] == ["n"]


def test_output_that_is_any_object() -> None:
    assert body(said("user", "hi"), output_spec=JsonObjectOutput())["response_format"] == {"type": "json_object"}


# Profiles


def test_a_profile_that_knows_no_schemas_asks_for_an_object() -> None:
    profile = EndpointProfile(structured_output="json_object")
    sent = body(said("user", "hi"), profile=profile, output_spec=JsonSchemaOutput("a", SCHEMA))
    assert sent["response_format"] == {"type": "json_object"}


def test_a_profile_names_the_bound_and_leaves_fields_out() -> None:
    profile = EndpointProfile(max_tokens_field="max_completion_tokens", stream_usage=False, parallel_tool_calls=False)
    sent = body(said("user", "hi"), profile=profile, tools=(READ_FILE,))
    assert sent["max_completion_tokens"] == 32_768
    assert {"max_tokens", "stream_options", "parallel_tool_calls"}.isdisjoint(sent)


@pytest.mark.parametrize(
    ("preset", "parallel"),
    [("generic", True), ("openrouter", True), ("vllm", True), ("ollama", False), ("llama_cpp", False)],
)
def test_presets_differ_in_parallel_calls(preset: PresetName, parallel: bool) -> None:
    sent = body(said("user", "hi"), profile=PRESETS[preset], tools=(READ_FILE,))
    assert ("parallel_tool_calls" in sent) is parallel


@pytest.mark.parametrize(
    ("url", "preset"),
    [
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://openrouter.ai/api/v1/", "openrouter"),
        ("https://openrouter.ai/api/v2", "generic"),
        ("https://proxy.example/openrouter.ai/api/v1", "generic"),
        ("http://localhost:11434/v1", "generic"),
    ],
)
def test_only_openrouters_own_address_has_its_preset(url: str, preset: str) -> None:
    assert profile_for(url) == preset


@pytest.mark.parametrize(("preset", "wire_"), [("openrouter", {"effort": "high"}), ("generic", None), ("vllm", None)])
def test_an_effort_is_sent_where_the_profile_says_how(preset: PresetName, wire_: object) -> None:
    setting = TableModelPolicy("openrouter").variant_setting("openai/gpt-5.4", "high")
    assert body(said("user", "hi"), profile=PRESETS[preset], setting=setting).get("reasoning") == wire_


def test_the_variant_none_sends_no_effort() -> None:
    setting = TableModelPolicy("openrouter").variant_setting("openai/gpt-5.4", "none")
    assert "reasoning" not in body(said("user", "hi"), profile=PRESETS["openrouter"], setting=setting)


def test_routing_is_sent_as_it_is() -> None:
    profile = EndpointProfile(provider_routing={"order": ["a", "b"]})
    assert body(said("user", "hi"), profile=profile)["provider"] == {"order": ["a", "b"]}


def test_a_profile_is_a_preset_or_an_object_and_nothing_else() -> None:
    given = OpenAICompatibleProvider("http://localhost/v1", profile=EndpointProfile(stream_usage=False))
    spec = given.to_spec()["profile"]
    assert isinstance(spec, dict)
    assert spec["stream_usage"] is False
    with pytest.raises(ConfigError, match="profile"):
        OpenAICompatibleProvider("http://localhost/v1", profile="lm_studio")


# Cache marks

EPHEMERAL = {"type": "ephemeral"}


def marked(sent: dict[str, Any]) -> list[str]:
    """The texts and tools that carry a mark."""
    found = [tool["function"]["name"] for tool in sent.get("tools", []) if "cache_control" in tool]
    for message in sent["messages"]:
        if isinstance(message["content"], list):
            found += [part["text"] for part in message["content"] if "cache_control" in part]
    return found


CONVERSATION = (
    said("system", "first", "second"),
    said("user", "question"),
    said("assistant", "answer"),
    said("user", Block.Image(0)),
)

ANTHROPIC_MARKS = EndpointProfile(cache_control="anthropic")


def test_the_first_system_text_the_last_tool_and_the_last_text_are_marked() -> None:
    sent = body(*CONVERSATION, profile=ANTHROPIC_MARKS, tools=(READ_FILE,), attachments=(PICTURE,))
    assert marked(sent) == ["read_file", "first", "answer"]


def test_a_flagged_text_is_marked_in_place_of_the_last() -> None:
    flagged = said("user", Block.Text("old", cache_breakpoint=True))
    sent = body(flagged, said("assistant", "new"), profile=ANTHROPIC_MARKS)
    assert marked(sent) == ["old"]
    assert sent["messages"][0]["content"][0]["cache_control"] == EPHEMERAL


def test_gemini_takes_one_mark_without_a_time_and_only_where_it_is_flagged() -> None:
    profile, options = EndpointProfile(cache_control="gemini"), ProviderOptions(cache_retention="long")
    flagged = said("user", Block.Text("a", cache_breakpoint=True), Block.Text("b", cache_breakpoint=True))
    sent = body(said("system", "s"), flagged, profile=profile, options=options)
    assert marked(sent) == ["b"]
    assert sent["messages"][1]["content"][1]["cache_control"] == EPHEMERAL
    assert marked(body(said("user", "a"), profile=profile, options=options)) == []


def test_long_retention_is_an_hour_and_none_marks_nothing() -> None:
    long = body(said("user", "a"), profile=ANTHROPIC_MARKS, options=ProviderOptions(cache_retention="long"))
    assert long["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert (
        marked(body(said("user", "a"), profile=ANTHROPIC_MARKS, options=ProviderOptions(cache_retention="none"))) == []
    )


@pytest.mark.parametrize(("model", "marks"), [("anthropic/claude-sonnet-4.6", ["a"]), ("openai/gpt-5.4", [])])
def test_openrouter_is_asked_to_cache_for_the_routes_that_want_marks(model: str, marks: list[str]) -> None:
    assert marked(body(said("user", "a"), profile=PRESETS["openrouter"], model=model)) == marks


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    assert wire(said("user", "a\ud83cb")) == [{"role": "user", "content": "a\ufffdb"}]
