"""Long replies: what a piece costs does not depend on how much has come before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from lash.host.providers.anthropic_reply import AnthropicDecoder
from lash.host.providers.google_reply import GoogleDecoder
from lash.host.providers.openai_chat_reply import ChatDecoder
from lash.host.providers.openai_profiles import EndpointProfile
from lash.host.providers.openai_responses_reply import ResponsesDecoder
from lash.host.providers.wire import Decoder, Pieces
from lash.runtime.sansio.llm import AnyStreamEvent, Block

COUNT = 300
Sink = Callable[[AnyStreamEvent], None]


class Piece(str):
    """A text that notes what is copied when it is put behind another one: all that came before."""

    copied = 0
    __slots__ = ()

    def __radd__(self, before: str) -> str:
        Piece.copied += len(before)
        return f"{before}{self!s}"


def anthropic(sink: Sink) -> Decoder:
    return AnthropicDecoder(sink)


def chat(sink: Sink) -> Decoder:
    return ChatDecoder(sink, EndpointProfile(), lambda: "made", lambda name, arguments: arguments)


def responses(sink: Sink) -> Decoder:
    return ResponsesDecoder(sink, lambda name, arguments: arguments)


def google(sink: Sink) -> Decoder:
    return GoogleDecoder(sink, lambda: "made")


def google_events(**part: object) -> Iterable[dict[str, Any]]:
    # The first is longer, as one that begins with all before it would be taken for the same once more.
    for text in ("abab", *["ab"] * (COUNT - 2)):
        yield {"candidates": [{"content": {"parts": [{"text": Piece(text), **part}]}}]}


def anthropic_events(block: dict[str, Any], **delta: str) -> Iterable[dict[str, Any]]:
    yield {"type": "message_start", "message": {"id": "m"}}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    for _ in range(COUNT):
        new = {name: text if name == "type" else Piece(text) for name, text in delta.items()}
        yield {"type": "content_block_delta", "index": 0, "delta": new}


def chat_events(delta: Callable[[], dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for _ in range(COUNT):
        yield {"choices": [{"index": 0, "delta": delta()}]}


def responses_events(item: dict[str, Any], kind: str) -> Iterable[dict[str, Any]]:
    yield {"type": "response.output_item.added", "output_index": 0, "item": {"id": "i", **item}}
    for _ in range(COUNT):
        yield {"type": f"response.{kind}.delta", "item_id": "i", "delta": Piece("ab")}


def an_argument() -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": Piece("ab")}}]}


def told(parts: Iterable[object]) -> list[str]:
    """All that the parts of a response hold, by part."""
    found: list[str] = []
    for part in parts:
        if isinstance(part, Block.Text | Block.Reasoning):
            signature = part.replay.signature if isinstance(part, Block.Reasoning) and part.replay is not None else None
            found.append(signature or part.text)
        elif isinstance(part, Block.ToolCall):
            found.append(part.input_json)
    return found


@pytest.mark.parametrize(
    ("make", "events"),
    [
        (anthropic, lambda: anthropic_events({"type": "text", "text": ""}, type="text_delta", text="ab")),
        (anthropic, lambda: anthropic_events({"type": "thinking"}, type="thinking_delta", thinking="ab")),
        (anthropic, lambda: anthropic_events({"type": "thinking"}, type="signature_delta", signature="ab")),
        (anthropic, lambda: anthropic_events({"type": "tool_use"}, type="input_json_delta", partial_json="ab")),
        (chat, lambda: chat_events(lambda: {"content": Piece("ab")})),
        (chat, lambda: chat_events(lambda: {"refusal": Piece("ab")})),
        (chat, lambda: chat_events(lambda: {"reasoning_content": Piece("ab")})),
        (chat, lambda: chat_events(an_argument)),
        (google, google_events),
        (google, lambda: google_events(thought=True)),
        (responses, lambda: responses_events({"type": "message"}, "output_text")),
        (responses, lambda: responses_events({"type": "message"}, "refusal")),
        (responses, lambda: responses_events({"type": "reasoning"}, "reasoning_summary_text")),
        (responses, lambda: responses_events({"type": "reasoning"}, "reasoning_text")),
        (responses, lambda: responses_events({"type": "function_call"}, "function_call_arguments")),
    ],
)
def test_pieces_are_not_put_behind_a_text_that_grows(
    make: Callable[[Sink], Decoder],
    events: Callable[[], Iterable[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Piece, "copied", 0)
    decoder = make(lambda event: None)
    for event in events():
        decoder.event(event)
    assert told(decoder.partial().parts) == ["ab" * COUNT]
    assert Piece.copied == 0


def test_pieces_that_were_read_go_on() -> None:
    pieces = Pieces("a")
    pieces.add("b")
    assert pieces.text == "ab"
    pieces.add("c")
    assert pieces.text == "abc"


def test_pieces_without_text_are_nothing() -> None:
    pieces = Pieces("")
    pieces.add("")
    assert (bool(pieces), pieces.text) == (False, "")
    assert bool(Pieces("", "a"))
