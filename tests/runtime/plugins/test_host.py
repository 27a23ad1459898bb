"""Building the plugins of a session."""

from __future__ import annotations

from typing import Any

import pytest

from lash.runtime.errors import ConfigError, PluginError, StoreCorruption
from lash.runtime.plugins.contract import (
    PluginFactory,
    PluginSessionContext,
    PluginSpec,
    PluginSpecFactory,
    SessionPlugin,
    SessionReadyContext,
)
from lash.runtime.plugins.host import PluginHost
from lash.runtime.plugins.registrar import PluginRegistrar
from lash.runtime.plugins.snapshot import PluginEntry, PluginSnapshotMeta, SnapshotReader, pack
from lash.runtime.plugins.stack import PluginStack
from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.tools.decorator import tool
from lash.runtime.tools.definition import ToolManifest
from lash.runtime.tools.provider import ListedTools, ToolCall
from lash.runtime.tools.registry import ToolRegistry
from lash.runtime.tools.result import ToolResult
from lash.testing.clock import FakeClock
from tests.runtime.plugins.support import CONTEXT, Ports, gives, opened, static


class Noting(PluginFactory):
    """Notes what happens to it; may fail at a point."""

    def __init__(self, plugin_id: str, notes: list[str], fails_at: str = "") -> None:
        self.id = plugin_id
        self.notes = notes
        self.fails_at = fails_at

    def note(self, what: str) -> None:
        self.notes.append(f"{what} {self.id}")
        if what == self.fails_at:
            raise ValueError("broken")

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        self.note("build")
        return _Noting(self)

    async def aclose(self) -> None:
        self.note("close factory")


class _Noting(SessionPlugin):
    def __init__(self, factory: Noting) -> None:
        self.id = factory.id
        self._factory = factory

    def register(self, reg: PluginRegistrar) -> None:
        self._factory.note("register")

    def restore(self, meta: PluginSnapshotMeta, r: SnapshotReader) -> None:
        self._factory.note("restore")

    def session_ready(self, ctx: SessionReadyContext) -> None:
        self._factory.note("ready" if ctx.restored else "ready anew")

    async def aclose(self) -> None:
        self._factory.note("close")


STORED = pack({name: PluginEntry(PluginSnapshotMeta(1), 1) for name in ("a", "b")})


async def test_all_are_built_then_registered_then_restored_then_ready() -> None:
    notes: list[str] = []
    host = PluginHost([Noting("a", notes), Noting("b", notes)], clock=FakeClock())
    session = await host.open_session(CONTEXT, Ports(), snapshot=STORED)
    await session.aclose()
    await host.aclose()
    steps = ("build", "register", "restore", "ready")
    expected = [f"{step} {name}" for step in steps for name in "ab"]
    assert notes == [*expected, "close b", "close a", "close factory b", "close factory a"]


async def test_the_factories_of_a_session_stand_round_those_of_the_core() -> None:
    notes: list[str] = []
    host = PluginHost([Noting("core", notes)], clock=FakeClock())
    await host.open_session(CONTEXT, Ports(), first=[Noting("mode", notes)], last=[Noting("bound", notes)])
    assert [note for note in notes if note.startswith("build")] == ["build mode", "build core", "build bound"]


@pytest.mark.parametrize(
    ("point", "kind"),
    [("build", "session"), ("register", "registration"), ("restore", "snapshot"), ("ready", "session")],
)
async def test_where_one_fails_it_is_named_and_all_that_were_built_are_closed(point: str, kind: str) -> None:
    notes: list[str] = []
    host = PluginHost([Noting("a", notes), Noting("b", notes, point)], clock=FakeClock())
    with pytest.raises(PluginError, match=r"'b'.*ValueError: broken") as failed:
        await host.open_session(CONTEXT, Ports(), snapshot=STORED)
    assert (failed.value.kind, failed.value.plugin_id) == (kind, "b")
    closed = [note for note in notes if note.startswith("close")]
    assert closed == (["close a"] if point == "build" else ["close b", "close a"])


async def test_a_plugin_has_the_id_of_its_factory() -> None:
    class Confused(PluginFactory):
        id = "a"

        def build(self, ctx: PluginSessionContext) -> SessionPlugin:
            return SessionPlugin()

    with pytest.raises(PluginError, match=r"'a'.*calls itself ''"):
        await opened(Confused())


async def test_two_of_one_id_and_one_without_are_refused() -> None:
    with pytest.raises(ConfigError) as twice:
        PluginHost([static("a"), static("a")], clock=FakeClock())
    assert twice.value.code == "duplicate_plugin"
    with pytest.raises(ConfigError):
        PluginHost([static("")], clock=FakeClock())
    with pytest.raises(ConfigError):
        PluginStack([static("")])


