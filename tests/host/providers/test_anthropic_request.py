"""What an `LlmRequest` is on the wire of Anthropic's Messages API (providers.md 5)."""

from __future__ import annotations

from typing import Any

import pytest

from lash.host.providers.anthropic_request import encode_request, request_headers
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
)
from tests.host.providers.dialects import READ_FILE

PICTURE = LlmAttachment("image/png", "store:1", data=b"png")
LOST = LlmAttachment("image/png", "store:2")

EPHEMERAL = {"type": "ephemeral"}


def said(role: Role, *blocks: AnyBlock | str) -> LlmMessage:
    return LlmMessage(role, tuple(Block.Text(block) if isinstance(block, str) else block for block in blocks))


def body(
    *messages: LlmMessage, options: ProviderOptions | None = None, setting: VariantSetting | None = None, **fields: Any
) -> dict[str, Any]:
    return encode_request(LlmRequest("claude", messages, **fields), options or ProviderOptions(), setting)


def unmarked(*messages: LlmMessage, **fields: Any) -> dict[str, Any]:
    return body(*messages, options=ProviderOptions(cache_retention="none"), **fields)


def content(*messages: LlmMessage, **fields: Any) -> list[Any]:
    """The blocks of the only turn."""
    ((turn),) = unmarked(*messages, **fields)["messages"]
    return turn["content"]


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def test_the_first_system_message_goes_to_the_top_and_a_later_one_is_what_a_user_says() -> None:
    wire = unmarked(said("system", "Be brief.", "Be kind."), said("user", "hi"), said("system", "It is late."))
    assert wire["system"] == [text("Be brief.\n\nBe kind.")]
    assert wire["messages"] == [{"role": "user", "content": [text("hi"), text("It is late.")]}]


def test_without_system_message_there_is_no_system_text() -> None:
    assert "system" not in unmarked(said("user", "hi"))


def test_messages_of_one_role_in_a_row_are_one_turn() -> None:
    wire = unmarked(said("user", "a"), said("user", "b"), said("assistant", "c"), said("assistant", "d"))
    assert [(turn["role"], len(turn["content"])) for turn in wire["messages"]] == [("user", 2), ("assistant", 2)]


def test_text_of_nothing_but_blanks_is_left_out() -> None:
    assert content(said("user", " \n\t", "hi")) == [text("hi")]


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    assert content(said("user", "a\ud83cb")) == [text("a\ufffdb")]


def test_an_image_is_sent_as_base64() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "cG5n"}
    assert content(said("user", Block.Image(0)), attachments=(PICTURE,)) == [{"type": "image", "source": source}]


@pytest.mark.parametrize("index", [0, 1, -1])
def test_in_place_of_an_image_that_is_not_there_stands_a_text(index: int) -> None:
    assert content(said("user", Block.Image(index)), attachments=(LOST,)) == [text("[Image attached]")]


def test_a_call_and_its_result_have_the_same_id_in_characters_that_the_api_takes() -> None:
    call_id = "call:1/" + "x" * 100
    call, result = Block.ToolCall(call_id, "read_file", '{"path": "a"}'), Block.ToolResult(call_id, "text")
    assistant, user = unmarked(said("assistant", call), said("user", result))["messages"]
    wire_id = "call_1_" + "x" * 57
    assert assistant["content"] == [{"type": "tool_use", "id": wire_id, "name": "read_file", "input": {"path": "a"}}]
    assert user["content"] == [{"type": "tool_result", "tool_use_id": wire_id, "content": "text"}]


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        ("", {}),
        ("{}", {}),
        ("[1]", {"_raw": "[1]"}),
        ('{"path":', {"_raw": '{"path":'}),
        ('{"x": NaN}', {"_raw": '{"x": NaN}'}),
    ],
)
def test_arguments_are_an_object_whatever_the_model_wrote(arguments: str, wire: object) -> None:
    (block,) = content(said("assistant", Block.ToolCall("1", "f", arguments)))
    assert block["input"] == wire


