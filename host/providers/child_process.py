"""A program on the other end of two byte streams: a child process of ours, or streams that somebody hands us."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from lash.runtime.providers.attempt import TimeIsUp, within
from lash.runtime.seams.clock import Clock

log = logging.getLogger("lash.providers.command")

GRACE_S = 5.0
"""How long a program may take to end after its stdin is closed, and again after SIGTERM."""

STDERR_TAIL_BYTES = 4096
"""How much of a program's stderr an error shows."""

CHUNK_BYTES = 64 * 1024

_KILL: signal.Signals = getattr(signal, "SIGKILL", signal.SIGTERM)
"""What ends a process that will not; Windows has one signal for both."""


class ByteReader(Protocol):
    """What is read from; asyncio.StreamReader is one."""

    async def read(self, n: int = -1, /) -> bytes:
        """At most `n` bytes, none at the end."""
        ...


class ByteWriter(Protocol):
    """What is written to; asyncio.StreamWriter is one."""

    def write(self, data: bytes, /) -> None:
        """Take bytes to be sent."""
        ...

    async def drain(self) -> None:
        """Wait until more may be written."""
        ...

    def close(self) -> None:
        """Say that no more will come."""
        ...


class Connection(Protocol):
    """A running program, as the transport sees it."""

    async def read(self) -> bytes:
        """Some bytes, none at the end and after `stop`."""
        ...

    def write(self, data: bytes) -> None:
        """Take bytes to be sent; OSError where nobody reads."""
        ...

    async def drain(self) -> None:
        """Wait until more may be written; OSError where nobody reads."""
        ...

    async def stop(self) -> str:
        """End it, and say how it ended. May be called again, and while another call runs."""
        ...


class StreamPair:
    """A program behind streams that are not ours: it cannot be started again, and ends when its streams do."""

    def __init__(self, reader: ByteReader, writer: ByteWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._stopped = asyncio.Event()

    @property
    def stopped(self) -> bool:
        """Whether it has ended."""
        return self._stopped.is_set()

    async def read(self) -> bytes:
        """Some bytes, none at the end and after `stop`."""
        loop = asyncio.get_running_loop()
        reading, stopped = loop.create_task(self._reader.read(CHUNK_BYTES)), loop.create_task(self._stopped.wait())
        try:
            await asyncio.wait((reading, stopped), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else b""
        finally:
            reading.cancel()
            stopped.cancel()
            await asyncio.gather(reading, stopped, return_exceptions=True)

    def write(self, data: bytes) -> None:
        """Take bytes to be sent."""
        self._writer.write(data)

    async def drain(self) -> None:
        """Wait until more may be written."""
        await self._writer.drain()

    async def stop(self) -> str:
        """Close the writing side."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._writer.close()
        return "the program's stream has ended"


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """The streams of a child, and the moment of its end.

    `asyncio.subprocess.Process.wait` is of no use for that: it waits for the pipes as well, which a process that the
    child has left behind may hold open, and which stay open while nobody reads them.
    """

    def __init__(self) -> None:
        super().__init__(limit=CHUNK_BYTES, loop=asyncio.get_running_loop())
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        """The child has ended and was reaped."""
        self.exited.set()
        super().process_exited()


class ChildProcess:
    """A child process in a process group of its own, started without a shell; see `start`."""

    def __init__(
        self,
        transport: asyncio.SubprocessTransport,
        protocol: _Protocol,
        clock: Clock,
        on_stderr: Callable[[bytes], None] | None = None,
    ) -> None:
        assert protocol.stdin is not None
        assert protocol.stdout is not None
        assert protocol.stderr is not None
        self._transport = transport
        self._exited = protocol.exited
        self._stdin, self._stdout, self._stderr = protocol.stdin, protocol.stdout, protocol.stderr
        self._clock = clock
        self._on_stderr = on_stderr or self._log_stderr
        self._tail = bytearray()
        self._silent = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stderr_read = loop.create_task(self._read_stderr())
        self._reaped = loop.create_task(self._reap())
        self._stopping = asyncio.Lock()

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        clock: Clock,
        *,
        env: Mapping[str, str] | None,
        cwd: str | None,
        on_stderr: Callable[[bytes], None] | None = None,
    ) -> ChildProcess:
        """Start a program; OSError where it cannot be. `env` is its whole environment, None ours.

        `on_stderr` is given what it writes to stderr, in pieces; None logs it.
        """
        transport, protocol = await asyncio.get_running_loop().subprocess_exec(
            _Protocol,
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        return cls(transport, protocol, clock, on_stderr)

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._transport.get_pid()

    async def read(self) -> bytes:
        """Some bytes of its stdout, none at the end and after `stop`."""
        chunk = await self._stdout.read(CHUNK_BYTES)
        if not chunk:
            self._silent.set()
        return chunk

    def write(self, data: bytes) -> None:
        """Take bytes for its stdin; they go nowhere once that is closed."""
        if not self._stdin.is_closing():
            self._stdin.write(data)

    async def drain(self) -> None:
        """Wait until more may be written."""
        await self._stdin.drain()

    async def stop(self) -> str:
        """Close its stdin, wait, SIGTERM, wait, SIGKILL.

        Returns how it ended, with the tail of its stderr.
        """
        async with self._stopping:
            self._stdin.close()
            # What it still writes is not wanted, and must not keep its pipes from being closed.
            self._silent.set()
            try:
                if not await self._within_grace(self._exited.wait()):
                    self._signal(signal.SIGTERM)
                    await self._within_grace(self._exited.wait())
            finally:
                if not self._exited.is_set():
                    self._signal(_KILL)
            await self._reaped
        return self._describe()

    async def _reap(self) -> None:
        """Wait for its end, end what it has left behind, and close the pipes once they are read or nobody reads on."""
        await self._exited.wait()
        self._signal(_KILL)
        await self._within_grace(self._read_out())
        self._transport.close()
        await self._stderr_read

    async def _read_out(self) -> None:
        """Wait until both outputs have been read to their ends."""
        await asyncio.wait((self._stderr_read,))
        await self._silent.wait()

    async def _within_grace(self, work: Coroutine[Any, Any, object]) -> bool:
        """Whether it ends in time."""
        end = self._clock.monotonic() + GRACE_S
        try:
            await within(self._clock, work, lambda: end)
        except TimeIsUp:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, where there are groups."""
        try:
            if hasattr(os, "killpg"):
                os.killpg(self._transport.get_pid(), number)
            elif not self._exited.is_set():
                self._transport.send_signal(number)
        except (ProcessLookupError, PermissionError) as error:
            # Nobody is left, or (macOS) only a process that has ended and waits to be reaped.
            log.debug("signal %d found nobody: %s", number, error)

    async def _read_stderr(self) -> None:
        """Read its stderr and keep the tail."""
        while chunk := await self._stderr.read(CHUNK_BYTES):
            self._tail += chunk
            if len(self._tail) > STDERR_TAIL_BYTES:
                # From the beginning of a line: half a secret is not recognised as one by those who hide them.
                del self._tail[:-STDERR_TAIL_BYTES]
                self._tail = self._tail.partition(b"\n")[2]
            self._on_stderr(chunk)

    def _log_stderr(self, chunk: bytes) -> None:
        """Log a piece line by line."""
        for line in chunk.decode("utf-8", "replace").splitlines():
            log.info("command %d: %s", self._transport.get_pid(), line)

    def _describe(self) -> str:
        """How it ended."""
        status = self._transport.get_returncode()
        how = f"was ended by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"
        said = bytes(self._tail).decode("utf-8", "replace").strip()
        return f"the command {how}; its stderr ends: {said}" if said else f"the command {how}"
