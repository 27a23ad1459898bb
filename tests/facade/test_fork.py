"""Forks, parked sessions, and what becomes of sessions that are deleted."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

import lash
from lash.testing.scripted import HANG, Step
from tests.facade.support import GIF, block, core_with, said, stored


async def test_a_fork_goes_on_from_the_variables_of_its_turn(tmp_path: Path) -> None:
    steps = [block(f"x = {n}\nsubmit x") for n in (1, 2, 3)] + [block("submit x * 10"), block("submit x * 100")]
    async with core_with(*steps, **stored(tmp_path)) as core, core.session("s") as session:
        for text in ("One.", "Two.", "Three."):
            await session.turn(text)
        async with session.fork(turn=2) as twin:
            assert said(twin) == ["One.", "Two."]
            assert twin.read_view().turn_index == 2
            assert twin.read_view().token_usage.total() == 0
            assert (await twin.turn("Again.")).submitted_value() == 20
            assert said(twin) == ["One.", "Two.", "Again."]
        assert (await session.turn("Four.")).submitted_value() == 300
        assert said(session) == ["One.", "Two.", "Three.", "Four."]


async def test_at_every_turn_of_a_long_session_with_branches_a_fork_is_what_the_turn_left(tmp_path: Path) -> None:
    turns, names = 40, ["s", "left", "right"]
    left: dict[tuple[str, int], tuple[list[str], object]] = {}

    def keeps(request: object) -> str:
        return block("xs = push(xs, [len(xs), len(history)])\nsubmit xs")

    knobs = {"runtime": lash.RuntimeConfig(keep_checkpoints=None), **stored(tmp_path)}
    async with core_with(*[keeps] * 200, **knobs) as core:
        async with core.session("s", globals={"xs": []}) as session:
            for number in range(1, turns + 1):
                value = (await session.turn(f"Turn {number}.", turn_id=f"t-{number}")).submitted_value()
                left["s", number] = (said(session), value)
        for name, start in (("left", 20), ("right", 31)):
            async with core.session(await core.fork_session("s", turn=start, new_session_id=name)) as branch:
                for number in range(start + 1, start + 6):
                    value = (await branch.turn(f"{name} {number}.")).submitted_value()
                    left[name, number] = (said(branch), value)
        assert set(names) == {name for name, _ in left}
        for (name, number), (texts, value) in left.items():
            made = await core.fork_session(name, turn=number)
            async with core.session(made) as twin:
                assert said(twin) == texts
                found = (await twin.turn("And?")).submitted_value()
                assert isinstance(found, list)
                assert found[:-1] == value


async def test_every_kept_turn_can_be_forked_and_an_older_one_says_which_is_the_oldest(tmp_path: Path) -> None:
    turns = 12
    steps = [block(f"x = {n}\nsubmit x") for n in range(1, turns + 1)] + [block("submit x")] * 4
    knobs = {"runtime": lash.RuntimeConfig(keep_checkpoints=4), **stored(tmp_path)}
    async with core_with(*steps, **knobs) as core:
        async with core.session("s") as session:
            for n in range(turns):
                await session.turn(f"Turn {n + 1}.")
        for n in range(turns - 3, turns + 1):
            made = await core.fork_session("s", turn=n)
            async with core.session(made) as twin:
                assert twin.read_view().turn_index == n
                assert (await twin.turn("And?")).submitted_value() == n
        with pytest.raises(lash.CheckpointNotKept) as gone:
            await core.fork_session("s", turn=3)
        assert (gone.value.turn, gone.value.oldest_kept) == (3, turns - 3)


async def test_a_fork_by_turn_id_of_the_start_and_of_the_last_turn(tmp_path: Path) -> None:
    steps = [block("x = 1\nsubmit x"), block("x = 2\nsubmit x"), block("submit x"), block("submit x")]
    async with core_with(*steps, **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.turn("One.", turn_id="t-1")
            await session.turn("Two.", turn_id="t-2")
        async with core.session(await core.fork_session("s", turn="t-1")) as one:
            assert (await one.turn("?")).submitted_value() == 1
        async with core.session(await core.fork_session("s")) as last:
            assert (await last.turn("?")).submitted_value() == 2
        async with core.session(await core.fork_session("s", turn=0)) as start:
            assert (said(start), start.read_view().turn_index) == ([], 0)
        for turn in (7, "t-9", -1):
            with pytest.raises(lash.UnknownTurn):
                await core.fork_session("s", turn=turn)
        with pytest.raises(lash.SessionError) as unknown:
            await core.fork_session("nobody")
        assert unknown.value.code == "unknown_session"


async def test_a_fork_under_a_name_is_made_once_and_takes_no_name_of_another(tmp_path: Path) -> None:
    steps = [block("x = 1\nsubmit x"), block("x = 5\nsubmit x"), block("submit x")]
    async with core_with(*steps, **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.turn("One.")
        assert await core.fork_session("s", turn=1, new_session_id="twin") == "twin"
        async with core.session("twin") as twin:
            await twin.turn("Mine.")
        assert await core.fork_session("s", turn=1, new_session_id="twin") == "twin"
        async with core.session("twin") as twin:
            assert (await twin.turn("?")).submitted_value() == 5
        for other in (0, "s"):
            with pytest.raises(lash.SessionError) as taken:
                await core.fork_session(
                    "s", turn=other if other == 0 else 1, new_session_id="twin" if other == 0 else "s"
                )
            assert taken.value.code == "session_exists"


async def test_a_fork_while_a_turn_runs_reads_the_last_commit(tmp_path: Path) -> None:
    async with core_with(block("x = 1\nsubmit x"), Step([], HANG), block("submit x"), **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.turn("One.")
            async with session.turn("Two."):
                async with session.fork() as twin:
                    assert said(twin) == ["One."]
            assert said(session) == ["One.", "Two."]


async def test_a_fork_shares_the_images_of_its_source(tmp_path: Path) -> None:
    async with core_with(block("submit 1"), **stored(tmp_path)) as core, core.session("s") as session:
        await session.turn([lash.Text("See."), lash.ImageBlob("i", GIF)])
        async with session.fork() as twin:
            (message,) = twin.read_view().messages
            assert message.parts[1].attachment is not None


async def test_parked_sessions_open_in_any_order(tmp_path: Path) -> None:
    count = 40
    async with core_with(*[block("submit 1")] * count, **stored(tmp_path)) as core:
        parked: list[lash.ParkedSession] = []
        for n in range(count):
            session = await core.session(f"s-{n}")
            await session.turn(f"I am {n}.")
            parked.append(await session.park())
        assert core.stats().open_sessions == 0
        random.Random(7).shuffle(parked)
        for one in parked:
            session = await core.resume(one)
            assert said(session) == [f"I am {one.session_id[2:]}."]
            await session.aclose()


async def test_a_deleted_session_is_gone_and_a_busy_one_is_not_deleted(tmp_path: Path) -> None:
    async with core_with(block("submit 1"), Step([], HANG), block("submit 2"), **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.turn("One.")
            async with session.turn("Two.") as turn:
                while not session.running:
                    await asyncio.sleep(0.001)
                assert turn.state == "running"
                with pytest.raises(lash.SessionBusyError):
                    await core.delete_session("s")
        assert await core.delete_session("s")
        assert not await core.delete_session("s")
        async with core.session("s") as again:
            assert said(again) == []
