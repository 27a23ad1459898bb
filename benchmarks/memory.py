"""Resident memory of idle instances, a job that runs in a process of its own."""

from __future__ import annotations

import gc
import os
from typing import Any

from benchmarks.engines import Engine, check
from benchmarks.measure import Figures
from benchmarks.workloads import expected


def pss_kib() -> int:
    """Proportional set size of this process and its descendants, in KiB (Linux)."""
    children: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(int(entry))
    total, queue = 0, [os.getpid()]
    while queue:
        pid = queue.pop()
        queue += children.get(pid, [])
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


def memory(engine: Engine, runs: int) -> Figures:
    """Resident memory of one idle instance that has run something, in KiB.

    It is the growth of the proportional set size (what is shared with other processes counts in parts) of this
    process and its children while `engine.instances` of them are opened, and nothing is closed.
    """
    source = engine.program("cold")
    wanted = expected()["cold"]

    def open_one() -> Any:
        session = engine.new()
        check(engine.run(session, source, {}), wanted)
        return session

    keep = [open_one() for _ in range(3)]
    gc.collect()
    before = pss_kib()
    keep += [open_one() for _ in range(engine.instances)]
    gc.collect()
    each = (pss_kib() - before) / engine.instances
    for session in keep:
        engine.close(session)
    return {"memory": each}
