"""What a mode is to the runtime: a factory per core, a session half per open session (runtime.md 1.3, rlm.md 1.1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from lash.runtime.sansio.activity import AnyTurnEvent
from lash.runtime.sansio.driver import ContextProjector, ModeDriver
from lash.runtime.sansio.effects import ExecOutcome, PrintedImage
from lash.runtime.sansio.messages import Message, SessionEventRecord
from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.tools import CompletedToolCall, ToolSpec
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.definition import ToolManifest
from lash.runtime.tools.provider import Path, ToolProvider
from lash.runtime.turn.handoff import Successor

Emit = Callable[[AnyTurnEvent, str | None], Awaitable[None]]
"""Shows an event under a correlation id, or under none of its own."""


class StreamHook(Protocol):
    """What of a streaming reply is shown, and when it has said enough. One lives as long as a model call."""

    def reset(self) -> None:
        """All that was fed is void: the attempt failed."""
        ...

    def feed(self, text: str) -> StreamPiece:
        """Take the next piece of the reply's text."""
        ...

    def finish(self) -> StreamPiece:
        """The reply is over."""
        ...

    def rebuilt(self) -> str | None:
        """The text as the driver is to see it, None where it is as it came."""
        ...


@dataclass(frozen=True, slots=True)
class StreamPiece:
    """What a piece of a reply comes to: text to be shown, events to be shown after it, and whether to stop."""

    prose: str = ""
    events: tuple[AnyTurnEvent, ...] = ()
    abort: bool = False


@dataclass(frozen=True, slots=True)
class SurfaceInput:
    """What a mode's prompt and view are made from."""

    tool_specs: tuple[ToolSpec, ...]
    tool_notes: tuple[str, ...]
    messages: Sequence[Message]
    events: Sequence[SessionEventRecord]
    mode_iteration: int
    mode_run_offset: int
    max_turns: int | None
    max_context_tokens: int | None


@dataclass(frozen=True, slots=True)
class ModePrompt:
    """What a mode adds to the system prompt: its execution instructions and contributions to slots.

    `view` is what its projector wants to know besides.
    """

    execution: str
    contributions: tuple[PromptContribution, ...] = ()
    view: JsonValue = None


@dataclass(frozen=True, slots=True)
class TurnSetup:
    """A turn as a mode learns of it: the options that the host gave, checked by `ModeSession.check_turn`."""

    turn_id: str
    turn_index: int
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


class ExecPort(Protocol):
    """What a running program reaches through its mode."""

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
        projections: Mapping[Path, Any],
        position: tuple[int, int] | None,
    ) -> CompletedToolCall:
        """Run a tool to its end; `ordinal` counts the program's calls.

        `projections` are the projected values that the tool is given as they are, by their path in the arguments,
        where `args` holds null. `position` is the line and column of the call, where that is known.
        """
        ...

    async def give_up(self, ordinal: int, name: str, args: dict[str, JsonValue]) -> CompletedToolCall:
        """A call that was broken off because the program is over, as cancelled."""
        ...

    def waits(self, requests: int | None) -> None:
        """The program goes no further until one of so many requests is answered; None: it goes on."""
        ...

    def behind(self) -> AbstractContextManager[None]:
        """Inside, a call is held back until others are over."""
        ...

    async def image(self, image_id: str) -> PrintedImage | None:
        """What is known of an image."""
        ...


class ModeSession(Protocol):
    """A mode's half of one open session."""

    @property
    def mode_id(self) -> str:
        """The mode's name."""
        ...

    @property
    def default_max_turns(self) -> int | None:
        """Model calls of a turn where the session's policy says nothing."""
        ...

    @property
    def sync_execution_surface(self) -> bool:
        """Whether prompt and tools are brought up to date before every iteration."""
        ...

    @property
    def native_tools(self) -> Sequence[ToolProvider]:
        """The tools that the mode itself brings."""
        ...

    @property
    def max_handoffs(self) -> int:
        """How often one turn may be handed on."""
        ...

    @property
    def projector(self) -> ContextProjector:
        """Makes the model requests."""
        ...

    def begin_turn(self, turn: TurnSetup) -> JsonValue:
        """Take a turn's options; its `termination`. Raises TurnError, changing nothing."""
        ...

    def end_turn(self) -> None:
        """The turn is over; what was for it alone is gone."""
        ...

    def driver(self, turn: TurnSetup) -> ModeDriver:
        """The driver of a turn."""
        ...

    def prompt(self, surface: SurfaceInput) -> ModePrompt:
        """What the mode adds to the system prompt now."""
        ...

    def turn_limit_message(self, message_id: str, max_turns: int) -> Message:
        """What the model is told before the one reply beyond the limit."""
        ...

    def successor(self, session_id: str) -> Successor | None:
        """The session of that id that a tool of the mode wants the turn to go on in; None where it is none of them."""
        ...

    def stream_hook(self) -> StreamHook | None:
        """A hook for a model call's text; None where all of it is shown as it comes."""
        ...

    async def exec_code(
        self,
        code: str,
        correlation_id: str,
        port: ExecPort,
        emit: Emit,
        token: CancelToken,
        events: Sequence[SessionEventRecord],
    ) -> ExecOutcome:
        """Run a program, until the token asks it to stop at the latest; `events` are those of the session so far."""
        ...

    def opened(self, events: Sequence[SessionEventRecord], state: bytes | None) -> None:
        """Take up the session's state and what its active path says; SessionError where the state is unusable."""
        ...

    def state(self) -> bytes | None:
        """The state to be committed, None where it is as it was committed last."""
        ...

    def committed(self) -> None:
        """The state was committed."""
        ...

    def close(self) -> None:
        """Give resources back."""
        ...


class ModeFactory(Protocol):
    """An installed mode."""

    @property
    def mode_id(self) -> str:
        """The mode's name."""
        ...

    def session(self, session_id: str, options: Mapping[str, Any]) -> ModeSession:
        """The mode's half of a session that is being opened; `options` are those of `core.session`.

        Raises ConfigError or TurnError for options that the mode does not take.
        """
        ...
