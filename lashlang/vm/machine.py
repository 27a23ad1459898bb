"""The machine: one VM with its state, driven from outside and doing no I/O of its own.

`start` and `resume` are the sans-IO core: each runs the block until it needs its host and says what
it needs. `run` and `run_async` drive them with tools. A machine is used by one thread at a time and
runs one block at a time; a second use meanwhile raises `MachineBusy`. Machines share nothing.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

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
from lashlang.vm.steps import Done, Print, ReadResponse, Reads, Request, Requests, Response, Step, Yielded
from lashlang.vm.wire import Codec, explain

if TYPE_CHECKING:
    from lashlang.toolhost import ToolHost
    from lashlang.vm.snapshot import FormName
    from lashlang.vm.sources import Resolve

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
    __slots__ = ("_busy", "_in_force", "_limits", "_turn", "block", "codec", "instance")

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = DEFAULT if limits is None else _checked(limits)
        # The kernel keeps to `memory` itself; twice that leaves room for messages on their way in or out.
        self.instance = Kernel.shared().instantiate(2 * self.limits.memory + _SLACK)
        self.codec = Codec()
        self.block: Block | None = None
        self._busy = threading.Lock()
        self._turn = threading.Lock()
        self._in_force: Limits | None = None
        self.narrow(self.limits)

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
        compute_timeout: float | None = None,
        one_at_a_time: bool = False,
    ) -> Outcome:
        """Run a block to its end on the running event loop; requests that wait together run concurrently.

        Parameters as for `run`; plain functions run in worker threads. Cancelling the task stops the
        block and its tools and leaves the machine usable.

        `compute_timeout` bounds the seconds that the machine itself computes; what tools take is not counted. With
        `one_at_a_time` the block goes on after every single answer, in the order in which they come. What it asks
        next then depends on that order alone, which is what a host needs that records a run and repeats it.
        """
        from lashlang.runner import run_async

        return await run_async(
            self,
            program,
            tools=tools,
            host=host,
            projected=projected,
            fuel=fuel,
            timeout=timeout,
            compute_timeout=compute_timeout,
            one_at_a_time=one_at_a_time,
        )

    def finish(
        self, *, tools: Tools | None = None, host: ToolHost | None = None, timeout: float | None = None
    ) -> Outcome:
        """Take a suspended block, started or restored, to its end in this thread; parameters as for `run`.

        Raises MachineMisuse where no block is suspended.
        """
        from lashlang.sync_runner import finish

        return finish(self, tools=tools, host=host, timeout=timeout)

    async def finish_async(
        self,
        *,
        tools: Tools | None = None,
        host: ToolHost | None = None,
        timeout: float | None = None,
        compute_timeout: float | None = None,
        one_at_a_time: bool = False,
    ) -> Outcome:
        """Take a suspended block, started or restored, to its end on the running event loop, as `run_async` does.

        Parameters as for `run_async`. Raises MachineMisuse where no block is suspended.
        """
        from lashlang.runner import finish_async

        return await finish_async(
            self,
            tools=tools,
            host=host,
            timeout=timeout,
            compute_timeout=compute_timeout,
            one_at_a_time=one_at_a_time,
        )

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
        block = self.take_turn()
        try:
            return self._settle(block, block.deliver(responses or {}, reads or {}))
        finally:
            self._end_turn(block)

    def interrupt(self, message: str = "interrupted by the host") -> Done:
        """Stop the running block where it waits: outcome `interrupted`. What it did and assigned so far stays.

        For blocks that `start` began; one of `run_async` is stopped by cancelling its task. Raises as `resume`.
        """
        block = self.take_turn()
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
        self._claim()
        try:
            self.narrow(_checked(limits))
            self._limits = limits
        finally:
            self._busy.release()

    @property
    def pending(self) -> tuple[Request, ...]:
        """The open requests of the running block."""
        return () if self.block is None else tuple(self.block.pending.values())

    @property
    def running(self) -> bool:
        """Whether a block has begun and is not over."""
        return self.block is not None

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
            if fuel is not None:
                check_limit("fuel", fuel)
            self.narrow(self._limits if fuel is None else replace(self._limits, fuel=fuel))
            block = self._new_block(program)
            if not self._turn.acquire(blocking=False):
                raise MachineBusy(_DRIVEN)
        except BaseException:
            self._busy.release()
            raise
        self.block = block
        return block

    def _new_block(self, program: Program) -> Block:
        return Block(
            self.instance, self.codec, program, largest=self.limits.memory, on_end=self._release, names=self._names
        )

    # --- snapshots -------------------------------------------------------------------------------

    def snapshot(self, form: FormName = "portable", *, key: bytes | None = None) -> bytes:
        """The machine as bytes: its variables and, if a block is suspended, all that the rest of its run depends on.

        Possible between blocks and whenever a block waits for answers, in a tool that it called too; taking one
        changes nothing. A `portable` snapshot can be restored by other builds of lash and is checked when it is,
        an `image` is a copy of the memory for the same build. `key`, 16 bytes or more, seals it: `restore` with
        the same key then proves that it is the host's own and unchanged.

        Raises MachineBusy while the machine computes, LashlangError where its memory has no room for the account
        that is made first, TypeError or ValueError for a form or key that is none.
        """
        from lashlang.vm.snapshot import take

        return take(self, form, key)

    @classmethod
    def restore(
        cls,
        data: bytes,
        *,
        limits: Limits | None = None,
        key: bytes | None = None,
        projections: Resolve | None = None,
        trust_image: bool = False,
    ) -> Self:
        """A machine made of a snapshot, which is untouched and can be restored again.

        `limits` are granted to it, by default those of chapter 16; a suspended block keeps narrower ones that it
        had. `projections` finds the source of a projected value by its `ref` and type name; values whose source is
        not found are placeholders, reading them is `projection_unavailable`. An image needs the `key` that sealed
        it or, from a place only the host can write to, `trust_image`.

        Raises SnapshotError for a snapshot that is cut, altered, sealed with another key, of an unknown version,
        inconsistent in itself or larger than the memory granted; nothing of it has been used then.
        """
        from lashlang.vm.snapshot import restore

        return restore(cls, data, limits, key, projections, trust_image)

    def to_json(self) -> str:
        """The variables as JSON, for tests, export and people: the form of chapter 15.1, described in statejson.py.

        Only between blocks. `from_json` of the text gives the same variables, and their `to_json` the same text; what
        values share is written wherever it stands, so `snapshot` is the better form for storage.

        Raises SnapshotError while a block is suspended and, naming the variable, for one larger than the limit
        `value_size`; MachineBusy while another thread uses the machine.
        """
        from lashlang.vm.statejson import write

        return write(self)

    @classmethod
    def from_json(cls, text: str, *, limits: Limits | None = None, projections: Resolve | None = None) -> Self:
        """A machine with the variables of a text that `to_json` wrote, or anybody else.

        `limits` are granted to it, by default those of chapter 16, and hold for the variables too. `projections` as
        for `restore`; values whose source is not found are placeholders.

        Raises SnapshotError, saying what and where, for a text that is no such snapshot, is of an unknown version,
        holds what is no value, or breaks a limit.
        """
        from lashlang.vm.statejson import read

        return read(cls, text, DEFAULT if limits is None else _checked(limits), projections)

    def fork(self) -> Self:
        """A second machine in the same state: the same variables and, if a block is suspended, the same block.

        The two share nothing from then on; projections of both ask the same sources. Possible whenever `snapshot`
        is, and quicker. Raises MachineBusy while the machine computes.
        """
        twin = type(self)(self._limits)
        try:
            with self.instance.contents() as contents:
                block = self.block
                twin.instance.become(contents)
            twin.codec = Codec(self.codec.sources)
            twin._in_force = self._in_force
            if block is not None:
                twin.adopt(block.program, block.projected, block.prints)
        except BaseException:
            twin.close()
            raise
        return twin

    @property
    def step(self) -> Requests | Reads | None:
        """What the suspended block waits for, all that is open; None where it waits for nothing."""
        block = self.block
        if block is None or not (block.reads or block.pending):
            return None
        if block.reads:
            return Reads(tuple(block.reads.values()))
        pending = tuple(block.pending.values())
        return Requests(pending, pending)

    @property
    def limits_in_force(self) -> Limits:
        """The limits of the running block, or of the last one: `limits`, or narrower ones."""
        return self._in_force or self._limits

    def adopt(self, program: Program, projected: Iterable[str], prints: Iterable[Print]) -> None:
        """For the package: take charge of the block that the kernel, restored, is in the middle of."""
        self._claim()
        block = self.block = self._new_block(program)
        block.take_up(projected, prints)

    def _settle(self, block: Block, step: BlockStep) -> Step:
        """Go on through slices and reads of local projections."""
        while True:
            if isinstance(step, Yielded):
                step = block.go_on_watched() if step.heavy else block.go_on(heavy=False)
            elif isinstance(step, Reads):
                answered, rest = block.read_local(step)
                if not answered:
                    return Reads(rest)
                step = block.deliver(reads=answered, lenient=True)
            else:
                return step

    # --- the machine itself ------------------------------------------------------------------------

    @property
    def heap_used(self) -> int:
        """Bytes of the VM's heap in use."""
        return self.instance.heap_used

    def close(self) -> None:
        """Free the machine's memory; it cannot be used afterwards.

        A block that waits for `resume` is stopped. MachineBusy while a runner or another thread drives one.
        """
        if not self._turn.acquire(blocking=False):
            raise MachineBusy(_DRIVEN)
        block = self.block
        if block is None:
            self._turn.release()
        else:
            block.abandon()
        self.instance.close()

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
        self.block = None
        self._turn.release()
        self._busy.release()

    def take_turn(self) -> Block:
        """For runners: the running block, which the caller drives until its end (or `_end_turn`)."""
        if not self._turn.acquire(blocking=False):
            raise MachineBusy(_DRIVEN)
        block = self.block
        if block is None:
            self._turn.release()
            raise MachineMisuse("no block is running")
        return block

    def _end_turn(self, block: Block) -> None:
        """The caller drives the block no longer; the end of a block has released the turn already."""
        if not block.over:
            self._turn.release()

    def narrow(self, limits: Limits) -> None:
        """For the package: put these limits in force, for one block or for the state of a restored one."""
        if limits is not self._in_force:
            # The kernel takes the seed of its hashes from the first of these; nobody can prepare keys that collide.
            seed = int.from_bytes(os.urandom(8), "little")
            self._between(Command.CONFIGURE, [*limits.as_list(), seed])
            self._in_force = limits

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
            status, reply = self.instance.command(command, self.codec.pack(message), self.codec.unpack)
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
