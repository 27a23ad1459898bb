"""Anthropic's Messages API as plain JSON: the body of a request, and what a stream of events comes to (providers.md 5).

Pure functions and a decoder without a socket; `anthropic.py` puts them on the wire. The order of content blocks is kept
both ways, because the API refuses signed thinking that has moved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, cast

from lash.host.providers.schemas import output_schema, tool_schema
from lash.host.providers.wire import (
    IMAGE_ATTACHED,
    JsonObject,
    clean,
    image_base64,
    joined_text,
    obj,
    object_arguments,
    objects,
    reported_failure,
    string,
    truncated,
)
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.usage import split_usage
from lash.runtime.providers.variants import VariantSetting
from lash.runtime.sansio.llm import (
    AnyBlock,
    AnyStreamEvent,
    Block,
    JsonObjectOutput,
    JsonSchemaOutput,
    LlmMessage,
    LlmRequest,
    LlmResponse,
    LlmStreamEvent,
    ReasoningReplay,
    ResponsePart,
    TerminalReason,
)

MAX_CALL_ID = 64
"""How long a tool call's id may be."""

STOP_REASONS: dict[str, TerminalReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_use",
    "max_tokens": "output_limit",
    "model_context_window_exceeded": "context_overflow",
    "refusal": "content_filter",
}
"""What the wire's stop reasons mean; any other is `provider_error`."""

_NOT_IN_CALL_IDS = re.compile(r"[^A-Za-z0-9_-]")


def encode_request(request: LlmRequest, options: ProviderOptions, setting: VariantSetting | None) -> JsonObject:
    """The body of a request, `stream` left out. Raises ProviderFailure where a schema cannot be sent."""
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
    """Signed thinking as it came; unsigned thinking, which the API would refuse, as text."""
    replay = block.replay or ReasoningReplay()
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


@dataclass(slots=True)
class _Part:
    """A content block as it arrives."""

    index: int
    start: JsonObject
    text: str = ""
    signature: str = ""
    arguments: str = ""

    def part(self) -> ResponsePart | None:
        """What has become of it; None for what is empty, or of a kind that a response does not have."""
        match self.start.get("type"):
            case "text":
                return Block.Text(self.text) if self.text else None
            case "thinking":
                if not self.text and not self.signature:
                    return None
                return Block.Reasoning(self.text, ReasoningReplay(signature=self.signature or None))
            case "redacted_thinking":
                data = string(self.start.get("data"))
                return Block.Reasoning("", ReasoningReplay(signature=data, redacted=True))
            case "tool_use":
                arguments = self.arguments or json.dumps(obj(self.start.get("input")), ensure_ascii=False)
                return Block.ToolCall(string(self.start.get("id")), string(self.start.get("name")), arguments)
            case _:
                return None


