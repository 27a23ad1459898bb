"""What an `LlmRequest` is on the wire of Google's Gemini API (providers.md 8)."""

from __future__ import annotations

from typing import Any

import pytest

from lash.host.providers.google_request import (
    NO_SIGNATURE,
    SIGNED_TEXT,
    THOUGHT,
    encode_conversation,
    encode_settings,
    merged,
    shown,
)
from lash.runtime.providers.failure import ProviderFailure
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
    Role,
    ToolCallReplay,
)
from tests.host.providers.dialects import READ_FILE

PICTURE = LlmAttachment("image/png", "store:1", data=b"png")
LOST = LlmAttachment("image/png", "store:2")

INLINE = {"inlineData": {"mimeType": "image/png", "data": "cG5n"}}


def said(role: Role, *blocks: AnyBlock | str) -> LlmMessage:
    return LlmMessage(role, tuple(Block.Text(block) if isinstance(block, str) else block for block in blocks))


def conversation(*messages: LlmMessage, model: str = "gemini-2.5-pro", **fields: Any) -> dict[str, Any]:
    return encode_conversation(LlmRequest(model, messages, **fields), {})


def parts(*messages: LlmMessage, model: str = "gemini-2.5-pro", **fields: Any) -> list[Any]:
    """The parts of the only content."""
    (content,) = conversation(*messages, model=model, **fields)["contents"]
    return content["parts"]


def settings(options: ProviderOptions | None = None, model: str = "gemini-2.5-pro", **fields: Any) -> dict[str, Any]:
    request = LlmRequest(model, (said("user", "hi"),), **fields)
    setting = TableModelPolicy("google").variant_setting(model, request.model_variant)
    return encode_settings(request, options or ProviderOptions(), setting)


def call(name: str, call_id: str, signature: object = None) -> Block.ToolCall:
    replay = ToolCallReplay(opaque=signature) if signature is not None else None  # type: ignore[arg-type]
    return Block.ToolCall(call_id, name, '{"a": 1}', replay)


def signatures(*calls: Block.ToolCall, model: str) -> list[str | None]:
    return [part.get("thoughtSignature") for part in parts(said("assistant", *calls), model=model)]


def thinks(text: str, signature: str | None, item_id: str | None) -> Block.Reasoning:
    return Block.Reasoning(text, ReasoningReplay(item_id=item_id, signature=signature))


# What is said


def test_all_system_text_is_one_instruction() -> None:
    wire = conversation(said("system", "Be brief.", " "), said("user", "hi"), said("system", "It is late."))
    assert wire["systemInstruction"] == {"parts": [{"text": "Be brief.\n\nIt is late."}]}
    assert wire["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]


def test_without_system_text_there_is_no_instruction() -> None:
    assert conversation(said("user", "hi")).keys() == {"contents"}


def test_messages_of_one_side_in_a_row_are_one_content() -> None:
    wire = conversation(said("user", "a"), said("user", "b"), said("assistant", "c"), said("assistant", "d"))
    assert [(content["role"], len(content["parts"])) for content in wire["contents"]] == [("user", 2), ("model", 2)]


def test_text_of_nothing_but_blanks_is_left_out() -> None:
    assert parts(said("user", " \n", "hi")) == [{"text": "hi"}]


def test_an_image_goes_with_the_request() -> None:
    assert parts(said("user", "look", Block.Image(0)), attachments=(PICTURE,)) == [{"text": "look"}, INLINE]


@pytest.mark.parametrize("index", [0, 1, -1])
def test_an_image_that_is_not_there_is_named(index: int) -> None:
    assert parts(said("user", Block.Image(index)), attachments=(LOST,)) == [{"text": "[Image attached]"}]


def test_an_image_that_was_uploaded_is_referred_to() -> None:
    request = LlmRequest("m", (said("user", Block.Image(0)),), attachments=(PICTURE,))
    (content,) = encode_conversation(request, {0: "https://files/1"})["contents"]
    assert content["parts"] == [{"fileData": {"mimeType": "image/png", "fileUri": "https://files/1"}}]


# Calls


def test_a_call_has_its_id_and_its_arguments_as_an_object() -> None:
    wanted = {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}}
    assert parts(said("assistant", call("f", "c1"))) == [wanted]


