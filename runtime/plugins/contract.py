"""What a plugin is (plugins.md 1).

Two lifetimes: a *factory* lives as long as the core and owns what is shared; it builds one *session plugin* per
session, at once and without I/O. A session plugin registers its hooks, then its state is restored, then it is told that
the session is ready.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from lash.runtime.sansio.effects import CheckpointKind
from lash.runtime.sansio.llm import LlmResponse
from lash.runtime.sansio.messages import Message, MessageSequence
from lash.runtime.sansio.outcome import AnyTurnOutcome
from lash.runtime.sansio.prompt import PromptContribution
from lash.runtime.sansio.tools import AnyToolOutput
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.definition import ToolManifest
from lash.runtime.tools.hooks import HookedCall
from lash.runtime.tools.result import ModelReturn
from lash.runtime.tools.surface import SurfaceContribution, ToolSurface

if TYPE_CHECKING:
    from lash.runtime.plugins.registrar import PluginRegistrar
    from lash.runtime.plugins.snapshot import PluginSnapshotMeta, SnapshotReader, SnapshotWriter

T = TypeVar("T")
MaybeAwaitable: TypeAlias = T | Awaitable[T]
"""Hooks may be plain functions or `async` ones; plain ones must not block."""


@dataclass(frozen=True, slots=True)
class PluginSessionContext:
    """The session that a plugin is built for."""

    session_id: str
    execution_mode: str
    parent_session_id: str | None = None

    @property
    def is_root_session(self) -> bool:
        """Whether no other session made it."""
        return self.parent_session_id is None


@dataclass(frozen=True, slots=True)
class SessionReadyContext:
    """What a plugin learns when its session is ready; `restored` says that its state came from a store."""

    session: PluginSessionContext
    restored: bool


# --- contexts of hooks -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TurnHookContext:
    """A turn as its hooks see it; `plugin_input` is what the turn was given for this plugin."""

    session: PluginSessionContext
    turn_id: str
    turn_index: int
    messages: MessageSequence
    plugin_input: Any = None


@dataclass(frozen=True, slots=True)
class CheckpointContext:
    """A checkpoint of a turn: after work, or before the turn would end."""

    turn: TurnHookContext
    kind: CheckpointKind
    mode_iteration: int


@dataclass(frozen=True, slots=True)
class AfterTurnContext:
    """A turn that has its outcome and is about to be committed."""

    turn: TurnHookContext
    outcome: AnyTurnOutcome


@dataclass(frozen=True, slots=True)
class AfterToolContext:
    """A call with its outcome."""

    call: HookedCall
    output: AnyToolOutput


@dataclass(frozen=True, slots=True)
class SurfaceContext:
    """The tools that a surface is made of, before it is."""

    session: PluginSessionContext
    manifests: tuple[ToolManifest, ...]


@dataclass(frozen=True, slots=True)
class PromptContext:
    """What a contribution to the prompt may depend on."""

    session: PluginSessionContext
    surface: ToolSurface


# --- output ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamChunk:
    """Text as it arrives from the model."""

    text: str
    kind: Literal["prose", "reasoning"]


@dataclass(frozen=True, slots=True)
class AttemptReset:
    """All text of the attempt so far is void: stream and response hooks forget what they kept of it."""


@dataclass(frozen=True, slots=True)
class AbortStream:
    """Stop the model call."""

    reason: str


# --- history -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HistoryRewrite:
    """Another history, which is committed as a branch; `reason` says why."""

    messages: tuple[Message, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class PreparedHistory:
    """What the model sees this turn; without a rewrite the history itself stays as it is."""

    messages: MessageSequence
    rewrite: HistoryRewrite | None = None


RewriteTrigger = Literal["overflow"]
"""Why a shorter history is asked for: the provider refused the prompt as too long."""


# --- session events ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """A turn is stored."""

    turn_id: str
    turn_index: int
    outcome: AnyTurnOutcome


@dataclass(frozen=True, slots=True)
class TurnPersisted:
    """A turn is stored and `view` shows the session with it."""

    view: Any


@dataclass(frozen=True, slots=True)
class SessionRestored:
    """A stored session was opened; `view` shows it."""

    view: Any


@dataclass(frozen=True, slots=True)
class SessionConfigChanged:
    """The session's configuration is another."""

    previous: Any
    current: Any


LifecycleEvent: TypeAlias = TurnCommitted | TurnPersisted | SessionRestored | SessionConfigChanged


# --- hooks -------------------------------------------------------------------------------------------

BeforeTurnHook: TypeAlias = Callable[[TurnHookContext], MaybeAwaitable[Any]]
CheckpointHook: TypeAlias = Callable[[CheckpointContext], MaybeAwaitable[Any]]
AfterTurnHook: TypeAlias = Callable[[AfterTurnContext], MaybeAwaitable[Any]]
BeforeToolHook: TypeAlias = Callable[[HookedCall], MaybeAwaitable[Any]]
AfterToolHook: TypeAlias = Callable[[AfterToolContext], MaybeAwaitable[Any]]
StreamHook: TypeAlias = Callable[[StreamChunk | AttemptReset], MaybeAwaitable[str | AbortStream | None]]
ResponseHook: TypeAlias = Callable[[LlmResponse | AttemptReset], MaybeAwaitable[LlmResponse | None]]
ResultProjector: TypeAlias = Callable[[str, JsonValue, AnyToolOutput], MaybeAwaitable[ModelReturn | None]]
PromptHook: TypeAlias = Callable[[PromptContext], Sequence[PromptContribution]]
SurfaceHook: TypeAlias = Callable[[SurfaceContext], SurfaceContribution | None]
EventHook: TypeAlias = Callable[[LifecycleEvent], MaybeAwaitable[None]]
ConfigMutator: TypeAlias = Callable[[Any], Any]
PrepareTransform: TypeAlias = Callable[
    [TurnHookContext, MessageSequence], MaybeAwaitable[MessageSequence | PreparedHistory | None]
]
RewriteHook: TypeAlias = Callable[[RewriteTrigger, MessageSequence], MaybeAwaitable[HistoryRewrite | None]]


