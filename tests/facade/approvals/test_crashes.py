"""A turn with questions dies anywhere and is driven again: nothing runs without its own answer, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import LashCore
from lash.durability import JournalEffectHost
from lash.host.system import SystemClock
from lash.runtime.tools.definition import ToolRetryPolicy
from lash.testing.activities import check_activities
from lash.testing.scripted import ScriptExhausted
from tests.facade.approvals.support import TURN_ID, Till, desk, parked, program
from tests.facade.crash import photograph
from tests.facade.crash_hosts import At, LaterClock, Moment, WatchedJournal

CODE = program(
    "rs = parallel {\n  (call pay { amount: 1 })?\n  (call look { n: 5 })?\n  (call pay { amount: 2 })?\n"
    "  (call pay { amount: 3 })?\n}\n"
    "total = 0\nfor n in [9, 20] {\n  total = total + (call lend { amount: n })?\n}\nprint rs\nsubmit [rs, total]"
)
VALUE = [[10, 5, 20, 30], -29]


def journal(folder: Path, at: At, *, later: bool = False) -> WatchedJournal:
    """The journal of a folder with somebody at its boundaries."""
    return WatchedJournal(JournalEffectHost(folder / "journal.db", clock=LaterClock() if later else SystemClock()), at)


class Album:
    """Takes copies of what is stored round calls and answers, the payments that were made included."""

    def __init__(self, folder: Path, into: Path) -> None:
        self._folder, self._into = folder, into
        self.taken: list[Moment] = []

    def __call__(self, moment: Moment) -> None:
        if moment.when not in ("waiting", "answered") and ":tool_" not in moment.key:
            return
        copy = self._into / str(len(self.taken))
        photograph(self._folder, copy)
        if (self._folder / "book").exists():
            shutil.copy(self._folder / "book", copy / "book")
        self.taken.append(moment)

    def __iter__(self) -> Iterator[tuple[Moment, Path]]:
        for number, moment in enumerate(self.taken):
            yield moment, self._into / str(number)


async def answering(folder: Path, at: At, *, later: bool = False) -> None:
    """Another worker, who approves whatever is open, the newest question first."""
    async with desk(folder, later=later) as other:
        while True:
            for asked in reversed(await other.pending_approvals()):
                at(Moment(f"{asked.call_id} {asked.round}", "waiting"))
                await other.answer_approval(asked.approval_id, lash.Approve())
                at(Moment(f"{asked.call_id} {asked.round}", "answered"))
            await asyncio.sleep(0.01)


async def driven(core: LashCore, folder: Path, at: At, *, later: bool = False) -> lash.TurnOutput[Any]:
    """Begin the turn, or drive on what is left of it, with somebody who answers."""
    helping = asyncio.ensure_future(answering(folder, at, later=later))
    try:
        async with core.session("s") as session:
            host = JournalEffectHost(folder / "journal.db")
            found = await host.unfinished_turn("s")
            await host.aclose()
            turn = session.turn("Go.", turn_id=TURN_ID) if found is None else session.resume_turn()
            output = await turn.output()
    finally:
        helping.cancel()
        await asyncio.gather(helping, return_exceptions=True)
    check_activities(output.activities)
    return output


def answers(folder: Path) -> list[tuple[str, int, str]]:
    """Tool, round and state of every question of a folder."""
    with closing(sqlite3.connect(folder / "journal.db")) as file:
        return file.execute("SELECT tool || json_extract('[1]', '$[0]'), round, state FROM approvals").fetchall()


def open_runs(folder: Path) -> list[str]:
    """The runs of tools that were begun and have no end."""
    with closing(sqlite3.connect(folder / "journal.db")) as file:
        rows = file.execute("SELECT replay_key FROM effect_replay WHERE status='in_progress'").fetchall()
    return [key for (key,) in rows if ":tool_call:" in key]


async def test_a_turn_that_dies_anywhere_runs_nothing_without_an_answer_of_its_own(tmp_path: Path) -> None:
    first = tmp_path / "first"
    album = Album(first, tmp_path / "album")
    async with desk(first, CODE, effect_host=journal(first, album)) as core:
        output = await driven(core, first, album)
    assert output.result.submitted_value() == VALUE
    assert sorted(Till(first).paid) == [1, 2, 3, 9, 20]
    whens = Counter(moment.when for moment in album.taken)
    assert whens["waiting"] == whens["answered"] == 4
    seen = 0
    for moment, left in album:
        begun = open_runs(left)
        before = Counter(Till(left).paid)
        ran: list[str] = []
        host = journal(left, lambda _: None, later=True)
        async with desk(left, CODE, later=True, effect_host=host) as core:
            output = await driven(core, left, lambda _: None, later=True)
        ran = [key for key in host.ran if ":tool_call:" in key]
        assert output.result.submitted_value() == VALUE, moment
        # A run that was begun and has no end is asked about again; `look` needs nobody, and is repeated.
        again = [key for key in begun if "look" not in key]
        rounds = Counter(round_number for _, round_number, _ in answers(left))
        assert {state for _, _, state in answers(left)} == {"answered"}, moment
        assert len(ran) == len(set(ran)), moment
        twice = Counter(Till(left).paid) - Counter([1, 2, 3, 9, 20])
        assert twice.total() <= rounds[2], (moment, Till(left).paid)
        assert set(twice) <= set(before), moment
        assert rounds[2] <= len(again), moment
        seen += rounds[2]
    assert seen >= 5


@pytest.mark.parametrize("kind", ["mutates", "idempotent"])
async def test_a_tool_that_may_be_repeated_is_repeated_without_another_question(tmp_path: Path, kind: str) -> None:
    options: dict[str, Any] = (
        {"mutates": False} if kind == "mutates" else {"retry": ToolRetryPolicy.idempotent(1, 0, 0)}
    )

    @lash.tool(needs_approval=True, **options)
    async def fetch(amount: int) -> int:
        """Fetch."""
        return amount

    code = program("submit (call fetch { amount: 4 })?")
    first = tmp_path / "first"
    album = Album(first, tmp_path / "album")
    async with desk(first, code, tools=[fetch], effect_host=journal(first, album)) as core:
        await driven(core, first, album)
    lost = [left for moment, left in album if moment.when == "ran" and ":tool_call:" in moment.key]
    assert len(lost) == 1
    async with desk(lost[0], code, tools=[fetch], later=True) as core, core.session("s") as session:
        assert (await session.resume_turn()).submitted_value() == 4
    assert [round_number for _, round_number, _ in answers(lost[0])] == [1]


async def test_a_run_that_is_broken_off_with_its_process_is_asked_about_again(tmp_path: Path) -> None:
    # No kill: the task is cancelled, as a server does that shuts down.
    begun = asyncio.Event()

    @lash.tool(needs_approval=True)
    async def send(amount: int) -> int:
        """Send, which takes its time."""
        Till(tmp_path).write(amount)
        begun.set()
        if len(Till(tmp_path).paid) == 1:
            await asyncio.Event().wait()
        return amount

    code = program("submit (call send { amount: 4 })?")
    (asked,) = await parked(tmp_path, code, tools=[send])
    async with desk(tmp_path, tools=[send]) as core, core.session("s") as session:
        await core.answer_approval(asked.approval_id, lash.Approve())
        task = asyncio.ensure_future(session.resume_turn().result())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with desk(tmp_path, tools=[send]) as core, core.session("s") as session:
        with pytest.raises(lash.TurnSuspended) as waits:
            await session.resume_turn(on_wait="park")
        (again,) = waits.value.approvals
        assert (again.round, again.args) == (2, {"amount": 4})
        assert "may already have happened" in (again.reason or "")
        assert again.approval_id != asked.approval_id
        assert Till(tmp_path).paid == [4]
        await core.answer_approval(again.approval_id, lash.Deny("it did"))
        with pytest.raises(ScriptExhausted):
            await session.resume_turn()
    assert Till(tmp_path).paid == [4]


# --- real kills ----------------------------------------------------------------------------------------


class Killer:
    """Kills this process at the first boundary that fits."""

    def __init__(self, when: str) -> None:
        self._fits = KILLS[when]

    def __call__(self, moment: Moment) -> None:
        if self._fits(moment):
            os.kill(os.getpid(), signal.SIGKILL)


KILLS: dict[str, Callable[[Moment], bool]] = {
    "before the question": lambda moment: moment.when == "asked" and ":tool_ask:" in moment.key,
    "waiting": lambda moment: moment.when == "waiting",
    "after the answer": lambda moment: moment.when == "answered",
    "inside the tool": lambda moment: (
        moment.when == "ran" and ":tool_call:" in moment.key and moment.key.endswith("A0")
    ),
    "after its record": lambda moment: moment.when == "recorded" and ":tool_call:" in moment.key,
}


@pytest.mark.parametrize("when", KILLS)
async def test_a_process_that_is_killed_leaves_a_turn_that_comes_to_the_same_end(tmp_path: Path, when: str) -> None:
    child = [sys.executable, "-m", "tests.facade.approvals.test_crashes", str(tmp_path), when]
    done = await asyncio.to_thread(subprocess.run, child, check=False, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    async with desk(tmp_path, CODE, later=True) as core:
        output = await driven(core, tmp_path, lambda _: None, later=True)
    assert output.result.submitted_value() == VALUE
    rounds = Counter(round_number for _, round_number, _ in answers(tmp_path))
    assert (rounds[1], {state for _, _, state in answers(tmp_path)}) == (4, {"answered"})
    assert len(Till(tmp_path).paid) <= 5 + rounds[2]
    assert set(Till(tmp_path).paid) == {1, 2, 3, 9, 20}


async def _run_until_killed(folder: Path, when: str) -> None:
    killer = Killer(when)
    async with desk(folder, CODE, effect_host=journal(folder, killer)) as core:
        await driven(core, folder, killer)


if __name__ == "__main__":
    asyncio.run(_run_until_killed(Path(sys.argv[1]), sys.argv[2]))
