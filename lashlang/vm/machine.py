"""The machine: one VM with its state, driven from outside and doing no I/O of its own.

`start` and `resume` are the sans-IO core: each runs the block until it needs its host and says what
it needs. `run` and `run_async` drive them with tools. A machine is used by one thread at a time and
runs one block at a time; a second use meanwhile raises `MachineBusy`. Machines share nothing.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from lashlang.compiler.faults import KINDS
from lashlang.compiler.program import Program
from lashlang.errors import HostValueError, KernelFault, LanguageError, MachineBusy, MachineMisuse
from lashlang.syntax.diagnostics import CompileError
from lashlang.values import Value
from lashlang.vm.block import Block, BlockStep
from lashlang.vm.engine import Kernel
from lashlang.vm.limits import DEFAULT, MIB, Limits, check_limit
from lashlang.vm.outcome import Outcome
from lashlang.vm.protocol import Command, Status
from lashlang.vm.steps import Done, ReadResponse, Reads, Request, Response, Step, Yielded
from lashlang.vm.wire import Codec, explain

if TYPE_CHECKING:
    from lashlang.toolhost import ToolHost

Tools = Mapping[str, Callable[..., Any]]
"""Tools as plain functions by name."""

RESERVED = frozenset({"history"})
"""Names that belong to the host in every session (chapter 14)."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYWORDS = frozenset("if else for in parallel await cancel submit print call and or not true false null".split())

_SLACK = 16 * MIB
_DRIVEN = "a runner or another thread drives the block that is running on this machine"


