"""Standard mode as the runtime installs it: a factory per core, a half of every session that runs in it.

The conversation is all the state there is, so a session half holds nothing that would have to be committed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lash.modes.standard import batch
from lash.modes.standard.calls import BATCH
from lash.modes.standard.config import StandardConfig
from lash.modes.standard.driver import MODE_ID, StandardDriver
from lash.modes.standard.prompt import execution_prompt, tools_contribution
from lash.runtime.errors import ConfigError, TurnError
from lash.runtime.sansio.config import turn_limit_notice
from lash.runtime.sansio.driver import ContextProjector, ModeDriver
from lash.runtime.sansio.effects import ExecFailure, ExecOutcome
from lash.runtime.sansio.messages import Message, SessionEventRecord
from lash.runtime.sansio.projector import ChatContextProjector
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.provider import ToolProvider
from lash.runtime.turn.handoff import Successor
from lash.runtime.turn.mode import Emit, ExecPort, ModePrompt, StreamHook, SurfaceInput, TurnSetup


class StandardMode:
    """See `ModeFactory`."""

    mode_id = MODE_ID

    def __init__(self, config: StandardConfig) -> None:
        self._config = config

    def session(self, session_id: str, options: Mapping[str, Any]) -> StandardSession:
        """See `ModeFactory`; there are no options."""
        if options:
            raise ConfigError(
                "contradictory_options", f"standard mode has no option {min(options)!r}: it belongs to RLM mode"
            )
        return StandardSession(self._config)


class StandardSession:
    """See `ModeSession`."""

    mode_id = MODE_ID
    sync_execution_surface = True

    max_handoffs = sys.maxsize
    """The core's bound is the only one."""

    def __init__(self, config: StandardConfig) -> None:
        self._config = config
        self.native_tools: Sequence[ToolProvider] = (batch.Batch(),) if config.batch else ()
        self.projector: ContextProjector = ChatContextProjector()

    @property
    def default_max_turns(self) -> int | None:
        """See `ModeSession`."""
        return self._config.default_max_turns

    def begin_turn(self, turn: TurnSetup) -> JsonValue:
        """See `ModeSession`; there are no options."""
        if turn.options:
            raise TurnError("mode_option", f"standard mode has no option {min(turn.options)!r}: it belongs to RLM mode")
        return None

    def end_turn(self) -> None:
        """See `ModeSession`."""

    def driver(self, turn: TurnSetup) -> ModeDriver:
        """See `ModeSession`."""
        return StandardDriver(self._config)

    def prompt(self, surface: SurfaceInput) -> ModePrompt:
        """See `ModeSession`."""
        tools = tools_contribution(surface.tool_specs, surface.tool_notes)
        return ModePrompt(execution_prompt(surface.tool_specs, BATCH), () if tools is None else (tools,))

    def turn_limit_message(self, message_id: str, max_turns: int) -> Message:
        """See `ModeSession`."""
        return turn_limit_notice(message_id, max_turns)

    def successor(self, session_id: str) -> Successor | None:
        """See `ModeSession`: no tool of the mode hands a turn on."""
        return None

    def stream_hook(self) -> StreamHook | None:
        """See `ModeSession`: all text is for the user."""
        return None

    async def exec_code(
        self,
        code: str,
        correlation_id: str,
        port: ExecPort,
        emit: Emit,
        token: CancelToken,
        events: Sequence[SessionEventRecord],
    ) -> ExecOutcome:
        """See `ModeSession`; never asked for."""
        return ExecFailure("standard mode runs no programs", "exec_failed")

    def opened(self, events: Sequence[SessionEventRecord], state: bytes | None) -> None:
        """See `ModeSession`."""

    def state(self) -> bytes | None:
        """See `ModeSession`."""
        return None

    def committed(self) -> None:
        """See `ModeSession`."""

    def close(self) -> None:
        """See `ModeSession`."""