async def test_nothing_can_be_registered_once_the_session_is_sealed() -> None:
    kept: list[PluginRegistrar] = []

    class Late(SessionPlugin):
        id = "late"

        def register(self, reg: PluginRegistrar) -> None:
            kept.append(reg)

    class LateFactory(PluginFactory):
        id = "late"

        def build(self, ctx: PluginSessionContext) -> SessionPlugin:
            return Late()

    await opened(LateFactory())
    with pytest.raises(PluginError, match=r"'late'.*sealed"):
        kept[0].turn().before(lambda turn: None)
    with pytest.raises(PluginError, match=r"'late'.*sealed"):
        kept[0].tool_results().projector(gives(None))


async def test_what_is_no_function_is_no_hook() -> None:
    with pytest.raises(PluginError, match=r"'a'.*5 is no function"):
        await opened(static("a", before_turn=[5]))


async def test_a_mode_has_one_half_in_a_session_of_its_own() -> None:
    class Mode(SessionPlugin):
        def __init__(self, plugin_id: str, mode_id: str) -> None:
            self.id = plugin_id
            self.mode_id = mode_id

        def register(self, reg: PluginRegistrar) -> None:
            reg.mode().session(self)

    class ModeFactory(PluginFactory):
        def __init__(self, plugin_id: str, mode_id: str) -> None:
            self.id = plugin_id
            self._mode_id = mode_id

        def build(self, ctx: PluginSessionContext) -> SessionPlugin:
            return Mode(self.id, self._mode_id)

    with pytest.raises(PluginError, match=r"'b'.*'a'"):
        await opened(ModeFactory("a", "stub"), ModeFactory("b", "stub"))
    with pytest.raises(PluginError, match=r"'a'.*'other'.*'stub'"):
        await opened(ModeFactory("a", "other"))


async def test_tools_that_programs_could_not_tell_apart_are_refused_with_both_plugins() -> None:
    @tool(name="look_up")
    async def one() -> None: ...

    class Dashed(PluginFactory):
        id = "b"

        def build(self, ctx: PluginSessionContext) -> SessionPlugin:
            return Bringing()

    class Bringing(SessionPlugin):
        id = "b"

        def register(self, reg: PluginRegistrar) -> None:
            reg.mode().native_tools(_Dashed())

    with pytest.raises(PluginError, match=r"'b'.*'look-up'.*'look_up' of plugin 'a'"):
        await opened(static("a", tools=[one]), Dashed())


class _Dashed(ListedTools):
    def tool_manifests(self) -> list[ToolManifest]:
        return [ToolManifest("look-up")]

    def resolve_contract(self, name: str) -> None: ...

    async def execute(self, call: ToolCall) -> ToolResult:
        return ToolResult.success()


async def test_a_spec_may_be_made_for_each_session() -> None:
    def make(ctx: PluginSessionContext) -> PluginSpec:
        return PluginSpec(prompt=[lambda _: [PromptContribution.guidance("Id", ctx.session_id)]])

    session = await opened(PluginSpecFactory("a", make))
    surface = ToolRegistry().surface("stub")
    assert [one.content for one in session.prompt_contributions(surface)] == ["s"]


async def test_contributions_to_the_prompt_are_told_once_and_in_order() -> None:
    def say(*parts: PromptContribution) -> Any:
        return gives(parts)

    guidance, intro = PromptContribution.guidance, PromptContribution.intro
    one = static("a", prompt=[say(guidance("G", "late").with_priority(5), guidance("G", "early"))])
    two = static("b", prompt=[say(guidance("Other", " early "), intro("I", "first")), say()])
    session = await opened(one, two)
    found = session.prompt_contributions(ToolRegistry().surface("stub"))
    assert [(one.title, one.content) for one in found] == [("I", "first"), ("G", "early"), ("G", "late")]


@pytest.mark.parametrize(("given", "told"), [(["text"], "str"), (5, "int")])
async def test_what_is_no_contribution_is_named(given: object, told: str) -> None:
    session = await opened(static("a", prompt=[gives(given)]))
    with pytest.raises(PluginError, match=f"'a'.*{told}"):
        session.prompt_contributions(ToolRegistry().surface("stub"))


async def test_state_that_cannot_be_read_is_a_store_that_is_broken() -> None:
    with pytest.raises(StoreCorruption):
        await opened(static("a"), snapshot=b"nonsense")