class Machine:
    """One virtual machine: a state of variables that outlives blocks, and at most one running block.

    `limits` hold for every block until others are set; `run`, `run_async` and `start` can set another
    `fuel`. A machine can be used as a context manager, or `close`d, to free its memory early. Raises
    KernelFault where the kernel is missing or cannot be started, LanguageError where the limit `memory`
    is too small to begin, TypeError where `limits` are none.
    """

    # `_busy` is held from a block's beginning to its end, `_turn` by whoever drives it: a runner all that
    # time, `start` and `resume` until they return.
    __slots__ = ("_block", "_busy", "_codec", "_fuel", "_instance", "_limits", "_turn")

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = DEFAULT if limits is None else _checked(limits)
        # The kernel keeps to `memory` itself; twice that leaves room for messages on their way in or out.
        self._instance = Kernel.shared().instantiate(2 * self.limits.memory + _SLACK)
        self._codec = Codec()
        self._block: Block | None = None
        self._busy = threading.Lock()
        self._turn = threading.Lock()
        self._fuel = -1
        self._configure(self.limits.fuel)

    # --- running ---------------------------------------------------------------------------------

    def run(
        self,
        program: Program | str,
        *,
        tools: Tools | None = None,
        host: ToolHost | None = None,
        projected: Mapping[str, Value] | None = None,
        fuel: int | None = None,
        timeout: float | None = None,
    ) -> Outcome:
        """Run a block to its end, calling tools in this thread one after the other.

        `tools` are plain functions by name, `host` anything that answers requests; `projected` are
        values the block sees as read-only names (plain data, a `Projection`, or a `Projected`).
        Tools or hosts that are asynchronous make this a call of `asyncio.run`. `timeout` in seconds
        stops the block (`interrupted`) between slices and tool calls. A source that does not compile
        gives a failed outcome.
        """
        from lashlang.sync_runner import run

        return run(self, program, tools=tools, host=host, projected=projected, fuel=fuel, timeout=timeout)

    async def run_async(
        self,
        program: Program | str,
        *,
        tools: Tools | None = None,
        host: ToolHost | None = None,
        projected: Mapping[str, Value] | None = None,
        fuel: int | None = None,
        timeout: float | None = None,
    ) -> Outcome:
        """Run a block to its end on the running event loop; requests that wait together run concurrently.

        Parameters as for `run`; plain functions run in worker threads. Cancelling the task stops the
        block and its tools and leaves the machine usable.
        """
        from lashlang.runner import run_async

        return await run_async(self, program, tools=tools, host=host, projected=projected, fuel=fuel, timeout=timeout)

    # --- sans-IO ---------------------------------------------------------------------------------

    def start(
        self, program: Program | str, *, projected: Mapping[str, Value] | None = None, fuel: int | None = None
    ) -> Step:
        """Begin a block and run it until it is done or needs its host.

        A source that does not compile gives `Done` with a failed outcome. Raises MachineBusy while a
        block is running, HostValueError where a projected value is no Lashlang value.
        """
        block = self.open_block(program, projected, fuel)
        if isinstance(block, Done):
            return block
        try:
            return self._settle(block, block.begin(projected or {}))
        except BaseException:
            block.abandon()
            raise
        finally:
            self._end_turn(block)

    def resume(
        self,
        responses: Mapping[int, Response] | None = None,
        *,
        reads: Mapping[int, ReadResponse] | None = None,
    ) -> Step:
        """Answer some of what is pending, by id, and run on until the block is done or needs its host again.

        Raises MachineMisuse for an unknown id, an empty answer or an idle machine, MachineBusy while a
        runner or another thread drives the block, and HostValueError where a response's value is no
        Lashlang value; nothing has changed then.
        """
        block = self._take_turn()
        try:
            return self._settle(block, block.deliver(responses or {}, reads or {}, heavy=True))
        finally:
            self._end_turn(block)

    def interrupt(self, message: str = "interrupted by the host") -> Done:
        """Stop the running block where it waits: outcome `interrupted`. What it did and assigned so far stays.

        For blocks that `start` began; one of `run_async` is stopped by cancelling its task. Raises as `resume`.
        """
        block = self._take_turn()
        try:
            return block.interrupt(message)
        finally:
            self._end_turn(block)

    @property
    def globals(self) -> Globals:
        """The variables, between blocks: read, set and delete them as in a dict."""
        return Globals(self)

    @property
    def limits(self) -> Limits:
        """The limits in force; set others between blocks only, else MachineBusy.

        Setting a greater `memory` than the machine was made with does not enlarge it beyond twice that.
        """
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self.between_blocks(Command.CONFIGURE, _checked(limits).as_list())
        self._limits = limits
        self._fuel = limits.fuel

    @property
    def pending(self) -> tuple[Request, ...]:
        """The open requests of the running block."""
        return () if self._block is None else tuple(self._block.pending.values())

    @property
    def running(self) -> bool:
        """Whether a block has begun and is not over."""
        return self._block is not None

    def open_block(
        self, program: Program | str, projected: Mapping[str, Value] | None, fuel: int | None
    ) -> Block | Done:
        """For runners: claim the machine for a block, which they then drive; `Done` where it does not compile.

        Raises TypeError where `program` is neither a Program nor text.
        """
        for name in projected or ():
            _check_name(name)
        source = program
        try:
            if isinstance(program, str):
                from lashlang.compiler import compile as compile_source

                program = compile_source(program)
            elif not isinstance(cast("object", program), Program):
                raise TypeError(f"a program is a source or a Program, not {type(program).__name__}")
            if projected:
                program = program.with_readonly(frozenset(projected))
        except CompileError as error:
            return Done(
                Outcome("failed", error=error.diagnostic, source=source if isinstance(source, str) else source.source)
            )
        self._claim()
        try:
            self._configure(self.limits.fuel if fuel is None else fuel)
            if not self._turn.acquire(blocking=False):
                raise MachineBusy(_DRIVEN)
        except BaseException:
            self._busy.release()
            raise
        self._block = Block(
            self._instance, self._codec, program, largest=self.limits.memory, on_end=self._release, names=self._names
        )
        return self._block

    def _settle(self, block: Block, step: BlockStep) -> Step:
        """Go on through slices and reads of local projections."""
        while True:
            if isinstance(step, Yielded):
                step = block.go_on(heavy=True)
            elif isinstance(step, Reads):
                answered, rest = block.read_local(step)
                if not answered:
                    return Reads(rest)
                step = block.deliver(reads=answered, heavy=True, lenient=True)
            else:
                return step

    # --- the machine itself ------------------------------------------------------------------------

    @property
    def heap_used(self) -> int:
        """Bytes of the VM's heap in use."""
        return self._instance.heap_used

    def close(self) -> None:
        """Free the machine's memory; it cannot be used afterwards.

        A block that waits for `resume` is stopped. MachineBusy while a runner or another thread drives one.
        """
        if not self._turn.acquire(blocking=False):
            raise MachineBusy(_DRIVEN)
        block = self._block
        if block is None:
            self._turn.release()
        else:
            block.abandon()
        self._instance.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _claim(self) -> None:
        if not self._busy.acquire(blocking=False):
            raise MachineBusy("a block is running on this machine, or another thread is using it")

    def _release(self) -> None:
        self._block = None
        self._turn.release()
        self._busy.release()

    def _take_turn(self) -> Block:
        """The running block, for a caller that drives it until `_end_turn`."""
        if not self._turn.acquire(blocking=False):
            raise MachineBusy(_DRIVEN)
        block = self._block
        if block is None:
            self._turn.release()
            raise MachineMisuse("no block is running")
        return block

    def _end_turn(self, block: Block) -> None:
        """The caller drives the block no longer; the end of a block has released the turn already."""
        if not block.over:
            self._turn.release()

    def _configure(self, fuel: int) -> None:
        if fuel != self._fuel:
            check_limit("fuel", fuel)
            # The kernel takes the seed of its hashes from the first of these; nobody can prepare keys that collide.
            seed = int.from_bytes(os.urandom(8), "little")
            self._between(Command.CONFIGURE, [fuel, *self.limits.as_list()[1:], seed])
            self._fuel = fuel

    def _names(self) -> list[str]:
        """The variables' names, for hints; none where memory does not suffice to list them."""
        try:
            return self._between(Command.NAMES, [])
        except LanguageError:
            return []

    def between_blocks(self, command: int, message: list[Any]) -> Any:
        """For `Globals`: one command that is allowed between blocks only; MachineBusy while one runs."""
        self._claim()
        try:
            return self._between(command, message)
        finally:
            self._busy.release()

    def _between(self, command: int, message: list[Any]) -> Any:
        try:
            status, reply = self._instance.command(command, self._codec.pack(message), self._codec.unpack)
        except MemoryError as error:
            raise LanguageError("the value is larger than the machine's memory") from error
        if status == Status.OK:
            return reply
        if status == Status.FAILED:
            if reply is None:
                raise LanguageError("limit_exceeded: the limit `memory` is too small for anything at all")
            raise LanguageError(f"{KINDS[reply[2]]}: {reply[5]}")
        explain(message)
        raise KernelFault(f"the kernel answered with status {status}: {reply}")


