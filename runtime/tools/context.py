"""What a tool sees of the runtime: `ToolContext`, with named surfaces only, and `ToolProgress`.

A context is sealed. Its attributes are plain data and a token of its own; the services behind its methods stand in a
table of this module, under the context, and leave it when the call ends. So nothing that a tool can reach from its
context leads to the runtime, and a context that was kept beyond its call is of no use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast
from weakref import WeakKeyDictionary

from lash.runtime.errors import LashError
from lash.runtime.sansio.activity import AnyTurnEvent, TurnEvent
from lash.runtime.sansio.llm import LlmRequest, LlmResult
from lash.runtime.sansio.messages import AttachmentRef, Message, SessionEventRecord
from lash.runtime.sansio.usage import TokenLedgerEntry
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.definition import Availability
from lash.runtime.tools.threads import ToolThreads

if TYPE_CHECKING:
    from lash.runtime.plugins.binding import PluginBinding

Emit: TypeAlias = "Callable[[AnyTurnEvent, str | None], Awaitable[None] | None]"
"""Shows an event under a correlation id; what it gives is awaited, so that a slow sink slows the turn."""

PROGRESS_PLUGIN = "tools"
"""The plugin id under which tools report progress."""


@dataclass(frozen=True, slots=True)
class TurnContext:
    """Where in a session a call happens."""

    turn_index: int
    mode_iteration: int
    execution_mode: str


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """A session's conversation at one moment."""

    session_id: str
    execution_mode: str
    turn_index: int
    messages: tuple[Message, ...]
    events: tuple[SessionEventRecord, ...]


class CatalogEntryView(Protocol):
    """A tool of the surface, as `ToolContext.tool_catalog` lists it; see `lash.runtime.tools.registry.CatalogEntry`."""

    @property
    def name(self) -> str:
        """The tool's name."""
        ...


class ToolServices(Protocol):
    """What the runtime does for tools; one object per turn, behind every context of it."""

    def session_model(self) -> str | None:
        """The session's model."""
        ...

    async def snapshot_session(self, session_id: str | None) -> SessionSnapshot:
        """The conversation of this session (None), or of another one; SessionError where there is none."""
        ...

    async def direct_completion(self, request: LlmRequest, usage_source: str, call_id: str) -> LlmResult:
        """A model call of the tool's own."""
        ...

    def take_usage(self, call_id: str) -> tuple[TokenLedgerEntry, ...]:
        """What direct completions of a call used, once."""
        ...

    async def put_attachment(self, data: bytes, label: str | None) -> AttachmentRef:
        """Keep an image."""
        ...

    async def describe_attachment(self, attachment_id: str) -> AttachmentRef | None:
        """What is known of an image."""
        ...

    def plugin_input(self, plugin_id: str) -> object:
        """The turn's input for a plugin; None where none was given."""
        ...


class ToolSurfaceAccess(Protocol):
    """What tools may do to the surface."""

    def catalog(self) -> Sequence[CatalogEntryView]:
        """All tools that can at least be found."""
        ...

    def set_availability(self, names: Sequence[str], level: Availability | None) -> None:
        """Override levels, or take overrides back."""
        ...


@dataclass(frozen=True, slots=True)
class _Behind:
    services: ToolServices | None
    surface: ToolSurfaceAccess
    threads: ToolThreads


_BEHIND: WeakKeyDictionary[ToolContext, _Behind] = WeakKeyDictionary()

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the name the contract uses, for the type of a turn's input


class ToolContext:
    """What a tool may ask of the runtime while it runs.

    Attributes: `session_id`, `turn_id`, `turn_context`, `tool_call_id`, `attempt_number` (from 1), `max_attempts`,
    `idempotency_key` (the same for every attempt and every re-drive of the call) and `cancel_token`.
    Every method raises LashError (tool_context_closed) once the call has ended.
    """

    __slots__ = (
        "__weakref__",
        "attempt_number",
        "cancel_token",
        "idempotency_key",
        "max_attempts",
        "session_id",
        "tool_call_id",
        "turn_context",
        "turn_id",
    )

    def __init__(
        self,
        *,
        session_id: str,
        turn_id: str,
        turn_context: TurnContext,
        tool_call_id: str,
        tool_name: str,
        attempt_number: int = 1,
        max_attempts: int = 1,
        cancel_token: CancelToken | None = None,
    ) -> None:
        self.session_id = session_id
        self.turn_id = turn_id
        self.turn_context = turn_context
        self.tool_call_id = tool_call_id
        self.attempt_number = attempt_number
        self.max_attempts = max_attempts
        self.idempotency_key = f"lash-tool:{session_id}:{tool_call_id}:{tool_name}"
        self.cancel_token = cancel_token or CancelToken()

    def session_model(self) -> str | None:
        """The name of the session's model."""
        return _services(self).session_model()

    async def session_snapshot(self) -> SessionSnapshot:
        """This session's conversation as it stands."""
        return await _services(self).snapshot_session(None)

    async def snapshot_session(self, session_id: str) -> SessionSnapshot:
        """Another session's conversation; SessionError where there is none."""
        return await _services(self).snapshot_session(session_id)

    def tool_catalog(self) -> list[Any]:
        """The tools that can at least be found, as `CatalogEntry`s."""
        return list(_behind(self).surface.catalog())

    def set_tools_availability(self, names: Sequence[str], level: Availability | str | None) -> None:
        """Offer tools more or less than they ask for, from the next surface on; None takes that back.

        Raises LashError (unknown_tool) for a name that no tool has.
        """
        _behind(self).surface.set_availability(names, None if level is None else Availability.of(level))

    async def direct_completion(self, request: LlmRequest, usage_source: str) -> LlmResult:
        """Call the model apart from the conversation; its usage is booked under `usage_source`."""
        return await _services(self).direct_completion(request, usage_source, self.tool_call_id)

    async def put_attachment(self, data: bytes, *, label: str | None = None) -> AttachmentRef:
        """Keep an image, to be returned by its reference; AttachmentError for bytes that are none."""
        return await _services(self).put_attachment(data, label)

    def plugin_input(self, binding: type[PluginBinding[Any, I]]) -> I | None:
        """What the turn was given for a plugin; None where it was given nothing."""
        return cast("I | None", _services(self).plugin_input(binding.ID))


