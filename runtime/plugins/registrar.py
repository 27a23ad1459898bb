"""Where plugins register: one namespace for each thing that they can take part in (plugins.md 1).

What was registered is kept with its plugin's id, so that a fault can be named, in the order of registration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from lash.runtime.errors import PluginError
from lash.runtime.plugins.actions import A, Action, ActionDefinition, ActionHook, O, PluginOp
from lash.runtime.plugins.contract import (
    AfterToolHook,
    AfterTurnHook,
    BeforeToolHook,
    BeforeTurnHook,
    CheckpointHook,
    ConfigMutator,
    EventHook,
    PluginSessionContext,
    PrepareTransform,
    PromptHook,
    ResponseHook,
    ResultProjector,
    RewriteHook,
    StreamHook,
    SurfaceHook,
)
from lash.runtime.tools.provider import ToolProvider
from lash.runtime.tools.signature import call_name

H = TypeVar("H")


class ModeHalf(Protocol):
    """What of a mode's session half the registrar looks at; see `lash.runtime.turn.mode.ModeSession`."""

    @property
    def mode_id(self) -> str:
        """The mode's name."""
        ...


@dataclass(frozen=True, slots=True)
class Registered(Generic[H]):
    """A hook with the plugin it belongs to."""

    plugin_id: str
    hook: H
    priority: int = 0


@dataclass(slots=True)
class Registrations:
    """All that the plugins of a session have registered."""

    providers: list[Registered[ToolProvider]] = field(default_factory=list[Any])
    prompt: list[Registered[PromptHook]] = field(default_factory=list[Any])
    surface: list[Registered[SurfaceHook]] = field(default_factory=list[Any])
    before_turn: list[Registered[BeforeTurnHook]] = field(default_factory=list[Any])
    after_turn: list[Registered[AfterTurnHook]] = field(default_factory=list[Any])
    checkpoint: list[Registered[CheckpointHook]] = field(default_factory=list[Any])
    before_tool: list[Registered[BeforeToolHook]] = field(default_factory=list[Any])
    after_tool: list[Registered[AfterToolHook]] = field(default_factory=list[Any])
    stream: list[Registered[StreamHook]] = field(default_factory=list[Any])
    response: list[Registered[ResponseHook]] = field(default_factory=list[Any])
    projector: Registered[ResultProjector] | None = None
    on_event: list[Registered[EventHook]] = field(default_factory=list[Any])
    config_mutators: list[Registered[ConfigMutator]] = field(default_factory=list[Any])
    prepare_turn: list[Registered[PrepareTransform]] = field(default_factory=list[Any])
    rewrite: list[Registered[RewriteHook]] = field(default_factory=list[Any])
    mode_session: Registered[ModeHalf] | None = None
    native_tools: list[Registered[ToolProvider]] = field(default_factory=list[Any])
    actions: dict[str, Action] = field(default_factory=dict[str, Action])
    tool_owners: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])


class PluginRegistrar:
    """What a plugin's `register` is given; of no use once the session is sealed."""

    def __init__(self, plugin_id: str, context: PluginSessionContext, into: Registrations) -> None:
        self.plugin_id = plugin_id
        self.context = context
        self._into = into
        self._sealed = False

    def seal(self) -> None:
        """Take no more registrations."""
        self._sealed = True

    def _open(self) -> Registrations:
        if self._sealed:
            raise PluginError("registration", self.plugin_id, "the session is sealed; register in `register`")
        return self._into

    def add(self, to: str, hook: Any, priority: int = 0) -> None:
        """Register a hook of which there may be many."""
        if not callable(hook):
            raise PluginError("registration", self.plugin_id, f"{hook!r} is no function, so no hook for {to}")
        getattr(self._open(), to).append(Registered(self.plugin_id, hook, priority))

    def add_one(self, to: str, thing: Any) -> None:
        """Register what there may be one of; PluginError names both plugins where there is one."""
        into = self._open()
        before: Registered[Any] | None = getattr(into, to)
        if before is not None:
            raise PluginError(
                "registration",
                self.plugin_id,
                f"{to} belongs to plugin {before.plugin_id!r} already, and there can be one",
            )
        setattr(into, to, Registered(self.plugin_id, thing))

    def add_action(self, definition: ActionDefinition, hook: ActionHook) -> None:
        """Register an action; PluginError names both plugins where two have one of a name."""
        into = self._open()
        taken = into.actions.get(definition.name)
        if taken is not None:
            raise PluginError(
                "registration",
                self.plugin_id,
                f"the action {definition.name!r} is there already, of plugin {taken.plugin_id!r}",
            )
        into.actions[definition.name] = Action(self.plugin_id, definition, hook)

    def add_provider(self, to: str, provider: ToolProvider) -> None:
        """Register tools; PluginError names both plugins where two have a tool of one name."""
        into = self._open()
        for manifest in provider.tool_manifests():
            taken = into.tool_owners.get(call_name(manifest.name))
            if taken is not None:
                raise PluginError(
                    "registration",
                    self.plugin_id,
                    f"the tool {manifest.name!r} is there already, as {taken[0]!r} of plugin {taken[1]!r}",
                )
            into.tool_owners[call_name(manifest.name)] = (manifest.name, self.plugin_id)
        getattr(into, to).append(Registered(self.plugin_id, provider))

    def tools(self) -> _Tools:
        """Tools."""
        return _Tools(self)

    def prompt(self) -> _Prompt:
        """Pieces of the system prompt."""
        return _Prompt(self)

    def surface(self) -> _Surface:
        """How far tools are offered."""
        return _Surface(self)

    def turn(self) -> _Turn:
        """The course of a turn."""
        return _Turn(self)

    def tool_calls(self) -> _ToolCalls:
        """Before and after every tool call."""
        return _ToolCalls(self)

    def output(self) -> _Output:
        """What the model writes."""
        return _Output(self)

    def tool_results(self) -> _ToolResults:
        """What the model is told of results."""
        return _ToolResults(self)

    def session(self) -> _Session:
        """The session's life."""
        return _Session(self)

    def actions(self) -> _Actions:
        """What the host may ask of the plugin."""
        return _Actions(self)

    def history(self) -> _History:
        """What the model sees of the past."""
        return _History(self)

    def mode(self) -> _Mode:
        """What makes a plugin a mode, or adds to the one of the session."""
        return _Mode(self)


