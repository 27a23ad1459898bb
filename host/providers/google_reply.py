"""What a stream of Google's Gemini API comes to (providers.md 8).

A decoder without a socket; `google.py` feeds it. Each chunk of a stream is a whole response with what is new in it,
or, from some servers, with all there is so far.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lash.host.providers.google_request import SIGNED_TEXT, THOUGHT
from lash.host.providers.wire import JsonObject, Pieces, joined_text, obj, objects, reported_failure, string
from lash.runtime.providers.usage import count, inclusive_usage
from lash.runtime.sansio.llm import (
    AnyStreamEvent,
    Block,
    LlmResponse,
    LlmStreamEvent,
    ReasoningReplay,
    ResponsePart,
    TerminalReason,
    ToolCallReplay,
)
from lash.runtime.sansio.usage import TokenUsage

FINISH_REASONS: Final[dict[str, TerminalReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "output_limit",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "content_filter",
}
"""What the wire's finish reasons mean; any other is `provider_error`."""


@dataclass(slots=True, eq=False)
class _Run:
    """Visible text or thoughts that stand together; a signature closes thoughts, as it is for them alone."""

    index: int
    thought: bool
    text: Pieces = field(default_factory=Pieces)
    signature: str = ""

    def part(self) -> ResponsePart | None:
        """The part that it is; None where it is nothing."""
        if not self.thought:
            return Block.Text(self.text.text) if self.text else None
        if not self.text and not self.signature:
            return None
        replay = ReasoningReplay(item_id=THOUGHT, signature=self.signature) if self.signature else None
        return Block.Reasoning(self.text.text, replay)


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """A part that comes in one piece: a call, or the signature of a text."""

    made: ResponsePart

    def part(self) -> ResponsePart | None:
        """The part that it is."""
        return self.made


def _signs_text(entry: _Run | _Whole) -> bool:
    return isinstance(entry, _Whole) and isinstance(entry.made, Block.Reasoning)


