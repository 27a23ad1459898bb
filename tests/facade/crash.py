"""A turn that dies at every boundary and is driven again by another worker (runtime.md 16, item 4).

The turn has three model calls, a call, a wave of five (a success, a failure, a cancellation, a slow one, one that is
tried again), a loop of two calls, and a plugin whose counter is moved by tools, checkpoints and the hooks of the turn.

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
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lash
from lash import TurnEvent
from lash.durability import (
    EffectController,
    EffectEnvelope,
    EffectHost,
    EffectOutcome,
    ExecutionScope,
    InlineEffectHost,
    JournalEffectHost,
    LocalExecutor,
)
from lash.host.system import SystemClock
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.runtime.plugins.contract import PluginFactory, PluginSessionContext, SessionPlugin
from lash.runtime.plugins.registrar import PluginRegistrar
from lash.runtime.plugins.snapshot import PluginSnapshotMeta, SnapshotReader, SnapshotWriter
from lash.runtime.sansio.llm import LlmRequest
from lash.runtime.sansio.usage import TokenUsage
from lash.runtime.sansio.values import JsonValue, to_json
from lash.runtime.seams.effects import UnfinishedTurn
from lash.runtime.seams.persistence import RuntimePersistence, SessionStoreCreateRequest
from lash.runtime.tools.definition import ToolRetryPolicy
from lash.testing.activities import check_activities
from lash.testing.scripted import ScriptedProvider, Step, reply

LATER_MS = 120_000
"""How much later the second worker comes: when every lease of the first one has lapsed."""

CODE = (
    "base = (call add { n: 1 })?\n"
    "rs = parallel {\n  (call add { n: 2 })?\n  call fail {}\n  call stop {}\n"
    "  (call slow { n: 3 })?\n  (call flaky { n: 4 })?\n}\n"
    "print [base, rs]",
    "total = 0\nfor n in [5, 6] {\n  total = total + (call add { n: n })?\n}\nprint total",
    "submit { base: base, rs: rs, total: total }",
)
PER_CALL = TokenUsage(100, 10)


@dataclass(frozen=True, slots=True)
class Moment:
    """A boundary: an effect's replay key, or a step of the commit, and when."""

    key: str
    when: str

    def __str__(self) -> str:
        return f"{self.when} {self.key}"


At = Callable[[Moment], None]


def nothing(moment: Moment) -> None:
    """What happens at a boundary where nothing is to happen."""


class WatchedHost:
    """An effect host that calls `at` at every boundary, and notes in `ran` which effects it had carried out."""

    def __init__(self, inner: EffectHost, at: At) -> None:
        self.inner = inner
        self.durability = inner.durability
        self.ran: list[str] = []
        self.at = at

    @asynccontextmanager
    async def _scoped(self, scope: ExecutionScope) -> AsyncGenerator[EffectController]:
        async with self.inner.scoped(scope) as inner:
            yield _Watched(inner, self)

    def scoped(self, scope: ExecutionScope) -> AbstractAsyncContextManager[EffectController]:
        return self._scoped(scope)

    async def aclose(self) -> None:
        await self.inner.aclose()


class WatchedJournal(WatchedHost):
    """The same for a journal."""

    def __init__(self, journal: JournalEffectHost, at: At) -> None:
        super().__init__(journal, at)
        self.journal = journal

    async def begin_turn(
        self, scope: ExecutionScope, head_revision: int | None, given: JsonValue, options: JsonValue
    ) -> None:
        await self.journal.begin_turn(scope, head_revision, given, options)

    async def seal_turn(self, scope: ExecutionScope) -> None:
        self.at(Moment("turn", "unsealed"))
        await self.journal.seal_turn(scope)

    async def unfinished_turn(self, session_id: str) -> UnfinishedTurn | None:
        return await self.journal.unfinished_turn(session_id)


class _Watched:
    """A controller with the boundaries of its effects."""

    def __init__(self, inner: EffectController, host: WatchedHost) -> None:
        self.durability = inner.durability
        self._inner = inner
        self._host = host
        self.scope = inner.scope
        self.await_event_key = inner.await_event_key
        self.await_event = inner.await_event
        self.resolve_event = inner.resolve_event

    async def execute(self, envelope: EffectEnvelope, local: LocalExecutor) -> EffectOutcome:
        if envelope.composite:
            return await self._inner.execute(envelope, local)
        key = envelope.invocation.replay_key
        outcome = await self._inner.execute(envelope, _Local(local, key, self._host))
        if not outcome.replayed:
            self._host.at(Moment(key, "recorded"))
        return outcome


class _Local:
    """An effect's work between two boundaries."""

    def __init__(self, inner: LocalExecutor, key: str, host: WatchedHost) -> None:
        self._inner = inner
        self._key = key
        self._host = host

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        self._host.at(Moment(self._key, "asked"))
        self._host.ran.append(self._key)
        outcome = await self._inner.run(envelope)
        self._host.at(Moment(self._key, "ran"))
        return outcome


class LaterClock(SystemClock):
    """The time some while from now."""

    def now_ms(self) -> int:
        return super().now_ms() + LATER_MS


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


Tap = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Is given the name of a store's method and what does the call, and gives the call's result."""


class _TappedStore:
    """A store whose calls go through a tap."""

    def __init__(self, inner: RuntimePersistence, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap
        self.durability = inner.durability
        self.aclose = inner.aclose

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._inner, name)
        return lambda *args, **knobs: self._tap(name, lambda: call(*args, **knobs))


class TappedStores:
    """Stores whose calls go through a tap; making, finding and deleting them does not."""

    def __init__(self, inner: SqliteSessionStoreFactory, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap
        self.durability = inner.durability
        self.delete_store = inner.delete_store
        self.list_sessions = inner.list_sessions
        self.aclose = inner.aclose

    async def open_store(self, request: SessionStoreCreateRequest) -> Any:
        return _TappedStore(await self._inner.open_store(request), self._tap)

    async def find_store(self, session_id: str) -> Any:
        found = await self._inner.find_store(session_id)
        return None if found is None else _TappedStore(found, self._tap)


class TurnCommits:
    """Tells the boundaries of a turn's commit from those of other writes."""

    def __init__(self, at: At) -> None:
        self._at = at
        self._inside = False

    def reached(self, name: str) -> None:
        """A failpoint of the store."""
        self._inside = self._inside or name == "stamp_write"
        if self._inside and name in ("stamp_write", "commit", "committed"):
            self._at(Moment("store", name))
        if name == "committed":
            self._inside = False


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
