"""lupa: Lua 5.4 in process, without LuaJIT."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from benchmarks.engines.base import Engine, ext, ext_async
from benchmarks.programs import LUA

MEMORY = 256 << 20
"""The memory limit of every runtime, lash's default."""


class Lua(Engine):
    """One runtime each, with the bridges to Python's own `eval` and builtins shut."""

    name = "lupa"
    package = "lupa"
    programs = LUA
    note = (
        "bytecode interpreter, no JIT; memory limit on, work is not metered; "
        "an awaited call is a yield of a coroutine that asyncio resumes"
    )
    missing: ClassVar[Mapping[str, str]] = {
        "json": "Lua's library has no JSON",
        "wave": "no futures in the language: many calls in flight would be a scheduler of our own",
        "state": "a runtime cannot be written",
    }

    def version(self) -> str:
        """The versions of package and language."""
        return f"{super().version()} (Lua 5.4)"

    def start(self) -> None:
        """Import the module of Lua 5.4."""
        self.module: Any = importlib.import_module("lupa.lua54")

    def new(self) -> Any:
        """A runtime with a memory limit."""
        return self.module.LuaRuntime(register_eval=False, register_builtins=False, max_memory=MEMORY)

    def run(self, session: Any, program: str, inputs: Mapping[str, Any]) -> Any:
        """Set the globals and execute; a table comes back as the list it holds."""
        names = session.globals()
        for name, value in inputs.items():
            names[name] = value
        value = session.execute(program)
        return list(value.values()) if self.module.lua_type(value) == "table" else value

    def host(self, session: Any) -> Any:
        """A Python function as a global."""
        return self.run(session, LUA["host"], {"ext": ext})

    async def run_awaiting(self, job: str) -> tuple[float, Any]:
        """Each call yields its argument and is resumed with the answer."""
        runtime = self.new()
        begin = time.perf_counter()
        coroutine = runtime.execute(self.program(job)).coroutine()
        asked = coroutine.send(None)
        while coroutine:  # still to be resumed; what it returns comes as the last thing asked
            asked = coroutine.send(await ext_async(asked))
        return time.perf_counter() - begin, asked
