"""Turns of standard mode under the journal: driven again they show the same, and a killed one is resumed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

import lash
from lash import LashCore
from lash.host.effects.journal import JournalEffectHost
from lash.host.system import RandomIds, SystemClock
from lash.testing.activities import check_activities
from lash.testing.scripted import AnyStep, ScriptExhausted
from tests.modes.standard.playing import call, calls, core_with, names_of, results_of


@asynccontextmanager
async def journaled(
    folder: Path, *steps: AnyStep, replay: Literal["extend", "strict"] = "extend", store: str = "one", **knobs: Any
) -> AsyncGenerator[LashCore]:
    host = JournalEffectHost(
        folder / "journal.db", clock=SystemClock(), ids=RandomIds(), replay=replay, order_timeout_s=0.5, lease_s=0.3
    )
    lease = lash.LeaseTimings(ttl_s=0.3, renew_s=0.1)
    async with core_with(*steps, folder=folder / store, effect_host=host, lease=lease, **knobs) as core:
        yield core
    await host.aclose()


def notes_in(folder: Path) -> list[str]:
    file = folder / "notes"
    return file.read_text().split() if file.exists() else []


def noting(folder: Path, kill_at: str | None = None) -> Any:
    """A tool that writes into a file, and kills the process where it is asked to."""

    @lash.tool(execution_mode="serial")
    async def note(text: str) -> str:
        """Write something down."""
        if text == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with (folder / "notes").open("a") as file:
            file.write(f"{text} ")
        return text

    return note


FIRST = calls(call("note", "a", text="one"), call("note", "b", text="two"), text="I note.")
INNER = [{"tool": "note", "parameters": {"text": text}} for text in ("three", "four")]
SECOND = calls(call("batch", "c", tool_calls=INNER))


async def test_a_turn_that_is_driven_again_shows_the_same_and_runs_nothing(tmp_path: Path) -> None:
    async with journaled(tmp_path, FIRST, SECOND, "Done.", tools=[noting(tmp_path)]) as core:
        async with core.session("s") as session:
            first = await session.run("Go.", turn_id="t")
            kept = session.read_view().active_events
    knobs: dict[str, Any] = {"replay": "strict", "store": "two", "tools": [noting(tmp_path)]}
    async with journaled(tmp_path, **knobs) as core, core.session("s") as session:
        again = await session.run("Go.", turn_id="t")
        assert session.read_view().active_events == kept
    check_activities(first.activities)
    check_activities(again.activities)
    assert again.result.outcome == first.result.outcome
    shown = [name for name in names_of(first) if name != "ToolCallStarted"]
    assert [name for name in names_of(again) if name != "ToolCallStarted"] == shown
    assert notes_in(tmp_path) == ["one", "two", "three", "four"]


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.modes.standard.test_journal import FIRST, SECOND, journaled, noting

async def main():
    folder = Path(sys.argv[1])
    async with journaled(folder, FIRST, SECOND, tools=[noting(folder, kill_at=sys.argv[2])]) as core:
        async with core.session("s") as session:
            await session.turn("Go.", turn_id="t")

asyncio.run(main())
"""

NOTES = ["one", "two", "three", "four"]


@pytest.mark.parametrize("kill_at", NOTES)
async def test_a_killed_turn_goes_on_without_asking_or_running_again_what_was_recorded(
    tmp_path: Path, kill_at: str
) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), kill_at], check=False)
    assert done.returncode == -signal.SIGKILL
    assert notes_in(tmp_path) == NOTES[: NOTES.index(kill_at)]
    left = ["Done."] if kill_at in ("three", "four") else [SECOND, "Done."]
    async with journaled(tmp_path, *left, tools=[noting(tmp_path)]) as core, core.session("s") as session:
        assert session.read_view().turn_index == 0
        while True:
            # The lease and the running effect of the killed process have to lapse first.
            try:
                result = await session.resume_turn()
                break
            except lash.SessionBusyError:
                await asyncio.sleep(0.05)
        assert result.assistant_message() == "Done."
        assert [number for number, _, _ in results_of(session)] == ["a", "b", "c"]
        assert not any(failed for _, _, failed in results_of(session))
    assert notes_in(tmp_path) == NOTES


async def test_a_model_that_breaks_in_its_own_way_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with core_with() as core, core.session("s") as session:
        with pytest.raises(ScriptExhausted):
            await session.turn("Go.")
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
