"""Running a fuzz target: input after input, each watched, and what fails written to a file."""

from __future__ import annotations

import faulthandler
import hashlib
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz.target import Target

HANG = 60
"""An execution that takes this many seconds hangs; limits end every proper one within a few."""

FOLDER = Path("fuzz-failures")
"""Where failing inputs are written."""

_SHRINKS = 400
_SHRINKING_SECONDS = 30
_STDERR = 2


class Watch:
    """Ends the process, with the input written to a file, when one execution does not come back."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._data: bytes | None = None
        self._since = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @contextmanager
    def over(self) -> Generator[None]:
        """Watch until the end of the context. Should even this thread be kept from running, a trace is printed."""
        faulthandler.dump_traceback_later(HANG * 10, exit=True, file=_STDERR)
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()
            faulthandler.cancel_dump_traceback_later()

    def run(self, data: bytes) -> None:
        """Run the target on an input."""
        self._since = time.monotonic()
        self._data = data
        try:
            self._target.run(data)
        finally:
            self._data = None

    def again(self) -> None:
        """Count from now on once more, for a run that lasts."""
        faulthandler.dump_traceback_later(HANG * 10, exit=True, file=_STDERR)

    def _look(self) -> None:
        while not self._over.wait(1):
            data = self._data
            if data is not None and time.monotonic() - self._since > HANG:
                faulthandler.dump_traceback(all_threads=True, file=_STDERR)
                print(f"an execution hangs\n{kept(self._target, data)}", flush=True)
                os._exit(3)


def kept(target: Target, data: bytes) -> str:
    """Write a failing input to a file; the command that runs it again."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
    file.write_bytes(data)
    return f"again: python -m tests.fuzz {target.name} --input {file}"


def inputs(target: Target, seed: int) -> Generator[bytes]:
    """The inputs of a run without end: first all seeds as they are, then variations. The same for the same seed."""
    pool = target.seeds(seed)
    sound = len(pool)
    yield from pool
    number = 0
    while True:
        choices = random.Random(f"{seed} {number}")
        number += 1
        # Variations of variations are mostly refused at once: half of all are made of a seed, however many others there
        # are by now.
        made_of = choices.choice(pool) if choices.random() < 0.5 else pool[choices.randrange(sound)]
        data = target.vary(made_of, choices, pool)
        yield data
        # They are kept as far as memory for them goes.
        if choices.random() < 0.02 and len(pool) < 5_000:
            pool.append(data)


def fuzz(target: Target, seed: int, *, seconds: float | None = None, count: int | None = None) -> int:
    """Run a target for some time, or on so many variations; 1 where it failed, else 0."""
    begun = time.monotonic()
    watch = Watch(target)
    done = 0
    first = len(target.seeds(seed))
    with watch.over():
        for data in inputs(target, seed):
            if (count is not None and done >= first + count) or (seconds is not None and _passed(begun, seconds)):
                break
            done += 1
            if done % 1000 == 0:
                watch.again()
            try:
                watch.run(data)
            except Exception as error:
                traceback.print_exc(file=sys.stdout)
                small = smaller(target, data, error)
                print(f"{target.name}, seed {seed}, input {done}\n{kept(target, small)}", flush=True)
                return 1
    print(f"{target.name}: {done} inputs, seed {seed}, nothing found", flush=True)
    return 0


def _passed(begun: float, seconds: float) -> bool:
    return time.monotonic() - begun > seconds


def smaller(target: Target, data: bytes, error: Exception) -> bytes:
    """A shorter input that fails with the same type of exception, by leaving out stretches, for a while."""
    begun = time.monotonic()
    tries = 0
    size = max(len(data) // 2, 1)

    def go_on() -> bool:
        return tries < _SHRINKS and not _passed(begun, _SHRINKING_SECONDS)

    while size >= 1 and go_on():
        at = 0
        while at < len(data) and go_on():
            tries += 1
            candidate = data[:at] + data[at + size :]
            if _fails_alike(target, candidate, error):
                data = candidate
            else:
                at += size
        size //= 2
    return data


def _fails_alike(target: Target, data: bytes, error: Exception) -> bool:
    try:
        target.run(data)
    except Exception as other:
        return type(other) is type(error)
    return False
