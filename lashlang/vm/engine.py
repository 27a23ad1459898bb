"""The WebAssembly engine: what a machine needs of wasmtime, and the safety around it.

A process compiles the kernel once (`Kernel.shared()`), and wasmtime's own cache keeps the compiled
form on disk. `Kernel.instantiate()` makes an `Instance`: a store, the kernel's memory and its three
functions, tied together for good. Only `Instance.command` reaches them, so a function can never meet
the context of another store (which would abort the process), and a lock that is tried, never waited
for, turns use from two threads into `MachineBusy`.

An instance stands on a `Link`, of which there are two: `lashlang.vm.native.NativeLink` talks to
wasmtime's C functions with precomputed addresses (a call costs 0.7 us where `Func.__call__` needs
over 20), `PublicLink` is written with the public API alone and serves where the other cannot be set
up. A test holds the two equal. Calls release the GIL.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import wasmtime

from lashlang.errors import KernelFault, MachineBusy, MachineClosed
from lashlang.vm.native import SMALL_MEMORY, Native, NativeUnavailable, pool_memories
from lashlang.vm.protocol import Command

T = TypeVar("T")

KERNEL_FILE = Path(__file__).parent.parent / "kernel" / "vm.wasm"
"""Where the package build puts the compiled kernel."""

MAX_MEMORY = 1 << 32
"""Size of a 32-bit address space: no machine's memory can be larger."""

_PYBUF_WRITE = 0x200
_view_at: Any = ctypes.pythonapi.PyMemoryView_FromMemory
_view_at.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]
_view_at.restype = ctypes.py_object


class Link(Protocol):
    """One kernel instance's functions and memory, bound to their store; any method raises KernelFault on a trap."""

    base: int
    """Address of the linear memory, which never moves."""

    def io(self) -> int:
        """Offset of the kernel's io block."""
        ...

    def reserve(self, length: int) -> int:
        """Make room for an input of this length: its offset, 0 when memory does not suffice."""
        ...

    def command(self, operation: int, length: int) -> int:
        """Run a command on the first `length` bytes of the input: its status."""
        ...

    def memory_size(self) -> int:
        """Present size of the linear memory in bytes."""
        ...

    def populate(self, start: int, size: int) -> None:
        """The memory is going to be written from `start` on: have so many bytes of it ready."""
        ...

    def close(self) -> None:
        """Free store and memory; nothing else may be called after."""
        ...


class PublicLink:
    """A link through wasmtime's public Python API only."""

    __slots__ = ("_command", "_io", "_memory", "_reserve", "_store", "base")

    def __init__(self, store: wasmtime.Store, module: wasmtime.Module) -> None:
        exports: Any = wasmtime.Instance(store, module, []).exports(store)
        self._store = store
        self._memory: wasmtime.Memory = exports["memory"]
        self._io: wasmtime.Func = exports["io"]
        self._reserve: wasmtime.Func = exports["reserve"]
        self._command: wasmtime.Func = exports["command"]
        self.base: int = ctypes.addressof(self._memory.data_ptr(store).contents)

    def _call(self, function: wasmtime.Func, *arguments: int) -> int:
        try:
            return function(self._store, *arguments) & 0xFFFF_FFFF
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise KernelFault(f"the kernel trapped: {error}") from error

    def io(self) -> int:
        """See `Link`."""
        return self._call(self._io)

    def reserve(self, length: int) -> int:
        """See `Link`."""
        return self._call(self._reserve, length)

    def command(self, operation: int, length: int) -> int:
        """See `Link`."""
        return self._call(self._command, operation, length)

    def memory_size(self) -> int:
        """See `Link`."""
        return self._memory.data_len(self._store)

    def populate(self, start: int, size: int) -> None:
        """See `Link`; there is nothing public to do it with."""

    def close(self) -> None:
        """See `Link`."""
        self._store.close()


