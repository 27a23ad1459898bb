"""Input while a session is busy: where it goes, and that it is neither lost nor heard twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import lash
from lash import TurnEvent
from lash.durability import JournalEffectHost
from lash.testing.scripted import HANG, Step
from tests.facade.support import GIF, block, core_with, said, stored


class Asked:
    """A tool that says when it is called, and ends when it is let go."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.go = asyncio.Event()

    @lash.tool
    async def wait(self) -> None:
        """Wait."""
        self.called.set()
        await self.go.wait()


async def test_input_for_a_running_turn_is_heard_at_its_next_checkpoint() -> None:
    asked = Asked()
    steps = [block("call wait {}\nprint 1"), block("submit history[2].content")]
    async with core_with(*steps, tools=[asked]) as core, core.session("s") as session:
        turn = session.turn("Go.")
        running = asyncio.ensure_future(turn.output())
        await asked.called.wait()
        pending = await session.queue("Be quick.", id="q-1")
        assert (pending.state, pending.draft.turn_id) == ("pending_active", turn.turn_id)
        asked.go.set()
        output = await running
        accepted = [a.event for a in output.activities if isinstance(a.event, TurnEvent.QueuedInputAccepted)]
        assert accepted == [TurnEvent.QueuedInputAccepted("after_work", ("q-1",))]
        assert said(session)[:2] == ["Go.", "Be quick."]
        assert [one.state for one in await session.queued()] == ["completed"]
        assert await session.cancel_input("q-1") is None


async def test_input_that_waits_is_the_beginning_of_the_next_turn() -> None:
    async with core_with(block("submit 1"), block("submit 2")) as core, core.session("s") as session:
        await session.queue("First.", id="a")
        await session.queue("Second.", id="b")
        result = await session.turn("Third.")
        assert result.submitted_value() == 1
        assert said(session) == ["First.", "Second.", "Third."]
        nothing = await session.queued_turn()
        assert nothing is None
        assert session.read_view().turn_index == 1
        await session.queue("Fourth.")
        result = await session.queued_turn()
        assert result is not None
        assert result.submitted_value() == 2
        assert said(session)[-1] == "Fourth."


async def test_input_that_was_taken_back_is_not_heard() -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        await session.queue("Nothing.", id="a")
        taken_back = await session.cancel_input("a")
        assert taken_back is not None
        assert taken_back.state == "cancelled"
        assert await session.queued_turn() is None


async def test_the_same_source_key_queues_once_and_other_input_under_it_is_refused() -> None:
    async with core_with() as core, core.session("s") as session:
        first = await session.queue("Hello.", source_key="mail-1")
        again = await session.queue("Hello.", source_key="mail-1")
        assert first == again
        with pytest.raises(lash.StoreError) as refused:
            await session.queue("Something else.", source_key="mail-1")
        assert refused.value.code == "idempotency_conflict"


async def test_input_of_a_turn_that_was_lost_is_heard_by_the_next(tmp_path: Path) -> None:
    async with core_with(Step([], HANG), block("submit 1"), **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.queue("Keep me.")
            task = asyncio.ensure_future(session.queued_turn().result())
            while not session.running:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            result = await session.queued_turn()
            assert result is not None
            assert said(session) == ["Keep me."]


async def test_a_turn_that_is_driven_again_begins_with_the_input_it_took(tmp_path: Path) -> None:
    def journal() -> JournalEffectHost:
        return JournalEffectHost(tmp_path / "journal.db", lease_s=0.1)

    async with (
        core_with(Step([], HANG), effect_host=journal(), **stored(tmp_path)) as core,
        core.session("s") as session,
    ):
        await session.queue("Before.", id="q-1")
        task = asyncio.ensure_future(session.turn("Go.", turn_id="t-1").result())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await session.queue("After.", id="q-2")
    again = core_with(block("submit 1"), effect_host=journal(), **stored(tmp_path))
    async with again as core, core.session("s") as session:
        await session.resume_turn(wait_if_busy=5)
        assert said(session) == ["Before.", "Go."]
        assert [(one.draft.input_id, one.state) for one in await session.queued()] == [
            ("q-1", "completed"),
            ("q-2", "deferred_next_turn"),
        ]


async def test_images_of_queued_input_are_kept_until_a_turn_takes_them() -> None:
    async with core_with(block("submit 1")) as core, core.session("s") as session:
        await session.queue([lash.Text("See: "), lash.ImageBlob("cat", GIF)])
        await session.queued_turn()
        (message,) = session.read_view().messages
        kinds = [(part.kind, part.attachment and part.attachment.label) for part in message.parts]
        assert kinds == [("text", None), ("image", "cat")]


async def test_images_that_there_are_not_are_refused_when_they_are_queued() -> None:
    async with core_with() as core, core.session("s") as session:
        with pytest.raises(lash.InvalidInput, match="f00"):
            await session.queue([lash.ImageRef("f00")])
        assert await session.queued() == []
