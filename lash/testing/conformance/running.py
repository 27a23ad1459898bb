"""Running cases: one, or all of them with a report."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from lash.runtime.seams.persistence import SessionStoreFactory
from lash.testing.conformance import branching, commits, durable, factories, leasing, queueing, racing
from lash.testing.conformance.world import REGISTERED, Case, Instruments, Opener, Scale, Skipped, World

MODULES = (commits, racing, branching, leasing, queueing, durable, factories)
"""Importing these registers the cases."""

CASES: tuple[Case, ...] = tuple(sorted(REGISTERED, key=lambda case: (case.number, case.name)))
"""All cases, by number. Some numbers have several: each is one behaviour."""


@dataclass
class Report:
    """What came of a run: passed cases, skipped ones with the reason, failed ones with the traceback."""

    passed: list[Case] = field(default_factory=list[Case])
    skipped: list[tuple[Case, str]] = field(default_factory=list[tuple[Case, str]])
    failed: list[tuple[Case, str]] = field(default_factory=list[tuple[Case, str]])

    def check(self) -> None:
        """Raises AssertionError that names every failed case, what it wants and how it failed."""
        if self.failed:
            details = "\n\n".join(f"{case}: {case.expectation}\n{trouble}" for case, trouble in self.failed)
            raise AssertionError(f"{len(self.failed)} of {len(CASES)} cases failed\n\n{details}")


def cases(scale: Scale = "ci") -> tuple[Case, ...]:
    """The cases of a scale."""
    return tuple(case for case in CASES if scale == "long" or not case.long_only)


async def run_case(
    case: Case,
    make_store: Opener,
    *,
    reopen: Callable[[SessionStoreFactory], Opener] | None = None,
    kill: Callable[[SessionStoreFactory], Opener] | None = None,
    instruments: Instruments | None = None,
    scale: Scale = "ci",
) -> None:
    """Run one case. Raises AssertionError where it fails, and Skipped where it needs what is not given."""
    world = World(make_store, reopen, kill, instruments, scale)
    try:
        await case.play(world)
    finally:
        await world.aclose()


def run(
    make_store: Opener,
    *,
    reopen: Callable[[SessionStoreFactory], Opener] | None = None,
    kill: Callable[[SessionStoreFactory], Opener] | None = None,
    instruments: Instruments | None = None,
    scale: Scale = "ci",
    told: Callable[[Case, str], None] | None = None,
) -> Report:
    """Run the suite in an event loop of its own, all cases, and say at the end what failed.

    `told` is called after each case, with "passed", "failed" or "skipped". Raises AssertionError if any case failed.
    """
    report = Report()
    for case in cases(scale):
        try:
            asyncio.run(run_case(case, make_store, reopen=reopen, kill=kill, instruments=instruments, scale=scale))
        except Skipped as reason:
            report.skipped.append((case, str(reason)))
            state = "skipped"
        except Exception:
            report.failed.append((case, traceback.format_exc()))
            state = "failed"
        else:
            report.passed.append(case)
            state = "passed"
        if told is not None:
            told(case, state)
    report.check()
    return report