class Kernel:
    """The compiled kernel, from which instances are made.

    The first instances come from an engine that pools memories, which makes a short-lived machine
    cheap; when its pool is used up, or cannot be had, from an ordinary one.

    Raises KernelFault where the file is missing, is no valid module, or has imports.
    """

    _shared: Kernel | None = None
    _sharing = threading.Lock()
    _pool: _Compiled | None
    _plain: _Compiled | None

    def __init__(self, file: Path = KERNEL_FILE) -> None:
        try:
            self._code = file.read_bytes()
        except OSError as error:
            reason = f"the kernel cannot be read: {error}; `python -m lashlang.kernel.build` builds it"
            raise KernelFault(reason) from error
        self._pool = self._plain = None
        self._making = threading.Lock()
        config = _config()
        if pool_memories(config):
            self._pool = _Compiled(wasmtime.Engine(config), self._code)
        else:
            self._plain = _Compiled(wasmtime.Engine(_config()), self._code)

    @classmethod
    def shared(cls) -> Kernel:
        """The process's kernel, compiled (or fetched from the cache) on first use."""
        kernel = cls._shared
        if kernel is None:
            with cls._sharing:
                kernel = cls._shared = cls._shared or cls()
        return kernel

    def instantiate(self, memory: int, *, public: bool = False) -> Instance:
        """A fresh instance whose linear memory can grow to `memory` bytes at most.

        `public` asks for the slower link through wasmtime's public API. Raises KernelFault when
        wasmtime cannot make one (no address space, a limit below the kernel's own needs).
        """
        memory = min(memory, MAX_MEMORY)
        if self._pool is not None and self._pool.native is not None and not public:
            # A pool that is used up is no error; any other reason comes again below.
            with suppress(KernelFault):
                return Instance(self._pool.native.link(memory))
        plain = self._ordinary()
        if plain.native is not None and not public:
            return Instance(plain.native.link(memory))
        store = wasmtime.Store(plain.engine)
        store.set_limits(memory_size=memory)
        try:
            return Instance(PublicLink(store, plain.module))
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise KernelFault(f"the kernel cannot be started: {error}") from error

    def _ordinary(self) -> _Compiled:
        """The kernel compiled for an engine without a pool, on first need."""
        with self._making:
            if self._plain is None:
                self._plain = _Compiled(wasmtime.Engine(_config()), self._code)
            return self._plain


class _Compiled:
    """The kernel's module for one engine, and the fast way to instances of it where there is one."""

    def __init__(self, engine: wasmtime.Engine, code: bytes) -> None:
        self.engine = engine
        try:
            self.module = wasmtime.Module(engine, code)
        except wasmtime.WasmtimeError as error:
            raise KernelFault(f"the kernel is no valid module: {error}") from error
        if self.module.imports:
            raise KernelFault("the kernel has imports; a kernel has none")
        try:
            self.native: Native | None = Native(engine, self.module)
        except NativeUnavailable:
            self.native = None


def _config() -> wasmtime.Config:
    """A configuration with wasmtime's compile cache, where there is a home directory that can be written."""
    config = wasmtime.Config()
    # A memory that never moves lets an instance compute its base address once.
    config.memory_may_move = False
    with suppress(wasmtime.WasmtimeError):
        config.cache = True
    return config