def test_a_result_with_images_is_a_list_of_blocks() -> None:
    (block,) = content(said("user", Block.ToolResult("1", "seen", images=(0,))), attachments=(PICTURE,))
    assert [part["type"] for part in block["content"]] == ["text", "image"]


def test_a_failed_call_says_so() -> None:
    (block,) = content(said("user", Block.ToolResult("1", "no such file", is_error=True)))
    assert block["is_error"] is True


def test_the_results_of_a_turn_come_before_all_else_that_the_user_says() -> None:
    blocks = content(
        said("user", "look", Block.ToolResult("1", "a")), said("user", "there", Block.ToolResult("2", "b"))
    )
    assert [block.get("tool_use_id", block.get("text")) for block in blocks] == ["1", "2", "look", "there"]


def test_signed_thinking_text_and_calls_keep_their_order() -> None:
    thought = Block.Reasoning("hm", ReasoningReplay(signature="sig"))
    blocks = content(said("assistant", thought, "I read.", Block.ToolCall("1", "f", "{}")))
    assert blocks[0] == {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]


def test_redacted_thinking_goes_back_as_it_came() -> None:
    hidden = Block.Reasoning("", ReasoningReplay(signature="data", redacted=True))
    assert content(said("assistant", hidden)) == [{"type": "redacted_thinking", "data": "data"}]


def test_unsigned_thinking_is_a_text_and_empty_thinking_is_nothing() -> None:
    assert content(said("assistant", Block.Reasoning("hm"), Block.Reasoning(" "))) == [text("hm")]


@pytest.mark.parametrize(("choice", "wire"), [("auto", "auto"), ("none", "none"), ("required", "any")])
def test_the_choice_of_tools_goes_with_the_tools(choice: str, wire: str) -> None:
    assert unmarked(said("user", "hi"), tools=(READ_FILE,), tool_choice=choice)["tool_choice"] == {"type": wire}


def test_without_tools_there_is_no_choice_of_them() -> None:
    assert {"tools", "tool_choice"}.isdisjoint(unmarked(said("user", "hi"), tool_choice="required"))


def test_arguments_of_tools_are_asked_for_as_they_are_written() -> None:
    (tool,) = unmarked(said("user", "hi"), tools=(READ_FILE,))["tools"]
    assert tool["eager_input_streaming"] is True
    assert tool["input_schema"]["properties"] == {"path": {"type": "string"}}


def test_a_tool_without_description_is_sent_without_one() -> None:
    (tool,) = unmarked(said("user", "hi"), tools=(LlmToolSpec("f", "", {}),))["tools"]
    assert (tool["input_schema"], "description" in tool) == ({"type": "object"}, False)


def test_output_by_a_schema_is_closed_and_its_bounds_are_words() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    config = unmarked(said("user", "hi"), output_spec=JsonSchemaOutput("answer", schema))["output_config"]
    assert config["format"]["type"] == "json_schema"
    assert config["format"]["schema"] == {
        "type": "object",
        "properties": {"n": {"type": "integer", "description": "minimum: 1"}},
        "additionalProperties": False,
    }


def test_output_that_is_any_object_has_an_open_schema() -> None:
    config = unmarked(said("user", "hi"), output_spec=JsonObjectOutput())["output_config"]
    assert config["format"]["schema"] == {"type": "object", "additionalProperties": True}


@pytest.mark.parametrize(("asked", "set_to", "sent"), [(None, None, 32_768), (None, 500, 500), (9, 500, 9)])
def test_the_bound_of_a_reply_is_the_requests_else_the_options_else_the_default(
    asked: int | None, set_to: int | None, sent: int
) -> None:
    options = ProviderOptions(max_output_tokens=set_to)
    assert body(said("user", "hi"), options=options, max_output_tokens=asked)["max_tokens"] == sent


