"""What an `LlmRequest` is on the wire of OpenAI's Responses API (providers.md 6).

Nothing is stored at the provider: the whole conversation goes with every request, encrypted reasoning included. Pure
functions; `openai_responses.py` puts their result on the wire.
"""

from __future__ import annotations

import hashlib
from typing import cast

from lash.host.providers.tool_schemas import function_schema, output_schema
from lash.host.providers.wire import (
    IMAGE_ATTACHED,
    JsonObject,
    clean,
    data_url,
)
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.variants import VariantSetting
from lash.runtime.sansio.llm import (
    Block,
    JsonObjectOutput,
    JsonSchemaOutput,
    LlmMessage,
    LlmRequest,
    LlmToolSpec,
    ResponseMeta,
)

MAX_CACHE_KEY = 64
"""How long a `prompt_cache_key` may be."""


def encode_request(request: LlmRequest, options: ProviderOptions, setting: VariantSetting | None) -> JsonObject:
    """The body of a request, `stream` left out. Raises ProviderFailure where a schema cannot be sent."""
    body: JsonObject = {
        "model": request.model,
        "input": _input(request),
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "text": {"verbosity": "medium"},
        "max_output_tokens": options.output_bound(request.max_output_tokens),
    }
    instructions = "\n\n".join(
        block.text
        for message in request.messages
        if message.role == "system"
        for block in message.blocks
        if isinstance(block, Block.Text) and block.text
    )
    if instructions:
        body["instructions"] = instructions
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = request.tool_choice
        body["parallel_tool_calls"] = True
    match request.output_spec:
        case JsonSchemaOutput(name=name, schema=schema, strict=strict):
            fitted = output_schema(cast("JsonObject", schema), "openai_strict" if strict else "openai_lax", name)
            body["text"]["format"] = {"type": "json_schema", "name": name, "schema": fitted, "strict": strict}
        case JsonObjectOutput():
            body["text"]["format"] = {"type": "json_object"}
        case None:
            pass
    if setting is not None and setting.effort is not None:
        summary = {"summary": "auto"} if options.thinking.expose else {}
        body["reasoning"] = {"effort": setting.effort, **summary}
    if options.cache_retention != "none" and request.session_id:
        body["prompt_cache_key"] = cache_key(request.session_id)
        if options.cache_retention == "long":
            body["prompt_cache_retention"] = "24h"
    return cast("JsonObject", clean(body))


def _tool(tool: LlmToolSpec) -> JsonObject:
    parameters, strict = function_schema(tool)
    described = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", **described, "strict": strict}


def cache_key(session_id: str) -> str:
    """The session's id, or its hash where the API would refuse its length."""
    return session_id if len(session_id) <= MAX_CACHE_KEY else hashlib.sha256(session_id.encode()).hexdigest()


def _input(request: LlmRequest) -> list[JsonObject]:
    """The conversation as items; what the user says in one go is one of them."""
    items: list[JsonObject] = []
    for number, message in enumerate(request.messages):
        if message.role == "assistant":
            _add_assistant(items, message, number)
        elif message.role == "user":
            _add_user(items, message, request)
    return items


def _add_user(items: list[JsonObject], message: LlmMessage, request: LlmRequest) -> None:
    for block in message.blocks:
        match block:
            case Block.Text(text=text) if text:
                _add_content(items, {"type": "input_text", "text": text})
            case Block.Image(attachment_idx=index):
                _add_content(items, _image(index, request))
            case Block.ToolResult():
                items.append(_tool_result(block, request))
            case _:
                pass


def _add_content(items: list[JsonObject], content: JsonObject) -> None:
    """Add to the user's item that stands last, or begin one."""
    if not items or items[-1].get("role") != "user":
        items.append({"role": "user", "content": []})
    items[-1]["content"].append(content)


def _image(index: int, request: LlmRequest) -> JsonObject:
    url = data_url(request, index)
    if url is None:
        return {"type": "input_text", "text": IMAGE_ATTACHED}
    return {"type": "input_image", "image_url": url, "detail": "auto"}


def _tool_result(block: Block.ToolResult, request: LlmRequest) -> JsonObject:
    output: str | list[JsonObject] = block.content
    if block.images:
        text: list[JsonObject] = [{"type": "input_text", "text": block.content}] if block.content else []
        output = [*text, *(_image(index, request) for index in block.images)]
    return {"type": "function_call_output", "call_id": block.call_id, "output": output}


def _add_assistant(items: list[JsonObject], message: LlmMessage, number: int) -> None:
    for place, block in enumerate(message.blocks):
        match block:
            case Block.Text(text=text) if text:
                _add_text(items, block, f"msg_lash_{number}_{place}")
            case Block.ToolCall(call_id=call_id, tool_name=name, input_json=arguments, replay=replay):
                known = {"id": replay.item_id} if replay is not None and replay.item_id else {}
                items.append(
                    {"type": "function_call", **known, "call_id": call_id, "name": name, "arguments": arguments}
                )
            case Block.Reasoning(replay=replay) if replay is not None and replay.encrypted_content:
                known = {"id": replay.item_id} if replay.item_id else {}
                items.append(
                    {
                        "type": "reasoning",
                        **known,
                        "summary": [{"type": "summary_text", "text": text} for text in replay.summary],
                        "encrypted_content": replay.encrypted_content,
                    }
                )
            case _:
                pass


def _add_text(items: list[JsonObject], block: Block.Text, synthetic_id: str) -> None:
    """Add a text as a message of its own, or to the message of which it was a part."""
    meta = block.response_meta or ResponseMeta()
    content: JsonObject = {"type": "output_text", "text": block.text, "annotations": []}
    if meta.id and items and items[-1].get("type") == "message" and items[-1].get("id") == meta.id:
        items[-1]["content"].append(content)
        return
    items.append(
        {
            "type": "message",
            "role": "assistant",
            "id": meta.id or synthetic_id,
            "status": meta.status or "completed",
            **({"phase": meta.phase} if meta.phase else {}),
            "content": [content],
        }
    )
