"""A turn from end to end: a scripted model writes a program, the program calls a tool, the turn is committed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import lash
from lash import LashCore, TurnEvent, TurnFinish, TurnOutcome, TurnStop
from lash.host.effects.journal import JournalEffectHost
from lash.host.stores.attachments import FileAttachmentStore
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.host.system import RandomIds, SystemClock
from lash.testing.activities import ActivityLaws, check_activities
from lash.testing.scripted import HANG, AnyStep, ScriptedProvider, Step, reply


def block(code: str) -> str:
    return f"```lashlang\n{code}\n```"


@lash.tool
async def lookup(item: str) -> dict[str, int]:
    """The price of an item.

    Args:
        item: what is asked for
    """
    return {"price": {"tea": 12, "oil": 30}[item]}


class Total(BaseModel):
    total: int


def core_with(*steps: AnyStep, **knobs: Any) -> LashCore:
    given: dict[str, Any] = {"max_context_tokens": 100_000, "model": "m", "tools": [lookup]} | knobs
    return LashCore.rlm(provider=ScriptedProvider(list(steps)), **given)


def stored(folder: Path) -> dict[str, Any]:
    return {
        "store": SqliteSessionStoreFactory(folder / "sessions"),
        "attachments": FileAttachmentStore(folder / "attachments"),
    }


@pytest.fixture
async def closing() -> AsyncGenerator[list[LashCore]]:
    cores: list[LashCore] = []
    yield cores
    for core in cores:
        await core.aclose()


async def test_a_program_calls_a_tool_and_submits_the_answer() -> None:
    async with core_with(block('r = (call lookup { item: "tea" })?\nsubmit { total: r.price * 2 }')) as core:
        async with core.session("one") as session:
            result = await session.turn("Price of two teas?", require_submit=Total)
            assert result.value == Total(total=24)
            assert result.submitted_value() == {"total": 24}
            assert (result.revision, result.turn_index) == (1, 1)
            assert [call.tool_name for call in result.tool_calls] == ["lookup"]


async def test_variables_and_history_are_there_after_a_restart(tmp_path: Path) -> None:
    async with core_with(block("xs = [1, 2, 3]\nprint len(xs)"), block("submit sum(xs)"), **stored(tmp_path)) as core:
        async with core.session("one") as session:
            assert (await session.turn("Add them.")).submitted_value() == 6
    model = ScriptedProvider([block("submit [xs, history[0].content, len(history)]")])
    async with LashCore.rlm(provider=model, model="m", max_context_tokens=1000, **stored(tmp_path)) as again:
        async with again.session("one") as session:
            assert session.read_view().turn_index == 1
            result = await session.turn("What was it?")
            assert result.submitted_value() == [[1, 2, 3], "Add them.", 4]
            assert result.turn_index == 2
    shown = "\n".join(b.text for m in model.requests[0].messages for b in m.blocks if hasattr(b, "text"))  # type: ignore[union-attr]  # pyright: ignore
    assert "print len(xs)" in shown
    assert "history[1].output[0]" in shown


async def test_prose_ends_a_turn_where_that_is_allowed() -> None:
    async with core_with("It is **seven**.") as core, core.session("one") as session:
        output = await session.run("How many?", allow_prose_or_submit=True)
        assert output.result.outcome == TurnOutcome.Finished(TurnFinish.AssistantMessage("It is **seven**."))
        prose = "".join(a.event.text for a in output.activities if isinstance(a.event, TurnEvent.AssistantProseDelta))
        assert prose == "It is **seven**."
        assert [m.text() for m in session.read_view().messages] == ["How many?", "It is **seven**."]


async def test_activities_are_numbered_and_come_before_the_result() -> None:
    seen: list[lash.TurnActivity] = []

    class Sink:
        async def emit(self, activity: lash.TurnActivity) -> None:
            seen.append(activity)

    async with core_with(reply("So.\n" + block("print 1\nsubmit 2"), chunk=3)) as core, core.session("s") as session:
        turn = session.turn("Go.", sink=Sink())
        iterated = [activity async for activity in turn]
        await turn
    check_activities(seen)
    assert iterated == seen
    assert [activity.seq for activity in seen] == list(range(1, len(seen) + 1))
    names = [type(activity.event).__name__ for activity in seen]
    order = ["ModelRequestStarted", "AssistantProseDelta", "Usage", "CodeBlockStarted", "CodeOutput"]
    order += ["CodeBlockCompleted", "SubmittedValue"]
    assert [name for name in dict.fromkeys(names) if name in order] == order


async def test_a_failed_turn_leaves_the_session_as_it_was(tmp_path: Path) -> None:
    class Broken(BaseException):
        pass

    def breaks(request: object) -> str:
        raise Broken

    async with core_with(block("x = 1\nsubmit x"), breaks, block("submit x"), **stored(tmp_path)) as core:
        async with core.session("one") as session:
            await session.turn("One.")
            with pytest.raises(Broken):
                await session.turn("Two.")
            assert session.read_view().turn_index == 1
            assert (await session.turn("Three.")).submitted_value() == 1
            assert [m.text() for m in session.read_view().messages] == ["One.", "Three."]


async def test_a_cancelled_turn_is_committed_as_cancelled_and_its_block_rolled_back() -> None:
    asked = asyncio.Event()

    @lash.tool
    async def wait() -> None:
        """Wait for ever."""
        asked.set()
        await asyncio.Event().wait()

    steps = [block("x = 1\nprint x"), block("x = 2\ncall wait {}"), block("submit x")]
    async with core_with(*steps, tools=[wait], runtime=lash.RuntimeConfig(tool_cancel_ms=1)) as core:
        async with core.session("one") as session:
            laws = ActivityLaws()
            turn = session.turn("Go.", sink=laws)
            task = asyncio.ensure_future(turn.result())
            await asked.wait()
            turn.cancel("enough")
            result = await task
            laws.check()
            assert result.outcome == TurnOutcome.Stopped(TurnStop.Cancelled("enough"))
            assert result.revision == 1
            assert (await session.turn("And?")).submitted_value() == 1


async def test_cancelling_the_task_commits_nothing() -> None:
    async with core_with(Step([], HANG), block("submit 1")) as core, core.session("one") as session:
        task = asyncio.ensure_future(session.turn("Go.").result())
        for _ in range(50):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.read_view().turn_index == 0
        assert (await session.turn("Again.")).submitted_value() == 1
        assert len(session.read_view().messages) == 1


async def test_a_second_turn_at_the_same_time_is_refused() -> None:
    async with core_with(Step([], HANG)) as core, core.session("one") as session:
        turn = session.turn("Go.")
        task = asyncio.ensure_future(turn.result())
        await asyncio.sleep(0.01)
        with pytest.raises(lash.SessionBusyError):
            await session.turn("Me too.")
        turn.cancel()
        await task


async def test_a_session_that_another_core_holds_is_refused(tmp_path: Path) -> None:
    async with core_with(Step([], HANG), **stored(tmp_path)) as one, core_with("x", **stored(tmp_path)) as other:
        async with one.session("s") as mine, other.session("s") as theirs:
            turn = mine.turn("Go.")
            task = asyncio.ensure_future(turn.result())
            await asyncio.sleep(0.05)
            with pytest.raises(lash.SessionBusyError):
                await theirs.turn("Me too.")
            turn.cancel()
            await task


async def test_a_turn_under_a_journal_repeats_nothing_that_was_recorded(tmp_path: Path) -> None:
    calls: list[str] = []

    @lash.tool
    async def note(text: str) -> int:
        """Write something down."""
        calls.append(text)
        return len(calls)

    steps = [block('a = (call note { text: "a" })?\nprint a'), block('b = (call note { text: "b" })?\nsubmit [a, b]')]

    def journal() -> JournalEffectHost:
        return JournalEffectHost(tmp_path / "journal.db", clock=SystemClock(), ids=RandomIds())

    host = journal()
    async with (
        core_with(*steps, tools=[note], effect_host=host, **stored(tmp_path / "first")) as core,
        core.session("one") as session,
    ):
        first = await session.run("Go.", turn_id="t-1")
    await host.aclose()
    assert calls == ["a", "b"]
    # Another worker, with an empty store, drives the same turn: all answers come from the journal.
    host = journal()
    async with (
        core_with(tools=[note], effect_host=host, **stored(tmp_path / "second")) as core,
        core.session("one") as session,
    ):
        again = await session.run("Go.", turn_id="t-1")
    await host.aclose()
    check_activities(first.activities)
    check_activities(again.activities)
    assert calls == ["a", "b"]
    assert again.result.submitted_value() == first.result.submitted_value() == [1, 2]

    def shape(output: lash.TurnOutput[Any]) -> list[tuple[str, str]]:
        kinds = [(type(one.event).__name__, one.correlation_id) for one in output.activities]
        return [(kind, row) for kind, row in kinds if kind not in ("ToolCallStarted", "AssistantProseDelta")]

    assert [kind for kind, _ in shape(again)] == [kind for kind, _ in shape(first)]
    assert not any(one.replayed for one in first.activities)
    assert all(one.replayed for one in again.activities if isinstance(one.event, TurnEvent.ToolCallCompleted))
    assert all(one.replayed for one in again.activities if isinstance(one.event, TurnEvent.CodeOutput))


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.facade.test_slice import notes_in, resumable
from lash.testing.scripted import ScriptedProvider

async def main():
    folder = Path(sys.argv[1])
    async with resumable(folder, kill_at="second") as (core, host):
        async with core.session("one") as session:
            await session.turn("Go.", turn_id="t-1")

asyncio.run(main())
"""

