"""The engines that are measured: one class each, registered by name.

To add one: subclass `Engine`, give it a name and programs in its own language, and implement what it
offers; raise `NotOffered` where the language has no such thing.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.metadata
import platform
import time
from collections.abc import Callable
from typing import Any, ClassVar

from benchmarks.workloads import HOST_CALLS, LASHLANG, PYTHON, expected

Clock = Callable[[], float]


class NotOffered(Exception):
    """The engine has no such feature; the table shows a dash, the notes the reason."""


def ext(i: int) -> int:
    """The host function that the host-call jobs call."""
    return i + 1


async def ext_async(i: int) -> int:
    """The same as a coroutine function."""
    return i + 1


class Engine:
    """One language in one package."""

    registry: ClassVar[dict[str, type[Engine]]] = {}
    name: ClassVar[str]
    package: ClassVar[str | None] = None
    programs: ClassVar[dict[str, str]] = PYTHON
    instances: ClassVar[int] = 1000
    """How many idle instances the memory job opens."""
    note: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Register the engine under its name."""
        Engine.registry[cls.name] = cls

    def version(self) -> str:
        """The version measured."""
        return importlib.metadata.version(self.package) if self.package else platform.python_version()

    def start(self) -> None:
        """Imports and pools, once per process, not timed; ImportError: the engine is skipped."""

    def stop(self) -> None:
        """Undo `start`."""

    def new(self) -> Any:
        """A fresh instance."""
        raise NotImplementedError

    def run(self, session: Any, program: str, inputs: dict[str, Any]) -> Any:
        """Run a program with variables and give its value."""
        raise NotImplementedError

    def close(self, session: Any) -> None:
        """Throw an instance away."""

    def host(self, session: Any) -> Any:
        """Run the program that makes `HOST_CALLS` synchronous calls of `ext`."""
        raise NotOffered("no host calls")

    def host_async(self) -> float:
        """Seconds for `HOST_CALLS` awaited calls of `ext_async`, one after the other."""
        raise NotOffered("no asynchronous host calls")


class CPython(Engine):
    """exec and eval in a fresh namespace: no sandbox at all, the baseline."""

    name = "cpython"
    note = "no isolation"

    def new(self) -> dict[str, Any]:
        """An empty namespace."""
        return {}

    def run(self, session: dict[str, Any], program: str, inputs: dict[str, Any]) -> Any:
        """Run all but the last statement, evaluate the last."""
        session.update(inputs)
        tree = ast.parse(program)
        last = tree.body.pop()
        if not isinstance(last, ast.Expr):
            raise TypeError("the last statement of a job is an expression")
        exec(compile(tree, "<job>", "exec"), session)
        return eval(compile(ast.Expression(last.value), "<job>", "eval"), session)

    def host(self, session: dict[str, Any]) -> Any:
        """A plain function call."""
        return self.run(session, PYTHON["host"], {"ext": ext})

    def host_async(self) -> float:
        """Plain awaits of a coroutine."""

        async def main() -> int:
            total = 0
            for i in range(HOST_CALLS):
                total += await ext_async(i)
            return total

        begin = time.perf_counter()
        check(asyncio.run(main()), expected()["host"])
        return time.perf_counter() - begin


class Monty(Engine):
    """pydantic-monty: a pool of worker processes, one per live session."""

    name = "monty"
    package = "pydantic-monty"
    instances = 100
    note = "a worker process for each live session; new = checkout from a warm pool"

    def start(self) -> None:
        """Open the pool."""
        self.module: Any = importlib.import_module("pydantic_monty")
        self.pool: Any = self.module.Monty(max_processes=4096)
        self.pool.__enter__()

    def stop(self) -> None:
        """Close the pool."""
        self.pool.__exit__(None, None, None)

    def new(self) -> Any:
        """A session checked out of the pool."""
        return self.pool.checkout(limits={"max_suspensions": 1_000_000}).__enter__()

    def run(self, session: Any, program: str, inputs: dict[str, Any]) -> Any:
        """Feed the program to the session."""
        return session.feed_run(program, inputs=inputs)

    def close(self, session: Any) -> None:
        """Give the session back."""
        session.__exit__(None, None, None)

    def host(self, session: Any) -> Any:
        """External function calls."""
        return session.feed_run(PYTHON["host"], external_lookup={"ext": ext})

    def host_async(self) -> float:
        """Awaited external function calls."""

        async def main() -> float:
            limits = {"max_suspensions": 1_000_000}
            async with self.module.AsyncMonty() as pool, pool.checkout(limits=limits) as session:
                begin = time.perf_counter()
                value = await session.feed_run(PYTHON["host_async"], external_lookup={"ext": ext_async})
                seconds = time.perf_counter() - begin
                check(value, expected()["host"])
                return seconds

        return asyncio.run(main())


class Lash(Engine):
    """Lashlang in this process: bytecode for a VM in WebAssembly."""

    name = "lash"
    package = "lash-runtime"
    programs = LASHLANG
    note = "sandboxed in process, every run metered by fuel"

    def start(self) -> None:
        """Import the package and compile the kernel."""
        self.module: Any = importlib.import_module("lashlang")
        self.module.Machine().run("submit 1")

    def new(self) -> Any:
        """A machine of its own."""
        return self.module.Machine()

    def run(self, session: Any, program: str, inputs: dict[str, Any]) -> Any:
        """Set the variables and run."""
        for name, value in inputs.items():
            session.globals[name] = value
        return submitted(session.run(program))

    def close(self, session: Any) -> None:
        """Free the machine's memory."""
        session.close()

    def host(self, session: Any) -> Any:
        """Tool calls answered inline."""
        return submitted(session.run(LASHLANG["host"], tools={"ext": ext}))

    def host_async(self) -> float:
        """Tool calls answered by coroutines."""

        async def main() -> float:
            machine = self.new()
            begin = time.perf_counter()
            outcome = await machine.run_async(LASHLANG["host"], tools={"ext": ext_async})
            seconds = time.perf_counter() - begin
            check(submitted(outcome), expected()["host"])
            return seconds

        return asyncio.run(main())


def submitted(outcome: Any) -> Any:
    """The value of an outcome that must have submitted."""
    if outcome.status != "submitted":
        raise AssertionError(f"the job ended as {outcome.status}: {outcome.error}")
    return outcome.value


def check(value: Any, wanted: Any) -> None:
    """Compare a job's answer with the right one; numbers by value."""
    if value != wanted:
        raise AssertionError(f"the job answered {value!r} instead of {wanted!r}")
