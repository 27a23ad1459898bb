"""Actions of plugins, which the host calls."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import BaseModel

import lash
from lash import PluginError, SessionError
from lash.plugins import (
    ActionDefinition,
    PluginOp,
    PluginRegistrar,
    PluginSnapshotMeta,
    SessionPlugin,
    SnapshotReader,
    SnapshotWriter,
)
from lash.testing.scripted import HANG, Step
from tests.facade.plugins import Made
from tests.facade.support import block, core_with, stored


class Level(BaseModel):
    level: int


class SetLevel(PluginOp[Level, Level]):
    """Set the level; gives the one before."""

    NAME = "dial.set"
    Args = Level
    Output = Level


class Dial(SessionPlugin):
    """Has a level that the host sets."""

    id = "dial"

    def __init__(self) -> None:
        self.level = 0
        self.revision = 0

    def register(self, reg: PluginRegistrar) -> None:
        reg.actions().typed(SetLevel, self._set)
        reg.actions().op(ActionDefinition("dial.get", "query", output=int), self._get)
        reg.actions().op(ActionDefinition("dial.break", output=int), self._break)

    async def _set(self, args: Level) -> Level:
        before, self.level = self.level, args.level
        self.revision += 1
        if args.level > 100:
            raise ValueError("too much")
        return Level(level=before)

    def _get(self, args: object) -> int:
        return self.level

    def _break(self, args: object) -> str:
        return "nothing"

    def snapshot_revision(self) -> int:
        return self.revision

    def snapshot(self, w: SnapshotWriter) -> PluginSnapshotMeta:
        return PluginSnapshotMeta(self.version, self.level)

    def restore(self, meta: PluginSnapshotMeta, r: SnapshotReader) -> None:
        assert isinstance(meta.state, int)
        self.level = meta.state


async def test_the_host_asks_plugins_and_what_a_command_changes_is_stored(tmp_path: Path) -> None:
    async with core_with(block("submit 1"), plugins=[Made(Dial)], **stored(tmp_path)) as core:
        async with core.session("s") as session:
            assert [one.name for one in session.actions] == ["dial.set", "dial.get", "dial.break"]
            assert session.actions[0].description == "Set the level; gives the one before."
            await session.turn("Go.")
            assert await session.act("dial.set", {"level": 3}) == {"level": 0}
            assert await session.act("dial.get") == 3
            assert session.read_view().revision == 2
    async with core_with(plugins=[Made(Dial)], **stored(tmp_path)) as core, core.session("s") as session:
        assert await session.act("dial.get") == 3
        assert session.read_view().turn_index == 1


async def test_before_the_first_turn_a_change_is_stored_with_it(tmp_path: Path) -> None:
    async with core_with(block("submit 1"), plugins=[Made(Dial)], **stored(tmp_path)) as core:
        async with core.session("s") as session:
            await session.act("dial.set", {"level": 3})
            assert session.read_view().revision is None
            await session.turn("Go.")
    async with core_with(plugins=[Made(Dial)], **stored(tmp_path)) as core, core.session("s") as session:
        assert await session.act("dial.get") == 3


async def test_what_does_not_fit_is_refused_with_its_place() -> None:
    async with core_with(plugins=[Made(Dial)]) as core, core.session("s") as session:
        with pytest.raises(SessionError, match="level: ") as unfit:
            await session.act("dial.set", {"level": "high"})
        assert unfit.value.code == "invalid_action_args"
        with pytest.raises(SessionError, match=r"dial\.turn.*dial\.set") as unknown:
            await session.act("dial.turn")
        assert unknown.value.code == "unknown_action"
        with pytest.raises(PluginError, match=r"'dial'.*does not promise"):
            await session.act("dial.break")


async def test_an_action_that_fails_names_the_plugin_and_changes_nothing() -> None:
    async with core_with(block("submit 1"), plugins=[Made(Dial)]) as core, core.session("s") as session:
        await session.turn("Go.")
        await session.act("dial.set", {"level": 3})
        with pytest.raises(PluginError, match=r"'dial'.*too much"):
            await session.act("dial.set", {"level": 101})
        assert await session.act("dial.set", {"level": 4}) == {"level": 3}


async def test_while_a_turn_runs_plugins_can_be_looked_at_and_not_changed() -> None:
    async with core_with(Step([], HANG), plugins=[Made(Dial)]) as core, core.session("s") as session:
        turn = session.turn("Go.")
        task = asyncio.ensure_future(turn.result())
        while not session.running:
            await asyncio.sleep(0)
        assert await session.act("dial.get") == 0
        with pytest.raises(lash.SessionBusyError):
            await session.act("dial.set", {"level": 3})
        turn.cancel()
        await task


async def test_two_actions_of_one_name_name_both_plugins() -> None:
    class Second(Dial):
        id = "second"

    async with core_with(plugins=[Made(Dial), Made(Second)]) as core:
        with pytest.raises(PluginError, match=r"'second'.*'dial\.set'.*'dial'"):
            await core.session("s")