def _behind(context: ToolContext) -> _Behind:
    found = _BEHIND.get(context)
    if found is None:
        raise LashError(
            "tool_context_closed", f"the tool call {context.tool_call_id!r} has ended; its context cannot be used"
        )
    return found


def _services(context: ToolContext) -> ToolServices:
    services = _behind(context).services
    if services is None:
        raise LashError("tool_service_unavailable", "this dispatcher runs without a session behind it")
    return services


def open_context(
    context: ToolContext, services: ToolServices | None, surface: ToolSurfaceAccess, threads: ToolThreads
) -> None:
    """Put the runtime behind a context."""
    _BEHIND[context] = _Behind(services, surface, threads)


def close_context(context: ToolContext) -> None:
    """Take the runtime away from a context: its call has ended."""
    _BEHIND.pop(context, None)


async def call_in_thread(context: ToolContext, function: Callable[[], T]) -> T:
    """Run a blocking function in a thread of the context's call; ToolThreadsExhausted where none is left."""
    return await _behind(context).threads.run(function, owner=context.cancel_token)


async def describe_attachments(context: ToolContext, ids: Sequence[str]) -> Mapping[str, AttachmentRef]:
    """What is known of images, by id."""
    services = _behind(context).services
    if services is None or not ids:
        return {}
    known = [await services.describe_attachment(one) for one in ids]
    return {reference.id: reference for reference in known if reference is not None}


class ToolProgress:
    """Tells the host how a running call is doing; a slow host slows the tool."""

    __slots__ = ("__weakref__", "_call_id")

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id

    async def output(self, text: str) -> None:
        """Show more of what the tool prints."""
        await _report(self, "custom", "tool_output", {"call_id": self._call_id, "text": text})

    async def status(self, label: str, detail: str | None = None) -> None:
        """Show what the tool is at; the newest status of a call replaces the one before."""
        payload: dict[str, JsonValue] = {"label": label, "detail": detail}
        await _report(self, "status", f"tool:{self._call_id}", payload)

    def output_blocking(self, text: str) -> None:
        """`output` for functions that run in a thread."""
        self._blocking(self.output(text))

    def status_blocking(self, label: str, detail: str | None = None) -> None:
        """`status` for functions that run in a thread."""
        self._blocking(self.status(label, detail))

    def _blocking(self, report: Any) -> None:
        shown = _SHOWN_BY.get(self)
        if shown is None:
            report.close()
            return
        asyncio.run_coroutine_threadsafe(report, shown[0]).result()


_SHOWN_BY: WeakKeyDictionary[ToolProgress, tuple[asyncio.AbstractEventLoop, Emit]] = WeakKeyDictionary()


def open_progress(progress: ToolProgress, emit: Emit) -> None:
    """Let a progress be seen."""
    _SHOWN_BY[progress] = (asyncio.get_running_loop(), emit)


def close_progress(progress: ToolProgress) -> None:
    """What it tells from now on is dropped: the call's completion has been shown."""
    _SHOWN_BY.pop(progress, None)


async def show(emit: Emit, event: AnyTurnEvent, correlation_id: str | None) -> None:
    """Emit, waiting where there is something to wait for."""
    waiting = emit(event, correlation_id)
    if waiting is not None:
        await waiting


async def _report(progress: ToolProgress, kind: Any, name: str, payload: JsonValue) -> None:
    shown = _SHOWN_BY.get(progress)
    if shown is not None:
        call_id = progress._call_id  # pyright: ignore[reportPrivateUsage]
        await show(shown[1], TurnEvent.PluginRuntime(PROGRESS_PLUGIN, kind, name, payload), f"tool:{call_id}")
