"""RLM mode as the runtime installs it: a factory per core, a half of every session that runs in it (rlm.md 1, 8 to 11).

Three kinds of state, never mixed: the machine's variables, which programs write and commits keep; projected bindings,
which the host owns and programs only read; and what the prompt tells of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, cast

import msgpack
from pydantic import ValidationError

from lash.modes.rlm import notes
from lash.modes.rlm.bridge import RlmBridge
from lash.modes.rlm.config import RlmConfig
from lash.modes.rlm.driver import RlmDriver
from lash.modes.rlm.executor import ROLLED_BACK, RlmExecutor
from lash.modes.rlm.history import History
from lash.modes.rlm.options import HISTORY, SESSION_OPTIONS, TURN_OPTIONS, check_bindings, termination_of
from lash.modes.rlm.projector import RlmContextProjector
from lash.modes.rlm.prompt.execution import execution_prompt
from lash.modes.rlm.prompt.projected import describe_projected, projected_contribution
from lash.modes.rlm.prompt.tools import tools_contribution
from lash.modes.rlm.stream_mask import StreamMask
from lash.modes.rlm.types import MODE_ID, PLUGIN_ID, RlmGlobalsPatch, RlmSeed, read_event
from lash.modes.rlm.view import ProjectedView, RlmView
from lash.runtime.errors import ConfigError, SessionError, TurnError
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.driver import ContextProjector, ModeDriver
from lash.runtime.sansio.effects import ExecFailure, ExecOutcome, ExecResponse
from lash.runtime.sansio.messages import Message, Part, SessionEventRecord
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.turn.mode import Emit, ExecPort, ModePrompt, StreamPiece, SurfaceInput, TurnSetup
from lashlang import Image, JsonSource, Projection, SnapshotError, TextSource, Value

STATE_VERSION = 1

CANCELLED = "cancelled"


class RlmMode:
    """See `ModeFactory`."""

    mode_id = MODE_ID

    def __init__(self, config: RlmConfig, seconds: Callable[[], float] = monotonic) -> None:
        self._config = config
        self._seconds = seconds

    def session(self, session_id: str, options: Mapping[str, Any]) -> RlmSession:
        """See `ModeFactory`."""
        unknown = options.keys() - SESSION_OPTIONS
        if unknown:
            raise ConfigError("contradictory_options", f"RLM mode has no option {sorted(unknown)[0]!r}")
        termination_of(options)
        return RlmSession(self._config, options, self._seconds)


class RlmSession:
    """See `ModeSession`."""

    mode_id = MODE_ID
    sync_execution_surface = True

    def __init__(self, config: RlmConfig, options: Mapping[str, Any], seconds: Callable[[], float]) -> None:
        self._config = config
        self._projected = check_bindings(options.get("projected") or {}, {}, "projected value")
        self._globals: dict[str, JsonValue] = dict(options.get("globals") or {})
        for name in self._globals:
            if name in self._projected or name == HISTORY:
                raise TurnError("mode_turn_extension", f"variable `{name}`: a projected value has that name")
        self._described = [_described(name, value) for name, value in self._projected.items()]
        self._executor = RlmExecutor(config.limits, seconds)
        self._turn_projected: dict[str, Value | Projection] = {}
        self._turn_described: list[ProjectedView] = []
        self.projector: ContextProjector = RlmContextProjector(config)

    @property
    def default_max_turns(self) -> int | None:
        """See `ModeSession`."""
        return self._config.max_turns

    # --- turns -------------------------------------------------------------------------------------

    def begin_turn(self, turn: TurnSetup) -> JsonValue:
        """See `ModeSession`."""
        unknown = turn.options.keys() - TURN_OPTIONS
        if unknown:
            raise TurnError("mode_option", f"RLM mode has no option {sorted(unknown)[0]!r}")
        termination = termination_of(turn.options)
        given: Mapping[str, object] = turn.options.get("turn_projected") or {}
        self._turn_projected = check_bindings(given, self._projected, "projected value")
        self._turn_described = [_described(name, value) for name, value in self._turn_projected.items()]
        return termination.model_dump(mode="json")

    def end_turn(self) -> None:
        """See `ModeSession`."""
        self._turn_projected = {}
        self._turn_described = []

    def driver(self, turn: TurnSetup) -> ModeDriver:
        """See `ModeSession`."""
        return RlmDriver(self._config, turn.turn_index)

    def prompt(self, surface: SurfaceInput) -> ModePrompt:
        """See `ModeSession`."""
        hidden = {*self._projected, *self._turn_projected, HISTORY}
        contributions = (
            tools_contribution(surface.tool_specs, surface.tool_notes),
            projected_contribution([*self._described, *self._turn_described]),
        )
        view = RlmView(variables=self._executor.view(hidden), answer_format=self._config.answer_format)
        return ModePrompt(
            execution_prompt(self._config.prompt_features),
            tuple(one for one in contributions if one is not None),
            view.as_json(),
        )

    def turn_limit_message(self, message_id: str, max_turns: int) -> Message:
        """What the model is told before its last reply."""
        return Message(message_id, "system", (Part(f"{message_id}.p0", "text", notes.TURN_LIMIT_FINAL),))

    def stream_hook(self) -> RlmStreamHook:
        """See `ModeSession`."""
        return RlmStreamHook()

    # --- programs ----------------------------------------------------------------------------------

    async def exec_code(
        self,
        code: str,
        correlation_id: str,
        port: ExecPort,
        emit: Emit,
        token: CancelToken,
        events: Sequence[SessionEventRecord],
    ) -> ExecOutcome:
        """See `ModeSession`."""
        bridge = RlmBridge(port, emit, correlation_id, self._config.observe_budget)
        projected: dict[str, Value | Projection] = {
            **self._projected,
            **self._turn_projected,
            HISTORY: JsonSource(History.of(events).to_json()),
        }
        running = asyncio.create_task(self._executor.run(code, bridge, projected))
        stop = asyncio.create_task(token.wait())
        try:
            await asyncio.wait([running, stop], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            running.cancel()
            await asyncio.wait([running])
            return ExecResponse(
                observations=tuple(bridge.observations),
                observation_metrics=tuple(bridge.metrics),
                tool_calls=bridge.calls,
                printed_images=tuple(bridge.images),
                error=f"{CANCELLED}\n{ROLLED_BACK}",
                error_kind=CANCELLED,
            )
        except Exception as error:
            return ExecFailure(f"The program could not be run: {type(error).__name__}: {error}", "exec_failed")
        finally:
            stop.cancel()
            running.cancel()
            await asyncio.wait([running, stop])

    # --- state -------------------------------------------------------------------------------------

    def opened(self, events: Sequence[SessionEventRecord], state: bytes | None) -> None:
        """See `ModeSession`."""
        if state is not None:
            self._restore(state)
        self._executor.remove([HISTORY, *self._projected])
        for record in events:
            try:
                event = read_event(record)
            except ValidationError as error:
                raise SessionError(
                    "unsupported_record_version", f"an event of RLM mode cannot be read: {error}"
                ) from error
            if isinstance(event, RlmSeed):
                self._executor.set_default(event.globals)
            elif isinstance(event, RlmGlobalsPatch):
                self._executor.set_default(event.set_default)
        self._executor.set_default(self._globals)

    def _restore(self, state: bytes) -> None:
        try:
            envelope = cast("dict[str, Any]", msgpack.unpackb(state))
            if (envelope["owner"], envelope["v"]) != (MODE_ID, STATE_VERSION):
                raise SnapshotError("it is the state of another mode, or of another version")
            self._executor.restore(envelope["snapshot"])
        except (SnapshotError, ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
            if self._config.on_incompatible_snapshot == "reset":
                return
            raise SessionError(
                "snapshot_version",
                f"the session's variables cannot be restored: {error}; "
                'RlmConfig(on_incompatible_snapshot="reset") opens it without them',
            ) from error

    def state(self) -> bytes | None:
        """See `ModeSession`."""
        if not self._executor.dirty:
            return None
        envelope = {"v": STATE_VERSION, "owner": MODE_ID, "engine": "lashlang", "snapshot": self._executor.snapshot()}
        return msgpack.packb(envelope)

    def committed(self) -> None:
        """See `ModeSession`."""
        self._executor.dirty = False

    def close(self) -> None:
        """See `ModeSession`."""
        self._executor.close()


class RlmStreamHook:
    """See `StreamHook`: the prose of a reply is shown, its program is not."""

    def __init__(self) -> None:
        self._mask = StreamMask()

    def reset(self) -> None:
        """See `StreamHook`."""
        self._mask.reset()

    def feed(self, text: str) -> StreamPiece:
        """See `StreamHook`."""
        masked = self._mask.feed(text)
        events = (_FENCE_STARTED,) if masked.fence_started else ()
        return StreamPiece(masked.prose, events, masked.abort)

    def finish(self) -> StreamPiece:
        """See `StreamHook`."""
        masked = self._mask.finish()
        events = (_FENCE_STARTED,) if masked.fence_started else ()
        return StreamPiece(masked.prose, events)

    def rebuilt(self) -> str | None:
        """See `StreamHook`."""
        return self._mask.rebuilt() if self._mask.text else None


_FENCE_STARTED = TurnEvent.PluginRuntime(PLUGIN_ID, "custom", "rlm_fence_start")


def _described(name: str, value: Value | Projection) -> ProjectedView:
    if isinstance(value, Projection) and not isinstance(value, TextSource):
        return ProjectedView(name=name, type=getattr(value, "type_name", None) or "lazily read value")
    if isinstance(value, Image):
        return ProjectedView(name=name, type="image")
    return describe_projected(name, value)
