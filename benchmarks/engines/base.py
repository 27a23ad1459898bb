"""What an engine is: one language in one package, as the jobs see it.

To add one: subclass `Engine` in a module of its own, give it a name and programs in its language, implement
what it offers, and put the class into the table in `benchmarks/engines/__init__.py`. What a class does not
implement is not offered, and the report says why.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


class NotOffered(Exception):
    """The engine has no such feature; the table shows a dash, the report the reason."""


@dataclass(frozen=True, slots=True)
class Form:
    """A way to write a session's state as bytes, and to make a session of them."""

    dump: Callable[[Any], bytes]
    load: Callable[[bytes], Any]


def ext(i: int) -> int:
    """The host function that the host-call jobs call."""
    return i + 1


async def ext_async(i: int) -> int:
    """The same as a coroutine function."""
    return i + 1


def check(value: Any, wanted: Any) -> None:
    """Compare a job's answer with the right one, numbers by value; AssertionError where it is another."""
    if value != wanted:
        raise AssertionError(f"the job answered {str(value)[:200]} instead of {str(wanted)[:200]}")


class Engine:
    """One language in one package."""

    name: ClassVar[str]
    package: ClassVar[str | None] = None
    programs: ClassVar[Mapping[str, str]]
    instances: ClassVar[int] = 1000
    """How many idle instances the memory job opens."""
    note: ClassVar[str] = ""
    """What to know when reading its figures: how it runs programs, which limits are on."""
    missing: ClassVar[Mapping[str, str]] = {}
    """Why the language cannot do a job, by the job's name."""

    def program(self, job: str) -> str:
        """The program of a job; NotOffered where there is none."""
        if job not in self.programs:
            raise NotOffered(self.missing.get(job, "not in the language"))
        return self.programs[job]

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

    def run(self, session: Any, program: str, inputs: Mapping[str, Any]) -> Any:
        """Run a program with variables and give its value."""
        raise NotImplementedError

    def close(self, session: Any) -> None:
        """Throw an instance away."""

    def host(self, session: Any) -> Any:
        """Run the program that makes `HOST_CALLS` synchronous calls of `ext`."""
        raise NotOffered(self.missing.get("host", "no host calls"))

    async def run_awaiting(self, job: str) -> tuple[float, Any]:
        """Run a program that awaits calls of `ext_async` on this event loop, in a fresh instance: seconds and value.

        Instance and inputs are made outside the measured time.
        """
        raise NotOffered(self.missing.get(job, "no asynchronous host calls"))

    def set(self, session: Any, name: str, value: Any) -> None:
        """Set a variable that stays."""
        raise NotOffered("no variables that stay")

    def get(self, session: Any, name: str) -> Any:
        """Read a variable."""
        raise NotOffered("no variables that stay")

    def forms(self) -> Mapping[str, Form]:
        """The ways to dump and load a session, by name (`portable`, `image`, `json`); NotOffered without."""
        raise NotOffered(self.missing.get("state", "no snapshots"))

    def fork(self, session: Any) -> Any:
        """A second instance in the same state."""
        raise NotOffered("no fork")
