"""Several handles on one stored session: each turn begins from what was committed last, whoever committed it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from lash import LashCore
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.testing.scripted import HANG, AnyStep, ScriptedProvider, Step


def core_with(folder: Path, *steps: AnyStep) -> LashCore:
    """A core of its own, as another process would have it."""
    return LashCore.rlm(
        provider=ScriptedProvider(list(steps)),
        model="m",
        max_context_tokens=100_000,
        store=SqliteSessionStoreFactory(folder / "sessions"),
        attachments=FileAttachmentStore(folder / "attachments"),
    )


def block(code: str) -> str:
    return f"```lashlang\n{code}\n```"


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


async def test_a_turn_begins_from_what_another_handle_has_committed(tmp_path: Path) -> None:
    one, two = core_with(tmp_path, block("n = 1\nsubmit n")), core_with(tmp_path, block("submit n + 1"))
    async with one, two, one.session("s") as mine, two.session("s") as theirs:
        assert (await mine.turn("One.")).submitted_value() == 1
        result = await theirs.turn("Two.")
        assert (result.submitted_value(), result.turn_index) == (2, 2)


async def test_a_turn_that_waited_for_another_one_begins_from_its_commit(tmp_path: Path) -> None:
    first = ScriptedProvider([block("n = 1\nprint n"), Step([], HANG)])
    one, two = core_with(tmp_path).replace(provider=first), core_with(tmp_path, block("submit 2"))
    async with one, two, one.session("s") as mine, two.session("s") as theirs:
        turn = mine.turn("One.")
        running = asyncio.ensure_future(turn.result())
        await until(lambda: len(first.requests) == 2)
        waiting = asyncio.ensure_future(theirs.turn("Two.", wait_if_busy=60.0).result())
        await asyncio.sleep(0)
        turn.cancel()
        await running
        result = await waiting
        assert (result.submitted_value(), result.turn_index) == (2, 2)
