"""Lashlang in this process: bytecode for a VM in WebAssembly."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.engines.base import Engine, Form, ext, ext_async
from benchmarks.programs import LASHLANG


class Lash(Engine):
    """One machine a session; programs are compiled once and kept."""

    name = "lash"
    package = "lash-runtime"
    programs = LASHLANG
    note = (
        "bytecode interpreter in WebAssembly, in this process; every run metered by fuel, the limits of chapter 16 on"
    )

    def start(self) -> None:
        """Import the package and compile the kernel."""
        self.module: Any = importlib.import_module("lashlang")
        self.module.Machine().run("submit 1")

    def new(self) -> Any:
        """A machine of its own."""
        return self.module.Machine()

    def run(self, session: Any, program: str, inputs: Mapping[str, Any]) -> Any:
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

    async def run_awaiting(self, job: str) -> tuple[float, Any]:
        """Tool calls answered by coroutines."""
        with self.new() as machine:
            begin = time.perf_counter()
            outcome = await machine.run_async(self.program(job), tools={"ext": ext_async})
            return time.perf_counter() - begin, submitted(outcome)

    def set(self, session: Any, name: str, value: Any) -> None:
        """A variable of the machine."""
        session.globals[name] = value

    def get(self, session: Any, name: str) -> Any:
        """A variable of the machine."""
        return session.globals[name]

    def forms(self) -> dict[str, Form]:
        """Both forms of snapshots; the image comes from this process and is trusted."""
        restore = self.module.Machine.restore
        return {
            "portable": Form(lambda session: session.snapshot(), restore),
            "image": Form(lambda session: session.snapshot("image"), lambda data: restore(data, trust_image=True)),
        }

    def fork(self, session: Any) -> Any:
        """A twin of the machine."""
        return session.fork()


def submitted(outcome: Any) -> Any:
    """The value of an outcome that must have submitted."""
    if outcome.status != "submitted":
        raise AssertionError(f"the job ended as {outcome.status}: {outcome.error}")
    return outcome.value
