"""Effects that a journal records, against commits of the same run."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.engines import check
from benchmarks.measure import Figures
from benchmarks.runtime_measure import median
from benchmarks.runtime_stores import Committer, turn_events, vm_states
from lash.host.effects.inline import InlineEffectHost
from lash.host.effects.journal import JournalEffectHost
from lash.host.stores.sqlite import SqliteSessionStoreFactory
from lash.host.system import SystemClock
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.effects import (
    EffectEnvelope,
    EffectHost,
    EffectInvocation,
    EffectOutcome,
    ExecutionScope,
)

SCOPE = ExecutionScope("turn", session_id="s", turn_id="t")
OUTCOME: dict[str, JsonValue] = {"text": "what a tool has found " * 50, "rows": [[n, str(n)] for n in range(50)]}
"""About 2 KB of JSON, as of a tool call."""


class Counted:
    """Does nothing, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, envelope: EffectEnvelope) -> EffectOutcome:
        """The outcome."""
        self.runs += 1
        return EffectOutcome(OUTCOME)


async def executed(host: EffectHost, size: int, work: Counted) -> list[float]:
    """Seconds of each of so many effects of one turn."""
    taken: list[float] = []
    async with host.scoped(SCOPE) as controller:
        for number in range(size):
            invocation = EffectInvocation("s", "t", 1, number, str(number + 1), "tool_call", (f"c{number}",))
            envelope = EffectEnvelope(invocation, {"kind": "tool_call", "name": "find", "args": {"n": number}})
            begin = time.perf_counter()
            outcome = await controller.execute(envelope, work)
            taken.append(time.perf_counter() - begin)
            check(outcome.value, OUTCOME)
    return taken


async def journal(size: int, folder: Path) -> Figures:
    """An effect with its recording, the same played back, and as a ratio to a commit of this run.

    The peer is the inline host, which records nothing.
    """
    work = Counted()
    host = JournalEffectHost(folder / "journal.db")
    recorded = median(await executed(host, size, work))
    check(work.runs, size)
    replayed = median(await executed(host, size, work))
    check(work.runs, size)
    await host.aclose()
    inline = median(await executed(InlineEffectHost(SystemClock()), size, work))
    check(work.runs, 2 * size)
    return {
        "effect": recorded,
        "effect.peer": inline,
        "effect_replayed": replayed,
        "effect_to_commit": recorded / await _commit(max(5, size // 10), folder),
    }


async def _commit(size: int, folder: Path) -> float:
    factory = SqliteSessionStoreFactory(folder / "sessions")
    committer = await Committer.opened(factory, "one")
    states = vm_states()
    taken: list[float] = []
    state = b""
    for number in range(size):
        state, events = next(states), turn_events(number)
        begin = time.perf_counter()
        await committer.commit(events, state)
        taken.append(time.perf_counter() - begin)
    await committer.check_stored(state)
    await committer.aclose()
    await factory.aclose()
    return median(taken)