STEPS = [
    block('a = (call note { text: "first" })?\nprint a'),
    block('rs = parallel { (call note { text: "second" })?, (call note { text: "third" })? }\nsubmit [a, len(rs)]'),
]


def notes_in(folder: Path) -> list[str]:
    file = folder / "notes"
    return file.read_text().split() if file.exists() else []


@asynccontextmanager
async def resumable(folder: Path, kill_at: str | None = None) -> AsyncGenerator[tuple[LashCore, JournalEffectHost]]:
    """A core whose tool writes into a file, and kills the process where it is asked to."""

    @lash.tool
    async def note(text: str) -> str:
        """Write something down."""
        if text == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with (folder / "notes").open("a") as file:
            file.write(f"{text} ")
        return text

    host = JournalEffectHost(folder / "journal.db", clock=SystemClock(), ids=RandomIds(), lease_s=0.3)
    knobs: dict[str, Any] = {"lease": lash.LeaseTimings(ttl_s=0.3, renew_s=0.1), **stored(folder)}
    async with core_with(*STEPS[notes_in(folder) != [] :], tools=[note], effect_host=host, **knobs) as core:
        yield core, host
    await host.aclose()


async def test_a_turn_whose_process_was_killed_is_resumed_without_repeating_what_was_recorded(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert notes_in(tmp_path) == ["first"]
    async with resumable(tmp_path) as (core, _), core.session("one") as session:
        assert session.read_view().turn_index == 0, "a turn that was killed left something in the store"
        while True:
            # The lease and the running effect of the killed process have to lapse first.
            try:
                with pytest.raises(lash.SessionBusyError) as refused:
                    await session.turn("Another.")
                if refused.value.code == "turn_suspended":
                    break
            finally:
                await asyncio.sleep(0.05)
        turn = session.resume_turn()
        result = await turn
        assert turn.turn_id == "t-1"
        assert result.submitted_value() == ["first", 2]
        assert result.revision == 1
        with pytest.raises(lash.TurnError) as nothing:
            await session.resume_turn()
        assert nothing.value.code == "no_suspended_turn"
    assert sorted(notes_in(tmp_path)) == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"require_submit": True, "allow_prose_or_submit": True}, "mode_option"),
        ({"require_submit": {"type": "nonsense"}}, "mode_option"),
        ({"projected": {"history": 1}}, "mode_turn_extension"),
        ({"projected": {"not a name": 1}}, "mode_turn_extension"),
        ({"projected": {"given": 1}}, "mode_turn_extension"),
        ({"projected": {"x": object()}}, "mode_turn_extension"),
    ],
)
async def test_options_that_cannot_be_are_refused_before_anything_runs(knobs: dict[str, Any], code: str) -> None:
    async with core_with(block("submit 1")) as core, core.session("one", projected={"given": 1}) as session:
        with pytest.raises(lash.TurnError) as refused:
            await session.turn("Go.", **knobs)
        assert refused.value.code == code
        assert session.read_view().turn_index == 0
        assert (await session.turn("Go.")).submitted_value() == 1


async def test_a_mode_that_is_not_installed_and_a_provider_that_is_missing_are_named() -> None:
    with pytest.raises(lash.ConfigError, match="modes"):
        LashCore(modes=[])
    with pytest.raises(lash.ConfigError, match="max_context_tokens"):
        LashCore.rlm(provider=ScriptedProvider([]), model="nobody/knows-this")
    async with LashCore.rlm() as core:
        with pytest.raises(lash.ConfigError, match="provider"):
            await core.session("one")


async def test_a_wide_text_is_read_lazily_and_only_in_part() -> None:
    text = "line\n" * 2_000_000 + "needle at the end"
    async with core_with(block("submit [len(big), slice(big, find(big, 'needle'), find(big, 'needle') + 6)]")) as core:
        async with core.session("one", projected={"big": lash_text(text)}) as session:
            assert (await session.turn("Find it.")).submitted_value() == [len(text), "needle"]


def lash_text(text: str) -> object:
    from lashlang import TextSource

    return TextSource(text)
