"""RLM mode as the runtime installs it: a factory per core, a half of every session that runs in it (rlm.md 1, 8 to 11).

Three kinds of state, never mixed: the machine's variables, which programs write and commits keep; projected bindings,
which the host owns and programs only read; and what the prompt tells of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from pydantic import ValidationError

from lash.modes.rlm import notes
from lash.modes.rlm.bridge import EffectsFailed, ResultProjector, RlmBridge
from lash.modes.rlm.config import RlmConfig, RlmTermination
from lash.modes.rlm.control import NAME as CONTINUE_AS
from lash.modes.rlm.control import ContinueAs, successor_of
from lash.modes.rlm.driver import RlmDriver
from lash.modes.rlm.executor import ROLLED_BACK, RlmExecutor
from lash.modes.rlm.history import HistoryReader, HistorySource
from lash.modes.rlm.options import (
    HISTORY,
    SESSION_OPTIONS,
    TURN_OPTIONS,
    check_bindings,
    check_globals,
    termination_of,
)
from lash.modes.rlm.projector import RlmContextProjector
from lash.modes.rlm.prompt.execution import execution_prompt
from lash.modes.rlm.prompt.projected import describe_projected, projected_contribution
from lash.modes.rlm.prompt.tools import tools_contribution
from lash.modes.rlm.refs import ProjectionRegistry, ProjectionResolver, RefSource
from lash.modes.rlm.sources import HostSource, SourcePart, found_again, host_sources, reference_behind, unseeded
from lash.modes.rlm.state import pack_state, unpack_state
from lash.modes.rlm.stream_mask import StreamMask
from lash.modes.rlm.types import MODE_ID, PLUGIN_ID, RlmEvent, RlmGlobalsPatch, RlmSeed, read_event
from lash.modes.rlm.view import ProjectedView, RlmView
from lash.runtime.errors import ConfigError, SessionError, TurnError
from lash.runtime.sansio.activity import TurnEvent
from lash.runtime.sansio.driver import ContextProjector, ModeDriver
from lash.runtime.sansio.effects import ExecFailure, ExecOutcome, ExecResponse
from lash.runtime.sansio.messages import Message, Part, SessionEventRecord
from lash.runtime.sansio.tools import ToolControl
from lash.runtime.sansio.values import JsonValue
from lash.runtime.tools.cancel import CancelToken
from lash.runtime.tools.provider import ToolProvider
from lash.runtime.turn.handoff import Successor
from lash.runtime.turn.mode import Emit, ExecPort, ModePrompt, StreamPiece, SurfaceInput, TurnSetup
from lashlang import Image, Projection, SnapshotError, TextSource, Value

CANCELLED = "cancelled"


class RlmMode:
    """See `ModeFactory`."""

    mode_id = MODE_ID

    def __init__(
        self,
        config: RlmConfig,
        seconds: Callable[[], float] = monotonic,
        resolver: ProjectionResolver | None = None,
    ) -> None:
        self._config = config
        self._seconds = seconds
        self._resolver = resolver or ProjectionRegistry()

    def session(self, session_id: str, options: Mapping[str, Any]) -> RlmSession:
        """See `ModeFactory`."""
        unknown = options.keys() - SESSION_OPTIONS
        if unknown:
            raise ConfigError("contradictory_options", f"RLM mode has no option {sorted(unknown)[0]!r}")
        termination_of(options)
        return RlmSession(self._config, options, self._seconds, self._resolver)


class RlmSession:
    """See `ModeSession`."""

    mode_id = MODE_ID
    sync_execution_surface = True

    def __init__(
        self,
        config: RlmConfig,
        options: Mapping[str, Any],
        seconds: Callable[[], float],
        resolver: ProjectionResolver,
    ) -> None:
        self._config = config
        self._resolver = resolver
        self._restored: list[RefSource] = []
        self._result_projectors: Sequence[ResultProjector] = ()
        given = check_bindings(options.get("projected") or {}, {}, "projected value")
        self._given = host_sources(given, "session")
        self._projected = self._given
        self._globals: dict[str, JsonValue] = check_globals(options.get("globals") or {}, self._projected)
        self._described = [_described(name, value) for name, value in given.items()]
        self._default_termination = RlmTermination()
        self._termination = self._default_termination
        self._successors: dict[str, Successor] = {}
        self.native_tools: Sequence[ToolProvider] = (ContinueAs(),)
        self._executor = RlmExecutor(config.limits, seconds)
        self._turn_projected: dict[str, Value | Projection] = {}
        self._turn_described: list[ProjectedView] = []
        self._history = HistoryReader()
        self.projector: ContextProjector = RlmContextProjector(config, self._history)

    @property
    def default_max_turns(self) -> int | None:
        """See `ModeSession`."""
        return self._config.max_turns

    @property
    def max_handoffs(self) -> int:
        """See `ModeSession`."""
        return self._config.max_handoffs

    # --- turns -------------------------------------------------------------------------------------

    def begin_turn(self, turn: TurnSetup) -> JsonValue:
        """See `ModeSession`."""
        unknown = turn.options.keys() - TURN_OPTIONS
        if unknown:
            raise TurnError("mode_option", f"RLM mode has no option {sorted(unknown)[0]!r}")
        termination = termination_of(turn.options) or self._default_termination
        given = check_bindings(turn.options.get("turn_projected") or {}, self._projected, "projected value")
        self._turn_projected = host_sources(given, "turn")
        self._turn_described = [_described(name, value) for name, value in given.items()]
        self._termination = termination
        self._result_projectors = turn.options.get("tool_result_projectors") or ()
        return termination.model_dump(mode="json")

    def end_turn(self) -> None:
        """See `ModeSession`."""
        self._turn_projected = {}
        self._turn_described = []
        self._successors = {}

    def successor(self, session_id: str) -> Successor | None:
        """See `ModeSession`."""
        return self._successors.get(session_id)

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
        """See `ModeSession`."""
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
        bound = {**self._projected, **self._turn_projected}
        await self._resolve(bound.values())
        budget, projectors = self._config.observe_budget, self._result_projectors
        bridge = RlmBridge(code, port, emit, correlation_id, budget, bound, token, projectors)
        projected: dict[str, Value | Projection] = {**bound, HISTORY: HistorySource(self._history.read(events))}
        if token.cancelled:
            return ExecResponse(error=CANCELLED, error_kind=CANCELLED)
        running = asyncio.create_task(self._executor.run(code, bridge, projected))
        stop = asyncio.create_task(token.wait())
        try:
            await asyncio.wait([running, stop], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                self._note_successor(bridge)
                return running.result()
            await bridge.settled()
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
        except EffectsFailed as failed:
            raise failed.error from failed
        except Exception as error:
            return ExecFailure(f"The program could not be run: {type(error).__name__}: {error}", "exec_failed")
        finally:
            stop.cancel()
            running.cancel()
            await asyncio.wait([running, stop])

    async def _resolve(self, bound: Iterable[Value | Projection]) -> None:
        """Find the values of all references that a program could read."""
        named = (reference for source in bound if (reference := reference_behind(source)) is not None)
        for reference in (*named, *self._restored):
            await reference.resolve(self._resolver)

    def _note_successor(self, bridge: RlmBridge) -> None:
        """Remember the session that the block hands the turn on to; it is stored when the turn is committed."""
        call = bridge.halted
        if call is None or call.tool_name != CONTINUE_AS or not isinstance(call.control, ToolControl.Handoff):
            return
        termination = self._termination.model_dump(mode="json")
        self._successors[call.control.session_id] = successor_of(call, bridge.projections_of(call), termination)

    # --- state -------------------------------------------------------------------------------------

    def opened(self, events: Sequence[SessionEventRecord], state: bytes | None) -> None:
        """See `ModeSession`."""
        own = [event for event in map(_own_event, events) if event is not None]
        seed = next((event for event in own if isinstance(event, RlmSeed)), None)
        if seed is not None:
            self._begin_as_successor(seed)
        self._executor.reset()
        if state is not None:
            self._restore(state)
        self._executor.remove([HISTORY, *self._projected])
        for event in own:
            if isinstance(event, RlmSeed):
                self._executor.set_default(event.globals)
            elif isinstance(event, RlmGlobalsPatch):
                self._executor.set_default(event.set_default)
        self._executor.set_default(self._globals)

    def _begin_as_successor(self, seed: RlmSeed) -> None:
        """Have what the seed names and nothing else: what the host gave is only where the seed's values are found."""
        self._projected = {name: unseeded(name, entry, self._given) for name, entry in seed.projected}
        self._described = [_described(name, source) for name, source in self._projected.items()]
        self._globals = {}
        if seed.termination is not None:
            self._default_termination = RlmTermination.model_validate(seed.termination)

    def _restore(self, state: bytes) -> None:
        try:
            self._restored = []
            self._executor.restore(unpack_state(state), self._found_again)
        except SnapshotError as error:
            if self._config.on_incompatible_snapshot == "reset":
                return
            raise SessionError(
                "snapshot_version",
                f"the session's variables cannot be restored: {error}; "
                'RlmConfig(on_incompatible_snapshot="reset") opens it without them',
            ) from error

    def _found_again(self, ref: str, type_name: str) -> Projection:
        source = found_again(ref, self._given)
        reference = reference_behind(source)
        if reference is not None:
            self._restored.append(reference)
        return source

    def state(self) -> bytes | None:
        """See `ModeSession`."""
        if not self._executor.dirty:
            return None
        return pack_state(self._executor.snapshot())

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


def _own_event(record: SessionEventRecord) -> RlmEvent | None:
    """The event of this mode in a record, if it is one. Raises SessionError for one that cannot be read."""
    try:
        return read_event(record)
    except ValidationError as error:
        raise SessionError("unsupported_record_version", f"an event of RLM mode cannot be read: {error}") from error


def _described(name: str, value: Value | Projection) -> ProjectedView:
    """What the prompt says of a projected value."""
    if isinstance(value, Image):
        return ProjectedView(name=name, type="image")
    if isinstance(value, HostSource | SourcePart):
        value = value.described()
    if isinstance(value, Projection) and not isinstance(value, TextSource):
        return ProjectedView(name=name, type=getattr(value, "type_name", None) or "lazily read value")
    return describe_projected(name, value)