class _Said:
    """All of one sort of text so far, by which a chunk is known that says it again."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._length = 0

    def news(self, text: str) -> str:
        """What of a text has not been said; all of it, unless it begins with everything that was said."""
        # A shorter text needs no look at all that was said before, which would make long replies slow.
        again = self._length and len(text) >= self._length and text.startswith(self._pieces.text)
        new = text[self._length :] if again else text
        self._pieces.add(new)
        self._length += len(new)
        return new


class GoogleDecoder:
    """What a stream of the Gemini API comes to; implements `wire.Decoder`.

    `sink` gets the stream events; `new_call_id` makes an id for a call that came without one, as those of older models
    do. Only the first candidate is read.
    """

    def __init__(self, sink: Callable[[AnyStreamEvent], None], new_call_id: Callable[[], str]) -> None:
        self._sink = sink
        self._new_call_id = new_call_id
        self._parts: list[_Run | _Whole] = []
        self._said = {False: _Said(), True: _Said()}
        self._calls: set[str] = set()
        self._signatures: set[str] = set()
        self._usage: JsonObject = {}
        self._id: str | None = None
        self._model: str | None = None
        self._finish = ""
        self._explanation: str | None = None
        self._blocked = ""
        self._ended = False

    @property
    def complete(self) -> bool:
        """Whether the last chunk named a reason why the reply ended. Some servers do so in every chunk."""
        return self._ended

    def event(self, event: JsonObject) -> None:
        """Take one chunk; ProviderFailure for one that reports an error."""
        if event.get("error"):
            raise reported_failure(event, self.partial())
        self._take(event, again=True)

    def reply(self, body: JsonObject) -> None:
        """Take a reply that came whole, in which nothing is said twice."""
        self._take(body, again=False)

    def response(self) -> LlmResponse:
        """The response. The end of the bytes is the end of the reply, so nothing is asked of it."""
        for part in self._made_parts():
            if isinstance(part, Block.ToolCall | Block.Reasoning):
                self._sink(LlmStreamEvent.PartDone(part))
        return self._made(self._reason())

    def partial(self) -> LlmResponse:
        """What has arrived so far."""
        return self._made("provider_error")

    def _take(self, chunk: JsonObject, *, again: bool) -> None:
        self._id = string(chunk.get("responseId")) or self._id
        self._model = string(chunk.get("modelVersion")) or self._model
        self._blocked = string(obj(chunk.get("promptFeedback")).get("blockReason")) or self._blocked
        first = (item for item in objects(chunk.get("candidates")) if item.get("index") in (0, None))
        candidate = obj(next(first, None))
        for part in objects(obj(candidate.get("content")).get("parts")):
            self._add(part, again=again)
        if usage := obj(chunk.get("usageMetadata")):
            # Counts are cumulative; a chunk may leave out those that it says nothing new of.
            self._usage |= usage
            self._sink(LlmStreamEvent.UsageUpdate(self._tokens()))
        finish = string(candidate.get("finishReason"))
        self._ended = bool(finish or self._blocked)
        if finish:
            self._finish = finish
            self._explanation = string(candidate.get("finishMessage")) or None

    def _add(self, part: JsonObject, *, again: bool) -> None:
        signature = string(part.get("thoughtSignature"))
        if call := obj(part.get("functionCall")):
            self._add_call(call, signature)
            return
        text, thought = string(part.get("text")), part.get("thought") is True
        news = self._said[thought].news(text)
        text = news if again else text
        # A chunk that says all again has the signatures again, too.
        signature = "" if signature in self._signatures else signature
        self._signatures.add(signature)
        if text or (thought and signature):
            run = self._run(thought=thought)
            run.text.add(text)
            run.signature = signature if thought else ""
            if text:
                event = LlmStreamEvent.ReasoningDelta if thought else LlmStreamEvent.TextDelta
                self._sink(event(text, run.index))
        if signature and not thought:
            self._parts.append(_Whole(Block.Reasoning("", ReasoningReplay(item_id=SIGNED_TEXT, signature=signature))))

    def _run(self, *, thought: bool) -> _Run:
        """The run of that sort that stands last, else a new one. The signature of a text does not cut it in two."""
        last = next((entry for entry in reversed(self._parts) if thought or not _signs_text(entry)), None)
        if isinstance(last, _Run) and last.thought == thought and not last.signature:
            return last
        run = _Run(len(self._parts), thought)
        self._parts.append(run)
        return run

    def _add_call(self, call: JsonObject, signature: str) -> None:
        """Take a call, which always comes whole; one whose id is known has been said before."""
        call_id, name = string(call.get("id")), string(call.get("name"))
        if call_id and call_id in self._calls:
            return
        self._calls.add(call_id)
        arguments = json.dumps(obj(call.get("args")), ensure_ascii=False)
        replay = ToolCallReplay(opaque=signature) if signature else None
        made = Block.ToolCall(call_id or self._new_call_id(), name, arguments, replay)
        index = len(self._parts)
        self._parts.append(_Whole(made))
        self._sink(LlmStreamEvent.ToolCallStarted(index, made.call_id, name))
        self._sink(LlmStreamEvent.ToolCallDelta(index, arguments))

    def _made_parts(self) -> tuple[ResponsePart, ...]:
        found = (entry.part() for entry in self._parts)
        return tuple(part for part in found if part is not None)

    def _made(self, reason: TerminalReason) -> LlmResponse:
        parts = self._made_parts()
        return LlmResponse(
            joined_text(parts),
            parts,
            usage=self._tokens(),
            terminal_reason=reason,
            terminal_diagnostic=self._diagnostic(),
            provider_usage=self._usage or None,
            response_id=self._id,
            response_model=self._model,
        )

    def _reason(self) -> TerminalReason:
        if not self._finish:
            return "content_filter" if self._blocked else "unknown"
        reason = FINISH_REASONS.get(self._finish, "provider_error")
        calls = any(isinstance(part, Block.ToolCall) for part in self._made_parts())
        return "tool_use" if reason == "stop" and calls else reason

    def _diagnostic(self) -> str | None:
        """Why the reply ended, where it is not plain: what the server says of it, else the reason itself."""
        if self._blocked and not self._finish:
            return f"the prompt was blocked: {self._blocked}"
        if self._finish in ("", "STOP", "MAX_TOKENS"):
            return None
        return f"{self._finish}: {self._explanation}" if self._explanation else f"the model stopped: {self._finish}"

    def _tokens(self) -> TokenUsage:
        """The usage report as the runtime counts."""
        usage = self._usage
        thoughts = count(usage.get("thoughtsTokenCount"))
        return inclusive_usage(
            prompt=count(usage.get("promptTokenCount")) + count(usage.get("toolUsePromptTokenCount")),
            cached=usage.get("cachedContentTokenCount"),
            output=count(usage.get("candidatesTokenCount")) + thoughts,
            reasoning=thoughts,
        )
