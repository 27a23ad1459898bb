"""What a stream of Anthropic's Messages API comes to (providers.md 5).

A decoder without a socket; `anthropic.py` feeds it. Parts stay in the order of the wire, in which they go back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from lash.host.providers.wire import (
    JsonObject,
    Pieces,
    joined_text,
    obj,
    objects,
    reported_failure,
    string,
    truncated,
)
from lash.runtime.providers.usage import split_usage
from lash.runtime.sansio.llm import (
    AnyStreamEvent,
    Block,
    LlmResponse,
    LlmStreamEvent,
    ReasoningReplay,
    ResponsePart,
    TerminalReason,
)
from lash.runtime.sansio.usage import TokenUsage

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


@dataclass(slots=True)
class _Part:
    """A content block as it arrives."""

    index: int
    start: JsonObject
    text: Pieces = field(default_factory=Pieces)
    signature: Pieces = field(default_factory=Pieces)
    arguments: Pieces = field(default_factory=Pieces)

    def part(self) -> ResponsePart | None:
        """What has become of it; None for what is empty, or of a kind that a response does not have."""
        match self.start.get("type"):
            case "text":
                return Block.Text(self.text.text) if self.text else None
            case "thinking":
                if not self.text and not self.signature:
                    return None
                return Block.Reasoning(self.text.text, ReasoningReplay(signature=self.signature.text or None))
            case "redacted_thinking":
                data = string(self.start.get("data"))
                return Block.Reasoning("", ReasoningReplay(signature=data, redacted=True))
            case "tool_use":
                arguments = self.arguments.text or json.dumps(obj(self.start.get("input")), ensure_ascii=False)
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
        self._model: str | None = None
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
                self._model = string(message.get("model")) or None
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
        return LlmResponse(
            joined_text(parts),
            parts,
            usage=self._tokens(),
            terminal_reason=reason,
            terminal_diagnostic=diagnostic,
            provider_usage=self._usage or None,
            response_id=self._id,
            response_model=self._model,
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
                part.signature = Pieces(string(start.get("signature")))
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
                part.text.add(text)
                if text:
                    self._sink(LlmStreamEvent.TextDelta(text, part.index))
            case "thinking_delta":
                text = string(delta.get("thinking"))
                part.text.add(text)
                if text:
                    self._sink(LlmStreamEvent.ReasoningDelta(text, part.index))
            case "signature_delta":
                part.signature.add(string(delta.get("signature")))
            case "input_json_delta":
                text = string(delta.get("partial_json"))
                part.arguments.add(text)
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
        self._sink(LlmStreamEvent.UsageUpdate(self._tokens()))

    def _tokens(self) -> TokenUsage:
        """The usage report as the runtime counts."""
        details = obj(self._usage.get("output_tokens_details"))
        return split_usage(
            uncached=self._usage.get("input_tokens"),
            cached=self._usage.get("cache_read_input_tokens"),
            written=self._usage.get("cache_creation_input_tokens"),
            output=self._usage.get("output_tokens"),
            reasoning=details.get("thinking_tokens"),
        )
