"""Running a block in the caller's thread: requests are answered one after the other, in issue order.

For tools as plain functions. A tool host, or a tool that is asynchronous, needs an event loop; the
run then is one of `lashlang.runner` inside `asyncio.run`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from lashlang.errors import MachineMisuse
from lashlang.projection import read_all
from lashlang.toolhost import FAILURES, FunctionHost, as_failure
from lashlang.values import Value
from lashlang.vm.block import Block, BlockStep, Perform
from lashlang.vm.limits import check_timeout
from lashlang.vm.outcome import Outcome
from lashlang.vm.protocol import AnswerStatus, RequestKind
from lashlang.vm.steps import Done, ReadResponse, Reads, Yielded

if TYPE_CHECKING:
    from lashlang.compiler.program import Program
    from lashlang.toolhost import ToolHost
    from lashlang.vm.machine import Machine, Tools


def run(
    machine: Machine,
    program: Program | str,
    *,
    tools: Tools | None = None,
    host: ToolHost | None = None,
    projected: Mapping[str, Value] | None = None,
    fuel: int | None = None,
    timeout: float | None = None,
) -> Outcome:
    """See `Machine.run`."""
    if tools is not None and host is not None:
        raise TypeError("give either `tools` or `host`, not both")
    timeout = check_timeout(timeout)
    functions = host if isinstance(host, FunctionHost) else FunctionHost(tools) if host is None else None
    if functions is None or functions.needs_loop:
        whole: dict[str, Any] = {"host": host or functions, "projected": projected, "fuel": fuel, "timeout": timeout}
        return _on_loop(lambda: machine.run_async(program, **whole))
    block = machine.open_block(program, projected, fuel)
    if isinstance(block, Done):
        return block.outcome
    return _drive(block, lambda: block.begin(projected or {}), functions, timeout)


def finish(
    machine: Machine, *, tools: Tools | None = None, host: ToolHost | None = None, timeout: float | None = None
) -> Outcome:
    """See `Machine.finish`."""
    if tools is not None and host is not None:
        raise TypeError("give either `tools` or `host`, not both")
    timeout = check_timeout(timeout)
    functions = host if isinstance(host, FunctionHost) else FunctionHost(tools) if host is None else None
    if functions is None or functions.needs_loop:
        return _on_loop(lambda: machine.finish_async(host=host or functions, timeout=timeout))
    block = machine.take_turn()
    return _drive(block, block.look, functions, timeout)


def _drive(block: Block, begin: Callable[[], BlockStep], functions: FunctionHost, timeout: float | None) -> Outcome:
    """Take a block from its first step, which `begin` gives, to its outcome."""
    try:
        clock = _Clock(timeout)
        block.serve_with(_performer(functions, clock))
        try:
            step = begin()
            while not isinstance(step, Done):
                clock.check()
                if isinstance(step, Reads):
                    answered, rest = block.read_local(step)
                    answered.update((read.id, _NOBODY) for read in rest)
                    step = block.deliver(reads=answered, lenient=True)
                elif isinstance(step, Yielded) and step.heavy:
                    step = block.go_on_watched(clock.left())
                else:
                    step = block.go_on(heavy=False)
        except _TimeIsUpError as end:
            step = block.interrupt(str(end))
        return step.outcome
    finally:
        # After a KeyboardInterrupt, say: put the block to rest, so that the machine can be used again.
        block.abandon()


_NOBODY = ReadResponse.failed("it has no source that could be read")


class _TimeIsUpError(Exception):
    """The run's timeout has passed."""


class _Clock:
    """Watches a timeout."""

    __slots__ = ("_deadline", "_timeout")

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds that are left, at least 0; None without a timeout."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def check(self) -> None:
        """Raise when the time is up."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise _TimeIsUpError(stopped_after(self._timeout))


def _performer(host: FunctionHost, clock: _Clock) -> Perform:
    """How requests are answered: what a tool raises is its request's failure."""

    def perform(kind: int, first: Any, second: Any, has_projections: bool) -> tuple[int, Value]:
        try:
            if kind == RequestKind.CALL:
                value = host.call_now(first, read_all(second) if has_projections else second)
            elif kind == RequestKind.PRINT:
                value = host.print_now(first, first if second is None else second)
            elif kind == RequestKind.START:
                value = host.start_now(first, read_all(second) if has_projections else second)
            elif kind == RequestKind.AWAIT:
                value = host.await_now(first)
            else:
                value = host.cancel_now(first)
            answer = AnswerStatus.OK, value
        except FAILURES as error:
            answer = AnswerStatus.FAILED, as_failure(error).error
        clock.check()
        return answer

    return perform


def stopped_after(timeout: float | None) -> str:
    """The message of a block stopped by its timeout."""
    return f"stopped after {timeout:g} s"


def _on_loop(run: Callable[[], Coroutine[Any, Any, Outcome]]) -> Outcome:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run())
    raise MachineMisuse("an event loop is running in this thread: use `await machine.run_async(…)`")
