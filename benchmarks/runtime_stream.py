"""Decoding what a provider streams, and starting up."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.engines import check
from benchmarks.measure import Figures
from lash.host.providers.anthropic_reply import AnthropicDecoder
from lash.host.providers.openai_chat_reply import ChatDecoder
from lash.host.providers.openai_profiles import EndpointProfile
from lash.host.providers.wire import Decoder
from lash.runtime.sansio.llm import AnyStreamEvent, LlmStreamEvent

DELTA = "word "


def anthropic_stream(size: int) -> Iterator[dict[str, Any]]:
    """The events of a reply of so many deltas, as the Messages API sends them."""
    yield {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 10, "output_tokens": 1}}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for _ in range(size):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": DELTA}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": size}}
    yield {"type": "message_stop"}


def chat_stream(size: int) -> Iterator[dict[str, Any]]:
    """The same as Chat Completions has it."""
    for _ in range(size):
        yield {"id": "c", "choices": [{"index": 0, "delta": {"content": DELTA}, "finish_reason": None}]}
    yield {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def anthropic_decoder(sink: Callable[[AnyStreamEvent], None]) -> Decoder:
    """A decoder of the one."""
    return AnthropicDecoder(sink)


def chat_decoder(sink: Callable[[AnyStreamEvent], None]) -> Decoder:
    """A decoder of the other."""
    return ChatDecoder(sink, EndpointProfile(), lambda: "call-1", lambda name, arguments: arguments)


async def decoding(size: int, folder: Path) -> Figures:
    """A delta of a streamed reply from its JSON to an event, in processor time; the peer is `json.loads` alone."""
    figures: Figures = {}
    for name, stream, make in (
        ("decode_anthropic", anthropic_stream, anthropic_decoder),
        ("decode_chat", chat_stream, chat_decoder),
    ):
        lines = [json.dumps(event) for event in stream(size)]
        seen: list[AnyStreamEvent] = []
        decoder = make(seen.append)
        begin = time.thread_time()
        for line in lines:
            decoder.event(json.loads(line))
        response = decoder.response()
        figures[name] = (time.thread_time() - begin) / size
        texts = [event.text for event in seen if isinstance(event, LlmStreamEvent.TextDelta)]
        check((len(texts), "".join(texts)), (size, response.full_text))
        check(response.full_text, DELTA * size)
        begin = time.thread_time()
        for line in lines:
            json.loads(line)
        figures[f"{name}.peer"] = (time.thread_time() - begin) / size
    return figures


FIRST_TURN = """
import asyncio, lash
from lash.testing.scripted import ScriptedProvider

async def main():
    provider = ScriptedProvider(["```lashlang\\nsubmit 6 * 7\\n```"])
    async with lash.LashCore.rlm(provider=provider, model="m", max_context_tokens=1000) as core:
        async with core.session("one") as session:
            print((await session.turn("Go.")).submitted_value())

asyncio.run(main())
"""


async def starting(size: int, folder: Path) -> Figures:
    """Processes that import lash, and that answer a first turn; the peer imports asyncio, pydantic and sqlite3."""
    figures: Figures = {}
    for name, program, wanted in (
        ("start_import", "import lash", b""),
        ("start_import.peer", "import asyncio, pydantic, sqlite3", b""),
        ("start_turn", FIRST_TURN, b"42\n"),
    ):
        taken: list[float] = []
        for _ in range(size):
            begin = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
            )
            told, _ = await process.communicate()
            taken.append(time.perf_counter() - begin)
            check((process.returncode, told), (0, wanted))
        figures[name] = min(taken)
    return figures
