"""A turn that dies at every boundary and is driven again by another worker (runtime.md 16, item 4).

`WatchedHost` says of every effect when it is asked for, when it has run and when it is recorded. There a process is
killed (`python -m tests.facade.crash` does it at every boundary), or a `photograph` is taken: a copy of what is stored
at that moment, which is what a killed process leaves.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lash
from lash import TurnEvent
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import JsonValue, to_json
from lash.testing.activities import check_activities
from tests.facade.crash_hosts import At, Moment, nothing
from tests.facade.crash_world import World, world

# --- what a dead process leaves ------------------------------------------------------------------------


def databases(folder: Path) -> list[Path]:
    """The database files below a folder, relative to it."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix == ".db")


def photograph(folder: Path, into: Path) -> None:
    """Copy what is committed in every database below `folder`: what a process killed now would leave."""
    for name in databases(folder):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(folder / name)) as source, closing(sqlite3.connect(into / name)) as copy:
            source.backup(copy)


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies in the stores below a folder, read past lash."""

    commits: tuple[tuple[str, str], ...]
    revision: int | None
    nodes: int
    ledger: int
    recorded: frozenset[str]
    open: frozenset[str]

    @staticmethod
    def read(folder: Path) -> Stored:
        """Look at the session file and the journal."""
        commits: list[tuple[str, str]] = []
        revision, nodes, ledger = None, 0, 0
        effects: dict[str, str] = {}
        for name in databases(folder):
            with closing(sqlite3.connect(folder / name)) as file:
                if name.name == "journal.db":
                    effects = dict(file.execute("SELECT replay_key, status FROM effect_replay").fetchall())
                    continue
                commits += file.execute("SELECT turn_id, commit_hash FROM turn_commits ORDER BY turn_id").fetchall()
                head = file.execute("SELECT head_revision FROM session_head").fetchone()
                revision = None if head is None else head[0]
                (nodes,) = file.execute("SELECT count(*) FROM graph_nodes").fetchone()
                (ledger,) = file.execute("SELECT coalesce(sum(input + output), 0) FROM usage_deltas").fetchone()
        recorded = frozenset(key for key, status in effects.items() if status == "completed")
        return Stored(tuple(commits), revision, nodes, ledger, recorded, frozenset(effects) - recorded)


# --- what a turn came to -------------------------------------------------------------------------------

TIMES = frozenset({"duration_ms", "timestamp_ms"})


def timeless(value: JsonValue) -> JsonValue:
    """The value without times."""
    if isinstance(value, list):
        return [timeless(item) for item in value]
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return value


def shape(activities: Sequence[lash.TurnActivity]) -> list[Any]:
    """The activities without what a replay may change: ids, times, how text was cut, beginnings of tool calls.

    Calls of one wave may complete in any order.
    """
    shown: list[Any] = []
    wave: list[Any] = []
    for activity in activities:
        event, row = activity.event, activity.correlation_id
        if isinstance(event, TurnEvent.ToolCallStarted):
            continue
        if isinstance(event, TurnEvent.ToolCallCompleted):
            wave.append((row, timeless(to_json(event))))
            continue
        shown += sorted(wave, key=str)
        wave.clear()
        if isinstance(event, TurnEvent.AssistantProseDelta):
            if shown and shown[-1][0] == row:
                shown[-1] = (row, shown[-1][1] + event.text)
            else:
                shown.append((row, event.text))
        else:
            own_row = row if not row.startswith("a:") else ""
            shown.append((own_row, timeless(to_json(event))))
    return shown


@dataclass(frozen=True, slots=True)
class Seen:
    """What a turn came to for a host, and for the store."""

    value: Any
    outcome: Any
    shape: list[Any]
    usage: TokenUsage
    counts: dict[str, int]
    history: list[JsonValue]
    commits: tuple[tuple[str, str], ...]
    revision: int | None
    ledger: int


async def seen(place: World, output: lash.TurnOutput[Any]) -> Seen:
    """Gather it."""
    result, stored = output.result, Stored.read(place.folder)
    return Seen(
        value=result.submitted_value(),
        outcome=result.outcome,
        shape=shape(output.activities),
        usage=result.usage,
        counts=dict(place.plugin.made.counts),
        history=[timeless(to_json(node)) for node in place.session.read_view().active_events],
        commits=stored.commits,
        revision=result.revision,
        ledger=stored.ledger,
    )


TURN_ID = "t-1"


async def undisturbed(folder: Path, at: At = nothing) -> tuple[Seen, list[str]]:
    """The turn when nothing goes wrong, and the effects it had."""
    async with world(folder, at) as place:
        output = await place.session.turn("Go.", turn_id=TURN_ID).output()
        check_activities(output.activities)
        return await seen(place, output), place.host.ran


async def driven_again(folder: Path, wanted: Seen, effects: Sequence[str]) -> list[str]:
    """Drive the turn that a dead worker has left below `folder`; what is wrong then, in sentences."""
    before = Stored.read(folder)
    wrong: list[str] = []
    async with world(folder, later=True) as place:
        output = await place.session.resume_turn().output()
        found = await seen(place, output)
        ran = list(place.host.ran)
        followed = (await place.session.turn("And?", turn_id="t-2")).submitted_value()
    if followed != wanted.value:
        wrong.append(f"the next turn finds other variables: {followed}")
    try:
        check_activities(output.activities)
    except AssertionError as error:
        wrong.append(str(error))
    if again := before.recorded & set(ran):
        wrong.append(f"effects that were recorded ran again: {sorted(again)}")
    if len(ran) != len(set(ran)) or {*before.recorded, *ran} != set(effects):
        wrong.append(f"other effects ran than the turn has: {sorted(ran)}")
    wrong += [
        f"{name}: wanted {getattr(wanted, name)!r}, found {getattr(found, name)!r}"
        for name in Seen.__slots__
        if name != "counts" and getattr(wanted, name) != getattr(found, name)
    ]
    # What was open when the worker died may have run its hooks before a sibling's state was recorded with theirs.
    twice = Counter(found.counts)
    twice.subtract(wanted.counts)
    if min(twice.values()) < 0 or twice.total() > len(before.open):
        wrong.append(f"counts: wanted {wanted.counts}, found {found.counts}, with {len(before.open)} effects open")
    return wrong


# --- real kills ----------------------------------------------------------------------------------------


class Killer:
    """Kills this process at the boundary of a number."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, moment: Moment) -> None:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_at(number: int, folder: Path) -> None:
    """Run the turn in a child process that is killed at that boundary. AssertionError where it is not."""
    folder.mkdir(parents=True)
    child = [sys.executable, "-m", "tests.facade.crash", str(folder), str(number)]
    done = subprocess.run(child, check=False)
    assert done.returncode == -signal.SIGKILL, f"the child ended with {done.returncode}"


async def _everywhere() -> int:
    """Kill a process at every boundary and drive each turn again; how often something was wrong."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        moments: list[Moment] = []
        wanted, effects = await undisturbed(top / "undisturbed", moments.append)
        failures = 0
        for number, moment in enumerate(moments):
            folder = top / str(number)
            await asyncio.to_thread(killed_at, number, folder)
            wrong = await driven_again(folder, wanted, effects)
            print("ok  " if not wrong else "FAIL", moment, *wrong, sep="\n     " if wrong else " ")
            failures += bool(wrong)
            shutil.rmtree(folder)
        print(f"{len(moments)} kills, {failures} failures")
        return failures


def main(arguments: Sequence[str]) -> int:
    """Without arguments, kill at every boundary; with a folder and a number, be the one that is killed."""
    if not arguments:
        return 1 if asyncio.run(_everywhere()) else 0
    folder, number = arguments
    asyncio.run(undisturbed(Path(folder), Killer(int(number))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
