"""What a command has printed: the end of it in memory, and all of it in a file as soon as it is more than a little."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from lash.host.plugins.spill import MOST_BYTES, SpillDirectory

MEMORY_BYTES: Final = 512_000
"""How much of the output that nobody has taken yet is kept; of more, the end."""

SPILL_FROM: Final = 50 * 1024
"""Output that is longer than this goes to a file as well."""

MARK: Final = "[truncated]"
"""Stands where output is missing."""

_PIECE: Final = 4096
"""Texts shorter than this are joined, so that output of single characters is not kept as that many strings."""

_log = logging.getLogger("lash.tools.shell")


@dataclass(frozen=True, slots=True)
class Taken:
    """Output that was asked for: its text, and how many characters there were.

    `lost` says that memory had no place for all; `[truncated]` stands for what is missing.
    """

    text: str
    characters: int
    lost: bool = False


class Output:
    """The output of one command.

    Arguments: `spill` and `name` say where the file would be; `spill_limit` is the most that goes into it, the budget
    of the whole directory, so that a command that never stops printing does not fill the disk.
    """

    def __init__(self, spill: SpillDirectory, name: str, *, spill_limit: int = MOST_BYTES) -> None:
        self._spill = spill
        self._name = name
        self._spill_limit = spill_limit
        self._unread = _Tail()
        self._early: list[str] = []
        self._early_bytes = 0
        self._written = 0
        self._file: BinaryIO | None = None
        self._spilling = True
        self._ended = False
        self._order = asyncio.Lock()
        self._jobs: set[asyncio.Task[None]] = set()
        self.path: Path | None = None

    async def add(self, text: str) -> None:
        """Take more; waits for the disk."""
        self._unread.add(text)
        await self._in_turn(self._put(text))

    def take(self) -> Taken:
        """What was added since the last time."""
        return self._unread.take()

    async def keep_all(self) -> Path | None:
        """Write all there was to the file, however short; its path, None where it cannot be written."""
        await self._in_turn(self._put("", at_once=True))
        return self.path

    async def close(self) -> None:
        """The output has ended; `keep_all` can be asked for still."""
        self._ended = True
        await self._in_turn(self._put(""))

    async def _in_turn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do one thing after the other, each to its end, even where the one who wants it is cancelled meanwhile."""
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        await asyncio.shield(job)

    async def _put(self, text: str, *, at_once: bool = False) -> None:
        async with self._order:
            if self._spilling:
                try:
                    await self._spill_text(text, at_once)
                except OSError as error:
                    self._give_up(error)
            if self._ended and self._file is not None:
                file, self._file = self._file, None
                self._spilling = False
                try:
                    await asyncio.to_thread(file.close)
                except OSError as error:
                    self._give_up(error)

    async def _spill_text(self, text: str, at_once: bool) -> None:
        if self._file is None:
            self._early.append(text)
            self._early_bytes += len(text.encode())
            if self._early_bytes <= SPILL_FROM and not at_once:
                return
            text, self._early = "".join(self._early), []
            self._file, self.path = await asyncio.to_thread(self._spill.create, self._name)
        data = text.encode()
        room = self._spill_limit - self._written
        if len(data) > room:
            data = data[:room].decode("utf-8", "ignore").encode() + f"\n{MARK}\n".encode()
            self._spilling = False
        self._written += len(data)
        await asyncio.to_thread(_append, self._file, data)

    def _give_up(self, error: OSError) -> None:
        """Go on without a file: half of the output in one that is said to hold all of it is worse than none."""
        _log.warning("the output of a command could not be kept: %s", error)
        self._spilling = False
        self._early.clear()
        path, self.path = self.path, None
        if path is not None:
            path.unlink(missing_ok=True)


class _Tail:
    """The last bytes of a text that grows; only whole characters are kept."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._added = 0
        self._lost = False

    def add(self, text: str) -> None:
        size = len(text.encode())
        self._added += len(text)
        if self._pieces and self._sizes[-1] < _PIECE:
            self._pieces[-1] += text
            self._sizes[-1] += size
        else:
            self._pieces.append(text)
            self._sizes.append(size)
        self._bytes += size
        while (surplus := self._bytes - MEMORY_BYTES) > 0:
            self._lost = True
            first, first_size = self._pieces.popleft(), self._sizes.popleft()
            self._bytes -= first_size
            if first_size > surplus:
                rest = first.encode()[surplus:].decode("utf-8", "ignore")
                self._pieces.appendleft(rest)
                self._sizes.appendleft(len(rest.encode()))
                self._bytes += self._sizes[0]

    def take(self) -> Taken:
        text = "".join(self._pieces)
        taken = Taken(f"{MARK}\n{text}" if self._lost else text, self._added, self._lost)
        self._pieces.clear()
        self._sizes.clear()
        self._bytes, self._added, self._lost = 0, 0, False
        return taken


def _append(file: BinaryIO, data: bytes) -> None:
    """Write, so that whoever reads the file finds it there."""
    file.write(data)
    file.flush()
