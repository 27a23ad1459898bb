"""The suite against the stores of lash: `python -m lash.testing.conformance [--scale ci|long] [--store NAME]`.

Prints each case as it ends. The exit code is 1 if any case failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from lash.host.stores.memory import MemorySessionStoreFactory
from lash.testing.conformance import Case, Report, Scale, run
from lash.testing.conformance.sqlite import SqlitePlaces


def main(arguments: list[str] | None = None) -> int:
    """Run the suite as the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lash.testing.conformance", description="Test the session stores.")
    parser.add_argument("--scale", choices=("ci", "long"), default="ci", help="how many rounds (default: ci)")
    parser.add_argument("--store", choices=("memory", "sqlite"), action="append", help="only this store")
    options = parser.parse_args(arguments)
    scale: Scale = "long" if options.scale == "long" else "ci"
    failed = 0
    for name in options.store or ("memory", "sqlite"):
        print(f"{name}:")
        started = time.monotonic()
        try:
            report = run_memory(scale, _show) if name == "memory" else run_sqlite(scale, _show)
        except AssertionError as error:
            failed += 1
            print(error, file=sys.stderr)
            continue
        for case, reason in report.skipped:
            print(f"  skipped {case}: it {reason}")
        print(f"  {len(report.passed)} cases passed in {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


def run_memory(scale: Scale, told: Callable[[Case, str], None] | None = None) -> Report:
    """The suite against the memory store. Raises AssertionError."""
    return run(MemorySessionStoreFactory, scale=scale, told=told)


def run_sqlite(scale: Scale, told: Callable[[Case, str], None] | None = None) -> Report:
    """The suite against the SQLite store, in a temporary folder. Raises AssertionError."""
    with TemporaryDirectory() as base:
        places = SqlitePlaces(Path(base))
        return run(
            places.make_store,
            reopen=places.reopen,
            kill=places.reopen,
            instruments=places,
            scale=scale,
            told=told,
        )


def _show(case: Case, state: str) -> None:
    print(f"  {state:7} {case}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