def variant(model: str, name: str | None, *, expose: bool = False, **fields: Any) -> dict[str, Any]:
    options = ProviderOptions.model_validate({"thinking": {"expose": expose}})
    setting = TableModelPolicy("anthropic").variant_setting(model, name)
    return body(said("user", "hi"), options=options, setting=setting, **fields)


def test_an_adaptive_model_gets_an_effort() -> None:
    wire = variant("claude-opus-4-7", "high", expose=True)
    assert wire["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert wire["output_config"] == {"effort": "high"}


def test_thinking_that_nobody_sees_is_omitted() -> None:
    assert variant("claude-opus-4-7", "high")["thinking"]["display"] == "omitted"


def test_effort_and_format_stand_side_by_side() -> None:
    wire = variant("claude-opus-4-7", "low", output_spec=JsonObjectOutput())
    assert wire["output_config"].keys() == {"effort", "format"}


@pytest.mark.parametrize(("bound", "sent"), [(20_000, 20_000), (12_288, 24_576), (100, 12_388)])
def test_a_thinking_budget_is_less_than_the_bound_of_the_reply(bound: int, sent: int) -> None:
    wire = variant("claude-sonnet-4-5", "high", max_output_tokens=bound)
    assert wire["thinking"] == {"type": "enabled", "budget_tokens": 12_288, "display": "omitted"}
    assert wire["max_tokens"] == sent


def test_no_variant_and_the_variant_none_send_nothing_of_thinking() -> None:
    assert "thinking" not in variant("claude-sonnet-4-5", "none")
    assert "thinking" not in variant("claude-sonnet-4-5", None)


def test_models_that_think_on_a_budget_are_asked_to_think_between_calls() -> None:
    assert request_headers(VariantSetting("budget", budget_tokens=1_024)) == {
        "anthropic-beta": "interleaved-thinking-2025-05-14"
    }
    assert request_headers(VariantSetting("adaptive", effort="high")) == request_headers(None) == {}


def test_no_temperature_is_sent() -> None:
    assert "temperature" not in variant("claude-opus-4-7", "high")


# Cache marks


def marks(wire: dict[str, Any]) -> dict[str, object]:
    """The marks that a body has, by where they are."""
    found = {f"system.{number}": block for number, block in enumerate(wire.get("system", []))}
    found |= {f"tools.{tool['name']}": tool for tool in wire.get("tools", [])}
    for turn, message in enumerate(wire["messages"]):
        found |= {f"{turn}.{number}": block for number, block in enumerate(message["content"])}
    return {place: block["cache_control"] for place, block in found.items() if "cache_control" in block}


TWO_TOOLS = (READ_FILE, LlmToolSpec("write_file", "Writes a file.", {"type": "object"}))


def test_without_a_flagged_block_the_end_of_what_the_user_says_is_marked() -> None:
    wire = body(said("system", "s"), said("user", "a", "b"), tools=TWO_TOOLS)
    assert marks(wire) == {"system.0": EPHEMERAL, "tools.write_file": EPHEMERAL, "0.1": EPHEMERAL}


def test_the_last_flagged_block_is_marked_instead() -> None:
    flagged = Block.Text("old", cache_breakpoint=True)
    wire = body(said("user", flagged, Block.Text("later", cache_breakpoint=True), "new"))
    assert marks(wire) == {"0.1": EPHEMERAL}
    assert "cache_breakpoint" not in str(wire)


def test_a_conversation_that_ends_with_the_assistant_has_no_mark_of_its_own() -> None:
    thought = Block.Reasoning("hm", ReasoningReplay(signature="sig"))
    assert marks(body(said("user", "a"), said("assistant", thought))) == {}


def test_long_retention_is_an_hour() -> None:
    wire = body(said("user", "a"), options=ProviderOptions(cache_retention="long"))
    assert marks(wire) == {"0.0": {"type": "ephemeral", "ttl": "1h"}}


def test_no_retention_marks_nothing() -> None:
    flagged = Block.Text("a", cache_breakpoint=True)
    assert marks(unmarked(said("system", "s"), said("user", flagged), tools=TWO_TOOLS)) == {}
