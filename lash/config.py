"""Values that configure a core: unset knobs, bounds of the runtime, installed modes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from lash.runtime.errors import ConfigError

if TYPE_CHECKING:
    from lash.modes.rlm.config import RlmConfig
    from lash.modes.rlm.refs import ProjectionResolver
    from lash.modes.standard.config import StandardConfig
    from lash.runtime.turn.mode import ModeFactory


class _Unset(Enum):
    UNSET = "..."

    def __repr__(self) -> str:
        return "..."


Unset = Literal[_Unset.UNSET]
UNSET: Final = _Unset.UNSET
"""Not given, where None means something."""

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """The bounds of a core. Nothing waits without one; None switches a time limit off and has to be written out.

    `iterator_queue` is how many activities wait for an iterating host; `tool_timeout_s`, `max_tool_result_bytes`,
    `max_parallel_tools` bound tool calls; after `tool_cancel_ms` a call that is to stop is cancelled, after
    `cancel_grace_s` abandoned. `hook_timeout_s` bounds each hook of a plugin, `prepare_hook_timeout_s` those that work
    on the history. `llm_deadline_s` bounds a model call with all its retries, `approval_timeout_s` the wait for a
    person's answer (where it is not given an hour, or a week with a durable effect host). `keep_checkpoints` turns of
    every branch can be forked; a turn is handed on `max_handoffs` times at most.
    """

    iterator_queue: int = 64
    tool_timeout_s: float | None = 600.0
    max_tool_result_bytes: int = 16 * MIB
    tool_cancel_ms: int = 500
    cancel_grace_s: float = 5.0
    hook_timeout_s: float | None = 30.0
    prepare_hook_timeout_s: float | None = 300.0
    llm_deadline_s: float | None = 3600.0
    approval_timeout_s: float | None | Unset = UNSET
    keep_checkpoints: int | None = 32
    max_parallel_tools: int | None = None
    max_handoffs: int = 64

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        # Imported here, since what checks the keywords knows UNSET from this module.
        from lash.checks import COUNT, SECONDS, WHOLE, check

        shapes = {name: SECONDS if name.endswith("_s") else WHOLE if name in _FROM_0 else COUNT for name in given}
        for name, value in given.items():
            if value is None and name not in _CAN_BE_OFF:
                raise ConfigError("contradictory_options", f"RuntimeConfig: `{name}` cannot be None")
        check("RuntimeConfig", given, shapes, ConfigError)


_FROM_0 = ("tool_cancel_ms", "max_handoffs")
_CAN_BE_OFF = (
    "tool_timeout_s",
    "hook_timeout_s",
    "prepare_hook_timeout_s",
    "llm_deadline_s",
    "approval_timeout_s",
    "keep_checkpoints",
    "max_parallel_tools",
)


class Residency(Enum):
    """How much of a session's history is in memory while it is open; the values are what is asked of its store.

    With KEEP_ALL that is every node. With ACTIVE_PATH_ONLY it is the conversation as it stands, and branches that were
    left behind are read one node at a time, with `LashSession.get_historic_node`; opening a session whose history was
    often rewritten then costs less. A store that cannot read it alone raises UnsupportedReadScope.
    """

    KEEP_ALL = "full_graph"
    ACTIVE_PATH_ONLY = "active_path"


class ModeId(str):
    """The name of a mode."""

    __slots__ = ()

    @staticmethod
    def rlm() -> ModeId:
        """The mode in which the model acts by programs."""
        return ModeId("rlm")

    @staticmethod
    def standard() -> ModeId:
        """The mode in which the model acts by native tool calls."""
        return ModeId("standard")


@dataclass(frozen=True, slots=True)
class ModePreset:
    """A mode to be installed in a core."""

    mode_id: ModeId
    factory: ModeFactory

    @staticmethod
    def rlm(config: RlmConfig | None = None, *, projection_resolver: ProjectionResolver | None = None) -> ModePreset:
        """RLM mode, with its settings and what finds projected values by reference (None: nothing but a registry)."""
        from lash.modes.rlm.config import RlmConfig
        from lash.modes.rlm.mode import RlmMode

        return ModePreset(ModeId.rlm(), RlmMode(config or RlmConfig(), resolver=projection_resolver))

    @staticmethod
    def standard(config: StandardConfig | None = None) -> ModePreset:
        """Standard mode, with its settings."""
        from lash.modes.standard.config import StandardConfig
        from lash.modes.standard.mode import StandardMode

        return ModePreset(ModeId.standard(), StandardMode(config or StandardConfig()))
