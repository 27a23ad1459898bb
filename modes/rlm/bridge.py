"""What a running program can reach: the tool host of one block (rlm.md 8.2, 8.5).

The bridge turns the program's requests into tool calls of the runtime and its prints into observations, and it halts
the program when a tool's result says that the turn is over. It lives as long as its block.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from lash.modes.rlm.codec import images_in
from lash.modes.rlm.config import ObserveBudget
from lash.modes.rlm.observe import observe
from lash.runtime.sansio.activity import AnyTurnEvent, TurnEvent
from lash.runtime.sansio.effects import ObservationMetrics, PrintedImage
from lash.runtime.sansio.tools import CompletedToolCall, ToolOutput
from lash.runtime.sansio.values import JsonValue, canonical
from lashlang import ToolFailure, Value
from lashlang.projection import Projected, Unsupported

LONGEST_PRINT = 1_000_000
"""Characters of a print that are stored; of a longer one its two ends."""

MOST_IMAGES = 8
"""Images of one step that are attached."""

NO_HANDLES = "handles are not available here: call the tool directly, or side by side in `parallel`"

Emit = Callable[[AnyTurnEvent, str | None], Awaitable[None]]


class ProgramHalted(BaseException):
    """A tool's control result ends the block at that call. No Exception, so that nothing takes it for a failed tool."""


class ToolPort(Protocol):
    """The runtime's side of a tool call."""

    async def call(self, ordinal: int, name: str, args: dict[str, JsonValue]) -> CompletedToolCall:
        """Run a tool to its end; `ordinal` counts the calls of the block in the order in which they are made."""
        ...

    async def image(self, image_id: str) -> PrintedImage | None:
        """What is known of an image; None where there is none of that id."""
        ...


class RlmBridge:
    """See `lashlang.ToolHost`. After the block: what was called, printed and shown, and the call that halted it."""

    def __init__(self, port: ToolPort, emit: Emit, correlation_id: str, budget: ObserveBudget) -> None:
        self._port = port
        self._emit = emit
        self._correlation_id = correlation_id
        self._budget = budget
        self._made = 0
        self._calls: dict[int, CompletedToolCall] = {}
        self.observations: list[str] = []
        self.metrics: list[ObservationMetrics] = []
        self.shown: list[str] = []
        self.images: list[PrintedImage] = []
        self.halted: CompletedToolCall | None = None

    @property
    def calls(self) -> tuple[CompletedToolCall, ...]:
        """The calls that were completed, in the order in which they were made."""
        return tuple(self._calls[number] for number in sorted(self._calls))

    # --- requests ----------------------------------------------------------------------------------

    async def call(self, name: str, args: dict[str, Value]) -> Value:
        """Run a tool; its value, or ToolFailure with what went wrong."""
        ordinal = self._made
        self._made += 1
        done = await self._port.call(ordinal, name, args)
        self._calls[ordinal] = done
        if done.control is not None and done.succeeded:
            if self.halted is None:
                self.halted = done
            raise ProgramHalted
        match done.output:
            case ToolOutput.Success(value=value):
                return value
            case ToolOutput.Failure(failure=failure):
                raise ToolFailure(_failure_text(failure.message, failure.raw))
            case ToolOutput.Cancelled(message=message):
                raise ToolFailure(message)

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
        self.observations.append(bounded(text))
        shown, metrics = observe(text, self._budget)
        self.metrics.append(metrics)
        self.shown.append(shown)
        event = TurnEvent.CodeOutput(shown, len(self.shown) - 1)
        await self._emit(event, self._correlation_id)

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
