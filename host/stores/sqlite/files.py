"""The session files that are open: at most so many, the least recently used one closed for the next.

Ten thousand parked sessions are ten thousand files and no threads; those in use take turns. Work on a file never waits
for another file, so whoever has to wait for a place gets one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from lash.host.stores.sqlite.connection import FileConnection
from lash.host.stores.sqlite.faults import translated
from lash.runtime.errors import StoreBackendError


class _Place:
    """One of the open files: its connection, once it is open, and how many use it or wait for it."""

    __slots__ = ("connection", "opening", "users")

    def __init__(self) -> None:
        self.connection: FileConnection | None = None
        self.opening = asyncio.Lock()
        self.users = 0


class OpenFiles:
    """Session files, opened when they are needed; `limit` of them at a time."""

    def __init__(self, limit: int, connect: Callable[[Path], Awaitable[FileConnection]]) -> None:
        self._limit = limit
        self._connect = connect
        self._places: OrderedDict[Path, _Place] = OrderedDict()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @asynccontextmanager
    async def using(self, path: Path) -> AsyncGenerator[FileConnection]:
        """The connection to a file, which stays open at least until the block ends.

        Raises StoreBackendError after `aclose`, and what opening the file raises.
        """
        place = await self._take_place(path)
        try:
            async with place.opening:
                if place.connection is not None and place.users == 1 and not place.connection.is_current():
                    # The session was deleted, and perhaps made anew: what is open has no name any more.
                    stale, place.connection = place.connection, None
                    await stale.close()
                if place.connection is None:
                    place.connection = await self._connect(path)
            yield place.connection
        finally:
            self._leave(path, place)

    async def close(self, path: Path) -> None:
        """Close a file unless it is in use; it is opened again when somebody needs it."""
        place = self._places.get(path)
        if place is not None and not place.users:
            await self._empty(path, place)

    async def aclose(self) -> None:
        """Close all files; work under way is finished first. Nothing can be opened any more."""
        self._closed = True
        while self._waiting:
            self._wake_one()
        for path, place in list(self._places.items()):
            await self._empty(path, place, forced=True)

    async def _take_place(self, path: Path) -> _Place:
        while True:
            if self._closed:
                raise StoreBackendError(f"session file {path} cannot be used: its factory is closed")
            place = self._places.get(path)
            if place is None and len(self._places) < self._limit:
                place = self._places[path] = _Place()
            if place is not None:
                place.users += 1
                self._places.move_to_end(path)
                return place
            idle = next((item for item in self._places.items() if not item[1].users), None)
            if idle is not None:
                await self._empty(*idle)
            else:
                await self._wait()

    def _leave(self, path: Path, place: _Place) -> None:
        place.users -= 1
        if not place.users:
            if place.connection is None and self._places.get(path) is place:
                del self._places[path]
            self._wake_one()

    async def _wait(self) -> None:
        """Wait until a place may be free."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake_one()  # it was this one's turn, and it is not taken
            raise

    def _wake_one(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _empty(self, path: Path, place: _Place, *, forced: bool = False) -> None:
        """Close a place's file and give the place up, unless somebody came to use it; `forced`: in any case.

        Until the file is closed the place is taken, so there are never more threads than places.
        """
        place.users += 1
        try:
            async with place.opening:
                if place.connection is not None and (forced or place.users == 1):
                    connection, place.connection = place.connection, None
                    with translated(f"session file {path}"):
                        await connection.close()
        finally:
            self._leave(path, place)
