"""What a stream of Chat Completions comes to (providers.md 7).

Many servers speak this dialect, each a little differently, so the decoder takes what it can get. It has no socket;
`openai_chat.py` feeds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from lash.host.providers.openai_profiles import EndpointProfile
from lash.host.providers.wire import (
    JsonObject,
    Pieces,
    joined_text,
    obj,
    objects,
    refuse_empty,
    reported_failure,
    string,
    truncated,
)
from lash.runtime.providers.usage import count, inclusive_usage
from lash.runtime.sansio.llm import (
    AnyStreamEvent,
    Block,
    LlmResponse,
    LlmStreamEvent,
    ResponsePart,
    TerminalReason,
    ToolCallReplay,
)
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import JsonValue

FINISH_REASONS: dict[str, TerminalReason] = {
    "stop": "stop",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "output_limit",
    "max_tokens": "output_limit",
    "content_filter": "content_filter",
    "safety": "content_filter",
}
"""What the wire's finish reasons mean; any other is `provider_error`."""

REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
"""Where servers put the model's reasoning; the first that is there counts."""

ENCRYPTED = "reasoning.encrypted"
"""The type of reasoning details that have to be sent back."""


@dataclass(slots=True, eq=False)
class _Text:
    """A run of visible text or of reasoning."""

    index: int
    reasoning: bool
    text: Pieces = field(default_factory=Pieces)


@dataclass(slots=True, eq=False)
class _Call:
    """A tool call as it arrives; `key` is its index on the wire."""

    index: int
    key: object
    call_id: str = ""
    name: str = ""
    arguments: Pieces = field(default_factory=Pieces)
    encrypted: list[JsonValue] = field(default_factory=list[JsonValue])


