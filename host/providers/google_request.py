"""What an `LlmRequest` is on the wire of Google's Gemini API (providers.md 8).

Pure functions; `google.py` puts their result on the wire. The models check the signatures of their thoughts, so what
is signed goes back in the part and in the order in which it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, cast

from lash.host.providers.tool_schemas import output_schema, tool_schema
from lash.host.providers.wire import IMAGE_ATTACHED, JsonObject, image_base64, obj, object_arguments, string
from lash.runtime.providers.models import normalise, without_prefix
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.variants import VariantSetting
from lash.runtime.sansio.llm import (
    AnyBlock,
    Block,
    JsonObjectOutput,
    JsonSchemaOutput,
    LlmRequest,
    ReasoningReplay,
    ToolCallReplay,
)

THOUGHT: Final = "gemini_thought"
"""What the replay of a signed thought has as its id, by which it is told from other providers' reasoning."""

SIGNED_TEXT: Final = "gemini_text"
"""The same of a signature that came with visible text: it is kept as reasoning without text, behind that text."""

NO_SIGNATURE: Final = "skip_thought_signature_validator"
"""What Google documents to be sent in place of the signature of a call that the model did not make itself."""

SIGNED_FAMILIES: Final = ("gemini-3*",)
"""Models that refuse a call without signature, as patterns over ids without prefix, dashes for dots."""

MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
"""What the choices of tools are called."""


def encode_settings(request: LlmRequest, options: ProviderOptions, setting: VariantSetting | None) -> JsonObject:
    """The members of a request's body besides the conversation; ProviderFailure for a schema that cannot be sent.

    Apart from `encode_conversation`, so that such a request fails before its images are uploaded.
    """
    body: JsonObject = {}
    if request.tools:
        declarations = [
            {
                "name": tool.name,
                "description": tool.description,
                "parametersJsonSchema": tool_schema(tool, "gemini"),
            }
            for tool in request.tools
        ]
        body["tools"] = [{"functionDeclarations": declarations}]
        body["toolConfig"] = {"functionCallingConfig": {"mode": MODES[request.tool_choice]}}
    config: JsonObject = {"maxOutputTokens": options.output_bound(request.max_output_tokens)}
    _add_thinking(config, setting, exposed=options.thinking.expose)
    _add_output(config, request)
    body["generationConfig"] = config
    return body


def encode_conversation(request: LlmRequest, files: Mapping[int, str]) -> JsonObject:
    """The members that hold what is said; `files` are the addresses of the attachments that were uploaded."""
    system = [
        block.text
        for message in request.messages
        if message.role == "system"
        for block in message.blocks
        if isinstance(block, Block.Text) and block.text.strip()
    ]
    contents = [{"role": turn.role, "parts": turn.in_order()} for turn in _turns(request, files)]
    body: JsonObject = {"systemInstruction": {"parts": [{"text": "\n\n".join(system)}]}} if system else {}
    return {**body, "contents": contents}


def merged(body: JsonObject, extra: Mapping[str, Any]) -> JsonObject:
    """The body with the members of another over it, objects merged: `generationConfig` is shared by many settings."""
    whole = dict(body)
    for name, value in extra.items():
        mine: object = whole.get(name)
        if isinstance(mine, dict) and isinstance(value, dict):
            value = merged(cast("JsonObject", mine), cast("JsonObject", value))
        whole[name] = value
    return whole


def shown(value: Any) -> Any:
    """The body as a trace shows it: in place of an image's base64 stands how much there was."""
    if isinstance(value, dict):
        members = cast("JsonObject", value)
        return {
            name: {**obj(item), "data": f"[{len(string(obj(item).get('data')))} characters]"}
            if name == "inlineData"
            else shown(item)
            for name, item in members.items()
        }
    if isinstance(value, list):
        return [shown(item) for item in cast("list[object]", value)]
    return value


def image_indexes(request: LlmRequest) -> Iterator[int]:
    """The attachments that the conversation shows, by index, each as often as it is shown."""
    for message in request.messages:
        for block in message.blocks:
            match block:
                case Block.Image(attachment_idx=index):
                    yield index
                case Block.ToolResult(images=images):
                    yield from images
                case _:
                    pass


def _add_thinking(config: JsonObject, setting: VariantSetting | None, *, exposed: bool) -> None:
    if setting is None or setting.style == "none":
        return
    thinking: JsonObject = {"includeThoughts": True} if exposed else {}
    if setting.effort is not None:
        thinking["thinkingLevel"] = setting.effort
    if setting.budget_tokens is not None:
        thinking["thinkingBudget"] = setting.budget_tokens
        if config["maxOutputTokens"] <= setting.budget_tokens:
            # Thoughts count into the bound; what was asked for is left for the reply.
            config["maxOutputTokens"] += setting.budget_tokens
    config["thinkingConfig"] = thinking


