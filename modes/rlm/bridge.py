"""What a running program can reach: the tool host of one block (rlm.md 8.2, 8.5).

The bridge turns the program's requests into tool calls of the runtime and its prints into observations, and it halts
the program when a tool's result says that the turn is over. It lives as long as its block.

Calls that the program makes together are a *wave*: those of parallel tools run side by side, those of serial tools
after them, one by one in the order of the source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from lash.modes.rlm.arguments import TooLongToPass, split_arguments
from lash.modes.rlm.codec import images_in, program_value
from lash.modes.rlm.config import ObserveBudget
from lash.modes.rlm.nearest import call_hint
from lash.modes.rlm.observe import observe
from lash.modes.rlm.places import place_of
from lash.modes.rlm.sources import LARGEST_WHOLE, HostSource, long_texts
from lash.runtime.errors import EffectError
from lash.runtime.sansio.activity import AnyTurnEvent, TurnEvent
from lash.runtime.sansio.effects import ObservationMetrics, PrintedImage
from lash.runtime.sansio.tools import CompletedToolCall, ToolOutput, ToolSpec
from lash.runtime.sansio.values import JsonValue, canonical
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.definition import ToolManifest
from lash.runtime.tools.provider import Path
from lashlang import ToolFailure, Value
from lashlang.projection import Projected, Projection, ProjectionUnavailable, Unsupported

LONGEST_PRINT = 1_000_000
"""Characters of a print that are stored; of a longer one its two ends."""

NO_HANDLES = "handles are not available here: call the tool directly, or side by side in `parallel`"

Emit = Callable[[AnyTurnEvent, str | None], Awaitable[None]]

ResultProjector = Callable[[str, Value], Value | Projection | None]
"""Given a tool's name and its value, what a program gets in its place; None for the value itself."""


class ProgramHalted(BaseException):
    """A tool's control result ends the block at that call. No Exception, so that nothing takes it for a failed tool."""


class EffectsFailed(BaseException):
    """The effect host cannot go on, so the block cannot. No Exception, for the same reason."""

    def __init__(self, error: EffectError) -> None:
        super().__init__(str(error))
        self.error = error


class ToolPort(Protocol):
    """The runtime's side of a tool call."""

    def specs(self) -> Sequence[ToolSpec]:
        """The tools that can be called."""
        ...

    def tool(self, name: str) -> ToolManifest | None:
        """The tool that a call of that name reaches; None where it reaches none."""
        ...

    async def call(
        self,
        ordinal: int,
        name: str,
        args: dict[str, JsonValue],
        projections: Mapping[Path, Projected],
        position: tuple[int, int] | None,
    ) -> CompletedToolCall:
        """Run a tool to its end; `ordinal` counts the calls of the block in the order in which they are made.

        `position` is the line and column of the call, where that is known.
        """
        ...

    async def give_up(self, ordinal: int, name: str, args: dict[str, JsonValue]) -> CompletedToolCall:
        """A call that was broken off because the program is over, as cancelled."""
        ...

    async def image(self, image_id: str) -> PrintedImage | None:
        """What is known of an image; None where there is none of that id."""
        ...

    def waits(self, requests: int | None) -> None:
        """The program goes no further until one of so many requests is answered; None: it goes on."""
        ...

    def behind(self) -> AbstractContextManager[None]:
        """Inside, a call is held back until others of its wave are over."""
        ...


class _Wave:
    """The calls that a program makes together, as futures that are done when their calls are."""

    def __init__(self) -> None:
        self._parallel: list[asyncio.Future[None]] = []
        self._serial: list[asyncio.Future[None]] = []

    def join(self, serial: bool) -> asyncio.Future[None]:
        """Take part."""
        done = asyncio.get_running_loop().create_future()
        (self._serial if serial else self._parallel).append(done)
        return done

    async def turn_of(self, call: asyncio.Future[None]) -> None:
        """Wait until a serial call may run."""
        await asyncio.sleep(0)  # until all of the wave have taken part
        before = [*self._parallel, *self._serial[: self._serial.index(call)]]
        if before:
            await asyncio.wait(before)

    async def others(self, call: asyncio.Future[None]) -> None:
        """Wait until all other calls have ended."""
        rest = [one for one in (*self._parallel, *self._serial) if one is not call]
        if rest:
            await asyncio.wait(rest)


