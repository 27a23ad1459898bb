"""The lines that a command provider exchanges (providers.md 11.1): a request as JSON, and what may come back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypeAlias, cast

from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.providers.usage import split_usage
from lash.runtime.sansio.llm import (
    AnyBlock,
    Block,
    JsonObjectOutput,
    JsonSchemaOutput,
    LlmRequest,
    LlmResponse,
    TerminalReason,
)
from lash.runtime.sansio.values import JsonValue

MAX_LINE_BYTES = 16 * 1024 * 1024
"""The longest line in either direction."""

QUOTED_CHARS = 200
"""How much of a malformed line an error shows."""

STOPS: dict[str, TerminalReason] = {
    "stop": "stop",
    "output_limit": "output_limit",
    "content_filter": "content_filter",
}
"""What a reply may say of its end."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Part of a reply."""

    text: str


Answer: TypeAlias = Delta | LlmResponse | ProviderFailure
"""What a line says to a call."""


def malformed(problem: str, text: str) -> ProviderFailure:
    """The failure of a call to which something was said that is no reply."""
    shown = text if len(text) <= QUOTED_CHARS else text[:QUOTED_CHARS] + "..."
    return ProviderFailure("stream", f"malformed reply: {problem}: {shown!r}", code="malformed_reply")


def request_document(call_id: str, request: LlmRequest, max_output_tokens: int) -> dict[str, JsonValue]:
    """A request as the program gets it: plain text, the leading system messages apart from the others.

    Raises ProviderFailure (`unsupported`) for a request with native tools.
    """
    if request.tools:
        raise ProviderFailure(
            "unsupported", "a command provider has no native tools: use the rlm mode, whose requests carry none"
        )
    leading = 0
    while leading < len(request.messages) and request.messages[leading].role == "system":
        leading += 1
    system = [_content(message.blocks, request) for message in request.messages[:leading]]
    match request.output_spec:
        case JsonSchemaOutput(schema=schema):
            wanted = json.dumps(schema, ensure_ascii=False)
            system.append(f"Reply with nothing but JSON that this JSON Schema admits:\n{wanted}")
        case JsonObjectOutput():
            system.append("Reply with nothing but a JSON object.")
        case None:
            pass
    messages: list[JsonValue] = [
        {"role": message.role, "content": _content(message.blocks, request)} for message in request.messages[leading:]
    ]
    return {
        "id": call_id,
        "system": "\n\n".join(part for part in system if part),
        "messages": messages,
        "max_output_tokens": max_output_tokens,
        "model": request.model,
    }


def encode_line(document: dict[str, JsonValue]) -> bytes:
    """The document as one line; ProviderFailure (`validation`) where it is too long."""
    line = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ProviderFailure(
            "validation",
            f"the request is a line of {len(line):,} bytes, a command provider takes {MAX_LINE_BYTES:,}",
            code="request_line_too_long",
        )
    return line


def parse_object(text: str) -> dict[str, JsonValue]:
    """The JSON object that the text is; ProviderFailure (`malformed_reply`) where it is none."""
    try:
        value = cast("JsonValue", json.loads(text))
    except ValueError:
        raise malformed("no JSON", text) from None
    if not isinstance(value, dict):
        raise malformed("no JSON object", text)
    return value


def read_answer(document: dict[str, JsonValue], text: str) -> Answer:
    """What a line says; `text` is the line, for the error. A malformed one is a failure too."""
    if "error" in document:
        return _failure(document["error"], text)
    if "text" in document:
        return _reply(document, text)
    if isinstance(document.get("delta"), str):
        return Delta(cast("str", document["delta"]))
    return malformed("neither delta nor text nor error", text)


def text_response(text: str) -> LlmResponse:
    """A reply of which only the text is known."""
    return LlmResponse(text, (Block.Text(text),) if text else (), terminal_reason="stop")


def _reply(document: dict[str, JsonValue], line: str) -> Answer:
    """A whole reply."""
    text, stop, usage = document["text"], document.get("stop"), document.get("usage")
    if not isinstance(text, str):
        return malformed("its text is no text", line)
    if stop is not None and (not isinstance(stop, str) or stop not in STOPS):
        return malformed(f"its stop is none of {', '.join(STOPS)}", line)
    if usage is not None and not isinstance(usage, dict):
        return malformed("its usage is no object", line)
    counts = usage or {}
    return LlmResponse(
        text,
        (Block.Text(text),) if text else (),
        usage=split_usage(uncached=counts.get("input"), cached=counts.get("cached"), output=counts.get("output")),
        terminal_reason=STOPS[stop or "stop"],
        provider_usage=usage,
    )


def _failure(error: JsonValue, line: str) -> ProviderFailure:
    """What the program gives as the reason why there is no reply."""
    if isinstance(error, str):
        return ProviderFailure("unknown", error)
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return malformed("its error is neither a text nor an object with a message", line)
    retryable, code = error.get("retryable"), error.get("code")
    if retryable is not None and not isinstance(retryable, bool):
        return malformed("retryable is neither true nor false", line)
    return ProviderFailure(
        "unknown",
        cast("str", error["message"]),
        retryable=retryable,
        code=None if code is None else str(code),
    )


def _content(blocks: tuple[AnyBlock, ...], request: LlmRequest) -> str:
    """The blocks of a message as text, apart by blank lines."""
    parts = (_plain(block, request) for block in blocks)
    return "\n\n".join(part for part in parts if part)


def _plain(block: AnyBlock, request: LlmRequest) -> str:
    """A block as text; reasoning is left out."""
    match block:
        case Block.Text(text=text):
            return text
        case Block.Image(attachment_idx=index):
            return _image(index, request)
        case Block.ToolCall(tool_name=name, input_json=arguments):
            return f"[call of tool {name}: {arguments}]"
        case Block.ToolResult(content=content, images=images):
            return "\n\n".join((content, *(_image(index, request) for index in images)))
        case Block.Reasoning():
            return ""


def _image(index: int, request: LlmRequest) -> str:
    """An image as the text that stands for it."""
    attachment = request.attachments[index]
    about = [attachment.label] if attachment.label else []
    if attachment.width is not None and attachment.height is not None:
        about.append(f"{attachment.width}x{attachment.height}")
    return f"[image {attachment.reference}: {' '.join(about)}]" if about else f"[image {attachment.reference}]"
