"""Images of a session: noted before they are put, confirmed by the commit, and a fork's own (runtime.md 11)."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

import lash
from lash.persistence import SqliteSessionStoreFactory
from lash.testing.scripted import HANG, Step
from tests.facade.support import GIF, block, core_with, stored

IMAGE = hashlib.sha256(GIF).hexdigest()
SEE = [lash.Text("See."), lash.ImageBlob("i", GIF)]


async def noted(folder: Path, session_id: str) -> list[tuple[str, str | None, bool]]:
    """The images that a stored session uses or was about to use: id, turn, and whether a commit has confirmed it."""
    stores = SqliteSessionStoreFactory(folder / "sessions")
    store = await stores.find_store(session_id)
    assert store is not None
    found = await store.list_attachments()
    await store.aclose()
    await stores.aclose()
    return [(one.attachment_id, one.owner_turn_id, one.committed_ms is not None) for one in found]


async def test_an_image_that_a_turn_was_given_is_confirmed_by_its_commit(tmp_path: Path) -> None:
    async with core_with(block("submit 1"), **stored(tmp_path)) as core, core.session("s") as session:
        await session.turn(SEE, turn_id="t-1")
    assert await noted(tmp_path, "s") == [(IMAGE, "t-1", True)]


async def test_an_image_of_a_turn_that_was_lost_is_noted_and_not_confirmed(tmp_path: Path) -> None:
    async with core_with(Step([], HANG), **stored(tmp_path)) as core, core.session("s") as session:
        task = asyncio.ensure_future(session.turn(SEE, turn_id="t-1").result())
        while not await noted(tmp_path, "s"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await noted(tmp_path, "s") == [(IMAGE, "t-1", False)]


async def test_a_fork_confirms_the_images_of_its_path_as_its_own(tmp_path: Path) -> None:
    async with core_with(block("submit 1"), **stored(tmp_path)) as core, core.session("s") as session:
        await session.turn(SEE)
        await core.fork_session("s", new_session_id="twin")
        await core.fork_session("s", turn=0, new_session_id="start")
    assert await noted(tmp_path, "twin") == [(IMAGE, None, True)]
    assert await noted(tmp_path, "start") == []
