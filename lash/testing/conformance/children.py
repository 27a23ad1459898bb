"""Child processes of the suite: a parent that has imported everything, and forks a child for every job.

The parent reads lists of jobs from its standard input and answers with their endings. Starting Python anew for each of
dozens of children would cost half a second each; a fork of a process with event loops and database threads would be
unsafe. This parent has neither.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, NoReturn

from lash.runtime.seams.persistence import RuntimeCommit, RuntimePersistence
from lash.testing.clock import FakeClock
from lash.testing.conformance.material import append_until_it_works
from lash.testing.conformance.world import Opener, Skipped, request


@dataclass(frozen=True)
class Job:
    """A function for a child, and its arguments; all of it can be pickled."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Ending:
    """How a child ended: its exit status (negative: the signal), what the function returned, or its traceback."""

    status: int
    result: Any = None
    trouble: str = ""


# --- what children do ----------------------------------------------------------------------------


def commit_many(opener: Opener, now_ms: int, label: str, count: int) -> int:
    """Commit so many turns, reloading on conflicts; how many there were."""

    async def write(store: RuntimePersistence) -> int:
        for number in range(count):
            await append_until_it_works(store, f"{label}.{number}")
        return count

    return asyncio.run(_with_store(opener, now_ms, lambda name: None, write))


def commit_and_die(opener: Opener, now_ms: int, commit: RuntimeCommit, point: str) -> None:
    """Begin a commit and be killed at a failpoint; returns only where the failpoint is not reached."""

    async def write(store: RuntimePersistence) -> None:
        armed.append(True)
        await store.commit_runtime_state(commit)

    def failpoint(name: str) -> None:
        if armed and name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    armed: list[bool] = []
    asyncio.run(_with_store(opener, now_ms, failpoint, write))


async def _with_store(
    opener: Opener, now_ms: int, failpoint: Callable[[str], None], work: Callable[[RuntimePersistence], Any]
) -> Any:
    factory = opener(clock=FakeClock(now_ms), failpoint=failpoint)
    try:
        return await work(await factory.open_store(request()))
    finally:
        await factory.aclose()


# --- the parent of the children ------------------------------------------------------------------


async def run(jobs: Sequence[Job]) -> list[Ending]:
    """Run jobs at the same time, each in a child of its own. Raises Skipped where processes cannot be forked."""
    return (await run_each([jobs]))[0]


async def run_each(groups: Sequence[Sequence[Job]]) -> list[list[Ending]]:
    """Run groups of jobs, one group after the other. Raises Skipped where processes cannot be forked."""
    if not hasattr(os, "fork"):
        raise Skipped("needs a system that can fork processes")
    return await asyncio.to_thread(_run_groups, groups)


def _run_groups(groups: Sequence[Sequence[Job]]) -> list[list[Ending]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        answers: list[list[Ending]] = []
        for group in groups:
            _send(parent.stdin, list(group))
            answers.append(_receive(parent.stdout))
        parent.stdin.close()
    return answers


def serve() -> None:
    """Answer the lists of jobs on standard input until there are no more."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            jobs: list[Job] = _receive(requests)
        except EOFError:
            return
        _send(answers, [_finish(*child) for child in [_start(job) for job in jobs]])


def _start(job: Job) -> tuple[int, int]:
    """Fork a child for a job; its process id, and where it writes what comes of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    os.close(reading)
    _work(job, writing)


def _work(job: Job, writing: int) -> NoReturn:
    """A child's life. It ends without the parent's clean-up, whatever happens."""
    try:
        ending = Ending(0, job.function(*job.arguments))
    except BaseException:
        ending = Ending(1, trouble=traceback.format_exc())
    try:
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(ending, pipe)
    finally:
        os._exit(ending.status)


def _finish(child: int, reading: int) -> Ending:
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return pickle.loads(said) if said else Ending(os.waitstatus_to_exitcode(status))


def _send(stream: IO[bytes], value: object) -> None:
    data = pickle.dumps(value)
    stream.write(struct.pack(">Q", len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    header = stream.read(8)
    if len(header) < 8:
        raise EOFError("nothing more comes")
    (length,) = struct.unpack(">Q", header)
    return pickle.loads(stream.read(length))
