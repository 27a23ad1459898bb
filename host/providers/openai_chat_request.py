"""What an `LlmRequest` is on the wire of Chat Completions (providers.md 7).

Pure functions; `openai_chat.py` puts their result on the wire, `openai_profiles.py` says what servers differ in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from lash.host.providers.openai_profiles import EndpointProfile
from lash.host.providers.tool_schemas import function_schema, output_schema
from lash.host.providers.wire import (
    IMAGE_ATTACHED,
    JsonObject,
    clean,
    data_url,
    obj,
    objects,
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
)


@dataclass(slots=True)
class _Said:
    """A message of the wire with text parts, any of which may yet be marked for the cache; `flagged` asked for it."""

    message: JsonObject
    texts: list[JsonObject] = field(default_factory=list[JsonObject])
    flagged: list[JsonObject] = field(default_factory=list[JsonObject])


def encode_request(
    request: LlmRequest, options: ProviderOptions, setting: VariantSetting | None, profile: EndpointProfile
) -> JsonObject:
    """The body of a request. Raises ProviderFailure where a schema cannot be sent."""
    said = _conversation(request)
    body: JsonObject = {
        "model": request.model,
        "messages": [entry.message for entry in said],
        profile.max_tokens_field: options.output_bound(request.max_output_tokens),
        "stream": True,
    }
    if profile.stream_usage:
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = request.tool_choice
        if profile.parallel_tool_calls:
            body["parallel_tool_calls"] = True
    _add_output(body, request, profile)
    if setting is not None and setting.effort is not None and profile.reasoning_format == "reasoning":
        body["reasoning"] = {"effort": setting.effort}
    if profile.provider_routing is not None:
        body["provider"] = profile.provider_routing
    _add_cache_marks(body, said, options, profile.cache_dialect(request.model))
    for entry in said:
        _simplify(entry.message)
    return cast("JsonObject", clean(body))


def _tool(tool: LlmToolSpec) -> JsonObject:
    parameters, strict = function_schema(tool)
    function: JsonObject = {"name": tool.name, "description": tool.description, "parameters": parameters}
    # Not every server knows the field, and false is its default.
    return {"type": "function", "function": {**function, "strict": True} if strict else function}


def _add_output(body: JsonObject, request: LlmRequest, profile: EndpointProfile) -> None:
    match request.output_spec:
        case JsonSchemaOutput(name=name, schema=schema, strict=strict) if profile.structured_output == "json_schema":
            fitted = output_schema(cast("JsonObject", schema), "openai_strict" if strict else "openai_lax", name)
            wanted = {"name": name, "schema": fitted, "strict": strict}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        case JsonSchemaOutput() | JsonObjectOutput():
            body["response_format"] = {"type": "json_object"}
        case None:
            pass


def _conversation(request: LlmRequest) -> list[_Said]:
    """The messages. Answers to tool calls come before all else that the user side says up to the next turn."""
    said: list[_Said] = []
    run: list[LlmMessage] = []
    for message in request.messages:
        if message.role == "user":
            run.append(message)
            continue
        said += _user_side(run, request)
        run = []
        said += _system(message) if message.role == "system" else _assistant(message)
    return said + _user_side(run, request)


def _user_side(run: list[LlmMessage], request: LlmRequest) -> list[_Said]:
    """User messages in a row: tool messages, then the images of tool results, then what the user says."""
    results = [block for message in run for block in message.blocks if isinstance(block, Block.ToolResult)]
    said = [
        _Said(
            {
                "role": "tool",
                "tool_call_id": result.call_id,
                **({"name": result.tool_name} if result.tool_name else {}),
                "content": result.content,
            }
        )
        for result in results
    ]
    images = [_image(index, request) for result in results for index in result.images]
    if images:
        said.append(_Said({"role": "user", "content": images}))
    for message in run:
        entry = _Said({"role": "user", "content": []})
        for block in message.blocks:
            match block:
                case Block.Text():
                    _add_text(entry, block)
                case Block.Image(attachment_idx=index):
                    entry.message["content"].append(_image(index, request))
                case _:
                    pass
        if entry.message["content"]:
            said.append(entry)
    return said


def _system(message: LlmMessage) -> list[_Said]:
    entry = _Said({"role": "system", "content": []})
    for block in message.blocks:
        if isinstance(block, Block.Text):
            _add_text(entry, block)
    return [entry] if entry.texts else []


def _assistant(message: LlmMessage) -> list[_Said]:
    entry = _Said({"role": "assistant", "content": []})
    calls: list[JsonObject] = []
    encrypted: list[JsonObject] = []
    for block in message.blocks:
        match block:
            case Block.Text():
                _add_text(entry, block)
            case Block.ToolCall(call_id=call_id, tool_name=name, input_json=arguments, replay=replay):
                function = {"name": name, "arguments": arguments}
                calls.append({"id": call_id, "type": "function", "function": function})
                encrypted += objects(replay.opaque) if replay is not None else []
            case _:
                pass
    if calls:
        entry.message["tool_calls"] = calls
    if encrypted:
        entry.message["reasoning_details"] = encrypted
    return [entry] if calls or entry.texts else []


def _add_text(entry: _Said, block: Block.Text) -> None:
    if not block.text:
        return
    part: JsonObject = {"type": "text", "text": block.text}
    entry.message["content"].append(part)
    entry.texts.append(part)
    if block.cache_breakpoint:
        entry.flagged.append(part)


def _image(index: int, request: LlmRequest) -> JsonObject:
    url = data_url(request, index)
    if url is None:
        return {"type": "text", "text": IMAGE_ATTACHED}
    return {"type": "image_url", "image_url": {"url": url}}


def _simplify(message: JsonObject) -> None:
    """Content as a plain text where it is one plain text, and null where there is none."""
    content = message["content"]
    if not content and message["role"] == "assistant":
        message["content"] = None
    elif isinstance(content, list) and len(cast("list[object]", content)) == 1:
        part = obj(cast("list[object]", content)[0])
        if part.keys() == {"type", "text"}:
            message["content"] = part["text"]


def _add_cache_marks(body: JsonObject, said: list[_Said], options: ProviderOptions, dialect: str) -> None:
    """Ask for the prompt to be cached, in the dialect of the model behind the endpoint."""
    if dialect == "none" or options.cache_retention == "none":
        return
    flagged = [part for entry in said for part in entry.flagged]
    if dialect == "gemini":
        for part in flagged[-1:]:
            part["cache_control"] = {"type": "ephemeral"}
        return
    mark = {"type": "ephemeral", "ttl": "1h"} if options.cache_retention == "long" else {"type": "ephemeral"}
    system = [part for entry in said if entry.message["role"] == "system" for part in entry.texts]
    spoken = [part for entry in said if entry.message["role"] != "system" for part in entry.texts]
    for part in (*system[:1], *body.get("tools", [])[-1:], *(flagged or spoken)[-1:]):
        part["cache_control"] = mark
