"""The state of plugins: commits, restarts, versions, turns that are driven again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lash import PromptContribution
from lash.host.effects.journal import JournalEffectHost
from lash.host.system import RandomIds, SystemClock
from lash.plugins import (
    Directive,
    PluginFactory,
    PluginMessage,
    PluginRegistrar,
    PluginSnapshotMeta,
    PluginSnapshotVersionError,
    SessionPlugin,
    SnapshotReader,
    SnapshotWriter,
)
from lash.runtime.sansio.llm import Block, LlmRequest
from lash.runtime.seams.effects import (
    EffectController,
    EffectEnvelope,
    EffectOutcome,
    ExecutionScope,
    LocalExecutor,
)
from lash.testing.scripted import AnyStep, ScriptedProvider
from tests.facade.plugins import Counter, Made, core_of, journal, prompt_of
from tests.facade.support import block, core_with, said, stored


class Versioned(SessionPlugin):
    """Keeps a text, in a format that has a version."""

    id = "versioned"

    def __init__(self, version: int) -> None:
        self.version = version
        self.text = "new"
        self.revision = 0

    def register(self, reg: PluginRegistrar) -> None:
        reg.prompt().contribute(lambda ctx: [PromptContribution.environment("Text", f"text {self.text}")])
        reg.turn().before(self._move)

    def _move(self, turn: Any) -> None:
        self.revision += 1

    def snapshot_revision(self) -> int:
        return self.revision

    def snapshot(self, w: SnapshotWriter) -> PluginSnapshotMeta:
        return PluginSnapshotMeta(self.version, f"kept by {self.version}")

    def restore(self, meta: PluginSnapshotMeta, r: SnapshotReader) -> None:
        self.text = str(meta.state)


class Migrating(Versioned):
    """Reads formats of other versions."""

    def migrate(self, meta: PluginSnapshotMeta, r: SnapshotReader) -> None:
        self.text = f"migrated from {meta.version}: {meta.state}"


async def opened_with(folder: Path, *plugins: PluginFactory) -> str:
    """The prompt of a turn with these plugins."""
    model = ScriptedProvider([block("submit 1")])
    async with core_of(model, plugins=plugins, **stored(folder)) as core, core.session("one") as session:
        await session.turn("Go.")
    return prompt_of(model)


async def test_a_plugin_migrates_the_state_of_another_version(tmp_path: Path) -> None:
    assert "text new" in await opened_with(tmp_path, Made(lambda: Versioned(1)))
    assert "text migrated from 1: kept by 1" in await opened_with(tmp_path, Made(lambda: Migrating(2)))
    assert "text kept by 2" in await opened_with(tmp_path, Made(lambda: Versioned(2)))


async def test_state_of_a_newer_version_is_refused_and_kept(tmp_path: Path) -> None:
    await opened_with(tmp_path, Made(lambda: Versioned(3)))
    with pytest.raises(PluginSnapshotVersionError, match=r"'versioned'.*version 3.*up to 2"):
        await opened_with(tmp_path, Made(lambda: Versioned(2)))
    assert "text kept by 3" in await opened_with(tmp_path, Made(lambda: Versioned(3)))


async def test_state_of_a_plugin_that_is_absent_for_a_while_is_carried_along(tmp_path: Path) -> None:
    await opened_with(tmp_path, Made(lambda: Versioned(1)))
    await opened_with(tmp_path, Made(Counter))
    assert "text kept by 1" in await opened_with(tmp_path, Made(lambda: Versioned(1)))


async def test_a_plugin_whose_state_has_not_moved_is_not_asked_for_it_again() -> None:
    asked_for: list[int] = []

    class Watched(Counter):
        def snapshot(self, w: SnapshotWriter) -> PluginSnapshotMeta:
            asked_for.append(self.count)
            return super().snapshot(w)

    steps = [block("submit (call count {})?"), block("submit 0"), block("submit (call count {})?")]
    async with core_with(*steps, plugins=[Made(Watched)]) as core, core.session("one") as session:
        for _ in range(3):
            await session.turn("Go.")
    assert asked_for == [1, 2]


async def test_a_turn_that_is_driven_again_has_the_state_of_its_plugins_and_runs_none_of_them(tmp_path: Path) -> None:
    class Everywhere(Counter):
        count: int

        def register(self, reg: PluginRegistrar) -> None:
            super().register(reg)
            for register in (reg.turn().before, reg.turn().checkpoint, reg.turn().after):
                register(self._move)

        def _move(self, context: Any) -> Any:
            self.count += 10
            return (
                Directive.EnqueueMessages((PluginMessage("system", f"moved {self.count}"),)) if not self.seen else None
            )

    steps = [block("x = (call count {})?\nprint x"), block("submit (call count {})?")]
    seen: list[list[str]] = []
    views: list[tuple[object, list[str], int]] = []
    for folder, script in ((tmp_path / "first", steps), (tmp_path / "second", [])):
        factory = Made(Everywhere)
        knobs = {"plugins": [factory], "effect_host": journal(tmp_path), **stored(folder)}
        async with core_with(*script, **knobs) as core, core.session("one") as session:
            result = await session.turn("Go.", turn_id="t")
            (plugin,) = factory.built
            assert isinstance(plugin, Everywhere)
            views.append((result.submitted_value(), said(session), plugin.count))
            seen.append(plugin.seen)
    assert views[0] == views[1]
    assert seen == [["count", "count"], []]
    # What was brought back is also what was committed.
    again = Made(Everywhere)
    async with core_with(plugins=[again], **stored(tmp_path / "second")) as core, core.session("one"):
        assert [plugin.count for plugin in again.built if isinstance(plugin, Everywhere)] == [views[0][2]]


class Moving(Counter):
    """Moves its count at every hook of a turn, besides its tool."""

    id = "counter"

    def register(self, reg: PluginRegistrar) -> None:
        super().register(reg)
        for register in (reg.turn().before, reg.turn().checkpoint, reg.turn().after):
            register(self._move)

    def _move(self, context: object) -> None:
        self.count += 10


class Killed(BaseException):
    """The process is no more."""


class Dying:
    """An effect controller that kills the process round its n-th effect that was not recorded yet."""

    def __init__(self, inner: EffectController, n: int, when: str) -> None:
        self._inner = inner
        self._left = n
        self._when = when
        self.scope, self.durability = inner.scope, inner.durability
        self.await_event_key, self.await_event = inner.await_event_key, inner.await_event
        self.peek_event = inner.peek_event
        self.resolve_event = inner.resolve_event

    async def execute(self, envelope: EffectEnvelope, local: LocalExecutor) -> EffectOutcome:
        dying = self

        class Watching:
            async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
                outcome = await local.run(envelope)
                dying._left -= 1
                if dying._left == 0 and dying._when == "before its record":
                    raise Killed
                return outcome

        outcome = await self._inner.execute(envelope, Watching())
        if self._left == 0:
            raise Killed
        return outcome


NEVER = (-1, "")


class DyingHost(JournalEffectHost):
    """A journal whose turns are killed."""

    dies: tuple[int, str] = NEVER

    @asynccontextmanager
    async def scoped(self, scope: ExecutionScope) -> AsyncGenerator[EffectController]:
        async with super().scoped(scope) as controller:
            yield Dying(controller, *self.dies)


@pytest.mark.parametrize("when", ["before its record", "after its record"])
async def test_a_turn_killed_at_any_effect_goes_on_with_the_state_its_plugins_had(when: str, tmp_path: Path) -> None:
    first, second = block("x = (call count {})?\nprint x"), block("submit (call count {})?")

    def answer(request: LlmRequest) -> AnyStep:
        texts = [b.text for message in request.messages for b in message.blocks if isinstance(b, Block.Text)]
        return second if any("print x" in text for text in texts[1:]) else first

    async def run(folder: Path, dies: tuple[int, str]) -> tuple[object, int, bool]:
        killed = True
        for attempt in (dies, NEVER):
            host = DyingHost(folder / "journal.db", clock=SystemClock(), ids=RandomIds(), lease_s=0.001)
            host.dies = attempt
            factory = Made(Moving)
            knobs = {"plugins": [factory], "effect_host": host, **stored(folder)}
            async with core_with(*[answer] * 4, **knobs) as core, core.session("one") as session:
                try:
                    turn = session.turn("Go.", turn_id="t") if attempt == dies else session.resume_turn()
                    result = await turn
                except Killed:
                    continue
                killed = attempt != dies
                (plugin,) = factory.built
                assert isinstance(plugin, Counter)
                return result.submitted_value(), plugin.count, killed
        raise AssertionError("the turn did not end")

    value, count, _ = await run(tmp_path / "whole", NEVER)
    assert (value, count) == (22, 42)
    at, killed = 0, True
    while killed:
        at += 1
        value, count, killed = await run(tmp_path / str(at), (at, when))
        assert (value, count) == (22, 42), f"killed at effect {at}"
    assert at > 8
