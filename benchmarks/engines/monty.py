"""pydantic-monty: a Python dialect in a pool of worker processes, one per live session."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.engines.base import Engine, Form, ext, ext_async
from benchmarks.programs import PYTHON

LIMITS = {"max_suspensions": 1_000_000}
"""The least a session needs to make the calls of the jobs; no other limit is set."""


class Monty(Engine):
    """One session of the pool each."""

    name = "monty"
    package = "pydantic-monty"
    programs = PYTHON
    instances = 100
    note = (
        "an interpreter, no limit of memory or time on; a worker process for each live session, "
        "a new one comes from a warm pool, also where a dump is loaded"
    )

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
        return self.pool.checkout(limits=LIMITS).__enter__()

    def run(self, session: Any, program: str, inputs: Mapping[str, Any]) -> Any:
        """Feed the program to the session."""
        return session.feed_run(program, inputs=dict(inputs))

    def close(self, session: Any) -> None:
        """Give the session back."""
        session.__exit__(None, None, None)

    def host(self, session: Any) -> Any:
        """External function calls."""
        return session.feed_run(PYTHON["host"], external_lookup={"ext": ext})

    async def run_awaiting(self, job: str) -> tuple[float, Any]:
        """Awaited external function calls."""
        async with self.module.AsyncMonty() as pool, pool.checkout(limits=LIMITS) as session:
            begin = time.perf_counter()
            value = await session.feed_run(self.program(job), external_lookup={"ext": ext_async})
            return time.perf_counter() - begin, value

    def set(self, session: Any, name: str, value: Any) -> None:
        """An input that the program keeps."""
        session.feed_run(f"{name} = given", inputs={"given": value})

    def get(self, session: Any, name: str) -> Any:
        """The value of the name as an expression."""
        return session.feed_run(name)

    def forms(self) -> dict[str, Form]:
        """Its dumps between two feeds."""

        def load(data: bytes) -> Any:
            session = self.new()
            session.load_session(data)
            return session

        return {"portable": Form(lambda session: session.dump(), load)}
