"""What a turn machine is told once and never writes down: the caller builds it again to restore a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lash.runtime.errors import ConfigError
from lash.runtime.sansio.driver import ContextProjector, ModeDriver
from lash.runtime.sansio.messages import Message, Part
from lash.runtime.sansio.tools import ToolSpec
from lash.runtime.sansio.values import JsonValue, stable_hash


def turn_limit_notice(message_id: str, max_turns: int) -> Message:
    """The message before the one model call that is granted beyond the turn limit, where a mode has no own."""
    text = (
        f"The turn limit of {max_turns} model calls is reached. This is the last reply: "
        "say in prose what was done, what remains and what the next steps are. Nothing else will be run."
    )
    return Message(message_id, "system", (Part(f"{message_id}.p0", "text", text),))


@dataclass(frozen=True, slots=True)
class TurnMachineConfig:
    """The fixed surroundings of a turn.

    `system_prompt`, `tool_specs` and `mode_view` are the execution surface at the start of the turn; with
    `sync_execution_surface` the host is asked before every iteration, and from the second one on it may replace them.
    `termination` is the mode's own. `max_turns` None means no limit of model calls. `can_rewrite_on_overflow` says
    that somebody can shorten the history when the context overflows. `emit_llm_trace` logs every model call.

    Raises ConfigError (contradictory_options) for a `max_turns` below 1 and for empty ids.
    """

    driver: ModeDriver
    projector: ContextProjector
    model: str
    session_id: str
    turn_id: str
    model_variant: str | None = None
    max_turns: int | None = None
    autonomous: bool = False
    sync_execution_surface: bool = False
    system_prompt: str = ""
    tool_specs: tuple[ToolSpec, ...] = ()
    mode_view: JsonValue = None
    termination: JsonValue = None
    turn_limit_final_message: Callable[[str, int], Message] = turn_limit_notice
    can_rewrite_on_overflow: bool = False
    emit_llm_trace: bool = False

    def __post_init__(self) -> None:
        if self.max_turns is not None and self.max_turns < 1:
            raise ConfigError("contradictory_options", f"max_turns is {self.max_turns}; it must be 1 or more, or None")
        for name in ("session_id", "turn_id"):
            if not getattr(self, name):
                raise ConfigError("contradictory_options", f"{name} is empty; a turn needs one to name its effects")

    def fingerprint(self) -> str:
        """What two configurations must have in common for one to go on with the other's snapshot."""
        return stable_hash(
            [
                self.driver.mode_id,
                self.driver.version,
                self.model,
                self.model_variant,
                stable_hash(self.system_prompt),
                sorted(spec.name for spec in self.tool_specs),
            ]
        )
