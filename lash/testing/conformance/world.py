"""What a case works in: the store under test, a clock, failpoints, and sizes that depend on the scale."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from lash.runtime.seams.persistence import (
    RuntimePersistence,
    SessionMeta,
    SessionRelation,
    SessionStoreCreateRequest,
    SessionStoreFactory,
)
from lash.testing.clock import FakeClock

Scale = Literal["ci", "long"]

SESSION = "conformance"
"""The session that cases use unless they need several."""


class Opener(Protocol):
    """Opens a place of sessions: an empty one each time, or the same one again."""

    def __call__(self, *, clock: FakeClock, failpoint: Callable[[str], None]) -> SessionStoreFactory:
        """A factory over the place."""
        ...


class Instruments(Protocol):
    """What reaches below a store that keeps files. None of it is called while a commit is under way."""

    def counting_rows(self, factory: SessionStoreFactory, session_id: str) -> AbstractContextManager[Callable[[], int]]:
        """Count the rows of the graph that are written, changed or deleted inside the block."""
        ...

    def flip_blob(self, factory: SessionStoreFactory, session_id: str, blob_hash: str) -> None:
        """Flip a bit inside the stored bytes of a blob. The factory is closed."""
        ...

    def damaged_logs(self, factory: SessionStoreFactory, session_id: str, count: int) -> Iterator[Opener]:
        """Copies of the place whose log is cut off at random, `count` of them, then as many with a flipped bit."""
        ...

    def limit_disk(self, factory: SessionStoreFactory, spare_pages: int | None) -> Awaitable[None]:
        """Let the store grow by so many pages and no more; None: as it likes."""
        ...

    def make_newer(self, factory: SessionStoreFactory, session_id: str) -> None:
        """Mark the session as written by the next version of the schema. The factory is closed."""
        ...


class Skipped(Exception):
    """A case cannot be run with what was given; the text says what it needs."""


class Crash(Exception):
    """What `Failpoints` raises."""


class Failpoints:
    """The failpoint of the stores under test: raises Crash at the armed point, and remembers what was reached."""

    def __init__(self) -> None:
        self.armed: str | None = None
        self.reached: list[str] = []

    def __call__(self, name: str) -> None:
        """What the store calls at each point."""
        self.reached.append(name)
        if name == self.armed:
            self.armed = None
            raise Crash(name)


@dataclass
class World:
    """One case's surroundings. Whatever is opened through it is closed at the case's end."""

    make_store: Opener
    reopen_place: Callable[[SessionStoreFactory], Opener] | None = None
    kill_place: Callable[[SessionStoreFactory], Opener] | None = None
    given_instruments: Instruments | None = None
    scale: Scale = "ci"
    clock: FakeClock = field(default_factory=FakeClock)
    failpoints: Failpoints = field(default_factory=Failpoints)
    _opened: list[SessionStoreFactory] = field(default_factory=list[SessionStoreFactory])

    def size(self, ci: int, long: int) -> int:
        """How many rounds: the first figure in CI, the second in long runs."""
        return long if self.scale == "long" else ci

    def factory(self) -> SessionStoreFactory:
        """A factory over an empty place."""
        return self.open(self.make_store)

    def open(self, opener: Opener) -> SessionStoreFactory:
        """A factory over the opener's place."""
        factory = opener(clock=self.clock, failpoint=self.failpoints)
        self._opened.append(factory)
        return factory

    def again(self, factory: SessionStoreFactory) -> SessionStoreFactory:
        """Another factory over the same place; the same one where the store cannot be opened twice."""
        return factory if self.reopen_place is None else self.open(self.reopen_place(factory))

    def reopened(self, factory: SessionStoreFactory) -> Opener:
        """Opens the factory's place again. Raises Skipped."""
        if self.reopen_place is None:
            raise Skipped("needs `reopen`: sessions that outlive their factory")
        return self.reopen_place(factory)

    def killable(self, factory: SessionStoreFactory) -> Opener:
        """Opens the factory's place in child processes. Raises Skipped."""
        if self.kill_place is None:
            raise Skipped("needs `kill`: sessions that child processes can open")
        return self.kill_place(factory)

    @property
    def instruments(self) -> Instruments:
        """What reaches below the store. Raises Skipped."""
        if self.given_instruments is None:
            raise Skipped("needs `instruments`, which reach below the store")
        return self.given_instruments

    async def store(self, session_id: str = SESSION) -> RuntimePersistence:
        """The store of a new session in an empty place."""
        return await self.factory().open_store(request(session_id))

    async def aclose(self) -> None:
        """Close what was opened."""
        while self._opened:
            await self._opened.pop().aclose()


@dataclass(frozen=True, slots=True)
class Case:
    """A case: its number in the table of durability.md 7.2, what it is called, and what it does."""

    number: int
    name: str
    play: Callable[[World], Awaitable[None]]
    long_only: bool = False

    def __str__(self) -> str:
        return f"{self.number:02}-{self.name}"

    @property
    def expectation(self) -> str:
        """What has to hold."""
        return (self.play.__doc__ or "").strip()


def request(session_id: str = SESSION, name: str = "a session") -> SessionStoreCreateRequest:
    """What a session is opened with."""
    return SessionStoreCreateRequest(session_id, SessionMeta(session_id, name, 1_000, SessionRelation.Root()))


REGISTERED: list[Case] = []
"""All cases, in the order they were defined."""


def case(
    number: int, *, long_only: bool = False
) -> Callable[[Callable[[World], Awaitable[None]]], Callable[[World], Awaitable[None]]]:
    """Make a function a case of the suite; its name is the case's, its docstring what has to hold."""

    def register(play: Callable[[World], Awaitable[None]]) -> Callable[[World], Awaitable[None]]:
        REGISTERED.append(Case(number, getattr(play, "__name__", str(number)), play, long_only))
        return play

    return register