def _add_output(config: JsonObject, request: LlmRequest) -> None:
    match request.output_spec:
        case JsonSchemaOutput(name=name, schema=schema):
            config["responseMimeType"] = "application/json"
            config["responseJsonSchema"] = output_schema(cast("JsonObject", schema), "gemini", name)
        case JsonObjectOutput():
            config["responseMimeType"] = "application/json"
        case None:
            pass


@dataclass(slots=True)
class _Turn:
    """Messages of one side that stand together: one content of the wire."""

    role: Literal["user", "model"]
    parts: list[JsonObject] = field(default_factory=list[JsonObject])

    def in_order(self) -> list[JsonObject]:
        """The parts; what answers the last turn's calls has to come before anything else that is said."""
        return sorted(self.parts, key=lambda part: "functionResponse" not in part)


def _turns(request: LlmRequest, files: Mapping[int, str]) -> list[_Turn]:
    names = {
        block.call_id: block.tool_name
        for message in request.messages
        for block in message.blocks
        if isinstance(block, Block.ToolCall)
    }
    turns: list[_Turn] = []
    for message in request.messages:
        if message.role == "system":
            continue
        role: Literal["user", "model"] = "model" if message.role == "assistant" else "user"
        for block in message.blocks:
            if parts := _parts(block, request, files, names):
                if not turns or turns[-1].role != role:
                    turns.append(_Turn(role))
                turns[-1].parts += parts
    if _wants_signatures(request.model):
        for turn in turns:
            _sign(turn)
    return turns


def _parts(
    block: AnyBlock, request: LlmRequest, files: Mapping[int, str], names: Mapping[str, str]
) -> list[JsonObject]:
    """What a block is on the wire: no part where nothing of it is sent."""
    match block:
        case Block.Text(text=text):
            return [{"text": text}] if text.strip() else []
        case Block.Image(attachment_idx=index):
            return [_image(index, request, files)]
        case Block.ToolCall(call_id=call_id, tool_name=name, input_json=arguments, replay=replay):
            call = {"functionCall": {"id": call_id, "name": name, "args": object_arguments(arguments)}}
            return [{**call, **_signature(replay)}]
        case Block.ToolResult(call_id=call_id, content=content, tool_name=name, is_error=is_error, images=images):
            response = {"error" if is_error else "output": content}
            name = name or names.get(call_id, call_id)
            answer: JsonObject = {"functionResponse": {"id": call_id, "name": name, "response": response}}
            return [answer, *(_image(index, request, files) for index in images)]
        case Block.Reasoning():
            return _reasoning(block)


def _image(index: int, request: LlmRequest, files: Mapping[int, str]) -> JsonObject:
    if index in files:
        return {"fileData": {"mimeType": request.attachments[index].mime, "fileUri": files[index]}}
    image = image_base64(request, index)
    if image is None:
        return {"text": IMAGE_ATTACHED}
    return {"inlineData": {"mimeType": image[0], "data": image[1]}}


def _reasoning(block: Block.Reasoning) -> list[JsonObject]:
    """What this provider signed, as it came; nothing of what cannot be checked, or other providers made."""
    replay = block.replay or ReasoningReplay()
    if not replay.signature:
        return []
    if replay.item_id == THOUGHT:
        return [{"text": block.text, "thought": True, "thoughtSignature": replay.signature}]
    if replay.item_id == SIGNED_TEXT:
        return [{"text": "", "thoughtSignature": replay.signature}]
    return []


def _signature(replay: ToolCallReplay | None) -> JsonObject:
    """The signature of a call; what other providers keep in its place is no text."""
    kept = replay.opaque if replay is not None else None
    return {"thoughtSignature": kept} if isinstance(kept, str) and kept else {}


def _wants_signatures(model: str) -> bool:
    name = without_prefix(normalise(model))
    return any(fnmatchcase(name, pattern) for pattern in SIGNED_FAMILIES)


def _sign(turn: _Turn) -> None:
    """Put the sentinel on the calls that need a signature and have none.

    Of calls that the model makes side by side it signs the first alone, so those behind a signed one stay as they are.
    """
    for part in turn.parts:
        if "functionCall" in part:
            if "thoughtSignature" in part:
                return
            part["thoughtSignature"] = NO_SIGNATURE
