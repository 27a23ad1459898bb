"""The wire of a command provider: lines of JSON to and from one running program (providers.md 11.1)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lash.host.providers.child_process import Connection
from lash.host.providers.command_wire import (
    MAX_LINE_BYTES,
    Delta,
    encode_line,
    malformed,
    parse_object,
    read_answer,
    request_document,
)
from lash.runtime.providers.components import AttemptTrace, EventSink, ProviderState
from lash.runtime.providers.failure import ProviderFailure
from lash.runtime.sansio.llm import LlmRequest, LlmResponse, LlmStreamEvent
from lash.runtime.seams.clock import Clock

log = logging.getLogger("lash.providers.command")

MAX_ENDS = 3
"""So many ends of the process within `ENDS_WINDOW_S` mean that starting it again does not help."""

ENDS_WINDOW_S = 60.0


@dataclass(eq=False, slots=True)
class _OpenCall:
    """A call that waits for its reply; `answered` says that the program has said its last word on it."""

    connection: Connection
    sink: EventSink | None
    trace: AttemptTrace
    outcome: asyncio.Future[LlmResponse]
    answered: bool = False

    def fail(self, failure: ProviderFailure) -> None:
        """End the call."""
        if not self.outcome.done():
            self.outcome.set_exception(failure)

    def close(self) -> None:
        """Nobody waits any more: a failure that came at the last moment is not to be reported as overlooked."""
        if self.outcome.done() and not self.outcome.cancelled():
            self.outcome.exception()


class CommandTransport:
    """The wire to one program. `connect` starts it; `restarts` says that it can do so again."""

    requires_streaming = False

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], state: ProviderState, clock: Clock, *, restarts: bool
    ) -> None:
        self._connect = connect
        self._state = state
        self._clock = clock
        self._restarts = restarts
        self._starting = asyncio.Lock()
        self._connection: Connection | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self._open: dict[str, _OpenCall] = {}
        self._asked = 0
        self._ends: deque[float] = deque(maxlen=MAX_ENDS)
        self._closed = False

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        """One request and its reply; raises ProviderFailure."""
        self._asked += 1
        call_id = str(self._asked)
        bound = self._state.options.output_bound(request.max_output_tokens)
        document = request_document(call_id, request, bound)
        line = encode_line(document)
        connection = await self._connected()
        trace.request_body(document)
        call = _OpenCall(connection, sink, trace, asyncio.get_running_loop().create_future())
        self._open[call_id] = call
        try:
            await self._send(connection, line)
            return await call.outcome
        finally:
            del self._open[call_id]
            call.close()
            if not call.answered and connection is self._connection:
                self._give_up(connection, call_id)

    async def aclose(self) -> None:
        """End the program; calls that are open fail."""
        self._closed = True
        closed = ProviderFailure("transport", "the provider was closed", retryable=False, code="provider_closed")
        for connection in {call.connection for call in self._open.values()}:
            self._fail_open(connection, closed)
        if self._connection is not None:
            await self._connection.stop()
        await asyncio.gather(*self._reading)

    async def _send(self, connection: Connection, line: bytes) -> None:
        """Write a request."""
        try:
            connection.write(line)
            await connection.drain()
        except OSError:
            # Nobody reads. The reading side learns of the end and fails the call, with status and stderr.
            await connection.stop()

    def _give_up(self, connection: Connection, call_id: str) -> None:
        """Tell the program that nobody waits for a reply any more."""
        try:
            connection.write(encode_line({"id": call_id, "cancel": True}))
        except OSError as error:
            log.debug("call %s could not be withdrawn, the program does not read: %s", call_id, error)

    async def _connected(self) -> Connection:
        """The program, started if need be."""
        async with self._starting:
            if self._closed:
                raise ProviderFailure("validation", "the provider has been closed", code="provider_closed")
            if self._connection is None:
                try:
                    self._connection = await self._connect()
                except OSError as error:
                    raise ProviderFailure(
                        "validation", f"the command cannot be started: {error}", code="command_not_started"
                    ) from error
                reading = asyncio.get_running_loop().create_task(self._read(self._connection))
                self._reading.add(reading)
                reading.add_done_callback(self._reading.discard)
            return self._connection

    async def _read(self, connection: Connection) -> None:
        """Hand lines to the calls they are for, until the program ends."""
        pending = bytearray()
        scanned = 0
        while chunk := await self._chunk(connection):
            if len(self._open) == 1:
                # Bytes of an unfinished line can be counted for a call only where they can be for no other.
                next(iter(self._open.values())).trace.received()
            pending += chunk
            while (end := pending.find(b"\n", scanned)) >= 0:
                self._on_line(connection, bytes(pending[:end]))
                del pending[: end + 1]
                scanned = 0
            scanned = len(pending)
            if scanned > MAX_LINE_BYTES:
                self._fail_open(
                    connection, malformed(f"a line of more than {MAX_LINE_BYTES:,} bytes", _text(pending[:1000]))
                )
                break
        await self._ended(connection)

    async def _chunk(self, connection: Connection) -> bytes:
        """Bytes of the program; none where the stream has ended or broken."""
        try:
            return await connection.read()
        except OSError:
            return b""

    async def _ended(self, connection: Connection) -> None:
        """The program is gone: every open call fails, and the next one starts it anew."""
        if self._connection is connection:
            self._connection = None
        how = await connection.stop()
        now = self._clock.monotonic()
        self._ends.append(now)
        hopeless = len(self._ends) == MAX_ENDS and now - self._ends[0] <= ENDS_WINDOW_S
        if hopeless:
            how = f"{how} ({MAX_ENDS} ends within {ENDS_WINDOW_S:g} s)"
        retryable = self._restarts and not hopeless
        self._fail_open(connection, ProviderFailure("transport", how, retryable=retryable, code="command_ended"))

    def _fail_open(self, connection: Connection, failure: ProviderFailure) -> None:
        """Fail every open call to that program, each with a failure of its own."""
        for call in self._open.values():
            if call.connection is connection:
                call.fail(failure.replace())

    def _on_line(self, connection: Connection, line: bytes) -> None:
        """Give a line to its call. One that can be for any call fails them all, because one of them misses it."""
        if len(line) > MAX_LINE_BYTES:
            self._fail_open(connection, _too_long(line))
            return
        text = _text(line).strip()
        if not text:
            return
        try:
            document = parse_object(text)
        except ProviderFailure as failure:
            self._fail_open(connection, failure)
            return
        call_id = document.get("id")
        if not isinstance(call_id, str) or not self._was_asked(call_id):
            self._fail_open(connection, malformed("no id of a request", text))
            return
        call = self._open.get(call_id)
        if call is None:
            # Given up or answered before.
            return
        call.trace.received()
        call.trace.event("line", text)
        match read_answer(document, text):
            case Delta(text=delta):
                self._show(call, delta)
            case LlmResponse() as response:
                call.answered = True
                if not call.outcome.done():
                    call.outcome.set_result(response)
            case failure:
                call.answered = True
                call.fail(failure)

    def _show(self, call: _OpenCall, delta: str) -> None:
        """Stream part of a reply; what the listener raises ends this call alone."""
        if call.sink is None or call.outcome.done():
            return
        try:
            call.sink(LlmStreamEvent.TextDelta(delta, 0))
        except Exception as error:
            call.outcome.set_exception(error)

    def _was_asked(self, call_id: str) -> bool:
        """Whether an id is one of ours."""
        return (
            call_id.isascii()
            and call_id.isdecimal()
            and call_id == str(int(call_id))
            and (1 <= int(call_id) <= self._asked)
        )


def _text(line: bytes | bytearray) -> str:
    """A line as text; bytes that are no UTF-8 become replacement characters."""
    return line.decode("utf-8", "replace")


def _too_long(line: bytes | bytearray) -> ProviderFailure:
    """The failure of the calls of which one may have been meant by a line beyond the limit."""
    return malformed(f"a line of more than {MAX_LINE_BYTES:,} bytes", _text(line[:1000]))
