"""The fast link to wasmtime: its C functions called with addresses computed once per instance.

wasmtime's Python package loads `libwasmtime` and describes its C types in a private module. This
module takes both from there, checks the few layout facts it relies on, and calls the functions with
plain integers in place of typed pointers. One buffer per instance holds everything the C side writes:

    0    wasmtime_instance_t (16)
    16   trap pointer (8; words 4 and 5), then padding to 32
    32   two argument and result slots of 16 bytes (words 8 and 12)
    64   four wasmtime_extern_t: memory, io, reserve, command
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import wasmtime

from lashlang.errors import KernelFault

_EXPORTS = (b"memory", b"io", b"reserve", b"command")
_TRAP, _SLOTS, _EXTERNS = 16, 32, 64
_KIND_FUNC, _KIND_MEMORY = 0, 3


POOL_SLOTS = 64
"""Machines that the pool serves at a time; further ones are made the ordinary way."""

POOL_RESIDENT = 256 << 10
"""Bytes of a freed machine's memory that are cleared and kept, so that the next one need not fault them in again."""

_SLOT_RESERVED = 5 << 30

SMALL_MEMORY = 2 << 20
"""Memories up to this size are backed by ordinary pages."""

_MADV_HUGEPAGE, _MADV_POPULATE_WRITE = 14, 23


def pool_memories(config: wasmtime.Config) -> bool:
    """Make an engine of this configuration keep a pool of memories; False, and no change, where that cannot be.

    wasmtime aborts the process when it cannot reserve the pool's address space, so a reservation of
    that size is tried here first.
    """
    flags = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0) | getattr(mmap, "MAP_NORESERVE", 0)
    try:
        mmap.mmap(-1, POOL_SLOTS * _SLOT_RESERVED, flags=flags, prot=0).close()
        # The pool has no setting in the public API.
        from wasmtime import _ffi as private  # pyright: ignore[reportPrivateUsage]

        ffi: Any = private
        pool = ffi.wasmtime_pooling_allocation_config_new()
        for name in ("total_memories", "total_tables", "total_core_instances"):
            getattr(ffi, f"wasmtime_pooling_allocation_config_{name}_set")(pool, POOL_SLOTS)
        ffi.wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, POOL_RESIDENT)
        ffi.wasmtime_pooling_allocation_config_table_keep_resident_set(pool, 4096)
        ffi.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
        ffi.wasmtime_pooling_allocation_config_delete(pool)
    except (OSError, ValueError, TypeError, OverflowError, ImportError, AttributeError):
        return False
    return True


class NativeUnavailable(Exception):
    """The installed wasmtime is not laid out as this module expects."""


class Native:
    """The C functions, and what all instances of one module share.

    Raises NativeUnavailable where a function or type is missing or has another size; the caller then
    uses the public API.
    """

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        try:
            # The C library has no public name in the wasmtime package.
            from wasmtime import _ffi as private  # pyright: ignore[reportPrivateUsage]

            self.ffi: Any = private
            extern: Any = self.ffi.wasmtime_extern_t
            self.extern_size = ctypes.sizeof(extern)
            self.extern_union: int = extern.of.offset
            sizes = (ctypes.sizeof(self.ffi.wasmtime_instance_t), ctypes.sizeof(self.ffi.wasmtime_val_raw_t))
            self.store_new = self._function("wasmtime_store_new", pointer, pointer, pointer, pointer)
            self.store_context = self._function("wasmtime_store_context", pointer, pointer)
            self.store_delete = self._function("wasmtime_store_delete", None, pointer)
            self.store_limiter = self._function("wasmtime_store_limiter", None, pointer, *[ctypes.c_int64] * 5)
            self.instance_new = self._function("wasmtime_instance_new", pointer, *[pointer] * 3, size, pointer, pointer)
            self.export_get = self._function(
                "wasmtime_instance_export_get", ctypes.c_bool, pointer, pointer, ctypes.c_char_p, size, pointer
            )
            self.call = self._function("wasmtime_func_call_unchecked", pointer, *[pointer] * 3, size, pointer)
            self.memory_data = self._function("wasmtime_memory_data", pointer, pointer, pointer)
            self.memory_data_size = self._function("wasmtime_memory_data_size", size, pointer, pointer)
            self.engine = ctypes.cast(engine.ptr(), pointer).value
            self.module = ctypes.cast(module.ptr(), pointer).value
        except (ImportError, AttributeError) as error:
            raise NativeUnavailable(str(error)) from error
        if sizes != (16, 16):
            raise NativeUnavailable("unexpected type sizes")
        self._owners = (engine, module)
        self._advised: set[int] = set()
        self._madvise: Any = None
        if sys.platform == "linux":
            self._madvise = ctypes.CDLL(None).madvise
            self._madvise.argtypes = (pointer, size, ctypes.c_int)

    def _function(self, name: str, result: Any, *parameters: Any) -> Any:
        """A private handle on a C function: setting its types leaves the wasmtime package's own alone."""
        function: Any = self.ffi.dll[name]
        function.argtypes = parameters
        function.restype = result
        return function

    def prefer_large_pages(self, base: int) -> None:
        """Have the system back what a memory has beyond its first megabytes by large pages, where it can (Linux).

        They spare a memory of many megabytes most of its page faults. Small machines are left alone.
        """
        # Memories of the pool come back at the same addresses, where the advice still stands.
        if base not in self._advised:
            self._advised.add(base)
            # Advice that is refused is no error: the memory is backed by ordinary pages then.
            if self._madvise is not None:
                self._madvise(base + SMALL_MEMORY, _SLOT_RESERVED - (2 << 30), _MADV_HUGEPAGE)

    def populate(self, address: int, size: int) -> None:
        """Have the system provide all pages of a stretch at once, where it can (Linux 5.14), before it is written."""
        if self._madvise is not None:
            before = address % mmap.PAGESIZE
            self._madvise(address - before, size + before, _MADV_POPULATE_WRITE)

    def link(self, memory: int) -> NativeLink:
        """A new instance of the module, its memory limited to so many bytes; KernelFault when that fails."""
        return NativeLink(self, memory)

    def error_text(self, error: int) -> str:
        """The message of a `wasmtime_error_t`, which is freed."""
        typed: Any = ctypes.cast(error, self.ffi.POINTER(self.ffi.wasmtime_error_t))
        # The constructor that takes ownership of a C error has no public name.
        return str(wasmtime.WasmtimeError._from_ptr(typed))  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportUnknownArgumentType]

    def trap_text(self, trap: int) -> str:
        """The message of a `wasm_trap_t`, which is freed."""
        typed: Any = ctypes.cast(trap, self.ffi.POINTER(self.ffi.wasm_trap_t))
        message: Any = self.ffi.wasm_byte_vec_t()
        self.ffi.wasm_trap_message(typed, ctypes.byref(message))
        text: str = self.ffi.to_str(message)
        self.ffi.wasm_byte_vec_delete(ctypes.byref(message))
        self.ffi.wasm_trap_delete(typed)
        return text.rstrip("\0")