@pytest.mark.parametrize(("written", "sent"), [("", {}), ("[1]", {"_raw": "[1]"}), ('{"a"', {"_raw": '{"a"'})])
def test_arguments_that_are_no_object_are_kept_as_text(written: str, sent: object) -> None:
    (part,) = parts(said("assistant", Block.ToolCall("c", "f", written)))
    assert part["functionCall"]["args"] == sent


def test_the_signature_of_a_call_goes_back_with_it() -> None:
    assert signatures(call("f", "c1", "sig"), model="gemini-2.5-pro") == ["sig"]


def test_what_another_provider_kept_with_a_call_is_not_sent() -> None:
    encrypted = [{"type": "reasoning.encrypted"}]
    assert signatures(call("f", "c1", encrypted), model="gemini-2.5-pro") == [None]
    assert signatures(call("f", "c1", encrypted), model="gemini-3-pro-preview") == [NO_SIGNATURE]


@pytest.mark.parametrize("model", ["gemini-3-pro-preview", "gemini-3.1-pro-preview", "google/gemini-3-flash-preview"])
def test_a_call_that_the_model_did_not_sign_carries_the_sentinel(model: str) -> None:
    assert signatures(call("f", "c1"), call("g", "c2"), model=model) == [NO_SIGNATURE, NO_SIGNATURE]


def test_older_models_know_no_sentinel() -> None:
    assert signatures(call("f", "c1"), model="gemini-2.5-pro") == [None]


def test_calls_beside_a_signed_one_stay_as_they_came() -> None:
    signed = [call("f", "c1", "sig"), call("g", "c2"), call("h", "c3")]
    assert signatures(*signed, model="gemini-3-pro-preview") == ["sig", None, None]


def test_results_answer_by_id_and_name() -> None:
    history = (said("assistant", call("f", "c1")), said("user", Block.ToolResult("c1", "done")))
    answer = {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "done"}}}
    assert conversation(*history)["contents"][1] == {"role": "user", "parts": [answer]}


def test_the_result_of_a_call_that_is_gone_has_a_name_all_the_same() -> None:
    (part,) = parts(said("user", Block.ToolResult("c1", "done")))
    assert part["functionResponse"]["name"] == "c1"


def test_a_failed_result_is_an_error() -> None:
    (part,) = parts(said("user", Block.ToolResult("c1", "no", "f", is_error=True)))
    assert part["functionResponse"]["response"] == {"error": "no"}


def test_results_of_a_turn_are_one_content_and_come_before_all_else() -> None:
    results = said("user", Block.ToolResult("c1", "one", "f", images=(0,)), Block.ToolResult("c2", "two", "g"))
    answers = parts(said("user", "Go on."), results, attachments=(PICTURE,))
    assert [part.get("functionResponse", {}).get("id") for part in answers] == ["c1", "c2", None, None]
    assert answers[2:] == [{"text": "Go on."}, INLINE]


# Thoughts


def test_a_signed_thought_goes_back_where_it_was() -> None:
    blocks = (thinks("Hm.", "sig", THOUGHT), Block.Text("Yes."), call("f", "c1", "sig2"))
    assert parts(said("assistant", *blocks)) == [
        {"text": "Hm.", "thought": True, "thoughtSignature": "sig"},
        {"text": "Yes."},
        {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "sig2"},
    ]


def test_the_signature_of_a_text_goes_back_behind_it() -> None:
    blocks = (Block.Text("Yes."), thinks("", "sig", SIGNED_TEXT))
    assert parts(said("assistant", *blocks)) == [{"text": "Yes."}, {"text": "", "thoughtSignature": "sig"}]


@pytest.mark.parametrize(
    "thought",
    [
        Block.Reasoning("unsigned"),
        thinks("unsigned", None, THOUGHT),
        thinks("of Anthropic", "sig", None),
        thinks("of OpenAI", "sig", "rs_1"),
    ],
)
def test_thoughts_that_this_provider_did_not_sign_are_not_sent(thought: Block.Reasoning) -> None:
    assert parts(said("assistant", thought, "Yes.")) == [{"text": "Yes."}]


