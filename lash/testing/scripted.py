"""`ScriptedProvider`: a model that says what a test has written down (providers.md 11).

It sits below the same `ProviderHandle` as any other, so retries, retraction and timeouts are those of real providers.
A script is a list of steps, one for each *attempt*:

* `Step(events, outcome)`: the stream events, then a response, or a failure that is raised, or `HANG`;
* an `LlmResponse`, a `ProviderFailure` or `HANG`: the same without events;
* a text: a reply of that text, as `reply` makes it;
* a function of the request that gives one of these.

An attempt beyond the last step raises `ScriptExhausted`, which no `except Exception` takes for a provider's failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from lash.host.system import SystemClock
from lash.runtime.providers.components import AttemptTrace, EventSink, ProviderComponents, ProviderState
from lash.runtime.providers.failure import FailureKind, ProviderFailure
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.options import ProviderOptions
from lash.runtime.providers.registry import ProviderConfig, ProviderRegistry, Surroundings, parse_config
from lash.runtime.sansio.llm import (
    AnyStreamEvent,
    Block,
    LlmRequest,
    LlmResponse,
    LlmStreamEvent,
    ResponsePart,
    TerminalReason,
)
from lash.runtime.sansio.usage import NO_USAGE, TokenUsage
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.clock import Clock

KIND = "scripted"


class _Hang(Enum):
    HANG = "hang"


HANG: Final = _Hang.HANG
"""An attempt that never ends by itself."""

Outcome: TypeAlias = LlmResponse | ProviderFailure | Literal[_Hang.HANG]


@dataclass(frozen=True, slots=True)
class Step:
    """One attempt: what is streamed, and how it ends."""

    events: Sequence[AnyStreamEvent]
    outcome: Outcome


AnyStep: TypeAlias = "Step | Outcome | str | Callable[[LlmRequest], AnyStep]"
"""What a script consists of."""


class ScriptExhausted(BaseException):
    """The model was called more often than the script says."""


def reply(
    text: str = "",
    *,
    chunk: int | None = None,
    tool_calls: Sequence[Block.ToolCall] = (),
    usage: TokenUsage = NO_USAGE,
    terminal_reason: TerminalReason = "unknown",
) -> Step:
    """A reply of text and tool calls, streamed in pieces of `chunk` characters (None: in one)."""
    parts: list[ResponsePart] = [Block.Text(text)] if text else []
    size = chunk or max(1, len(text))
    events: list[AnyStreamEvent] = [
        LlmStreamEvent.TextDelta(text[start : start + size], 0) for start in range(0, len(text), size)
    ]
    for call in tool_calls:
        events.append(LlmStreamEvent.ToolCallStarted(len(parts), call.call_id, call.tool_name))
        events.append(LlmStreamEvent.ToolCallDelta(len(parts), call.input_json))
        events.append(LlmStreamEvent.PartDone(call))
        parts.append(call)
    if usage != NO_USAGE:
        events.append(LlmStreamEvent.UsageUpdate(usage))
    return Step(events, LlmResponse(text, tuple(parts), usage=usage, terminal_reason=terminal_reason))


def surviving_text(events: Sequence[AnyStreamEvent]) -> str:
    """The text that a listener is left with: deltas joined, what was taken back left out."""
    kept: list[str] = []
    for event in events:
        match event:
            case LlmStreamEvent.TextDelta(text=text):
                kept.append(text)
            case LlmStreamEvent.AttemptReset():
                kept.clear()
            case _:
                continue
    return "".join(kept)


class ScriptedTransport:
    """The wire to a script."""

    requires_streaming = False

    def __init__(self, steps: Sequence[AnyStep]) -> None:
        self._steps = list(steps)
        self.requests: list[LlmRequest] = []

    @property
    def left(self) -> int:
        """Steps that were not played, below zero by the attempts for which there was none."""
        return len(self._steps) - len(self.requests)

    async def complete(self, request: LlmRequest, sink: EventSink | None, trace: AttemptTrace) -> LlmResponse:
        """Play the next step; raises its failure, or ScriptExhausted."""
        number = len(self.requests)
        self.requests.append(request)
        if number >= len(self._steps):
            raise ScriptExhausted(f"the script has {len(self._steps)} steps, and this is attempt {number + 1}")
        step = self._steps[number]
        while callable(step):
            step = step(request)
        if isinstance(step, str):
            step = reply(step)
        events, outcome = (step.events, step.outcome) if isinstance(step, Step) else ((), step)
        for event in events:
            trace.received()
            if sink is not None:
                sink(event)
            # A turn of the event loop, as between two chunks of a real stream.
            await asyncio.sleep(0)
        match outcome:
            case LlmResponse():
                return outcome
            case ProviderFailure():
                raise outcome.replace()
            case _Hang.HANG:
                return await asyncio.get_running_loop().create_future()

    async def aclose(self) -> None:
        """There is nothing to give back."""


class ScriptedProvider(ProviderHandle):
    """A handle whose model follows a script; `requests` holds every request it got, retries included."""

    def __init__(
        self, steps: Sequence[AnyStep], *, options: ProviderOptions | None = None, clock: Clock | None = None
    ) -> None:
        clock = clock or SystemClock()
        state = ProviderState(KIND, options or ProviderOptions())
        self._script = ScriptedTransport(steps)
        super().__init__(ProviderComponents.usual(state, self._script, clock), clock=clock)

    @property
    def requests(self) -> list[LlmRequest]:
        """The requests so far, one for each attempt."""
        return self._script.requests

    def assert_exhausted(self) -> None:
        """AssertionError unless every step was played, and none was missing."""
        left = self._script.left
        assert left <= 0, f"{left} of the script's steps were not played"
        assert left >= 0, f"{-left} attempts were made for which the script has no step"


class _ReplyStep(BaseModel):
    """A step of a JSON script: a reply."""

    model_config = ConfigDict(extra="forbid")
    text: str = ""
    chunk: int | None = Field(default=None, gt=0)
    tool_calls: tuple[Block.ToolCall, ...] = ()
    usage: TokenUsage = NO_USAGE
    terminal_reason: TerminalReason = "unknown"

    def step(self) -> Step:
        """The step for the script."""
        return reply(
            self.text,
            chunk=self.chunk,
            tool_calls=self.tool_calls,
            usage=self.usage,
            terminal_reason=self.terminal_reason,
        )


class _Failure(BaseModel):
    """What a failing step raises."""

    model_config = ConfigDict(extra="forbid")
    kind: FailureKind
    message: str = "a scripted failure"
    retryable: bool | None = None
    status: int | None = None
    code: str | None = None
    retry_after_s: float | None = None


class _FailureStep(BaseModel):
    """A step of a JSON script: a failure, after some text if so wished."""

    model_config = ConfigDict(extra="forbid")
    failure: _Failure
    text: str = ""

    def step(self) -> Step:
        """The step for the script."""
        return Step(reply(self.text).events, ProviderFailure(**self.failure.model_dump()))


class _HangStep(BaseModel):
    """A step of a JSON script: silence, after some text if so wished."""

    model_config = ConfigDict(extra="forbid")
    hang: Literal[True]
    text: str = ""

    def step(self) -> Step:
        """The step for the script."""
        return Step(reply(self.text).events, HANG)


_JsonStep: TypeAlias = Annotated[str | _FailureStep | _HangStep | _ReplyStep, Field(union_mode="left_to_right")]


class ScriptedConfig(ProviderConfig):
    """A provider of kind `scripted`; see the steps above for their keys."""

    steps: tuple[_JsonStep, ...]


class ScriptedFactory:
    """Makes handles of kind `scripted` from `steps`: texts, or objects with `text`, `failure` or `hang`."""

    kind = KIND

    def build(self, config: Mapping[str, JsonValue], surroundings: Surroundings) -> ProviderHandle:
        """A handle; ConfigError (invalid_provider_spec) where the configuration does not fit."""
        parsed = parse_config(self.kind, ScriptedConfig, config)
        steps: list[AnyStep] = [step if isinstance(step, str) else step.step() for step in parsed.steps]
        handle = ScriptedProvider(steps, options=parsed.options, clock=surroundings.clock)
        handle.components.state.config["steps"] = config["steps"]
        return handle


def register_test_kinds(registry: ProviderRegistry) -> None:
    """Register the kinds that are for tests only."""
    registry.register(ScriptedFactory())