class Globals(MutableMapping[str, Value]):
    """A machine's variables between blocks, in the order they were first bound (chapter 15).

    Reading gives a fresh Python value each time; changing that changes nothing in the machine.
    Setting raises HostValueError for what is no Lashlang value, and ValueError for what is no name or
    belongs to the host. Everything raises MachineBusy while a block is running.
    """

    __slots__ = ("_machine",)

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __getitem__(self, name: str) -> Value:
        if not is_name(name):
            raise KeyError(name)
        found, value = self._machine.between_blocks(Command.GET, [name])
        if not found:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: Value) -> None:
        _check_name(name)
        if name in RESERVED:
            raise ValueError(f"`{name}` is a name of the host; project it instead")
        try:
            self._machine.between_blocks(Command.SET, [name, value])
        except HostValueError:
            explain(value)  # names the place inside the value, not inside the message
            raise

    def __delitem__(self, name: str) -> None:
        if not is_name(name) or not self._machine.between_blocks(Command.DELETE, [name])[0]:
            raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._machine.between_blocks(Command.NAMES, []))

    def __len__(self) -> int:
        return len(self._machine.between_blocks(Command.NAMES, []))

    def __contains__(self, name: object) -> bool:
        return name in self._machine.between_blocks(Command.NAMES, [])

    def __repr__(self) -> str:
        return f"<globals of a machine: {', '.join(self)}>"


def _checked(limits: object) -> Limits:
    if not isinstance(limits, Limits):
        raise TypeError(f"a machine's limits are Limits, not {type(limits).__name__}")
    return limits


def is_name(name: object) -> bool:
    """Whether a program could use this as a variable's name (chapter 1)."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and name not in _KEYWORDS


def _check_name(name: object) -> None:
    if not is_name(name):
        raise ValueError(f"{name!r} is not a Lashlang name")
