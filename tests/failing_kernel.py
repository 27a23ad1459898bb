"""A kernel whose allocations can be made to fail, for tests; see `failing.zig` among the kernel's sources."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import wasmtime

import lashlang
from lashlang.kernel import build
from lashlang.vm.engine import Instance

MODE = "ReleaseSafe"
"""With checks: undefined behaviour becomes a trap, and a trap a KernelFault."""


class FailingLink:
    """A link (see `lashlang.vm.engine.Link`) with the two further exports."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module, memory: int) -> None:
        self._store = wasmtime.Store(engine)
        self._store.set_limits(memory_size=memory)
        self._exports: Any = wasmtime.Instance(self._store, module, []).exports(self._store)
        pointer: Any = self._exports["memory"].data_ptr(self._store)
        self.base: int = ctypes.addressof(pointer.contents)

    def _call(self, name: str, *arguments: int) -> int:
        try:
            return self._exports[name](self._store, *arguments) & 0xFFFF_FFFF
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise lashlang.KernelFault(f"the kernel trapped: {error}") from error

    def io(self) -> int:
        """See `Link`."""
        return self._call("io")

    def reserve(self, length: int) -> int:
        """See `Link`."""
        return self._call("reserve", length)

    def command(self, operation: int, length: int) -> int:
        """See `Link`."""
        return self._call("command", operation, length)

    def memory_size(self) -> int:
        """See `Link`."""
        return self._exports["memory"].data_len(self._store)

    def populate(self, start: int, size: int) -> None:
        """See `Link`; here pages come one by one."""

    def close(self) -> None:
        """See `Link`."""
        self._store.close()

    def fail_after(self, count: int) -> bool:
        """Let all allocations after `count` more fail, none for a negative count; whether any has failed before."""
        return self._call("fail_after", count) == 0

    def forget(self) -> int:
        """Drop variables, program and caches; the bytes that are left."""
        return self._call("forget")


class FailingKernel:
    """Takes the place of `lashlang.vm.engine.Kernel`; `link` is the one made last.

    Of instances yet to be made all allocations after `first` fail, none where it is negative.
    """

    link: FailingLink
    first: int = -1

    def __init__(self, file: Path) -> None:
        config = wasmtime.Config()
        config.memory_may_move = False
        self._engine = wasmtime.Engine(config)
        self._module = wasmtime.Module(self._engine, build.build_kernel(MODE, file, "failing.zig").read_bytes())

    def instantiate(self, memory: int) -> Instance:
        """See `Kernel`."""
        self.link = FailingLink(self._engine, self._module, memory)
        self.link.fail_after(self.first)
        return Instance(self.link)
