"""The turn that dies, and the worker that runs it.

It has three model calls, a call, a wave of five (a success, a failure, a cancellation, a slow one, one that is tried
again), a loop of two calls, and a plugin whose counter is moved by tools, checkpoints and the hooks of the turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import lash
from lash.durability import (
    InlineEffectHost,
    JournalEffectHost,
)
from lash.host.system import SystemClock
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.runtime.plugins.contract import PluginFactory, PluginSessionContext, SessionPlugin
from lash.runtime.plugins.registrar import PluginRegistrar
from lash.runtime.plugins.snapshot import PluginSnapshotMeta, SnapshotReader, SnapshotWriter
from lash.runtime.sansio.llm import LlmRequest
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import to_json
from lash.runtime.tools.definition import ToolRetryPolicy
from lash.testing.scripted import ScriptedProvider, Step, reply
from tests.facade.crash_hosts import At, LaterClock, TurnCommits, WatchedHost, WatchedJournal, nothing

CODE = (
    "base = (call add { n: 1 })?\n"
    "rs = parallel {\n  (call add { n: 2 })?\n  call fail {}\n  call stop {}\n"
    "  (call slow { n: 3 })?\n  (call flaky { n: 4 })?\n}\n"
    "print [base, rs]",
    "total = 0\nfor n in [5, 6] {\n  total = total + (call add { n: n })?\n}\nprint total",
    "submit { base: base, rs: rs, total: total }",
)
PER_CALL = TokenUsage(100, 10)


class CountingPlugin(SessionPlugin):
    """Counts the hooks that ran, as its state."""

    id = "counter"

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def register(self, reg: PluginRegistrar) -> None:
        reg.turn().before(lambda _: self._count("before"))
        reg.turn().checkpoint(lambda _: self._count("checkpoint"))
        reg.turn().after(lambda _: self._count("after"))
        reg.tool_calls().after(lambda context: self._count(context.call.tool))

    def _count(self, what: str) -> None:
        self.counts[what] += 1

    def snapshot_revision(self) -> int:
        return self.counts.total()

    def snapshot(self, w: SnapshotWriter) -> PluginSnapshotMeta:
        return PluginSnapshotMeta(self.version, dict(self.counts))

    def restore(self, meta: PluginSnapshotMeta, r: SnapshotReader) -> None:
        assert isinstance(meta.state, dict)
        self.counts = Counter({key: int(str(value)) for key, value in meta.state.items()})


class CountingFactory(PluginFactory):
    """Makes them, and knows the last one."""

    id = "counter"

    def __init__(self) -> None:
        self.made = CountingPlugin()

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        self.made = CountingPlugin()
        return self.made


class Tools:
    """The tools of the turn."""

    def __init__(self) -> None:
        self._failed = False

    @lash.tool
    async def add(self, n: int) -> int:
        """Add ten."""
        return n + 10

    @lash.tool
    async def fail(self) -> int:
        """Fail."""
        raise lash.ToolError("no luck")

    @lash.tool
    async def stop(self) -> int:
        """Be cancelled."""
        raise asyncio.CancelledError

    @lash.tool
    async def slow(self, n: int) -> int:
        """Take a while."""
        for _ in range(50):
            await asyncio.sleep(0)
        return n

    @lash.tool(retry=ToolRetryPolicy.safe(3, 0, 0))
    async def flaky(self, n: int) -> int:
        """Work the second time."""
        self._failed = not self._failed
        if self._failed:
            raise lash.ToolError("not yet", retry="safe")
        return n


def said_so_far(request: LlmRequest) -> int:
    """How many of the turn's programs the model sees that it has written."""
    text = str(to_json(request))
    return sum(repr(code)[1:-1] in text for code in CODE)


def answers(request: LlmRequest) -> Step:
    """What the model says next, whatever was said by another process before."""
    code = CODE[min(said_so_far(request), len(CODE) - 1)]
    return reply(f"Step.\n```lashlang\n{code}\n```", usage=PER_CALL)


@dataclass(slots=True)
class World:
    """A worker with its session."""

    session: lash.LashSession
    host: WatchedHost
    model: ScriptedProvider
    plugin: CountingFactory
    folder: Path


@asynccontextmanager
async def world(
    folder: Path,
    at: At = nothing,
    *,
    later: bool = False,
    durable: bool = True,
    model: Callable[[LlmRequest], Step] = answers,
) -> AsyncGenerator[World]:
    """A worker on the stores below a folder; `later` is one that comes when the first one is long dead."""
    clock = LaterClock() if later else SystemClock()
    stores = SqliteSessionStoreFactory(
        folder / "sessions", clock=clock, synchronous="NORMAL", failpoint=TurnCommits(at).reached
    )
    if durable:
        host: WatchedHost = WatchedJournal(JournalEffectHost(folder / "journal.db", clock=clock), at)
    else:
        host = WatchedHost(InlineEffectHost(clock), at)
    plugin, provider = CountingFactory(), ScriptedProvider([model] * 20)
    core = lash.LashCore.rlm(
        provider=provider,
        model="m",
        max_context_tokens=100_000,
        store=stores,
        attachments=FileAttachmentStore(folder / "attachments"),
        effect_host=host,
        tools=[Tools()],
        plugins=[plugin],
        clock=clock,
    )
    async with core, core.session("one") as session:
        yield World(session, host, provider, plugin, folder)