class ChatDecoder:
    """What a stream of Chat Completions comes to; implements `wire.Decoder`.

    `sink` gets the stream events; `new_call_id` makes an id for a tool call that came without one; `restore` gives the
    arguments of a tool, by its name, the form its schema expects. Only the first choice is read.
    """

    def __init__(
        self,
        sink: Callable[[AnyStreamEvent], None],
        profile: EndpointProfile,
        new_call_id: Callable[[], str],
        restore: Callable[[str, str], str],
    ) -> None:
        self._sink = sink
        self._profile = profile
        self._new_call_id = new_call_id
        self._restore = restore
        self._parts: list[_Text | _Call] = []
        self._details: list[JsonObject] = []
        self._usage: JsonObject = {}
        self._id: str | None = None
        self._model: str | None = None
        self._finish = ""
        self._refusal = Pieces()
        self._spoken = False
        self._answered = False

    @property
    def complete(self) -> bool:
        """Whether the reason why the reply ended is known; usage may follow it."""
        return bool(self._finish)

    def event(self, event: JsonObject) -> None:
        """Take one chunk."""
        if event.get("error"):
            raise reported_failure(event, self.partial())
        self._id = string(event.get("id")) or self._id
        self._model = string(event.get("model")) or self._model
        if usage := obj(event.get("usage")):
            self._usage = usage
            self._sink(LlmStreamEvent.UsageUpdate(self._tokens()))
        choice = next((item for item in objects(event.get("choices")) if item.get("index") in (0, None)), None)
        if choice is not None:
            # A chunk of a stream has a delta, a whole reply a message; they have the same members.
            self._add(obj(choice.get("delta")) or obj(choice.get("message")))
            self._finish = string(choice.get("finish_reason")) or self._finish

    def reply(self, body: JsonObject) -> None:
        """Take a reply that came whole, which is like a chunk with everything in it."""
        self.event(body)
        # A whole reply is at its end by being there.
        self._answered = bool(objects(body.get("choices")))

    def response(self) -> LlmResponse:
        """The response; ProviderFailure (`truncated_stream`, `empty_response`) where there is none."""
        if not self._finish and self._profile.require_finish_reason and not self._answered:
            raise truncated("a finish_reason", self.partial())
        self._share_details()
        for entry in self._parts:
            part = self._part(entry)
            if isinstance(part, Block.ToolCall | Block.Reasoning):
                self._sink(LlmStreamEvent.PartDone(part))
        return refuse_empty(self._made(self._reason()))

    def partial(self) -> LlmResponse:
        """What has arrived so far."""
        return self._made("provider_error")

    def _made(self, reason: TerminalReason) -> LlmResponse:
        parts = tuple(self._part(entry) for entry in self._parts)
        diagnostic = self._refusal.text or None
        if self._finish and self._finish not in FINISH_REASONS:
            diagnostic = f"the model stopped for a reason that is not known: {self._finish}"
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
        """Why the reply ended. Servers that say `stop` and mean calls are taken at their calls."""
        calls = any(isinstance(entry, _Call) for entry in self._parts)
        reason = FINISH_REASONS.get(self._finish, "provider_error" if self._finish else "unknown")
        if calls and reason == "stop":
            return "tool_use"
        return "content_filter" if self._refusal and not self._spoken and reason == "stop" else reason

    def _part(self, entry: _Text | _Call) -> ResponsePart:
        if isinstance(entry, _Text):
            return Block.Reasoning(entry.text.text) if entry.reasoning else Block.Text(entry.text.text)
        replay = ToolCallReplay(opaque=entry.encrypted) if entry.encrypted else None
        # Some servers send nothing at all for a tool without parameters.
        given = entry.arguments.text
        arguments = self._restore(entry.name, given) if given.strip() else "{}"
        return Block.ToolCall(entry.call_id, entry.name, arguments, replay)

    def _add(self, delta: JsonObject) -> None:
        """Take what a chunk adds to the message."""
        reasoning = next((text for name in REASONING_FIELDS if (text := string(delta.get(name)))), "")
        if reasoning:
            entry = self._text(reasoning=True)
            entry.text.add(reasoning)
            self._sink(LlmStreamEvent.ReasoningDelta(reasoning, entry.index))
        self._details += [item for item in objects(delta.get("reasoning_details")) if item.get("type") == ENCRYPTED]
        content, refusal = string(delta.get("content")), string(delta.get("refusal"))
        self._spoken = self._spoken or bool(content)
        self._refusal.add(refusal)
        for text in (content, refusal):
            if text:
                entry = self._text(reasoning=False)
                entry.text.add(text)
                self._sink(LlmStreamEvent.TextDelta(text, entry.index))
        for call in objects(delta.get("tool_calls")):
            self._add_call(call)

    def _text(self, *, reasoning: bool) -> _Text:
        """The run of that kind that stands last, else a new one."""
        last = self._parts[-1] if self._parts else None
        if isinstance(last, _Text) and last.reasoning == reasoning:
            return last
        entry = _Text(len(self._parts), reasoning)
        self._parts.append(entry)
        return entry

    def _add_call(self, delta: JsonObject) -> None:
        """Take a piece of a tool call."""
        call_id, function = string(delta.get("id")), obj(delta.get("function"))
        name, arguments = string(function.get("name")), string(function.get("arguments"))
        entry = self._call(delta.get("index"), call_id, name)
        if entry is None:
            entry = _Call(len(self._parts), delta.get("index"), call_id or self._new_call_id(), name)
            self._parts.append(entry)
            self._sink(LlmStreamEvent.ToolCallStarted(entry.index, entry.call_id, name))
        entry.name = entry.name or name
        if arguments:
            entry.arguments.add(arguments)
            self._sink(LlmStreamEvent.ToolCallDelta(entry.index, arguments))

    def _call(self, key: object, call_id: str, name: str) -> _Call | None:
        """The call that a piece belongs to; None where it begins one.

        Calls are told apart by index. Servers that leave it out, or give every call the same, begin a call with a new
        id; a new id alone is not enough where the index stays, because some make one up for every piece.
        """
        calls = [entry for entry in self._parts if isinstance(entry, _Call)]
        if key is None:
            return calls[-1] if calls and call_id in ("", calls[-1].call_id) else None
        found = next((entry for entry in reversed(calls) if entry.key == key), None)
        begins_another = found is not None and bool(name) and call_id not in ("", found.call_id)
        return None if begins_another else found

    def _share_details(self) -> None:
        """Give encrypted reasoning to the calls that it is for, else to the first, so that it is sent back."""
        calls = [entry for entry in self._parts if isinstance(entry, _Call)]
        for item in self._details:
            owner = next((call for call in calls if call.call_id == item.get("id")), calls[0] if calls else None)
            if owner is not None:
                owner.encrypted.append(cast("JsonValue", item))
        self._details = []

    def _tokens(self) -> TokenUsage:
        """The usage report as the runtime counts. Some servers use the names of the Responses API."""
        usage = self._usage
        prompt = obj(usage.get("prompt_tokens_details")) or obj(usage.get("input_tokens_details"))
        output = obj(usage.get("completion_tokens_details")) or obj(usage.get("output_tokens_details"))
        cached = count(prompt.get("cached_tokens", usage.get("prompt_cache_hit_tokens")))
        written = count(prompt.get("cache_write_tokens"))
        return inclusive_usage(
            prompt=usage.get("prompt_tokens", usage.get("input_tokens")),
            cached=max(0, cached - written) if self._profile.cached_tokens_include_writes else cached,
            written=written,
            output=usage.get("completion_tokens", usage.get("output_tokens")),
            reasoning=output.get("reasoning_tokens"),
        )
