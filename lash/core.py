"""`LashCore`: what all sessions of an application share."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from types import TracebackType
from typing import Any

from pydantic import BaseModel

from lash.answering import Answering
from lash.checks import CALLABLE, FLAG, PATH, RECORD, TEXT, Shape, check, check_id, having, many, of
from lash.config import UNSET, ModePreset, Residency, RuntimeConfig, Unset
from lash.host.effects.inline import InlineEffectHost
from lash.host.stores.attachments import InMemoryAttachmentStore
from lash.host.stores.memory import MemorySessionStoreFactory
from lash.host.system import RandomIds, SystemClock
from lash.host.tracing.core_trace import CoreTrace
from lash.plugins import PluginStack
from lash.runtime.errors import ConfigError, SessionBusyError, SessionError
from lash.runtime.plugins.binding import BoundPlugin
from lash.runtime.plugins.calling import HookTimes
from lash.runtime.plugins.contract import PluginFactory, PluginSessionContext, PluginSpec, StaticPluginFactory
from lash.runtime.plugins.host import PluginHost
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.models import ModelCatalog, ModelInfo
from lash.runtime.sansio.prompt import PromptContribution, PromptLayer, PromptSlot, PromptTemplate
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import (
    DurabilityTier,
    EffectHost,
    TurnJournal,
)
from lash.runtime.seams.persistence import (
    LeaseClaim,
    LeaseOwner,
    PersistedSessionConfig,
    PersistedSessionRead,
    RuntimePersistence,
    SessionMeta,
    SessionRelation,
    SessionStoreCreateRequest,
    SessionStoreFactory,
)
from lash.runtime.seams.trace import TraceContext, TraceLevel, TraceSink, TraceStats
from lash.runtime.session.fork import fork
from lash.runtime.tools.approvals import ApprovalDesk, ApproveCallback
from lash.runtime.tools.attempts import ToolLimits
from lash.runtime.tools.decorator import as_providers
from lash.runtime.tools.registry import ToolRegistry
from lash.runtime.tools.threads import ToolThreads
from lash.runtime.turn.lane import LeaseTimings
from lash.runtime.turn.mode import ModeFactory
from lash.runtime.turn.plugins import SessionPlugins
from lash.runtime.turn.session import OpenSession
from lash.runtime.turn.settings import SessionParts, SessionPolicy, SessionServices
from lash.sessions import OWN_FIELDS, LashSession, ParkedSession, SessionOpener
from lash.specs import SessionSpec, overlay, resolve_policy
from lash.specs import prompt_layer as make_layer
from lash.sync import BoundLoop
from lashlang._version import __version__


@dataclass(frozen=True, slots=True)
class CoreStats:
    """What a core has in hand; `abandoned_threads` run plain functions of tools that did not end in time."""

    open_sessions: int
    running_turns: int
    abandoned_threads: int


class LashCore(Answering):
    """Shared configuration of sessions: modes, model, tools, stores.

    `modes` are those installed, `default_mode` the one of sessions that name none (None: the first). `provider` and
    `model` answer the turns; the context size comes from `max_context_tokens`, from `models` or from the bundled table.
    `tools` are `@lash.tool` functions, objects with such methods, and tool providers; `plugins` take part in every
    session, in their order. `store` keeps the sessions (None: in memory), `attachments` their images, `effect_host`
    carries effects out (None: inline, nothing is recorded).
    `approve` is asked where a tool needs it. `spec` is an overlay of the six fields of the model's policy, over which
    the keywords win. `prompt_template`, `prompt` and `prompt_slots` (or `prompt_layer` in their stead) are the
    application's layer of every prompt. `trace_sink` and `trace_jsonl_path` get the records of all turns, in as much
    detail as `trace_level` says; `trace_context` is where they belong. `residency` says how much of a
    session is in memory.

    Raises ConfigError for what cannot work, before anything runs, and TraceSinkError for a trace that cannot be opened.
    """

    def __init__(
        self,
        *,
        modes: Sequence[ModePreset],
        default_mode: str | None = None,
        provider: ProviderHandle | None = None,
        model: str | None = None,
        model_variant: str | None | Unset = UNSET,
        max_context_tokens: int | None = None,
        max_turns: int | None | Unset = UNSET,
        models: Mapping[str, ModelInfo] | None = None,
        spec: SessionSpec | None = None,
        prompt_template: PromptTemplate | None = None,
        prompt: Sequence[PromptContribution] = (),
        prompt_slots: Mapping[PromptSlot, Sequence[PromptContribution]] | None = None,
        prompt_layer: PromptLayer | None = None,
        tools: Sequence[object] = (),
        plugins: PluginStack | Sequence[PluginFactory] = (),
        store: SessionStoreFactory | None = None,
        attachments: AttachmentStore | None = None,
        effect_host: EffectHost | None = None,
        approve: ApproveCallback | None = None,
        trace_sink: TraceSink | None = None,
        trace_jsonl_path: str | PathLike[str] | None = None,
        trace_level: TraceLevel = TraceLevel.STANDARD,
        trace_context: TraceContext | None = None,
        lease: LeaseTimings | None = None,
        residency: Residency = Residency.KEEP_ALL,
        runtime: RuntimeConfig | None = None,
        clock: Clock | None = None,
        ids: IdSource | None = None,
    ) -> None:
        given = locals()
        self._given = {name: value for name, value in given.items() if name not in ("self", "__class__")}
        check("LashCore", self._given, _SHAPES, ConfigError)
        self.loop = BoundLoop()
        self.clock = clock or SystemClock()
        self.ids = ids or RandomIds()
        self.runtime = runtime or RuntimeConfig()
        self._modes = _installed(modes)
        wishes = overlay(
            spec,
            {
                "provider": provider,
                "model": model,
                "model_variant": model_variant,
                "max_context_tokens": max_context_tokens,
                "max_turns": max_turns,
            },
        )
        layer = make_layer(prompt_template, prompt, prompt_slots, prompt_layer)
        self._spec = wishes if layer is None else replace(wishes, prompt_layer=layer)
        wanted = default_mode if default_mode is not None or wishes.mode is UNSET else wishes.mode
        self._default_mode = _default_mode(self._modes, wanted)
        self._catalog = ModelCatalog(models or {})
        self._plugin_host = PluginHost(
            [*_own_tools(tools), *plugins],
            clock=self.clock,
            times=HookTimes(
                self.runtime.hook_timeout_s, self.runtime.prepare_hook_timeout_s, self.runtime.cancel_grace_s
            ),
        )
        self._store = store or MemorySessionStoreFactory(clock=self.clock)
        self._attachments = attachments or InMemoryAttachmentStore()
        self._approve = approve
        self._effects = effect_host or InlineEffectHost(self.clock)
        self._check_tiers()
        self._threads = ToolThreads()
        self._trace = CoreTrace(
            sink=trace_sink, jsonl_path=trace_jsonl_path, level=trace_level, context=trace_context, clock=self.clock
        )
        self._services = SessionServices(
            effects=self._effects,
            stores=self._store,
            attachments=self._attachments,
            clock=self.clock,
            ids=self.ids,
            threads=self._threads,
            owner=LeaseOwner("lash", self.ids.new("incarnation")),
            tracer=self._trace.tracer,
            lease=lease or LeaseTimings(),
            tool_limits=ToolLimits(
                tool_timeout_s=self.runtime.tool_timeout_s,
                max_result_bytes=self.runtime.max_tool_result_bytes,
                cancel_ms=self.runtime.tool_cancel_ms,
                cancel_grace_s=self.runtime.cancel_grace_s,
                hook_timeout_s=self.runtime.hook_timeout_s,
                approval_timeout_s=(
                    "default" if self.runtime.approval_timeout_s is UNSET else self.runtime.approval_timeout_s
                ),
                max_parallel=self.runtime.max_parallel_tools,
            ),
            llm_deadline_s=self.runtime.llm_deadline_s,
            cancel_grace_s=self.runtime.cancel_grace_s,
            keep_checkpoints=self.runtime.keep_checkpoints,
            read_scope=residency.value,
        )
        self._open_sessions: set[LashSession] = set()
        if self._spec.provider is not UNSET:
            resolve_policy(self._spec, self._catalog)

    @classmethod
    def rlm(cls, **knobs: Any) -> LashCore:
        """A core with RLM mode alone, and the plugins of `PluginStack.runtime()` unless others are given.

        The keywords are those of the constructor.
        """
        knobs.setdefault("plugins", PluginStack.runtime())
        return cls(modes=[ModePreset.rlm()], **knobs)

    @classmethod
    def standard(cls, **knobs: Any) -> LashCore:
        """The same with standard mode alone: the model acts by native tool calls."""
        knobs.setdefault("plugins", PluginStack.runtime())
        return cls(modes=[ModePreset.standard()], **knobs)

    def replace(self, **changes: Any) -> LashCore:
        """A core with other keywords; the rest is shared with this one, stores and effect host included.

        Raises ConfigError (contradictory_options) for a keyword that there is not, and what the constructor raises.
        """
        unknown = sorted(set(changes) - set(self._given))
        if unknown:
            raise ConfigError("contradictory_options", f"LashCore takes no keyword {', '.join(map(repr, unknown))}")
        shared: dict[str, Any] = {
            "store": self._store,
            "attachments": self._attachments,
            "effect_host": self._effects,
            "clock": self.clock,
            "ids": self.ids,
        }
        return LashCore(**{**self._given, **shared, **changes})

    @property
    def installed_modes(self) -> tuple[str, ...]:
        """The modes that sessions can run in."""
        return tuple(self._modes)

    def session(
        self,
        session_id: str,
        *,
        mode: str | None = None,
        provider: ProviderHandle | None = None,
        model: str | None = None,
        model_variant: str | None | Unset = UNSET,
        max_context_tokens: int | None = None,
        max_turns: int | None | Unset = UNSET,
        spec: SessionSpec | None = None,
        prompt_template: PromptTemplate | None = None,
        prompt: Sequence[PromptContribution] = (),
        prompt_slots: Mapping[PromptSlot, Sequence[PromptContribution]] | None = None,
        prompt_layer: PromptLayer | None = None,
        parent: str | None = None,
        owner: LeaseOwner | None = None,
        bindings: Sequence[BoundPlugin] = (),
        projected: Mapping[str, object] | None = None,
        globals: Mapping[str, JsonValue] | None = None,  # noqa: A002 - the name of the language's word for them
        require_submit: bool | type[BaseModel] | dict[str, JsonValue] | None = None,
        allow_prose_or_submit: bool = False,
        approve: ApproveCallback | None = None,
    ) -> SessionOpener:
        """A session to be opened, new or stored: `async with core.session(...) as session`.

        A stored session keeps its mode, and the model, variant and turn limit that it was given itself; what is given
        here is stored with its next turn. `spec` and the prompt keywords are as for the core, over the core's;
        `bindings` are plugins of this session, made by `Binding.bind(config)`. A new session is noted as the child of
        the session `parent`. `owner` is whom others are told of while a turn runs on it.

        In RLM mode `projected` are values that programs read lazily, `globals` variables that are set where they are
        not bound; `require_submit` and `allow_prose_or_submit` are the default of its turns. Opening raises
        ConfigError, SessionError, and what stores raise.
        """
        check_id("the session's id", session_id)
        given = {"parent": parent, "owner": owner, "bindings": bindings, "projected": projected, "globals": globals}
        given |= {"allow_prose_or_submit": allow_prose_or_submit, "approve": approve}
        check("core.session", given, _SESSION_SHAPES, ConfigError)
        options: dict[str, Any] = {}
        if projected is not None:
            options["projected"] = projected
        if globals is not None:
            options["globals"] = globals
        if require_submit is not None or allow_prose_or_submit:
            options |= {"require_submit": require_submit, "allow_prose_or_submit": allow_prose_or_submit}
        wishes = overlay(
            spec,
            {
                "provider": provider,
                "model": model,
                "model_variant": model_variant,
                "mode": mode,
                "max_context_tokens": max_context_tokens,
                "max_turns": max_turns,
            },
        )
        layer = make_layer(prompt_template, prompt, prompt_slots, prompt_layer)

        async def open_session() -> LashSession:
            return await self._open(
                session_id, wishes, layer, options, tuple(bindings), approve, parent, owner, open_session
            )

        return SessionOpener(open_session, self)

    async def resume(self, parked: ParkedSession) -> LashSession:
        """Open a parked session again, as it was opened before. Raises what opening it raises."""
        check("core.resume", {"parked": parked}, {"parked": of(ParkedSession)}, ConfigError)
        return await parked.reopen()

    def policy(self, spec: SessionSpec) -> SessionPolicy:
        """What a combined spec comes to. Raises ConfigError where it names no model, or one of unknown context."""
        policy = resolve_policy(spec, self._catalog)
        self._trace.learn_secrets(policy.provider)
        return policy

    def closed(self, session: LashSession) -> None:
        """A session of this core was closed."""
        self._open_sessions.discard(session)

    async def fork_session(
        self, session_id: str, *, turn: int | str | None = None, new_session_id: str | None = None
    ) -> str:
        """Make a new session from a turn of another one, with the variables of then; the new session's id.

        `turn` is the number of a turn, 0 for the empty start, None for the last one, or a turn's id, which reaches
        turns on other live branches as well. The source is only read. A given `new_session_id` makes the call
        idempotent. Raises SessionError (unknown_session, unknown_turn, session_exists), CheckpointNotKept.
        """
        self.loop.bind()
        check_id("the id of the session to fork", session_id)
        check("core.fork_session", {"turn": turn, "new_session_id": new_session_id}, _FORK, ConfigError)
        return await fork(
            self._store,
            self._attachments,
            session_id,
            turn=turn,
            new_session_id=new_session_id or self.ids.new("fork"),
            now_ms=self.clock.now_ms(),
        )

    async def delete_session(self, session_id: str) -> bool:
        """Remove a session with all that is queued for it; whether there was one.

        What other sessions and the application hold stays. Raises SessionBusyError while a turn runs on it.
        """
        self.loop.bind()
        check_id("the id of the session to delete", session_id)
        store = await self._store.find_store(session_id)
        if store is None:
            return False
        claim = await store.claim_lease(self._services.owner, int(self._services.lease.ttl_s * 1000))
        busy = isinstance(claim, LeaseClaim.Busy) or any(
            session.session_id == session_id and session.running for session in self._open_sessions
        )
        await store.aclose()
        if busy:
            raise SessionBusyError(
                "session_execution_busy", f"session {session_id!r} runs a turn: cancel it first", retryable=True
            )
        if isinstance(self._effects, TurnJournal):
            await self._effects.forget_session(session_id)
        return await self._store.delete_store(session_id)

    async def list_sessions(self) -> list[SessionMeta]:
        """What is known of every stored session, newest first."""
        self.loop.bind()
        return await self._store.list_sessions()

    def stats(self) -> CoreStats:
        """What the core has in hand."""
        return CoreStats(
            open_sessions=len(self._open_sessions),
            running_turns=sum(session.running for session in self._open_sessions),
            abandoned_threads=self._threads.abandoned,
        )

    def trace_stats(self) -> TraceStats:
        """How many records were written, how many could not be, and why the last one could not."""
        return self._trace.tracer.trace_stats()

    async def _open(
        self,
        session_id: str,
        wishes: SessionSpec,
        layer: PromptLayer | None,
        options: Mapping[str, Any],
        bindings: Sequence[BoundPlugin],
        approve: ApproveCallback | None,
        parent: str | None,
        owner: LeaseOwner | None,
        reopen: Callable[[], Awaitable[LashSession]],
    ) -> LashSession:
        self.loop.bind()
        relation = SessionRelation.Root() if parent is None else SessionRelation.Child(parent)
        meta = SessionMeta(session_id, session_id, self.clock.now_ms(), relation)
        found = await self._store.find_store(session_id)
        store = found or await self._store.open_store(SessionStoreCreateRequest(session_id, meta))
        made = None if found is not None else session_id
        try:
            stored = await store.load_session(self._services.read_scope)
            while stored is not None and stored.successor_session_id is not None:
                store, stored = await self._handed_on(store, stored.successor_session_id)
                session_id = stored.session_id
            own = wishes
            if stored is not None:
                provider = wishes.over(self._spec).provider
                own = wishes.over(_stored_spec(stored.config, None if provider is UNSET else provider.kind))
            combined = own.over(self._spec)
            policy = replace(
                self.policy(combined),
                own=tuple(name for name in OWN_FIELDS if getattr(own, name) is not UNSET),
            )
            wanted = None if wishes.mode is UNSET else wishes.mode
            chosen = wanted or (stored.config.mode if stored is not None else self._default_mode)
            factory = self._modes.get(chosen)
            if factory is None:
                raise ConfigError(
                    "mode_not_installed", f"mode {chosen!r} is not installed; there are {list(self._modes)}"
                )
            registry, half = ToolRegistry(), factory.session(session_id, options)
            plugins = SessionPlugins(
                self._plugin_host, PluginSessionContext(session_id, chosen), half, registry, bindings
            )
            layers = tuple(one for one in (combined.prompt_layer, layer) if one is not UNSET and one is not None)
            parts = SessionParts(
                session_id,
                store,
                half,
                registry,
                plugins,
                self._services,
                layers,
                ApprovalDesk(approve or self._approve),
                owner,
            )
            session = OpenSession(parts, policy)
        except BaseException:
            await store.aclose()
            await self._unmake(made)
            raise
        try:
            await session.stored.take_up(stored)
            await session.trace_opening(__version__)
        except BaseException:
            await session.aclose()
            await self._unmake(made)
            raise
        defaults = {key: options[key] for key in _TURN_DEFAULTS if key in options}
        opened = LashSession(self, session, defaults, combined, reopen)
        self._open_sessions.add(opened)
        return opened

    async def _unmake(self, session_id: str | None) -> None:
        """Remove a session that was made by an opening that failed."""
        if session_id is not None:
            await self._store.delete_store(session_id)

    async def _handed_on(
        self, store: RuntimePersistence, successor: str
    ) -> tuple[RuntimePersistence, PersistedSessionRead]:
        """The session that the one in `store` was handed on to, which takes its place.

        Raises SessionError (handoff_successor_missing), and what stores raise.
        """
        await store.aclose()
        found = await self._store.find_store(successor)
        stored = None if found is None else await found.load_session(self._services.read_scope)
        if found is None or stored is None:
            raise SessionError(
                "handoff_successor_missing", f"the session was handed on to {successor!r}, which is not in the store"
            )
        return found, stored

    def _check_tiers(self) -> None:
        durable = DurabilityTier.DURABLE
        if self._effects.durability is durable and self._store.durability is not durable:
            raise ConfigError(
                "durable_store_required:sessions",
                "effects are recorded durably, the sessions are not: give `store=SqliteSessionStoreFactory(folder)`",
            )
        if self._store.durability is durable and self._attachments.durability is not durable:
            raise ConfigError(
                "durable_store_required:attachments",
                "sessions are stored durably, their images are not: give `attachments=FileAttachmentStore(folder)`",
            )

    async def aclose(self) -> None:
        """Close what the core was given or made: open sessions, stores, effect host, provider."""
        async with contextlib.AsyncExitStack() as closing:
            # From the last to the first, and each of them even where another one fails.
            closing.callback(self._trace.close)
            closing.callback(self._threads.close)
            if self._spec.provider is not UNSET:
                closing.push_async_callback(self._spec.provider.aclose)
            closing.push_async_callback(self._effects.aclose)
            closing.push_async_callback(self._store.aclose)
            closing.push_async_callback(self._plugin_host.aclose)
            for session in self._open_sessions:
                closing.push_async_callback(session.aclose)

    async def __aenter__(self) -> LashCore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


_SHAPES = {
    "modes": many(of(ModePreset), "a sequence of ModePreset"),
    "default_mode": TEXT,
    "models": Shape(
        "a mapping of model names to ModelInfo",
        lambda value: RECORD.fits(value) and all(isinstance(info, ModelInfo) for info in value.values()),
    ),
    "tools": Shape("a sequence of tools", lambda value: isinstance(value, Sequence) and not isinstance(value, str)),
    "plugins": Shape(
        "a PluginStack or a sequence of plugins",
        lambda value: isinstance(value, PluginStack) or many(having("id", "a plugin"), "").fits(value),
    ),
    "store": having("open_store", "a SessionStoreFactory"),
    "attachments": having("durability", "an AttachmentStore"),
    "effect_host": having("scoped", "an EffectHost"),
    "approve": CALLABLE,
    "trace_sink": having("append", "a TraceSink"),
    "trace_jsonl_path": PATH,
    "trace_level": of(TraceLevel),
    "trace_context": of(TraceContext),
    "lease": of(LeaseTimings),
    "residency": of(Residency),
    "runtime": of(RuntimeConfig),
    "clock": having("monotonic", "a Clock"),
    "ids": having("new", "an IdSource"),
}

_FORK = {
    "turn": Shape("the number or the id of a turn", lambda value: TEXT.fits(value) or type(value) is int),
    "new_session_id": TEXT,
}

_SESSION_SHAPES = {
    "parent": TEXT,
    "owner": of(LeaseOwner),
    "bindings": many(of(BoundPlugin), "a sequence of plugins that were bound by Binding.bind"),
    "projected": RECORD,
    "globals": RECORD,
    "allow_prose_or_submit": FLAG,
    "approve": CALLABLE,
}

_TURN_DEFAULTS = ("require_submit", "allow_prose_or_submit")


def _installed(modes: Sequence[ModePreset]) -> dict[str, ModeFactory]:
    if not modes:
        raise ConfigError("no_modes_installed", "a core needs a mode: modes=[ModePreset.rlm()]")
    return {preset.mode_id: preset.factory for preset in modes}


def _own_tools(tools: Sequence[object]) -> list[PluginFactory]:
    """The application's tools in the row of plugins; ConfigError for what is no tool and for two of one name."""
    if not tools:
        return []
    ToolRegistry().add_source(as_providers(tools), "tools")
    return [StaticPluginFactory("tools", PluginSpec(tools=tools))]


def _default_mode(modes: Mapping[str, ModeFactory], wanted: str | None) -> str:
    if wanted is None:
        return next(iter(modes))
    if wanted not in modes:
        raise ConfigError("default_mode_not_installed", f"mode {wanted!r} is not installed; there are {list(modes)}")
    return wanted


def _stored_spec(config: PersistedSessionConfig, provider_kind: str | None) -> SessionSpec:
    """What was said for the session itself when it was stored; nothing if that was about another provider's models."""
    own = config.extras.get("own")
    if not isinstance(own, list) or config.provider != provider_kind:
        return SessionSpec()
    return SessionSpec(**{name: getattr(config, name) for name in OWN_FIELDS if name in own})
