"""Ten thousand parked sessions in one process, opened in any order: `python -m tests.facade.crash_parked [COUNT]`.

Prints how long it takes to make, park and open them, and what a parked session costs in memory.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lash
from lash.persistence import FileAttachmentStore, SqliteSessionStoreFactory
from lash.testing.scripted import ScriptedProvider

CODE = "```lashlang\nxs = [1, 2, 3]\nname = session_name\nsubmit name\n```"


def resident_kib() -> int:
    """What this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def park_and_open(count: int, **stores: Any) -> list[str]:
    """Make `count` sessions of one turn, park them and open all of them in another order; lines of a report.

    AssertionError where a session is not what it was.
    """
    provider = ScriptedProvider([CODE] * count)
    core = lash.LashCore.rlm(provider=provider, model="m", max_context_tokens=100_000, **stores)
    async with core:
        parked: list[lash.ParkedSession] = []
        before, began = resident_kib(), time.perf_counter()
        for number in range(count):
            session = await core.session(f"s-{number}", globals={"session_name": f"s-{number}"})
            await session.turn("Go.")
            parked.append(await session.park())
        made = time.perf_counter() - began
        provider.requests.clear()
        held = resident_kib() - before
        random.Random(1).shuffle(parked)
        began = time.perf_counter()
        slowest = 0.0
        for one in parked:
            at = time.perf_counter()
            session = await core.resume(one)
            slowest = max(slowest, time.perf_counter() - at)
            view = session.read_view()
            assert (view.turn_index, [message.text() for message in view.messages]) == (1, ["Go."])
            await session.aclose()
        opened = time.perf_counter() - began
        stats = core.stats()
        assert stats.open_sessions == 0
    return [
        f"{count} sessions made, with one turn each, and parked: {made:.1f} s, {made / count * 1000:.2f} ms each",
        f"memory per parked session: {held / count:.2f} KiB ({held} KiB in all)",
        f"opened in random order: {opened:.1f} s, {opened / count * 1000:.2f} ms each, slowest {slowest * 1000:.1f} ms",
        f"memory after all: {resident_kib() - before} KiB more than before",
    ]


async def _report(count: int) -> None:
    print("memory store", *await park_and_open(count), sep="\n  ", flush=True)
    with tempfile.TemporaryDirectory() as name:
        stores = {
            "store": SqliteSessionStoreFactory(Path(name) / "sessions", synchronous="NORMAL"),
            "attachments": FileAttachmentStore(Path(name) / "attachments"),
        }
        print("SQLite files", *await park_and_open(count, **stores), sep="\n  ", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Measure with as many sessions as are asked for."""
    asyncio.run(_report(int(arguments[0]) if arguments else 10_000))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