class Instance:
    """One running kernel and its memory; `command` is the only way in.

    After a trap the instance is dead: its memory may be inconsistent, so every later use raises `KernelFault`.
    """

    __slots__ = ("_fault", "_held", "_io", "_link", "_lock", "_size", "_view")

    def __init__(self, link: Link) -> None:
        self._lock = threading.Lock()
        self._held = False
        self._fault: str | None = None
        self._link: Link | None = link
        # in_ptr, in_cap, out_ptr, out_len, status, stop, used_bytes, top
        self._io: memoryview = _view_at(link.base + link.io(), 32, _PYBUF_WRITE).cast("I")
        self._size = 0
        self._view = memoryview(b"")
        self._refresh(link)

    def _refresh(self, link: Link) -> None:
        """Take the memory's present size: it only ever grows, and in place."""
        self._size = link.memory_size()
        self._view = _view_at(link.base, self._size, _PYBUF_WRITE)

    def command(self, operation: int, data: bytes, decode: Callable[[memoryview], T]) -> tuple[int, T]:
        """Run one kernel command: its status, and what `decode` makes of its output.

        `decode` gets a view of the kernel's memory that is good for the duration of its call only.
        Raises MachineBusy when another thread is in this instance, MachineClosed after `close`,
        MemoryError when the input does not fit the instance's memory (nothing has changed then), and
        KernelFault when the kernel traps, now or in an earlier call.
        """
        # A snapshot being taken is waited for: it is no reason for a run to fail.
        if not self._lock.acquire(blocking=False) and not (self._held and self._lock.acquire()):
            raise MachineBusy("the machine is in use by another thread")
        try:
            return self._exchange(operation, data, decode)
        finally:
            self._lock.release()

    @contextmanager
    def hold(self) -> Generator[Callable[[int], tuple[int, bytes]]]:
        """Keep all others out for several commands in a row, which the function given carries out: status and output.

        Raises MachineBusy when another thread is in this instance; who calls `command` meanwhile waits.
        """
        if not self._lock.acquire(blocking=False):
            raise MachineBusy("the machine is in use by another thread")
        self._held = True
        try:
            yield lambda operation: self._exchange(operation, b"", bytes)
        finally:
            self._held = False
            self._lock.release()

    @contextmanager
    def contents(self) -> Generator[list[tuple[int, memoryview]]]:
        """All of the kernel's memory that matters, for `become` of another instance of the same kernel.

        Gives stretches of it with their addresses, ascending, which are good, and keep all others out, until the
        end of the context. Raises MachineBusy when another thread is in this instance, MachineClosed after `close`.
        """
        with self.hold() as command:
            _, packed = command(Command.HOLES)
            self._refresh(self._alive())
            bounds = sorted(struct.iter_unpack("<II", packed))
            starts = [0, *(end for _, end in bounds)]
            ends = [*(start for start, _ in bounds), self._io[7]]
            if ends[-1] > self._size:
                raise self._dead("the kernel's memory ends before its contents")
            top = ends[-1]
            # The last one stays though it be empty: it tells how far the memory reaches.
            yield [(a, self._view[a:b]) for a, b in zip(starts, ends, strict=True) if a < b or b == top]

    def become(self, contents: Sequence[tuple[int, memoryview]]) -> None:
        """Take over the memory of another instance; MemoryError where this one cannot grow that far.

        It is trusted: it must come from `contents` of an instance of the same kernel.
        """
        with self.hold():
            link = self._alive()
            start, last = contents[-1]
            size = start + len(last)
            # Room for a message of that size is at the end of the memory, which so grows far enough.
            room = -(-size // SMALL_MEMORY) * SMALL_MEMORY
            if size > self._size and not link.reserve(room) and not link.reserve(size):
                raise MemoryError("the copy does not fit the machine's memory")
            self._refresh(link)
            for start, stretch in contents:
                link.populate(start, len(stretch))
                self._view[start : start + len(stretch)] = stretch

    def _alive(self) -> Link:
        link = self._link
        if link is None:
            raise MachineClosed("the machine is closed")
        if self._fault is not None:
            raise KernelFault(self._fault)
        return link

    def _make_room(self, link: Link, length: int) -> None:
        """Have the kernel take an input longer than usual; MemoryError where it cannot."""
        if not link.reserve(length):
            raise MemoryError("the input does not fit the machine's memory")
        self._refresh(link)
        # What is made of the input takes as much again, most likely right behind it.
        start = self._io[0]
        end = min(start + 2 * length, SMALL_MEMORY, self._size)
        if start < end:
            link.populate(start, end - start)

    def _exchange(self, operation: int, data: bytes, decode: Callable[[memoryview], T]) -> tuple[int, T]:
        try:
            link = self._link
            if link is None or self._fault is not None:
                link = self._alive()
            io = self._io
            length = len(data)
            if length > io[1]:
                self._make_room(link, length)
            start = io[0]
            self._view[start : start + length] = data
            status = link.command(operation, length)
            start = io[2]
            end = start + io[3]
            if end > self._size:
                self._refresh(link)
                if end > self._size:
                    raise KernelFault("the kernel's output lies outside its memory")
            return status, decode(self._view[start:end])
        except KernelFault as fault:
            self._fault = str(fault)
            raise

    def ask_to_stop(self, wanted: bool = True) -> None:
        """Let the long operation that another thread runs in here give up at its next look; False takes it back.

        It leaves nothing behind: the kernel answers that the operation is still ahead (`Status.HEAVY`), and does so
        until it is taken back.
        """
        if self._link is not None:
            self._io[5] = wanted

    def _dead(self, reason: str) -> KernelFault:
        self._fault = reason
        return KernelFault(reason)

    def retire(self, reason: str) -> KernelFault:
        """Declare the instance dead because its answers broke the contract; gives the error to raise."""
        with self._lock:
            self._fault = reason
        return KernelFault(reason)

    @property
    def heap_used(self) -> int:
        """Bytes of the kernel's heap in use."""
        return self._io[6] if self._link is not None else 0

    def close(self) -> None:
        """Free the memory; MachineBusy when another thread is inside. Closing twice is harmless."""
        if not self._lock.acquire(blocking=False):
            raise MachineBusy("the machine is in use by another thread")
        try:
            link, self._link = self._link, None
            if link is not None:
                self._io = self._view = memoryview(b"")
                link.close()
        finally:
            self._lock.release()
