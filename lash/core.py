"""`LashCore`: what all sessions of an application share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from pydantic import BaseModel

from lash.config import UNSET, ModePreset, RuntimeConfig, Unset
from lash.host.effects.inline import InlineEffectHost
from lash.host.stores.attachments import InMemoryAttachmentStore
from lash.host.stores.memory import MemorySessionStoreFactory
from lash.host.system import RandomIds, SystemClock
from lash.runtime.errors import ConfigError
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.models import ModelCatalog, ModelInfo
from lash.runtime.sansio.prompt import PromptLayer, render_prompt, resolve
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import DurabilityTier, EffectHost
from lash.runtime.seams.persistence import (
    LeaseOwner,
    SessionMeta,
    SessionRelation,
    SessionStoreCreateRequest,
    SessionStoreFactory,
)
from lash.runtime.tools.approvals import ApprovalDesk, ApproveCallback
from lash.runtime.tools.attempts import ToolLimits
from lash.runtime.tools.decorator import as_providers
from lash.runtime.tools.registry import ToolRegistry
from lash.runtime.tools.threads import ToolThreads
from lash.runtime.turn.mode import ModeFactory, ModePrompt
from lash.runtime.turn.session import LeaseTimings, OpenSession, SessionPolicy, SessionServices
from lash.sessions import LashSession, SessionOpener


class LashCore:
    """Shared configuration of sessions: modes, model, tools, stores.

    `modes` are those installed, `default_mode` the one of sessions that name none (None: the first). `provider` and
    `model` answer the turns; the context size comes from `max_context_tokens`, from `models` or from the bundled table.
    `tools` are `@lash.tool` functions, objects with such methods, and tool providers. `store` keeps the sessions (None:
    in memory), `attachments` their images, `effect_host` carries effects out (None: inline, nothing is recorded).
    `approve` is asked where a tool needs it.

    Raises ConfigError for what cannot work, before anything runs.
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
        tools: Sequence[object] = (),
        store: SessionStoreFactory | None = None,
        attachments: AttachmentStore | None = None,
        effect_host: EffectHost | None = None,
        approve: ApproveCallback | None = None,
        lease: LeaseTimings | None = None,
        runtime: RuntimeConfig | None = None,
        clock: Clock | None = None,
        ids: IdSource | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.ids = ids or RandomIds()
        self.runtime = runtime or RuntimeConfig()
        self._modes = _installed(modes)
        self._default_mode = _default_mode(self._modes, default_mode)
        self._provider = provider
        self._model = model
        self._model_variant = model_variant
        self._max_context_tokens = max_context_tokens
        self._max_turns = max_turns
        self._catalog = ModelCatalog(models or {})
        self._tools = tuple(tools)
        self._store = store or MemorySessionStoreFactory(clock=self.clock)
        self._attachments = attachments or InMemoryAttachmentStore()
        self._check_tiers()
        self._approve = approve
        self._effects = effect_host or InlineEffectHost(self.clock)
        self._threads = ToolThreads()
        self._services = SessionServices(
            effects=self._effects,
            attachments=self._attachments,
            clock=self.clock,
            ids=self.ids,
            threads=self._threads,
            owner=LeaseOwner("lash", self.ids.new("incarnation")),
            lease=lease or LeaseTimings(),
            tool_limits=ToolLimits(
                tool_timeout_s=self.runtime.tool_timeout_s,
                max_result_bytes=self.runtime.max_tool_result_bytes,
                cancel_ms=self.runtime.tool_cancel_ms,
                cancel_grace_s=self.runtime.cancel_grace_s,
                hook_timeout_s=self.runtime.hook_timeout_s,
                max_parallel=self.runtime.max_parallel_tools,
            ),
            llm_deadline_s=self.runtime.llm_deadline_s,
            cancel_grace_s=self.runtime.cancel_grace_s,
            iterator_queue=self.runtime.iterator_queue,
        )
        if provider is not None:
            self._policy({})

    @classmethod
    def rlm(cls, **knobs: Any) -> LashCore:
        """A core with RLM mode alone; keywords as for the constructor."""
        return cls(modes=[ModePreset.rlm()], **knobs)

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
        projected: Mapping[str, object] | None = None,
        globals: Mapping[str, JsonValue] | None = None,  # noqa: A002 - the name of the language's word for them
        require_submit: bool | type[BaseModel] | dict[str, JsonValue] | None = None,
        allow_prose_or_submit: bool = False,
        approve: ApproveCallback | None = None,
    ) -> SessionOpener:
        """A session to be opened, new or stored: `async with core.session(...) as session`.

        A stored session keeps its mode. In RLM mode `projected` are values that programs read lazily, `globals`
        variables that are set where they are not bound; `require_submit` and `allow_prose_or_submit` are the default
        of its turns. Opening raises ConfigError, SessionError, and what stores raise.
        """
        options: dict[str, Any] = {}
        if projected is not None:
            options["projected"] = projected
        if globals is not None:
            options["globals"] = globals
        if require_submit is not None or allow_prose_or_submit:
            options |= {"require_submit": require_submit, "allow_prose_or_submit": allow_prose_or_submit}
        knobs = {
            "provider": provider,
            "model": model,
            "model_variant": model_variant,
            "max_context_tokens": max_context_tokens,
            "max_turns": max_turns,
        }

        async def open_session() -> LashSession:
            return await self._open(session_id, mode, knobs, options, approve)

        return SessionOpener(open_session)

    async def _open(
        self,
        session_id: str,
        mode: str | None,
        knobs: Mapping[str, Any],
        options: Mapping[str, Any],
        approve: ApproveCallback | None,
    ) -> LashSession:
        if not session_id:
            raise ConfigError("contradictory_options", "a session needs an id")
        policy = self._policy(knobs)
        meta = SessionMeta(session_id, session_id, self.clock.now_ms(), SessionRelation.Root(), policy.model)
        store = await self._store.open_store(SessionStoreCreateRequest(session_id, meta))
        stored = await store.load_session("active_path")
        chosen = mode or (stored.config.mode if stored is not None else self._default_mode)
        factory = self._modes.get(chosen)
        if factory is None:
            await store.aclose()
            raise ConfigError("mode_not_installed", f"mode {chosen!r} is not installed; there are {list(self._modes)}")
        registry = ToolRegistry()
        if self._tools:
            registry.add_source(as_providers(self._tools), "tools")
        session = OpenSession(
            session_id,
            store,
            factory.session(session_id, options),
            registry,
            self._services,
            policy,
            _render,
            ApprovalDesk(approve or self._approve),
        )
        try:
            await session.load()
        except BaseException:
            await session.aclose()
            raise
        return LashSession(self, session, {key: options[key] for key in _TURN_DEFAULTS if key in options})

    def _policy(self, knobs: Mapping[str, Any]) -> SessionPolicy:
        """The model of a session; ConfigError where it or its context size is missing."""
        provider: ProviderHandle | None = knobs.get("provider") or self._provider
        if provider is None:
            raise ConfigError("contradictory_options", "no provider: give `provider=` to LashCore or to core.session")
        model: str | None = knobs.get("model") or self._model or provider.default_model()
        if model is None:
            raise ConfigError(
                "contradictory_options", f"provider {provider.kind!r} has no default model: give `model=`"
            )
        variant = knobs.get("model_variant", UNSET)
        if variant is UNSET:
            variant = self._model_variant
        if variant is UNSET:
            variant = provider.default_variant(model)
        provider.validate_variant(model, variant)
        given = knobs.get("max_context_tokens") or self._max_context_tokens
        spec = provider.resolve_model_spec(model, self._catalog, max_context_tokens=given)
        max_turns = knobs.get("max_turns", UNSET)
        if max_turns is UNSET:
            max_turns = self._max_turns
        return SessionPolicy(
            provider=provider,
            model=model,
            model_variant=variant,
            max_context_tokens=spec.context,
            max_turns=None if max_turns is UNSET else max_turns,
            max_turns_set=max_turns is not UNSET,
        )

    def _check_tiers(self) -> None:
        durable = DurabilityTier.DURABLE
        if self._store.durability is durable and self._attachments.durability is not durable:
            raise ConfigError(
                "durable_store_required:attachments",
                "sessions are stored durably, their images are not: give `attachments=FileAttachmentStore(folder)`",
            )

    async def aclose(self) -> None:
        """Close stores and provider; sessions are to be closed before."""
        await self._store.aclose()
        if self._provider is not None:
            await self._provider.aclose()
        self._threads.close()

    async def __aenter__(self) -> LashCore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


_TURN_DEFAULTS = ("require_submit", "allow_prose_or_submit")


def _installed(modes: Sequence[ModePreset]) -> dict[str, ModeFactory]:
    if not modes:
        raise ConfigError("no_modes_installed", "a core needs a mode: modes=[ModePreset.rlm()]")
    return {preset.mode_id: preset.factory for preset in modes}


def _default_mode(modes: Mapping[str, ModeFactory], wanted: str | None) -> str:
    if wanted is None:
        return next(iter(modes))
    if wanted not in modes:
        raise ConfigError("default_mode_not_installed", f"mode {wanted!r} is not installed; there are {list(modes)}")
    return wanted


def _render(prompt: ModePrompt, tools: Sequence[ToolSpec]) -> str:
    """The system prompt: the default template with what the mode adds."""
    layer = resolve([PromptLayer().add(*prompt.contributions)])
    return render_prompt(layer, prompt.execution, tools)
