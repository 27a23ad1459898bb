"""What sessions and turns are run with: what a core shares, a session's policy, one turn's request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.sansio.prompt import PromptLayer
from lash.runtime.sansio.values import JsonValue
from lash.runtime.seams.attachments import AttachmentStore
from lash.runtime.seams.clock import Clock, IdSource
from lash.runtime.seams.effects import EffectController, EffectHost
from lash.runtime.seams.persistence import LeaseOwner, ReadScope, RuntimePersistence, SessionStoreFactory
from lash.runtime.tools.approvals import ApprovalDesk, ApproveCallback
from lash.runtime.tools.attempts import ToolLimits
from lash.runtime.tools.registry import ToolRegistry
from lash.runtime.tools.threads import ToolThreads
from lash.runtime.turn.inputs import TurnInput
from lash.runtime.turn.lane import LeaseTimings
from lash.runtime.turn.mode import ModeSession
from lash.runtime.turn.plugins import SessionPlugins
from lash.runtime.turn.tracer import Tracer


@dataclass(frozen=True, slots=True)
class SessionServices:
    """What every session of a core shares."""

    effects: EffectHost
    stores: SessionStoreFactory
    attachments: AttachmentStore
    clock: Clock
    ids: IdSource
    threads: ToolThreads
    owner: LeaseOwner
    tracer: Tracer
    lease: LeaseTimings = LeaseTimings()  # noqa: RUF009 - frozen
    tool_limits: ToolLimits = ToolLimits()  # noqa: RUF009 - frozen
    llm_deadline_s: float | None = 3600.0
    cancel_grace_s: float = 5.0
    keep_checkpoints: int | None = 32
    read_scope: ReadScope = "full_graph"
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(
        default_factory=WeakValueDictionary[str, asyncio.Lock], repr=False
    )

    def lock(self, session_id: str) -> asyncio.Lock:
        """The lock that all handles of a session share."""
        return self._locks.setdefault(session_id, asyncio.Lock())


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """Which model a session's turns call, and how often; `own` names what was said for this session itself.

    `output_limit` is what the model can write in a reply at most, where that is known.
    """

    provider: ProviderHandle
    model: str
    model_variant: str | None
    max_context_tokens: int | None
    max_turns: int | None
    max_turns_set: bool = False
    own: tuple[str, ...] = ()
    output_limit: int | None = None


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn: its input, and what was given for it alone; `recorded` is what a journal keeps of the options.

    `layers` are the turn's own prompt layers, `plugin_inputs` what plugins are given by their ids; `approve` and
    `effects` stand for the session's. For `wait_if_busy` seconds the turn waits for another one to end. `trace_turn_id`
    is its id in the trace. With `park` it is put aside when it only waits for people. `queued_only` says that it takes
    what is queued, and does nothing where nothing is.
    """

    turn_id: str
    input: TurnInput
    policy: SessionPolicy
    layers: tuple[PromptLayer, ...] = ()
    plugin_inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    approve: ApproveCallback | None = None
    effects: EffectController | None = None
    wait_if_busy: float = 0.0
    trace_turn_id: str | None = None
    park: bool = False
    queued_only: bool = False
    handed_on: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    recorded: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    value_type: type[Any] | None = None
    autonomous: bool = False


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What one open session consists of; `layers` are the prompt layers of core and session.

    `owner` stands for the core's where the session is held in another name.
    """

    session_id: str
    store: RuntimePersistence
    mode: ModeSession
    registry: ToolRegistry
    plugins: SessionPlugins
    services: SessionServices
    layers: tuple[PromptLayer, ...]
    desk: ApprovalDesk
    owner: LeaseOwner | None = None