class AnthropicDecoder:
    """What a stream of the Messages API comes to; implements `wire.Decoder`. `sink` gets the stream events."""

    def __init__(self, sink: Callable[[AnyStreamEvent], None]) -> None:
        self._sink = sink
        self._parts: dict[int, _Part] = {}
        self._usage: JsonObject = {}
        self._id: str | None = None
        self._stop: str | None = None
        self._explanation: str | None = None
        self._started = False
        self._stopped = False

    @property
    def complete(self) -> bool:
        """Whether the message has begun and ended."""
        return self._started and self._stopped

    def event(self, event: JsonObject) -> None:
        """Take one event; those of unknown types say nothing."""
        match event.get("type"):
            case "message_start":
                message = obj(event.get("message"))
                self._started = True
                self._id = string(message.get("id")) or None
                self._add_usage(message.get("usage"))
            case "content_block_start":
                self._begin(self._index(event), obj(event.get("content_block")))
            case "content_block_delta":
                self._extend(self._index(event), obj(event.get("delta")))
            case "content_block_stop":
                self._end(self._index(event))
            case "message_delta":
                self._close(obj(event.get("delta")))
                self._add_usage(event.get("usage"))
            case "message_stop":
                self._stopped = True
            case "error":
                raise reported_failure(event, self.partial())
            case _:
                pass

    def reply(self, body: JsonObject) -> None:
        """Take a message that came whole, as the events that it would have been."""
        content = objects(body.get("content"))
        self.event({"type": "message_start", "message": body})
        for index, block in enumerate(content):
            self.event({"type": "content_block_start", "index": index, "content_block": block})
            self.event({"type": "content_block_stop", "index": index})
        if body.get("type") == "message":
            self.event({"type": "message_delta", "delta": body})
            self.event({"type": "message_stop"})

    def response(self) -> LlmResponse:
        """The response; ProviderFailure (`truncated_stream`) where the message has not ended."""
        if not self.complete:
            raise truncated("message_stop" if self._started else "message_start", self.partial())
        return self._made(self._reason())

    def partial(self) -> LlmResponse:
        """What has arrived so far."""
        return self._made("provider_error")

    def _made(self, reason: TerminalReason) -> LlmResponse:
        found = (entry.part() for _, entry in sorted(self._parts.items()))
        parts = tuple(part for part in found if part is not None)
        diagnostic = self._explanation
        if self._stop is not None and self._stop not in STOP_REASONS:
            diagnostic = f"the model stopped for a reason that is not known: {self._stop}"
        details = obj(self._usage.get("output_tokens_details"))
        return LlmResponse(
            joined_text(parts),
            parts,
            usage=split_usage(
                uncached=self._usage.get("input_tokens"),
                cached=self._usage.get("cache_read_input_tokens"),
                written=self._usage.get("cache_creation_input_tokens"),
                output=self._usage.get("output_tokens"),
                reasoning=details.get("thinking_tokens"),
            ),
            terminal_reason=reason,
            terminal_diagnostic=diagnostic,
            provider_usage=self._usage or None,
            response_id=self._id,
        )

    def _reason(self) -> TerminalReason:
        return "unknown" if self._stop is None else STOP_REASONS.get(self._stop, "provider_error")

    @staticmethod
    def _index(event: JsonObject) -> int:
        index: object = event.get("index")
        return index if isinstance(index, int) else 0

    def _begin(self, index: int, start: JsonObject) -> None:
        part = self._parts[index] = _Part(len(self._parts), start)
        match start.get("type"):
            case "text":
                self._extend(index, {"type": "text_delta", "text": start.get("text")})
            case "thinking":
                self._extend(index, {"type": "thinking_delta", "thinking": start.get("thinking")})
                part.signature = string(start.get("signature"))
            case "tool_use":
                self._sink(
                    LlmStreamEvent.ToolCallStarted(part.index, string(start.get("id")), string(start.get("name")))
                )
            case _:
                pass

    def _extend(self, index: int, delta: JsonObject) -> None:
        part = self._parts.get(index)
        if part is None:
            return
        match delta.get("type"):
            case "text_delta":
                text = string(delta.get("text"))
                part.text += text
                if text:
                    self._sink(LlmStreamEvent.TextDelta(text, part.index))
            case "thinking_delta":
                text = string(delta.get("thinking"))
                part.text += text
                if text:
                    self._sink(LlmStreamEvent.ReasoningDelta(text, part.index))
            case "signature_delta":
                part.signature += string(delta.get("signature"))
            case "input_json_delta":
                text = string(delta.get("partial_json"))
                part.arguments += text
                if text:
                    self._sink(LlmStreamEvent.ToolCallDelta(part.index, text))
            case _:
                pass

    def _end(self, index: int) -> None:
        entry = self._parts.get(index)
        part = None if entry is None else entry.part()
        if isinstance(part, Block.ToolCall | Block.Reasoning):
            self._sink(LlmStreamEvent.PartDone(part))

    def _close(self, delta: JsonObject) -> None:
        self._stop = string(delta.get("stop_reason")) or self._stop
        details = obj(delta.get("stop_details"))
        self._explanation = string(details.get("explanation")) or string(details.get("category")) or self._explanation

    def _add_usage(self, usage: object) -> None:
        """Counts are cumulative; what is null in a later report has not changed."""
        self._usage |= {key: value for key, value in obj(usage).items() if value is not None}
        self._sink(LlmStreamEvent.UsageUpdate(self.partial().usage))
