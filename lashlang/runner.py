"""Running a block on an asyncio event loop.

Requests that wait together run as concurrent tasks, and each answer resumes its branch as it comes.
A lone request is awaited directly, without a task. The first slice of computation runs inline; a block
that goes on computing, or has a large operation ahead, moves to a worker thread (the kernel is called
with the GIL released), in bursts, so that the loop stays live and machines share the threads fairly. What
is computed inline is bounded for all machines of a loop together (turns.py).

Cancelling the task that runs a block stops the block where it stands and cancels the tools it waits
for; the machine can be used again at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from lashlang.projection import Unsupported, error_text, read_all
from lashlang.sync_runner import stopped_after
from lashlang.toolhost import FAILURES, GRACE, FunctionHost, as_failure
from lashlang.turns import turns_of
from lashlang.values import Value
from lashlang.vm.block import Block, BlockStep, answer_read
from lashlang.vm.bulk import is_bulky
from lashlang.vm.limits import check_timeout
from lashlang.vm.outcome import Outcome
from lashlang.vm.protocol import AnswerStatus
from lashlang.vm.steps import (
    AwaitHandle,
    Call,
    Done,
    Print,
    Read,
    ReadResponse,
    Reads,
    Request,
    Requests,
    Response,
    Start,
    Yielded,
)
from lashlang.workers import COMPUTE, TOOLS, in_worker

if TYPE_CHECKING:
    from lashlang.compiler.program import Program
    from lashlang.toolhost import ToolHost
    from lashlang.vm.machine import Machine, Tools

BURST = 16
"""Slices a worker runs before it lets other machines have the thread: about 30 ms."""

SMALL_HEAP = 8 << 20
"""Bytes of a heap up to which a slice runs inline: to free or go through as much takes a few milliseconds at most."""

LONG_SOURCE = 2048
"""Characters of a source up to which it is compiled inline, which takes up to two microseconds for each."""


async def run_async(
    machine: Machine,
    program: Program | str,
    *,
    tools: Tools | None = None,
    host: ToolHost | None = None,
    projected: Mapping[str, Value] | None = None,
    fuel: int | None = None,
    timeout: float | None = None,
    compute_timeout: float | None = None,
    one_at_a_time: bool = False,
) -> Outcome:
    """See `Machine.run_async`."""
    if tools is not None and host is not None:
        raise TypeError("give either `tools` or `host`, not both")
    bounds = _Bounds(check_timeout(timeout), check_timeout(compute_timeout), one_at_a_time)
    own = FunctionHost(tools) if host is None else None
    if isinstance(program, str) and len(program) > LONG_SOURCE:
        block = await _opened(in_worker(COMPUTE, lambda: machine.open_block(program, projected, fuel)))
    else:
        await turns_of(asyncio.get_running_loop()).take()
        block = machine.open_block(program, projected, fuel)
    if isinstance(block, Done):
        return block.outcome
    names = projected or {}
    bulky = any(map(is_bulky, names.values()))
    return await _drive(block, lambda: block.begin(names, bulky=bulky), bulky, host or FunctionHost(), own, bounds)


async def finish_async(
    machine: Machine,
    *,
    tools: Tools | None = None,
    host: ToolHost | None = None,
    timeout: float | None = None,
    compute_timeout: float | None = None,
    one_at_a_time: bool = False,
) -> Outcome:
    """See `Machine.finish_async`."""
    if tools is not None and host is not None:
        raise TypeError("give either `tools` or `host`, not both")
    bounds = _Bounds(check_timeout(timeout), check_timeout(compute_timeout), one_at_a_time)
    own = FunctionHost(tools) if host is None else None
    block = machine.take_turn()
    return await _drive(block, block.look, False, host or FunctionHost(), own, bounds)


class _Bounds(NamedTuple):
    """How a run is bounded: seconds in all, seconds of computing, and whether answers are taken one by one."""

    timeout: float | None
    compute_timeout: float | None
    one_at_a_time: bool


class _ComputedTooLongError(Exception):
    """The machine has computed for all of its time."""


async def _drive(
    block: Block,
    begin: Callable[[], BlockStep],
    bulky: bool,
    host: ToolHost,
    own: FunctionHost | None,
    bounds: _Bounds,
) -> Outcome:
    """Take a block to its outcome; `own` is a host to be used, and closed, in the place of `host`."""
    timeout = bounds.timeout
    run = _Run(block, own or host, bounds)
    try:
        if timeout is None:
            return await run.drive(begin, bulky)
        try:
            async with asyncio.timeout(timeout):
                return await run.drive(begin, bulky)
        except TimeoutError:
            # It may have come to its end in a worker at the last moment.
            return block.outcome or block.interrupt(stopped_after(timeout)).outcome
    except _ComputedTooLongError:
        message = f"stopped after {bounds.compute_timeout:g} s of computing"
        return block.outcome or block.interrupt(message).outcome
    finally:
        block.abandon()
        try:
            await run.close()
        finally:
            if own is not None:
                await own.close()


class _Run:
    """One run of a block: its host, and the tasks of the requests that are open.

    Without a timeout a lone request is awaited without a task, which is faster, but leaves it to the tool
    whether a cancellation comes through.
    """

    __slots__ = (
        "_block",
        "_cancelled_before",
        "_direct",
        "_host",
        "_inline",
        "_keeps_projections",
        "_landed",
        "_left",
        "_one_at_a_time",
        "_stopping",
        "_task",
        "_tasks",
        "_turns",
        "_waits",
        "_wake",
    )

    def __init__(self, block: Block, host: ToolHost, bounds: _Bounds) -> None:
        self._block = block
        self._direct = bounds.timeout is None
        self._left = bounds.compute_timeout
        self._one_at_a_time = bounds.one_at_a_time
        self._stopping = False
        self._host = host
        self._keeps_projections: bool = getattr(host, "keeps_projections", False)
        self._waits: Callable[[int | None], None] = getattr(host, "waits", _unheard)
        self._inline = True
        self._tasks: dict[int, asyncio.Task[Response]] = {}
        self._landed: deque[int] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._turns = turns_of(asyncio.get_running_loop())
        self._task = asyncio.current_task()
        self._cancelled_before = 0 if self._task is None else self._task.cancelling()

    async def drive(self, begin: Callable[[], BlockStep], bulky: bool) -> Outcome:
        """Take the block from its first step, which `begin` gives, to its outcome."""
        block = self._block
        step = await self._enter(begin, bulky)
        while not isinstance(step, Done):
            if isinstance(step, Yielded):
                step = await self._compute(step)
            elif isinstance(step, Reads):
                reads = await self._read(step)
                bulky = any(is_bulky(answer.value) for answer in reads.values())
                step = await self._enter(partial(block.deliver, reads=reads, lenient=True, bulky=bulky), bulky)
            else:
                answers = await self._answers(step)
                bulky = any(is_bulky(answer.value) for answer in answers.values())
                step = await self._enter(partial(block.deliver, answers, lenient=True, bulky=bulky), bulky)
        return step.outcome

    # --- computing -------------------------------------------------------------------------------

    async def _enter(self, run: Callable[[], BlockStep], bulky: bool) -> BlockStep:
        """Go into the machine with answers: inline, or in a worker where that might take its time."""
        self._inline = not bulky and self._block.heap_used < SMALL_HEAP
        return await self._in_turn(run) if self._inline else await self._in_worker(run)

    async def _compute(self, step: Yielded) -> BlockStep:
        """Go on after a slice: once more inline, then in a worker, in bursts."""
        if self._inline and not step.heavy and self._block.heap_used < SMALL_HEAP:
            self._inline = False
            return await self._in_turn(lambda: self._block.go_on(heavy=False))
        return await self._in_worker(self._burst)

    async def _in_turn(self, run: Callable[[], BlockStep]) -> BlockStep:
        """Compute inline, when it is this run's turn."""
        turns = self._turns
        await turns.take()
        began = perf_counter()
        step = run()
        seconds = perf_counter() - began
        turns.spent(seconds)
        self._count(step, seconds)
        return step

    def _count(self, step: BlockStep, seconds: float) -> None:
        """The machine has computed so long; raises where that was all of its time."""
        if self._left is not None:
            self._left -= seconds
            if self._left <= 0 and not isinstance(step, Done):
                raise _ComputedTooLongError

    def _burst(self) -> BlockStep:
        """Some slices one after the other, in a worker."""
        step = self._block.go_on(heavy=True)
        for _ in range(BURST):
            if self._stopping or not isinstance(step, Yielded):
                break
            step = self._block.go_on(heavy=True)
        return step

    async def _in_worker(self, run: Callable[[], BlockStep]) -> BlockStep:
        began: float | None = None
        ended = 0.0

        def timed() -> BlockStep:
            nonlocal began, ended
            began = perf_counter()
            step = run()
            ended = perf_counter()
            return step

        future = in_worker(COMPUTE, timed)
        try:
            if self._left is None:
                return await asyncio.shield(future)
            wait = self._left
            while not future.done():
                await asyncio.wait([future], timeout=wait)
                # Waiting for a free worker is not computing.
                wait = self._left if began is None else self._left - (perf_counter() - began)
                if wait <= 0 and not future.done():
                    await self._hurry(future)
            step = future.result()
            self._count(step, ended - (began or ended))
            return step
        except asyncio.CancelledError:
            await self._hurry(future)
            future.result()  # what went wrong in there outranks the cancellation
            raise

    async def _hurry(self, future: asyncio.Future[BlockStep]) -> None:
        """Have the worker come back soon: it is inside the machine, and nobody else may be until then."""
        self._stopping = True
        self._block.hurry()
        await _settled(future)

    # --- answering -------------------------------------------------------------------------------

    async def _answers(self, step: Requests) -> dict[int, Response]:
        """Answers to give now: at least one, and all that have come in."""
        seen = self._block.take_seen_projection()
        if self._direct and len(step.new) == 1 and len(step.pending) == 1:
            request = step.new[0]
            self._waits(1)
            try:
                return {request.id: await self._perform(request, seen)}
            finally:
                self._waits(None)
        for request in step.new:
            task = asyncio.create_task(self._perform(request, seen))
            self._tasks[request.id] = task
            task.add_done_callback(partial(self._land, request.id))
        if not self._landed:
            self._waits(len(self._tasks))
        while not self._landed:
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        answers: dict[int, Response] = {}
        while self._landed:
            number = self._landed.popleft()
            task = self._tasks.pop(number)
            # A task that nobody here cancelled was cancelled by its own tool.
            answers[number] = _CANCELLED if task.cancelled() else task.result()
            if self._one_at_a_time:
                break
        return answers

    def _land(self, number: int, task: asyncio.Task[Response]) -> None:
        """A task has ended; ids are looked up when the answers are collected."""
        self._waits(None)
        if not task.cancelled():
            task.exception()  # looked at here, lest asyncio complain of those that nobody collects any more
        self._landed.append(number)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _perform(self, request: Request, has_projections: bool) -> Response:
        """Answer one request; what a tool raises is the request's failure."""
        host = self._host
        has_projections = has_projections and not self._keeps_projections
        try:
            if isinstance(request, Call):
                args = await self._read_args(request.args) if has_projections else request.args
                return Response(AnswerStatus.OK, await host.call(request.tool, args))
            if isinstance(request, Print):
                return Response(AnswerStatus.OK, await host.print(request.value, request.text))
            if isinstance(request, Start):
                args = await self._read_args(request.args) if has_projections else request.args
                return Response(AnswerStatus.OK, await host.start(request.tool, args))
            if isinstance(request, AwaitHandle):
                return Response(AnswerStatus.OK, await host.await_handle(request.handle))
            return Response(AnswerStatus.OK, await host.cancel(request.handle))
        except FAILURES as error:
            # What was cancelled may be the tool alone (a handle's task, say), and not this run.
            if isinstance(error, asyncio.CancelledError) and self._is_cancelled():
                raise
            return Response(AnswerStatus.FAILED, as_failure(error).error)

    def _is_cancelled(self) -> bool:
        """Whether somebody has cancelled the present task since this run began."""
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling() > (self._cancelled_before if task is self._task else 0)

    async def _read_args(self, args: dict[str, Value]) -> dict[str, Value]:
        return await asyncio.wrap_future(TOOLS.submit(lambda: read_all(args)))

    async def _read(self, step: Reads) -> dict[int, ReadResponse]:
        """Answer reads: those that may take long in a worker, those without a source by the tool host."""
        answers: dict[int, ReadResponse] = {}
        waiting: list[Read] = []
        for read in step.reads:
            source = read.target.source
            if source is not None and not source.blocking:
                answers[read.id] = answer_read(read)
            else:
                waiting.append(read)
        for read, answer in zip(waiting, await asyncio.gather(*map(self._read_one, waiting)), strict=True):
            answers[read.id] = answer
        return answers

    async def _read_one(self, read: Read) -> ReadResponse:
        if read.target.source is not None:
            # Not among those that compute: a source may hang, and machines must go on.
            return await in_worker(TOOLS, lambda: answer_read(read))
        try:
            return ReadResponse.ok(await self._host.read_projection(read.target, read.question, read.args))
        except Unsupported:
            return ReadResponse.unsupported()
        except FAILURES as error:
            if isinstance(error, asyncio.CancelledError) and self._is_cancelled():
                raise
            return ReadResponse.failed(error_text(error))

    async def close(self) -> None:
        """Cancel the tools that are still running; they get a moment to end."""
        tasks = [task for task in self._tasks.values() if not task.done()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE)


def _unheard(requests: int | None) -> None:
    """What a host hears that does not listen."""


_CANCELLED = Response(AnswerStatus.FAILED, as_failure(asyncio.CancelledError()).error)


async def _opened(opening: asyncio.Future[Block | Done]) -> Block | Done:
    """The block that a worker opens; one that is opened after a cancellation is closed again."""
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await _settled(opening)
        if opening.exception() is None and isinstance(block := opening.result(), Block):
            block.abandon()
        raise


async def _settled(future: asyncio.Future[Any]) -> None:
    """Wait until the future is done, however often the waiting task is cancelled."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])
