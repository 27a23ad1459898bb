"""A turn dies at every boundary and is driven again: what was recorded is not repeated, and there is one commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import lash
from lash.runtime.sansio.llm import LlmRequest
from lash.testing.scripted import Step, reply
from tests.facade.crash import TURN_ID, Stored, driven_again, killed_at, photograph, undisturbed
from tests.facade.crash_hosts import Moment
from tests.facade.crash_parked import park_and_open
from tests.facade.crash_world import answers, world
from tests.facade.support import said, stored


class Album:
    """Takes a photograph of what is stored at every boundary; an effect that was only asked for has stored nothing."""

    def __init__(self, folder: Path, into: Path) -> None:
        self._folder = folder
        self._into = into
        self.taken: list[Moment] = []

    def __call__(self, moment: Moment) -> None:
        if moment.when == "asked":
            return
        photograph(self._folder, self._into / str(len(self.taken)))
        self.taken.append(moment)

    def __iter__(self) -> Iterator[tuple[Moment, Path]]:
        for number, moment in enumerate(self.taken):
            yield moment, self._into / str(number)


async def test_a_turn_that_dies_at_any_boundary_is_driven_to_the_same_end(tmp_path: Path) -> None:
    album = Album(tmp_path / "first", tmp_path / "album")
    wanted, effects = await undisturbed(tmp_path / "first", album)
    assert wanted.value == {
        "base": 11,
        "rs": [12, {"ok": False, "error": "no luck"}, {"ok": False, "error": "tool call cancelled"}, 3, 4],
        "total": 31,
    }
    assert len(wanted.commits) == wanted.revision == 1
    assert wanted.ledger == wanted.usage.total() == 330
    assert len(album.taken) == 2 * len(effects) + 4
    wrong = {str(moment): found for moment, left in album if (found := await driven_again(left, wanted, effects))}
    assert wrong == {}


@pytest.mark.parametrize("number", [8, 21, 58, 59])
async def test_a_turn_whose_process_is_killed_is_driven_to_the_same_end(tmp_path: Path, number: int) -> None:
    moments: list[Moment] = []
    wanted, effects = await undisturbed(tmp_path / "undisturbed", moments.append)
    await asyncio.to_thread(killed_at, number, tmp_path / "killed")
    before = Stored.read(tmp_path / "killed")
    assert bool(before.commits) == (moments[number].when == "committed")
    assert await driven_again(tmp_path / "killed", wanted, effects) == []


async def test_other_answers_of_the_model_than_the_recorded_ones_are_a_mismatch(tmp_path: Path) -> None:
    album = Album(tmp_path / "first", tmp_path / "album")
    await undisturbed(tmp_path / "first", album)
    left = next(left for moment, left in album if moment.when == "recorded" and ":llm_call:2" in moment.key)
    alter_answer(left / "journal.db")
    after = next(left for moment, left in album if moment.when == "recorded" and ":llm_call:6" in moment.key)
    alter_answer(after / "journal.db")
    async with world(left, later=True) as place:
        # Nothing but the answer was recorded, so the turn goes on from the other one.
        result = await place.session.resume_turn()
        assert [call.args for call in result.tool_calls][:1] == [{"n": 8}]
    async with world(after, later=True) as place:
        with pytest.raises(lash.EffectError) as refused:
            await place.session.resume_turn()
        assert refused.value.code == "effect_replay_mismatch"
        assert not refused.value.retryable
    assert Stored.read(after).commits == ()


def alter_answer(journal: Path) -> None:
    """Have the first recorded answer of the model say something else."""
    with closing(sqlite3.connect(journal)) as file, file:
        query = "SELECT replay_key, outcome FROM effect_replay WHERE replay_key LIKE '%:llm_call:2'"
        ((key, outcome),) = file.execute(query).fetchall()
        assert b"{ n: 1 }" in outcome
        altered = outcome.replace(b"{ n: 1 }", b"{ n: 8 }")
        file.execute("UPDATE effect_replay SET outcome=? WHERE replay_key=?", (altered, key))


async def test_a_turn_that_dies_without_a_journal_leaves_the_store_at_the_last_commit(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with world(home, durable=False) as place:
        await place.session.turn("Go.", turn_id=TURN_ID)
    before = Stored.read(home)
    album = Album(home, tmp_path / "album")

    def more(request: LlmRequest) -> Step:
        return reply("```lashlang\ntotal = total + (call add { n: 1 })?\nsubmit total\n```")

    async with world(home, album, durable=False, model=more) as place:
        await place.session.turn("More.", turn_id="t-2")
    lost = [(moment, left) for moment, left in album if (moment.key, moment.when) != ("store", "committed")]
    assert len(lost) == len(album.taken) - 1
    for moment, left in lost:
        assert Stored.read(left) == before, f"a turn that died when it {moment} left something behind"
        async with world(left, later=True, durable=False, model=more) as place:
            assert said(place.session) == ["Go."]
            assert (await place.session.turn("More.", turn_id="t-2")).submitted_value() == 42


async def test_a_turn_whose_answer_was_lost_is_answered_again_from_its_commit(tmp_path: Path) -> None:
    for number in range(3):
        home = tmp_path / str(number)
        async with world(home) as place:
            await place.session.queue("And this.", id="q")
            first = await place.session.turn("Go.", turn_id=TURN_ID)
            for _ in range(number):
                await place.session.turn("More.")
            before = Stored.read(home)
        async with world(home, later=True) as place:
            again = await place.session.turn("Go.", turn_id=TURN_ID)
            assert (again.revision, again.turn_index) == (first.revision, first.turn_index) == (1, 1)
            assert again.submitted_value() == first.submitted_value()
            assert again.usage == first.usage
            assert place.host.ran == []
            assert Stored.read(home) == before
            assert [one.state for one in await place.session.queued()] == ["completed"]
            assert place.session.read_view().turn_index == 1 + number
            assert (await place.session.turn("And?")).submitted_value() == first.submitted_value()


async def test_a_committed_turn_that_no_journal_can_answer_for_is_not_run_twice(tmp_path: Path) -> None:
    async with world(tmp_path, durable=False) as place:
        await place.session.turn("Go.", turn_id=TURN_ID)
        ran, before = len(place.host.ran), Stored.read(tmp_path)
        with pytest.raises(lash.TurnError) as refused:
            await place.session.turn("Go.", turn_id=TURN_ID)
        assert refused.value.code == "turn_commit_conflict"
        assert len(place.model.requests) == 3
        assert len(place.host.ran) == ran + 1, "more than the preparation ran again"
        assert Stored.read(tmp_path) == before
        assert (await place.session.turn("More.")).turn_index == 2


async def test_nothing_is_stored_for_a_session_while_a_turn_of_it_is_unfinished(tmp_path: Path) -> None:
    album = Album(tmp_path / "first", tmp_path / "album")
    await undisturbed(tmp_path / "first", album)
    left = next(left for moment, left in album if moment.when == "recorded" and ":llm_call:6" in moment.key)
    async with world(left, later=True, model=answers) as place:
        with pytest.raises(lash.SessionBusyError) as refused:
            await place.session.turn("Another.")
        assert refused.value.code == "turn_suspended"
        with pytest.raises(lash.SessionBusyError) as refused:
            await place.session.configure(lash.SessionSpec.new(max_turns=9))
        assert refused.value.code == "turn_suspended"
        await place.session.queue("For later.", id="q")
        assert (await place.session.resume_turn()).revision == 1
        assert [one.state for one in await place.session.queued()] == ["deferred_next_turn"]
        await place.session.configure(lash.SessionSpec.new(max_turns=9))


async def test_hundreds_of_parked_sessions_open_in_any_order(tmp_path: Path) -> None:
    # `python -m tests.facade.crash_parked` does it with ten thousand, and measures.
    assert await park_and_open(300)
    assert await park_and_open(40, **stored(tmp_path))