class RlmBridge:
    """See `lashlang.ToolHost`. After the block: what was called, printed and shown, and the call that halted it.

    `code` is the block's, `sources` are its projected values by name; `token` stops it; `projectors` may put a
    projected value in the place of a tool's.
    """

    keeps_projections = True

    def __init__(
        self,
        code: str,
        port: ToolPort,
        emit: Emit,
        correlation_id: str,
        budget: ObserveBudget,
        sources: Mapping[str, Value | Projection],
        token: CancelToken,
        projectors: Sequence[ResultProjector] = (),
    ) -> None:
        self._code = code
        self._port = port
        self._emit = emit
        self._correlation_id = correlation_id
        self._budget = budget
        self._sources = sources
        self._token = token
        self._projectors = projectors
        self._made = 0
        self._wave: _Wave | None = None
        self._open: set[asyncio.Future[None]] = set()
        self._calls: dict[int, CompletedToolCall] = {}
        self._projections: dict[str, Mapping[Path, Projected]] = {}
        self.observations: list[str] = []
        self.metrics: list[ObservationMetrics] = []
        self.shown: list[str] = []
        self.images: list[PrintedImage] = []

    @property
    def calls(self) -> tuple[CompletedToolCall, ...]:
        """The calls that were completed, in the order in which they were made."""
        return tuple(self._calls[number] for number in sorted(self._calls))

    @property
    def halted(self) -> CompletedToolCall | None:
        """The call that ends the turn: the first in source order."""
        return next((call for call in self.calls if call.control is not None and call.succeeded), None)

    def projections_of(self, call: CompletedToolCall) -> Mapping[Path, Projected]:
        """The projected values that a call's tool was given as they are."""
        return self._projections.get(call.call_id, {})

    async def settled(self) -> None:
        """Wait until no call is open; once the token is set none begins any more."""
        while self._open:
            await asyncio.wait(set(self._open))

    # --- requests ----------------------------------------------------------------------------------

    def waits(self, requests: int | None) -> None:
        """See `lashlang.ToolHost`."""
        self._port.waits(requests)

    async def call(self, name: str, args: dict[str, Value]) -> Value:
        """Run a tool; its value, or ToolFailure with what went wrong."""
        ordinal = self._made
        self._made += 1
        manifest = self._port.tool(name)
        serial = manifest is not None and manifest.execution_mode == "serial"
        wave = self._present_wave()
        ended = wave.join(serial)
        self._open.add(ended)
        try:
            if serial:
                with self._port.behind():
                    await wave.turn_of(ended)
            done = None
            if not self._token.cancelled:
                done = await self._complete(ordinal, name, args, manifest, wave, ended)
        finally:
            self._open.discard(ended)
            if not ended.done():
                ended.set_result(None)
        if done is None or self._token.cancelled:
            # The program is about to be stopped, and goes no further.
            return await asyncio.get_running_loop().create_future()
        if done.control is not None and done.succeeded:
            raise ProgramHalted
        match done.output:
            case ToolOutput.Success(value=value):
                return self._projected(done.tool_name, program_value(value))
            case ToolOutput.Failure(failure=failure):
                hint = call_hint(failure, name, args, self._port.specs())
                raise ToolFailure(_failure_text(failure.message, failure.raw) + hint)
            case ToolOutput.Cancelled(message=message):
                raise ToolFailure(message)

    def _projected(self, tool: str, value: Value) -> Value:
        """A tool's value, or what the first projector that wants it has for it."""
        for projector in self._projectors:
            found = projector(tool, value)
            if found is not None:
                return Projected(tool, HostSource(found, f"turn:{tool}")) if isinstance(found, Projection) else found
        return value

    def _present_wave(self) -> _Wave:
        """The wave of the calls that are being made: the tasks of one wave all begin before anything else happens."""
        if self._wave is None:
            self._wave = _Wave()
            asyncio.get_running_loop().call_soon(self._end_wave)
        return self._wave

    def _end_wave(self) -> None:
        self._wave = None

    async def _complete(
        self,
        ordinal: int,
        name: str,
        args: dict[str, Value],
        manifest: ToolManifest | None,
        wave: _Wave,
        ended: asyncio.Future[None],
    ) -> CompletedToolCall:
        """Make one call; `ended` is its place in the wave."""
        preserved = None if manifest is None else manifest.preserve_projected
        try:
            given = await split_arguments(args, preserved)
        except (TooLongToPass, ProjectionUnavailable) as error:
            raise ToolFailure(str(error)) from error
        try:
            # People are told where the call stands; nobody else asks.
            asks = manifest is not None and manifest.needs_approval is not False
            position = place_of(self._code, name) if asks else None
            done = await self._port.call(ordinal, name, given.args, given.projections, position)
        except asyncio.CancelledError:
            self._calls[ordinal] = await self._port.give_up(ordinal, name, given.args)
            raise
        except EffectError as error:
            # A call that was given up is not in the journal. Whoever drives the turn again is told so here, and what
            # ended the block then ends it now.
            ended.set_result(None)
            try:
                await wave.others(ended)
            except asyncio.CancelledError:
                self._calls[ordinal] = await self._port.give_up(ordinal, name, given.args)
                raise
            if self.halted is None:
                raise EffectsFailed(error) from error
            self._calls[ordinal] = await self._port.give_up(ordinal, name, given.args)
            raise ProgramHalted from error
        self._calls[ordinal] = done
        self._projections[done.call_id] = given.projections
        return done

    async def start(self, name: str, args: dict[str, Value]) -> Value:
        """Not yet: there are no background tasks."""
        raise ToolFailure(NO_HANDLES)

    async def await_handle(self, handle: dict[str, Value]) -> Value:
        """Not yet: there are no background tasks."""
        raise ToolFailure(NO_HANDLES)

    async def cancel(self, handle: dict[str, Value]) -> Value:
        """Not yet: there are no background tasks."""
        raise ToolFailure(NO_HANDLES)

    async def print(self, value: Value, text: str) -> None:
        """Take an observation, and the images in it; ToolFailure for an image that nobody has."""
        for image in images_in(value):
            known = await self._port.image(image.id)
            if known is None:
                raise ToolFailure(f"the image {image.id!r} cannot be found")
            if all(seen.id != known.id for seen in self.images):
                self.images.append(known)
        if not text:
            return
        self._refuse_whole(text)
        self.observations.append(bounded(text))
        shown, metrics = observe(text, self._budget)
        self.metrics.append(metrics)
        self.shown.append(shown)
        event = TurnEvent.CodeOutput(shown, len(self.shown) - 1)
        await self._emit(event, self._correlation_id)

    def _refuse_whole(self, text: str) -> None:
        """Raise ToolFailure for a print that is all of a long projected text."""
        if len(text) <= LARGEST_WHOLE:
            return
        for name, whole in long_texts(self._sources):
            if whole == text:
                raise ToolFailure(
                    f"`{name}` has {len(text):,} characters and is not printed whole: "
                    f"print a part of it, such as slice({name}, 0, 2000)"
                )

    async def read_projection(self, target: Projected, question: str, args: Sequence[Value]) -> Value:
        """Every projection of this mode has a source of its own."""
        raise Unsupported


def bounded(text: str) -> str:
    """A print as it is stored: in full, or its two ends where it is very long."""
    if len(text) <= LONGEST_PRINT:
        return text
    half = LONGEST_PRINT // 2
    return f"{text[:half]}\n[{len(text) - 2 * half:,} chars hidden]\n{text[-half:]}"


def _failure_text(message: str, raw: JsonValue) -> str:
    return message or (raw if isinstance(raw, str) else canonical(raw).decode())
