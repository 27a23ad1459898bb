"""What is passed to the vendors' SDKs are arguments of the installed versions, of the types that these declare."""

from __future__ import annotations

import collections.abc
import inspect
import types
from collections.abc import Callable
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import pytest
from anthropic.resources.messages import AsyncMessages
from anthropic.types import message_create_params as anthropic_params
from openai.resources.chat.completions import AsyncCompletions
from openai.resources.responses import AsyncResponses
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import response_create_params as responses_params
from typing_extensions import is_typeddict

from lash.host.providers import anthropic_request, openai_chat_request, openai_responses_request
from lash.host.providers.openai_chat import EXTENSIONS
from lash.host.providers.openai_profiles import PRESETS
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.variants import VariantSetting
from lash.runtime.sansio.llm import (
    Block,
    JsonObjectOutput,
    JsonSchemaOutput,
    LlmAttachment,
    LlmMessage,
    LlmRequest,
    LlmToolSpec,
    OutputSpec,
    ReasoningReplay,
    ResponseMeta,
    ToolCallReplay,
)

STRICT: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}

OPTIONS = ProviderOptions.model_validate({"cache_retention": "long", "thinking": {"expose": True}})


def everything(output: OutputSpec) -> LlmRequest:
    """A request with all that a request can have."""
    assistant = (
        Block.Reasoning("hm", ReasoningReplay("rs_1", "ZW5j", "sig", summary=("hm",))),
        Block.Reasoning("", ReasoningReplay(signature="data", redacted=True)),
        Block.Text("I look.", ResponseMeta("msg_1", "completed", "commentary")),
        Block.ToolCall("c1", "look", '{"a": 1}', ToolCallReplay("fc_1")),
        Block.ToolCall("c2", "look", "{}"),
    )
    results = (
        Block.ToolResult("c1", "seen", "look", images=(0,)),
        Block.ToolResult("c2", "no", "look", is_error=True),
        Block.Text("and now?", cache_breakpoint=True),
    )
    return LlmRequest(
        "model",
        (
            LlmMessage("system", (Block.Text("Be brief."),)),
            LlmMessage("user", (Block.Text("what is this?"), Block.Image(0))),
            LlmMessage("assistant", assistant),
            LlmMessage("user", results),
        ),
        attachments=(LlmAttachment("image/png", "store:1", data=b"png"),),
        tools=(
            LlmToolSpec("look", "Looks.", {"type": "object", "properties": {"a": {"type": "integer"}}}),
            LlmToolSpec("strict", "Is strict.", STRICT, input_projections={"openai_strict": STRICT}),
        ),
        tool_choice="required",
        session_id="session",
        output_spec=output,
    )


def anthropic_body(request: LlmRequest) -> dict[str, Any]:
    return anthropic_request.encode_request(request, OPTIONS, VariantSetting("adaptive", "high"))


def anthropic_budget_body(request: LlmRequest) -> dict[str, Any]:
    return anthropic_request.encode_request(request, OPTIONS, VariantSetting("budget", budget_tokens=1_024))


def responses_body(request: LlmRequest) -> dict[str, Any]:
    body = openai_responses_request.encode_request(request, OPTIONS, VariantSetting("effort", "high"))
    return {**body, "stream": True}


def chat_body(request: LlmRequest) -> dict[str, Any]:
    body = openai_chat_request.encode_request(request, OPTIONS, VariantSetting("effort", "high"), PRESETS["generic"])
    for message in body["messages"]:
        if message["role"] == "tool":
            # For servers other than the SDK's own: it passes on what its types do not have.
            del message["name"]
    return body


CASES = [
    pytest.param(anthropic_body, AsyncMessages.create, anthropic_params.MessageCreateParamsStreaming, id="anthropic"),
    pytest.param(
        anthropic_budget_body, AsyncMessages.create, anthropic_params.MessageCreateParamsStreaming, id="budget"
    ),
    pytest.param(responses_body, AsyncResponses.create, responses_params.ResponseCreateParamsStreaming, id="responses"),
    pytest.param(chat_body, AsyncCompletions.create, chat_params.CompletionCreateParamsStreaming, id="chat"),
]

OUTPUTS = [pytest.param(JsonSchemaOutput("answer", STRICT), id="schema"), pytest.param(JsonObjectOutput(), id="object")]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(("body", "create", "params"), CASES)
def test_every_member_of_a_body_is_an_argument_of_the_sdk(
    body: Callable[[LlmRequest], dict[str, Any]], create: Callable[..., Any], params: Any, output: OutputSpec
) -> None:
    known = inspect.signature(create).parameters
    assert set(body(everything(output))) <= set(known)
    assert {"extra_headers", "extra_body", "timeout"} <= set(known)


def misfits(value: Any, hint: Any, path: str = "$") -> list[str]:
    """Where a value is not of a type, unknown members of objects included."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_typeddict(hint):
        hints = get_type_hints(hint)
        if not isinstance(value, dict):
            return [f"{path}: no object"]
        members = cast("dict[str, Any]", value)
        found = [f"{path}.{key} is missing" for key in hint.__required_keys__ - members.keys()]
        found += [f"{path}.{key} is not known" for key in members.keys() - hints.keys()]
        return found + [
            line for key, item in members.items() if key in hints for line in misfits(item, hints[key], f"{path}.{key}")
        ]
    if origin in (Union, types.UnionType):
        tried = [misfits(value, option, path) for option in arguments]
        return [] if [] in tried else [f"{path}: {value!r} is none of {len(arguments)} types: {min(tried, key=len)}"]
    if origin is Literal:
        return [] if value in arguments else [f"{path}: {value!r} is none of {arguments}"]
    if origin in (list, collections.abc.Iterable, collections.abc.Sequence):
        if not isinstance(value, list):
            return [f"{path}: no list"]
        items = enumerate(cast("list[Any]", value))
        return [line for place, item in items for line in misfits(item, arguments[0], f"{path}[{place}]")]
    return [] if hint in (Any, object) or isinstance(value, origin or hint) else [f"{path}: {value!r} is no {hint}"]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(("body", "create", "params"), CASES)
def test_every_value_of_a_body_is_of_the_type_that_the_sdk_declares(
    body: Callable[[LlmRequest], dict[str, Any]], create: Callable[..., Any], params: Any, output: OutputSpec
) -> None:
    assert misfits(body(everything(output)), params) == []


def test_what_the_sdk_does_not_know_is_passed_beside_it() -> None:
    assert set(EXTENSIONS).isdisjoint(inspect.signature(AsyncCompletions.create).parameters)
