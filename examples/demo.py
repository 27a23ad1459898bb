"""The main demonstration: a Lashlang program that one process begins and another finishes.

    python examples/demo.py [--snapshot FILE]

The program (`stdlib_census/census.lash`) counts what is in Python's standard library. It reads some seven hundred
files, sixty-four at a time; all it can touch are the two tools of `stdlib_census/tools.py`. In the middle of such a
batch the first process writes the machine to a file and stops. A second one makes a machine of that file, answers
what is still open and takes the program to its end. Then it runs the program once without a stop, to compare.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lashlang
from lashlang import AwaitHandle, Call, Done, Print, Request, Requests, Response, Start, Step

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from stdlib_census import tools  # noqa: E402 - the folder of this file has to be on the path first

SOURCE = (HERE / "stdlib_census" / "census.lash").read_text(encoding="utf-8")
TOOLS = {name: getattr(tools, name) for name in tools.__all__}
POOL = ThreadPoolExecutor()
BATCH = 6
"""The batch of files in which the first process stops."""


def main() -> int:
    """Begin the program, or go on with it; 1 where it failed."""
    parser = argparse.ArgumentParser(description="Run a program in two processes, one after the other.")
    parser.add_argument("--snapshot", metavar="FILE", type=Path, help="keep the snapshot in this file")
    parser.add_argument("--finish", metavar="FILE", type=Path, help="what the second process does with it")
    options = parser.parse_args()
    if options.finish:
        return finish(options.finish)
    print(f"census.lash: {len(SOURCE.splitlines())} lines of Lashlang, tools: {', '.join(TOOLS)}")
    with tempfile.TemporaryDirectory() as folder:
        file = options.snapshot or Path(folder) / "census.snapshot"
        begin(file)
        sys.stdout.flush()
        return subprocess.run([sys.executable, __file__, "--finish", file], check=False).returncode


def begin(file: Path) -> None:
    """Run the program into a batch of files, answer half of that, and write the machine to `file`."""
    print(f"\nProcess {os.getpid()} begins.")
    machine = lashlang.Machine()
    step = machine.start(SOURCE)
    asked = batches = 0
    while isinstance(step, Requests):
        asked += len(step.new)
        batches += len(step.new) > 1
        if batches == BATCH:
            break
        step = machine.resume(answer_all(step.pending))
    if isinstance(step, Done):
        sys.exit(step.outcome.render_error() or "The library is so small that no snapshot was taken.")
    half = machine.pending[::2]
    machine.resume(answer_all(half))
    left = machine.pending
    file.write_bytes(machine.snapshot())
    print(f"  It has asked {asked} times and has {asked - len(left)} answers; batch {batches} is half read.")
    print(f"  Open are {len(left)} requests, from {named(left[0])} to {named(left[-1])}.")
    print(f"  It stops here and leaves a snapshot of {file.stat().st_size:,} bytes.")


def named(request: Request) -> str:
    """The file that a request for one asks for."""
    assert isinstance(request, AwaitHandle)
    return request.handle["args"]["path"]


def finish(file: Path) -> int:
    """Restore the machine, take its program to the end and compare with a run that was not stopped."""
    machine = lashlang.Machine.restore(file.read_bytes())
    print(f"\nProcess {os.getpid()} goes on, with {len(machine.pending)} requests open.")
    step: Step | None = machine.step
    while isinstance(step, Requests):
        step = machine.resume(answer_all(step.pending))
    assert isinstance(step, Done)  # there is nothing else that this program waits for
    outcome = step.outcome
    if outcome.error is not None:
        print(outcome.render_error(), file=sys.stderr)
        return 1
    report(outcome.value)
    print(f"\n  {outcome.requests:,} requests, {outcome.fuel:,} units of fuel")

    print("\nOnce more, in one process and without a stop:")
    whole = lashlang.Machine().run(SOURCE, tools=TOOLS)
    print(f"  {whole.requests:,} requests, {whole.fuel:,} units of fuel")
    same = whole == outcome
    print("  The result is the same." if same else "  The result is another one!")
    return 0 if same else 1


def report(summary: dict[str, Any]) -> None:
    """Print what the program submitted: four numbers and two lists, side by side."""
    print("  " + ", ".join(f"{summary[key]:,} {key}" for key in ("files", "lines", "classes", "functions")))
    print(f"\n  {'largest':<14}{'lines':>8}      {'most imported':<14}{'times':>6}")
    for large, imported in zip(summary["largest"], summary["most_imported"], strict=False):
        print(f"  {large['name']:<14}{large['lines']:>8,}      {imported['name']:<14}{imported['times']:>6,}")
    for file in summary["failed"]:
        print(f"  {file['path']} could not be read: {file['error']}")


def answer_all(requests: Sequence[Request]) -> dict[int, Response]:
    """The answers to some requests, found at the same time."""
    return dict(zip((request.id for request in requests), POOL.map(answer, requests), strict=True))


def answer(request: Request) -> Response:
    """What the host has to say to one request. A handle is the call it stands for, so any process can await it."""
    match request:
        case Call(tool=tool, args=args) | AwaitHandle(handle={"__handle__": tool, "args": args}):
            try:
                return Response.ok(TOOLS[tool](**args))
            except Exception as error:
                return Response.failed(str(error) or type(error).__name__)
        case Start(tool=tool, args=args):
            return Response.ok({"__handle__": tool, "args": args})
        case Print(text=text):
            print(f"  {text}")
            return Response.ok()
        case _:
            return Response.failed("this host cannot do that")


if __name__ == "__main__":
    sys.exit(main())
