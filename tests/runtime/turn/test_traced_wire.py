"""What the trace has of a real exchange with a server."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import lash
from lash import LashCore
from lash.host.providers.openai_chat import OpenAICompatibleProvider
from lash.runtime.providers.options import ProviderOptions
from lash.tracing import TraceLevel
from tests.facade.support import GIF
from tests.host.providers.sse_server import Reply, SseServer
from tests.runtime.turn.traced import block, of_type, records_of, types

KEY = "local-key-4711"


def chunk(**choice: Any) -> bytes:
    data = {"id": "r-1", "object": "chat.completion.chunk", "model": "m-1", "created": 1, "choices": [choice]}
    return f"data: {json.dumps(data)}\n\n".encode()


def stream(text: str) -> Reply:
    """An answer that streams a text in two pieces."""
    middle = len(text) // 2
    pieces = [chunk(index=0, delta={"content": part}) for part in (text[:middle], text[middle:])]
    return Reply([*pieces, chunk(index=0, delta={}, finish_reason="stop"), b"data: [DONE]\n\n"])


async def traced(file: Path, level: TraceLevel, *replies: Reply, given: Any = "Tea?") -> list[str]:
    """The trace of a turn on a server with these answers; the paths that it was asked for."""
    options = ProviderOptions.model_validate({"reliability": {"base_delay_ms": 0}})
    async with SseServer(*replies) as server:
        provider = OpenAICompatibleProvider(f"{server.url}/v1", api_key=KEY, options=options)
        knobs: dict[str, Any] = {"trace_jsonl_path": file, "trace_level": level}
        async with LashCore.rlm(provider=provider, model="m", max_context_tokens=100_000, **knobs) as core:
            async with core.session("s") as session:
                result = await session.turn(given)
                assert result.submitted_value() == 7
            assert core.trace_stats().failed == 0
        return [asked.path for asked in server.asked]


async def test_the_extended_level_has_what_went_over_the_wire_and_no_credentials(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    refused = Reply([json.dumps({"error": {"message": f"slow down, {KEY}"}}).encode()], status=429)
    await traced(file, TraceLevel.EXTENDED, refused, stream(block("submit 7")))
    records = records_of(file)
    raw = of_type(records, "provider_stream_event")
    bodies = [event for event in raw if event.event_name == "lash.request"]
    assert [event.sequence for event in bodies] == [0, 0]
    sent = json.loads(bodies[0].raw_json)
    assert (sent["model"], sent["stream"]) == ("m", True)
    events = [event for event in raw if event.event_name == "chat.completion.chunk"]
    assert [event.sequence for event in events] == [1, 2, 3]
    assert all(event.raw_len == len(event.raw_json.encode()) for event in events)
    assert all(event.raw_sha256 == hashlib.sha256(event.raw_json.encode()).hexdigest() for event in events)
    first_failure = types(records).index("llm_call_failed")
    assert all(record.event.type != "runtime_stream_event" for record in records[:first_failure])
    text = file.read_text()
    assert KEY not in text
    assert "uthorization" not in text


async def test_the_standard_level_has_the_answer_and_counts_its_events(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    await traced(file, TraceLevel.STANDARD, stream(block("submit 7")))
    records = records_of(file)
    assert of_type(records, "provider_stream_event") == []
    (answered,) = of_type(records, "llm_call_completed")
    assert (answered.response.text, answered.response.response_id) == (block("submit 7"), "r-1")
    assert answered.response.response_model == "m-1"
    assert answered.stream_summary["provider_events"] == 3
    assert answered.response.ttft_ms is not None


async def test_an_image_is_a_hash_in_the_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    given = [lash.Text("Look."), lash.ImageBlob("cat", GIF)]
    await traced(file, TraceLevel.EXTENDED, stream(block("submit 7")), given=given)
    (asked,) = of_type(records_of(file), "llm_call_started")
    (image,) = asked.request.attachments
    assert (image.mime, image.bytes_len) == ("image/gif", len(GIF))
    assert image.bytes_sha256 == hashlib.sha256(GIF).hexdigest()
    assert base64.b64encode(GIF).decode()[:20] not in file.read_text()
