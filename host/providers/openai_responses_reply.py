"""What a stream of OpenAI's Responses API comes to (providers.md 6).

A decoder without a socket; `openai_responses.py` feeds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lash.host.providers.wire import (
    JsonObject,
    Pieces,
    joined_text,
    missing_suffix,
    obj,
    objects,
    refuse_empty,
    reported_failure,
    string,
    truncated,
)
from lash.runtime.providers.usage import inclusive_usage
from lash.runtime.sansio.llm import (
    AnyStreamEvent,
    Block,
    LlmResponse,
    LlmStreamEvent,
    ReasoningReplay,
    ResponseMeta,
    ResponsePart,
    TerminalReason,
    ToolCallReplay,
)
from lash.runtime.sansio.usage import TokenUsage


@dataclass(slots=True)
class _Piece:
    """A piece of text within an item, as it arrives: a content part of a message, or a paragraph of reasoning."""

    part_index: int
    text: Pieces = field(default_factory=Pieces)
    refusal: bool = False


@dataclass(slots=True, eq=False)
class _Item:
    """An output item as it arrives; `wire` is the newest that was said of it as a whole."""

    wire: JsonObject
    part_index: int
    pieces: dict[int, _Piece] = field(default_factory=dict[int, _Piece])
    summary: dict[int, Pieces] = field(default_factory=dict[int, Pieces])
    raw_reasoning: dict[int, Pieces] = field(default_factory=dict[int, Pieces])
    arguments: Pieces = field(default_factory=Pieces)
    announced: bool = False

    @property
    def kind(self) -> str:
        return string(self.wire.get("type"))

    def parts(self, restore: Callable[[str, str], str]) -> list[ResponsePart]:
        """What has become of it; nothing for what is empty, or of a kind that a response does not have."""
        match self.kind:
            case "message":
                meta = ResponseMeta(
                    string(self.wire.get("id")) or None,
                    string(self.wire.get("status")) or None,
                    string(self.wire.get("phase")) or None,
                )
                return [Block.Text(piece.text.text, meta) for _, piece in sorted(self.pieces.items()) if piece.text]
            case "reasoning":
                return self._reasoning()
            case "function_call":
                item_id = string(self.wire.get("id"))
                call_id, name = string(self.wire.get("call_id")) or item_id, string(self.wire.get("name"))
                replay = ToolCallReplay(item_id) if item_id else None
                given = self.arguments.text
                arguments = restore(name, given) if given.strip() else "{}"
                return [Block.ToolCall(call_id, name, arguments, replay)]
            case _:
                return []

    def _reasoning(self) -> list[ResponsePart]:
        summary = tuple(pieces.text for _, pieces in sorted(self.summary.items()))
        encrypted = string(self.wire.get("encrypted_content"))
        text = "\n\n".join(summary or (pieces.text for _, pieces in sorted(self.raw_reasoning.items())))
        if not text and not encrypted:
            return []
        replay = ReasoningReplay(string(self.wire.get("id")) or None, encrypted or None, summary=summary)
        return [Block.Reasoning(text, replay)]


class ResponsesDecoder:
    """What a stream of the Responses API comes to; implements `wire.Decoder`.

    `sink` gets the stream events; `restore` gives the arguments of a tool, by its name, the form its schema expects.

    Items are known by their place in the output, and by their id where an event leaves the place out: they may arrive
    interleaved, so there is no such thing as the one that is open.
    """

    def __init__(self, sink: Callable[[AnyStreamEvent], None], restore: Callable[[str, str], str]) -> None:
        self._sink = sink
        self._restore = restore
        self._items: dict[int, _Item] = {}
        self._count = 0
        self._id: str | None = None
        self._model: str | None = None
        self._final: JsonObject | None = None
        self._usage: JsonObject = {}

    @property
    def complete(self) -> bool:
        """Whether the response's own end has been reported."""
        return self._final is not None

    def event(self, event: JsonObject) -> None:
        """Take one event; those of unknown types say nothing."""
        match string(event.get("type")):
            case "response.created" | "response.in_progress":
                self._id = string(obj(event.get("response")).get("id")) or self._id
                self._model = string(obj(event.get("response")).get("model")) or self._model
            case "response.output_item.added":
                self._add(event)
            case "response.output_item.done":
                item = self._add(event)
                self._settle(item, obj(event.get("item")))
                self._announce(item)
            case "response.content_part.added" | "response.content_part.done":
                self._content_part(event)
            case "response.output_text.delta" | "response.refusal.delta" as kind:
                self._text(event, string(event.get("delta")), refusal="refusal" in kind)
            case "response.output_text.done":
                self._final_text(event, string(event.get("text")))
            case "response.refusal.done":
                self._final_text(event, string(event.get("refusal")))
            case "response.reasoning_summary_text.delta":
                self._summary(event, string(event.get("delta")))
            case "response.reasoning_summary_text.done":
                self._final_summary(event, string(event.get("text")))
            case "response.reasoning_text.delta":
                self._raw_reasoning(event, string(event.get("delta")))
            case "response.function_call_arguments.delta":
                self._arguments(event, string(event.get("delta")))
            case "response.function_call_arguments.done":
                if (item := self._find(event)) is not None:
                    self._arguments(event, missing_suffix(item.arguments.text, string(event.get("arguments"))))
            case "response.completed" | "response.incomplete" | "response.failed":
                self.reply(obj(event.get("response")))
            case "error":
                raise reported_failure(event, self.partial())
            case _:
                pass

    def reply(self, body: JsonObject) -> None:
        """Take the response as a whole: the end of a stream, or all there is of a buffered call."""
        self._id = string(body.get("id")) or self._id
        self._model = string(body.get("model")) or self._model
        self._usage = obj(body.get("usage"))
        if self._usage:
            self._sink(LlmStreamEvent.UsageUpdate(_usage(self._usage)))
        self._reconcile(objects(body.get("output")))
        if body.get("status") == "failed" or body.get("error"):
            raise reported_failure({"error": body.get("error")}, self.partial())
        self._final = body

    def response(self) -> LlmResponse:
        """The response; ProviderFailure (`truncated_stream`, `empty_response`) where there is none."""
        if self._final is None:
            raise truncated("response.completed", self.partial())
        return refuse_empty(self._made(*self._ending(self._final)))

    def partial(self) -> LlmResponse:
        """What has arrived so far."""
        return self._made("provider_error", None)

    def _made(self, reason: TerminalReason, diagnostic: str | None) -> LlmResponse:
        parts = tuple(part for _, item in sorted(self._items.items()) for part in item.parts(self._restore))
        return LlmResponse(
            joined_text(parts),
            parts,
            usage=_usage(self._usage),
            terminal_reason=reason,
            terminal_diagnostic=diagnostic,
            provider_usage=self._usage or None,
            response_id=self._id,
            response_model=self._model,
        )

    def _ending(self, final: JsonObject) -> tuple[TerminalReason, str | None]:
        """Why the response ended, and what was said about it."""
        why = string(obj(final.get("incomplete_details")).get("reason"))
        if why == "content_filter":
            return "content_filter", why
        if why or final.get("status") == "incomplete":
            return "output_limit", why or None
        if final.get("status") == "cancelled":
            return "cancelled", None
        kinds = {item.kind for item in self._items.values()}
        pieces = [piece for item in self._items.values() for piece in item.pieces.values() if piece.text]
        if pieces and all(piece.refusal for piece in pieces) and "function_call" not in kinds:
            return "content_filter", "".join(piece.text.text for piece in pieces)
        return ("tool_use" if "function_call" in kinds else "stop"), None

    def _new_index(self) -> int:
        self._count += 1
        return self._count - 1

    def _add(self, event: JsonObject) -> _Item:
        """The item of an event that carries it, known from now on."""
        wire = obj(event.get("item"))
        place: object = event.get("output_index")
        index = place if isinstance(place, int) else max(self._items, default=-1) + 1
        item = self._known(wire, index)
        if item is None:
            item = self._items[index] = self._new(wire)
        return item

    def _reconcile(self, wires: list[JsonObject]) -> None:
        """Take the output as it finally is: in its order, with what was not streamed. An empty list says nothing."""
        ids = frozenset(string(wire.get("id")) for wire in wires)
        settled: list[_Item] = []
        for place, wire in enumerate(wires):
            item = self._known(wire, place, ids) or self._new(wire)
            self._settle(item, wire)
            self._announce(item)
            settled.append(item)
        left = [item for _, item in sorted(self._items.items()) if item not in settled]
        self._items = dict(enumerate([*settled, *left]))

    def _known(self, wire: JsonObject, place: int, elsewhere: frozenset[str] = frozenset()) -> _Item | None:
        """The item with the same id, else the one of that kind at that place.

        Some servers give an item another id in every event; `elsewhere` are ids that certainly belong to others.
        """
        item_id = string(wire.get("id"))
        for item in self._items.values():
            if item_id and item.wire.get("id") == item_id:
                return item
        found = self._items.get(place)
        if found is None or found.kind != wire.get("type") or string(found.wire.get("id")) in elsewhere - {""}:
            return None
        return found

    def _new(self, wire: JsonObject) -> _Item:
        # A message's texts are parts of their own, counted as they come.
        item = _Item(wire, -1 if wire.get("type") == "message" else self._new_index())
        if item.kind == "function_call":
            name, call_id = string(wire.get("name")), string(wire.get("call_id"))
            self._sink(LlmStreamEvent.ToolCallStarted(item.part_index, call_id, name))
        return item

    def _find(self, event: JsonObject) -> _Item | None:
        """The item that an event is about; None for one that was never announced."""
        place: object = event.get("output_index")
        item_id = string(event.get("item_id"))
        named = next((item for item in self._items.values() if item_id and item.wire.get("id") == item_id), None)
        return named or (self._items.get(place) if isinstance(place, int) else None)

    def _piece(self, item: _Item, place: object) -> _Piece:
        index = place if isinstance(place, int) else 0
        if index not in item.pieces:
            item.pieces[index] = _Piece(self._new_index())
        return item.pieces[index]

    def _show(self, piece: _Piece, text: str) -> None:
        piece.text.add(text)
        if text:
            self._sink(LlmStreamEvent.TextDelta(text, piece.part_index))

    def _text(self, event: JsonObject, text: str, *, refusal: bool = False) -> None:
        item = self._find(event)
        if item is not None:
            piece = self._piece(item, event.get("content_index"))
            piece.refusal = piece.refusal or refusal
            self._show(piece, text)

    def _final_text(self, event: JsonObject, text: str) -> None:
        item = self._find(event)
        if item is not None:
            self._settle_piece(self._piece(item, event.get("content_index")), text)

    def _settle_piece(self, piece: _Piece, text: str) -> None:
        """Make a text what it finally is; the handle takes back what was shown if that was something else."""
        self._show(piece, missing_suffix(piece.text.text, text))
        piece.text = Pieces(text)

    def _content_part(self, event: JsonObject) -> None:
        item, part = self._find(event), obj(event.get("part"))
        if item is not None and item.kind == "message" and part.get("type") in ("output_text", "refusal"):
            self._settle_content(item, event.get("content_index"), part)

    def _settle_content(self, item: _Item, place: object, part: JsonObject) -> None:
        piece = self._piece(item, place)
        piece.refusal = part.get("type") == "refusal"
        text = string(part.get("refusal" if piece.refusal else "text"))
        if text:
            self._settle_piece(piece, text)

    def _summary(self, event: JsonObject, text: str) -> None:
        """More of a paragraph of the summary; between paragraphs stands a blank line."""
        item = self._find(event)
        if item is None or not text:
            return
        place: object = event.get("summary_index")
        index = place if isinstance(place, int) else 0
        begun = index in item.summary
        break_before = "\n\n" if item.summary and not begun else ""
        item.summary.setdefault(index, Pieces()).add(text)
        self._sink(LlmStreamEvent.ReasoningDelta(break_before + text, item.part_index))

    def _final_summary(self, event: JsonObject, text: str) -> None:
        item = self._find(event)
        place: object = event.get("summary_index")
        if item is not None:
            streamed = item.summary.get(place if isinstance(place, int) else 0, Pieces())
            self._summary(event, missing_suffix(streamed.text, text))

    def _raw_reasoning(self, event: JsonObject, text: str) -> None:
        item = self._find(event)
        if item is not None and text:
            place: object = event.get("content_index")
            index = place if isinstance(place, int) else 0
            item.raw_reasoning.setdefault(index, Pieces()).add(text)
            self._sink(LlmStreamEvent.ReasoningDelta(text, item.part_index))

    def _arguments(self, event: JsonObject, text: str) -> None:
        item = self._find(event)
        if item is not None and text:
            item.arguments.add(text)
            self._sink(LlmStreamEvent.ToolCallDelta(item.part_index, text))

    def _settle(self, item: _Item, wire: JsonObject) -> None:
        """Make an item what the wire finally says that it is."""
        item.wire = {**item.wire, **wire}
        match item.kind:
            case "message":
                for place, part in enumerate(objects(wire.get("content"))):
                    self._settle_content(item, place, part)
            case "reasoning":
                if summary := [Pieces(string(part.get("text"))) for part in objects(wire.get("summary"))]:
                    item.summary = dict(enumerate(summary))
                if raw := [Pieces(string(part.get("text"))) for part in objects(wire.get("content"))]:
                    item.raw_reasoning = dict(enumerate(raw))
            case "function_call":
                if whole := string(wire.get("arguments")):
                    item.arguments = Pieces(whole)
            case _:
                pass

    def _announce(self, item: _Item) -> None:
        """Report a finished call or reasoning, once."""
        if item.announced or item.kind == "message":
            return
        item.announced = True
        for part in item.parts(self._restore):
            self._sink(LlmStreamEvent.PartDone(part))


def _usage(usage: JsonObject) -> TokenUsage:
    """The usage report as the runtime counts."""
    prompt, output = obj(usage.get("input_tokens_details")), obj(usage.get("output_tokens_details"))
    return inclusive_usage(
        prompt=usage.get("input_tokens"),
        cached=prompt.get("cached_tokens"),
        written=prompt.get("cache_write_tokens"),
        output=usage.get("output_tokens"),
        reasoning=output.get("reasoning_tokens"),
    )