class NativeLink:
    """A `lashlang.vm.engine.Link` through the C functions."""

    __slots__ = ("_buffer", "_command", "_context", "_io", "_memory", "_native", "_reserve", "_store", "_words", "base")

    def __init__(self, native: Native, memory: int) -> None:
        self._native = native
        self._store: int | None = None
        self._buffer = ctypes.create_string_buffer(_EXTERNS + len(_EXPORTS) * native.extern_size)
        self._words = memoryview(self._buffer).cast("B").cast("I")
        at = ctypes.addressof(self._buffer)
        self._store = native.store_new(native.engine, None, None)
        self._context: int = native.store_context(self._store)
        native.store_limiter(self._store, memory, -1, -1, -1, -1)
        error = native.instance_new(self._context, native.module, None, 0, at, at + _TRAP)
        trap = self._trap()
        if error or trap:
            text = native.error_text(error) if error else native.trap_text(trap)
            raise KernelFault(f"the kernel cannot be started: {text}")
        unions: list[int] = []
        for index, name in enumerate(_EXPORTS):
            offset = _EXTERNS + index * native.extern_size
            found = native.export_get(self._context, at, name, len(name), at + offset)
            if not found or self._words[offset // 4] & 0xFF != (_KIND_FUNC if index else _KIND_MEMORY):
                raise KernelFault(f"the kernel does not export `{name.decode()}`")
            unions.append(at + offset + native.extern_union)
        self._memory, io, reserve, command = unions
        slots, trap_at = at + _SLOTS, at + _TRAP
        self._io = (self._context, io, slots, 1, trap_at)
        self._reserve = (self._context, reserve, slots, 1, trap_at)
        self._command = (self._context, command, slots, 2, trap_at)
        self.base: int = native.memory_data(self._context, self._memory)
        native.prefer_large_pages(self.base)

    def _trap(self) -> int:
        return self._words[4] | self._words[5] << 32

    def _run(self, call: tuple[int, ...]) -> int:
        error = self._native.call(*call)
        words = self._words
        if error or words[4] or words[5]:
            raise self._fault(error)
        return words[8]

    def _fault(self, error: int | None) -> KernelFault:
        trap = self._trap()
        text = self._native.error_text(error) if error else self._native.trap_text(trap)
        return KernelFault(f"the kernel trapped: {text}")

    def io(self) -> int:
        """See `Link`."""
        return self._run(self._io)

    def reserve(self, length: int) -> int:
        """See `Link`."""
        self._words[8] = length
        return self._run(self._reserve)

    def command(self, operation: int, length: int) -> int:
        """See `Link`."""
        # Not through `_run`: this is the one call that every exchange with the kernel makes.
        words = self._words
        words[8] = operation
        words[12] = length
        error = self._native.call(*self._command)
        if error or words[4] or words[5]:
            raise self._fault(error)
        return words[8]

    def memory_size(self) -> int:
        """See `Link`."""
        return self._native.memory_data_size(self._context, self._memory)

    def populate(self, start: int, size: int) -> None:
        """See `Link`."""
        self._native.populate(self.base + start, size)

    def close(self) -> None:
        """See `Link`."""
        store, self._store = self._store, None
        if store is not None:
            self._native.store_delete(store)

    def __del__(self) -> None:
        self.close()