# Settings


def test_tools_are_declared_with_their_json_schema() -> None:
    body = settings(tools=(READ_FILE,))
    (tool,) = body["tools"]
    assert tool["functionDeclarations"] == [
        {"name": "read_file", "description": "Reads a file.", "parametersJsonSchema": dict(READ_FILE.input_schema)}
    ]


@pytest.mark.parametrize(("choice", "mode"), [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")])
def test_the_choice_of_tools(choice: str, mode: str) -> None:
    assert settings(tools=(READ_FILE,), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": {"mode": mode}}


def test_without_tools_nothing_is_said_of_them() -> None:
    assert settings(tool_choice="required").keys() == {"generationConfig"}


def test_a_tools_own_schema_for_gemini_is_sent_as_it_is() -> None:
    own: Any = {"type": "object", "$ref": "#/own"}
    tool = LlmToolSpec("f", "", {"type": "object"}, input_projections={"gemini": own})
    (declared,) = settings(tools=(tool,))["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"] == own


@pytest.mark.parametrize(
    ("model", "variant", "exposed", "config"),
    [
        ("gemini-3.1-pro-preview", "medium", False, {"thinkingLevel": "medium"}),
        ("gemini-3-pro-preview", "low", True, {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-2.5-flash", "high", False, {"thinkingBudget": 16_000}),
        ("gemini-2.5-pro", "max", True, {"thinkingBudget": 24_576, "includeThoughts": True}),
        ("gemini-2.0-flash", None, True, None),
    ],
)
def test_variants(model: str, variant: str | None, exposed: bool, config: object) -> None:
    options = ProviderOptions.model_validate({"thinking": {"expose": exposed}})
    body = settings(options, model, model_variant=variant)
    assert body["generationConfig"].get("thinkingConfig") == config
    assert body["generationConfig"]["maxOutputTokens"] == 32_768


def test_a_bound_that_thoughts_would_use_up_is_left_for_the_reply() -> None:
    body = settings(model="gemini-2.5-pro", model_variant="high", max_output_tokens=4_096)
    assert body["generationConfig"]["maxOutputTokens"] == 20_096


def test_the_reply_may_have_to_fit_a_schema() -> None:
    schema: Any = {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"const": 1}}}
    config = settings(output_spec=JsonSchemaOutput("answer", schema))["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"] == {"type": "object", "properties": {"a": {"enum": [1]}}}


def test_the_reply_may_have_to_be_an_object() -> None:
    config = settings(output_spec=JsonObjectOutput())["generationConfig"]
    assert (config["responseMimeType"], "responseJsonSchema" in config) == ("application/json", False)


def test_a_schema_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(ProviderFailure, match=r"gemini: \$\.properties\.a\.\$ref"):
        settings(tools=(LlmToolSpec("f", "", {"properties": {"a": {"$ref": "#/$defs/x"}}}),))


# The body as a whole


def test_an_extra_body_is_put_over_what_is_there_object_by_object() -> None:
    body = {"contents": [1], "generationConfig": {"maxOutputTokens": 5, "thinkingConfig": {"thinkingLevel": "low"}}}
    extra = {"generationConfig": {"temperature": 0.5, "thinkingConfig": {"thinkingLevel": "high"}}, "contents": [2]}
    assert merged(body, extra) == {
        "contents": [2],
        "generationConfig": {"maxOutputTokens": 5, "temperature": 0.5, "thinkingConfig": {"thinkingLevel": "high"}},
    }
    assert body["contents"] == [1]


def test_a_trace_shows_of_an_image_how_much_there_is() -> None:
    body = conversation(said("user", "look", Block.Image(0)), attachments=(PICTURE,))
    assert shown(body)["contents"][0]["parts"] == [
        {"text": "look"},
        {"inlineData": {"mimeType": "image/png", "data": "[4 characters]"}},
    ]