# --- plugins -----------------------------------------------------------------------------------------


class SessionPlugin:
    """A base for session plugins, which need not derive from it: a plugin without state and without hooks.

    `version` is that of the state's format. A plugin with state raises `snapshot_revision` with every change. One that
    can read states of other versions has a method `migrate(meta, reader)` besides.
    """

    id: str = ""
    version: int = 1

    def register(self, reg: PluginRegistrar) -> None:
        """Register hooks; one that must be inert in a session registers nothing."""

    def snapshot_revision(self) -> int:
        """A number that moves with every change of state; 0 where there is none yet."""
        return 0

    def snapshot(self, w: SnapshotWriter) -> PluginSnapshotMeta:
        """The state as JSON; larger parts as blobs."""
        from lash.runtime.plugins.snapshot import PluginSnapshotMeta

        return PluginSnapshotMeta(self.version)

    def restore(self, meta: PluginSnapshotMeta, r: SnapshotReader) -> None:
        """Take up a state of this version or an older one."""

    def session_ready(self, ctx: SessionReadyContext) -> None:
        """The session is ready."""

    async def aclose(self) -> None:
        """The session is closed."""


class PluginFactory:
    """A base for factories, which need not derive from it."""

    id: str = ""

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        """The plugin of a session; without I/O, compilation or blocking."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """The core is closed."""


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """A plugin without state, as lists of what it registers; see `PluginRegistrar` for each."""

    tools: Sequence[Any] = ()
    prompt: Sequence[PromptHook] = ()
    surface: Sequence[SurfaceHook] = ()
    before_turn: Sequence[BeforeTurnHook] = ()
    after_turn: Sequence[AfterTurnHook] = ()
    checkpoint: Sequence[CheckpointHook] = ()
    before_tool: Sequence[BeforeToolHook] = ()
    after_tool: Sequence[AfterToolHook] = ()
    stream: Sequence[StreamHook] = ()
    response: Sequence[ResponseHook] = ()
    result_projector: ResultProjector | None = None
    on_event: Sequence[EventHook] = ()
    config_mutators: Sequence[ConfigMutator] = ()
    prepare_turn: Mapping[int, PrepareTransform] = field(default_factory=dict[int, PrepareTransform])
    rewrite: Mapping[int, RewriteHook] = field(default_factory=dict[int, RewriteHook])


class _SpecPlugin(SessionPlugin):
    def __init__(self, plugin_id: str, spec: PluginSpec) -> None:
        self.id = plugin_id
        self._spec = spec

    def register(self, reg: PluginRegistrar) -> None:
        """See `SessionPlugin`."""
        from lash.runtime.tools.decorator import as_providers

        spec = self._spec
        for provider in as_providers(spec.tools):
            reg.tools().provider(provider)
        for prompt in spec.prompt:
            reg.prompt().contribute(prompt)
        for surface in spec.surface:
            reg.surface().contribute(surface)
        for before in spec.before_turn:
            reg.turn().before(before)
        for after in spec.after_turn:
            reg.turn().after(after)
        for checkpoint in spec.checkpoint:
            reg.turn().checkpoint(checkpoint)
        for before_tool in spec.before_tool:
            reg.tool_calls().before(before_tool)
        for after_tool in spec.after_tool:
            reg.tool_calls().after(after_tool)
        for stream in spec.stream:
            reg.output().stream(stream)
        for response in spec.response:
            reg.output().response(response)
        if spec.result_projector is not None:
            reg.tool_results().projector(spec.result_projector)
        for event in spec.on_event:
            reg.session().on_event(event)
        for mutator in spec.config_mutators:
            reg.session().config_mutator(mutator)
        for priority, transform in spec.prepare_turn.items():
            reg.history().prepare_turn(priority, transform)
        for priority, rewrite in spec.rewrite.items():
            reg.history().rewrite(priority, rewrite)


class StaticPluginFactory(PluginFactory):
    """A plugin that is the same in every session."""

    def __init__(self, plugin_id: str, spec: PluginSpec) -> None:
        self.id = plugin_id
        self._spec = spec

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        """See `PluginFactory`."""
        return _SpecPlugin(self.id, self._spec)


class PluginSpecFactory(PluginFactory):
    """A plugin whose hooks are made for each session."""

    def __init__(self, plugin_id: str, make: Callable[[PluginSessionContext], PluginSpec]) -> None:
        self.id = plugin_id
        self._make = make

    def build(self, ctx: PluginSessionContext) -> SessionPlugin:
        """See `PluginFactory`."""
        return _SpecPlugin(self.id, self._make(ctx))