class _Namespace:
    def __init__(self, registrar: PluginRegistrar) -> None:
        self._reg = registrar


class _Tools(_Namespace):
    def provider(self, provider: ToolProvider) -> None:
        """Offer tools; a name that is taken is an error."""
        self._reg.add_provider("providers", provider)


class _Prompt(_Namespace):
    def contribute(self, hook: PromptHook) -> None:
        """Contribute to the system prompt of every turn."""
        self._reg.add("prompt", hook)


class _Surface(_Namespace):
    def contribute(self, hook: SurfaceHook) -> None:
        """Change levels of tools and add notes on them; the later plugin wins."""
        self._reg.add("surface", hook)


class _Turn(_Namespace):
    def before(self, hook: BeforeTurnHook) -> None:
        """Before the first model call."""
        self._reg.add("before_turn", hook)

    def after(self, hook: AfterTurnHook) -> None:
        """Once there is an outcome, before the commit."""
        self._reg.add("after_turn", hook)

    def checkpoint(self, hook: CheckpointHook) -> None:
        """After work, and before the turn would end."""
        self._reg.add("checkpoint", hook)


class _ToolCalls(_Namespace):
    def before(self, hook: BeforeToolHook) -> None:
        """Before the arguments are checked."""
        self._reg.add("before_tool", hook)

    def after(self, hook: AfterToolHook) -> None:
        """With the result."""
        self._reg.add("after_tool", hook)


class _Output(_Namespace):
    def stream(self, hook: StreamHook) -> None:
        """Text as it arrives: gives other text, None for the same, or `AbortStream`."""
        self._reg.add("stream", hook)

    def response(self, hook: ResponseHook) -> None:
        """The whole response: gives another one, or None for the same."""
        self._reg.add("response", hook)


class _ToolResults(_Namespace):
    def projector(self, hook: ResultProjector) -> None:
        """What the model is told of a result; one plugin can say it."""
        self._reg.add_one("projector", hook)


class _Session(_Namespace):
    def on_event(self, hook: EventHook) -> None:
        """Be told of the session's life; failures are logged."""
        self._reg.add("on_event", hook)

    def config_mutator(self, hook: ConfigMutator) -> None:
        """Change the session's configuration when it is made."""
        self._reg.add("config_mutators", hook)


class _Actions(_Namespace):
    def op(self, definition: ActionDefinition, hook: ActionHook) -> None:
        """Offer an action; a name that is taken is an error."""
        self._reg.add_action(definition, hook)

    def typed(self, op: type[PluginOp[A, O]], hook: Callable[[A], O | Awaitable[O]]) -> None:
        """Offer an action that is written as a class."""
        self._reg.add_action(op.definition(), hook)


class _History(_Namespace):
    def prepare_turn(self, priority: int, hook: PrepareTransform) -> None:
        """Shorten or extend what the model sees this turn; high priorities first, each works on what the last gave."""
        self._reg.add("prepare_turn", hook, priority)

    def rewrite(self, priority: int, hook: RewriteHook) -> None:
        """Write a shorter history when one is needed; high priorities first."""
        self._reg.add("rewrite", hook, priority)


class _Mode(_Namespace):
    def session(self, session: ModeHalf) -> None:
        """The mode's half of the session, which also makes its driver; one, and of the session's mode."""
        context = self._reg.context
        if session.mode_id != context.execution_mode:
            raise PluginError(
                "registration",
                self._reg.plugin_id,
                f"it drives mode {session.mode_id!r}, but the session is in mode {context.execution_mode!r}",
            )
        self._reg.add_one("mode_session", session)

    def native_tools(self, provider: ToolProvider) -> None:
        """Tools of the mode itself."""
        self._reg.add_provider("native_tools", provider)
