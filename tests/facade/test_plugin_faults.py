"""Plugins that fail: who is named, what is stored, and what goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import lash
from lash import PluginError, PromptContribution, TurnError, TurnOutcome, TurnStop
from lash.plugins import (
    Directive,
    HookedCall,
    PluginFactory,
    PluginRegistrar,
    PluginSessionContext,
    PluginSnapshotMeta,
    SessionPlugin,
    SessionReadyContext,
    SnapshotReader,
    SnapshotWriter,
)
from lash.testing.clock import FakeClock, SequentialIds
from tests.facade.plugins import Counter, Made, Place, journal, nothing, static
from tests.facade.support import block, core_with, said, stored


def fails(*_: Any) -> Any:
    """A hook that is broken."""
    raise ValueError("broken")


class Faulty(SessionPlugin):
    """Raises at one point of its life."""

    id = "faulty"
    point = ""
    mended = False

    def _fail_at(self, point: str) -> None:
        if self.point == point and not self.mended:
            raise ValueError("broken")

    def register(self, reg: PluginRegistrar) -> None:
        self._fail_at("register")

    def snapshot_revision(self) -> int:
        self._fail_at("snapshot_revision")
        return 1

    def snapshot(self, w: SnapshotWriter) -> PluginSnapshotMeta:
        self._fail_at("snapshot")
        return PluginSnapshotMeta(1, {"a": 1})

    def restore(self, meta: PluginSnapshotMeta, r: SnapshotReader) -> None:
        self._fail_at("restore")

    def session_ready(self, ctx: SessionReadyContext) -> None:
        self._fail_at("session_ready")


class FaultyFactory(PluginFactory):
    id = "faulty"

    def __init__(self, point: str) -> None:
        self.point = point
        self.mended = False

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        if self.point == "build" and not self.mended:
            raise ValueError("broken")
        plugin = Faulty()
        plugin.point, plugin.mended = self.point, self.mended
        return plugin


@pytest.mark.parametrize("point", ["build", "register", "session_ready", "snapshot_revision"])
async def test_a_plugin_that_fails_when_a_session_is_opened_is_named_and_leaves_no_session(
    point: str, tmp_path: Path
) -> None:
    factory, good = FaultyFactory(point), Made(Counter)
    steps = [block("submit (call count {})?")]
    async with core_with(*steps, plugins=[good, factory], **stored(tmp_path)) as core:
        with pytest.raises(PluginError, match=r"'faulty'.*broken") as failed:
            await core.session("one")
        assert failed.value.plugin_id == "faulty"
        assert await core.list_sessions() == []
        assert core.stats().open_sessions == 0
        factory.mended = True
        async with core.session("one") as session:
            assert (await session.turn("Count.")).submitted_value() == 1
    assert good.closed == 1


async def test_a_plugin_that_cannot_take_its_state_back_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    good, factory = Made(Counter), FaultyFactory("restore")
    step = block("submit (call count {})?")
    async with core_with(step, plugins=[good, FaultyFactory("")], **stored(tmp_path)) as core:
        async with core.session("one") as session:
            await session.turn("Count.")
    async with core_with(step, plugins=[good, factory], **stored(tmp_path)) as core:
        with pytest.raises(PluginError, match=r"'faulty'.*broken") as failed:
            await core.session("one")
        assert failed.value.kind == "snapshot"
        factory.mended = True
        async with core.session("one") as session:
            assert (await session.turn("Count.")).submitted_value() == 2


async def test_a_plugin_that_cannot_write_its_state_fails_the_turn_and_is_named() -> None:
    steps = [block("submit (call count {})?")] * 2
    factory = FaultyFactory("snapshot")

    class Moving(Faulty):
        revision = 1

        def snapshot_revision(self) -> int:
            Moving.revision += 1
            return Moving.revision

    made = Moving()
    made.point = "snapshot"
    factory.build = lambda ctx: made  # type: ignore[method-assign]
    async with core_with(*steps, plugins=[Made(Counter), factory]) as core, core.session("one") as session:
        with pytest.raises(PluginError, match=r"'faulty'.*could not be written.*broken"):
            await session.turn("Count.")
        assert session.read_view().turn_index == 0
        made.mended = True
        assert (await session.turn("Count.")).submitted_value() == 1


@pytest.mark.parametrize(
    ("hooks", "code"),
    [
        ({"before_turn": [fails]}, "plugin_prepare_turn"),
        ({"prompt": [fails]}, "plugin_prepare_turn"),
        ({"surface": [fails]}, "plugin_prepare_turn"),
        ({"config_mutators": [fails]}, "plugin_prepare_turn"),
        ({"prepare_turn": {1: fails}}, "context_prepare_turn"),
        ({"after_turn": [fails]}, "plugin_finalize_turn"),
    ],
    ids=lambda one: one if isinstance(one, str) else next(iter(one)),
)
async def test_a_hook_that_fails_before_or_after_a_turn_fails_it_and_nothing_is_stored(
    hooks: dict[str, Any], code: str, tmp_path: Path
) -> None:
    good = Made(Counter)
    step = block("submit (call count {})?")
    async with core_with(step, plugins=[good, static("bad", **hooks)], **stored(tmp_path)) as core:
        async with core.session("one") as session:
            with pytest.raises(TurnError, match=r"'bad'.*broken") as failed:
                await session.turn("Count.")
            assert failed.value.code == code
            assert session.read_view().turn_index == 0
    async with core_with(step, plugins=[good], **stored(tmp_path)) as core, core.session("one") as session:
        assert (await session.turn("Count.")).submitted_value() == 1


async def test_a_turn_that_a_plugin_kept_from_beginning_is_not_one_to_be_resumed(tmp_path: Path) -> None:
    host = journal(tmp_path)
    async with core_with(plugins=[static("bad", before_turn=[fails])], effect_host=host, **stored(tmp_path)) as core:
        async with core.session("one") as session:
            with pytest.raises(TurnError):
                await session.turn("Go.")
            with pytest.raises(TurnError) as nothing:
                await session.resume_turn()
            assert nothing.value.code == "no_suspended_turn"


async def test_a_turn_whose_last_hook_failed_is_resumed_without_repeating_what_was_done(tmp_path: Path) -> None:
    broken, factory = [True], Made(Counter)

    def after(turn: Any) -> None:
        if broken:
            raise ValueError("broken")

    plugins = [factory, static("bad", after_turn=[after])]
    step = block("submit (call count {})?")
    async with core_with(step, plugins=plugins, effect_host=journal(tmp_path), **stored(tmp_path)) as core:
        async with core.session("one") as session:
            with pytest.raises(TurnError):
                await session.turn("Count.")
            broken.clear()
            assert (await session.resume_turn()).submitted_value() == 1
            assert session.read_view().turn_index == 1
    assert [one.seen for one in factory.built if isinstance(one, Counter)] == [["count"], []]


async def test_a_hook_that_fails_at_a_checkpoint_stops_the_turn_which_is_stored() -> None:
    plugins = [Made(Counter), static("bad", checkpoint=[fails])]
    async with core_with(block("x = (call count {})?\nprint x"), plugins=plugins) as core:
        async with core.session("one") as session:
            result = await session.turn("Count.")
            assert isinstance(result.outcome, TurnOutcome.Stopped)
            stop = result.outcome.stop
            assert isinstance(stop, TurnStop.PluginAbort)
            assert "'bad'" in stop.message
            assert "broken" in stop.message
            assert session.read_view().turn_index == 1


async def test_a_prompt_that_fails_in_the_middle_of_a_turn_stops_it_and_names_the_plugin() -> None:
    calls: list[int] = []

    def sometimes(context: Any) -> list[PromptContribution]:
        calls.append(1)
        return fails() if len(calls) > 2 else []

    plugins = [static("bad", prompt=[sometimes])]
    async with core_with(block("print 1"), plugins=plugins) as core, core.session("one") as session:
        result = await session.turn("Go.")
        assert isinstance(result.outcome, TurnOutcome.Stopped)
        assert isinstance(result.outcome.stop, TurnStop.RuntimeError)
        assert result.outcome.stop.code == "reconfigure_failed"
        assert "'bad'" in result.outcome.stop.message


@pytest.mark.parametrize("point", ["before_tool", "after_tool"])
async def test_a_hook_that_fails_round_a_tool_fails_that_call_alone(point: str) -> None:
    def sometimes(context: Any) -> None:
        call = context if isinstance(context, HookedCall) else context.call
        if call.args["text"] == "bad":
            fails()

    @lash.tool
    async def echo(text: str) -> str:
        """Say it again."""
        return text

    hooks: dict[str, Any] = {point: [sometimes]}
    code = 'a = call echo { text: "bad" }\nb = (call echo { text: "good" })?\nsubmit [a.ok, a.error, b]'
    async with core_with(block(code), tools=[echo], plugins=[static("bad", **hooks)]) as core:
        async with core.session("one") as session:
            value: Any = (await session.turn("Go.")).submitted_value()
    assert (value[0], value[2]) == (False, "good")
    assert "'bad'" in str(value[1])


@pytest.mark.parametrize(
    "hooks", [{"stream": [fails]}, {"response": [fails]}, {"on_event": [fails]}, {"result_projector": fails}]
)
async def test_a_hook_that_only_looks_on_changes_nothing_when_it_fails(hooks: dict[str, Any]) -> None:
    plugins = [Made(Counter), static("bad", **hooks)]
    async with core_with("Well.\n" + block("submit (call count {})?"), plugins=plugins) as core:
        async with core.session("one") as session:
            result = await session.turn("Count.")
            assert result.submitted_value() == 1
            assert all("'bad'" in issue.message for issue in result.errors)
            assert bool(result.errors) == bool(hooks.keys() & {"stream", "response"})


async def test_a_hook_that_takes_too_long_is_treated_as_raising() -> None:
    clock = FakeClock()

    async def slow(turn: Any) -> None:
        await asyncio.Event().wait()

    core = core_with(block("submit 1"), plugins=[static("slow", before_turn=[slow])], clock=clock, ids=SequentialIds())

    async def go() -> None:
        async with core.session("one") as session:
            with pytest.raises(TurnError, match=r"'slow'.*did not end within 30 s"):
                await session.turn("Go.")

    await clock.run(go())
    await core.aclose()
    assert clock.monotonic() == pytest.approx(30, abs=1)


async def test_a_turn_can_be_cancelled_while_a_hook_runs() -> None:
    running = asyncio.Event()

    async def slow(turn: Any) -> None:
        running.set()
        await asyncio.Event().wait()

    async with core_with(plugins=[static("slow", before_turn=[slow])]) as core, core.session("one") as session:
        turn = session.turn("Go.")
        task = asyncio.ensure_future(turn.result())
        await running.wait()
        turn.cancel("enough")
        result = await task
        assert result.outcome == TurnOutcome.Stopped(TurnStop.Cancelled("enough"))
        assert session.read_view().turn_index == 1


async def test_a_plugin_may_refuse_a_turn_and_nothing_is_stored() -> None:
    def refuse(turn: Any) -> Any:
        return Directive.AbortTurn("closed", "We are closed.") if turn.messages[-1].text() == "Go." else None

    plugins = [Made(Counter), static("door", before_turn=[refuse])]
    async with core_with(block("submit (call count {})?"), plugins=plugins) as core, core.session("one") as session:
        result = await session.turn("Go.")
        assert result.outcome == TurnOutcome.Stopped(TurnStop.PluginAbort("closed", "We are closed."))
        assert (result.revision, session.read_view().turn_index) == (None, 0)
        assert (await session.turn("Please.")).submitted_value() == 1
        assert said(session) == ["Please."]


async def test_input_that_was_queued_for_a_turn_that_a_plugin_refused_waits_for_the_next() -> None:
    refusing = [True]

    def refuse(turn: Any) -> Any:
        return Directive.AbortTurn("closed", "We are closed.") if refusing else None

    async with core_with(block("submit 1"), plugins=[static("door", before_turn=[refuse])]) as core:
        async with core.session("one") as session:
            await session.queue("Later.", next_turn=True)
            assert (await session.turn("Go.")).revision is None
            refusing.clear()
            await session.turn("Please.")
            assert said(session) == ["Later.", "Please."]


async def test_what_a_hook_may_not_ask_for_is_an_error_with_its_name() -> None:
    def replaces(turn: Any) -> Any:
        return Directive.ReplaceToolArgs({})

    async with core_with(plugins=[static("odd", before_turn=[replaces])]) as core, core.session("one") as session:
        with pytest.raises(TurnError, match=r"'odd'.*before_turn may not give ReplaceToolArgs"):
            await session.turn("Go.")


async def test_two_plugins_that_claim_one_thing_are_both_named() -> None:
    def project(tool: str, args: Any, output: Any) -> None: ...

    one, two = static("one", result_projector=project), static("two", result_projector=project)
    async with core_with(plugins=[one, two]) as core:
        with pytest.raises(PluginError, match=r"'two'.*'one'"):
            await core.session("s")
    async with core_with(plugins=[static("one", tools=[nothing]), static("two", tools=[nothing])]) as core:
        with pytest.raises(PluginError, match=r"'two'.*'nothing'.*'one'"):
            await core.session("s")
    async with core_with(tools=[nothing], plugins=[static("two", tools=[nothing])]) as core:
        with pytest.raises(PluginError, match=r"'two'.*'nothing'.*'tools'"):
            await core.session("s")


async def test_two_plugins_of_one_id_and_two_tools_of_one_name_are_refused_at_once() -> None:
    with pytest.raises(lash.ConfigError) as twice:
        core_with(plugins=[static("one"), static("one")])
    assert twice.value.code == "duplicate_plugin"
    with pytest.raises(lash.ConfigError) as named:
        core_with(tools=[nothing, nothing])
    assert named.value.code == "duplicate_tool"
    async with core_with(plugins=[static("place")]) as core:
        with pytest.raises(lash.ConfigError) as bound:
            await core.session("s", bindings=[Place.bind("map")])
        assert bound.value.code == "duplicate_plugin"
        with pytest.raises(lash.ConfigError):
            await core_with(plugins=[static("mode_rlm")]).session("s")
