"""Plugins that tests of the facade share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lash
from lash import LashCore, PromptContribution
from lash.host.effects.journal import JournalEffectHost
from lash.host.system import RandomIds, SystemClock
from lash.plugins import (
    Directive,
    PluginBinding,
    PluginFactory,
    PluginMessage,
    PluginRegistrar,
    PluginSessionContext,
    PluginSnapshotMeta,
    PluginSpec,
    SessionPlugin,
    SnapshotReader,
    SnapshotWriter,
    StaticPluginFactory,
)
from lash.runtime.sansio.llm import Block
from lash.testing.scripted import ScriptedProvider
from lash.tools import ToolContext


def prompt_of(core_steps: ScriptedProvider, call: int = 0) -> str:
    """The system prompt of a model call."""
    return "\n".join(b.text for b in core_steps.requests[call].messages[0].blocks if isinstance(b, Block.Text))


def asked(provider: ScriptedProvider, call: int) -> str:
    """All text that a model call was given."""
    blocks = [b for message in provider.requests[call].messages for b in message.blocks]
    return "\n".join(b.text for b in blocks if isinstance(b, Block.Text))


def core_of(provider: ScriptedProvider, **knobs: Any) -> LashCore:
    """A core whose model can be asked afterwards what it was told."""
    return LashCore.rlm(provider=provider, model="m", max_context_tokens=100_000, **knobs)


def static(plugin_id: str, **hooks: Any) -> StaticPluginFactory:
    """A plugin of hooks alone."""
    return StaticPluginFactory(plugin_id, PluginSpec(**hooks))


class Counter(SessionPlugin):
    """Counts the calls of its tool, says so in the prompt, and notes which calls it saw coming."""

    id = "counter"

    def __init__(self) -> None:
        self.count = 0
        self.seen: list[str] = []

    def register(self, reg: PluginRegistrar) -> None:
        @lash.tool
        async def count() -> int:
            """Count one more."""
            self.count += 1
            return self.count

        reg.tools().provider(count)
        reg.prompt().contribute(lambda ctx: [PromptContribution.environment("Count", f"counted: {self.count}")])
        reg.tool_calls().before(lambda call: self.seen.append(call.tool))

    def snapshot_revision(self) -> int:
        return self.count

    def snapshot(self, w: SnapshotWriter) -> PluginSnapshotMeta:
        w.write_blob("twice", b"x" * 2 * self.count)
        return PluginSnapshotMeta(self.version, {"count": self.count})

    def restore(self, meta: PluginSnapshotMeta, r: SnapshotReader) -> None:
        assert isinstance(meta.state, dict)
        self.count = int(str(meta.state["count"]))
        assert r.read_blob("twice") == b"x" * 2 * self.count


class Made(PluginFactory):
    """Makes plugins of a class and keeps them."""

    def __init__(self, make: Callable[[], SessionPlugin], plugin_id: str | None = None) -> None:
        self._make = make
        self.built: list[SessionPlugin] = []
        self.closed = 0
        self.id = plugin_id or make().id

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        self.built.append(self._make())
        return self.built[-1]

    async def aclose(self) -> None:
        self.closed += 1


def journal(folder: Path) -> JournalEffectHost:
    """A journal in a folder."""
    return JournalEffectHost(folder / "journal.db", clock=SystemClock(), ids=RandomIds())


@lash.tool
async def nothing() -> None:
    """Do nothing."""


class Place(PluginBinding[str, dict[str, int]]):
    """A plugin that knows where the user is."""

    ID = "place"

    @classmethod
    def factory(cls, config: str) -> PluginFactory:
        @lash.tool
        async def where(ctx: ToolContext) -> Any:
            """Where the user is."""
            return ctx.plugin_input(cls)

        def say(turn: Any) -> Any:
            return Directive.EnqueueMessages((PluginMessage("system", f"{config} {turn.plugin_input['x']}"),))

        return static(cls.ID, tools=[where], before_turn=[say])

    @classmethod
    def requires_turn_input(cls, config: str) -> bool:
        return True
