"""What dispatch lets others take part in: hooks round every call, an observer, and state that effects carry.

The plugin host implements `ToolHooks` and `EffectState`, tracing implements `ToolObserver`. Dispatch runs without any
of them.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from lash.runtime.sansio.messages import Message
from lash.runtime.sansio.tools import AnyToolControl, AnyToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.result import ModelReturn


@dataclass(frozen=True, slots=True)
class CallFrame:
    """Where in a turn calls are made: what goes into their replay keys and contexts.

    `effect_id` is the effect that asked for them, `caused_by` the replay key of a composite one round it.
    """

    session_id: str
    turn_id: str
    turn_index: int
    mode_iteration: int
    effect_id: str
    execution_mode: str
    caused_by: str | None = None
    parent_session_id: str | None = None


@dataclass(frozen=True, slots=True)
class HookedCall:
    """A call as hooks see it; `args` are what the hooks before have made of them."""

    frame: CallFrame
    call_id: str
    tool: str
    args: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class HookVerdict:
    """What hooks decided: the arguments, the outcome where there is one already, messages for the next checkpoint."""

    args: dict[str, JsonValue]
    output: AnyToolOutput | None = None
    control: AnyToolControl | None = None
    messages: tuple[Message, ...] = ()


class ToolHooks(Protocol):
    """Hooks round tool calls. What they raise makes a failed result of that call alone."""

    @property
    def has_before(self) -> bool:
        """Whether there is any before tools; where not, calls are spared the way."""
        ...

    @property
    def has_after(self) -> bool:
        """Whether there is any after tools."""
        ...

    def before_tool(self, call: HookedCall) -> Coroutine[Any, Any, HookVerdict]:
        """Before the arguments are checked: may replace them, or give the outcome without the tool's being run."""
        ...

    def after_tool(
        self, call: HookedCall, output: AnyToolOutput, control: AnyToolControl | None
    ) -> Coroutine[Any, Any, HookVerdict]:
        """After the tool: may replace the outcome. The verdict's output is never None."""
        ...

    def project_tool_result(
        self, tool: str, args: JsonValue, output: AnyToolOutput
    ) -> Coroutine[Any, Any, ModelReturn | None]:
        """What the model is told; None for the whole result."""
        ...

    def enqueue(self, messages: Sequence[Message]) -> None:
        """Take messages for the next checkpoint, those of a replayed call included."""
        ...


class EffectState(Protocol):
    """State outside the turn machine that an effect may change, and that a replayed effect has to bring back."""

    def mark(self) -> object:
        """The revisions now."""
        ...

    def delta(self, mark: object) -> dict[str, JsonValue]:
        """Snapshots of what has moved since, by owner."""
        ...

    def apply(self, delta: dict[str, JsonValue]) -> None:
        """Restore what a replayed effect had changed."""
        ...


class JoinedState:
    """Several `EffectState`s as one; their owners differ."""

    def __init__(self, *parts: EffectState) -> None:
        self._parts = parts

    def mark(self) -> object:
        """See `EffectState`."""
        return [part.mark() for part in self._parts]

    def delta(self, mark: object) -> dict[str, JsonValue]:
        """See `EffectState`."""
        marks = cast("list[object]", mark)
        deltas = [part.delta(one) for part, one in zip(self._parts, marks, strict=True)]
        return {owner: data for delta in deltas for owner, data in delta.items()}

    def apply(self, delta: dict[str, JsonValue]) -> None:
        """See `EffectState`; each part takes what is its own."""
        for part in self._parts:
            part.apply(delta)


class ToolObserver(Protocol):
    """Is told of each call once when it starts and once when it is over, and of exceptions in between.

    It must not raise and takes no time.
    """

    def started(self, frame: CallFrame, call_id: str, name: str, args: JsonValue, parent_call_id: str | None) -> None:
        """A call begins; a replayed one does not."""
        ...

    def raised(self, call_id: str, name: str, error: BaseException) -> None:
        """A tool has raised what it should not; the attempt has failed."""
        ...

    def completed(
        self,
        frame: CallFrame,
        call_id: str,
        name: str,
        args: JsonValue,
        output: AnyToolOutput,
        control: AnyToolControl | None,
        duration_ms: int,
        parent_call_id: str | None,
        replayed: bool,
    ) -> None:
        """A call is over."""
        ...
