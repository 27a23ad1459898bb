"""What an `LlmRequest` is on the wire of Anthropic's Messages API (providers.md 5).

Pure functions; `anthropic.py` puts their result on the wire. The order of content blocks is kept, because the API
refuses signed thinking that has moved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, cast

from lash.host.providers.tool_schemas import output_schema, tool_schema
from lash.host.providers.wire import (
    IMAGE_ATTACHED,
    JsonObject,
    clean,
    image_base64,
    obj,
    object_arguments,
)
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.variants import VariantSetting
from lash.runtime.sansio.llm import (
    AnyBlock,
    Block,
    JsonObjectOutput,
    JsonSchemaOutput,
    LlmMessage,
    LlmRequest,
    ReasoningReplay,
)

MAX_CALL_ID = 64
"""How long a tool call's id may be."""


_NOT_IN_CALL_IDS = re.compile(r"[^A-Za-z0-9_-]")


def encode_request(request: LlmRequest, options: ProviderOptions, setting: VariantSetting | None) -> JsonObject:
    """The body of a request. Raises ProviderFailure where a schema cannot be sent."""
    bound = options.output_bound(request.max_output_tokens)
    system, turns = _conversation(request)
    body: JsonObject = {"model": request.model, "max_tokens": bound}
    if system:
        body["system"] = [{"type": "text", "text": system}]
    body["messages"] = [{"role": turn.role, "content": [block for block, _ in turn.blocks]} for turn in turns]
    if request.tools:
        body["tools"] = [
            {
                "name": tool.name,
                **({"description": tool.description} if tool.description else {}),
                "input_schema": tool_schema(tool, "anthropic"),
                "eager_input_streaming": True,
            }
            for tool in request.tools
        ]
        body["tool_choice"] = {"type": {"auto": "auto", "none": "none", "required": "any"}[request.tool_choice]}
    _add_output(body, request)
    _add_thinking(body, setting, exposed=options.thinking.expose)
    _add_cache_marks(body, turns, options)
    body["stream"] = True
    return cast("JsonObject", clean(body))


def request_headers(setting: VariantSetting | None) -> dict[str, str]:
    """Headers besides those of the SDK: models that think on a budget think between tool calls only if asked to."""
    if setting is not None and setting.style == "budget":
        return {"anthropic-beta": "interleaved-thinking-2025-05-14"}
    return {}


def _add_output(body: JsonObject, request: LlmRequest) -> None:
    match request.output_spec:
        case JsonSchemaOutput(name=name, schema=schema):
            wanted = output_schema(cast("JsonObject", schema), "anthropic", name)
        case JsonObjectOutput():
            wanted = {"type": "object", "additionalProperties": True}
        case None:
            return
    body["output_config"] = {"format": {"type": "json_schema", "schema": wanted}}


def _add_thinking(body: JsonObject, setting: VariantSetting | None, *, exposed: bool) -> None:
    if setting is None:
        return
    display = "summarized" if exposed else "omitted"
    if setting.style == "adaptive":
        body["thinking"] = {"type": "adaptive", "display": display}
        body["output_config"] = {**obj(body.get("output_config")), "effort": setting.effort}
    elif setting.style == "budget" and setting.budget_tokens is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": setting.budget_tokens, "display": display}
        if body["max_tokens"] <= setting.budget_tokens:
            # Thinking counts into the bound; what was asked for is left for the reply.
            body["max_tokens"] += setting.budget_tokens


@dataclass(slots=True)
class _Turn:
    """Messages of one role that stand together: one turn of the wire. Each block says whether to cache up to it."""

    role: Literal["user", "assistant"]
    blocks: list[tuple[JsonObject, bool]] = field(default_factory=list[tuple[JsonObject, bool]])


def _conversation(request: LlmRequest) -> tuple[str, list[_Turn]]:
    """The text of the first system message, and the turns."""
    system: str | None = None
    turns: list[_Turn] = []
    for message in request.messages:
        if message.role == "system" and system is None:
            system = _system_text(message)
            continue
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        for block in message.blocks:
            wire = _block(block, request)
            if wire is None:
                continue
            if not turns or turns[-1].role != role:
                turns.append(_Turn(role))
            turns[-1].blocks.append((wire, isinstance(block, Block.Text) and block.cache_breakpoint))
    for turn in turns:
        # The answers to a turn's tool calls have to come before anything else that is said.
        turn.blocks.sort(key=lambda entry: entry[0]["type"] != "tool_result")
    return system or "", turns


def _system_text(message: LlmMessage) -> str:
    texts = [block.text for block in message.blocks if isinstance(block, Block.Text) and block.text.strip()]
    return "\n\n".join(texts)


def _block(block: AnyBlock, request: LlmRequest) -> JsonObject | None:
    """A content block; None where nothing of it is sent."""
    match block:
        case Block.Text(text=text):
            return {"type": "text", "text": text} if text.strip() else None
        case Block.Image(attachment_idx=index):
            return _image(index, request)
        case Block.ToolCall(call_id=call_id, tool_name=name, input_json=arguments):
            return {"type": "tool_use", "id": wire_call_id(call_id), "name": name, "input": object_arguments(arguments)}
        case Block.ToolResult():
            return _tool_result(block, request)
        case Block.Reasoning():
            return _reasoning(block)


def _image(index: int, request: LlmRequest) -> JsonObject:
    image = image_base64(request, index)
    if image is None:
        return {"type": "text", "text": IMAGE_ATTACHED}
    return {"type": "image", "source": {"type": "base64", "media_type": image[0], "data": image[1]}}


def wire_call_id(call_id: str) -> str:
    """A tool call's id in the characters and the length that the API takes."""
    return _NOT_IN_CALL_IDS.sub("_", call_id)[:MAX_CALL_ID]


def _tool_result(block: Block.ToolResult, request: LlmRequest) -> JsonObject:
    content: str | list[JsonObject] = block.content
    if block.images:
        text: list[JsonObject] = [{"type": "text", "text": block.content}] if block.content.strip() else []
        content = [*text, *(_image(index, request) for index in block.images)]
    result: JsonObject = {"type": "tool_result", "tool_use_id": wire_call_id(block.call_id), "content": content}
    return {**result, "is_error": True} if block.is_error else result


def _reasoning(block: Block.Reasoning) -> JsonObject | None:
    """Signed thinking as it came; unsigned, which the API would refuse, as text; nothing that other providers made."""
    replay = block.replay or ReasoningReplay()
    if replay.encrypted_content or replay.item_id:
        return None
    if replay.redacted:
        return {"type": "redacted_thinking", "data": replay.signature} if replay.signature else None
    if replay.signature:
        return {"type": "thinking", "thinking": block.text, "signature": replay.signature}
    return {"type": "text", "text": block.text} if block.text.strip() else None


def _add_cache_marks(body: JsonObject, turns: list[_Turn], options: ProviderOptions) -> None:
    """Ask for the prompt to be cached up to three places: the system text, the tools and one of the conversation."""
    if options.cache_retention == "none":
        return
    mark = {"type": "ephemeral", "ttl": "1h"} if options.cache_retention == "long" else {"type": "ephemeral"}
    marked = [body[key][-1] for key in ("system", "tools") if key in body]
    flagged = [block for turn in turns for block, wanted in turn.blocks if wanted]
    if flagged:
        marked.append(flagged[-1])
    elif turns and turns[-1].role == "user":
        marked.append(turns[-1].blocks[-1][0])
    for block in marked:
        block["cache_control"] = mark
