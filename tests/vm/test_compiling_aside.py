"""Compiling on an event loop: what may take long is compiled in a worker thread."""

from __future__ import annotations

import threading

import pytest

from lashlang import Machine
from lashlang.runner import LONG_SOURCE

LONGEST_INLINE = 10_000
"""Microseconds that compiling may hold an event loop; a character takes 2 or fewer of them, on slow machines 4."""


async def compiled_by(source: str, monkeypatch: pytest.MonkeyPatch) -> threading.Thread:
    """The thread that compiles a source for `run_async`."""
    threads: list[threading.Thread] = []
    open_block = Machine.open_block

    def noted(machine: Machine, *args: object) -> object:
        threads.append(threading.current_thread())
        return open_block(machine, *args)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Machine, "open_block", noted)
    with Machine() as machine:
        outcome = await machine.run_async(source)
    assert outcome.value == 1
    (thread,) = threads
    return thread


def program_of(size: int) -> str:
    """A program of so many characters that submits 1."""
    return "x = 1\nsubmit x" + " " * (size - len("x = 1\nsubmit x"))


async def test_a_source_that_takes_long_to_compile_is_compiled_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = await compiled_by(program_of(LONGEST_INLINE // 4), monkeypatch)
    assert thread is not threading.current_thread()


async def test_a_short_source_is_compiled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = await compiled_by(program_of(LONG_SOURCE), monkeypatch)
    assert thread is threading.current_thread()
