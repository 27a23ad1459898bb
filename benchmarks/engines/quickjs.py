"""quickjs: JavaScript in process, each context with a runtime of its own."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.engines.base import Engine, ext, ext_async
from benchmarks.programs import JAVASCRIPT

MEMORY = 256 << 20
"""The memory limit of every context, lash's default."""


class QuickJS(Engine):
    """One context each."""

    name = "quickjs"
    package = "quickjs"
    programs = JAVASCRIPT
    note = (
        "bytecode interpreter, no JIT; memory limit on, time limit off (it forbids host calls); "
        "awaited calls are promises that a loop of asyncio resolves"
    )
    missing: ClassVar[Mapping[str, str]] = {"state": "a context cannot be written"}

    def start(self) -> None:
        """Import the package."""
        self.module: Any = importlib.import_module("quickjs")

    def new(self) -> Any:
        """A context with a memory limit."""
        context = self.module.Context()
        context.set_memory_limit(MEMORY)
        return context

    def run(self, session: Any, program: str, inputs: Mapping[str, Any]) -> Any:
        """Evaluate as a script; an object comes back as JSON."""
        for name, value in inputs.items():
            session.set(name, value)
        value = session.eval(program)
        return json.loads(value.json()) if isinstance(value, self.module.Object) else value

    def host(self, session: Any) -> Any:
        """A callable of the context."""
        session.add_callable("ext", ext)
        return session.eval(JAVASCRIPT["host"])

    async def run_awaiting(self, job: str) -> tuple[float, Any]:
        """Each call begins a task, whose result resolves the call's promise."""
        context = self.new()
        tasks: set[asyncio.Task[None]] = set()
        finished: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def answer(i: int, resolve: Any) -> None:
            resolve(await ext_async(i))
            while context.execute_pending_job():
                pass

        def begin(i: int, resolve: Any) -> None:
            task = asyncio.create_task(answer(i, resolve))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        context.add_callable("begin", begin)
        context.add_callable("finish", finished.set_result)
        start = time.perf_counter()
        context.eval(self.program(job))
        while context.execute_pending_job():
            pass
        value = await finished
        return time.perf_counter() - start, value
