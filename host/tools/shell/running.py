"""A command that runs: its output as it comes, its end, and how it is stopped."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

from lash.host.tools.shell.channel import Channel
from lash.host.tools.shell.cleaning import Cleaner
from lash.host.tools.shell.output import Output, Taken
from lash.host.tools.shell.tree import Tree, end_tree
from lash.runtime.seams.clock import Clock
from lash.runtime.tools.context import ToolProgress
from lash.runtime.tools.waiting import discard

SILENCE_S: Final = 0.075
"""So long after a command's end nothing may have come for its output to count as complete."""

NOISE_S: Final = 2.0
"""How long after a command's end others may go on printing to its output and be listened to."""

NOISE_BYTES: Final = 1 << 20
"""More than any pipe holds: what comes after so much was not written by the command, but by somebody it left behind."""

END_OF_FILE: Final = b"\x04"

_log = logging.getLogger("lash.tools.shell")


class RunningCommand:
    """A command that was started; `ended` completes when it is over and its output is complete.

    `number` is how the model calls it, `mark` how its processes are known. Everything it needs is given back when it
    ends, or by `stop`.
    """

    def __init__(
        self,
        number: int,
        mark: str,
        process: asyncio.subprocess.Process,
        channel: Channel,
        output: Output,
        clock: Clock,
        *,
        allow_nonzero_exit: bool,
    ) -> None:
        self.number = number
        self.allow_nonzero_exit = allow_nonzero_exit
        self.progress: ToolProgress | None = None
        self.polling = asyncio.Lock()
        self._mark = mark
        self._process = process
        self._channel = channel
        self._output = output
        self._clock = clock
        self._began = clock.monotonic()
        self._cleaner = Cleaner()
        self._heard = asyncio.Event()
        self._read_bytes = 0
        self._line_begun = False
        self._exited = asyncio.create_task(process.wait(), name=f"exit of command {number}")
        self._reader = asyncio.create_task(self._read(), name=f"output of command {number}")
        self.ended = asyncio.create_task(self._end(), name=f"command {number}")
        self._stopping: asyncio.Task[None] | None = None

    @property
    def exit_code(self) -> int | None:
        """How it ended, 128 and the number of the signal where one did; None while it runs."""
        code = self._process.returncode
        return code if code is None or code >= 0 else 128 - code

    @property
    def wall_time_s(self) -> float:
        """The time since it was started."""
        return self._clock.monotonic() - self._began

    def belongs(self, mark: str) -> bool:
        """Whether a mark is this command's."""
        return mark == self._mark

    async def wait(self, seconds: float, *until: asyncio.Future[Any]) -> bool:
        """Wait until it has ended, for so long at most and until one of `until` is done; whether it has ended."""
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((self.ended, timer, *until), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await discard(timer)
        return self.ended.done()

    async def write(self, text: str, *, end: bool) -> None:
        """Send it input and, with `end`, the end of it. OSError where nobody listens any more."""
        data = text.encode("utf-8", "replace")
        if data:
            self._line_begun = not data.endswith(b"\n")
            await self._channel.write(data)
        if end:
            # In the middle of a line a terminal takes the first Ctrl-D as the end of the line, and the second counts.
            await self._channel.write(END_OF_FILE * 2 if self._line_begun else END_OF_FILE)
            self._line_begun = False

    async def take(self) -> Taken:
        """The output since the last time, the line included that is being written."""
        await self._keep(self._cleaner.take_open())
        return self._output.take()

    async def keep_all(self) -> None:
        """Put all output into the file, even if there is little of it."""
        await self._output.keep_all()

    @property
    def output_path(self) -> Path | None:
        """The file that holds all output, where there is one."""
        return self._output.path

    async def stop(self) -> None:
        """End it with all that it has started. Goes on in the background where the caller is cancelled."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name=f"stop of command {self.number}")
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        leader = None if self._exited.done() else self._process.pid
        await end_tree(Tree(leader, self.belongs), self._clock, self._exited)
        # The output ends with the processes, unless one got away or whoever is shown the output does not take it.
        await self.wait(NOISE_S)
        await self.cut_short()

    async def cut_short(self) -> None:
        """Wait no longer for the end of its output."""
        self.ended.cancel()
        await asyncio.wait((self.ended,))

    async def _read(self) -> None:
        """Take output as it comes; where it is not taken from us, the command has to wait."""
        while data := await self._channel.read():
            self._read_bytes += len(data)
            self._heard.set()
            await self._keep(self._cleaner.feed(data))
            await asyncio.sleep(0)  # a command that floods must not keep the loop from everything else

    async def _keep(self, text: str) -> None:
        if not text:
            return
        await self._output.add(text)
        if self.progress is not None:
            try:
                await self.progress.output(text)
            except Exception:
                # Nobody may be watching any more; the command and its output do not suffer from that.
                _log.exception("the output of command %d cannot be shown as it comes", self.number)
                self.progress = None

    async def _end(self) -> None:
        """Wait for the end of the command and of its output, and give everything back."""
        try:
            await asyncio.wait((self._exited,))
            await self._fall_silent()
        finally:
            # The descriptor first: whatever is waited for below may be cut short.
            self._reader.cancel()
            self._channel.close()
            try:
                await discard(self._reader)
                if not self._reader.cancelled() and (error := self._reader.exception()) is not None:
                    _log.error("the output of command %d could not be read on", self.number, exc_info=error)
                await self._keep(self._cleaner.finish())
            finally:
                await self._output.close()

    async def _fall_silent(self) -> None:
        """Read on until there is nothing more of the command's own.

        The end of the output may never come, as processes that the command has left behind can hold it open.
        """
        due = self._clock.monotonic() + NOISE_S
        most, emptied = self._read_bytes + NOISE_BYTES, self._channel.emptied
        while not self._reader.done():
            self._heard.clear()
            heard = asyncio.ensure_future(self._heard.wait())
            timer = asyncio.ensure_future(self._clock.sleep(SILENCE_S))
            try:
                await asyncio.wait((self._reader, heard, timer), return_when=asyncio.FIRST_COMPLETED)
            finally:
                await discard(heard, timer)
            if not self._heard.is_set() and self._channel.waiting:
                return
            seen_empty = self._channel.emptied > emptied
            if self._read_bytes >= most or (seen_empty and self._clock.monotonic() >= due):
                return
