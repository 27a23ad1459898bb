"""Hooks on what the model writes."""

from __future__ import annotations

from typing import Any

from lash.runtime.plugins.contract import AbortStream, AttemptReset, StreamChunk
from lash.runtime.plugins.output import StreamVerdict
from lash.runtime.sansio.llm import LlmResponse
from tests.runtime.plugins.support import gives, opened, static


def add(letter: str) -> Any:
    """A stream hook that adds a letter."""

    def hook(chunk: StreamChunk | AttemptReset) -> str | None:
        return chunk.text + letter if isinstance(chunk, StreamChunk) else None

    return hook


async def test_text_is_piped_through_the_hooks_and_the_first_that_aborts_is_the_last() -> None:
    session = await opened(
        static("a", stream=[add("1"), gives(None)]),
        static("b", stream=[add("2"), gives(AbortStream("enough")), add("3")]),
    )
    assert await session.output.stream(StreamChunk("-", "prose")) == StreamVerdict("-12", "enough")


async def test_a_hook_that_fails_or_gives_no_text_changes_nothing_and_is_noted_once() -> None:
    def fails(chunk: object) -> None:
        raise ValueError("broken")

    session = await opened(static("a", stream=[fails]), static("b", stream=[gives(5)]), static("c", stream=[add("!")]))
    assert await session.output.stream(StreamChunk("-", "prose")) == StreamVerdict("-!")
    issues = session.output.take_issues()
    assert [issue.kind for issue in issues] == ["plugin", "plugin"]
    assert "'a'" in issues[0].message
    assert "'b'" in issues[1].message
    assert session.output.take_issues() == ()


async def test_a_response_is_piped_through_the_hooks() -> None:
    other = LlmResponse("other")
    seen: list[object] = []
    session = await opened(
        static("a", response=[gives(other)]), static("b", response=[seen.append]), static("c", response=[gives("text")])
    )
    assert await session.output.response(LlmResponse("one")) == other
    assert seen == [other]
    assert "'c'" in session.output.take_issues()[0].message


async def test_both_kinds_of_hooks_are_told_when_an_attempt_is_void() -> None:
    told: list[object] = []
    session = await opened(static("a", stream=[told.append], response=[told.append]))
    await session.output.attempt_reset()
    assert told == [AttemptReset(), AttemptReset()]
