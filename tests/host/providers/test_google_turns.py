"""Whole turns over the Gemini API: what it signed goes back in later turns, out of a store and out of a journal."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

import lash
from lash import LashCore, ModePreset
from lash.host.effects.journal import JournalEffectHost
from lash.host.system import RandomIds, SystemClock
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.testing.activities import check_activities
from tests.host.providers.dialects import GOOGLE
from tests.host.providers.sse_server import Asked, Reply, SseServer

MODEL = "gemini-3.1-pro-preview"


def streamed(*chunks: list[dict[str, Any]]) -> Reply:
    """A reply that ends well, its parts in chunks."""
    found: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}]} for parts in chunks
    ]
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 3}
    found.append({"candidates": [{"finishReason": "STOP", "index": 0}], "usageMetadata": usage})
    return Reply([b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in found])


THOUGHT = {"text": "Tea first.", "thought": True, "thoughtSignature": "of-thought"}
TEA = {"functionCall": {"id": "c1", "name": "lookup", "args": {"item": "tea"}}, "thoughtSignature": "of-call"}
OIL = {"functionCall": {"id": "c2", "name": "lookup", "args": {"item": "oil"}}}
ASKING = streamed([THOUGHT], [{"text": "I look."}], [TEA, OIL])
ANSWERING = streamed([{"text": "42."}], [{"text": "", "thoughtSignature": "of-text"}])


@lash.tool
async def lookup(item: str) -> int:
    """The price of an item.

    Args:
        item: what is asked for
    """
    return {"tea": 12, "oil": 30}[item]


@asynccontextmanager
async def core_at(server: SseServer, folder: Path, mode: ModePreset, **knobs: Any) -> AsyncGenerator[LashCore]:
    """A core whose sessions live in a folder and whose model is the server; it asks for a signature of every call."""
    core = LashCore(
        provider=GOOGLE.handle(server.url),
        model=MODEL,
        modes=[mode],
        tools=[lookup],
        store=SqliteSessionStoreFactory(folder / "sessions"),
        attachments=FileAttachmentStore(folder / "attachments"),
        **knobs,
    )
    async with core:
        yield core


@asynccontextmanager
async def journal(folder: Path, replay: Literal["extend", "strict"] = "extend") -> AsyncGenerator[JournalEffectHost]:
    host = JournalEffectHost(folder / "journal.db", clock=SystemClock(), ids=RandomIds(), replay=replay)
    yield host
    await host.aclose()


def model_parts(asked: Asked) -> list[Any]:
    """What a request says that the model has said."""
    contents = asked.body["contents"]
    return [part for content in contents if content["role"] == "model" for part in content["parts"]]


def signatures(asked: Asked) -> list[str]:
    return [part["thoughtSignature"] for part in model_parts(asked) if "thoughtSignature" in part]


async def test_a_reply_goes_back_part_by_part_as_it_came(tmp_path: Path) -> None:
    async with SseServer(ASKING, ANSWERING) as server:
        async with core_at(server, tmp_path, ModePreset.standard()) as core, core.session("s") as session:
            output = await session.run("What do tea and oil cost?")
    check_activities(output.activities)
    assert output.assistant_message() == "42."
    assert output.result.usage.reasoning_tokens == 6
    assert model_parts(server.asked[1]) == [THOUGHT, {"text": "I look."}, TEA, OIL]
    answers = [part["functionResponse"] for part in server.asked[1].body["contents"][2]["parts"]]
    assert [(answer["id"], answer["name"], answer["response"]) for answer in answers] == [
        ("c1", "lookup", {"output": "12"}),
        ("c2", "lookup", {"output": "30"}),
    ]


async def test_signatures_outlive_the_process_with_the_session(tmp_path: Path) -> None:
    async with SseServer(ASKING, ANSWERING, streamed([{"text": "Yes."}])) as server:
        async with core_at(server, tmp_path, ModePreset.standard()) as core, core.session("s") as session:
            await session.turn("What do tea and oil cost?")
        async with core_at(server, tmp_path, ModePreset.standard()) as core, core.session("s") as session:
            await session.turn("Sure?")
    assert signatures(server.asked[2]) == ["of-thought", "of-call", "of-text"]


async def test_a_turn_out_of_the_journal_asks_nobody_and_keeps_what_was_signed(tmp_path: Path) -> None:
    standard = ModePreset.standard()
    async with SseServer(ASKING, ANSWERING, streamed([{"text": "Yes."}])) as server:
        async with (
            journal(tmp_path) as host,
            core_at(server, tmp_path / "one", standard, effect_host=host) as core,
            core.session("s") as session,
        ):
            first = await session.run("What do tea and oil cost?", turn_id="t")
        async with (
            journal(tmp_path, "strict") as host,
            core_at(server, tmp_path / "two", standard, effect_host=host) as core,
            core.session("s") as session,
        ):
            again = await session.run("What do tea and oil cost?", turn_id="t")
        assert len(server.asked) == 2
        assert again.result.outcome == first.result.outcome
        async with core_at(server, tmp_path / "two", standard) as core, core.session("s") as session:
            await session.turn("Sure?")
    assert signatures(server.asked[2]) == ["of-thought", "of-call", "of-text"]


async def test_a_call_without_id_is_answered_under_the_one_that_it_was_given(tmp_path: Path) -> None:
    nameless = {"functionCall": {"name": "lookup", "args": {"item": "tea"}}}
    async with SseServer(streamed([nameless, nameless]), ANSWERING) as server:
        async with core_at(server, tmp_path, ModePreset.standard()) as core, core.session("s") as session:
            assert (await session.turn("What does tea cost?")).assistant_message() == "42."
    called = [part["functionCall"]["id"] for part in model_parts(server.asked[1])]
    answered = [part["functionResponse"]["id"] for part in server.asked[1].body["contents"][2]["parts"]]
    assert called == answered
    assert len(set(called)) == 2


async def test_a_program_runs_and_goes_on_with_its_session(tmp_path: Path) -> None:
    program = '```lashlang\nprice = (call lookup { item: "tea" })?\nsubmit price * 2\n```'
    replies = (streamed([THOUGHT], [{"text": program}], [{"text": "", "thoughtSignature": "of-text"}]),)
    more = streamed([{"text": "```lashlang\nsubmit price * 3\n```"}])
    async with SseServer(*replies, more) as server:
        async with core_at(server, tmp_path, ModePreset.rlm()) as core, core.session("s") as session:
            assert (await session.turn("Two teas?")).submitted_value() == 24
        async with core_at(server, tmp_path, ModePreset.rlm()) as core, core.session("s") as session:
            assert (await session.turn("Three?")).submitted_value() == 36
    assert "tools" not in server.asked[0].body
    assert "call lookup" in json.dumps(server.asked[1].body["contents"])


@pytest.mark.parametrize(("reply", "said"), [("promptFeedback", "blocked"), ("SAFETY", "SAFETY")])
async def test_a_filtered_reply_says_why(tmp_path: Path, reply: str, said: str) -> None:
    chunk: dict[str, Any] = {"candidates": [{"finishReason": "SAFETY", "index": 0}]}
    if reply == "promptFeedback":
        chunk = {"promptFeedback": {"blockReason": "SAFETY"}}
    async with SseServer(Reply([b"data: " + json.dumps(chunk).encode() + b"\n\n"])) as server:
        async with core_at(server, tmp_path, ModePreset.standard()) as core, core.session("s") as session:
            result = await session.turn("hi")
    assert not result.is_success()
    assert said in str(result.outcome)
