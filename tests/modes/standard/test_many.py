"""A thousand tool calls at once, in both modes: order, bounds, failures, cancellation in the middle."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import lash
from lash import LashCore, ModePreset, TurnEvent, TurnOutput, TurnStop
from lash.runtime.tools.threads import SIZE
from lash.sessions import LashSession
from lash.testing.activities import ActivityLaws, check_activities
from lash.testing.scripted import AnyStep
from tests.facade.test_durability_cancel import is_resume_safe
from tests.modes.standard.playing import call, calls, completed, core_with, results_of

MODES = ("standard", "rlm")
MANY = 1000


def asks(mode: str) -> AnyStep:
    """A reply that makes all calls at once: calls of their own, or one program."""
    if mode == "standard":
        return calls(*(call("work", f"c{n}", n=n) for n in range(MANY)))
    branches = ",\n".join(f"call work {{ n: {n} }}" for n in range(MANY))
    return f"```lashlang\nrs = parallel {{\n{branches}\n}}\nsubmit [r.ok ? r.value : r.error for r in rs]\n```"


def core_of(mode: str, tool: Any, *more: AnyStep, **knobs: Any) -> LashCore:
    preset = ModePreset.standard() if mode == "standard" else ModePreset.rlm()
    return core_with(asks(mode), *more, modes=[preset], tools=[tool], plugins=[], **knobs)


def results(mode: str, session: LashSession, output: TurnOutput[Any]) -> list[str]:
    """What the model, or its program, is told of the calls, in their order."""
    if mode == "standard":
        return [text for _, text, _ in results_of(session)]
    return list(map(str, output.submitted_value()))  # pyright: ignore


def started(output: TurnOutput[Any]) -> list[Any]:
    """The arguments of the calls in the order in which they were shown to begin."""
    return [one.event.args["n"] for one in output.activities if isinstance(one.event, TurnEvent.ToolCallStarted)]  # pyright: ignore


@pytest.mark.parametrize("mode", MODES)
async def test_a_thousand_calls_are_in_flight_together_and_answered_in_order(mode: str) -> None:
    here, full = 0, asyncio.Event()

    @lash.tool
    async def work(n: int) -> int:
        """Wait until all are there."""
        nonlocal here
        here += 1
        if here == MANY:
            full.set()
        await full.wait()
        return 2 * n

    async with core_of(mode, work, "Done.") as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        assert results(mode, session, output) == [str(2 * n) for n in range(MANY)]
    assert started(output) == list(range(MANY))
    assert len(completed(output)) == len({one.call_id for one in completed(output)}) == MANY


@pytest.mark.parametrize("mode", MODES)
async def test_a_thousand_plain_functions_share_the_threads_and_are_answered_in_order(mode: str) -> None:
    lock = threading.Lock()
    names: set[str] = set()
    running = most = 0

    @lash.tool
    def work(n: int) -> int:
        """Note how many run."""
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            names.add(str(threading.get_ident()))
        with lock:
            running -= 1
        return 2 * n

    async with core_of(mode, work, "Done.") as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        assert results(mode, session, output) == [str(2 * n) for n in range(MANY)]
        assert core.stats().abandoned_threads == 0
    assert started(output) == list(range(MANY))
    assert 1 <= most <= SIZE
    assert str(threading.get_ident()) not in names
    assert len(names) <= SIZE


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("mode", MODES)
async def test_failures_among_a_thousand_calls_are_their_own(mode: str, plain: bool) -> None:
    def do(n: int) -> int:
        match n % 4:
            case 0:
                raise lash.ToolError(f"no {n}")
            case 1:
                raise ValueError(n)
            case _:
                return n

    @lash.tool(name="work")
    def blocking(n: int) -> int:
        """Fail now and then."""
        return do(n)

    @lash.tool(name="work")
    async def waiting(n: int) -> int:
        """Fail now and then."""
        return do(n)

    async with core_of(mode, blocking if plain else waiting, "Done.") as core, core.session("s") as session:
        output = await session.run("Go.")
        check_activities(output.activities)
        told = results(mode, session, output)
    assert output.result.is_success()
    assert len(told) == MANY
    wrong = [
        (n, text)
        for n, text in enumerate(told)
        if not (f"no {n}" in text, f"ValueError: {n}" in text, text == str(n), text == str(n))[n % 4]
    ]
    assert wrong == []
    assert sum(one.success for one in completed(output)) == MANY // 2


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("mode", MODES)
async def test_a_turn_cancelled_among_a_thousand_calls_answers_each_once_and_leaves_nothing_behind(
    mode: str, plain: bool
) -> None:
    before = asyncio.all_tasks()
    loop, half = asyncio.get_running_loop(), asyncio.Event()
    release = threading.Event()

    @lash.tool(name="work")
    def blocking(n: int, context: lash.ToolContext) -> int:
        """From the middle on, wait for the end of the turn."""
        if n < MANY // 2:
            return n
        loop.call_soon_threadsafe(half.set)
        assert release.wait(30)
        return n

    @lash.tool(name="work")
    async def waiting(n: int) -> int:
        """From the middle on, never end."""
        if n >= MANY // 2:
            half.set()
            await asyncio.Event().wait()
        return n

    runtime = lash.RuntimeConfig(tool_cancel_ms=1)
    end: AnyStep = "Fine." if mode == "standard" else "```lashlang\nsubmit 1\n```"
    tool = blocking if plain else waiting
    async with core_of(mode, tool, end, runtime=runtime) as core, core.session("s") as session:
        laws = ActivityLaws()
        turn = session.turn("Go.", sink=laws)
        result = asyncio.ensure_future(turn.result())
        await half.wait()
        turn.cancel("enough")
        release.set()
        outcome = (await result).outcome
        assert isinstance(outcome, lash.TurnOutcome.Stopped)
        assert outcome.stop == TurnStop.Cancelled("enough")
        laws.check()
        ended = [one.event for one in laws.seen if isinstance(one.event, TurnEvent.ToolCallCompleted)]
        assert len(ended) == len({one.call_id for one in ended}) == MANY
        assert any(one.output.type == "cancelled" for one in ended)
        if mode == "standard":
            assert [number for number, _, _ in results_of(session)] == [f"c{n}" for n in range(MANY)]
        assert is_resume_safe(session.read_view().messages)
        assert (await session.turn("And now?")).is_success()
        assert core.stats().abandoned_threads == 0
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
