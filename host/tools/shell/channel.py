"""Our end of a pipe or a terminal, read and written by the event loop without a thread."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from typing import Any, Final

READ_BYTES: Final = 64 * 1024


class Channel:
    """Takes over a file descriptor.

    `emptied` counts how often there was nothing to be read, `waiting` says that a reader waits for more: by these one
    can tell a command that is silent from a reader that is behind.
    """

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._closed = False
        self._waits: set[asyncio.Future[None]] = set()
        self.emptied = 0
        self.waiting = False

    async def read(self) -> bytes:
        """Some bytes; none once every writer has closed its end, or this one is closed."""
        while not self._closed:
            try:
                return os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                self.emptied += 1
            except OSError as error:
                if error.errno == errno.EIO:  # how Linux says that nobody holds the other end of a terminal
                    return b""
                raise
            loop = asyncio.get_running_loop()
            self.waiting = True
            try:
                await self._until(loop.add_reader, loop.remove_reader)
            finally:
                self.waiting = False
        return b""

    async def write(self, data: bytes) -> None:
        """Send all of it; waits while the other end takes nothing. OSError where there is no other end."""
        loop = asyncio.get_running_loop()
        rest = memoryview(data)
        while rest:
            if self._closed:
                raise BrokenPipeError("the command has ended")
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._until(loop.add_writer, loop.remove_writer)

    async def _until(self, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
        """Wait until the loop says that the descriptor is ready, or it is closed."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.add(ready)
        add(self._fd, _settle, ready)
        try:
            await ready
        finally:
            self._waits.discard(ready)
            if not self._closed:
                remove(self._fd)

    def close(self) -> None:
        """Give the descriptor back; who still writes gets OSError."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        # Before the number can be another file's.
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        os.close(self._fd)
        for ready in self._waits:
            _settle(ready)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
